// SPDX-License-Identifier: Apache-2.0

package meshprivacyprocessor

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshprivacyprocessor/internal/metadatatest"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshprivacyprocessor/privacytest"
)

func TestConfig(t *testing.T) {
	require.NoError(t, createDefaultConfig().(*Config).Validate())
	tests := []struct {
		key   string
		value any
		want  string
	}{
		{"categories", []string{"urls"}, "'categories' has \"urls\": write url_query"},
		{"categories", []string{"pattern"}, "'categories'"},
		{"mode", "md5", "'mode' is \"md5\": write mask, remove or hash"},
		{"mode", "hash", "'hash_key' has 0 bytes"},
		{"hash_key", "0123456789abcdef", "'hash_key' is for mode: hash"},
		{"key_patterns", []string{"("}, "'key_patterns' has \"(\""},
		{"key_patterns", []string{"x*"}, "matches the empty text"},
		{"value_patterns", []string{""}, "'value_patterns' has a pattern of 0 bytes"},
		{"value_patterns", []string{strings.Repeat("x", 513)}, "of 513 bytes"},
		{"value_patterns", []string{"[a-z]{990}|[0-9]{990}|[a-f]{90}"}, "instructions"},
		{"value_patterns", make([]string, 33), "at most 32"},
		{"keep_keys", []string{"*"}, "'keep_keys' has \"*\""},
		{"keep_keys", []string{"a*b"}, "'keep_keys'"},
		{"keep_keys", []string{""}, "'keep_keys'"},
		{"allowed_query_parameters", []string{"a=b"}, "'allowed_query_parameters'"},
		{"max_value_length", 10, "'max_value_length' is 10: write from 1024 to 16777216"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.key, tt.want), func(t *testing.T) {
			cfg := createDefaultConfig().(*Config)
			require.NoError(t, confmap.NewFromStringMap(map[string]any{tt.key: tt.value}).Unmarshal(cfg))
			require.ErrorContains(t, cfg.Validate(), tt.want)
			_, err := newMeshPrivacy(metadatatest.NewSettings(componenttest.NewTelemetry()), cfg)
			require.Error(t, err)
		})
	}
}

func run(t *testing.T, cfg *Config, fill func(pcommon.Map)) (pcommon.Map, *componenttest.Telemetry) {
	t.Helper()
	require.NoError(t, cfg.Validate())
	tel := componenttest.NewTelemetry()
	p, err := newMeshPrivacy(metadatatest.NewSettings(tel), cfg)
	require.NoError(t, err)
	td := ptrace.NewTraces()
	span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	fill(span.Attributes())
	_, err = p.processTraces(context.Background(), td)
	require.NoError(t, err)
	return span.Attributes(), tel
}

// TestAttributes: what becomes of values of each type, by what their names say.
func TestAttributes(t *testing.T) {
	fill := func(m pcommon.Map) {
		_ = m.FromRaw(map[string]any{
			"http.request.header.authorization": []any{"Bearer a", "Basic b"},
			"password":                          12345,
			"token":                             map[string]any{"a": []any{1.5, "x", true}},
			"token_count":                       7,
			"url.full":                          "http://h/p?page=2&x=1",
			"url.query":                         "page=2&x=1",
			"http.target":                       []any{"/p?x=1", "--password", "y"},
			"secret.enabled":                    true,
			"auth":                              true,
			"headers":                           []any{map[string]any{"name": "Cookie", "value": "a=b"}, map[string]any{"name": "Host", "value": "h"}},
			"kept.password":                     "x",
			"at https://u:p@h":                  1,
			"customer.name":                     "Alice",
			"note":                              "contract DE12345678",
		})
		m.PutEmptyBytes("raw").FromRaw([]byte("password=abc"))
	}
	cfg := createDefaultConfig().(*Config)
	cfg.KeyPatterns, cfg.ValuePatterns = []string{`^customer\.`}, []string{`DE\d{8}`}
	cfg.KeepKeys, cfg.AllowedQueryParameters = []string{"kept.*"}, []string{"Page"}
	got, tel := run(t, cfg, fill)
	assert.Equal(t, map[string]any{
		"http.request.header.authorization": []any{"***", "***"},
		"password":                          "***",
		"token":                             map[string]any{"a": []any{"***", "***", true}},
		"token_count":                       int64(7),
		"url.full":                          "http://h/p?page=2&***",
		"url.query":                         "page=2&***",
		"http.target":                       []any{"/p?***", "--password", "***"},
		"secret.enabled":                    true,
		"auth":                              true,
		"headers":                           []any{map[string]any{"name": "Cookie", "value": "***"}, map[string]any{"name": "Host", "value": "h"}},
		"kept.password":                     "x",
		"at https://***@h":                  int64(1),
		"customer.name":                     "***",
		"note":                              "contract ***",
		"raw":                               []byte("password=***"),
	}, got.AsRaw())
	point := func(n int64, category string) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{Value: n, Attributes: attribute.NewSet(
			attribute.String("category", category), attribute.String("place", "span_attribute"))}
	}
	metadatatest.AssertEqualProcessorMeshPrivacyRedactedValues(t, tel, []metricdata.DataPoint[int64]{
		point(2, "authorization"), point(5, "credential"), point(3, "url_query"), point(1, "cookie"), point(1, "url_userinfo"), point(2, "pattern"),
	}, metricdatatest.IgnoreTimestamp())

	cfg.Mode = Remove
	got, _ = run(t, cfg, fill)
	assert.Equal(t, map[string]any{
		"token_count": int64(7), "url.full": "http://h/p?page=2", "url.query": "page=2", "http.target": []any{"/p", "--password", nil},
		"secret.enabled": true, "auth": true, "headers": []any{map[string]any{"name": "Cookie"}, map[string]any{"name": "Host", "value": "h"}},
		"kept.password": "x", "at https://h": int64(1), "note": "contract ", "raw": []byte("password="),
	}, got.AsRaw())
}

// TestHashedValuesStayComparable: equal values have equal hashes, also behind a hub that hashes again.
func TestHashedValuesStayComparable(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.Mode, cfg.HashKey = Hash, "0123456789abcdef"
	got, _ := run(t, cfg, func(m pcommon.Map) {
		m.PutStr("token", "abc")
		m.PutStr("note", "token=abc")
		m.PutStr("secret", "other")
	})
	raw := got.AsRaw()
	assert.Regexp(t, "^hmac:[0-9a-f]{16}$", raw["token"])
	assert.Equal(t, fmt.Sprint("token=", raw["token"]), raw["note"])
	assert.NotEqual(t, raw["token"], raw["secret"])
	again, _ := run(t, cfg, func(m pcommon.Map) { got.CopyTo(m) })
	assert.Equal(t, raw, again.AsRaw())
}

// TestCeilings: what is too long is cut, what is too deep is replaced, and both are counted.
func TestCeilings(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.MaxValueLength = minMaxValueLength
	deep := pcommon.NewValueSlice()
	for range maxDepth + 5 {
		outer := pcommon.NewValueSlice()
		deep.MoveTo(outer.Slice().AppendEmpty())
		deep = outer
	}
	got, tel := run(t, cfg, func(m pcommon.Map) {
		m.PutStr("long", strings.Repeat("word ", 300)+"password=abc")
		m.PutStr("umlauts", strings.Repeat("ü", 2000))
		m.PutStr("url.full", strings.Repeat("/", 2000)+"?x=1")
		m.PutEmptyBytes("raw").FromRaw(make([]byte, 2000))
		deep.CopyTo(m.PutEmpty("deep"))
	})
	raw := got.AsRaw()
	assert.Equal(t, strings.Repeat("word ", 204), raw["long"])
	assert.Equal(t, strings.Repeat("ü", 511), raw["umlauts"])
	assert.LessOrEqual(t, len(raw["url.full"].(string)), 1024)
	assert.LessOrEqual(t, len(raw["raw"].([]byte)), 1024)
	assert.Contains(t, fmt.Sprint(raw["deep"]), "***")
	point := func(n int64, limit string) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{Value: n, Attributes: attribute.NewSet(
			attribute.String("place", "span_attribute"), attribute.String("limit", limit))}
	}
	metadatatest.AssertEqualProcessorMeshPrivacyLimitedValues(t, tel, []metricdata.DataPoint[int64]{
		point(4, "value_length"), point(1, "depth"),
	}, metricdatatest.IgnoreTimestamp())
}

// TestNamesThatBecomeOne: no value is lost when two names are the same without their secrets.
func TestNamesThatBecomeOne(t *testing.T) {
	got, _ := run(t, createDefaultConfig().(*Config), func(m pcommon.Map) {
		m.PutStr("GET /p?x=1", "a")
		m.PutStr("GET /p?x=2", "b")
	})
	assert.Equal(t, map[string]any{"GET /p?***": "a", "GET /p?***_2": "b"}, got.AsRaw())
}

func FuzzLogs(f *testing.F) {
	c := privacytest.New(1)
	for range 4 {
		ld := plog.NewLogs()
		record := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		c.Value(record.Body())
		c.Attributes(record.Attributes())
		wire, err := (&plog.ProtoMarshaler{}).MarshalLogs(ld)
		require.NoError(f, err)
		f.Add(wire)
	}
	p, err := newMeshPrivacy(metadatatest.NewSettings(componenttest.NewTelemetry()), createDefaultConfig().(*Config))
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, wire []byte) {
		ld, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(wire)
		if err != nil {
			return
		}
		before := ld.LogRecordCount()
		ld, _ = p.processLogs(context.Background(), ld)
		if ld.LogRecordCount() != before {
			t.Fatal("records were dropped")
		}
	})
}
