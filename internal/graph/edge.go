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
	// heard says that it ever said something: others may only have been matched with it. spoke is about this interval.
	heard, spoke bool
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
	exemplars          []Exemplar
	first              int64
	last               int64
	// age counts the rolls since the edge is known, quiet those since anybody spoke of it, as far as they matter.
	age, quiet uint8
}

// waiting is what waits for another reporter.
type waiting struct {
	// broken are the requests without an answer at the last rolls, the newest first.
	broken []uint64
	// said is what the reporter of an edge with an unknown end had said at the last rolls, the newest first.
	said []counts
	// settled is the part of said that was counted or found to be another edge's.
	settled counts
}

func (e *edge) side(r Reporter) *side {
	if e.sides[r] == nil {
		e.sides[r] = &side{}
	}
	return e.sides[r]
}

// take adds a point. The number of flags that had no room is returned.
func (e *edge) take(p *Point) (lostFlags int, err error) {
	class, never := judge(p)
	s := e.side(p.Reporter)
	s.heard, s.spoke = true, true
	if p.Requests > 0 {
		lostFlags = s.flag(p.Flags, p.Requests)
	}
	if never {
		// Its bytes never crossed to the callee, and how long it took says nothing about the callee.
		e.never[class] = plus(e.never[class], p.Requests)
		s.total[failed] = plus(s.total[failed], p.FailedConnections)
		return lostFlags, nil
	}
	s.total.take(p, class)
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
	return lostFlags, err
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
// callee answered.
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
	most[NoResponse] = 0
	most[NoResponse] = minus(requests, most.requests())
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

// settle moves what was counted on, to what is certain at this roll. What was counted never shrinks.
func (e *edge) settle(rolls int) {
	if _, blind := e.blind(); blind {
		return
	}
	now := e.arrived()
	now[NoResponse] = e.settleBroken(now[NoResponse], rolls)
	for i, v := range now {
		e.counted[i] = max(e.counted[i], plus(e.base[i], v))
	}
}

// settleBroken is the least number of unanswered requests of the last rolls: a callee that answered them after all, and
// reports later than the caller, has said so by then. An edge with a single reporter has nothing to wait for, once it is
// old enough for a second one to have spoken.
func (e *edge) settleBroken(now uint64, rolls int) uint64 {
	if e.reporters() < 2 && int(e.age) >= rolls {
		if e.waiting != nil {
			e.waiting.broken = nil
		}
		return now
	}
	if e.waiting == nil {
		if now == 0 {
			return 0
		}
		e.waiting = &waiting{}
	}
	w := e.waiting
	least := now
	for _, v := range w.broken {
		least = min(least, v)
	}
	if len(w.broken) < rolls {
		least = 0
	}
	w.broken = slices.Insert(w.broken, 0, now)
	w.broken = w.broken[:min(len(w.broken), rolls)]
	return least
}

// level lets the comparison of reporters begin anew on an edge that has been quiet: what one of them missed is known then,
// and must not hide what another one misses later.
func (e *edge) level() {
	e.base, e.waiting = e.counted, nil
	for _, s := range e.sides {
		if s != nil {
			s.total = counts{}
		}
	}
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
	if slices.ContainsFunc(e.exemplars, func(o Exemplar) bool { return o.TraceID == x.TraceID }) {
		return
	}
	at, _ := slices.BinarySearchFunc(e.exemplars, x, better)
	if at >= most {
		return
	}
	e.exemplars = slices.Insert(e.exemplars, at, x)
	e.exemplars = e.exemplars[:min(len(e.exemplars), most)]
}
