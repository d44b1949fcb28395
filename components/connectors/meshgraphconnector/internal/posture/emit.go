// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// Names of the metrics. All are gauges, and have a point for each value of their attribute, also for 0.
const (
	MetricEdges      = "mesh.posture.edges"                          // {edge}; state
	MetricIdentities = "mesh.posture.identities"                     // {identity}
	MetricSeveral    = "mesh.posture.identities.of_several_clusters" // {identity}; sharing
	MetricFindings   = "mesh.posture.findings"                       // {finding}; kind
	MetricUnjudged   = "mesh.posture.identities.unjudged"            // {identity}; reason
)

// AppendMetrics appends the newest report as gauges of the given time. There are none before the first update.
func (s *Store) AppendMetrics(slice pmetric.MetricSlice, at time.Time) {
	r := s.Report()
	if r.At.IsZero() {
		return
	}
	stamp := pcommon.NewTimestampFromTime(at)
	gauge := func(name, unit, description string) func(key, value string, n int) {
		m := slice.AppendEmpty()
		m.SetName(name)
		m.SetUnit(unit)
		m.SetDescription(description)
		points := m.SetEmptyGauge().DataPoints()
		return func(key, value string, n int) {
			p := points.AppendEmpty()
			p.SetTimestamp(stamp)
			p.SetIntValue(int64(n))
			if key != "" {
				p.Attributes().PutStr(key, value)
			}
		}
	}
	add := gauge(MetricEdges, "{edge}", "Edges of the graph by what is known of their TLS.")
	for _, v := range states {
		add("state", string(v), r.Summary.Edges[v])
	}
	gauge(MetricIdentities, "{identity}", "Different principals on the edges of the graph.")("", "", r.Summary.Identities)
	add = gauge(MetricSeveral, "{identity}", "Identities that were seen from more than one cluster, by what that means.")
	for _, v := range sharings {
		add("sharing", string(v), r.Summary.SeveralClusters[v])
	}
	add = gauge(MetricFindings, "{finding}", "Identities that do not fit the cluster, namespace or workload of their end.")
	for _, v := range Kinds {
		add("kind", string(v), r.Summary.Findings[v])
	}
	add = gauge(MetricUnjudged, "{identity}", "Identities of ends that could not be compared with their cluster, by the reason.")
	for _, v := range reasons {
		add("reason", string(v), r.Summary.Unjudged[v])
	}
}

// maxTold is the most findings that go to the topology's own list, which others need too.
const maxTold = 100

// topologyKinds are the kinds under which findings are told to the mesh_topology extension.
var topologyKinds = map[Kind]string{
	ForeignCluster: "identity_trust_domain", ForeignDomain: "identity_trust_domain", Namespace: "identity_namespace",
	Account: "identity_service_account", TwoClusters: "identity_two_clusters",
}

// Findings are those of the newest report for the FindingSink of the mesh_topology extension, at most 100. A trust domain of
// no cluster is worth knowing, the others are warnings.
func (s *Store) Findings() []topology.Finding {
	r := s.Report()
	out := make([]topology.Finding, 0, min(len(r.Findings), maxTold))
	for i := range r.Findings[:min(len(r.Findings), maxTold)] {
		f := &r.Findings[i]
		told := topology.Finding{Kind: topologyKinds[f.Kind], Cluster: f.Cluster, Subject: f.Principal, Detail: f.Detail, At: r.At}
		if f.Workload != "" {
			told.Subject = f.Namespace + "/" + f.Workload + " as " + f.Principal
		}
		if f.Kind == ForeignDomain {
			told.Severity = topology.SeverityInfo
		}
		out = append(out, told)
	}
	return out
}
