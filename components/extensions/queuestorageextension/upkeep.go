// SPDX-License-Identifier: Apache-2.0

package queuestorageextension

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/zap"
)

const (
	// compactShare: a file is written anew when less than one part in this many of it is in use.
	compactShare = 4
	// compactAgain is the time between two attempts, if one failed.
	compactAgain = time.Minute
	// compactAtMost is how much may be in use, in bytes: the queue waits meanwhile, about a fifth of a second.
	compactAtMost = 32 * mib
)

// upkeep writes what failed before, syncs, and compacts.
func (c *client) upkeep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.flush()
	if c.ext.config.FSync == fsyncInterval {
		if err := guarded(c.syncNow); err != nil {
			c.unsynced = true
			c.logger.Error("What was written could not be synced to the disk", zap.Error(err))
		}
	}
	c.copyBookkeeping()
	// One that failed, as for want of space, would write the same again, with the queue waiting meanwhile.
	if now := c.ext.now(); now.Sub(c.compactFailed) < compactAgain || !c.worthCompacting() {
		return
	}
	err := c.compact()
	c.count.compaction(err)
	if err != nil {
		c.compactFailed = c.ext.now()
		c.logger.Warn("The file of a queue could not be written anew", zap.String("file", c.path), zap.Error(err))
	}
}

// copyBookkeeping writes the copy that a damaged file is measured by. It is overwritten in place: one that was cut short is
// told by its checksum, and then it is as if there was none.
func (c *client) copyBookkeeping() {
	if !c.queue || bytes.Equal(c.copied, c.metadata) {
		return
	}
	if err := os.WriteFile(draft(c.path, copySuffix), seal(nil, metadataKey, c.metadata, c.ext.now()), 0o600); err != nil {
		c.logger.Debug("The copy of a queue's bookkeeping could not be written", zap.Error(err))
		return
	}
	c.copied = append(c.copied[:0], c.metadata...)
}

func (c *client) worthCompacting() bool {
	above := c.ext.config.CompactAboveMiB * mib
	if above == 0 || c.db == nil {
		return false
	}
	size := c.fileSize()
	if size <= above {
		return false
	}
	var used int64
	err := guarded(func() error {
		return c.db.View(func(tx *bbolt.Tx) error {
			// Up to the last page that was ever used: beyond it the file has nothing but its name for it.
			used = tx.Size() - int64(c.db.Stats().FreeAlloc)
			return nil
		})
	})
	return err == nil && used < compactAtMost && used*compactShare < size
}

// compact writes the file anew without its free pages. The old one is in place until the new one is complete.
func (c *client) compact() (err error) {
	next := draft(c.path, compactSuffix)
	if err := ignoreMissing(os.Remove(next)); err != nil {
		return err
	}
	before := c.fileSize()
	db, _, err := openBolt(next, true)
	if err != nil {
		return err
	}
	err = guarded(func() error { return bbolt.Compact(db, c.db, salvageChunk) })
	if err = errors.Join(err, db.Close()); err == nil {
		err = os.Rename(next, c.path)
	}
	if err != nil {
		return errors.Join(err, ignoreMissing(os.Remove(next)))
	}
	if err := guarded(c.db.Close); err != nil {
		c.logger.Warn("The old file could not be closed", zap.Error(err))
	}
	c.db = nil // if the new one cannot be opened now, the next write tries again
	if c.db, c.handle, err = openBolt(c.path, c.ext.config.FSync == fsyncAlways); err != nil {
		return fmt.Errorf("the new file cannot be opened: %w", err)
	}
	c.logger.Info("The backlog of a queue is gone; its file was written anew", zap.Int64("bytes_before", before), zap.Int64("bytes", c.fileSize()))
	return syncDirectory(c.path)
}
