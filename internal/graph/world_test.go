// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var start = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

const interval = time.Minute

// at is the end of a minute.
func at(minute int) time.Time { return start.Add(time.Duration(minute) * interval) }

func newGraph(t testing.TB, config Config) *Graph {
	t.Helper()
	g, err := New(config, start)
	require.NoError(t, err)
	return g
}

// key is an edge of the tests: caller and callee workloads in two clusters.
func key(caller, callee string, protocol Protocol) Key {
	k := Key{Protocol: protocol}
	if caller != "" {
		k.Caller = Caller{Cluster: "west", Region: "westeurope", Namespace: "shop", Workload: caller, Version: "v1"}
	}
	k.Callee = Callee{Cluster: "north", Region: "northeurope", Namespace: "shop", Service: "reviews", Workload: callee, Version: "v2"}
	if callee == "" {
		k.Callee = Callee{Namespace: "shop", Service: "reviews"}
	}
	return k
}

// outcome is how a request ended, as each side tells it.
type outcome struct {
	class       Class
	never       bool
	source      [2]any
	destination [2]any
}

var outcomes = []outcome{
	{class: Success, source: [2]any{200, "-"}, destination: [2]any{200, "-"}},
	{class: Success, source: [2]any{200, ""}, destination: [2]any{200, ""}},
	{class: ClientError, source: [2]any{404, "-"}, destination: [2]any{404, "-"}},
	// The application behind the callee's proxy does not listen.
	{class: ServerError, source: [2]any{503, "-"}, destination: [2]any{503, "UF"}},
	// The caller's proxy waits no longer.
	{class: NoResponse, source: [2]any{504, "UT"}, destination: [2]any{0, "DC"}},
	// The caller goes away.
	{class: NoResponse, source: [2]any{0, "DC"}, destination: [2]any{0, "DC"}},
	{class: ServerError, never: true, source: [2]any{503, "UH"}},
	{class: ServerError, never: true, source: [2]any{503, "UF,URX"}},
	{class: ClientError, never: true, source: [2]any{404, "NR"}},
}

// truth is what happened on an edge.
type truth struct {
	classes [ClassCount]uint64
	never   uint64
}

// pod is a proxy that holds what it has not reported yet.
type pod struct {
	reporter Reporter
	phase    int // second of the minute at which it reports
	lag      int // seconds that a report is under way
	held     map[series]uint64
	silent   bool // it has no proxy
}

// series is what a series of a proxy is named by.
type series struct {
	key    Key
	status int
	flags  string
}

type report struct {
	due   int
	point Point
}

// world drives pods second by second and hands their reports to the graph late and in any order.
type world struct {
	t       *testing.T
	g       *Graph
	random  *rand.Rand
	pods    []*pod
	way     []report
	second  int
	truth   map[Key]*truth
	counted map[Key]*Counts
}

func newWorld(t *testing.T, seed uint64) *world {
	config := DefaultConfig()
	return &world{
		t: t, g: newGraph(t, config), random: rand.New(rand.NewPCG(seed, 1)),
		truth: map[Key]*truth{}, counted: map[Key]*Counts{},
	}
}

func (w *world) pod(r Reporter) *pod {
	p := &pod{reporter: r, phase: w.random.IntN(60), lag: w.random.IntN(20), held: map[series]uint64{}}
	w.pods = append(w.pods, p)
	return p
}

// call makes a request of an edge; source and destination may see other ends than the truth.
func (w *world) call(real, source, destination Key, from, to *pod, o *outcome) {
	if w.truth[real] == nil {
		w.truth[real] = &truth{}
	}
	w.truth[real].classes[o.class]++
	if o.never {
		w.truth[real].never++
	}
	if !from.silent {
		from.held[series{source, o.source[0].(int), o.source[1].(string)}]++
	}
	if !to.silent && !o.never {
		to.held[series{destination, o.destination[0].(int), o.destination[1].(string)}]++
	}
}

// kill drops what a pod has not reported.
func (p *pod) kill() { clear(p.held) }

// tick lets a second pass.
func (w *world) tick() {
	w.second++
	for _, p := range w.pods {
		if w.second%60 != p.phase {
			continue
		}
		for s, n := range p.held {
			w.way = append(w.way, report{w.second + p.lag, Point{
				Key: s.key, Reporter: p.reporter, Status: s.status, GRPC: -1, Flags: s.flags, Requests: n,
			}})
		}
		clear(p.held)
	}
	rest := w.way[:0]
	w.random.Shuffle(len(w.way), func(i, j int) { w.way[i], w.way[j] = w.way[j], w.way[i] })
	for _, r := range w.way {
		if r.due > w.second {
			rest = append(rest, r)
			continue
		}
		require.NoError(w.t, w.g.Add(&r.point))
	}
	w.way = rest
	if w.second%60 == 0 {
		w.roll()
	}
}

func (w *world) roll() {
	s := w.g.Roll(start.Add(time.Duration(w.second) * time.Second))
	for i := range s.Edges {
		e := &s.Edges[i]
		if w.counted[*e.Key] == nil {
			w.counted[*e.Key] = &Counts{}
		}
		w.counted[*e.Key].Add(&e.Interval)
		require.Equal(w.t, *w.counted[*e.Key], e.Total, "intervals add up to the total")
	}
	var told, happened uint64
	for _, c := range w.counted {
		told += c.Requests()
	}
	for _, c := range w.truth {
		for _, n := range c.classes {
			happened += n
		}
	}
	require.LessOrEqual(w.t, told, happened, "more was counted than happened, in second %d", w.second)
}

// quiet lets everything arrive and settle.
func (w *world) quiet() {
	for range 60 * 6 {
		w.tick()
	}
}

// exact asserts that all edges were counted as they happened.
func (w *world) exact() {
	w.t.Helper()
	for k, want := range w.truth {
		got := w.counted[k]
		require.NotNil(w.t, got, "%+v", k)
		require.Equal(w.t, want.classes, got.Classes, "%+v", k)
		require.Equal(w.t, want.never, got.NeverReached, "%+v", k)
	}
	for k, got := range w.counted {
		if w.truth[k] == nil {
			require.Zero(w.t, got.Requests(), "nothing happened on %+v", k)
		}
	}
}
