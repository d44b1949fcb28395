// SPDX-License-Identifier: Apache-2.0

package deadletter

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// marksSuffix ends the name of the file with the marks of a file of letters.
const marksSuffix = ".done"

// Marks remembers which letters of one file were delivered after all, by their offsets, in a file beside it. The letters
// themselves stay as they are until all of them are delivered, so a crash at any moment loses none: what was delivered and
// not marked yet is sent once more.
type Marks struct {
	letters string
	file    *os.File // nil if there is none and none was wanted
	done    map[int64]struct{}
	size    int64
}

// ErrBusy says that another process replays the file.
var ErrBusy = fmt.Errorf("another process replays this file: %w", errBusy)

// OpenMarks reads the marks of a file of letters and keeps others from replaying it until Close. It returns [ErrBusy] if
// another one does.
func OpenMarks(letters string) (*Marks, error) { return openMarks(letters, true) }

// ReadMarks reads the marks of a file of letters without keeping anyone from anything.
func ReadMarks(letters string) (*Marks, error) {
	m := &Marks{letters: letters, done: map[int64]struct{}{}}
	data, err := os.ReadFile(letters + marksSuffix)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("reading what was replayed: %w", err)
	}
	return m, m.parse(data)
}

func openMarks(letters string, create bool) (*Marks, error) {
	m := &Marks{letters: letters, done: map[int64]struct{}{}}
	flags := os.O_RDWR
	if create {
		flags |= os.O_CREATE
	}
	for {
		f, err := os.OpenFile(letters+marksSuffix, flags, 0o600)
		if !create && errors.Is(err, os.ErrNotExist) {
			return m, nil
		}
		if err != nil {
			return nil, fmt.Errorf("opening what was replayed: %w", err)
		}
		current, err := claim(f)
		if err == nil && current {
			err = m.load(f)
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if current {
			m.file = f
			return m, nil
		}
		f.Close()
	}
}

// claim locks the marks and says whether they are still there: who held them before may have removed them since.
func claim(f *os.File) (current bool, err error) {
	if err := tryLock(f.Fd()); err != nil {
		if errors.Is(err, errBusy) {
			return false, ErrBusy
		}
		return false, fmt.Errorf("locking what was replayed: %w", err)
	}
	mine, err := f.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Stat(f.Name())
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(mine, there), err
}

func (m *Marks) load(f *os.File) error {
	data, err := io.ReadAll(f)
	if err != nil {
		return fmt.Errorf("reading what was replayed: %w", err)
	}
	if err := m.parse(data); err != nil {
		return err
	}
	// A torn last mark goes: its letter is sent once more.
	if err := f.Truncate(m.size); err != nil {
		return fmt.Errorf("mending what was replayed: %w", err)
	}
	_, err = f.Seek(m.size, io.SeekStart)
	return err
}

// parse reads offsets, one a line. A mark that is none is an error: guessing could pass over a letter.
func (m *Marks) parse(data []byte) error {
	whole := data[:bytes.LastIndexByte(data, '\n')+1]
	m.size = int64(len(whole))
	for line := range bytes.Lines(whole) {
		offset, err := strconv.ParseInt(string(line[:len(line)-1]), 10, 64)
		if err != nil || offset < 0 {
			return fmt.Errorf("%s%s is damaged: %q is no offset; remove it to replay all letters of its file", m.letters, marksSuffix, line)
		}
		m.done[offset] = struct{}{}
	}
	return nil
}

// Done says whether the letter at this offset was delivered.
func (m *Marks) Done(offset int64) bool {
	_, ok := m.done[offset]
	return ok
}

// Len returns the number of letters that were delivered.
func (m *Marks) Len() int { return len(m.done) }

// Add marks the letters at these offsets as delivered, on the disk itself before it returns.
func (m *Marks) Add(offsets []int64) error {
	if len(offsets) == 0 {
		return nil
	}
	var text []byte
	for _, offset := range offsets {
		text = append(strconv.AppendInt(text, offset, 10), '\n')
	}
	_, err := m.file.Write(text)
	if err == nil {
		err = m.file.Sync()
	}
	if err != nil {
		// A torn mark before others would be read as another offset.
		if undone := m.file.Truncate(m.size); undone == nil {
			_, undone = m.file.Seek(m.size, io.SeekStart)
			err = errors.Join(err, undone)
		}
		return fmt.Errorf("marking what was replayed: %w", err)
	}
	m.size += int64(len(text))
	for _, offset := range offsets {
		m.done[offset] = struct{}{}
	}
	return nil
}

// RemoveIfDone removes the file of letters and its marks if every letter in it was delivered and every line that is whole
// is a letter. A torn last line is none: whoever wrote it was stopped before its letter counted as kept.
func (m *Marks) RemoveIfDone() (removed bool, err error) {
	f, err := os.OpenFile(m.letters, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return false, m.remove()
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	// Whoever writes does so under this lock, and looks then whether the file is still there.
	if err := tryLock(f.Fd()); err != nil {
		if errors.Is(err, errBusy) {
			return false, nil // it is written or makes room just now
		}
		return false, err
	}
	reader := NewReader(f)
	for {
		entry, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return false, err
		}
		if !m.Done(entry.Offset) {
			return false, nil
		}
	}
	if reader.Damaged().Unreadable > 0 || m.Len() == 0 {
		return false, nil
	}
	if err := os.Remove(m.letters); err != nil {
		return false, err
	}
	return true, m.remove()
}

// remove removes the marks, after their letters.
func (m *Marks) remove() error {
	if m.file == nil {
		return nil
	}
	if err := os.Remove(m.letters + marksSuffix); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Close lets others replay. Marks that hold nothing are removed.
func (m *Marks) Close() error {
	if m.file == nil {
		return nil
	}
	var err error
	if m.size == 0 {
		err = m.remove()
	}
	err = errors.Join(err, m.file.Close())
	m.file = nil
	return err
}

// removeOrphans removes marks whose letters are gone: a crash came between the two.
func removeOrphans(directory string) error {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		letters, ok := strings.CutSuffix(entry.Name(), marksSuffix)
		if _, named := parseName(letters); !ok || !named {
			continue
		}
		// No file of letters ever gets a name again.
		if _, err := os.Stat(filepath.Join(directory, letters)); !errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := os.Remove(filepath.Join(directory, entry.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}
