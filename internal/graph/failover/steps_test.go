// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// steps hands observations to a detector by hand.
type steps struct {
	t      *testing.T
	d      *Detector
	at     time.Time
	events []Event
	// inventory and pending are what is known of endpoints, and expected.
	inventory []Endpoints
	pending   []string
}

// learned is a detector that has seen all calls go to the west for a quarter of an hour.
func learned(t *testing.T) *steps {
	d, err := New(DefaultConfig())
	require.NoError(t, err)
	s := &steps{t: t, d: d, at: start}
	for range 60 {
		s.step(1000, 0, 0)
	}
	require.Empty(t, s.events)
	return s
}

// step is 15 seconds in which some calls are answered in the west, some in the north, and some have a flag.
func (s *steps) step(west1, north1, flagged uint64) []Event {
	s.at = s.at.Add(15 * time.Second)
	o := &Observation{At: s.at, Endpoints: s.inventory, Pending: s.pending}
	for place, n := range map[Place]uint64{west: west1, north: north1} {
		if n > 0 {
			o.Flows = append(o.Flows, Flow{
				From: "westeurope", Caller: "shop/web", Service: svc("reviews"), To: place, Version: "v1", Requests: n,
			})
		}
	}
	if flagged > 0 {
		o.Flows = append(o.Flows, Flow{
			From: "westeurope", Caller: "shop/web", Service: svc("reviews"), Requests: flagged, Errors: flagged,
			Flagged: flagged, Flags: []string{"UH"},
		})
	}
	events := s.d.Step(o)
	s.events = append(s.events, events...)
	return events
}

// The first report in which calls went elsewhere is mostly about the time before.
func TestTheFirstReportIsEnough(t *testing.T) {
	s := learned(t)
	events := s.step(970, 30, 20)
	require.Len(t, events, 1)
	assert.Equal(t, Failover, events[0].Kind)
	assert.InDelta(t, 0.03, events[0].Share, 1e-9)
	assert.Equal(t, uint64(30), events[0].Moved)
	assert.Equal(t, []string{"20 of 1020 requests failed", "20 of 1020 requests had UH"},
		[]string{events[0].Evidence[0].Detail, events[0].Evidence[1].Detail})
}

func TestFewCallsAreNoFailover(t *testing.T) {
	s := learned(t)
	assert.Empty(t, s.step(970, 4, 20), "four moved calls")
	s = learned(t)
	assert.Empty(t, s.step(1000, 0, 300), "nothing moved")
	s = learned(t)
	assert.Empty(t, s.step(0, 0, 300), "nothing is answered")
}

// Errors come first, the calls move later.
func TestEvidenceStaysForAWhile(t *testing.T) {
	s := learned(t)
	s.step(900, 0, 100)
	for range 8 {
		s.step(1000, 0, 0)
	}
	require.Len(t, s.step(500, 500, 0), 1)
	s = learned(t)
	s.step(900, 0, 100)
	for range 22 {
		s.step(1000, 0, 0)
	}
	require.Empty(t, s.step(500, 500, 0), "what was more than five minutes ago is no evidence")
}

// What one agent reports last may be older than what another one reported first.
func TestAnOlderReportEndsNothing(t *testing.T) {
	s := learned(t)
	require.Len(t, s.step(0, 1000, 20), 1)
	for range 6 {
		assert.Empty(t, s.step(1000, 0, 0))
		assert.Empty(t, s.step(0, 1000, 0))
	}
	for range 8 {
		assert.Empty(t, s.step(1000, 0, 0))
	}
	ended := s.step(1000, 0, 0)
	require.Len(t, ended, 1)
	assert.Equal(t, "recovered", ended[0].Reason)
	assert.Equal(t, uint64(7000), ended[0].Moved)
}

// Without evidence a shift has to last.
func TestAShortShiftIsNothing(t *testing.T) {
	s := learned(t)
	for range 8 {
		assert.Empty(t, s.step(500, 500, 0))
	}
	for range 9 {
		assert.Empty(t, s.step(1000, 0, 0))
	}
	for range 8 {
		assert.Empty(t, s.step(500, 500, 0), "the suspicion began anew")
	}
	for range 4 {
		s.step(500, 500, 0)
	}
	s.step(500, 500, 0)
	require.Len(t, s.events, 1)
	assert.Equal(t, Unexpected, s.events[0].Kind)
}

// Outlier detection tells how many hosts it took out, and not where.
func TestEjections(t *testing.T) {
	for _, tt := range []struct {
		name         string
		before, then int
		failover     int
	}{{"new ones are evidence", 0, 2, 1}, {"usual ones are none", 2, 2, 0}, {"more than usual", 1, 3, 1}, {"none", 0, 0, 0}} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := New(DefaultConfig())
			require.NoError(t, err)
			at, events := start, []Event(nil)
			step := func(here, there uint64, hosts int) {
				at = at.Add(15 * time.Second)
				o := &Observation{At: at, Flows: []Flow{{From: west.Region, Service: svc("reviews"), To: west, Requests: here}}}
				if there > 0 {
					o.Flows = append(o.Flows, Flow{From: west.Region, Service: svc("reviews"), To: north, Requests: there})
				}
				if hosts > 0 {
					o.Ejections = []Ejection{
						{From: north.Region, Service: svc("reviews"), Hosts: 9, Proxies: 9},
						{From: west.Region, Service: svc("reviews"), Hosts: hosts, Proxies: 3},
					}
				}
				events = append(events, d.Step(o)...)
			}
			for range 60 {
				step(1000, 0, tt.before)
			}
			step(700, 300, tt.then)
			require.Len(t, events, tt.failover)
			if tt.failover > 0 {
				require.Len(t, events[0].Evidence, 1)
				assert.Equal(t, "outlier_ejections", events[0].Evidence[0].Kind)
				assert.Contains(t, events[0].Evidence[0].Detail, "3 proxies in westeurope")
			}
		})
	}
}

// The same list of endpoints is read once, another one anew.
func TestEndpointsMayStayTheSame(t *testing.T) {
	s := learned(t)
	list := []Endpoints{{Service: svc("reviews"), Place: west, Total: 4, Healthy: 4, Desired: -1, Rollout: true}}
	for range 40 {
		s.at = s.at.Add(15 * time.Second)
		s.d.Step(&Observation{At: s.at, Endpoints: list})
	}
	assert.Len(t, s.d.doings, 1, "a deployment that is still under way")
	list = []Endpoints{{Service: svc("reviews"), Place: west, Total: 4, Desired: -1}}
	s.at = s.at.Add(15 * time.Second)
	events := s.d.Step(&Observation{At: s.at, Endpoints: list, Flows: []Flow{
		{From: west.Region, Caller: "shop/web", Service: svc("reviews"), To: north, Version: "v1", Requests: 100},
	}})
	require.Len(t, events, 1)
	assert.Equal(t, "none of 4 endpoints in westeurope, west is ready", events[0].Evidence[0].Detail)
}

// Endpoints that were never ready have not failed: a scale-up, and a service on its way back from zero.
func TestNewEndpointsHaveNotFailed(t *testing.T) {
	for _, tt := range []struct {
		name      string
		endpoints Endpoints
		failover  int
	}{
		{"scaled up", Endpoints{Total: 8, Healthy: 4, New: 4, Desired: -1}, 0},
		{"scaled up, and an old one failed", Endpoints{Total: 8, Healthy: 3, New: 4, Desired: -1}, 1},
		{"back from zero", Endpoints{Total: 4, New: 4, Desired: -1}, 0},
		{"dead", Endpoints{Total: 4, Desired: -1}, 1},
		{"dead, and new ones come", Endpoints{Total: 8, New: 4, Desired: -1}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := learned(t)
			tt.endpoints.Service, tt.endpoints.Place = svc("reviews"), west
			s.at = s.at.Add(15 * time.Second)
			events := s.d.Step(&Observation{At: s.at, Endpoints: []Endpoints{tt.endpoints}, Flows: []Flow{
				{From: west.Region, Caller: "shop/web", Service: svc("reviews"), To: north, Version: "v1", Requests: 100},
			}})
			assert.Len(t, of(events, Started, Failover), tt.failover)
		})
	}
}
