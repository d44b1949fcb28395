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

// settleUnknown matches reports with an unknown end with the edges that name it, and counts the rest.
func (s *shard) settleUnknown(rolls int) {
	families := map[Key][]*edge{}
	var blind []*edge
	for _, m := range s.order {
		if r, ok := m.blind(); ok {
			blind = append(blind, m)
			families[m.key.family(r)] = nil
		}
	}
	if len(blind) == 0 {
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
			f := m.key.family(r)
			if _, ok := families[f]; ok {
				families[f] = append(families[f], m)
			}
		}
	}
	for _, m := range blind {
		r, _ := m.blind()
		others := families[m.key.family(r)]
		slices.SortFunc(others, func(a, b *edge) int { return compareKeys(&a.key, &b.key) })
		m.settleBlind(r, others, rolls)
	}
}

// settleBlind deals with what the blind reporter had said some rolls ago.
func (e *edge) settleBlind(r Reporter, others []*edge, rolls int) {
	if e.waiting == nil {
		e.waiting = &waiting{}
	}
	w := e.waiting
	w.said = slices.Insert(w.said, 0, e.sides[r].total)
	if len(w.said) <= rolls {
		return
	}
	due := w.said[rolls]
	w.said = w.said[:rolls]
	for i := range due {
		rest := minus(due[i], w.settled[i])
		w.settled[i] = max(w.settled[i], due[i])
		for _, o := range others {
			if rest == 0 {
				break
			}
			moved := min(rest, o.lack(r, i))
			if moved > 0 {
				t := &o.side(r).total
				t[i] = plus(t[i], moved)
				rest -= moved
				e.forget(r, i, moved)
			}
		}
		e.counted[i] = plus(e.counted[i], rest)
	}
}

// forget takes back what turned out to be another edge's.
func (e *edge) forget(r Reporter, i int, n uint64) {
	e.sides[r].total[i] = minus(e.sides[r].total[i], n)
	e.waiting.settled[i] = minus(e.waiting.settled[i], n)
	for j := range e.waiting.said {
		e.waiting.said[j][i] = minus(e.waiting.said[j][i], n)
	}
}

// lack is how much less a reporter has said than the others on an edge.
func (e *edge) lack(r Reporter, i int) uint64 {
	var own, most uint64
	for o, s := range e.sides {
		switch {
		case s == nil:
		case Reporter(o) == r:
			own = s.total[i]
		default:
			most = max(most, s.total[i])
		}
	}
	return minus(most, own)
}
