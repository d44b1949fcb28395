// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// availability is the result of a test as the SDKs of Azure Monitor tell it, by the attributes microsoft.availability.*.
type availability struct {
	id, name, location, message string
	duration                    time.Duration
	success                     bool
	at                          time.Time
}

// readAvailability reads a result. ok is false if it has no name, no duration (a text [D.]H:M:S[.F], the form of TimeSpan)
// or does not say whether the test passed: a made-up result would be worse than none, so the record stays a message. The
// id is that of the span without one of its own.
func readAvailability(list []attribute, span pcommon.SpanID, at time.Time) (r availability, ok bool) {
	r.at = at
	var hasDuration, hasSuccess bool
	for i := range list {
		name, found := strings.CutPrefix(list[i].key, azureAvailabilityPrefix)
		if !found {
			continue
		}
		v := list[i].value
		switch name {
		case "id":
			r.id = v.AsString()
		case "name":
			r.name = v.AsString()
		case "runLocation":
			r.location = v.AsString()
		case "message":
			r.message = v.AsString()
		case "duration":
			d, err := ai.ParseDuration(v.AsString())
			r.duration, hasDuration = d, err == nil
		case "success":
			r.success, hasSuccess = truth(v)
		case "testTimestamp":
			if t, err := time.Parse(time.RFC3339Nano, v.AsString()); err == nil {
				r.at = t
			}
		}
	}
	if r.id == "" && !span.IsEmpty() {
		r.id = span.String()
	}
	return r, r.name != "" && r.id != "" && hasDuration && hasSuccess
}

// truth reads a boolean, which may be written as a text, and says whether it is one.
func truth(v pcommon.Value) (value, ok bool) {
	switch v.Type() {
	case pcommon.ValueTypeBool:
		return v.Bool(), true
	case pcommon.ValueTypeStr:
		isTrue := strings.EqualFold(v.Str(), "true")
		return isTrue, isTrue || strings.EqualFold(v.Str(), "false")
	default:
		return false, false
	}
}

// logAvailability writes the result of a test, or returns false and writes nothing if the record does not tell one.
func (w *walk) logAvailability(l *logRecord) bool {
	r, ok := readAvailability(w.attributes.list, l.SpanID(), l.at)
	if !ok {
		return false
	}
	used := w.beginLog(l, items.KindAvailability, r.at)
	w.enc.Text("id", r.id, ai.MaxIDLength)
	w.enc.Text("name", r.name, ai.MaxNameLength)
	w.enc.Duration("duration", r.duration)
	w.enc.Bool("success", r.success)
	w.enc.Text("runLocation", r.location, ai.MaxNameLength)
	w.enc.Open("message", ai.MaxPropertyValueLength)
	if r.message != "" {
		w.enc.Write(r.message)
		l.unsaid = isUnsaid(l.Body(), r.message)
	} else {
		writeBody(&w.enc, l.Body())
	}
	w.enc.Close()
	w.finishLog(l, used)
	return true
}
