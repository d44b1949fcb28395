// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"net/netip"

	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
)

// Cluster is one cluster of a [Snapshot]. Nobody may change it.
type Cluster struct {
	Name, Region, Provider, Platform, TrustDomain string
	// Network is the default network of the cluster's pods. It is never empty: a cluster without a network of its own
	// name has one that no other cluster can have.
	Network string

	// end is what pinning a call to this cluster tells about an end. Its network is empty if pods override it.
	end       mesh.End
	pods      map[objectName]*Pod
	workloads map[objectName]*Workload
	services  map[netip.Addr]*Service
	gateways  []*Gateway
}

// End returns what is true of every end in this cluster: cluster, region, and the network if all pods share it.
func (c *Cluster) End() mesh.End { return c.end }

// SoleGateway returns the cluster's east/west gateway if it has exactly one.
func (c *Cluster) SoleGateway() (*Gateway, bool) {
	if len(c.gateways) != 1 {
		return nil, false
	}
	return c.gateways[0], true
}

// Node is a node of a cluster. Nobody may change it.
type Node struct {
	Cluster    *Cluster
	Name, Zone string
}

// Workload is a workload of a cluster. Nobody may change it.
type Workload struct {
	Cluster         *Cluster
	Namespace, Name string
	// Kind is deployment, statefulset, daemonset, job, cronjob, replicaset or pod; empty if not known.
	Kind string
	// EastWest is the east/west gateway that this workload is, or nil.
	EastWest *Gateway

	// end is what is true of every pod of the workload; its zone and network are empty where pods differ.
	end mesh.End
}

// End returns what is true of every pod of the workload. Zone and network are empty if its pods differ in them.
func (w *Workload) End() mesh.End { return w.end }

// Pod is a pod of a workload. Nobody may change it.
type Pod struct {
	Workload *Workload
	// Node is nil if it is not known.
	Node *Node
	Name string
	// Zone and Network are the pod's own.
	Zone, Network string
	// Addressed says that the topology knows addresses of the pod.
	Addressed bool
}

// End returns the pod as the end of a call.
func (p *Pod) End() mesh.End {
	end := p.Workload.end
	end.Zone, end.Network = p.Zone, display(p.Network)
	return end
}

// Service is a Kubernetes service of a cluster. Nobody may change it.
type Service struct {
	Cluster         *Cluster
	Namespace, Name string
}

// Gateway is an east/west gateway: the way from other networks into one. Nobody may change it.
type Gateway struct {
	Cluster         *Cluster
	Namespace, Name string
	Port            uint16
	// ID is "cluster/namespace/name", the value of mesh.via.
	ID string

	// leads is what is true of every end behind the gateway.
	leads mesh.End
}

// Leads returns what is true of every end behind the gateway: its network, and the cluster and region if the clusters
// of that network agree on them.
func (g *Gateway) Leads() mesh.End { return g.leads }

type objectName struct{ namespace, name string }
