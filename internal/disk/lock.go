// SPDX-License-Identifier: Apache-2.0

package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// InUseError says that somebody else holds a lock.
type InUseError struct {
	// Process is who, by its number; 0 if the file does not tell.
	Process int
}

// Error implements error. It goes behind the name of what is in use, as in "'directory' /data is …".
func (e *InUseError) Error() string {
	switch e.Process {
	case 0:
		return "in use by another collector"
	case os.Getpid():
		// In containers two collectors may both be process 1.
		return "in use by another collector, or by another component of this one"
	default:
		return fmt.Sprintf("in use by another collector, process %d", e.Process)
	}
}

// Held is a lock that is held.
type Held struct{ file *os.File }

// Lock takes a file, which it makes with its directory, for its caller alone, until it is released or the process ends, however it
// ends. If somebody else has it, in this process or another one, the error is an [InUseError]. Where the system has no flock,
// everybody gets it.
func Lock(path string) (*Held, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("making the directory: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock: %w", err)
	}
	taken, err := tryLock(file.Fd())
	switch {
	case err != nil:
		return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), file.Close())
	case !taken:
		return nil, errors.Join(&InUseError{Process: process(file)}, file.Close())
	}
	err = file.Truncate(0)
	if err == nil {
		_, err = file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	// On a full disk the lock holds without the note about who has it.
	if err != nil && !isFull(err) {
		return nil, errors.Join(fmt.Errorf("writing the lock: %w", err), file.Close())
	}
	return &Held{file: file}, nil
}

// process returns the process that a lock names.
func process(file *os.File) int {
	buf := make([]byte, 32)
	n, _ := file.ReadAt(buf, 0)
	number, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	if err != nil || number < 0 {
		return 0
	}
	return number
}

// Release gives the lock back. The file stays: who waits for its name would lock one that is gone. Nil has nothing to give.
func (h *Held) Release() error {
	if h == nil {
		return nil
	}
	return h.file.Close()
}
