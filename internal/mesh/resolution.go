// SPDX-License-Identifier: Apache-2.0

package mesh

// Resolution says what told us the cluster of an end, or why nothing did. It is the value of mesh.resolution.source
// and mesh.resolution.destination. The known ones are declared from the weakest to the strongest evidence, so that two
// of them compare with [Resolution.Stronger].
type Resolution uint8

// The reasons for an unknown end, each "unknown:<reason>" when written.
const (
	// UnknownNoEvidence: the item carries nothing about this end. The zero value.
	UnknownNoEvidence Resolution = iota
	// UnknownNoAddress: the item could carry an address of this end and does not, or carries a loopback address that
	// the proxy uses for itself.
	UnknownNoAddress
	// UnknownNoNetwork: there is an address, but the network it was seen in is not known, so it cannot be looked up.
	UnknownNoNetwork
	// UnknownAddressNotFound: no pod, node, service or gateway of the network had the address at the time of the call.
	UnknownAddressNotFound
	// UnknownAddressAmbiguous: more than one pod can have had the address at the time of the call.
	UnknownAddressAmbiguous
	// UnknownTopologyGap: at the time of the call the address may have been that of a pod which the topology missed.
	UnknownTopologyGap
	// UnknownNodeAddress: the address is that of a node: it was translated on the way, or belongs to a host network pod.
	UnknownNodeAddress
	// UnknownServiceAddress: the address is the virtual one of a service, which any cluster may have answered.
	UnknownServiceAddress
	// UnknownBehindGateway: the address is that of an east/west gateway, and who stands behind it is not told.
	UnknownBehindGateway
	// UnknownCrossNetwork: the address was seen by an east/west gateway and belongs to another network.
	UnknownCrossNetwork
	// UnknownNoUpstream: the proxy did not choose an endpoint: no route, no healthy host, black hole.
	UnknownNoUpstream
	// UnknownNoCluster: the workload or namespace is named, its cluster is not.
	UnknownNoCluster
	// UnknownExternal: the call left the mesh, or came from outside of it.
	UnknownExternal
	// UnknownAmbiguous: the evidence fits more than one cluster.
	UnknownAmbiguous
	// UnknownConflict: two pieces of evidence of equal rank exclude each other.
	UnknownConflict

	// ByTrustDomain: exactly one cluster has the trust domain of the end's identity.
	ByTrustDomain
	// ByGateway: the address is that of an east/west gateway, which leads to one cluster.
	ByGateway
	// BySpanPair: the other span of the same call told it.
	BySpanPair
	// ByLabel: labels of an Istio metric.
	ByLabel
	// ByIP: the address was that of a pod, at the time of the call, in the network it was seen in.
	ByIP
	// ByEndpointMetadata: istiod's metadata of the chosen endpoint.
	ByEndpointMetadata
	// ByPeerMetadata: the metadata that the two proxies exchanged, or that the proxy gave of itself.
	ByPeerMetadata
	// ByTag: the proxy's own tags: its node id, or istio.* tags.
	ByTag

	// ResolutionCount is the number of resolutions: one past the last.
	ResolutionCount
)

var resolutionWords = [ResolutionCount]string{
	UnknownNoEvidence:       "unknown:no_evidence",
	UnknownNoAddress:        "unknown:no_address",
	UnknownNoNetwork:        "unknown:no_network",
	UnknownAddressNotFound:  "unknown:address_not_found",
	UnknownAddressAmbiguous: "unknown:address_ambiguous",
	UnknownTopologyGap:      "unknown:topology_gap",
	UnknownNodeAddress:      "unknown:node_address",
	UnknownServiceAddress:   "unknown:service_address",
	UnknownBehindGateway:    "unknown:behind_gateway",
	UnknownCrossNetwork:     "unknown:cross_network",
	UnknownNoUpstream:       "unknown:no_upstream",
	UnknownNoCluster:        "unknown:no_cluster",
	UnknownExternal:         "unknown:external",
	UnknownAmbiguous:        "unknown:ambiguous",
	UnknownConflict:         "unknown:conflict",
	ByTrustDomain:           "trust_domain",
	ByGateway:               "gateway",
	BySpanPair:              "span_pair",
	ByLabel:                 "label",
	ByIP:                    "ip",
	ByEndpointMetadata:      "endpoint_metadata",
	ByPeerMetadata:          "peer_metadata",
	ByTag:                   "tag",
}

// String returns the word as it stands in the attributes, such as "ip" or "unknown:behind_gateway".
func (r Resolution) String() string {
	if r >= ResolutionCount {
		return resolutionWords[UnknownNoEvidence]
	}
	return resolutionWords[r]
}

// Known says whether the cluster of the end was told.
func (r Resolution) Known() bool { return r >= ByTrustDomain && r < ResolutionCount }

// Stronger says whether r is stronger evidence than other. An unknown end is never stronger than anything.
func (r Resolution) Stronger(other Resolution) bool {
	return r.Known() && (!other.Known() || r > other)
}

// ParseResolution reads a word that [Resolution.String] wrote. ok is false for any other text.
func ParseResolution(word string) (r Resolution, ok bool) {
	for i, w := range resolutionWords {
		if w == word {
			return Resolution(i), true
		}
	}
	return UnknownNoEvidence, false
}
