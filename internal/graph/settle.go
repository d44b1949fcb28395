// SPDX-License-Identifier: Apache-2.0

package graph

import "slices"

// What waits does so by the graph's clock, which goes with the rolls: milliseconds, at most half of Config.Settle a roll. So a
// clock that is set forward ends no waiting early. It goes on over a restart without the time in which no hub ran, and
// [Graph.Hold] lets it stand still where senders come back to a hub that was away.
//
// What is remembered of a waiting is a few marks, a quarter of Config.Settle apart or a roll where that is longer. So it is
// the same memory for rolls of 4 seconds and of a minute, and a waiting ends between Config.Settle and a quarter more; that of
// unknown ends, which are looked at when a mark is made, half more.
const marksPerSettle = 4

// maxMarks is the most marks there are at a time: those younger than Config.Settle, the newest included, and an older one.
const maxMarks = marksPerSettle + 2

// waiting is what waits for another reporter.
type waiting struct {
	// open are requests of which the other reporter may tell how they ended, the newest first.
	open []openMark
	// blind says that the edge has an unknown end that others may name. said is what its reporter had said, the newest first,
	// and settled what it had said by the latest mark that is due.
	blind   bool
	said    []saidMark
	settled counts
	// shown is what source and destination had said of an edge that names an end which they could not name of others.
	shown [2][]saidMark
}

// openMark has the least numbers of requests without an answer and without a status from at until the next mark.
type openMark struct {
	at    int64
	least [2]uint64
}

// saidMark is what a reporter had said then. All edges are marked at the same rolls.
type saidMark struct {
	at    int64
	total counts
}

// pace is what decides about waiting at a roll: the graph's clock, and Config.Settle, in milliseconds.
type pace struct {
	clock, settle int64
	// mark says that what reporters said is to be marked at this roll.
	mark bool
}

// due says whether what was noted then has waited for long enough.
func (p pace) due(at int64) bool { return p.clock-at >= p.settle }

// next says whether it is time for another mark after that one.
func (p pace) next(at int64) bool { return p.clock-at >= p.spacing() }

// spacing is the least time between two marks.
func (p pace) spacing() int64 { return max(p.settle/marksPerSettle, 1) }

// settle moves what was counted on, to what is certain at this roll. What was counted never shrinks.
func (e *edge) settle(p pace) {
	if _, blind := e.blind(); blind {
		e.wait().blind = true
		return
	}
	e.see()
	before := e.counted
	e.past.settle(&e.base)
	now := e.arrived()
	open := e.settleOpen([...]uint64{now[NoResponse], now[Other]}, p)
	now[NoResponse], now[Other] = open[0], open[1]
	for i, v := range now {
		e.counted[i] = max(e.counted[i], plus(e.base[i], v))
	}
	e.counted.limitZones(&before)
}

// settleOpen returns the least numbers of open requests since Config.Settle ago: a callee that answered them after all, and
// reports later than the caller, has said so by then. An edge with a single reporter has nothing to wait for, once it is
// old enough for a second one to have spoken.
func (e *edge) settleOpen(now [2]uint64, p pace) [2]uint64 {
	if e.reporters() < 2 && p.due(e.born) {
		if e.waiting != nil {
			e.waiting.open = nil
		}
		return now
	}
	if e.waiting == nil && now == [2]uint64{} {
		return now
	}
	w := e.wait()
	if len(w.open) == 0 || p.next(w.open[0].at) {
		w.open = slices.Insert(w.open, 0, openMark{at: p.clock, least: now})
	}
	w.open[0].take(now)
	least := openMark{least: now}
	for i, mark := range w.open {
		least.take(mark.least)
		if p.due(mark.at) {
			w.open = w.open[:i+1]
			return least.least
		}
	}
	return [2]uint64{}
}

func (m *openMark) take(now [2]uint64) {
	for i, v := range now {
		m.least[i] = min(m.least[i], v)
	}
}

// listen follows how long nobody spoke of the edge.
func (e *edge) listen(now int64, p pace) {
	if !e.rolled {
		e.rolled, e.born, e.spokeAt = true, p.clock, p.clock
	}
	if slices.ContainsFunc(e.sides[:], func(s *side) bool { return s != nil && s.spoke }) {
		e.spokeAt, e.last, e.leveled = p.clock, now, false
	}
}

// levels says whether nobody spoke of the edge for twice Config.Settle. All that was under way has come then, and the
// comparison of reporters begins anew: at a mark, when blind edges are compared with it for the last time. Not that of a
// blind one: the edges that explain it may not be quiet.
func (e *edge) levels(p pace) bool {
	_, blind := e.blind()
	return p.mark && !e.leveled && !blind && p.clock-e.spokeAt > 2*p.settle
}

// level lets the comparison of reporters begin anew on an edge that has been quiet: what one of them missed is known then,
// and must not hide what another one misses later.
func (e *edge) level(p pace) {
	if _, blind := e.key.blind(); !blind {
		e.remember(p)
	}
	e.base, e.waiting, e.leveled = e.counted, nil, true
	for _, s := range e.sides {
		if s != nil {
			s.total = counts{}
		}
	}
}
