// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	start = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	west  = Place{"westeurope", "west"}
	west2 = Place{"westeurope", "west-2"}
	north = Place{"northeurope", "north"}
	east  = Place{"eastus", "east"}
)

func svc(name string) Service { return Service{"shop", name} }

// deployment is a service in a place.
type deployment struct {
	desired, total, healthy int
	ejected                 int
	rollout                 bool
	since                   time.Time
	versions                []weighted
	// failing is the part of requests sent there that fail with a flag before the callers notice.
	failing float64
	flag    string
	// refusing means that callers still send requests there although none is answered.
	refusing bool
}

type weighted struct {
	name   string
	weight int
}

// agent reports what the proxies of its node counted.
type agent struct {
	region, caller string
	phase          int
	held           []Flow
	// told is when it reported last, in seconds.
	told int
}

// sim is a mesh in which Envoys prefer their own region, as Istio's locality load balancing does: local endpoints get all
// calls until fewer than 1/1.4 of them are healthy.
type sim struct {
	t         *testing.T
	random    *rand.Rand
	now       time.Duration
	reporting int // seconds
	// early has agents report before their interval ends, as soon as they scrape a call that left its region or failed. They do
	// so each time, where mesh_metrics does so if there were none lately, and not often.
	early    bool
	step     int
	agents   []*agent
	services []string
	at       map[string]map[Place]*deployment
	rate     func(region string) float64 // requests a second of an agent to each service
	// stray is the part of calls that go elsewhere for no reason.
	stray     float64
	inventory bool
	// silent are the services that nobody in a region calls.
	silent map[string][]string
	// route overrides locality for a service: the part of a region's calls that go to a place.
	route    map[string]map[Place]float64
	detector *Detector
	way      []Flow
	events   []Event
	// firstShifted is when the first call of a region went elsewhere since it was reset.
	firstShifted map[string]time.Time
}

func newSim(t *testing.T, seed uint64, reporting int) *sim {
	d, err := New(DefaultConfig())
	require.NoError(t, err)
	s := &sim{
		t: t, random: rand.New(rand.NewPCG(seed, 5)), reporting: reporting, step: 4, inventory: true,
		services: []string{"details", "ratings", "reviews"}, at: map[string]map[Place]*deployment{},
		rate: func(string) float64 { return 3 }, stray: 0.001, route: map[string]map[Place]float64{}, detector: d,
		firstShifted: map[string]time.Time{},
	}
	for _, region := range []string{west.Region, north.Region} {
		for i := range 3 {
			s.agents = append(s.agents, &agent{
				region: region, caller: "shop/web-" + string(rune('a'+i)), phase: s.random.IntN(reporting),
			})
		}
	}
	for _, name := range s.services {
		s.at[name] = map[Place]*deployment{}
		for _, p := range []Place{west, north} {
			s.at[name][p] = &deployment{desired: 4, total: 4, healthy: 4, versions: []weighted{{"v1", 1}}}
		}
	}
	return s
}

func (s *sim) clock() time.Time { return start.Add(s.now) }

// run lets time pass.
func (s *sim) run(d time.Duration) {
	for end := s.now + d; s.now < end; {
		s.second()
	}
}

func (s *sim) second() {
	s.now += time.Second
	at := int(s.now / time.Second)
	for _, a := range s.agents {
		for _, name := range s.services {
			if slices.Contains(s.silent[a.region], name) {
				continue
			}
			n := s.rate(a.region)
			calls := int(n)
			if s.random.Float64() < n-float64(calls) {
				calls++
			}
			for range calls {
				s.call(a, name)
			}
		}
		if at%s.reporting == a.phase || s.early && at%scraping == a.phase%scraping && at-a.told >= scraping && a.urgent() {
			s.way = append(s.way, a.held...)
			a.held, a.told = nil, at
		}
	}
	if at%s.step != 0 {
		return
	}
	o := &Observation{At: s.clock(), Flows: s.way}
	if s.inventory {
		o.Endpoints = s.endpoints()
	}
	s.events = append(s.events, s.detector.Step(o)...)
	s.way = nil
}

// scraping is how often agents scrape, in seconds; it is the least time from one report to an early one, too.
const scraping = 15

// urgent says that calls left their region, or failed.
func (a *agent) urgent() bool {
	return slices.ContainsFunc(a.held, func(f Flow) bool { return f.Flagged > 0 || f.To.Region != a.region })
}

func (s *sim) endpoints() []Endpoints {
	var all []Endpoints
	for _, name := range s.services {
		for place, d := range s.at[name] {
			all = append(all, Endpoints{
				Service: svc(name), Place: place, Total: d.total, Healthy: d.healthy, Desired: d.desired,
				Ejected: d.ejected, Rollout: d.rollout, Since: d.since,
			})
		}
	}
	return all
}

// places returns where a service has endpoints that answer, in a fixed order.
func (s *sim) places(name string) []Place {
	var places []Place
	for p, d := range s.at[name] {
		if d.healthy > 0 {
			places = append(places, p)
		}
	}
	slices.SortFunc(places, comparePlaces)
	return places
}

func (s *sim) call(a *agent, name string) {
	f := Flow{From: a.region, Caller: a.caller, Service: svc(name), Requests: 1}
	for p, d := range s.at[name] {
		// The caller's proxies have not noticed yet.
		if p.Region == a.region && d.refusing && s.random.Float64() < d.failing {
			f.Errors, f.Flagged, f.Flags = 1, 1, []string{d.flag}
			a.hold(&f)
			return
		}
	}
	places := s.places(name)
	if len(places) == 0 {
		f.Errors, f.Flagged, f.Flags = 1, 1, []string{"UH"}
		a.hold(&f)
		return
	}
	f.To = s.choose(a.region, name, places)
	d := s.at[name][f.To]
	f.Version = pick(s.random, d.versions)
	if !d.refusing && s.random.Float64() < d.failing+0.001 {
		f.Errors = 1
		if d.failing > 0 {
			f.Flagged, f.Flags = 1, []string{d.flag}
		}
	}
	if f.To.Region != a.region && s.firstShifted[name].IsZero() {
		s.firstShifted[name] = s.clock()
	}
	a.hold(&f)
}

func pick(random *rand.Rand, versions []weighted) string {
	all := 0
	for _, v := range versions {
		all += v.weight
	}
	n := random.IntN(all)
	for _, v := range versions {
		if n -= v.weight; n < 0 {
			return v.name
		}
	}
	return ""
}

func (s *sim) choose(region, name string, places []Place) Place {
	if route := s.route[name+"@"+region]; route != nil {
		n := s.random.Float64()
		for _, p := range places {
			if n -= route[p]; n < 0 {
				return p
			}
		}
	}
	var local, remote []Place
	healthy, total := 0, 0
	for p, d := range s.at[name] {
		if p.Region == region {
			healthy += d.healthy
			total += d.total
		}
	}
	for _, p := range places {
		if p.Region == region {
			local = append(local, p)
		} else if len(remote) == 0 {
			remote = append(remote, p)
		}
	}
	stays := 0.0
	if len(local) > 0 {
		stays = min(1, 1.4*float64(healthy)/float64(total)) * (1 - s.stray)
	}
	if len(remote) == 0 || s.random.Float64() < stays {
		return local[s.random.IntN(len(local))]
	}
	return remote[0]
}

// hold adds a call to what the agent reports next.
func (a *agent) hold(f *Flow) {
	for i := range a.held {
		h := &a.held[i]
		if h.Service == f.Service && h.To == f.To && h.Version == f.Version && slices.Equal(h.Flags, f.Flags) {
			h.Requests += f.Requests
			h.Errors += f.Errors
			h.Flagged += f.Flagged
			return
		}
	}
	a.held = append(a.held, *f)
}

// kill takes all endpoints of a service in a place away at once: the callers' proxies see failures for some seconds, the
// inventory knows a little later.
func (s *sim) kill(flags bool, place Place, names ...string) {
	for _, name := range names {
		d := s.at[name][place]
		d.healthy = 0
		if flags {
			d.refusing, d.failing, d.flag = true, 0.6, "UF"
		}
		s.firstShifted[name] = time.Time{}
	}
}

func (s *sim) heal(place Place, names ...string) {
	for _, name := range names {
		d := s.at[name][place]
		d.total, d.healthy, d.desired, d.refusing, d.failing, d.ejected = 4, 4, 4, false, 0, 0
	}
}

// notice ends the time in which callers' proxies still try the dead endpoints.
func (s *sim) notice(place Place, names ...string) {
	for _, name := range names {
		d := s.at[name][place]
		d.refusing, d.failing = false, 0
	}
}
