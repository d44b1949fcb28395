// SPDX-License-Identifier: Apache-2.0

// Package throttle keeps senders from filling the log: [Throttle] lets the news about each of them through once in a
// while.
package throttle

import (
	"sync"
	"time"
)

// Throttle lets the news about each key through once in a period. It remembers a bounded number of keys; news about
// further ones is held back until others are forgotten. Safe for concurrent use.
type Throttle struct {
	period time.Duration
	most   int

	mu   sync.Mutex
	told map[string]time.Time
	// swept is when keys were last forgotten.
	swept time.Time
}

// New returns a throttle that remembers at most so many keys.
func New(period time.Duration, most int) *Throttle {
	return &Throttle{period: period, most: most, told: map[string]time.Time{}}
}

// Allow says whether to tell the news about the key now.
func (t *Throttle) Allow(key string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	last, known := t.told[key]
	if known && now.Sub(last) < t.period {
		return false
	}
	if !known && len(t.told) >= t.most && !t.forget(now) {
		return false
	}
	t.told[key] = now
	return true
}

// forget makes room. It walks all keys, so it does that only now and then.
func (t *Throttle) forget(now time.Time) bool {
	if now.Sub(t.swept) < t.period/8 {
		return false
	}
	t.swept = now
	for key, last := range t.told {
		if now.Sub(last) >= t.period {
			delete(t.told, key)
		}
	}
	return len(t.told) < t.most
}
