// SPDX-License-Identifier: Apache-2.0

// Package mesh is the domain: one [End] of a call, how far apart two ends are ([Locality], [CrossCluster]), and what
// told us about an end ([Resolution]). It knows nothing of Envoy, Kubernetes or OpenTelemetry and uses the standard
// library only.
package mesh

// End is one end of a call, the calling or the called one. An empty field means that nothing told it; it never means
// "the same as the other end".
type End struct {
	// Cluster is the name of the Kubernetes cluster the end runs in, as Istio's cluster id.
	Cluster string
	// Region is the cloud region, such as "westeurope".
	Region string
	// Zone is the availability zone with its region in front, such as "westeurope-1".
	Zone string
	// Network is the Istio network within which the end's address is valid.
	Network string
	// Namespace is the Kubernetes namespace.
	Namespace string
	// Workload is the name of the workload: the deployment, stateful set and so on.
	Workload string
	// Service is the canonical service of the workload, or the service that was called if the workload is not known.
	Service string
	// Version is the version of the workload, as Istio's canonical revision.
	Version string
	// Principal is the SPIFFE id of the end, such as "spiffe://cluster.local/ns/bookinfo/sa/reviews".
	Principal string
}

// Fill takes from other what e does not know yet. It does not judge: call it only with an end that does not contradict
// e, see [End.Contradicts].
func (e *End) Fill(other *End) {
	fill(&e.Cluster, other.Cluster)
	fill(&e.Region, other.Region)
	fill(&e.Zone, other.Zone)
	fill(&e.Network, other.Network)
	fill(&e.Namespace, other.Namespace)
	fill(&e.Workload, other.Workload)
	fill(&e.Service, other.Service)
	fill(&e.Version, other.Version)
	fill(&e.Principal, other.Principal)
}

// Contradicts says whether e and other cannot be the same end: they name different clusters, namespaces, workloads or
// principals. Services and versions are left out: a call to one service may be answered by a workload whose canonical
// service has another name.
func (e *End) Contradicts(other *End) bool {
	return differ(e.Cluster, other.Cluster) || differ(e.Namespace, other.Namespace) ||
		differ(e.Workload, other.Workload) || differ(e.Principal, other.Principal)
}

// Known says whether the end is pinned to a cluster. An end of which only the service or the principal is known is not.
func (e *End) Known() bool { return e.Cluster != "" }

func fill(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

func differ(a, b string) bool { return a != "" && b != "" && a != b }
