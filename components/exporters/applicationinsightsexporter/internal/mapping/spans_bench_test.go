// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
)

// manySpans is a batch of n spans of one resource, as a real Envoy sends them, after mesh_topology and envoy_semconv.
func manySpans(t testing.TB, n int) ptrace.Traces {
	t.Helper()
	recorded := recording(t, filepath.Join(root, "test", "recordings", "testdata", "spans", "sidecar-outbound-remote.json"))
	td := throughTheHub(t, recorded)
	spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	for spans.Len() < n {
		spans.At(0).CopyTo(spans.AppendEmpty())
	}
	// Each has texts of its own then, as what comes over the network.
	text, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	td, err = (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(text)
	require.NoError(t, err)
	return td
}

// BenchmarkTraces times batches of 512 of Envoy's spans, some 40 attributes each. The batch is a new one each time, as in
// the exporter, so its growth is in the figures.
func BenchmarkTraces(b *testing.B) {
	const spans = 512
	td := manySpans(b, spans)
	for name, attributes := range map[string][]string{"default": {wordDefault}, "all": {"*"}, "none": nil} {
		b.Run(name, func(b *testing.B) {
			s := DefaultSettings()
			s.Attributes = attributes
			m, err := New(s, nil)
			require.NoError(b, err)
			size := 0
			before := cpuTime(b)
			b.ReportAllocs()
			for b.Loop() {
				batch := &items.Batch{}
				m.Traces(td, batch)
				size = batch.TextBytes()
			}
			total := float64(b.N * spans)
			b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/total, "cpu-ns/span")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/total, "ns/span")
			b.ReportMetric(float64(size)/spans, "B/item")
		})
	}
}

// cpuTime is what the process used so far, which tells more than the clock where others share the machine.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// TestTracesAllocations holds that mapping costs nothing a span but the growth of the batch.
func TestTracesAllocations(t *testing.T) {
	m, _ := newTestMapper(t, DefaultSettings())
	perBatch := func(n int) float64 {
		td := manySpans(t, n)
		return testing.AllocsPerRun(50, func() { m.Traces(td, &items.Batch{}) })
	}
	few, many := perBatch(10), perBatch(1000)
	assert.Less(t, (many-few)/990, 0.1, "allocations a span")
}
