// SPDX-License-Identifier: Apache-2.0

package redact

const (
	ones = 0x0101010101010101
	tops = 0x8080808080808080

	spiffe = "spiffe://"
)

// plain says that a text has none of the bytes that a secret needs or that introduce one: it consists of - . / | } ~ {,
// digits and small letters, as names of workloads, addresses, ids and paths do. Eight bytes are looked at together.
func plain(text string) bool {
	// Each call has two of these, and a span is judged in the time that one colon takes.
	if len(text) > len(spiffe) && text[6] == ':' && text[:len(spiffe)] == spiffe {
		text = text[len(spiffe):]
	}
	n := len(text)
	if n < 8 {
		for i := range n {
			if c := text[i]; c < '-' || c >= ':' && c <= '_' || c >= 0x80 {
				return false
			}
		}
		return true
	}
	for i := 0; i+8 <= n; i += 8 {
		if suspect(word(text, i)) {
			return false
		}
	}
	return !suspect(word(text, n-8))
}

// suspect says whether one of eight bytes is below '-', from ':' to '_', or above ASCII.
func suspect(x uint64) bool {
	low := x &^ tops
	fromDash := low + (0x80-'-')*ones
	inRange := (low + (0x80-':')*ones) &^ (low + (0x7F-'_')*ones)
	return (^fromDash|inRange|x)&tops != 0
}

// word reads eight bytes; the compiler makes one load of it.
func word(s string, i int) uint64 {
	b := s[i : i+8]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}
