// SPDX-License-Identifier: Apache-2.0

package meshspanpairingprocessor

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshspanpairingprocessor/internal/metadatatest"
)

// end is an end of a call as mesh_topology writes it: cluster, region, namespace, workload, service.
type end [5]string

var (
	frontendEnd = end{"west", "westeurope", "shop", "frontend-v1", "frontend"}
	backendEnd  = end{"north", "northeurope", "shop", "backend-v1", "backend"}
	backendName = end{"", "", "shop", "", "backend"}
)

func putEnd(attrs pcommon.Map, prefix string, e end) {
	for i, key := range []string{"cluster", "region", "namespace", "workload", "service"} {
		if e[i] != "" {
			attrs.PutStr(prefix+key, e[i])
		}
	}
}

func putAll(attrs pcommon.Map, pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		attrs.PutStr(pairs[i], pairs[i+1])
	}
}

func newSpan(td ptrace.Traces, pod string, trace uint64, span, parent byte, kind ptrace.SpanKind, duration time.Duration) ptrace.Span {
	rs := td.ResourceSpans().AppendEmpty()
	putAll(rs.Resource().Attributes(), "k8s.pod.name", pod, "k8s.namespace.name", "shop", "service.name", pod)
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("envoy")
	s := ss.Spans().AppendEmpty()
	s.SetName("backend.shop.svc.cluster.local:9080/*")
	s.SetKind(kind)
	var id pcommon.TraceID
	for i := range 8 {
		id[i] = byte(trace >> (8 * i))
	}
	id[15] = 1
	s.SetTraceID(id)
	s.SetSpanID(pcommon.SpanID{7: span})
	s.SetParentSpanID(pcommon.SpanID{7: parent})
	s.SetStartTimestamp(1_000_000_000)
	s.SetEndTimestamp(pcommon.Timestamp(1_000_000_000 + duration))
	return s
}

// clientSpan is that of an outbound sidecar, in Envoy's own names.
func clientSpan(td ptrace.Traces, trace uint64) ptrace.Span {
	s := newSpan(td, "frontend-1", trace, 1, 9, ptrace.SpanKindClient, 50*time.Millisecond)
	putAll(s.Attributes(),
		"component", "proxy", "node_id", "sidecar~10.1.0.1~frontend-1.shop~shop.svc.cluster.local",
		"upstream_cluster", "outbound|9080||backend.shop.svc.cluster.local", "http.url", "http://backend:9080/", "http.status_code", "200",
		"response_flags", "-", "mesh.resolution.source", "tag", "mesh.resolution.destination", "unknown:no_address",
		"mesh.traffic.locality", "unknown", "mesh.tls", "unknown")
	putEnd(s.Attributes(), "mesh.source.", frontendEnd)
	putEnd(s.Attributes(), "mesh.destination.", backendName)
	return s
}

// serverSpan is that of an inbound sidecar behind an east/west gateway, in the names of the semantic conventions.
func serverSpan(td ptrace.Traces, trace uint64) ptrace.Span {
	s := newSpan(td, "backend-1", trace, 2, 1, ptrace.SpanKindServer, 20*time.Millisecond)
	putAll(s.Attributes(),
		"envoy.node.id", "sidecar~10.1.0.1~backend-1.shop~shop.svc.cluster.local",
		"envoy.upstream.cluster", "inbound|9080||", "url.full", "http://backend:9080/",
		"mesh.via", "north/istio-system/eastwest", "mesh.resolution.source", "unknown:behind_gateway", "mesh.resolution.destination", "tag",
		"mesh.traffic.locality", "unknown", "mesh.tls", "mutual")
	s.Attributes().PutInt("http.response.status_code", 200)
	putEnd(s.Attributes(), "mesh.destination.", backendEnd)
	return s
}

func clientTraces(trace uint64) ptrace.Traces {
	td := ptrace.NewTraces()
	clientSpan(td, trace)
	return td
}

func serverTraces(trace uint64) ptrace.Traces {
	td := ptrace.NewTraces()
	serverSpan(td, trace)
	return td
}

// sink takes spans, or answers with err.
type sink struct {
	mu      sync.Mutex
	spans   []ptrace.Span
	times   []time.Time
	calls   int
	err     error
	mutates bool
}

func (s *sink) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: s.mutates}
}

func (s *sink) ConsumeTraces(_ context.Context, td ptrace.Traces) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				if s.err == nil {
					kept := ptrace.NewSpan()
					span.CopyTo(kept)
					s.spans, s.times = append(s.spans, kept), append(s.times, time.Now())
				}
				if s.mutates {
					span.Attributes().Clear()
				}
			}
		}
	}
	return s.err
}

func (s *sink) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// get returns the only span of a kind, and how many there are.
func (s *sink) get(kind ptrace.SpanKind) (found ptrace.Span, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, span := range s.spans {
		if span.Kind() == kind {
			found = span
			n++
		}
	}
	return found, n
}

func config(change ...func(*Config)) *Config {
	c := createDefaultConfig().(*Config)
	for _, f := range change {
		f(c)
	}
	return c
}

func launch(t *testing.T, tel *componenttest.Telemetry, cfg *Config, next consumer.Traces, host component.Host) processor.Traces {
	t.Helper()
	require.NoError(t, cfg.Validate())
	p, err := NewFactory().CreateTraces(context.Background(), metadatatest.NewSettings(tel), cfg, next)
	require.NoError(t, err)
	require.NoError(t, p.Start(context.Background(), host))
	return p
}

func values(s ptrace.Span, keys ...string) map[string]any {
	got := map[string]any{}
	for _, key := range keys {
		if v, ok := s.Attributes().Get(key); ok {
			got[key] = v.AsRaw()
		}
	}
	return got
}

var callKeys = []string{
	"mesh.source.cluster", "mesh.source.workload", "mesh.destination.cluster", "mesh.destination.workload",
	"mesh.resolution.source", "mesh.resolution.destination", "mesh.traffic.locality", "mesh.traffic.cross_cluster",
	"mesh.via", "mesh.via.duration", "mesh.tls",
}

func wholeCall(sourceBy, destinationBy string) map[string]any {
	return map[string]any{
		"mesh.source.cluster": "west", "mesh.source.workload": "frontend-v1", "mesh.destination.cluster": "north",
		"mesh.destination.workload": "backend-v1", "mesh.resolution.source": sourceBy, "mesh.resolution.destination": destinationBy,
		"mesh.traffic.locality": "cross_region", "mesh.traffic.cross_cluster": true,
		"mesh.via": "north/istio-system/eastwest", "mesh.tls": "mutual",
	}
}

func wholeClient() map[string]any {
	w := wholeCall("tag", "span_pair")
	w["mesh.via.duration"] = 0.03
	return w
}

func requirePaired(t *testing.T, next *sink) {
	t.Helper()
	c, n := next.get(ptrace.SpanKindClient)
	require.Equal(t, 1, n)
	assert.Equal(t, wholeClient(), values(c, callKeys...))
	s, n := next.get(ptrace.SpanKindServer)
	require.Equal(t, 1, n)
	assert.Equal(t, wholeCall("span_pair", "tag"), values(s, callKeys...))
}

func TestPartnersOfOneBatchPassAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := &sink{}
		p := launch(t, componenttest.NewTelemetry(), config(), next, componenttest.NewNopHost())
		td := ptrace.NewTraces()
		serverSpan(td, 1)
		clientSpan(td, 1)
		require.NoError(t, p.ConsumeTraces(t.Context(), td))
		assert.Equal(t, 1, next.calls, "behind tail sampling nothing waits")
		requirePaired(t, next)
		require.NoError(t, p.Shutdown(t.Context()))
	})
}

func TestPartnersFromTwoClusters(t *testing.T) {
	for name, batches := range map[string][2]func(uint64) ptrace.Traces{
		"client first": {clientTraces, serverTraces}, "server first": {serverTraces, clientTraces},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tel := componenttest.NewTelemetry()
				next := &sink{mutates: true}
				p := launch(t, tel, config(), next, componenttest.NewNopHost())
				require.NoError(t, p.ConsumeTraces(t.Context(), batches[0](1)))
				assert.Zero(t, next.calls, "a batch of which everything waits is not handed on empty")
				metadatatest.AssertEqualProcessorMeshSpanPairingHeldSpans(t, tel, []metricdata.DataPoint[int64]{{Value: 1}}, ignoreTime)
				pass(3 * time.Second)
				require.NoError(t, p.ConsumeTraces(t.Context(), batches[1](1)))
				pass(longestTick)
				requirePaired(t, next)
				metadatatest.AssertEqualProcessorMeshSpanPairingPairedSpans(t, tel,
					[]metricdata.DataPoint[int64]{{Value: 1, Attributes: set("end", "source")}, {Value: 1, Attributes: set("end", "destination")}}, ignoreTime)
				metadatatest.AssertEqualProcessorMeshSpanPairingReleasedSpans(t, tel,
					[]metricdata.DataPoint[int64]{{Value: 1, Attributes: set("reason", "paired")}}, ignoreTime)
				metadatatest.AssertEqualProcessorMeshSpanPairingHeldSpans(t, tel, []metricdata.DataPoint[int64]{{Value: 0}}, ignoreTime)
				metadatatest.AssertEqualProcessorMeshSpanPairingEntries(t, tel, []metricdata.DataPoint[int64]{{Value: 2}}, ignoreTime)
				require.NoError(t, p.Shutdown(t.Context()))
			})
		})
	}
}

func TestNobodyWaitsLongerThanTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := &sink{}
		p := launch(t, componenttest.NewTelemetry(), config(), next, componenttest.NewNopHost())
		pass(longestTick / 3)
		began := time.Now()
		require.NoError(t, p.ConsumeTraces(t.Context(), clientTraces(1)))
		pass(6 * time.Second)
		require.Len(t, next.spans, 1)
		waited := next.times[0].Sub(began)
		assert.LessOrEqual(t, waited, 5*time.Second)
		assert.Greater(t, waited, 5*time.Second-2*longestTick)
		assert.Equal(t, "unknown:no_address", values(next.spans[0], "mesh.resolution.destination")["mesh.resolution.destination"])

		pass(3 * time.Minute)
		require.NoError(t, p.ConsumeTraces(t.Context(), serverTraces(1)))
		s, n := next.get(ptrace.SpanKindServer)
		require.Equal(t, 1, n, "minutes later its partner gets its end, at once")
		assert.Equal(t, wholeCall("span_pair", "tag"), values(s, callKeys...))
		require.NoError(t, p.Shutdown(t.Context()))
	})
}

func TestWhatNeedsNotWaitPassesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := &sink{}
		p := launch(t, componenttest.NewTelemetry(), config(), next, componenttest.NewNopHost())
		td := ptrace.NewTraces()
		known := clientSpan(td, 1)
		putEnd(known.Attributes(), "mesh.destination.", backendEnd)
		known.Attributes().PutStr("mesh.resolution.destination", "ip")
		application := newSpan(td, "frontend-1", 1, 5, 9, ptrace.SpanKindClient, time.Second)
		application.Attributes().PutStr("http.url", "http://backend:9080/")
		require.NoError(t, p.ConsumeTraces(t.Context(), td))
		assert.Len(t, next.spans, 2)
		require.NoError(t, p.ConsumeTraces(t.Context(), ptrace.NewTraces()), "an empty batch is handed on as it came")
		assert.Equal(t, 2, next.calls)
		require.NoError(t, p.ConsumeTraces(t.Context(), serverTraces(1)))
		assert.Len(t, next.spans, 3, "what passed is remembered for its partner")
		require.NoError(t, p.Shutdown(t.Context()))
	})
}

func TestOneOfABatchWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := &sink{}
		p := launch(t, componenttest.NewTelemetry(), config(), next, componenttest.NewNopHost())
		td := clientTraces(1)
		td.ResourceSpans().At(0).SetSchemaUrl("resource schema")
		td.ResourceSpans().At(0).ScopeSpans().At(0).SetSchemaUrl("scope schema")
		other := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().AppendEmpty()
		other.SetName("other")
		require.NoError(t, p.ConsumeTraces(t.Context(), td))
		require.Len(t, next.spans, 1)
		assert.Equal(t, "other", next.spans[0].Name())
		var late ptrace.Traces
		p.(*spanPairing).next = consumerFunc(func(_ context.Context, td ptrace.Traces) error { late = td; return nil })
		require.NoError(t, p.Shutdown(t.Context()))
		rs := late.ResourceSpans().At(0)
		pod, _ := rs.Resource().Attributes().Get("k8s.pod.name")
		assert.Equal(t, "frontend-1", pod.Str())
		assert.Equal(t, "resource schema", rs.SchemaUrl())
		assert.Equal(t, "envoy", rs.ScopeSpans().At(0).Scope().Name())
		assert.Equal(t, "scope schema", rs.ScopeSpans().At(0).SchemaUrl())
	})
}

type consumerFunc func(context.Context, ptrace.Traces) error

func (consumerFunc) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (f consumerFunc) ConsumeTraces(ctx context.Context, td ptrace.Traces) error { return f(ctx, td) }
