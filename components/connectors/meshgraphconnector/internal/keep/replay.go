// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/disk/journal"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
	"github.com/otelcol-mesh/otelcol-mesh/internal/wire"
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
	d.journal.Files(from, func(path string, number uint64, size int64) (damage int64, err error) {
		report.Files++
		raw, err := os.ReadFile(path)
		if err != nil {
			err, damage = fmt.Errorf("reading the journal: %w", err), size
			report.Err = errors.Join(report.Err, err)
		} else {
			damage = read(raw, &report, since(h, number == from))
		}
		if damage > 0 {
			report.DamagedFiles++
			report.DamagedBytes += damage
		}
		return damage, err
	})
	return report
}

// covered leaves out the events of the interval that a state is of. It has them, and they come behind its begin: who writes them does
// not know whether the state gets to the disk.
type covered struct{ Handler }

func (c *covered) Events([]byte) {}

// untilRoll hands out what one file holds, and leaves out what a state covers until the next interval is closed.
type untilRoll struct {
	Handler
	all Handler
}

func (u *untilRoll) Roll(at time.Time) {
	u.Handler = u.all
	u.all.Roll(at)
}

func since(h Handler, first bool) Handler {
	if !first {
		return h
	}
	return &untilRoll{Handler: &covered{h}, all: h}
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
		state, payload, length := frames.Read(rest)
		switch {
		case state == journal.Torn, length == frames.HeadBytes() && len(bytes.Trim(rest, "\x00")) == 0:
			// The rest may also be what a file system makes of bytes that it did not write before the machine lost its power.
			report.TornBytes += int64(len(rest))
			return damage
		case state == journal.Broken, length == frames.HeadBytes():
			return damage + int64(len(rest))
		case state == journal.Changed:
			damage += int64(length)
		default:
			n, err := hand(&r, payload, h)
			report.Points += n
			if err != nil {
				damage += int64(length)
			}
		}
		rest = rest[length:]
	}
	return damage
}

// hand hands out one payload.
func hand(points *points, payload []byte, h Handler) (int, error) {
	r := wire.Reader{B: payload[1:]}
	switch kind(payload[0]) {
	case kindPoints:
		return points.read(payload[1:], h.Point)
	case kindRoll, kindHold:
		at := r.Time()
		if r.Bad || len(r.B) > 0 {
			return 0, ErrFrame
		}
		if kind(payload[0]) == kindHold {
			h.Hold(at)
		} else {
			h.Roll(at)
		}
	case kindFlush:
		number := r.Uvarint()
		if r.Bad || len(r.B) > 0 {
			return 0, ErrFrame
		}
		h.Flush(number)
	case kindSent:
		number, edges := r.Uvarint(), r.UpTo(1<<31-1)
		if r.Bad || len(r.B) > 0 {
			return 0, ErrFrame
		}
		h.Sent(number, int(edges))
	case kindEvents:
		h.Events(payload[1:])
	case kindEventsSent:
		n := r.UpTo(1<<31 - 1)
		if r.Bad || len(r.B) > 0 {
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
	return errors.Is(err, fs.ErrNotExist) && d.journal.Empty()
}
