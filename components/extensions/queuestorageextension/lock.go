// SPDX-License-Identifier: Apache-2.0

package queuestorageextension

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/otelcol-mesh/otelcol-mesh/internal/disk"
)

const lockFile = "queue_storage.lock"

// lockDirectory makes the folder if it is not there, and takes it for this extension alone until the lock is released or the
// process ends, however it ends.
func lockDirectory(dir string) (*disk.Held, error) {
	held, err := disk.Lock(filepath.Join(dir, lockFile))
	if used := (*disk.InUseError)(nil); errors.As(err, &used) {
		return nil, fmt.Errorf("'directory' %s is %w: give each process, and each queue_storage extension, a folder of its own", dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("'directory' %s is of no use: %w", dir, err)
	}
	return held, nil
}
