// SPDX-License-Identifier: Apache-2.0

// Package loopback tells this machine from all others by what a configuration or a request calls it. No name is looked up:
// whoever answers for a name could rebind it.
package loopback

import (
	"net"
	"strings"
)

// IsHost says whether a host without a port is this machine and no other: localhost, or a loopback address with or without
// brackets.
func IsHost(host string) bool {
	ip := net.ParseIP(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return strings.EqualFold(host, "localhost") || (ip != nil && ip.IsLoopback())
}

// IsAuthority says the same of a host with or without a port, as the Host header has it (RFC 9110, section 7.2).
func IsAuthority(authority string) bool {
	if host, _, err := net.SplitHostPort(authority); err == nil {
		authority = host
	}
	return IsHost(authority)
}
