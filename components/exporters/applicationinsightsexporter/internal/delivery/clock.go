// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"sync"
	"time"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// ageMargin is how much older than the limit an item must be before it is not even sent: the clock of the endpoint is
// known to a second at best, and in between the endpoint itself decides.
const ageMargin = time.Minute

// serverClock is the clock of the endpoint, as far as it is known. It goes on by the monotonic clock of this machine, so
// that a step of the local clock does not move it.
type serverClock struct {
	mu     sync.Mutex
	known  bool
	server time.Time
	local  time.Time
	// reported is the skew that was reported last.
	reported time.Duration
}

// learn takes the Date of an answer that only the ingestion service can have made: a proxy or a login page on the way may
// have any clock. It returns the skew and true if that is news.
func (c *serverClock) learn(server, local time.Time, threshold time.Duration) (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known, c.server, c.local = true, server, local
	skew := c.skewLocked()
	if skew.Abs() < threshold {
		if c.reported == 0 {
			return 0, false
		}
		c.reported = 0
		return skew, true
	}
	if (skew - c.reported).Abs() < threshold {
		return 0, false
	}
	c.reported = skew
	return skew, true
}

func (c *serverClock) skewLocked() time.Duration {
	// Date has whole seconds, cut off.
	return c.server.Sub(c.local.Round(0)).Round(time.Second)
}

func (c *serverClock) skew() (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known {
		return 0, false
	}
	return c.skewLocked(), true
}

// oldest returns the time before which items are too old for certain, by both clocks; false if that of the endpoint is
// unknown. One answer with a wrong Date must not keep items from being sent: there would be no other answer to learn from.
func (c *serverClock) oldest(now time.Time) (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known {
		return time.Time{}, false
	}
	server := c.server.Add(now.Sub(c.local))
	if now.Before(server) {
		server = now
	}
	return server.Add(-ai.MaxItemAge - ageMargin), true
}
