// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Config says how much a graph holds.
type Config struct {
	// MaxEdges is the most edges, from 1 to 1 000 000. What is more goes to edges that keep cluster and region of both
	// ends, of which there are at most MaxEdges/8 + 16, and from then on to one that keeps nothing.
	MaxEdges int
	// Expire is how long an edge stays after its last report. At least a minute.
	Expire time.Duration
	// Settle is how long a report waits for its counterpart of another reporter, where one may come: at least the longest
	// way of a report to the graph, from the request to [Graph.Add], with the intervals of scrapes and reports. From a
	// second to an hour, and at most a quarter of Expire. It does not depend on how often the graph rolls.
	Settle time.Duration
	// MaxExemplars is the most traces that an edge names for an interval, from 0 to 16.
	MaxExemplars int
}

// DefaultConfig is what fits most meshes: 50 000 edges for an hour, four traces each, and two minutes to settle, for agents
// that report every minute what they scrape every 15 seconds.
func DefaultConfig() Config {
	return Config{MaxEdges: 50_000, Expire: time.Hour, Settle: 2 * time.Minute, MaxExemplars: 4}
}

// Validate says what is wrong with the configuration, by the keys of the connector.
func (c *Config) Validate() error {
	var errs []error
	if c.MaxEdges < 1 || c.MaxEdges > 1_000_000 {
		errs = append(errs, fmt.Errorf("max_edges is %d: write a number from 1 to 1000000", c.MaxEdges))
	}
	if c.Expire < time.Minute {
		errs = append(errs, fmt.Errorf("expire is %s: write at least 1m", c.Expire))
	}
	switch {
	case c.Settle < time.Second || c.Settle > time.Hour:
		errs = append(errs, fmt.Errorf("settle is %s: write a duration from 1s to 1h", c.Settle))
	case c.Expire >= time.Minute && c.Settle > c.Expire/4:
		errs = append(errs, fmt.Errorf("settle is %s: write at most a quarter of expire, which is %s", c.Settle, c.Expire))
	}
	if c.MaxExemplars < 0 || c.MaxExemplars > 16 {
		errs = append(errs, fmt.Errorf("max_exemplars is %d: write a number from 0 to 16", c.MaxExemplars))
	}
	return errors.Join(errs...)
}

// shardCount is the number of locks. More than the cores of a hub.
const shardCount = 32

// Graph holds the edges. Any number of goroutines may add; one at a time may roll, encode or restore.
type Graph struct {
	config   Config
	seed     maphash.Seed
	shards   [shardCount]shard
	edges    atomic.Int64
	overflow atomic.Int64
	stats    liveStats
	current  atomic.Pointer[Snapshot]
	sequence uint64
	begun    time.Time
	// clock is that of what waits, in milliseconds: see [pace].
	clock int64
	// resume is from when on the clock goes.
	resume  time.Time
	rolling sync.Mutex
}

// shard holds the edges to some services: all that may be one another's other half are in one.
type shard struct {
	mu    sync.Mutex
	edges map[uint64]*edge
	order []*edge
	// now is the time of the latest roll, in seconds: reports are dated by it.
	now int64
}

type liveStats struct {
	points, refused, overflowed, textsCut, flagsOther, identitiesOther, expired, unknownReporter atomic.Uint64
}

// New returns an empty graph whose first interval begins at now.
func New(config Config, now time.Time) (*Graph, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	g := &Graph{config: config, seed: maphash.MakeSeed(), begun: now}
	for i := range g.shards {
		g.shards[i].edges = map[uint64]*edge{}
		g.shards[i].now = now.Unix()
	}
	g.current.Store(&Snapshot{Start: now, End: now, Stats: Stats{MaxEdges: config.MaxEdges}})
	return g, nil
}

// Snapshot returns the newest published interval, never nil. It takes no lock, and nobody changes what it returns.
func (g *Graph) Snapshot() *Snapshot { return g.current.Load() }

// Add takes what a point says. The point may be used again afterwards; its names are copied where the edge is new. An
// error means that the latency could not be read; all else was counted.
func (g *Graph) Add(p *Point) error {
	g.stats.points.Add(1)
	if p.Reporter >= reporterCount {
		g.stats.unknownReporter.Add(1)
		return fmt.Errorf("reporter %d is none of source, destination and waypoint", p.Reporter)
	}
	s := g.lock(&p.Key)
	defer func() { s.mu.Unlock() }()
	e := g.find(s, &p.Key)
	if e == nil {
		key := p.Key.overflow()
		s.mu.Unlock()
		s = g.lock(&key)
		e = g.findOverflow(s, &key)
		g.stats.overflowed.Add(1)
	}
	flags, identities, err := e.take(p)
	if flags > 0 {
		g.stats.flagsOther.Add(uint64(flags))
	}
	if identities > 0 {
		g.stats.identitiesOther.Add(uint64(identities))
	}
	if err != nil {
		g.stats.refused.Add(1)
	}
	return err
}

// AddExemplar names a trace that went over an edge. Traces of edges that no point has told of are left out: false.
func (g *Graph) AddExemplar(key *Key, x Exemplar) bool {
	s := g.lock(key)
	defer s.mu.Unlock()
	e := s.get(g.hash(key), key)
	if e == nil {
		return false
	}
	x.TraceID = cutText(x.TraceID)
	e.exemplar(x, g.config.MaxExemplars)
	return true
}

func (g *Graph) hash(key *Key) uint64 { return maphash.Comparable(g.seed, *key) }

func (g *Graph) lock(key *Key) *shard {
	h := maphash.String(g.seed, key.Callee.Service) ^ maphash.String(g.seed, key.Callee.Namespace)<<1
	s := &g.shards[h%shardCount]
	s.mu.Lock()
	return s
}

func (s *shard) get(hash uint64, key *Key) *edge {
	e := s.edges[hash]
	for e != nil && e.key != *key {
		e = e.next
	}
	return e
}

// find returns the edge of a key, nil if there is none and no room for one.
func (g *Graph) find(s *shard, key *Key) *edge {
	hash := g.hash(key)
	if e := s.get(hash, key); e != nil {
		return e
	}
	if key.long() {
		short, cut := key.interned()
		g.stats.textsCut.Add(uint64(cut))
		// A cut service or namespace may belong to another shard, where nobody would match it: it stays in this one.
		key, hash = &short, g.hash(&short)
		if e := s.get(hash, key); e != nil {
			return e
		}
	}
	if g.edges.Add(1) > int64(g.config.MaxEdges) {
		g.edges.Add(-1)
		return nil
	}
	return s.insert(hash, key)
}

func (g *Graph) findOverflow(s *shard, key *Key) *edge {
	short, _ := key.interned()
	for {
		hash := g.hash(&short)
		if e := s.get(hash, &short); e != nil {
			return e
		}
		// The last one, without names, is always possible. All overflow edges are in one shard: they have no service.
		if last := (Key{Overflow: true}); g.overflow.Load() < int64(g.config.MaxEdges/8+16) || short == last {
			g.overflow.Add(1)
			return s.insert(hash, &short)
		}
		short = Key{Overflow: true}
	}
}

func (s *shard) insert(hash uint64, key *Key) *edge {
	e := &edge{first: s.now, last: s.now, next: s.edges[hash]}
	e.key, _ = key.interned()
	s.edges[hash] = e
	s.order = append(s.order, e)
	return e
}

// Roll closes the interval at now, publishes it and begins the next one.
func (g *Graph) Roll(now time.Time) *Snapshot {
	g.rolling.Lock()
	defer g.rolling.Unlock()
	if now.Before(g.begun) {
		now = g.begun // A clock that was set back.
	}
	p := g.tick(now)
	edges := make([]Edge, 0, g.edges.Load()+g.overflow.Load())
	for i := range g.shards {
		edges = g.shards[i].roll(g, now, p, edges)
	}
	slices.SortFunc(edges, func(a, b Edge) int { return compareKeys(a.Key, b.Key) })
	g.sequence++
	snapshot := &Snapshot{Sequence: g.sequence, Start: g.begun, End: now, Edges: edges, Stats: g.Stats()}
	g.begun = now
	g.current.Store(snapshot)
	return snapshot
}

// Hold lets what waits for another reporter wait for one Config.Settle longer. Call it when points begin to come again after
// a hub was away: senders come back one after the other. It is part of the state.
func (g *Graph) Hold(now time.Time) {
	g.rolling.Lock()
	defer g.rolling.Unlock()
	g.resume = now.Add(g.config.Settle)
}

// tick lets the clock of what waits go on until now.
func (g *Graph) tick(now time.Time) pace {
	p := pace{clock: g.clock, settle: g.config.Settle.Milliseconds()}
	since := g.begun
	if since.Before(g.resume) {
		since = g.resume
	}
	if now.After(since) {
		p.clock += min(now.Sub(since), g.config.Settle/2).Milliseconds()
	}
	p.mark = p.clock/p.spacing() != g.clock/p.spacing()
	g.clock = p.clock
	return p
}

func (s *shard) roll(g *Graph, now time.Time, p pace, edges []Edge) []Edge {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = now.Unix()
	expired := s.now - int64(g.config.Expire/time.Second)
	before := make([]counts, len(s.order))
	for i, e := range s.order {
		before[i] = e.counted
		e.listen(s.now, p)
		e.settle(p)
	}
	s.settleUnknown(p)
	kept := s.order[:0]
	for i, e := range s.order {
		e.early.settle(&e.counted, p)
		edges = append(edges, e.publish(&before[i], s.now, expired, p))
		if e.last <= expired {
			g.drop(s, e)
			continue
		}
		kept = append(kept, e)
	}
	clear(s.order[len(kept):])
	s.order = kept
	return edges
}

func (g *Graph) drop(s *shard, e *edge) {
	hash := g.hash(&e.key)
	if s.edges[hash] == e {
		if e.next == nil {
			delete(s.edges, hash)
		} else {
			s.edges[hash] = e.next
		}
	} else {
		for o := s.edges[hash]; o != nil; o = o.next {
			if o.next == e {
				o.next = e.next
			}
		}
	}
	if e.key.Overflow {
		g.overflow.Add(-1)
	} else {
		g.edges.Add(-1)
	}
	g.stats.expired.Add(1)
}
