// SPDX-License-Identifier: Apache-2.0

package endpoints

import (
	"strings"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/failover"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// recent is how long a pod that came is young, and one that went of interest: as long as a Deployment may take, by Kubernetes'
// default, until it counts as failed.
const recent = 10 * time.Minute

// pods is what the pods of a canonical service tell.
type pods struct {
	// all hold their addresses, or wait for one.
	all, waiting int
	// born have their addresses since the last count, young since lately; gone are those that ended lately.
	born, young, gone int
	// oldest is since when the oldest of them that has an address has it; always says that one has it longer than anybody knows.
	oldest time.Time
	always bool
	// rollout says that pods of a workload are of two revisions, replaced that one of another revision than those that are there ended
	// lately. overlap says that others were there before it ended. rolled is when the last pod came or went.
	rollout, replaced, overlap bool
	rolled                     time.Time
}

// owner is a workload.
type owner struct{ namespace, name string }

// ended is a pod that was of a revision, and when it ended.
type ended struct {
	owner    owner
	service  failover.Service
	revision string
	// earliest and latest bound the moment.
	earliest, latest time.Time
}

// readPods looks for pods that wait and for deployments that are under way. A pod's service is its canonical one. All times are
// by the clock of the cluster; counted is up to when it was known at the last count.
func (k *counting) readPods(s *topology.Snapshot, c *topology.Cluster, counted time.Time) {
	if k.pods == nil {
		k.pods, k.revisions = map[failover.Service]pods{}, map[owner]string{}
	}
	clear(k.pods)
	clear(k.revisions)
	k.ended, k.left = k.ended[:0], false
	now := c.Confirmed()
	for p := range s.Pods(c.Name) {
		load := p.Workload
		name := failover.Service{Namespace: load.Namespace, Name: load.End().Service}
		if p.Ended() {
			k.readEnded(p, name, now)
			continue
		}
		known := k.pods[name]
		known.all++
		if p.Addressed {
			known.begin(p, now, counted)
		} else {
			known.waiting++
		}
		if revision, ok := revisionOf(p); ok {
			key := owner{load.Namespace, load.Name}
			if other, seen := k.revisions[key]; !seen {
				k.revisions[key] = revision
			} else if other != revision {
				known.rollout = true
			}
		}
		k.pods[name] = known
	}
	k.findReplaced()
}

// begin takes in a pod that has its address.
func (k *pods) begin(p *topology.Pod, now, counted time.Time) {
	_, seen := p.Since()
	if seen.IsZero() {
		k.always = true
		return
	}
	if k.oldest.IsZero() || seen.Before(k.oldest) {
		k.oldest = seen
	}
	if !counted.IsZero() && seen.After(counted) {
		k.born++
	}
	if now.Sub(seen) < recent {
		k.young++
		if seen.After(k.rolled) {
			k.rolled = seen
		}
	}
}

func (k *counting) readEnded(p *topology.Pod, name failover.Service, now time.Time) {
	earliest, latest, _ := p.Until()
	if now.Sub(latest) >= recent {
		return
	}
	k.left = true
	known := k.pods[name]
	known.gone++
	k.pods[name] = known
	if revision, ok := revisionOf(p); ok {
		k.ended = append(k.ended, ended{owner{p.Workload.Namespace, p.Workload.Name}, name, revision, earliest, latest})
	}
}

// findReplaced looks for workloads of which a pod ended that was of another revision than those that are there.
func (k *counting) findReplaced() {
	for i := range k.ended {
		e := &k.ended[i]
		if revision, there := k.revisions[e.owner]; !there || revision == e.revision {
			continue
		}
		known := k.pods[e.service]
		known.replaced = true
		known.overlap = known.overlap || known.rollout || known.always || !known.oldest.IsZero() && known.oldest.Before(e.earliest)
		if e.latest.After(known.rolled) {
			known.rolled = e.latest
		}
		k.pods[e.service] = known
	}
}

// revisionOf is the revision of the template that a pod was made from: what the inventory tells, else what the pod's name does. Pods of
// a Deployment, or of a Rollout of Argo's, are named after their ReplicaSet: the owner, the revision, and a last part. A name that does
// not begin with its owner's, or was cut for its length, tells nothing.
func revisionOf(p *topology.Pod) (string, bool) {
	const deployment, rollout = "deployment", "rollout"
	if p.Workload.Revision != "" {
		return p.Workload.Revision, true
	}
	if p.Workload.Kind != deployment && p.Workload.Kind != rollout {
		return "", false
	}
	i := strings.LastIndexByte(p.Name, '-')
	if i < 0 {
		return "", false
	}
	revision, ok := strings.CutPrefix(p.Name[:i], p.Workload.Name)
	if !ok || len(revision) < 2 || revision[0] != '-' || strings.IndexByte(revision[1:], '-') >= 0 {
		return "", false
	}
	return revision[1:], true
}
