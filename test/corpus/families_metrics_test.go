// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"fmt"

	"github.com/otelcol-mesh/otelcol-mesh/test/corpus/internal/encode"
)

// metricFamilies are samples of Istio's metrics.
func metricFamilies(of func(string) family) {
	two := of("two-networks")
	near := two.http(productpage, reviewsWest, reviewsHost, 9080)
	far := two.through(two.http(productpage, reviewsNorth, reviewsHost, 9080), intoNorth)
	twoZones := two.through(two.http(productpage, reviewsNorth3, reviewsHost, 9080), intoNorth)
	for _, minor := range []int{18, 24, 29, 31} {
		about := fmt.Sprintf("productpage calls reviews; Istio 1.%d", minor)
		two.metric(encode.SidecarOutbound, encode.Source, near, shot{name: fmt.Sprintf("other-node-1.%d", minor), about: about, style: istio(minor)})
		two.metric(encode.SidecarInbound, encode.Destination, near, shot{name: fmt.Sprintf("other-node-1.%d", minor), about: about, style: istio(minor)})
		about = fmt.Sprintf("productpage calls reviews in the other region; Istio 1.%d", minor)
		two.metric(encode.SidecarOutbound, encode.Source, far, shot{name: fmt.Sprintf("other-region-1.%d", minor), about: about, style: istio(minor)})
		two.metric(encode.SidecarInbound, encode.Destination, far, shot{name: fmt.Sprintf("other-region-1.%d", minor), about: about, style: istio(minor)})
	}
	two.metric(encode.SidecarOutbound, encode.Source, twoZones, shot{name: "pods-in-two-zones", about: "the pods of the called workload are in two zones: the labels do not say in which", style: istio(30)})
	two.metric(encode.SidecarInbound, encode.Destination, twoZones, shot{name: "pods-in-two-zones", about: "the pods of the called workload are in two zones: the reporter's own is known", style: istio(30)})
	for _, f := range []struct {
		flags, about string
		status       int
		chosen       bool
	}{
		{"UH", "no healthy endpoint: every label of the other end is unknown (istio#29373)", 503, false},
		{"NR", "no route", 404, false},
		{"UF", "the connection is refused: istiod's metadata names the endpoint", 503, true},
		{"UF,URX", "retries used up", 503, true},
		{"DC", "the caller hangs up", 0, true},
	} {
		c := near
		c.Flags, c.Status, c.NoAnswer = f.flags, f.status, f.flags != "DC"
		if !f.chosen {
			c.To, c.Server = nil, "-"
		}
		two.metric(encode.SidecarOutbound, encode.Source, c, shot{name: "failure-" + f.flags, about: "productpage calls reviews: " + f.about, style: istio(28), failure: f.flags})
	}
	plain := near
	plain.Plain = true
	two.metric(encode.SidecarInbound, encode.Destination, plain, shot{name: "plain-text", about: "a call without TLS", style: istio(28)})
	two.metric(encode.SidecarOutbound, encode.Source, plain, shot{name: "plain-text", about: "a call without TLS", style: istio(28)})
	tcp := two.http(productpage, mongoWest, mongoHost, 27017)
	tcp.Protocol = "TCP"
	two.metric(encode.SidecarOutbound, encode.Source, tcp, shot{name: "tcp", about: "a TCP connection", style: istio(28)})
	two.metric(encode.SidecarInbound, encode.Destination, tcp, shot{name: "tcp", about: "a TCP connection", style: istio(28)})
	stateful := two.through(two.http(productpage, mongoNorth, mongoHost, 27017), intoNorth)
	stateful.Protocol = "TCP"
	two.metric(encode.SidecarOutbound, encode.Source, stateful, shot{name: "same-workload-name-in-both", about: "both clusters have a mongodb: the label says which", style: istio(28)})
	grpc := near
	grpc.GRPC, grpc.GRPCStatus = true, 14
	two.metric(encode.SidecarOutbound, encode.Source, grpc, shot{name: "grpc-unavailable", about: "a gRPC call answered with UNAVAILABLE", style: istio(30), failure: "UNAVAILABLE"})
	external := two.http(productpage, "", "api.github.com", 443)
	external.Server, external.Plain = "140.82.121.6:443", true
	two.metric(encode.SidecarOutbound, encode.Source, external, shot{name: "external", about: "a call to a host of a ServiceEntry", style: istio(28)})
	for _, cluster := range []string{"PassthroughCluster", "BlackHoleCluster"} {
		c := external
		c.Host, c.Cluster = "", cluster
		two.metric(encode.SidecarOutbound, encode.Source, c, shot{name: cluster, about: "a call to an address that the mesh does not know", style: istio(28)})
	}
	fromOutside := two.http("", productpage, productpageHost, 9080)
	fromOutside.Plain, fromOutside.Client = true, outside
	two.metric(encode.SidecarInbound, encode.Destination, fromOutside, shot{name: "caller-without-sidecar", about: "somebody without a sidecar calls: every label of the other end is unknown", style: istio(28)})
	gateway := two.http(ingressWest, productpage, productpageHost, 9080)
	two.metric(encode.IngressGateway, encode.Source, gateway, shot{name: "request", about: "a request from outside", style: istio(28)})
	missing := gateway
	missing.To, missing.Server, missing.Status, missing.Flags, missing.Host = nil, "-", 404, "NR", "bookinfo.example.com"
	two.metric(encode.IngressGateway, encode.Source, missing, shot{name: "no-route-404", about: "the gateway has no route", style: istio(28), failure: "NR"})
	carriedMetrics(two)

	gloo := of("gloo")
	global := gloo.through(gloo.http("gloo-west/productpage-v1-w1", "gloo-east/reviews-v3-e1", "reviews.global", 9080), "gloo-east/istio-eastwestgateway")
	gloo.metric(encode.SidecarOutbound, encode.Source, global, shot{name: "gloo-global", about: "reviews.global, answered in the other cluster", style: istio(22)})
	gloo.metric(encode.SidecarInbound, encode.Destination, global, shot{name: "gloo-global", about: "called through the gateway", style: istio(22)})
	gloo.metricWith(encode.SidecarInbound, encode.Destination, global, shot{name: "gloo-source-cluster-unknown", about: "the caller's proxy told nothing but its certificate: the trust domain names its cluster", style: istio(22)}, func(c *encode.Call) {
		stranger := *c.From
		bare := *stranger.Workload
		bare.Name, bare.Service, bare.Version = "unknown", "unknown", ""
		stranger.Workload = &bare
		c.From = &stranger
	}, "none")
	same := of("every-kubernetes")
	style := istio(28)
	style.ClusterID = "Kubernetes"
	far = same.through(same.http("aks-a/web-a", "aks-b/cart-0", cartHost, 8080), "aks-b/istio-eastwestgateway")
	same.metric(encode.SidecarOutbound, encode.Source, far, shot{name: "every-kubernetes-far", about: "every label of a cluster says Kubernetes", style: style})
	same.metric(encode.SidecarInbound, encode.Destination, far, shot{name: "every-kubernetes-far", about: "every label of a cluster says Kubernetes", style: style})
	flat := of("flat")
	direct := flat.http("aks-flat-west/web-7d9f-aaaaa", "aks-flat-north/cart-5c6d-ccccc", cartHost, 8080)
	flat.metric(encode.SidecarOutbound, encode.Source, direct, shot{name: "flat-other-cluster", about: "a pod of the other cluster is called directly", style: istio(25)})
	three := of("three-regions")
	east := three.http("aks-westeurope/front-w", "aks-eastus-2/orders-e2", "orders.shop.svc.cluster.local", 8080)
	three.metric(encode.SidecarOutbound, encode.Source, east, shot{name: "three-regions", about: "orders in the second cluster of the third region", style: istio(28)})
	vms := of("vms")
	oracle := vms.http("aks-westeurope/web-1", "aks-westeurope/oracle-10.1.9.7", "oracle.shop.svc.cluster.local", 1521)
	vms.metric(encode.SidecarOutbound, encode.Source, oracle, shot{name: "vm", about: "a virtual machine is called", style: istio(28)})
	host := of("host-network")
	exporter := host.http("aks-host/web-h", "aks-host/node-exporter-1", "node-exporter.monitoring.svc.cluster.local", 9100)
	host.metric(encode.SidecarOutbound, encode.Source, exporter, shot{name: "host-network", about: "a pod in the host network is called", style: istio(28)})
}

// carriedMetrics are samples in which the gateway between the networks stands as an end (istio#58790): it is none.
func carriedMetrics(two family) {
	carried := two.http(productpage, reviewsNorth, reviewsHost, 9080)
	carried.Protocol = "TCP"
	carried = two.through(carried, intoNorth)
	two.metricWith(encode.EastWestGateway, encode.Source, carried, shot{name: "gateway-as-source", about: "the east/west gateway counts what it passes on and names itself as the source", style: istio(28)},
		func(c *encode.Call) { c.From = two.pod(eastWestNorth) }, "")
	two.metricWith(encode.SidecarInbound, encode.Destination, carried, shot{name: "gateway-as-peer", about: "the called side names the east/west gateway as its peer", style: istio(28)},
		func(c *encode.Call) { c.From = two.pod(eastWestNorth) }, "")
	two.metricWith(encode.SidecarOutbound, encode.Source, carried, shot{name: "gateway-as-destination", about: "the calling side names the east/west gateway as its peer", style: istio(28)},
		func(c *encode.Call) { c.To = two.pod(eastWestNorth) }, "")
}

// metricWith adds a case whose labels say something else than what happened: change makes what they say. cluster, if not
// empty, is what the proxies call their clusters.
func (f family) metricWith(role encode.Role, reporter encode.Reporter, c encode.Call, s shot, change func(*encode.Call), cluster string) {
	said := c
	change(&said)
	if role == encode.EastWestGateway {
		c.Proxy = f.pod(eastWestNorth)
	}
	c.Name = "metric/" + string(role) + "/" + s.name
	m := f.base("metric", role, &c, &s)
	place := worlds()[f.topology].Pod(m.Items[0].Reporter)
	m.Inputs[0].Connection, m.Inputs[0].Scraped = "", place.IP()+":15020"
	style := s.style
	style.ClusterID = cluster
	f.add(m, "input.txt", "prometheus", []byte(encode.Metric(reporter, &said, &style)+"\n"))
}
