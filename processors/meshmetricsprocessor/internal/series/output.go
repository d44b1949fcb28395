// SPDX-License-Identifier: Apache-2.0

package series

import (
	"sync"
	"sync/atomic"
)

// Key identifies a series by 128 bits of a seeded hash.
type Key struct{ Hi, Lo uint64 }

// Level says which labels a written series keeps.
type Level uint8

// The levels. What does not fit into one goes to the next.
const (
	Full     Level = iota // what the allow-list says
	Topology              // the labels of the topology alone
	Total                 // none
	Levels
)

const (
	shards      = 16
	outputBytes = 320 // an Output, its place in the table, and what pdata holds apart from attributes
)

// Output is a series that is written. Its label is the caller's.
type Output struct {
	Key   Key
	Level Level
	Kind  Kind
	Label any
	// counter is told what is added; nil for nobody.
	counter Counter

	mu sync.Mutex
	// open is what was added since it was taken last, sending what is on its way.
	open, sending total
	// from is the earliest time that open counts from, 0 if that is not known; end is until when all was taken.
	from, sentFrom, end int64
	refs                int
	used                uint32
	bytes               int64
}

// Watched is a label that has a counter, or nil.
type Watched interface{ Counter() Counter }

// Counter is told how much an output grew by, of a counter, or by how many of a histogram. It is asked by many at once and must
// be quick.
type Counter interface{ Grew(n float64) }

// total is an amount of which nothing is rounded away.
type total struct {
	count   uint64
	sum     Exact
	buckets []uint64
	dirty   bool
}

func (t *total) add(o *total) {
	t.count += o.count
	t.sum.Add(o.sum.Hi)
	t.sum.Add(o.sum.Lo)
	addBuckets(&t.buckets, o.buckets)
	t.dirty = t.dirty || o.dirty
}

func addBuckets(to *[]uint64, from []uint64) {
	if *to == nil && len(from) > 0 {
		*to = make([]uint64, len(from))
	}
	for i, n := range from {
		(*to)[i] += n
	}
}

func (t *total) clear() {
	t.count, t.sum, t.dirty = 0, Exact{}, false
	clear(t.buckets)
}

// add adds what now has more than before, of which either may be nil for nothing.
func (o *Output) add(now, before *Amount, from int64, epoch uint32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.used = epoch
	t := &o.open
	if !t.dirty || (from != 0 && from < o.from) {
		o.from = from
	}
	if before == nil {
		if now.Count == 0 && now.Sum == 0 {
			return
		}
		t.count += now.Count
		t.sum.Add(now.Sum)
		addBuckets(&t.buckets, now.Buckets)
		t.dirty = true
		if o.counter != nil {
			o.grew(now, &nothing)
		}
		return
	}
	if now.Count == before.Count && now.Sum == before.Sum {
		return
	}
	t.count += now.Count - before.Count
	t.sum.AddDifference(now.Sum, before.Sum)
	if t.buckets == nil && len(now.Buckets) > 0 {
		t.buckets = make([]uint64, len(now.Buckets))
	}
	for i, n := range now.Buckets {
		t.buckets[i] += n - before.Buckets[i]
	}
	t.dirty = true
	if o.counter != nil {
		o.grew(now, before)
	}
}

var nothing Amount

func (o *Output) grew(now, before *Amount) {
	if o.Kind == Float {
		o.counter.Grew(now.Sum - before.Sum)
	} else {
		o.counter.Grew(float64(now.Count - before.Count))
	}
}

// Taken is what an output has to tell. Buckets are valid until the output is settled.
type Taken struct {
	Amount
	// Start is 0 if it is not known.
	Start, Time int64
}

// Take returns what was added since, if there is anything, as of the time now. The output has to be settled before it is
// taken from again.
func (o *Output) Take(now int64) (Taken, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.open.dirty {
		return Taken{}, false
	}
	if o.Kind == Float && o.open.sum.Hi <= 0 {
		// Less than nothing can only be what rounding left; it stays.
		o.open.dirty = false
		return Taken{}, false
	}
	sum := o.open.sum.Take()
	rest := o.open.sum
	o.open.sum = Exact{Hi: sum}
	o.open, o.sending = o.sending, o.open
	// The rest of rounding stays here, whatever becomes of what is on its way.
	o.open.sum, o.open.dirty = rest, false
	o.sentFrom = o.from
	// Not before the end of what was told last; and not after now, whatever a sender's clock says.
	start := min(max(o.from, o.end), now)
	s := &o.sending
	return Taken{Amount: Amount{Count: s.count, Sum: sum, Buckets: s.buckets}, Start: start, Time: now}, true
}

// Settle says what became of what was taken: it is forgotten if it was accepted as of the time now, and otherwise goes
// with what is taken next.
func (o *Output) Settle(accepted bool, now int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if accepted {
		o.end = now
	} else {
		if !o.open.dirty || (o.sentFrom != 0 && o.sentFrom < o.from) {
			o.from = o.sentFrom
		}
		o.open.add(&o.sending)
	}
	o.sending.clear()
}

// Table holds the outputs.
type Table struct {
	limits [Levels]int64
	counts [Levels]atomic.Int64
	bytes  *atomic.Int64
	// freed grows when room was made in the first level, so that what overflowed asks again.
	freed atomic.Uint32
	// floor is the time until which all was taken before a restart, 0 for none.
	floor  int64
	shards [shards]struct {
		sync.Mutex
		m map[Key]*Output
	}
}

// newTable returns a table that has at most so many outputs of each level. What they take is added to bytes.
func newTable(limits [Levels]int, bytes *atomic.Int64) *Table {
	t := &Table{bytes: bytes}
	for l, n := range limits {
		t.limits[l] = int64(n)
	}
	for i := range t.shards {
		t.shards[i].m = map[Key]*Output{}
	}
	return t
}

// Get returns the output of that key, or opens one, of which label returns label and size in bytes. If the label is
// [Watched], its counter is told what is added. It returns nil if there is no room in the level.
func (t *Table) Get(key Key, level Level, kind Kind, epoch uint32, label func() (any, int)) *Output {
	shard := &t.shards[key.Lo%shards]
	shard.Lock()
	defer shard.Unlock()
	o := shard.m[key]
	if o == nil {
		if t.counts[level].Add(1) > t.limits[level] {
			t.counts[level].Add(-1)
			return nil
		}
		made, size := label()
		o = &Output{Key: key, Level: level, Kind: kind, Label: made, bytes: int64(size) + outputBytes, end: t.floor}
		if counter, ok := made.(Watched); ok {
			o.counter = counter.Counter()
		}
		t.bytes.Add(o.bytes)
		shard.m[key] = o
	}
	o.hold(epoch)
	return o
}

func (o *Output) hold(epoch uint32) {
	o.mu.Lock()
	o.refs++
	o.used = epoch
	o.mu.Unlock()
}

// release ends what Get began.
func (o *Output) release() {
	o.mu.Lock()
	o.refs--
	o.mu.Unlock()
}

// Count returns how many outputs a level has.
func (t *Table) Count(level Level) int64 { return t.counts[level].Load() }

// Outputs returns all outputs.
func (t *Table) Outputs() []*Output {
	var all []*Output
	for i := range t.shards {
		shard := &t.shards[i]
		shard.Lock()
		for _, o := range shard.m {
			all = append(all, o)
		}
		shard.Unlock()
	}
	return all
}

// expire forgets the outputs that no series adds to, that have nothing to tell, and that were not used since the epoch.
func (t *Table) expire(before uint32) {
	freed := false
	for i := range t.shards {
		shard := &t.shards[i]
		shard.Lock()
		for key, o := range shard.m {
			o.mu.Lock()
			idle := o.refs == 0 && !o.open.dirty && !o.sending.dirty && o.used < before
			o.mu.Unlock()
			if idle {
				delete(shard.m, key)
				t.bytes.Add(-o.bytes)
				t.counts[o.Level].Add(-1)
				freed = freed || o.Level == Full
			}
		}
		shard.Unlock()
	}
	if freed {
		t.freed.Add(1)
	}
}
