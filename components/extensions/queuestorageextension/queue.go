// SPDX-License-Identifier: Apache-2.0

package queuestorageextension

import (
	"errors"
	"fmt"
	"os"

	"go.etcd.io/bbolt"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
)

// queueBatch serves exporterhelper's persistent queue.
func (c *client) queueBatch(ops []*storage.Operation) error {
	var put *storage.Operation
	deletes := 0
	for _, op := range ops {
		_, isItem := itemNumber(op.Key)
		switch {
		case op.Type == storage.Set && isItem:
			put = op
		case op.Type == storage.Delete && isItem:
			deletes++
		}
	}
	var from step
	if deletes > 0 || c.start != nil {
		from = callerStep()
	}
	if from&stepStart == 0 {
		c.endStart()
	}
	switch {
	case from&stepStart != 0 && put == nil && deletes == len(ops):
		c.beginStart(ops)
		return nil
	case put != nil:
		return c.put(put, ops, from)
	}
	if err := c.read(ops); err != nil {
		return err
	}
	for _, op := range ops {
		if err := c.bookkeep(op, from); err != nil {
			return err
		}
	}
	c.flush()
	return nil
}

// bookkeep notes what the queue writes besides items.
func (c *client) bookkeep(op *storage.Operation, from step) error {
	_, isItem := itemNumber(op.Key)
	switch {
	case op.Type == storage.Set && op.Key == metadataKey:
		// Not worth a write of its own: without it, what is being sent is sent again after a crash, as it would be anyway.
		c.metadata = append(c.metadata[:0:0], op.Value...)
		c.pending.metadata = true
	case op.Type == storage.Set:
		return c.commit(&write{sets: []item{{key: op.Key, payload: op.Value, put: c.ext.now()}}})
	case op.Type == storage.Delete && isItem:
		c.remove(op.Key, from)
	case op.Type == storage.Delete:
		c.pending.deletes[op.Key] = struct{}{}
		c.pending.dirty = true
	}
	return nil
}

// remove deletes an item that was sent, or sets aside one that the queue could not decode.
func (c *client) remove(key string, from step) {
	if _, held := c.held[key]; held {
		return
	}
	if _, there := c.index.entries[key]; !there {
		return
	}
	if from&stepRead != 0 && !c.setAsideUnreadable(key) {
		return
	}
	c.forget(key)
}

// forget takes an item out of what the queue sees; the file follows.
func (c *client) forget(key string) {
	before := c.index.bytes
	c.index.remove(key)
	c.ext.total.Add(c.index.bytes - before)
	if old, moved := c.pending.moved[key]; moved {
		delete(c.pending.moved, key)
		key = old
	}
	c.pending.deletes[key] = struct{}{}
	c.pending.dirty = true
}

// put stores a new item, or one that is put back at the start.
func (c *client) put(op *storage.Operation, ops []*storage.Operation, from step) error {
	i := item{key: op.Key, payload: op.Value, put: c.ext.now()}
	w := write{sets: []item{i}, size: int64(len(op.Value))}
	var old string
	if from&stepStart != 0 && c.start != nil {
		if old = c.start.match(c, op.Value); old != "" {
			w.sets[0].put = c.index.putTime(old)
			w.deletes = []string{old}
		}
	} else if err := c.admit(w.size); err != nil {
		return err
	}
	before, had := c.metadata, c.pending.metadata
	for _, other := range ops {
		if other != op && other.Type == storage.Set && other.Key == metadataKey {
			c.metadata = append([]byte(nil), other.Value...)
			c.pending.metadata = true
		}
	}
	err := c.commit(&w)
	if err == nil {
		return nil
	}
	if old != "" {
		// It is in the file, under its old key: that it has a new one is bookkeeping.
		c.move(old, op.Key)
		return nil
	}
	c.metadata, c.pending.metadata = before, had
	if errors.Is(err, storage.ErrStorageFull) {
		c.count.refused(reasonDiskFull)
	} else {
		c.count.refused(reasonWriteFailed)
	}
	if c.start != nil && from&stepStart != 0 {
		c.start.refused++
	}
	return fmt.Errorf("queue_storage could not write a request: %w", err)
}

// move gives an item a new key in memory; the file follows.
func (c *client) move(old, key string) {
	e := c.index.entries[old]
	c.index.remove(old)
	c.index.setEntry(key, e)
	c.pending.moved[key] = old
	c.pending.dirty = true
	c.flush()
}

// read answers the reads among the operations.
func (c *client) read(ops []*storage.Operation) error {
	for _, op := range ops {
		if op.Type != storage.Get {
			continue
		}
		op.Value = nil
		if c.queue && op.Key == metadataKey {
			if c.metadata != nil {
				op.Value = append([]byte(nil), c.metadata...)
			}
			continue
		}
		value, err := c.value(op.Key)
		if err != nil && !c.queue {
			return err
		}
		op.Value = value
	}
	return nil
}

// value reads a value; nil if there is none. A damaged one is set aside and gone. A queue's that cannot be set aside, or cannot
// be read for another reason, is kept for the next start: told of an error, the queue would delete it.
func (c *client) value(key string) (payload []byte, err error) {
	at := key
	if old, moved := c.pending.moved[key]; moved {
		at = old
	}
	if _, there := c.index.entries[key]; !there && c.queue {
		if _, isItem := itemNumber(key); isItem {
			return nil, nil
		}
	}
	var damaged []byte
	if c.db == nil {
		c.reopen(errNotOpen)
	}
	err = guarded(func() error {
		return c.db.View(func(tx *bbolt.Tx) error {
			value := tx.Bucket(valuesBucket).Get([]byte(at))
			if value == nil {
				return nil
			}
			p, err := c.payload(at, value)
			if err != nil {
				damaged = append([]byte{}, value...)
				return nil //nolint:nilerr // set aside below
			}
			payload = append([]byte{}, p...)
			return nil
		})
	})
	if err == nil && damaged == nil {
		return payload, nil
	}
	if err != nil {
		c.drop()
		if c.queue {
			c.held[key] = struct{}{}
		}
		c.logger.Error("A stored value cannot be read; it stays where it is, for the next start", zap.String("key", key), zap.Error(err))
		return nil, err
	}
	kept := c.setAside(at, damaged, reasonChecksum)
	if !kept && c.queue {
		// As on a full disk. Its bytes stay where they are, and the next start tries again.
		c.held[key] = struct{}{}
		return nil, nil
	}
	c.count.damaged(reasonChecksum, 1)
	if c.queue {
		c.forget(key)
		return nil, nil
	}
	return nil, c.commit(&write{deletes: []string{key}})
}

// raw reads what is stored under a key, with its envelope.
func (c *client) raw(key string) (raw []byte, err error) {
	err = guarded(func() error {
		return c.db.View(func(tx *bbolt.Tx) error {
			raw = append([]byte{}, tx.Bucket(valuesBucket).Get([]byte(key))...)
			return nil
		})
	})
	return raw, err
}

// setAside keeps the raw bytes of a damaged value and says whether it did, or was not meant to.
func (c *client) setAside(key string, raw []byte, reason string) bool {
	kept, err := c.ext.aside.value(c.file+"-"+key, raw)
	c.logger.Error("A value of a queue is damaged; it is set aside, and the queue goes on without it", zap.String("key", key),
		zap.String("reason", reason), zap.String("kept", kept), zap.Error(err))
	return err == nil || errors.Is(err, errNotKept)
}

// setAsideUnreadable keeps an item that the queue cannot decode, and says whether it may be deleted now.
func (c *client) setAsideUnreadable(key string) bool {
	payload, err := c.value(key)
	if err != nil || payload == nil {
		return false
	}
	if !c.setAside(key, payload, reasonUnreadable) {
		c.held[key] = struct{}{}
		return false
	}
	c.count.damaged(reasonUnreadable, 1)
	return true
}

func (c *client) fileSize() int64 {
	info, err := os.Stat(c.path)
	if err != nil {
		return 0
	}
	return info.Size()
}
