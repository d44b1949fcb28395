// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// ParseJSON reads one JSON object in the keys of Istio's default JSON format or of ztunnel's. Numbers and booleans are
// taken as they are written, texts without their escapes; null is nothing, other keys and nested values are passed over,
// and of a key that comes twice the last one counts. It returns NotAccessLog without an error for an object that is no
// access log, and ErrJSON for a text that is not one JSON object. It allocates for texts with escapes alone.
func ParseJSON(text string, e *Entry) (Format, error) {
	if len(text) > MaxLength {
		return JSON, ErrTooLong
	}
	s := scanner{text: text}
	if !s.object(e.take) {
		return JSON, ErrJSON
	}
	switch {
	case e.Ztunnel.IsAccessLog():
		return ZtunnelJSON, nil
	case e.Envoy.IsAccessLog():
		return JSON, nil
	}
	return NotAccessLog, nil
}

// EachKey calls f with each key of one JSON object and its value as [ParseJSON] reads it, until the object ends or is
// broken. It is for the keys that users add to an access log.
func EachKey(text string, f func(key, value string)) {
	if len(text) > MaxLength {
		return
	}
	s := scanner{text: strings.TrimRight(text, "\r\n")}
	s.object(f)
}

// take sets the fields that a key names. A few keys are both formats': which one it is shows at the end.
func (e *Entry) take(key, value string) {
	if f := FieldOf(key); f != FieldNone {
		e.Envoy.Set(f, value)
	}
	if f := ZtunnelFieldOf(key); f != ZtunnelNone {
		e.Ztunnel.Set(f, value)
	}
}

// scanner walks over a JSON text (RFC 8259).
type scanner struct {
	text string
	at   int
}

// object reads the outermost object, and that nothing follows it.
func (s *scanner) object(take func(key, value string)) bool {
	s.space()
	if !s.eat('{') {
		return false
	}
	s.space()
	if !s.eat('}') {
		for range maxKeys {
			key, ok := s.string()
			if !ok || !s.colon() {
				return false
			}
			value, ok := s.value()
			if !ok {
				return false
			}
			take(key, value)
			s.space()
			if s.eat('}') {
				return s.end()
			}
			if !s.eat(',') {
				return false
			}
			s.space()
		}
		return false
	}
	return s.end()
}

func (s *scanner) end() bool {
	s.space()
	return s.at == len(s.text)
}

func (s *scanner) colon() bool {
	s.space()
	ok := s.eat(':')
	s.space()
	return ok
}

// value reads any value and returns it as text; a nested one and null are empty.
func (s *scanner) value() (string, bool) {
	if s.at == len(s.text) {
		return "", false
	}
	switch s.text[s.at] {
	case '"':
		return s.string()
	case '{', '[':
		return "", s.nested()
	}
	start := s.at
	for s.at < len(s.text) && strings.IndexByte(",]} \t\r\n", s.text[s.at]) < 0 {
		s.at++
	}
	switch word := s.text[start:s.at]; {
	case word == "null":
		return "", true
	case word == "true", word == "false", isJSONNumber(word):
		return word, true
	}
	return "", false
}

// nested passes over an object or an array: only the brackets that are not in a text have to match.
func (s *scanner) nested() bool {
	var closing [32]byte
	depth := 0
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case '"':
			if _, ok := s.string(); !ok {
				return false
			}
			continue
		case '{', '[':
			if depth == len(closing) {
				return false
			}
			closing[depth] = c + 2 // '{' and '}', '[' and ']' are two apart
			depth++
		case '}', ']':
			depth--
			if closing[depth] != c {
				return false
			}
			if depth == 0 {
				s.at++
				return true
			}
		}
		s.at++
	}
	return false
}

// string reads a text in quotes.
func (s *scanner) string() (string, bool) {
	if !s.eat('"') {
		return "", false
	}
	start := s.at
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return s.text[start : s.at-1], true
		case c == '\\':
			return s.escaped(start)
		case c < ' ':
			return "", false
		}
		s.at++
	}
	return "", false
}

// escaped goes on with a text at its first escape.
func (s *scanner) escaped(start int) (string, bool) {
	var b strings.Builder
	b.WriteString(s.text[start:s.at])
	for s.at < len(s.text) {
		c := s.text[s.at]
		s.at++
		switch {
		case c == '"':
			return b.String(), true
		case c < ' ':
			return "", false
		case c != '\\':
			b.WriteByte(c)
			continue
		}
		if s.at == len(s.text) {
			return "", false
		}
		c = s.text[s.at]
		s.at++
		if c == 'u' {
			r, ok := s.unicode()
			if !ok {
				return "", false
			}
			b.WriteRune(r)
			continue
		}
		at := strings.IndexByte(`"\/bfnrt`, c)
		if at < 0 {
			return "", false
		}
		b.WriteByte("\"\\/\b\f\n\r\t"[at])
	}
	return "", false
}

// unicode reads the four digits behind \u, and the second half of a pair.
func (s *scanner) unicode() (rune, bool) {
	r, ok := s.hex4()
	if !ok || !utf16.IsSurrogate(r) {
		return r, ok
	}
	if !strings.HasPrefix(s.text[s.at:], `\u`) {
		return utf8.RuneError, true
	}
	before := s.at
	s.at += 2
	low, ok := s.hex4()
	if !ok {
		return 0, false
	}
	if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
		s.at = before
	}
	return r, true
}

func (s *scanner) hex4() (rune, bool) {
	if len(s.text)-s.at < 4 {
		return 0, false
	}
	var r rune
	for _, c := range []byte(s.text[s.at : s.at+4]) {
		switch {
		case isDigit(c):
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	s.at += 4
	return r, true
}

func (s *scanner) space() {
	for s.at < len(s.text) && strings.IndexByte(" \t\r\n", s.text[s.at]) >= 0 {
		s.at++
	}
}

func (s *scanner) eat(c byte) bool {
	if s.at < len(s.text) && s.text[s.at] == c {
		s.at++
		return true
	}
	return false
}

// isJSONNumber says whether the word is a number of JSON: no plus in front, no leading zeros, no lone point.
func isJSONNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	whole := digits(s)
	if whole == 0 || (whole > 1 && s[0] == '0') {
		return false
	}
	s = s[whole:]
	if fraction, ok := strings.CutPrefix(s, "."); ok {
		n := digits(fraction)
		if n == 0 {
			return false
		}
		s = fraction[n:]
	}
	if s == "" {
		return true
	}
	if s[0]|0x20 != 'e' {
		return false
	}
	s = s[1:]
	if s != "" && (s[0] == '+' || s[0] == '-') {
		s = s[1:]
	}
	return s != "" && digits(s) == len(s)
}

func digits(s string) int {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}
