// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/rules"
)

// upstreamAttributes are those that a point of Envoy's own metrics gets, which come by the hundred for each cluster: what
// one groups by. The rest is on the resource.
var upstreamAttributes = setOf("mesh.source.cluster", "mesh.source.region", "mesh.source.zone", "mesh.source.namespace",
	"mesh.source.workload", "mesh.source.service", "mesh.destination.cluster", "mesh.destination.region", "mesh.destination.zone",
	"mesh.destination.namespace", "mesh.destination.workload", "mesh.destination.service",
	sourceResolutionKey, destinationResolutionKey, viaKey)

// stampUpstream stamps a point of one of Envoy's own metrics about an upstream cluster with the reporter as the near end
// and the service that was called. There is no TLS, and a locality only where the name of the metric tells both zones:
// other points count calls to all places at once. Such points are not counted among the ends of calls.
func (b *batch) stampUpstream(attrs pcommon.Map, own pcommon.Timestamp) {
	u, before, ok := readUpstream(attrs)
	if !ok && b.zone.Cluster == "" {
		return
	}
	if b.zone.To != "" {
		u.From, u.To = b.zone.From, b.zone.To
	}
	if u.Cluster == "" {
		u.Cluster = b.zone.Cluster
	}
	view := b.view(b.when(own))
	near, _ := b.nearAt(view)
	v, ok := rules.JudgeUpstream(view, near, &u)
	if !ok {
		return
	}
	set := b.m.attributes & upstreamAttributes
	if u.To != "" || before.has.has(localityIndex) {
		set |= b.m.attributes & (1 << localityIndex)
	}
	stamp(attrs, set, &v, &u.Stamped, &before)
}

// readUpstream reads the cluster, under the names of Envoy's own tag, of Istio's and of the envoy receiver, which also
// takes the zones out of the names of zone statistics.
func readUpstream(attrs pcommon.Map) (u rules.Upstream, before stamped, ok bool) {
	for key, value := range attrs.All() {
		switch {
		case key == "envoy.cluster.name":
			u.Cluster = value.Str()
		case key == "envoy.cluster_name" || key == "cluster_name":
			if u.Cluster == "" {
				u.Cluster = value.Str()
			}
		case key == "envoy.zone.source":
			u.From = value.Str()
		case key == "envoy.zone.destination":
			u.To = value.Str()
		case len(key) > 5 && key[:5] == "mesh.":
			before.read(&u.Stamped, key, value)
		}
	}
	return u, before, u.Cluster != ""
}
