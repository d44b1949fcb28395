// SPDX-License-Identifier: Apache-2.0

package ingestiontest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// envelopeText is a valid item with parts put in place.
func envelopeText(baseType, baseData string) string {
	return `{"name":"n","time":"2026-11-22T20:00:00Z","iKey":"key","data":{"baseType":"` + baseType + `","baseData":` + baseData + `}}`
}

func TestValidate(t *testing.T) {
	event := envelopeText("EventData", `{"name":"e"}`)
	request := `{"id":"a","duration":"00:00:01","success":true,"responseCode":"200"}`
	without := func(text, part string) string {
		require.Contains(t, text, part)
		return strings.Replace(text, part, "", 1)
	}
	with := func(text, old, part string) string {
		require.Contains(t, text, old)
		return strings.Replace(text, old, part, 1)
	}
	for name, tt := range map[string]struct{ item, want string }{
		"good event":        {event, ""},
		"good request":      {envelopeText("RequestData", request), ""},
		"good dependency":   {envelopeText("RemoteDependencyData", `{"name":"d","duration":"00:00:01"}`), ""},
		"good message":      {envelopeText("MessageData", `{"message":"m","severityLevel":"Critical"}`), ""},
		"good exception":    {envelopeText("ExceptionData", `{"exceptions":[{"message":"m"}]}`), ""},
		"good metric":       {envelopeText("MetricData", `{"metrics":[{"name":"m","value":0}]}`), ""},
		"good availability": {envelopeText("AvailabilityData", `{"id":"a","name":"n","duration":"00:00:01","success":false}`), ""},

		"not JSON":             {`{"name":`, "Telemetry item is not valid JSON"},
		"bare NaN":             {envelopeText("MetricData", `{"metrics":[{"name":"m","value":NaN}]}`), "Telemetry item is not valid JSON"},
		"not an object":        {`"x"`, "106: Telemetry item is of incorrect type. Expected: object, Actual: string"},
		"null":                 {`null`, "106: Telemetry item is of incorrect type. Expected: object, Actual: null"},
		"no name":              {without(event, `"name":"n",`), "109: Field 'name' on type 'Envelope' is required but missing or empty. Expected: string, Actual: undefined"},
		"no time":              {without(event, `"time":"2026-11-22T20:00:00Z",`), "109: Field 'time' on type 'Envelope' is required but missing or empty. Expected: string, Actual: undefined"},
		"time is no time":      {with(event, "2026-11-22T", "yesterday"), "106: Field 'time' on type 'Envelope' is of incorrect type"},
		"48 hours old":         {with(event, "2026-11-22T20:00:00Z", "2026-11-20T20:00:00Z"), ""},
		"older than 48 hours":  {with(event, "2026-11-22T20:00:00Z", "2026-11-20T19:59:59.9Z"), "103: Field 'time' on type 'Envelope' is older than the allowed min date. Expected: now - 172800000ms, Actual: now - 172800100ms"},
		"no key":               {without(event, `"iKey":"key",`), "Invalid instrumentation key"},
		"key is a number":      {with(event, `"key"`, `1`), "Invalid instrumentation key"},
		"no data":              {`{"name":"n","time":"2026-11-22T20:00:00Z","iKey":"key"}`, "109: Field 'data' on type 'Envelope' is required"},
		"unknown base type":    {envelopeText("OddData", `{}`), "Field 'baseType' on type 'Data' is unknown. Actual: OddData"},
		"no base data":         {envelopeText("EventData", `null`), "109: Field 'baseData' on type 'Data' is required"},
		"sample rate":          {with(event, `"iKey"`, `"sampleRate":101,"iKey"`), "Field 'sampleRate' on type 'Envelope' is out of range"},
		"tags are a list":      {with(event, `"iKey"`, `"tags":["a"],"iKey"`), "106: Field 'tags' on type 'Envelope' is of incorrect type. Expected: object, Actual: array"},
		"too long":             {with(event, `"e"`, `"`+strings.Repeat("e", ai.MaxItemBytes)+`"`), "Telemetry item length must not exceed 65536"},
		"request id":           {envelopeText("RequestData", without(request, `"id":"a",`)), "109: Field 'id' on type 'RequestData' is required"},
		"request duration":     {envelopeText("RequestData", without(request, `"duration":"00:00:01",`)), "109: Field 'duration' on type 'RequestData' is required"},
		"request success":      {envelopeText("RequestData", without(request, `"success":true,`)), "109: Field 'success' on type 'RequestData' is required"},
		"request code":         {envelopeText("RequestData", with(request, `"200"`, `""`)), "109: Field 'responseCode' on type 'RequestData' is required but missing or empty"},
		"request code number":  {envelopeText("RequestData", with(request, `"200"`, `200`)), "106: Field 'responseCode' on type 'RequestData' is of incorrect type. Expected: string, Actual: number"},
		"duration form":        {envelopeText("RequestData", with(request, "00:00:01", "0:00:00:04.4")), "108: Field 'duration' on type 'RequestData' is not a valid duration string. Expected: dd.hh:mm:ss.fffffff format, Actual: 0:00:00:04.4"},
		"dependency name":      {envelopeText("RemoteDependencyData", `{"duration":"00:00:01"}`), "109: Field 'name' on type 'RemoteDependencyData' is required"},
		"dependency duration":  {envelopeText("RemoteDependencyData", `{"name":"d"}`), "109: Field 'duration' on type 'RemoteDependencyData' is required"},
		"message empty":        {envelopeText("MessageData", `{"message":""}`), "109: Field 'message' on type 'MessageData' is required"},
		"message severity":     {envelopeText("MessageData", `{"message":"m","severityLevel":"Loud"}`), "Telemetry item is not valid: severity level"},
		"exception none":       {envelopeText("ExceptionData", `{"exceptions":[ ]}`), "109: Field 'exceptions' on type 'ExceptionData' is required"},
		"exception message":    {envelopeText("ExceptionData", `{"exceptions":[{"typeName":"t"}]}`), "109: Field 'message' on type 'ExceptionDetails' is required"},
		"event name":           {envelopeText("EventData", `{}`), "109: Field 'name' on type 'EventData' is required"},
		"metric none":          {envelopeText("MetricData", `{}`), "109: Field 'metrics' on type 'MetricData' is required"},
		"metric value":         {envelopeText("MetricData", `{"metrics":[{"name":"m"}]}`), "109: Field 'value' on type 'DataPoint' is required"},
		"metric NaN text":      {envelopeText("MetricData", `{"metrics":[{"name":"m","value":"NaN"}]}`), "106: Field 'value' on type 'DataPoint' is of incorrect type. Expected: number, Actual: string"},
		"metric not finite":    {envelopeText("MetricData", `{"metrics":[{"name":"m","value":1e999}]}`), "Expected: float64, Actual: number 1e999"},
		"measurement infinite": {envelopeText("EventData", `{"name":"e","measurements":{"m":-1e999}}`), "Expected: float64, Actual: number -1e999"},
		"property is a number": {envelopeText("EventData", `{"name":"e","properties":{"p":1}}`), "Expected: string, Actual: number"},
		"availability id":      {envelopeText("AvailabilityData", `{"name":"n","duration":"00:00:01","success":true}`), "109: Field 'id' on type 'AvailabilityData' is required"},
	} {
		t.Run(name, func(t *testing.T) {
			v := validator{lengths: TruncateLong, now: func() time.Time { return testTime }}
			_, err := v.validate(json.RawMessage(tt.item))
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestValidateKnownKeys(t *testing.T) {
	v := validator{keys: []string{"other", "key"}, now: func() time.Time { return testTime }}
	item := json.RawMessage(envelopeText("EventData", `{"name":"e"}`))
	_, err := v.validate(item)
	require.NoError(t, err)
	v.keys = []string{"other"}
	_, err = v.validate(item)
	require.EqualError(t, err, "Invalid instrumentation key")
}

func TestLengths(t *testing.T) {
	long := func(n int) string { return strings.Repeat("é", n) } // two bytes a character
	for _, tt := range []struct {
		baseType, baseData, field string
		limit                     int
	}{
		{"RequestData", `{"id":"%","duration":"00:00:01","success":true,"responseCode":"200"}`, "id", 512},
		{"RequestData", `{"id":"a","duration":"00:00:01","success":true,"responseCode":"%"}`, "responseCode", 1024},
		{"RequestData", `{"id":"a","duration":"00:00:01","success":true,"responseCode":"200","url":"%"}`, "url", 2048},
		{"RemoteDependencyData", `{"name":"%","duration":"00:00:01"}`, "name", 1024},
		{"RemoteDependencyData", `{"name":"n","duration":"00:00:01","target":"%"}`, "target", 1024},
		{"RemoteDependencyData", `{"name":"n","duration":"00:00:01","data":"%"}`, "data", 8192},
		{"EventData", `{"name":"%"}`, "name", 512},
		{"EventData", `{"name":"e","properties":{"p":"%"}}`, "properties.p", 8192},
		{"EventData", `{"name":"e","properties":{"%":"v"}}`, "properties", 150},
		{"EventData", `{"name":"e","measurements":{"%":1}}`, "measurements", 150},
		{"MetricData", `{"metrics":[{"name":"m","ns":"%","value":1}]}`, "ns", 256},
		{"ExceptionData", `{"exceptions":[{"message":"m","stack":"%"}]}`, "stack", 32768},
		{"MessageData", `{"message":"%"}`, "message", 32768},
		{"AvailabilityData", `{"id":"a","name":"%","duration":"00:00:01","success":true}`, "name", 1024},
	} {
		t.Run(tt.baseType+" "+tt.field, func(t *testing.T) {
			filler := long
			if tt.limit > 30000 { // else the item as a whole is too long
				filler = func(n int) string { return strings.Repeat("x", n) }
			}
			item := func(n int) json.RawMessage {
				return json.RawMessage(strings.ReplaceAll(envelopeText(tt.baseType, tt.baseData), "%", filler(n)))
			}
			v := validator{lengths: RejectLong, now: func() time.Time { return testTime }}
			_, err := v.validate(item(tt.limit))
			require.NoError(t, err, "as long as may be")
			_, err = v.validate(item(tt.limit + 1))
			require.ErrorContains(t, err, "Field '"+tt.field)
			require.ErrorContains(t, err, "is too long")

			v.lengths = TruncateLong
			env, err := v.validate(item(tt.limit + 1))
			require.NoError(t, err)
			text, err := json.Marshal(env)
			require.NoError(t, err)
			assert.Contains(t, string(text), `"`+filler(tt.limit)+`"`)
		})
	}
}

func TestTagLengths(t *testing.T) {
	item := json.RawMessage(strings.Replace(envelopeText("EventData", `{"name":"e"}`), `"iKey"`,
		`"tags":{"ai.cloud.role":"`+strings.Repeat("r", 257)+`"},"iKey"`, 1))
	v := validator{lengths: TruncateLong, now: func() time.Time { return testTime }}
	env, err := v.validate(item)
	require.NoError(t, err)
	assert.Len(t, env.Tags[ai.TagCloudRole], 256)
	v.lengths = RejectLong
	_, err = v.validate(item)
	require.ErrorContains(t, err, "Field 'ai.cloud.role' on type 'Tags' is too long")
}

func FuzzValidate(f *testing.F) {
	f.Add([]byte(envelopeText("EventData", `{"name":"e","properties":{"a":"b"}}`)))
	f.Add([]byte(envelopeText("MetricData", `{"metrics":[{"name":"m","value":1,"kind":1}]}`)))
	f.Add([]byte(envelopeText("ExceptionData", `{"exceptions":[{"message":"m"}]}`)))
	f.Add([]byte(`{"name":"n","NAME":null,"time":"2026-11-22T20:00:00Z","data":[]}`))
	f.Add([]byte(envelopeText("MetricData", `{"metrics":[{"name":"m","value":1}],"METRICS":[]}`)))
	f.Add([]byte(envelopeText("ExceptionData", `{"exceptions":[{"message":"m"}],"EXCEPTIONS":null}`)))
	f.Add([]byte(`[null]`))
	v := validator{lengths: TruncateLong, now: func() time.Time { return testTime }}
	f.Fuzz(func(t *testing.T, text []byte) {
		env, err := v.validate(text)
		if err != nil {
			return
		}
		// What is accepted can be stored and shown.
		item := newItem(env, len(text))
		if item.Type == "" || item.Properties() == nil && item.Region != "" {
			t.Fatalf("%q became %+v", text, item)
		}
		if _, err := json.Marshal(item); err != nil {
			t.Fatalf("%q does not marshal: %v", text, err)
		}
	})
}
