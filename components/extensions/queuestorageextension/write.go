// SPDX-License-Identifier: Apache-2.0

package queuestorageextension

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/queuestorageextension/internal/boltfile"
)

// item is a value to store.
type item struct {
	key     string
	payload []byte
	put     time.Time
}

// write is what one transaction does besides the pending bookkeeping.
type write struct {
	sets    []item
	deletes []string
	size    int64
	// ops are done in their order instead of sets and deletes, if there are any.
	ops []*storage.Operation
}

// warnAgain is the time between two messages about one thing that goes on.
const warnAgain = time.Minute

var errNotOpen = errors.New("the file failed and is not open")

func sortNumbers(numbers []uint64) { slices.Sort(numbers) }

func isDamage(err error) bool { return errors.Is(err, boltfile.ErrDamaged) }

// removed says whether the file is not there any more under its name, by an answer of at most askAgain ago. What is
// written to such a file is gone with the process, though every write succeeds.
func (c *client) removed() bool {
	if c.db == nil || c.handle == nil {
		return false
	}
	if now := c.ext.now(); c.looked.IsZero() || now.Sub(c.looked) >= askAgain || now.Before(c.looked) {
		c.looked = now
		mine, err := c.handle.Stat()
		if err != nil {
			return c.gone
		}
		named, err := os.Stat(c.path)
		c.gone = errors.Is(err, os.ErrNotExist) || err == nil && !os.SameFile(mine, named)
	}
	return c.gone
}

// admit says whether there is room for a new value of a size.
func (c *client) admit(size int64) error {
	if c.removed() {
		c.count.refused(reasonWriteFailed)
		return fmt.Errorf("%s was removed or replaced while in use, so nothing new is taken: what waits is still sent; restart the collector then", c.path)
	}
	if limit := c.ext.config.MaxMiB * mib; limit > 0 && c.ext.total.Load()+size > limit {
		c.count.refused(reasonMaxSize)
		return fmt.Errorf("%w: %d MiB wait, 'max_mib' of queue_storage allows for no more", storage.ErrStorageFull, c.ext.total.Load()/mib)
	}
	least := c.ext.config.MinFreeMiB * mib
	free, err := c.ext.space.available()
	if err != nil || least == 0 || free-size >= least {
		// A disk that does not tell is tried.
		return nil //nolint:nilerr // the write itself tells
	}
	if c.db == nil {
		return nil
	}
	if stats := c.db.Stats(); int64(stats.FreeAlloc) > 2*size+mib && free > 0 {
		// The file has room of its own, from a backlog that is gone.
		return nil
	}
	c.count.refused(reasonDiskFull)
	return fmt.Errorf("%w: the disk of %s has %d MiB free, less than 'min_free_mib' (%d) of queue_storage", storage.ErrStorageFull, c.ext.config.Directory, free/mib, c.ext.config.MinFreeMiB)
}

// commit does the pending bookkeeping and w in one transaction. After an error nothing has changed.
func (c *client) commit(w *write) error {
	if c.db == nil {
		c.reopen(errNotOpen)
	}
	if c.db == nil {
		return errNotOpen
	}
	err := guarded(func() error {
		return c.db.Update(func(tx *bbolt.Tx) error {
			bucket := tx.Bucket(valuesBucket)
			if err := c.writePending(bucket); err != nil {
				return err
			}
			if c.fault != nil {
				if err := c.fault(); err != nil {
					return err
				}
			}
			if len(w.ops) > 0 {
				return c.inOrder(bucket, w.ops)
			}
			for _, i := range w.sets {
				if err := bucket.Put([]byte(i.key), c.seal(i.key, i.payload, i.put)); err != nil {
					return err
				}
			}
			for _, key := range w.deletes {
				if err := bucket.Delete([]byte(key)); err != nil {
					return err
				}
			}
			return nil
		})
	})
	c.recycle()
	if err != nil {
		return c.failed(err)
	}
	c.unsynced = true
	c.ext.space.wrote(w.size + 4*int64(os.Getpagesize()))
	c.pending.reset()
	before := c.index.bytes
	for _, i := range w.sets {
		c.index.set(i.key, i.put, int64(len(i.payload)))
	}
	for _, key := range w.deletes {
		c.index.remove(key)
	}
	c.ext.total.Add(c.index.bytes - before)
	return nil
}

// writePending puts the bookkeeping that is not on disk yet into a transaction.
func (c *client) writePending(bucket *bbolt.Bucket) error {
	for key, old := range c.pending.moved {
		payload, put, err := c.stored(bucket, old)
		if err != nil {
			return err
		}
		if err := bucket.Put([]byte(key), c.seal(key, payload, put)); err != nil {
			return err
		}
		if err := bucket.Delete([]byte(old)); err != nil {
			return err
		}
	}
	for key := range c.pending.deletes {
		if err := bucket.Delete([]byte(key)); err != nil {
			return err
		}
	}
	if !c.pending.metadata {
		return nil
	}
	return bucket.Put([]byte(metadataKey), c.seal(metadataKey, c.metadata, c.ext.now()))
}

// stored reads a value within a transaction.
func (c *client) stored(bucket *bbolt.Bucket, key string) ([]byte, time.Time, error) {
	value := bucket.Get([]byte(key))
	if !c.sealed && !isSealed(value) {
		return value, c.ext.now(), nil
	}
	return open(key, value)
}

// inOrder does operations of a component other than a queue.
func (c *client) inOrder(bucket *bbolt.Bucket, ops []*storage.Operation) (err error) {
	for _, op := range ops {
		switch op.Type {
		case storage.Get:
			op.Value = nil
			if value := bucket.Get([]byte(op.Key)); value != nil {
				// A damaged one is as if it were not there; the next batch that only reads sets it aside.
				if payload, err := c.payload(op.Key, value); err == nil {
					op.Value = append([]byte{}, payload...)
				}
			}
		case storage.Set:
			err = bucket.Put([]byte(op.Key), c.seal(op.Key, op.Value, c.ext.now()))
		case storage.Delete:
			err = bucket.Delete([]byte(op.Key))
		default:
			err = fmt.Errorf("operation %d on %q is unknown", op.Type, op.Key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// keptBuffer is the size up to which the buffer of a transaction is used again, in bytes.
const keptBuffer = 4 * mib

// seal puts the envelope around a value. The bytes live until the transaction ends: bbolt keeps no copy of them before.
func (c *client) seal(key string, payload []byte, put time.Time) []byte {
	start := len(c.buffer)
	if need := start + envelopeSize + len(payload); need > cap(c.buffer) {
		// What was sealed before stays in the old buffer.
		c.buffer, start = make([]byte, 0, max(envelopeSize+len(payload), 2*cap(c.buffer))), 0
	}
	c.buffer = seal(c.buffer, key, payload, put)
	return c.buffer[start:len(c.buffer):len(c.buffer)]
}

// recycle ends the life of what was sealed.
func (c *client) recycle() {
	if c.buffer = c.buffer[:0]; cap(c.buffer) > keptBuffer {
		c.buffer = nil
	}
}

// failed makes an error of a write one for the caller, and reopens a file in which bbolt stumbled.
func (c *client) failed(err error) error {
	if _, crashed := errors.AsType[*crashError](err); crashed {
		c.reopen(err)
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", storage.ErrStorageFull, err)
	}
	return err
}

// drop gives up a database in which bbolt stumbled. It may hold its locks for ever, so that it cannot be closed: its file
// is, and its memory map stays until the process ends. The next transaction opens the file again.
func (c *client) drop() {
	if c.db != nil {
		c.db = nil
		unlock(c.handle)
	}
}

// reopen opens the file again, which repairs it. What is pending stays pending.
func (c *client) reopen(cause error) {
	c.logger.Error("The file of a queue failed while it was open, and is opened anew", zap.String("file", c.path), zap.Error(cause))
	c.drop()
	_, err := inspect(c.path, c.queue, c.ext.now())
	if isDamage(err) {
		err = c.repair(err)
	}
	if err == nil {
		err = c.openFile()
	}
	if err != nil {
		c.db = nil
		c.logger.Error("The file could not be opened again; the next write tries", zap.Error(err))
	}
}

// flush writes what is pending if it is worth a write. What fails stays pending: the queue never hears of it.
func (c *client) flush() {
	if !c.pending.dirty {
		return
	}
	err := c.commit(&write{})
	if errors.Is(err, storage.ErrStorageFull) && c.ext.space.release() {
		c.logger.Warn("The disk is full; the reserve was given up so that the bookkeeping of a queue can be written")
		err = c.commit(&write{})
	}
	if err != nil {
		c.count.retry()
		if now := c.ext.now(); now.Sub(c.warned) < warnAgain {
			return
		}
		c.warned = c.ext.now()
		c.logger.Warn("The bookkeeping of a queue could not be written; it is kept in memory and tried again", zap.Error(err))
	}
}

func (c *client) syncNow() error {
	if !c.unsynced || c.db == nil || c.ext.config.FSync == fsyncAlways {
		return nil
	}
	c.unsynced = false
	return c.db.Sync()
}
