// SPDX-License-Identifier: Apache-2.0

package deadletter

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Entry is a letter and where it stands.
type Entry struct {
	Letter Letter
	// Offset is where its line begins, in bytes from the start of the file. It does not change as long as the file is there.
	Offset int64
	// Line is the number of its line, from 1.
	Line int
}

// Damage counts what a [Reader] met that is no letter.
type Damage struct {
	// Torn is 1 if the last line has no end: its writer was stopped, or writes it just now.
	Torn int
	// Unreadable is the number of lines that are no letter or longer than any that is written.
	Unreadable int
}

// Reader reads letters one after another and passes over what is damaged.
type Reader struct {
	in     *bufio.Reader
	offset int64
	line   int
	damage Damage
	err    error
}

// NewReader reads a file of letters from its start. It holds one line at a time.
func NewReader(r io.Reader) *Reader {
	return &Reader{in: bufio.NewReaderSize(r, 64<<10)}
}

// Damaged returns what was passed over so far.
func (r *Reader) Damaged() Damage { return r.damage }

// Next returns the next letter, or [io.EOF] at the end. Any other error is one of reading, and stays.
func (r *Reader) Next() (Entry, error) {
	for r.err == nil {
		entry := Entry{Offset: r.offset, Line: r.line + 1}
		line, whole, err := r.readLine()
		if err != nil && !errors.Is(err, io.EOF) {
			r.err = fmt.Errorf("reading dead letters at byte %d: %w", r.offset, err)
			break
		}
		if err != nil {
			r.err = io.EOF
		}
		switch {
		case !whole && r.offset > entry.Offset:
			r.damage.Torn++
		case !whole:
		case line == nil || !parse(line, &entry.Letter):
			r.line++
			r.damage.Unreadable++
		default:
			r.line++
			return entry, nil
		}
	}
	return Entry{}, r.err
}

// parse reads one line. A letter has a time and a reason, and its item is an object.
func parse(line []byte, letter *Letter) bool {
	if json.Unmarshal(line, letter) != nil || letter.Reason == "" || letter.Time.IsZero() {
		return false
	}
	item := bytes.TrimSpace(letter.Item)
	if bytes.Equal(item, []byte("null")) {
		item = nil
	}
	letter.Item = item
	return len(item) == 0 || item[0] == '{'
}

// readLine returns a line without its end, and whether it has one. It is nil if it is too long.
func (r *Reader) readLine() (line []byte, whole bool, err error) {
	line = []byte{}
	for {
		part, err := r.in.ReadSlice('\n')
		r.offset += int64(len(part))
		if line != nil && len(line)+len(part) <= maxLineBytes {
			line = append(line, part...)
		} else {
			line = nil
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return line, false, err
		}
		if line != nil {
			line = line[:len(line)-1]
		}
		return line, true, nil
	}
}
