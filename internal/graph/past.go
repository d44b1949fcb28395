// SPDX-License-Identifier: Apache-2.0

package graph

// past is what was compared on an edge before its last long pause. A report that comes after the pause and tells of before it,
// such as of an agent that could not send for an hour, is compared with this: what another reporter had told in time is
// not counted again.
type past struct {
	// until is the last second of which a report belongs here.
	until int64
	// total is what each reporter said, most what was counted of it.
	total [reporterCount]*counts
	most  counts
	// late says that something came since the last roll.
	late bool
}

// of is the total of a reporter that has something to add to it.
func (p *past) of(r Reporter) *counts {
	p.late = true
	if p.total[r] == nil {
		p.total[r] = &counts{}
	}
	return p.total[r]
}

// remember adds what was compared since the last pause. A request of the time until Config.Settle after the last report would
// have been reported by now if its reports were in time, so all that is told of that time belongs to what was compared.
func (e *edge) remember(p pace) {
	if e.past == nil {
		e.past = &past{}
	}
	e.past.until = e.last + p.settle/1000
	for i := range e.counted {
		e.past.most[i] = plus(e.past.most[i], minus(e.counted[i], e.base[i]))
	}
	for r, s := range e.sides {
		if s == nil || s.total == (counts{}) {
			continue
		}
		if e.past.total[r] == nil {
			e.past.total[r] = &counts{}
		}
		for i, v := range s.total {
			e.past.total[r][i] = plus(e.past.total[r][i], v)
		}
	}
}

// settle adds to base what came late and nobody had told in time. How a request ended stays as it was counted.
func (p *past) settle(base *counts) {
	if p == nil || !p.late {
		return
	}
	p.late = false
	for _, t := range p.total {
		if t == nil {
			continue
		}
		requests := minus(t.requests(), p.most.requests())
		for i, v := range t {
			more := minus(v, p.most[i])
			if i < int(ClassCount) {
				more = min(more, requests)
				requests -= more
			}
			p.most[i] = plus(p.most[i], more)
			base[i] = plus(base[i], more)
		}
	}
}

func (p *past) append(b []byte) []byte {
	if p == nil {
		return append(b, 0)
	}
	told := byte(0)
	for r, t := range p.total {
		if t != nil {
			told |= 1 << r
		}
	}
	late := byte(0)
	if p.late {
		late = 1
	}
	b = appendSeconds(append(b, 1, late, told), p.until)
	b = p.most.append(b)
	for _, t := range p.total {
		if t != nil {
			b = t.append(b)
		}
	}
	return b
}

func (r *reader) past() *past {
	p := &past{}
	p.late = r.Octet() == 1
	told := r.Octet()
	p.until = r.seconds()
	r.counts(&p.most)
	for i := range p.total {
		if told&(1<<i) != 0 {
			p.total[i] = &counts{}
			r.counts(p.total[i])
		}
	}
	return p
}
