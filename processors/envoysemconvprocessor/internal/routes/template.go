// SPDX-License-Identifier: Apache-2.0

package routes

import "strings"

// The ceilings of [Template].
const (
	// maxTemplateSegments is the most segments of a path that is made into a template.
	maxTemplateSegments = 16
	// maxLiteral is the longest segment that is believed to be a word.
	maxLiteral = 40
	// minHex is how many hexadecimal digits are surely no word: a trace's parent, an object id, a digest.
	minHex = 16
)

// Template appends a path, without query, to dst, with placeholders for the segments that are surely identifiers:
// {number}, {uuid}, {hex} for at least 16 hexadecimal digits, {date} for 2006-01-02. It reports false if the path has
// too many segments, or a segment that is neither an identifier nor a plain word of at most 40 letters, digits and
// "-._~": a name made of it could have any value. What it returns is not a route: two words may still be two products.
func Template(dst []byte, path string) ([]byte, bool) {
	path, ok := strings.CutPrefix(path, "/")
	if !ok {
		return dst, false
	}
	for range maxTemplateSegments {
		segment, rest, more := strings.Cut(path, "/")
		placeholder, ok := classify(segment)
		if !ok {
			return dst, false
		}
		dst = append(dst, '/')
		if placeholder != "" {
			dst = append(dst, placeholder...)
		} else {
			dst = append(dst, segment...)
		}
		if !more {
			return dst, true
		}
		path = rest
	}
	return dst, false
}

// classify returns the placeholder of a segment that is an identifier, "" for a word.
func classify(s string) (placeholder string, ok bool) {
	digits, hex, plain := 0, 0, 0
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= '0' && c <= '9':
			digits++
			hex++
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			hex++
		case c|0x20 >= 'g' && c|0x20 <= 'z', c == '-', c == '.', c == '_', c == '~':
		default:
			continue
		}
		plain++
	}
	switch n := len(s); {
	case n > 0 && digits == n:
		return "{number}", true
	case n >= minHex && hex == n && digits > 0:
		return "{hex}", true
	case n == 36 && hex == 32 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-':
		return "{uuid}", true
	case n == 10 && digits == 8 && s[4] == '-' && s[7] == '-':
		return "{date}", true
	default:
		return "", plain == n && n <= maxLiteral
	}
}
