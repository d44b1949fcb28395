// SPDX-License-Identifier: Apache-2.0

package redact

import "sync"

// maxLayers is how many layers of escapes are taken off: JSON in a text in JSON, a URL in a URL.
const maxLayers = 6

// maxPooled is up to which size buffers are kept.
const maxPooled = 1 << 18

// layers holds a text without its escapes, and for each byte where it came from.
type layers struct {
	text    []byte
	origins []int32
}

var pool = sync.Pool{New: func() any { return new(layers) }}

// findDecoded takes the escapes off, layer by layer, and finds what they hid. Places are those in the text as it came.
func (r *Redactor) findDecoded(text string, found []span) []span {
	l := pool.Get().(*layers)
	defer func() {
		if cap(l.text) <= maxPooled {
			pool.Put(l)
		}
	}()
	l.text = append(l.text[:0], text...)
	l.origins = l.origins[:0]
	for i := range len(text) + 1 {
		l.origins = append(l.origins, int32(i))
	}
	for range maxLayers {
		if !l.peel() {
			return found
		}
		decoded := viewOf(l.text)
		known := len(found)
		var escaped bool
		if !plain(decoded) {
			found, escaped = r.find(decoded, false, true, found)
		}
		for i := known; i < len(found); i++ {
			s := &found[i]
			s.from, s.to = l.origin(s.from), l.origin(s.to)
			s.removeFrom, s.removeTo = l.origin(s.removeFrom), l.origin(s.removeTo)
		}
		if !escaped {
			return found
		}
	}
	// Nothing sensible is escaped deeper; what is cannot be read and is not passed on.
	if r.settings.Off[Credential] {
		return found
	}
	return append(found, span{0, len(text), 0, len(text), Credential})
}

func (l *layers) origin(i int) int { return int(l.origins[i]) }

// peel takes one layer off in place, and says whether there was one.
func (l *layers) peel() bool {
	in, out := 0, 0
	for in < len(l.text) {
		c, width := unescape(l.text[in:])
		l.text[out], l.origins[out] = c, l.origins[in]
		in += width
		out++
	}
	changed := out < len(l.text)
	l.origins[out] = l.origins[len(l.text)]
	l.text, l.origins = l.text[:out], l.origins[:out+1]
	return changed
}

// unescape reads one byte: %XX of URLs, or what follows a backslash in JSON. Characters above ASCII stay escaped, as no
// secret is recognized by them.
func unescape(b []byte) (c byte, width int) {
	c = b[0]
	if c == '%' && len(b) > 2 {
		if high, low := digit(b[1]), digit(b[2]); high >= 0 && low >= 0 {
			return byte(high<<4 | low), 3
		}
	}
	if c != '\\' || len(b) < 2 {
		return c, 1
	}
	switch b[1] {
	case '"', '\'', '\\', '/':
		return b[1], 2
	case 'n', 'r':
		return '\n', 2
	case 't':
		return '\t', 2
	case 'u':
		if len(b) > 5 && b[2] == '0' && b[3] == '0' {
			if high, low := digit(b[4]), digit(b[5]); high >= 0 && low >= 0 {
				return byte(high<<4 | low), 6
			}
		}
	case 'x':
		if len(b) > 3 {
			if high, low := digit(b[2]), digit(b[3]); high >= 0 && low >= 0 {
				return byte(high<<4 | low), 4
			}
		}
	}
	return c, 1
}
