// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"context"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/rules"
)

func (m *meshTopology) processMetrics(ctx context.Context, md pmetric.Metrics) (pmetric.Metrics, error) {
	b := m.newBatch(ctx)
	for _, rm := range md.ResourceMetrics().All() {
		b.resourceMetrics(rm)
	}
	b.finish(ctx)
	return md, nil
}

// istioPrefix begins the names of Istio's metrics.
const istioPrefix = "istio_"

func (b *batch) resourceMetrics(rm pmetric.ResourceMetrics) {
	res := readResource(rm.Resource().Attributes())
	reporter := b.reporter(&res)
	if res.scraped && !res.reporter.Address.IsValid() {
		// What was scraped is the pod, while the connection is to the collector that scraped it.
		reporter.Address = res.target
	}
	b.resolve(reporter, b.when(firstPoint(rm)))
	b.checkLocality(&res, "")
	stampResource(rm.Resource().Attributes(), &b.reported.near)
	for _, sm := range rm.ScopeMetrics().All() {
		for _, metric := range sm.Metrics().All() {
			// Istio's metrics of calls; its metrics of itself have no reporter and are passed over point by point.
			if strings.HasPrefix(metric.Name(), istioPrefix) {
				b.stampPoints(metric)
			}
		}
	}
}

// firstPoint returns the time of the first point of a call, 0 if there is none.
func firstPoint(rm pmetric.ResourceMetrics) pcommon.Timestamp {
	for _, sm := range rm.ScopeMetrics().All() {
		for _, metric := range sm.Metrics().All() {
			if !strings.HasPrefix(metric.Name(), istioPrefix) {
				continue
			}
			if when, ok := firstTime(metric); ok {
				return when
			}
		}
	}
	return 0
}

func firstTime(metric pmetric.Metric) (pcommon.Timestamp, bool) {
	switch metric.Type() {
	case pmetric.MetricTypeGauge:
		return timeOfFirst(metric.Gauge().DataPoints())
	case pmetric.MetricTypeSum:
		return timeOfFirst(metric.Sum().DataPoints())
	case pmetric.MetricTypeHistogram:
		return timeOfFirst(metric.Histogram().DataPoints())
	case pmetric.MetricTypeExponentialHistogram:
		return timeOfFirst(metric.ExponentialHistogram().DataPoints())
	case pmetric.MetricTypeSummary:
		return timeOfFirst(metric.Summary().DataPoints())
	}
	return 0, false
}

// pointsOf is the points of a metric of any type.
type pointsOf[P interface{ Timestamp() pcommon.Timestamp }] interface {
	Len() int
	At(int) P
}

func timeOfFirst[P interface{ Timestamp() pcommon.Timestamp }](points pointsOf[P]) (pcommon.Timestamp, bool) {
	if points.Len() == 0 {
		return 0, false
	}
	return points.At(0).Timestamp(), true
}

func (b *batch) stampPoints(metric pmetric.Metric) {
	switch metric.Type() {
	case pmetric.MetricTypeGauge:
		for _, point := range metric.Gauge().DataPoints().All() {
			b.stampPoint(point.Attributes(), point.Timestamp())
		}
	case pmetric.MetricTypeSum:
		for _, point := range metric.Sum().DataPoints().All() {
			b.stampPoint(point.Attributes(), point.Timestamp())
		}
	case pmetric.MetricTypeHistogram:
		for _, point := range metric.Histogram().DataPoints().All() {
			b.stampPoint(point.Attributes(), point.Timestamp())
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, point := range metric.ExponentialHistogram().DataPoints().All() {
			b.stampPoint(point.Attributes(), point.Timestamp())
		}
	case pmetric.MetricTypeSummary:
		for _, point := range metric.Summary().DataPoints().All() {
			b.stampPoint(point.Attributes(), point.Timestamp())
		}
	}
}

// stampPoint judges a point as of its own time, which is the end of what it counts: the labels of a cumulative point
// are those of now, and a delta is made when it is read.
func (b *batch) stampPoint(attrs pcommon.Map, own pcommon.Timestamp) {
	labels, ok := readLabels(attrs)
	if !ok {
		return
	}
	when := b.when(own)
	v := rules.JudgeLabels(b.view(when), b.nearAt(when), &labels)
	b.tally.count(&v)
	stamp(attrs, &v, &labels.Stamped)
}

// readLabels reads the labels of an Istio metric. ok is false for a point that is not about a call.
func readLabels(attrs pcommon.Map) (l rules.Labels, ok bool) {
	for key, value := range attrs.All() {
		text := value.Str()
		switch {
		case key == "reporter":
			l.Reporter, ok = text, true
		case key == "connection_security_policy":
			l.Policy = text
		case key == "response_flags":
			l.NoUpstream = rules.NoUpstream(text)
		case strings.HasPrefix(key, "source_"):
			setLabel(&l.Source, key[len("source_"):], text)
		case strings.HasPrefix(key, "destination_"):
			setLabel(&l.Destination, key[len("destination_"):], text)
		case strings.HasPrefix(key, "mesh."):
			readStamped(&l.Stamped, key, text)
		}
	}
	return l, ok
}

// setLabel reads one label of an end. The workload's namespace and canonical service win over those of the service
// that was called, whichever label comes first.
func setLabel(end *mesh.End, name, value string) {
	if value == "unknown" || value == "" {
		return
	}
	switch name {
	case "cluster":
		end.Cluster = value
	case "region":
		end.Region = value
	case "zone":
		end.Zone = value
	case "workload":
		end.Workload = value
	case "workload_namespace":
		end.Namespace = value
	case "service_namespace":
		if end.Namespace == "" {
			end.Namespace = value
		}
	case "canonical_service":
		end.Service = value
	case "service_name":
		if end.Service == "" {
			end.Service = value
		}
	case "canonical_revision":
		if value != "latest" {
			end.Version = value
		}
	case "version":
		if end.Version == "" {
			end.Version = value
		}
	case "principal":
		end.Principal = value
	}
}
