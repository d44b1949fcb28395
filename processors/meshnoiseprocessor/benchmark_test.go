// SPDX-License-Identifier: Apache-2.0

package meshnoiseprocessor

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshnoiseprocessor/internal/metadatatest"
)

const batchSize = 1000

// userSpans are what an outbound sidecar sends, 22 attributes each, none of them noise.
func userSpans(n int) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "productpage.bookinfo")
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("envoy")
	for range n {
		span := ss.Spans().AppendEmpty()
		span.SetKind(ptrace.SpanKindClient)
		put(span.Attributes(), [][2]string{
			{"guid:x-request-id", "e4e8c177-3962-9359-945e-61e7175cd867"},
			{"http.url", "http://reviews.bookinfo:9080/reviews/0"},
			{"http.method", "GET"},
			{"downstream_cluster", "-"},
			{"user_agent", "Mozilla/5.0 (X11; Linux x86_64)"},
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
		})
	}
	return td
}

func put(attrs pcommon.Map, pairs [][2]string) {
	for _, kv := range pairs {
		attrs.PutStr(kv[0], kv[1])
	}
}

func userRecords(n int) plog.Logs {
	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for range n {
		put(records.AppendEmpty().Attributes(), [][2]string{
			{"http.request.method", "GET"},
			{"url.scheme", "http"},
			{"url.path", "/reviews/0"},
			{"server.address", "reviews"},
			{"user_agent.original", "Mozilla/5.0 (X11; Linux x86_64)"},
			{"network.protocol.version", "1.1"},
			{"client.address", "127.1.0.21"},
			{"envoy.upstream.cluster", "inbound|9080||"},
			{"envoy.response.flags", "-"},
			{"envoy.upstream.address", "127.1.0.31:9080"},
			{"envoy.downstream.address", "127.1.0.21:40000"},
			{"envoy.downstream.local_address", "127.1.0.31:9080"},
			{"envoy.route.name", "default"},
			{"envoy.request.id", "e4e8c177-3962-9359-945e-61e7175cd867"},
			{"envoy.tls.peer.san", "spiffe://west.mesh/ns/bookinfo/sa/productpage"},
		})
	}
	return ld
}

func userPoints(n int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	metric := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName("istio_requests_total")
	points := metric.SetEmptySum().DataPoints()
	for range n {
		put(points.AppendEmpty().Attributes(), [][2]string{
			{"reporter", "source"},
			{"source_workload", "productpage-v1"},
			{"source_canonical_service", "productpage"},
			{"source_canonical_revision", "v1"},
			{"source_workload_namespace", "bookinfo"},
			{"source_principal", "unknown"},
			{"source_app", "productpage"},
			{"source_version", "v1"},
			{"source_cluster", "aks-westeurope"},
			{"destination_workload", "reviews-v1"},
			{"destination_workload_namespace", "bookinfo"},
			{"destination_principal", "unknown"},
			{"destination_app", "reviews"},
			{"destination_version", "v1"},
			{"destination_service", "reviews.bookinfo.svc.cluster.local"},
			{"destination_canonical_service", "reviews"},
			{"destination_canonical_revision", "v1"},
			{"destination_service_name", "reviews"},
			{"destination_service_namespace", "bookinfo"},
			{"destination_cluster", "aks-westeurope"},
			{"request_protocol", "http"},
			{"response_code", "200"},
			{"grpc_response_status", ""},
			{"response_flags", "-"},
			{"connection_security_policy", "unknown"},
		})
	}
	return md
}

func newNoise(t testing.TB, s signal) *meshNoise {
	t.Helper()
	p, err := newMeshNoise(metadatatest.NewSettings(componenttest.NewTelemetry()), createDefaultConfig().(*Config), s)
	require.NoError(t, err)
	return p
}

// BenchmarkPass is what it costs to let through what is no noise; ns/item and the allocations of a batch.
func BenchmarkPass(b *testing.B) {
	run := func(name string, process func()) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				process()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batchSize, "ns/item")
		})
	}
	td, ld, md := userSpans(batchSize), userRecords(batchSize), userPoints(batchSize)
	forTraces, forLogs, forMetrics := newNoise(b, traces), newNoise(b, logs), newNoise(b, metrics)
	app := userSpans(batchSize)
	app.ResourceSpans().At(0).ScopeSpans().At(0).Scope().SetName("io.opentelemetry.jdbc")
	run("spans", func() { _, _ = forTraces.processTraces(context.Background(), td) })
	run("application_spans", func() { _, _ = forTraces.processTraces(context.Background(), app) })
	run("records", func() { _, _ = forLogs.processLogs(context.Background(), ld) })
	run("points", func() { _, _ = forMetrics.processMetrics(context.Background(), md) })
}

// TestPassingDoesNotAllocate holds that an item which is no noise costs no allocation: a batch may cost a few.
func TestPassingDoesNotAllocate(t *testing.T) {
	td, ld, md := userSpans(batchSize), userRecords(batchSize), userPoints(batchSize)
	forTraces, forLogs, forMetrics := newNoise(t, traces), newNoise(t, logs), newNoise(t, metrics)
	const perBatch = 8
	for name, process := range map[string]func(){
		"spans":   func() { _, _ = forTraces.processTraces(context.Background(), td) },
		"records": func() { _, _ = forLogs.processLogs(context.Background(), ld) },
		"points":  func() { _, _ = forMetrics.processMetrics(context.Background(), md) },
	} {
		assert.LessOrEqual(t, testing.AllocsPerRun(10, process), float64(perBatch), name)
	}
	assert.Equal(t, batchSize, td.SpanCount())
	assert.Equal(t, batchSize, ld.LogRecordCount())
	assert.Equal(t, batchSize, md.DataPointCount())
}
