// SPDX-License-Identifier: Apache-2.0

package envoysemconvprocessor

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"

	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor/internal/pairs"
	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor/internal/routes"
	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor/internal/rules"
)

// Config is what users write under envoy_semconv.
type Config struct {
	// KeepOriginalAttributes keeps attributes under Envoy's own names beside the new ones; each is stored and billed
	// once more. "none", the default, drops those that were translated, "all" keeps them, and a list keeps the ones it
	// names, for example [http.url, peer.address]. The former values false and true mean none and all.
	KeepOriginalAttributes []string `mapstructure:"keep_original_attributes"`

	// SetSpanStatus sets the status of spans that have none to ERROR if the call failed by the semantic conventions of
	// its kind. True is the default; a status that is set already never changes.
	SetSpanStatus bool `mapstructure:"set_span_status"`

	// ParseAccessLogBodies reads the bodies of log records that are access logs in a format of Istio's or ztunnel's, and
	// writes what they say as attributes. True is the default; the body itself never changes.
	ParseAccessLogBodies bool `mapstructure:"parse_access_log_bodies"`

	// SpanName says what Envoy's spans are called: "keep", the default, leaves their names alone; "semconv" names them
	// by the semantic conventions, with at most MaxSpanNames names besides those of the routes.
	SpanName string `mapstructure:"span_name"`

	// Routes are the route templates of the services, at most 2000. One that fits becomes http.route.
	Routes []RouteConfig `mapstructure:"routes"`

	// PathTemplates replaces segments of paths that no route fits by placeholders where they are surely identifiers,
	// and writes url.template. Off by default.
	PathTemplates bool `mapstructure:"path_templates"`

	// MaxSpanNames is how many names are given to spans, and values to url.template, that are not in Routes: 1 to
	// 100000, by default 1000. Spans beyond are named by their method alone.
	MaxSpanNames int `mapstructure:"max_span_names"`

	// MaxPathLength is the length in bytes to which the proxies cut paths (Envoy's max_path_tag_length, Istio's
	// maxPathTagLength), by default 256, as theirs. A path of that length may lack its end and gets no route.
	MaxPathLength int `mapstructure:"max_path_length"`

	// DoubleSpans is about calls that the application and its sidecar both report.
	DoubleSpans DoubleSpansConfig `mapstructure:"double_spans"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// RouteConfig is one route template.
type RouteConfig struct {
	// Path is the template: "/products/{id}/reviews". {name} stands for one segment, {name...} in the end for one or
	// more.
	Path string `mapstructure:"path"`
	// Hosts are the hosts, as callers spell them in the URL and without a port, that the route is for;
	// "*.example.com" means all below one. None means every host.
	Hosts []string `mapstructure:"hosts"`
}

// DoubleSpansConfig says what becomes of the two spans that an application and its sidecar make of one end of a call.
type DoubleSpansConfig struct {
	// Policy is "prefer_proxy" (the default), "prefer_application" or "keep". The span that is not preferred becomes
	// INTERNAL, if the other one was seen.
	Policy string `mapstructure:"policy"`
	// RememberFor is how long a span is remembered for the other one to arrive: 1s to 1h, by default 1m.
	RememberFor time.Duration `mapstructure:"remember_for"`
	// MaxRemembered is how many spans are remembered, 512 to 4194304, rounded up to a power of two; each takes 48
	// bytes. By default 65536.
	MaxRemembered int `mapstructure:"max_remembered"`
}

// The values of the settings that are words.
const (
	keepAll  = "all"
	keepNone = "none"

	spanNameKeep    = "keep"
	spanNameSemconv = "semconv"

	doubleKeep              = "keep"
	doublePreferProxy       = "prefer_proxy"
	doublePreferApplication = "prefer_application"
)

const (
	maxSpanNames  = 100_000
	maxPathLength = 1 << 20
)

var (
	_ component.Config    = (*Config)(nil)
	_ confmap.Unmarshaler = (*Config)(nil)
)

func createDefaultConfig() component.Config {
	return &Config{
		SetSpanStatus:        true,
		ParseAccessLogBodies: true,
		SpanName:             spanNameKeep,
		MaxSpanNames:         1000,
		MaxPathLength:        256,
		DoubleSpans: DoubleSpansConfig{
			Policy: doublePreferProxy, RememberFor: time.Minute, MaxRemembered: 65536,
		},
	}
}

// Unmarshal reads the settings; keep_original_attributes used to be a boolean.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	const key = "keep_original_attributes"
	if all, ok := conf.Get(key).(bool); ok {
		values := conf.ToStringMap()
		values[key] = []any{keepNone}
		if all {
			values[key] = []any{keepAll}
		}
		conf = confmap.NewFromStringMap(values)
	}
	return conf.Unmarshal(c)
}

// Validate reports what is wrong with the settings, all of it at once.
func (c *Config) Validate() error {
	errs := []error{c.validateKept()}
	if c.SpanName != spanNameKeep && c.SpanName != spanNameSemconv {
		errs = append(errs, fmt.Errorf("span_name: %q is neither keep nor semconv", c.SpanName))
	}
	if _, err := c.table(); err != nil {
		errs = append(errs, fmt.Errorf("routes%w", err))
	}
	if c.MaxSpanNames < 1 || c.MaxSpanNames > maxSpanNames {
		errs = append(errs, fmt.Errorf("max_span_names: %d is not from 1 to %d", c.MaxSpanNames, maxSpanNames))
	}
	if c.MaxPathLength < 1 || c.MaxPathLength > maxPathLength {
		errs = append(errs, fmt.Errorf("max_path_length: %d is not from 1 to %d; write what Envoy's max_path_tag_length is",
			c.MaxPathLength, maxPathLength))
	}
	return errors.Join(append(errs, c.DoubleSpans.validate())...)
}

func (c *Config) validateKept() error {
	for _, name := range c.KeepOriginalAttributes {
		if name == keepAll || name == keepNone {
			if len(c.KeepOriginalAttributes) > 1 {
				return fmt.Errorf("keep_original_attributes: %s stands alone; write all, none, or a list of names", name)
			}
			continue
		}
		if rules.LogKey(name) == rules.KeyNone && rules.SpanKey(name) == rules.KeyNone {
			return fmt.Errorf("keep_original_attributes: %q is no attribute of Envoy's that is translated; write names such as http.url",
				name)
		}
	}
	return nil
}

func (c *Config) table() (*routes.Table, error) {
	list := make([]routes.Route, len(c.Routes))
	for i, r := range c.Routes {
		list[i] = routes.Route{Template: r.Path, Hosts: r.Hosts}
	}
	return routes.NewTable(list)
}

func (d *DoubleSpansConfig) validate() error {
	var errs []error
	if !slices.Contains([]string{doubleKeep, doublePreferProxy, doublePreferApplication}, d.Policy) {
		errs = append(errs, fmt.Errorf("double_spans::policy: %q is none of keep, prefer_proxy, prefer_application", d.Policy))
	}
	if d.RememberFor < time.Second || d.RememberFor > time.Hour {
		errs = append(errs, fmt.Errorf("double_spans::remember_for: %s is not from 1s to 1h", d.RememberFor))
	}
	if d.MaxRemembered < pairs.MinSize || d.MaxRemembered > pairs.MaxSize {
		errs = append(errs, fmt.Errorf("double_spans::max_remembered: %d is not from %d to %d",
			d.MaxRemembered, pairs.MinSize, pairs.MaxSize))
	}
	return errors.Join(errs...)
}

// kept says which attributes stay under Envoy's own names. The zero value keeps none.
type kept struct {
	all   bool
	names []string
}

func (c *Config) kept() kept {
	if slices.Equal(c.KeepOriginalAttributes, []string{keepAll}) {
		return kept{all: true}
	}
	if slices.Equal(c.KeepOriginalAttributes, []string{keepNone}) {
		return kept{}
	}
	return kept{names: c.KeepOriginalAttributes}
}

func (k *kept) has(name string) bool {
	return k.all || slices.Contains(k.names, name)
}
