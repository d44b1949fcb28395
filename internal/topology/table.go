// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"iter"
	"slices"
)

// bucket holds the entries of a [table] whose hashes end in the same bits. Entries that hold now come first, so that
// the common question (who holds it now) does not walk the past.
type bucket[T any] struct {
	// alive counts the slots that hold now.
	alive uint16
	// tags are bits of the hashes of the first slots; they spare the visit of entries that cannot match. One bucket in a
	// thousand has more slots.
	tags [14]uint8
	// slots is never changed once it is here: a change puts another slice in its place.
	slots []*T
}

const (
	// meanSlots is the mean number of slots of a bucket above which a table grows.
	meanSlots = 6
	// maxTenancies is the most entries of one key: a look-up walks all of them.
	maxTenancies = 128
	tagShift     = 56
)

// cannot says that the slot's hash is another one.
func (b *bucket[T]) cannot(slot int, tag uint8) bool {
	return slot < len(b.tags) && b.tags[slot] != tag && b.tags[slot] != anyTag
}

// table is a hash table whose published copies share everything that later changes do not touch: publishing copies a
// few words, the first change after it the directory, and each change the slots of one bucket. Several entries of one
// key are normal: they are the tenancies of an address or a name. What [table.share] returns is for reading only.
type table[T any] struct {
	dir    []bucket[T]
	n      int
	shared bool
	// hashes yields the hashes of all keys under which an entry may stand in the table.
	hashes func(v *T, yield func(hash uint64))
}

// share returns a copy for readers.
func (t *table[T]) share() table[T] {
	t.shared = true
	return *t
}

// at returns the bucket of the hash, nil for an empty table.
func (t *table[T]) at(hash uint64) *bucket[T] {
	if len(t.dir) == 0 {
		return nil
	}
	return &t.dir[hash&uint64(len(t.dir)-1)]
}

// candidates returns the entries that the hash may stand for.
func (t *table[T]) candidates(hash uint64) iter.Seq[*T] {
	return func(yield func(*T) bool) {
		b := t.at(hash)
		if b == nil {
			return
		}
		tag := tagOf(hash)
		for i, v := range b.slots {
			if !b.cannot(i, tag) && !yield(v) {
				return
			}
		}
	}
}

// all returns every entry of the table; one that stands under several keys comes as often.
func (t *table[T]) all() iter.Seq[*T] {
	dir := t.dir
	return func(yield func(*T) bool) {
		for i := range dir {
			for _, v := range dir[i].slots {
				if !yield(v) {
					return
				}
			}
		}
	}
}

// own makes the directory the writer's.
func (t *table[T]) own() {
	if t.shared {
		t.dir = slices.Clone(t.dir)
		t.shared = false
	}
}

// add adds an entry.
func (t *table[T]) add(hash uint64, v *T, alive bool) {
	if t.n >= meanSlots*len(t.dir) {
		t.grow()
	}
	t.own()
	t.at(hash).add(hash, v, alive)
	t.n++
}

// add adds an entry; an alive one goes before those that are not.
func (b *bucket[T]) add(hash uint64, v *T, alive bool) {
	slots := make([]*T, len(b.slots)+1)
	at := len(b.slots)
	if alive {
		at = int(b.alive)
		b.alive++
	}
	copy(slots, b.slots[:at])
	slots[at] = v
	copy(slots[at+1:], b.slots[at:])
	if at < len(b.tags) {
		copy(b.tags[at+1:], b.tags[at:])
		b.tags[at] = tagOf(hash)
	}
	b.slots = slots
}

// remove removes an entry and says whether it was there.
func (t *table[T]) remove(hash uint64, v *T) bool {
	b := t.at(hash)
	if b == nil {
		return false
	}
	at := b.find(hash, v)
	if at < 0 {
		return false
	}
	t.own()
	b = t.at(hash)
	t.n--
	var left []*T
	if len(b.slots) > 1 {
		left = make([]*T, 0, len(b.slots)-1)
		left = append(append(left, b.slots[:at]...), b.slots[at+1:]...)
	}
	if at < int(b.alive) {
		b.alive--
	}
	b.slots = left
	if at < len(b.tags) {
		copy(b.tags[at:], b.tags[at+1:])
		b.tags[len(b.tags)-1] = anyTag
	}
	return true
}

// replace puts another entry of the same keys in the place of one.
func (t *table[T]) replace(hash uint64, v, by *T) {
	b := t.at(hash)
	if b == nil {
		return
	}
	at := b.find(hash, v)
	if at < 0 {
		return
	}
	t.own()
	b = t.at(hash)
	b.slots = slices.Clone(b.slots)
	b.slots[at] = by
}

// find returns the index of the entry, -1 if it is not there. An entry may stand in a bucket under two keys.
func (b *bucket[T]) find(hash uint64, v *T) int {
	tag := tagOf(hash)
	for i, other := range b.slots {
		if other == v && !b.cannot(i, tag) {
			return i
		}
	}
	return -1
}

// reserve makes the directory large enough for n entries at once: growing it step by step moves them each time.
func (t *table[T]) reserve(n int) {
	for n > meanSlots*len(t.dir) {
		t.grow()
	}
}

// grow doubles the directory.
func (t *table[T]) grow() {
	old := *t
	t.dir, t.shared = make([]bucket[T], max(1, 2*len(old.dir))), false
	for i := range old.dir {
		from := &old.dir[i]
		for at, v := range from.slots {
			hash := old.hashOf(from, at)
			t.at(hash).add(hash, v, at < int(from.alive))
		}
	}
}

// hashOf returns the hash under which an entry stands in a slot. One whose keys fall into one bucket stands there as
// often as keys were added, in the order of its keys: it may be grown between one key and the next.
func (t *table[T]) hashOf(b *bucket[T], slot int) (hash uint64) {
	v := b.slots[slot]
	before := 0
	for _, other := range b.slots[:slot] {
		if other == v {
			before++
		}
	}
	t.hashes(v, func(h uint64) {
		if t.at(h) != b {
			return
		}
		if before == 0 {
			hash = h
		}
		before--
	})
	return hash
}

// anyTag stands for a hash that was not noted: the entry has to be visited.
const anyTag = 0

func tagOf(hash uint64) uint8 { return max(uint8(hash>>tagShift), anyTag+1) }
