// SPDX-License-Identifier: Apache-2.0

// Package window keeps the last hour of every called service by the minute, for questions over 1 minute to 1 hour.
//
//   - [Store.Add] takes a closed interval of the graph. One goroutine at a time.
//   - [Store.Query] and [Store.Versions] answer. They take no lock: what they read was published, and nobody changes it.
//   - [Store.Encode] and [Store.Restore] carry the hour over a restart.
//
// An interval counts for the minute it ends in. Times are those of the hub: when something was reported, not when it
// happened. Latency is kept by who measured it: the callee's proxy (or else its waypoint), and the caller's proxy.
package window

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/exphist"
)

// Minutes is how many minutes are kept besides the one that has begun.
const Minutes = 60

// DefaultMaxSeries is the default of [Config.MaxSeries].
const DefaultMaxSeries = 10_000

// Config says how much a store holds.
type Config struct {
	// MaxSeries is the most different callees and callers of an hour, from 1 to 200 000. What is more is counted, and makes
	// answers about its service incomplete.
	MaxSeries int
}

// Validate says what is wrong with the configuration, by the keys of the connector.
func (c *Config) Validate() error {
	if c.MaxSeries < 1 || c.MaxSeries > 200_000 {
		return fmt.Errorf("max_series is %d: write a number from 1 to 200000", c.MaxSeries)
	}
	return nil
}

// Side is who measured a latency.
type Side uint8

// The sides.
const (
	// Callee is the callee's proxy, or its waypoint: what the callee needed.
	Callee Side = iota
	// Caller is the caller's proxy: with the way there and back.
	Caller
	sideCount
)

// String returns the word of answers: destination or source, as Istio calls the reporters.
func (s Side) String() string {
	if s == Caller {
		return graph.Source.String()
	}
	return graph.Destination.String()
}

// Key is what is kept apart. An empty field means that nothing told it.
type Key struct {
	Namespace, Service, Version, Cluster, Region, Workload string
	CallerCluster, CallerRegion                            string
}

type service struct{ namespace, name string }

func (k *Key) service() service { return service{k.Namespace, k.Service} }

// Counts are what happened, each request once.
type Counts struct {
	Requests, Errors, NeverReached       uint64
	ConnectionsOpened, ConnectionsFailed uint64
}

func (c *Counts) fields() [5]*uint64 {
	return [5]*uint64{&c.Requests, &c.Errors, &c.NeverReached, &c.ConnectionsOpened, &c.ConnectionsFailed}
}

func (c *Counts) add(o *Counts) {
	from := o.fields()
	for i, to := range c.fields() {
		*to = plus(*to, *from[i])
	}
}

// calls are requests and connections, at least one: it is asked whether there was anything.
func (c *Counts) calls() uint64 {
	return max(1, plus(c.Requests, plus(c.ConnectionsOpened, c.ConnectionsFailed)))
}

// plus stays at the greatest number instead of beginning at 0 again.
func plus(a, b uint64) uint64 {
	if a+b < a {
		return ^uint64(0)
	}
	return a + b
}

// Store keeps the hour.
type Store struct {
	config Config
	view   atomic.Pointer[view]

	// The rest is the writer's.
	ids      map[Key]int32
	series   []*series
	free     []int32
	services map[service][]*series
	shared   bool // services was published: it must be copied before it is changed
	minutes  []*minute
	now      writing
	end      time.Time
	lost     uint64
	scratch  []byte
}

// series is the writer's memory of a key.
type series struct {
	Key
	id int32
	// minutes is in how many closed minutes it is.
	minutes int
	// touched says that it is in the minute that has begun.
	touched bool
	counts  Counts
	latency [sideCount]*exphist.Histogram
	bytes   [sideCount][]byte
}

// writing is the minute that has begun.
type writing struct {
	start    int64
	touched  []int32
	sorted   bool
	covered  time.Duration
	missed   missed
	nameless uint64
}

// minute is published: nobody changes it.
type minute struct {
	// start is the minute in Unix time, covered the length of the intervals that ended in it.
	start   int64
	covered time.Duration
	records []record
	missed  missed
	// nameless are requests of the graph's overflow edges: of any service.
	nameless uint64
}

type record struct {
	id      int32
	counts  Counts
	latency [sideCount][]byte
}

func (m *minute) of(id int32) *record {
	i, found := slices.BinarySearchFunc(m.records, id, func(r record, id int32) int { return cmp.Compare(r.id, id) })
	if !found {
		return nil
	}
	return &m.records[i]
}

// view is what readers see.
type view struct {
	services map[service][]*series // of a series, readers use Key and id alone
	minutes  []*minute             // the oldest first, the one that has begun last
	end      time.Time
	stats    Stats
}

// Stats say how full the store is.
type Stats struct {
	Series    int
	MaxSeries int
	// MissedRequests are requests and connections that had no room, since the start.
	MissedRequests uint64
}

// missed remembers which services had requests without room: by hash, so an unlucky service may be taken for one of them,
// never the other way around.
type missed struct {
	requests uint64
	bits     [16]uint64
}

// seed makes a hash that is the same in all of the process.
var seed = maphash.MakeSeed()

func (m *missed) add(s service, requests uint64) {
	m.requests = plus(m.requests, requests)
	h := maphash.Comparable(seed, s) % 1024
	m.bits[h/64] |= 1 << (h % 64)
}

func (m *missed) has(s service) bool {
	h := maphash.Comparable(seed, s) % 1024
	return m.bits[h/64]&(1<<(h%64)) != 0
}

// New returns an empty store.
func New(config Config) (*Store, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	s := &Store{config: config, ids: map[Key]int32{}, services: map[service][]*series{}}
	s.view.Store(&view{services: map[service][]*series{}, stats: Stats{MaxSeries: config.MaxSeries}})
	return s, nil
}

// Stats returns what was published last.
func (s *Store) Stats() Stats { return s.view.Load().stats }

// Add takes an interval, and publishes.
func (s *Store) Add(snap *graph.Snapshot) {
	s.begin(snap.End.Add(-1).Truncate(time.Minute).Unix())
	s.end = snap.End
	s.now.covered += max(0, snap.End.Sub(snap.Start))
	for i := range snap.Edges {
		s.edge(&snap.Edges[i])
	}
	s.publish()
}

// mostBack is how far a clock may be set back, in seconds, before all that came from its future is forgotten.
const mostBack = 5 * 60

// begin closes the minute before. A clock that was set back makes the minute longer; by more than mostBack, the hour begins anew.
func (s *Store) begin(start int64) {
	if start < s.now.start-mostBack {
		s.ids, s.series, s.free, s.services, s.shared = map[Key]int32{}, nil, nil, map[service][]*series{}, false
		s.minutes, s.now = nil, writing{}
	}
	if start <= s.now.start {
		return
	}
	if s.now.start != 0 {
		closed := s.freeze()
		for _, id := range s.now.touched {
			x := s.series[id]
			x.minutes++
			x.touched, x.counts, x.latency, x.bytes = false, Counts{}, [sideCount]*exphist.Histogram{}, [sideCount][]byte{}
		}
		s.minutes = append(s.minutes, closed)
	}
	s.now = writing{start: start}
	old := 0
	for old < len(s.minutes) && s.minutes[old].start < start-Minutes*60 {
		s.forget(s.minutes[old])
		old++
	}
	// A new array: views have the old one.
	s.minutes = slices.Clone(s.minutes[old:])
}

// forget lets go of the series that were in no other minute.
func (s *Store) forget(m *minute) {
	for i := range m.records {
		x := s.series[m.records[i].id]
		x.minutes--
		if x.minutes > 0 {
			continue
		}
		s.unshare()
		name := x.service()
		rest := slices.DeleteFunc(slices.Clone(s.services[name]), func(o *series) bool { return o == x })
		if len(rest) == 0 {
			delete(s.services, name)
		} else {
			s.services[name] = rest
		}
		delete(s.ids, x.Key)
		s.series[x.id] = nil
		s.free = append(s.free, x.id)
	}
}

func (s *Store) unshare() {
	if s.shared {
		s.services, s.shared = maps.Clone(s.services), false
	}
}

func (s *Store) edge(e *graph.Edge) {
	counts := Counts{
		Requests: e.Interval.Requests(), Errors: e.Interval.Errors(), NeverReached: e.Interval.NeverReached,
		ConnectionsOpened: e.Interval.Opened, ConnectionsFailed: e.Interval.Failed,
	}
	callee := e.Latency[graph.Destination]
	if callee == nil {
		callee = e.Latency[graph.Waypoint]
	}
	if counts == (Counts{}) && callee == nil && e.Latency[graph.Source] == nil {
		return
	}
	if e.Overflow {
		s.now.nameless = plus(s.now.nameless, counts.calls())
		return
	}
	if e.Callee.Service == "" {
		return // Nobody can ask for it.
	}
	x := s.find(&Key{
		Namespace: e.Callee.Namespace, Service: e.Callee.Service, Version: e.Callee.Version, Cluster: e.Callee.Cluster,
		Region: e.Callee.Region, Workload: e.Callee.Workload,
		CallerCluster: e.Caller.Cluster, CallerRegion: e.Caller.Region,
	})
	if x == nil {
		s.now.missed.add(service{e.Callee.Namespace, e.Callee.Service}, counts.calls())
		s.lost = plus(s.lost, counts.calls())
		return
	}
	if !x.touched {
		x.touched = true
		s.now.touched, s.now.sorted = append(s.now.touched, x.id), false
	}
	x.counts.add(&counts)
	x.measure(Callee, callee)
	x.measure(Caller, e.Latency[graph.Source])
}

func (x *series) measure(side Side, h *exphist.Histogram) {
	if h == nil || h.Count == 0 {
		return
	}
	if x.latency[side] == nil {
		x.latency[side] = newHistogram()
	}
	x.latency[side].Merge(h)
	x.bytes[side] = nil
}

// find returns the series of a key, nil if there is none and no room for one.
func (s *Store) find(k *Key) *series {
	if id, ok := s.ids[*k]; ok {
		return s.series[id]
	}
	if len(s.ids) >= s.config.MaxSeries {
		return nil
	}
	x := &series{Key: *k}
	if n := len(s.free); n > 0 {
		x.id, s.free = s.free[n-1], s.free[:n-1]
		s.series[x.id] = x
	} else {
		x.id = int32(len(s.series))
		s.series = append(s.series, x)
	}
	s.ids[*k] = x.id
	s.unshare()
	name := x.service()
	s.services[name] = append(slices.Clone(s.services[name]), x)
	return x
}

// freeze makes a record of the minute as it is.
func (s *Store) freeze() *minute {
	w := &s.now
	if !w.sorted {
		slices.Sort(w.touched)
		w.sorted = true
	}
	m := &minute{start: w.start, covered: w.covered, missed: w.missed, nameless: w.nameless, records: make([]record, len(w.touched))}
	for i, id := range w.touched {
		x := s.series[id]
		for side, h := range x.latency {
			if h != nil && x.bytes[side] == nil {
				s.scratch = appendHistogram(s.scratch[:0], h)
				x.bytes[side] = bytes.Clone(s.scratch)
			}
		}
		m.records[i] = record{id: id, counts: x.counts, latency: x.bytes}
	}
	return m
}

func (s *Store) publish() {
	minutes := append(slices.Clip(s.minutes), s.freeze())
	s.shared = true
	s.view.Store(&view{
		services: s.services, minutes: minutes, end: s.end,
		stats: Stats{Series: len(s.ids), MaxSeries: s.config.MaxSeries, MissedRequests: s.lost},
	})
}

// errState means that what [Store.Restore] got was not written by [Store.Encode].
var errState = errors.New("the state of the window is damaged")
