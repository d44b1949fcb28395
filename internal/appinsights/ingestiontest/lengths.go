// SPDX-License-Identifier: Apache-2.0

package ingestiontest

import (
	"maps"
	"slices"
	"unicode/utf8"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// limiter holds texts to their longest length, and remembers the first that is
// refused.
type limiter struct {
	mode LengthMode
	err  error
}

// limitLengths cuts or refuses the texts of an item that are too long.
func limitLengths(env *ai.Envelope, mode LengthMode) error {
	l := &limiter{mode: mode}
	l.text("Envelope", "seq", &env.Seq, ai.MaxSeqLength)
	for _, key := range slices.Sorted(maps.Keys(env.Tags)) {
		if limit, ok := ai.MaxTagLengths[key]; ok {
			value := env.Tags[key]
			l.text("Tags", key, &value, limit)
			env.Tags[key] = value
		}
	}
	l.base(env.Data.BaseData)
	return l.err
}

func (l *limiter) base(base ai.BaseData) {
	typeName := base.BaseType()
	switch d := base.(type) {
	case *ai.RequestData:
		l.text(typeName, "id", &d.ID, ai.MaxIDLength)
		l.text(typeName, "name", &d.Name, ai.MaxNameLength)
		l.text(typeName, "responseCode", &d.ResponseCode, ai.MaxResultCodeLength)
		l.text(typeName, "source", &d.Source, ai.MaxSourceLength)
		l.text(typeName, "url", &d.URL, ai.MaxURLLength)
		l.custom(typeName, &d.Properties, &d.Measurements)
	case *ai.RemoteDependencyData:
		l.text(typeName, "id", &d.ID, ai.MaxIDLength)
		l.text(typeName, "name", &d.Name, ai.MaxNameLength)
		l.text(typeName, "resultCode", &d.ResultCode, ai.MaxResultCodeLength)
		l.text(typeName, "data", &d.Data, ai.MaxDataLength)
		l.text(typeName, "type", &d.Type, ai.MaxTypeLength)
		l.text(typeName, "target", &d.Target, ai.MaxTargetLength)
		l.custom(typeName, &d.Properties, &d.Measurements)
	case *ai.MessageData:
		l.text(typeName, "message", &d.Message, ai.MaxMessageLength)
		l.custom(typeName, &d.Properties, &d.Measurements)
	case *ai.ExceptionData:
		l.text(typeName, "problemId", &d.ProblemID, ai.MaxProblemIDLength)
		for i := range d.Exceptions {
			l.text("ExceptionDetails", "typeName", &d.Exceptions[i].TypeName, ai.MaxTypeLength)
			l.text("ExceptionDetails", "message", &d.Exceptions[i].Message, ai.MaxMessageLength)
			l.text("ExceptionDetails", "stack", &d.Exceptions[i].Stack, ai.MaxStackLength)
		}
		l.custom(typeName, &d.Properties, &d.Measurements)
	case *ai.EventData:
		l.text(typeName, "name", &d.Name, ai.MaxEventNameLength)
		l.custom(typeName, &d.Properties, &d.Measurements)
	case *ai.MetricData:
		for i := range d.Metrics {
			l.text("DataPoint", "name", &d.Metrics[i].Name, ai.MaxNameLength)
			l.text("DataPoint", "ns", &d.Metrics[i].Namespace, ai.MaxNamespaceLength)
		}
		l.custom(typeName, &d.Properties, nil)
	case *ai.AvailabilityData:
		l.text(typeName, "id", &d.ID, ai.MaxIDLength)
		l.text(typeName, "name", &d.Name, ai.MaxNameLength)
		l.text(typeName, "runLocation", &d.RunLocation, ai.MaxNameLength)
		l.text(typeName, "message", &d.Message, ai.MaxPropertyValueLength)
		l.custom(typeName, &d.Properties, &d.Measurements)
	}
}

func (l *limiter) text(typeName, field string, value *string, limit int) {
	if len(*value) <= limit {
		return // there are never more characters than bytes
	}
	length := utf8.RuneCountInString(*value)
	if length <= limit {
		return
	}
	if l.mode == RejectLong {
		if l.err == nil {
			l.err = problemf("Field '%s' on type '%s' is too long. Expected: %d characters, Actual: %d", field, typeName, limit, length)
		}
		return
	}
	*value = string([]rune(*value)[:limit])
}

// custom limits the keys and values of custom dimensions. Keys are taken in
// order, so that of two that become equal by the cut the same one always stays.
func (l *limiter) custom(typeName string, properties *map[string]string, measurements *map[string]float64) {
	if len(*properties) > 0 {
		limited := make(map[string]string, len(*properties))
		for _, key := range slices.Sorted(maps.Keys(*properties)) {
			value := (*properties)[key]
			l.text(typeName, "properties."+key, &value, ai.MaxPropertyValueLength)
			l.text(typeName, "properties", &key, ai.MaxPropertyKeyLength)
			limited[key] = value
		}
		*properties = limited
	}
	if measurements == nil || len(*measurements) == 0 {
		return
	}
	limited := make(map[string]float64, len(*measurements))
	for _, key := range slices.Sorted(maps.Keys(*measurements)) {
		value := (*measurements)[key]
		l.text(typeName, "measurements", &key, ai.MaxPropertyKeyLength)
		limited[key] = value
	}
	*measurements = limited
}
