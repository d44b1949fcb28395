// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/disk/journal"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
)

// Report says what a journal held.
type Report struct {
	// Messages were handed out.
	Messages int
	// Files were read, DamagedFiles of them were not whole.
	Files, DamagedFiles int
	// DamagedBytes could not be used, other than those of a torn end.
	DamagedBytes int64
	// TornBytes are those of messages that were being written when the process or the machine ended. Nobody was told that
	// they were taken.
	TornBytes int64
	// Err is why a file could not be read; nil for none.
	Err error
}

// Damaged says whether something that was taken may be lost.
func (r *Report) Damaged() bool { return r.DamagedFiles > 0 || r.Err != nil }

// Replay reads all files in their order and hands each message to take, with the moment at which it was received. The
// body is take's only until it returns. What is damaged is passed over. Call it before the first Append.
func (j *Journal) Replay(take func(m *inventory.Message, received time.Time)) Report {
	var report Report
	j.mu.Lock()
	defer j.mu.Unlock()
	j.files.Files(0, func(path string, _ uint64, _ int64) (int64, error) {
		report.Files++
		damage, err := replayFile(path, &report, take)
		if damage > 0 || err != nil {
			report.DamagedFiles++
			report.DamagedBytes += damage
			report.Err = errors.Join(report.Err, err)
		}
		return damage, err
	})
	return report
}

func replayFile(path string, report *Report, take func(*inventory.Message, time.Time)) (damage int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("reading the journal: %w", err)
	}
	defer file.Close()
	return read(file, report, take)
}

// window is how much of a file is held at least, so that any frame fits.
const window = 2 * (64 + maxPayload)

// reader reads the frames of one file.
type reader struct {
	in io.Reader
	// buf is what is left of base.
	base, buf []byte
	eof       bool
	fail      error
}

// fill reads until there are n bytes or no more.
func (r *reader) fill(n int) {
	for len(r.buf) < n && !r.eof {
		if cap(r.buf) < n {
			r.buf = r.base[:copy(r.base, r.buf)]
		}
		got, err := r.in.Read(r.buf[len(r.buf):cap(r.buf)])
		r.buf = r.buf[:len(r.buf)+got]
		if err != nil {
			r.eof = true
			if !errors.Is(err, io.EOF) {
				r.fail = fmt.Errorf("reading the journal: %w", err)
			}
		}
	}
}

// frame returns what the frame is that begins here, its payload, and the bytes that it takes.
func (r *reader) frame() (journal.State, []byte, int) {
	state, payload, n := frames.Read(r.buf)
	if state == journal.Torn && n > len(r.buf) {
		r.fill(n)
		return frames.Read(r.buf)
	}
	return state, payload, n
}

// read hands the messages of one file out, and returns how many bytes of it are damaged.
func read(in io.Reader, report *Report, take func(*inventory.Message, time.Time)) (damage int64, err error) {
	r := &reader{in: in, base: make([]byte, window)}
	r.buf = r.base[:0]
	r.fill(len(magic))
	if n := min(len(r.buf), len(magic)); string(r.buf[:n]) == magic[:n] {
		r.buf = r.buf[n:]
	}
	// lost are the bytes since the last whole frame, which are the end of the file, or damage if a frame follows. zero
	// says that they are what a file system makes of bytes that it did not write before the machine lost its power.
	var lost int64
	cut, zero := false, true
	for {
		r.fill(frames.HeadBytes())
		if len(r.buf) == 0 {
			break
		}
		how, payload, n := r.frame()
		if how == journal.Whole {
			if m, received, err := parsePayload(payload); err == nil {
				take(m, received)
				report.Messages++
				damage += lost
				lost, cut, zero = 0, false, true
			} else {
				lost, zero = lost+int64(n), false
			}
			r.buf = r.buf[n:]
			continue
		}
		// A torn frame is the last one, unless it is its length that is wrong.
		cut = cut || (how == journal.Torn && lost == 0)
		n = r.next()
		for _, b := range r.buf[:n] {
			zero = zero && b == 0
		}
		lost += int64(n)
		r.buf = r.buf[n:]
	}
	if cut || zero {
		report.TornBytes += lost
		return damage, r.fail
	}
	return damage + lost, r.fail
}

// next returns how far the next place is at which a frame may begin.
func (r *reader) next() int {
	if i := bytes.Index(r.buf[1:], []byte(frames.Marker)); i >= 0 {
		return 1 + i
	}
	if r.eof {
		return len(r.buf)
	}
	// The marker may begin in what is here and end in what is not.
	return max(len(r.buf)-len(frames.Marker)+1, 1)
}
