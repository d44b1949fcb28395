// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// Snapshot returns the chunks of a snapshot: all that s knows of the encoder's cluster, the pods that ended among it. at
// is up to when it is confirmed. s must be built by the clock that at is of. Nothing is yielded if s does not know the cluster. Only one chunk exists at a time.
func (e *Encoder) Snapshot(s *topology.Snapshot, at time.Time) iter.Seq[Message] {
	return e.snapshot(s, at, s.Built())
}

func (e *Encoder) snapshot(s *topology.Snapshot, at, made time.Time) iter.Seq[Message] {
	c, ok := s.Cluster(e.header.Cluster)
	if !ok {
		return func(func(Message) bool) {}
	}
	return e.whole(contentOfCluster(s, c), at, made)
}

func contentOfCluster(s *topology.Snapshot, c *topology.Cluster) content {
	pods := slices.Collect(s.Pods(c.Name))
	// Pods of one workload share their tables if they are in one message, and the order must be the same each time.
	slices.SortFunc(pods, func(a, b *topology.Pod) int {
		uidA, uidB := a.UID(), b.UID()
		return cmp.Or(
			cmp.Compare(a.Workload.Namespace, b.Workload.Namespace), cmp.Compare(a.Name, b.Name),
			slices.Compare(uidA[:], uidB[:]), compareSince(a, b))
	})
	return content{
		facts:     c.Facts(),
		gateways:  nonNil(slices.Collect(specs(s.Gateways(c.Name), (*topology.Gateway).Spec))),
		failovers: nonNil(slices.Collect(s.Failovers(c.Name))),
		nodes: specs(slices.Values(slices.SortedFunc(s.Nodes(c.Name), func(a, b *topology.Node) int {
			return cmp.Compare(a.Name, b.Name)
		})), (*topology.Node).Spec),
		services: specs(slices.Values(slices.SortedFunc(s.Services(c.Name), func(a, b *topology.Service) int {
			return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
		})), func(s *topology.Service) topology.ServiceSpec { return *s.Spec() }),
		pods: func(yield func(topology.PodState) bool) {
			for _, p := range pods {
				if !p.Ended() && !yield(p.State()) {
					return
				}
			}
		},
		past: func(yield func(PastPod) bool) {
			for _, p := range pods {
				if !p.Ended() {
					continue
				}
				earliest, latest, gap := p.Until()
				if !yield(PastPod{PodState: p.State(), Earliest: earliest, Latest: latest, Gap: gap}) {
					return
				}
			}
		},
	}
}

func compareSince(a, b *topology.Pod) int {
	sinceA, _ := a.Since()
	sinceB, _ := b.Since()
	return sinceA.Compare(sinceB)
}

// specs maps records to what their source said.
func specs[T, S any](records iter.Seq[T], spec func(T) S) iter.Seq[S] {
	return func(yield func(S) bool) {
		for r := range records {
			if !yield(spec(r)) {
				return
			}
		}
	}
}
