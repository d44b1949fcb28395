// SPDX-License-Identifier: Apache-2.0

package meshnoiseprocessor

import (
	"context"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor/processorhelper"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshnoiseprocessor/internal/rules"
)

func (p *meshNoise) processMetrics(ctx context.Context, md pmetric.Metrics) (pmetric.Metrics, error) {
	var t tally
	md.ResourceMetrics().RemoveIf(func(rm pmetric.ResourceMetrics) bool {
		own := p.ownResource(rm.Resource().Attributes())
		removed := false
		rm.ScopeMetrics().RemoveIf(func(sm pmetric.ScopeMetrics) bool {
			before := sm.Metrics().Len()
			sm.Metrics().RemoveIf(func(metric pmetric.Metric) bool {
				return aboutCalls(metric.Name()) && p.emptied(metric, own, &t)
			})
			removed = removed || sm.Metrics().Len() < before
			return sm.Metrics().Len() == 0 && before > 0
		})
		return removed && rm.ScopeMetrics().Len() == 0
	})
	p.counter.add(ctx, &t)
	if md.ResourceMetrics().Len() == 0 {
		return md, processorhelper.ErrSkipProcessingData
	}
	return md, nil
}

// aboutCalls says whether a metric is one of Istio's, or one of Envoy's about an upstream cluster.
func aboutCalls(name string) bool {
	return strings.HasPrefix(strings.TrimPrefix(name, "istiocustom."), "istio_") || strings.HasPrefix(name, "envoy_cluster_") ||
		strings.HasPrefix(name, "cluster.")
}

// emptied removes the noisy points and says whether none is left.
func (p *meshNoise) emptied(metric pmetric.Metric, own bool, t *tally) bool {
	drop := func(attrs pcommon.Map) bool { return p.act(p.judgePoint(attrs, own), attrs, t) }
	switch metric.Type() {
	case pmetric.MetricTypeGauge:
		return removePoints(metric.Gauge().DataPoints(), drop)
	case pmetric.MetricTypeSum:
		return removePoints(metric.Sum().DataPoints(), drop)
	case pmetric.MetricTypeHistogram:
		return removePoints(metric.Histogram().DataPoints(), drop)
	case pmetric.MetricTypeExponentialHistogram:
		return removePoints(metric.ExponentialHistogram().DataPoints(), drop)
	case pmetric.MetricTypeSummary:
		return removePoints(metric.Summary().DataPoints(), drop)
	}
	return false
}

// points is a slice of data points of any type.
type points[P interface{ Attributes() pcommon.Map }] interface {
	Len() int
	RemoveIf(func(P) bool)
}

func removePoints[P interface{ Attributes() pcommon.Map }](s points[P], drop func(pcommon.Map) bool) bool {
	before := s.Len()
	s.RemoveIf(func(point P) bool { return drop(point.Attributes()) })
	return s.Len() == 0 && before > 0
}

// judgePoint reads the labels of a point. Points that are not about calls, such as Istio's metrics of itself, are none.
func (p *meshNoise) judgePoint(attrs pcommon.Map, own bool) rules.Reason {
	var l rules.Labels
	if !readLabels(attrs, &l) {
		return rules.None
	}
	if own {
		return rules.Telemetry
	}
	return p.rules.JudgePoint(&l)
}

// readLabels reads Istio's labels and what mesh_topology stamped, which may have taken their place. ok is false for a
// point that is not about calls.
func readLabels(attrs pcommon.Map, l *rules.Labels) (ok bool) {
	for key, value := range attrs.All() {
		switch key {
		case "reporter":
			ok = true
		case "cluster_name", "envoy.cluster_name":
			l.UpstreamCluster, ok = strings.TrimSuffix(value.Str(), ";"), true
		case "source_workload", "mesh.source.workload":
			l.Source.Name = value.Str()
		case "source_workload_namespace", "mesh.source.namespace":
			l.Source.Namespace = value.Str()
		case "destination_workload", "mesh.destination.workload":
			l.Destination.Name = value.Str()
		case "destination_workload_namespace", "mesh.destination.namespace":
			l.Destination.Namespace = value.Str()
		case "destination_service_name":
			l.Called.Name = value.Str()
		case "destination_service_namespace":
			l.Called.Namespace = value.Str()
		case "destination_service":
			l.CalledHost = value.Str()
		}
	}
	return ok
}
