// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"math/rand/v2"
	"os"
	"strconv"
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

// cadence is how often the graph rolls, and how reports come to it, all in seconds.
type cadence struct {
	roll int
	// scrape is how often a pod is scraped, report how often its agent reports.
	scrape, report int
	// way is the most that a report is under way from the agent to the graph.
	way int
}

// everyMinute is an agent that reports what it scrapes, and a graph that rolls as often.
var everyMinute = cadence{roll: 60, scrape: 60, report: 60, way: 20}

// cadences are those at which the counts have to be right with the default settle: the longest way of a request to the graph
// is scrape, report and way.
var cadences = map[string]cadence{
	"roll 60, report 60":            everyMinute,
	"roll 4, report 60":             {roll: 4, scrape: 60, report: 60, way: 0},
	"roll 4, scrape 15, report 60":  {roll: 4, scrape: 15, report: 60, way: 30},
	"roll 4, scrape 15, report 15":  {roll: 4, scrape: 15, report: 15, way: 60},
	"roll 15, scrape 15, report 60": {roll: 15, scrape: 15, report: 60, way: 30},
	"roll 1, scrape 5, report 30":   {roll: 1, scrape: 5, report: 30, way: 30},
}

// pod is a proxy that holds what it has not reported yet.
type pod struct {
	reporter Reporter
	phase    int // second at which it is scraped, and its agent reports
	lag      int // seconds that a report is under way
	held     map[series]uint64
	scraped  map[series]uint64 // by the agent, which has not reported it
	at       int               // second of the latest scrape
	silent   bool              // it has no proxy
	losing   bool              // its agent's reports are lost
	// until is the second until which its agent can send nothing.
	until int
	queue []report
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
	cadence cadence
	truth   map[Key]*truth
	counted map[Key]*Counts
}

// seeds are a few worlds, or as many as MESH_GRAPH_SEEDS says.
func seeds(t *testing.T, few uint64) uint64 {
	t.Helper()
	if text := os.Getenv("MESH_GRAPH_SEEDS"); text != "" {
		n, err := strconv.ParseUint(text, 10, 16)
		require.NoError(t, err, "MESH_GRAPH_SEEDS")
		return n
	}
	return few
}

// atCadences runs a test at each of the cadences.
func atCadences(t *testing.T, test func(t *testing.T, c cadence)) {
	for name, c := range cadences {
		t.Run(name, func(t *testing.T) { test(t, c) })
	}
}

func newWorld(t *testing.T, seed uint64) *world { return newWorldAt(t, seed, everyMinute) }

func newWorldAt(t *testing.T, seed uint64, c cadence) *world {
	config := DefaultConfig()
	require.LessOrEqual(t, c.scrape%c.report+c.report+c.way, int(config.Settle/time.Second), "the longest way of a report")
	return &world{
		t: t, g: newGraph(t, config), random: rand.New(rand.NewPCG(seed, 1)), cadence: c,
		truth: map[Key]*truth{}, counted: map[Key]*Counts{},
	}
}

func (w *world) pod(r Reporter) *pod {
	p := &pod{
		reporter: r, phase: w.random.IntN(60), lag: w.random.IntN(w.cadence.way + 1),
		held: map[series]uint64{}, scraped: map[series]uint64{},
	}
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

// work is a second of a pod and its agent.
func (w *world) work(p *pod) {
	if w.second%w.cadence.scrape == p.phase%w.cadence.scrape {
		for s, n := range p.held {
			p.scraped[s] += n
		}
		clear(p.held)
		p.at = w.second
	}
	if w.second%w.cadence.report != p.phase%w.cadence.report {
		return
	}
	for s, n := range p.scraped {
		r := report{point: Point{
			Key: s.key, Reporter: p.reporter, Status: s.status, GRPC: -1, Flags: s.flags, Requests: n,
			Time: start.Unix() + int64(p.at),
		}}
		if !p.losing {
			p.queue = append(p.queue, r)
		}
	}
	clear(p.scraped)
	if w.second < p.until {
		return
	}
	for _, r := range p.queue {
		r.due = w.second + p.lag
		w.way = append(w.way, r)
	}
	p.queue = nil
}

// tick lets a second pass.
func (w *world) tick() {
	w.second++
	for _, p := range w.pods {
		w.work(p)
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
	if w.second%w.cadence.roll == 0 {
		w.roll()
	}
}

func (w *world) roll() {
	w.g.Roll(start.Add(time.Duration(w.second) * time.Second))
	w.collect()
}

// collect adds up the interval that was published, and checks that nothing is counted that did not happen.
func (w *world) collect() {
	s := w.g.Snapshot()
	for i := range s.Edges {
		e := &s.Edges[i]
		if w.counted[*e.Key] == nil {
			w.counted[*e.Key] = &Counts{}
		}
		w.counted[*e.Key].Add(&e.Interval)
		require.Equal(w.t, *w.counted[*e.Key], e.Total, "intervals add up to the total")
	}
	told, happened := w.told(), uint64(0)
	for _, c := range w.truth {
		for _, n := range c.classes {
			happened += n
		}
	}
	require.LessOrEqual(w.t, told, happened, "more was counted than happened, in second %d", w.second)
}

// told is how many requests were counted.
func (w *world) told() (n uint64) {
	for _, c := range w.counted {
		n += c.Requests()
	}
	return n
}

// restart carries the graph over a restart of the hub, during which nothing rolls and nothing is taken.
func (w *world) restart(seconds int) {
	w.g.Roll(start.Add(time.Duration(w.second) * time.Second))
	state := w.g.Encode()
	w.collect()
	for _, p := range w.pods {
		p.until = max(p.until, w.second+seconds)
	}
	for range seconds {
		w.second++
		for _, p := range w.pods {
			w.work(p)
		}
	}
	now := start.Add(time.Duration(w.second) * time.Second)
	g, err := New(w.g.config, now)
	require.NoError(w.t, err)
	left, err := g.Restore(state, now)
	require.NoError(w.t, err)
	require.Zero(w.t, left)
	g.Hold(now)
	w.g = g
}

// quiet lets everything arrive and settle.
func (w *world) quiet() {
	for range 60 * 8 {
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
