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
			b.stampMetric(metric)
		}
	}
}

// stampMetric stamps the points of a metric that is about calls. Istio's metrics of itself have no reporter, and are
// passed over point by point.
func (b *batch) stampMetric(metric pmetric.Metric) {
	if name, ok := istioName(metric.Name()); ok {
		b.direction = directionOf(name)
		eachPoint(metric, b.stampPoint)
	} else if isUpstreamMetric(metric.Name()) {
		b.zone, _ = b.zoneStat(metric.Name())
		eachPoint(metric, b.stampUpstream)
	}
}

// firstPoint returns the time of the first point of a call, 0 if there is none.
func firstPoint(rm pmetric.ResourceMetrics) pcommon.Timestamp {
	for _, sm := range rm.ScopeMetrics().All() {
		for _, metric := range sm.Metrics().All() {
			if _, ok := istioName(metric.Name()); !ok && !isUpstreamMetric(metric.Name()) {
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

// eachPoint visits the points of a metric of any type.
func eachPoint(metric pmetric.Metric, visit func(attrs pcommon.Map, own pcommon.Timestamp)) {
	switch metric.Type() {
	case pmetric.MetricTypeGauge:
		for _, point := range metric.Gauge().DataPoints().All() {
			visit(point.Attributes(), point.Timestamp())
		}
	case pmetric.MetricTypeSum:
		for _, point := range metric.Sum().DataPoints().All() {
			visit(point.Attributes(), point.Timestamp())
		}
	case pmetric.MetricTypeHistogram:
		for _, point := range metric.Histogram().DataPoints().All() {
			visit(point.Attributes(), point.Timestamp())
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, point := range metric.ExponentialHistogram().DataPoints().All() {
			visit(point.Attributes(), point.Timestamp())
		}
	case pmetric.MetricTypeSummary:
		for _, point := range metric.Summary().DataPoints().All() {
			visit(point.Attributes(), point.Timestamp())
		}
	}
}

// stampPoint judges a point as of its own time, which is the end of what it counts: the labels of a cumulative point
// are those of now, and a delta is made when it is read.
func (b *batch) stampPoint(attrs pcommon.Map, own pcommon.Timestamp) {
	labels, before, ok := readLabels(attrs)
	if !ok {
		return
	}
	if b.direction != "" && before.has == 0 {
		// Else the last attribute, the direction, would make the map grow once more.
		attrs.EnsureCapacity(attrs.Len() + int(attributeCount))
	}
	b.judgePoint(attrs, b.when(own), &labels, &before)
	switch {
	case !b.m.attributes.has(directionIndex):
		if before.direction {
			attrs.Remove(directionKey)
		}
	case b.direction != "":
		attrs.PutStr(directionKey, b.direction)
	}
	if b.m.config.IstioLabels == dropLabels {
		dropSaidLabels(attrs)
	}
}

// readLabels reads the labels of an Istio metric. ok is false for a point that is not about a call.
func readLabels(attrs pcommon.Map) (l rules.Labels, before stamped, ok bool) {
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
			setDestinationLabel(&l, key[len("destination_"):], text)
		case strings.HasPrefix(key, "mesh."):
			before.read(&l.Stamped, key, value)
		}
	}
	return l, before, ok
}

func setDestinationLabel(l *rules.Labels, name, value string) {
	switch name {
	case "service":
		l.CalledHost = value
	case "service_name":
		l.CalledService = value
	case "service_namespace":
		l.CalledNamespace = value
	default:
		setLabel(&l.Destination, name, value)
	}
}

// setLabel reads one label of the workload at an end.
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
	case "canonical_service":
		end.Service = value
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
