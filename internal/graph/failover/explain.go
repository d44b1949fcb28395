// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"slices"
	"time"
)

// reason is why calls moved though nothing failed.
type reason int

const (
	// unexplained means that nobody knows any.
	unexplained reason = iota
	// meant means that somebody wanted them to.
	meant
	// deployed means that a deployment took all endpoints away before there were new ones.
	deployed
)

// doing is what is done on purpose to the endpoints of a service in a place, and when it last was: agents report of it for a while.
type doing struct {
	// rolling is a deployment, replacing one that leaves nothing between, leaving pods that are being deleted.
	rolling, replacing, leaving time.Time
}

// deeds brings what is done on purpose up to date.
func (d *Detector) deeds(at time.Time) {
	for _, e := range d.busy {
		k := rollout{e.Service, e.Place}
		now := d.doings[k]
		switch {
		case e.Rollout:
			now.rolling = at
		case e.Rolled.After(now.rolling):
			now.rolling = e.Rolled
		}
		switch {
		case e.Rollout && e.Healthy == 0 && e.Total <= e.New:
			now.replacing = at // Nothing that was there is left.
		case e.Replaced:
			now.replacing = now.rolling
		}
		if e.Ending > 0 {
			now.leaving = at
		}
		d.doings[k] = now
	}
}

// forgetDeeds drops those of which no agent reports any more.
func (d *Detector) forgetDeeds(at time.Time) {
	for k, done := range d.doings {
		if !d.lately(done.rolling, at) && !d.lately(done.leaving, at) {
			delete(d.doings, k)
		}
	}
}

// lately says whether agents may still report of what was at a time.
func (d *Detector) lately(last, at time.Time) bool {
	return !last.IsZero() && at.Sub(last) <= d.config.EndAfter
}

func (j *judgment) doing(place Place) doing { return j.d.doings[rollout{j.key.service, place}] }

// rolling says whether a deployment is under way, or was until so shortly ago that agents may still report of it.
func (j *judgment) rolling(place Place) bool { return j.d.lately(j.doing(place).rolling, j.at) }

// explained says why the calls moved if somebody meant them to.
func (j *judgment) explained(s *shift, t *tally) reason {
	if s.to.Region == j.key.from && s.from.Region != j.key.from {
		return meant // They come home.
	}
	symptoms := len(j.symptomsOf(s.from)) > 0
	broken := len(j.broken(s.from)) > 0
	from, to, done := j.endpointsAt(s.from), j.endpointsAt(s.to), j.doing(s.from)
	switch {
	case from != nil && from.Desired == 0:
		return meant // It was scaled to zero.
	case !broken && j.d.lately(done.replacing, j.at):
		// Connections that break off with all endpoints at once are no sign of a failure.
		return deployed
	case from != nil && from.Total <= from.New && from.Healthy == 0 && from.Desired < 0 && from.Ejected == 0 && !symptoms:
		return meant // It is on its way back.
	case broken:
		return unexplained
	case j.newVersion(s, t):
		return meant // A canary, or blue/green.
	case j.rolling(s.from), symptoms && j.d.lately(done.leaving, j.at):
		if j.bad(t) {
			return unexplained
		}
		return meant
	case symptoms:
		return unexplained
	case to != nil && !to.Since.IsZero() && j.at.Sub(to.Since) <= j.d.config.NewFor:
		return meant // A new cluster.
	}
	return unexplained
}

// bad says whether more requests fail than a deployment that goes well breaks off: one in 50, and not by a chance of one in 10 000.
func (j *judgment) bad(t *tally) bool {
	const limit, chance = 0.02, 1e-4
	n, usual := max(t.failed, t.flagged), limit*float64(t.all)
	return float64(n) > usual && tail(n, usual) < chance
}

// newVersion says whether the calls went to a version that is new, and that the place which lost them does not have.
func (j *judgment) newVersion(s *shift, t *tally) bool {
	const most = 0.8
	known := j.d.services[j.key.service]
	to := t.count(s.to)
	if known == nil || to.n == 0 {
		return false
	}
	var fresh uint64
	for _, c := range to.versions {
		i := slices.IndexFunc(known.versions, func(v version) bool { return v.Name == c.version })
		if i < 0 {
			continue
		}
		v := &known.versions[i]
		if !v.First.IsZero() && j.at.Sub(v.First) <= j.d.config.NewFor && !slices.Contains(v.Places, s.from) {
			fresh += c.n
		}
	}
	return float64(fresh) >= most*float64(to.n)
}
