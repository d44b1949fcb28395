// SPDX-License-Identifier: Apache-2.0

package queuestorageextension

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"
)

// space knows how much room the disk has, and holds a reserve of it.
type space struct {
	dir     string
	reserve string // path of the file that is given up, empty for none
	size    int64  // of the reserve, in bytes
	statfs  func(dir string) (int64, error)
	now     func() time.Time

	mu      sync.Mutex
	free    int64
	asked   time.Time
	err     error
	written int64
}

const (
	// askAgain is how long an answer about the free space holds, what was written since aside.
	askAgain = 200 * time.Millisecond
	// askAfter bytes written, the answer is not trusted any more.
	askAfter = 16 * mib
)

// freeBytes asks the disk for what is left to a process without privileges.
func freeBytes(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// available are the free bytes of the disk, an answer of at most askAgain ago less what was written since.
func (s *space) available() (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.asked.IsZero() || now.Sub(s.asked) >= askAgain || now.Before(s.asked) || s.written >= askAfter {
		s.free, s.err = s.statfs(s.dir)
		s.asked, s.written = now, 0
	}
	return s.free - s.written, s.err
}

func (s *space) wrote(n int64) {
	s.mu.Lock()
	s.written += n
	s.mu.Unlock()
}

// hold fills the reserve if it is not whole and the disk would keep more than spare bytes besides. It is filled by
// writing: a file with holes reserves nothing.
func (s *space) hold(spare int64) error {
	if s.reserve == "" {
		return nil
	}
	if info, err := os.Stat(s.reserve); err == nil && info.Size() == s.size {
		return nil
	}
	free, err := s.statfs(s.dir)
	if err != nil || free < s.size+spare {
		return err
	}
	file, err := os.OpenFile(s.reserve, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	chunk := make([]byte, 256<<10)
	// Not zeros: some disks do not store them.
	for i := range chunk {
		chunk[i] = byte(i*131 + i>>8)
	}
	for left := s.size; left > 0 && err == nil; left -= int64(len(chunk)) {
		_, err = file.Write(chunk[:min(left, int64(len(chunk)))])
	}
	if err = errors.Join(err, file.Close()); err != nil {
		err = errors.Join(err, os.Truncate(s.reserve, 0))
	}
	return err
}

// release gives the reserve up and says whether there was one.
func (s *space) release() bool {
	if s.reserve == "" {
		return false
	}
	info, err := os.Stat(s.reserve)
	return err == nil && info.Size() > 0 && os.Truncate(s.reserve, 0) == nil
}
