// SPDX-License-Identifier: Apache-2.0

package envoysemconvprocessor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
)

func TestDefaultConfig(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	assert.Empty(t, cfg.KeepOriginalAttributes)
	assert.True(t, cfg.SetSpanStatus)
	assert.Equal(t, "keep", cfg.SpanName)
	assert.Empty(t, cfg.Routes)
	assert.False(t, cfg.PathTemplates)
	assert.Equal(t, 1000, cfg.MaxSpanNames)
	assert.Equal(t, 256, cfg.MaxPathLength)
	assert.Equal(t,
		DoubleSpansConfig{Policy: "prefer_proxy", RememberFor: time.Minute, MaxRemembered: 65536}, cfg.DoubleSpans)
	require.NoError(t, cfg.Validate())
	assert.Equal(t, kept{}, cfg.kept())
}

func TestUnmarshal(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, confmap.NewFromStringMap(map[string]any{
		"keep_original_attributes": []any{"http.url", "peer.address"}, "set_span_status": false, "span_name": "semconv",
		"routes":         []any{map[string]any{"path": "/products/{id}", "hosts": []any{"*.example.com"}}},
		"path_templates": true, "max_span_names": 10, "max_path_length": 512,
		"double_spans": map[string]any{"policy": "keep", "remember_for": "5s", "max_remembered": 512},
	}).Unmarshal(cfg))
	want := createDefaultConfig().(*Config)
	want.KeepOriginalAttributes = []string{"http.url", "peer.address"}
	want.SetSpanStatus = false
	want.SpanName = "semconv"
	want.Routes = []RouteConfig{{Path: "/products/{id}", Hosts: []string{"*.example.com"}}}
	want.PathTemplates = true
	want.MaxSpanNames = 10
	want.MaxPathLength = 512
	want.DoubleSpans = DoubleSpansConfig{Policy: "keep", RememberFor: 5 * time.Second, MaxRemembered: 512}
	assert.Equal(t, want, cfg)
	require.NoError(t, cfg.Validate())
	assert.ErrorContains(t,
		confmap.NewFromStringMap(map[string]any{"keep_originals": true}).Unmarshal(cfg), "keep_originals")
}

func TestKeepOriginalAttributes(t *testing.T) {
	for name, tt := range map[string]struct {
		value any
		want  kept
	}{
		"none":      {"none", kept{}},
		"all":       {"all", kept{all: true}},
		"false":     {false, kept{}},
		"true":      {true, kept{all: true}},
		"one":       {"http.url", kept{names: []string{"http.url"}}},
		"list":      {[]any{"http.url", "zone"}, kept{names: []string{"http.url", "zone"}}},
		"list of 1": {[]any{"all"}, kept{all: true}},
		"empty":     {[]any{}, kept{names: []string{}}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := createDefaultConfig().(*Config)
			conf := confmap.NewFromStringMap(map[string]any{"keep_original_attributes": tt.value})
			require.NoError(t, conf.Unmarshal(cfg))
			require.NoError(t, cfg.Validate())
			assert.Equal(t, tt.want, cfg.kept())
			assert.Equal(t, tt.value, conf.Get("keep_original_attributes"), "the caller's settings must not change")
		})
	}
}

func TestValidate(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"kept, unknown": {
			func(c *Config) { c.KeepOriginalAttributes = []string{"http.route"} },
			`keep_original_attributes: "http.route" is no attribute of Envoy's`,
		},
		"kept, all and more": {
			func(c *Config) { c.KeepOriginalAttributes = []string{"http.url", "all"} },
			"keep_original_attributes: all stands alone",
		},
		"span name": {func(c *Config) { c.SpanName = "route" }, `span_name: "route" is neither keep nor semconv`},
		"route": {
			func(c *Config) { c.Routes = []RouteConfig{{Path: "/a"}, {Path: "/b/:id"}} },
			`routes[1]: "/b/:id": a placeholder is a whole segment`,
		},
		"too many routes": {func(c *Config) { c.Routes = make([]RouteConfig, 2001) }, "routes: 2001 are more than 2000 routes"},
		"no names":        {func(c *Config) { c.MaxSpanNames = 0 }, "max_span_names: 0 is not from 1 to 100000"},
		"path length":     {func(c *Config) { c.MaxPathLength = 0 }, "max_path_length: 0 is not from 1 to 1048576"},
		"policy": {
			func(c *Config) { c.DoubleSpans.Policy = "drop" },
			`double_spans::policy: "drop" is none of keep, prefer_proxy, prefer_application`,
		},
		"remember": {
			func(c *Config) { c.DoubleSpans.RememberFor = time.Millisecond },
			"double_spans::remember_for: 1ms is not from 1s to 1h",
		},
		"remembered": {
			func(c *Config) { c.DoubleSpans.MaxRemembered = 1 },
			"double_spans::max_remembered: 1 is not from 512 to 4194304",
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := createDefaultConfig().(*Config)
			tt.change(cfg)
			assert.ErrorContains(t, cfg.Validate(), tt.want)
		})
	}
}
