// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"fmt"

	"github.com/otelcol-mesh/otelcol-mesh/test/corpus/internal/encode"
)

const productpageHost = "productpage.bookinfo.svc.cluster.local"

var (
	ingress         = encode.SpanOf{Role: encode.IngressGateway}
	ingressUpstream = encode.SpanOf{Role: encode.IngressGateway, Upstream: true}
	egress          = encode.SpanOf{Role: encode.EgressGateway}
	egressUpstream  = encode.SpanOf{Role: encode.EgressGateway, Upstream: true}
)

// gatewaySpanFamilies are the spans of ingress and egress gateways. For a call from outside the ingress gateway is the
// calling end; an egress gateway is in the middle of its calls.
func gatewaySpanFamilies(of func(string) family) {
	two := of("two-networks")
	c := two.http(ingressWest, productpage, productpageHost, 9080)
	c.Client, c.Authority, c.Path = outside, "bookinfo.example.com", "/productpage"
	for _, minor := range []int{18, 22, 26, 31} {
		style := istio(minor)
		if minor == 31 {
			style = guided(minor)
		}
		about := fmt.Sprintf("a request from outside goes to productpage; Istio 1.%d", minor)
		two.span(ingress, c, shot{name: fmt.Sprintf("request-1.%d", minor), about: about, style: style})
		two.span(ingressUpstream, c, shot{name: fmt.Sprintf("upstream-1.%d", minor), about: about, style: style})
	}
	overlap := c
	overlap.Client = two.pod(details).IP()
	two.span(ingress, overlap, shot{name: "client-with-a-pods-address", about: "the client outside has an address that is also a pod's: its network and the pods' overlap", style: guided(30)})
	three := c
	three.Protocol, three.Client = "HTTP/3", "10.1.0.4"
	two.span(ingress, three, shot{name: "http3-edge", about: "HTTP/3 at the edge, from a node's address that the load balancer left", style: guided(30)})
	two.span(ingressUpstream, three, shot{name: "http3-edge-upstream", about: "HTTP/3 at the edge", style: guided(30)})
	far := two.through(two.http(ingressWest, reviewsNorth, reviewsHost, 9080), intoNorth)
	far.Client = outside
	two.span(ingress, far, shot{name: "other-region-guide", about: "the gateway sends a request into the other region", style: guided(30), failure: "failover"})
	two.span(ingressUpstream, far, shot{name: "other-region-upstream-1.26", about: "the gateway sends a request into the other region, without custom tags: the span of its call has the address of the east/west gateway", style: istio(26), failure: "failover"})
	two.span(ingressUpstream, far, shot{name: "other-region-upstream-guide", about: "the gateway sends a request into the other region", style: guided(30), failure: "failover"})
	north := two.http(ingressNorth, reviewsNorth, reviewsHost, 9080)
	north.Client = outside
	two.span(ingressUpstream, north, shot{name: "overlapping-addresses", about: "gateway and called pod have addresses that are productpage's and details' in the other network", style: istio(24)})
	missing := c
	missing.To, missing.Server, missing.Status, missing.Flags = nil, "-", 404, "NR"
	missing.Host = "bookinfo.example.com"
	two.span(ingress, missing, shot{name: "no-route-404", about: "no route fits: the gateway answers 404 itself", style: guided(30), failure: "NR"})
	unhealthy := c
	unhealthy.To, unhealthy.Server, unhealthy.Status, unhealthy.Flags = nil, "-", 503, "UH"
	two.span(ingress, unhealthy, shot{name: "no-endpoint-503", about: "productpage has no healthy endpoint", style: istio(28), failure: "UH"})
	two.span(ingressUpstream, unhealthy, shot{name: "no-endpoint-503-upstream", about: "productpage has no healthy endpoint", style: istio(28), failure: "UH"})
	refused := c
	refused.Status, refused.Flags, refused.NoAnswer, refused.Retries = 503, "UF,URX", true, 2
	two.span(ingressUpstream, refused, shot{name: "refused-upstream", about: "the last retry was refused too", style: istio(28), failure: "URX"})
	two.span(ingress, refused, shot{name: "refused", about: "the last retry was refused too", style: guided(28 + 1), failure: "URX"})

	// An egress gateway is in the middle of a call: who called it is the calling end.
	out := two.http(productpage, "", "api.github.com", 443)
	out.Server, out.Proxy = "140.82.121.6:443", two.pod(egressWest)
	two.span(egress, out, shot{name: "request", about: "a call leaves the mesh through the egress gateway", style: guided(30)})
	two.span(egressUpstream, out, shot{name: "upstream-1.26", about: "a call leaves the mesh through the egress gateway", style: istio(26)})
	toEgress := two.http(productpage, egressWest, "istio-egressgateway.istio-system.svc.cluster.local", 443)
	toEgress.Authority = "api.github.com"
	two.span(outbound, toEgress, shot{name: "to-egress-gateway", about: "productpage calls the egress gateway, which calls the world", style: guided(30)})

	flat := of("flat")
	edge := flat.http("aks-flat-west/istio-ingressgateway-1a", "aks-flat-north/cart-5c6d-ccccc", cartHost, 8080)
	edge.Client = outside
	flat.span(ingressUpstream, edge, shot{name: "flat-other-cluster-1.25", about: "the gateway calls a pod of the other cluster directly", style: istio(25)})
	dual := of("dual-stack")
	six := dual.http("aks-dual/istio-ingressgateway-d", "aks-dual/web-d", "web.shop.svc.cluster.local", 8080)
	six.Server, six.Client = "[fd12:0:0:1::21]:8080", "2001:db8::7"
	dual.span(ingressUpstream, six, shot{name: "dual-ipv6-1.25", about: "the gateway calls the IPv6 address of a pod", style: istio(25)})
}
