// SPDX-License-Identifier: Apache-2.0

package items

import (
	"slices"
	"time"
)

// entryBytes is what an item takes in memory beside its text.
const entryBytes = 32

// MemoryBytes returns what the batch takes in memory: the texts and what is known beside them.
func (b *Batch) MemoryBytes() int { return len(b.text) + entryBytes*len(b.entries) }

// Join appends the items of o to b, which then is as old as the older one. Items may be refused for lack of room, as in
// [Batch.Append]; callers that must not lose any ask [Batch.Fits] before. o does not change.
func (b *Batch) Join(o *Batch) {
	if !b.Fits(o) {
		for i := range o.entries {
			b.Append(o.Item(i))
		}
	} else {
		shift := uint32(len(b.text))
		b.text = append(b.text, o.text...)
		b.entries = slices.Grow(b.entries, len(o.entries))
		for _, e := range o.entries {
			e.end += shift
			b.entries = append(b.entries, e)
		}
		b.sources += o.sources
	}
	b.overflowed += o.overflowed
	b.accepted = older(b.accepted, o.accepted)
}

// Fits says whether all items of o have room in b.
func (b *Batch) Fits(o *Batch) bool { return len(b.text)+len(o.text) <= MaxText }

func older(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Slice returns a batch of the items from index from up to, not including, index to. It shares the texts with b.
func (b *Batch) Slice(from, to int) *Batch {
	s := &Batch{accepted: b.accepted}
	if from >= to {
		return s
	}
	start, end := b.start(from), b.entries[to-1].end
	// The capacity ends with the text, so that growing the slice never writes over what follows.
	s.text = b.text[start:end:end]
	s.entries = slices.Clone(b.entries[from:to])
	for i := range s.entries {
		s.entries[i].end -= start
		if !s.entries[i].derived {
			s.sources++
		}
	}
	return s
}

// Derive marks every item as derived, so that a source that was counted before is not counted again.
func (b *Batch) Derive() {
	for i := range b.entries {
		b.entries[i].derived = true
	}
	b.sources = 0
}

// SplitItems cuts the batch into parts of at most limit sources each, all but the last of exactly that many. An item that
// is derived stays with the one before it. A limit below 1 cuts nothing.
func (b *Batch) SplitItems(limit int) []*Batch {
	if limit < 1 || b.sources <= limit {
		return []*Batch{b}
	}
	parts := make([]*Batch, 0, b.sources/limit+1)
	from, count := 0, 0
	for i := range b.entries {
		if b.entries[i].derived {
			continue
		}
		if count == limit {
			parts = append(parts, b.Slice(from, i))
			from, count = i, 0
		}
		count++
	}
	return append(parts, b.Slice(from, len(b.entries)))
}

// SplitBytes cuts the batch into parts of at most limit bytes of memory each; see [Batch.MemoryBytes]. An item that is
// larger makes a part of its own. No part is smaller than the last one, as far as items can be cut apart: who collects
// parts until they are large enough looks at the last one only. A limit below 1 cuts nothing.
func (b *Batch) SplitBytes(limit int) []*Batch {
	if limit < 1 || b.MemoryBytes() <= limit {
		return []*Batch{b}
	}
	var cuts []int
	size, least := 0, limit
	for i := range b.entries {
		n := b.itemBytes(i)
		if size > 0 && size+n > limit {
			cuts = append(cuts, i)
			least = min(least, size)
			size = 0
		}
		size += n
	}
	last := 0
	if len(cuts) > 0 {
		last = cuts[len(cuts)-1]
	}
	if cut := b.cutTail(last, size, least); cut > last {
		cuts = append(cuts, cut)
	}
	parts := make([]*Batch, 0, len(cuts)+1)
	from := 0
	for _, cut := range cuts {
		parts = append(parts, b.Slice(from, cut))
		from = cut
	}
	return append(parts, b.Slice(from, len(b.entries)))
}

// cutTail returns where to cut the last part, which starts at from and has size bytes, so that what follows the cut is no
// larger than least and than what precedes it; from if it is small enough.
func (b *Batch) cutTail(from, size, least int) int {
	if from == 0 || size <= least {
		return from
	}
	rest := 0
	for i := len(b.entries) - 1; i > from; i-- {
		n := b.itemBytes(i)
		if rest+n > min(least, size-rest-n) && rest > 0 {
			return i + 1
		}
		rest += n
	}
	return from + 1
}

func (b *Batch) itemBytes(i int) int {
	return int(b.entries[i].end-b.start(i)) + entryBytes
}
