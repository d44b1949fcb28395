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

// BenchmarkTraces stamps batches that come fresh from the wire, as a receiver hands them over. ns/span and allocs/span
// are those of the processor alone.
func BenchmarkTraces(b *testing.B) {
	for _, shape := range []struct{ resources, spans int }{{1, 1000}, {200, 5}} {
		b.Run(fmt.Sprintf("%dx%d", shape.resources, shape.spans), func(b *testing.B) {
			p, err := newMeshTopology(metadatatest.NewSettings(componenttest.NewTelemetry()), createDefaultConfig().(*Config))
			require.NoError(b, err)
			require.NoError(b, p.start(context.Background(), newHost(b)))
			wire, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(batchOf(shape.resources, shape.spans))
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(wire)
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if _, err := p.processTraces(context.Background(), td); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(shape.resources*shape.spans), "ns/span")
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

// TestAllocationsPerSpan holds the budget: one allocation for each attribute written, and nothing else. A span of two
// known ends gets 18 attributes of ends and 5 of the call; the boolean one needs two allocations at most.
func TestAllocationsPerSpan(t *testing.T) {
	const spans, budget = 100, 25
	p, err := newMeshTopology(metadatatest.NewSettings(componenttest.NewTelemetry()), createDefaultConfig().(*Config))
	require.NoError(t, err)
	require.NoError(t, p.start(context.Background(), newHost(t)))
	fresh := make([]ptrace.Traces, 12)
	for i := range fresh {
		fresh[i] = batchOf(1, spans)
	}
	i := 0
	allocs := testing.AllocsPerRun(10, func() {
		_, _ = p.processTraces(context.Background(), fresh[i])
		i++
	})
	assert.LessOrEqual(t, allocs/spans, float64(budget))
}
