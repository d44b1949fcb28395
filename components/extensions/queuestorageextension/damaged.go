// SPDX-License-Identifier: Apache-2.0

package queuestorageextension

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

const damagedFolder = "damaged"

// setAside is the folder of what was found damaged, for people to look at. It is bounded: the oldest goes first.
type setAside struct {
	dir   string
	limit int64 // bytes
	now   func() time.Time
	// dropped is told of each file that was not kept, or is not any more.
	dropped func(files int)

	mu   sync.Mutex
	last int64
}

var errNotKept = errors.New("it is larger than 'max_damaged_mib' and not kept")

// path returns a new path in the folder. Names sort by time.
func (s *setAside) path(name string) (string, error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return "", err
	}
	s.last = max(s.last+1, s.now().UnixNano())
	stamp := time.Unix(0, s.last).UTC().Format("20060102T150405.000000000Z")
	return filepath.Join(s.dir, stamp+"-"+name), nil
}

// value keeps the raw bytes of a value and returns the file's path.
func (s *setAside) value(name string, raw []byte) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if int64(len(raw)) > s.limit {
		s.dropped(1)
		return "", errNotKept
	}
	path, err := s.path(name + ".value")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		return "", errors.Join(err, ignoreMissing(os.Remove(path)))
	}
	s.prune()
	return path, nil
}

// file keeps a whole file under a second name, so that the first may be replaced, and returns that name.
func (s *setAside) file(file string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	info, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	if info.Size() > s.limit {
		s.dropped(1)
		return "", errNotKept
	}
	path, err := s.path(filepath.Base(file) + ".file")
	if err != nil {
		return "", err
	}
	if err := os.Link(file, path); err != nil {
		return "", fmt.Errorf("the damaged file cannot be set aside: %w", err)
	}
	s.prune()
	return path, nil
}

// prune removes the oldest until what is left is within the limit.
func (s *setAside) prune() {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return
	}
	slices.Reverse(entries)
	var total int64
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue
		}
		if total += info.Size(); total > s.limit && os.Remove(filepath.Join(s.dir, e.Name())) == nil {
			s.dropped(1)
		}
	}
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
