// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// reports are those of a minute: the agents of the callers tell all calls, and eight seconds later one of the west tells some that only
// the called side saw. So one interval has calls to the west alone, however they are spread.
type reports struct {
	steps
}

func newReports(t *testing.T) *reports {
	d, err := New(DefaultConfig())
	require.NoError(t, err)
	return &reports{steps: steps{t: t, d: d, at: start}}
}

func (r *reports) minute(toWest, toSecond, alone uint64) {
	r.tell(52*time.Second, toWest, toSecond)
	r.tell(8*time.Second, alone, 0)
}

func (r *reports) tell(after time.Duration, here, there uint64) {
	r.at = r.at.Add(after)
	o := &Observation{At: r.at, Endpoints: r.inventory}
	for place, n := range map[Place]uint64{west: here, west2: there} {
		if n > 0 {
			o.Flows = append(o.Flows, Flow{
				From: west.Region, Caller: "shop/web", Service: svc("ratings"), To: place, Version: "v1", Requests: n,
			})
		}
	}
	r.events = append(r.events, r.d.Step(o)...)
}

// joined is a mesh that a second cluster of the west joined a quarter of an hour ago.
func joined(t *testing.T) *reports {
	r := newReports(t)
	for range 20 {
		r.minute(600, 0, 60)
	}
	r.inventory = []Endpoints{
		{Service: svc("ratings"), Place: west, Total: 4, Healthy: 4, Desired: -1},
		{Service: svc("ratings"), Place: west2, Total: 4, Healthy: 4, Desired: -1, Since: r.at},
	}
	return r
}

// What an agent reports alone is not how all calls go: the reports between say that nothing moved.
func TestOneAgentsReportsAreNoShift(t *testing.T) {
	r := joined(t)
	for range 60 {
		r.minute(300, 360, 60)
	}
	assert.Empty(t, r.events)
}

// A shift between the same places is told once it has lasted, whatever the reports before it were like.
func TestAShiftBetweenClustersOfARegion(t *testing.T) {
	for _, before := range []int{9, 10, 11, 12, 13, 14, 30} {
		r := joined(t)
		for range before {
			r.minute(300, 360, 60)
		}
		require.Empty(t, r.events)
		for range 7 {
			r.minute(660, 0, 60)
		}
		require.Len(t, r.events, 1, before)
		e := r.events[0]
		assert.Equal(t, []any{Unexpected, west2, west}, []any{e.Kind, e.From, e.To})
	}
}

// What is told is which way all calls moved, not those that one agent reported alone.
func TestTheWayOfAllCallsIsTold(t *testing.T) {
	r := newReports(t)
	for range 30 {
		r.minute(330, 330, 0)
	}
	r.tell(time.Minute, 60, 0)
	for range 6 {
		r.minute(130, 530, 60)
	}
	require.Len(t, r.events, 1)
	e := r.events[0]
	assert.Equal(t, []any{Unexpected, west, west2}, []any{e.Kind, e.From, e.To})
	assert.LessOrEqual(t, e.Start.Sub(r.at), -time.Minute, "after three minutes, and a report")
}

// A suspicion outlives a restart: neither later nor of less.
func TestASuspicionIsKept(t *testing.T) {
	for _, tt := range []struct {
		name   string
		there  uint64 // of 660, in the greater reports
		events int
	}{{"of what is no shift", 360, 0}, {"of a shift", 0, 1}} {
		t.Run(tt.name, func(t *testing.T) {
			r := joined(t)
			for range 30 {
				r.minute(330, 330, 0)
			}
			r.tell(time.Minute, 60, 0)
			for range 3 {
				r.tell(52*time.Second, 660-tt.there, tt.there)
				raw, err := r.d.Encode()
				require.NoError(t, err)
				r.d, err = New(DefaultConfig())
				require.NoError(t, err)
				require.NoError(t, r.d.Restore(raw))
				r.tell(8*time.Second, 60, 0)
			}
			assert.Len(t, r.events, tt.events)
		})
	}
}

// A stray call that an agent reports alone is neither a shift that goes on, nor one that comes after a deployment.
func TestAStrayCallReportedAlone(t *testing.T) {
	t.Run("a failover ends", func(t *testing.T) {
		s := learned(t)
		require.Len(t, s.step(0, 1000, 20), 1)
		for range 8 {
			s.step(1000, 0, 0)
			s.step(0, 1, 0)
		}
		require.Len(t, s.events, 2)
		assert.Equal(t, "recovered", s.events[1].Reason)
	})
	t.Run("it goes on where there are few calls", func(t *testing.T) {
		s := learned(t)
		require.Len(t, s.step(0, 1000, 20), 1)
		for range 40 {
			assert.Empty(t, s.step(0, 1, 0))
		}
	})
	t.Run("a deployment", func(t *testing.T) {
		s := learned(t)
		e := Endpoints{Service: svc("reviews"), Place: west, Total: 4, New: 4, Desired: -1, Rollout: true, Replaced: true}
		s.inventory = []Endpoints{e}
		require.Len(t, s.step(0, 1000, 0), 1)
		e.Healthy, e.New, e.Rollout = 4, 0, false
		s.inventory = []Endpoints{e}
		for range 7 {
			s.step(500, 500, 0)
		}
		require.Len(t, s.events, 1)
		for range 4 {
			s.step(1000, 0, 0)
			s.step(0, 1, 0)
		}
		s.step(1000, 0, 0)
		require.Len(t, s.events, 2)
		assert.Equal(t, []any{Deployment, Ended, "recovered"}, []any{s.events[1].Kind, s.events[1].Phase, s.events[1].Reason})
	})
}
