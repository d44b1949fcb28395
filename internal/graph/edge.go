// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/exphist"
)

const (
	// maxFlags is the most different flags that a reporter's interval of an edge holds. There are about forty; a hostile
	// sender may invent more, which then count as "other".
	maxFlags = 48
	// maxFlag is the most bytes of a flag.
	maxFlag = 32
	// otherFlag takes what is more than maxFlags.
	otherFlag = "other"
)

// side is what one reporter said of an edge.
type side struct {
	// total is everything that it said since the edge is known, as far as it is compared with what others said.
	total counts
	// latency and flags are of this interval.
	latency *exphist.Histogram
	flags   []flagCount
	// heard says that it ever said something: others may only have been matched with it. spoke and plain, that it told of
	// plaintext, are about this interval.
	heard, spoke, plain bool
}

type flagCount struct {
	flag string
	n    uint64
}

// edge is what is known of one edge. Its shard's lock holds it.
type edge struct {
	key Key
	// next is another edge of the same hash.
	next  *edge
	sides [reporterCount]*side
	// counted is what was published of what arrived, base the part of it from before the last long pause: the totals of the
	// sides begin anew there.
	counted, base counts
	// never are the requests that never left their caller's proxy, neverBefore those of them before this interval.
	never, neverBefore [ClassCount]uint64
	waiting            *waiting
	past               *past
	identities         *identities
	plaintext          *Plaintext
	early              early
	exemplars          []Exemplar
	// first and last are when somebody spoke of it, in seconds.
	first, last int64
	// born is the graph's clock at the first roll after the first report, spokeAt at the roll after the last one.
	born, spokeAt int64
	// rolled says that born is known, leveled that nobody spoke since the comparison of the reporters began anew.
	rolled, leveled bool
}

func (e *edge) side(r Reporter) *side {
	if e.sides[r] == nil {
		e.sides[r] = &side{}
	}
	return e.sides[r]
}

// take adds a point. The numbers of flags and identities that had no room are returned.
func (e *edge) take(p *Point) (lostFlags, lostIdentities int, err error) {
	class, never := judge(p)
	s := e.side(p.Reporter)
	s.heard, s.spoke = true, true
	if p.Requests > 0 {
		lostFlags = s.flag(p.Flags, p.Requests)
	}
	if never {
		// Its bytes never crossed to the callee, and how long it took says nothing about the callee.
		e.never[class] = plus(e.never[class], p.Requests)
		s.total[failed] = plus(s.total[failed], plus(p.FailedConnections, p.Closed))
		return lostFlags, 0, nil
	}
	total := &s.total
	if e.past != nil && p.Time != 0 && p.Time <= e.past.until {
		total = e.past.of(p.Reporter)
	}
	total.take(p, class)
	s.plain = s.plain || p.TLS == TLSNone && (p.Requests > 0 || p.Opened > 0)
	lostIdentities = e.identify(p)
	if p.Latency != nil || len(p.LatencyCounts) > 0 {
		if s.latency == nil {
			s.latency = exphist.New()
		}
		if p.Latency != nil {
			err = s.latency.Add(p.Latency)
		}
		if len(p.LatencyCounts) > 0 && err == nil {
			err = s.latency.AddExplicit(p.LatencyBounds, p.LatencyCounts, p.LatencySum)
		}
	}
	return lostFlags, lostIdentities, err
}

func (s *side) flag(flags string, n uint64) (lost int) {
	for rest := flags; rest != ""; {
		var flag string
		flag, rest, _ = strings.Cut(rest, ",")
		if flag = strings.TrimSpace(flag); flag == "" || flag == "-" {
			continue
		}
		i := slices.IndexFunc(s.flags, func(f flagCount) bool { return f.flag == flag })
		if i < 0 && (len(s.flags) >= maxFlags-1 || len(flag) > maxFlag) {
			lost++
			flag = otherFlag
			i = slices.IndexFunc(s.flags, func(f flagCount) bool { return f.flag == otherFlag })
		}
		if i < 0 {
			s.flags = append(s.flags, flagCount{flag: strings.Clone(flag)})
			i = len(s.flags) - 1
		}
		s.flags[i].n = plus(s.flags[i].n, n)
	}
	return lost
}

// arrived is what happened on the edge as far as anybody saw it: of each thing the most that any reporter counted, for
// each of them counts a part of what happened. Requests are not more than the most that one reporter saw or the classes
// that callers and callees cannot see differently: what is above is a request without an answer to its caller that the
// callee answered, or one of which only one of them told how it ended.
func (e *edge) arrived() counts {
	var most counts
	var requests uint64
	for _, s := range e.sides {
		if s == nil {
			continue
		}
		for i, v := range s.total {
			most[i] = max(most[i], v)
		}
		requests = max(requests, s.total.requests())
	}
	broken := most[NoResponse]
	most[NoResponse], most[Other] = 0, 0
	rest := minus(requests, most.requests())
	most[NoResponse] = min(rest, broken)
	most[Other] = rest - most[NoResponse]
	return most
}

// reporters is how many reporters the edge ever had.
func (e *edge) reporters() int {
	n := 0
	for _, s := range e.sides {
		if s != nil && s.heard {
			n++
		}
	}
	return n
}

// Exemplar is a trace that went over an edge.
type Exemplar struct {
	// TraceID is the id in hexadecimal digits.
	TraceID string `json:"trace_id"`
	// Time is when the request began.
	Time time.Time `json:"time"`
	// Milliseconds is how long it took.
	Milliseconds float64 `json:"duration_ms"`
	// Failed says that it was an error.
	Failed bool `json:"failed"`
}

// better orders exemplars by what is worth looking at: errors, then the slow.
func better(a, b Exemplar) int {
	if a.Failed != b.Failed {
		if a.Failed {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(b.Milliseconds, a.Milliseconds), cmp.Compare(a.TraceID, b.TraceID))
}

func (e *edge) exemplar(x Exemplar, most int) {
	if i := slices.IndexFunc(e.exemplars, func(o Exemplar) bool { return o.TraceID == x.TraceID }); i >= 0 {
		// Client and server span of one call, or a retry: the one that is worth more stands for the trace.
		if better(x, e.exemplars[i]) >= 0 {
			return
		}
		e.exemplars = slices.Delete(e.exemplars, i, i+1)
	}
	at, _ := slices.BinarySearchFunc(e.exemplars, x, better)
	if at >= most {
		return
	}
	x.TraceID = strings.Clone(x.TraceID) // The caller may use its bytes again.
	e.exemplars = slices.Insert(e.exemplars, at, x)
	e.exemplars = e.exemplars[:min(len(e.exemplars), most)]
}
