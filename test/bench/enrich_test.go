// SPDX-License-Identifier: Apache-2.0

// Package bench compares our components with the nearest that upstream parts can do, in the same run and on the same
// recorded items: machines differ, ratios do not.
package bench

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/transformprocessor"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension"
	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor"
)

// eight are the attributes that the comparison is about: an upstream part sets the same.
var eight = []any{
	"mesh.source.cluster", "mesh.source.zone", "mesh.source.workload", "mesh.resolution.source",
	"mesh.destination.cluster", "mesh.destination.zone", "mesh.destination.workload", "mesh.resolution.destination",
}

// byHand is the least that upstream parts need to set them: no look-up and no evidence, only what two expressions find,
// and the rest fixed. What they find is kept aside, as that is cheaper than among the attributes.
func byHand(kind, context, item string) map[string]any {
	return map[string]any{kind: []any{map[string]any{"context": context, "statements": []any{
		`merge_maps(cache, ExtractPatterns(` + item + `.attributes["node_id"], "^(?P<type>[^~]+)~(?P<address>[^~]+)~(?P<pod>[^.]+)\\.(?P<namespace>[^~]+)~"), "upsert")`,
		`merge_maps(cache, ExtractPatterns(` + item + `.attributes["upstream_cluster"], "^outbound\\|(?P<port>[^|]*)\\|(?P<subset>[^|]*)\\|(?P<service>[^.]+)\\.(?P<service_namespace>[^.]+)"), "upsert")`,
		`set(` + item + `.attributes["mesh.source.cluster"], ` + item + `.attributes["istio.cluster_id"])`,
		`set(` + item + `.attributes["mesh.source.zone"], "westeurope-1")`,
		`set(` + item + `.attributes["mesh.source.workload"], cache["pod"])`,
		`set(` + item + `.attributes["mesh.resolution.source"], "tag")`,
		`set(` + item + `.attributes["mesh.destination.cluster"], "aks-westeurope")`,
		`set(` + item + `.attributes["mesh.destination.zone"], "westeurope-1")`,
		`set(` + item + `.attributes["mesh.destination.workload"], cache["service"])`,
		`set(` + item + `.attributes["mesh.resolution.destination"], "ip")`,
	}}}}
}

func agent(attributes []any) map[string]any {
	settings := map[string]any{"cluster": "aks-westeurope"}
	if attributes != nil {
		settings["attributes"] = attributes
	}
	return settings
}

func hub(attributes []any) map[string]any {
	settings := agent(attributes)
	delete(settings, "cluster")
	return settings
}

func BenchmarkSpans(b *testing.B) {
	host, request, through := topologyHost(b), spans(b), ptraceThrough
	upstream := through(b, transformprocessor.NewFactory(), byHand("trace_statements", "span", "span"), nil, nil)
	at := func(settings map[string]any) func(ptrace.Traces) error {
		return through(b, meshtopologyprocessor.NewFactory(), settings, host, nil)
	}
	decode := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces
	stamped := func(settings map[string]any) (wire []byte) {
		traces, err := decode(request)
		require.NoError(b, err)
		next, err := consumer.NewTraces(func(_ context.Context, td ptrace.Traces) (err error) {
			wire, err = (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
			return err
		})
		require.NoError(b, err)
		require.NoError(b, through(b, meshtopologyprocessor.NewFactory(), settings, host, next)(traces))
		return wire
	}
	b.Run("agent", func(b *testing.B) {
		sideBySide(b, itemsPerRequest,
			processed(b, "read_only", request, decode, readOnly),
			processed(b, "eight", request, decode, at(agent(eight))),
			processed(b, "all", request, decode, at(agent(nil))),
			processed(b, "upstream", request, decode, upstream))
	})
	for name, calls := range map[string]int{"agent_eight_calls": 8, "agent_no_call_twice": itemsPerRequest} {
		b.Run(name, func(b *testing.B) {
			several := withCalls(b, request, calls)
			sideBySide(b, itemsPerRequest,
				processed(b, "eight", several, decode, at(agent(eight))),
				processed(b, "upstream", several, decode, upstream))
		})
	}
	b.Run("hub", func(b *testing.B) {
		fromEight, fromAll := stamped(agent(eight)), stamped(agent(nil))
		sideBySide(b, itemsPerRequest,
			processed(b, "eight_to_eight", fromEight, decode, at(hub(eight))),
			processed(b, "eight_to_all", fromEight, decode, at(hub(nil))),
			processed(b, "all_to_all", fromAll, decode, at(hub(nil))),
			processed(b, "upstream", fromEight, decode, upstream))
	})
}

func BenchmarkLogRecords(b *testing.B) {
	host, request := topologyHost(b), records(b)
	discard, err := consumer.NewLogs(func(context.Context, plog.Logs) error { return nil }, mutates)
	require.NoError(b, err)
	through := func(factory processor.Factory, settings map[string]any) func(plog.Logs) error {
		p, err := factory.CreateLogs(b.Context(), processortest.NewNopSettings(factory.Type()), config(b, factory.CreateDefaultConfig(), settings), discard)
		require.NoError(b, err)
		startStop(b, p, host)
		return func(ld plog.Logs) error { return p.ConsumeLogs(b.Context(), ld) }
	}
	decode := (&plog.ProtoUnmarshaler{}).UnmarshalLogs
	sideBySide(b, itemsPerRequest,
		processed(b, "eight", request, decode, through(meshtopologyprocessor.NewFactory(), agent(eight))),
		processed(b, "all", request, decode, through(meshtopologyprocessor.NewFactory(), agent(nil))),
		processed(b, "upstream", request, decode, through(transformprocessor.NewFactory(), byHand("log_statements", "log", "log"))))
}

func BenchmarkPoints(b *testing.B) {
	host, request := topologyHost(b), points(b)
	discard, err := consumer.NewMetrics(func(context.Context, pmetric.Metrics) error { return nil }, mutates)
	require.NoError(b, err)
	through := func(factory processor.Factory, settings map[string]any) func(pmetric.Metrics) error {
		p, err := factory.CreateMetrics(b.Context(), processortest.NewNopSettings(factory.Type()), config(b, factory.CreateDefaultConfig(), settings), discard)
		require.NoError(b, err)
		startStop(b, p, host)
		return func(md pmetric.Metrics) error { return p.ConsumeMetrics(b.Context(), md) }
	}
	// Istio's labels name the ends, so nothing has to be extracted.
	labels := map[string]any{"metric_statements": []any{map[string]any{"context": "datapoint", "statements": []any{
		`set(datapoint.attributes["mesh.source.cluster"], datapoint.attributes["source_cluster"])`,
		`set(datapoint.attributes["mesh.source.zone"], "westeurope-1")`,
		`set(datapoint.attributes["mesh.source.workload"], datapoint.attributes["source_workload"])`,
		`set(datapoint.attributes["mesh.resolution.source"], "label")`,
		`set(datapoint.attributes["mesh.destination.cluster"], datapoint.attributes["destination_cluster"])`,
		`set(datapoint.attributes["mesh.destination.zone"], "westeurope-1")`,
		`set(datapoint.attributes["mesh.destination.workload"], datapoint.attributes["destination_workload"])`,
		`set(datapoint.attributes["mesh.resolution.destination"], "label")`,
	}}}}
	decode := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics
	sideBySide(b, itemsPerRequest,
		processed(b, "eight", request, decode, through(meshtopologyprocessor.NewFactory(), agent(eight))),
		processed(b, "all", request, decode, through(meshtopologyprocessor.NewFactory(), agent(nil))),
		processed(b, "upstream", request, decode, through(transformprocessor.NewFactory(), labels)))
}

// BenchmarkEndToEnd is from the bytes of a request to the bytes of what is sent on, with the CPU time that the garbage
// collector takes for it. What is added is what the processors cost; "nothing" has none.
func BenchmarkEndToEnd(b *testing.B) {
	host, request := topologyHost(b), spans(b)
	encode, err := consumer.NewTraces(func(_ context.Context, td ptrace.Traces) error {
		_, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		return err
	}, mutates)
	require.NoError(b, err)
	semconv := tracesProcessor(b, envoysemconvprocessor.NewFactory(), nil, host, encode)
	endToEnd(b, itemsPerRequest,
		way("nothing", request, func(td ptrace.Traces) error { return encode.ConsumeTraces(b.Context(), td) }),
		way("eight", request, ptraceThrough(b, meshtopologyprocessor.NewFactory(), agent(eight), host, encode)),
		way("all", request, ptraceThrough(b, meshtopologyprocessor.NewFactory(), agent(nil), host, encode)),
		way("all_and_envoy_semconv", request, ptraceThrough(b, meshtopologyprocessor.NewFactory(), agent(nil), host, semconv)),
		way("upstream", request, ptraceThrough(b, transformprocessor.NewFactory(), byHand("trace_statements", "span", "span"), host, encode)))
}

// readOnly is the control: it looks at every attribute once, which no processor of spans can do without.
func readOnly(td ptrace.Traces) error {
	read := 0
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				for key, value := range span.Attributes().All() {
					read += len(key) + len(value.Str())
				}
			}
		}
	}
	if read == 0 {
		return errors.New("no attributes")
	}
	return nil
}

// way is a contender of which everything is measured.
func way(name string, request []byte, consume func(ptrace.Traces) error) contender {
	return contender{name, func() func() {
		return func() {
			traces, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(request)
			if err == nil {
				err = consume(traces)
			}
			if err != nil {
				panic(err)
			}
		}
	}}
}

var mutates = consumer.WithCapabilities(consumer.Capabilities{MutatesData: true})

// ptraceThrough returns what sends spans through a processor; next is nil for one that drops them.
func ptraceThrough(b *testing.B, factory processor.Factory, settings map[string]any, host component.Host, next consumer.Traces) func(ptrace.Traces) error {
	b.Helper()
	if next == nil {
		var err error
		next, err = consumer.NewTraces(func(context.Context, ptrace.Traces) error { return nil }, mutates)
		require.NoError(b, err)
	}
	p := tracesProcessor(b, factory, settings, host, next)
	return func(td ptrace.Traces) error { return p.ConsumeTraces(b.Context(), td) }
}

type hostWith struct {
	component.Host
	extensions map[component.ID]component.Component
}

func (h hostWith) GetExtensions() map[component.ID]component.Component { return h.extensions }

func topologyHost(b *testing.B) component.Host {
	b.Helper()
	topology, err := mesh.Topology()
	require.NoError(b, err)
	file := filepath.Join(b.TempDir(), "topology.yaml")
	require.NoError(b, os.WriteFile(file, topology, 0o644))
	factory := meshtopologyextension.NewFactory()
	cfg := config(b, factory.CreateDefaultConfig(), map[string]any{"static": map[string]any{"file": file}})
	ext, err := factory.Create(b.Context(), extensiontest.NewNopSettings(factory.Type()), cfg)
	require.NoError(b, err)
	host := hostWith{Host: componenttest.NewNopHost(), extensions: map[component.ID]component.Component{component.NewID(factory.Type()): ext}}
	startStop(b, ext, host)
	return host
}

func tracesProcessor(b *testing.B, factory processor.Factory, settings map[string]any, host component.Host, next consumer.Traces) processor.Traces {
	b.Helper()
	p, err := factory.CreateTraces(b.Context(), processortest.NewNopSettings(factory.Type()), config(b, factory.CreateDefaultConfig(), settings), next)
	require.NoError(b, err)
	startStop(b, p, host)
	return p
}

func config(b *testing.B, cfg component.Config, settings map[string]any) component.Config {
	b.Helper()
	require.NoError(b, confmap.NewFromStringMap(settings).Unmarshal(cfg))
	require.NoError(b, confmap.Validate(cfg))
	return cfg
}

func startStop(b *testing.B, c component.Component, host component.Host) {
	b.Helper()
	require.NoError(b, c.Start(b.Context(), host))
	b.Cleanup(func() { require.NoError(b, c.Shutdown(context.Background())) })
}
