// SPDX-License-Identifier: Apache-2.0

package graph

import "slices"

// An edge with an unknown end may be the other half of an edge that a second reporter names in full: a caller's proxy that
// cannot tell who answered (istio/istio#58790), or a callee's that cannot tell who called over TCP without certificates.
// Such reports wait until the other one has spoken; what the others then have more of than their own counterpart is these.

// blind is the reporter that cannot see the unknown end of an edge, and whether there is one.
func (k *Key) blind() (Reporter, bool) {
	switch {
	case k.Overflow:
		return 0, false
	case k.Callee.Workload == "":
		return Source, true
	case k.Caller.Workload == "" && k.Protocol == TCP:
		return Destination, true
	}
	return 0, false
}

// blind says whether only a reporter that cannot see an end speaks of the edge. If a second one does, nobody knows better.
func (e *edge) blind() (Reporter, bool) {
	r, ok := e.key.blind()
	return r, ok && e.sides[r] != nil && e.reporters() < 2
}

// family names edges that may be one another's other half.
func (k *Key) family(r Reporter) Key {
	f := Key{Protocol: k.Protocol}
	if r == Source {
		f.Caller = k.Caller
		f.Callee = Callee{Namespace: k.Callee.Namespace, Service: k.Callee.Service}
	} else {
		f.Callee = k.Callee
	}
	return f
}

// family are edges that may be one another's other half: those on which a reporter cannot name an end, and those that name it.
type family struct {
	reporter     Reporter
	blind, named []*edge
}

// settleUnknown compares reports with an unknown end with the edges that name it, and counts what these do not explain. It
// looks at all edges, so that it does so at marks alone.
func (s *shard) settleUnknown(p pace) {
	if !p.mark {
		return
	}
	families := map[Key]*family{}
	for _, m := range s.order {
		r, ok := m.blind()
		if !ok {
			continue
		}
		k := m.key.family(r)
		if families[k] == nil {
			families[k] = &family{reporter: r}
		}
		families[k].blind = append(families[k].blind, m)
	}
	if len(families) == 0 {
		return
	}
	for _, m := range s.order {
		if _, unknown := m.blind(); unknown || m.key.Overflow {
			continue
		}
		for _, r := range []Reporter{Source, Destination} {
			if r == Destination && m.key.Protocol != TCP {
				continue
			}
			if f := families[m.key.family(r)]; f != nil && f.reporter == r {
				f.named = append(f.named, m)
			}
		}
	}
	for _, f := range families {
		slices.SortFunc(f.blind, func(a, b *edge) int { return compareKeys(&a.key, &b.key) })
		f.settle(p)
		for _, o := range f.named {
			if o.levels(p) {
				f.explain(o)
			}
		}
	}
}

// settle counts what the named edges leave unexplained of what the blind reporter had said Config.Settle ago. Whatever came
// until then has been told of by whoever can name it. These have told some that came after it, too: so this may be too
// little, by the traffic since, and the rest is counted when there is less of it. It is never too much.
func (f *family) settle(p pace) {
	for _, e := range f.blind {
		e.mark(&e.wait().said, f.reporter, p)
	}
	for _, o := range f.named {
		o.mark(&o.wait().shown[f.reporter], f.reporter, p)
	}
	at := int64(-1)
	for _, e := range f.blind {
		if i := slices.IndexFunc(e.wait().said, func(m saidMark) bool { return p.due(m.at) }); i >= 0 {
			at = max(at, e.waiting.said[i].at)
			e.waiting.settled, e.waiting.said = e.waiting.said[i].total, e.waiting.said[:i]
		}
	}
	if at < 0 {
		return
	}
	before := make([]counts, len(f.blind))
	for n, e := range f.blind {
		before[n] = e.counted
	}
	requests := f.unexplained(at, func(c *counts) uint64 { return c.requests() })
	for place := range countCount {
		// The classes that caller and callee may see differently come last: of these the fewer remain.
		i := place
		if place < int(ClassCount) {
			i = (place + 1) % int(ClassCount)
		}
		rest := f.unexplained(at, func(c *counts) uint64 { return c[i] })
		if place < int(ClassCount) {
			rest = min(rest, requests)
			requests -= rest
		}
		for _, e := range f.blind {
			n := min(rest, minus(e.waiting.settled[i], minus(e.counted[i], e.base[i])))
			e.counted[i] = plus(e.counted[i], n)
			rest -= n
		}
	}
	for n, e := range f.blind {
		e.counted.limitZones(&before[n])
	}
}

// unexplained is what is not explained and not counted of a quantity.
func (f *family) unexplained(at int64, of func(*counts) uint64) uint64 {
	var said, explained uint64
	for _, e := range f.blind {
		said = plus(said, minus(of(&e.waiting.settled), minus(of(&e.counted), of(&e.base))))
	}
	for _, o := range f.named {
		explained = plus(explained, o.lack(f.reporter, at, of))
	}
	return minus(said, explained)
}

// explain takes away from the blind edges what a named one explains for good, before its comparison begins anew.
func (f *family) explain(o *edge) {
	requests := o.lack(f.reporter, -1, func(c *counts) uint64 { return c.requests() })
	for i := range countCount {
		lack := o.lack(f.reporter, -1, func(c *counts) uint64 { return c[i] })
		taken := f.takeAway(i, lack)
		if i < int(ClassCount) {
			requests = minus(requests, taken)
		}
	}
	// What ended otherwise for the one than for the other.
	for i := range int(ClassCount) {
		requests -= f.takeAway((int(NoResponse)+i)%int(ClassCount), requests)
	}
}

// takeAway makes the blind reporter have said less, by at most what is explained. How much less is returned.
func (f *family) takeAway(i int, most uint64) (taken uint64) {
	for _, e := range f.blind {
		n := min(most-taken, minus(e.waiting.settled[i], minus(e.counted[i], e.base[i])))
		taken += n
		total := &e.sides[f.reporter].total[i]
		*total = minus(*total, n)
		e.waiting.settled[i] = minus(e.waiting.settled[i], n)
		for j := range e.waiting.said {
			m := &e.waiting.said[j]
			m.total[i] = minus(m.total[i], n)
		}
	}
	return taken
}

// see makes an edge of a blind reporter one as all others, where a second reporter speaks of it: nobody knows better. What
// others explained of it stays theirs.
func (e *edge) see() {
	r, ok := e.key.blind()
	if !ok || e.reporters() < 2 || e.waiting == nil || !e.waiting.blind {
		return
	}
	for i := range countCount {
		explained := minus(e.waiting.settled[i], minus(e.counted[i], e.base[i]))
		e.sides[r].total[i] = minus(e.sides[r].total[i], explained)
	}
	e.waiting.blind, e.waiting.said, e.waiting.settled = false, nil, counts{}
}

func (e *edge) wait() *waiting {
	if e.waiting == nil {
		e.waiting = &waiting{}
	}
	return e.waiting
}

// mark notes what a reporter said until now.
func (e *edge) mark(marks *[]saidMark, r Reporter, p pace) {
	m := saidMark{at: p.clock}
	if e.sides[r] != nil {
		m.total = e.sides[r].total
	}
	*marks = slices.Insert(*marks, 0, m)
	*marks = (*marks)[:min(len(*marks), maxMarks)]
}

// lack is how much less a reporter had said of an edge at a time than the others have now. An edge without a mark of that time
// is younger. What the reporter says now is not to be taken instead: it may be ahead of the others by what they have not told
// yet, and that much would be counted twice. Only of an edge that has been quiet, at a time of -1, it is what it said.
func (e *edge) lack(r Reporter, at int64, of func(*counts) uint64) uint64 {
	var own, most uint64
	for o, s := range e.sides {
		switch {
		case s == nil:
		case Reporter(o) != r:
			most = max(most, of(&s.total))
		case at < 0:
			own = of(&s.total)
		}
	}
	if e.waiting != nil && at >= 0 {
		for j := range e.waiting.shown[r] {
			if m := &e.waiting.shown[r][j]; m.at == at {
				own = of(&m.total)
			}
		}
	}
	return minus(most, own)
}
