// SPDX-License-Identifier: Apache-2.0

package endpoints

import (
	"strings"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/failover"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// counting is what one count needs, kept for the next one.
type counting struct {
	pods map[failover.Service]pods
	sets map[owner]string
	// regions of the zones of the cluster's nodes.
	regions map[string]string
	counts  []regionCount
}

// pods is what the pods of a canonical service tell.
type pods struct {
	// all hold their addresses, or wait for one.
	all, waiting int
	rollout      bool
}

// owner is a workload.
type owner struct{ namespace, name string }

type regionCount struct {
	region               string
	ready, total, ending int
}

// count counts the endpoints of a cluster anew.
func (w *Watcher) count(s *topology.Snapshot, c *topology.Cluster, known *cluster, at time.Time) {
	k := &w.counting
	k.readPods(s, c)
	k.readZones(s, c)
	had := make(map[failover.Service][]tenure, len(known.had))
	rows := make([]failover.Endpoints, 0, len(known.rows))
	for svc := range s.Services(c.Name) {
		spec := svc.Spec()
		if spec.External {
			continue
		}
		name := failover.Service{Namespace: svc.Namespace, Name: svc.Name}
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
		for i := range k.counts {
			n := &k.counts[i]
			place, held := find(before, n.region)
			if n.total > 0 && !held {
				place, held = tenure{region: n.region}, true
				if known.watched || known.fresh {
					place.since = at
				} else {
					// Whether they were ready before, nobody knows.
					place.proven = n.total - n.ending
				}
			}
			place.matched = place.matched || n.total > 0 && k.pods[name].all > 0
			place.prove(n)
			if e, ok := k.row(c, spec, name, n, &place); ok {
				rows = append(rows, e)
			}
			if held {
				now = append(now, place)
			}
		}
		if now != nil {
			had[name] = now
		}
	}
	known.rows, known.had = rows, had
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
	c *topology.Cluster, spec *topology.ServiceSpec, name failover.Service, n *regionCount, place *tenure,
) (failover.Endpoints, bool) {
	if !spec.EndingKnown && n.ready < n.total {
		return failover.Endpoints{}, false
	}
	total := max(n.total-n.ending, 0)
	// publishNotReadyAddresses makes all of them ready, also those that are being deleted.
	p := k.pods[name]
	e := failover.Endpoints{
		Service: name, Place: failover.Place{Region: n.region, Cluster: c.Name}, Total: total, Healthy: min(n.ready, total),
		New: total - min(place.proven, total), Desired: -1, Rollout: p.rollout, Since: place.since,
	}
	switch {
	case total > 0 || p.rollout || n.region != c.Region:
		// Where a cluster has several regions, nobody knows to which one a pod that is not there would belong.
	case p.all-n.ending <= 0 && place.matched:
		e.Desired, place.zero = 0, true
	case p.waiting > 0 && n.ending == 0 && !place.zero:
		e.Desired = p.waiting
	}
	return e, true
}

// readPods looks for pods that wait and for deployments that are under way. A pod's service is its canonical one.
func (k *counting) readPods(s *topology.Snapshot, c *topology.Cluster) {
	if k.pods == nil {
		k.pods, k.sets = map[failover.Service]pods{}, map[owner]string{}
	}
	clear(k.pods)
	clear(k.sets)
	for p := range s.Pods(c.Name) {
		if p.Ended() {
			continue
		}
		load := p.Workload
		name := failover.Service{Namespace: load.Namespace, Name: load.End().Service}
		known := k.pods[name]
		known.all++
		if !p.Addressed {
			known.waiting++
		}
		k.pods[name] = known
		set, ok := replicaSet(p)
		if !ok {
			continue
		}
		key := owner{load.Namespace, load.Name}
		if other, seen := k.sets[key]; !seen {
			k.sets[key] = set
		} else if other != set {
			known.rollout = true
			k.pods[name] = known
		}
	}
}

// replicaSet is the name of the ReplicaSet of a pod that a deployment, or a Rollout of Argo's, owns: the pod's name without its
// last part. It is none where the name does not begin with its owner's, or was cut for its length.
func replicaSet(p *topology.Pod) (string, bool) {
	const deployment, rollout = "deployment", "rollout"
	if p.Workload.Kind != deployment && p.Workload.Kind != rollout {
		return "", false
	}
	i := strings.LastIndexByte(p.Name, '-')
	if i < 0 {
		return "", false
	}
	set := p.Name[:i]
	hash, ok := strings.CutPrefix(set, p.Workload.Name)
	if !ok || len(hash) < 2 || hash[0] != '-' || strings.IndexByte(hash[1:], '-') >= 0 {
		return "", false
	}
	return set, true
}

func (k *counting) readZones(s *topology.Snapshot, c *topology.Cluster) {
	if k.regions == nil {
		k.regions = map[string]string{}
	}
	clear(k.regions)
	for n := range s.Nodes(c.Name) {
		region := n.Region
		if region == "" {
			region = c.Region
		}
		if region == "" || n.Zone == "" {
			continue
		}
		if other, ok := k.regions[n.Zone]; ok && other != region {
			region = "" // Two regions say that it is theirs.
		}
		k.regions[n.Zone] = region
	}
}

// byRegion adds up the zones of a service; ok is false if nothing tells the region of some.
func (k *counting) byRegion(c *topology.Cluster, spec *topology.ServiceSpec) bool {
	k.counts = k.counts[:0]
	if len(spec.Endpoints) == 0 && c.Region != "" {
		k.counts = append(k.counts, regionCount{region: c.Region})
	}
	for i := range spec.Endpoints {
		z := &spec.Endpoints[i]
		region, ok := k.regions[z.Zone]
		if !ok && (z.Zone == "" || strings.HasPrefix(z.Zone, c.Region)) {
			region = c.Region
		}
		if region == "" {
			return false
		}
		n := k.of(region)
		n.ready += int(z.Ready)
		n.total += int(z.Total)
		n.ending += int(z.Ending)
	}
	return true
}

func (k *counting) of(region string) *regionCount {
	for i := range k.counts {
		if k.counts[i].region == region {
			return &k.counts[i]
		}
	}
	k.counts = append(k.counts, regionCount{region: region})
	return &k.counts[len(k.counts)-1]
}
