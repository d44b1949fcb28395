// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"sync"
	"time"
)

// throttle lets the news about each key through once in a period. It remembers a bounded number of keys; news about
// further ones is held back until others are forgotten. Safe for concurrent use.
type throttle[K comparable] struct {
	period time.Duration
	most   int

	mu   sync.Mutex
	told map[K]time.Time
	// swept is when keys were last forgotten.
	swept time.Time
}

func newThrottle[K comparable](period time.Duration, most int) *throttle[K] {
	return &throttle[K]{period: period, most: most, told: map[K]time.Time{}}
}

// allow says whether to tell the news about the key now.
func (t *throttle[K]) allow(key K, now time.Time) bool {
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

// forget makes room by dropping what is older than a period. It walks all keys, so it does that only now and then.
func (t *throttle[K]) forget(now time.Time) bool {
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
