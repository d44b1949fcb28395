// SPDX-License-Identifier: Apache-2.0

package exponentialhistogramprocessor

import (
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/pmetrictest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/otelcol-mesh/otelcol-mesh/processors/exponentialhistogramprocessor/internal/metadatatest"
)

var update = flag.Bool("update", false, "write expected.yaml anew; read every difference before committing it")

// anyOrder disregards the order, which writing a file changes.
var anyOrder = []pmetrictest.CompareMetricsOption{pmetrictest.IgnoreMetricDataPointsOrder(), pmetrictest.IgnoreMetricsOrder()}

func loadConfig(t testing.TB, folder string) *Config {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	path := filepath.Join(folder, "config.yaml")
	if _, err := os.Stat(path); err == nil {
		file, err := confmaptest.LoadConf(path)
		require.NoError(t, err)
		section, err := file.Sub("exponential_histogram")
		require.NoError(t, err)
		require.NoError(t, section.Unmarshal(cfg))
	}
	require.NoError(t, cfg.Validate())
	return cfg
}

// through sends metrics through a processor.
func through(t testing.TB, telemetry *componenttest.Telemetry, cfg *Config, md pmetric.Metrics) pmetric.Metrics {
	t.Helper()
	sink := &consumertest.MetricsSink{}
	p, err := NewFactory().CreateMetrics(context.Background(), metadatatest.NewSettings(telemetry), cfg, sink)
	require.NoError(t, err)
	require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
	require.NoError(t, p.ConsumeMetrics(context.Background(), md))
	require.NoError(t, p.Shutdown(context.Background()))
	return sink.AllMetrics()[0]
}

// TestCases runs every folder of testdata through the processor with the folder's config, and once more. The second pass
// must change nothing.
func TestCases(t *testing.T) {
	folders, err := filepath.Glob(filepath.Join("testdata", "*", "input.yaml"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(folders), 3)
	for _, input := range folders {
		folder := filepath.Dir(input)
		t.Run(filepath.Base(folder), func(t *testing.T) {
			telemetry := componenttest.NewTelemetry()
			defer func() { require.NoError(t, telemetry.Shutdown(context.Background())) }()
			cfg := loadConfig(t, folder)
			md, err := golden.ReadMetrics(input)
			require.NoError(t, err)
			before := pmetric.NewMetrics()
			md.CopyTo(before)
			got := through(t, telemetry, cfg, md)
			sameTotals(t, before, got)
			expected := filepath.Join(folder, "expected.yaml")
			if *update {
				require.NoError(t, golden.WriteMetrics(t, expected, got, golden.SkipMetricTimestampNormalization()))
			}
			want, err := golden.ReadMetrics(expected)
			require.NoError(t, err)
			require.NoError(t, pmetrictest.CompareMetrics(want, got, anyOrder...))
			again := pmetric.NewMetrics()
			got.CopyTo(again)
			require.NoError(t, pmetrictest.CompareMetrics(want, through(t, telemetry, cfg, again), anyOrder...))
		})
	}
}

// totals are what a point says beside its buckets.
type totals struct {
	name          string
	count         uint64
	sum, min, max uint64
	has           [3]bool
	start, time   uint64
	flags         uint32
	exemplars     int
	attributes    string
}

func totalsOf(t *testing.T, md pmetric.Metrics) []totals {
	t.Helper()
	var all []totals
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				switch m.Type() {
				case pmetric.MetricTypeHistogram:
					for _, p := range m.Histogram().DataPoints().All() {
						all = append(all, totals{
							m.Name() + m.Unit() + m.Description(), p.Count(), math.Float64bits(p.Sum()), math.Float64bits(p.Min()), math.Float64bits(p.Max()),
							[3]bool{p.HasSum(), p.HasMin(), p.HasMax()},
							uint64(p.StartTimestamp()), uint64(p.Timestamp()), uint32(p.Flags()), p.Exemplars().Len(),
							attributesOf(m.Metadata().AsRaw(), p.Attributes().AsRaw()),
						})
					}
				case pmetric.MetricTypeExponentialHistogram:
					for _, p := range m.ExponentialHistogram().DataPoints().All() {
						all = append(all, totals{
							m.Name() + m.Unit() + m.Description(), p.Count(), math.Float64bits(p.Sum()), math.Float64bits(p.Min()), math.Float64bits(p.Max()),
							[3]bool{p.HasSum(), p.HasMin(), p.HasMax()},
							uint64(p.StartTimestamp()), uint64(p.Timestamp()), uint32(p.Flags()), p.Exemplars().Len(),
							attributesOf(m.Metadata().AsRaw(), p.Attributes().AsRaw()),
						})
						n := p.ZeroCount()
						for _, side := range []pmetric.ExponentialHistogramDataPointBuckets{p.Positive(), p.Negative()} {
							for _, c := range side.BucketCounts().All() {
								n += c
							}
						}
						assert.Equal(t, p.Count(), n, "the buckets add up to the count")
					}
				}
			}
		}
	}
	return all
}

func attributesOf(raw ...map[string]any) string {
	return fmt.Sprint(raw)
}

func sameTotals(t *testing.T, before, after pmetric.Metrics) {
	t.Helper()
	assert.ElementsMatch(t, totalsOf(t, before), totalsOf(t, after))
	assert.Equal(t, before.DataPointCount(), after.DataPointCount())
}

func TestCounters(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	defer func() { require.NoError(t, telemetry.Shutdown(context.Background())) }()
	md, err := golden.ReadMetrics(filepath.Join("testdata", "kept", "input.yaml"))
	require.NoError(t, err)
	through(t, telemetry, createDefaultConfig().(*Config), md)
	point := func(reason string, value int64) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{Value: value, Attributes: attribute.NewSet(attribute.String("reason", reason))}
	}
	metadatatest.AssertEqualProcessorExponentialHistogramConvertedPoints(t, telemetry, []metricdata.DataPoint[int64]{{Value: 1}}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualProcessorExponentialHistogramKeptPoints(t, telemetry, []metricdata.DataPoint[int64]{
		point("not_delta", 2), point("no_bounds", 2), point("bounds", 1), point("counts", 2),
	}, metricdatatest.IgnoreTimestamp())
}

func TestConfig(t *testing.T) {
	for _, tc := range []struct {
		size, scale int
		want        []error
	}{
		{160, 5, nil},
		{4, -10, nil},
		{1024, 20, nil},
		{3, 5, []error{errSize}},
		{1025, 5, []error{errSize}},
		{160, -11, []error{errScale}},
		{0, 21, []error{errSize, errScale}},
	} {
		err := (&Config{MaxSize: tc.size, MaxScale: tc.scale}).Validate()
		if tc.want == nil {
			require.NoError(t, err)
		}
		for _, want := range tc.want {
			require.ErrorIs(t, err, want)
		}
	}
}

func BenchmarkPoints(b *testing.B) {
	md, err := golden.ReadMetrics(filepath.Join("testdata", "istio", "input.yaml"))
	require.NoError(b, err)
	p, err := newExponentialHistogram(metadatatest.NewSettings(componenttest.NewTelemetry()), createDefaultConfig().(*Config))
	require.NoError(b, err)
	batch := pmetric.NewMetrics()
	b.ReportAllocs()
	points := 0
	for b.Loop() {
		md.CopyTo(batch)
		if _, err := p.processMetrics(context.Background(), batch); err != nil {
			b.Fatal(err)
		}
		points += 3
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(points), "ns/point")
}
