// SPDX-License-Identifier: Apache-2.0

package meshspanpairingprocessor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor"
)

// recording reads a span that a real Envoy sent. Recordings have no ids and times of their own.
func recording(t *testing.T, name string, span, parent byte, duration time.Duration) (ptrace.Traces, ptrace.Span) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "test", "recordings", "testdata", "spans", name+".json"))
	require.NoError(t, err)
	json := string(text)
	for _, key := range []string{"traceId", "spanId", "parentSpanId"} {
		digits := map[string]int{"traceId": 32}[key]
		if digits == 0 {
			digits = 16
		}
		json = strings.ReplaceAll(json, `"`+key+`": "01"`, `"`+key+`": "`+strings.Repeat("0", digits-1)+`1"`)
	}
	td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces([]byte(json))
	require.NoError(t, err)
	s := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	s.SetSpanID(pcommon.SpanID{7: span})
	s.SetParentSpanID(pcommon.SpanID{7: parent})
	now := time.Now()
	s.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-duration)))
	s.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
	return td, s
}

// hubTraces are the processors of the hub: mesh_topology, then this one.
func hubTraces(t *testing.T, next consumer.Traces) (first consumer.Traces, shutdown func()) {
	t.Helper()
	ef := meshtopologyextension.NewFactory()
	extensionConfig := ef.CreateDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(map[string]any{
		"static": map[string]any{"file": filepath.Join("testdata", "topology.yaml")},
	}).Unmarshal(extensionConfig))
	ext, err := ef.Create(t.Context(), extensiontest.NewNopSettings(ef.Type()), extensionConfig)
	require.NoError(t, err)
	host := extensionHost{component.MustNewID("mesh_topology"): ext}
	require.NoError(t, ext.Start(t.Context(), host))
	pairing := launch(t, componenttest.NewTelemetry(), config(), next, host)
	tf := meshtopologyprocessor.NewFactory()
	topology, err := tf.CreateTraces(t.Context(), processortest.NewNopSettings(tf.Type()), tf.CreateDefaultConfig(), pairing)
	require.NoError(t, err)
	require.NoError(t, topology.Start(t.Context(), host))
	return topology, func() {
		require.NoError(t, topology.Shutdown(t.Context()))
		require.NoError(t, pairing.Shutdown(t.Context()))
		require.NoError(t, ext.Shutdown(t.Context()))
	}
}

// TestRecordedCallThroughAGateway pairs what two real Envoys sent about one call, with and without the custom tags that
// newer Istio versions can add.
func TestRecordedCallThroughAGateway(t *testing.T) {
	for name, tags := range map[string]bool{"with custom tags": true, "plain": false} {
		t.Run(name, func(t *testing.T) {
			next := &sink{}
			first, shutdown := hubTraces(t, next)
			client, c := recording(t, "sidecar-outbound-remote", 1, 9, 40*time.Millisecond)
			server, s := recording(t, "sidecar-inbound-remote", 2, 1, 15*time.Millisecond)
			if !tags {
				for _, span := range []ptrace.Span{c, s} {
					span.Attributes().RemoveIf(func(key string, _ pcommon.Value) bool { return strings.HasPrefix(key, "mesh.") })
				}
			}
			require.NoError(t, first.ConsumeTraces(t.Context(), server))
			require.NoError(t, first.ConsumeTraces(t.Context(), client))
			shutdown()
			want := map[string]any{
				"mesh.source.cluster": "aks-westeurope", "mesh.source.workload": "productpage-v1", "mesh.resolution.source": "tag",
				"mesh.destination.cluster": "aks-northeurope", "mesh.destination.workload": "reviews-v1",
				"mesh.traffic.locality": "cross_region", "mesh.traffic.cross_cluster": true,
				"mesh.via": "aks-northeurope/istio-system/istio-eastwestgateway", "mesh.via.duration": 0.025,
			}
			want["mesh.resolution.destination"] = map[bool]string{true: "endpoint_metadata", false: "span_pair"}[tags]
			got, n := next.get(ptrace.SpanKindClient)
			require.Equal(t, 1, n)
			tls := values(got, "mesh.tls")["mesh.tls"]
			want["mesh.tls"] = tls
			assert.Equal(t, want, values(got, callKeys...))
			delete(want, "mesh.via.duration")
			want["mesh.resolution.source"], want["mesh.resolution.destination"] = "span_pair", "tag"
			got, n = next.get(ptrace.SpanKindServer)
			require.Equal(t, 1, n)
			assert.Equal(t, want, values(got, callKeys...), "and the same of the connection")
		})
	}
}

// TestRecordedGateway lets the request of a gateway learn from its attempt.
func TestRecordedGateway(t *testing.T) {
	next := &sink{}
	first, shutdown := hubTraces(t, next)
	request, r := recording(t, "ingress-gateway", 1, 0, 40*time.Millisecond)
	attempt, _ := recording(t, "ingress-gateway-upstream", 2, 1, 30*time.Millisecond)
	r.Attributes().RemoveIf(func(key string, _ pcommon.Value) bool { return strings.HasPrefix(key, "mesh.") })
	spans := attempt.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	spans.MoveAndAppendTo(request.ResourceSpans().At(0).ScopeSpans().At(0).Spans())
	require.NoError(t, first.ConsumeTraces(t.Context(), request))
	shutdown()
	got, n := next.get(ptrace.SpanKindServer)
	require.Equal(t, 1, n)
	v := values(got, "mesh.source.workload", "mesh.destination.workload", "mesh.resolution.destination")
	assert.Equal(t, map[string]any{
		"mesh.source.workload": "istio-ingressgateway", "mesh.destination.workload": "productpage-v1", "mesh.resolution.destination": "span_pair",
	}, v)
}
