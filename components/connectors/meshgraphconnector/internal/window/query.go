// SPDX-License-Identifier: Apache-2.0

package window

import (
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/exphist"
)

// Query is a question about a called service. Namespace and Service are required; of the others, an empty one fits all.
type Query struct {
	Namespace, Service                 string
	Version, Cluster, Region, Workload string
	CallerCluster, CallerRegion        string
	// Window is from 1 minute to 1 hour. The minute that has begun is added to it.
	Window time.Duration
}

// Totals are what happened in the window.
type Totals struct {
	Counts
	// Latency is in milliseconds, by who measured it; nil if nobody did.
	Latency [sideCount]*exphist.Histogram
}

// Span is the time that an answer is about.
type Span struct {
	// From is the beginning of the first minute, To the end of the last interval. Both are zero before the first interval.
	From, To time.Time
	// Covered is how much of it was seen: less after a restart without state.
	Covered time.Duration
}

// Answer is what is known.
type Answer struct {
	Span
	// Matched is what surely fits the question.
	Matched Totals
	// Unattributed is what may fit it: nothing told the version, or another thing that was asked for. Calls that reached
	// nobody have no version.
	Unattributed Counts
	// Service is all that the same callers asked of the service.
	Service Counts
	// MissedRequests had no room in the window, and NamelessRequests none in the graph: some of them may belong here.
	// Both are 0 if it is sure that none does.
	MissedRequests, NamelessRequests uint64
}

// Complete says whether nothing is missing for want of room.
func (a *Answer) Complete() bool { return a.MissedRequests == 0 && a.NamelessRequests == 0 }

// Query answers a question.
func (s *Store) Query(q *Query) Answer {
	v := s.view.Load()
	name := service{q.Namespace, q.Service}
	minutes := v.since(q.Window)
	a := Answer{Span: v.span(minutes)}
	a.MissedRequests, a.NamelessRequests = incomplete(minutes, name)
	var buffer []uint64
	for _, x := range v.services[name] {
		caller := fit(q.CallerCluster, x.CallerCluster) & fit(q.CallerRegion, x.CallerRegion)
		all := caller & fit(q.Version, x.Version) & fit(q.Cluster, x.Cluster) & fit(q.Region, x.Region) & fit(q.Workload, x.Workload)
		for _, m := range minutes {
			r := m.of(x.id)
			if r == nil {
				continue
			}
			if caller == surely {
				a.Service.add(&r.counts)
			}
			switch all {
			case surely:
				a.Matched.add(&r.counts)
				buffer = a.Matched.measure(r, buffer)
			case perhaps:
				a.Unattributed.add(&r.counts)
			}
		}
	}
	return a
}

func (t *Totals) add(c *Counts) { t.Counts.add(c) }

func (t *Totals) measure(r *record, buffer []uint64) []uint64 {
	for side, b := range r.latency {
		if b == nil {
			continue
		}
		p, used, ok := readHistogram(b, buffer)
		buffer = used
		if !ok {
			continue // Restore refuses what it cannot read, and Add writes it.
		}
		if t.Latency[side] == nil {
			t.Latency[side] = newHistogram()
		}
		// Its scale and indexes are those of a histogram that was built by the same rules.
		_ = t.Latency[side].Add(&p)
	}
	return buffer
}

// fitting orders no, perhaps and surely so that & is the weaker of two.
type fitting uint8

const (
	no      fitting = 0
	perhaps fitting = 1
	surely  fitting = 3
)

// fit says whether what is known fits what was asked for.
func fit(asked, known string) fitting {
	switch {
	case asked == "" || asked == known:
		return surely
	case known == "":
		return perhaps
	default:
		return no
	}
}

// since returns the minutes of a window, and the one that has begun.
func (v *view) since(window time.Duration) []*minute {
	if len(v.minutes) == 0 {
		return nil
	}
	first := v.minutes[len(v.minutes)-1].start - int64(window/time.Second)
	for i, m := range v.minutes {
		if m.start >= first {
			return v.minutes[i:]
		}
	}
	return nil
}

func (v *view) span(minutes []*minute) Span {
	if len(minutes) == 0 {
		return Span{}
	}
	s := Span{From: time.Unix(minutes[0].start, 0).UTC(), To: v.end.UTC()}
	for _, m := range minutes {
		s.Covered += m.covered
	}
	return s
}

func incomplete(minutes []*minute, name service) (missed, nameless uint64) {
	for _, m := range minutes {
		if m.missed.has(name) {
			missed = plus(missed, m.missed.requests)
		}
		nameless = plus(nameless, m.nameless)
	}
	return missed, nameless
}
