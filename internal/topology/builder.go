// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"fmt"
	"net/netip"
	"time"
)

// Limits are the ceilings of a snapshot.
type Limits struct {
	// MaxClusters is the most clusters; 0 stands for no limit.
	MaxClusters int
	// MaxPods is the most pods of all clusters together; 0 stands for no limit.
	MaxPods int
}

// Builder collects cluster descriptions and checks them. Make one with [NewBuilder]; it is not safe for concurrent use
// and of no use after [Builder.Build].
type Builder struct {
	limits Limits
	s      *Snapshot
}

// NewBuilder returns an empty builder for a mesh. meshID may be empty.
func NewBuilder(meshID string, limits Limits) *Builder {
	return &Builder{limits: limits, s: &Snapshot{
		meshID:   meshID,
		clusters: map[string]*Cluster{},
		networks: map[string]*network{},
		gateways: map[netip.Addr][]*Gateway{},
		domains:  map[string][]*Cluster{},
	}}
}

// Add adds a cluster. The error is a [*ValidationError]; after one the builder must be thrown away.
func (b *Builder) Add(spec *ClusterSpec) error {
	a := adder{b: b, spec: spec, at: Position{Cluster: len(b.s.clusters), Pod: -1}}
	if err := a.addCluster(); err != nil {
		return err
	}
	for _, step := range []func() error{a.addNodes, a.addGateways, a.addServices, a.addWorkloads} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// Build returns the snapshot, stamped with the time it was built.
func (b *Builder) Build(now time.Time) *Snapshot {
	s := b.s
	b.s = nil
	s.built = now
	s.stats.Clusters = len(s.clusters)
	for _, c := range s.clusters {
		s.stats.Workloads += len(c.workloads)
		for _, g := range c.gateways {
			g.leads = s.networks[c.Network].common(c.Network)
		}
	}
	return s
}

// adder adds one cluster; it holds where it is for the errors.
type adder struct {
	b       *Builder
	spec    *ClusterSpec
	at      Position
	cluster *Cluster
	nodes   map[string]*Node
}

func (a *adder) addCluster() error {
	s, spec := a.b.s, a.spec
	switch {
	case spec.Name == "":
		return a.fail(ErrInvalid, "name", "write the cluster's name, as in Istio's cluster id")
	case s.clusters[spec.Name] != nil:
		return a.fail(ErrConflict, "name", "cluster %q is described twice; give each cluster a name of its own", spec.Name)
	case a.b.limits.MaxClusters > 0 && len(s.clusters) >= a.b.limits.MaxClusters:
		return a.fail(ErrLimit, "", "more than %d clusters; raise 'max_clusters' or describe fewer", a.b.limits.MaxClusters)
	}
	c := &Cluster{
		Name: spec.Name, Region: spec.Region, Provider: spec.Provider, Platform: spec.Platform,
		TrustDomain: spec.TrustDomain, Network: spec.Network,
		pods: map[objectName]*Pod{}, workloads: map[objectName]*Workload{}, services: map[netip.Addr]*Service{},
	}
	c.end.Cluster, c.end.Region, c.end.Network = spec.Name, spec.Region, spec.Network
	if c.Network == "" {
		// Istio treats a cluster without a network as sharing one nameless network with the others. Taking that for
		// granted would look addresses up where they cannot be seen, so such a cluster stands alone.
		c.Network = nameless + spec.Name
	}
	s.clusters[c.Name] = c
	s.domains[c.TrustDomain] = append(s.domains[c.TrustDomain], c)
	n := a.b.network(c.Network)
	n.add(c)
	a.cluster, a.nodes = c, make(map[string]*Node, len(spec.Nodes))
	return nil
}

func (a *adder) addNodes() error {
	n := a.b.network(a.cluster.Network)
	for i := range a.spec.Nodes {
		spec := &a.spec.Nodes[i]
		a.at.List, a.at.Index = "nodes", i
		if spec.Name == "" {
			return a.fail(ErrInvalid, "name", "write the node's name")
		}
		if a.nodes[spec.Name] != nil {
			return a.fail(ErrConflict, "name", "node %q of cluster %q is described twice", spec.Name, a.cluster.Name)
		}
		node := &Node{Cluster: a.cluster, Name: spec.Name, Zone: spec.Zone}
		a.nodes[spec.Name] = node
		for _, address := range spec.Addresses {
			if other, taken := n.nodes[address.Unmap()]; taken {
				return a.fail(ErrConflict, "addresses", "address %s in network %q belongs to node %q of cluster %q and to node %q of cluster %q",
					address, display(a.cluster.Network), other.Name, other.Cluster.Name, node.Name, a.cluster.Name)
			}
			n.nodes[address.Unmap()] = node
		}
	}
	a.b.s.stats.Nodes += len(a.nodes)
	return nil
}

func (a *adder) addGateways() error {
	s := a.b.s
	for i := range a.spec.Gateways {
		spec := &a.spec.Gateways[i]
		a.at.List, a.at.Index = "gateways", i
		switch {
		case spec.Name == "":
			return a.fail(ErrInvalid, "name", "write the name of the gateway's workload")
		case spec.Namespace == "":
			return a.fail(ErrInvalid, "namespace", "write the namespace of the gateway's workload, such as istio-system")
		case len(spec.Addresses) == 0:
			return a.fail(ErrInvalid, "addresses", "write the addresses that other networks send to")
		}
		g := &Gateway{
			Cluster: a.cluster, Namespace: spec.Namespace, Name: spec.Name, Port: spec.Port,
			ID: a.cluster.Name + "/" + spec.Namespace + "/" + spec.Name,
		}
		a.cluster.gateways = append(a.cluster.gateways, g)
		own := a.b.network(a.cluster.Network)
		for _, address := range spec.Addresses {
			if other := s.gatewayAlso(g, address); other != nil {
				return a.fail(ErrConflict, "addresses", "address %s belongs to gateway %q and to gateway %q of the same network; give each a port of its own",
					address, other.ID, g.ID)
			}
			s.gateways[address.Unmap()] = append(s.gateways[address.Unmap()], g)
			own.gateways[address.Unmap()] = g
		}
		s.stats.Gateways++
	}
	return nil
}

// gatewayAlso returns another gateway into the same network that nothing tells apart from g at the address, or nil.
func (s *Snapshot) gatewayAlso(g *Gateway, address netip.Addr) *Gateway {
	for _, other := range s.gateways[address.Unmap()] {
		if other.Cluster.Network == g.Cluster.Network && (g.Port == 0 || other.Port == 0 || g.Port == other.Port) {
			return other
		}
	}
	return nil
}

func (a *adder) addServices() error {
	for i := range a.spec.Services {
		spec := &a.spec.Services[i]
		a.at.List, a.at.Index = "services", i
		if err := a.needName("service", spec.Namespace, spec.Name); err != nil {
			return err
		}
		svc := &Service{Cluster: a.cluster, Namespace: spec.Namespace, Name: spec.Name}
		for _, address := range spec.Addresses {
			if other, taken := a.cluster.services[address.Unmap()]; taken {
				return a.fail(ErrConflict, "addresses", "address %s in cluster %q belongs to service %s/%s and to service %s/%s",
					address, a.cluster.Name, other.Namespace, other.Name, svc.Namespace, svc.Name)
			}
			a.cluster.services[address.Unmap()] = svc
		}
		a.b.s.stats.Services++
	}
	return nil
}

// needName checks what every named object of a namespace needs.
func (a *adder) needName(what, namespace, name string) error {
	if name == "" {
		return a.fail(ErrInvalid, "name", "write the %s's name", what)
	}
	if namespace == "" {
		return a.fail(ErrInvalid, "namespace", "write the %s's namespace", what)
	}
	return nil
}

func (a *adder) fail(kind error, field, format string, args ...any) error {
	at := a.at
	at.Field = field
	return &ValidationError{At: at, Problem: fmt.Sprintf(format, args...), kind: kind}
}

func (b *Builder) network(name string) *network {
	n := b.s.networks[name]
	if n == nil {
		n = &network{pods: map[netip.Addr]*Pod{}, nodes: map[netip.Addr]*Node{}, gateways: map[netip.Addr]*Gateway{}}
		b.s.networks[name] = n
	}
	return n
}
