// SPDX-License-Identifier: Apache-2.0

package ingestiontest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// validator judges single items. Its messages are those of the service where
// these are known: 103, 106, 108 and 109, the length of an item, and the
// instrumentation key. The others are our own words.
type validator struct {
	keys    []string
	lengths LengthMode
	now     func() time.Time
}

// itemProblem is why an item is refused; its status is always 400.
type itemProblem string

func (p itemProblem) Error() string { return string(p) }

func problemf(format string, args ...any) error {
	return itemProblem(fmt.Sprintf(format, args...))
}

// validate returns the item as it would be stored, or an error whose text is
// the message for the client.
func (v *validator) validate(raw json.RawMessage) (ai.Envelope, error) {
	var env ai.Envelope
	if len(raw) > ai.MaxItemBytes {
		return env, itemProblem(ai.MessageItemTooLong)
	}
	fields, err := object(raw)
	if err != nil {
		return env, err
	}
	if err := checkFields("Envelope", envelopeRules, fields); err != nil {
		return env, err
	}
	if err := v.checkTime(fields["time"]); err != nil {
		return env, err
	}
	if err := v.checkKey(fields["iKey"]); err != nil {
		return env, err
	}
	if err := checkData(fields["data"]); err != nil {
		return env, err
	}
	if err := json.Unmarshal(raw, &env); err != nil {
		return env, decodeProblem(err)
	}
	if env.SampleRate < 0 || env.SampleRate > 100 {
		return env, problemf("Field 'sampleRate' on type 'Envelope' is out of range. Expected: above 0 to 100, Actual: %v", env.SampleRate)
	}
	return env, limitLengths(&env, v.lengths)
}

func object(raw json.RawMessage) (map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		if json.Valid(raw) {
			return nil, problemf("106: Telemetry item is of incorrect type. Expected: object, Actual: %s", kindOf(raw))
		}
		return nil, problemf("Telemetry item is not valid JSON: %v", err)
	}
	if fields == nil {
		return nil, problemf("106: Telemetry item is of incorrect type. Expected: object, Actual: null")
	}
	return fields, nil
}

func (v *validator) checkTime(raw json.RawMessage) error {
	var t ai.Time
	if err := json.Unmarshal(raw, &t); err != nil {
		return problemf("106: Field 'time' on type 'Envelope' is of incorrect type. Expected: ISO 8601 date and time, Actual: %s", raw)
	}
	if age := v.now().Sub(t.Time); age > ai.MaxItemAge {
		return problemf("103: Field 'time' on type 'Envelope' is older than the allowed min date. Expected: now - %dms, Actual: now - %dms",
			ai.MaxItemAge.Milliseconds(), age.Milliseconds())
	}
	return nil
}

func (v *validator) checkKey(raw json.RawMessage) error {
	var key string
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &key); err != nil {
			return itemProblem(ai.MessageInvalidKey)
		}
	}
	if key == "" || (len(v.keys) > 0 && !slices.Contains(v.keys, key)) {
		return itemProblem(ai.MessageInvalidKey)
	}
	return nil
}

func checkData(raw json.RawMessage) error {
	data, err := object(raw)
	if err != nil {
		return err
	}
	if err := checkFields("Data", dataRules, data); err != nil {
		return err
	}
	var baseType string
	if err := json.Unmarshal(data["baseType"], &baseType); err != nil {
		return decodeProblem(err)
	}
	rules, known := baseDataRules[baseType]
	if !known {
		return problemf("Field 'baseType' on type 'Data' is unknown. Actual: %s", baseType)
	}
	base, err := object(data["baseData"])
	if err != nil {
		return err
	}
	if err := checkFields(baseType, rules, base); err != nil {
		return err
	}
	switch baseType {
	case ai.BaseTypeException:
		return checkElements("ExceptionDetails", exceptionRules, base["exceptions"])
	case ai.BaseTypeMetric:
		return checkElements("DataPoint", dataPointRules, base["metrics"])
	default:
		return nil
	}
}

func checkElements(typeName string, rules []fieldRule, raw json.RawMessage) error {
	var elements []json.RawMessage
	if err := json.Unmarshal(raw, &elements); err != nil {
		return decodeProblem(err)
	}
	for _, element := range elements {
		fields, err := object(element)
		if err != nil {
			return err
		}
		if err := checkFields(typeName, rules, fields); err != nil {
			return err
		}
	}
	return nil
}

// fieldRule says what a field must be.
type fieldRule struct {
	name     string
	kind     string // string, bool, number, object, array or duration
	optional bool
}

var (
	envelopeRules = []fieldRule{
		{name: "name", kind: "string"},
		{name: "time", kind: "string"},
		{name: "data", kind: "object"},
		{name: "tags", kind: "object", optional: true},
		{name: "sampleRate", kind: "number", optional: true},
	}
	dataRules = []fieldRule{
		{name: "baseType", kind: "string"},
		{name: "baseData", kind: "object"},
	}
	// The ver of a payload is required in the swagger file, but has a default.
	baseDataRules = map[string][]fieldRule{
		ai.BaseTypeRequest: {
			{name: "id", kind: "string"},
			{name: "duration", kind: "duration"},
			{name: "success", kind: "bool"},
			{name: "responseCode", kind: "string"},
		},
		ai.BaseTypeDependency: {
			{name: "name", kind: "string"},
			{name: "duration", kind: "duration"},
		},
		ai.BaseTypeMessage:   {{name: "message", kind: "string"}},
		ai.BaseTypeException: {{name: "exceptions", kind: "array"}},
		ai.BaseTypeEvent:     {{name: "name", kind: "string"}},
		ai.BaseTypeMetric:    {{name: "metrics", kind: "array"}},
		ai.BaseTypeAvailability: {
			{name: "id", kind: "string"},
			{name: "name", kind: "string"},
			{name: "duration", kind: "duration"},
			{name: "success", kind: "bool"},
		},
	}
	exceptionRules = []fieldRule{{name: "message", kind: "string"}}
	dataPointRules = []fieldRule{{name: "name", kind: "string"}, {name: "value", kind: "number"}}
)

func checkFields(typeName string, rules []fieldRule, fields map[string]json.RawMessage) error {
	for _, rule := range rules {
		if err := rule.check(typeName, fields[rule.name]); err != nil {
			return err
		}
	}
	return nil
}

func (r fieldRule) check(typeName string, raw json.RawMessage) error {
	want := r.kind
	if want == "duration" {
		want = "string"
	}
	actual := kindOf(raw)
	if empty(actual, raw) {
		if r.optional {
			return nil
		}
		return problemf("109: Field '%s' on type '%s' is required but missing or empty. Expected: %s, Actual: %s", r.name, typeName, want, actual)
	}
	if actual != want {
		return problemf("106: Field '%s' on type '%s' is of incorrect type. Expected: %s, Actual: %s", r.name, typeName, want, actual)
	}
	if r.kind == "duration" {
		var d ai.Duration
		if json.Unmarshal(raw, &d) != nil {
			return problemf("108: Field '%s' on type '%s' is not a valid duration string. Expected: dd.hh:mm:ss.fffffff format, Actual: %s",
				r.name, typeName, bytes.Trim(raw, `"`))
		}
	}
	return nil
}

func empty(kind string, raw json.RawMessage) bool {
	switch kind {
	case "undefined", "null":
		return true
	case "string":
		return string(raw) == `""`
	case "array":
		return len(bytes.TrimSpace(raw[1:len(raw)-1])) == 0
	default:
		return false
	}
}

// kindOf names the JSON type of a valid value.
func kindOf(raw json.RawMessage) string {
	if len(raw) == 0 {
		return "undefined"
	}
	switch raw[0] {
	case '"':
		return "string"
	case '{':
		return "object"
	case '[':
		return "array"
	case 't', 'f':
		return "bool"
	case 'n':
		return "null"
	default:
		return "number"
	}
}

// decodeProblem words an error of the JSON decoder. A number that no float64
// holds, such as 1e999, ends here as well.
func decodeProblem(err error) error {
	if wrongType, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return problemf("106: Field '%s' on type '%s' is of incorrect type. Expected: %s, Actual: %s",
			wrongType.Field, wrongType.Struct, wrongType.Type, wrongType.Value)
	}
	return problemf("Telemetry item is not valid: %v", err)
}

// problemStatus is the status code of an item that validation refused.
const problemStatus = http.StatusBadRequest
