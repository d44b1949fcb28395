// SPDX-License-Identifier: Apache-2.0

package queuestorageextension

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
)

var errClosed = errors.New("the storage is closed")

// client is the storage of one component. A queue's bookkeeping is kept apart from its items: it is answered from memory,
// written with the next item or a moment later, and kept and tried again when the disk does not take it. What is on disk
// is always a state that the queue had, so that a crash costs at most sending again what was being sent.
type client struct {
	ext    *queueStorage
	path   string
	file   string
	queue  bool
	logger *zap.Logger
	count  *counters

	mu sync.Mutex
	// db is nil after bbolt stumbled, until the file is open again. handle is its file.
	db     *bbolt.DB
	handle *os.File
	closed bool
	// index is of what the component sees: what is to be deleted is not in it.
	index *index
	// sealed says that a value without an envelope is a damaged one.
	sealed bool
	// metadata is the queue's bookkeeping as it last wrote it.
	metadata []byte
	// pending is what has to be written and is not.
	pending pending
	// held are items that could not be read, for a reason other than their content: they stay for the next start.
	held map[string]struct{}
	// start is not nil while the queue puts back what was being sent.
	start *restart
	// unsynced says that something was written since the last sync.
	unsynced bool
	// copied is the bookkeeping of which there is a copy beside the file.
	copied []byte
	// compactFailed is when the file could not be written anew last.
	compactFailed time.Time
	buffer        []byte
	warned        time.Time
	// gone says that the file was removed under the client, as of looked.
	gone   bool
	looked time.Time
	// fault, of tests, fails a transaction.
	fault func() error
}

// pending is bookkeeping that is not on disk yet.
type pending struct {
	// metadata says that client.metadata is newer than the file's.
	metadata bool
	// dirty says that it is worth a write of its own.
	dirty   bool
	deletes map[string]struct{}
	// moved are items under a new key, whose content still is under the old one.
	moved map[string]string
}

func (p *pending) reset() {
	p.metadata, p.dirty = false, false
	clear(p.deletes)
	clear(p.moved)
}

var (
	_ storage.Client = (*client)(nil)
	_ storage.Walker = (*client)(nil)
)

// open opens the file, repairs it if it is damaged, and makes the queue's bookkeeping cover all of its items.
func (c *client) open() error {
	now := c.ext.now()
	found, err := inspect(c.path, c.queue, now)
	if isDamage(err) {
		if err = c.repair(err); err == nil {
			found, err = inspect(c.path, c.queue, now)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.path, err)
	}
	fresh := found == nil
	if fresh {
		found = &content{index: newIndex(), sealed: true}
	}
	plain := found.unsealed + len(found.other)
	if found.metadata != nil && !isSealed(found.metadata) {
		plain++
	}
	c.sealed = found.sealed || plain == 0
	if err = c.openFile(); errors.Is(err, syscall.ENOSPC) && c.ext.space.release() {
		c.logger.Warn("The disk is full; the reserve was given up so that a queue can be opened")
		err = c.openFile()
	}
	if err != nil {
		return err
	}
	if fresh {
		if err := syncDirectory(c.path); err != nil {
			return errors.Join(err, c.db.Close())
		}
	}
	c.index, c.held = found.index, map[string]struct{}{}
	c.pending = pending{deletes: map[string]struct{}{}, moved: map[string]string{}}
	c.ext.total.Add(c.index.bytes)
	if c.queue {
		c.adopt(found)
		c.flush()
	}
	return nil
}

func (c *client) openFile() (err error) {
	if c.db, c.handle, err = openBolt(c.path, c.ext.config.FSync == fsyncAlways); err != nil {
		return err
	}
	if err := prepare(c.db, c.sealed); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", c.path, err), c.db.Close())
	}
	return nil
}

// adopt reads the queue's bookkeeping and makes it cover all items.
func (c *client) adopt(found *content) {
	for _, key := range found.strange {
		// In a queue's file there are items and bookkeeping only: this was one of them, and its key is damaged.
		if raw, err := c.raw(key); err == nil && c.setAside(key, raw, reasonChecksum) {
			c.count.damaged(reasonChecksum, 1)
			c.pending.deletes[key] = struct{}{}
			c.pending.dirty = true
		}
	}
	numbers := make([]uint64, 0, len(c.index.entries))
	for key := range c.index.entries {
		number, _ := itemNumber(key)
		numbers = append(numbers, number)
	}
	b, err := c.readBookkeeping(found)
	if err == nil && b == nil && len(found.other) > 0 {
		// The keys of an old version: the queue itself brings them over.
		return
	}
	sortNumbers(numbers)
	adopted := 0
	switch {
	case err != nil:
		c.logger.Error("The bookkeeping of a queue is damaged and made anew from its items", zap.Int("items", len(numbers)), zap.Error(err))
		b, adopted = rebuild(numbers, uint64(c.index.bytes)), len(numbers)
	case b == nil && len(numbers) == 0:
		return
	case b == nil:
		b, adopted = rebuild(numbers, uint64(c.index.bytes)), len(numbers)
	default:
		b, adopted = b.adopt(numbers, uint64(c.index.bytes))
	}
	if adopted > 0 || err != nil {
		c.count.recovered(reasonOrphaned, adopted)
		c.logger.Warn("Items of a queue were not in its bookkeeping, and are again", zap.Int("items", adopted))
		c.metadata = b.encode()
		c.pending.metadata, c.pending.dirty = true, true
	}
}

// readBookkeeping takes the bookkeeping that the file has; it is nil if there is none.
func (c *client) readBookkeeping(found *content) (*bookkeeping, error) {
	value := found.metadata
	if value == nil {
		return nil, nil
	}
	if isSealed(value) || c.sealed {
		payload, _, err := open(metadataKey, value)
		if err != nil {
			return nil, err
		}
		value = payload
	}
	b, err := decodeBookkeeping(value)
	if err == nil {
		c.metadata = append([]byte(nil), value...)
	}
	return b, err
}

// Get returns a value, or nil if there is none.
func (c *client) Get(ctx context.Context, key string) ([]byte, error) {
	op := storage.GetOperation(key)
	err := c.Batch(ctx, op)
	return op.Value, err
}

// Set stores a value.
func (c *client) Set(ctx context.Context, key string, value []byte) error {
	return c.Batch(ctx, storage.SetOperation(key, value))
}

// Delete deletes a value.
func (c *client) Delete(ctx context.Context, key string) error {
	return c.Batch(ctx, storage.DeleteOperation(key))
}

// Batch does the operations, those that write in one transaction. New items are refused with an error when there is no
// room for them; a queue's bookkeeping never is.
func (c *client) Batch(_ context.Context, ops ...*storage.Operation) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errClosed
	}
	if c.queue {
		return c.queueBatch(ops)
	}
	return c.plainBatch(ops)
}

// plainBatch serves components other than queues: what fails is reported to them.
func (c *client) plainBatch(ops []*storage.Operation) error {
	var w write
	for _, op := range ops {
		switch op.Type {
		case storage.Set:
			w.sets = append(w.sets, item{key: op.Key, payload: op.Value, put: c.ext.now()})
			w.size += int64(len(op.Value))
		case storage.Delete:
			w.deletes = append(w.deletes, op.Key)
		}
	}
	if len(w.sets) > 0 && len(w.deletes) == 0 {
		if err := c.admit(w.size); err != nil {
			return err
		}
	}
	if len(w.sets)+len(w.deletes) == 0 {
		return c.read(ops)
	}
	// Reads between writes see those before them.
	w.ops = ops
	return c.commit(&w)
}

// Walk calls fn for each key and value, then does the operations that it returned.
func (c *client) Walk(ctx context.Context, fn storage.WalkFunc) error {
	var after []*storage.Operation
	err := c.each(func(key string, value []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		ops, err := fn(key, value)
		if err == nil || errors.Is(err, storage.SkipAll) {
			after = append(after, ops...)
		}
		return err
	})
	if err != nil && !errors.Is(err, storage.SkipAll) {
		return err
	}
	if len(after) == 0 {
		return nil
	}
	return c.Batch(ctx, after...)
}

// each calls fn for each key and its payload. Damaged values are passed over: reading them one by one sets them aside.
func (c *client) each(fn func(key string, value []byte) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errClosed
	}
	c.flush()
	return guarded(func() error {
		return c.db.View(func(tx *bbolt.Tx) error {
			return tx.Bucket(valuesBucket).ForEach(func(key, value []byte) error {
				payload, err := c.payload(string(key), value)
				if err != nil {
					return nil //nolint:nilerr // see above
				}
				return fn(string(key), payload)
			})
		})
	})
}

// payload takes the envelope off.
func (c *client) payload(key string, value []byte) ([]byte, error) {
	if !c.sealed && !isSealed(value) {
		return value, nil
	}
	payload, _, err := open(key, value)
	return payload, err
}

// Close writes what is pending and closes the file.
func (c *client) Close(context.Context) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.endStart()
	c.pending.dirty = c.pending.dirty || c.pending.metadata
	c.flush()
	c.copyBookkeeping()
	c.closed = true
	var err error
	if c.db != nil {
		err = guarded(func() error { return errors.Join(c.syncNow(), c.db.Close()) })
	}
	c.ext.total.Add(-c.index.bytes)
	c.mu.Unlock()
	c.ext.mu.Lock()
	delete(c.ext.clients, c.file)
	c.ext.mu.Unlock()
	return err
}

// state is what the metrics tell.
type state struct {
	items       int
	bytes, file int64
	age         time.Duration
}

func (c *client) state() (s state) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.items, s.bytes = len(c.index.entries), c.index.bytes
	if put, ok := c.index.oldest(); ok {
		s.age = max(0, c.ext.now().Sub(put))
	}
	s.file = c.fileSize()
	return s
}
