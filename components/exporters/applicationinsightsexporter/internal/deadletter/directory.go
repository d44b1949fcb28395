// SPDX-License-Identifier: Apache-2.0

package deadletter

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

func openDirectory(path string, s Settings) (*directory, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	d := &directory{
		path: path, maxBytes: s.maxBytes(), maxFileBytes: s.maxFileBytes(), fsync: s.Fsync,
		create: createFile, now: time.Now,
	}
	// A directory that cannot be written shall show when the collector starts and not when the first letter comes.
	if err := d.begin(); err != nil {
		return nil, err
	}
	if err := d.close(); err != nil {
		return nil, err
	}
	d.closed = false
	if err := removeOrphans(path); err != nil {
		return nil, err
	}
	_, err := d.look()
	return d, err
}

func createFile(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err // not a *os.File that is nil
	}
	return f, nil
}

func (d *directory) same(s Settings) bool {
	return d.maxBytes == s.maxBytes() && d.maxFileBytes == s.maxFileBytes() && d.fsync == s.Fsync
}

// tally counts the letters of one call by destination and reason, in the order in which they came.
type tally struct {
	destination, reason string
	letters             int
}

func count(letters []Letter) []tally {
	var tallies []tally
next:
	for i := range letters {
		for j := range tallies {
			if tallies[j].destination == letters[i].Destination && tallies[j].reason == letters[i].Reason {
				tallies[j].letters++
				continue next
			}
		}
		tallies = append(tallies, tally{letters[i].Destination, letters[i].Reason, 1})
	}
	return tallies
}

func (d *directory) write(letters []Letter, observer Observer) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return ErrClosed
	}
	now := d.now()
	text := d.line[:0]
	for i := range letters {
		before := len(text)
		text = letters[i].appendLine(text, now)
		// What does not fit any more begins a file of its own.
		if before > 0 && d.size+int64(len(text)) > d.maxFileBytes {
			if err := d.append(text[:before], observer); err != nil {
				return err
			}
			text = text[:copy(text, text[before:])]
		}
	}
	if err := d.append(text, observer); err != nil {
		return err
	}
	if d.line = text[:0]; cap(text) > 4*maxLineBytes {
		d.line = nil // one large call shall not hold its memory for ever
	}
	for _, t := range count(letters) {
		observer.LettersWritten(t.destination, t.reason, t.letters)
	}
	observer.LettersStored(d.files, d.bytes)
	return nil
}

// append writes whole lines to the current file, or to a new one if they do not fit.
func (d *directory) append(text []byte, observer Observer) error {
	if d.current != nil && d.size > 0 && d.size+int64(len(text)) > d.maxFileBytes {
		if err := d.finish(); err != nil {
			return err
		}
	}
	if err := d.makeRoom(int64(len(text)), observer); err != nil {
		return err
	}
	if err := d.hold(); err != nil {
		return err
	}
	err := d.put(text)
	return errors.Join(err, d.release())
}

// holdTries is how many new files are begun for one write while others take them away: each try is far-fetched already.
const holdTries = 10

// hold makes the current file ready and locks it: others that make room or replay take it away under this lock alone. It
// waits for nobody: where another one holds the lock, or took the file away, a new file is begun.
func (d *directory) hold() error {
	for range holdTries {
		if d.current == nil {
			if err := d.begin(); err != nil {
				return err
			}
		}
		mine, err := d.take()
		if mine || err != nil {
			return err
		}
		if err := d.finish(); err != nil {
			return err
		}
	}
	return fmt.Errorf("others took %d new files away: %w", holdTries, errBusy)
}

// take locks the current file and says whether it is still there.
func (d *directory) take() (bool, error) {
	if err := tryLock(d.current.Fd()); err != nil {
		if errors.Is(err, errBusy) {
			return false, nil
		}
		return false, fmt.Errorf("locking %s: %w", d.name, err)
	}
	mine, err := d.current.Stat()
	if err != nil {
		return false, errors.Join(err, d.release())
	}
	there, err := os.Stat(filepath.Join(d.path, d.name))
	switch {
	case err == nil && os.SameFile(mine, there):
		return true, nil
	case err == nil || errors.Is(err, os.ErrNotExist):
		return false, nil
	default:
		return false, errors.Join(err, d.release())
	}
}

// release lets others look at the file. After a failed write there may be none.
func (d *directory) release() error {
	if d.current == nil {
		return nil
	}
	return unlock(d.current.Fd())
}

// put writes to the current file; after an error the file is as it was, or is given up.
func (d *directory) put(text []byte) error {
	_, err := d.current.Write(text) // short only with an error
	if err == nil && d.fsync {
		err = d.current.Sync()
	}
	if err == nil {
		d.size += int64(len(text))
		d.bytes += int64(len(text))
		return nil
	}
	if undone := d.current.Truncate(d.size); undone != nil {
		// A torn line stays at its end, and readers know that: nothing is written after it.
		err = errors.Join(err, undone, d.finish())
	}
	return err
}

// begin makes a new file. Its name tells the time, so that names sort by age, and is unique among processes and machines.
func (d *directory) begin() error {
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	name := namePrefix + d.now().UTC().Format(nameTime) + "-" + hex.EncodeToString(random[:]) + nameSuffix
	f, err := d.create(filepath.Join(d.path, name))
	if err != nil {
		return err
	}
	if d.fsync {
		if err := syncDirectory(d.path); err != nil {
			return errors.Join(err, f.Close(), os.Remove(filepath.Join(d.path, name)))
		}
	}
	d.current, d.name, d.size = f, name, 0
	d.files++
	return nil
}

// finish closes the current file, and removes it if it is empty.
func (d *directory) finish() error {
	if d.current == nil {
		return nil
	}
	err := d.current.Close()
	if d.size == 0 {
		d.files--
		// It holds a torn line at most.
		if gone := os.Remove(filepath.Join(d.path, d.name)); gone != nil && !errors.Is(gone, os.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	d.current, d.name, d.size = nil, "", 0
	return err
}

func (d *directory) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	return d.finish()
}

// look counts what the directory holds.
func (d *directory) look() ([]File, error) {
	files, err := Files(d.path)
	if err != nil {
		return nil, err
	}
	d.files, d.bytes = len(files), 0
	for _, f := range files {
		d.bytes += f.Bytes
	}
	return files, nil
}

// makeRoom lets the oldest files go until so many bytes fit. What others write and replay here is looked up when it gets
// tight, and whenever a file is begun: so each process is wrong by what the others wrote during one file of its own.
func (d *directory) makeRoom(need int64, observer Observer) error {
	if d.current != nil && d.bytes+need <= d.maxBytes {
		return nil
	}
	files, err := d.look()
	if err != nil {
		return err
	}
	var failed error
	for _, f := range files {
		if d.bytes+need <= d.maxBytes {
			break
		}
		if f.Name == d.name && d.current != nil {
			if err := d.finish(); err != nil {
				return err
			}
		}
		letters, bytes, err := evict(f)
		switch {
		case errors.Is(err, errBusy), errors.Is(err, os.ErrNotExist):
			continue
		case err != nil:
			// Somebody else's file, as one of another user. The next one may go.
			failed = errors.Join(failed, fmt.Errorf("making room: %s: %w", f.Name, err))
			continue
		}
		d.files--
		d.bytes -= bytes
		observer.LettersEvicted(letters, bytes)
	}
	if d.bytes+need > d.maxBytes {
		if failed != nil {
			return failed
		}
		return fmt.Errorf("%d bytes are kept, others write to all of the files just now, and 'max_mib' is %d", d.bytes, d.maxBytes>>20)
	}
	return nil
}
