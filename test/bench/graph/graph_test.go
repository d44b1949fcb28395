// SPDX-License-Identifier: Apache-2.0

// Package graph compares the mesh_graph connector with the span metrics connector, in the same run and on the same calls:
// machines differ, ratios do not.
package graph

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/connector/spanmetricsconnector"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector"
)

// edges is how many edges the items are of.
const edges = 1000

func config(tb testing.TB, f connector.Factory, settings map[string]any) component.Config {
	tb.Helper()
	c := f.CreateDefaultConfig()
	require.NoError(tb, confmap.NewFromStringMap(settings).Unmarshal(c))
	return c
}

func discard(tb testing.TB) consumer.Metrics {
	tb.Helper()
	c, err := consumer.NewMetrics(func(context.Context, pmetric.Metrics) error { return nil })
	require.NoError(tb, err)
	return c
}

// start starts a connector; stop is called when the benchmark ends, or before.
func start(tb testing.TB, c component.Component) (stop func()) {
	tb.Helper()
	require.NoError(tb, c.Start(tb.Context(), componenttest.NewNopHost()))
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			require.NoError(tb, c.Shutdown(context.WithoutCancel(tb.Context())))
		}
	}
	tb.Cleanup(stop)
	return stop
}

// ours is the connector with both of its inputs, without a port and, unless a directory is named, without a journal.
func ours(tb testing.TB, directory string) (m connector.Metrics, t connector.Traces, stop func()) {
	tb.Helper()
	f := meshgraphconnector.NewFactory()
	set := connectortest.NewNopSettings(f.Type())
	settings := map[string]any{"admin": map[string]any{"endpoint": ""}}
	if directory != "" {
		settings["directory"] = directory
	}
	cfg := config(tb, f, settings)
	m, err := f.CreateMetricsToMetrics(tb.Context(), set, cfg, discard(tb))
	require.NoError(tb, err)
	t, err = f.CreateTracesToMetrics(tb.Context(), set, cfg, discard(tb))
	require.NoError(tb, err)
	one, two := start(tb, m), start(tb, t)
	return m, t, func() { two(); one() }
}

// spanMetrics is the upstream connector, told to keep apart by the names that make an edge.
func spanMetrics(tb testing.TB) (t connector.Traces, stop func()) {
	tb.Helper()
	var dimensions []any
	for _, side := range []string{"source", "destination"} {
		for _, name := range []string{"cluster", "region", "namespace", "workload", "service", "version"} {
			dimensions = append(dimensions, map[string]any{"name": "mesh." + side + "." + name})
		}
	}
	for _, name := range []string{"http.response.status_code", "envoy.response.flags"} {
		dimensions = append(dimensions, map[string]any{"name": name})
	}
	f := spanmetricsconnector.NewFactory()
	t, err := f.CreateTracesToMetrics(tb.Context(), connectortest.NewNopSettings(f.Type()), config(tb, f, map[string]any{
		"dimensions": dimensions, "aggregation_temporality": "AGGREGATION_TEMPORALITY_DELTA", "metrics_flush_interval": "1h",
		"histogram": map[string]any{"exponential": map[string]any{"max_size": 160}},
		"exemplars": map[string]any{"enabled": true, "max_per_data_point": 4},
	}), discard(tb))
	require.NoError(tb, err)
	return t, start(tb, t)
}

// clock makes times that nobody has seen, a minute apart.
type clock int64

func (c *clock) next() int64 {
	if *c == 0 {
		*c = clock(time.Now().UnixNano())
	}
	*c++
	return int64(*c)
}

// BenchmarkItem is what a point costs, and a span. Upstream counts every span, so a call costs it one or two; of a minute's
// calls on an edge our connector gets eight points or more, however many calls that were, and names the traces of spans.
func BenchmarkItem(b *testing.B) {
	var at clock
	m, t, _ := ours(b, "")
	journaled, _, _ := ours(b, b.TempDir())
	upstream, _ := spanMetrics(b)
	consume := func(c connector.Metrics) func() func() {
		from := 0
		return func() func() {
			from += itemsPerRequest / 4
			md := points(from, edges, at.next())
			return func() { require.NoError(b, c.ConsumeMetrics(b.Context(), md)) }
		}
	}
	consumeSpans := func(c connector.Traces) func() func() {
		from := 0
		return func() func() {
			from += itemsPerRequest
			td := spans(from, edges, at.next())
			return func() { require.NoError(b, c.ConsumeTraces(b.Context(), td)) }
		}
	}
	sideBySide(b, itemsPerRequest,
		contender{"point", consume(m)}, contender{"point_journaled", consume(journaled)},
		contender{"span", consumeSpans(t)}, contender{"spanmetrics_span", consumeSpans(upstream)})
}

// BenchmarkMemory is the heap that an edge takes after a minute in which both proxies told of it.
func BenchmarkMemory(b *testing.B) {
	const many = 10_000
	var at clock
	for range b.N {
		before := live()
		m, _, stop := ours(b, "")
		for from := 0; from < 2*many; from += itemsPerRequest / 4 {
			require.NoError(b, m.ConsumeMetrics(b.Context(), points(from, many, at.next())))
		}
		held := float64(live()-before) / many
		runtime.KeepAlive(m)
		stop()
		b.ReportMetric(held, "B/edge")

		before = live()
		upstream, stop := spanMetrics(b)
		for from := 0; from < many; from += itemsPerRequest {
			require.NoError(b, upstream.ConsumeTraces(b.Context(), spans(from, many, at.next())))
		}
		theirs := float64(live()-before) / many
		runtime.KeepAlive(upstream)
		stop()
		b.ReportMetric(theirs, "spanmetrics-B/edge")
		b.ReportMetric(theirs/held, "times-ahead")
	}
	b.ReportMetric(0, "ns/op")
}
