// SPDX-License-Identifier: Apache-2.0

package clusteridentityprocessor

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// stampedSpans are a resource with spans as agents send them: 10 attributes of the resource, 25 of each span.
func stampedSpans(spans int) ptrace.ResourceSpans {
	rs := ptrace.NewTraces().ResourceSpans().AppendEmpty()
	fill(rs.Resource().Attributes(), map[string]string{clusterKey: west}, "k8s.namespace.name", "k8s.pod.name", "k8s.node.name", "k8s.deployment.name",
		"cloud.provider", "cloud.region", "service.name", "service.instance.id", "telemetry.sdk.name")
	ss := rs.ScopeSpans().AppendEmpty()
	for range spans {
		span := ss.Spans().AppendEmpty()
		span.SetKind(ptrace.SpanKindClient)
		fill(span.Attributes(), map[string]string{
			"mesh.source.cluster": west, "mesh.destination.cluster": north, istioKey: west, "envoy.upstream.cluster": "outbound|9080||reviews.bookinfo.svc.cluster.local",
		}, "http.request.method", "url.full", "http.response.status_code", "user_agent.original", "envoy.node.id", "mesh.source.region", "mesh.source.zone",
			"mesh.source.namespace", "mesh.source.workload", "mesh.source.service", "mesh.destination.region", "mesh.destination.zone", "mesh.destination.namespace",
			"mesh.destination.workload", "mesh.destination.service", "mesh.resolution.source", "mesh.resolution.destination", "mesh.traffic.locality", "mesh.tls",
			"server.address", "network.protocol.version")
	}
	return rs
}

func fill(m pcommon.Map, known map[string]string, others ...string) {
	for key, value := range known {
		m.PutStr(key, value)
	}
	for _, key := range others {
		m.PutStr(key, "value of some length")
	}
}

func BenchmarkCompare(b *testing.B) {
	id := mayOnly(b, west)
	b.Run("name", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !id.MaySpeakFor(west) {
				b.Fatal()
			}
		}
	})
	b.Run("resource", func(b *testing.B) {
		attrs := stampedSpans(0).Resource().Attributes()
		j := judge{id: id, unset: []string{"Kubernetes"}}
		b.ReportAllocs()
		for b.Loop() {
			if r := j.resource(attrs); r.bad.reason != fine {
				b.Fatal(r.bad)
			}
		}
	})
	for _, spans := range []int{1, 100} {
		rs := stampedSpans(spans)
		b.Run(fmt.Sprint("resource and spans/", spans), func(b *testing.B) {
			state := &batch{judge: judge{id: id, unset: []string{"Kubernetes"}}}
			b.ReportAllocs()
			for b.Loop() {
				if state.resourceSpans(rs) {
					b.Fatal()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*spans), "ns/span")
		})
	}
}

// stampedRecords and stampedPoints are the same resource with access logs and with points of Istio's metrics.
func stampedRecords(records int) plog.ResourceLogs {
	rl := plog.NewLogs().ResourceLogs().AppendEmpty()
	rs := stampedSpans(records)
	rs.Resource().CopyTo(rl.Resource())
	sl := rl.ScopeLogs().AppendEmpty()
	for _, span := range rs.ScopeSpans().At(0).Spans().All() {
		record := sl.LogRecords().AppendEmpty()
		span.Attributes().CopyTo(record.Attributes())
		record.Body().SetStr("[2026-01-01T00:00:00.000Z] \"GET /reviews/0 HTTP/1.1\" 200 - via_upstream - \"-\" 0 375 20 19 \"-\" \"curl\"")
	}
	return rl
}

func stampedPoints(points int) pmetric.ResourceMetrics {
	rm := pmetric.NewMetrics().ResourceMetrics().AppendEmpty()
	rs := stampedSpans(points)
	rs.Resource().CopyTo(rm.Resource())
	sum := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetEmptySum()
	for _, span := range rs.ScopeSpans().At(0).Spans().All() {
		attrs := sum.DataPoints().AppendEmpty().Attributes()
		span.Attributes().CopyTo(attrs)
		attrs.PutStr("reporter", "source")
		attrs.PutStr("source_cluster", west)
		attrs.PutStr("destination_cluster", north)
	}
	return rm
}

// BenchmarkItems is what an item costs, its share of the resource included.
func BenchmarkItems(b *testing.B) {
	const items = 100
	state := &batch{judge: judge{id: mayOnly(b, west), unset: []string{"Kubernetes"}}}
	rs, rl, rm := stampedSpans(items), stampedRecords(items), stampedPoints(items)
	for name, compare := range map[string]func() bool{
		"span":   func() bool { return state.resourceSpans(rs) },
		"record": func() bool { return state.resourceLogs(rl) },
		"point":  func() bool { return state.resourceMetrics(rm) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if compare() {
					b.Fatal()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*items), "ns/item")
		})
	}
}

// TestNothingIsAllocated: on the way of honest telemetry.
func TestNothingIsAllocated(t *testing.T) {
	rs := stampedSpans(10)
	state := &batch{judge: judge{id: mayOnly(t, west), unset: []string{"Kubernetes"}}}
	rl, rm := stampedRecords(10), stampedPoints(10)
	gone := false
	n := testing.AllocsPerRun(100, func() {
		gone = gone || state.resourceSpans(rs) || state.resourceLogs(rl) || state.resourceMetrics(rm)
	})
	require.False(t, gone)
	assert.Zero(t, n)
}
