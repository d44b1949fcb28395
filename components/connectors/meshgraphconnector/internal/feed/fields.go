// SPDX-License-Identifier: Apache-2.0

package feed

// field is an attribute that is read. The numbers are part of IDs: append new ones, and keep the order.
type field uint8

const (
	// other is any attribute that is not read. It is part of a point's identity.
	other field = iota
	sourceCluster
	sourceRegion
	sourceNamespace
	sourceWorkload
	sourceVersion
	sourcePrincipal
	destinationCluster
	destinationRegion
	destinationNamespace
	destinationService
	destinationWorkload
	destinationVersion
	destinationPrincipal
	sourceBy
	destinationBy
	locality
	direction
	meshTLS
	policy
	reporter
	protocol
	code
	grpcCode
	flags
	// derived follows from the rest and from what the topology knows at the time.
	derived
	// calledName is Istio's name of the called service. It is hashed as other, as it was before it was read.
	calledName
)

// fieldOf tells which attribute of a point a key is.
func fieldOf(key string) field {
	switch key {
	case "mesh.source.cluster":
		return sourceCluster
	case "mesh.source.region":
		return sourceRegion
	case "mesh.source.namespace":
		return sourceNamespace
	case "mesh.source.workload":
		return sourceWorkload
	case "mesh.source.version":
		return sourceVersion
	case "mesh.source.principal":
		return sourcePrincipal
	case "mesh.destination.cluster":
		return destinationCluster
	case "mesh.destination.region":
		return destinationRegion
	case "mesh.destination.namespace":
		return destinationNamespace
	case "mesh.destination.service":
		return destinationService
	case "mesh.destination.workload":
		return destinationWorkload
	case "mesh.destination.version":
		return destinationVersion
	case "mesh.destination.principal":
		return destinationPrincipal
	case "mesh.resolution.source":
		return sourceBy
	case "mesh.resolution.destination":
		return destinationBy
	case "mesh.traffic.locality":
		return locality
	case "mesh.traffic.direction":
		return direction
	case "mesh.tls":
		return meshTLS
	case "connection_security_policy":
		return policy
	case "reporter":
		return reporter
	case "request_protocol":
		return protocol
	case "response_code":
		return code
	case "grpc_response_status":
		return grpcCode
	case "response_flags":
		return flags
	case "destination_service_name":
		return calledName
	case "mesh.source.network", "mesh.destination.network", "mesh.traffic.cross_cluster", "mesh.via", "mesh.topology.stale":
		return derived
	}
	return other
}

// learned says whether the hub may know an attribute of a point at one time and not at another, or otherwise: such are no
// part of a point's identity. What tells a workload's deltas apart is: cluster, zone, namespace, workload, service and
// version.
func (f field) learned() bool {
	switch f {
	case sourceRegion, destinationRegion, sourcePrincipal, destinationPrincipal, sourceBy, destinationBy, locality, derived:
		return true
	}
	return false
}
