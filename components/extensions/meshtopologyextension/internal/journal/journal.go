// SPDX-License-Identifier: Apache-2.0

// Package journal keeps the inventory messages that were taken since the last disk copy, so that a process that is killed
// loses nothing that it told a sender it had.
//
//   - [Open] finds what an earlier process left, and [Journal.Replay] reads it.
//   - [Journal.Append] adds a message, [Journal.Sync] makes what was added survive a loss of power.
//   - [Journal.Rotate] begins anew before a disk copy, [Journal.Remove] forgets what the copy has once it is written.
//
// The journal is a row of files with rising numbers. A process never goes on with a file of another one, whose end may be
// torn. Each file is a magic and frames: a marker, the length of the payload, the checksum (CRC-32C) of length and
// payload, and the payload. All numbers of a frame's head are 4 bytes, little-endian. After damage, the marker is where
// reading goes on: one bad byte costs one message.
package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/disk"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
)

// setAside ends the name of a file that was damaged, for people to look at. There is at most one.
const setAside = "damaged"

// maxInTheWay is how many names are tried when something else than a journal has the next one.
const maxInTheWay = 16

// Journal is the row of files. One goroutine calls Replay, Append and Rotate; the other methods may be called from any.
type Journal struct {
	prefix string

	mu sync.Mutex
	// older are the files that nothing is added to any more, oldest first.
	older []segment
	// number, file and size are of the file that is added to; file is nil before its first message.
	number uint64
	file   *os.File
	size   int64
	// unsynced are files that have bytes the disk may not have, created says that the directory has names like that.
	unsynced []*os.File
	created  bool
	dirty    bool
	// failed is why the disk does not have what was written since the last rotation.
	failed error

	buffer []byte
}

// segment is one file.
type segment struct {
	number  uint64
	size    int64
	damaged bool
}

// Open finds the files of the journal: their names begin with prefix and a dot. They need not exist.
func Open(prefix string) (*Journal, error) {
	j := &Journal{prefix: prefix, number: 1}
	entries, err := os.ReadDir(filepath.Dir(prefix))
	if err != nil {
		return nil, fmt.Errorf("looking for the journal: %w", err)
	}
	for _, entry := range entries {
		digits, ours := strings.CutPrefix(entry.Name(), filepath.Base(prefix)+".")
		number, err := strconv.ParseUint(digits, 10, 63)
		if !ours || err != nil || !entry.Type().IsRegular() {
			continue
		}
		info, err := entry.Info()
		if err != nil {
			return nil, fmt.Errorf("looking at the journal: %w", err)
		}
		j.older = append(j.older, segment{number: number, size: info.Size()})
		j.number = max(j.number, number+1)
	}
	slices.SortFunc(j.older, func(a, b segment) int { return strings.Compare(j.name(a.number), j.name(b.number)) })
	return j, nil
}

// name returns the path of a file. Names sort as their numbers do.
func (j *Journal) name(number uint64) string { return fmt.Sprintf("%s.%020d", j.prefix, number) }

// Append adds a message that was received at now. When it returns, a process that is killed does not lose it. After an
// error the journal is as it was before.
func (j *Journal) Append(m *inventory.Message, now time.Time) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.append(m, now)
}

func (j *Journal) append(m *inventory.Message, now time.Time) error {
	if j.file == nil {
		if err := j.create(); err != nil {
			return err
		}
	}
	j.buffer = appendFrame(j.buffer[:0], m, now)
	n, err := j.file.Write(j.buffer)
	if err == nil {
		j.size += int64(n)
		j.dirty = true
		return nil
	}
	// Half a frame would be taken for damage once another one follows.
	if undo := j.back(); undo != nil {
		j.abandon()
	}
	return fmt.Errorf("writing the journal: %w", err)
}

// back takes away what was written after the last whole frame.
func (j *Journal) back() error {
	if err := j.file.Truncate(j.size); err != nil {
		return err
	}
	_, err := j.file.Seek(j.size, io.SeekStart)
	return err
}

// create begins the next file.
func (j *Journal) create() error {
	file, err := os.OpenFile(j.name(j.number), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	for range maxInTheWay {
		if !errors.Is(err, fs.ErrExist) {
			break
		}
		j.number++
		file, err = os.OpenFile(j.name(j.number), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	}
	if err != nil {
		return fmt.Errorf("creating the journal: %w", err)
	}
	if _, err := file.WriteString(magic); err != nil {
		return fmt.Errorf("writing the journal: %w", errors.Join(err, file.Close(), os.Remove(file.Name())))
	}
	j.file, j.size, j.created = file, int64(len(magic)), true
	return nil
}

// abandon ends the file that is added to.
func (j *Journal) abandon() {
	if j.file != nil {
		j.older = append(j.older, segment{number: j.number, size: j.size})
		j.unsynced = append(j.unsynced, j.file)
	}
	j.file, j.size = nil, 0
	j.number++
}

// Rotate begins a new file that holds waiting, the messages that were taken and are not in what is about to be saved.
// Everything up to the number that it returns may be removed once that is saved. After an error it returns 0, and the
// journal is as it was.
func (j *Journal) Rotate(waiting []inventory.Message, now time.Time) (through uint64, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	file, size, number := j.file, j.size, j.number
	j.file, j.size = nil, 0
	j.number++
	for i := range waiting {
		if err := j.append(&waiting[i], now); err != nil {
			if j.file != nil {
				err = errors.Join(err, j.file.Close(), os.Remove(j.file.Name()))
			}
			j.file, j.size, j.number = file, size, number
			return 0, err
		}
	}
	if file != nil {
		j.older = append(j.older, segment{number: number, size: size})
		j.unsynced = append(j.unsynced, file)
	}
	j.failed = nil
	return number, nil
}

// Before returns the number of the file before the one that is added to.
func (j *Journal) Before() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.number - 1
}

// Remove deletes the files up to the number. One that was damaged is kept as ….damaged instead, over the one before.
func (j *Journal) Remove(through uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var errs []error
	kept := j.older[:0]
	for _, s := range j.older {
		if s.number > through {
			kept = append(kept, s)
			continue
		}
		var err error
		if s.damaged {
			err = os.Rename(j.name(s.number), j.prefix+"."+setAside)
		} else {
			err = os.Remove(j.name(s.number))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
			kept = append(kept, s)
		}
	}
	j.older = kept
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("removing the journal: %w", err)
	}
	return nil
}

// Sync brings what was added to the disk. A file that is complete is closed. After an error each call returns it until
// the next rotation: the system reports that bytes were lost once, and has nothing left of them to write again.
func (j *Journal) Sync() error {
	j.mu.Lock()
	file, old, created, dirty := j.file, j.unsynced, j.created, j.dirty
	j.unsynced, j.created, j.dirty = nil, false, false
	j.mu.Unlock()
	// Without the lock: the disk may take long, and Append must not.
	var errs []error
	for _, f := range old {
		errs = append(errs, f.Sync(), f.Close())
	}
	if file != nil && dirty {
		if err := file.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if created {
		errs = append(errs, disk.SyncDirectory(filepath.Dir(j.prefix)))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := errors.Join(errs...); err != nil {
		j.failed = fmt.Errorf("bringing the journal to the disk: %w", err)
	}
	return j.failed
}

// Size returns the bytes of the file that is added to, and of all files.
func (j *Journal) Size() (current, total int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	total = j.size
	for _, s := range j.older {
		total += s.size
	}
	return j.size, total
}

// Close brings everything to the disk and closes the files.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.file != nil {
		j.abandon()
	}
	j.mu.Unlock()
	return j.Sync()
}
