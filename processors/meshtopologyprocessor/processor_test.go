// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/metadatatest"
)

func TestConfig(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, cfg.Validate())
	assert.Equal(t, component.MustNewID("mesh_topology"), cfg.Topology)
	cfg.Topology = component.ID{}
	require.ErrorContains(t, cfg.Validate(), "'topology' is missing")
}

func TestStartSaysWhatIsMissing(t *testing.T) {
	settings := metadatatest.NewSettings(componenttest.NewTelemetry())
	cfg := createDefaultConfig().(*Config)
	p, err := newMeshTopology(settings, cfg)
	require.NoError(t, err)
	require.ErrorContains(t, p.start(context.Background(), componenttest.NewNopHost()),
		`'topology': no extension "mesh_topology"; define it under extensions`)
	other := fakeHost{componenttest.NewNopHost(), map[component.ID]component.Component{cfg.Topology: struct{ component.Component }{}}}
	require.ErrorContains(t, p.start(context.Background(), other), "is no mesh_topology extension")
	require.NoError(t, p.shutdown(context.Background()))
	require.NoError(t, p.shutdown(context.Background()))
}

// from returns a context as a receiver makes it for a connection from the address.
func from(address string) context.Context {
	return client.NewContext(context.Background(), client.Info{Addr: &net.TCPAddr{IP: net.ParseIP(address), Port: 4711}})
}

// alone is the upstream span of a gateway without the one of its request: nothing in it names the proxy.
func alone() ptrace.Traces {
	td := ptrace.NewTraces()
	span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetKind(ptrace.SpanKindClient)
	span.Attributes().PutStr("component", "proxy")
	span.Attributes().PutStr("upstream_cluster", "outbound|9080||reviews.bookinfo.svc.cluster.local")
	span.Attributes().PutStr("upstream_address", "127.1.0.31:9080")
	return td
}

func TestConnectionTellsThePod(t *testing.T) {
	tests := []struct{ name, cluster, address, pod, source string }{
		{"at an agent", "aks-westeurope", "127.1.0.11", "istio-ingressgateway-1", "ip"},
		{"127.0.0.6 is every pod", "aks-westeurope", "127.0.0.6", "", "ip"},
		{"at the hub it is an agent", "", "127.1.0.11", "", "unknown:no_evidence"},
		{"in the other network it is another pod", "aks-northeurope", "127.1.0.11", "", "ip"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := createDefaultConfig().(*Config)
			cfg.Cluster = tt.cluster
			sink := &consumertest.TracesSink{}
			p, err := NewFactory().CreateTraces(context.Background(), metadatatest.NewSettings(componenttest.NewTelemetry()), cfg, sink)
			require.NoError(t, err)
			require.NoError(t, p.Start(context.Background(), newHost(t)))
			require.NoError(t, p.ConsumeTraces(from(tt.address), alone()))
			require.NoError(t, p.Shutdown(context.Background()))
			rs := sink.AllTraces()[0].ResourceSpans().At(0)
			pod, ok := rs.Resource().Attributes().Get("k8s.pod.name")
			assert.Equal(t, tt.pod != "", ok)
			if ok {
				assert.Equal(t, tt.pod, pod.Str())
			}
			by, _ := rs.ScopeSpans().At(0).Spans().At(0).Attributes().Get(sourceResolutionKey)
			assert.Equal(t, tt.source, by.Str())
			cluster, ok := rs.Resource().Attributes().Get("k8s.cluster.name")
			assert.Equal(t, tt.cluster != "", ok)
			assert.True(t, !ok || cluster.Str() == tt.cluster)
		})
	}
}

func TestResolutionsAndConflictsAreCounted(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	p, err := NewFactory().CreateTraces(context.Background(), metadatatest.NewSettings(telemetry), createDefaultConfig(), consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, p.Start(context.Background(), newHost(t)))
	td, err := golden.ReadTraces(filepath.Join("testdata", "span_conflict", "input.yaml"))
	require.NoError(t, err)
	require.NoError(t, p.ConsumeTraces(context.Background(), td))

	point := func(n int64, kv ...attribute.KeyValue) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{Value: n, Attributes: attribute.NewSet(kv...)}
	}
	source, destination := attribute.String("end", "source"), attribute.String("end", "destination")
	by := func(word string) attribute.KeyValue { return attribute.String("resolution", word) }
	metadatatest.AssertEqualProcessorMeshTopologyConflicts(t, telemetry,
		[]metricdata.DataPoint[int64]{point(2, destination)}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualProcessorMeshTopologyResolutions(t, telemetry, []metricdata.DataPoint[int64]{
		point(1, source, by("unknown:address_not_found")), point(1, source, by("tag")), point(1, source, by("ip")),
		point(2, destination, by("tag")), point(1, destination, by("endpoint_metadata")),
	}, metricdatatest.IgnoreTimestamp())

	td, err = golden.ReadTraces(filepath.Join("testdata", "span_two_proxies_one_resource", "input.yaml"))
	require.NoError(t, err)
	before := td.SpanCount()
	require.NoError(t, p.ConsumeTraces(context.Background(), td))
	assert.Equal(t, before, td.SpanCount(), "a split must not lose a span")
	metadatatest.AssertEqualProcessorMeshTopologySplitResources(t, telemetry,
		[]metricdata.DataPoint[int64]{point(1)}, metricdatatest.IgnoreTimestamp())
	require.NoError(t, p.Shutdown(context.Background()))
}

func TestRecordsOfTwoProxiesAreSplit(t *testing.T) {
	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for _, pod := range []string{"productpage-v1-1", "reviews-v1-1", ""} {
		record := records.AppendEmpty()
		record.Attributes().PutStr("upstream_cluster", "inbound|9080||")
		if pod != "" {
			record.Attributes().PutStr("pod_name", pod)
			record.Attributes().PutStr("pod_namespace", "bookinfo")
		}
	}
	out := passLogs(t, createDefaultConfig().(*Config), ld)
	require.Equal(t, 3, out.LogRecordCount())
	require.Equal(t, 3, out.ResourceLogs().Len())
	pods := map[string]string{}
	for _, rl := range out.ResourceLogs().All() {
		pod := rl.Resource().Attributes().AsRaw()["k8s.pod.name"]
		workload := rl.ScopeLogs().At(0).LogRecords().At(0).Attributes().AsRaw()["mesh.destination.workload"]
		pods[fmt.Sprint(pod)] = fmt.Sprint(workload)
	}
	assert.Equal(t, map[string]string{"productpage-v1-1": "productpage-v1", "reviews-v1-1": "reviews-v1", "<nil>": "<nil>"}, pods)
}

func TestMadeUpProxiesDoNotMultiplyTheResource(t *testing.T) {
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for i := range 1000 {
		spans.AppendEmpty().Attributes().PutStr("node_id", fmt.Sprintf("sidecar~10.0.0.1~p-%d.ns~d", i))
	}
	out := passTraces(t, createDefaultConfig().(*Config), td)
	assert.Equal(t, 1000, out.SpanCount())
	assert.Equal(t, maxProxies+1, out.ResourceSpans().Len())
	_, ok := out.ResourceSpans().At(0).Resource().Attributes().Get("k8s.pod.name")
	assert.False(t, ok, "what was not split is of many proxies, so the resource names none")
}

// Every kind of metric has points of its own type.
func TestEveryKindOfPointIsStamped(t *testing.T) {
	md := pmetric.NewMetrics()
	metrics := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics()
	next := func() pmetric.Metric {
		m := metrics.AppendEmpty()
		m.SetName("istio_request_duration_milliseconds")
		return m
	}
	next().SetEmptyGauge().DataPoints().AppendEmpty().Attributes().PutStr("reporter", "source")
	next().SetEmptySum().DataPoints().AppendEmpty().Attributes().PutStr("reporter", "source")
	next().SetEmptyHistogram().DataPoints().AppendEmpty().Attributes().PutStr("reporter", "source")
	next().SetEmptyExponentialHistogram().DataPoints().AppendEmpty().Attributes().PutStr("reporter", "source")
	next().SetEmptySummary().DataPoints().AppendEmpty().Attributes().PutStr("reporter", "source")
	out := passMetrics(t, createDefaultConfig().(*Config), md).ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics()
	stamped := func(v interface{ AsString() string }) { assert.Equal(t, "unknown:no_evidence", v.AsString()) }
	for _, m := range out.All() {
		switch m.Type() {
		case pmetric.MetricTypeGauge:
			v, _ := m.Gauge().DataPoints().At(0).Attributes().Get(sourceResolutionKey)
			stamped(v)
		case pmetric.MetricTypeSum:
			v, _ := m.Sum().DataPoints().At(0).Attributes().Get(sourceResolutionKey)
			stamped(v)
		case pmetric.MetricTypeHistogram:
			v, _ := m.Histogram().DataPoints().At(0).Attributes().Get(sourceResolutionKey)
			stamped(v)
		case pmetric.MetricTypeExponentialHistogram:
			v, _ := m.ExponentialHistogram().DataPoints().At(0).Attributes().Get(sourceResolutionKey)
			stamped(v)
		case pmetric.MetricTypeSummary:
			v, _ := m.Summary().DataPoints().At(0).Attributes().Get(sourceResolutionKey)
			stamped(v)
		}
	}
}
