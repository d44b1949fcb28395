// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

const (
	ingressNode = "router~127.1.0.11~istio-ingressgateway-1.istio-system~d"
	reviewsSAN  = "spiffe://west.mesh/ns/bookinfo/sa/bookinfo-reviews"
	pageSAN     = "spiffe://west.mesh/ns/bookinfo/sa/bookinfo-productpage"
	toReviews   = "outbound|9080||reviews.bookinfo.svc.cluster.local"
)

func envoySpan(spans ptrace.SpanSlice, id byte, parent byte, kind ptrace.SpanKind, attrs map[string]any) ptrace.Span {
	span := spans.AppendEmpty()
	span.SetSpanID([8]byte{id})
	if parent != 0 {
		span.SetParentSpanID([8]byte{parent})
	}
	span.SetKind(kind)
	if err := span.Attributes().FromRaw(attrs); err != nil {
		panic(err)
	}
	return span
}

func stampedSpan(t *testing.T, kind ptrace.SpanKind, attrs map[string]any) map[string]any {
	t.Helper()
	td := ptrace.NewTraces()
	envoySpan(td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans(), 1, 0, kind, attrs)
	out := passTraces(t, createDefaultConfig().(*Config), td)
	require.Equal(t, 1, out.SpanCount())
	return out.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().AsRaw()
}

// TestRecommendedTags: the tags that the guide tells users to configure, and what Envoy writes in them for nothing.
func TestRecommendedTags(t *testing.T) {
	const north = "spiffe://north.mesh/ns/bookinfo/sa/bookinfo-ratings"
	tests := []struct {
		name, node string
		kind       ptrace.SpanKind
		tags       map[string]any
		want       map[string]any
	}{
		{
			"everything is written as nothing", productpageNode, ptrace.SpanKindClient,
			map[string]any{"upstream_cluster": toReviews, "mesh.upstream.host": "-", "mesh.upstream.workload": "-", "mesh.upstream.principal": "-", "mesh.downstream.host": "-", "mesh.downstream.principal": "-"},
			map[string]any{"mesh.resolution.destination": "unknown:no_upstream", "mesh.tls": "unknown", "mesh.destination.service": "reviews"},
		},
		{
			"the host alone", productpageNode, ptrace.SpanKindClient,
			map[string]any{"upstream_cluster": toReviews, "mesh.upstream.host": "127.1.0.31:9080", "mesh.upstream.workload": "-"},
			map[string]any{"mesh.resolution.destination": "ip", "mesh.destination.workload": "reviews-v1", "mesh.tls": "unknown"},
		},
		{
			"the called side's identity", productpageNode, ptrace.SpanKindClient,
			map[string]any{"upstream_cluster": toReviews, "mesh.upstream.principal": reviewsSAN},
			map[string]any{"mesh.resolution.destination": "trust_domain", "mesh.destination.cluster": "aks-westeurope", "mesh.destination.principal": reviewsSAN, "mesh.tls": "mutual"},
		},
		{
			"an access log's label of the same", productpageNode, ptrace.SpanKindClient,
			map[string]any{"upstream_cluster": toReviews, "upstream_peer_uri_san": reviewsSAN},
			map[string]any{"mesh.resolution.destination": "trust_domain", "mesh.tls": "mutual"},
		},
		{
			"the calling side", reviewsNode, ptrace.SpanKindServer,
			map[string]any{"upstream_cluster": "inbound|9080||", "peer.address": "127.1.0.99", "mesh.downstream.host": "127.1.0.21:4711", "mesh.downstream.principal": pageSAN},
			map[string]any{"mesh.resolution.source": "ip", "mesh.source.workload": "productpage-v1", "mesh.tls": "mutual"},
		},
		{
			"an access log's label of the calling side", reviewsNode, ptrace.SpanKindServer,
			map[string]any{"upstream_cluster": "inbound|9080||", "downstream_peer_uri_san": north},
			map[string]any{"mesh.resolution.source": "trust_domain", "mesh.source.cluster": "aks-northeurope", "mesh.tls": "mutual"},
		},
		{
			"a certificate with a DNS name beside", reviewsNode, ptrace.SpanKindServer,
			map[string]any{"upstream_cluster": "inbound|9080||", "mesh.downstream.principal": "https://a.example, " + north},
			map[string]any{"mesh.resolution.source": "trust_domain", "mesh.source.principal": north, "mesh.tls": "mutual"},
		},
		{
			"a certificate with two identities", reviewsNode, ptrace.SpanKindServer,
			map[string]any{"upstream_cluster": "inbound|9080||", "mesh.downstream.principal": pageSAN + "," + north},
			map[string]any{"mesh.resolution.source": "unknown:no_address", "mesh.source.principal": nil, "mesh.tls": "mutual"},
		},
		{
			"custom tags of the access log service", productpageNode, ptrace.SpanKindClient,
			map[string]any{"upstream_cluster": toReviews, "envoy.custom_tag.mesh.upstream.host": "127.1.0.31:9080", "envoy.custom_tag.mesh.upstream.principal": reviewsSAN},
			map[string]any{"mesh.resolution.destination": "ip", "mesh.tls": "mutual"},
		},
		{
			"a waypoint's pods", "waypoint~127.1.0.61~waypoint-1.bookinfo~d", ptrace.SpanKindServer,
			map[string]any{
				"upstream_cluster": "inbound-vip|9080|http|reviews.bookinfo.svc.cluster.local", "istio.source_cluster_id": "aks-westeurope", "istio.source_namespace": "bookinfo",
				"istio.source_instance_name": "productpage-v1-1", "istio.destination_cluster_id": "aks-westeurope", "istio.destination_namespace": "bookinfo",
				"istio.destination_workload": "reviews-v1", "istio.destination_instance_name": "reviews-v1-1", "istio.destination_app_version": "v1",
			},
			map[string]any{"mesh.source.workload": "productpage-v1", "mesh.source.zone": "westeurope-1", "mesh.destination.zone": "westeurope-2", "mesh.resolution.source": "tag"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.tags["node_id"] = tt.node
			out := stampedSpan(t, tt.kind, tt.tags)
			for key, want := range tt.want {
				assert.Equal(t, want, out[key], key)
			}
		})
	}
}

// TestPeersOfRequestsAndAttempts: with its new names, Envoy writes who called on the span of a request, and whom it called
// on the span of an attempt, under one name.
func TestPeersOfRequestsAndAttempts(t *testing.T) {
	request := map[string]any{"node_id": ingressNode, "upstream_cluster": toReviews, "http.request.method": "GET", "network.peer.address": "127.1.0.21"}
	out := stampedSpan(t, ptrace.SpanKindClient, request)
	assert.NotContains(t, out, "mesh.destination.workload", "who called a gateway is not whom it called")
	assert.Equal(t, "unknown:no_address", out["mesh.resolution.destination"])

	attempt := map[string]any{"node_id": ingressNode, "upstream_cluster": toReviews, "network.peer.address": "127.1.0.31", "network.peer.port": int64(9080)}
	assert.Equal(t, "reviews-v1", stampedSpan(t, ptrace.SpanKindClient, attempt)["mesh.destination.workload"])

	translated := map[string]any{"node_id": ingressNode, "envoy.upstream.cluster": toReviews, "http.request.method": "GET", "network.peer.address": "127.1.0.31"}
	assert.Equal(t, "reviews-v1", stampedSpan(t, ptrace.SpanKindClient, translated)["mesh.destination.workload"], "envoy_semconv has sorted them out")
}

// TestAnAttemptInheritsTheCaller: Envoy names who called a gateway on the span of the request alone.
func TestAnAttemptInheritsTheCaller(t *testing.T) {
	const out = "outbound|443||api.example.com"
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	envoySpan(spans, 2, 1, ptrace.SpanKindClient, map[string]any{"component": "proxy", "upstream_cluster": out, "upstream_address": "52.0.0.1:443", "peer.address": "52.0.0.1:443"})
	envoySpan(spans, 1, 9, ptrace.SpanKindClient, map[string]any{"node_id": ingressNode, "http.method": "GET", "upstream_cluster": out, "peer.address": "127.1.0.21"})
	envoySpan(spans, 3, 7, ptrace.SpanKindClient, map[string]any{"component": "proxy", "upstream_cluster": out, "upstream_address": "52.0.0.1:443"})
	stamped := passTraces(t, createDefaultConfig().(*Config), td).ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	for i, want := range []any{"productpage-v1", "productpage-v1", nil} {
		assert.Equal(t, want, stamped.At(i).Attributes().AsRaw()["mesh.source.workload"], "span %d", i)
	}
	assert.Equal(t, "unknown:no_address", stamped.At(2).Attributes().AsRaw()["mesh.resolution.source"], "its parent did not come")
}

// TestAResourceKeepsItsCluster: what a user wrote stays, and only the id that nobody chose gives way.
func TestAResourceKeepsItsCluster(t *testing.T) {
	for said, want := range map[string]string{"aks-by-another-name": "aks-by-another-name", "Kubernetes": "aks-westeurope"} {
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("k8s.cluster.name", said)
		envoySpan(rs.ScopeSpans().AppendEmpty().Spans(), 1, 0, ptrace.SpanKindServer, map[string]any{
			"node_id": reviewsNode, "istio.cluster_id": "aks-westeurope", "upstream_cluster": "inbound|9080||",
		})
		out := passTraces(t, createDefaultConfig().(*Config), td).ResourceSpans().At(0)
		assert.Equal(t, want, out.Resource().Attributes().AsRaw()["k8s.cluster.name"])
		assert.Equal(t, "reviews-v1", out.ScopeSpans().At(0).Spans().At(0).Attributes().AsRaw()["mesh.destination.workload"])
	}
}
