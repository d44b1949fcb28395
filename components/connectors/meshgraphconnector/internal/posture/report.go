// SPDX-License-Identifier: Apache-2.0

package posture

import "time"

// Version is the version of the report's schema. It grows when a reader of the last version would read something wrong.
const Version = 1

// Ceilings of a [Report]. What is left out is counted there.
const (
	// MaxEdges is the most edges in the list of all.
	MaxEdges = 10_000
	// MaxPlaintext is the most edges in the list of those with plain text.
	MaxPlaintext = 1000
	// MaxFindings is the most findings, and the most that wait to be confirmed.
	MaxFindings = 1000
	// MaxIdentities is the most identities that were seen in more than one cluster.
	MaxIdentities = 1000
)

// State is what is known of the TLS of an edge.
type State string

// The states, the worst first.
const (
	// Plaintext: requests or connections in plain text within [Recent], and none with mutual TLS ever.
	Plaintext State = "plaintext"
	// Mixed: plain text within [Recent], and mutual TLS.
	Mixed State = "mixed"
	// Unknown: nobody told.
	Unknown State = "unknown"
	// Mutual: mutual TLS, and no plain text within [Recent].
	Mutual State = "mutual"
)

var states = []State{Plaintext, Mixed, Unknown, Mutual}

// Kind is what does not fit about an identity.
type Kind string

// The kinds of findings.
const (
	// ForeignCluster: the trust domain is not the one that the end's cluster declares, and another cluster declares it.
	ForeignCluster Kind = "trust_domain_of_another_cluster"
	// ForeignDomain: the trust domain is not the one that the end's cluster declares, and no cluster declares it. One that
	// was given up is in certificates for a while.
	ForeignDomain Kind = "trust_domain_of_no_cluster"
	// Namespace: the identity is of another namespace than the end.
	Namespace Kind = "namespace"
	// Account: the identity is of another service account than all pods of the end's workload have.
	Account Kind = "service_account"
	// TwoClusters: an identity was seen from two clusters that do not share its trust domain.
	TwoClusters Kind = "two_clusters"
)

// Kinds are all kinds, in the order of their names in documents.
var Kinds = []Kind{ForeignCluster, ForeignDomain, Namespace, Account, TwoClusters}

// Unjudged is why an identity was not compared with the cluster of its end.
type Unjudged string

// The reasons.
const (
	// NoCluster: nothing told the end's cluster.
	NoCluster Unjudged = "no_cluster"
	// NotInTopology: the topology does not know the end's cluster.
	NotInTopology Unjudged = "not_in_topology"
	// NoTrustDomain: the end's cluster declares no trust domain, so that any may be its own.
	NoTrustDomain Unjudged = "no_trust_domain"
	// NoIdentity: the principal is no SPIFFE id of the form that Istio writes.
	NoIdentity Unjudged = "not_of_istio"
	// Carrier: the identity is a gateway's or waypoint's that carried the call, and says nothing of the end.
	Carrier Unjudged = "carrier"
	// Old: nobody told the identity within [Fresh], so that it says nothing about what is.
	Old Unjudged = "old"
)

var reasons = []Unjudged{NoCluster, NotInTopology, NoTrustDomain, NoIdentity, Carrier, Old}

// Sharing says what it means that an identity was seen from several clusters.
type Sharing string

// What it means.
const (
	// Shared: all these clusters declare the identity's trust domain. In a mesh of one trust domain the same namespace and
	// account are the same identity everywhere: that is meant so.
	Shared Sharing = "shared_trust_domain"
	// Undeclared: not all of these clusters declare a trust domain, so that nobody can tell.
	Undeclared Sharing = "undeclared_trust_domain"
	// Foreign: one of these clusters declares another trust domain. It is a finding, [TwoClusters].
	Foreign Sharing = "foreign_cluster"
)

var sharings = []Sharing{Shared, Undeclared, Foreign}

// Report is the posture at the end of an interval. Nobody changes it.
type Report struct {
	SchemaVersion int       `json:"schema_version"`
	At            time.Time `json:"at"`
	Summary       Summary   `json:"summary"`
	// Findings are confirmed: they were found before, [Confirm] ago or longer, and not only longer than [Recent] ago. Sorted by kind, cluster, namespace, workload and principal.
	Findings []Finding `json:"findings"`
	// Plaintext are the edges with plain text within [Recent], those with the most of it first.
	Plaintext []PlaintextEdge `json:"plaintext"`
	// Identities were seen from more than one cluster, sorted by how much they matter and by name.
	Identities []Identity `json:"identities_of_several_clusters"`
	// Edges are all, by state, the worst first, and then as in the graph.
	Edges []Edge `json:"edges"`
}

// Summary counts what is in the report, left out of it, or not judged.
type Summary struct {
	// Edges are the edges by state; edges of the graph's ceiling have no ends and are not among them.
	Edges map[State]int `json:"edges"`
	// Share is the part of mutual TLS of all requests and connections of which it is known; absent where none is.
	Share *float64 `json:"mutual_tls_share,omitempty"`
	// Identities are the different principals.
	Identities int `json:"identities"`
	// Judged are identities of an edge's end that were compared with its cluster, Unjudged those that could not be.
	Judged   int              `json:"judged"`
	Unjudged map[Unjudged]int `json:"unjudged"`
	// Findings are the confirmed ones by kind, Unconfirmed those that wait.
	Findings    map[Kind]int `json:"findings"`
	Unconfirmed int          `json:"unconfirmed"`
	// SeveralClusters are identities that were seen from more than one cluster.
	SeveralClusters map[Sharing]int `json:"several_clusters"`
	// The rest is what the ceilings left out.
	EdgesLeftOut      int `json:"edges_left_out"`
	PlaintextLeftOut  int `json:"plaintext_left_out"`
	FindingsLeftOut   int `json:"findings_left_out"`
	IdentitiesLeftOut int `json:"identities_left_out"`
	// OtherIdentities are requests and connections under identities that the graph had no room for on their edge.
	OtherIdentities uint64 `json:"requests_of_other_identities"`
}

// End is an end of an edge. What nothing told is absent.
type End struct {
	Cluster   string `json:"cluster,omitempty"`
	Region    string `json:"region,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Service   string `json:"service,omitempty"`
	Workload  string `json:"workload,omitempty"`
	Version   string `json:"version,omitempty"`
}

// Edge is an edge of the graph.
type Edge struct {
	Caller   End    `json:"caller"`
	Callee   End    `json:"callee"`
	Protocol string `json:"protocol"`
	State    State  `json:"state"`
	// MutualTLS and Plaintext are requests and connections since the edge is known; Share is the part of MutualTLS, absent
	// where nothing is known.
	MutualTLS  uint64         `json:"mutual_tls"`
	Plaintext  uint64         `json:"plaintext"`
	Share      *float64       `json:"mutual_tls_share,omitempty"`
	Identities []EdgeIdentity `json:"identities,omitempty"`
	// OtherIdentities are requests and connections under identities that had no room.
	OtherIdentities uint64 `json:"identities_other,omitempty"`
}

// EdgeIdentity is an identity of an end of an edge.
type EdgeIdentity struct {
	End       string    `json:"end"`
	Principal string    `json:"principal"`
	Requests  uint64    `json:"requests"`
	First     time.Time `json:"first_seen"`
	Last      time.Time `json:"last_seen"`
}

// PlaintextEdge is an edge with plain text.
type PlaintextEdge struct {
	Caller   End    `json:"caller"`
	Callee   End    `json:"callee"`
	Protocol string `json:"protocol"`
	State    State  `json:"state"`
	// Plaintext are requests and connections in plain text since First, Share the part of mutual TLS.
	Plaintext uint64  `json:"plaintext"`
	Share     float64 `json:"mutual_tls_share"`
	// Bytes are all of the edge, in both directions, those with mutual TLS included: proxies do not tell them apart.
	Bytes uint64 `json:"bytes"`
	// Reporters told of it.
	Reporters []string  `json:"reporters"`
	First     time.Time `json:"first_seen"`
	Last      time.Time `json:"last_seen"`
}

// Finding is an identity that does not fit.
type Finding struct {
	Kind      Kind   `json:"kind"`
	Principal string `json:"principal"`
	Cluster   string `json:"cluster,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Workload  string `json:"workload,omitempty"`
	// Expected is what would have fitted: a trust domain, a namespace, a service account. Of TwoClusters it is empty.
	Expected string `json:"expected,omitempty"`
	// Clusters are those that declare the trust domain, or from which the identity was seen.
	Clusters []string `json:"clusters,omitempty"`
	// Edges are those on which it was seen, Requests their requests and connections under the identity.
	Edges    int    `json:"edges"`
	Requests uint64 `json:"requests"`
	// Proven says that one of these edges has mutual TLS: else the identity is only what somebody says.
	Proven bool `json:"proven"`
	// Since is when it was found first.
	Since time.Time `json:"since"`
	// Detail is a sentence for people.
	Detail string `json:"detail"`
}

// Identity is an identity that was seen from several clusters.
type Identity struct {
	Principal string  `json:"principal"`
	Sharing   Sharing `json:"sharing"`
	// Clusters are those from which it was seen.
	Clusters []IdentityCluster `json:"clusters"`
}

// IdentityCluster is a cluster in which an identity was seen.
type IdentityCluster struct {
	Cluster  string    `json:"cluster"`
	Edges    int       `json:"edges"`
	Requests uint64    `json:"requests"`
	Last     time.Time `json:"last_seen"`
}
