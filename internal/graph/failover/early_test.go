// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Agents that report each minute, and early what is urgent: a failover is told as soon as it was scraped.
func TestEarlyReportsAreInTime(t *testing.T) {
	worst := time.Duration(0)
	for seed := range uint64(20) {
		s := newSim(t, seed, 60)
		s.early = true
		s.run(15*time.Minute + time.Duration(seed*7)*time.Second)
		require.Empty(t, s.events)
		s.stray = 0
		s.kill(true, west, "reviews")
		s.run(5 * time.Second)
		s.notice(west, "reviews")
		s.run(5 * time.Minute)
		started := of(s.events, Started, Failover)
		require.Len(t, started, 1, "seed %d: %+v", seed, s.events)
		worst = max(worst, started[0].Start.Sub(s.firstShifted["reviews"]))
		s.heal(west, "reviews")
		s.run(10 * time.Minute)
		ended := of(s.events, Ended, Failover)
		require.Len(t, ended, 1, "seed %d: %+v", seed, s.events)
		require.Len(t, s.events, 2)
	}
	t.Logf("worst: %s", worst)
	assert.LessOrEqual(t, worst, 2*scraping*time.Second+5*time.Second, "a scrape, and the gap")
}

// One agent of three reports early, of calls of its own that left the region for a moment, and the others in their time: its
// part looks worse than the whole, in a report that is shorter than usual.
func TestOneAgentThatIsEarlyIsNoFailover(t *testing.T) {
	for seed := range uint64(40) {
		s := newSim(t, seed, 60)
		s.early = true
		s.stray = 0
		s.run(15 * time.Minute)
		for range 30 {
			// Four calls in two seconds, and then nothing for a while: fewer than anybody would call a failover.
			one := s.agents[0]
			for range 4 {
				one.hold(&Flow{From: one.region, Caller: one.caller, Service: svc("reviews"), To: north, Version: "v1", Requests: 1})
			}
			s.run(time.Duration(60+s.random.IntN(60)) * time.Second)
		}
		require.Empty(t, s.events, "seed %d", seed)
	}
}
