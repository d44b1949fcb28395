// SPDX-License-Identifier: Apache-2.0

package items

// piece is a text inside of the JSON of an item that may be shortened: from and to are where it stands, without quotes.
type piece struct{ from, to int }

const (
	// minPiece is the size of texts that are worth remembering, in bytes of JSON.
	minPiece = 64
	// minLevel is what is left at least of a text that is cut to make the item fit.
	minLevel = 32
)

func (e *Encoder) addPiece(from, to int) {
	if to-from >= minPiece {
		e.pieces = append(e.pieces, piece{from, to})
	}
}

// fit cuts the longest texts of the item, all to one length, as little as is needed. It returns false, and changes
// nothing, if that is not enough.
func (e *Encoder) fit() bool {
	excess := len(e.buf) - e.start - maxJSONBytes
	low, high := minLevel, len(e.buf)
	if e.gain(low) < excess {
		return false
	}
	for low+1 < high {
		if middle := (low + high) / 2; e.gain(middle) >= excess {
			low = middle
		} else {
			high = middle
		}
	}
	to := e.pieces[0].from
	for i, p := range e.pieces {
		end := p.to
		if p.to-p.from > low {
			end = p.from + whole(e.buf[p.from:p.to], low)
			e.TextsTrimmed++
		}
		next := len(e.buf)
		if i+1 < len(e.pieces) {
			next = e.pieces[i+1].from
		}
		to += copy(e.buf[to:], e.buf[p.from:end])
		to += copy(e.buf[to:], e.buf[p.to:next])
	}
	e.buf = e.buf[:to]
	return true
}

// gain is by how much the item shrinks at least if no text is longer than level.
func (e *Encoder) gain(level int) int {
	n := 0
	for _, p := range e.pieces {
		n += max(0, p.to-p.from-level)
	}
	return n
}

// whole returns the largest length up to limit at which an escaped text can be cut: neither within a character nor
// within an escape sequence.
func whole(text []byte, limit int) int {
	end := 0
	for next := 0; next <= limit && next <= len(text); {
		end = next
		if next == len(text) {
			break
		}
		switch c := text[next]; {
		case c == '\\' && text[next+1] == 'u':
			next += 6
		case c == '\\':
			next += 2
		case c < 0x80:
			next++
		default:
			for next++; next < len(text) && text[next]&0xC0 == 0x80; next++ {
			}
		}
	}
	return end
}
