// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"runtime"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/cumulativetodeltaprocessor"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshmetricsprocessor/internal/metadata"
)

// contender is a way to do what mesh_metrics does, or part of it.
type contender struct {
	name string
	make func(tb testing.TB, next consumer.Metrics) consumer.Metrics
}

func contenders() []contender {
	return append([]contender{
		{"decode_alone", func(testing.TB, consumer.Metrics) consumer.Metrics { return consumertest.NewNop() }},
		{"mesh_metrics", func(tb testing.TB, next consumer.Metrics) consumer.Metrics { return ours(tb, next) }},
		{"cumulative_to_delta", func(tb testing.TB, next consumer.Metrics) consumer.Metrics {
			return upstream(tb, cumulativetodeltaprocessor.NewFactory(), nil, next)
		}},
	}, others...)
}

// others are contenders that need modules which this one does not have.
var others []contender

func ours(tb testing.TB, next consumer.Metrics) *meshMetrics {
	p, err := newMeshMetrics(processortest.NewNopSettings(metadata.Type), createDefaultConfig().(*Config), next)
	require.NoError(tb, err)
	p.now = func() time.Time { return start.Add(-time.Hour) }
	p.open()
	p.now = time.Now
	tb.Cleanup(p.telemetry.Shutdown)
	return p
}

func upstream(tb testing.TB, factory processor.Factory, cfg component.Config, next consumer.Metrics) consumer.Metrics {
	if cfg == nil {
		cfg = factory.CreateDefaultConfig()
	}
	p, err := factory.CreateMetrics(tb.Context(), processortest.NewNopSettings(factory.Type()), cfg, next)
	require.NoError(tb, err)
	require.NoError(tb, p.Start(tb.Context(), componenttest.NewNopHost()))
	tb.Cleanup(func() { require.NoError(tb, p.Shutdown(tb.Context())) })
	return p
}

// advance makes the next scrape of one.
func advance(md pmetric.Metrics, n int) {
	for _, m := range md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		at := pcommon.NewTimestampFromTime(start.Add(time.Duration(n) * every))
		if m.Type() == pmetric.MetricTypeSum {
			for _, p := range m.Sum().DataPoints().All() {
				p.SetTimestamp(at)
				p.SetDoubleValue(p.DoubleValue() + float64(n))
			}
			continue
		}
		for _, p := range m.Histogram().DataPoints().All() {
			p.SetTimestamp(at)
			p.SetCount(p.Count() + uint64(n))
			p.BucketCounts().SetAt(5, p.BucketCounts().At(5)+uint64(n))
		}
	}
}

// BenchmarkPoints is a scrape of one pod, 400 points with 44 labels, fresh from the wire; 50 pods by turns.
func BenchmarkPoints(b *testing.B) {
	m := &mesh{callees: 20, codes: 5, zones: 3, busy: 10}
	var wire [50][]byte
	for pod := range wire {
		var err error
		wire[pod], err = (&pmetric.ProtoMarshaler{}).MarshalMetrics(m.scrape(0, pod/10, pod, 1))
		require.NoError(b, err)
	}
	for _, c := range contenders() {
		b.Run(c.name, func(b *testing.B) {
			p := c.make(b, consumertest.NewNop())
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(wire[n%len(wire)])
				require.NoError(b, err)
				advance(md, 1+n/len(wire))
				require.NoError(b, p.ConsumeMetrics(b.Context(), md))
				n++
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*m.series()), "ns/point")
		})
	}
}

// BenchmarkMemory is what a series of a pod takes, the written ones included: 50 workloads of 10 pods, 400 series each.
func BenchmarkMemory(b *testing.B) {
	m := &mesh{callees: 20, codes: 5, zones: 3, busy: 10}
	for _, c := range contenders()[1:] {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				before := heap()
				p := c.make(b, consumertest.NewNop())
				for pod := range 500 {
					require.NoError(b, p.ConsumeMetrics(b.Context(), m.scrape(0, pod/10, pod%10, 1)))
				}
				b.ReportMetric(float64(heap()-before)/float64(500*m.series()), "B/series")
				if o, ok := p.(*meshMetrics); ok {
					b.ReportMetric(float64(o.store.Bytes())/float64(500*m.series()), "estimated-B/series")
				}
				runtime.KeepAlive(p)
			}
		})
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// BenchmarkSave is a flush with a directory, of a node with 50 000 series in 125 pods of which all grew, and for how long of
// that nothing can be added up.
func BenchmarkSave(b *testing.B) {
	m := &mesh{callees: 20, codes: 5, zones: 1, busy: 10}
	config := createDefaultConfig().(*Config)
	config.Directory = b.TempDir()
	p, err := newMeshMetrics(processortest.NewNopSettings(metadata.Type), config, consumertest.NewNop())
	require.NoError(b, err)
	p.open()
	require.NoError(b, p.restore(b.Context()))
	b.Cleanup(p.telemetry.Shutdown)
	const pods = 125
	var held time.Duration
	n := 0
	for b.Loop() {
		b.StopTimer()
		for pod := range pods {
			require.NoError(b, p.ConsumeMetrics(b.Context(), m.scrape(0, pod/5, pod%5, n)))
		}
		b.StartTimer()
		require.Zero(b, p.flush(b.Context(), atInterval))
		b.StopTimer()
		began := time.Now()
		p.touched.Store(true)
		p.take(start.UnixNano())
		held += time.Since(began)
		b.StartTimer()
		n++
	}
	b.ReportMetric(float64(p.keeper.Size())/float64(pods*m.series()), "B/series")
	b.ReportMetric(float64(len(p.image()))/float64(pods*m.series()), "known-B/series")
	b.ReportMetric(float64(held.Microseconds())/float64(1000*n), "ms-held")
	require.NoError(b, p.keeper.Close())
}
