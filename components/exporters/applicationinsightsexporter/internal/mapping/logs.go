// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// Logs translates all records of ld and appends their items, one for each record: an exception if it tells one, else a
// custom event if it is one, else the result of an availability test, else a message.
func (m *Mapper) Logs(ld plog.Logs, into *items.Batch) {
	w := m.begin(into)
	for _, rl := range ld.ResourceLogs().All() {
		w.setResource(rl.Resource())
		for _, sl := range rl.ScopeLogs().All() {
			w.setScope(sl.Scope())
			for _, r := range sl.LogRecords().All() {
				w.log(r)
			}
		}
	}
	m.end(w)
}

func (w *walk) log(r plog.LogRecord) {
	w.read(r.Attributes(), sortRecord)
	l := logRecord{LogRecord: r, at: w.timeOf(r)}
	l.read(&w.attributes)
	switch {
	case w.attributes.text(fieldExceptionType) != "", w.attributes.text(fieldExceptionMessage) != "":
		w.logException(&l)
	case l.customEvent != "":
		w.logEvent(&l, l.customEvent)
	case matchesAny(w.m.logs.customEvents, r.EventName()) && r.EventName() != "":
		w.logEvent(&l, r.EventName())
	case l.isAvailability && w.logAvailability(&l):
	default:
		w.logMessage(&l)
	}
}

// timeOf returns when the record happened, else when it was observed, else now.
func (w *walk) timeOf(r plog.LogRecord) time.Time {
	switch {
	case isTime(r.Timestamp()):
		return r.Timestamp().AsTime()
	case isTime(r.ObservedTimestamp()):
		return r.ObservedTimestamp().AsTime()
	default:
		return w.m.now()
	}
}

// Attributes by which the SDKs of Azure Monitor tell what a record is, and what its item shall say.
const (
	azurePrefix             = "microsoft."
	azureEventName          = "microsoft.custom_event.name"
	azureMeasurements       = "microsoft.custom_measurements"
	azureClientIP           = "microsoft.client.ip"
	azureOperationName      = "microsoft.operation_name"
	azureSession            = "microsoft.session.id"
	azureAccount            = "microsoft.user.account_id"
	azureSyntheticSource    = "microsoft.synthetic_source"
	azureAvailabilityPrefix = "microsoft.availability."
)

// logRecord is a record and what its attributes tell Azure Monitor.
type logRecord struct {
	plog.LogRecord
	at time.Time
	// kind is what the item becomes, and unsaid says that its body has to become a property, as no field has it.
	kind           items.Kind
	unsaid         bool
	customEvent    string
	measurements   pcommon.Value
	isMeasured     bool
	isAvailability bool
	clientIP       string
	operationName  string
	session        string
	account        string
	syntheticMaker string
}

func (l *logRecord) read(attributes *attributes) {
	for i := range attributes.list {
		a := &attributes.list[i]
		if !strings.HasPrefix(a.key, azurePrefix) {
			continue
		}
		switch a.key {
		case azureMeasurements:
			l.measurements, l.isMeasured = a.value, true
			continue
		case azureAvailabilityPrefix + "name":
			l.isAvailability = true
			continue
		}
		if field := l.textField(a.key); field != nil && a.value.Type() == pcommon.ValueTypeStr {
			*field = a.value.Str()
		}
	}
}

func (l *logRecord) textField(key string) *string {
	switch key {
	case azureEventName:
		return &l.customEvent
	case azureClientIP:
		return &l.clientIP
	case azureOperationName:
		return &l.operationName
	case azureSession:
		return &l.session
	case azureAccount:
		return &l.account
	case azureSyntheticSource:
		return &l.syntheticMaker
	default:
		return nil
	}
}

// isSaid says that a field or tag of the item has what the attribute says, so that it need not be a property too.
func (l *logRecord) isSaid(key string, v pcommon.Value) bool {
	switch {
	case !strings.HasPrefix(key, azurePrefix):
		return false
	case strings.HasPrefix(key, azureAvailabilityPrefix):
		return l.kind == items.KindAvailability
	case key == azureMeasurements:
		return isMeasurements(v)
	default:
		return v.Type() == pcommon.ValueTypeStr && l.textField(key) != nil
	}
}

// beginLog writes the tags of an item for the record and opens its payload. It returns which attributes they used.
func (w *walk) beginLog(l *logRecord, kind items.Kind, at time.Time) usage {
	l.kind = kind
	rate, _ := toldRate(&w.attributes)
	w.item(kind, at, rate)
	w.operation(l.TraceID(), l.SpanID())
	w.enc.Tag(ai.TagOperationName, l.operationName)
	w.enc.Tag(ai.TagUserAccountID, l.account)
	if isAddress(l.clientIP) {
		w.enc.Tag(ai.TagLocationIP, l.clientIP)
	}
	if l.session != "" && w.attributes.text(fieldSession) == "" {
		w.enc.Tag(ai.TagSessionID, l.session)
	}
	if l.syntheticMaker != "" && syntheticSource(w.attributes.text(fieldSynthetic), w.attributes.text(fieldNoise)) == "" {
		w.enc.Tag(ai.TagOperationSyntheticSource, l.syntheticMaker)
	}
	used := w.callerTags(false)
	w.data()
	return used
}

// emptyMessage is the text of a record that has none: the service refuses a message without one.
const emptyMessage = "(no text)"

func (w *walk) logMessage(l *logRecord) {
	event := l.EventName()
	isAccess := isAccessLog(event)
	used := w.beginLog(l, items.KindMessage, l.at)
	w.enc.Open("message", ai.MaxMessageLength)
	writeBody(&w.enc, l.Body())
	fallback := ai.Information
	if isAccess && (w.enc.Empty() || l.SeverityNumber() == plog.SeverityNumberUnspecified) {
		a := readAccess(l.Attributes())
		if w.enc.Empty() && w.m.logs.accessLogLines {
			w.text = a.appendLine(w.text[:0], event)
			w.enc.WriteBytes(w.text)
		}
		fallback = a.severity()
	}
	w.enc.CloseOr(firstOf(event, emptyMessage))
	w.enc.Text("severityLevel", severityOf(l.SeverityNumber(), l.SeverityText(), fallback).String(), maxKindLength)
	w.finishLog(l, used)
}

// writeBody writes the body as text: lists and maps as JSON, an empty one as nothing. It is told as it is; what an
// application writes into its log is not searched for secrets.
func writeBody(e *items.Encoder, body pcommon.Value) {
	switch body.Type() {
	case pcommon.ValueTypeStr:
		e.Write(body.Str())
	case pcommon.ValueTypeEmpty:
	case pcommon.ValueTypeMap:
		if body.Map().Len() > 0 {
			writeJSON(e, body, 0)
		}
	case pcommon.ValueTypeSlice:
		if body.Slice().Len() > 0 {
			writeJSON(e, body, 0)
		}
	default:
		writeValue(e, body)
	}
}

// finishLog writes properties and measurements and ends the item. All attributes of a custom event or an availability result
// pass, as what a program says of its own event is there to be read; so do those of a result that could not be read.
func (w *walk) finishLog(l *logRecord, used usage) {
	w.enc.BeginProperties()
	if l.unsaid && w.enc.OpenProperty(messageProperty) {
		writeBody(&w.enc, l.Body())
		w.enc.Close()
	}
	whole := l.kind == items.KindEvent || l.kind == items.KindAvailability
	for i := range w.attributes.list {
		a := &w.attributes.list[i]
		switch {
		case l.isSaid(a.key, a.value):
		case a.rule.measurement && isNumber(a.value):
		case a.rule.property == notProperty && !whole && !strings.HasPrefix(a.key, azureAvailabilityPrefix):
			w.counts.attributesDropped++
		case a.rule.property != byName && a.rule.use&(used|usedSecret) != 0:
		case w.enc.OpenProperty(a.key):
			writeValue(&w.enc, a.value)
			w.enc.CloseEmpty()
		}
	}
	w.logText("event.name", l.EventName(), whole)
	w.logText(severityTextProperty, l.SeverityText(), false)
	w.enc.AddProperties(&w.scope)
	w.enc.AddProperties(&w.resource)
	if w.attributes.measurements > 0 || l.isMeasured {
		w.logMeasurements(l)
	}
	w.enc.End(false, items.RejectNone)
}

// logText writes something that a record says of itself as a property, if that is allowed or wanted in any case.
func (w *walk) logText(key, text string, always bool) {
	if text != "" && (always || w.m.rules.of(key).property != notProperty) {
		w.enc.Property(key, text)
	}
}

// severityTextProperty is the severity text as its sender wrote it, for who has levels of their own. Not in
// [DefaultAttributes], as severityLevel says the same as a rule.
const severityTextProperty = "severity_text"
