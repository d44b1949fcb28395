// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/exphist"
	"github.com/otelcol-mesh/otelcol-mesh/internal/points"
)

// points hands on the points of a metric of a known name.
func (w *walker) points(m pmetric.Metric) {
	switch {
	case w.quantity == ejected:
		w.gauge(m)
	case m.Type() == pmetric.MetricTypeSum && w.quantity != duration:
		w.sum(m.Sum())
	case m.Type() == pmetric.MetricTypeHistogram && w.hasHistogram():
		w.histogram(m.Histogram())
	case m.Type() == pmetric.MetricTypeExponentialHistogram && w.hasHistogram():
		w.exponential(m.ExponentialHistogram())
	default:
		w.counts[WrongType] += points.Of(m)
	}
}

// hasHistogram says whether the quantity may come as a histogram: durations, and bytes of requests.
func (w *walker) hasHistogram() bool {
	return w.quantity == duration || !w.tcp && (w.quantity == requestBytes || w.quantity == responseBytes)
}

func (w *walker) delta(t pmetric.AggregationTemporality, points int) bool {
	if t != pmetric.AggregationTemporalityDelta {
		w.counts[NotDelta] += points
		return false
	}
	return true
}

func (w *walker) sum(s pmetric.Sum) {
	points := s.DataPoints()
	if !w.delta(s.AggregationTemporality(), points.Len()) {
		return
	}
	for i := range points.Len() {
		dp := points.At(i)
		n, out := numberOf(dp)
		if out == Taken {
			out = w.read.attributes(w, dp.Attributes())
		}
		if out == Taken {
			w.put(n)
			hash := w.times(dp.StartTimestamp(), dp.Timestamp()).fold(n)
			out = w.hand(hash)
		}
		w.counts[out]++
	}
}

// numberOf reads a count. Counters of a Prometheus page are floats.
func numberOf(dp pmetric.NumberDataPoint) (uint64, Outcome) {
	if dp.Flags().NoRecordedValue() {
		return 0, NoValue
	}
	switch dp.ValueType() {
	case pmetric.NumberDataPointValueTypeInt:
		v := dp.IntValue()
		switch {
		case v < 0:
			return 0, BadValue
		case v == 0:
			return 0, Zero
		}
		return uint64(v), Taken
	case pmetric.NumberDataPointValueTypeDouble:
		return wholeOf(dp.DoubleValue())
	}
	return 0, NoValue
}

// wholeOf rounds to the nearest whole number, which is what a counter counts.
func wholeOf(v float64) (uint64, Outcome) {
	v = math.Round(v)
	switch {
	case !(v >= 0) || v >= 1<<64:
		return 0, BadValue
	case v == 0:
		return 0, Zero
	}
	return uint64(v), Taken
}

// put sets what the metric counts.
func (w *walker) put(n uint64) {
	p := &w.read.point
	switch w.quantity {
	case requests:
		p.Requests = n
	case requestBytes, responseBytes:
		if w.read.toDestination(w.quantity) {
			p.RequestBytes = n
		} else {
			p.ResponseBytes = n
		}
	case opened:
		p.Opened = n
	case closed:
		p.Closed = n
	case failed:
		p.FailedConnections = n
	}
}

// times notes when the point ends, and hashes all of it but the values.
func (w *walker) times(start, end pcommon.Timestamp) sum128 {
	w.read.point.Time = int64(end / 1e9)
	return w.metric.join(w.read.hash).fold(uint64(start)).fold(uint64(end))
}

// hand gives the point to the graph.
func (w *walker) hand(hash sum128) Outcome {
	if err := w.add(hash.id(), &w.read.point); err != nil {
		return Refused
	}
	return Taken
}

func (w *walker) histogram(h pmetric.Histogram) {
	points := h.DataPoints()
	if !w.delta(h.AggregationTemporality(), points.Len()) {
		return
	}
	for i := range points.Len() {
		w.counts[w.explicit(points.At(i))]++
	}
}

func (w *walker) explicit(dp pmetric.HistogramDataPoint) Outcome {
	if dp.Flags().NoRecordedValue() {
		return NoValue
	}
	var n uint64
	if w.quantity != duration {
		var out Outcome
		if n, out = bytesOf(dp.HasSum(), dp.Sum(), dp.Count()); out != Taken {
			return out
		}
	} else if out := w.distribution(dp); out != Taken {
		return out
	}
	if out := w.read.attributes(w, dp.Attributes()); out != Taken {
		return out
	}
	hash := w.times(dp.StartTimestamp(), dp.Timestamp()).fold(dp.Count()).float(dp.Sum())
	if w.quantity == duration {
		p := &w.read.point
		p.LatencyBounds, p.LatencyCounts, p.LatencySum = w.bounds, w.buckets, dp.Sum()
		for _, c := range w.buckets {
			hash = hash.fold(c)
		}
	} else {
		w.put(n)
	}
	return w.hand(hash)
}

// distribution copies bounds and buckets.
func (w *walker) distribution(dp pmetric.HistogramDataPoint) Outcome {
	counts, bounds := dp.BucketCounts(), dp.ExplicitBounds()
	switch {
	case dp.Count() == 0:
		return Zero
	case counts.Len() == 0:
		return NoBuckets
	case dp.HasSum() && !(dp.Sum() >= 0):
		return BadValue
	}
	w.buckets, w.bounds = w.buckets[:0], w.bounds[:0]
	for i := range counts.Len() {
		w.buckets = append(w.buckets, counts.At(i))
	}
	for i := range bounds.Len() {
		w.bounds = append(w.bounds, bounds.At(i))
	}
	return Taken
}

// bytesOf is the sum of a histogram.
func bytesOf(has bool, sum float64, count uint64) (uint64, Outcome) {
	switch {
	case count == 0:
		return 0, Zero
	case !has:
		return 0, NoValue
	}
	return wholeOf(sum)
}

func (w *walker) exponential(h pmetric.ExponentialHistogram) {
	points := h.DataPoints()
	if !w.delta(h.AggregationTemporality(), points.Len()) {
		return
	}
	for i := range points.Len() {
		w.counts[w.exponentialPoint(points.At(i))]++
	}
}

func (w *walker) exponentialPoint(dp pmetric.ExponentialHistogramDataPoint) Outcome {
	if dp.Flags().NoRecordedValue() {
		return NoValue
	}
	var n uint64
	if w.quantity != duration {
		var out Outcome
		if n, out = bytesOf(dp.HasSum(), dp.Sum(), dp.Count()); out != Taken {
			return out
		}
	} else if out := w.exponentialBuckets(dp); out != Taken {
		return out
	}
	if out := w.read.attributes(w, dp.Attributes()); out != Taken {
		return out
	}
	hash := w.times(dp.StartTimestamp(), dp.Timestamp()).fold(dp.Count()).float(dp.Sum())
	if w.quantity == duration {
		w.read.point.Latency = &w.exp
		hash = hash.fold(uint64(uint32(w.exp.Scale))<<32 | uint64(uint32(w.exp.Offset))).fold(w.exp.Zero)
		for _, c := range w.buckets {
			hash = hash.fold(c)
		}
	} else {
		w.put(n)
	}
	return w.hand(hash)
}

// exponentialBuckets copies the histogram. No duration is negative.
func (w *walker) exponentialBuckets(dp pmetric.ExponentialHistogramDataPoint) Outcome {
	negative := dp.Negative().BucketCounts()
	for i := range negative.Len() {
		if negative.At(i) != 0 {
			return BadValue
		}
	}
	counts := dp.Positive().BucketCounts()
	switch {
	case dp.Count() == 0:
		return Zero
	case counts.Len() == 0 && dp.ZeroCount() == 0:
		return NoBuckets
	case dp.HasSum() && !(dp.Sum() >= 0):
		return BadValue
	}
	w.buckets = w.buckets[:0]
	for i := range counts.Len() {
		w.buckets = append(w.buckets, counts.At(i))
	}
	w.exp = exphist.Points{
		Zero: dp.ZeroCount(), ZeroThreshold: dp.ZeroThreshold(), Scale: dp.Scale(), Offset: dp.Positive().Offset(),
		Counts: w.buckets, Sum: dp.Sum(), Min: dp.Min(), Max: dp.Max(), HasExtremes: dp.HasMin() && dp.HasMax(),
	}
	return Taken
}

// gauge hands on how many hosts are out of use.
func (w *walker) gauge(m pmetric.Metric) {
	if m.Type() != pmetric.MetricTypeGauge {
		w.counts[WrongType] += points.Of(m)
		return
	}
	points := m.Gauge().DataPoints()
	for i := range points.Len() {
		dp := points.At(i)
		n, out := numberOf(dp)
		if out == Zero {
			out = Taken
		}
		if out == Taken {
			out = w.eject(dp, n)
		}
		w.counts[out]++
	}
}

func (w *walker) eject(dp pmetric.NumberDataPoint, hosts uint64) Outcome {
	var r reading
	r.scan(&w.feed.hasher, dp.Attributes())
	key := &r.point.Key
	if key.Callee.Service == "" {
		return NoEnds
	}
	w.ejection = Ejection{
		Proxy: w.resource.id(), Series: w.resource.join(r.hash).id(), Caller: key.Caller, Namespace: key.Callee.Namespace, Service: key.Callee.Service,
		Hosts: hosts, Time: dp.Timestamp().AsTime(),
	}
	w.feed.Ejected(&w.ejection)
	return Taken
}
