// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/test/corpus/internal/encode"
)

// mixedFamilies are batches of several proxies, and of applications.
func mixedFamilies(of func(string) family) {
	two := of("two-networks")
	near := two.http(productpage, reviewsWest, reviewsHost, 9080)
	local := two.http(productpage, details, detailsHost, 9080)
	back := two.through(two.http(reviewsNorth, mongoWest, mongoHost, 27017), intoWest)
	for _, style := range []encode.Style{istio(24), guided(30)} {
		name := "one-resource-1.24"
		if style.Guide {
			name = "one-resource-guide"
		}
		two.mixed(name, style, []side{
			{outbound, near}, {inbound, near}, {outbound, local}, {outbound, back},
		})
	}
}

// side is a call as one of its proxies sees it.
type side struct {
	of   encode.SpanOf
	call encode.Call
}

// mixed adds a case of spans that a collector in between put under one resource, with one of an application among them.
// They come to the hub straight from there.
func (f family) mixed(name string, style encode.Style, sides []side) {
	s := shot{name: name, about: "a collector in between put the spans of several proxies, and an application's, under one resource", style: style, hubOnly: true}
	var m made
	td := ptrace.NewTraces()
	for i := range sides {
		c := &sides[i].call
		c.Name = "span/mixed/" + name + "/" + c.Host
		one := f.base("span", sides[i].of.Role, c, &s)
		if i == 0 {
			m = one
			m.Role, m.path, m.Calls, m.Items = "mixed", "cases/span/mixed/"+name, nil, nil
		}
		it := one.Items[0]
		it.Call, it.Role = i, sides[i].of.Role
		m.Calls, m.Items = append(m.Calls, one.Calls[0]), append(m.Items, it)
		encode.Span(td, sides[i].of, c, &style)
	}
	spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	for i := 1; i < len(sides); i++ {
		td.ResourceSpans().At(i).ScopeSpans().At(0).Spans().At(0).MoveTo(spans.AppendEmpty())
	}
	n := 0
	td.ResourceSpans().RemoveIf(func(ptrace.ResourceSpans) bool { n++; return n > 1 })
	resource := td.ResourceSpans().At(0).Resource().Attributes()
	resource.Clear()
	// Its scope is that of the first: an application's span is known by having nothing of a proxy's.
	td.ResourceSpans().At(0).ScopeSpans().At(0).Scope().SetName("")
	application(spans.AppendEmpty(), &sides[0].call)
	m.Items = append(m.Items, item{Call: -1})
	f.add(m, "input.json", "otlp_spans", spansJSON(td))
}

// application writes the span of the application that called.
func application(span ptrace.Span, c *encode.Call) {
	span.SetTraceID(pcommon.TraceID{1})
	span.SetSpanID(pcommon.SpanID{2})
	span.SetName("GET")
	span.SetKind(ptrace.SpanKindClient)
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(c.At))
	span.SetEndTimestamp(pcommon.NewTimestampFromTime(c.At))
	span.Attributes().PutStr("http.request.method", "GET")
	span.Attributes().PutStr("server.address", c.Host)
	span.Attributes().PutStr("network.peer.address", "10.100.0.3")
	span.Attributes().PutInt("http.response.status_code", 200)
}
