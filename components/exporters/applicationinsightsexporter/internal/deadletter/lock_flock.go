// SPDX-License-Identifier: Apache-2.0

//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package deadletter

import (
	"errors"
	"os"
	"syscall"
)

// tryLock locks an open file until unlock, or until the file or the process ends. It returns errBusy if another open file
// holds the lock.
func tryLock(fd uintptr) error {
	for {
		err := syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EWOULDBLOCK):
			return errBusy
		case !errors.Is(err, syscall.EINTR):
			return err
		}
	}
}

func unlock(fd uintptr) error { return syscall.Flock(int(fd), syscall.LOCK_UN) }

// syncDirectory writes the names in a directory to the disk.
func syncDirectory(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	// Some file systems know no such thing.
	if err := f.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return err
	}
	return nil
}
