// SPDX-License-Identifier: Apache-2.0

package envoysemconvprocessor

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor/internal/metadata"
)

// BenchmarkSpans times batches of 8 spans that are fresh each time: a span that was normalized before is left alone, so
// the same batch again would measure nothing. The clock stops for making many at once, as stopping it costs more than
// a batch.
func BenchmarkSpans(b *testing.B) {
	const batches = 200
	for name, cfg := range map[string]*Config{
		"kiali_bookinfo": nil, "kiali_bookinfo/semconv names": semconvNames(), "not_envoy": nil,
		"double_spans_prefer_proxy": nil,
	} {
		b.Run(name, func(b *testing.B) {
			if cfg == nil {
				cfg = createDefaultConfig().(*Config)
			}
			folder, _, _ := strings.Cut(name, "/")
			input := eightSpans(b, folder)
			p, err := NewFactory().CreateTraces(b.Context(), processortest.NewNopSettings(metadata.Type),
				cfg, consumertest.NewNop())
			require.NoError(b, err)
			var fresh [batches]ptrace.Traces
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				b.StopTimer()
				for i := range fresh {
					fresh[i] = ptrace.NewTraces()
					input.CopyTo(fresh[i])
				}
				b.StartTimer()
				for _, td := range fresh {
					if err := p.ConsumeTraces(b.Context(), td); err != nil {
						b.Fatal(err)
					}
				}
			}
			spans := float64(b.N * batches * input.SpanCount())
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/spans, "ns/span")
		})
	}
}

// semconvNames turns on all that costs.
func semconvNames() *Config {
	cfg := createDefaultConfig().(*Config)
	cfg.SpanName = spanNameSemconv
	cfg.PathTemplates = true
	cfg.Routes = []RouteConfig{{Path: "/productpage"}, {Path: "/reviews/{id}"}, {Path: "/details/{id}"}, {Path: "/ratings/{id}"}}
	return cfg
}

// The budget is one allocation for each attribute written that is not moved, which pdata needs.
func TestAllocationBudget(t *testing.T) {
	for name, budget := range map[string]float64{"kiali_bookinfo": 8 * 12, "not_envoy": 0} {
		t.Run(name, func(t *testing.T) {
			input := eightSpans(t, name)
			p, err := newSpans(processortest.NewNopSettings(metadata.Type), createDefaultConfig().(*Config))
			require.NoError(t, err)
			n := p.walkers.Get().(*normalizer)
			const runs = 20
			fresh := make([]ptrace.Traces, runs+1) // AllocsPerRun warms up with one more
			for i := range fresh {
				fresh[i] = ptrace.NewTraces()
				input.CopyTo(fresh[i])
			}
			i := 0
			allocs := testing.AllocsPerRun(runs, func() {
				p.walk(n, fresh[i])
				i++
			})
			require.LessOrEqual(t, allocs, budget, fmt.Sprintf("%.0f allocations for 8 spans", allocs))
		})
	}
}

// eightSpans returns the input of a case, its spans repeated until there are eight.
func eightSpans(tb testing.TB, name string) ptrace.Traces {
	tb.Helper()
	input, err := golden.ReadTraces(filepath.Join("testdata", name, "input.yaml"))
	require.NoError(tb, err)
	for input.SpanCount() < 8 {
		input.ResourceSpans().At(0).CopyTo(input.ResourceSpans().AppendEmpty())
	}
	require.GreaterOrEqual(tb, input.SpanCount(), 8)
	return input
}
