// SPDX-License-Identifier: Apache-2.0

package envoy

import (
	"net/netip"
	"strings"
)

// maxAddressLen is the length of the longest textual IPv6 address, one with an embedded IPv4 part.
const maxAddressLen = 45

// ParseAddress reads an address as Envoy prints it: "10.0.0.1:9080", "[fd00::1]:9080", a bare IP (port 0), or an
// internal address "envoy://connect_originate/10.0.0.1:9080", which names the endpoint behind the tunnel (of
// [InnerConnect] the east/west gateway, see [ParseInternalAddress]). The IP is returned as spelled, without brackets. ok is false for anything else, such as the path of a Unix socket or "-".
// It does not allocate for an address that it accepts.
func ParseAddress(s string) (ip string, port uint16, ok bool) {
	if _, endpoint, internal := ParseInternalAddress(s); internal {
		s = endpoint
	}
	host := s
	switch {
	case strings.HasPrefix(s, "["):
		var tail string
		if host, tail, ok = strings.Cut(s[1:], "]"); !ok || !strings.Contains(host, ":") {
			return "", 0, false
		}
		if tail == "" {
			break
		}
		if tail[0] != ':' {
			return "", 0, false
		}
		if port, ok = parsePort(tail[1:]); !ok {
			return "", 0, false
		}
	case strings.Count(s, ":") == 1:
		var text string
		host, text, _ = strings.Cut(s, ":")
		if port, ok = parsePort(text); !ok {
			return "", 0, false
		}
	}
	if host == "" || len(host) > maxAddressLen || strings.IndexByte(host, '%') >= 0 {
		return "", 0, false
	}
	if _, err := netip.ParseAddr(host); err != nil {
		return "", 0, false
	}
	return host, port, true
}

// parsePort reads a decimal port, 0 to 65535. strconv would build an error for each text that is none.
func parsePort(s string) (uint16, bool) {
	if s == "" || len(s) > 5 {
		return 0, false
	}
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	if n > 65535 {
		return 0, false
	}
	return uint16(n), true
}
