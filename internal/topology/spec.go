// SPDX-License-Identifier: Apache-2.0

package topology

import "net/netip"

// ClusterSpec describes one cluster to a [Builder]. Sources (a static file, an API server, an inventory stream) fill it;
// readers of a [Snapshot] never see it.
type ClusterSpec struct {
	// Name is the cluster's name as in Istio's cluster id. Required and unique.
	Name string
	// Region is the cloud region; empty if not known.
	Region string
	// Provider and Platform become cloud.provider and cloud.platform; empty if not known.
	Provider, Platform string
	// Network is the default network of the cluster's pods. Empty stands for a network that the cluster has for itself.
	Network string
	// TrustDomain is the SPIFFE trust domain of the cluster's identities; empty if not known.
	TrustDomain string

	Nodes     []NodeSpec
	Gateways  []GatewaySpec
	Services  []ServiceSpec
	Workloads []WorkloadSpec
}

// NodeSpec describes a node.
type NodeSpec struct {
	// Name is required and unique within the cluster.
	Name string
	// Zone is the availability zone with its region in front; empty if the node has none.
	Zone string
	// Region overrides the cluster's region for the node's pods; empty keeps it.
	Region string
	// Addresses are the node's own addresses in the cluster's default network.
	Addresses []netip.Addr
}

// GatewaySpec describes an east/west gateway: how other networks reach the pods of this cluster's network.
type GatewaySpec struct {
	// Name and Namespace are those of the gateway's workload. Both required.
	Name, Namespace string
	// Addresses are the ones other networks send to: usually those of a load balancer. At least one.
	Addresses []netip.Addr
	// Port is the port other networks send to; 0 stands for any.
	Port uint16
	// Network is the network the gateway leads into; empty stands for the cluster's own.
	Network string
	// Remote says that the cluster knows the gateway of another network only (an istio-remote Gateway, or meshNetworks):
	// no workload of this cluster is it.
	Remote bool
}

// ServiceSpec describes a Kubernetes service by its virtual addresses, which are valid within the cluster alone.
type ServiceSpec struct {
	// Name and Namespace are required.
	Name, Namespace string
	Addresses       []netip.Addr
	// Ports that the service declares.
	Ports []uint16
	// Hosts are the names of a ServiceEntry; empty for a Kubernetes service, whose host follows from its name.
	Hosts []string
	// External says that a ServiceEntry puts the service outside of the mesh (MESH_EXTERNAL).
	External bool
	// Endpoints counts the endpoints by zone, from the EndpointSlices; nil if not known.
	Endpoints []ZoneEndpoints
	// EndingKnown says that [ZoneEndpoints.Ending] is told.
	EndingKnown bool
	// Canonical is the canonical service of the pods behind it, if they all have the same one and it is not the service's own name; else
	// empty, also if not known.
	Canonical string
}

// ZoneEndpoints counts the endpoints of a service in one zone.
type ZoneEndpoints struct {
	// Zone is normalized; empty for endpoints whose zone is not known.
	Zone         string
	Ready, Total uint32
	// Ending are those of Total whose pods are being deleted: on purpose, as by a scale-down or a deployment, and not because
	// they failed. Of no meaning unless [ServiceSpec.EndingKnown].
	Ending uint32
}

// WorkloadSpec describes a workload and its pods.
type WorkloadSpec struct {
	// Name and Namespace are required, and unique together within the cluster.
	Name, Namespace string
	// Kind is the owner's kind in lower case: deployment, statefulset, daemonset, job, cronjob, replicaset or pod.
	Kind string
	// Service is the canonical service; empty if not known.
	Service string
	// Version is the canonical revision; empty if not known.
	Version string
	// ServiceAccount gives the principal together with the cluster's trust domain; empty if not known.
	ServiceAccount string
	// Revision is that of the template that the owner made the pods from, such as a Deployment's pod-template-hash: two of
	// them at a time are a deployment under way. Empty if not known.
	Revision string
	// Waypoint says that the workload is a waypoint of Istio's ambient mode: it carries calls and is no end of one.
	Waypoint bool
	Pods     []PodSpec
}

// PodSpec describes a pod.
type PodSpec struct {
	// Name is required, and unique within the cluster and namespace.
	Name string
	// Addresses of the pod, at most one pod for an address within a network.
	Addresses []netip.Addr
	// Node is the name of a node of the cluster; empty if not known.
	Node string
	// Network overrides the cluster's default network; empty keeps it.
	Network string
	// Region and Zone override the node's; empty keeps it.
	Region, Zone string
}
