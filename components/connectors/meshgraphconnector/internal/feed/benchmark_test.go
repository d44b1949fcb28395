// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
)

const benchmarkItems = 1000

// BenchmarkPoint reads points as mesh_metrics sends them, decoded anew each time, which is not measured: alone, and into
// the graph.
func BenchmarkPoint(b *testing.B) {
	requests := func(md pmetric.Metrics, i int) {
		sm := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0)
		dp := sm.Sum().DataPoints().AppendEmpty()
		dp.SetIntValue(int64(i + 1))
		put(dp.Attributes(), but(map[string]any{"mesh.destination.workload": fmt.Sprint("w", i%100)}))
	}
	md := metrics("istio_requests_total", func(m pmetric.Metric) {
		m.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	})
	for i := range benchmarkItems {
		requests(md, i)
	}
	wire, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(md)
	require.NoError(b, err)
	g, err := graph.New(graph.DefaultConfig(), start)
	require.NoError(b, err)
	for name, add := range map[string]func(ID, *graph.Point) error{
		"read": func(ID, *graph.Point) error { return nil }, "graph": func(_ ID, p *graph.Point) error { return g.Add(p) },
	} {
		b.Run(name, func(b *testing.B) {
			f := New([16]byte{1})
			b.ReportAllocs()
			for range b.N {
				b.StopTimer()
				fresh, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(wire)
				require.NoError(b, err)
				b.StartTimer()
				if c := f.Metrics(fresh, add); c[Taken] != benchmarkItems {
					b.Fatal(c)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchmarkItems, "ns/point")
		})
	}
}

// BenchmarkSpan reads spans of both ends.
func BenchmarkSpan(b *testing.B) {
	td := span(ptrace.SpanKindClient, but(map[string]any{"http.request.method": "GET"}))
	spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	for i := range benchmarkItems - 1 {
		s := spans.AppendEmpty()
		spans.At(0).CopyTo(s)
		s.SetTraceID([16]byte{byte(i), byte(i >> 8), 1})
	}
	wire, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(b, err)
	f := New([16]byte{1})
	b.ReportAllocs()
	for range b.N {
		b.StopTimer()
		fresh, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(wire)
		require.NoError(b, err)
		b.StartTimer()
		if c := f.Traces(fresh, func(*graph.Key, graph.Exemplar) bool { return true }); c[Taken] != benchmarkItems {
			b.Fatal(c)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchmarkItems, "ns/span")
}
