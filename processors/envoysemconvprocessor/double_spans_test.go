// SPDX-License-Identifier: Apache-2.0

package envoysemconvprocessor

import (
	"encoding/binary"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor/internal/metadata"
	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor/internal/metadatatest"
)

// The spans of one call between two applications with sidecars: each is the child of the one before.
const (
	appClient uint64 = iota + 1
	proxyClient
	proxyServer
	appServer
)

func spanID(n uint64) (id pcommon.SpanID) {
	binary.BigEndian.PutUint64(id[:], n)
	return id
}

// oneOf returns a batch of one span of a call.
func oneOf(which uint64) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetTraceID([16]byte{1})
	span.SetSpanID(spanID(which))
	span.SetParentSpanID(spanID(which - 1))
	span.SetKind(ptrace.SpanKindClient)
	if which == proxyServer || which == appServer {
		span.SetKind(ptrace.SpanKindServer)
	}
	switch which {
	case proxyClient:
		span.Attributes().PutStr("component", "proxy")
		span.Attributes().PutStr("node_id", "sidecar~127.1.0.21~caller.bookinfo~bookinfo.svc.cluster.local")
	case proxyServer:
		span.Attributes().PutStr("component", "proxy")
		span.Attributes().PutStr("node_id", "sidecar~127.1.0.31~called.bookinfo~bookinfo.svc.cluster.local")
	case appClient:
		rs.Resource().Attributes().PutStr("k8s.pod.name", "caller")
	case appServer:
		rs.Resource().Attributes().PutStr("k8s.pod.name", "called")
	}
	return td
}

func doubleSpansProcessor(t *testing.T, tel *componenttest.Telemetry, change func(*DoubleSpansConfig)) *envoySemconv {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	if change != nil {
		change(&cfg.DoubleSpans)
	}
	require.NoError(t, cfg.Validate())
	set := processortest.NewNopSettings(metadata.Type)
	if tel != nil {
		set = metadatatest.NewSettings(tel)
	}
	p, err := newSpans(set, cfg)
	require.NoError(t, err)
	return p
}

func (p *envoySemconv) kindAfter(t *testing.T, which uint64) ptrace.SpanKind {
	t.Helper()
	td, err := p.processTraces(t.Context(), oneOf(which))
	require.NoError(t, err)
	return spanOf(td).Kind()
}

// Spans of a call arrive in batches of their own, in any order. What was passed on stays; what comes second is
// recognized.
func TestDoubleSpansAcrossBatches(t *testing.T) {
	p := doubleSpansProcessor(t, nil, nil)
	assert.Equal(t, ptrace.SpanKindClient, p.kindAfter(t, proxyClient))
	assert.Equal(t, ptrace.SpanKindInternal, p.kindAfter(t, appClient))
	assert.Equal(t, ptrace.SpanKindServer, p.kindAfter(t, appServer), "its sidecar's span may not exist")
	assert.Equal(t, ptrace.SpanKindServer, p.kindAfter(t, proxyServer))
	assert.Equal(t, ptrace.SpanKindInternal, p.kindAfter(t, appServer), "a span sent twice")

	p = doubleSpansProcessor(t, nil, func(c *DoubleSpansConfig) { c.Policy = "prefer_application" })
	assert.Equal(t, ptrace.SpanKindClient, p.kindAfter(t, appClient))
	assert.Equal(t, ptrace.SpanKindInternal, p.kindAfter(t, proxyClient))
	assert.Equal(t, ptrace.SpanKindServer, p.kindAfter(t, proxyServer))
	assert.Equal(t, ptrace.SpanKindServer, p.kindAfter(t, appServer))
	assert.Equal(t, ptrace.SpanKindInternal, p.kindAfter(t, proxyServer))

	p = doubleSpansProcessor(t, nil, func(c *DoubleSpansConfig) { c.Policy = "keep" })
	for _, which := range []uint64{proxyClient, proxyServer} {
		p.kindAfter(t, which)
	}
	assert.Equal(t, ptrace.SpanKindClient, p.kindAfter(t, appClient))
	assert.Equal(t, ptrace.SpanKindServer, p.kindAfter(t, appServer))
}

func TestDoubleSpansAreForgotten(t *testing.T) {
	p := doubleSpansProcessor(t, nil, func(c *DoubleSpansConfig) { c.RememberFor = 10 * time.Second })
	now := time.Duration(0)
	p.doubles.now = func() time.Duration { return now }
	p.kindAfter(t, proxyClient)
	now = 10 * time.Second
	assert.Equal(t, ptrace.SpanKindInternal, p.kindAfter(t, appClient))
	now++
	assert.Equal(t, ptrace.SpanKindClient, p.kindAfter(t, appClient))
}

// Neither an id of another trace nor that of another end of the call is evidence.
func TestDoubleSpansOfOthers(t *testing.T) {
	for name, change := range map[string]func(ptrace.Span){
		"another trace":    func(s ptrace.Span) { s.SetTraceID([16]byte{2}) },
		"another parent":   func(s ptrace.Span) { s.SetParentSpanID(spanID(99)) },
		"no parent":        func(s ptrace.Span) { s.SetParentSpanID(pcommon.SpanID{}) },
		"a server":         func(s ptrace.Span) { s.SetKind(ptrace.SpanKindServer) },
		"an internal one":  func(s ptrace.Span) { s.SetKind(ptrace.SpanKindInternal) },
		"a gateway":        func(s ptrace.Span) { s.Attributes().PutStr("node_id", "router~127.1.0.9~caller.bookinfo~x") },
		"a waypoint":       func(s ptrace.Span) { s.Attributes().PutStr("node_id", "waypoint~127.1.0.9~caller.bookinfo~x") },
		"unknown proxy":    func(s ptrace.Span) { s.Attributes().Remove("node_id") },
		"an application's": func(s ptrace.Span) { s.Attributes().Clear() },
		"another pod's":    func(s ptrace.Span) { s.Attributes().PutStr("node_id", "sidecar~127.1.0.21~other.bookinfo~x") },
	} {
		t.Run(name, func(t *testing.T) {
			p := doubleSpansProcessor(t, nil, nil)
			td := oneOf(proxyClient)
			change(spanOf(td))
			_, err := p.processTraces(t.Context(), td)
			require.NoError(t, err)
			assert.Equal(t, ptrace.SpanKindClient, p.kindAfter(t, appClient))
		})
	}
}

// An application that copies trace headers but does not trace makes what it calls past its sidecar a child of the
// sidecar's SERVER span. That child is the only span of its end.
func TestDoubleSpansOfOnePod(t *testing.T) {
	for name, tt := range map[string]struct {
		key, pod string
		want     ptrace.SpanKind
	}{
		"its own":      {"k8s.pod.name", "called", ptrace.SpanKindInternal},
		"by host name": {"host.name", "called", ptrace.SpanKindInternal},
		"another":      {"k8s.pod.name", "legacy-0", ptrace.SpanKindServer},
		"another host": {"host.name", "vm-7", ptrace.SpanKindServer},
		"nobody knows": {"service.name", "called", ptrace.SpanKindServer},
		"empty":        {"k8s.pod.name", "", ptrace.SpanKindServer},
	} {
		t.Run(name, func(t *testing.T) {
			p := doubleSpansProcessor(t, nil, nil)
			p.kindAfter(t, proxyServer)
			td := oneOf(appServer)
			td.ResourceSpans().At(0).Resource().Attributes().Clear()
			td.ResourceSpans().At(0).Resource().Attributes().PutStr(tt.key, tt.pod)
			td, err := p.processTraces(t.Context(), td)
			require.NoError(t, err)
			assert.Equal(t, tt.want, spanOf(td).Kind())
		})
	}
	// A sidecar that does not say its pod is of the pod that its resource names.
	p := doubleSpansProcessor(t, nil, nil)
	td := oneOf(proxyServer)
	spanOf(td).Attributes().PutStr("node_id", "")
	spanOf(td).Attributes().PutStr("upstream_cluster", "inbound|9080||")
	td.ResourceSpans().At(0).Resource().Attributes().PutStr("k8s.pod.name", "called")
	_, err := p.processTraces(t.Context(), td)
	require.NoError(t, err)
	assert.Equal(t, ptrace.SpanKindInternal, p.kindAfter(t, appServer))
}

// The hub sees what the agents have translated, and may know more than each of them.
func TestDoubleSpansAfterTheAgents(t *testing.T) {
	callers, called, hub := doubleSpansProcessor(t, nil, nil), doubleSpansProcessor(t, nil, nil), doubleSpansProcessor(t, nil, nil)
	whole := ptrace.NewTraces()
	pass := func(agent *envoySemconv, which uint64) {
		td, err := agent.processTraces(t.Context(), oneOf(which))
		require.NoError(t, err)
		td.ResourceSpans().MoveAndAppendTo(whole.ResourceSpans())
	}
	pass(callers, appClient)
	pass(callers, proxyClient)
	pass(called, appServer)
	pass(called, proxyServer)
	whole, err := hub.processTraces(t.Context(), whole)
	require.NoError(t, err)
	want := []ptrace.SpanKind{ptrace.SpanKindInternal, ptrace.SpanKindClient, ptrace.SpanKindInternal, ptrace.SpanKindServer}
	for i, kind := range want {
		assert.Equal(t, kind, whole.ResourceSpans().At(i).ScopeSpans().At(0).Spans().At(0).Kind(), "span %d", i)
	}
}

func TestDoubleSpanTelemetry(t *testing.T) {
	tel := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(t.Context())) }()
	p := doubleSpansProcessor(t, tel, func(c *DoubleSpansConfig) { c.MaxRemembered = 512 })
	td, err := golden.ReadTraces(filepath.Join("testdata", "double_spans_prefer_proxy", "input.yaml"))
	require.NoError(t, err)
	_, err = p.processTraces(t.Context(), td)
	require.NoError(t, err)
	p.kindAfter(t, proxyClient)
	nowhere := oneOf(appClient)
	nowhere.ResourceSpans().At(0).Resource().Attributes().Clear()
	_, err = p.processTraces(t.Context(), nowhere)
	require.NoError(t, err)
	metadatatest.AssertEqualProcessorEnvoySemconvDoubleSpans(t, tel, []metricdata.DataPoint[int64]{
		point("outcome", "pod_unknown", 1),
		point("outcome", "client_to_internal", 1),
		point("outcome", "server_to_internal", 1),
		// A database, an encrypted call, one through a gateway, one by a gateway, another pod's.
		point("outcome", "other_not_seen", 5),
	}, metricdatatest.IgnoreTimestamp())

	many := ptrace.NewTraces()
	for i := range uint64(10 * 512) {
		oneOf(proxyClient).ResourceSpans().MoveAndAppendTo(many.ResourceSpans())
		many.ResourceSpans().At(int(i)).ScopeSpans().At(0).Spans().At(0).SetParentSpanID(spanID(1000 + i))
	}
	_, err = p.processTraces(t.Context(), many)
	require.NoError(t, err)
	forgotten, err := tel.GetMetric("otelcol_processor_envoy_semconv_forgotten_spans")
	require.NoError(t, err)
	n := forgotten.Data.(metricdata.Sum[int64]).DataPoints[0].Value
	assert.GreaterOrEqual(t, n, int64(9*512), "the ceiling is 512")
	assert.Less(t, n, int64(10*512))
}

func TestNamedSpanTelemetry(t *testing.T) {
	tel := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(t.Context())) }()
	td, err := golden.ReadTraces(filepath.Join("testdata", "span_names", "input.yaml"))
	require.NoError(t, err)
	runTraces(t, tel, loadConfig(t, "span_names"), td)
	metadatatest.AssertEqualProcessorEnvoySemconvNamedSpans(t, tel, []metricdata.DataPoint[int64]{
		point("source", "route", 6),
		point("source", "template", 1),
		point("source", "grpc", 1),
		point("source", "kept", 4),
		point("source", "method", 1),
		point("source", "over_limit", 1),
	}, metricdatatest.IgnoreTimestamp())
}

func TestConcurrentBatches(t *testing.T) {
	p := doubleSpansProcessor(t, nil, nil)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				td, err := golden.ReadTraces(filepath.Join("testdata", "double_spans_prefer_proxy", "input.yaml"))
				if !assert.NoError(t, err) {
					return
				}
				td, err = p.processTraces(t.Context(), td)
				assert.NoError(t, err)
				assert.Equal(t, ptrace.SpanKindInternal, spanOf(td).Kind())
			}
		})
	}
	wg.Wait()
}

// What no proxy made costs no memory.
func TestApplicationSpansDoNotAllocate(t *testing.T) {
	p := doubleSpansProcessor(t, nil, nil)
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for range 100 {
		span := spans.AppendEmpty()
		spanOf(oneOf(appServer)).CopyTo(span)
		span.Attributes().PutStr("http.request.method", "GET")
		span.Attributes().PutInt("http.response.status_code", 200)
		span.Attributes().PutInt("network.peer.port", 40000)
		span.Attributes().PutInt("http.status_code", 200)
	}
	n := p.walkers.Get().(*normalizer)
	assert.Zero(t, testing.AllocsPerRun(20, func() { p.walk(n, td) }))
}
