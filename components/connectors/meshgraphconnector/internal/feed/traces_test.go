// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
)

const startOfSpan = 1_763_000_000_000_000_000

func span(kind ptrace.SpanKind, attrs map[string]any) ptrace.Traces {
	td := ptrace.NewTraces()
	s := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetKind(kind)
	s.SetTraceID(pcommon.TraceID{0xab, 15: 1})
	s.SetStartTimestamp(startOfSpan)
	s.SetEndTimestamp(startOfSpan + 12_500_000)
	put(s.Attributes(), attrs)
	return td
}

func TestSpans(t *testing.T) {
	call := func(changes map[string]any) map[string]any {
		attrs := but(changes)
		for _, k := range []string{"reporter", "request_protocol", "response_code", "response_flags"} {
			delete(attrs, k)
		}
		return attrs
	}
	x := graph.Exemplar{
		TraceID: "ab000000000000000000000000000001", Time: time.Unix(0, startOfSpan).UTC(), Milliseconds: 12.5,
	}
	tests := []struct {
		name     string
		td       ptrace.Traces
		want     Outcome
		protocol graph.Protocol
		failed   bool
	}{
		{"a client's", span(ptrace.SpanKindClient, call(map[string]any{"http.request.method": "GET"})), Taken, graph.HTTP, false},
		{"a server's", span(ptrace.SpanKindServer, call(map[string]any{"http.method": "GET", "http.status_code": "200"})), Taken, graph.HTTP, false},
		{"an error by its code", span(ptrace.SpanKindServer, call(map[string]any{"http.request.method": "GET", "http.response.status_code": 503})), Taken, graph.HTTP, true},
		{"not the callee's fault", span(ptrace.SpanKindServer, call(map[string]any{"http.request.method": "GET", "http.response.status_code": 404})), Taken, graph.HTTP, false},
		{"gRPC", span(ptrace.SpanKindServer, call(map[string]any{"http.request.method": "POST", "rpc.system": "grpc"})), Taken, graph.GRPC, false},
		{"gRPC in Envoy's words", span(ptrace.SpanKindServer, call(map[string]any{"http.method": "POST", "grpc.status_code": "0"})), Taken, graph.GRPC, false},
		{"another RPC", span(ptrace.SpanKindServer, call(map[string]any{"http.request.method": "POST", "rpc.system": "connect_rpc"})), Taken, graph.HTTP, false},
		{"another protocol", span(ptrace.SpanKindServer, call(nil)), Taken, graph.ProtocolUnknown, false},
		{"within a process", span(ptrace.SpanKindInternal, call(nil)), NotCall, 0, false},
		{"an application's", span(ptrace.SpanKindClient, map[string]any{"http.request.method": "GET"}), NoEnds, 0, false},
		{"one end", span(ptrace.SpanKindClient, map[string]any{"mesh.source.cluster": "west"}), NoEnds, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			counts := New([16]byte{}).Traces(tt.td, func(k *graph.Key, got graph.Exemplar) bool {
				asked++
				want, key := x, wholeKey()
				want.Failed, key.Protocol = tt.failed, tt.protocol
				assert.Equal(t, key, *k)
				assert.Equal(t, want, got)
				return true
			})
			var want Counts
			want[tt.want] = 1
			assert.Equal(t, outcomes(&want), outcomes(&counts))
			assert.Equal(t, tt.want == Taken, asked == 1)
		})
	}
}

func TestSpansThatNameNothing(t *testing.T) {
	f := New([16]byte{})
	none := span(ptrace.SpanKindClient, whole())
	counts := f.Traces(none, func(*graph.Key, graph.Exemplar) bool { return false })
	assert.Equal(t, Counts{NoEdge: 1}, counts)

	s := none.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	s.Status().SetCode(ptrace.StatusCodeError)
	s.SetEndTimestamp(s.StartTimestamp() - 1)
	counts = f.Traces(none, func(_ *graph.Key, x graph.Exemplar) bool {
		assert.True(t, x.Failed)
		assert.Zero(t, x.Milliseconds, "clocks of two proxies")
		return true
	})
	assert.Equal(t, Counts{Taken: 1}, counts)

	s.SetTraceID(pcommon.TraceID{})
	counts = f.Traces(none, func(*graph.Key, graph.Exemplar) bool { t.Error("no trace"); return true })
	assert.Equal(t, Counts{NoTrace: 1}, counts)
}
