// SPDX-License-Identifier: Apache-2.0

package envoysemconvprocessor

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor/internal/metadata"
)

// BenchmarkSpans times batches of 8 spans that are fresh in each iteration: a span that was normalized before is left
// alone, so the same batch again would measure nothing.
func BenchmarkSpans(b *testing.B) {
	for _, name := range []string{"kiali_bookinfo", "not_envoy"} {
		b.Run(name, func(b *testing.B) {
			input := eightSpans(b, name)
			p, err := NewFactory().CreateTraces(b.Context(), processortest.NewNopSettings(metadata.Type),
				createDefaultConfig(), consumertest.NewNop())
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				td := ptrace.NewTraces()
				input.CopyTo(td)
				b.StartTimer()
				if err := p.ConsumeTraces(b.Context(), td); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*input.SpanCount()), "ns/span")
		})
	}
}

// The budget is one allocation for each attribute written, which pdata needs, and few for the batch.
func TestAllocationBudget(t *testing.T) {
	for name, budget := range map[string]float64{"kiali_bookinfo": 8 * 20, "not_envoy": 10} {
		t.Run(name, func(t *testing.T) {
			input := eightSpans(t, name)
			p, err := newEnvoySemconv(processortest.NewNopSettings(metadata.Type), createDefaultConfig().(*Config))
			require.NoError(t, err)
			const runs = 20
			fresh := make([]ptrace.Traces, runs+1) // AllocsPerRun warms up with one more
			for i := range fresh {
				fresh[i] = ptrace.NewTraces()
				input.CopyTo(fresh[i])
			}
			i := 0
			allocs := testing.AllocsPerRun(runs, func() {
				_, _ = p.processTraces(t.Context(), fresh[i])
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
	require.Equal(tb, 8, input.SpanCount())
	return input
}
