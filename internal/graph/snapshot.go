// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"cmp"
	"slices"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/exphist"
)

// Snapshot is the graph at the end of an interval. Nobody changes it.
type Snapshot struct {
	// Sequence counts the intervals, across restarts.
	Sequence uint64
	// Start and End are the interval that was closed.
	Start, End time.Time
	// Edges are sorted by caller, callee and protocol. Edges on which nothing happened in the interval are among them.
	Edges []Edge
	Stats Stats
}

// Stats say how full the graph is and what it could not take as it came. All but Edges, OverflowEdges and MaxEdges count
// since the process began.
type Stats struct {
	Edges         int `json:"edges"`
	OverflowEdges int `json:"overflow_edges"`
	MaxEdges      int `json:"max_edges"`
	// Points are the points that were added.
	Points uint64 `json:"points"`
	// OverflowedPoints went to an overflow edge because of the ceiling.
	OverflowedPoints uint64 `json:"overflowed_points"`
	// RefusedLatencies are latencies that could not be read; their requests were counted.
	RefusedLatencies uint64 `json:"refused_latencies"`
	// RefusedPoints had a reporter that is none.
	RefusedPoints uint64 `json:"refused_points"`
	// TextsCut are names that were longer than [MaxText].
	TextsCut uint64 `json:"texts_cut"`
	// FlagsOther are response flags that count as "other": too many different ones on an edge, or too long.
	FlagsOther uint64 `json:"flags_other"`
	// IdentitiesOther are identities of points that had no room on their edge, or were too long.
	IdentitiesOther uint64 `json:"identities_other"`
	// Expired are edges that were dropped after a time without reports.
	Expired uint64 `json:"expired_edges"`
}

// Stats returns what is true now.
func (g *Graph) Stats() Stats {
	return Stats{
		Edges: int(g.edges.Load()), OverflowEdges: int(g.overflow.Load()), MaxEdges: g.config.MaxEdges,
		Points: g.stats.points.Load(), OverflowedPoints: g.stats.overflowed.Load(),
		RefusedLatencies: g.stats.refused.Load(), RefusedPoints: g.stats.unknownReporter.Load(),
		TextsCut: g.stats.textsCut.Load(), FlagsOther: g.stats.flagsOther.Load(),
		IdentitiesOther: g.stats.identitiesOther.Load(), Expired: g.stats.expired.Load(),
	}
}

// Edge is an edge in a [Snapshot].
type Edge struct {
	*Key
	// Interval is what happened in the interval, Total since First.
	Interval, Total Counts
	// Latency is that of the requests that arrived, by who measured it; nil where a reporter told none. A caller's proxy
	// measures the way there and back too.
	Latency [reporterCount]*exphist.Histogram
	// Flags are the response flags of the interval. Caller and callee tell different ones of one request, so they are not
	// added up over reporters.
	Flags []Flag
	// Reporters ever heard of, in the order of [Reporter]; Heard in this interval.
	Reporters, Heard []Reporter
	// OpenConnections are connections that were opened since First and not closed. Those that were open before are none of
	// them, also when they close.
	OpenConnections uint64
	Exemplars       []Exemplar
	// Identities under which the ends were seen, by end and principal; OtherIdentities are the requests and connections
	// under identities that the edge had no room for.
	Identities      []Identity
	OtherIdentities uint64
	// Plaintext is nil where nobody ever told of a request or connection without TLS.
	Plaintext   *Plaintext
	First, Last time.Time
}

// Flag is how many requests of a reporter had a response flag.
type Flag struct {
	Reporter Reporter
	Flag     string
	Requests uint64
}

// Counts are what happened on an edge, each request once.
type Counts struct {
	// Classes are the requests by how they ended, those that never reached the callee included.
	Classes [ClassCount]uint64
	// NeverReached are those that the caller's proxy answered by itself: no healthy host, no route and so on.
	NeverReached uint64
	// RequestBytes went from caller to callee, ResponseBytes back.
	RequestBytes, ResponseBytes uint64
	// The bytes of these of which it is known that they stayed in an availability zone, or crossed to another one in the
	// region. All others' zones are unknown, or the regions differ. They are at most all bytes in a total, and in an
	// interval they may be more: the reporter that knows the zones may be the second one.
	RequestSameZone, RequestCrossZone, ResponseSameZone, ResponseCrossZone uint64
	// Opened, Closed and Failed are TCP connections.
	Opened, Closed, Failed uint64
	// MutualTLS and Plaintext are requests and connections of which it is known.
	MutualTLS, Plaintext uint64
}

// Requests is the number of requests.
func (c *Counts) Requests() uint64 {
	var n uint64
	for _, v := range c.Classes {
		n = plus(n, v)
	}
	return n
}

// Errors is the number of requests of a class that [Class.Failed].
func (c *Counts) Errors() uint64 {
	var n uint64
	for class, v := range c.Classes {
		if Class(class).Failed() {
			n = plus(n, v)
		}
	}
	return n
}

// MutualShare is the part of what is known to be one or the other that was mutual TLS, from 0 to 1; known is false where
// nothing is known.
func (c *Counts) MutualShare() (share float64, known bool) {
	all := float64(c.MutualTLS) + float64(c.Plaintext)
	if all == 0 {
		return 0, false
	}
	return float64(c.MutualTLS) / all, true
}

// Add adds what happened on another edge, or in another interval.
func (c *Counts) Add(o *Counts) {
	for i, v := range o.Classes {
		c.Classes[i] = plus(c.Classes[i], v)
	}
	for _, f := range [...]struct{ to, from *uint64 }{
		{&c.NeverReached, &o.NeverReached},
		{&c.RequestBytes, &o.RequestBytes},
		{&c.ResponseBytes, &o.ResponseBytes},
		{&c.RequestSameZone, &o.RequestSameZone},
		{&c.RequestCrossZone, &o.RequestCrossZone},
		{&c.ResponseSameZone, &o.ResponseSameZone},
		{&c.ResponseCrossZone, &o.ResponseCrossZone},
		{&c.Opened, &o.Opened},
		{&c.Closed, &o.Closed},
		{&c.Failed, &o.Failed},
		{&c.MutualTLS, &o.MutualTLS},
		{&c.Plaintext, &o.Plaintext},
	} {
		*f.to = plus(*f.to, *f.from)
	}
}

// public puts together what arrived and what never did.
func (c *counts) public(never *[ClassCount]uint64) Counts {
	p := Counts{
		RequestBytes: c[requestBytes], ResponseBytes: c[responseBytes],
		RequestSameZone: c[requestSame], RequestCrossZone: c[requestCross],
		ResponseSameZone: c[responseSame], ResponseCrossZone: c[responseCross],
		Opened: c[opened], Closed: c[closed], Failed: c[failed], MutualTLS: c[mutual], Plaintext: c[plain],
	}
	for i := range p.Classes {
		p.Classes[i] = plus(c[i], never[i])
		p.NeverReached = plus(p.NeverReached, never[i])
	}
	return p
}

// publish makes the record of the interval and begins the next one. before is what was counted until the last one; now and
// expired, before which what nobody told is forgotten, are in seconds.
func (e *edge) publish(before *counts, now, expired int64, p pace) Edge {
	if e.levels(p) {
		e.level(p)
	}
	interval, never := e.counted, e.never
	for i := range interval {
		interval[i] = minus(interval[i], before[i])
	}
	for i := range never {
		never[i] = minus(never[i], e.neverBefore[i])
	}
	e.neverBefore = e.never
	out := Edge{
		Key: &e.key, Interval: interval.public(&never), Total: e.counted.public(&e.never),
		OpenConnections: e.open(),
		Exemplars:       e.exemplars, Plaintext: e.publishPlaintext(now),
		First: time.Unix(e.first, 0).UTC(), Last: time.Unix(e.last, 0).UTC(),
	}
	out.Identities, out.OtherIdentities = e.publishIdentities(now, expired)
	e.exemplars = nil
	for r, s := range e.sides {
		if s == nil || !s.heard {
			continue
		}
		out.Reporters = append(out.Reporters, Reporter(r))
		if s.spoke {
			out.Heard = append(out.Heard, Reporter(r))
			s.spoke = false
		}
		out.Latency[r], s.latency = s.latency, nil
		for _, f := range s.flags {
			out.Flags = append(out.Flags, Flag{Reporter: Reporter(r), Flag: f.flag, Requests: f.n})
		}
		s.flags = nil
	}
	slices.SortFunc(out.Flags, func(a, b Flag) int {
		return cmp.Or(cmp.Compare(a.Reporter, b.Reporter), cmp.Compare(a.Flag, b.Flag))
	})
	return out
}
