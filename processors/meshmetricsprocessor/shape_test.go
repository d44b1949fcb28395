// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// shaped is a cumulative histogram with any number of bounds and buckets.
func shaped(at time.Time, count uint64, bounds []float64, buckets []uint64) (pmetric.Metrics, pmetric.HistogramDataPoint) {
	md := pmetric.NewMetrics()
	m := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("istio_request_duration_milliseconds")
	m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	point := m.Histogram().DataPoints().AppendEmpty()
	point.SetTimestamp(pcommon.NewTimestampFromTime(at))
	point.SetCount(count)
	point.ExplicitBounds().FromRaw(bounds)
	point.BucketCounts().FromRaw(buckets)
	return md, point
}

// TestHistogramsOfAnyShape: whoever sends leaves out buckets or bounds as it likes, and nobody ends by it.
func TestHistogramsOfAnyShape(t *testing.T) {
	for name, c := range map[string]struct {
		bounds         []float64
		first, second  []uint64
		total, samples uint64
	}{
		"no buckets, then all of them":  {[]float64{1, 2}, nil, []uint64{3, 3, 3}, 0, 0},
		"all buckets, then none":        {[]float64{1, 2}, []uint64{2, 2, 2}, nil, 0, 0},
		"nothing, then one for all":     {nil, nil, []uint64{9}, 3, 1},
		"one for all, then nothing":     {nil, []uint64{6}, nil, 3, 1},
		"one for all, then one again":   {nil, []uint64{6}, []uint64{9}, 3, 1},
		"all buckets, and all of them":  {[]float64{1, 2}, []uint64{2, 2, 2}, []uint64{3, 3, 3}, 3, 1},
		"buckets with too few of them":  {[]float64{1, 2}, []uint64{2, 2}, []uint64{3, 3, 3}, 0, 0},
		"buckets with too many of them": {[]float64{1}, []uint64{2, 2, 2}, []uint64{3, 3, 3}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			for i, buckets := range [][]uint64{c.first, c.second} {
				f.now = f.now.Add(time.Second)
				md, _ := shaped(f.now, uint64(6+3*i), c.bounds, buckets)
				require.NoError(t, f.p.ConsumeMetrics(t.Context(), md))
			}
			f.total()
			require.Equal(t, c.total, f.sink.totals["istio_request_duration_milliseconds"].count)
			require.EqualValues(t, c.samples, f.sink.points)
		})
	}
}

// TestAMarkerWithoutBucketsAfterARestart: the marker of a series that is gone has no counts, and the series may come back.
func TestAMarkerWithoutBucketsAfterARestart(t *testing.T) {
	directory := t.TempDir()
	begin := func(now time.Time) *fixture {
		f := newFixture(t, func(c *Config) { c.Directory = directory })
		f.now = now
		f.p.open()
		require.NoError(t, f.p.restore(t.Context()))
		return f
	}
	bounds := []float64{1, 2}
	f := begin(start)
	for i := range uint64(2) {
		f.now = f.now.Add(time.Second)
		md, _ := shaped(f.now, 6+3*i, bounds, []uint64{2 + i, 2 + i, 2 + i})
		require.NoError(t, f.p.ConsumeMetrics(t.Context(), md))
	}
	f.total()
	require.NoError(t, f.p.keeper.Close())
	f = begin(f.now)
	for i, buckets := range [][]uint64{nil, {4, 4, 4}} {
		f.now = f.now.Add(time.Second)
		md, point := shaped(f.now, uint64(12*i), bounds, buckets)
		point.SetFlags(point.Flags().WithNoRecordedValue(i == 0))
		require.NoError(t, f.p.ConsumeMetrics(t.Context(), md))
	}
	f.total()
	require.Equal(t, value{count: 3, buckets: [4]uint64{1, 1, 1}}, f.sink.totals["istio_request_duration_milliseconds"])
	require.NoError(t, f.p.keeper.Close())
}
