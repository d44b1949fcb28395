// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/disk"
)

const (
	journalPrefix = "journal."
	// setAside ends the name of a file that was damaged, for people to look at. There is at most one of the journal.
	setAside = "damaged"
	// maxInTheWay is how many names are tried when something else has the next one.
	maxInTheWay = 16
)

// ErrFull means that the journal has reached its ceiling.
var ErrFull = errors.New("the journal is full: the state was not written for too long")

// Directory is where state and journal are. Append, Mark… and Rotate must not overlap; Save, Sync and Close must not
// overlap one another, but may overlap Append.
type Directory struct {
	path string
	most int64
	// older are the files that nothing is added to any more, oldest first.
	older []segment
	// number, file and size are of the file that is added to; file is nil before its first frame.
	number uint64
	file   *os.File
	size   int64
	total  int64
	// created says that the directory has a name that the disk may not have.
	created bool
	buffer  []byte
}

// segment is one file that is complete. file is open until it was brought to the disk.
type segment struct {
	number  uint64
	size    int64
	damaged bool
	file    *os.File
}

// Open finds what is there and makes the directory if it is not. most is the ceiling of all files of the journal in bytes.
func Open(path string, most int64) (*Directory, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory: %w", err)
	}
	d := &Directory{path: path, most: most, number: 1}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("looking for the journal: %w", err)
	}
	for _, entry := range entries {
		digits, ours := strings.CutPrefix(entry.Name(), journalPrefix)
		number, err := strconv.ParseUint(digits, 10, 63)
		if !ours || err != nil || !entry.Type().IsRegular() {
			continue
		}
		info, err := entry.Info()
		if err != nil {
			return nil, fmt.Errorf("looking at the journal: %w", err)
		}
		d.older = append(d.older, segment{number: number, size: info.Size()})
		d.total += info.Size()
		d.number = max(d.number, number+1)
	}
	slices.SortFunc(d.older, func(a, b segment) int { return strings.Compare(d.name(a.number), d.name(b.number)) })
	return d, nil
}

// name returns the path of a file of the journal. Names sort as their numbers do.
func (d *Directory) name(number uint64) string {
	return filepath.Join(d.path, fmt.Sprintf("%s%020d", journalPrefix, number))
}

// Size is how large the journal is.
func (d *Directory) Size() int64 { return d.total }

// Append writes the points of a batch. When it returns, a process that is killed does not lose them. After an error the
// journal is as it was before.
func (d *Directory) Append(b *Batch) error { return d.write(b.bytes()) }

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
	return d.write(endFrame(d.buffer, 0))
}

func (d *Directory) write(frames []byte) error {
	if len(frames) == 0 {
		return nil
	}
	if d.total+int64(len(frames)) > d.most {
		return ErrFull
	}
	if d.file == nil {
		if err := d.create(); err != nil {
			return err
		}
	}
	n, err := d.file.Write(frames)
	if err == nil {
		d.size += int64(n)
		d.total += int64(n)
		return nil
	}
	// Half a frame would be taken for damage once another one follows.
	if undo := d.back(); undo != nil {
		d.complete()
	}
	return fmt.Errorf("writing the journal: %w", err)
}

// back takes away what was written after the last whole frame.
func (d *Directory) back() error {
	if err := d.file.Truncate(d.size); err != nil {
		return err
	}
	_, err := d.file.Seek(d.size, io.SeekStart)
	return err
}

// create begins the next file.
func (d *Directory) create() error {
	file, err := os.OpenFile(d.name(d.number), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	for range maxInTheWay {
		if !errors.Is(err, fs.ErrExist) {
			break
		}
		d.number++
		file, err = os.OpenFile(d.name(d.number), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	}
	if err != nil {
		return fmt.Errorf("creating the journal: %w", err)
	}
	if _, err := file.WriteString(magic); err != nil {
		return fmt.Errorf("writing the journal: %w", errors.Join(err, file.Close(), os.Remove(file.Name())))
	}
	d.file, d.size, d.created = file, int64(len(magic)), true
	d.total += d.size
	return nil
}

// complete ends the file that is added to.
func (d *Directory) complete() {
	if d.file != nil {
		d.older = append(d.older, segment{number: d.number, size: d.size, file: d.file})
		d.file, d.size = nil, 0
	}
	d.number++
}

// Rotate begins a new file and returns its number: what a state of this moment does not cover.
func (d *Directory) Rotate() uint64 {
	d.complete()
	return d.number
}

// Handle returns what [Sync] needs, and forgets it.
func (d *Directory) Handle() (unsynced []*os.File, directory bool) {
	for i := range d.older {
		if f := d.older[i].file; f != nil {
			unsynced = append(unsynced, f)
			d.older[i].file = nil
		}
	}
	directory, d.created = d.created, false
	return unsynced, directory
}

// Current is the file that is added to, nil for none.
func (d *Directory) Current() *os.File { return d.file }

// Sync brings files to the disk, and closes those that are complete. It needs no lock: the disk may take long, and Append
// must not wait for it.
func (d *Directory) Sync(current *os.File, complete []*os.File, directory bool) error {
	var errs []error
	for _, f := range complete {
		errs = append(errs, f.Sync(), f.Close())
	}
	if current != nil {
		if err := current.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if directory {
		errs = append(errs, disk.SyncDirectory(d.path))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("bringing the journal to the disk: %w", err)
	}
	return nil
}

// Remove deletes the files before a number, which a state covers. One that was damaged is kept as journal.damaged, over
// the one before.
func (d *Directory) Remove(before uint64) error {
	var errs []error
	kept := d.older[:0]
	for _, s := range d.older {
		if s.number >= before {
			kept = append(kept, s)
			continue
		}
		var err error
		if s.damaged {
			err = os.Rename(d.name(s.number), filepath.Join(d.path, journalPrefix+setAside))
		} else {
			err = os.Remove(d.name(s.number))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
			kept = append(kept, s)
			continue
		}
		if s.file != nil {
			errs = append(errs, s.file.Close())
		}
		d.total -= s.size
	}
	d.older = kept
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("removing the journal: %w", err)
	}
	return nil
}

// Close brings everything to the disk and closes the files.
func (d *Directory) Close() error {
	d.complete()
	files, directory := d.Handle()
	return d.Sync(nil, files, directory)
}
