// SPDX-License-Identifier: Apache-2.0

package loopback

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestIsHost(t *testing.T) {
	for _, host := range []string{"localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "[::1]"} {
		assert.True(t, IsHost(host), host)
	}
	for _, host := range []string{"", "0.0.0.0", "localhost.evil.example", "10.0.0.1", "::"} {
		assert.False(t, IsHost(host), host)
	}
}

func TestIsAuthority(t *testing.T) {
	for authority, want := range map[string]bool{
		"127.0.0.1": true, "127.0.0.1:13135": true, "localhost:13135": true, "LOCALHOST": true, "[::1]:13135": true, "[::1]": true, "::1": true,
		"example.com": false, "example.com:13135": false, "10.0.0.1:13135": false, "localhost.example.com:80": false, "": false, ":13135": false,
	} {
		assert.Equal(t, want, IsAuthority(authority), "%q", authority)
	}
}
