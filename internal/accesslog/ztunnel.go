// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// ParseZtunnel reads a line of ztunnel's access log in its plain format (istio/ztunnel src/telemetry.rs):
//
//	time<tab>level<tab>access<tab>connection complete<tab>src.addr=10.0.0.1:4711 src.workload="pod" … duration="13ms"
//
// as well as the form of before 2024, "time  LEVEL access: connection complete src.addr=…". Values are bare or in quotes
// with Rust's escapes; src.addr comes first, and keys that are not known are passed over. "connection failed" lines
// have fewer of them. It returns ErrZtunnel for another line, and allocates for values with escapes alone.
func ParseZtunnel(line string, z *Ztunnel) error {
	line = strings.TrimRight(line, "\r\n")
	at, rest, ok := cutSpace(line)
	if !ok || !looksLikeTime(at) {
		return ErrZtunnel
	}
	level, rest, ok := cutSpace(rest)
	if !ok || !isZtunnelAccess(rest) {
		return ErrZtunnel
	}
	_, rest, _ = cutSpace(rest)
	pairs := strings.Index(rest, "src.addr=")
	if pairs < 1 {
		return ErrZtunnel
	}
	z.Set(ZtunnelTime, at)
	z.Set(ZtunnelLevel, strings.ToLower(level))
	z.Set(ZtunnelMessage, strings.TrimRight(rest[:pairs], " \t"))
	if !z.pairs(rest[pairs:]) || !z.IsAccessLog() {
		return ErrZtunnel
	}
	return nil
}

// isZtunnelAccess says whether what stands behind time and level is of the access log.
func isZtunnelAccess(s string) bool {
	rest, ok := strings.CutPrefix(s, "access")
	return ok && rest != "" && (rest[0] == '\t' || rest[0] == ' ' || rest[0] == ':') &&
		(strings.Contains(rest, "connection complete") || strings.Contains(rest, "connection failed"))
}

// pairs reads key=value pairs with one space between.
func (z *Ztunnel) pairs(s string) bool {
	for range maxKeys {
		key, rest, ok := strings.Cut(s, "=")
		if !ok || strings.ContainsAny(key, " \"\t") {
			return false
		}
		value, rest, ok := quoted(rest)
		if !ok {
			return false
		}
		switch f := ZtunnelFieldOf(key); f {
		case ZtunnelNone, ZtunnelTime, ZtunnelLevel, ZtunnelMessage:
		default:
			z.Set(f, value)
		}
		if rest == "" {
			return true
		}
		if s, ok = strings.CutPrefix(rest, " "); !ok {
			return false
		}
	}
	return false
}

// quoted reads a value: a word, or a text in quotes.
func quoted(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexByte(s, ' ')
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], strings.IndexByte(s[:end], '"') < 0
	}
	s = s[1:]
	for at := 0; at < len(s); at++ {
		switch s[at] {
		case '"':
			return s[:at], s[at+1:], true
		case '\\':
			return unescape(s, at)
		}
	}
	return "", "", false
}

// unescape goes on with a quoted value at its first escape, as Rust's Debug writes them: \" \\ \n \r \t \0 \' \u{7f}.
func unescape(s string, at int) (value, rest string, ok bool) {
	var b strings.Builder
	b.WriteString(s[:at])
	for at < len(s) {
		c := s[at]
		at++
		if c == '"' {
			return b.String(), s[at:], true
		}
		if c != '\\' {
			b.WriteByte(c)
			continue
		}
		if at == len(s) {
			return "", "", false
		}
		c = s[at]
		at++
		if c == 'u' {
			r, n, ok := rustUnicode(s[at:])
			if !ok {
				return "", "", false
			}
			b.WriteRune(r)
			at += n
			continue
		}
		i := strings.IndexByte(`"\'nrt0`, c)
		if i < 0 {
			return "", "", false
		}
		b.WriteByte("\"\\'\n\r\t\x00"[i])
	}
	return "", "", false
}

// rustUnicode reads "{7f}", and how many bytes that is.
func rustUnicode(s string) (r rune, n int, ok bool) {
	end := strings.IndexByte(s, '}')
	if end < 2 || end > 7 || s[0] != '{' {
		return 0, 0, false
	}
	code, err := strconv.ParseUint(s[1:end], 16, 32)
	if err != nil || code > utf8.MaxRune {
		return 0, 0, false
	}
	return rune(code), end + 1, true
}

// cutSpace cuts at the first run of spaces and tabs. ok is false if nothing follows it.
func cutSpace(s string) (word, rest string, ok bool) {
	end := strings.IndexAny(s, " \t")
	if end < 0 {
		return s, "", false
	}
	rest = strings.TrimLeft(s[end:], " \t")
	return s[:end], rest, rest != ""
}
