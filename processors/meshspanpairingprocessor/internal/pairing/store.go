// SPDX-License-Identifier: Apache-2.0

package pairing

import (
	"encoding/binary"
	"hash/maphash"
	"sync/atomic"
	"time"
)

// Settings of a [Store].
type Settings struct {
	// Wait is how long a span waits for its partner; zero means not at all. MaxAge is how long one is remembered.
	Wait, MaxAge time.Duration
	// MaxEntries, MaxHeld and MaxBytes are the ceilings for what is remembered and for what waits.
	MaxEntries, MaxHeld, MaxBytes int64
}

// shardCount is far more than cores, so that two that work at a time rarely want the same shard. A power of two.
const shardCount = 256

// Store remembers spans. It is safe for concurrent use; each call locks one shard at a time.
type Store struct {
	settings Settings
	seed     maphash.Seed
	// epoch is the moment that times are counted from.
	epoch                    time.Time
	shards                   [shardCount]shard
	entries, held, heldBytes atomic.Int64
}

// NewStore returns an empty store. Settings are not checked.
func NewStore(settings Settings) *Store {
	s := &Store{settings: settings, seed: maphash.MakeSeed(), epoch: time.Now()}
	for i := range s.shards {
		s.shards[i].nodes = map[Key]*node{}
	}
	return s
}

// at returns a time as the nanoseconds since the store was made. A wall clock that is set back must not make spans wait.
func (s *Store) at(now time.Time) int64 { return int64(now.Sub(s.epoch)) }

// Entries, HeldSpans and HeldBytes say how much is remembered, and waits, now.
func (s *Store) Entries() int64 { return s.entries.Load() }

// HeldSpans is how many spans wait or have room reserved.
func (s *Store) HeldSpans() int64 { return s.held.Load() }

// HeldBytes is the size of what [Store.HeldSpans] counts.
func (s *Store) HeldBytes() int64 { return s.heldBytes.Load() }

// Reason says why a span that waited was let go, or why one could not wait.
type Reason uint8

// The reasons.
const (
	// Paired: another span told more about the call.
	Paired Reason = iota
	// Settled: another span came, and no further one can tell more.
	Settled
	// Waited: the wait was over.
	Waited
	// MaxHeldSpans, MaxHeldMiB and MaxEntries: a ceiling was reached.
	MaxHeldSpans
	MaxHeldMiB
	MaxEntries
	// Shutdown: everything was let go.
	Shutdown

	// ReasonCount is the number of reasons.
	ReasonCount
)

// Reasons are the words for them.
var Reasons = [ReasonCount]string{
	"paired", "settled", "waited", "max_held_spans", "max_held_mib", "max_entries", "shutdown",
}

// Released is a span that waits no more.
type Released struct {
	Payload any
	// Bytes is what [Held] says, zero for a span that was not held.
	Bytes int64
	// Own is what the span said, Now what is known.
	Own, Now State
}

// Batch collects what comes of calls of the store, so that it is handed on and counted once.
type Batch struct {
	Released []Released
	// Reasons counts what is in Released.
	Reasons [ReasonCount]int64
	// Unheld counts the spans that could not wait.
	Unheld [ReasonCount]int64
	// Conflicts counts spans, in the order of [ConflictNames].
	Conflicts [len(ConflictNames)]int64
	// Duplicates, Forgotten, Crowded and TooLong count spans: those that are remembered already, those forgotten at the
	// ceiling, those that too many others share their parent or id with, and those whose names are too long.
	Duplicates, Forgotten, Crowded, TooLong int64

	source, destination internedEnd
}

func (b *Batch) addConflicts(c conflicts) {
	for i := 0; c != 0; i, c = i+1, c>>1 {
		b.Conflicts[i] += int64(c & 1)
	}
}

// shardOf spreads traces; a sender that makes up ids must not choose the shard.
func (s *Store) shardOf(trace *TraceID) *shard {
	return &s.shards[maphash.Bytes(s.seed, trace[:])%shardCount]
}

// Hash returns a hash of the text, zero for none.
func (s *Store) Hash(text string) uint64 {
	if text == "" {
		return 0
	}
	return max(1, maphash.String(s.seed, text))
}

// Mix joins two hashes.
func (s *Store) Mix(a, b uint64) uint64 {
	var buf [16]byte
	binary.LittleEndian.PutUint64(buf[:8], a)
	binary.LittleEndian.PutUint64(buf[8:], b)
	return max(1, maphash.Bytes(s.seed, buf[:]))
}

// maxNames is how long all that a span says of its call may be, in bytes. No names of Kubernetes come near it, and what is
// remembered of a span must be small whatever a sender writes.
const maxNames = 8 << 10

// Add remembers a span and judges everyone concerned anew. It returns nil for a span that can have no partner.
func (s *Store) Add(f *Facts, now time.Time, b *Batch) *Entry {
	if !f.usable() {
		return nil
	}
	if f.Call.Size() > maxNames {
		b.TooLong++
		return nil
	}
	e := newEntry(f, b.stateOf(&f.Call))
	sh := s.shardOf(&f.Trace)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if known := sh.find(e); known != nil {
		b.Duplicates++
		return s.again(sh, known, e, b)
	}
	e.final = s.settings.Wait == 0
	e.expires = s.at(now.Add(s.settings.MaxAge))
	if s.entries.Add(1) > s.settings.MaxEntries && !s.forgetOldest(sh, b) {
		s.entries.Add(-1)
		e.gone = true
		b.Forgotten++
		return e
	}
	if !sh.link(e) {
		s.entries.Add(-1)
		e.gone = true
		b.Crowded++
		return e
	}
	sh.pushEntry(e)
	s.settle(sh, e, Settled, b)
	return e
}

// again returns the entry for another copy of a known span. The copies may say different things, as a topology learns
// between two deliveries: the new one counts, unless the old one still waits. Then the new one passes as it is.
func (s *Store) again(sh *shard, known, e *Entry, b *Batch) *Entry {
	switch {
	case known.own == e.own:
		return known
	case known.held != nil:
		e.gone = true
		return e
	}
	known.own = e.own
	s.settle(sh, known, Settled, b)
	return known
}

// forgetOldest makes room for one entry of the shard.
func (s *Store) forgetOldest(sh *shard, b *Batch) bool {
	if sh.oldest == nil {
		return false
	}
	b.Forgotten++
	s.forget(sh, sh.oldest, MaxEntries, b)
	return true
}

func (s *Store) forget(sh *shard, e *Entry, why Reason, b *Batch) {
	if e.held != nil {
		s.conclude(sh, e, why, b)
	}
	sh.unlink(e)
	sh.removeEntry(e)
	e.gone = true
	s.entries.Add(-1)
}

// conclude judges a span for the last time before it is handed on, and lets it go.
func (s *Store) conclude(sh *shard, e *Entry, why Reason, b *Batch) {
	if why == Waited {
		e.final = true
	}
	s.settle(sh, e, why, b)
	if e.held != nil {
		s.release(sh, e, why, b)
	}
}

// release lets all copies of a span go.
func (s *Store) release(sh *shard, e *Entry, why Reason, b *Batch) {
	for h := e.held; h != nil; h = h.sameEntry {
		sh.removeHeld(h)
		s.Unreserve(h.Bytes)
		b.Released = append(b.Released, Released{Payload: h.Payload, Bytes: h.Bytes, Own: e.own, Now: e.now})
		b.Reasons[why]++
	}
	e.held = nil
}

// Judge says what a span said and what is known now. wait is true if it should wait for a partner.
func (s *Store) Judge(e *Entry) (own, now State, wait bool) {
	sh := s.shardOf(&e.key.Trace)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return e.own, e.now, e.wants && !e.gone
}

// Reserve makes room for a span that is to wait, at the cost of the oldest ones of the shard. It reports false, and
// counts, if there is none.
func (s *Store) Reserve(e *Entry, bytes int64, b *Batch) bool {
	if bytes > s.settings.MaxBytes {
		b.Unheld[MaxHeldMiB]++
		return false
	}
	for {
		why, ok := s.reserve(bytes)
		if ok {
			return true
		}
		if !s.releaseOldest(e, why, b) {
			b.Unheld[why]++
			return false
		}
	}
}

func (s *Store) reserve(bytes int64) (why Reason, ok bool) {
	if s.held.Add(1) > s.settings.MaxHeld {
		s.held.Add(-1)
		return MaxHeldSpans, false
	}
	if s.heldBytes.Add(bytes) > s.settings.MaxBytes {
		s.Unreserve(bytes)
		return MaxHeldMiB, false
	}
	return 0, true
}

// Unreserve gives back what [Store.Reserve] took.
func (s *Store) Unreserve(bytes int64) {
	s.held.Add(-1)
	s.heldBytes.Add(-bytes)
}

func (s *Store) releaseOldest(e *Entry, why Reason, b *Batch) bool {
	sh := s.shardOf(&e.key.Trace)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.first == nil {
		return false
	}
	s.conclude(sh, sh.first.entry, why, b)
	return true
}

// Hold keeps a span, for which room was reserved, until there is a reason to let it go. That may be at once: its partner
// may have come in the meantime.
func (s *Store) Hold(e *Entry, h *Held, now time.Time, b *Batch) {
	sh := s.shardOf(&e.key.Trace)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	h.entry, h.deadline = e, s.at(now.Add(s.settings.Wait))
	h.sameEntry, e.held = e.held, h
	sh.pushHeld(h)
	switch {
	case e.gone:
		s.release(sh, e, MaxEntries, b)
	case !e.wants:
		why := Settled
		if e.now != e.own {
			why = Paired
		}
		s.release(sh, e, why, b)
	}
}

// Sweep lets go what waited until now, and forgets what is too old.
func (s *Store) Sweep(now time.Time, b *Batch) {
	at := s.at(now)
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for sh.first != nil && sh.first.deadline <= at {
			s.conclude(sh, sh.first.entry, Waited, b)
		}
		for sh.oldest != nil && sh.oldest.expires <= at {
			s.forget(sh, sh.oldest, Waited, b)
		}
		sh.mu.Unlock()
	}
}

// Drain lets everything go that waits.
func (s *Store) Drain(b *Batch) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for sh.first != nil {
			sh.first.entry.final = true
			s.conclude(sh, sh.first.entry, Shutdown, b)
		}
		sh.mu.Unlock()
	}
}
