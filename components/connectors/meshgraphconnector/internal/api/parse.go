// SPDX-License-Identifier: Apache-2.0

package api

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/window"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
)

const (
	defaultWindow      = 5 * time.Minute
	defaultMinRequests = 30
	defaultPercentile  = 99
	maxMinRequests     = 1_000_000_000
	maxPercentile      = 99.9
)

// The metrics of an analysis.
const (
	successRate = "success_rate"
	errorRate   = "error_rate"
	latency     = "latency"
)

// question is a query of an analysis.
type question struct {
	window.Query
	metric      string
	percentile  float64
	reporter    string
	minRequests uint64
}

// parameters reads a query. The first thing that is wrong is err, with the name of the parameter and what to write.
type parameters struct {
	values map[string]string
	err    error
}

// readParameters splits a raw query. A name that is not known, or is there twice, is an error: a typing mistake must not
// widen the question.
func readParameters(raw string, known ...string) *parameters {
	p := &parameters{values: map[string]string{}}
	values, err := url.ParseQuery(raw)
	if err != nil {
		p.fail("the query cannot be read: write name=value&name=value, and %%20 and the like for special characters")
		return p
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		list := values[name]
		switch {
		case !slices.Contains(known, name):
			p.fail("%s is no parameter: write one of %s", strconv.Quote(cut(name)), strings.Join(known, ", "))
		case len(list) > 1:
			p.fail("%s is there %d times: write it once", name, len(list))
		case len(list[0]) > graph.MaxText || !utf8.ValidString(list[0]) || strings.ContainsFunc(list[0], func(r rune) bool { return r < ' ' }):
			p.fail("%s is %s: write at most %d bytes of plain text", name, strconv.Quote(cut(list[0])), graph.MaxText)
		case list[0] == "":
			p.fail("%s is empty: write a value, or leave it out", name)
		}
		p.values[name] = list[0]
	}
	return p
}

func (p *parameters) fail(format string, args ...any) {
	if p.err == nil {
		p.err = bad(format, args...)
	}
}

func (p *parameters) required(name, what string) string {
	if p.values[name] == "" {
		p.fail("%s is missing: write %s=%s", name, name, what)
	}
	return p.values[name]
}

func (p *parameters) oneOf(name, otherwise string, allowed ...string) string {
	v, ok := p.values[name]
	if !ok {
		return otherwise
	}
	if !slices.Contains(allowed, v) {
		p.fail("%s is %q: write one of %s", name, v, strings.Join(allowed, ", "))
	}
	return v
}

// minutes is the window. The hour is kept by the minute, so parts of a minute cannot be asked for.
func (p *parameters) minutes() time.Duration {
	v, ok := p.values["window"]
	if !ok {
		return defaultWindow
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < time.Minute || d > window.Minutes*time.Minute || d%time.Minute != 0 {
		p.fail("window is %q: write whole minutes from 1m to 1h, such as 5m", v)
		return defaultWindow
	}
	return d
}

func (p *parameters) number(name string, otherwise, least, most uint64) uint64 {
	v, ok := p.values[name]
	if !ok {
		return otherwise
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil || n < least || n > most {
		p.fail("%s is %q: write a whole number from %d to %d", name, v, least, most)
	}
	return n
}

func (p *parameters) percent(name string, otherwise float64) float64 {
	v, ok := p.values[name]
	if !ok {
		return otherwise
	}
	f, err := strconv.ParseFloat(v, 64)
	if err != nil || !(f >= 1 && f <= maxPercentile) {
		p.fail("%s is %q: write a number from 1 to %v, such as 99", name, v, maxPercentile)
	}
	return f
}

// parseQuestion reads the query of an analysis.
func parseQuestion(raw string) (*question, error) {
	p := readParameters(raw, "namespace", "service", "version", "cluster", "region", "workload", "caller_cluster",
		"caller_region", "window", "metric", "percentile", "reporter", "min_requests")
	q := &question{
		Query: window.Query{
			Namespace: p.required("namespace", "shop"), Service: p.required("service", "checkout"),
			Version: p.values["version"], Cluster: p.values["cluster"], Region: p.values["region"], Workload: p.values["workload"],
			CallerCluster: p.values["caller_cluster"], CallerRegion: p.values["caller_region"], Window: p.minutes(),
		},
		metric:      p.oneOf("metric", successRate, successRate, errorRate, latency),
		percentile:  p.percent("percentile", defaultPercentile),
		reporter:    p.oneOf("reporter", "", window.Callee.String(), window.Caller.String()),
		minRequests: p.number("min_requests", defaultMinRequests, 1, maxMinRequests),
	}
	for _, name := range [...]string{"percentile", "reporter"} {
		if _, ok := p.values[name]; ok && q.metric != latency {
			p.fail("%s is only for latency: write metric=latency, or leave it out", name)
		}
	}
	return q, p.err
}

// parseVersions reads the query of the versions of a service.
func parseVersions(raw string) (namespace, service string, over time.Duration, err error) {
	p := readParameters(raw, "namespace", "service", "window")
	namespace, service, over = p.required("namespace", "shop"), p.required("service", "checkout"), p.minutes()
	return namespace, service, over, p.err
}
