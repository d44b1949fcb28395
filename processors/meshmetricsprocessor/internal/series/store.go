// SPDX-License-Identifier: Apache-2.0

package series

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// What a remembered series takes, with its place in the map; a histogram takes its counts on top.
	stateBytes    = 168
	instanceBytes = 256
	// Clocks and rounding: what begins that much earlier than what was there may be the same.
	tolerance = int64(2 * time.Second)
	// How long before a restart a process may have begun of which nothing was known then: discovery, and a scrape interval.
	young = int64(2 * time.Minute)
)

// Limits are the ceilings of a store.
type Limits struct {
	// Outputs are the most written series of each level.
	Outputs [Levels]int
	// Bytes is the most that series and outputs may take, as estimated. Series beyond it are not remembered.
	Bytes int64
	// PerInstance is the most series of one process.
	PerInstance int
	// Staleness is in epochs how long a series without a point is remembered.
	Staleness uint32
	// Late is in nanoseconds how much older than the newest point of its process one may be whose series is not known.
	Late int64
}

// Store holds the series of all processes.
type Store struct {
	limits Limits
	// Table holds the series that are written.
	Table *Table
	// Recent are the deltas that came lately. They take a quarter of Bytes at most, on top of it.
	Recent Recent
	// whole is the time since which nothing was forgotten: when the store began, or the latest time of a series that it
	// forgot. What began after that began while it watched.
	whole atomic.Int64
	// saved is when what was restored was written, 0 if nothing was.
	saved  int64
	bytes  atomic.Int64
	series atomic.Int64
	epoch  atomic.Uint32
	shards [shards]struct {
		sync.Mutex
		m map[Key]*instance
	}
}

// instance is a process that reports: a proxy.
type instance struct {
	// last is the time of the latest point.
	last int64
	// scrape is the time of the latest scrape of which all series are remembered, 0 for none: a series that is not known
	// was not there then.
	scrape int64
	// process is when the process began, as it says, pod is which one it is, or nothing.
	process int64
	pod     Key
	// generation grows when it becomes another process, changed is since when its points are of that one.
	generation uint32
	changed    int64
	series     map[Key]*state
	// restored says that what is known is from before a restart, and no whole scrape has come since; unseen is of how many
	// of these series no point has come.
	restored bool
	unseen   int
}

// state is what is known of a series.
type state struct {
	out  *Output
	want Key
	last Amount
	// start is 0 if it is not known.
	start, time int64
	generation  uint32
	seen        uint32
	// freed is the table's when the series overflowed.
	freed uint32
	// gone is the time as of which the process did not have it any more, 0 for none.
	gone int64
	kind Kind
	// restored says that no point has come since a restart.
	restored bool
}

// NewStore returns an empty store that watches from the time began, in nanoseconds since 1970.
func NewStore(limits Limits, began int64) *Store {
	s := &Store{limits: limits}
	s.Recent.most = int(max(1, limits.Bytes/(2*recentShare*recentBytes)))
	s.whole.Store(began)
	s.Table = newTable(limits.Outputs, &s.bytes)
	for i := range s.shards {
		s.shards[i].m = map[Key]*instance{}
	}
	return s
}

// Bytes returns what the store takes, as estimated.
func (s *Store) Bytes() int64 { return s.bytes.Load() + s.Recent.Bytes() }

// Series returns how many series are remembered.
func (s *Store) Series() int64 { return s.series.Load() }

// Visitor is what a batch says of the process that it comes from.
type Visitor struct {
	Instance Key
	// Scraped says that a batch has all series that the process has, so that one which is not there does not exist.
	Scraped bool
	// Time is that of the points, in nanoseconds since 1970.
	Time int64
	// Process is when the process began, as it says; in nanoseconds since 1970, at most a second too late; 0 if unknown.
	Process int64
	// Pod is which process it is, if anything tells; a process that follows at the same address has another one.
	Pod Key
}

// Visit is a batch of one process under way. It has to be ended.
type Visit struct {
	store   *Store
	in      *instance
	key     Key
	scraped bool
	// scrape and last are what the process had before this batch, 0 for nothing.
	scrape, last int64
	// dropped says that not all series of this batch are remembered, alive that one of them is.
	dropped, alive bool
	// time is the latest of this batch.
	time  int64
	gone  []*state
	fresh []fresh
	shard int
}

// Begin begins a batch. Batches of one process wait for each other.
func (s *Store) Begin(from Visitor) *Visit {
	shard := int(from.Instance.Lo % shards)
	if from.Time != 0 {
		// A process is not younger than its points.
		from.Process = min(from.Process, from.Time)
	}
	s.shards[shard].Lock()
	in := s.shards[shard].m[from.Instance]
	v := &Visit{store: s, in: in, key: from.Instance, scraped: from.Scraped, shard: shard}
	if in == nil {
		// It is kept at its first series.
		v.in = &instance{process: from.Process, pod: from.Pod, generation: 1, changed: from.Process}
		return v
	}
	v.scrape, v.last = in.scrape, in.last
	if from.Pod != (Key{}) {
		// A batch that comes late is of the process that was there before.
		if in.pod != (Key{}) && in.pod != from.Pod && from.Time > in.last {
			in.change(from.Time)
			in.pod = from.Pod
		} else if in.pod == (Key{}) {
			in.pod = from.Pod
		}
	}
	// What says when it began may be a second too late each time.
	if from.Process > in.process+tolerance && from.Process-tolerance/2 > in.last {
		in.change(from.Process)
		in.process = from.Process
	} else if in.process == 0 {
		in.process, in.changed = from.Process, max(in.changed, from.Process)
	}
	return v
}

func (in *instance) change(now int64) {
	in.generation++
	in.changed = now
}

// End ends the batch. It returns how many first points, said to be [Baseline], counted from zero after all.
func (v *Visit) End() (fromZero int64) {
	newer := v.time > v.last
	if v.scraped {
		newer = v.time > v.scrape
	}
	if v.in.restored && v.alive && newer {
		fromZero = v.settleFresh()
	}
	if v.alive {
		// The process is there and these series are not: should they come back, they begin anew.
		for _, s := range v.gone {
			if v.scraped && v.time > s.time {
				s.gone = v.time
			}
		}
		if v.scraped && !v.dropped {
			v.in.scrape = max(v.in.scrape, v.time)
		}
	}
	v.store.shards[v.shard].Unlock()
	return fromZero
}

// Add adds what is new in a reading to the output that find returns; find is called if the output is not known or the
// series has got other labels. Add returns the level of the output that something was added to.
func (v *Visit) Add(key, want Key, r *Reading, find func() *Output) (Outcome, Level) {
	outcome, to := v.add(key, want, r, find)
	v.dropped = v.dropped || outcome.Dropped()
	if to == nil {
		return outcome, Full
	}
	return outcome, to.Level
}

// Drop says that the batch has a reading that could not be read.
func (v *Visit) Drop() { v.dropped = true }

func (v *Visit) add(key, want Key, r *Reading, find func() *Output) (Outcome, *Output) {
	s := v.in.series[key]
	if s != nil {
		s.seen = v.store.epoch.Load()
		if s.restored {
			s.restored = false
			v.in.unseen--
		}
	}
	if r.Gone {
		if s != nil {
			v.gone = append(v.gone, s)
		}
		return Ended, nil
	}
	if bad, ok := r.check(); !ok {
		return bad, nil
	}
	if !r.Cumulative {
		return v.store.addDelta(r, find)
	}
	if s != nil && len(s.last.Buckets) != len(r.Buckets) {
		// The bounds are part of the identity, so no store wrote this.
		s.last.Buckets = slices.Clone(r.Buckets)
	}
	v.alive, v.time = true, max(v.time, r.Time)
	switch {
	case s != nil && r.Time <= s.time:
		return Repeated, nil
	case s != nil && s.start != 0 && r.Start != 0 && r.Start < s.start-tolerance && fell(&s.last, &r.Amount, r.Kind):
		return Overlapping, nil
	case s == nil && v.last != 0 && r.Time < v.last-v.store.limits.Late:
		return Repeated, nil
	}
	var outcome Outcome
	if s, outcome = v.place(s, key, want, r, find); s == nil {
		return outcome, nil
	}
	return v.advance(s, r, outcome), s.out
}

func (s *Store) addDelta(r *Reading, find func() *Output) (Outcome, *Output) {
	o := find()
	if o == nil {
		return NoRoom, nil
	}
	o.add(&r.Amount, nil, r.Start, s.epoch.Load())
	o.release()
	return Counted, o
}

// place returns the series' state with its output, and for a new one Baseline.
func (v *Visit) place(s *state, key, want Key, r *Reading, find func() *Output) (*state, Outcome) {
	if s != nil {
		if s.out == nil || s.want != want || (s.out.Level != Full && s.freed != v.store.Table.freed.Load()) {
			freed := v.store.Table.freed.Load()
			o := find()
			if o == nil {
				return nil, NoRoom
			}
			if s.out != nil {
				s.out.release()
			}
			s.out, s.want, s.freed = o, want, freed
		}
		return s, Counted
	}
	size := stateBytes + 8*int64(len(r.Buckets))
	if len(v.in.series) >= v.store.limits.PerInstance {
		return nil, InstanceFull
	}
	if v.in.series == nil {
		size += instanceBytes
	}
	if v.store.bytes.Add(size) > v.store.limits.Bytes {
		v.store.bytes.Add(-size)
		return nil, StateFull
	}
	freed := v.store.Table.freed.Load()
	o := find()
	if o == nil {
		v.store.bytes.Add(-size)
		return nil, NoRoom
	}
	if v.in.series == nil {
		v.in.series = map[Key]*state{}
		v.store.shards[v.shard].m[v.key] = v.in
	}
	s = &state{out: o, want: want, freed: freed, generation: v.in.generation, kind: r.Kind}
	if r.Time < v.in.changed {
		// It comes late, from the process that was there before.
		s.generation--
	}
	if len(r.Buckets) > 0 {
		s.last.Buckets = make([]uint64, len(r.Buckets))
	}
	v.in.series[key] = s
	v.store.series.Add(1)
	return s, Baseline
}

// advance adds what is new, and remembers the reading.
func (v *Visit) advance(s *state, r *Reading, outcome Outcome) Outcome {
	epoch := v.store.epoch.Load()
	s.convert(r.Kind)
	switch {
	case outcome == Baseline:
		switch began, sure := v.beginsWhileWatched(r); {
		case began && !sure:
			v.fresh = append(v.fresh, fresh{s, v.zeroAt(r)})
		case began:
			outcome = FromZero
			s.out.add(&r.Amount, nil, v.zeroAt(r), epoch)
		}
	case (s.gone != 0 && r.Time > s.gone) || (s.generation != v.in.generation && r.Time >= v.in.changed) ||
		(s.start != 0 && r.Start > s.start && r.Start >= s.time) || fell(&s.last, &r.Amount, r.Kind):
		outcome = Reset
		s.out.add(&r.Amount, nil, max(s.time, r.Start), epoch)
		s.start = 0
	default:
		s.out.add(&r.Amount, &s.last, s.time, epoch)
	}
	if s.start == 0 || (r.Start != 0 && r.Start < s.start) {
		s.start = r.Start
	}
	if r.Time > s.gone {
		s.gone = 0
	}
	if r.Time >= v.in.changed {
		s.generation = v.in.generation
	}
	s.time, s.seen = r.Time, epoch
	s.last.Count, s.last.Sum = r.Count, r.Sum
	copy(s.last.Buckets, r.Buckets)
	v.in.last = max(v.in.last, r.Time)
	return outcome
}

// convert makes a float of a whole number or the reverse, as a sender that changes between them does.
func (s *state) convert(kind Kind) {
	switch {
	case s.kind == kind:
	case kind == Float:
		s.last.Sum, s.last.Count = float64(s.last.Count), 0
	case kind == Int:
		s.last.Count, s.last.Sum = uint64(max(s.last.Sum, 0)), 0
	}
	s.kind = kind
}

// fell says that a cumulative value is less than it was, which it can only be if it began anew.
func fell(before, now *Amount, kind Kind) bool {
	switch kind {
	case Int:
		return now.Count < before.Count
	case Float:
		return now.Sum < before.Sum
	}
	if now.Count < before.Count {
		return true
	}
	for i, n := range now.Buckets {
		if n < before.Buckets[i] {
			return true
		}
	}
	return false
}
