// SPDX-License-Identifier: Apache-2.0

package metricservice

import (
	"strings"

	dto "github.com/prometheus/client_model/go"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/attr"
)

// Attributes of a zone statistic. They are Envoy's words, in Envoy's spelling: on Azure a zone may be "1" here.
const (
	keyClusterName     = "envoy.cluster.name"
	keySourceZone      = "envoy.zone.source"
	keyDestinationZone = "envoy.zone.destination"
)

// zoneMetricPrefix begins the name of all zone statistics: without it, each pair of zones would be a metric.
const zoneMetricPrefix = "cluster.zone."

// clusterTag is the label by which Envoy tells the cluster, having taken it out of the name (Envoy
// source/common/config/well_known_names.h, CLUSTER_NAME).
const clusterTag = "envoy.cluster_name"

// metricName returns the name of the family at hand without zones.
func (c *Converter) metricName(family *dto.MetricFamily) string {
	if c.zones.Stat == "" {
		return family.GetName()
	}
	return zoneMetricPrefix + c.zones.Stat
}

// zoneAttributes writes the zones in the name of the family at hand, and the cluster.
func (c *Converter) zoneAttributes(labels []*dto.LabelPair, w attr.Writer) {
	if c.zones.Stat == "" {
		return
	}
	w.Str(w.Cut(keyClusterName), clusterName(labels, c.zones))
	w.Str(w.Cut(keySourceZone), c.zones.From)
	w.Str(w.Cut(keyDestinationZone), c.zones.To)
}

// clusterName puts the name of the cluster together: Envoy's own rule takes it out of the statistic's name up to the
// first dot, and Istio's whole.
func clusterName(labels []*dto.LabelPair, zones envoy.ZoneStat) string {
	for _, label := range labels {
		tag := strings.TrimSuffix(label.GetValue(), ";")
		switch {
		case label.GetName() != clusterTag || tag == "":
		case zones.Cluster == "":
			return tag
		default:
			return tag + "." + zones.Cluster
		}
	}
	return zones.Cluster
}
