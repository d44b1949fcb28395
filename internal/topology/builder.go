// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"fmt"
	"net/netip"
	"time"
)

// Builder collects complete cluster descriptions and refuses contradictory ones: what one person wrote down should be
// right as a whole. Make one with [NewBuilder]; it is not safe for concurrent use and of no use after [Builder.Build].
type Builder struct {
	limits Limits
	w      *Writer
	now    time.Time
	// What is described so far, to find contradictions.
	clusters map[string]bool
	pods     int
	networks map[string]*described
	gateways map[netip.Addr][]*gatewayAt
}

// described is who has which address of a network.
type described struct {
	pods, nodes map[netip.Addr]holderName
}

type holderName struct{ cluster, namespace, name string }

// gatewayAt is a gateway into a network.
type gatewayAt struct {
	id, network string
	port        uint16
}

// NewBuilder returns an empty builder for a mesh. meshID may be empty.
func NewBuilder(meshID string, limits Limits) *Builder {
	b := &Builder{
		limits: limits, clusters: map[string]bool{}, networks: map[string]*described{},
		gateways: map[netip.Addr][]*gatewayAt{},
	}
	b.w = NewWriter(WriterSettings{MeshID: meshID, Now: func() time.Time { return b.now }})
	return b
}

// Add adds a cluster. The error is a [*ValidationError]; after one the builder must be thrown away.
func (b *Builder) Add(spec *ClusterSpec) error {
	a := adder{
		b: b, spec: spec, at: Position{Cluster: len(b.clusters), Pod: -1},
		nodes: make(map[string]bool, len(spec.Nodes)), pods: map[objectName]string{}, workloads: map[objectName]bool{},
		services: map[netip.Addr]objectName{}, delta: Delta{Cluster: spec.Name, Facts: &ClusterFacts{
			Region: spec.Region, Provider: spec.Provider, Platform: spec.Platform, Network: spec.Network,
			TrustDomain: spec.TrustDomain, MeshID: b.w.settings.MeshID,
		}},
	}
	for _, step := range []func() error{a.addCluster, a.addNodes, a.addGateways, a.addServices, a.addWorkloads} {
		if err := step(); err != nil {
			return err
		}
	}
	b.w.Apply(&a.delta)
	return nil
}

// Build returns the snapshot, stamped with the time it was built.
func (b *Builder) Build(now time.Time) *Snapshot {
	b.now = now
	s := b.w.Publish()
	b.w = nil
	return s
}

// state returns the pod of the workload as a delta has it.
func (w *WorkloadSpec) state(pod *PodSpec) PodState {
	return PodState{
		PodSpec: *pod, Namespace: w.Namespace, Workload: w.Name, Kind: w.Kind, Service: w.Service, Version: w.Version,
		ServiceAccount: w.ServiceAccount, Revision: w.Revision, Waypoint: w.Waypoint,
	}
}

// adder checks one cluster and turns it into a delta; it holds where it is for the errors.
type adder struct {
	b         *Builder
	spec      *ClusterSpec
	at        Position
	delta     Delta
	network   string
	nodes     map[string]bool
	pods      map[objectName]string
	workloads map[objectName]bool
	services  map[netip.Addr]objectName
}

func (a *adder) addCluster() error {
	b, spec := a.b, a.spec
	switch {
	case spec.Name == "":
		return a.fail(ErrInvalid, "name", "write the cluster's name, as in Istio's cluster id")
	case b.clusters[spec.Name]:
		return a.fail(ErrConflict, "name", "cluster %q is described twice; give each cluster a name of its own", spec.Name)
	case b.limits.MaxClusters > 0 && len(b.clusters) >= b.limits.MaxClusters:
		return a.fail(ErrLimit, "", "more than %d clusters; raise 'max_clusters' or describe fewer", b.limits.MaxClusters)
	}
	if problem := checkFacts(a.delta.Facts); problem != "" || len(spec.Name) > maxName {
		return a.fail(ErrInvalid, "", "a name or another text of the cluster is too long; Kubernetes allows 253 bytes")
	}
	b.clusters[spec.Name] = true
	if a.network = spec.Network; a.network == "" {
		a.network = nameless + spec.Name
	}
	return nil
}

func (a *adder) addNodes() error {
	n := a.b.network(a.network)
	for i := range a.spec.Nodes {
		spec := &a.spec.Nodes[i]
		a.at.List, a.at.Index = "nodes", i
		if spec.Name == "" {
			return a.fail(ErrInvalid, "name", "write the node's name")
		}
		if a.nodes[spec.Name] {
			return a.fail(ErrConflict, "name", "node %q of cluster %q is described twice", spec.Name, a.spec.Name)
		}
		if problem := checkNode(spec); problem != "" {
			return a.fail(ErrInvalid, "", "node %q: %s", clip(spec.Name), problem)
		}
		a.nodes[spec.Name] = true
		for _, address := range spec.Addresses {
			if other, taken := n.nodes[address.Unmap()]; taken {
				return a.fail(ErrConflict, "addresses", "address %s in network %q belongs to node %q of cluster %q and to node %q of cluster %q",
					address, display(a.network), other.name, other.cluster, spec.Name, a.spec.Name)
			}
			n.nodes[address.Unmap()] = holderName{a.spec.Name, "", spec.Name}
		}
	}
	a.delta.Nodes = a.spec.Nodes
	return nil
}

func (a *adder) addGateways() error {
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
		if problem := checkGateway(spec); problem != "" {
			return a.fail(ErrInvalid, "", "gateway %q: %s", clip(spec.Name), problem)
		}
		g := &gatewayAt{id: a.spec.Name + "/" + spec.Namespace + "/" + spec.Name, network: spec.Network, port: spec.Port}
		if g.network == "" {
			g.network = a.network
		}
		for _, address := range spec.Addresses {
			if other := a.b.gatewayAlso(g, address); other != nil {
				return a.fail(ErrConflict, "addresses", "address %s belongs to gateway %q and to gateway %q of the same network; give each a port of its own",
					address, other.id, g.id)
			}
			a.b.gateways[address.Unmap()] = append(a.b.gateways[address.Unmap()], g)
		}
	}
	a.delta.Gateways = a.spec.Gateways
	return nil
}

// gatewayAlso returns another gateway into the same network that nothing tells apart from g at the address, or nil.
func (b *Builder) gatewayAlso(g *gatewayAt, address netip.Addr) *gatewayAt {
	for _, other := range b.gateways[address.Unmap()] {
		if other.network == g.network && (g.port == 0 || other.port == 0 || g.port == other.port) {
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
		if problem := checkService(spec); problem != "" {
			return a.fail(ErrInvalid, "", "service %q: %s", clip(spec.Name), problem)
		}
		for _, address := range spec.Addresses {
			if other, taken := a.services[address.Unmap()]; taken {
				return a.fail(ErrConflict, "addresses", "address %s in cluster %q belongs to service %s/%s and to service %s/%s",
					address, a.spec.Name, other.namespace, other.name, spec.Namespace, spec.Name)
			}
			a.services[address.Unmap()] = objectName{spec.Namespace, spec.Name}
		}
	}
	a.delta.Services = a.spec.Services
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

func (b *Builder) network(name string) *described {
	n := b.networks[name]
	if n == nil {
		n = &described{pods: map[netip.Addr]holderName{}, nodes: map[netip.Addr]holderName{}}
		b.networks[name] = n
	}
	return n
}
