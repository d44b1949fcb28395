// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"
)

// Detector watches pairs of calling region and service. It is not for use by several goroutines at once.
type Detector struct {
	config   Config
	pairs    map[pairKey]*pair
	services map[Service]*service
	// listed are the endpoints of the last step, endpoints the same by service, busy those to which something is done on purpose.
	listed    []Endpoints
	endpoints map[Service][]*Endpoints
	busy      []*Endpoints
	ejections map[pairKey]*Ejection
	doings    map[rollout]doing
	// pending are the clusters of which an inventory is expected.
	pending []string
	// refused counts intervals of pairs that the ceiling had no room for.
	refused uint64
}

type pairKey struct {
	from    string
	service Service
}

type rollout struct {
	service Service
	place   Place
}

// pair is a calling region and a service.
type pair struct {
	masses    []mass
	steps     int
	deviation float64
	// failed and flagged are how many requests usually fail, or have a flag.
	failed, flagged rate
	// ejected is how many hosts are usually out of use.
	ejected float64
	// gap is how long it usually takes from one interval with calls to the next.
	gap time.Duration
	// window are the latest intervals, as many as are needed for a judgment.
	window   []*tally
	evidence []Evidence
	active   *Event
	// held is a shift that waits for inventories; a state does not have it.
	held *held
	// first and last are when there were calls, learned is when the baseline was last changed. suspect and suspected are
	// when a shift without evidence was first and last seen, back since when the calls of a shift are back.
	first, last, learned, suspect, suspected, back time.Time
	// doubt are all calls since suspect: also those of intervals in which nothing moved.
	doubt []mass
}

// rate is how often something happens: lately, and on the average of the time that the baseline is of, the older the less.
type rate struct {
	Lately float64 `json:"lately"`
	Events float64 `json:"events"`
	All    float64 `json:"all"`
}

func (r *rate) learn(n, all uint64, weight, keep float64) {
	r.Lately += (float64(n)/float64(all) - r.Lately) * weight
	r.Events = r.Events*keep + float64(n)
	r.All = r.All*keep + float64(all)
}

// of is the greater of both: what became worse a while ago is usual soon, and few requests without an event prove nothing.
func (r *rate) of() float64 {
	if r.All <= 0 {
		return r.Lately
	}
	return max(r.Lately, r.Events/r.All)
}

// service is what is known of a service over all of its callers.
type service struct {
	versions    []version
	first, last time.Time
}

type version struct {
	Name   string    `json:"name"`
	First  time.Time `json:"first"`
	Places []Place   `json:"places"`
}

// New returns a detector that has seen nothing.
func New(config Config) (*Detector, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	return &Detector{
		config: config, pairs: map[pairKey]*pair{}, services: map[Service]*service{}, doings: map[rollout]doing{},
		ejections: map[pairKey]*Ejection{},
	}, nil
}

// Pairs is how many pairs of calling region and service are watched, refused how many intervals of pairs were not, because
// of Config.MaxPairs.
func (d *Detector) Pairs() (watched int, refused uint64) { return len(d.pairs), d.refused }

// Active returns the shifts that last, sorted by service and calling region.
func (d *Detector) Active() []Event {
	var events []Event
	for _, k := range d.sorted() {
		if p := d.pairs[k]; p.active != nil {
			events = append(events, p.active.copy())
		}
	}
	return events
}

func (e *Event) copy() Event {
	c := *e
	c.Callers, c.Evidence = slices.Clone(e.Callers), slices.Clone(e.Evidence)
	return c
}

func (d *Detector) sorted() []pairKey {
	return slices.SortedFunc(maps.Keys(d.pairs), func(a, b pairKey) int {
		return cmp.Or(cmp.Compare(a.service.Namespace, b.service.Namespace), cmp.Compare(a.service.Name, b.service.Name),
			cmp.Compare(a.from, b.from))
	})
}

// Step judges an interval and returns what began, changed and ended in it.
func (d *Detector) Step(o *Observation) []Event {
	d.index(o)
	tallies := map[pairKey]*tally{}
	for i := range o.Flows {
		f := &o.Flows[i]
		if f.From == "" || f.Requests == 0 {
			continue
		}
		k := pairKey{f.From, f.Service}
		t := tallies[k]
		if t == nil {
			if d.pairs[k] == nil {
				if len(d.pairs) >= d.config.MaxPairs {
					d.refused++
					continue
				}
				d.pairs[k] = &pair{first: o.At, learned: o.At}
			}
			t = &tally{at: o.At}
			if e := d.ejections[k]; e != nil {
				t.ejected = e.Hosts
			}
			tallies[k] = t
		}
		t.add(f)
		d.see(f, o.At)
	}
	var events []Event
	for _, k := range d.sorted() {
		j := judgment{d: d, p: d.pairs[k], key: k, at: o.At, now: tallies[k], endpoints: d.endpoints[k.service]}
		events = append(events, j.run()...)
	}
	events = append(events, d.rescope(o.At, events)...)
	d.expire(o.At)
	return events
}

// index brings the endpoints into order, unless they are those of the last step.
func (d *Detector) index(o *Observation) {
	if len(o.Endpoints) != len(d.listed) || len(d.listed) > 0 && &o.Endpoints[0] != &d.listed[0] {
		d.listed, d.busy, d.endpoints = o.Endpoints, nil, make(map[Service][]*Endpoints, len(o.Endpoints)/2)
		for i := range o.Endpoints {
			e := &o.Endpoints[i]
			d.endpoints[e.Service] = append(d.endpoints[e.Service], e)
			if e.Rollout || e.Ending > 0 || !e.Rolled.IsZero() {
				d.busy = append(d.busy, e)
			}
		}
	}
	clear(d.ejections)
	for i := range o.Ejections {
		d.ejections[pairKey{o.Ejections[i].From, o.Ejections[i].Service}] = &o.Ejections[i]
	}
	d.pending = o.Pending
	d.deeds(o.At)
}

// see learns the versions of a service. Those of its first time are not new.
func (d *Detector) see(f *Flow, at time.Time) {
	s := d.services[f.Service]
	if s == nil {
		s = &service{first: at}
		d.services[f.Service] = s
	}
	s.last = at
	if f.To.Region == "" {
		return
	}
	i := slices.IndexFunc(s.versions, func(v version) bool { return v.Name == f.Version })
	if i < 0 {
		if len(s.versions) >= maxVersions {
			// The oldest one is not new any more in any case.
			s.versions = s.versions[1:]
		}
		first := at
		if at.Sub(s.first) < d.config.Learn {
			first = time.Time{}
		}
		s.versions = append(s.versions, version{Name: f.Version, First: first})
		i = len(s.versions) - 1
	}
	v := &s.versions[i]
	if len(v.Places) < maxPlaces && !slices.Contains(v.Places, f.To) {
		v.Places = append(v.Places, f.To)
	}
}

func (d *Detector) expire(at time.Time) {
	for k, p := range d.pairs {
		if p.active == nil && at.Sub(p.learned) > d.config.Expire && at.Sub(p.last) > d.config.Expire {
			delete(d.pairs, k)
		}
	}
	d.forgetDeeds(at)
	for k, s := range d.services {
		if at.Sub(s.last) > d.config.Expire {
			delete(d.services, k)
		}
	}
}

// ready says whether the baseline is known well enough.
func (p *pair) ready(at time.Time, config *Config) bool {
	const fewest = 3
	return p.steps >= fewest && at.Sub(p.first) >= config.Learn && len(p.masses) > 0
}

// learn moves the baseline towards what was seen, if anything was. Where it is explained it moves faster.
func (p *pair) learn(t *tally, config *Config, explained bool) {
	if t == nil {
		return
	}
	life := config.HalfLife
	if explained {
		life /= 6
	}
	// A pause is not time in which anything was learned.
	passed := min(t.at.Sub(p.learned), 5*time.Minute)
	keep := math.Exp2(-passed.Seconds() / life.Seconds())
	p.learned = t.at
	if t.placed > 0 {
		s := t.compare(p.masses, 0)
		if p.steps > 0 && !explained {
			p.deviation = p.deviation*0.9 + 0.1*math.Abs(s.share)*min(1, float64(t.placed)/float64(config.MinRequests))
		}
		kept := p.masses[:0]
		for _, m := range p.masses {
			if m.Mass *= keep; m.Mass > 0.01 {
				kept = append(kept, m)
			}
		}
		p.masses = kept
		p.masses = weigh(p.masses, t)
	}
	if t.all > 0 {
		p.steps++
		weight := max(1/float64(p.steps), 0.05)
		p.failed.learn(t.failed, t.all, weight, keep)
		p.flagged.learn(t.flagged, t.all, weight, keep)
		p.ejected += (float64(t.ejected) - p.ejected) * weight
	}
}

// weigh adds the calls of a tally.
func weigh(masses []mass, t *tally) []mass {
	for _, c := range t.places {
		i := slices.IndexFunc(masses, func(m mass) bool { return m.Place == c.place })
		switch {
		case i >= 0:
			masses[i].Mass += float64(c.n)
		case len(masses) < maxPlaces:
			masses = append(masses, mass{Place: c.place, Mass: float64(c.n)})
		}
	}
	slices.SortFunc(masses, func(a, b mass) int { return comparePlaces(a.Place, b.Place) })
	return masses
}

// home is where most of the pair's calls are answered.
func (p *pair) home() (Place, bool) {
	if len(p.masses) == 0 {
		return Place{}, false
	}
	best := slices.MaxFunc(p.masses, func(a, b mass) int { return cmp.Compare(a.Mass, b.Mass) })
	return best.Place, best.Mass >= sum(p.masses)/2
}

// patience is how long a pair may have no calls until nobody can say any more that its place answers: a region that failed
// with all who call there does not answer, though no call of theirs went elsewhere. Of a pair that is not called regularly
// silence tells nothing.
func (p *pair) patience(config *Config) (_ time.Duration, regular bool) {
	const gaps, most = 5, 10 * time.Minute
	return min(max(config.EndAfter, gaps*p.gap), most), gaps*p.gap < most
}

// wholePart is the part of a region's services that makes it the whole region.
const wholePart = 0.8

// rescope says of each failover whether its region failed as a whole, and returns those for which that changed after their
// start.
func (d *Detector) rescope(at time.Time, events []Event) []Event {
	// known are the services that a region is used to answer regularly, home those that it may answer now, or would.
	known, home, moved := map[string]map[Service]bool{}, map[string]map[Service]bool{}, map[string]map[Service]bool{}
	put := func(m map[string]map[Service]bool, region string, s Service) {
		if m[region] == nil {
			m[region] = map[Service]bool{}
		}
		m[region][s] = true
	}
	keys := d.sorted()
	for _, k := range keys {
		p := d.pairs[k]
		if p.active != nil && p.active.Kind == Failover {
			put(moved, p.active.From.Region, k.service)
			put(home, p.active.From.Region, k.service)
			put(known, p.active.From.Region, k.service)
			continue
		}
		if place, most := p.home(); most && p.ready(at, &d.config) {
			patience, regular := p.patience(&d.config)
			if regular {
				put(known, place.Region, k.service)
			}
			if at.Sub(p.last) <= patience {
				put(home, place.Region, k.service)
			}
		}
	}
	var changed []Event
	for _, k := range keys {
		e := d.pairs[k].active
		if e == nil || e.Kind != Failover {
			continue
		}
		scope := Partial
		region := e.From.Region
		if len(known[region]) > 1 && float64(len(moved[region])) >= wholePart*float64(len(home[region])) {
			scope = Whole
		}
		if scope == e.Scope {
			continue
		}
		e.Scope = scope
		i := slices.IndexFunc(events, func(o Event) bool {
			return o.Phase == Started && o.Kind == e.Kind && o.Service == e.Service && o.Caller == e.Caller
		})
		if i >= 0 {
			events[i].Scope = scope
			continue
		}
		u := e.copy()
		u.Phase = Updated
		changed = append(changed, u)
	}
	return changed
}
