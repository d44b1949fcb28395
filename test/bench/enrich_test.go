// SPDX-License-Identifier: Apache-2.0

// Package bench compares our components with the nearest that upstream parts can do, in the same run and on the same
// recorded spans: machines differ, ratios do not.
package bench

import (
	"bytes"
	"context"
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
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension"
	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor"
)

const spansPerRequest = 1000

// byHand is the least that upstream parts need to name the two ends: no look-up, no conventions, no evidence.
const byHand = `
trace_statements:
  - context: span
    statements:
      - merge_maps(span.attributes, ExtractPatterns(span.attributes["node_id"], "^(?P<type>[^~]+)~(?P<address>[^~]+)~(?P<pod>[^.]+)\\.(?P<namespace>[^~]+)~"), "upsert")
      - merge_maps(span.attributes, ExtractPatterns(span.attributes["upstream_cluster"], "^outbound\\|(?P<port>[^|]*)\\|(?P<subset>[^|]*)\\|(?P<service>[^.]+)\\.(?P<service_namespace>[^.]+)"), "upsert")
      - set(span.attributes["mesh.source.cluster"], span.attributes["istio.cluster_id"])
      - set(span.attributes["mesh.source.region"], "westeurope")
      - set(span.attributes["mesh.source.zone"], "westeurope-1")
      - set(span.attributes["mesh.source.workload"], span.attributes["pod"])
      - set(span.attributes["mesh.destination.cluster"], "aks-westeurope")
      - set(span.attributes["mesh.destination.region"], "westeurope")
      - set(span.attributes["mesh.destination.service"], span.attributes["service"])
      - set(span.attributes["mesh.destination.namespace"], span.attributes["service_namespace"])
`

// BenchmarkEnrich reports the cost of one request of 1000 spans. "decode" is what all of them pay before.
func BenchmarkEnrich(b *testing.B) {
	request := recordedRequest(b)
	host := topologyHost(b)
	run := func(name string, consume func(context.Context, ptrace.Traces) error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				traces, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(request)
				require.NoError(b, err)
				require.NoError(b, consume(b.Context(), traces))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/spansPerRequest, "ns/span")
		})
	}
	discard, err := consumer.NewTraces(func(context.Context, ptrace.Traces) error { return nil }, consumer.WithCapabilities(consumer.Capabilities{MutatesData: true}))
	require.NoError(b, err)
	semconv := traces(b, envoysemconvprocessor.NewFactory(), nil, host, discard)
	both := traces(b, meshtopologyprocessor.NewFactory(), map[string]any{"cluster": "aks-westeurope"}, host, semconv)
	topology := traces(b, meshtopologyprocessor.NewFactory(), map[string]any{"cluster": "aks-westeurope"}, host, discard)
	statements, err := confmap.NewRetrievedFromYAML([]byte(byHand))
	require.NoError(b, err)
	conf, err := statements.AsConf()
	require.NoError(b, err)
	upstream := traces(b, transformprocessor.NewFactory(), conf.ToStringMap(), host, discard)

	run("decode", discard.ConsumeTraces)
	run("mesh_topology", topology.ConsumeTraces)
	run("mesh_topology+envoy_semconv", both.ConsumeTraces)
	run("upstream transform by hand", upstream.ConsumeTraces)
}

// recordedRequest is a request of 1000 copies of a span as Envoy really sent it.
func recordedRequest(b *testing.B) []byte {
	b.Helper()
	raw, err := os.ReadFile("../recordings/testdata/spans/sidecar-outbound.json")
	require.NoError(b, err)
	for from, to := range map[string]string{
		`"traceId": "01"`: `"traceId": "0102030405060708090a0b0c0d0e0f10"`, `"spanId": "01"`: `"spanId": "0102030405060708"`,
		`"parentSpanId": "01"`: `"parentSpanId": "1102030405060708"`,
	} {
		raw = bytes.ReplaceAll(raw, []byte(from), []byte(to))
	}
	traces, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(raw)
	require.NoError(b, err)
	spans := traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	for range spansPerRequest - 1 {
		spans.At(0).CopyTo(spans.AppendEmpty())
	}
	request, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(traces)
	require.NoError(b, err)
	return request
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

func traces(b *testing.B, factory processor.Factory, settings map[string]any, host component.Host, next consumer.Traces) processor.Traces {
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
