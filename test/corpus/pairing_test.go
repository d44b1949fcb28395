// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshspanpairingprocessor"
	"github.com/otelcol-mesh/otelcol-mesh/test/corpus/internal/encode"
)

// paired sends the spans through the hub's mesh_span_pairing, one batch after the other. What waits for a partner that
// never comes leaves it at the end.
func paired(t *testing.T, hub component.Host, all []data) []data {
	t.Helper()
	if len(all) == 0 || all[0].traces == nil {
		return all
	}
	factory := meshspanpairingprocessor.NewFactory()
	sink := new(consumertest.TracesSink)
	ctx := context.Background()
	p, err := factory.CreateTraces(ctx, processortest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig(), sink)
	require.NoError(t, err)
	require.NoError(t, p.Start(ctx, hub))
	for _, d := range all {
		require.NoError(t, p.ConsumeTraces(ctx, *d.traces))
	}
	require.NoError(t, p.Shutdown(ctx))
	var out []data
	for _, td := range sink.AllTraces() {
		out = append(out, data{traces: &td})
	}
	return out
}

// pair adds a case of both spans of one call, each from its own cluster. The hub gets the called side's first if later
// says so.
func (f family) pair(name, about string, client encode.SpanOf, c encode.Call, style encode.Style, later bool) {
	s := shot{name: name, about: about, style: style}
	c.Name = "span/pair/" + name
	m := f.base("span", client.Role, &c, &s)
	callee := f.base("span", encode.SidecarInbound, &c, &s)
	m.path = "cases/span/pair/" + name
	m.Role = "pair"
	m.Items[0].Role, callee.Items[0].Role = client.Role, encode.SidecarInbound
	sides := []struct {
		of   encode.SpanOf
		file string
		m    *made
	}{{client, "caller.json", &m}, {encode.SpanOf{Role: encode.SidecarInbound, Zipkin: client.Zipkin}, "called.json", &callee}}
	if later {
		sides[0], sides[1] = sides[1], sides[0]
	}
	var inputs []input
	var items []item
	for _, side := range sides {
		td := ptrace.NewTraces()
		if side.of.Upstream {
			// The span of the request comes with that of its attempt.
			encode.Span(td, encode.SpanOf{Role: side.of.Role}, &c, &style)
			items = append(items, side.m.Items[0])
		}
		encode.Span(td, side.of, &c, &style)
		in := side.m.Inputs[0]
		in.File, in.Form = side.file, "otlp_spans"
		inputs, items = append(inputs, in), append(items, side.m.Items[0])
		m.files[side.file] = spansJSON(td)
	}
	m.Inputs, m.Items = inputs, items
	*f.all = append(*f.all, m)
}

// pairFamilies are calls of which both spans reach the hub: each tells the other its end.
func pairFamilies(of func(string) family) {
	two := of("two-networks")
	near := two.http(productpage, reviewsWest, reviewsHost, 9080)
	far := two.through(two.http(productpage, reviewsNorth3, reviewsHost, 9080), intoNorth)
	far.Client = two.pod(eastWestNorth).IP()
	for _, later := range []bool{false, true} {
		order := map[bool]string{false: "", true: "-called-side-first"}[later]
		for _, minor := range []int{18, 28} {
			two.pair("other-node-"+encode.Version(minor)+order, "productpage calls reviews on another node; no custom tags, both spans arrive", outbound, near, istio(minor), later)
			two.pair("other-region-"+encode.Version(minor)+order, "productpage calls reviews in the other region; no custom tags, both spans arrive", outbound, far, istio(minor), later)
		}
		two.pair("other-region-guide"+order, "productpage calls reviews in the other region with the guide's tags; both spans arrive", outbound, far, guided(30), later)
	}
	refused := near
	refused.Status, refused.Flags = 503, "UC"
	two.pair("failure-UC", "reviews hangs up while it answers; both spans arrive", outbound, refused, istio(28), false)
	edge := two.through(two.http(ingressWest, reviewsNorth, reviewsHost, 9080), intoNorth)
	edge.Client, edge.Outside, edge.Attempts = two.pod(eastWestNorth).IP(), outside, true
	two.pair("ingress-upstream-other-region", "the ingress gateway calls the other region; its two spans and reviews' span arrive", ingressUpstream, edge, istio(26), false)
	two.pair("zipkin-shared-id", "both spans came through Zipkin and share their id", encode.SpanOf{Role: encode.SidecarOutbound, Zipkin: true}, far, istio(20), false)
	flat := of("flat")
	direct := flat.http("aks-flat-west/web-7d9f-aaaaa", "aks-flat-north/cart-5c6d-ccccc", cartHost, 8080)
	flat.pair("flat-other-cluster", "a pod of the other cluster is called directly; both spans arrive", outbound, direct, istio(22), false)
	gloo := of("gloo")
	global := gloo.through(gloo.http("gloo-west/productpage-v1-w1", "gloo-east/reviews-v3-e1", "reviews.global", 9080), "gloo-east/istio-eastwestgateway")
	global.Client = gloo.pod("gloo-east/istio-eastwestgateway-e1").IP()
	gloo.pair("gloo-global", "reviews.global, answered in the other cluster; both spans arrive", outbound, global, istio(22), true)
	same := of("every-kubernetes")
	style := istio(26)
	style.ClusterID = "Kubernetes"
	behind := same.through(same.http("aks-a/web-a", "aks-b/cart-0", cartHost, 8080), "aks-b/istio-eastwestgateway")
	behind.Client = same.pod("aks-b/istio-eastwestgateway-b").IP()
	same.pair("every-kubernetes", "every cluster says Kubernetes; both spans arrive, from agents that know better", outbound, behind, style, false)
	three := of("three-regions")
	east := three.through(three.http("aks-westeurope/front-w", "aks-eastus-2/orders-e2", "orders.shop.svc.cluster.local", 8080), "aks-eastus-1/istio-eastwestgateway")
	east.Client = three.pod("aks-eastus-1/istio-eastwestgateway-e").IP()
	three.pair("three-regions", "orders behind the gateway of another cluster of its network; both spans arrive", outbound, east, istio(28), false)
	host := of("host-network")
	snat := host.http("aks-host/web-h", "aks-host/cart-h", cartHost, 8080)
	snat.Client = "10.1.0.4"
	host.pair("snat", "kube-proxy put the node's address in the place of the caller's; both spans arrive", outbound, snat, istio(28), false)
}
