// SPDX-License-Identifier: Apache-2.0

// Package emit adds intervals of the graph up and makes metrics of them.
//
//   - [Minute.Add] takes an interval, [Minute.Merge] what was refused before: nothing is lost by waiting, only put together.
//   - [Minute.Sorted] are its edges, and [Append] makes metrics of some of them. Times are those of the whole.
package emit

import (
	"bytes"
	"cmp"
	"encoding/gob"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/exphist"
)

// ErrMinute means bytes that are no [Minute].
var ErrMinute = errors.New("not what an earlier process had added up, or damaged")

// Edge is what happened on an edge in the time of a [Minute].
type Edge struct {
	graph.Counts
	// Open are the connections that were open at the end.
	Open  uint64
	Flags []graph.Flag
	// Latency is by reporter, as in [graph.Edge]. A histogram may be a snapshot's: shared says which, nobody may change it.
	Latency [3]*exphist.Histogram
	shared  [3]bool
}

// Minute is the sum of some intervals. It is not for use by several goroutines at once.
type Minute struct {
	Start, End time.Time
	Edges      map[graph.Key]*Edge
	// Folded counts edges that had no room and went to one of clusters and regions.
	Folded uint64
	most   int
	// own are the edges that are not of clusters and regions: these take no place from the others.
	own    int
	sorted []Named
}

// New returns an empty sum of at most so many edges. What is more goes to edges of clusters and regions, as in the graph.
func New(most int) *Minute { return &Minute{Edges: map[graph.Key]*Edge{}, most: most} }

// Add takes an interval: its edges with something to tell.
func (m *Minute) Add(s *graph.Snapshot) {
	m.span(s.Start, s.End)
	for i := range s.Edges {
		e := &s.Edges[i]
		if e.Interval == (graph.Counts{}) && len(e.Flags) == 0 && e.OpenConnections == 0 && e.Latency == [3]*exphist.Histogram{} {
			continue
		}
		to := m.edge(e.Key)
		to.add(&e.Interval, e.Flags, &e.Latency)
		to.Open = e.OpenConnections
	}
}

// Merge takes another sum, an older or a newer one, which must not be used any more.
func (m *Minute) Merge(o *Minute) {
	newer := !o.End.Before(m.End)
	m.span(o.Start, o.End)
	m.Folded += o.Folded
	// In order, so that the same edges get a place each time.
	for _, named := range o.Sorted() {
		key, e := named.Key, named.Edge
		known := m.Edges[key] != nil
		to := m.edge(&key)
		to.add(&e.Counts, e.Flags, &e.Latency)
		if newer || !known {
			to.Open = e.Open
		}
	}
}

// Empty says whether there is nothing to tell.
func (m *Minute) Empty() bool { return len(m.Edges) == 0 }

func (m *Minute) span(start, end time.Time) {
	if m.Start.IsZero() || (!start.IsZero() && start.Before(m.Start)) {
		m.Start = start
	}
	if end.After(m.End) {
		m.End = end
	}
}

func (m *Minute) edge(key *graph.Key) *Edge {
	if e := m.Edges[*key]; e != nil {
		return e
	}
	if m.own >= m.most && !key.Overflow {
		m.Folded++
		return m.edge(&graph.Key{
			Caller:   graph.Caller{Cluster: key.Caller.Cluster, Region: key.Caller.Region},
			Callee:   graph.Callee{Cluster: key.Callee.Cluster, Region: key.Callee.Region},
			Protocol: key.Protocol, Overflow: true,
		})
	}
	if key.Overflow && len(m.Edges)-m.own >= m.most/8+16 {
		key = &graph.Key{Overflow: true}
		if e := m.Edges[*key]; e != nil {
			return e
		}
	}
	if !key.Overflow {
		m.own++
	}
	e := &Edge{}
	m.Edges[*key] = e
	return e
}

func (e *Edge) add(counts *graph.Counts, flags []graph.Flag, latency *[3]*exphist.Histogram) {
	e.Add(counts)
	for _, f := range flags {
		i := slices.IndexFunc(e.Flags, func(o graph.Flag) bool { return o.Reporter == f.Reporter && o.Flag == f.Flag })
		if i < 0 {
			e.Flags = append(e.Flags, f)
			continue
		}
		e.Flags[i].Requests += f.Requests
	}
	for r, h := range latency {
		switch {
		case h == nil:
		case e.Latency[r] == nil:
			e.Latency[r], e.shared[r] = h, true
		default:
			if e.shared[r] {
				own := exphist.New()
				own.Merge(e.Latency[r])
				e.Latency[r], e.shared[r] = own, false
			}
			e.Latency[r].Merge(h)
		}
	}
}

// Named is an edge with its name.
type Named struct {
	Key  graph.Key
	Edge *Edge
}

// Sorted are the edges in order, so that the same sum is always handed on in the same parts. What it returns stays as it is
// when edges are dropped, and must not be used any more once something was added.
func (m *Minute) Sorted() []Named {
	if len(m.sorted) != len(m.Edges) {
		m.sorted = make([]Named, 0, len(m.Edges))
		for key, e := range m.Edges {
			m.sorted = append(m.sorted, Named{key, e})
		}
		slices.SortFunc(m.sorted, func(a, b Named) int { return compare(&a.Key, &b.Key) })
	}
	return m.sorted
}

func compare(a, b *graph.Key) int {
	return cmp.Or(
		cmp.Compare(a.Caller.Cluster, b.Caller.Cluster), cmp.Compare(a.Caller.Region, b.Caller.Region),
		cmp.Compare(a.Caller.Namespace, b.Caller.Namespace), cmp.Compare(a.Caller.Workload, b.Caller.Workload),
		cmp.Compare(a.Caller.Version, b.Caller.Version),
		cmp.Compare(a.Callee.Cluster, b.Callee.Cluster), cmp.Compare(a.Callee.Region, b.Callee.Region),
		cmp.Compare(a.Callee.Namespace, b.Callee.Namespace), cmp.Compare(a.Callee.Service, b.Callee.Service),
		cmp.Compare(a.Callee.Workload, b.Callee.Workload), cmp.Compare(a.Callee.Version, b.Callee.Version),
		cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(number(a.Overflow), number(b.Overflow)),
	)
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// DropFirst forgets the first edges of [Minute.Sorted], which were handed on.
func (m *Minute) DropFirst(n int) {
	sorted := m.Sorted()
	n = min(n, len(sorted))
	for i := range sorted[:n] {
		delete(m.Edges, sorted[i].Key)
		if !sorted[i].Key.Overflow {
			m.own--
		}
	}
	m.sorted = sorted[n:]
}

// wire is what gob writes: it knows no nil in an array.
type wire struct {
	Start, End time.Time
	Folded     uint64
	Edges      []wireEdge
}

type wireEdge struct {
	Key     graph.Key
	Counts  graph.Counts
	Open    uint64
	Flags   []graph.Flag
	Latency map[int]*exphist.Histogram
}

// Encode returns the sum as bytes.
func (m *Minute) Encode() ([]byte, error) {
	w := wire{Start: m.Start, End: m.End, Folded: m.Folded, Edges: make([]wireEdge, 0, len(m.Edges))}
	for key, e := range m.Edges {
		o := wireEdge{Key: key, Counts: e.Counts, Open: e.Open, Flags: e.Flags}
		for r, h := range e.Latency {
			if h == nil {
				continue
			}
			if o.Latency == nil {
				o.Latency = map[int]*exphist.Histogram{}
			}
			o.Latency[r] = h
		}
		w.Edges = append(w.Edges, o)
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(&w); err != nil {
		return nil, fmt.Errorf("writing what was added up: %w", err)
	}
	return b.Bytes(), nil
}

// Decode reads what [Minute.Encode] returned, for a sum of at most so many edges.
func Decode(b []byte, most int) (*Minute, error) {
	var w wire
	if err := gob.NewDecoder(bytes.NewReader(b)).Decode(&w); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMinute, err)
	}
	m := New(most)
	m.span(w.Start, w.End)
	m.Folded = w.Folded
	for i := range w.Edges {
		o := &w.Edges[i]
		var latency [3]*exphist.Histogram
		for r, h := range o.Latency {
			if r < 0 || r >= len(latency) || !readable(h) {
				return nil, fmt.Errorf("%w: a latency cannot be read", ErrMinute)
			}
			latency[r] = h
		}
		e := m.edge(&o.Key)
		e.add(&o.Counts, o.Flags, &latency)
		e.Open = o.Open
	}
	return m, nil
}

// readable says whether a histogram is one that exphist makes: else merging it may take forever.
func readable(h *exphist.Histogram) bool {
	if h == nil || h.Scale < -10 || h.Scale > exphist.MaxScale || len(h.Buckets) > exphist.MaxBuckets {
		return false
	}
	// The binary exponents of floating point numbers are within 1100 of zero.
	most := int32(1100) << max(h.Scale, 0)
	return h.Offset >= -most && h.Offset <= most
}
