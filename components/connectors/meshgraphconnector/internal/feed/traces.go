// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"encoding/hex"
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
)

// Traces names the traces of spans that a proxy reported of a call, its client's or its server's: the graph knows a trace
// that it has. add says whether the edge is known. The key and the text of the trace id are used again for the next span.
func (f *Feed) Traces(td ptrace.Traces, add func(*graph.Key, graph.Exemplar) bool) Counts {
	t := f.tracers.Get().(*tracer)
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			spans := ss.Spans()
			for i := range spans.Len() {
				t.counts[t.span(spans.At(i), add)]++
			}
		}
	}
	counts := t.counts
	*t = tracer{}
	f.tracers.Put(t)
	return counts
}

// tracer goes through spans.
type tracer struct {
	counts Counts
	read   reading
	// id is the trace id in hexadecimal digits.
	id [2 * len(pcommon.TraceID{})]byte
}

func (t *tracer) span(span ptrace.Span, add func(*graph.Key, graph.Exemplar) bool) Outcome {
	if kind := span.Kind(); kind != ptrace.SpanKindClient && kind != ptrace.SpanKindServer {
		return NotCall
	}
	if span.TraceID().IsEmpty() {
		return NoTrace
	}
	t.read = reading{}
	call := t.attributes(span.Attributes())
	key := &t.read.point.Key
	if key.Caller == (graph.Caller{}) || key.Callee == (graph.Callee{}) {
		return NoEnds
	}
	key.Protocol = call.protocol()
	x := graph.Exemplar{
		TraceID: t.traceID(span.TraceID()), Time: span.StartTimestamp().AsTime(), Milliseconds: milliseconds(span),
		Failed: span.Status().Code() == ptrace.StatusCodeError || call.status >= 500,
	}
	if !add(key, x) {
		return NoEdge
	}
	return Taken
}

// call is what a span says of its call beside the ends.
type call struct {
	http, grpc bool
	status     int64
}

func (c *call) protocol() graph.Protocol {
	switch {
	case c.grpc:
		return graph.GRPC
	case c.http:
		return graph.HTTP
	}
	return graph.ProtocolUnknown
}

// attributes reads both ends, and the protocol in the words of the semantic conventions or of Envoy.
func (t *tracer) attributes(attrs pcommon.Map) (c call) {
	for key, value := range attrs.All() {
		if f := fieldOf(key); f != other {
			if place := t.read.placeOf(f); place != nil {
				*place = value.Str()
			}
			continue
		}
		switch key {
		case "http.request.method", "http.method":
			c.http = true
		case "rpc.system", "rpc.system.name":
			c.grpc = c.grpc || value.Str() == "grpc"
		case "rpc.grpc.status_code", "grpc.status_code":
			c.grpc = true
		case "http.response.status_code", "http.status_code":
			c.status = max(c.status, int64(status(value)))
		}
	}
	return c
}

func milliseconds(span ptrace.Span) float64 {
	if span.EndTimestamp() <= span.StartTimestamp() {
		return 0
	}
	return float64(span.EndTimestamp()-span.StartTimestamp()) / 1e6
}

// traceID is a view of the buffer: nearly all spans are of edges that have better exemplars, so who keeps it copies it.
func (t *tracer) traceID(id pcommon.TraceID) string {
	hex.Encode(t.id[:], id[:])
	return unsafe.String(&t.id[0], len(t.id))
}
