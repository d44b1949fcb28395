// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// messageProperty holds the body of a record whose item has no place for it.
const messageProperty = "message"

// logEvent writes a custom event: attribute microsoft.custom_event.name, or an event name that settings name.
func (w *walk) logEvent(l *logRecord, name string) {
	used := w.beginLog(l, items.KindEvent, l.at)
	w.enc.Open("name", ai.MaxEventNameLength)
	w.enc.Write(name)
	w.enc.CloseOr(emptyMessage)
	l.unsaid = isUnsaid(l.Body(), name)
	w.finishLog(l, used)
}

// logException writes what the attributes exception.* of the semantic conventions tell. The message is required: without
// one it is the body, or the type.
func (w *walk) logException(l *logRecord) {
	message := w.attributes.text(fieldExceptionMessage)
	if message == "" && l.Body().Type() == pcommon.ValueTypeStr {
		message = l.Body().Str()
	}
	used := w.beginLog(l, items.KindException, l.at)
	w.exceptionDetails(message, emptyMessage)
	w.enc.Text("severityLevel", severityOf(l.SeverityNumber(), l.SeverityText(), ai.Error).String(), maxKindLength)
	w.problem()
	l.unsaid = isUnsaid(l.Body(), message)
	w.finishLog(l, used|usedException)
}

// isUnsaid says that a body has more to say than a field does.
func isUnsaid(body pcommon.Value, said string) bool {
	switch body.Type() {
	case pcommon.ValueTypeEmpty:
		return false
	case pcommon.ValueTypeStr:
		return body.Str() != "" && body.Str() != said
	default:
		return true
	}
}

// logMeasurements writes the measurements: attributes that settings name, and microsoft.custom_measurements, a map of
// numbers, or for languages without maps in attributes such a map as JSON.
func (w *walk) logMeasurements(l *logRecord) {
	w.enc.BeginMeasurements()
	for i := range w.attributes.list {
		if a := &w.attributes.list[i]; a.rule.measurement {
			if n, ok := number(a.value); ok {
				w.enc.Measurement(a.key, n)
			}
		}
	}
	if !l.isMeasured {
		return
	}
	if l.measurements.Type() == pcommon.ValueTypeMap {
		for key, value := range l.measurements.Map().All() {
			if n, ok := number(value); ok {
				w.enc.Measurement(key, n)
			} else {
				w.counts.attributesDropped++
			}
		}
		return
	}
	fields := measurementsOf(l.measurements)
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		w.enc.Measurement(key, fields[key])
	}
}

// isMeasurements says that all of the value becomes measurements, so that it need not be a property too.
func isMeasurements(v pcommon.Value) bool {
	return v.Type() == pcommon.ValueTypeMap || measurementsOf(v) != nil
}

// measurementsOf reads an object of numbers; nil if the text is none.
func measurementsOf(v pcommon.Value) map[string]float64 {
	if v.Type() != pcommon.ValueTypeStr {
		return nil
	}
	text := []byte(v.Str())
	if !bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return nil
	}
	var fields map[string]float64
	if json.Unmarshal(text, &fields) != nil {
		return nil
	}
	return fields
}
