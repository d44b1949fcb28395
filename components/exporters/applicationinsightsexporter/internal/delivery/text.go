// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText is the longest text of the endpoint, in bytes, that is kept.
const maxText = 1024

var bearer = regexp.MustCompile(`(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]{8,}`)

// clean makes a text from outside fit for a log: short, of valid and printable characters, and without the key or a token.
func clean(text, key string) string {
	// The key is cut out before anything could cut it in two. A key that short is none of Azure's.
	text = text[:min(len(text), 64<<10)]
	if len(key) >= 8 {
		text = replaceFold(text, key, "(key)")
	}
	text = bearer.ReplaceAllString(text, "$1(token)")
	text = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if len(text) <= maxText {
		return text
	}
	end := maxText - len("…")
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// replaceFold replaces what is old but for the case of ASCII letters, as the endpoint may write a key either way.
func replaceFold(text, old, replacement string) string {
	lower, old := asciiLower(text), asciiLower(old)
	var out strings.Builder
	for {
		at := strings.Index(lower, old)
		if at < 0 {
			out.WriteString(text)
			return out.String()
		}
		out.WriteString(text[:at])
		out.WriteString(replacement)
		text, lower = text[at+len(old):], lower[at+len(old):]
	}
}

// asciiLower keeps the length of the text.
func asciiLower(text string) string {
	b := []byte(text)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
