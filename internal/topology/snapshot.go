// SPDX-License-Identifier: Apache-2.0

// Package topology holds what is known of the mesh, and when it was so: which cluster, region, zone and workload an
// address, a pod name or a gateway stands for.
//
//   - [Writer] applies what sources tell, one [Delta] after the other, and publishes a [Snapshot] of it.
//   - [Builder] makes a snapshot of complete cluster descriptions, and refuses contradictory ones.
//   - [Snapshot] is immutable. Its lookups do not lock and do not allocate. [Snapshot.At] asks it about a time.
//   - [Store] hands the newest snapshot to any number of readers; it has one writer.
//
// An address is looked up within a network, never alone: pod address ranges overlap between clusters. It is looked up as
// of the time of the call: addresses are used again.
package topology

import (
	"net/netip"
	"time"
)

// Snapshot is the topology at one moment, with the pods that ended not long before. **It is extremely important that
// neither it nor anything it returns is modified**: readers share it without locks. Make one with a [Builder] or a
// [Writer]. Its own look-ups answer for the newest that is known; [Snapshot.At] for another time.
type Snapshot struct {
	meshID   string
	built    time.Time
	seeds    *seeds
	clusters map[string]*cluster
	names    []string
	networks networkIndex
	sole     string
	gateways map[netip.Addr][]*Gateway
	domains  map[string][]*Cluster
	stats    Stats
}

// cluster is what one cluster holds.
type cluster struct {
	*Cluster
	pods      table[Pod]
	workloads table[Workload]
	nodes     table[Node]
	services  table[Service]
	// virtual holds the services by their addresses.
	virtual   table[Service]
	gateways  []*Gateway
	failovers []FailoverSpec
}

// network is what the addresses of one network stand for.
type network struct {
	pods  table[Pod]
	nodes table[Node]
	// nodeBits are of the addresses of the nodes.
	nodeBits hashBits
	// gateways are those that lead into the network from outside.
	gateways map[netip.Addr]*Gateway
	clusters []*Cluster
}

// Stats counts what a snapshot holds.
type Stats struct {
	Clusters, Workloads, Pods, Gateways, Services, Nodes int
	// Ended counts the tenancies that are over and still answerable.
	Ended int
}

// MeshID returns the mesh's id: what the writer was told, else what all clusters that name one agree on; empty if none
// names one, or if they do not agree.
func (s *Snapshot) MeshID() string { return s.meshID }

// Built returns when the snapshot was built.
func (s *Snapshot) Built() time.Time { return s.built }

// Stats returns how much the snapshot holds.
func (s *Snapshot) Stats() Stats { return s.stats }

// At returns the topology as it was at the time; the zero time stands for the newest that is known.
func (s *Snapshot) At(t time.Time) View {
	if t.IsZero() {
		return View{s: s, at: forever}
	}
	return View{s: s, at: nanos(t)}
}

// newest is the view of the snapshot's own look-ups.
func (s *Snapshot) newest() View { return View{s: s, at: forever} }

// ByAddress is [View.ByAddress] for the newest that is known; ok is false unless the pod was found.
func (s *Snapshot) ByAddress(network string, address netip.Addr) (*Pod, bool) {
	p, how := s.newest().ByAddress(network, address)
	return p, how == Found
}

// ByPod is [View.ByPod] for the newest that is known.
func (s *Snapshot) ByPod(cluster, namespace, name string) (*Pod, bool) {
	return s.newest().ByPod(cluster, namespace, name)
}

// PodNamed is [View.PodNamed] for the newest that is known.
func (s *Snapshot) PodNamed(namespace, name string) (*Pod, bool) {
	return s.newest().PodNamed(namespace, name)
}

// OwnGateway is [View.OwnGateway] for the newest that is known.
func (s *Snapshot) OwnGateway(network string, address netip.Addr) (*Gateway, bool) {
	return s.newest().OwnGateway(network, address)
}

// Cluster returns the cluster of this name.
func (s *Snapshot) Cluster(name string) (*Cluster, bool) {
	c, ok := s.clusters[name]
	if !ok {
		return nil, false
	}
	return c.Cluster, true
}

// SoleNetwork returns the name of the network if the whole mesh is in one. Only then is an address worth looking up
// without knowing where it was seen.
func (s *Snapshot) SoleNetwork() (string, bool) { return s.sole, s.sole != "" }

// HasAddress says whether the address is one of the pod's, be it shared with its node or not.
func (s *Snapshot) HasAddress(p *Pod, address netip.Addr) bool {
	return address.IsValid() && p.has(address.As16())
}

// NodeAt returns the node that has the address in the network.
func (s *Snapshot) NodeAt(networkName string, address netip.Addr) (*Node, bool) {
	n := s.networks.find(networkName)
	if n == nil || !address.IsValid() {
		return nil, false
	}
	key := address.As16()
	node := n.nodeAt(hashAddress(s.seeds, key), key)
	return node, node != nil
}

// Workload returns the workload of this name in the cluster.
func (s *Snapshot) Workload(cluster, namespace, name string) (*Workload, bool) {
	c, ok := s.clusters[cluster]
	if !ok {
		return nil, false
	}
	w := c.workloadNamed(s.seeds, namespace, name)
	return w, w != nil
}

// ServiceAt returns the service that has the virtual address in the cluster.
func (s *Snapshot) ServiceAt(cluster string, address netip.Addr) (*Service, bool) {
	c, ok := s.clusters[cluster]
	if !ok || !address.IsValid() {
		return nil, false
	}
	address = address.Unmap()
	for svc := range c.virtual.candidates(hashAddress(s.seeds, address.As16())) {
		if svc.has(address) {
			return svc, true
		}
	}
	return nil, false
}

// Gateway returns the east/west gateway that a caller in network from reaches at the address: one that leads into
// another network. Port 0 stands for an unknown port. ok is false if no gateway has the address, and if gateways of
// two networks have it, as private load balancer addresses overlap too; ambiguous tells these apart. What the clusters
// of the caller's network know of the address goes before what others know.
func (s *Snapshot) Gateway(from string, address netip.Addr, port uint16) (g *Gateway, ambiguous, ok bool) {
	var near *Gateway
	for _, candidate := range s.gateways[address.Unmap()] {
		if candidate.Network == from || (port != 0 && candidate.Port != 0 && candidate.Port != port) {
			continue
		}
		if near == nil && candidate.Remote && candidate.Cluster.Network == from {
			near = candidate
		}
		if g == nil {
			g = candidate
		}
		ambiguous = ambiguous || g.Network != candidate.Network
	}
	if !ambiguous {
		return g, false, g != nil
	}
	if near == nil {
		return nil, true, false
	}
	for _, candidate := range s.gateways[address.Unmap()] {
		// The gateway's owner goes before others that know it: it stands first.
		if candidate.Network == near.Network && (port == 0 || candidate.Port == 0 || candidate.Port == port) {
			return candidate, false, true
		}
	}
	return near, false, true
}

// defaultTrustDomain is the trust domain of every Istio whose owner set none.
const defaultTrustDomain = "cluster.local"

// TrustDomain returns the cluster that has the trust domain if exactly one has. A cluster that names none may have
// Istio's default, so that one tells only where all clusters name theirs.
func (s *Snapshot) TrustDomain(domain string) (*Cluster, bool) {
	clusters := s.domains[domain]
	if len(clusters) != 1 || (domain == defaultTrustDomain && len(s.domains[""]) > 0) {
		return nil, false
	}
	return clusters[0], domain != ""
}
