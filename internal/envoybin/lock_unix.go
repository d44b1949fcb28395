// SPDX-License-Identifier: Apache-2.0

//go:build unix

package envoybin

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

// lockPoll is how often a taken lock is tried again; flock itself cannot be interrupted by a context.
const lockPoll = 100 * time.Millisecond

// lock takes an exclusive lock that ends with the process at the latest.
func lock(ctx context.Context, path string) (unlock func() error, err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	ticker := time.NewTicker(lockPoll)
	defer ticker.Stop()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			// Closing the file releases the lock.
			return file.Close, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return nil, errors.Join(err, file.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), file.Close())
		case <-ticker.C:
		}
	}
}
