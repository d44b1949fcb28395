// SPDX-License-Identifier: Apache-2.0

// Package early says when what was added up should not wait for the end of the interval: calls of a service go where none of
// them went lately, or fail as none did. What is urgent is decided in rule.go, how often that may be heard in pace.go.
//
// A service is compared with itself: calls elsewhere are urgent only if it was called another way for a while, as a failover
// moves calls. So neither a start nor a new caller is urgent, nor what always crosses regions.
package early

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Key is a hash of 128 bits.
type Key struct{ Hi, Lo uint64 }

// Sign is what the labels of a written series say.
type Sign struct {
	// Service is who was called, as one reporter tells it. Way is from where to where; all failures are one.
	Service, Way Key
	Kind         Kind
}

// Table knows what is usual. The zero value is not ready, see [NewTable]. It has one [Watch] for each service, way and kind
// of the series that are written, so their ceiling is its ceiling.
type Table struct {
	mu       sync.Mutex
	services map[Key]*service
	watches  map[Sign]*Watch
	round    int
	// next is when the round ends, in nanoseconds since 1970.
	next atomic.Int64
	// urgent are what was reached since it was asked last, a bit for each kind and strength.
	urgent atomic.Uint32
	// reached is the first of these.
	reached atomic.Pointer[Watch]
}

// service is one that is called. first and second are the two ways that are known for longest.
type service struct{ first, second way }

type way struct {
	key   Key
	since int
	known bool
}

// Watch counts the calls of one service that go one way, or fail.
type Watch struct {
	table   *Table
	service *service
	sign    Sign
	// Text says for people what it is about.
	Text string
	// now are those of the round, limit is how many of them are urgent.
	now, limit atomic.Uint64
	strength   atomic.Uint32
	// told and toldBefore are how urgent what was reached in this round and the one before was. recent and before are the most
	// in a round, of those since it was looked back last and of those before. The table's lock holds them.
	told, toldBefore Strength
	recent, before   uint64
	// at is how many there were when it was told last.
	at uint64
}

// WatchBytes is what a watch takes, with its places in the table and apart from its text.
const WatchBytes = 328

// NewTable returns a table that begins to watch at the time now.
func NewTable(now time.Time) *Table {
	t := &Table{services: map[Key]*service{}, watches: map[Sign]*Watch{}}
	t.next.Store(now.Add(round).UnixNano())
	return t
}

// Get returns the watch of a sign. text says for people what it is about.
func (t *Table) Get(sign Sign, text string) *Watch {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := t.watches[sign]
	if w == nil {
		s := t.services[sign.Service]
		if s == nil {
			s = &service{}
			t.services[sign.Service] = s
		}
		s.see(sign.Way, t.round)
		w = &Watch{table: t, service: s, sign: sign}
		if sign.Kind != Usual {
			w.Text = text
		}
		t.watches[sign] = w
		w.setLimit()
	}
	return w
}

// see notes a way.
func (s *service) see(key Key, round int) {
	switch {
	case !s.first.known:
		s.first = way{key, round, true}
	case !s.second.known && s.first.key != key:
		s.second = way{key, round, true}
	}
}

// other says since when the service was called another way; a failure is compared with any.
func (w *Watch) other() (since int, ok bool) {
	s := w.service
	if w.sign.Kind == Failed || s.first.key != w.sign.Way {
		return s.first.since, s.first.known
	}
	return s.second.since, s.second.known
}

// Kind is what it counts.
func (w *Watch) Kind() Kind { return w.sign.Kind }

func (w *Watch) setLimit() {
	n, strength := limit(w.sign.Kind, max(w.recent, w.before), max(w.told, w.toldBefore), w.at)
	if since, ok := w.other(); !ok || w.table.round-since < settled {
		n, strength = never, Calm
	}
	w.strength.Store(uint32(strength))
	w.limit.Store(n)
}

// Grew says how many calls more there are. It may be called by many at once.
func (w *Watch) Grew(n float64) {
	if w.sign.Kind == Usual || !(n > 0) {
		return
	}
	if w.now.Add(uint64(math.Ceil(min(n, 1<<53)))) >= w.limit.Load() {
		w.table.reach(w)
	}
}

func (t *Table) reach(w *Watch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for n := w.now.Load(); n >= w.limit.Load(); {
		w.told, w.at = Strength(w.strength.Load()), n
		t.urgent.Or(bit(w.sign.Kind, w.told))
		t.reached.CompareAndSwap(nil, w)
		w.setLimit()
	}
}

func bit(kind Kind, strength Strength) uint32 {
	return 1 << (uint32(kind) + uint32(strength)*uint32(kinds))
}

// Urgent is what was reached.
type Urgent struct {
	Kind     Kind
	Strength Strength
	// Text is what it is about: the first, if there is more.
	Text string
}

// Waiting says whether something was reached since it was asked last.
func (t *Table) Waiting() bool { return t.urgent.Load() != 0 }

// Take returns what was reached since it was asked last: the most urgent, and what is elsewhere before what failed.
func (t *Table) Take() (u Urgent, ok bool) {
	if !t.Waiting() {
		return u, false
	}
	set := t.urgent.Swap(0)
	if w := t.reached.Swap(nil); w != nil {
		u.Text = w.Text
	}
	for _, u.Strength = range []Strength{Strong, Weak} {
		for _, u.Kind = range []Kind{Elsewhere, Failed} {
			if set&bit(u.Kind, u.Strength) != 0 {
				return u, true
			}
		}
	}
	return Urgent{}, false
}

// Turn ends rounds that are over.
func (t *Table) Turn(now time.Time) {
	at := now.UnixNano()
	if rest := t.next.Load() - at; rest > 0 && rest <= int64(round) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	// After a pause, or if the clock was set, all that was is long ago.
	for i := 0; at >= t.next.Load() && i < 2*lately; i++ {
		t.next.Add(int64(round))
		t.turn()
	}
	if rest := t.next.Load() - at; rest <= 0 || rest > int64(round) {
		t.next.Store(at + int64(round))
	}
}

func (t *Table) turn() {
	t.round++
	for _, w := range t.watches {
		w.recent = max(w.recent, w.now.Swap(0))
		w.told, w.toldBefore = Calm, w.told
		if t.round%lately == 0 {
			w.before, w.recent = w.recent, 0
		}
		w.setLimit()
	}
}

// Keep forgets all watches but these, which are those of the series that are written. Nobody may call Get meanwhile.
func (t *Table) Keep(used map[*Watch]struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	services := map[Key]struct{}{}
	for sign, w := range t.watches {
		if _, ok := used[w]; ok {
			services[sign.Service] = struct{}{}
			continue
		}
		delete(t.watches, sign)
	}
	for key := range t.services {
		if _, ok := services[key]; !ok {
			delete(t.services, key)
		}
	}
}

// Len returns how many watches there are.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.watches)
}
