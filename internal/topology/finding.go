// SPDX-License-Identifier: Apache-2.0

package topology

import "time"

// Kinds of findings.
const (
	// KindDuplicateClusterName: two clusters, told apart by their uids, speak under one name.
	KindDuplicateClusterName = "duplicate_cluster_name"
	// KindOverlappingPodCIDRs: the pod address ranges of two clusters overlap.
	KindOverlappingPodCIDRs = "overlapping_pod_cidrs"
	// KindTrustDomainClash: several clusters have one trust domain.
	KindTrustDomainClash = "trust_domain_clash"
	// KindAddressConflict: two running pods have one address of one network.
	KindAddressConflict = "address_conflict"
	// KindLimitReached: something was refused because of a ceiling.
	KindLimitReached = "limit_reached"
	// KindClusterStale: nobody confirmed a cluster for long.
	KindClusterStale = "cluster_stale"
	// KindClusterExpired: a stale cluster was forgotten.
	KindClusterExpired = "cluster_expired"
	// KindInventoryGap: a message of an inventory was lost.
	KindInventoryGap = "inventory_gap"
	// KindInventoryRejected: a message of an inventory cannot be taken.
	KindInventoryRejected = "inventory_rejected"
	// KindProxyLocality: a proxy says another locality than its node.
	KindProxyLocality = "proxy_locality"
	// KindKubernetesForbidden: the API server refuses a resource.
	KindKubernetesForbidden = "kubernetes_forbidden"
	// KindKubernetesUnreachable: the API server does not answer.
	KindKubernetesUnreachable = "kubernetes_unreachable"
	// KindInvalidObject: an object cannot be what it says.
	KindInvalidObject = "invalid_object"
)

// Severity says how much a [Finding] matters.
type Severity uint8

// The severities. The zero value is a warning: what nobody graded must not be overlooked.
const (
	// SeverityWarning means that answers are missing or may be missing.
	SeverityWarning Severity = iota
	// SeverityInfo means that all is answered, and that something is worth knowing.
	SeverityInfo
)

// String returns "warning" or "info".
func (s Severity) String() string {
	if s == SeverityInfo {
		return "info"
	}
	return "warning"
}

// Finding is something wrong, or worth knowing, about the mesh as it is described.
type Finding struct {
	// Kind is one of the Kind constants.
	Kind     string
	Severity Severity
	// Cluster is the cluster it is about; empty if it is about several.
	Cluster string
	// Subject names what it is about, such as "pod bookinfo/reviews-v1-a". Kind, Cluster and Subject together tell one
	// finding from another.
	Subject string
	// Detail is a sentence for people: what is wrong and what to do.
	Detail string
	// At is when it was found.
	At time.Time
}
