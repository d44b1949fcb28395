// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/metadatatest"
)

func local() *Config {
	cfg := createDefaultConfig().(*Config)
	cfg.Cluster = "aks-westeurope"
	return cfg
}

// Elasticsearch and Kafka clients have a node_id too: it neither makes a span Envoy's nor tells resources apart.
func TestNodeIDsOfOthersAreLeftAlone(t *testing.T) {
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for i := range 3 {
		spans.AppendEmpty().Attributes().PutStr("node_id", strconv.Itoa(i))
	}
	out := passTraces(t, local(), td)
	require.Equal(t, 1, out.ResourceSpans().Len())
	for _, span := range out.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
		assert.Equal(t, 1, span.Attributes().Len(), "%v", span.Attributes().AsRaw())
	}
}

// A controller logs about other pods: that is not who it is.
func TestPodNamesInApplicationLogsAreLeftAlone(t *testing.T) {
	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for _, pod := range []string{"productpage-v1-1", "reviews-v1-1"} {
		record := records.AppendEmpty()
		record.Body().SetStr("evicted a pod")
		record.Attributes().PutStr("pod_name", pod)
		record.Attributes().PutStr("pod_namespace", "bookinfo")
	}
	out := passLogs(t, createDefaultConfig().(*Config), ld)
	require.Equal(t, 1, out.ResourceLogs().Len())
	assert.Empty(t, out.ResourceLogs().At(0).Resource().Attributes().AsRaw())
	assert.Equal(t, 2, out.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().Len())
}

const (
	productpageNode = "sidecar~127.1.0.21~productpage-v1-1.bookinfo~bookinfo.svc.cluster.local"
	reviewsNode     = "sidecar~127.1.0.31~reviews-v1-1.bookinfo~bookinfo.svc.cluster.local"
)

// A collector that forwards for several proxies may be named on the resource, by the connection it had.
func TestAForwardersPodIsNotTheProxys(t *testing.T) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("k8s.pod.name", "collector-1")
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	for _, node := range []string{productpageNode, reviewsNode} {
		attrs := spans.AppendEmpty().Attributes()
		attrs.PutStr("node_id", node)
		attrs.PutStr("upstream_cluster", "inbound|9080||")
	}
	out := passTraces(t, local(), td)
	require.Equal(t, 2, out.SpanCount())
	var workloads []any
	for _, rs := range out.ResourceSpans().All() {
		resource := rs.Resource().Attributes().AsRaw()
		assert.Equal(t, "collector-1", resource["k8s.pod.name"], "what is there stays")
		assert.NotContains(t, resource, "k8s.deployment.name", "and is not mixed with another pod's")
		for _, span := range rs.ScopeSpans().At(0).Spans().All() {
			workloads = append(workloads, span.Attributes().AsRaw()["mesh.destination.workload"])
		}
	}
	assert.ElementsMatch(t, []any{"productpage-v1", "reviews-v1"}, workloads)
}

// Envoy prints port 0 for an address that a header gave it, which is anybody's word and not a connection's.
func TestAnAddressOfAHeaderIsNoEvidence(t *testing.T) {
	for address, want := range map[string]any{
		"127.1.0.21:0": nil, "127.1.0.21:4711": "productpage-v1", "127.1.0.21": "productpage-v1", "[fd00::1]:0": nil,
	} {
		for _, key := range []string{"downstream_remote_address", "envoy.downstream.address"} {
			ld := plog.NewLogs()
			attrs := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Attributes()
			attrs.PutStr("node_id", reviewsNode)
			attrs.PutStr("upstream_cluster", "inbound|9080||")
			attrs.PutStr(key, address)
			attrs.PutStr("client.address", "127.1.0.21")
			out := passLogs(t, local(), ld).ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().AsRaw()
			assert.Equal(t, want, out["mesh.source.workload"], "%s %s", key, address)
		}
	}
}

func scraped(attrs map[string]any) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	if err := rm.Resource().Attributes().FromRaw(attrs); err != nil {
		panic(err)
	}
	rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty()
	return md
}

func TestWhoWasScraped(t *testing.T) {
	tests := []struct {
		name  string
		attrs map[string]any
		pod   any
	}{
		{"instance", map[string]any{"service.instance.id": "127.1.0.21:15090"}, "productpage-v1-1"},
		{"mapped address", map[string]any{"service.instance.id": "[::ffff:127.1.0.21]:15090"}, "productpage-v1-1"},
		{"server", map[string]any{"service.instance.id": "x", "server.address": "127.1.0.21"}, "productpage-v1-1"},
		{"the proxy's loopback is every pod", map[string]any{"server.address": "::ffff:127.0.0.6"}, nil},
		{"the pod's own address is stronger", map[string]any{"k8s.pod.ip": "127.1.0.31", "server.address": "127.1.0.21"}, "reviews-v1-1"},
		{"a name was scraped, and the connection is the scraper's", map[string]any{"service.instance.id": "web:15090", "server.address": "web"}, nil},
		{"nothing was scraped", map[string]any{"service.instance.id": "627cc493-f310-47de-96bd-71410b7dec09"}, "istio-ingressgateway-1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sink := &consumertest.MetricsSink{}
			p, err := NewFactory().CreateMetrics(context.Background(), metadatatest.NewSettings(componenttest.NewTelemetry()), local(), sink)
			require.NoError(t, err)
			require.NoError(t, p.Start(context.Background(), newHost(t)))
			require.NoError(t, p.ConsumeMetrics(from("127.1.0.11"), scraped(tt.attrs)))
			require.NoError(t, p.Shutdown(context.Background()))
			attrs := sink.AllMetrics()[0].ResourceMetrics().At(0).Resource().Attributes().AsRaw()
			assert.Equal(t, tt.pod, attrs["k8s.pod.name"])
		})
	}
}

func TestTheResourceIsNeverOverwritten(t *testing.T) {
	attrs := map[string]any{"k8s.cluster.name": "aks-westeurope", "mesh.network": "vnet-uksouth", "k8s.pod.ip": "127.1.0.21"}
	out := passMetrics(t, local(), scraped(attrs)).ResourceMetrics().At(0).Resource().Attributes().AsRaw()
	assert.Equal(t, "aks-westeurope", out["k8s.cluster.name"], "the pod of that network is in another cluster, which is a conflict")
	assert.NotContains(t, out, "k8s.pod.name")
}

func TestAPodWithoutANamespaceIsNoInstance(t *testing.T) {
	ld := plog.NewLogs()
	attrs := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Attributes()
	attrs.PutStr("upstream_cluster", "inbound|9080||")
	attrs.PutStr("pod_name", "reviews-v1-1")
	out := passLogs(t, local(), ld).ResourceLogs().At(0).Resource().Attributes().AsRaw()
	assert.NotContains(t, out, "service.instance.id")
}

// A split must move everything, and copy what the parts share.
func TestASplitKeepsEverything(t *testing.T) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.SetSchemaUrl("resource-schema")
	rs.Resource().SetDroppedAttributesCount(3)
	for s := range 2 {
		ss := rs.ScopeSpans().AppendEmpty()
		ss.SetSchemaUrl("scope-schema")
		ss.Scope().SetName(fmt.Sprint("scope", s))
		ss.Scope().Attributes().PutStr("k", "v")
		ss.Scope().SetDroppedAttributesCount(2)
		for _, node := range []string{productpageNode, reviewsNode, ""} {
			span := ss.Spans().AppendEmpty()
			span.TraceState().FromRaw("a=b")
			span.SetFlags(1)
			span.SetDroppedAttributesCount(1)
			span.SetDroppedEventsCount(4)
			span.SetDroppedLinksCount(5)
			span.Links().AppendEmpty().TraceState().FromRaw("c=d")
			span.Events().AppendEmpty().SetName("event")
			if node != "" {
				span.Attributes().PutStr("node_id", node)
			}
		}
	}
	out := passTraces(t, createDefaultConfig().(*Config), td)
	require.Equal(t, 6, out.SpanCount())
	require.Equal(t, 3, out.ResourceSpans().Len())
	for _, rs := range out.ResourceSpans().All() {
		assert.Equal(t, "resource-schema", rs.SchemaUrl())
		assert.EqualValues(t, 3, rs.Resource().DroppedAttributesCount())
		require.Equal(t, 2, rs.ScopeSpans().Len())
		for s, ss := range rs.ScopeSpans().All() {
			assert.Equal(t, "scope-schema", ss.SchemaUrl())
			assert.Equal(t, fmt.Sprint("scope", s), ss.Scope().Name())
			assert.Equal(t, map[string]any{"k": "v"}, ss.Scope().Attributes().AsRaw())
			assert.EqualValues(t, 2, ss.Scope().DroppedAttributesCount())
			span := ss.Spans().At(0)
			assert.Equal(t, "a=b", span.TraceState().AsRaw())
			assert.EqualValues(t, []uint32{1, 1, 4, 5}, []uint32{span.Flags(), span.DroppedAttributesCount(), span.DroppedEventsCount(), span.DroppedLinksCount()})
			assert.Equal(t, "c=d", span.Links().At(0).TraceState().AsRaw())
			assert.Equal(t, "event", span.Events().At(0).Name())
		}
	}
}

// A record names its cluster beside its pod where the user gave it the label: no pod of that name elsewhere will do.
func TestARecordNamesItsCluster(t *testing.T) {
	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for _, cluster := range []string{"aks-eastus", "aks-westeurope"} {
		attrs := records.AppendEmpty().Attributes()
		attrs.PutStr("upstream_cluster", "inbound|9080||")
		attrs.PutStr("k8s.cluster.name", cluster)
		attrs.PutStr("k8s.pod.name", "reviews-v1-1")
		attrs.PutStr("k8s.namespace.name", "bookinfo")
	}
	out := passLogs(t, createDefaultConfig().(*Config), ld)
	require.Equal(t, 2, out.LogRecordCount())
	found := map[any]any{}
	for _, rl := range out.ResourceLogs().All() {
		for _, record := range rl.ScopeLogs().At(0).LogRecords().All() {
			attrs := record.Attributes().AsRaw()
			found[attrs["k8s.cluster.name"]] = fmt.Sprint(attrs["mesh.destination.cluster"], attrs["mesh.destination.workload"])
			assert.Equal(t, attrs["k8s.cluster.name"], rl.Resource().Attributes().AsRaw()["k8s.cluster.name"])
		}
	}
	assert.Equal(t, map[any]any{"aks-eastus": "aks-eastus<nil>", "aks-westeurope": "aks-westeuropereviews-v1"}, found)
}
