// SPDX-License-Identifier: Apache-2.0

package meshsamplingextension

import (
	"maps"
	"sync"
	"time"
)

// overflowEdge is all edges beyond the ceiling.
const overflowEdge = 0

// share knows how often each edge has traces, and says with what probability the next one is kept.
//
// The probability of a trace depends on the traces before it alone, never on its own randomness. So a trace that is kept
// with probability p, and counts 1/p then, counts 1 on average: whatever the probabilities are, sums are unbiased.
type share struct {
	config *Config
	now    func() time.Time

	mu    sync.Mutex
	edges map[uint64]*edge
	next  time.Time
	// expected is how many traces of the interval are kept, before MaxTraces; last of the one before.
	expected, last float64
}

// edge counts the traces of an edge.
type edge struct{ now, before float64 }

func newShare(config *Config, now func() time.Time) *share {
	return &share{config: config, now: now, edges: map[uint64]*edge{}, next: now().Add(config.Interval)}
}

// probability returns the probability for a trace with these edges, above 0 to 1, and counts it. A trace is kept as its
// rarest edge wants it. An edge that is beyond the ceiling overflows.
func (s *share) probability(edges []uint64) (p float64, overflowed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn()
	for _, key := range edges {
		e := s.edges[key]
		if e == nil && len(s.edges) >= s.config.MaxEdges {
			key, overflowed = overflowEdge, true
			e = s.edges[key]
		}
		if e == nil {
			e = &edge{}
			s.edges[key] = e
		}
		e.now++
		// What came in this interval counts as soon as it is more than in the last one: a burst, or a new edge.
		p = max(p, float64(s.config.TracesPerEdge)/max(e.now, e.before))
	}
	p = min(p, 1)
	s.expected += p
	p *= min(1, float64(s.config.MaxTraces)/max(s.expected, s.last, 1))
	return max(p, 1/float64(s.config.MaxWeight)), overflowed
}

// turn begins a new interval when it is time. Edges without a trace in two intervals are forgotten.
func (s *share) turn() {
	now := s.now()
	if now.Before(s.next) {
		return
	}
	// After a silence the last interval was an empty one.
	silent := now.Sub(s.next) >= s.config.Interval
	for _, e := range s.edges {
		e.before, e.now = e.now, 0
		if silent {
			e.before = 0
		}
	}
	s.last, s.expected = s.expected, 0
	if silent {
		s.last = 0
	}
	maps.DeleteFunc(s.edges, func(_ uint64, e *edge) bool { return e.before == 0 })
	s.next = now.Add(s.config.Interval)
}

func (s *share) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.edges)
}
