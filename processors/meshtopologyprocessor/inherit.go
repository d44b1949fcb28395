// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/rules"
)

// parent is a span that others may be below.
type parent struct {
	span ptrace.Span
	// shared says that another span has the same id, as Zipkin allows.
	shared bool
	// call is what the span tells, read once however many spans are below it; nil until one asks.
	call *rules.Call
}

// parentsOf returns the spans of one reporter by their ids.
func parentsOf(rs ptrace.ResourceSpans) map[pcommon.SpanID]*parent {
	parents := map[pcommon.SpanID]*parent{}
	for _, ss := range rs.ScopeSpans().All() {
		for _, span := range ss.Spans().All() {
			if known, taken := parents[span.SpanID()]; taken {
				known.shared = true
				continue
			}
			parents[span.SpanID()] = &parent{span: span}
		}
	}
	return parents
}

func (p *parent) read() *rules.Call {
	if p.call == nil {
		var request reading
		request.attributes(p.span.Attributes())
		request.settle(kindOf(p.span.Kind()))
		p.call = &request.call
	}
	return p.call
}

// inheritCaller gives the span of an attempt, which a gateway or waypoint made, what the span of the request tells of who
// called: Envoy writes it there alone. parents is nil for other reporters.
func (r *reading) inheritCaller(parents map[pcommon.SpanID]*parent, span ptrace.Span) {
	if parents == nil || r.call.Kind != rules.ClientKind || r.call.DownstreamAddress != "" || span.ParentSpanID().IsEmpty() {
		return
	}
	above, ok := parents[span.ParentSpanID()]
	if !ok || above.shared || above.span == span {
		return
	}
	c, request := &r.call, above.read()
	c.DownstreamAddress, c.DownstreamLocal = request.DownstreamAddress, request.DownstreamLocal
	if c.PeerSAN == "" {
		c.PeerSAN = request.PeerSAN
	}
	if c.SourceTag == (mesh.End{}) {
		c.SourceTag, c.SourceName = request.SourceTag, request.SourceName
	}
}
