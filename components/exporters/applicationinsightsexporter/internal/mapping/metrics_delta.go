// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"math"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
)

// slot is an item to be: a delta point, or several that are equal but for what is no dimension.
type slot struct {
	// stamp is the time that the point tells, and at that of the item.
	stamp pcommon.Timestamp
	at    time.Time
	// from and to are where its dimensions stand.
	from, to int
	// points is how many it stands for.
	points   uint64
	exemplar exemplar

	// Of sums: whole numbers are added as such, so that they stay exact.
	whole      bool
	i          int64
	f          float64
	smallest   float64
	greatest   float64
	histograms bool

	// Of histograms. One of explicit and exponential holds the classes.
	distribution  distribution
	explicit      explicit
	isExponential bool
	exponential   exponential
}

// delta takes a point of a sum with delta temporality.
func (x *metricWalk) delta(p pmetric.NumberDataPoint, several bool) {
	if x.noValue(p.Flags(), p.ValueType() == pmetric.NumberDataPointValueTypeEmpty) {
		return
	}
	s := slot{whole: p.ValueType() == pmetric.NumberDataPointValueTypeInt, i: p.IntValue(), f: p.DoubleValue(), exemplar: x.exemplar(p.Exemplars())}
	if s.whole {
		s.f = float64(s.i)
	}
	if x.SkipZeroDeltas && s.f == 0 {
		x.walk.counts.pointsEmpty++
		return
	}
	s.smallest, s.greatest = s.f, s.f
	x.put(&s, p.Attributes(), p.Timestamp(), p.StartTimestamp(), several && finite(s.f))
}

// histogram takes the points of a histogram with explicit bounds.
func (x *metricWalk) histogram(h pmetric.Histogram) {
	delta := h.AggregationTemporality() == pmetric.AggregationTemporalityDelta
	several := h.DataPoints().Len() > 1
	for _, p := range h.DataPoints().All() {
		if !changed(x, p, delta) {
			continue
		}
		s := slotOf(x, p)
		s.explicit = explicit{bounds: x.copyBounds(p.ExplicitBounds()), counts: x.copyCounts(p.BucketCounts())}
		x.put(&s, p.Attributes(), p.Timestamp(), p.StartTimestamp(), several && finite(p.Sum()))
	}
}

// exponentialHistogram takes the points of an exponential histogram.
func (x *metricWalk) exponentialHistogram(h pmetric.ExponentialHistogram) {
	delta := h.AggregationTemporality() == pmetric.AggregationTemporalityDelta
	several := h.DataPoints().Len() > 1
	for _, p := range h.DataPoints().All() {
		if !changed(x, p, delta) {
			continue
		}
		s := slotOf(x, p)
		s.isExponential = true
		s.exponential = exponential{
			scale: p.Scale(), zeroThreshold: p.ZeroThreshold(), zero: p.ZeroCount(),
			positive: exponentialRange{int64(p.Positive().Offset()), x.copyCounts(p.Positive().BucketCounts())},
			negative: exponentialRange{int64(p.Negative().Offset()), x.copyCounts(p.Negative().BucketCounts())},
		}
		x.put(&s, p.Attributes(), p.Timestamp(), p.StartTimestamp(), several && finite(p.Sum()))
	}
}

// histogramPoint is what points of both kinds of histograms have.
type histogramPoint interface {
	pmetric.HistogramDataPoint | pmetric.ExponentialHistogramDataPoint

	Attributes() pcommon.Map
	Timestamp() pcommon.Timestamp
	StartTimestamp() pcommon.Timestamp
	Flags() pmetric.DataPointFlags
	Exemplars() pmetric.ExemplarSlice
	Count() uint64
	Sum() float64
	HasSum() bool
	Min() float64
	HasMin() bool
	Max() float64
	HasMax() bool
}

// changed says that a point tells a change with values. One that tells totals is written, and one that tells nothing counted.
func changed[P histogramPoint](x *metricWalk, p P, delta bool) bool {
	if x.noValue(p.Flags(), delta && p.Count() == 0) {
		return false
	}
	if !delta {
		from := x.choose(p.Attributes())
		x.totals(x.timeOf(p.Timestamp(), p.StartTimestamp()), x.dims[from:], p.Count(), p.Sum(), p.HasSum())
		x.dims = x.dims[:from]
	}
	return delta
}

// slotOf reads what is not about classes.
func slotOf[P histogramPoint](x *metricWalk, p P) slot {
	return slot{histograms: true, exemplar: x.exemplar(p.Exemplars()), distribution: distribution{
		count: p.Count(), sum: p.Sum(), hasSum: p.HasSum(), min: p.Min(), hasMin: p.HasMin() && finite(p.Min()),
		max: p.Max(), hasMax: p.HasMax() && finite(p.Max()),
	}}
}

// copyCounts keeps the counts of a point without an allocation for each.
func (x *metricWalk) copyCounts(counts pcommon.UInt64Slice) []uint64 {
	from := len(x.counts)
	for _, n := range counts.All() {
		x.counts = append(x.counts, n)
	}
	return x.counts[from:len(x.counts):len(x.counts)]
}

// copyBounds keeps the bounds of a point; those of one metric are equal as a rule, and then kept once.
func (x *metricWalk) copyBounds(bounds pcommon.Float64Slice) []float64 {
	if n := len(x.bounds); n == bounds.Len() {
		same := true
		for i := 0; same && i < n; i++ {
			same = x.bounds[i] == bounds.At(i)
		}
		if same {
			return x.bounds
		}
	}
	if len(x.bounds) > 0 {
		return bounds.AsRaw()
	}
	for _, bound := range bounds.All() {
		x.bounds = append(x.bounds, bound)
	}
	return x.bounds
}

// put adds the point to the slot that has the same dimensions and time, or opens a slot.
func (x *metricWalk) put(s *slot, attrs pcommon.Map, at, start pcommon.Timestamp, mergeable bool) {
	s.from = x.choose(attrs)
	s.to, s.stamp, s.at, s.points = len(x.dims), at, x.timeOf(at, start), 1
	if !x.MergePoints || !mergeable {
		x.slots = append(x.slots, *s)
		return
	}
	hash := hashOf(x.dims[s.from:s.to], at)
	known, ok := x.index[hash]
	if !ok {
		x.index[hash] = len(x.slots)
		x.slots = append(x.slots, *s)
		return
	}
	first := &x.slots[known]
	// That the hashes are equal proves nothing.
	if first.stamp != s.stamp || !slices.Equal(x.dims[first.from:first.to], x.dims[s.from:s.to]) || !first.add(s) {
		x.slots = append(x.slots, *s)
		return
	}
	x.dims = x.dims[:s.from]
	x.walk.counts.pointsMerged++
}

// add adds up two points, or returns false and changes nothing if that cannot be exact.
func (s *slot) add(other *slot) bool {
	if s.histograms != other.histograms {
		return false
	}
	if s.histograms {
		if !s.addHistogram(other) {
			return false
		}
	} else if !s.addNumber(other) {
		return false
	}
	s.points += other.points
	s.exemplar = s.exemplar.or(other.exemplar)
	return true
}

func (s *slot) addNumber(other *slot) bool {
	if s.whole != other.whole {
		return false
	}
	if s.whole {
		sum := s.i + other.i
		if (sum > s.i) != (other.i > 0) && other.i != 0 {
			return false // an overflow
		}
		s.i = sum
	} else if sum := s.f + other.f; finite(sum) {
		s.f = sum
	} else {
		return false
	}
	s.smallest, s.greatest = min(s.smallest, other.smallest), max(s.greatest, other.greatest)
	return true
}

func (s *slot) addHistogram(other *slot) bool {
	d, o := &s.distribution, &other.distribution
	sum := d.sum + o.sum
	if !finite(sum) || d.hasSum != o.hasSum || d.count > math.MaxUint64-o.count || s.isExponential != other.isExponential {
		return false
	}
	// Classes that could not be read are no reason to lose those that could.
	if s.isExponential {
		if !s.exponential.add(&other.exponential) {
			return false
		}
	} else if !s.explicit.add(other.explicit) {
		return false
	}
	d.count, d.sum = d.count+o.count, sum
	d.min, d.hasMin = min(d.min, o.min), d.hasMin && o.hasMin
	d.max, d.hasMax = max(d.max, o.max), d.hasMax && o.hasMax
	return true
}

// writeSlots writes the items of the metric.
func (x *metricWalk) writeSlots() {
	for i := range x.slots {
		if s := &x.slots[i]; s.histograms {
			x.writeHistogram(s)
		} else {
			x.writeDelta(s)
		}
	}
}

// writeDelta writes a measurement, or an aggregation of several: what the portal would make of them if they came one by
// one.
func (x *metricWalk) writeDelta(s *slot) {
	x.begin(s.at, "")
	if s.points > 1 {
		x.enc.Text("kind", "Aggregation", maxKindLength)
	}
	reject := x.value(s.whole, s.i, s.f)
	if s.points > 1 {
		x.enc.Int("count", int64(s.points))
		x.enc.Number("min", s.smallest)
		x.enc.Number("max", s.greatest)
	}
	x.end(x.dims[s.from:s.to], s.exemplar, false, reject)
}

const maxKindLength = 16

func (x *metricWalk) writeHistogram(s *slot) {
	d := &s.distribution
	x.buckets = x.buckets[:0]
	if s.isExponential {
		x.buckets = s.exponential.appendTo(x.buckets)
	} else {
		x.buckets = s.explicit.appendTo(x.buckets)
	}
	d.buckets = x.buckets
	count := int64(min(d.count, math.MaxInt64))
	if !d.hasSum {
		// Without the sum there is no aggregation, and nobody knows the sum.
		x.begin(s.at, suffixCount)
		x.enc.Int("value", count)
		x.end(x.dims[s.from:s.to], s.exemplar, false, items.RejectNone)
	} else {
		x.begin(s.at, "")
		x.enc.Text("kind", "Aggregation", maxKindLength)
		reject := x.value(false, 0, d.sum)
		x.enc.Int("count", count)
		if low, high, ok := d.extremes(); ok {
			x.enc.Number("min", low)
			x.enc.Number("max", high)
			if d.hasMin && d.hasMax && low == high {
				x.enc.Int("stdDev", 0)
			}
		}
		x.end(x.dims[s.from:s.to], s.exemplar, false, reject)
	}
	for _, p := range x.wanted {
		if value, ok := d.percentile(p.quantile); ok {
			x.derived(s.at, p.suffix, x.dims[s.from:s.to], value)
		}
	}
}

// totals writes count and sum since the start, each for itself.
func (x *metricWalk) totals(at time.Time, dims []dimension, count uint64, sum float64, hasSum bool) {
	x.walk.counts.pointsCumulative++
	x.begin(at, suffixCumulative+suffixCount)
	x.enc.Int("value", int64(min(count, math.MaxInt64)))
	x.end(dims, exemplar{}, false, items.RejectNone)
	if !hasSum {
		return
	}
	if !finite(sum) {
		x.walk.counts.pointsNotFinite++
	}
	x.derived(at, suffixCumulative+suffixSum, dims, sum)
}

// summary writes a point of a summary: count and sum are totals since the start by definition, and each quantile is what
// its sender made of a window that only the sender knows.
func (x *metricWalk) summary(p pmetric.SummaryDataPoint) {
	if x.noValue(p.Flags(), false) {
		return
	}
	from := x.choose(p.Attributes())
	at := x.timeOf(p.Timestamp(), p.StartTimestamp())
	x.totals(at, x.dims[from:], p.Count(), p.Sum(), true)
	for _, q := range p.QuantileValues().All() {
		// Prometheus has NaN for a quantile of no values, which is none.
		if finite(q.Value()) && q.Quantile() >= 0 && q.Quantile() <= 1 {
			x.derived(at, newPercentile(q.Quantile()).suffix, x.dims[from:], q.Value())
		}
	}
	x.dims = x.dims[:from]
}
