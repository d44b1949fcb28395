// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// randomFault is one of the faults that the local endpoint can script, but for those that hang.
func randomFault(random *rand.Rand, s *ingestiontest.Server) ingestiontest.Fault {
	statuses := []int{400, 401, 402, 403, 404, 408, 413, 429, 439, 503}
	storing := []int{500, 502, 504, 206, 202}
	itemStatuses := []int{400, 401, 403, 408, 429, 439, 500, 502, 503, 504, 206}
	some := func() (indexes []int) {
		for i := range 30 {
			if random.IntN(3) == 0 {
				indexes = append(indexes, i)
			}
		}
		return indexes
	}
	switch random.IntN(9) {
	case 0:
		return ingestiontest.Fault{
			Kind: ingestiontest.FaultStatus, Status: statuses[random.IntN(len(statuses))],
			RetryAfter: time.Duration(random.IntN(100)) * time.Second, RetryAfterDate: random.IntN(2) == 0,
		}
	case 1:
		return ingestiontest.Fault{Kind: ingestiontest.FaultStatus, Status: storing[random.IntN(len(storing))], Store: true}
	case 2:
		return ingestiontest.Fault{Kind: ingestiontest.FaultClose, Store: random.IntN(2) == 0}
	case 3:
		return ingestiontest.Fault{Kind: ingestiontest.FaultTruncate, Status: []int{200, 206}[random.IntN(2)]}
	case 4:
		return ingestiontest.Fault{Kind: ingestiontest.FaultBadIndex, Indexes: [][]int{nil, {-1}, {0, 1 << 20}, {1 << 30}}[random.IntN(4)]}
	case 5, 6:
		return ingestiontest.Fault{Kind: ingestiontest.FaultItems, ItemStatus: itemStatuses[random.IntN(len(itemStatuses))], Indexes: some()}
	case 7:
		return ingestiontest.Fault{Kind: ingestiontest.FaultRedirect, Location: s.URL() + "/v2/track", MaxAge: time.Minute}
	default:
		return ingestiontest.Fault{Kind: ingestiontest.FaultPoison, Match: "n0000", Whole: random.IntN(2) == 0}
	}
}

// TestLedger scripts faults at random and sends until nothing is left: each item is stored, sampled out or dead, and only
// items that were counted as uncertain are stored twice.
func TestLedger(t *testing.T) {
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 7))
		s := endpoint(t, ingestiontest.Config{MaxBodyBytes: int64(64<<10 + random.IntN(64<<10))})
		r := newRig(t, s.URL(), func(s *Settings) { s.MaxItems = 1 + random.IntN(100) })
		for range 30 {
			require.NoError(t, s.Fault(randomFault(random, s)))
		}
		const n = 200
		b := batch(n)
		var accepted, dead, sampled, uncertain, attempts int
		for ; b.Len() > 0; attempts++ {
			require.Less(t, attempts, 500)
			got := r.send(b)
			accepted, sampled, dead, uncertain = accepted+got.Accepted, sampled+got.SampledOut, dead+len(got.Dead), uncertain+got.Uncertain
			b = b.Pick(got.Left)
			r.clock.advance(got.Delay)
		}
		require.Equal(t, n, accepted+sampled+dead)
		stored := map[string]int{}
		for _, item := range s.Items(ingestiontest.Filter{}) {
			stored[item.ID]++
		}
		duplicates := 0
		for _, count := range stored {
			duplicates += count - 1
		}
		// An item that is uncertain may be stored and then sampled out, or found dead, when it is sent again.
		assert.LessOrEqual(t, accepted, len(stored), "seed %d: told accepted but not stored", seed)
		assert.GreaterOrEqual(t, len(stored)+sampled+dead, n, "seed %d: lost", seed)
		assert.LessOrEqual(t, duplicates, uncertain, "seed %d", seed)
		assert.Equal(t, accepted, r.observer.accepted[1])
	}
}

// TestDecideOnce shows that a fate stays as it is.
func TestDecideOnce(t *testing.T) {
	dest, _ := stubRig(t, newClock().Now, nil)
	b := batch(2)
	a := newAttempt(t.Context(), dest.Sender(nil), b)
	assert.True(t, a.decide(0, fateAccepted))
	assert.False(t, a.decide(0, fateLeft))
	a.bury(0, ReasonInvalid, 400, "")
	a.leave(0, CauseItem)
	got := a.finish()
	checkResult(t, b, got)
	assert.Equal(t, "accepted 1, sampled out 0, left [1], uncertain 0", short(got))
	assert.Equal(t, CauseInternal, causeOf(t, got), "nobody said why")
}
