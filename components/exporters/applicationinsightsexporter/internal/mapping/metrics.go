// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"math"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
)

// Suffixes of metrics that are made of a part of another one.
const (
	// suffixCumulative marks totals since a start. The service adds up what it is given, so a total that had the name of
	// the metric would be added to its deltas and to its own former values.
	suffixCumulative = ".cumulative"
	suffixCount      = ".count"
	suffixSum        = ".sum"
)

// unnamedMetric is the name of a metric without one: the service refuses an item without a name.
const unnamedMetric = "unnamed"

// Metrics translates all points of md and appends their items. Each point becomes one item that is not derived, or is
// counted as stale, empty or merged.
func (m *Mapper) Metrics(md pmetric.Metrics, into *items.Batch) {
	x := metricWalks.Get().(*metricWalk)
	x.walk, x.metricRules = m.begin(into), m.metrics
	for _, rm := range md.ResourceMetrics().All() {
		x.setResource(rm.Resource())
		for _, sm := range rm.ScopeMetrics().All() {
			x.ns = m.metrics.namespace(sm.Scope().Name())
			for _, metric := range sm.Metrics().All() {
				x.metric(metric)
			}
		}
	}
	m.end(x.walk)
	x.forget()
	metricWalks.Put(x)
}

var metricWalks = sync.Pool{New: func() any { return &metricWalk{index: map[uint64]int{}} }}

// metricWalk is a walk and what it needs for points only.
type metricWalk struct {
	*walk
	*metricRules
	// attributes are those of the resource.
	attributes pcommon.Map

	// Of the current metric.
	name, ns, unit string
	names          []string
	wanted         []percentile

	slots  []slot
	index  map[uint64]int
	dims   []dimension
	others []dimension
	counts []uint64
	bounds []float64
	// buckets is for the percentiles of one item.
	buckets []bucket
}

// setResource hides that of the walk: what becomes a dimension is chosen for each metric, so of the resource only the tags
// are common to all items.
func (x *metricWalk) setResource(resource pcommon.Resource) {
	x.tellFragment(&x.resource)
	x.resource.Reset()
	x.attributes = resource.Attributes()
	x.resourceTags(x.attributes)
}

// forget lets go of the data, and of memory that only a huge batch needs.
func (x *metricWalk) forget() {
	x.walk, x.metricRules = nil, nil
	x.attributes = pcommon.Map{}
	x.name, x.ns, x.unit, x.names, x.wanted = "", "", "", nil, nil
	if cap(x.dims) > maxKept*MaxDimensions || cap(x.counts) > maxKept*MaxDimensions {
		x.dims, x.counts, x.bounds, x.slots, x.index = nil, nil, nil, nil, map[uint64]int{}
	}
	x.reset()
	// What was taken back still names texts of the batch.
	clear(x.dims[:cap(x.dims)])
	clear(x.others[:cap(x.others)])
}

// reset forgets the points of a metric.
func (x *metricWalk) reset() {
	clear(x.slots)
	clear(x.dims)
	clear(x.index)
	x.slots, x.dims, x.counts, x.bounds = x.slots[:0], x.dims[:0], x.counts[:0], x.bounds[:0]
}

func (x *metricWalk) metric(metric pmetric.Metric) {
	x.name = metric.Name()
	if x.name == "" {
		x.name = unnamedMetric
	}
	x.unit = x.metricRules.unit(metric.Unit())
	x.names = x.keep(x.name)
	x.wanted = x.metricRules.wanted(x.name)
	switch metric.Type() {
	case pmetric.MetricTypeGauge:
		for _, p := range metric.Gauge().DataPoints().All() {
			x.measured(p, "")
		}
	case pmetric.MetricTypeSum:
		x.sum(metric.Sum())
	case pmetric.MetricTypeHistogram:
		x.histogram(metric.Histogram())
	case pmetric.MetricTypeExponentialHistogram:
		x.exponentialHistogram(metric.ExponentialHistogram())
	case pmetric.MetricTypeSummary:
		for _, p := range metric.Summary().DataPoints().All() {
			x.summary(p)
		}
	}
	x.writeSlots()
	x.reset()
}

// sum tells deltas as they are; totals of what goes up and down as gauges, which they are; and other totals apart.
func (x *metricWalk) sum(sum pmetric.Sum) {
	delta := sum.AggregationTemporality() == pmetric.AggregationTemporalityDelta
	several := sum.DataPoints().Len() > 1
	for _, p := range sum.DataPoints().All() {
		switch {
		case delta:
			x.delta(p, several)
		case sum.IsMonotonic():
			x.measured(p, suffixCumulative)
		default:
			x.measured(p, "")
		}
	}
}

// measured writes the item of a point that stands for itself.
func (x *metricWalk) measured(p pmetric.NumberDataPoint, suffix string) {
	if x.noValue(p.Flags(), p.ValueType() == pmetric.NumberDataPointValueTypeEmpty) {
		return
	}
	if suffix == suffixCumulative {
		x.walk.counts.pointsCumulative++
	}
	from := x.choose(p.Attributes())
	at := x.timeOf(p.Timestamp(), p.StartTimestamp())
	x.begin(at, suffix)
	reject := x.value(p.ValueType() == pmetric.NumberDataPointValueTypeInt, p.IntValue(), p.DoubleValue())
	x.end(x.dims[from:], x.exemplar(p.Exemplars()), false, reject)
	x.dims = x.dims[:from]
}

// noValue counts points that tell nothing.
func (x *metricWalk) noValue(flags pmetric.DataPointFlags, empty bool) bool {
	switch {
	case flags.NoRecordedValue():
		x.walk.counts.pointsStale++
		return true
	case empty:
		x.walk.counts.pointsEmpty++
		return true
	default:
		return false
	}
}

// timeOf returns when a point was measured; without that the start of its interval, or else now.
func (x *metricWalk) timeOf(at, start pcommon.Timestamp) time.Time {
	switch {
	case isTime(at):
		return at.AsTime()
	case isTime(start):
		return start.AsTime()
	default:
		return x.m.now()
	}
}

// begin opens an item up to the name of its metric.
func (x *metricWalk) begin(at time.Time, suffix string) {
	x.item(items.KindMetric, at, 0)
	x.data()
	x.enc.BeginObjects("metrics")
	x.enc.Text("ns", x.ns, maxNamespaceLength)
	name := x.name
	if len(name)+len(suffix) > maxMetricNameLength {
		var cut bool
		if name, cut = cutText(name, maxMetricNameLength-len(suffix)); cut {
			x.walk.counts.textsTrimmed++
		}
	}
	x.enc.Open("name", maxMetricNameLength)
	x.enc.Write(name)
	x.enc.Write(suffix)
	x.enc.CloseOr(unnamedMetric)
}

// value writes the value of an item, and returns RejectNotFinite if it has none that the service takes.
func (x *metricWalk) value(whole bool, i int64, f float64) items.Reject {
	if whole {
		x.enc.Int("value", i)
		return items.RejectNone
	}
	if !x.enc.Number("value", f) {
		x.walk.counts.pointsNotFinite++
		return items.RejectNotFinite
	}
	return items.RejectNone
}

// end writes the dimensions and ends the item.
func (x *metricWalk) end(dims []dimension, e exemplar, derived bool, reject items.Reject) {
	x.enc.EndObjects()
	x.enc.BeginProperties()
	for i := range dims {
		if x.enc.OpenProperty(dims[i].key) {
			writeSafe(&x.enc, dims[i].text)
			x.enc.CloseEmpty()
		}
	}
	room := MaxDimensions - len(dims)
	if x.unit != "" && room > 0 {
		x.enc.Property(x.UnitDimension, x.unit)
		room--
	}
	if !e.trace.IsEmpty() && room > 0 && x.enc.OpenProperty("exemplar.trace_id") {
		x.enc.WriteHex(e.trace[:])
		x.enc.CloseEmpty()
	}
	x.enc.End(derived, reject)
}

// derived writes an item that is made beside another one of the same point.
func (x *metricWalk) derived(at time.Time, suffix string, dims []dimension, value float64) {
	x.begin(at, suffix)
	reject := items.RejectNone
	if !x.enc.Number("value", value) {
		reject = items.RejectNotFinite
	}
	x.end(dims, exemplar{}, true, reject)
}

// exemplar is the measurement that a point shows as an example.
type exemplar struct {
	trace pcommon.TraceID
	value float64
}

// exemplar returns the one with the greatest value that tells its trace, if settings ask for it.
func (x *metricWalk) exemplar(list pmetric.ExemplarSlice) (greatest exemplar) {
	if !x.ExemplarTraceID {
		return exemplar{}
	}
	greatest.value = math.Inf(-1)
	for _, e := range list.All() {
		value := e.DoubleValue()
		if e.ValueType() == pmetric.ExemplarValueTypeInt {
			value = float64(e.IntValue())
		}
		greatest = greatest.or(exemplar{e.TraceID(), value})
	}
	return greatest
}

// or returns the one with the greater value.
func (e exemplar) or(other exemplar) exemplar {
	if other.trace.IsEmpty() || (!e.trace.IsEmpty() && !(other.value > e.value)) {
		return e
	}
	return other
}
