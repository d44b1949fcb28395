// SPDX-License-Identifier: Apache-2.0

package meshprivacyprocessor

import (
	"context"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/redactionprocessor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshprivacyprocessor/internal/metadatatest"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshprivacyprocessor/privacytest"
)

const batchSize = 1000

// envoySpans are what leaves an agent: an outbound sidecar's span behind mesh_topology and envoy_semconv, 33 attributes.
func envoySpans(n int, path string) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	privacytest.Put(rs.Resource().Attributes(), [][2]string{
		{"service.name", "productpage.bookinfo"},
		{"k8s.cluster.name", "aks-westeurope"},
		{"k8s.namespace.name", "bookinfo"},
		{"k8s.pod.name", "productpage-v1-6d5f7c9b8-abcde"},
		{"cloud.region", "westeurope"},
	})
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("envoy")
	for range n {
		span := ss.Spans().AppendEmpty()
		span.SetName("reviews.bookinfo.svc.cluster.local:9080/*")
		span.SetKind(ptrace.SpanKindClient)
		attrs := span.Attributes()
		privacytest.Put(attrs, privacytest.TopologyFields)
		privacytest.Put(attrs, [][2]string{
			{"http.request.method", "GET"},
			{"url.full", "http://reviews.bookinfo:9080" + path},
			{"url.scheme", "http"},
			{"url.path", path},
			{"user_agent.original", "Mozilla/5.0 (X11; Linux x86_64)"},
		})
		attrs.PutInt("http.response.status_code", 200)
		attrs.PutInt("server.port", 9080)
	}
	return td
}

// upstreamRules are what upstream's redaction processor can be told to do of the same.
func upstreamRules(allTypes bool) map[string]any {
	return map[string]any{
		"allow_all_keys": true, "redact_all_types": allTypes, "summary": "silent",
		"blocked_key_patterns": []any{`(?i)(authorization|cookie|password|passwd|secret|token|api[-_.]?key|signature)`, `^url\.query$`},
		"blocked_values": []any{
			`\?[^\s"]+`, `//[^/\s"@]+@`, `(?i)(bearer|basic) [A-Za-z0-9._~+/=-]{8,}`, `eyJ[A-Za-z0-9_.-]{17,}`, `A[KS]IA[A-Z0-9]{16}`,
			`(?i)(password|secret|token|key|sig|signature)["']?\s*[=:]\s*["']?[^"';&\s]+`, `-----BEGIN [A-Z ]*PRIVATE KEY[^-]*-----[^-]*`,
		},
	}
}

func upstreamTraces(t testing.TB, allTypes bool, next *consumertest.TracesSink) func(ptrace.Traces) {
	t.Helper()
	factory := redactionprocessor.NewFactory()
	cfg := factory.CreateDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(upstreamRules(allTypes)).Unmarshal(cfg))
	p, err := factory.CreateTraces(context.Background(), processortest.NewNopSettings(factory.Type()), cfg, next)
	require.NoError(t, err)
	return func(td ptrace.Traces) { require.NoError(t, p.ConsumeTraces(context.Background(), td)) }
}

// BenchmarkSpans passes spans in which there is nothing to find, and the same with a query on each, per span.
func BenchmarkSpans(b *testing.B) {
	for _, path := range []struct{ name, path string }{{"clean", "/reviews/0"}, {"query", "/reviews/0?user=alice&token=abc"}} {
		b.Run(path.name+"/mesh_privacy", func(b *testing.B) {
			p, err := newMeshPrivacy(metadatatest.NewSettings(componenttest.NewTelemetry()), createDefaultConfig().(*Config))
			require.NoError(b, err)
			benchmarkBatches(b, path.path, func(td ptrace.Traces) { _, _ = p.processTraces(context.Background(), td) })
		})
		b.Run(path.name+"/redaction", func(b *testing.B) {
			sink := &consumertest.TracesSink{}
			consume := upstreamTraces(b, false, sink)
			benchmarkBatches(b, path.path, func(td ptrace.Traces) { sink.Reset(); consume(td) })
		})
	}
}

func benchmarkBatches(b *testing.B, path string, consume func(ptrace.Traces)) {
	b.ReportAllocs()
	input := envoySpans(batchSize, path)
	dirty := path != "/reviews/0"
	td := ptrace.NewTraces()
	input.CopyTo(td)
	for b.Loop() {
		if dirty {
			// Copying is in the figures of both; the clean case passes one batch again and again.
			td = ptrace.NewTraces()
			input.CopyTo(td)
		}
		consume(td)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batchSize, "ns/span")
}

// TestNothingFoundAllocatesNothing: names are remembered after the first batch.
func TestNothingFoundAllocatesNothing(t *testing.T) {
	p, err := newMeshPrivacy(metadatatest.NewSettings(componenttest.NewTelemetry()), createDefaultConfig().(*Config))
	require.NoError(t, err)
	td := envoySpans(10, "/reviews/0")
	_, _ = p.processTraces(context.Background(), td)
	assert.Zero(t, testing.AllocsPerRun(20, func() { _, _ = p.processTraces(context.Background(), td) }))
}
