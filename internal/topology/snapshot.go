// SPDX-License-Identifier: Apache-2.0

// Package topology holds what is known of the mesh: which cluster, region, zone and workload an address, a pod name or
// a gateway stands for.
//
//   - [Builder] turns cluster descriptions into a [Snapshot], and refuses contradictory ones.
//   - [Snapshot] is immutable. Its lookups do not lock and do not allocate.
//   - [Store] hands the newest snapshot to any number of readers; it has one writer.
//
// An address is looked up within a network, never alone: pod address ranges overlap between clusters.
package topology

import (
	"net/netip"
	"sync/atomic"
	"time"
)

// Snapshot is the topology at one moment. **It is extremely important that neither it nor anything it returns is
// modified**: readers share it without locks. Make one with a [Builder].
type Snapshot struct {
	meshID   string
	built    time.Time
	clusters map[string]*Cluster
	networks map[string]*network
	gateways map[netip.Addr][]*Gateway
	domains  map[string][]*Cluster
	stats    Stats
}

// network is what the addresses of one network stand for.
type network struct {
	pods     map[netip.Addr]*Pod
	nodes    map[netip.Addr]*Node
	gateways map[netip.Addr]*Gateway
	clusters []*Cluster
}

// Stats counts what a snapshot holds.
type Stats struct {
	Clusters, Workloads, Pods, Gateways, Services, Nodes int
}

// MeshID returns the mesh's id; empty if not known.
func (s *Snapshot) MeshID() string { return s.meshID }

// Built returns when the snapshot was built.
func (s *Snapshot) Built() time.Time { return s.built }

// Stats returns how much the snapshot holds.
func (s *Snapshot) Stats() Stats { return s.stats }

// Cluster returns the cluster of this name.
func (s *Snapshot) Cluster(name string) (*Cluster, bool) {
	c, ok := s.clusters[name]
	return c, ok
}

// SoleNetwork returns the name of the network if the whole mesh is in one. Only then is an address worth looking up
// without knowing where it was seen.
func (s *Snapshot) SoleNetwork() (string, bool) {
	if len(s.networks) != 1 {
		return "", false
	}
	for name := range s.networks {
		return name, true
	}
	return "", false
}

// ByAddress returns the pod that has the address in the network for itself. A pod in the host network has its node's
// address, which tells nothing: everything else on that node has it too, and so has whatever the node translates.
func (s *Snapshot) ByAddress(networkName string, address netip.Addr) (*Pod, bool) {
	n, ok := s.networks[networkName]
	if !ok {
		return nil, false
	}
	address = address.Unmap()
	p, ok := n.pods[address]
	if !ok {
		return nil, false
	}
	if _, shared := n.nodes[address]; shared {
		return nil, false
	}
	return p, true
}

// HasAddress says whether the address is one of the pod's, be it shared with its node or not.
func (s *Snapshot) HasAddress(p *Pod, address netip.Addr) bool {
	n, ok := s.networks[p.Network]
	return ok && n.pods[address.Unmap()] == p
}

// NodeAt returns the node that has the address in the network.
func (s *Snapshot) NodeAt(networkName string, address netip.Addr) (*Node, bool) {
	n, ok := s.networks[networkName]
	if !ok {
		return nil, false
	}
	node, ok := n.nodes[address.Unmap()]
	return node, ok
}

// ByPod returns the pod of this name in the cluster.
func (s *Snapshot) ByPod(cluster, namespace, name string) (*Pod, bool) {
	c, ok := s.clusters[cluster]
	if !ok {
		return nil, false
	}
	p, ok := c.pods[objectName{namespace, name}]
	return p, ok
}

// PodNamed returns the pod of this name if exactly one cluster has one. It visits every cluster: use [Snapshot.ByPod]
// where the cluster is known.
func (s *Snapshot) PodNamed(namespace, name string) (*Pod, bool) {
	var found *Pod
	for _, c := range s.clusters {
		p, ok := c.pods[objectName{namespace, name}]
		if !ok {
			continue
		}
		if found != nil {
			return nil, false
		}
		found = p
	}
	return found, found != nil
}

// Workload returns the workload of this name in the cluster.
func (s *Snapshot) Workload(cluster, namespace, name string) (*Workload, bool) {
	c, ok := s.clusters[cluster]
	if !ok {
		return nil, false
	}
	w, ok := c.workloads[objectName{namespace, name}]
	return w, ok
}

// ServiceAt returns the service that has the virtual address in the cluster.
func (s *Snapshot) ServiceAt(cluster string, address netip.Addr) (*Service, bool) {
	c, ok := s.clusters[cluster]
	if !ok {
		return nil, false
	}
	svc, ok := c.services[address.Unmap()]
	return svc, ok
}

// Gateway returns the east/west gateway that a caller in network from reaches at the address: one that leads into
// another network. Port 0 stands for an unknown port. ok is false if no gateway has the address, and if gateways of
// two networks have it, as private load balancer addresses overlap too; ambiguous tells these apart.
func (s *Snapshot) Gateway(from string, address netip.Addr, port uint16) (g *Gateway, ambiguous, ok bool) {
	for _, candidate := range s.gateways[address.Unmap()] {
		if candidate.Cluster.Network == from || (port != 0 && candidate.Port != 0 && candidate.Port != port) {
			continue
		}
		if g != nil && g.Cluster.Network != candidate.Cluster.Network {
			return nil, true, false
		}
		if g == nil {
			g = candidate
		}
	}
	return g, false, g != nil
}

// OwnGateway returns the east/west gateway of the network itself that has the address: the one through which calls from
// other networks arrive.
func (s *Snapshot) OwnGateway(networkName string, address netip.Addr) (*Gateway, bool) {
	n, ok := s.networks[networkName]
	if !ok {
		return nil, false
	}
	if p, found := n.pods[address.Unmap()]; found {
		return p.Workload.EastWest, p.Workload.EastWest != nil
	}
	g, ok := n.gateways[address.Unmap()]
	return g, ok
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

// Store hands the newest snapshot to readers. One goroutine may call [Store.Set]; any number may call [Store.Snapshot].
// The zero value is ready and holds an empty snapshot.
type Store struct {
	current atomic.Pointer[Snapshot]
}

// empty answers every lookup with "not found": maps may be nil for reading.
var empty = &Snapshot{}

// Snapshot returns the newest snapshot, never nil.
func (s *Store) Snapshot() *Snapshot {
	if current := s.current.Load(); current != nil {
		return current
	}
	return empty
}

// Set makes the snapshot the newest one.
func (s *Store) Set(snapshot *Snapshot) { s.current.Store(snapshot) }
