// SPDX-License-Identifier: Apache-2.0

// Package journal keeps records in a row of files with rising numbers, so that a process that is killed at any moment finds all
// that was written.
//
//   - [Open] finds what an earlier process left, and [Journal.Files] reads it.
//   - [Journal.Write] adds frames, which [Frame] makes; [Journal.Unsynced] is what survives a kill and not yet a loss of power.
//   - [Journal.Rotate] begins a new file at the moment that a copy of the whole is of, [Journal.Remove] deletes what the copy covers
//     once it is on the disk.
//
// A process never goes on with a file of another one, whose end may be torn. A file is a magic, which ends with the version of its
// records, and frames.
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
	"sync/atomic"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/disk"
)

const (
	// setAside ends the name of a file that was damaged, for people to look at. There is at most one of a journal.
	setAside = "damaged"
	// maxInTheWay is how many names are tried when something else has the next one.
	maxInTheWay = 16
)

// File is what is needed of an [os.File].
type File interface {
	io.WriteSeeker
	io.Closer
	Truncate(size int64) error
	Sync() error
}

// Config says what a journal is.
type Config struct {
	// Prefix is the path of its files up to their numbers. The directory has to exist.
	Prefix string
	// Magic begins each file.
	Magic string
	// Patience is how long the disk may take for what a caller waits for; 0 for as long as it does. Beyond, the error is a
	// [disk.ErrHangs].
	Patience time.Duration
	// Create makes a file, which must not exist; nil for one of the operating system.
	Create func(path string) (File, error)
}

// Journal is a row of files. Its methods must not overlap, but for Size and Busy, which may be called from anywhere and wait for
// nothing.
type Journal struct {
	config Config
	guard  disk.Guard
	// older are the files that nothing is added to any more, oldest first.
	older []segment
	// number, file and size are of the file that is added to; file is nil before its first frame.
	number uint64
	file   File
	size   int64
	// created says that the directory has a name that the disk may not have, dirty that file has bytes like that.
	created, dirty bool

	current, total atomic.Int64
}

// segment is one file that is complete. file is open until it was brought to the disk.
type segment struct {
	number  uint64
	size    int64
	damaged bool
	file    File
}

// Open finds the files that are there.
func Open(config Config) (*Journal, error) {
	if config.Create == nil {
		config.Create = create
	}
	j := &Journal{config: config, number: 1, guard: disk.Guard{Patience: config.Patience}}
	entries, err := os.ReadDir(filepath.Dir(config.Prefix))
	if err != nil {
		return nil, fmt.Errorf("looking for the journal: %w", err)
	}
	for _, entry := range entries {
		digits, ours := strings.CutPrefix(entry.Name(), filepath.Base(config.Prefix))
		number, err := strconv.ParseUint(digits, 10, 63)
		if !ours || err != nil || !entry.Type().IsRegular() {
			continue
		}
		info, err := entry.Info()
		if err != nil {
			return nil, fmt.Errorf("looking at the journal: %w", err)
		}
		j.older = append(j.older, segment{number: number, size: info.Size()})
		j.total.Add(info.Size())
		j.number = max(j.number, number+1)
	}
	slices.SortFunc(j.older, func(a, b segment) int { return strings.Compare(j.name(a.number), j.name(b.number)) })
	return j, nil
}

func create(path string) (File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err // Not a File that holds no file.
	}
	return file, nil
}

// name returns the path of a file. Names sort as their numbers do.
func (j *Journal) name(number uint64) string { return fmt.Sprintf("%s%020d", j.config.Prefix, number) }

// Size is how large the file that is added to is, and all files.
func (j *Journal) Size() (current, total int64) { return j.current.Load(), j.total.Load() }

// Empty says whether there is no file of an earlier process.
func (j *Journal) Empty() bool { return len(j.older) == 0 }

// Busy says whether the disk does not answer, so that nothing can be done now.
func (j *Journal) Busy() bool { return j.guard.Busy() }

// From makes that no number below one is used: of a file that a copy says that it covers.
func (j *Journal) From(number uint64) { j.number = max(j.number, number) }

// Number is that of the file that is added to.
func (j *Journal) Number() uint64 { return j.number }

// Write adds whole frames. When it returns, a process that is killed does not lose them. After an error the journal is as it was
// before; after [disk.ErrHangs] nobody knows, and the bytes are not the caller's any more.
func (j *Journal) Write(frames []byte) error {
	if len(frames) == 0 {
		return nil
	}
	return j.guard.Do(func() error { return j.write(frames) })
}

func (j *Journal) write(frames []byte) error {
	if j.file == nil {
		if err := j.create(); err != nil {
			return err
		}
	}
	n, err := j.file.Write(frames)
	if err == nil {
		j.grow(int64(n))
		j.dirty = true
		return nil
	}
	// Half a frame would be taken for damage once another one follows.
	if undo := j.back(); undo != nil {
		j.complete()
	}
	return fmt.Errorf("writing the journal: %w", err)
}

func (j *Journal) grow(n int64) {
	j.size += n
	j.current.Store(j.size)
	j.total.Add(n)
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
	file, err := j.config.Create(j.name(j.number))
	for range maxInTheWay {
		if !errors.Is(err, fs.ErrExist) {
			break
		}
		j.number++
		file, err = j.config.Create(j.name(j.number))
	}
	if err != nil {
		return fmt.Errorf("creating the journal: %w", err)
	}
	if _, err := io.WriteString(file, j.config.Magic); err != nil {
		return fmt.Errorf("writing the journal: %w", errors.Join(err, file.Close(), os.Remove(j.name(j.number))))
	}
	j.file, j.size, j.created = file, 0, true
	j.grow(int64(len(j.config.Magic)))
	return nil
}

// complete ends the file that is added to.
func (j *Journal) complete() {
	if j.file != nil {
		j.older = append(j.older, segment{number: j.number, size: j.size, file: j.file})
		j.file, j.size = nil, 0
		j.current.Store(0)
	}
	j.number++
}

// Rotate begins a new file and returns its number: what a copy of this moment does not cover. keep writes into it, by the function
// it is given, what was written before and is not in that copy either; nil for nothing. After an error the journal is as it was.
func (j *Journal) Rotate(keep func(write func(frames []byte) error) error) (uint64, error) {
	var number uint64
	err := j.guard.Do(func() (err error) {
		number, err = j.rotate(keep)
		return err
	})
	if err != nil {
		return 0, err
	}
	return number, nil
}

func (j *Journal) rotate(keep func(write func(frames []byte) error) error) (uint64, error) {
	file, size, number := j.file, j.size, j.number
	j.file, j.size = nil, 0
	j.number++
	first := j.number
	if keep != nil {
		if err := keep(j.write); err != nil {
			j.total.Add(-j.size)
			if j.file != nil {
				err = errors.Join(err, j.file.Close(), os.Remove(j.name(j.number)))
			}
			j.file, j.size, j.number = file, size, number
			j.current.Store(size)
			return 0, err
		}
	}
	if file != nil {
		j.older = append(j.older, segment{number: number, size: size, file: file})
	}
	j.current.Store(j.size)
	return first, nil
}

// Remove deletes the files before a number, which a copy covers. One that was damaged is kept as ….damaged, over the one before.
// Those that cannot be removed stay for the next time.
func (j *Journal) Remove(before uint64) error {
	return j.guard.Do(func() error { return j.remove(before) })
}

func (j *Journal) remove(before uint64) error {
	var errs []error
	kept := j.older[:0]
	for _, s := range j.older {
		if s.number >= before {
			kept = append(kept, s)
			continue
		}
		var err error
		if s.damaged {
			err = os.Rename(j.name(s.number), j.config.Prefix+setAside)
		} else {
			err = os.Remove(j.name(s.number))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
			kept = append(kept, s)
			continue
		}
		if s.file != nil {
			errs = append(errs, s.file.Close())
		}
		j.total.Add(-s.size)
	}
	clear(j.older[len(kept):])
	j.older = kept
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("removing the journal: %w", err)
	}
	return nil
}

// Files hands the files out in their order, from a number on. read returns how many bytes of one are damaged, and why it could not be
// read. Call it before the first Write.
func (j *Journal) Files(from uint64, read func(path string, number uint64, size int64) (damage int64, err error)) {
	for i := range j.older {
		if s := &j.older[i]; s.number >= from {
			damage, err := read(j.name(s.number), s.number, s.size)
			s.damaged = damage > 0 || err != nil
		}
	}
}

// Unsynced is what the disk may not have yet.
type Unsynced struct {
	complete  []File
	current   File
	directory string
}

// Unsynced returns what the disk may not have yet, and takes it for granted from then on: call [Unsynced.Sync]. If the disk does not
// answer, the error is a [disk.ErrHangs].
func (j *Journal) Unsynced() (Unsynced, error) {
	var u Unsynced
	if j.guard.Busy() {
		return u, disk.ErrStillHangs
	}
	for i := range j.older {
		if f := j.older[i].file; f != nil {
			u.complete = append(u.complete, f)
			j.older[i].file = nil
		}
	}
	if j.dirty {
		u.current = j.file
	}
	if j.created {
		u.directory = filepath.Dir(j.config.Prefix)
	}
	j.dirty, j.created = false, false
	return u, nil
}

// Sync brings it to the disk, and closes the files that are complete. It may overlap all else: the disk may take long, and Write
// must not wait for it.
func (u Unsynced) Sync() error {
	var errs []error
	for _, f := range u.complete {
		errs = append(errs, f.Sync(), f.Close())
	}
	if u.current != nil {
		if err := u.current.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if u.directory != "" {
		errs = append(errs, disk.SyncDirectory(u.directory))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("bringing the journal to the disk: %w", err)
	}
	return nil
}

// Close ends the file that is added to, brings everything to the disk and closes the files.
func (j *Journal) Close() error {
	if j.guard.Busy() {
		return disk.ErrStillHangs
	}
	j.complete()
	u, err := j.Unsynced()
	if err != nil {
		return err
	}
	return u.Sync()
}
