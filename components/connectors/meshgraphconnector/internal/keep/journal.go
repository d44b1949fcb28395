// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/disk"
	"github.com/otelcol-mesh/otelcol-mesh/internal/disk/journal"
)

const journalPrefix = "journal."

// ErrFull means that the journal has reached its ceiling.
var ErrFull = errors.New("the journal is full: the state was not written for too long")

// Directory is where state and journal are. Append, the marks, Rotate, Remove and Unsynced must not overlap; Sync and Save may overlap
// these, and must not overlap themselves. Size may be called from anywhere and waits for nothing. But for Save, what takes the disk
// longer than the patience of [Options] ends in a [disk.ErrHangs].
type Directory struct {
	path    string
	most    int64
	journal *journal.Journal
	syncing disk.Guard
	replace func(path string, write func(io.Writer) error) (int64, error)
	buffer  []byte
}

// Options are the bounds of a directory.
type Options struct {
	// Most is the ceiling of all files of the journal in bytes.
	Most int64
	// Patience is how long one waits for the disk; 0 for as long as it takes.
	Patience time.Duration
	// Create makes a file of the journal; nil for one of the operating system.
	Create func(path string) (journal.File, error)
	// Replace writes a state in the place of the one before; nil for [disk.Replace].
	Replace func(path string, write func(io.Writer) error) (int64, error)
}

// Open finds what is there and makes the directory if it is not.
func Open(path string, o Options) (*Directory, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory: %w", err)
	}
	files, err := journal.Open(journal.Config{
		Prefix: filepath.Join(path, journalPrefix), Magic: magic, Patience: o.Patience, Create: o.Create,
	})
	if err != nil {
		return nil, err
	}
	d := &Directory{path: path, most: o.Most, journal: files, syncing: disk.Guard{Patience: o.Patience}, replace: o.Replace}
	if d.replace == nil {
		d.replace = disk.Replace
	}
	return d, nil
}

// Size is how large the journal is.
func (d *Directory) Size() int64 {
	_, total := d.journal.Size()
	return total
}

// Busy says whether something waits for the disk. It may be called from anywhere and waits for nothing.
func (d *Directory) Busy() bool { return d.journal.Busy() || d.syncing.Busy() }

// Append writes the points of a batch. When it returns, a process that is killed does not lose them. After an error the
// journal is as it was before; after [disk.ErrHangs] nobody knows, and the batch has to begin anew.
func (d *Directory) Append(b *Batch) error {
	err := d.write(b.bytes())
	if errors.Is(err, disk.ErrHangs) {
		b.buf = nil
	}
	return err
}

// Roll marks that an interval was closed at a moment.
func (d *Directory) Roll(at time.Time) error {
	return d.mark(kindRoll, func(b []byte) []byte { return binary.AppendVarint(b, at.UnixNano()) })
}

// Hold marks that senders begin to come back at a moment, after a time without this process.
func (d *Directory) Hold(at time.Time) error {
	return d.mark(kindHold, func(b []byte) []byte { return binary.AppendVarint(b, at.UnixNano()) })
}

// Flush marks that what was added up until here goes on together, under a number.
func (d *Directory) Flush(number uint64) error {
	return d.mark(kindFlush, func(b []byte) []byte { return binary.AppendUvarint(b, number) })
}

// Sent marks that the next component took so many edges of what goes on under a number.
func (d *Directory) Sent(number uint64, edges int) error {
	return d.mark(kindSent, func(b []byte) []byte {
		return binary.AppendUvarint(binary.AppendUvarint(b, number), uint64(edges))
	})
}

// Events marks that events happened. What they are is the caller's.
func (d *Directory) Events(raw []byte) error {
	if len(raw) > maxPayload/2 {
		return fmt.Errorf("events of %d bytes are too many for the journal", len(raw))
	}
	return d.mark(kindEvents, func(b []byte) []byte { return append(b, raw...) })
}

// EventsSent marks that the next component took so many of the events that waited, the oldest ones.
func (d *Directory) EventsSent(n int) error {
	return d.mark(kindEventsSent, func(b []byte) []byte { return binary.AppendUvarint(b, uint64(n)) })
}

func (d *Directory) mark(k kind, fill func([]byte) []byte) error {
	d.buffer = fill(beginFrame(d.buffer[:0], k))
	err := d.write(frames.End(d.buffer, 0))
	if errors.Is(err, disk.ErrHangs) {
		d.buffer = nil
	}
	return err
}

func (d *Directory) write(b []byte) error {
	if d.Size()+int64(len(b)) > d.most {
		return ErrFull
	}
	return d.journal.Write(b)
}

// Rotate begins a new file and returns its number: what a state of this moment does not cover.
func (d *Directory) Rotate() (uint64, error) { return d.journal.Rotate(nil) }

// Unsynced returns what [Directory.Sync] needs.
func (d *Directory) Unsynced() (journal.Unsynced, error) {
	if d.syncing.Busy() {
		// It stays for the next time.
		return journal.Unsynced{}, disk.ErrStillHangs
	}
	return d.journal.Unsynced()
}

// Sync brings files to the disk. Append need not wait for it.
func (d *Directory) Sync(u journal.Unsynced) error { return d.syncing.Do(u.Sync) }

// Remove deletes the files before a number, which a state covers. One that was damaged is kept as journal.damaged, over
// the one before.
func (d *Directory) Remove(before uint64) error { return d.journal.Remove(before) }

// Close brings everything to the disk and closes the files.
func (d *Directory) Close() error { return d.syncing.Do(d.journal.Close) }
