// SPDX-License-Identifier: Apache-2.0

package clusteridentityprocessor

import (
	"context"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

func (p *clusterIdentity) processMetrics(ctx context.Context, md pmetric.Metrics) (pmetric.Metrics, error) {
	b := p.newBatch(ctx)
	if b.free() {
		if b.id == nil {
			for _, rm := range md.ResourceMetrics().All() {
				b.tally.add(finding{reason: unverified}, accepted, pointCount(rm))
			}
		}
		return md, b.finish(ctx, 1)
	}
	md.ResourceMetrics().RemoveIf(b.resourceMetrics)
	return md, b.finish(ctx, md.ResourceMetrics().Len())
}

// resourceMetrics compares a resource and its points; it reports whether they go.
func (b *batch) resourceMetrics(rm pmetric.ResourceMetrics) bool {
	if b.id == nil {
		b.note(finding{reason: unverified}, rejected, pointCount(rm))
		return true
	}
	attrs := rm.Resource().Attributes()
	r := b.resource(attrs)
	found := r.bad
	if found.reason == fine {
		found = b.points(rm, &r)
	}
	if found.reason == fine && r.cluster != "" {
		return false
	}
	return b.settle(attrs, &r, found, pointCount(rm), func(m moving) {
		for _, sm := range rm.ScopeMetrics().All() {
			m.attributes(sm.Scope().Attributes())
			for _, metric := range sm.Metrics().All() {
				eachPoint(metric, func(attrs pcommon.Map) bool { m.attributes(attrs); return true })
			}
		}
	})
}

// points returns what is wrong with the first point that has something wrong.
func (b *batch) points(rm pmetric.ResourceMetrics, r *resourceClaims) finding {
	for _, sm := range rm.ScopeMetrics().All() {
		if f := b.scope(sm.Scope().Attributes()); f.reason != fine {
			return f
		}
		for _, metric := range sm.Metrics().All() {
			if f := b.pointsOf(metric, r); f.reason != fine {
				return f
			}
		}
	}
	return finding{}
}

func (b *batch) pointsOf(metric pmetric.Metric, r *resourceClaims) finding {
	switch metric.Type() {
	case pmetric.MetricTypeGauge:
		return compareAll(b, r, metric.Gauge().DataPoints())
	case pmetric.MetricTypeSum:
		return compareAll(b, r, metric.Sum().DataPoints())
	case pmetric.MetricTypeHistogram:
		return compareAll(b, r, metric.Histogram().DataPoints())
	case pmetric.MetricTypeExponentialHistogram:
		return compareAll(b, r, metric.ExponentialHistogram().DataPoints())
	case pmetric.MetricTypeSummary:
		return compareAll(b, r, metric.Summary().DataPoints())
	}
	return finding{}
}

// compareAll compares points of one type. It is no visitor, which would allocate for each point.
func compareAll[P interface{ Attributes() pcommon.Map }, S interface {
	Len() int
	At(i int) P
}](b *batch, r *resourceClaims, points S) finding {
	for n := range points.Len() {
		if f := b.point(r, points.At(n).Attributes()); f.reason != fine {
			return f
		}
	}
	return finding{}
}

func (b *batch) point(r *resourceClaims, attrs pcommon.Map) finding {
	i := r.base(&b.judge)
	for key, value := range attrs.All() {
		i.look(key, value)
	}
	return i.finding()
}

// eachPoint visits the attributes of a metric's points until visit says to stop.
func eachPoint(metric pmetric.Metric, visit func(attrs pcommon.Map) bool) {
	switch metric.Type() {
	case pmetric.MetricTypeGauge:
		eachOf(metric.Gauge().DataPoints(), visit)
	case pmetric.MetricTypeSum:
		eachOf(metric.Sum().DataPoints(), visit)
	case pmetric.MetricTypeHistogram:
		eachOf(metric.Histogram().DataPoints(), visit)
	case pmetric.MetricTypeExponentialHistogram:
		eachOf(metric.ExponentialHistogram().DataPoints(), visit)
	case pmetric.MetricTypeSummary:
		eachOf(metric.Summary().DataPoints(), visit)
	}
}

// eachOf visits points of one type.
func eachOf[P interface{ Attributes() pcommon.Map }, S interface {
	Len() int
	At(i int) P
}](points S, visit func(attrs pcommon.Map) bool) {
	for i := range points.Len() {
		if !visit(points.At(i).Attributes()) {
			return
		}
	}
}

func pointCount(rm pmetric.ResourceMetrics) (n int) {
	for _, sm := range rm.ScopeMetrics().All() {
		for _, metric := range sm.Metrics().All() {
			eachPoint(metric, func(pcommon.Map) bool { n++; return true })
		}
	}
	return n
}
