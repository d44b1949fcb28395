// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEachRequestOnceWhicheverProxiesReport(t *testing.T) {
	atCadences(t, func(t *testing.T, c cadence) {
		for name, silent := range map[string][2]bool{
			"both": {false, false}, "source": {false, true}, "destination": {true, false},
		} {
			t.Run(name, func(t *testing.T) {
				for seed := range seeds(t, 3) {
					w := newWorldAt(t, seed, c)
					var from, to []*pod
					for range 4 {
						from, to = append(from, w.pod(Source)), append(to, w.pod(Destination))
					}
					for _, p := range from {
						p.silent = silent[0]
					}
					for _, p := range to {
						p.silent = silent[1]
					}
					for range 60 * 15 {
						for range w.random.IntN(4) {
							o := &outcomes[w.random.IntN(len(outcomes))]
							if silent[0] && o.never {
								continue
							}
							k := key(fmt.Sprintf("web-%d", w.random.IntN(2)), "reviews-v2", HTTP)
							w.call(k, k, k, from[w.random.IntN(4)], to[w.random.IntN(4)], o)
						}
						w.tick()
					}
					w.quiet()
					w.exact()
				}
			})
		}
	})
}

// A pod that is killed takes what it has not reported along. The other end has it.
func TestKilledProxiesOfOneSideLoseNothing(t *testing.T) {
	atCadences(t, func(t *testing.T, c cadence) {
		for _, killed := range []Reporter{Source, Destination} {
			t.Run(killed.String(), func(t *testing.T) {
				w := newWorldAt(t, 7, c)
				from, to := w.pod(Source), w.pod(Destination)
				k := key("web", "reviews-v2", HTTP)
				for second := range 60 * 20 {
					o := &outcomes[w.random.IntN(4)]
					w.call(k, k, k, from, to, o)
					if second%130 == 0 {
						if killed == Source {
							from.kill()
						} else {
							to.kill()
						}
					}
					w.tick()
				}
				w.quiet()
				w.exact()
			})
		}
	})
}

// What both sides lost at different times is healed by a pause between: what the one had surplus does not hide what the
// other one loses later.
func TestAPauseMakesReportersEqual(t *testing.T) {
	atCadences(t, func(t *testing.T, c cadence) {
		w := newWorldAt(t, 8, c)
		from, to := w.pod(Source), w.pod(Destination)
		k := key("web", "reviews-v2", HTTP)
		burst := func(victim *pod) {
			for range 50 {
				w.call(k, k, k, from, to, &outcomes[0])
			}
			victim.kill()
			w.quiet()
		}
		burst(from)
		burst(to)
		burst(from)
		w.exact()
	})
}

// A workload of which some pods have a proxy and others not.
func TestHalfOfTheCalleesHaveAProxy(t *testing.T) {
	atCadences(t, func(t *testing.T, c cadence) {
		w := newWorldAt(t, 9, c)
		from, with, without := w.pod(Source), w.pod(Destination), w.pod(Destination)
		without.silent = true
		k := key("web", "reviews-v2", HTTP)
		for range 60 * 10 {
			to := with
			if w.random.IntN(2) == 0 {
				to = without
			}
			w.call(k, k, k, from, to, &outcomes[w.random.IntN(len(outcomes))])
			w.tick()
		}
		w.quiet()
		w.exact()
	})
}

// Retries are requests of their own where they arrived: the callee counts each attempt, and so does the graph.
func TestAttemptsThatArrivedAreRequests(t *testing.T) {
	g := newGraph(t, DefaultConfig())
	k := key("web", "reviews-v2", HTTP)
	require.NoError(t, g.Add(&Point{Key: k, Reporter: Source, Status: 503, GRPC: -1, Flags: "URX", Requests: 7}))
	require.NoError(t, g.Add(&Point{Key: k, Reporter: Source, Status: 503, GRPC: -1, Flags: "UH", Requests: 10}))
	require.NoError(t, g.Add(&Point{Key: k, Reporter: Destination, Status: 503, GRPC: -1, Requests: 21}))
	e := g.Roll(at(1)).Edges[0]
	assert.Equal(t, uint64(31), e.Interval.Requests())
	assert.Equal(t, uint64(10), e.Interval.NeverReached)
	assert.Equal(t, uint64(31), e.Interval.Errors())
}

func TestCallsThatReachedNobodyStandAlone(t *testing.T) {
	atCadences(t, func(t *testing.T, c cadence) {
		w := newWorldAt(t, 3, c)
		from, to := w.pod(Source), w.pod(Destination)
		k, nobody := key("web", "reviews-v2", HTTP), key("web", "", HTTP)
		for range 60 * 5 {
			w.call(k, k, k, from, to, &outcomes[0])
			w.call(nobody, nobody, nobody, from, to, &outcomes[6])
			w.tick()
		}
		w.quiet()
		w.exact()
	})
}

func tcp(k Key, r Reporter, connections, sent uint64) *Point {
	return &Point{Key: k, Reporter: r, Opened: connections, Closed: connections, RequestBytes: sent, ResponseBytes: 2 * sent}
}

// Over HTTP the caller's proxy names itself, so an unknown caller has none: it waits for nobody.
func TestRequestsOfAnUnknownCaller(t *testing.T) {
	g := newGraph(t, DefaultConfig())
	require.NoError(t, g.Add(&Point{Key: key("", "reviews-v2", HTTP), Reporter: Destination, Status: 200, GRPC: -1, Requests: 5}))
	assert.Equal(t, uint64(5), g.Roll(at(1)).Edges[0].Interval.Requests())
}

func TestWaypointAndCalleeReportTheSame(t *testing.T) {
	g := newGraph(t, DefaultConfig())
	k := key("web", "reviews-v2", HTTP)
	for _, r := range []Reporter{Waypoint, Destination, Source} {
		require.NoError(t, g.Add(&Point{Key: k, Reporter: r, Status: 200, GRPC: -1, Requests: 5, TLS: TLSMutual}))
	}
	// What the waypoint could not forward has arrived as far as the caller is concerned.
	require.NoError(t, g.Add(&Point{Key: k, Reporter: Waypoint, Status: 503, GRPC: -1, Flags: "UH", Requests: 2}))
	require.NoError(t, g.Add(&Point{Key: k, Reporter: Source, Status: 503, GRPC: -1, Flags: "-", Requests: 2}))
	e := g.Roll(at(1)).Edges[0]
	assert.Equal(t, uint64(7), e.Interval.Requests())
	assert.Zero(t, e.Interval.NeverReached)
	assert.Equal(t, uint64(5), e.Interval.MutualTLS)
	assert.Equal(t, []Reporter{Source, Destination, Waypoint}, e.Reporters)
	assert.Equal(t, []Flag{{Waypoint, "UH", 2}}, e.Flags)
}

// The caller gave up and the callee answered: one request, and the callee is believed, whoever reports first.
func TestTheCalleeIsBelievedAboutAnAnswer(t *testing.T) {
	for _, order := range [][]Reporter{{Source, Destination}, {Destination, Source}} {
		g := newGraph(t, DefaultConfig())
		k := key("web", "reviews-v2", HTTP)
		for i, r := range order {
			status, flags := 200, "-"
			if r == Source {
				status, flags = 504, "UT"
			}
			require.NoError(t, g.Add(&Point{Key: k, Reporter: r, Status: status, GRPC: -1, Flags: flags, Requests: 3}))
			g.Roll(at(i + 1))
		}
		for i := range 4 {
			g.Roll(at(i + 3))
		}
		assert.Equal(t, [ClassCount]uint64{Success: 3}, g.Snapshot().Edges[0].Total.Classes, "%v", order)
	}
}

// An edge on which the callee never reported has nobody to wait for.
func TestUnansweredRequestsOfASingleReporterCountAtOnce(t *testing.T) {
	config := DefaultConfig()
	g := newGraph(t, config)
	k := key("web", "reviews-v2", HTTP)
	broken := &Point{Key: k, Reporter: Source, Status: 503, GRPC: -1, Flags: "UC", Requests: 3}
	require.NoError(t, g.Add(broken))
	for i := range int(config.Settle / interval) {
		assert.Zero(t, g.Roll(at(i + 1)).Edges[0].Interval.Requests(), "a second reporter may yet come")
	}
	assert.Equal(t, uint64(3), g.Roll(at(10)).Edges[0].Interval.Requests())
	require.NoError(t, g.Add(broken))
	assert.Equal(t, uint64(3), g.Roll(at(11)).Edges[0].Interval.Requests())
}
