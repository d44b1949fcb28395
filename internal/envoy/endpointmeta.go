// SPDX-License-Identifier: Apache-2.0

package envoy

import "strings"

// ErrEndpointMetadata reports that a text is not the workload metadata of an Istio endpoint.
var ErrEndpointMetadata error = &Error{Format: "Istio endpoint metadata (workload;namespace;service;revision;cluster)"}

// EndpointMetadata is what Istio attaches to each endpoint as filter metadata istio:workload, and what the access log
// operator %UPSTREAM_METADATA(istio:workload)% prints.
type EndpointMetadata struct {
	Workload      string
	Namespace     string
	CanonicalName string
	Revision      string
	// Cluster is the id of the Kubernetes cluster that the endpoint is in.
	Cluster string
}

// ParseEndpointMetadata reads "workload;namespace;canonical name;revision;cluster" (istio/istio
// pilot/pkg/networking/util/util.go, AppendLbEndpointMetadata). An endpoint of another network is reached through its
// east/west gateway and has the cluster only: ";;;;aks-northeurope". Fields at the end may be missing, as the cluster is
// before Istio 1.9: the others have their places all the same. It returns [ErrEndpointMetadata] for anything else, which
// includes "-", a text without ";", and one in which nothing is told. It does not allocate.
func ParseEndpointMetadata(s string) (EndpointMetadata, error) {
	if n := strings.Count(s, ";"); n == 0 || n > 4 || len(s) == n {
		return EndpointMetadata{}, ErrEndpointMetadata
	}
	var m EndpointMetadata
	m.Workload, s, _ = strings.Cut(s, ";")
	m.Namespace, s, _ = strings.Cut(s, ";")
	m.CanonicalName, s, _ = strings.Cut(s, ";")
	m.Revision, m.Cluster, _ = strings.Cut(s, ";")
	return m, nil
}

// ViaGateway reports whether the endpoint is an east/west gateway that stands for workloads of another network: the
// cluster is told, and nothing else. An endpoint without a workload that has a namespace is one of a ServiceEntry.
func (m EndpointMetadata) ViaGateway() bool {
	return m == EndpointMetadata{Cluster: m.Cluster} && m.Cluster != ""
}

// String returns the metadata in Istio's form, with all five fields.
func (m EndpointMetadata) String() string {
	return m.Workload + ";" + m.Namespace + ";" + m.CanonicalName + ";" + m.Revision + ";" + m.Cluster
}
