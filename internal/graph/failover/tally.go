// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"math"
	"slices"
	"time"
)

const (
	// maxPlaces is the most places of a pair, maxVersions the most versions of a service.
	maxPlaces   = 64
	maxVersions = 64
	// maxWindow is the most intervals over which few calls are added up.
	maxWindow = 64
	// sigmas is how far from chance a shift has to be.
	sigmas = 4
)

// tally is what one pair did in one interval, or in several.
type tally struct {
	at     time.Time
	places []placeCount
	// placed are the requests that reached a place, all the others too.
	placed, all, failed, flagged uint64
	// lost are those that reached none.
	lost symptoms
	// ejected are the hosts that outlier detection has out of use.
	ejected int
}

// symptoms are signs that something fails.
type symptoms struct {
	failed, flagged uint64
	flags           []string
}

func (s *symptoms) add(f *Flow) {
	s.failed += min(f.Errors, f.Requests)
	s.flagged += min(f.Flagged, f.Requests)
	if f.Flagged > 0 {
		for _, flag := range f.Flags {
			s.flags = insert(s.flags, flag, maxVersions)
		}
	}
}

type placeCount struct {
	symptoms
	place    Place
	n        uint64
	versions []versionCount
	callers  []string
}

type versionCount struct {
	version string
	n       uint64
}

func (t *tally) add(f *Flow) {
	t.all += f.Requests
	t.failed += min(f.Errors, f.Requests)
	t.flagged += min(f.Flagged, f.Requests)
	if f.To.Region == "" || f.Requests == 0 {
		t.lost.add(f)
		return
	}
	t.placed += f.Requests
	p := t.place(f.To)
	p.add(f)
	p.n += f.Requests
	p.callers = insert(p.callers, f.Caller, MaxCallers)
	p.version(f.Version, f.Requests)
}

func (t *tally) place(place Place) *placeCount {
	i := slices.IndexFunc(t.places, func(p placeCount) bool { return p.place == place })
	if i < 0 {
		if len(t.places) >= maxPlaces {
			return &t.places[maxPlaces-1]
		}
		t.places = append(t.places, placeCount{place: place})
		i = len(t.places) - 1
	}
	return &t.places[i]
}

func (p *placeCount) version(version string, n uint64) {
	i := slices.IndexFunc(p.versions, func(v versionCount) bool { return v.version == version })
	if i < 0 {
		if len(p.versions) >= maxVersions {
			return
		}
		p.versions = append(p.versions, versionCount{version: version})
		i = len(p.versions) - 1
	}
	p.versions[i].n += n
}

// merge adds another interval.
func (t *tally) merge(o *tally) {
	t.placed += o.placed
	t.all += o.all
	t.failed += o.failed
	t.flagged += o.flagged
	for _, p := range o.places {
		to := t.place(p.place)
		to.n += p.n
		for _, v := range p.versions {
			to.version(v.version, v.n)
		}
		for _, c := range p.callers {
			to.callers = insert(to.callers, c, MaxCallers)
		}
	}
}

// clone returns a tally that other intervals may be merged into.
func (t *tally) clone() *tally {
	c := &tally{at: t.at}
	c.merge(t)
	return c
}

func (t *tally) count(place Place) *placeCount {
	for i := range t.places {
		if t.places[i].place == place {
			return &t.places[i]
		}
	}
	return &placeCount{place: place}
}

// insert adds a text to a sorted list, once, up to a number.
func insert(list []string, s string, most int) []string {
	at, found := slices.BinarySearch(list, s)
	if found || s == "" || len(list) >= most {
		return list
	}
	return slices.Insert(list, at, s)
}

// mass is how many of a pair's calls went to a place, the older the less.
type mass struct {
	Place Place   `json:"place"`
	Mass  float64 `json:"mass"`
}

// shift is how the calls of a tally differ from the baseline.
type shift struct {
	from, to Place
	// moved are the calls above what is usual, over all places; share is their part.
	moved, share float64
	// before is the usual share of the place that gained most.
	before float64
	// certain says that it is not chance.
	certain bool
}

func sum(masses []mass) float64 {
	var all float64
	for _, m := range masses {
		all += m.Mass
	}
	return all
}

func shareOf(masses []mass, place Place, all float64) float64 {
	for _, m := range masses {
		if m.Place == place && all > 0 {
			return m.Mass / all
		}
	}
	return 0
}

// tallyOf is a tally of nothing but calls.
func tallyOf(masses []mass) *tally {
	t := &tally{}
	for _, m := range masses {
		n := uint64(m.Mass)
		t.places = append(t.places, placeCount{place: m.Place, n: n})
		t.placed += n
	}
	return t
}

// above is how many more calls than usual went to a place; fewer are below zero.
func (t *tally) above(masses []mass, place Place) float64 {
	return float64(t.count(place).n) - shareOf(masses, place, sum(masses))*float64(t.placed)
}

// compare says what moved. deviation is how much moves in intervals in which nothing happens.
func (t *tally) compare(masses []mass, deviation float64) shift {
	var s shift
	all, n := sum(masses), float64(t.placed)
	if all == 0 || n == 0 {
		return s
	}
	var gain, loss float64
	for i := range t.places {
		p := &t.places[i]
		usual := shareOf(masses, p.place, all)
		more := float64(p.n) - usual*n
		if more > 0 {
			s.moved += more
		}
		if more > gain {
			gain, s.to, s.before = more, p.place, usual
		}
	}
	for _, m := range masses {
		if less := m.Mass/all*n - float64(t.count(m.Place).n); less > loss {
			loss, s.from = less, m.Place
		}
	}
	s.share = s.moved / n
	s.certain = gain > 0 && beyondChance(gain, s.before, n) && s.share > 3*deviation
	return s
}

// beyondChance says whether so many more than the usual part are not by chance. A part that never happened before is taken
// to be one in 500.
func beyondChance(more, usual, n float64) bool {
	usual = min(max(usual, 0.002), 0.998)
	return more >= sigmas*math.Sqrt(n*usual*(1-usual))
}
