// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"math"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// Traces adds an item for each span, and one for each of its events. It never fails, whatever the spans hold.
func (m *Mapper) Traces(td ptrace.Traces, into *items.Batch) {
	w := m.begin(into)
	defer m.end(w)
	defer m.grow(td.SpanCount(), into)()
	for _, rs := range td.ResourceSpans().All() {
		w.setResource(rs.Resource())
		for _, ss := range rs.ScopeSpans().All() {
			w.setScope(ss.Scope())
			spans := ss.Spans()
			for i := range spans.Len() {
				w.span(spans.At(i))
			}
		}
	}
}

// maxGrowth is the most room that a batch is given ahead, in bytes. Beyond it grows as it is filled.
const maxGrowth = 32 << 20

// grow gives the batch room for that many spans, by the size of those before. What it returns is to be called in the end, and
// remembers their size.
func (m *Mapper) grow(spans int, into *items.Batch) func() {
	before := into.TextBytes()
	// A tenth more, as sizes vary.
	size := int64(spans) * m.spanBytes.Load() / 10 * 11
	into.Grow(spans, int(min(size, maxGrowth)))
	return func() {
		if spans > 0 {
			m.spanBytes.Store(int64((into.TextBytes() - before) / spans))
		}
	}
}

// span adds the items of one span.
func (w *walk) span(span ptrace.Span) {
	called, of := isCalled(span.Kind()), sortCall
	if called {
		of = sortCalled
	}
	w.read(span.Attributes(), of)
	s := shapeOf(&w.attributes)
	c := spanItem{
		span: span, shape: s, called: called,
		name: spanName(s, &w.attributes, span.Name()),
		at:   w.startOf(span),
		rate: w.spanRate(span.TraceState().AsRaw(), span.TraceID()),
	}
	if c.called {
		w.request(&c)
	} else {
		c.operation = w.attributes.text(fieldOperationName)
		w.dependency(&c)
	}
	w.events(&c)
}

// spanItem is what a span's item, and those of its events, are made of.
type spanItem struct {
	span   ptrace.Span
	shape  shape
	called bool
	name   operationName
	// operation is the name of the operation that a call is part of, if the sender says it.
	operation string
	at        time.Time
	rate      float64
}

// isCalled says that a span of this kind is a request: the others are dependencies.
func isCalled(kind ptrace.SpanKind) bool {
	return kind == ptrace.SpanKindServer || kind == ptrace.SpanKindConsumer
}

// startOf is when a span began; without a beginning it is the end, and without both now, so that the span is not refused
// for its age.
func (w *walk) startOf(span ptrace.Span) time.Time {
	switch {
	case isTime(span.StartTimestamp()):
		return span.StartTimestamp().AsTime()
	case isTime(span.EndTimestamp()):
		return span.EndTimestamp().AsTime()
	default:
		return w.m.now()
	}
}

// isTime says that a time is given, and one that Go can express: before the year 2262.
func isTime(t pcommon.Timestamp) bool { return t != 0 && t <= math.MaxInt64 }

// duration is how long a span took; 0 if its end is not known or before its beginning.
func duration(span ptrace.Span) time.Duration {
	start, end := span.StartTimestamp(), span.EndTimestamp()
	if !isTime(start) || !isTime(end) || end <= start {
		return 0
	}
	return time.Duration(min(uint64(end-start), uint64(ai.MaxDuration)))
}

// request adds the item of a SERVER or CONSUMER span.
func (w *walk) request(c *spanItem) {
	e := &w.enc
	w.item(items.KindRequest, c.at, c.rate)
	w.operation(c.span.TraceID(), c.span.ParentSpanID())
	w.operationTag(c)
	used := w.callerTags(true) | usedRate | c.name.used
	w.data()
	id := c.span.SpanID()
	e.ID("id", id[:])
	e.Open("name", ai.MaxNameLength)
	c.name.write(e)
	e.Close()
	e.Duration("duration", duration(c.span))
	o := outcomeOf(c.shape, &w.attributes, c.span.Status().Code(), true)
	e.Bool("success", w.m.success.success(&o))
	e.Open("responseCode", ai.MaxResultCodeLength)
	used |= o.write(e)
	e.CloseOr("0")
	e.Open("source", ai.MaxSourceLength)
	used |= w.writeSource(c.shape)
	e.Close()
	if c.shape == shapeHTTP || c.shape == shapeRPC {
		e.Open("url", ai.MaxURLLength)
		using := w.writeURL()
		if e.Close() {
			used |= using
		}
	}
	w.properties(used)
	w.links(c.span.Links())
	w.finish(false, items.RejectNone)
}

// dependency adds the item of a span of any other kind.
func (w *walk) dependency(c *spanItem) {
	e := &w.enc
	w.item(items.KindDependency, c.at, c.rate)
	w.operation(c.span.TraceID(), c.span.ParentSpanID())
	w.operationTag(c)
	used := w.callerTags(false) | usedRate | usedOperation | c.name.used
	w.data()
	e.Open("name", ai.MaxNameLength)
	c.name.write(e)
	e.CloseOr("unnamed")
	if id := c.span.SpanID(); !id.IsEmpty() {
		e.ID("id", id[:])
	}
	e.Duration("duration", duration(c.span))
	// A sidecar's span that envoy_semconv made a step keeps the rules of the end it was about.
	called := w.attributes.text(fieldOriginalKind) == "server"
	o := outcomeOf(c.shape, &w.attributes, c.span.Status().Code(), called)
	e.Bool("success", w.m.success.success(&o))
	e.Open("resultCode", ai.MaxResultCodeLength)
	used |= o.write(e)
	e.Close()
	used |= w.writeType(c)
	if isCall(c.span.Kind()) {
		e.Open("target", ai.MaxTargetLength)
		used |= w.writeTarget(c.shape)
		e.Close()
	}
	e.Open("data", ai.MaxDataLength)
	using := w.writeData(c.shape)
	if e.Close() {
		used |= using
	}
	w.properties(used)
	w.links(c.span.Links())
	w.finish(false, items.RejectNone)
}

// isCall says that a span of this kind calls another component; the others are steps of this one.
func isCall(kind ptrace.SpanKind) bool {
	return kind == ptrace.SpanKindClient || kind == ptrace.SpanKindProducer
}

// writeType writes the type of a dependency: what was called, "Queue Message | <broker>" for a message that was sent, and
// "InProc" for a step. It returns what it used.
func (w *walk) writeType(c *spanItem) (used usage) {
	e, a := &w.enc, &w.attributes
	e.Open("type", ai.MaxTypeLength)
	if !isCall(c.span.Kind()) {
		e.Write(inProcess)
		if provider := azureType(a.text(fieldAzureNamespace)); provider != "" {
			e.Write(" | ")
			e.Write(provider)
		}
		e.Close()
		return 0
	}
	prefix, called := dependencyType(c.shape, a)
	if c.span.Kind() == ptrace.SpanKindProducer {
		prefix = queueMessage
	}
	e.Write(prefix)
	if prefix != "" && called != "" {
		e.Write(" | ")
	}
	e.Write(called)
	if called != "" && called == a.first(fieldDBSystem, fieldMessagingSystem) {
		used = usedSystem
	}
	e.Close()
	return used
}

// operationTag names the operation: after the request that it is, and for a call as the sender says. Which request a call
// belongs to is not to be seen from its span alone, so without that a call has none, as in the SDKs of Azure Monitor.
func (w *walk) operationTag(c *spanItem) {
	if !c.called {
		w.enc.Tag(ai.TagOperationName, c.operation)
		return
	}
	w.enc.OpenTag(ai.TagOperationName)
	c.name.write(&w.enc)
	w.enc.Close()
}

// maxLinks is how many links an item tells: as many as a property has room for.
const maxLinks = 100

// links writes the property that the portal reads links from, in the form that Azure's own distributions give it.
func (w *walk) links(links ptrace.SpanLinkSlice) {
	if links.Len() == 0 || !w.enc.OpenProperty("_MS.links") {
		return
	}
	e := &w.enc
	e.Write("[")
	for i := range min(links.Len(), maxLinks) {
		if i > 0 {
			e.Write(",")
		}
		writeLink(e, links.At(i).TraceID(), links.At(i).SpanID())
	}
	e.Write("]")
	e.CloseEmpty()
	if links.Len() > maxLinks {
		w.counts.textsTrimmed++
	}
}

func writeLink(e *items.Encoder, trace pcommon.TraceID, span pcommon.SpanID) {
	e.Write(`{"operation_Id":"`)
	e.WriteHex(trace[:])
	e.Write(`","id":"`)
	e.WriteHex(span[:])
	e.Write(`"}`)
}
