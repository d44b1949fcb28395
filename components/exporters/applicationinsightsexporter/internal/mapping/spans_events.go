// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// maxEvents is how many events of a span become items: what an SDK keeps unless it is told otherwise.
const maxEvents = 128

// eventException is the name of the event by which a span records an exception.
const eventException = "exception"

// events adds an item for each event of a span, as Settings.SpanEvents says.
func (w *walk) events(c *spanItem) {
	if w.m.settings.SpanEvents == eventsNone {
		return
	}
	events := c.span.Events()
	if n := events.Len() - maxEvents; n > 0 {
		w.counts.eventsDropped += n
	}
	for i := range min(events.Len(), maxEvents) {
		event := events.At(i)
		exception := event.Name() == eventException
		if !exception && w.m.settings.SpanEvents != eventsAll {
			continue
		}
		w.read(event.Attributes(), sortEvent)
		if exception {
			w.exceptionEvent(c, event)
		} else {
			w.messageEvent(c, event)
		}
	}
}

// eventItem begins the item of an event: below the span, in its operation.
func (w *walk) eventItem(kind items.Kind, c *spanItem, event ptrace.SpanEvent) {
	at := c.at
	if isTime(event.Timestamp()) {
		at = event.Timestamp().AsTime()
	}
	w.item(kind, at, c.rate)
	w.operation(c.span.TraceID(), c.span.SpanID())
	w.operationTag(c)
	w.data()
}

// messageEvent adds an event as a message; its name is the text.
func (w *walk) messageEvent(c *spanItem, event ptrace.SpanEvent) {
	w.eventItem(items.KindMessage, c, event)
	w.enc.Open("message", ai.MaxMessageLength)
	w.enc.Write(event.Name())
	w.enc.CloseOr("unnamed")
	w.enc.Text("severityLevel", ai.Information.String(), ai.MaxNameLength)
	w.properties(0)
	w.finish(true, items.RejectNone)
}

// exceptionEvent adds an exception.
func (w *walk) exceptionEvent(c *spanItem, event ptrace.SpanEvent) {
	w.eventItem(items.KindException, c, event)
	w.properties(w.exception())
	w.finish(true, items.RejectNone)
}

// exception writes the fields of an exception from the attributes that were read: its message, else its type, must not be
// empty.
func (w *walk) exception() usage {
	message := w.attributes.text(fieldExceptionMessage)
	w.exceptionDetails(message, eventException)
	w.problem()
	w.enc.Text("severityLevel", ai.Error.String(), ai.MaxNameLength)
	return usedException
}

// exceptionDetails writes the one exception of an item, of which message, else the type, else fallback is the message. The
// first line of a stack repeats the message as a rule, so both are searched for credentials.
func (w *walk) exceptionDetails(message, fallback string) {
	a, e := &w.attributes, &w.enc
	typeName, stack := a.text(fieldExceptionType), a.text(fieldExceptionStack)
	e.BeginObjects("exceptions")
	e.Text("typeName", typeName, ai.MaxTypeLength)
	e.Open("message", ai.MaxMessageLength)
	writeSafe(e, message)
	e.CloseOr(firstOf(typeName, fallback))
	if stack != "" {
		e.Bool("hasFullStack", len(stack) <= ai.MaxStackLength)
		e.Open("stack", ai.MaxStackLength)
		writeSafe(e, stack)
		e.Close()
	}
	e.EndObjects()
}

// problem writes what groups equal exceptions.
func (w *walk) problem() {
	a := &w.attributes
	w.enc.Text("problemId", problemID(a.text(fieldExceptionType), a.text(fieldExceptionStack)), ai.MaxProblemIDLength)
}
