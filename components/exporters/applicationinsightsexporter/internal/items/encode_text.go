// SPDX-License-Identifier: Apache-2.0

package items

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
	"unicode/utf8"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// Open begins a text field of at most limit characters, to which the Write methods append until Close. name must need no
// escaping. Characters are counted as the service, whose texts are UTF-16, counts them: one beyond the basic plane is two.
func (e *Encoder) Open(name string, limit int) {
	e.field = len(e.buf)
	e.key(name)
	e.beginText(limit)
}

// OpenTag begins a tag, as Open does.
func (e *Encoder) OpenTag(key string) {
	limit, ok := ai.MaxTagLengths[key]
	if !ok {
		limit = ai.MaxNameLength
	}
	e.Open(key, limit)
	e.fixed = true
}

// OpenProperty begins a property, unless there is one with this key, the key is empty, or there are too many; then it
// returns false, and nothing is open.
func (e *Encoder) OpenProperty(key string) bool {
	key, ok := e.newKey(key)
	if !ok {
		return false
	}
	e.field = len(e.buf)
	e.openField(key, ai.MaxPropertyKeyLength)
	e.beginText(ai.MaxPropertyValueLength)
	return true
}

// OpenPlainProperty does the same for a key of which [IsPlainKey] is true.
func (e *Encoder) OpenPlainProperty(key string) bool {
	if len(e.keys.keys) >= maxProperties || !e.keys.add(key) {
		e.PropertiesDropped++
		return false
	}
	e.field = len(e.buf)
	e.key(key)
	e.beginText(ai.MaxPropertyValueLength)
	return true
}

// IsPlainKey says that a key is not empty, short enough, and needs no escaping.
func IsPlainKey(key string) bool {
	return key != "" && len(key) <= ai.MaxPropertyKeyLength && plain([]byte(key))
}

// Release forgets the keys of the last items, which keep what they are from alive.
func (e *Encoder) Release() {
	clear(e.keys.keys[:cap(e.keys.keys)])
	e.keys.reset()
}

func (e *Encoder) beginText(limit int) {
	e.buf = append(e.buf, '"')
	e.text, e.limit = len(e.buf), limit
	e.fixed, e.clipped = false, false
}

// openField writes a key that may need escaping.
func (e *Encoder) openField(key string, limit int) {
	e.comma()
	e.buf = append(e.buf, '"')
	from := len(e.buf)
	e.buf = append(e.buf, key...)
	e.escape(from, limit)
	e.buf = append(e.buf, '"', ':')
}

// Write appends to the open text.
func (e *Encoder) Write(s string) {
	if room := e.room(); len(s) > room {
		s, e.clipped = s[:room], true
	}
	e.buf = append(e.buf, s...)
}

// WriteBytes appends to the open text.
func (e *Encoder) WriteBytes(s []byte) {
	if room := e.room(); len(s) > room {
		s, e.clipped = s[:room], true
	}
	e.buf = append(e.buf, s...)
}

// room is how many more bytes can matter: a character has at most four.
func (e *Encoder) room() int { return max(0, 4*e.limit+utf8.UTFMax-(len(e.buf)-e.text)) }

// Full says that what is written to the open text from now on will be cut.
func (e *Encoder) Full() bool { return e.room() == 0 }

// Empty says that nothing was written to the open text.
func (e *Encoder) Empty() bool { return len(e.buf) == e.text }

// WriteQuoted appends a JSON string to the open text, for texts that are JSON themselves.
func (e *Encoder) WriteQuoted(s string) {
	if room := e.room(); len(s) > room {
		s, e.clipped = s[:room], true
	}
	e.buf = append(e.buf, '"')
	from := len(e.buf)
	e.buf = append(e.buf, s...)
	e.escape(from, len(s))
	e.buf = append(e.buf, '"')
}

// WriteBase64 appends bytes in standard base64, padded, to the open text.
func (e *Encoder) WriteBase64(b []byte) {
	if room := e.room() / 4 * 3; len(b) > room {
		b, e.clipped = b[:room], true
	}
	e.buf = base64.StdEncoding.AppendEncode(e.buf, b)
}

// Close ends the open text and returns true, or takes the field back and returns false if the text is empty: the service
// takes an empty text for a missing one.
func (e *Encoder) Close() bool {
	if e.Empty() {
		e.buf = e.buf[:e.field]
		return false
	}
	e.CloseEmpty()
	return true
}

// CloseOr ends the open text, which is fallback if it is empty.
func (e *Encoder) CloseOr(fallback string) {
	if e.Empty() {
		e.Write(fallback)
	}
	e.CloseEmpty()
}

// CloseEmpty ends the open text and keeps it even if it is empty.
func (e *Encoder) CloseEmpty() {
	if e.escape(e.text, e.limit) || e.clipped {
		e.TextsTrimmed++
	}
	if !e.fixed {
		e.addPiece(e.text, len(e.buf))
	}
	e.buf = append(e.buf, '"')
}

// escape makes what stands in the buffer from there on the inside of a JSON string of at most limit characters. It says
// whether it had to cut.
func (e *Encoder) escape(from, limit int) (cut bool) {
	if plain(e.buf[from:]) {
		if len(e.buf)-from > limit {
			e.buf = e.buf[:from+limit]
			return true
		}
		return false
	}
	e.scratch = append(e.scratch[:0], e.buf[from:]...)
	e.buf, cut = appendEscaped(e.buf[:from], e.scratch, limit)
	return cut
}

// plain says that b is ASCII without anything that a JSON string must escape.
func plain(b []byte) bool {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	for len(b) >= 8 {
		w := binary.LittleEndian.Uint64(b)
		quote := w ^ ones*'"'
		slash := w ^ ones*'\\'
		// The high bit of a byte is set if that byte is below 0x20, a quote, a backslash, or not ASCII. Borrows can set it
		// wrongly above such a byte only, where the answer is no anyway.
		if (w|(w-ones*0x20)|(quote-ones)|(slash-ones))&highs != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c < 0x20 || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

const hexDigits = "0123456789abcdef"

// appendEscaped appends at most limit characters of s as the inside of a JSON string. A byte that is no UTF-8 becomes
// U+FFFD. U+2028 and U+2029 are escaped too, as there are readers that take them for the end of a line.
func appendEscaped(b, s []byte, limit int) (_ []byte, cut bool) {
	for count := 0; len(s) > 0; {
		if count == limit {
			return b, true
		}
		if c := s[0]; c < utf8.RuneSelf {
			b = appendASCII(b, c)
			s = s[1:]
			count++
			continue
		}
		r, size := utf8.DecodeRune(s)
		if r > 0xFFFF {
			if count++; count == limit {
				return b, true
			}
		}
		count++
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(b, "\uFFFD"...)
		case r == '\u2028' || r == '\u2029':
			b = append(b, `\u202`...)
			b = append(b, hexDigits[r&0xF])
		default:
			b = append(b, s[:size]...)
		}
		s = s[size:]
	}
	return b, false
}

func appendASCII(b []byte, c byte) []byte {
	switch {
	case c == '"' || c == '\\':
		return append(b, '\\', c)
	case c >= 0x20:
		return append(b, c)
	case c == '\n':
		return append(b, '\\', 'n')
	case c == '\r':
		return append(b, '\\', 'r')
	case c == '\t':
		return append(b, '\\', 't')
	default:
		return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xF])
	}
}

// newKey returns the key as it will be written, and whether there is room for it and none like it.
func (e *Encoder) newKey(key string) (string, bool) {
	if !utf8.ValidString(key) {
		key = strings.ToValidUTF8(key, "\uFFFD")
	}
	if len(key) > ai.MaxPropertyKeyLength {
		key = e.cutKey(key)
	}
	if key == "" || len(e.keys.keys) >= maxProperties || !e.keys.add(key) {
		e.PropertiesDropped++
		return "", false
	}
	return key, true
}

// cutKey cuts a key to its limit, so that keys which become equal by that are recognized.
func (e *Encoder) cutKey(key string) string {
	units := 0
	for i, r := range key {
		units++
		if r > 0xFFFF {
			units++
		}
		if units > ai.MaxPropertyKeyLength {
			e.TextsTrimmed++
			return key[:i]
		}
	}
	return key
}

// keySet remembers the keys of a group. The zero value is empty.
type keySet struct {
	bits [4]uint64
	keys []string
}

func (k *keySet) reset() {
	k.bits = [4]uint64{}
	k.keys = k.keys[:0]
}

// add adds a key that is not empty and returns true if it was not there.
func (k *keySet) add(key string) bool {
	if k.has(key) {
		return false
	}
	h := keyHash(key)
	k.bits[h>>6] |= 1 << (h & 63)
	k.keys = append(k.keys, key)
	return true
}

// has says whether the key, which is not empty, is there.
func (k *keySet) has(key string) bool {
	h := keyHash(key)
	return k.bits[h>>6]&(1<<(h&63)) != 0 && slices.Contains(k.keys, key)
}

func keyHash(key string) uint8 {
	n := len(key)
	return uint8(n*37) ^ key[n-1]*5 ^ key[n/2]*17 ^ key[n*3/4]*29
}
