// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshmetricsprocessor/internal/series"
)

// visitor says which process a resource is of, and when that began.
func (b *batch) visitor(rm pmetric.ResourceMetrics) series.Visitor {
	v := series.Visitor{}
	for _, sm := range rm.ScopeMetrics().All() {
		v.Scraped = v.Scraped || isScraped(sm.Scope().Name())
	}
	v.Time = firstTime(rm)
	v.Instance, v.Pod = b.seeds.process(rm.Resource().Attributes(), v.Scraped)
	if !v.Scraped {
		v.Pod = series.Key{}
		return v
	}
	for _, sm := range rm.ScopeMetrics().All() {
		for _, m := range sm.Metrics().All() {
			if m.Type() != pmetric.MetricTypeGauge || m.Gauge().DataPoints().Len() != 1 {
				continue
			}
			switch point := m.Gauge().DataPoints().At(0); m.Name() {
			case "envoy_server_uptime":
				v.Process = uptimeBegan(int64(point.Timestamp()), number(point))
			case "process_start_time_seconds":
				v.Process = processBegan(number(point))
			}
		}
	}
	return v
}

// firstTime returns the time of a resource's first counter or histogram.
func firstTime(rm pmetric.ResourceMetrics) int64 {
	for _, sm := range rm.ScopeMetrics().All() {
		for _, m := range sm.Metrics().All() {
			switch {
			case m.Type() == pmetric.MetricTypeSum && m.Sum().DataPoints().Len() > 0:
				return int64(m.Sum().DataPoints().At(0).Timestamp())
			case m.Type() == pmetric.MetricTypeHistogram && m.Histogram().DataPoints().Len() > 0:
				return int64(m.Histogram().DataPoints().At(0).Timestamp())
			}
		}
	}
	return 0
}

const lastSecond = 1 << 33 // what fits into nanoseconds

func processBegan(seconds float64) int64 {
	if seconds > 0 && seconds < lastSecond {
		return int64(seconds * 1e9)
	}
	return 0
}

// uptimeBegan is when a process began that was so many seconds old at a time, and never later than that time: a process that
// was scraped in its first second would else be younger than its own points.
func uptimeBegan(at int64, uptime float64) int64 {
	if uptime >= 0 && uptime < lastSecond {
		return max(at-int64(uptime*1e9), 0)
	}
	return 0
}

func number(point pmetric.NumberDataPoint) float64 {
	if point.ValueType() == pmetric.NumberDataPointValueTypeInt {
		return float64(point.IntValue())
	}
	return point.DoubleValue()
}

func (b *batch) resource(rm pmetric.ResourceMetrics, from series.Visitor) {
	some := false
	for _, sm := range rm.ScopeMetrics().All() {
		some = some || sm.Metrics().Len() > 0
	}
	if !some {
		return
	}
	b.rm = rm
	clear(b.resKeys)
	b.wholeKey = series.Key{}
	b.visit = b.store.Begin(from)
	defer func() {
		n := b.visit.End()
		b.outcomes[series.Baseline] -= n
		b.outcomes[series.FromZero] += n
	}()
	for _, sm := range rm.ScopeMetrics().All() {
		b.sm = sm
		b.scopeKey = b.seeds.text(sm.Scope().Name(), sm.Scope().Version())
		for _, m := range sm.Metrics().All() {
			b.read(m)
		}
	}
}

func (b *batch) read(m pmetric.Metric) {
	b.metric, b.rule = m, b.rules.of(m.Name())
	b.resKey = b.resourceKey()
	b.mKey = b.seeds.text(m.Name(), m.Unit(), m.Type().String())
	if m.Type() == pmetric.MetricTypeHistogram {
		cumulative := m.Histogram().AggregationTemporality() == pmetric.AggregationTemporalityCumulative
		if b.refused && !cumulative {
			return
		}
		for _, point := range m.Histogram().DataPoints().All() {
			b.histogram(point, cumulative)
		}
		return
	}
	cumulative := m.Sum().AggregationTemporality() == pmetric.AggregationTemporalityCumulative
	if b.refused && !cumulative {
		return
	}
	for _, point := range m.Sum().DataPoints().All() {
		b.counter(point, cumulative)
	}
}

// resourceKey is the key of what the rule leaves of the resource.
func (b *batch) resourceKey() series.Key {
	if b.resKeys == nil {
		b.resKeys = make([]resourceKey, len(b.rules.list))
	}
	r := &b.resKeys[b.rule.number]
	if r.known {
		return r.key
	}
	*r = resourceKey{known: true}
	for name, value := range b.rm.Resource().Attributes().All() {
		if b.resources.has(name) && !b.rule.except.has(name) {
			add(&r.key, b.seeds.pair(b.seeds.name(name), value))
		}
	}
	return r.key
}

func (b *batch) counter(point pmetric.NumberDataPoint, cumulative bool) {
	r := series.Reading{
		Kind: series.Float, Cumulative: cumulative, Gone: point.Flags().NoRecordedValue(),
		Start: int64(point.StartTimestamp()), Time: int64(point.Timestamp()),
	}
	if point.ValueType() == pmetric.NumberDataPointValueTypeInt {
		r.Kind = series.Int
		if point.IntValue() < 0 {
			b.drop(series.Negative)
			return
		}
		r.Count = uint64(point.IntValue())
	} else if !r.Gone {
		r.Sum = point.DoubleValue()
	}
	b.exemplars += int64(point.Exemplars().Len())
	b.add(&r, point.Attributes(), pcommon.Float64Slice{}, series.Key{})
}

func (b *batch) histogram(point pmetric.HistogramDataPoint, cumulative bool) {
	r := series.Reading{
		Kind: series.Histogram, Cumulative: cumulative, Gone: point.Flags().NoRecordedValue(),
		Start: int64(point.StartTimestamp()), Time: int64(point.Timestamp()),
	}
	counts, bounds := point.BucketCounts(), point.ExplicitBounds()
	switch {
	case r.Gone: // It has no counts, and bounds as it likes.
	case counts.Len() == bounds.Len()+1:
	case counts.Len() == 0 && (bounds.Len() == 0 || b.rule.noBuckets):
	default:
		b.drop(series.Shape)
		return
	}
	b.buckets = b.buckets[:0]
	if b.rule.noBuckets || bounds.Len() == 0 {
		// One bucket for all is the count.
		counts, bounds = noCounts, noBounds
	}
	for i := range counts.Len() {
		b.buckets = append(b.buckets, counts.At(i))
	}
	r.Count, r.Sum, r.Buckets = point.Count(), point.Sum(), b.buckets
	b.exemplars += int64(point.Exemplars().Len())
	shape := b.seeds.bounds(bounds)
	b.hasSum = point.HasSum()
	if b.hasSum {
		shape.Hi ^= b.seeds.mix
	}
	b.add(&r, point.Attributes(), bounds, shape)
}

func (b *batch) drop(why series.Outcome) {
	b.outcomes[why]++
	b.visit.Drop()
}

// add adds a reading to what is written of it.
func (b *batch) add(r *series.Reading, attrs pcommon.Map, bounds pcommon.Float64Slice, shape series.Key) {
	if !r.Cumulative && b.repeated(r, attrs, shape) {
		b.outcomes[series.Repeated]++
		return
	}
	if b.known {
		return
	}
	if r.Time == 0 {
		r.Time = b.now
	}
	id, labels := b.seeds.pointKeys(b.rule, attrs)
	metric := fold(b.mKey, shape)
	id = fold(metric, fold(b.scopeKey, id))
	// Whole numbers are added up apart from others; a marker has no value to tell by, so it is the same series.
	metric.Lo += uint64(r.Kind)
	resource := fold(b.resKey, b.scopeKey)
	want := fold(metric, fold(resource, labels))
	b.current = point{kind: r.Kind, want: want, metric: metric, resource: resource, attrs: attrs, bounds: bounds}
	if b.find == nil {
		// Once, not for each point.
		b.find = b.output
	}
	outcome, level := b.visit.Add(id, want, r, b.find)
	b.outcomes[outcome]++
	b.overflowed[level]++
}

// repeated says that a delta came before: the same series, labels that do not stay too, with the same times and value.
func (b *batch) repeated(r *series.Reading, attrs pcommon.Map, shape series.Key) bool {
	if r.Time == 0 || b.keeper == nil {
		// Without a time nothing tells it from the next one.
		return false
	}
	if b.wholeKey == (series.Key{}) {
		b.wholeKey = b.seeds.all(b.rm.Resource().Attributes())
	}
	k := fold(fold(b.mKey, shape), fold(b.scopeKey, b.seeds.all(attrs)))
	k = fold(k, b.wholeKey)
	k = fold(k, series.Key{Hi: uint64(r.Start), Lo: uint64(r.Time)})
	return b.store.Recent.Add(fold(k, series.Key{Hi: r.Count, Lo: math.Float64bits(r.Sum)}))
}

// output returns the series that a point is written to: its own one, or where the budget is spent that of its
// topology, or that of its metric.
func (b *batch) output() *series.Output {
	p := &b.current
	epoch := b.store.Epoch()
	for level := range series.Levels {
		key := p.want
		switch level {
		case series.Topology:
			key = fold(fold(p.metric, fold(p.resource, b.seeds.topology(b.rule, p.attrs))), series.Key{Lo: uint64(level)})
		case series.Total:
			key = fold(fold(p.metric, b.clusterKey()), series.Key{Lo: uint64(level)})
		}
		if o := b.store.Table.Get(key, level, p.kind, epoch, func() (any, int) { return b.label(p.attrs, p.bounds, level) }); o != nil {
			return o
		}
	}
	return nil
}

var noCounts, noBounds = pcommon.NewUInt64Slice(), pcommon.NewFloat64Slice()
