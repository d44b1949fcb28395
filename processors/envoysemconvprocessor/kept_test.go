// SPDX-License-Identifier: Apache-2.0

package envoysemconvprocessor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// translated runs one span with these attributes through the processor, twice.
func translated(t *testing.T, kind ptrace.SpanKind, attrs map[string]any) map[string]any {
	t.Helper()
	td := ptrace.NewTraces()
	span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetKind(kind)
	attrs["component"] = "proxy"
	require.NoError(t, span.Attributes().FromRaw(attrs))
	out := runTraces(t, componenttest.NewTelemetry(), createDefaultConfig().(*Config), td)
	once := out.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().AsRaw()
	again := runTraces(t, componenttest.NewTelemetry(), createDefaultConfig().(*Config), out)
	assert.Equal(t, once, again.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().AsRaw())
	return once
}

// A tag of the user's own may say in client.address who called first; who called this proxy must not get lost.
func TestTheCallerIsKeptBesideAnotherClient(t *testing.T) {
	for name, tt := range map[string]struct{ in, want map[string]any }{
		"another client": {
			map[string]any{"peer.address": "127.1.0.21", "client.address": "203.0.113.7"},
			map[string]any{"client.address": "203.0.113.7", "envoy.downstream.address": "127.1.0.21"},
		},
		"the same client": {
			map[string]any{"peer.address": "127.1.0.21", "client.address": "127.1.0.21"},
			map[string]any{"client.address": "127.1.0.21"},
		},
		"the peer is told": {
			map[string]any{"peer.address": "127.1.0.21", "client.address": "203.0.113.7", "network.peer.address": "127.1.0.21"},
			map[string]any{"client.address": "203.0.113.7", "network.peer.address": "127.1.0.21"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tt.want, translated(t, ptrace.SpanKindServer, tt.in))
		})
	}
}

// Where two attributes tell one fact, the first one counts.
func TestTheURLNamesTheServer(t *testing.T) {
	got := translated(t, ptrace.SpanKindServer, map[string]any{
		"http.url": "http://h:80/a.B/C", "grpc.authority": "g:90", "grpc.path": "/a.B/C", "grpc.status_code": "0",
	})
	assert.Equal(t, "h", got["server.address"])
	assert.Equal(t, int64(80), got["server.port"])
}

// An Envoy that is told not to name its scope is known by its resource.
func TestEnvoyWithoutScope(t *testing.T) {
	for sdk, want := range map[string]any{"envoy": int64(200), "opentelemetry": "200"} {
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("telemetry.sdk.name", sdk)
		span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		span.Attributes().PutStr("http.response.status_code", "200")
		got := spanOf(runTraces(t, componenttest.NewTelemetry(), createDefaultConfig().(*Config), td)).Attributes().AsRaw()
		assert.Equal(t, map[string]any{"http.response.status_code": want}, got)
	}
}

// Envoy writes 0 for no response under the new name as well.
func TestNoResponseUnderTheNewName(t *testing.T) {
	for name, tt := range map[string]struct{ in, want map[string]any }{
		"new name":         {map[string]any{"http.response.status_code": "0", "response_flags": "UH"}, map[string]any{"envoy.response.flags": "UH", "error.type": "UH"}},
		"as a number":      {map[string]any{"http.response.status_code": 0}, map[string]any{"error.type": "_OTHER"}},
		"both":             {map[string]any{"http.response.status_code": "0", "http.status_code": "0"}, map[string]any{"error.type": "_OTHER"}},
		"the legacy knows": {map[string]any{"http.response.status_code": "0", "http.status_code": "200"}, map[string]any{"http.response.status_code": int64(200)}},
		"a response":       {map[string]any{"http.response.status_code": "200"}, map[string]any{"http.response.status_code": int64(200)}},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tt.want, translated(t, ptrace.SpanKindServer, tt.in))
		})
	}
}

// What the processor is not about stays as it is.
func TestTheRestOfTheItemStays(t *testing.T) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.SetSchemaUrl("r")
	ss := rs.ScopeSpans().AppendEmpty()
	ss.SetSchemaUrl("s")
	ss.Scope().Attributes().PutStr("k", "v")
	span := ss.Spans().AppendEmpty()
	span.TraceState().FromRaw("a=b")
	span.SetDroppedAttributesCount(7)
	span.Links().AppendEmpty().Attributes().PutStr("http.method", "GET")
	span.Events().AppendEmpty().Attributes().PutStr("http.method", "GET")
	span.Attributes().PutStr("broken", "a\xff")
	want := ptrace.NewTraces()
	td.CopyTo(want)
	span.Attributes().PutStr("component", "proxy")
	out := runTraces(t, componenttest.NewTelemetry(), createDefaultConfig().(*Config), td)
	assert.Equal(t, want, out)

	ld := plog.NewLogs()
	record := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	record.Body().SetEmptyMap().PutStr("method", "GET")
	record.SetEventName("e")
	record.SetDroppedAttributesCount(3)
	record.Attributes().PutStr("start_time", "2026-11-22T00:00:00Z")
	before := plog.NewLogs()
	ld.CopyTo(before)
	record.Attributes().PutStr("component", "proxy")
	assert.Equal(t, before, runLogs(t, componenttest.NewTelemetry(), createDefaultConfig().(*Config), ld))
}
