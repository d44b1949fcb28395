// SPDX-License-Identifier: Apache-2.0

package deadletter

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	namePrefix = "letters-"
	nameSuffix = ".ndjson"
	nameTime   = "20060102T150405.000000000Z"
)

// File is one file of letters.
type File struct {
	// Path and Name are where it is.
	Path, Name string
	// Begun is when it was begun, as its name says.
	Begun time.Time
	// Bytes is its size when it was looked at; it may grow.
	Bytes int64
}

// Files returns the files of letters in a directory, the oldest first. Other files are not looked at.
func Files(directory string) ([]File, error) {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return nil, fmt.Errorf("listing dead letters: %w", err)
	}
	var files []File
	for _, entry := range entries { // sorted by name, so by time
		begun, ok := parseName(entry.Name())
		if !ok || !entry.Type().IsRegular() {
			continue
		}
		info, err := entry.Info()
		if errors.Is(err, os.ErrNotExist) {
			continue // it made room just now
		}
		if err != nil {
			return nil, fmt.Errorf("listing dead letters: %w", err)
		}
		files = append(files, File{Path: filepath.Join(directory, entry.Name()), Name: entry.Name(), Begun: begun, Bytes: info.Size()})
	}
	return files, nil
}

func parseName(name string) (time.Time, bool) {
	rest, ok := strings.CutPrefix(name, namePrefix)
	if !ok {
		return time.Time{}, false
	}
	if rest, ok = strings.CutSuffix(rest, nameSuffix); !ok || len(rest) < len(nameTime) {
		return time.Time{}, false
	}
	begun, err := time.Parse(nameTime, rest[:len(nameTime)])
	return begun, err == nil
}

// errBusy says that another process holds the file.
var errBusy = errors.New("in use")

// evict removes a file that nobody writes or replays just now, and says how many letters went that nobody had delivered.
func evict(f File) (letters int, size int64, err error) {
	opened, err := os.OpenFile(f.Path, os.O_RDWR, 0)
	if err != nil {
		return 0, 0, err
	}
	defer opened.Close()
	if err := tryLock(opened.Fd()); err != nil {
		return 0, 0, err
	}
	marks, err := openMarks(f.Path, false)
	if err != nil {
		return 0, 0, err
	}
	defer marks.Close()
	lines, size, err := countLines(opened)
	if err != nil {
		return 0, 0, err
	}
	if err := os.Remove(f.Path); err != nil {
		return 0, 0, err
	}
	// Marks that stay are taken away with the next look for orphans; the letters are gone either way.
	_ = marks.remove()
	return max(0, lines-marks.Len()), size, nil
}

// countLines counts the lines that are whole.
func countLines(r io.Reader) (lines int, size int64, err error) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := r.Read(buffer)
		lines += bytes.Count(buffer[:n], []byte{'\n'})
		size += int64(n)
		if errors.Is(err, io.EOF) {
			return lines, size, nil
		}
		if err != nil {
			return lines, size, err
		}
	}
}
