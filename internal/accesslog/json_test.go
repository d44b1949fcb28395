// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The same call is the same entry, whichever format told it.
func TestJSONEqualsText(t *testing.T) {
	var text, object Entry
	require.NoError(t, ParseText(inbound, &text))
	format, err := Parse(istioJSON, &object)
	require.NoError(t, err)
	assert.Equal(t, JSON, format)
	assert.Equal(t, text.Envoy, object.Envoy)
}

func TestJSONValues(t *testing.T) {
	for name, tt := range map[string]struct{ value, want string }{
		"text":           {`"503"`, "503"},
		"number":         {`503`, "503"},
		"fraction":       {`1.5e3`, "1.5e3"},
		"negative":       {`-1`, "-1"},
		"boolean":        {`true`, "true"},
		"null":           {`null`, ""},
		"dash":           {`"-"`, ""},
		"empty":          {`""`, ""},
		"nested":         {`{"a":[1,{"b":"}"}]}`, ""},
		"list":           {`["]",{}]`, ""},
		"escapes":        {`"a\"\\\/\b\f\n\r\t"`, "a\"\\/\b\f\n\r\t"},
		"unicode":        {`"\u00e9\ud83d\ude00"`, "é😀"},
		"half a pair":    {`"\ud83dx"`, "\uFFFDx"},
		"unpaired, pair": {`"\ud83d\u0041"`, "\uFFFDA"},
		"spaces":         {" \t\r\n5 ", "5"},
	} {
		t.Run(name, func(t *testing.T) {
			var e Entry
			format, err := Parse(`{"upstream_cluster":"c", "user_agent":`+tt.value+`}`, &e)
			require.NoError(t, err)
			assert.Equal(t, JSON, format)
			assert.Equal(t, tt.want, e.Envoy.Get(UserAgent))
			assert.True(t, e.Envoy.Has(UserAgent))
		})
	}
}

func TestJSONThatIsNoAccessLog(t *testing.T) {
	for _, body := range []string{
		`{}`, `{"method":"GET","duration":1}`, `{"message":"src.addr"}`, `{"a":"\"upstream_cluster\""}`, `{"upstream_cluster":null}`,
		`{"response_flags":"-"}`, `{"response_code":200}`, `{"src.addr":"1.1.1.1:1","dst.addr":"1.1.1.1:2"}`, `{"broken":`,
		`{"src.addr":"1.1.1.1:1","dst.addr":"1.1.1.1:2","direction":"up"}`,
	} {
		var e Entry
		format, err := Parse(body, &e)
		require.NoError(t, err, body)
		assert.Equal(t, NotAccessLog, format, body)
	}
}

func TestEachKey(t *testing.T) {
	got := map[string]string{}
	EachKey("{\"pod_name\":\"a\\nb\",\"n\":5,\"x\":{}}\n", func(key, value string) { got[key] = value })
	assert.Equal(t, map[string]string{"pod_name": "a\nb", "n": "5", "x": ""}, got)
	EachKey(strings.Repeat(" ", MaxLength+1)+"{}", func(string, string) { t.Error("beyond the ceiling") })
}

func TestBrokenJSON(t *testing.T) {
	whole := istioJSON
	for i := range whole[:len(whole)-1] {
		var e Entry
		_, err := ParseJSON(whole[:i], &e)
		assert.ErrorIs(t, err, ErrJSON, whole[:i])
	}
	for _, value := range []string{
		`01`, `+1`, `.5`, `1.`, `1e`, `1e+`, `--1`, `nul`, `tru`, `"a`, `"\x"`, `"\u12"`, `"\u12g4"`, `"\`, "\"\n\"", "\"\\n\n\"", `[}`, `{]`, `[`,
		strings.Repeat("[", 40) + strings.Repeat("]", 40), ``, `1 2`, `"a" "b"`, `"\ud83d\u12"`,
	} {
		var e Entry
		body := `{"upstream_cluster":"c","x":` + value + `}`
		_, err := Parse(body, &e)
		assert.ErrorIs(t, err, ErrJSON, body)
	}
	for _, body := range []string{istioJSON + "x", istioJSON + istioJSON, `{"upstream_cluster":"c",}`, `{"upstream_cluster"}`, `{upstream_cluster:1,"upstream_cluster":1}`} {
		var e Entry
		_, err := Parse(body, &e)
		assert.ErrorIs(t, err, ErrJSON, body)
	}
}

func TestCeilings(t *testing.T) {
	var e Entry
	_, err := Parse(strings.Replace(istioJSON, "curl", strings.Repeat("x", MaxLength), 1), &e)
	require.ErrorIs(t, err, ErrTooLong)
	_, err = ParseJSON(strings.Replace(istioJSON, "curl", strings.Repeat("x", MaxLength), 1), &e)
	require.ErrorIs(t, err, ErrTooLong)
	_, err = Parse(strings.Replace(inbound, "curl", strings.Repeat("x", MaxLength), 1), &e)
	require.ErrorIs(t, err, ErrTooLong)
	_, err = Parse(`{"upstream_cluster":"c"`+strings.Repeat(`,"a":1`, maxKeys)+`}`, &e)
	require.ErrorIs(t, err, ErrJSON)
	e.Reset()
	require.ErrorIs(t, ParseZtunnel(ztunnelOld+strings.Repeat(" a=1", maxKeys), &e.Ztunnel), ErrZtunnel)
}

// FuzzParseJSON compares with the standard library: what it accepts is accepted, with the same values.
func FuzzParseJSON(f *testing.F) {
	for _, seed := range []string{istioJSON, ztunnelJSON, `{}`, `{"upstream_cluster":"\u00e9","user_agent":null,"x":{"y":[1]}}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var e Entry
		_, err := ParseJSON(text, &e)
		var want map[string]any
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		if decoder.Decode(&want) != nil || decoder.More() || want == nil {
			return
		}
		if err != nil {
			return // beyond a ceiling, or something behind the object
		}
		for f := StartTime; f < NumFields; f++ {
			value, present := want[f.String()]
			if present != e.Envoy.Has(f) {
				t.Fatalf("%s: present %t", f, present)
			}
			if s, ok := value.(string); ok && s != "-" && e.Envoy.Get(f) != s && strings.ToValidUTF8(e.Envoy.Get(f), "\uFFFD") != strings.ToValidUTF8(s, "\uFFFD") {
				t.Fatalf("%s: %q instead of %q", f, e.Envoy.Get(f), s)
			}
			if n, ok := value.(json.Number); ok && e.Envoy.Get(f) != n.String() {
				t.Fatalf("%s: %q instead of %s", f, e.Envoy.Get(f), n)
			}
		}
	})
}
