// SPDX-License-Identifier: Apache-2.0

package clusteridentityprocessor

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/internal/accesslog"
)

// body reads the claims in the body of a log record: the mesh_topology processor believes labels that users add to access
// logs, and the names in ztunnel's.
func (i *item) body(body pcommon.Value) {
	switch body.Type() {
	case pcommon.ValueTypeMap:
		for key, value := range body.Map().All() {
			i.lookBody(key, value)
		}
	case pcommon.ValueTypeStr:
		if text := body.Str(); mayClaim(text) {
			i.bodyText(text)
		}
	}
}

// lookBody reads a key of a body. What an agent stamps is believed as an attribute only.
func (i *item) lookBody(key string, value pcommon.Value) {
	if !strings.HasPrefix(key, "mesh.") {
		i.look(key, value)
	}
}

// mayClaim says whether a text can have a key that names a cluster, escaped or not: nearly none has, and those that have
// cost a thousand times as much. Envoy's own upstream_cluster is none.
func mayClaim(text string) bool {
	return strings.Contains(text, "cluster_id") || strings.Contains(text, ".cluster") || strings.Contains(text, `\u`)
}

func (i *item) bodyText(text string) {
	if strings.HasPrefix(text, "{") {
		accesslog.EachKey(text, func(key, value string) {
			i.lookText(key, value)
		})
		return
	}
	var e accesslog.Entry
	if format, err := accesslog.Parse(text, &e); err != nil || format != accesslog.ZtunnelText {
		return
	}
	i.direction(e.Ztunnel.Get(accesslog.Direction))
	i.endText(&i.source, "src.cluster", e.Ztunnel.Get(accesslog.SourceCluster))
	i.endText(&i.destination, "dst.cluster", e.Ztunnel.Get(accesslog.DestinationCluster))
}

// lookText does what [item.lookBody] does for a key of a JSON text.
func (i *item) lookText(key, value string) {
	switch key {
	case clusterKey, istioKey:
		if !i.j.id.MaySpeakFor(value) && !i.j.isUnset(value) {
			i.flag(foreignSide, key, value)
		}
	case "src.cluster", "source_cluster", "istio.source_cluster_id":
		i.endText(&i.source, key, value)
	case "dst.cluster", "destination_cluster", "istio.destination_cluster_id":
		i.endText(&i.destination, key, value)
	case "direction":
		i.direction(value)
	case "node_id":
		i.node(value)
	case "upstream_cluster", "upstream_cluster.name":
		i.upstream(value)
	}
}

func (i *item) endText(e *end, key, value string) {
	if !i.j.isUnset(value) {
		i.claim(e, key, value)
	}
}
