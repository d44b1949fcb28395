// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
)

// Cluster is one cluster of a [Snapshot]. Nobody may change it. The one that a pod leads to may be older than the
// snapshot's own, see [Snapshot.Cluster], in what does not concern the pod: gateways, and [Cluster.End].
type Cluster struct {
	Name, Region, Provider, Platform, TrustDomain string
	// Network is the default network of the cluster's pods. It is never empty: a cluster without a network of its own
	// name has one that no other cluster can have.
	Network string

	// end is what pinning a call to this cluster tells about an end. Its network is empty if pods override it.
	end  mesh.End
	sole *Gateway
	live *clusterLive
}

// clusterLive is what all records of one cluster share and what changes without a snapshot.
type clusterLive struct {
	facts            atomic.Pointer[ClusterFacts]
	confirmed, stale atomic.Int64
}

// End returns what is true of every end in this cluster: cluster, region, and the network if all pods share it.
func (c *Cluster) End() mesh.End { return c.end }

// SoleGateway returns the cluster's east/west gateway if it has exactly one.
func (c *Cluster) SoleGateway() (*Gateway, bool) { return c.sole, c.sole != nil }

// Facts returns the newest that is known of the cluster itself, never nil. Nobody may change it.
func (c *Cluster) Facts() *ClusterFacts { return c.live.facts.Load() }

// Confirmed returns up to when, by the clock of its source, all of the cluster is known. It is live: it moves on without
// a new snapshot. Zero if nobody confirmed anything yet.
func (c *Cluster) Confirmed() time.Time { return moment(c.live.confirmed.Load()) }

// StaleSince returns since when nobody confirms the cluster any more; ok is false while somebody does. It is live.
func (c *Cluster) StaleSince() (since time.Time, ok bool) {
	at := c.live.stale.Load()
	return moment(at), at != never
}

// Place is where a pod is. Nobody may change it.
type Place struct {
	// Region, Zone and Network are the pod's own: those of its cluster and node unless it has others.
	Region, Zone, Network string
}

// Node is a node of a cluster. Nobody may change it.
type Node struct {
	Cluster    *Cluster
	Name, Zone string
	// Region is empty if it is the cluster's.
	Region string

	addresses []netip.Addr
	// unknown says that pods name the node and nobody described it.
	unknown bool
	// waiting counts the pods that name an unknown node. Only the writer touches it.
	waiting int32
	// mark tells the writer what a full description mentioned. Nobody else reads it.
	mark uint32
}

// Spec returns the node as its source described it.
func (n *Node) Spec() NodeSpec {
	return NodeSpec{Name: n.Name, Zone: n.Zone, Region: n.Region, Addresses: slices.Clone(n.addresses)}
}

// Workload is a workload of a cluster. Nobody may change it. The one that a pod leads to tells what is true of the pod;
// the one of [Snapshot.Workload] what is true of all pods of the workload.
type Workload struct {
	Cluster         *Cluster
	Namespace, Name string
	// Kind is deployment, statefulset, daemonset, job, cronjob, replicaset or pod; empty if not known.
	Kind string
	// EastWest is the east/west gateway that this workload is, or nil.
	EastWest *Gateway
	// Waypoint says that it is a waypoint of Istio's ambient mode.
	Waypoint bool
	// Revision is that of the template that its pods were made from; empty if not known, or if they differ in it.
	Revision string

	service, version, account, principal string
	// place is what all pods agree on; nil in the record of a pod.
	place *Place
	// parts is the writer's, and only in the records of the table.
	parts *parts
}

// End returns what is true of every pod of the workload. Zone and network are empty if its pods differ in them.
func (w *Workload) End() mesh.End {
	end := mesh.End{
		Cluster: w.Cluster.Name, Region: w.Cluster.Region, Namespace: w.Namespace, Workload: w.Name,
		Service: w.service, Version: w.version, Principal: w.principal,
	}
	if w.place != nil {
		end.Region, end.Zone, end.Network = w.place.Region, w.place.Zone, display(w.place.Network)
	}
	return end
}

// Pod is a pod of a workload for as long as it has the same addresses: a tenancy. Nobody may change it.
type Pod struct {
	// What a look-up reads comes first, so that it is in one cache line: a pod takes two.

	first [16]byte
	// The pod is certain from seen to earliest and possible from since to latest, in Unix nanoseconds.
	since, seen, earliest, latest int64
	Workload                      *Workload
	// Addressed says that the topology knows addresses of the pod.
	Addressed                       bool
	hostNetwork, ended, gap, unseen bool
	ownRegion, ownZone, ownNetwork  bool

	*Place
	// Node is nil if it is not known. A node that nobody described yet has no zone.
	Node *Node
	Name string

	uid UID
	// more are the addresses after the first.
	more *[]netip.Addr
	// mark tells the writer what a full delta mentioned. Nobody else reads it.
	mark uint32
}

// End returns the pod as the end of a call.
func (p *Pod) End() mesh.End {
	w := p.Workload
	return mesh.End{
		Cluster: w.Cluster.Name, Region: p.Region, Zone: p.Zone, Network: display(p.Network), Namespace: w.Namespace,
		Workload: w.Name, Service: w.service, Version: w.version, Principal: w.principal,
	}
}

// UID returns the pod's uid; zero if not known.
func (p *Pod) UID() UID { return p.uid }

// HostNetwork says that the pod's addresses are its node's.
func (p *Pod) HostNetwork() bool { return p.hostNetwork }

// Ended says that the pod gave up its addresses.
func (p *Pod) Ended() bool { return p.ended }

// Since returns the earliest and the latest moment at which the pod got its addresses; zero for one that had them
// always.
func (p *Pod) Since() (since, seen time.Time) { return moment(p.since), moment(p.seen) }

// Until returns the earliest and the latest moment at which the pod gave up its addresses, and whether other holders may
// have been missed in between; zero for one that has them.
func (p *Pod) Until() (earliest, latest time.Time, gap bool) {
	return moment(p.earliest), moment(p.latest), p.gap
}

// Addresses returns the pod's addresses. It allocates.
func (p *Pod) Addresses() []netip.Addr {
	if !p.Addressed {
		return nil
	}
	out := make([]netip.Addr, 0, 2)
	for a := range p.each {
		out = append(out, netip.AddrFrom16(a).Unmap())
	}
	return out
}

// State returns the pod as its source described it. It allocates.
func (p *Pod) State() PodState {
	state, own := p.described(), p.own()
	state.PodSpec = PodSpec{Name: p.Name, Addresses: p.Addresses(), Region: own.Region, Zone: own.Zone, Network: own.Network}
	if p.Node != nil {
		state.Node = p.Node.Name
	}
	state.UID, state.HostNetwork = p.uid, p.hostNetwork
	state.Since, state.Seen, state.Unseen = moment(p.since), moment(p.seen), p.unseen
	return state
}

// PodEnd returns how the pod ended as a source would tell it; ok is false for one that did not.
func (p *Pod) PodEnd() (end PodEnd, ok bool) {
	if !p.ended {
		return PodEnd{}, false
	}
	earliest, latest, gap := p.Until()
	return PodEnd{
		Namespace: p.Workload.Namespace, Name: p.Name, UID: p.uid, Earliest: earliest, Latest: latest, Gap: gap,
	}, true
}

// each yields the pod's addresses.
func (p *Pod) each(yield func([16]byte) bool) {
	if !p.Addressed || !yield(p.first) || p.more == nil {
		return
	}
	for _, a := range *p.more {
		if !yield(a.As16()) {
			return
		}
	}
}

// has says whether the address is one of the pod's.
func (p *Pod) has(address [16]byte) bool {
	if p.first == address {
		return p.Addressed
	}
	if p.more != nil {
		for _, a := range *p.more {
			if a.As16() == address {
				return true
			}
		}
	}
	return false
}

// same says whether both are tenancies of one pod.
func (p *Pod) same(other *Pod) bool {
	return p.uid == other.uid && p.uid != UID{} && p.Workload.Cluster.Name == other.Workload.Cluster.Name
}

// Service is a Kubernetes service, or a ServiceEntry, of a cluster. Nobody may change it.
type Service struct {
	Cluster         *Cluster
	Namespace, Name string

	spec *ServiceSpec
	// mark tells the writer what a full description mentioned. Nobody else reads it.
	mark uint32
}

// Spec returns the service as its source described it. Nobody may change what it leads to.
func (s *Service) Spec() *ServiceSpec { return s.spec }

// Gateway is an east/west gateway: the way from other networks into one. Nobody may change it.
type Gateway struct {
	// Cluster is the one that the gateway runs in, or that knows it if it is remote.
	Cluster         *Cluster
	Namespace, Name string
	Port            uint16
	// ID is "cluster/namespace/name", the value of mesh.via.
	ID string
	// Network is the network that the gateway leads into.
	Network string
	// Remote says that the cluster only knows the gateway.
	Remote bool

	addresses []netip.Addr
	// leads is what is true of every end behind the gateway.
	leads mesh.End
}

// Leads returns what is true of every end behind the gateway: its network, and the cluster and region if the clusters
// of that network agree on them.
func (g *Gateway) Leads() mesh.End { return g.leads }

// Spec returns the gateway as its source described it.
func (g *Gateway) Spec() GatewaySpec {
	spec := GatewaySpec{
		Name: g.Name, Namespace: g.Namespace, Port: g.Port, Remote: g.Remote, Addresses: slices.Clone(g.addresses),
	}
	if g.Network != g.Cluster.Network {
		spec.Network = g.Network
	}
	return spec
}

// nameless starts the internal name of the network of a cluster that names none. It cannot start a real name.
const nameless = "\x00"

// display returns the network's name for people and attributes: empty for a nameless one.
func display(networkName string) string {
	if strings.HasPrefix(networkName, nameless) {
		return ""
	}
	return networkName
}

// objectName is the key of an object of a cluster.
type objectName struct{ namespace, name string }
