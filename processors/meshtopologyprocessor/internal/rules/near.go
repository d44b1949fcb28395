// SPDX-License-Identifier: Apache-2.0

// Package rules judges who the two ends of a call are. It takes plain strings that the processor read from the
// telemetry and knows nothing of pdata.
//
//   - [ResolveNear] says who reported an item.
//   - [Judge] says who called whom in one span or access log record.
//   - [JudgeLabels] does so for a point of an Istio metric.
//   - [Trace] records, where somebody asks for it, what was tried for each end and why it won or lost.
//
// Each rule that decides something is a function named for it, in the file of its subject. Rules never guess: an end
// that nothing tells stays unknown, with the reason.
package rules

import (
	"net/netip"
	"strings"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// Reporter is the evidence of who reported an item. It is comparable: equal reporters resolve equally within one
// snapshot.
type Reporter struct {
	// Cluster, Namespace, Pod, Network are what the resource already says: an agent's stamp, or what Envoy's node said.
	Cluster, Namespace, Pod, Network string
	// Region, Zone, Workload and Version are what the resource says of the pod; they stand in where the topology does not
	// know it.
	Region, Zone, Workload, Version string
	// NodeID is Envoy's node id.
	NodeID string
	// PeerMetadata says that the resource was made of the metadata that the proxy gave of itself.
	PeerMetadata bool
	// TagCluster, TagNamespace, TagService and TagRevision are Istio's tags about the reporting proxy.
	TagCluster, TagNamespace, TagService, TagRevision string
	// Address is the pod's address: from the resource, the scrape target or the connection.
	Address netip.Addr
	// LocalCluster is the cluster the collector was told to be in.
	LocalCluster string
}

// Near is who reported an item.
type Near struct {
	End mesh.End
	// By is what told the cluster, or why it is unknown.
	By mesh.Resolution
	// Pod is nil if the topology does not know the pod.
	Pod *topology.Pod
	// Cluster is nil if the topology does not know the cluster.
	Cluster *topology.Cluster
	// PodName is the pod's name, also if the topology does not know it.
	PodName string
	// NodeType is sidecar, router, waypoint, ztunnel or agentgateway; empty if not known.
	NodeType string
	// Address is the pod's own address, if known.
	Address netip.Addr
	// EastWest is the east/west gateway that reported, or nil.
	EastWest *topology.Gateway
	// Conflict says that two pieces of evidence excluded each other.
	Conflict bool
	// Stale says that the topology told something of it and that nobody confirms its cluster any more.
	Stale bool

	// named says that Pod was found by its name in a cluster that something told.
	named bool
	// unnamed is why nobody could be named by the address; [mesh.UnknownNoEvidence] if nobody had it.
	unnamed mesh.Resolution
}

// Holds says whether the reporter is sure to be the same at another time (zero: the newest that is known), so that it
// need not be resolved again: a cluster has one pod of a name at a time.
func (n *Near) Holds(at time.Time) bool {
	if n.Pod == nil || !n.named {
		return false
	}
	_, seen := n.Pod.Since()
	ended, _, _ := n.Pod.Until()
	if at.IsZero() {
		return ended.IsZero()
	}
	return !at.Before(seen) && (ended.IsZero() || at.Before(ended))
}

// addressed says whether an address of the reporter is known.
func (n *Near) addressed() bool { return n.Address.IsValid() || (n.Pod != nil && n.Pod.Addressed) }

// Network returns the network the reporter sees addresses in; empty if not known.
func (n *Near) Network() string {
	switch {
	case n.Pod != nil:
		return n.Pod.Network
	case n.End.Network != "":
		return n.End.Network
	case n.Cluster != nil:
		return n.Cluster.Network
	default:
		return ""
	}
}

// ResolveNear says who the reporter was at the time of the call.
func ResolveNear(at topology.View, r *Reporter) Near { return ResolveNearTraced(at, r, nil) }

// ResolveNearTraced is [ResolveNear] that also records what was tried; nil records nothing and costs nothing.
func ResolveNearTraced(at topology.View, r *Reporter, whole *Trace) Near {
	trace := whole.reporter()
	trace.reset()
	var n Near
	node, err := envoy.ParseNodeID(r.NodeID)
	hasNode := err == nil
	namespace, pod := r.Namespace, r.Pod
	if hasNode {
		n.NodeType = node.Type
		n.Address, _ = parseIP(node.Address)
		if pod == "" || pod == node.Pod || !r.PeerMetadata {
			// The proxy's own word. A resource that names another pod names the one that forwarded.
			n.Conflict = pod != "" && pod != node.Pod
			namespace, pod = first(node.Namespace, namespace), node.Pod
		}
	}
	if namespace == "" {
		namespace = known(r.TagNamespace)
	}
	cluster, by := claimedCluster(at, r, hasNode)
	trace.claims(r, cluster, by)
	if tag := known(r.TagCluster); tag != "" && tag != cluster && (tag != DefaultClusterID || has(at, tag)) {
		n.Conflict = true
		if tag != DefaultClusterID && !r.PeerMetadata && !confirmed(at, cluster, tag, namespace, pod, n.Address) {
			trace.note(ClueReporter, "the proxy's own tag istio.cluster_id is stronger than the resource, and no pod of this name and address in the cluster that the resource names speaks against it")
			cluster, by = tag, mesh.ByTag
		} else {
			trace.note(ClueReporter, "istio.cluster_id and the resource name different clusters: the resource's stays")
		}
	}
	n.Pod = findPod(at, r, cluster, namespace, pod, &n)
	trace.found(&n, r, pod)
	if n.Pod != nil {
		n.adopt(r, cluster, by)
		return n
	}
	n.claim(at, r, cluster, by)
	n.End.Namespace = namespace
	n.PodName = pod
	if hasNode || pod == "" {
		n.End.Service, n.End.Version = known(r.TagService), first(revision(r.TagRevision), n.End.Version)
	}
	n.Stale = completeFromTopology(at, &n.End) || n.Stale
	return n
}

// confirmed says whether the topology settles for the one cluster against the other: by a pod of this name, which is not
// known to have another address.
func confirmed(at topology.View, cluster, other, namespace, pod string, address netip.Addr) bool {
	return pod != "" && hasPod(at, cluster, namespace, pod, address) && !hasPod(at, other, namespace, pod, address)
}

func hasPod(at topology.View, cluster, namespace, pod string, address netip.Addr) bool {
	p, ok := at.ByPod(cluster, namespace, pod)
	return ok && (!address.IsValid() || !p.Addressed || at.HasAddress(p, address))
}

// claimedCluster returns the cluster that the evidence names, the strongest first: the resource, the proxy's own tag,
// the cluster the collector was told to be in. Every Istio whose owner set no cluster id says "Kubernetes", so that
// name counts only if the topology has it.
func claimedCluster(at topology.View, r *Reporter, hasNode bool) (name string, by mesh.Resolution) {
	if c := known(r.Cluster); c != "" && (c != DefaultClusterID || has(at, c)) {
		switch {
		case r.PeerMetadata:
			return c, mesh.ByPeerMetadata
		case hasNode:
			return c, mesh.ByTag
		}
		return c, mesh.ByIP
	}
	if c := known(r.TagCluster); c != "" && (c != DefaultClusterID || has(at, c)) {
		return c, mesh.ByTag
	}
	name = r.LocalCluster
	if sole, ok := at.SoleIn(r.Network); ok && name == "" && r.Network != "" && (hasNode || r.Pod != "") {
		// Its owner gave the cluster no id of its own, but the network is named and no other cluster is in it.
		name = sole.Name
	}
	if hasNode {
		return name, mesh.ByTag
	}
	return name, mesh.ByIP
}

// DefaultClusterID is the cluster id of every Istio whose owner set none.
const DefaultClusterID = "Kubernetes"

func has(at topology.View, cluster string) bool {
	_, ok := at.Cluster(cluster)
	return ok
}

// findPod looks the pod up, by name where there is one, else by address. A pod of that name in another cluster than
// the claimed one is a conflict, and not the reporter.
func findPod(at topology.View, r *Reporter, cluster, namespace, pod string, n *Near) *topology.Pod {
	if pod != "" {
		if p, ok := at.ByPod(cluster, namespace, pod); ok {
			n.named = true
			return p
		}
		return podNamed(at, cluster, namespace, pod, n)
	}
	if !r.Address.IsValid() {
		return nil
	}
	p, how := at.ByAddress(networkOf(at, r, cluster), r.Address)
	if how != topology.Found {
		n.unnamed = unnamedHolder(how)
		return nil
	}
	said := known(r.Cluster) == cluster || known(r.TagCluster) == cluster
	if cluster != "" && p.Workload.Cluster.Name != cluster && said {
		n.Conflict = true
		return nil
	}
	n.Address = r.Address
	return p
}

// podNamed looks for the pod in every cluster. Names repeat, those of stateful sets above all, and not every cluster is
// described: a pod whose address is another than the proxy's is another pod.
func podNamed(at topology.View, cluster, namespace, pod string, n *Near) *topology.Pod {
	p, ok := at.PodNamed(namespace, pod)
	if !ok {
		return nil
	}
	its := at.HasAddress(p, n.Address)
	// Where others are not described at all, a pod of theirs may have both the name and the address.
	settled := (its && !at.Alone()) || (unique(p) && (its || !n.Address.IsValid() || !p.Addressed))
	if cluster == "" && settled {
		return p
	}
	// The name of another cluster's pod excludes the claim only if its address does too, and the other way around.
	n.Conflict = n.Conflict || (n.Address.IsValid() && p.Addressed && its == (cluster != ""))
	return nil
}

// unique says whether no other pod has the name, in clusters that are not described either: Kubernetes draws the names of
// the pods of most workloads by lot. Those of stateful sets, and those that people give, repeat.
func unique(p *topology.Pod) bool {
	switch p.Workload.Kind {
	case "statefulset", "pod":
		return false
	case "":
		return drawn(p.Name)
	}
	return true
}

// drawn says whether a name ends in the five characters that Kubernetes draws (k8s.io/apimachinery util/rand).
func drawn(pod string) bool {
	i := strings.LastIndexByte(pod, '-')
	if i < 1 || len(pod)-i-1 != 5 {
		return false
	}
	for _, c := range pod[i+1:] {
		if !strings.ContainsRune("bcdfghjklmnpqrstvwxz2456789", c) {
			return false
		}
	}
	return true
}

// networkOf returns the network that the reporter's address is valid in; empty if not known. The network of the whole
// mesh is not taken to be that of a cluster which the topology does not describe.
func networkOf(at topology.View, r *Reporter, cluster string) string {
	if r.Network != "" {
		return r.Network
	}
	if cluster != "" {
		c, ok := at.Cluster(cluster)
		if !ok {
			return ""
		}
		return c.Network
	}
	if at.Alone() {
		// Of one cluster, everything is in one network. So it is of another that nobody described.
		return ""
	}
	network, _ := at.SoleNetwork()
	return network
}

// adopt takes everything from the pod that the topology knows.
func (n *Near) adopt(r *Reporter, claimed string, by mesh.Resolution) {
	n.End = n.Pod.End()
	n.Cluster = n.Pod.Workload.Cluster
	n.PodName = n.Pod.Name
	n.EastWest = n.Pod.Workload.EastWest
	n.By = by
	n.Stale = isStale(n.Cluster)
	if claimed == "" && r.NodeID == "" && r.Pod == "" {
		n.By = mesh.ByIP
	}
}

// claim takes the claimed cluster without a pod.
func (n *Near) claim(at topology.View, r *Reporter, cluster string, by mesh.Resolution) {
	n.End.Network = r.Network
	if cluster == "" {
		n.By = mesh.UnknownNoCluster
		if r.NodeID == "" && r.Pod == "" && r.TagService == "" {
			n.By = mesh.UnknownNoEvidence
			if r.Address.IsValid() {
				if n.By = n.unnamed; n.By == mesh.UnknownNoEvidence {
					n.By = mesh.UnknownAddressNotFound
				}
			}
		}
		return
	}
	n.By = by
	n.End.Cluster = cluster
	if c, ok := at.Cluster(cluster); ok {
		n.Cluster = c
		end := c.End()
		n.End.Fill(&end)
		n.Stale = isStale(c)
	}
	n.End.Fill(&mesh.End{Region: r.Region, Workload: r.Workload, Version: revision(r.Version)})
	if r.Region == "" || r.Region == n.End.Region {
		// A zone of another region than the cluster's would be told beside the wrong region.
		n.End.Zone = first(n.End.Zone, envoy.NormalizeZone(n.End.Region, r.Zone))
	}
}
