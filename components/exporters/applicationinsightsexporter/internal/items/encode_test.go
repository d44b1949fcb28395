// SPDX-License-Identifier: Apache-2.0

package items

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

var encodeTime = time.Date(2026, 11, 23, 6, 7, 8, 9_012_345, time.UTC)

// requestWith encodes a request whose fields write adds.
func requestWith(e *Encoder, b *Batch, write func()) Item {
	e.Begin(b, KindRequest, encodeTime, 100)
	e.BeginData()
	write()
	e.End(false, RejectNone)
	return b.Item(b.Len() - 1)
}

func decode(t testing.TB, item Item) ai.Envelope {
	t.Helper()
	var env ai.Envelope
	require.NoError(t, json.Unmarshal(item.JSON, &env), "%s", item.JSON)
	require.NotContains(t, string(item.JSON), "\n")
	return env
}

// TestEncoderAsWireTypes holds a whole item of each shape to what encoding/json makes of the wire types.
func TestEncoderAsWireTypes(t *testing.T) {
	var e Encoder
	var b Batch
	e.Begin(&b, KindRequest, encodeTime, 12.5)
	e.Tag(ai.TagCloudRole, "reviews")
	e.Tag(ai.TagCloudRoleInstance, "")
	e.OpenTag(ai.TagOperationID)
	e.WriteHex([]byte{0xab, 0x01})
	e.Close()
	e.BeginData()
	e.ID("id", []byte{1, 2})
	e.Text("name", "GET \"/\"", ai.MaxNameLength)
	e.Duration("duration", 25*time.Hour+3*time.Microsecond)
	e.Bool("success", true)
	e.Open("responseCode", ai.MaxResultCodeLength)
	e.WriteInt(-200)
	e.Close()
	e.Text("source", "", ai.MaxSourceLength)
	e.BeginProperties()
	e.Property("empty", "")
	e.Property("text", "a\tb")
	e.BeginMeasurements()
	assert.True(t, e.Measurement("n", 1.5))
	assert.False(t, e.Measurement("nan", math.NaN()))
	e.End(false, RejectNone)

	want := ai.Envelope{
		Name: ai.EnvelopeName(ai.BaseTypeRequest), Time: ai.NewTime(encodeTime), SampleRate: 12.5,
		Tags: map[string]string{ai.TagCloudRole: "reviews", ai.TagOperationID: "ab01"},
		Data: ai.NewData(&ai.RequestData{
			Ver: ai.DataVersion, ID: "0102", Name: "GET \"/\"", Duration: ai.Duration(25*time.Hour + 3*time.Microsecond), Success: true,
			ResponseCode: "-200", Properties: map[string]string{"empty": "", "text": "a\tb"}, Measurements: map[string]float64{"n": 1.5},
		}),
	}
	text, err := json.Marshal(want)
	require.NoError(t, err)
	assert.JSONEq(t, string(text), string(b.Item(0).JSON))
	assert.Equal(t, KindRequest, b.Item(0).Kind)
	assert.True(t, encodeTime.Equal(b.Item(0).Time))
	assert.Zero(t, e.TextsTrimmed)
}

func TestEncoderKinds(t *testing.T) {
	for kind, base := range map[Kind]string{
		KindRequest: ai.BaseTypeRequest, KindDependency: ai.BaseTypeDependency, KindMessage: ai.BaseTypeMessage,
		KindException: ai.BaseTypeException, KindEvent: ai.BaseTypeEvent, KindMetric: ai.BaseTypeMetric,
		KindAvailability: ai.BaseTypeAvailability,
	} {
		var e Encoder
		var b Batch
		e.Begin(&b, kind, encodeTime, 0)
		e.BeginData()
		e.BeginProperties()
		e.BeginMeasurements()
		e.End(true, RejectNotFinite)
		env := decode(t, b.Item(0))
		assert.Equal(t, base, env.Data.BaseType)
		assert.Equal(t, ai.EnvelopeName(base), env.Name)
		assert.Zero(t, env.SampleRate)
		assert.NotContains(t, string(b.Item(0).JSON), "properties", "an empty group is left out")
		assert.NotContains(t, string(b.Item(0).JSON), "measurements")
		assert.True(t, b.Item(0).Derived)
		assert.Equal(t, RejectNotFinite, b.Item(0).Reject)
	}
}

func TestEncoderObjects(t *testing.T) {
	var e Encoder
	var b Batch
	e.Begin(&b, KindException, encodeTime, 100)
	e.BeginData()
	e.BeginObjects("exceptions")
	e.Text("message", "outer", ai.MaxMessageLength)
	e.NextObject()
	e.Text("message", "inner", ai.MaxMessageLength)
	e.EndObjects()
	e.Text("problemId", "p", ai.MaxProblemIDLength)
	e.End(false, RejectNone)
	exception := decode(t, b.Item(0)).Data.BaseData.(*ai.ExceptionData)
	require.Len(t, exception.Exceptions, 2)
	assert.Equal(t, "inner", exception.Exceptions[1].Message)
	assert.Equal(t, "p", exception.ProblemID)
}

func TestEncoderCutsTexts(t *testing.T) {
	long := strings.Repeat("x", 2000)
	for name, tc := range map[string]struct{ in, want string }{
		"at the limit":         {long[:1024], long[:1024]},
		"plain":                {long, long[:1024]},
		"escaped":              {strings.Repeat("\"", 1025), strings.Repeat("\"", 1024)},
		"two bytes":            {strings.Repeat("é", 1025), strings.Repeat("é", 1024)},
		"two bytes, fits":      {strings.Repeat("é", 1024), strings.Repeat("é", 1024)},
		"beyond the plane":     {strings.Repeat("😀", 513), strings.Repeat("😀", 512)},
		"half of a pair":       {"x" + strings.Repeat("😀", 513), "x" + strings.Repeat("😀", 511)},
		"no UTF-8":             {strings.Repeat("\xff", 1025), strings.Repeat("\uFFFD", 1024)},
		"far too long":         {strings.Repeat("é", 100_000), strings.Repeat("é", 1024)},
		"control and newlines": {"\x00\x1f\x7f\n\r\t\\/ \u2028", "\x00\x1f\x7f\n\r\t\\/ \u2028"},
	} {
		t.Run(name, func(t *testing.T) {
			var e Encoder
			var b Batch
			item := requestWith(&e, &b, func() { e.Text("name", tc.in, ai.MaxNameLength) })
			assert.Equal(t, tc.want, decode(t, item).Data.BaseData.(*ai.RequestData).Name)
			trimmed := 0
			if len(utf16.Encode([]rune(tc.in))) > ai.MaxNameLength {
				trimmed = 1
			}
			assert.Equal(t, trimmed, e.TextsTrimmed)
		})
	}
}

// TestEncoderEscapesEachByte puts every byte at each place of a text that is otherwise plain, as eight are looked at at once.
func TestEncoderEscapesEachByte(t *testing.T) {
	for c := range 256 {
		for at := range 17 {
			text := []byte("abcdefghijklmnopq")
			text[at] = byte(c)
			var e Encoder
			var b Batch
			item := requestWith(&e, &b, func() { e.Text("name", string(text), ai.MaxNameLength) })
			want := strings.ToValidUTF8(string(text), "\uFFFD")
			require.Equal(t, want, decode(t, item).Data.BaseData.(*ai.RequestData).Name, "byte %#x at %d", c, at)
		}
	}
}

func TestEncoderCutsTags(t *testing.T) {
	for tag, limit := range ai.MaxTagLengths {
		var e Encoder
		var b Batch
		e.Begin(&b, KindMessage, encodeTime, 100)
		e.Tag(tag, strings.Repeat("x", limit+1))
		e.BeginData()
		e.End(false, RejectNone)
		assert.Len(t, decode(t, b.Item(0)).Tags[tag], limit, tag)
		assert.Equal(t, 1, e.TextsTrimmed)
	}
}

func TestEncoderProperties(t *testing.T) {
	long := strings.Repeat("k", ai.MaxPropertyKeyLength)
	for name, tc := range map[string]struct {
		keys             []string
		want             map[string]string
		trimmed, dropped int
	}{
		"two of one key: the first stays":      {[]string{"a", "b", "a"}, map[string]string{"a": "0", "b": "1"}, 0, 1},
		"no key":                               {[]string{"", "b"}, map[string]string{"b": "1"}, 0, 1},
		"cut key":                              {[]string{long + "1"}, map[string]string{long: "0"}, 1, 0},
		"keys that become equal by the cut":    {[]string{long + "1", long + "2"}, map[string]string{long: "0"}, 2, 1},
		"a key that needs escaping":            {[]string{"a\"\n"}, map[string]string{"a\"\n": "0"}, 0, 0},
		"keys that become equal by the repair": {[]string{"a\xff", "a\xfe"}, map[string]string{"a\uFFFD": "0"}, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var e Encoder
			var b Batch
			item := requestWith(&e, &b, func() {
				e.BeginProperties()
				for i, key := range tc.keys {
					e.Property(key, string(rune('0'+i)))
				}
			})
			assert.Equal(t, tc.want, decode(t, item).Data.BaseData.(*ai.RequestData).Properties)
			assert.Equal(t, tc.trimmed, e.TextsTrimmed)
			assert.Equal(t, tc.dropped, e.PropertiesDropped)
		})
	}
}

func TestEncoderLimitsProperties(t *testing.T) {
	var e Encoder
	var b Batch
	item := requestWith(&e, &b, func() {
		e.BeginProperties()
		for i := range maxProperties + 7 {
			e.Property("k"+string(rune('0'+i)), "")
		}
	})
	assert.Len(t, decode(t, item).Data.BaseData.(*ai.RequestData).Properties, maxProperties)
	assert.Equal(t, 7, e.PropertiesDropped)
}

func TestEncoderFits(t *testing.T) {
	short, quotes := strings.Repeat("s", 500), strings.Repeat("\"", ai.MaxPropertyValueLength)
	var e Encoder
	var b Batch
	item := requestWith(&e, &b, func() {
		e.Text("name", short, ai.MaxNameLength)
		e.BeginProperties()
		for i := range 12 {
			e.Property(string(rune('a'+i)), quotes)
		}
	})
	assert.Equal(t, RejectNone, item.Reject)
	assert.LessOrEqual(t, len(item.JSON), maxJSONBytes)
	assert.Greater(t, len(item.JSON), maxJSONBytes-100, "no more is cut than needed")
	request := decode(t, item).Data.BaseData.(*ai.RequestData)
	assert.Equal(t, short, request.Name, "the longest texts are cut, and no others")
	for _, value := range request.Properties {
		assert.Equal(t, strings.Trim(value, "\""), "")
		assert.Greater(t, len(value), 2000)
	}
	assert.Equal(t, 12, e.TextsTrimmed)
}

func TestEncoderCutsBetweenCharacters(t *testing.T) {
	for _, text := range []string{"é", "😀", "\"", "\x01", "x", "é\x01😀\"x", "\u2028"} {
		for shift := range 8 {
			var e Encoder
			var b Batch
			value := strings.Repeat("p", shift) + strings.Repeat(text, ai.MaxPropertyValueLength)
			item := requestWith(&e, &b, func() {
				e.BeginProperties()
				for i := range 40 {
					e.Property(string(rune('a'+i)), value)
				}
			})
			require.Equal(t, RejectNone, item.Reject)
			require.LessOrEqual(t, len(item.JSON), maxJSONBytes)
			for _, got := range decode(t, item).Data.BaseData.(*ai.RequestData).Properties {
				require.True(t, strings.HasPrefix(value, got), "%q", text)
			}
		}
	}
}

func TestEncoderRejectsTooLarge(t *testing.T) {
	var e Encoder
	var b Batch
	item := requestWith(&e, &b, func() {
		e.BeginProperties()
		for i := range maxProperties {
			e.Property(strings.Repeat("k", 140)+string(rune('0'+i)), strings.Repeat("v", 40))
		}
	})
	assert.Equal(t, RejectTooLarge, item.Reject)
	assert.Greater(t, len(item.JSON), maxJSONBytes)
	assert.Len(t, decode(t, item).Data.BaseData.(*ai.RequestData).Properties, maxProperties, "nothing is lost of it")
}

func TestFragment(t *testing.T) {
	var e Encoder
	var b Batch
	var f Fragment
	f.Tag(ai.TagCloudRole, "role")
	f.Tag(ai.TagApplicationVersion, "")
	f.Tag(ai.TagCloudRoleInstance, "pod")
	long := strings.Repeat("é", ai.MaxPropertyValueLength)
	for _, key := range []string{"own", "shared", "shared", ""} {
		f.Property(key, func(e *Encoder) { e.Write(key + " of the resource") })
	}
	f.Property("long", func(e *Encoder) { e.Write(long + long) })
	assert.Equal(t, 1, f.Trimmed())
	assert.Equal(t, 2, f.Dropped())
	for range 2 {
		e.Begin(&b, KindRequest, encodeTime, 100)
		e.AddTags(&f)
		e.Tag(ai.TagOperationName, "op")
		e.BeginData()
		e.BeginProperties()
		e.Property("shared", "of the span")
		for i := range 10 {
			e.Property(string(rune('a'+i)), long)
		}
		e.AddProperties(&f)
		e.End(false, RejectNone)
		item := b.Item(b.Len() - 1)
		env := decode(t, item)
		assert.Equal(t, map[string]string{ai.TagCloudRole: "role", ai.TagCloudRoleInstance: "pod", ai.TagOperationName: "op"}, env.Tags)
		properties := env.Data.BaseData.(*ai.RequestData).Properties
		assert.Equal(t, "of the span", properties["shared"])
		assert.Equal(t, "own of the resource", properties["own"])
		assert.Less(t, len(properties["long"]), len(long), "what the resource says is cut too")
		assert.True(t, strings.HasPrefix(long, properties["long"]))
		assert.Equal(t, RejectNone, item.Reject)
	}
	f.Reset()
	e.Begin(&b, KindRequest, encodeTime, 100)
	e.AddTags(&f)
	e.BeginData()
	e.BeginProperties()
	e.AddProperties(&f)
	e.End(false, RejectNone)
	assert.Empty(t, decode(t, b.Item(2)).Tags)
}

// FuzzEncoder holds that every item is JSON that says, after the limits, what it was given.
func FuzzEncoder(f *testing.F) {
	f.Add("GET /reviews/{id}", "mesh.source.cluster", "aks-westeurope", 1.0, 3)
	f.Add("\xff\"\\\x00\u2028😀", "", "é", math.NaN(), 3000)
	f.Add("\"", "kkkkkkkkkkkkkkkkkkkkkkkkkk", "\xf0\x9f", math.Inf(1), 600)
	f.Fuzz(func(t *testing.T, name, key, value string, number float64, n int) {
		var e Encoder
		var b Batch
		var shared Fragment
		shared.Tag(ai.TagCloudRole, name)
		shared.Property(key, func(e *Encoder) { e.WriteQuoted(value) })
		n = max(1, min(n, 9000))
		name, key, value = strings.Repeat(name, 1+n/1000), strings.Repeat(key, 1+n/300), strings.Repeat(value, n)
		e.Begin(&b, KindRequest, encodeTime, number)
		e.AddTags(&shared)
		e.Tag(ai.TagOperationName, value)
		e.BeginData()
		e.Text("name", name, ai.MaxNameLength)
		e.Number("value", number)
		e.BeginProperties()
		for i := range n % 30 {
			e.Property(key+string(rune(i)), value)
		}
		e.AddProperties(&shared)
		e.BeginMeasurements()
		e.Measurement(key, number)
		e.End(false, RejectNone)
		item := b.Item(0)
		require.True(t, json.Valid(item.JSON), "%s", item.JSON)
		require.True(t, utf8.Valid(item.JSON))
		require.NotContains(t, string(item.JSON), "\n")
		if item.Reject == RejectNone {
			require.LessOrEqual(t, len(item.JSON), maxJSONBytes)
		}
		request := decode(t, item).Data.BaseData.(*ai.RequestData)
		wantPrefix(t, name, request.Name, ai.MaxNameLength)
		for k, v := range request.Properties {
			require.LessOrEqual(t, utf8.RuneCountInString(k), ai.MaxPropertyKeyLength)
			require.LessOrEqual(t, utf8.RuneCountInString(v), ai.MaxPropertyValueLength)
		}
	})
}

// wantPrefix holds that got is want, repaired as encoding/json does, or the beginning of it that has limit characters.
func wantPrefix(t *testing.T, want, got string, limit int) {
	t.Helper()
	text, err := json.Marshal(want)
	require.NoError(t, err)
	var repaired string
	require.NoError(t, json.Unmarshal(text, &repaired))
	if len(utf16.Encode([]rune(repaired))) <= limit && len(got) == len(repaired) {
		require.Equal(t, repaired, got)
		return
	}
	require.True(t, strings.HasPrefix(repaired, got))
}
