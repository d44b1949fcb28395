// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// of returns the events of a phase and kind.
func of(events []Event, phase Phase, kind Kind) []Event {
	var out []Event
	for _, e := range events {
		if e.Phase == phase && e.Kind == kind {
			out = append(out, e)
		}
	}
	return out
}

func TestKilledServiceIsAFailoverInTime(t *testing.T) {
	for _, reporting := range []int{15, 60} {
		for name, see := range map[string][2]bool{"flags": {true, false}, "inventory": {false, true}, "both": {true, true}} {
			t.Run(fmt.Sprintf("%s every %d s", name, reporting), func(t *testing.T) {
				worst := time.Duration(0)
				for seed := range uint64(5) {
					s := newSim(t, seed, reporting)
					s.inventory = see[1]
					s.stray = 0
					s.run(15*time.Minute + time.Duration(seed*7)*time.Second)
					require.Empty(t, s.events)
					s.kill(see[0], west, "reviews")
					s.run(5 * time.Second)
					s.notice(west, "reviews")
					s.run(5 * time.Minute)
					started := of(s.events, Started, Failover)
					require.Len(t, started, 1, "seed %d: %+v", seed, s.events)
					e := started[0]
					worst = max(worst, e.Start.Sub(s.firstShifted["reviews"]))
					assert.Equal(t, "mesh.failover.started", e.Name())
					assert.Equal(t, west.Region, e.Caller)
					assert.Equal(t, svc("reviews"), e.Service)
					assert.Equal(t, west, e.From)
					assert.Equal(t, north, e.To)
					assert.Equal(t, Partial, e.Scope)
					assert.NotEmpty(t, e.Evidence)
					require.Len(t, s.detector.Active(), 1)
					assert.InDelta(t, 1, s.detector.Active()[0].Share, 0.01)
					assert.Len(t, s.detector.Active()[0].Callers, 3)
					s.heal(west, "reviews")
					s.run(10 * time.Minute)
					ended := of(s.events, Ended, Failover)
					require.Len(t, ended, 1)
					assert.Equal(t, "recovered", ended[0].Reason)
					assert.InDelta(t, 3*3*305, float64(ended[0].Moved), 3*3*70)
					require.Len(t, s.events, 2)
					require.Empty(t, s.detector.Active())
				}
				t.Logf("worst: %s", worst)
				assert.LessOrEqual(t, worst, time.Duration(reporting+5)*time.Second)
			})
		}
	}
}

func TestWholeRegion(t *testing.T) {
	s := newSim(t, 1, 15)
	s.run(15 * time.Minute)
	s.kill(true, west, s.services...)
	s.run(5 * time.Second)
	s.notice(west, s.services...)
	s.run(3 * time.Minute)
	active := s.detector.Active()
	require.Len(t, active, 3)
	for _, e := range active {
		assert.Equal(t, Whole, e.Scope, "%+v", e)
	}
	s.heal(west, "details")
	s.run(6 * time.Minute)
	require.Len(t, s.detector.Active(), 2)
	for _, e := range s.detector.Active() {
		assert.Equal(t, Partial, e.Scope)
	}
	assert.NotEmpty(t, of(s.events, Updated, Failover))
	s.heal(west, "reviews", "ratings")
	s.run(6 * time.Minute)
	assert.Empty(t, s.detector.Active())
	assert.Len(t, of(s.events, Started, Failover), 3)
	assert.Len(t, of(s.events, Ended, Failover), 3)
	assert.Empty(t, of(s.events, Started, Unexpected))
}

// A region dies with its gateway's callers: only the first service of the chain has callers left whose calls go elsewhere.
func TestWholeRegionWithItsCallers(t *testing.T) {
	s := newSim(t, 8, 15)
	s.run(15 * time.Minute)
	s.kill(true, west, s.services...)
	s.silent = map[string][]string{west.Region: {"reviews", "ratings"}}
	s.run(5 * time.Second)
	s.notice(west, s.services...)
	s.run(time.Minute)
	active := s.detector.Active()
	require.Len(t, active, 1)
	assert.Equal(t, Partial, active[0].Scope, "the others may answer")
	s.run(10 * time.Minute)
	active = s.detector.Active()
	require.Len(t, active, 1)
	assert.Equal(t, Whole, active[0].Scope, "nobody has heard of the others for long")
	assert.Len(t, of(s.events, Updated, Failover), 1)
}

// Two of four endpoints are gone: Envoy sends 30 of 100 calls elsewhere.
func TestPartOfTheCalls(t *testing.T) {
	s := newSim(t, 2, 15)
	s.run(15 * time.Minute)
	s.at["reviews"][west].healthy = 2
	s.at["reviews"][west].ejected = 1
	s.run(5 * time.Minute)
	active := s.detector.Active()
	require.Len(t, active, 1)
	assert.InDelta(t, 0.3, active[0].Share, 0.25)
	kinds := []string{}
	for _, e := range active[0].Evidence {
		kinds = append(kinds, e.Kind)
	}
	assert.Equal(t, []string{"endpoints_unhealthy", "outlier_ejections"}, kinds)
}

// Calls are routed elsewhere although all is well.
func TestShiftWithoutEvidenceIsUnexpected(t *testing.T) {
	s := newSim(t, 3, 15)
	s.run(15 * time.Minute)
	s.route["reviews@westeurope"] = map[Place]float64{north: 0.7, west: 0.3}
	s.run(10 * time.Minute)
	assert.Empty(t, of(s.events, Started, Failover))
	shifts := of(s.events, Started, Unexpected)
	require.Len(t, shifts, 1)
	assert.Equal(t, "mesh.shift.started", shifts[0].Name())
	assert.Empty(t, shifts[0].Evidence)
	// It turns out that the place has failed.
	s.at["reviews"][west].healthy = 0
	s.run(2 * time.Minute)
	ended := of(s.events, Ended, Unexpected)
	require.Len(t, ended, 1)
	assert.Equal(t, "evidence_found", ended[0].Reason)
	assert.Len(t, of(s.events, Started, Failover), 1)
	delete(s.route, "reviews@westeurope")
	s.heal(west, "reviews")
	s.run(10 * time.Minute)
	assert.Empty(t, s.detector.Active())
}

// Without an inventory nobody can tell that it was meant: an unexpected shift, no failover.
func TestScaleToZeroThatNobodyTold(t *testing.T) {
	s := newSim(t, 4, 15)
	s.inventory = false
	s.run(15 * time.Minute)
	d := s.at["reviews"][west]
	d.desired, d.total, d.healthy = 0, 0, 0
	s.run(10 * time.Minute)
	assert.Empty(t, of(s.events, Started, Failover))
	assert.Len(t, of(s.events, Started, Unexpected), 1)
}

func TestAFailoverInAQuietHour(t *testing.T) {
	s := newSim(t, 5, 60)
	s.rate = func(string) float64 { return 0.03 }
	s.stray = 0
	s.run(40 * time.Minute)
	require.Empty(t, s.events)
	s.kill(false, west, "reviews")
	s.run(10 * time.Minute)
	assert.Len(t, of(s.events, Started, Failover), 1)
	s.rate = func(string) float64 { return 0 }
	s.run(40 * time.Minute)
	ended := of(s.events, Ended, Failover)
	require.Len(t, ended, 1)
	assert.Equal(t, "no_traffic", ended[0].Reason)
}

func TestWhatStaysBecomesUsual(t *testing.T) {
	c := DefaultConfig()
	c.Accept = 20 * time.Minute
	s := newSim(t, 6, 15)
	var err error
	s.detector, err = New(c)
	require.NoError(t, err)
	s.run(15 * time.Minute)
	s.kill(true, west, "reviews")
	s.notice(west, "reviews")
	s.run(60 * time.Minute)
	ended := of(s.events, Ended, Failover)
	require.Len(t, ended, 1)
	assert.Equal(t, "accepted", ended[0].Reason)
	assert.Len(t, s.events, 2)
	s.heal(west, "reviews")
	s.run(20 * time.Minute)
	assert.Len(t, s.events, 2, "coming home is no failover")
}

func TestFailoverToAnotherClusterOfTheRegion(t *testing.T) {
	s := newSim(t, 7, 15)
	s.at["reviews"][west2] = &deployment{desired: 4, total: 4, healthy: 4, versions: []weighted{{"v1", 1}}}
	s.run(15 * time.Minute)
	s.at["reviews"][west].total, s.at["reviews"][west].healthy = 0, 0
	s.run(5 * time.Minute)
	active := s.detector.Active()
	require.Len(t, active, 1)
	assert.Equal(t, west, active[0].From)
	assert.Equal(t, west2, active[0].To)
	assert.Equal(t, "endpoints_gone", active[0].Evidence[0].Kind)
	assert.InDelta(t, 0.5, active[0].Share, 0.2)
}

func TestPairsHaveACeiling(t *testing.T) {
	c := DefaultConfig()
	c.MaxPairs, c.Expire = 2, time.Hour
	d, err := New(c)
	require.NoError(t, err)
	for i := range 5 {
		d.Step(&Observation{At: start, Flows: []Flow{{From: "r", Service: svc(strconv.Itoa(i)), To: west, Requests: 1}}})
	}
	watched, refused := d.Pairs()
	assert.Equal(t, 2, watched)
	assert.Equal(t, uint64(3), refused)
	d.Step(&Observation{At: start.Add(2 * time.Hour)})
	watched, _ = d.Pairs()
	assert.Zero(t, watched)
	assert.Empty(t, d.services)
}

func TestConfig(t *testing.T) {
	c := DefaultConfig()
	require.NoError(t, c.Validate())
	c = Config{MinShare: 2}
	err := c.Validate()
	for _, want := range []string{"min_share is 2", "early_share is 0", "learn is 0s", "max_pairs is 0", "accept is 0s"} {
		require.ErrorContains(t, err, want)
	}
	_, err = New(c)
	require.Error(t, err)
}

func TestEventAsJSON(t *testing.T) {
	e := Event{Phase: Started, Kind: Failover, Caller: "westeurope", Service: svc("reviews"), From: west, To: north, Start: start}
	out, err := json.Marshal(e)
	require.NoError(t, err)
	assert.NotContains(t, string(out), `"end"`)
	assert.Contains(t, string(out), `"requests_moved":0`)
}

func TestTail(t *testing.T) {
	// 1 - e^-0.24 (1 + 0.24 + 0.24²/2)
	assert.InDelta(t, 0.0019266, tail(3, 0.24), 1e-6)
	assert.InDelta(t, 1, tail(0, 5), 0)
	assert.InDelta(t, 0, tail(1000, 5), 1e-9)
	assert.InDelta(t, tail(250, 199.9), tail(250, 200.1), 3e-4, "both distributions agree where one takes over")
	assert.True(t, unusual(5, 0.001, 240))
	assert.False(t, unusual(3, 0.001, 240))
	assert.False(t, unusual(110, 0.1, 1000))
}
