// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"net/netip"
	"time"
)

// Delta is what a source learned about one cluster since it last spoke. [Writer.Apply] takes it. Within one delta the
// facts count before the nodes, the nodes before the pods, and what is gone before what is there, so that an address
// that moved from one pod to another may do so in one delta.
type Delta struct {
	// Cluster is the cluster's name, as in Istio's cluster id. Required.
	Cluster string
	// At is up to when, by the source's clock, it has seen everything that happened. It confirms the whole cluster.
	// Zero confirms nothing.
	At time.Time
	// Made is when, by the same clock, all that the delta tells had been read. At may be long before that: a listing that an
	// API server answers late does not mention what ended while it waited. Zero stands for the moment of [Writer.Apply], and not before At.
	Made time.Time
	// Full says that the delta describes the whole cluster: whatever it does not mention is gone. Pods that a full delta
	// does not mention ended at an unknown moment after the last confirmation.
	Full bool
	// More says that the full description goes on in the next delta of the cluster that is Full too: what none of its
	// pieces mentions is gone only when the last one, without More, has been applied, and nothing is confirmed before,
	// whatever At says. What a piece says holds at once, and a later piece may take it back. Of no meaning without Full.
	More bool
	// Part is the number of the piece, from 0. A piece 0 begins a new description, whether the one before was finished or
	// not. A piece that does not follow its predecessor is applied, but the description takes nothing away any more and
	// confirms nothing. A full delta in one piece has Part 0 and no More.
	Part int

	// Facts replaces what is known of the cluster itself; nil leaves it.
	Facts *ClusterFacts
	// Gateways replaces all gateways, nil leaves them. An empty, non-nil list removes them.
	Gateways []GatewaySpec
	// Failovers replaces all failover intentions, nil leaves them.
	Failovers []FailoverSpec

	Nodes     []NodeSpec
	GoneNodes []string

	Services     []ServiceSpec
	GoneServices []ObjectName

	// Workloads holds workloads that are known to exist though no pod of them may. Their Pods are of no meaning here. A
	// workload whose pods are known needs no entry. Those of all clusters together count up to the limit of pods.
	Workloads []WorkloadSpec
	// GoneWorkloads holds those of them that are gone. What is known of their pods stays.
	GoneWorkloads []ObjectName

	// Pods holds each pod that appeared or changed, with its workload.
	Pods []PodState
	// GonePods holds the pods that gave up their addresses. One that came and went since the last delta stands in both
	// lists, with its uid: whoever called it in between shall be told of it.
	GonePods []PodEnd
}

// ObjectName names an object of a cluster.
type ObjectName struct{ Namespace, Name string }

// ClusterFacts is what is true of a cluster as a whole.
type ClusterFacts struct {
	// UID is the uid of the namespace kube-system: two clusters of one name differ in it. Empty if not known.
	UID string
	// Region is the cloud region of the cluster's nodes if they agree on one; empty if not known.
	Region string
	// Zones are the availability zones of the nodes, normalized and sorted.
	Zones []string
	// Provider and Platform become cloud.provider and cloud.platform; empty if not known.
	Provider, Platform string
	// Network is the network of the cluster's pods (label topology.istio.io/network of the namespace istio-system).
	// Empty stands for a network that the cluster has for itself.
	Network string
	// MeshID and TrustDomain are from Istio's mesh configuration; empty if not known.
	MeshID, TrustDomain string
	// KubernetesVersion is the API server's, such as v1.33.2.
	KubernetesVersion string
	// Istio lists the control planes of the cluster.
	Istio []IstioRevision
	// PodCIDRs are the address ranges of the nodes' pods, where nodes tell them.
	PodCIDRs []netip.Prefix
}

// IstioRevision is one istiod of a cluster.
type IstioRevision struct {
	// Revision is the value of istio.io/rev, default if istiod has none.
	Revision string
	// Version is istiod's version, such as 1.27.1; empty if not known.
	Version string
	// Tags are the revision tags that point to it, sorted.
	Tags []string
}

// FailoverSpec is the intention of a DestinationRule: where the traffic to a host goes when its own locality fails.
type FailoverSpec struct {
	// Namespace and Name are the DestinationRule's.
	Namespace, Name string
	// Host is spec.host as it is written.
	Host string
	// From and To are regions of localityLbSetting.failover, pairwise.
	From, To []string
	// Priority is localityLbSetting.failoverPriority.
	Priority []string
	// Disabled says that localityLbSetting.enabled is false.
	Disabled bool
	// OutlierDetection says that the rule has outlier detection, without which Istio does not fail over.
	OutlierDetection bool
}

// UID is the uid of a Kubernetes object; the zero value stands for not known.
type UID [16]byte

// PodState is a pod that holds its addresses.
type PodState struct {
	PodSpec
	UID UID
	// Namespace of the pod and of its workload. Required.
	Namespace string
	// Workload, Kind, Service, Version, ServiceAccount and Revision mean the same as in [WorkloadSpec]; a pod without an owner is
	// its own workload.
	Workload, Kind, Service, Version, ServiceAccount, Revision string
	// Waypoint means the same as in [WorkloadSpec].
	Waypoint bool
	// HostNetwork says that the pod's addresses are its node's, which therefore name nobody.
	HostNetwork bool
	// Since is the earliest and Seen the latest moment at which the pod got its addresses; in between it may have had
	// them. Both zero for a source that knows no times: it has had them always. A zero Seen alone equals Since.
	Since, Seen time.Time
	// Unseen says that nobody watched between the two: others may have held the addresses then, so that nobody can be named
	// in that time.
	Unseen bool
}

// PodEnd says that a pod gave up its addresses.
type PodEnd struct {
	Namespace, Name string
	// UID tells which pod of the name; zero means whichever there is.
	UID UID
	// Earliest and Latest bound the moment. A zero Earliest stands for the last confirmation of the cluster.
	Earliest, Latest time.Time
	// Gap says that between the two the source may have missed other holders of the addresses, so that nobody can be
	// named in that time.
	Gap bool
}
