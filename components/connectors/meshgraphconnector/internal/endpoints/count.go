// SPDX-License-Identifier: Apache-2.0

package endpoints

import (
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/failover"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// counting is what one count needs, kept for the next one.
type counting struct {
	pods map[failover.Service]pods
	// revisions are those of the pods of each workload, ended the pods of which one is gone.
	revisions map[owner]string
	ended     []ended
	// left says that pods ended lately.
	left bool
	// aliases are the rows of services that are not named like those who answer, by the name of these, and renamed are these services.
	aliases map[failover.Service]alias
	renamed map[failover.Service]bool
	// regions of the zones of the cluster's nodes.
	regions map[string]string
	counts  []regionCount
}

type regionCount struct {
	region               string
	ready, total, ending int
}

// count counts the endpoints of a cluster anew.
func (w *Watcher) count(s *topology.Snapshot, c *topology.Cluster, known *cluster, at time.Time) {
	k := &w.counting
	k.forgetAliases()
	k.readPods(s, c, known.counted)
	known.recount = time.Time{}
	if k.left {
		known.recount = at.Add(recent)
	}
	k.readZones(s, c)
	had := make(map[failover.Service][]tenure, len(known.had))
	rows := make([]failover.Endpoints, 0, len(known.rows))
	for svc := range s.Services(c.Name) {
		spec := svc.Spec()
		if spec.External {
			continue
		}
		name := failover.Service{Namespace: svc.Namespace, Name: svc.Name}
		// Who calls it names it so until somebody answers: then it has the name of those who did.
		answers, first := name, len(rows)
		if spec.Canonical != "" {
			answers.Name = spec.Canonical
		}
		before := known.had[name]
		if spec.Endpoints == nil || !k.byRegion(c, spec) {
			if before != nil {
				had[name] = before
			}
			continue
		}
		// Where it had endpoints and has none, that is known too.
		for i := range before {
			k.of(before[i].region)
		}
		now := before[:0:0]
		p := k.pods[answers]
		for i := range k.counts {
			n := &k.counts[i]
			place, held := known.place(before, n, &p, at)
			if e, ok := k.row(c, known, spec, n, &place, &p); ok {
				e.Service = name
				rows = append(rows, e)
			}
			if held {
				now = append(now, place)
			}
		}
		if now != nil {
			had[name] = now
		}
		if answers != name {
			k.alias(answers, name, rows[first:])
		}
	}
	rows = k.withAliases(rows)
	known.rows, known.had, known.counted = rows, had, c.Confirmed()
}

// place brings what is known of a region up to date, from what was known before; held says that there are, or were, endpoints.
func (c *cluster) place(before []tenure, n *regionCount, p *pods, at time.Time) (place tenure, held bool) {
	place, held = find(before, n.region)
	if n.total > 0 && !held {
		place, held = tenure{region: n.region}, true
		if c.watched || c.fresh {
			place.since = at
		} else {
			// Whether they were ready before, nobody knows: those that came lately may be on their way.
			place.proven = n.total - n.ending - p.young
		}
	}
	place.matched = place.matched || n.total > 0 && p.all > 0 || p.gone > 0
	if p.rollout || p.replaced {
		// Old ones may have ended between two counts, so that nobody saw them being deleted.
		place.proven = min(place.proven, n.total-n.ending-p.born)
	}
	place.prove(n)
	return place, held
}

// prove notes how many endpoints were ready, less those that were deleted since. When all are, nothing else counts.
func (t *tenure) prove(n *regionCount) {
	deleted := max(n.ending-t.ending, 0)
	t.ending = n.ending
	left := max(n.total-n.ending, 0)
	t.proven = min(max(t.proven-deleted, n.ready), left)
	t.zero = t.zero && n.ready == 0
}

func find(list []tenure, region string) (tenure, bool) {
	for i := range list {
		if list[i].region == region {
			return list[i], true
		}
	}
	return tenure{}, false
}

// row is what the counts of a region say; ok is false if that is nothing certain.
func (k *counting) row(
	c *topology.Cluster, known *cluster, spec *topology.ServiceSpec, n *regionCount, place *tenure, p *pods,
) (failover.Endpoints, bool) {
	if !spec.EndingKnown && n.ready < n.total {
		return failover.Endpoints{}, false
	}
	total := max(n.total-n.ending, 0)
	// publishNotReadyAddresses makes all of them ready, also those that are being deleted.
	e := failover.Endpoints{
		Place: failover.Place{Region: n.region, Cluster: c.Name}, Total: total, Healthy: min(n.ready, total),
		New: total - min(place.proven, total), Ending: n.ending, Desired: -1, Since: place.since,
	}
	// It goes on while those that took the place of older ones were never ready.
	if e.Rollout = p.rollout || p.replaced && (total == 0 || e.New > 0); e.Rollout || p.replaced {
		e.Rolled, e.Replaced = p.rolled, p.replaced && !p.overlap
		if known.counted.IsZero() {
			// When the new ones were ready nobody saw: perhaps a moment ago.
			e.Rolled = c.Confirmed()
		}
	}
	switch {
	case total > 0 || e.Rollout || n.region != c.Region:
		// Where a cluster has several regions, nobody knows to which one a pod that is not there would belong.
	case p.all-n.ending <= 0 && place.matched:
		e.Desired, place.zero = 0, true
	case p.waiting > 0 && n.ending == 0 && !place.zero:
		e.Desired = p.waiting
	}
	return e, true
}
