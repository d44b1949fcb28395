// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
)

// Handler gets what the journal holds, in order. What it is handed may not be kept but for names.
type Handler interface {
	Point(id *ID, p *graph.Point)
	Roll(at time.Time)
	Hold(at time.Time)
	Flush(number uint64)
	Sent(number uint64, edges int)
	Events(raw []byte)
	EventsSent(n int)
}

// Report says what a journal held.
type Report struct {
	// Points were handed out.
	Points int
	// Files were read, DamagedFiles of them were not whole.
	Files, DamagedFiles int
	// DamagedBytes could not be used, other than those of a torn end: nobody was told that what they held was taken.
	DamagedBytes int64
	TornBytes    int64
	// Err is why a file could not be read; nil for none.
	Err error
}

// Replay reads the files from a number on, as [State.Begin] says it, in their order. Call it before the first Append.
func (d *Directory) Replay(from uint64, h Handler) Report {
	var report Report
	for i := range d.older {
		s := &d.older[i]
		if s.number < from {
			continue
		}
		report.Files++
		raw, err := os.ReadFile(d.name(s.number))
		damage := int64(0)
		if err != nil {
			report.Err = errors.Join(report.Err, fmt.Errorf("reading the journal: %w", err))
			damage = s.size
		} else {
			damage = read(raw, &report, h)
		}
		if damage > 0 || err != nil {
			s.damaged = true
			report.DamagedFiles++
			report.DamagedBytes += damage
		}
	}
	return report
}

// read hands out what one file holds, and returns how many bytes of it are damaged.
func read(raw []byte, report *Report, h Handler) (damage int64) {
	if len(raw) < len(magic) {
		report.TornBytes += int64(len(raw))
		return 0
	}
	if string(raw[:len(magic)]) != magic {
		return int64(len(raw))
	}
	var r points
	for rest := raw[len(magic):]; len(rest) > 0; {
		length, ok := whole(rest)
		switch {
		case length == torn:
			report.TornBytes += int64(len(rest))
			return damage
		case length == broken:
			return damage + int64(len(rest))
		case !ok:
			damage += int64(length)
		default:
			n, err := hand(&r, rest[headBytes:length], h)
			report.Points += n
			if err != nil {
				damage += int64(length)
			}
		}
		rest = rest[length:]
	}
	return damage
}

// What whole returns in place of a length.
const (
	// torn: the file ends within the frame, or the rest is what a file system makes of bytes that it did not write before the
	// machine lost its power.
	torn = -1
	// broken: it is no frame, and nobody can tell where the next one begins.
	broken = -2
)

// whole returns the length of the frame at the beginning, and whether it is what was written.
func whole(b []byte) (length int, ok bool) {
	if len(b) < headBytes {
		return torn, false
	}
	n := binary.LittleEndian.Uint32(b)
	switch {
	case n == 0 && len(bytes.Trim(b, "\x00")) == 0:
		return torn, false
	case n == 0 || n > maxPayload:
		return broken, false
	case int(n) > len(b)-headBytes:
		return torn, false
	}
	length = headBytes + int(n)
	return length, checksum(b[:length]) == binary.LittleEndian.Uint32(b[4:])
}

// hand hands out one payload.
func hand(points *points, payload []byte, h Handler) (int, error) {
	r := reader{b: payload[1:]}
	switch kind(payload[0]) {
	case kindPoints:
		return points.read(payload[1:], h.Point)
	case kindRoll, kindHold:
		at := r.time()
		if r.bad || len(r.b) > 0 {
			return 0, ErrFrame
		}
		if kind(payload[0]) == kindHold {
			h.Hold(at)
		} else {
			h.Roll(at)
		}
	case kindFlush:
		number := r.number()
		if r.bad || len(r.b) > 0 {
			return 0, ErrFrame
		}
		h.Flush(number)
	case kindSent:
		number, edges := r.number(), r.upTo(1<<31-1)
		if r.bad || len(r.b) > 0 {
			return 0, ErrFrame
		}
		h.Sent(number, int(edges))
	case kindEvents:
		h.Events(payload[1:])
	case kindEventsSent:
		n := r.upTo(1<<31 - 1)
		if r.bad || len(r.b) > 0 {
			return 0, ErrFrame
		}
		h.EventsSent(int(n))
	default:
		return 0, ErrFrame
	}
	return 0, nil
}

// Empty says whether there is neither a state nor a journal.
func (d *Directory) Empty() bool {
	_, err := os.Stat(d.in(Main))
	return errors.Is(err, fs.ErrNotExist) && len(d.older) == 0
}
