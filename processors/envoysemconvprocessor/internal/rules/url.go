// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
)

// url is a URL in its parts, as spelled.
type url struct {
	scheme, host, path, query string
	port                      uint16
}

// splitURL splits an absolute URL. net/url would refuse the ones that Envoy cut within an escape, and allocates.
func splitURL(s string) (url, bool) {
	var u url
	var rest string
	var ok bool
	if u.scheme, rest, ok = strings.Cut(s, "://"); !ok || !isScheme(u.scheme) {
		return url{}, false
	}
	authority := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, rest = rest[:i], rest[i:]
	} else {
		rest = ""
	}
	authority = authority[strings.LastIndexByte(authority, '@')+1:]
	if u.host, u.port, ok = splitAuthority(authority); !ok {
		return url{}, false
	}
	rest, _, _ = strings.Cut(rest, "#")
	u.path, u.query, _ = strings.Cut(rest, "?")
	return u, true
}

// splitAuthority splits "host:port"; the port is 0 if there is none.
func splitAuthority(s string) (host string, port uint16, ok bool) {
	if ip, port, ok := envoy.ParseAddress(s); ok && !strings.HasPrefix(s, "envoy:") {
		return ip, port, true
	}
	host, text, found := strings.Cut(s, ":")
	if host == "" || strings.ContainsAny(host, "[]@ \"<>\\^`{|}") {
		return "", 0, false
	}
	if !found {
		return host, 0, true
	}
	port, ok = parsePort(text)
	return host, port, ok
}

func parsePort(s string) (uint16, bool) {
	if s == "" || len(s) > 5 || !isDigits(s) {
		return 0, false
	}
	n := 0
	for i := range len(s) {
		n = n*10 + int(s[i]-'0')
	}
	return uint16(n), n <= 65535
}

func isScheme(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if (c < 'a' || c > 'z') && (i == 0 || (s[i] != '+' && s[i] != '-' && s[i] != '.' && (s[i] < '0' || s[i] > '9'))) {
			return false
		}
	}
	return s != ""
}

// authority writes the logical callee that a request names in its host header. One that is neither a host nor an
// address is kept under another name.
func authority(out *Output, s, elseName string) {
	host, port, ok := splitAuthority(s)
	if !ok {
		out.rename(elseName, s)
		return
	}
	out.derive(serverAddress, host)
	if port > 0 {
		out.deriveInt(serverPort, int64(port))
		out.follow()
	}
}

// withoutCredentials returns a URL without its user and password, which semantic conventions forbid to keep.
func withoutCredentials(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return s
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	at := strings.LastIndexByte(rest[:end], '@')
	if at < 0 {
		return s
	}
	return scheme + "://REDACTED:REDACTED@" + rest[at+1:]
}
