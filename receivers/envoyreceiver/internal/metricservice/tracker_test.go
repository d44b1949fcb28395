// SPDX-License-Identifier: Apache-2.0

package metricservice

import (
	"strconv"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/attr"
)

var epoch = time.Date(2026, 11, 22, 21, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }

func stamp(seconds int) pcommon.Timestamp { return pcommon.NewTimestampFromTime(at(seconds)) }

func newTestTracker(maxNodes, maxSeries int) *Tracker {
	return NewTracker(TrackerSettings{MaxNodes: maxNodes, MaxSeries: maxSeries, Expiry: time.Hour})
}

func counter(name string, value float64, seconds int) *dto.MetricFamily {
	return &dto.MetricFamily{
		Name: new(name), Type: dto.MetricType_COUNTER.Enum(),
		Metric: []*dto.Metric{{Counter: &dto.Counter{Value: &value}, TimestampMs: new(at(seconds).UnixMilli())}},
	}
}

func uptime(value float64, seconds int) *dto.MetricFamily {
	return &dto.MetricFamily{
		Name: new(uptimeMetric), Type: dto.MetricType_GAUGE.Enum(),
		Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: &value}, TimestampMs: new(at(seconds).UnixMilli())}},
	}
}

func convert(node *Node, families ...*dto.MetricFamily) (pmetric.MetricSlice, *Converter) {
	c := &Converter{Node: node, Received: epoch, Settings: Settings{
		Limits:               attr.Limits{MaxValueLength: 100, MaxMapEntries: 4},
		CounterTemporality:   pmetric.AggregationTemporalityCumulative,
		HistogramTemporality: pmetric.AggregationTemporalityDelta,
	}}
	metrics := pmetric.NewMetricSlice()
	c.Convert(families, metrics)
	return metrics, c
}

func startOf(metrics pmetric.MetricSlice, i int) pcommon.Timestamp {
	return metrics.At(i).Sum().DataPoints().At(0).StartTimestamp()
}

func TestStartSurvivesReconnect(t *testing.T) {
	tracker := newTestTracker(2, 100)
	node, err := tracker.Acquire("n", at(0))
	require.NoError(t, err)
	metrics, _ := convert(node, counter("c", 5, 1))
	require.Equal(t, stamp(1), startOf(metrics, 0), "the first point is where counting is known from")
	tracker.Release(node, at(2))

	node, err = tracker.Acquire("n", at(30))
	require.NoError(t, err)
	metrics, c := convert(node, counter("c", 9, 31))
	require.Equal(t, stamp(1), startOf(metrics, 0))
	require.Zero(t, c.Tally.Resets)
}

func TestResetStartsAtTheLastPoint(t *testing.T) {
	node, err := newTestTracker(1, 100).Acquire("n", at(0))
	require.NoError(t, err)
	convert(node, counter("c", 5, 1))
	convert(node, counter("c", 8, 2))
	metrics, c := convert(node, counter("c", 7, 3))
	require.Equal(t, stamp(2), startOf(metrics, 0))
	require.EqualValues(t, 1, c.Tally.Resets)
	// The same message again, as after a refusal, gives the same point and no further reset.
	metrics, c = convert(node, counter("c", 7, 3))
	require.Equal(t, stamp(2), startOf(metrics, 0))
	require.Zero(t, c.Tally.Resets)
	metrics, _ = convert(node, counter("c", 7, 4))
	require.Equal(t, stamp(2), startOf(metrics, 0), "an equal value is no reset")
}

func TestUptimeTellsTheStart(t *testing.T) {
	tracker := newTestTracker(1, 100)
	node, err := tracker.Acquire("n", at(0))
	require.NoError(t, err)
	metrics, _ := convert(node, counter("c", 5, 100), uptime(60, 100))
	require.Equal(t, stamp(40), startOf(metrics, 0))
	// Uptime is a whole number of seconds: it wanders.
	metrics, _ = convert(node, counter("c", 6, 111), uptime(70, 111))
	require.Equal(t, stamp(40), startOf(metrics, 0))
	// Another process, whose counter is higher already.
	metrics, _ = convert(node, counter("c", 9, 200), uptime(3, 200))
	require.Equal(t, stamp(197), startOf(metrics, 0))
	require.EqualValues(t, 1, tracker.Series())
}

func TestUptimeToldLateMovesNoStart(t *testing.T) {
	node, err := newTestTracker(1, 100).Acquire("n", at(0))
	require.NoError(t, err)
	convert(node, counter("old", 5, 100))
	metrics, _ := convert(node, counter("old", 6, 101), counter("new", 1, 101), uptime(60, 101))
	require.Equal(t, stamp(100), startOf(metrics, 0))
	require.Equal(t, stamp(41), startOf(metrics, 1))
}

func TestCreatedTimestampWins(t *testing.T) {
	node, err := newTestTracker(1, 100).Acquire("n", at(0))
	require.NoError(t, err)
	family := counter("c", 5, 100)
	family.Metric[0].Counter.CreatedTimestamp = timestamppb.New(at(7))
	metrics, _ := convert(node, family)
	require.Equal(t, stamp(7), startOf(metrics, 0))
}

func TestSeriesAreBounded(t *testing.T) {
	tracker := newTestTracker(2, 3)
	node, err := tracker.Acquire("n", at(0))
	require.NoError(t, err)
	var families []*dto.MetricFamily
	for i := range 5 {
		families = append(families, counter("c"+strconv.Itoa(i), 5, 1))
	}
	metrics, c := convert(node, families...)
	require.Equal(t, 5, metrics.Len(), "a series that is not tracked is still written")
	require.Equal(t, map[string]int64{attr.SkipTracking: 2}, c.Tally.Skipped)
	require.EqualValues(t, 3, tracker.Series())

	// Series out of use make room.
	_, c = convert(node, counter("d0", 1, 7200), counter("d1", 1, 7200))
	require.Empty(t, c.Tally.Skipped)
	require.EqualValues(t, 2, tracker.Series())
}

func TestNodesAreBounded(t *testing.T) {
	tracker := newTestTracker(2, 100)
	a, err := tracker.Acquire("a", at(0))
	require.NoError(t, err)
	b, err := tracker.Acquire("b", at(0))
	require.NoError(t, err)
	convert(a, counter("c", 1, 1))
	_, err = tracker.Acquire("c", at(1))
	require.ErrorIs(t, err, ErrTooManyNodes)
	tracker.Release(b, at(3))
	tracker.Release(a, at(2))
	_, err = tracker.Acquire("c", at(4))
	require.NoError(t, err)
	require.Len(t, tracker.nodes, 2)
	require.NotContains(t, tracker.nodes, "a", "the one idle for longest goes")
	require.Zero(t, tracker.Series(), "its series go with it")
}

func TestIdleNodesExpire(t *testing.T) {
	tracker := newTestTracker(10, 100)
	a, err := tracker.Acquire("a", at(0))
	require.NoError(t, err)
	_, err = tracker.Acquire("b", at(0))
	require.NoError(t, err)
	tracker.Release(a, at(1))
	_, err = tracker.Acquire("c", at(3602))
	require.NoError(t, err)
	require.NotContains(t, tracker.nodes, "a")
	require.Contains(t, tracker.nodes, "b", "a node with a stream stays")
}

func TestSplitBuckets(t *testing.T) {
	bucket := func(bound float64, count uint64) *dto.Bucket {
		return &dto.Bucket{UpperBound: &bound, CumulativeCount: &count}
	}
	for name, tc := range map[string]struct {
		count   uint64
		buckets []*dto.Bucket
		want    []uint64
	}{
		"none":         {4, nil, []uint64{4}},
		"one":          {4, []*dto.Bucket{bucket(1, 3)}, []uint64{3, 1}},
		"equal counts": {4, []*dto.Bucket{bucket(1, 3), bucket(2, 3)}, []uint64{3, 0, 1}},
		"falling":      {4, []*dto.Bucket{bucket(1, 3), bucket(2, 2)}, nil},
		"unsorted":     {4, []*dto.Bucket{bucket(2, 1), bucket(1, 2)}, nil},
		"more than all": {
			4, []*dto.Bucket{bucket(1, 5)}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, ok := splitBuckets(&dto.Histogram{SampleCount: &tc.count, Bucket: tc.buckets})
			require.Equal(t, tc.want != nil, ok)
			require.Equal(t, tc.want, b.counts)
		})
	}
}
