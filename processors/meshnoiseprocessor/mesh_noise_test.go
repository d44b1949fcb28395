// SPDX-License-Identifier: Apache-2.0

package meshnoiseprocessor

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshnoiseprocessor/internal/metadatatest"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshnoiseprocessor/internal/rules"
)

func counted(n int64, signal, reason, action string) metricdata.DataPoint[int64] {
	return metricdata.DataPoint[int64]{Value: n, Attributes: attribute.NewSet(
		attribute.String("signal", signal), attribute.String("reason", reason), attribute.String("action", action))}
}

func assertCounted(t *testing.T, tel *componenttest.Telemetry, points ...metricdata.DataPoint[int64]) {
	t.Helper()
	metadatatest.AssertEqualProcessorMeshNoiseRecognizedItems(t, tel, points, metricdatatest.IgnoreTimestamp())
}

// TestEveryDroppedItemIsCounted compares what left with what was counted, for each signal.
func TestEveryDroppedItemIsCounted(t *testing.T) {
	t.Run("traces", func(t *testing.T) {
		tel := componenttest.NewTelemetry()
		in, err := golden.ReadTraces(filepath.Join("testdata", "span_probes", "input.yaml"))
		require.NoError(t, err)
		out := passTraces(t, tel, loadConfig(t, filepath.Join("testdata", "span_probes")), in)
		assert.Equal(t, 5, in.SpanCount()-out.SpanCount())
		assertCounted(t, tel, counted(5, "traces", "health_probe", "dropped"), counted(3, "traces", "failed_health_probe", "kept"))
	})
	t.Run("children", func(t *testing.T) {
		tel := componenttest.NewTelemetry()
		in, err := golden.ReadTraces(filepath.Join("testdata", "span_children", "input.yaml"))
		require.NoError(t, err)
		out := passTraces(t, tel, createDefaultConfig().(*Config), in)
		assert.Equal(t, 3, in.SpanCount()-out.SpanCount())
		assertCounted(t, tel, counted(3, "traces", "health_probe", "dropped"))
	})
	t.Run("logs", func(t *testing.T) {
		tel := componenttest.NewTelemetry()
		in, err := golden.ReadLogs(filepath.Join("testdata", "log_noise", "input.yaml"))
		require.NoError(t, err)
		out := passLogs(t, tel, loadConfig(t, filepath.Join("testdata", "log_noise")), in)
		assert.Equal(t, 8, in.LogRecordCount()-out.LogRecordCount())
		assertCounted(t, tel, counted(5, "logs", "health_probe", "dropped"), counted(2, "logs", "failed_health_probe", "kept"),
			counted(1, "logs", "scrape", "dropped"), counted(2, "logs", "telemetry", "dropped"))
	})
	t.Run("metrics", func(t *testing.T) {
		tel := componenttest.NewTelemetry()
		in, err := golden.ReadMetrics(filepath.Join("testdata", "metric_dropped", "input.yaml"))
		require.NoError(t, err)
		out := passMetrics(t, tel, loadConfig(t, filepath.Join("testdata", "metric_dropped")), in)
		assert.Equal(t, 14, in.DataPointCount()-out.DataPointCount())
		assertCounted(t, tel, counted(6, "metrics", "scrape", "dropped"), counted(8, "metrics", "telemetry", "dropped"))
	})
}

// TestSpansOfOneID: in Zipkin's shared spans both sides have one id, and an unset id is everybody's.
func TestSpansOfOneID(t *testing.T) {
	for _, id := range []pcommon.SpanID{{}, {1}} {
		td := ptrace.NewTraces()
		spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
		probe, call := spans.AppendEmpty(), spans.AppendEmpty()
		for _, span := range []ptrace.Span{probe, call} {
			span.SetSpanID(id)
			span.Attributes().PutStr("component", "proxy")
			span.Attributes().PutStr("http.method", "GET")
			span.Attributes().PutStr("http.status_code", "200")
			span.Attributes().PutStr("http.url", "http://web/cart")
		}
		probe.Attributes().PutStr("http.url", "http://web/healthz")
		probe.Attributes().PutStr("user_agent", "kube-probe/1")
		out := passTraces(t, componenttest.NewTelemetry(), createDefaultConfig().(*Config), td)
		require.Equal(t, 1, out.SpanCount())
		url, _ := out.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().Get("http.url")
		assert.Equal(t, "http://web/cart", url.Str())
	}
}

// proxySpan appends a span of a proxy.
func proxySpan(spans ptrace.SpanSlice, id, parent byte, attrs ...[2]string) {
	span := spans.AppendEmpty()
	span.SetName(strconv.Itoa(int(id)))
	if id != 0 {
		span.SetSpanID([8]byte{id})
	}
	if parent != 0 {
		span.SetParentSpanID([8]byte{parent})
	}
	put(span.Attributes(), append([][2]string{{"component", "proxy"}, {"http.method", "GET"}, {"http.status_code", "200"}}, attrs...))
}

func names(td ptrace.Traces) (out []string) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				out = append(out, span.Name())
			}
		}
	}
	return out
}

// TestChildrenBesideApplications: spans of applications stand between those of proxies and are not counted among them.
func TestChildrenBesideApplications(t *testing.T) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	app := rs.ScopeSpans().AppendEmpty()
	app.Scope().SetName("io.opentelemetry.servlet")
	proxySpan(app.Spans(), 7, 1, [2]string{"http.url", "http://web/healthz"}, [2]string{"user_agent", "kube-probe/1"})
	proxySpan(app.Spans(), 8, 1)
	proxies := rs.ScopeSpans().AppendEmpty().Spans()
	proxySpan(proxies, 3, 2)
	proxySpan(proxies, 4, 9)
	proxySpan(proxies, 2, 1, [2]string{"http.url", "http://web/healthz"})
	proxySpan(proxies, 1, 0, [2]string{"http.url", "http://web/healthz"}, [2]string{"user_agent", "kube-probe/1"})
	out := passTraces(t, componenttest.NewTelemetry(), createDefaultConfig().(*Config), td)
	assert.Equal(t, []string{"7", "8", "4"}, names(out))
}

// TestNewNamesAlone: Envoy without its legacy tags marks its spans by their scope, and writes numbers as texts.
func TestNewNamesAlone(t *testing.T) {
	for scope, want := range map[string]int{"envoy": 1, "": 2, "app": 2} {
		td := ptrace.NewTraces()
		ss := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
		ss.Scope().SetName(scope)
		for _, path := range []string{"/healthz", "/cart"} {
			put(ss.Spans().AppendEmpty().Attributes(), [][2]string{
				{"http.request.method", "GET"},
				{"http.response.status_code", "200"},
				{"url.full", "http://web" + path},
				{"user_agent.original", "kube-probe/1.35"},
				{"network.peer.address", "10.0.0.7"},
			})
		}
		out := passTraces(t, componenttest.NewTelemetry(), createDefaultConfig().(*Config), td)
		assert.Equal(t, want, out.SpanCount(), scope)
	}
}

// TestRootsAreNobodysChildren: a dropped span without an id is not the parent of those that have none.
func TestRootsAreNobodysChildren(t *testing.T) {
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	proxySpan(spans, 0, 0, [2]string{"http.url", "http://web/healthz"}, [2]string{"user_agent", "kube-probe/1"})
	proxySpan(spans, 5, 0)
	out := passTraces(t, componenttest.NewTelemetry(), createDefaultConfig().(*Config), td)
	assert.Equal(t, []string{"5"}, names(out))
}

// TestWhoseAddress: which of several names has the address that the connection came from.
func TestWhoseAddress(t *testing.T) {
	tests := []struct {
		name   string
		server bool
		attrs  [][2]string
		want   string
	}{
		{"legacy", false, [][2]string{{"peer.address", "a"}}, "a"},
		{"an attempt, which repeats its upstream", false, [][2]string{{"peer.address", "a"}, {"upstream_address", "a:80"}}, ""},
		{"the connection before the header", false, [][2]string{{"envoy.downstream.direct_address", "a:1"}, {"envoy.downstream.address", "b:0"}}, "a:1"},
		{"Istio's access log", false, [][2]string{{"downstream_remote_address", "a:1"}, {"client.address", "b"}}, "a:1"},
		{"semantic conventions at the called side", true, [][2]string{{"client.address", "a"}}, "a"},
		{"new names at the called side", true, [][2]string{{"network.peer.address", "a"}, {"client.address", "b"}}, "a"},
		{"semantic conventions at the calling side", false, [][2]string{{"network.peer.address", "a"}, {"client.address", "b"}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			attrs := pcommon.NewMap()
			put(attrs, tt.attrs)
			var c rules.Call
			readRest(attrs, &c, tt.server)
			assert.Equal(t, tt.want, c.Peer)
		})
	}
}

func TestReadRest(t *testing.T) {
	attrs := pcommon.NewMap()
	attrs.PutEmptySlice("http.request.header.x-azure-fdid").AppendEmpty().SetStr("id")
	attrs.PutEmptySlice("http.request.header.x-fd-healthprobe")
	attrs.PutStr("http.status_code", "nonsense")
	attrs.PutInt("rpc.grpc.status_code", 14)
	var c rules.Call
	readSuspect(attrs, &c)
	readRest(attrs, &c, false)
	assert.Equal(t, rules.Call{FrontDoorID: "id", GRPCStatus: 14}, c)
}

func TestABatchOfNoiseGoesNowhere(t *testing.T) {
	td := ptrace.NewTraces()
	span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.Attributes().PutStr("upstream_cluster", "zipkin")
	sink := &consumertest.TracesSink{}
	p, err := NewFactory().CreateTraces(context.Background(), metadatatest.NewSettings(componenttest.NewTelemetry()), createDefaultConfig(), sink)
	require.NoError(t, err)
	require.NoError(t, p.Start(context.Background(), componenttest.NewNopHost()))
	require.NoError(t, p.ConsumeTraces(context.Background(), td))
	require.NoError(t, p.Shutdown(context.Background()))
	assert.Empty(t, sink.AllTraces())
}

// TestWhatWasEmptyStaysEmpty: only what this processor emptied is removed.
func TestWhatWasEmptyStaysEmpty(t *testing.T) {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetName("istio_requests_total")
	rm.ScopeMetrics().At(0).Metrics().AppendEmpty().SetEmptySum()
	cfg := createDefaultConfig().(*Config)
	cfg.MetricPoints = Drop
	out := passMetrics(t, componenttest.NewTelemetry(), cfg, md)
	assert.Equal(t, 2, out.MetricCount())
}

func TestTheTopologyIsWanted(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.Topology = component.MustNewID("mesh_topology")
	start := func(extensions map[component.ID]component.Component) error {
		p, err := NewFactory().CreateLogs(context.Background(), metadatatest.NewSettings(componenttest.NewTelemetry()), cfg, consumertest.NewNop())
		require.NoError(t, err)
		defer func() { require.NoError(t, p.Shutdown(context.Background())) }()
		return p.Start(context.Background(), fakeHost{componenttest.NewNopHost(), extensions})
	}
	require.ErrorContains(t, start(nil), "'topology': no extension")
	type other struct {
		component.StartFunc
		component.ShutdownFunc
	}
	require.ErrorContains(t, start(map[component.ID]component.Component{cfg.Topology: other{}}), "is no mesh_topology extension")
	require.NoError(t, start(map[component.ID]component.Component{cfg.Topology: &fakeTopology{}}))
}

func TestConfig(t *testing.T) {
	require.NoError(t, createDefaultConfig().(*Config).Validate())
	tests := []struct {
		key   string
		value any
		want  string
	}{
		{"health_probes", "ignore", "'health_probes' is \"ignore\": write keep, mark or drop"},
		{"failed_health_probes", "", "'failed_health_probes'"},
		{"scrapes", "Drop", "'scrapes'"},
		{"telemetry", "no", "'telemetry'"},
		{"metric_points", "no", "'metric_points'"},
		{"probe_paths", []string{"healthz"}, "'probe_paths'"},
		{"probe_paths", []string{"/"}, "not the root"},
		{"probe_paths", []string{"/a*"}, "without query and wildcard"},
		{"scrape_paths", []string{""}, "'scrape_paths'"},
		{"probe_user_agents", []string{""}, "'probe_user_agents'"},
		{"scrape_user_agents", []string{" "}, "'scrape_user_agents'"},
		{"front_door_ids", []string{""}, "'front_door_ids'"},
		{"ingestion_hosts", []string{"."}, "'ingestion_hosts'"},
		{"workloads", []string{"*"}, "'workloads'"},
		{"workloads", []string{"ns/*"}, "'workloads'"},
		{"workloads", []string{"/x"}, "'workloads'"},
		{"workloads", []string{"a*b"}, "'workloads'"},
		{"scrape_workloads", []string{"a/b/c"}, "'scrape_workloads'"},
		{"prober_addresses", []string{"168.63.129.16"}, "'prober_addresses'"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.key, tt.value), func(t *testing.T) {
			cfg := createDefaultConfig().(*Config)
			require.NoError(t, confmap.NewFromStringMap(map[string]any{tt.key: tt.value}).Unmarshal(cfg))
			require.ErrorContains(t, cfg.Validate(), tt.want)
		})
	}
}

func FuzzTraces(f *testing.F) {
	for _, name := range []string{"span_probes", "span_hiding", "span_children", "span_telemetry"} {
		td, err := golden.ReadTraces(filepath.Join("testdata", name, "input.yaml"))
		require.NoError(f, err)
		wire, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		require.NoError(f, err)
		f.Add(wire)
	}
	p, err := newMeshNoise(metadatatest.NewSettings(componenttest.NewTelemetry()), createDefaultConfig().(*Config), traces)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, wire []byte) {
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(wire)
		if err != nil {
			return
		}
		before := td.SpanCount()
		out, _ := p.processTraces(context.Background(), td)
		if out.SpanCount() > before {
			t.Fatal("spans were added")
		}
		again := out.SpanCount()
		if out, _ = p.processTraces(context.Background(), out); out.SpanCount() != again {
			t.Fatal("a second pass dropped more")
		}
	})
}
