// SPDX-License-Identifier: Apache-2.0

package controlplane

import "time"

// SchemaVersion is of [Document]. It grows when a reader of the last version would read something wrong.
const SchemaVersion = 1

// Document is all that is known of the mesh's control planes. Nobody may change one.
type Document struct {
	SchemaVersion int       `json:"schema_version"`
	At            time.Time `json:"at"`
	// WindowSeconds is over what time pushes, errors and convergence are added up.
	WindowSeconds float64 `json:"window_seconds"`
	// Versions and Revisions are those of the istiods that report, of all clusters, sorted.
	Versions  []string `json:"versions,omitempty"`
	Revisions []string `json:"revisions,omitempty"`
	// Newest is the newest of the versions.
	Newest string `json:"newest,omitempty"`
	// Receiving says whether this replica gets what tells of control planes. Where it does not, another one does, or nobody, and there
	// are no records. Absent where there is one replica.
	Receiving *bool `json:"receiving,omitempty"`
	// AbsenceJudgedFrom is when this replica will have listened for long enough to say of an istiod that it does not report. Absent
	// when it does.
	AbsenceJudgedFrom time.Time `json:"absence_judged_from,omitzero"`
	// Full says that there are more clusters than control_planes::max_clusters.
	Full bool `json:"full,omitempty"`
	// ControlPlanes has a record for each cluster, by name.
	ControlPlanes []Record `json:"control_planes"`
}

// State says whether a cluster's istiods report.
type State string

// The states.
const (
	// Reporting: at least one istiod reported within control_planes::expire.
	Reporting State = "reporting"
	// Silent: istiods reported once, and none does any more.
	Silent State = "silent"
	// Unseen: the cluster's inventory says that it has an istiod, and none ever reported.
	Unseen State = "unseen"
	// Waiting: none reports, and this replica has not listened for long enough to say more.
	Waiting State = "waiting"
	// ProxiesOnly: proxies of the cluster report, and no istiod: another cluster's istiod may be theirs.
	ProxiesOnly State = "proxies_only"
)

// Record is the control plane of one cluster: the istiods that run in it.
type Record struct {
	Cluster string `json:"cluster"`
	Region  string `json:"region,omitempty"`
	State   State  `json:"state"`
	// FirstSeen and LastSeen are of istiods' metrics; zero if there were none.
	FirstSeen time.Time `json:"first_seen,omitzero"`
	LastSeen  time.Time `json:"last_seen,omitzero"`
	// Istiods are the replicas that report; where none does any more, the last one that did.
	Istiods []Istiod `json:"istiods,omitempty"`
	// Versions and Revisions are those of the istiods that report, sorted.
	Versions  []string `json:"versions,omitempty"`
	Revisions []string `json:"revisions,omitempty"`
	// Inventory is what the cluster's inventory says of its istiods; absent without one.
	Inventory []Declared `json:"inventory,omitempty"`
	Proxies   Proxies    `json:"proxies"`
	Pushes    Pushes     `json:"pushes"`
	// Convergence is from a change of configuration until a proxy was sent all of it; absent if there was none in the
	// window.
	Convergence  *Convergence `json:"convergence,omitempty"`
	Certificates Certificates `json:"certificates"`
	Remotes      Remotes      `json:"remote_clusters"`
	// DataPlane has the versions that proxies themselves say, without numbers: see Proxies for these.
	DataPlane []Build `json:"data_plane,omitempty"`
	Skew      Skew    `json:"skew"`
	// Findings are what is wrong, the worst first.
	Findings []Finding `json:"findings,omitempty"`
}

// Istiod is one replica.
type Istiod struct {
	Instance  string `json:"instance"`
	Namespace string `json:"namespace,omitempty"`
	Pod       string `json:"pod,omitempty"`
	Region    string `json:"region,omitempty"`
	// Version is of pilot_info, else of istio_build. Empty if it said neither.
	Version string `json:"version,omitempty"`
	// Info is pilot_info's label: version, commit and status of the build.
	Info string `json:"info,omitempty"`
	// Revision is of the name of its deployment, istiod-<revision>; default if that is istiod.
	Revision string `json:"revision,omitempty"`
	// Started is when its process began.
	Started  time.Time `json:"started,omitzero"`
	LastSeen time.Time `json:"last_seen"`
	// Proxies are those connected to this replica.
	Proxies int64 `json:"proxies"`
}

// Declared is an istiod of a cluster's inventory.
type Declared struct {
	Revision string   `json:"revision"`
	Version  string   `json:"version,omitempty"`
	Tags     []string `json:"tags,omitempty"`
	// Reporting says that an istiod of this revision reports.
	Reporting bool `json:"reporting"`
}

// Proxies are those with a stream to one of the istiods, gateways and ztunnels among them, in whatever cluster they run.
type Proxies struct {
	Connected int64          `json:"connected"`
	ByVersion []ProxyVersion `json:"by_version,omitempty"`
	// OtherVersion counts those whose version is not that of the istiod that they are connected to.
	OtherVersion int64 `json:"other_version"`
	// UnknownVersion counts those that told none that can be compared.
	UnknownVersion int64 `json:"unknown_version"`
	// Refused counts the proxies that refused a configuration at least once since their istiod began; at most 512 an istiod
	// and type of configuration.
	Refused int `json:"refused"`
	// RefusedNames are up to 16 of them, as Istio names a node.
	RefusedNames []string `json:"refused_names,omitempty"`
}

// ProxyVersion is how many proxies have a version.
type ProxyVersion struct {
	Version string `json:"version"`
	Proxies int64  `json:"proxies"`
	// MinorsBehind is how many minor versions it is older than the newest istiod of the cluster.
	MinorsBehind int `json:"minors_behind,omitempty"`
}

// Pushes are the counts of the window.
type Pushes struct {
	// Sent are configurations that were sent, by type (cds, eds, lds, rds, sds, nds, ecds, …).
	Sent map[string]int64 `json:"sent,omitempty"`
	// Errors are those that could not be sent, by type.
	Errors map[string]int64 `json:"errors,omitempty"`
	// Rejects are those that a proxy refused, by type.
	Rejects map[string]int64 `json:"rejects,omitempty"`
	// WriteTimeouts are streams that did not take what was sent.
	WriteTimeouts  int64 `json:"write_timeouts"`
	InternalErrors int64 `json:"internal_errors"`
	// ContextErrors are of Istio up to 1.24.
	ContextErrors int64 `json:"context_errors"`
	// CertificateErrors are gateways' keys and certificates that istiod could not get.
	CertificateErrors int64 `json:"certificate_errors"`
	// SignErrors are requests for a workload's certificate that could not be signed.
	SignErrors int64 `json:"sign_errors"`
}

// Convergence is a distribution in seconds. Percentiles are interpolated between Istio's bounds.
type Convergence struct {
	Count int64      `json:"count"`
	Mean  float64    `json:"mean_seconds"`
	P50   Percentile `json:"p50"`
	P90   Percentile `json:"p90"`
	P99   Percentile `json:"p99"`
}

// Certificates are istiod's own: workloads' certificates live for a day and are not in its metrics. Absent where istiod is
// not the certificate authority.
type Certificates struct {
	// RootExpires is when the first root of the trust bundle expires, the earliest of the istiods.
	RootExpires time.Time `json:"root_expires,omitzero"`
	// RootsDiffer says that the istiods of the cluster have roots that expire at different times.
	RootsDiffer bool `json:"roots_differ,omitempty"`
	// ChainExpires is when istiod's signing certificate expires, the earliest.
	ChainExpires time.Time `json:"chain_expires,omitzero"`
}

// Remotes are the clusters that the istiods watch beside their own.
type Remotes struct {
	// Managed is their number, the most of any istiod.
	Managed int64 `json:"managed"`
	// Told says whether Istio says which they are: it does since 1.29.
	Told bool `json:"told"`
	// Clusters has the worst of what the istiods say of each.
	Clusters []Remote `json:"clusters,omitempty"`
	// InSync counts those that are synced at every istiod.
	InSync int `json:"in_sync"`
	// SyncTimeouts counts the clusters that took too long, in the window.
	SyncTimeouts int64 `json:"sync_timeouts"`
}

// Remote is one cluster that istiods watch.
type Remote struct {
	Cluster string `json:"cluster"`
	// Status is synced, syncing, closed or timeout.
	Status string `json:"status"`
}

// Build is a version that components of a cluster said of themselves.
type Build struct {
	// Component is proxy, agent, ztunnel, ….
	Component string `json:"component"`
	Version   string `json:"version"`
}

// Skew is how a cluster's control plane differs from the others of the mesh.
type Skew struct {
	// MinorsBehind is how many minor versions its oldest istiod is behind the newest of the mesh.
	MinorsBehind int `json:"minors_behind"`
	// Patch says that it has the newest minor version and an older patch.
	Patch bool `json:"patch,omitempty"`
	// Revisions are those that other clusters have and this one has not.
	MissingRevisions []string `json:"missing_revisions,omitempty"`
	// ProxyMinorsBehind is how many minor versions the oldest connected proxy is behind the newest istiod of the cluster.
	ProxyMinorsBehind int `json:"proxy_minors_behind"`
}

// Severity of a finding.
type Severity string

// The severities.
const (
	Warning Severity = "warning"
	Info    Severity = "info"
)

// Finding is something wrong, or worth knowing.
type Finding struct {
	Kind     string   `json:"kind"`
	Severity Severity `json:"severity"`
	// Detail is a sentence: what is wrong and what to do.
	Detail string `json:"detail"`
}
