// SPDX-License-Identifier: Apache-2.0

// Package pairs remembers for a while which spans were seen, so that of two spans which describe one call the second
// to arrive is known to be the second. See [Memory].
package pairs

import (
	"encoding/binary"
	"math/bits"
	"sync"
	"time"
)

// Key names one span of a pair: the trace and the span id that both sides of the pair agree on, and the pod that they
// are both of.
type Key struct {
	Trace [16]byte
	Span  [8]byte
	// Pod is a hash of the pod's name. Of two spans whose ids agree, it tells whether they belong to one end of a call;
	// it does not have to tell pods apart beyond that.
	Pod  uint64
	Role Role
}

// Role says which pair a key is about: one span id may be part of a pair at the client and of one at the server.
type Role uint8

// The roles. The zero value is not used, so that an empty entry fits no key.
const (
	Client Role = iota + 1
	Server
)

const (
	ways   = 8
	shards = 64
	// MinSize and MaxSize bound what [New] takes: 48 bytes a key.
	MinSize = ways * shards
	MaxSize = 1 << 22
)

type entry struct {
	key  Key
	seen time.Duration
}

// Memory holds a fixed number of keys for a time. Its memory is allocated once; a look-up and an addition cost a lock
// of one 64th of it and at most eight comparisons. Whole ids are compared, so that it never confuses two spans. It is
// safe for concurrent use.
type Memory struct {
	ttl   time.Duration
	sets  [][ways]entry
	shift int
	locks [shards]sync.Mutex
}

// New returns a memory of at least size keys ([MinSize] to [MaxSize], rounded up to a power of two), each of which is
// kept for ttl.
func New(size int, ttl time.Duration) *Memory {
	size = min(max(size, MinSize), MaxSize)
	log := bits.Len(uint(size-1)) - bits.Len(ways-1)
	return &Memory{ttl: ttl, sets: make([][ways]entry, 1<<log), shift: 64 - log}
}

// Add remembers a key as of now, a time on a clock of the caller's own choice that does not run backwards. It reports
// true if another key had to be forgotten before its time.
func (m *Memory) Add(key Key, now time.Duration) (forgot bool) {
	i := m.set(key)
	lock := &m.locks[i%shards]
	lock.Lock()
	defer lock.Unlock()
	set := &m.sets[i]
	oldest := 0
	for w := range set {
		e := &set[w]
		if e.key == key {
			e.seen = now
			return false
		}
		if e.key.Role == 0 {
			*e = entry{key, now}
			return false
		}
		if e.seen < set[oldest].seen {
			oldest = w
		}
	}
	forgot = now-set[oldest].seen <= m.ttl
	set[oldest] = entry{key, now}
	return forgot
}

// Has reports whether a key was added at most the memory's time ago.
func (m *Memory) Has(key Key, now time.Duration) bool {
	if key.Role == 0 {
		return false // it equals an empty entry
	}
	i := m.set(key)
	lock := &m.locks[i%shards]
	lock.Lock()
	defer lock.Unlock()
	for w := range m.sets[i] {
		if e := &m.sets[i][w]; e.key == key {
			return now-e.seen <= m.ttl
		}
	}
	return false
}

// set picks a key's set. Span ids are random, but nothing makes a sender choose them so; mixing spreads counters too.
func (m *Memory) set(key Key) uint64 {
	h := binary.LittleEndian.Uint64(key.Span[:]) ^ bits.RotateLeft64(binary.LittleEndian.Uint64(key.Trace[8:]), 23)
	return (h ^ uint64(key.Role)) * 0x9E3779B97F4A7C15 >> m.shift
}
