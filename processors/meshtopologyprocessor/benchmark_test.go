// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
	"github.com/otelcol-mesh/otelcol-mesh/processors/internal/attrs"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/metadatatest"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/rules"
)

// batchOf makes spans as an outbound sidecar sends them, 22 attributes each.
func batchOf(resources, spans int) ptrace.Traces {
	td := ptrace.NewTraces()
	for range resources {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", "productpage.bookinfo")
		ss := rs.ScopeSpans().AppendEmpty()
		ss.Scope().SetName("envoy")
		for i := range spans {
			span := ss.Spans().AppendEmpty()
			span.SetSpanID([8]byte{byte(i >> 8), byte(i), 1})
			span.SetKind(ptrace.SpanKindClient)
			// Each span has a time of its own, as in life.
			span.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Date(2026, 1, 1, 0, 0, 0, i*1000, time.UTC)))
			a := span.Attributes()
			for _, kv := range [][2]string{
				{"guid:x-request-id", fmt.Sprintf("e4e8c177-3962-9359-945e-%012d", i)},
				{"http.url", "http://reviews.bookinfo:9080/reviews/0"},
				{"http.method", "GET"},
				{"downstream_cluster", "-"},
				{"user_agent", "curl/8.0"},
				{"http.protocol", "HTTP/1.1"},
				{"peer.address", "127.1.0.21"},
				{"request_size", "0"},
				{"response_size", "358"},
				{"component", "proxy"},
				{"upstream_cluster", "outbound|9080||reviews.bookinfo.svc.cluster.local"},
				{"upstream_cluster.name", "outbound|9080||reviews.bookinfo.svc.cluster.local;"},
				{"http.status_code", "200"},
				{"response_flags", "-"},
				{"zone", "1"},
				{"node_id", "sidecar~127.1.0.21~productpage-v1-1.bookinfo~bookinfo.svc.cluster.local"},
				{"istio.canonical_revision", "v1"},
				{"istio.canonical_service", "productpage"},
				{"istio.mesh_id", "mesh1"},
				{"istio.namespace", "bookinfo"},
				{"istio.cluster_id", "aks-westeurope"},
				{"mesh.upstream.host", "127.1.0.31:9080"},
			} {
				a.PutStr(kv[0], kv[1])
			}
		}
	}
	return td
}

// BenchmarkTraces stamps batches that come fresh from the wire, as a receiver hands them over. ns/span is of the processor
// alone; what else is reported includes the decoding. test/bench compares with upstream parts.
func BenchmarkTraces(b *testing.B) {
	for _, shape := range []struct{ resources, spans int }{{1, 1000}, {200, 5}} {
		b.Run(fmt.Sprintf("%dx%d", shape.resources, shape.spans), func(b *testing.B) {
			p, err := newMeshTopology(metadatatest.NewSettings(componenttest.NewTelemetry()), createDefaultConfig().(*Config))
			require.NoError(b, err)
			require.NoError(b, p.start(context.Background(), newHost(b)))
			wire, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(batchOf(shape.resources, shape.spans))
			require.NoError(b, err)
			var spent time.Duration
			b.ReportAllocs()
			for b.Loop() {
				td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(wire)
				require.NoError(b, err)
				start := time.Now()
				_, err = p.processTraces(context.Background(), td)
				spent += time.Since(start)
				require.NoError(b, err)
			}
			b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N)/float64(shape.resources*shape.spans), "ns/span")
		})
	}
}

func BenchmarkJudge(b *testing.B) {
	s := newHost(b).GetExtensions()[createDefaultConfig().(*Config).Topology].(*fakeTopology).Snapshot()
	near, call := judged(s)
	b.ReportAllocs()
	for b.Loop() {
		rules.Judge(s.At(time.Time{}), &near, &call)
	}
}

func judged(s *topology.Snapshot) (rules.Near, rules.Call) {
	near := rules.ResolveNear(s.At(time.Time{}), &rules.Reporter{
		NodeID: "sidecar~127.1.0.21~productpage-v1-1.bookinfo~bookinfo.svc.cluster.local", TagCluster: "aks-westeurope",
	})
	return near, rules.Call{
		Kind: rules.ClientKind, UpstreamCluster: "outbound|9080||reviews.bookinfo.svc.cluster.local", UpstreamAddress: "127.1.0.31:9080",
	}
}

func TestJudgingDoesNotAllocate(t *testing.T) {
	s := newHost(t).GetExtensions()[createDefaultConfig().(*Config).Topology].(*fakeTopology).Snapshot()
	near, call := judged(s)
	var v rules.Verdict
	allocs := testing.AllocsPerRun(100, func() {
		near, _ = judged(s)
		v = rules.Judge(s.At(time.Time{}), &near, &call)
	})
	assert.Zero(t, allocs)
	assert.Equal(t, "reviews-v1", v.Destination.Workload)
}

// TestAllocationsPerSpan holds the budget, however many attributes are written: the room for them, their texts, and the
// boolean one. Without the fast way of package attrs each attribute costs one.
func TestAllocationsPerSpan(t *testing.T) {
	few := []string{
		"mesh.source.cluster", "mesh.source.zone", "mesh.source.workload", sourceResolutionKey,
		"mesh.destination.cluster", "mesh.destination.zone", "mesh.destination.workload", destinationResolutionKey,
	}
	for name, c := range map[string]struct {
		attributes []string
		fast, slow float64
	}{
		"all attributes":   {fast: 3, slow: 24},
		"eight attributes": {attributes: few, fast: 2, slow: 9},
	} {
		t.Run(name, func(t *testing.T) {
			const spans = 1000
			cfg := createDefaultConfig().(*Config)
			cfg.Attributes = c.attributes
			p, err := newMeshTopology(metadatatest.NewSettings(componenttest.NewTelemetry()), cfg)
			require.NoError(t, err)
			require.NoError(t, p.start(context.Background(), newHost(t)))
			fresh := make([]ptrace.Traces, 4)
			for i := range fresh {
				fresh[i] = batchOf(1, spans)
			}
			i := 0
			first := testing.AllocsPerRun(2, func() { _, _ = p.processTraces(context.Background(), fresh[i]); i++ })
			budget := c.fast
			if !appendsAtOnce() {
				budget = c.slow
			}
			// Beside the spans: the resource, the memo and the tally.
			assert.LessOrEqual(t, first, budget*spans+200)
			i = 0
			again := testing.AllocsPerRun(2, func() { _, _ = p.processTraces(context.Background(), fresh[i]); i++ })
			assert.LessOrEqual(t, again, 200.0, "what is there already is not written again")
		})
	}
}

// appendsAtOnce says whether the binary has the fast way of package attrs.
func appendsAtOnce() bool {
	keys := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	return testing.AllocsPerRun(10, func() { attrs.Append(pcommon.NewMap(), keys, keys) }) < float64(len(keys))
}
