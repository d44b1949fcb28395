// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// happening is what is done to the mesh at a time of the day.
type happening struct {
	minute int
	what   string
	do     func(s *sim)
}

// canary puts a share of a service's new version beside its old one, everywhere it runs.
func canary(name, version string, percent int) func(*sim) {
	return func(s *sim) {
		for _, d := range s.at[name] {
			d.versions = []weighted{{"v1", 100 - percent}, {version, percent}}
			if percent == 100 {
				d.versions = []weighted{{version, 1}}
			}
		}
	}
}

// rollOut replaces pods one by one: one of four is not ready, and some calls break off with the old pods.
func rollOut(name string, place Place) func(*sim) {
	return func(s *sim) {
		d := s.at[name][place]
		d.rollout, d.total, d.healthy, d.failing, d.flag = true, 5, 3, 0.004, "UC"
	}
}

func rolledOut(name string, place Place) func(*sim) {
	return func(s *sim) {
		d := s.at[name][place]
		d.rollout, d.total, d.healthy, d.failing = false, 4, 4, 0
	}
}

func endpointsOf(name string, place Place, n int) func(*sim) {
	return func(s *sim) {
		d := s.at[name][place]
		d.desired, d.total, d.healthy = n, n, n
	}
}

// day is two hours in which a lot is done and nothing fails.
var day = []happening{
	{15, "canary of 5 % in every cluster", canary("reviews", "v2", 5)},
	{20, "canary of 50 %", canary("reviews", "v2", 50)},
	{25, "canary done", canary("reviews", "v2", 100)},
	{27, "deployment in the west", rollOut("ratings", west)},
	{30, "deployment done", rolledOut("ratings", west)},
	{31, "deployment in the north, at the busiest time", rollOut("ratings", north)},
	{34, "deployment done", rolledOut("ratings", north)},
	{36, "blue/green: a new version that only the north has", func(s *sim) {
		s.at["details"][east] = &deployment{desired: 2, total: 2, healthy: 2, since: s.clock(), versions: []weighted{{"v9", 1}}}
		s.route["details@northeurope"] = map[Place]float64{east: 0.1, north: 0.9}
	}},
	{42, "half of it", func(s *sim) { s.route["details@northeurope"] = map[Place]float64{east: 0.5, north: 0.5} }},
	{48, "rolled back at once", func(s *sim) {
		delete(s.route, "details@northeurope")
		delete(s.at["details"], east)
	}},
	{50, "scaled down for the evening", endpointsOf("reviews", west, 2)},
	{52, "scaled to zero in the west: the north answers", endpointsOf("reviews", west, 0)},
	{60, "quiet hours begin", func(s *sim) { s.rate = func(string) float64 { return 0.02 } }},
	{72, "a second cluster joins the west, for ratings", func(s *sim) {
		s.at["ratings"][west2] = &deployment{desired: 4, total: 4, healthy: 4, since: s.clock(), versions: []weighted{{"v1", 1}}}
	}},
	{80, "the morning: reviews are back in the west", endpointsOf("reviews", west, 4)},
	{82, "and so are people", func(s *sim) { s.rate = func(string) float64 { return 4 } }},
	{88, "a second cluster joins the west, for details, in the rush", func(s *sim) {
		s.at["details"][west2] = &deployment{desired: 4, total: 4, healthy: 4, since: s.clock(), versions: []weighted{{"v1", 1}}}
	}},
	{94, "scaled up", endpointsOf("details", west, 8)},
	{98, "a bad hour of the application: errors, and nothing moves", func(s *sim) {
		s.at["reviews"][west].failing, s.at["reviews"][west].flag = 0.05, "UT"
	}},
	{102, "mended", func(s *sim) { s.at["reviews"][west].failing = 0 }},
	{105, "deployment in the second cluster", rollOut("details", west2)},
	{108, "deployment done", rolledOut("details", west2)},
	{112, "the second cluster is taken out again", endpointsOf("ratings", west2, 0)},
	{116, "stray calls: a caller that does not prefer its region", func(s *sim) { s.stray = 0.01 }},
}

// cadences are how agents report.
var cadences = []struct {
	name      string
	reporting int // seconds
	early     bool
}{{"every 15 s", 15, false}, {"every 60 s", 60, false}, {"every 60 s and what is urgent early", 60, true}}

// TestADayWithoutFailover is the whole of what must not raise an alarm. MESH_GRAPH_DAYS simulates more than the default.
func TestADayWithoutFailover(t *testing.T) {
	days := 1
	if more, err := strconv.Atoi(os.Getenv("MESH_GRAPH_DAYS")); err == nil {
		days = more
	}
	for _, c := range cadences {
		for seed := range days {
			t.Run(fmt.Sprintf("%s, %d", c.name, seed), func(t *testing.T) {
				s := newSim(t, uint64(seed), c.reporting)
				s.early = c.early
				for _, h := range day {
					s.run(time.Duration(h.minute)*time.Minute - s.now)
					h.do(s)
				}
				s.run(2*time.Hour - s.now)
				for _, e := range s.events {
					last := ""
					for _, h := range day {
						if !start.Add(time.Duration(h.minute) * time.Minute).After(e.Start) {
							last = h.what
						}
					}
					t.Errorf("%s after %q: %+v", e.Name(), last, e)
				}
				require.Equal(t, 2*time.Hour, s.now)
			})
		}
	}
}

// The day hides no failover: one in the middle of each of its happenings is found, and in time.
func TestADayWithAFailoverIsNotExcused(t *testing.T) {
	for _, minute := range []int{22, 29, 32, 45, 55, 70, 91, 107} {
		t.Run(fmt.Sprintf("minute %d", minute), func(t *testing.T) {
			s := newSim(t, uint64(minute), 15)
			for _, h := range day {
				if h.minute > minute {
					break
				}
				s.run(time.Duration(h.minute)*time.Minute - s.now)
				h.do(s)
			}
			s.run(time.Duration(minute)*time.Minute - s.now)
			require.Empty(t, s.events)
			s.stray = 0
			// Ratings of the north die, whatever else is going on.
			s.kill(true, north, "ratings")
			s.run(5 * time.Second)
			s.notice(north, "ratings")
			s.run(6 * time.Minute)
			started := of(s.events, Started, Failover)
			require.Len(t, started, 1, "%+v", s.events)
			assert.Equal(t, north, started[0].From)
			assert.Equal(t, west.Region, started[0].To.Region)
			if minute != 70 { // In quiet hours it takes as long as the fewest calls that prove it.
				assert.LessOrEqual(t, started[0].Start.Sub(s.firstShifted["ratings"]), 20*time.Second)
			}
		})
	}
}

// A detector that is restarted in the middle of things goes on as if it had not been.
func TestAStateIsTheDetector(t *testing.T) {
	s := newSim(t, 1, 15)
	canary("reviews", "v2", 50)(s)
	s.run(20 * time.Minute)
	s.kill(true, west, "ratings")
	s.notice(west, "ratings")
	s.run(2 * time.Minute)
	require.Len(t, s.detector.Active(), 1)
	before := s.detector.Active()
	state, err := s.detector.Encode()
	require.NoError(t, err)
	restored, err := New(DefaultConfig())
	require.NoError(t, err)
	require.NoError(t, restored.Restore(state))
	assert.Equal(t, before, restored.Active())
	again, err := restored.Encode()
	require.NoError(t, err)
	assert.JSONEq(t, string(state), string(again))
	s.detector = restored
	s.run(5 * time.Minute)
	assert.Len(t, of(s.events, Started, Failover), 1, "it is not told twice")
	s.heal(west, "ratings")
	s.run(5 * time.Minute)
	assert.Len(t, of(s.events, Ended, Failover), 1)
	assert.Empty(t, of(s.events, Started, Unexpected))
}

func TestAStateThatIsNone(t *testing.T) {
	d, err := New(DefaultConfig())
	require.NoError(t, err)
	for _, state := range []string{"", "{", `{"version":2}`, `{"version":1,"pairs":[{"masses":[{"mass":-1}]}]}`, `{"version":1} x`} {
		require.ErrorIs(t, d.Restore([]byte(state)), ErrState, state)
	}
	require.NoError(t, d.Restore([]byte(`{"version":1}`)))
}

func FuzzRestore(f *testing.F) {
	f.Add([]byte(`{"version":1,"pairs":[{"from":"r","service":{"namespace":"n","name":"s"},"masses":[{"place":{"region":"a"},"mass":3}],"steps":4,"deviation":0.1,"active":{"phase":"started","kind":"failover"}}],"services":[{"versions":[{"name":"v"}]}]}`))
	f.Fuzz(func(t *testing.T, state []byte) {
		d, err := New(DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		if d.Restore(state) != nil {
			return
		}
		o := &Observation{At: start}
		for k := range d.pairs {
			o.Flows = append(o.Flows, Flow{From: k.from, Service: k.service, To: west, Requests: 100, Errors: 50, Flagged: 10})
		}
		d.Step(o)
		d.Active()
	})
}

// BenchmarkStep is an interval with 1,000 pairs of calling region and service; ns/pair is the part of one.
func BenchmarkStep(b *testing.B) {
	d, err := New(DefaultConfig())
	if err != nil {
		b.Fatal(err)
	}
	const pairs = 1000
	o := &Observation{}
	for i := range pairs {
		for _, to := range []Place{west, north} {
			o.Flows = append(o.Flows, Flow{
				From: "westeurope", Caller: "shop/web", Service: svc(fmt.Sprint("s", i)), To: to, Version: "v1", Requests: 100,
			})
		}
		o.Endpoints = append(o.Endpoints, Endpoints{Service: svc(fmt.Sprint("s", i)), Place: west, Total: 4, Healthy: 4, Desired: 4})
	}
	at := start
	b.ReportAllocs()
	for b.Loop() {
		at = at.Add(5 * time.Second)
		o.At = at
		d.Step(o)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/pairs, "ns/pair")
}
