// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/deadletter"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
)

// Filter selects letters. An empty field selects all; the others must all match.
type Filter struct {
	// Destinations are the names of routes, Reasons the reasons, of which the letter has one.
	Destinations, Reasons []string
	// Since and Until bound the time at which the item was given up: from Since, before Until.
	Since, Until time.Time
}

// Matches says whether the letter is selected.
func (f *Filter) Matches(l *deadletter.Letter) bool {
	return (len(f.Destinations) == 0 || slices.Contains(f.Destinations, l.Destination)) &&
		(len(f.Reasons) == 0 || slices.Contains(f.Reasons, l.Reason)) &&
		!l.Time.Before(f.Since) && (f.Until.IsZero() || l.Time.Before(f.Until))
}

// OriginalTime is the property that holds the real time of an item whose time was moved.
const OriginalTime = "otelcol_mesh.original_time"

// maxAge is how old an item may be: some minutes less than the endpoint takes, since it has a clock and a queue of its own.
const maxAge = ai.MaxItemAge - 5*time.Minute

// keyRoom is what the instrumentation key adds to an item on the wire.
const keyRoom = len(`"iKey":"",`) + 64

// The kinds of items by their base types.
var kinds = map[string]items.Kind{
	ai.BaseTypeRequest:      items.KindRequest,
	ai.BaseTypeDependency:   items.KindDependency,
	ai.BaseTypeMessage:      items.KindMessage,
	ai.BaseTypeException:    items.KindException,
	ai.BaseTypeEvent:        items.KindEvent,
	ai.BaseTypeMetric:       items.KindMetric,
	ai.BaseTypeAvailability: items.KindAvailability,
}

// prepare makes an item of a letter, or says why it is not worth sending.
func prepare(l *deadletter.Letter, now time.Time, shift bool) (item items.Item, shifted bool, why string) {
	switch {
	case len(l.Item) == 0:
		return item, false, "the letter holds no readable item"
	case l.Reason == deadletter.ReasonNotFinite:
		return item, false, "not_finite: its value is no number, which no endpoint takes"
	}
	var head struct {
		Time ai.Time `json:"time"`
		Data struct {
			BaseType string `json:"baseType"`
		} `json:"data"`
	}
	if err := json.Unmarshal(l.Item, &head); err != nil || head.Time.IsZero() {
		return item, false, "the item has no time that can be read"
	}
	item = items.Item{JSON: l.Item, Time: head.Time.Time, Kind: kinds[head.Data.BaseType]}
	if now.Sub(item.Time) > maxAge {
		if !shift {
			return item, false, "too_old: the endpoint takes no item older than 48 hours; --shift-time sends it with the time of now"
		}
		moved, err := shiftTime(l.Item, item.Time, now)
		if err != nil {
			return item, false, "its time cannot be moved: " + err.Error()
		}
		item.JSON, item.Time, shifted = moved, now, true
	}
	if len(item.JSON)+keyRoom > ai.MaxItemBytes {
		return item, false, fmt.Sprintf("too_large: the endpoint takes no item over %d bytes", ai.MaxItemBytes)
	}
	return item, shifted, ""
}

// shiftTime moves the time of an item and keeps the real one as a property. All else stays byte for byte, but the order of
// the fields that lead there.
func shiftTime(item json.RawMessage, original, now time.Time) (json.RawMessage, error) {
	at, err := json.Marshal(ai.NewTime(now))
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(original.UTC().Format(time.RFC3339Nano))
	if err != nil {
		return nil, err
	}
	moved, err := edit(item, []string{"data", "baseData", "properties"}, OriginalTime, text)
	if err != nil {
		return nil, err
	}
	return edit(moved, nil, "time", at)
}

// edit sets a field of the object below path, which is made if it is not there.
func edit(object json.RawMessage, path []string, field string, value json.RawMessage) (json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if len(object) > 0 {
		if err := json.Unmarshal(object, &fields); err != nil {
			return nil, err
		}
	}
	if fields == nil {
		fields = map[string]json.RawMessage{}
	}
	if len(path) == 0 {
		if _, there := fields[field]; there && field == OriginalTime {
			return object, nil // it was moved before; the first time is the real one
		}
		fields[field] = value
		return marshal(fields)
	}
	inner, err := edit(fields[path[0]], path[1:], field, value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path[0], err)
	}
	fields[path[0]] = inner
	return marshal(fields)
}

// marshal leaves markup as it is, which json.Marshal would blow up to six times its size.
func marshal(fields map[string]json.RawMessage) (json.RawMessage, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(fields); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}
