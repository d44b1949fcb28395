// SPDX-License-Identifier: Apache-2.0

package appinsights

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDuration(t *testing.T) {
	for _, tt := range []struct {
		text string
		want time.Duration
		form string // as written again
	}{
		{"00:00:00", 0, "00.00:00:00.000000"},
		{"00.00:00:01.500000", 1500 * time.Millisecond, "00.00:00:01.500000"},
		{"0.00:00:00.0000015", 1500 * time.Nanosecond, "00.00:00:00.000001"},
		{"1:2:3.4", time.Hour + 2*time.Minute + 3*time.Second + 400*time.Millisecond, "00.01:02:03.400000"},
		{"999.23:59:59.999999", MaxDuration - time.Microsecond, "999.23:59:59.999999"},
	} {
		got, err := ParseDuration(tt.text)
		require.NoError(t, err, tt.text)
		assert.Equal(t, tt.want, got, tt.text)
		assert.Equal(t, tt.form, FormatDuration(got), tt.text)
	}
	for _, text := range []string{
		"", "1", "00:00", "1000.00:00:00", "24:00:00", "00:60:00", "00:00:60", "0:00:00:04.4786555",
		"00:00:02.227.99", "-00:00:01", "00:00:01.", ".00:00:01", "00:00:1e1", "00:00:00.1234567890", " 00:00:00",
	} {
		_, err := ParseDuration(text)
		assert.Error(t, err, text)
	}
	assert.Equal(t, "00.00:00:00.000000", FormatDuration(-time.Second), "a clock that ran backwards")
	assert.Equal(t, "999.23:59:59.999999", FormatDuration(2*MaxDuration))
}

func TestEnvelopeRoundTrip(t *testing.T) {
	at := NewTime(time.Date(2026, 11, 22, 20, 0, 0, 123456000, time.FixedZone("CET", 3600)))
	severity, count, number := Warning, int64(3), 1.5
	for _, base := range []BaseData{
		&RequestData{Ver: 2, ID: "a", Name: "n", Duration: Duration(time.Second), ResponseCode: "200", Success: true, Measurements: map[string]float64{"m": 1}},
		&RemoteDependencyData{Ver: 2, Name: "n", Duration: Duration(time.Second), Success: false},
		&MessageData{Ver: 2, Message: "m", SeverityLevel: &severity},
		&ExceptionData{Ver: 2, Exceptions: []ExceptionDetails{{Message: "m", ParsedStack: []StackFrame{{Method: "f"}}}}},
		&EventData{Ver: 2, Name: "n", Properties: map[string]string{"k": "v"}},
		&MetricData{Ver: 2, Metrics: []DataPoint{{Name: "n", Kind: Aggregation, Value: 2, Count: &count, Min: &number, Max: &number}}},
		&AvailabilityData{Ver: 2, ID: "i", Name: "n", Duration: Duration(time.Minute), Success: true},
	} {
		want := Envelope{
			Ver: 1, Name: EnvelopeName(base.BaseType()), Time: at, SampleRate: 50, InstrumentationKey: "k",
			Tags: map[string]string{TagCloudRole: "r"}, Data: NewData(base),
		}
		text, err := json.Marshal(want)
		require.NoError(t, err)
		assert.Contains(t, string(text), `"time":"2026-11-22T19:00:00.123456Z"`)
		var got Envelope
		require.NoError(t, json.Unmarshal(text, &got), "%s", text)
		assert.Equal(t, want, got)
	}
}

func TestEnvelopeOfOtherClients(t *testing.T) {
	var e Envelope
	require.NoError(t, json.Unmarshal([]byte(`{"name":"n","time":"2026-11-22T20:00:00+02:00","data":{"baseType":"MessageData","baseData":{"message":"m","severityLevel":3}}}`), &e))
	assert.Equal(t, Error, *e.Data.BaseData.(*MessageData).SeverityLevel, "a severity by number")
	assert.Equal(t, 18, e.Time.Hour())

	var d Data
	require.NoError(t, json.Unmarshal([]byte(`{"baseType":"RemoteDependencyData","baseData":{"name":"n"}}`), &d))
	assert.True(t, d.BaseData.(*RemoteDependencyData).Success, "absent success means true")
	require.ErrorIs(t, json.Unmarshal([]byte(`{"baseType":"X","baseData":{}}`), &d), ErrUnknownBaseType)
	require.ErrorIs(t, json.Unmarshal([]byte(`{"baseType":"EventData","baseData":null}`), &d), ErrNoBaseData)
	require.Error(t, json.Unmarshal([]byte(`{"baseType":"MessageData","baseData":{"severityLevel":9}}`), &d))
	_, err := json.Marshal(SeverityLevel(9))
	require.Error(t, err)
}

func TestSplitBody(t *testing.T) {
	for name, tt := range map[string]struct {
		body string
		want []string
	}{
		"empty":          {" \n", nil},
		"empty array":    {"[]", nil},
		"array":          {"\xef\xbb\xbf [ {\"a\":1} , 2 ]\n", []string{`{"a":1}`, "2"}},
		"lines":          {"{\"a\":1}\r\n\n{\"b\"\n", []string{`{"a":1}`, `{"b"`}},
		"no end of line": {`{"a":1}`, []string{`{"a":1}`}},
	} {
		got, err := SplitBody([]byte(tt.body), 2)
		require.NoError(t, err, name)
		var texts []string
		for _, item := range got {
			texts = append(texts, string(item))
		}
		assert.Equal(t, tt.want, texts, name)
	}
	for _, body := range []string{"[", "[{]", "[1] x", "[1", "[1,]"} {
		_, err := SplitBody([]byte(body), 2)
		assert.Error(t, err, body)
	}
	for _, body := range []string{"[1,2,3]", "1\n2\n3"} {
		_, err := SplitBody([]byte(body), 2)
		assert.ErrorIs(t, err, ErrTooManyItems, body)
	}
}

// Dashboards and exporters would silently part ways if a base type were known
// to one function and not to the others.
func TestBaseTypesAreKnownEverywhere(t *testing.T) {
	for _, baseType := range []string{
		BaseTypeRequest, BaseTypeDependency, BaseTypeMessage, BaseTypeException, BaseTypeEvent, BaseTypeMetric, BaseTypeAvailability,
	} {
		base, ok := NewBaseData(baseType)
		require.True(t, ok, baseType)
		assert.Equal(t, baseType, base.BaseType())
		assert.NotEqual(t, baseType, TypeName(baseType))
		assert.False(t, strings.HasSuffix(EnvelopeName(baseType), "Data"), baseType)
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, seed := range []string{"", "00:00:01", "1.02:03:04.5678901", "999.23:59:59.999999", "0:00:00:04.4"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDuration(text)
		if err != nil {
			return
		}
		if d < 0 || d >= MaxDuration {
			t.Fatalf("%q is out of range: %v", text, d)
		}
		again, err := ParseDuration(FormatDuration(d))
		if err != nil || again != d.Truncate(time.Microsecond) {
			t.Fatalf("%q is %v, then %v, %v", text, d, again, err)
		}
	})
}

func FuzzSplitBody(f *testing.F) {
	for _, seed := range []string{"", "[]", "[{}]", "{}\n{}", "[1,2", "\xef\xbb\xbf[ 1 ]", `{"data":{"baseType":"EventData","baseData":{"name":"n"}}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		const limit = 5
		items, err := SplitBody(body, limit)
		if err == nil && len(items) > limit {
			t.Fatalf("%d items", len(items))
		}
		for _, item := range items {
			var first Envelope
			if json.Unmarshal(item, &first) != nil {
				continue
			}
			text, err := json.Marshal(first)
			if err != nil {
				continue // a year past 9999 or no data
			}
			var second Envelope
			if first.Data.BaseData != nil && json.Unmarshal(text, &second) == nil && !reflect.DeepEqual(first.Tags, second.Tags) && len(first.Tags) > 0 {
				t.Fatalf("tags changed: %q", text)
			}
		}
	})
}
