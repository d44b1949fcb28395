// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshmetricsprocessor/internal/series"
)

// batch is what is under way.
type batch struct {
	*meshMetrics
	refused  bool
	visitors []series.Visitor
	now      int64
	outcomes [series.Outcomes]int64
	// overflowed are points that were added to series of a level; those of the first did not.
	overflowed [series.Levels]int64
	exemplars  int64
	dropped    int64
	buckets    []uint64

	// What is being read.
	visit  *series.Visit
	rm     pmetric.ResourceMetrics
	sm     pmetric.ScopeMetrics
	metric pmetric.Metric
	rule   *rule
	// resKeys are what a rule leaves of the resource.
	resKeys []resourceKey
	resKey  series.Key
	mKey    series.Key
	// wholeKey is of all attributes of the resource, nothing if nobody asked for it.
	wholeKey series.Key
	scopeKey series.Key
	hasSum   bool
	// hasDelta says that some points are no totals.
	hasDelta bool
	// known says that what is read was added up already: deltas are remembered and no more.
	known   bool
	current point
	find    func() *series.Output
}

type resourceKey struct {
	key   series.Key
	known bool
}

// point is the one that is being added.
type point struct {
	kind                   series.Kind
	want, metric, resource series.Key
	attrs                  pcommon.Map
	bounds                 pcommon.Float64Slice
}

// split returns the metrics that are not handled; they leave md. Where nothing is handled it returns md itself.
func (b *batch) split(md pmetric.Metrics) (rest pmetric.Metrics, handled bool) {
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				handled = handled || b.ruleOf(m) != nil
			}
		}
	}
	if !handled {
		return md, false
	}
	rest = pmetric.NewMetrics()
	for _, rm := range md.ResourceMetrics().All() {
		b.visitors = append(b.visitors, b.visitor(rm))
		b.splitResource(rm, rest)
	}
	return rest, true
}

func (b *batch) splitResource(rm pmetric.ResourceMetrics, rest pmetric.Metrics) {
	var other pmetric.ResourceMetrics
	hasResource := false
	for _, sm := range rm.ScopeMetrics().All() {
		var scope pmetric.ScopeMetrics
		hasScope := false
		sm.Metrics().RemoveIf(func(m pmetric.Metric) bool {
			r := b.ruleOf(m)
			switch {
			case r == nil:
			case r.drop:
				b.dropped += points(m)
				return true
			default:
				return false
			}
			if !hasResource {
				other, hasResource = rest.ResourceMetrics().AppendEmpty(), true
				rm.Resource().CopyTo(other.Resource())
				other.SetSchemaUrl(rm.SchemaUrl())
			}
			if !hasScope {
				scope, hasScope = other.ScopeMetrics().AppendEmpty(), true
				sm.Scope().CopyTo(scope.Scope())
				scope.SetSchemaUrl(sm.SchemaUrl())
			}
			m.MoveTo(scope.Metrics().AppendEmpty())
			return true
		})
	}
}

// ruleOf returns what is done with a metric, nil if it passes. Gauges, summaries, exponential histograms and sums that
// may fall pass.
func (b *batch) ruleOf(m pmetric.Metric) *rule {
	r := b.rules.of(m.Name())
	if r == nil || r.drop {
		return r
	}
	temporality := pmetric.AggregationTemporalityUnspecified
	switch m.Type() {
	case pmetric.MetricTypeSum:
		if m.Sum().IsMonotonic() {
			temporality = m.Sum().AggregationTemporality()
		}
	case pmetric.MetricTypeHistogram:
		temporality = m.Histogram().AggregationTemporality()
	default:
	}
	if temporality == pmetric.AggregationTemporalityUnspecified {
		return nil
	}
	b.hasDelta = b.hasDelta || temporality == pmetric.AggregationTemporalityDelta
	return r
}

func points(m pmetric.Metric) int64 {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return int64(m.Gauge().DataPoints().Len())
	case pmetric.MetricTypeSum:
		return int64(m.Sum().DataPoints().Len())
	case pmetric.MetricTypeHistogram:
		return int64(m.Histogram().DataPoints().Len())
	case pmetric.MetricTypeExponentialHistogram:
		return int64(m.ExponentialHistogram().DataPoints().Len())
	case pmetric.MetricTypeSummary:
		return int64(m.Summary().DataPoints().Len())
	default:
		return 0
	}
}
