// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// histogramOf adds a delta point with these values.
func histogramOf(metrics pmetric.MetricSlice, name string, values, bounds []float64, extremes bool) pmetric.HistogramDataPoint {
	metric := metrics.AppendEmpty()
	metric.SetName(name)
	metric.SetUnit("ms")
	h := metric.SetEmptyHistogram()
	h.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	return pointOf(h.DataPoints(), values, bounds, extremes)
}

func pointOf(points pmetric.HistogramDataPointSlice, values, bounds []float64, extremes bool) pmetric.HistogramDataPoint {
	p := points.AppendEmpty()
	p.SetTimestamp(pcommon.NewTimestampFromTime(caseTime))
	e := explicitOf(values, bounds)
	p.ExplicitBounds().FromRaw(e.bounds)
	p.BucketCounts().FromRaw(e.counts)
	p.SetCount(uint64(len(values)))
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	p.SetSum(sum)
	if extremes {
		p.SetMin(slices.Min(values))
		p.SetMax(slices.Max(values))
	}
	return p
}

func TestAHistogramIsAnAggregationAndItsPercentiles(t *testing.T) {
	m, told := mapperOf(t, nil)
	values := []float64{1, 2, 3, 4, 100}
	b, envelopes := metricsOf(t, m, func(metrics pmetric.MetricSlice) {
		histogramOf(metrics, "http.server.request.duration", values, []float64{5, 10, 200}, true)
		histogramOf(metrics, "istio_request_bytes", values, []float64{5, 10, 200}, false)
	})
	assert.Equal(t, []ai.DataPoint{
		{Name: "http.server.request.duration", Kind: ai.Aggregation, Value: 110, Count: new(int64(5)), Min: new(1.0), Max: new(100.0)},
		{Name: "http.server.request.duration.p50", Value: 3.5},
		{Name: "http.server.request.duration.p95", Value: 55},
		{Name: "http.server.request.duration.p99", Value: 55},
		{Name: "istio_request_bytes", Kind: ai.Aggregation, Value: 110, Count: new(int64(5)), Min: new(5.0), Max: new(200.0)},
	}, points(t, envelopes))
	assert.Equal(t, 2, b.Sources(), "percentiles are made beside")
	assert.Zero(t, told.pointsMerged)
	for _, e := range envelopes {
		assert.Equal(t, "ms", data[*ai.MetricData](t, e).Properties["unit"])
	}
}

func TestEqualValuesHaveNoDeviation(t *testing.T) {
	m, _ := mapperOf(t, nil)
	_, envelopes := metricsOf(t, m, func(metrics pmetric.MetricSlice) {
		histogramOf(metrics, "size", []float64{4, 4}, []float64{5}, true)
		histogramOf(metrics, "size", []float64{4, 4}, []float64{5}, false)
	})
	got := points(t, envelopes)
	assert.Equal(t, new(0.0), got[0].StdDev)
	assert.Nil(t, got[1].StdDev, "nobody said that they are equal")
}

func TestAHistogramWithoutASumIsACount(t *testing.T) {
	m, _ := mapperOf(t, nil)
	_, envelopes := metricsOf(t, m, func(metrics pmetric.MetricSlice) {
		histogramOf(metrics, "change", []float64{-4, 4}, []float64{0}, true).RemoveSum()
	})
	assert.Equal(t, []ai.DataPoint{{Name: "change.count", Value: 2}}, points(t, envelopes))
}

func TestCumulativeHistogramsAndSummariesAreTotals(t *testing.T) {
	m, told := mapperOf(t, nil)
	b, envelopes := metricsOf(t, m, func(metrics pmetric.MetricSlice) {
		histogramOf(metrics, "request.duration", []float64{1, 2}, []float64{5}, true)
		metrics.At(0).Histogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		metric := metrics.AppendEmpty()
		metric.SetName("gc")
		p := metric.SetEmptySummary().DataPoints().AppendEmpty()
		p.SetCount(9)
		p.SetSum(4.5)
		for q, v := range map[float64]float64{0.5: 1.5, 0.99: math.NaN()} {
			value := p.QuantileValues().AppendEmpty()
			value.SetQuantile(q)
			value.SetValue(v)
		}
		metric = metrics.AppendEmpty()
		metric.SetName("e")
		e := metric.SetEmptyExponentialHistogram()
		e.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		e.DataPoints().AppendEmpty().SetCount(3)
	})
	assert.Equal(t, []ai.DataPoint{
		{Name: "request.duration.cumulative.count", Value: 2},
		{Name: "request.duration.cumulative.sum", Value: 3},
		{Name: "gc.cumulative.count", Value: 9},
		{Name: "gc.cumulative.sum", Value: 4.5},
		{Name: "gc.p50", Value: 1.5},
		{Name: "e.cumulative.count", Value: 3},
	}, points(t, envelopes))
	assert.Equal(t, 3, b.Sources())
	assert.Equal(t, 3, told.pointsCumulative)
	assert.Zero(t, told.pointsEmpty, "a quantile of no values is no point")
}

func TestExponentialHistograms(t *testing.T) {
	m, _ := mapperOf(t, nil)
	r := rand.New(rand.NewPCG(7, 8))
	values := sample(r, "latency", 1000)
	_, envelopes := metricsOf(t, m, func(metrics pmetric.MetricSlice) {
		exponentialPoint(metrics, "call.duration", values, 4)
	})
	got := points(t, envelopes)
	require.Len(t, got, 4)
	assert.Equal(t, new(int64(1000)), got[0].Count)
	bound := math.Exp2(math.Exp2(-4)) - 1
	for i, q := range []float64{0.5, 0.95, 0.99} {
		want := trueQuantile(values, q)
		assert.InDelta(t, want, got[i+1].Value, want*bound, got[i+1].Name)
	}
}

func exponentialPoint(metrics pmetric.MetricSlice, name string, values []float64, scale int32) pmetric.ExponentialHistogramDataPoint {
	metric := metrics.AppendEmpty()
	metric.SetName(name)
	h := metric.SetEmptyExponentialHistogram()
	h.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	return exponentialInto(h.DataPoints(), values, scale)
}

func exponentialInto(points pmetric.ExponentialHistogramDataPointSlice, values []float64, scale int32) pmetric.ExponentialHistogramDataPoint {
	p := points.AppendEmpty()
	p.SetTimestamp(pcommon.NewTimestampFromTime(caseTime))
	e := exponentialOf(values, scale)
	p.SetScale(scale)
	p.SetZeroCount(e.zero)
	p.Positive().SetOffset(int32(e.positive.offset))
	p.Positive().BucketCounts().FromRaw(e.positive.counts)
	p.Negative().SetOffset(int32(e.negative.offset))
	p.Negative().BucketCounts().FromRaw(e.negative.counts)
	p.SetCount(uint64(len(values)))
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	p.SetSum(sum)
	return p
}

// TestTotalsOfDeltasAreExact sends random series whose attributes are mostly no dimensions, and finds the same count and sum
// in what the endpoint has, whatever was added up.
func TestTotalsOfDeltasAreExact(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		m, told := mapperOf(t, func(s *Settings) { s.Metrics.MergePoints = seed%4 != 0 })
		sent := 0
		var count, whole int64
		var sum float64
		b, envelopes := metricsOf(t, m, func(metrics pmetric.MetricSlice) {
			calls := sumOf(metrics, "istio_requests_total", pmetric.AggregationTemporalityDelta, true).DataPoints()
			h := histogramOf(metrics, "istio_request_duration_milliseconds", []float64{1}, istioBounds, false)
			h.SetCount(0) // an empty one is no item
			latencies := metrics.At(1).Histogram().DataPoints()
			metrics.AppendEmpty().SetName("istio_sizes")
			sizes := metrics.At(2).SetEmptyExponentialHistogram()
			sizes.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
			for range 200 {
				n := int64(r.IntN(1 << 40))
				numbers(calls, n)
				whole += n
				// Eighths have no rounding, so that the sum must be the same in any order.
				values := make([]float64, 1+r.IntN(20))
				for i := range values {
					values[i] = float64(1+r.IntN(300_000)) / 8
					sum += values[i]
				}
				count += int64(len(values))
				p := pointOf(latencies, values, istioBounds, r.IntN(2) == 0)
				x := exponentialInto(sizes.DataPoints(), values, int32(r.IntN(4)))
				// Series of different destinations, versions and times.
				destination, version, at := r.IntN(3), r.IntN(5), caseTime.Add(-time.Duration(r.IntN(2))*time.Minute)
				for _, attrs := range []pcommon.Map{calls.At(calls.Len() - 1).Attributes(), p.Attributes(), x.Attributes()} {
					attrs.PutStr("mesh.destination.service", fmt.Sprint("s", destination))
					attrs.PutStr("destination_version", fmt.Sprint("v", version))
				}
				calls.At(calls.Len() - 1).SetTimestamp(pcommon.NewTimestampFromTime(at))
				p.SetTimestamp(pcommon.NewTimestampFromTime(at))
				x.SetTimestamp(pcommon.NewTimestampFromTime(at))
				sent += 3
			}
		})
		var gotCalls float64
		var gotCount, gotSizes int64
		var gotSum, gotSizeSum float64
		for _, p := range points(t, envelopes) {
			switch p.Name {
			case "istio_requests_total":
				gotCalls += p.Value
			case "istio_request_duration_milliseconds":
				gotCount += *p.Count
				gotSum += p.Value
			case "istio_sizes":
				gotSizes += *p.Count
				gotSizeSum += p.Value
			}
		}
		assert.InDelta(t, float64(whole), gotCalls, 0, "up to 2^53 a number is exact")
		assert.Equal(t, count, gotCount)
		assert.InDelta(t, sum, gotSum, 0)
		assert.Equal(t, count, gotSizes)
		assert.InDelta(t, sum, gotSizeSum, 0)
		assert.Equal(t, sent, b.Sources()+told.pointsMerged, "each point is an item or part of one")
		if seed%4 == 0 {
			assert.Zero(t, told.pointsMerged)
		} else {
			assert.Equal(t, 3*3*2, b.Sources(), "3 metrics, 3 destinations, 2 times")
		}
	}
}

// TestMergedPercentilesAreThoseOfAllValues: percentiles cannot be averaged, so they are made after adding up.
func TestMergedPercentilesAreThoseOfAllValues(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	m, _ := mapperOf(t, nil)
	var all []float64
	_, envelopes := metricsOf(t, m, func(metrics pmetric.MetricSlice) {
		metric := metrics.AppendEmpty()
		metric.SetName("istio_request_duration_milliseconds")
		metric.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		for i := range 10 {
			values := sample(r, "latency", 100*(i+1))
			pointOf(metric.Histogram().DataPoints(), values, istioBounds, true).Attributes().PutInt("source_version", int64(i))
			all = append(all, values...)
		}
	})
	slices.Sort(all)
	got := points(t, envelopes)
	require.Len(t, got, 4)
	assert.Equal(t, new(all[0]), got[0].Min)
	assert.Equal(t, new(all[len(all)-1]), got[0].Max)
	whole := distribution{min: all[0], max: all[len(all)-1], hasMin: true, hasMax: true, buckets: explicitOf(all, istioBounds).appendTo(nil)}
	for i, q := range []float64{0.5, 0.95, 0.99} {
		want := trueQuantile(all, q)
		assert.InDelta(t, want, got[i+1].Value, widthAt(&whole, want), got[i+1].Name)
	}
}

func TestExtremesThatOnePointDoesNotTellAreConcluded(t *testing.T) {
	m, _ := mapperOf(t, nil)
	_, envelopes := metricsOf(t, m, func(metrics pmetric.MetricSlice) {
		histogramOf(metrics, "istio_size", []float64{7, 8}, []float64{5, 10}, true)
		pointOf(metrics.At(0).Histogram().DataPoints(), []float64{9}, []float64{5, 10}, false)
	})
	got := points(t, envelopes)
	require.Len(t, got, 1)
	assert.Equal(t, new(5.0), got[0].Min, "neither 7, which the other may be below, nor 0")
	assert.Equal(t, new(10.0), got[0].Max)
}

func TestMergedNumbersAreWhatThePortalWouldMakeOfThem(t *testing.T) {
	m, told := mapperOf(t, nil)
	_, envelopes := metricsOf(t, m, func(metrics pmetric.MetricSlice) {
		numbers(sumOf(metrics, "istio_x", pmetric.AggregationTemporalityDelta, true).DataPoints(), 3, 9, 5)
		// A sum over the range of its type, and two types in one metric, stay apart.
		numbers(sumOf(metrics, "istio_y", pmetric.AggregationTemporalityDelta, true).DataPoints(), int64(math.MaxInt64), int64(math.MaxInt64))
		numbers(sumOf(metrics, "istio_z", pmetric.AggregationTemporalityDelta, true).DataPoints(), 1, 1.5, math.MaxFloat64, math.MaxFloat64)
		// Values that cannot be added up are no reason to lose one: gauges of different series.
		metric := metrics.AppendEmpty()
		metric.SetName("istio_g")
		numbers(metric.SetEmptyGauge().DataPoints(), 1, 1)
	})
	got := points(t, envelopes)
	assert.Equal(t, ai.DataPoint{Name: "istio_x", Kind: ai.Aggregation, Value: 17, Count: new(int64(3)), Min: new(3.0), Max: new(9.0)}, got[0])
	names := make([]string, 0, len(got))
	for _, p := range got {
		names = append(names, p.Name)
	}
	assert.Equal(t, 2, strings.Count(strings.Join(names, " "), "istio_y"))
	assert.Equal(t, 4, strings.Count(strings.Join(names, " "), "istio_z"))
	assert.Equal(t, 2, strings.Count(strings.Join(names, " "), "istio_g"))
	assert.Equal(t, 2, told.pointsMerged)
}
