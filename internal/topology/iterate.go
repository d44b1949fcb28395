// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
)

// Clusters returns the clusters by name.
func (s *Snapshot) Clusters() iter.Seq[*Cluster] {
	return func(yield func(*Cluster) bool) {
		for _, name := range s.names {
			if !yield(s.clusters[name].Cluster) {
				return
			}
		}
	}
}

// Same says that nothing about the cluster is different in the other snapshot of the same writer: who computed something from
// the one need not do so from the other. What is live does not show in it: [Cluster.Confirmed], [Cluster.StaleSince].
func (s *Snapshot) Same(other *Snapshot, cluster string) bool {
	return other != nil && s.clusters[cluster] == other.clusters[cluster]
}

// Pods returns the pods of the cluster in no order, those that ended among them: see [Pod.Ended].
func (s *Snapshot) Pods(cluster string) iter.Seq[*Pod] {
	if c, ok := s.clusters[cluster]; ok {
		return c.pods.all()
	}
	return none[*Pod]
}

// Nodes returns the nodes of the cluster in no order.
func (s *Snapshot) Nodes(cluster string) iter.Seq[*Node] {
	if c, ok := s.clusters[cluster]; ok {
		return c.nodes.all()
	}
	return none[*Node]
}

// Services returns the services of the cluster in no order.
func (s *Snapshot) Services(cluster string) iter.Seq[*Service] {
	if c, ok := s.clusters[cluster]; ok {
		return c.services.all()
	}
	return none[*Service]
}

// Gateways returns the gateways that the cluster has or knows, as its source listed them.
func (s *Snapshot) Gateways(cluster string) iter.Seq[*Gateway] {
	if c, ok := s.clusters[cluster]; ok {
		return slices.Values(c.gateways)
	}
	return none[*Gateway]
}

// Failovers returns the failover intentions of the cluster, as its source listed them. Nobody may change what they lead
// to.
func (s *Snapshot) Failovers(cluster string) iter.Seq[FailoverSpec] {
	if c, ok := s.clusters[cluster]; ok {
		return slices.Values(c.failovers)
	}
	return none[FailoverSpec]
}

// History returns who has and had the address in the network, the newest first. It allocates.
func (s *Snapshot) History(networkName string, address netip.Addr) []*Pod {
	n := s.networks.find(networkName)
	if n == nil || !address.IsValid() {
		return nil
	}
	key := address.As16()
	var pods []*Pod
	for p := range n.pods.candidates(hashAddress(s.seeds, key)) {
		if p.has(key) {
			pods = append(pods, p)
		}
	}
	slices.SortFunc(pods, func(a, b *Pod) int {
		return cmp.Or(cmp.Compare(b.latest, a.latest), cmp.Compare(b.since, a.since))
	})
	return pods
}

func none[T any](func(T) bool) {}
