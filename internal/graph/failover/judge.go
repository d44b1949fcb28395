// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// judgment is one pair in one interval.
type judgment struct {
	d         *Detector
	p         *pair
	key       pairKey
	at        time.Time
	now       *tally
	endpoints []*Endpoints
}

func (j *judgment) run() []Event {
	p, c := j.p, &j.d.config
	p.evidence = slices.DeleteFunc(p.evidence, func(e Evidence) bool { return j.at.Sub(e.At) > c.EvidenceFor })
	if j.now != nil {
		if !p.last.IsZero() {
			const weight = 10
			p.gap += (min(j.at.Sub(p.last), time.Hour) - p.gap) / weight
		}
		p.last = j.at
		if p.ready(j.at, c) {
			j.symptoms()
		}
		j.remember()
		if !p.suspect.IsZero() {
			p.doubt = weigh(p.doubt, j.now)
		}
	}
	switch {
	case p.active != nil:
		return j.follow()
	case p.held != nil:
		return j.release()
	case j.now == nil:
		return nil
	case !p.ready(j.at, c):
		p.learn(j.now, c, false)
		return nil
	default:
		return j.watch()
	}
}

// remember keeps as many intervals as a judgment needs.
func (j *judgment) remember() {
	p, c := j.p, &j.d.config
	p.window = append(p.window, j.now)
	var later uint64
	from := len(p.window) - 1
	for from > 0 && later+p.window[from].placed < c.MinRequests && len(p.window)-from < maxWindow &&
		j.at.Sub(p.window[from-1].at) <= c.EvidenceFor {
		later += p.window[from].placed
		from--
	}
	p.window = slices.Delete(p.window, 0, from)
}

// recent is the interval, with those before it where it has few calls.
func (j *judgment) recent() *tally {
	t := &tally{at: j.at}
	for _, w := range j.p.window {
		t.merge(w)
	}
	return t
}

// watch looks for a shift.
func (j *judgment) watch() []Event {
	p, c := j.p, &j.d.config
	t := j.recent()
	s := t.compare(p.masses, p.deviation)
	if !j.moved(&s) {
		j.calm()
		p.learn(j.now, c, false)
		return nil
	}
	if j.waits(&s) {
		p.held = &held{first: t, all: t.clone()}
		return nil
	}
	return j.decide(&s, t)
}

// moved says whether calls went elsewhere than they usually do.
func (j *judgment) moved(s *shift) bool {
	c := &j.d.config
	early := s.before < c.EarlyShare && s.share >= c.EarlyShare
	return s.certain && s.moved >= float64(c.MinMoved) && (s.share >= c.MinShare || early)
}

// decide says what a shift is. There may be no calls in this very interval, if it waited.
func (j *judgment) decide(s *shift, t *tally) []Event {
	p, c := j.p, &j.d.config
	many := s.share >= c.UnexpectedShare && t.placed >= c.MinRequests
	if why := j.explained(s, t); why != unexplained {
		if why == deployed && many {
			return []Event{j.start(Deployment, s, t, nil)}
		}
		p.trust()
		p.learn(j.now, c, true)
		p.window = nil
		return nil
	}
	if evidence := j.evidence(s); len(evidence) > 0 {
		return []Event{j.start(Failover, s, t, evidence)}
	}
	if !many {
		j.calm()
		p.learn(j.now, c, false)
		return nil
	}
	if p.suspect.IsZero() {
		j.suspect(t)
	}
	p.suspected = j.at
	if j.at.Sub(p.suspect) < c.Confirm {
		return nil
	}
	switch lasted, same := j.lasted(s); {
	case !lasted:
		j.suspect(t)
		return nil
	case !same:
		return nil
	}
	return []Event{j.start(Unexpected, s, t, nil)}
}

// suspect begins a suspicion, or begins it anew.
func (j *judgment) suspect(t *tally) {
	j.p.suspect, j.p.doubt = j.at, weigh(nil, t)
}

// trust ends a suspicion.
func (p *pair) trust() { p.suspect, p.doubt = time.Time{}, nil }

// lasted says whether all calls since the suspicion began moved, and the same way as those of the shift. One interval may be what a
// single agent reported, which is no sample of the calls: each of its reports would confirm the one before.
func (j *judgment) lasted(s *shift) (lasted, same bool) {
	p := j.p
	all := tallyOf(p.doubt)
	moved := all.compare(p.masses, p.deviation)
	lasted = j.moved(&moved) && moved.share >= j.d.config.UnexpectedShare
	return lasted, all.above(p.masses, s.from) < 0 && all.above(p.masses, s.to) > 0
}

// calm forgets a suspicion that nothing confirmed for a while.
func (j *judgment) calm() {
	if j.at.Sub(j.p.suspected) >= j.d.config.EndAfter {
		j.p.trust()
	}
}

func (j *judgment) start(kind Kind, s *shift, t *tally, evidence []Evidence) Event {
	p := j.p
	e := &Event{
		Phase: Started, Kind: kind, Caller: j.key.from, Service: j.key.service, From: s.from, To: s.to,
		Share: s.share, Moved: uint64(s.moved + 0.5), Callers: slices.Clone(t.count(s.to).callers),
		Evidence: evidence, Scope: Partial, Start: j.at,
	}
	p.active, p.back = e, time.Time{}
	p.trust()
	return e.copy()
}

// follow goes on with a shift until it ends.
func (j *judgment) follow() []Event {
	p, c, e := j.p, &j.d.config, j.p.active
	switch {
	case j.now == nil || j.now.placed == 0:
		if j.at.Sub(p.last) > c.Silence {
			return []Event{j.end("no_traffic")}
		}
		return nil
	case j.at.Sub(e.Start) > c.Accept:
		ended := j.end("accepted")
		p.masses, p.steps, p.first = nil, 0, j.at
		return []Event{ended}
	}
	s := j.now.compare(p.masses, p.deviation)
	if !j.away(&s) {
		if p.back.IsZero() {
			p.back = j.at
		}
		if j.at.Sub(p.back) >= c.EndAfter {
			return []Event{j.end("recovered")}
		}
		return nil
	}
	p.back = time.Time{}
	e.Moved += uint64(s.moved + 0.5)
	e.Share = max(e.Share, s.share)
	for _, caller := range j.now.count(s.to).callers {
		e.Callers = insert(e.Callers, caller, MaxCallers)
	}
	evidence := j.evidence(&s)
	if e.Kind == Failover {
		for _, one := range evidence {
			e.Evidence = keep(e.Evidence, one, false)
		}
		return nil
	}
	if j.waits(&s) {
		return nil
	}
	if e.Kind == Deployment {
		return j.followDeployment(&s, evidence)
	}
	if len(evidence) == 0 || j.explained(&s, j.now) != unexplained {
		return nil
	}
	return j.failed(evidence)
}

// away says whether calls still go elsewhere. Few count only together with those before: one agent may report a stray call alone.
func (j *judgment) away(s *shift) bool {
	p, c := j.p, &j.d.config
	back := c.MinShare / 2
	if p.active.Share < c.MinShare {
		back = c.EarlyShare / 2
	}
	if s.moved < float64(c.MinMoved) && s.certain {
		recent := j.recent().compare(p.masses, p.deviation)
		return recent.certain && recent.share >= back
	}
	return s.certain && s.share >= back
}

// failed makes a failover of what looked like something else. It takes no less than if it had looked like nothing before: a stray call
// is none.
func (j *judgment) failed(evidence []Evidence) []Event {
	t := j.recent()
	s := t.compare(j.p.masses, j.p.deviation)
	if !j.moved(&s) {
		return nil
	}
	ended := j.end("evidence_found")
	j.p.window = []*tally{j.now}
	return []Event{ended, j.start(Failover, &s, t, evidence)}
}

func (j *judgment) end(reason string) Event {
	p := j.p
	e := p.active
	p.active, p.window, p.evidence, p.back = nil, nil, nil, time.Time{}
	p.learned = j.at
	e.Phase, e.End, e.Reason = Ended, j.at, reason
	return e.copy()
}

// at returns what is known of the endpoints in a place.
func (j *judgment) endpointsAt(place Place) *Endpoints {
	for _, e := range j.endpoints {
		if e.Place == place {
			return e
		}
	}
	return nil
}

// symptoms notes flags and errors that are more than usual, whether or not anything moves: they come before it.
func (j *judgment) symptoms() {
	t := j.now
	for i := range t.places {
		p := &t.places[i]
		j.note(&p.symptoms, p.n, p.place)
	}
	j.note(&t.lost, t.all, Place{})
}

// note notes what is unusual among all requests of a place; no place stands for those that reached none.
func (j *judgment) note(s *symptoms, all uint64, place Place) {
	p := j.p
	if s.flagged >= 3 && unusual(s.flagged, p.flagged.of(), all) {
		p.evidence = keep(p.evidence, Evidence{
			Kind: "response_flags", At: j.at, place: place,
			Detail: fmt.Sprintf("%d of %d requests had %s", s.flagged, all, strings.Join(s.flags, ",")),
		}, true)
	}
	if s.failed >= 3 && unusual(s.failed, p.failed.of(), all) {
		p.evidence = keep(p.evidence, Evidence{
			Kind: "errors_before", At: j.at, place: place, Detail: fmt.Sprintf("%d of %d requests failed", s.failed, all),
		}, true)
	}
}

// symptomsOf are the flags and errors of a place, and of calls that reached none. Those of another place say nothing of it.
func (j *judgment) symptomsOf(place Place) []Evidence {
	var found []Evidence
	for _, e := range j.p.evidence {
		if e.place == place || e.place == (Place{}) {
			e.place = Place{}
			found = keep(found, e, false)
		}
	}
	return found
}

// unusual says whether more happened than usually does, by a chance of less than one in 100 000. What never happened is taken
// to happen once in 2000.
func unusual(n uint64, rate float64, all uint64) bool {
	usual := max(rate, 0.0005) * float64(all)
	return float64(n) >= 2*usual && tail(n, usual) < 1e-5
}

// tail is the chance that n or more of something happen that happens usual times: that of the Poisson distribution, and of
// the normal one where that is as good.
func tail(n uint64, usual float64) float64 {
	if usual > 200 {
		return 0.5 * math.Erfc((float64(n)-usual)/math.Sqrt(2*usual))
	}
	term := math.Exp(-usual)
	rest := 1.0
	for k := range n {
		rest -= term
		if term *= usual / float64(k+1); rest < 1e-9 {
			return 0
		}
	}
	return rest
}

// keep adds evidence of a kind and place, in the stead of older evidence of these if it is to be renewed.
func keep(list []Evidence, e Evidence, renew bool) []Evidence {
	for i := range list {
		if list[i].Kind == e.Kind && list[i].place == e.place {
			if renew {
				list[i] = e
			}
			return list
		}
	}
	return append(list, e)
}

// broken says whether the inventory, or outlier detection, says that a place fails.
func (j *judgment) broken(place Place) []Evidence {
	e := j.endpointsAt(place)
	if e == nil || e.Desired == 0 {
		return nil
	}
	var found []Evidence
	add := func(kind, format string, args ...any) {
		found = append(found, Evidence{Kind: kind, At: j.at, Detail: fmt.Sprintf(format, args...)})
	}
	should := max(e.Total, e.Desired) - e.New
	switch {
	case e.Total == 0 && e.Desired > 0:
		add("endpoints_gone", "no endpoint is left in %s, %s; there should be %d", place.Region, place.Cluster, e.Desired)
	case e.Total > e.New && e.Healthy == 0:
		add("endpoints_unhealthy", "none of %d endpoints in %s, %s is ready", e.Total, place.Region, place.Cluster)
	case e.Total > 0 && e.Healthy < should && !j.rolling(place):
		add("endpoints_unhealthy", "%d of %d endpoints in %s, %s are ready", e.Healthy, should, place.Region, place.Cluster)
	}
	if e.Ejected > 0 {
		add("outlier_ejections", "outlier detection took out %d endpoints in %s, %s", e.Ejected, place.Region, place.Cluster)
	}
	return found
}

// evidence is all that says that the place which lost calls failed.
func (j *judgment) evidence(s *shift) []Evidence {
	found := j.broken(s.from)
	for _, e := range j.symptomsOf(s.from) {
		found = keep(found, e, false)
	}
	if e := j.d.ejections[j.key]; e != nil && float64(e.Hosts) >= j.p.ejected+0.5 {
		found = keep(found, Evidence{
			Kind: "outlier_ejections", At: j.at,
			Detail: fmt.Sprintf("outlier detection of %d proxies in %s has up to %d hosts out of use", e.Proxies, e.From, e.Hosts),
		}, false)
	}
	slices.SortFunc(found, func(a, b Evidence) int { return strings.Compare(a.Kind, b.Kind) })
	return found
}
