// SPDX-License-Identifier: Apache-2.0

package meshgraphconnector

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/metadata"
)

// BenchmarkTake is a request of 1000 points of 1000 edges from the decoded request to the acknowledgment, without and with a
// journal.
func BenchmarkTake(b *testing.B) {
	for _, directory := range []string{"", b.TempDir()} {
		b.Run(fmt.Sprintf("journal=%t", directory != ""), func(b *testing.B) {
			builder, err := metadata.NewTelemetryBuilder(componenttest.NewNopTelemetrySettings())
			require.NoError(b, err)
			config := testConfig(directory)
			config.MaxJournalMiB = 1 << 16
			e, err := newEngine(config, zap.NewNop(), newCounter(builder, zap.NewNop()), begin)
			require.NoError(b, err)
			require.NoError(b, e.open(begin))
			calls := make([]call, 1000)
			for i := range calls {
				calls[i] = theCall().with(func(c *call) { c.from = fmt.Sprintf("w%d", i) })
			}
			md := request(begin, 0, calls...)
			points := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints()
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				for i := range points.Len() {
					points.At(i).SetTimestamp(points.At(i).Timestamp() + 1<<20)
				}
				e.takeMetrics(md, begin)
				if n%100 == 0 {
					e.seen.Age(begin.Add(time.Duration(n) * time.Second))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*1000), "ns/point")
			if directory != "" {
				b.ReportMetric(float64(e.directory.Size())/float64(n*1000), "B/point")
				require.NoError(b, e.directory.Close())
			}
		})
	}
}

// BenchmarkState is writing the state of 10 000 edges, 100 000 remembered points and what waits to be handed on.
func BenchmarkState(b *testing.B) {
	builder, err := metadata.NewTelemetryBuilder(componenttest.NewNopTelemetrySettings())
	require.NoError(b, err)
	e, err := newEngine(testConfig(b.TempDir()), zap.NewNop(), newCounter(builder, zap.NewNop()), begin)
	require.NoError(b, err)
	e.wantsMetrics = true
	require.NoError(b, e.open(begin))
	for n := range 100 {
		calls := make([]call, 1000)
		for i := range calls {
			calls[i] = theCall().with(func(c *call) { c.from = fmt.Sprintf("w%d-%d", n%10, i) })
		}
		e.takeMetrics(request(begin, n, calls...), begin)
	}
	now := begin
	for b.Loop() {
		now = now.Add(4 * time.Second)
		e.tick(now, false, true)
	}
	b.ReportMetric(float64(e.savedBytes.Load()), "B")
	require.NoError(b, e.directory.Close())
}
