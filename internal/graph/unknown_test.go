// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The caller's proxy cannot tell who answered; the callee's can tell who called.
func TestSourceThatDoesNotKnowTheCallee(t *testing.T) {
	atCadences(t, func(t *testing.T, c cadence) {
		for seed := range seeds(t, 2) {
			w := newWorldAt(t, seed, c)
			from, to := w.pod(Source), w.pod(Destination)
			k, blind := key("web", "reviews-v2", HTTP), key("web", "", HTTP)
			for range 60 * 10 {
				w.call(k, blind, k, from, to, &outcomes[w.random.IntN(6)])
				w.tick()
			}
			w.quiet()
			w.exact()
		}
	})
}

// As istio/istio#58790 does it: of the same calls the caller's proxy names some callees and others not, and reports sooner or
// later than the callees do.
func TestSourceThatKnowsTheCalleeAtTimes(t *testing.T) {
	atCadences(t, func(t *testing.T, c cadence) {
		for seed := range seeds(t, 3) {
			for _, pauses := range []bool{false, true} {
				w := newWorldAt(t, seed, c)
				from, to := w.pod(Source), w.pod(Destination)
				blind := key("web", "", HTTP)
				for second := range 60 * 20 {
					if pauses && second/100%2 == 1 {
						w.tick()
						continue
					}
					real := key("web", fmt.Sprintf("reviews-v%d", 1+w.random.IntN(2)), HTTP)
					seen := real
					if w.random.IntN(3) == 0 {
						seen = blind
					}
					w.call(real, seen, real, from, to, &outcomes[w.random.IntN(6)])
					w.tick()
				}
				w.quiet()
				w.exact()
			}
		}
	})
}

// The same, and some of the callees that nobody names have no proxy. While there is traffic nobody can tell these apart from
// those that will yet be reported, so that they are counted late; never too many, and all of them after a pause.
func TestUnknownCalleesOfWhichSomeReport(t *testing.T) {
	atCadences(t, func(t *testing.T, c cadence) {
		for seed := range seeds(t, 3) {
			w := newWorldAt(t, seed, c)
			from, to, bare := w.pod(Source), w.pod(Destination), w.pod(Destination)
			bare.silent = true
			blind := key("web", "", HTTP)
			const seconds = 60 * 30
			for range seconds {
				real := key("web", fmt.Sprintf("reviews-v%d", 1+w.random.IntN(2)), HTTP)
				o := &outcomes[w.random.IntN(6)]
				switch w.random.IntN(6) {
				case 0:
					w.call(blind, blind, blind, from, bare, o)
				case 1, 2:
					w.call(real, blind, real, from, to, o)
				default:
					w.call(real, real, real, from, to, o)
				}
				w.tick()
			}
			assert.Greater(t, w.told(), uint64(seconds*3/4))
			w.quiet()
			w.exact()
		}
	})
}

// A callee without a proxy, and a caller's proxy that cannot name it: nobody else will ever report these.
func TestUnknownCalleeThatNobodyNames(t *testing.T) {
	atCadences(t, func(t *testing.T, c cadence) {
		w := newWorldAt(t, 4, c)
		from, to := w.pod(Source), w.pod(Destination)
		to.silent = true
		blind := key("web", "", HTTP)
		for range 60 * 5 {
			w.call(blind, blind, blind, from, to, &outcomes[w.random.IntN(6)])
			w.tick()
		}
		w.quiet()
		w.exact()
	})
}

// Without certificates the callee's proxy cannot tell who opened a TCP connection.
func TestConnectionsOfAnUnknownCaller(t *testing.T) {
	g := newGraph(t, DefaultConfig())
	known, blind := key("web", "redis", TCP), key("", "redis", TCP)
	const minutes = 6
	for minute := range minutes + 3 {
		if minute < minutes {
			require.NoError(t, g.Add(tcp(known, Source, 10, 1000)))
			// The same, and five of somebody outside of the mesh.
			require.NoError(t, g.Add(tcp(blind, Destination, 15, 1500)))
		}
		g.Roll(at(minute + 1))
	}
	totals := map[string]Counts{}
	for _, e := range g.Snapshot().Edges {
		totals[e.Caller.Workload] = e.Total
	}
	assert.Equal(t, uint64(10*minutes), totals["web"].Opened)
	assert.Equal(t, uint64(5*minutes), totals[""].Opened)
	assert.Equal(t, uint64(1000*minutes), totals["web"].RequestBytes)
	assert.Equal(t, uint64(500*minutes), totals[""].RequestBytes)
	assert.Equal(t, uint64(1000*minutes), totals[""].ResponseBytes)
}

// Neither side can name who answered, as of a callee that left before anybody knew it.
func TestTwoReportersOfAnUnknownEnd(t *testing.T) {
	g := newGraph(t, DefaultConfig())
	known, blind := key("web", "reviews-v2", HTTP), key("web", "", HTTP)
	minute := 0
	roll := func(n int) {
		for range n {
			minute++
			g.Roll(at(minute))
		}
	}
	// Half of what the caller cannot name is another edge's.
	require.NoError(t, g.Add(ok(blind, Source, 50)))
	require.NoError(t, g.Add(ok(known, Destination, 25)))
	roll(3)
	total := func(workload string) uint64 {
		for _, e := range g.Snapshot().Edges {
			if e.Callee.Workload == workload {
				return e.Total.Requests()
			}
		}
		return 0
	}
	assert.Equal(t, uint64(25), total("reviews-v2"))
	assert.Equal(t, uint64(25), total(""))
	// From now on the callee's proxy speaks of it too.
	require.NoError(t, g.Add(ok(blind, Destination, 40)))
	require.NoError(t, g.Add(ok(blind, Source, 40)))
	roll(1)
	assert.Equal(t, uint64(65), total(""))
	roll(3)
	assert.Equal(t, uint64(65), total(""))
	assert.Equal(t, uint64(25), total("reviews-v2"))
}

// The caller gave up, and could not name who answered after all: the callee's word, once.
func TestAnUnknownCalleeThatAnsweredAfterAll(t *testing.T) {
	g := newGraph(t, DefaultConfig())
	k, blind := key("web", "reviews-v2", HTTP), key("web", "", HTTP)
	require.NoError(t, g.Add(&Point{Key: blind, Reporter: Source, Status: 504, GRPC: -1, Flags: "UT", Requests: 5}))
	require.NoError(t, g.Add(ok(k, Destination, 4)))
	for minute := range 8 {
		g.Roll(at(minute + 1))
	}
	totals := map[string][ClassCount]uint64{}
	for _, e := range g.Snapshot().Edges {
		totals[e.Callee.Workload] = e.Total.Classes
	}
	assert.Equal(t, map[string][ClassCount]uint64{"reviews-v2": {Success: 4}, "": {NoResponse: 1}}, totals)
}

// An edge with an unknown end that was quiet for a while goes on to be compared with edges that never are: what these had
// explained before explains nothing later.
func TestAnUnknownCalleeAfterAPause(t *testing.T) {
	atCadences(t, func(t *testing.T, c cadence) {
		w := newWorldAt(t, 15, c)
		from, to, bare := w.pod(Source), w.pod(Destination), w.pod(Destination)
		bare.silent = true
		k, blind := key("web", "reviews-v2", HTTP), key("web", "", HTTP)
		for second := range 60 * 45 {
			w.call(k, k, k, from, to, &outcomes[0])
			switch {
			case second < 60*10:
				w.call(k, blind, k, from, to, &outcomes[0])
			case second > 60*30 && second%10 == 0:
				w.call(blind, blind, blind, from, bare, &outcomes[0])
			}
			w.tick()
		}
		w.quiet()
		w.exact()
	})
}

// Of bytes that are explained, nobody knows the zone but who could not name the caller.
func TestZonesOfAnUnknownCaller(t *testing.T) {
	g := newGraph(t, DefaultConfig())
	require.NoError(t, g.Add(zoned(local("web", "redis", TCP), Source, ZoneUnknown, 100, 0)))
	require.NoError(t, g.Add(zoned(local("", "redis", TCP), Destination, CrossZone, 130, 0)))
	for minute := range 8 {
		g.Roll(at(minute + 1))
	}
	for _, e := range g.Snapshot().Edges {
		if e.Caller.Workload == "" {
			assert.Equal(t, Counts{RequestBytes: 30, RequestCrossZone: 30}, e.Total)
		} else {
			assert.Equal(t, Counts{RequestBytes: 100}, e.Total)
		}
	}
}
