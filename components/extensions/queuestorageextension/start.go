// SPDX-License-Identifier: Apache-2.0

package queuestorageextension

import (
	"bytes"

	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
)

// restart is the queue putting back what was being sent when its process ended: it reads the items, deletes them all, and
// writes one after the other under a new key. A crash in between would lose the rest, so that here each is deleted in the
// transaction that writes it under its new key.
type restart struct {
	// left are the old keys, in the order in which the queue will put their items back.
	left []string
	// changed counts those that came back with another content: decoded and encoded again, they differ. refused counts those
	// that could not be written.
	changed, refused int
}

// beginStart is called with the deletion of all that was being sent.
func (c *client) beginStart(ops []*storage.Operation) {
	c.start = &restart{}
	for _, op := range ops {
		if _, there := c.index.entries[op.Key]; there {
			c.start.left = append(c.start.left, op.Key)
		}
	}
}

// match returns the old key of an item that is put back, empty if none of the items is the same.
func (r *restart) match(c *client, payload []byte) string {
	for i, key := range r.left {
		e := c.index.entries[key]
		if e.size != int64(len(payload)) {
			continue
		}
		if old, err := c.value(key); err == nil && bytes.Equal(old, payload) {
			r.left = append(r.left[:i:i], r.left[i+1:]...)
			return key
		}
	}
	r.changed++
	return ""
}

// endStart settles what was not put back: those that the queue encoded anew are in the file already; the others it could
// not decode, and they are set aside. What could not be written stays, and is found by the next start.
func (c *client) endStart() {
	r := c.start
	c.start = nil
	if r == nil {
		return
	}
	back := r.changed - r.refused
	for _, key := range r.left {
		switch {
		case r.refused > 0 || c.isHeld(key):
			c.logger.Warn("A request could not be put back into its queue, and waits for the next start", zap.String("key", key))
		case back == len(r.left):
			// All of them are there under new keys.
			c.forget(key)
		default:
			c.remove(key, stepRead)
		}
	}
}

func (c *client) isHeld(key string) bool {
	_, held := c.held[key]
	return held
}
