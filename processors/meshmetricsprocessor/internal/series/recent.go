// SPDX-License-Identifier: Apache-2.0

package series

import "sync"

const (
	recentBytes = 48
	// recentShare is the part of the store's ceiling that recent deltas may take: one in so many.
	recentShare = 4
)

// Recent knows the deltas that came lately, so that one which a sender repeats does not count twice.
type Recent struct {
	mu   sync.Mutex
	most int
	// now and before are two generations; early counts those that began as there was no room.
	now, before map[Key]struct{}
	early       int64
}

// Add says whether a delta was there already, and remembers it.
func (r *Recent) Add(k Key) (again bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, again = r.now[k]; again {
		return true
	}
	if _, again = r.before[k]; again {
		return true
	}
	if len(r.now) >= r.most {
		r.early++
		r.turn()
	}
	if r.now == nil {
		r.now = map[Key]struct{}{}
	}
	r.now[k] = struct{}{}
	return false
}

// Turn forgets what came before the turn before. It returns how often room was made earlier than that.
func (r *Recent) Turn() (early int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn()
	early, r.early = r.early, 0
	return early
}

func (r *Recent) turn() { r.before, r.now = r.now, nil }

// Bytes is what it takes, as estimated.
func (r *Recent) Bytes() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return recentBytes * int64(len(r.now)+len(r.before))
}
