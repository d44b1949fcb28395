// SPDX-License-Identifier: Apache-2.0

package queuestorageextension

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const lockFile = "queue_storage.lock"

// lockDirectory makes the folder if it is not there, and takes it for this process alone until the file is closed or the
// process ends, however it ends.
func lockDirectory(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("'directory': %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("'directory' %s is not writable: %w", dir, err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer func() { _ = file.Close() }()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("'directory' %s cannot be locked: %w", dir, err)
		}
		return nil, fmt.Errorf("'directory' %s is in use by another collector%s: give each process, and each queue_storage extension, a folder of its own", dir, holder(file))
	}
	err = file.Truncate(0)
	if err == nil {
		_, err = file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	// On a full disk the lock holds without the note about who has it.
	if err != nil && !errors.Is(err, syscall.ENOSPC) {
		return nil, errors.Join(fmt.Errorf("'directory' %s is not writable: %w", dir, err), file.Close())
	}
	return file, nil
}

// holder names the process that has the lock, as far as the file tells.
func holder(file *os.File) string {
	buf := make([]byte, 32)
	n, _ := file.ReadAt(buf, 0)
	if pid, err := strconv.Atoi(strings.TrimSpace(string(buf[:n]))); err == nil {
		return fmt.Sprintf(", process %d", pid)
	}
	return ""
}
