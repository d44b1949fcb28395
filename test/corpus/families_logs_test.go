// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"fmt"

	"github.com/otelcol-mesh/otelcol-mesh/test/corpus/internal/encode"
)

// peers is a mesh that logs what its proxies told each other.
func peers(minor int) encode.Style {
	s := istio(minor)
	s.Peers = true
	return s
}

// accessLogFamilies are access logs over Envoy's service and over OTLP.
func accessLogFamilies(of func(string) family) {
	two := of("two-networks")
	local := two.http(productpage, details, detailsHost, 9080)
	near := two.http(productpage, reviewsWest, reviewsHost, 9080)
	far := two.through(two.http(productpage, reviewsNorth, reviewsHost, 9080), intoNorth)
	callee := far
	callee.Client = two.pod(eastWestNorth).IP()

	for _, minor := range []int{18, 22, 24, 28, 29, 31} {
		about := fmt.Sprintf("productpage calls reviews in the other region; Istio 1.%d with peer metadata", minor)
		two.als(encode.SidecarOutbound, far, shot{name: fmt.Sprintf("other-region-peers-1.%d", minor), about: about, style: peers(minor)})
		two.als(encode.SidecarInbound, callee, shot{name: fmt.Sprintf("other-region-peers-1.%d", minor), about: about, style: peers(minor)})
	}
	two.als(encode.SidecarOutbound, near, shot{name: "other-node", about: "productpage calls reviews on another node; without peer metadata", style: istio(26)})
	two.als(encode.SidecarInbound, near, shot{name: "other-node", about: "reviews is called by productpage from another node; without peer metadata", style: istio(26)})
	two.als(encode.SidecarOutbound, far, shot{name: "other-region", about: "the other region, without peer metadata: the address of the gateway", style: istio(26)})
	two.als(encode.SidecarInbound, callee, shot{name: "other-region", about: "called from the other region, without peer metadata: the address of the gateway, and the caller's certificate", style: istio(26)})
	two.als(encode.SidecarOutbound, far, shot{name: "other-region-guide", about: "the other region, with the guide's tags", style: guided(30)})
	two.als(encode.SidecarInbound, callee, shot{name: "other-region-guide", about: "called from the other region, with the guide's tags", style: guided(30)})
	logFailures(two, local, far)
	logKinds(two)
	otherTopologyLogs(of)

	for _, labels := range []bool{false, true} {
		style := istio(26)
		kind := "without labels"
		if labels {
			style, kind = guided(30), "with the guide's labels"
		}
		two.otlp(encode.SidecarOutbound, near, shot{name: "other-node", about: "productpage calls reviews on another node; OTLP " + kind, style: style}, labels)
		two.otlp(encode.SidecarInbound, near, shot{name: "other-node", about: "reviews is called from another node; OTLP " + kind, style: style}, labels)
		two.otlp(encode.SidecarOutbound, far, shot{name: "other-region", about: "productpage calls the other region; OTLP " + kind, style: style}, labels)
		two.otlp(encode.SidecarInbound, callee, shot{name: "other-region", about: "reviews is called from the other region; OTLP " + kind, style: style}, labels)
		unhealthy := far
		unhealthy.To, unhealthy.Through, unhealthy.ThroughCluster, unhealthy.Server = nil, nil, nil, "-"
		unhealthy.Status, unhealthy.Flags, unhealthy.Details = 503, "UH", "no_healthy_upstream"
		two.otlp(encode.SidecarOutbound, unhealthy, shot{name: "failure-UH", about: "reviews has no healthy endpoint; OTLP " + kind, style: style, failure: "UH"}, labels)
		two.otlp(encode.SidecarOutbound, near, shot{name: "straight-to-hub", about: "productpage's proxy sends to the hub itself; OTLP " + kind, style: style, hubOnly: true}, labels)
		gateway := two.http(ingressWest, productpage, productpageHost, 9080)
		gateway.Client = outside
		two.otlp(encode.IngressGateway, gateway, shot{name: "request", about: "a request from outside; OTLP " + kind, style: style}, labels)
		passed := eastWestCall(two, productpage, reviewsNorth3, eastWestNorth, intoNorth)
		two.otlp(encode.EastWestGateway, passed, shot{name: "passthrough", about: "a connection passed through by its server name; OTLP " + kind, style: style}, labels)
		tcp := two.http(productpage, mongoWest, mongoHost, 27017)
		tcp.Protocol = "TCP"
		two.otlp(encode.SidecarOutbound, tcp, shot{name: "tcp", about: "a TCP connection; OTLP " + kind, style: style}, labels)
		two.otlp(encode.SidecarInbound, tcp, shot{name: "tcp", about: "a TCP connection; OTLP " + kind, style: style}, labels)
	}
}

// eastWestCall is a call as the gateway into the called network sees it: from an address of another network.
func eastWestCall(f family, from, to, proxy, into string) encode.Call {
	c := f.through(f.http(from, to, reviewsHost, 9080), into)
	c.Protocol, c.Proxy = "TCP", f.pod(proxy)
	return c
}

func logFailures(two family, local, far encode.Call) {
	for _, f := range []struct {
		flags, about      string
		status            int
		chosen, answered  bool
		throughTheGateway bool
	}{
		{"UH", "no healthy endpoint", 503, false, false, false},
		{"NR", "no route", 404, false, false, false},
		{"NC", "no cluster", 503, false, false, false},
		{"UF", "the connection is refused", 503, true, false, false},
		{"URX", "retries used up", 503, true, true, false},
		{"UT", "no answer in time", 504, true, false, false},
		{"DC", "the caller hangs up", 0, true, true, false},
		{"UC", "the endpoint hangs up", 503, true, false, true},
	} {
		c := local
		if f.throughTheGateway {
			c = far
		}
		c.Flags, c.Status, c.NoAnswer, c.Details = f.flags, f.status, !f.answered, "details"
		if !f.chosen {
			c.To, c.Server = nil, "-"
		}
		two.als(encode.SidecarOutbound, c, shot{name: "failure-" + f.flags, about: "productpage calls: " + f.about, style: peers(29), failure: f.flags})
	}
	c := local
	c.Status, c.Flags = 0, "DC"
	two.als(encode.SidecarInbound, c, shot{name: "failure-DC", about: "productpage hangs up", style: peers(26), failure: "DC"})
	two.als(encode.SidecarOutbound, far, shot{name: "failover-peers", about: "reviews beside productpage is gone: the call goes to the other region", style: peers(30), failure: "failover"})
	retried := far
	retried.Retries = 1
	two.als(encode.SidecarOutbound, retried, shot{name: "retry-in-other-cluster", about: "the second attempt went to the other cluster", style: peers(28), failure: "retry"})
}

func logKinds(two family) {
	tcp := two.http(productpage, mongoWest, mongoHost, 27017)
	tcp.Protocol = "TCP"
	two.als(encode.SidecarOutbound, tcp, shot{name: "tcp-peers", about: "a TCP connection", style: peers(28)})
	two.als(encode.SidecarInbound, tcp, shot{name: "tcp", about: "a TCP connection", style: istio(28)})
	plain := two.http(productpage, reviewsWest, reviewsHost, 9080)
	plain.Plain = true
	two.als(encode.SidecarInbound, plain, shot{name: "plain-text", about: "a call without TLS", style: peers(28)})
	grpc := two.http(productpage, details, detailsHost, 9080)
	grpc.GRPC, grpc.Protocol, grpc.Method, grpc.Path = true, "HTTP/2", "POST", "/details.Details/Get"
	two.als(encode.SidecarOutbound, grpc, shot{name: "grpc-peers", about: "a gRPC call", style: peers(30)})
	mirror := two.http(productpage, reviewsWest, reviewsHost, 9080)
	mirror.Authority = "reviews-shadow:9080"
	two.als(encode.SidecarInbound, mirror, shot{name: "mirrored", about: "a mirrored request", style: peers(30)})
	gateway := two.http(ingressWest, productpage, productpageHost, 9080)
	gateway.Client = outside
	two.als(encode.IngressGateway, gateway, shot{name: "request-peers", about: "a request from outside", style: peers(30)})
	two.als(encode.IngressGateway, gateway, shot{name: "request", about: "a request from outside, without peer metadata", style: istio(25)})
	edge := gateway
	edge.Protocol, edge.Client = "HTTP/3", "10.1.0.4"
	two.als(encode.IngressGateway, edge, shot{name: "http3-edge", about: "HTTP/3 at the edge, from the address of a node", style: peers(31)})
	missing := gateway
	missing.To, missing.Server, missing.Status, missing.Flags, missing.Host = nil, "-", 404, "NR", "bookinfo.example.com"
	two.als(encode.IngressGateway, missing, shot{name: "no-route-404", about: "the gateway has no route and answers 404 itself", style: peers(31), failure: "NR"})
	external := two.http(productpage, "", "api.github.com", 443)
	external.Server, external.Plain = "140.82.121.6:443", true
	two.als(encode.SidecarOutbound, external, shot{name: "external", about: "a call to a host of a ServiceEntry", style: peers(28)})
	passthrough := external
	passthrough.Host, passthrough.Cluster, passthrough.Protocol = "", "PassthroughCluster", "TCP"
	two.als(encode.SidecarOutbound, passthrough, shot{name: "passthrough", about: "a connection to an address that the mesh does not know", style: peers(28)})
	passthrough.Cluster, passthrough.Server, passthrough.Flags = "BlackHoleCluster", "-", "UH"
	two.als(encode.SidecarOutbound, passthrough, shot{name: "black-hole", about: "a connection that the mesh does not let out", style: peers(28), failure: "BlackHole"})
	for _, minor := range []int{18, 25, 31} {
		passed := eastWestCall(two, productpage, reviewsNorth, eastWestNorth, intoNorth)
		two.als(encode.EastWestGateway, passed, shot{name: fmt.Sprintf("passthrough-1.%d", minor), about: "a connection from the other region, passed through by its server name: the caller's address is another pod's here", style: istio(minor)})
	}
	behind := eastWestCall(two, productpage, reviewsNorth3, eastWestNorth, intoNorth)
	behind.Client = "10.2.0.4"
	two.als(encode.EastWestGateway, behind, shot{name: "passthrough-snat", about: "passed through: kube-proxy put a node's address in the place of the caller's", style: istio(28)})
	nobody := eastWestCall(two, productpage, "", eastWestNorth, intoNorth)
	nobody.Flags = "UH"
	nobody.Server = "-"
	two.als(encode.EastWestGateway, nobody, shot{name: "failure-UH", about: "the gateway has no healthy endpoint", style: istio(28), failure: "UH"})
	out := two.http(productpage, "", "api.github.com", 443)
	out.Server, out.Proxy = "140.82.121.6:443", two.pod(egressWest)
	two.als(encode.EgressGateway, out, shot{name: "request-peers", about: "a call leaves the mesh through the egress gateway", style: peers(28)})
}

// otherTopologyLogs are access logs of meshes of other forms.
func otherTopologyLogs(of func(string) family) {
	flat := of("flat")
	far := flat.http("aks-flat-west/web-7d9f-aaaaa", "aks-flat-north/cart-5c6d-ccccc", cartHost, 8080)
	flat.als(encode.SidecarOutbound, far, shot{name: "flat-other-cluster", about: "a pod of the other cluster is called directly", style: istio(25)})
	flat.als(encode.SidecarInbound, far, shot{name: "flat-other-cluster", about: "a pod of the other cluster calls directly", style: istio(25)})
	flat.otlp(encode.SidecarInbound, far, shot{name: "flat-other-cluster", about: "a pod of the other cluster calls directly", style: istio(25)}, false)
	gloo := of("gloo")
	global := gloo.through(gloo.http("gloo-west/productpage-v1-w1", "gloo-east/reviews-v3-e1", "reviews.global", 9080), "gloo-east/istio-eastwestgateway")
	gloo.als(encode.SidecarOutbound, global, shot{name: "gloo-global", about: "reviews.global, answered in the other cluster", style: peers(22)})
	called := global
	called.Client = gloo.pod("gloo-east/istio-eastwestgateway-e1").IP()
	gloo.als(encode.SidecarInbound, called, shot{name: "gloo-global", about: "called through the gateway: the trust domain of the certificate is the caller's cluster", style: istio(22)})
	passed := global
	passed.Protocol, passed.Proxy, passed.Client = "TCP", gloo.pod("gloo-east/istio-eastwestgateway-e1"), "172.16.0.74"
	gloo.otlp(encode.EastWestGateway, passed, shot{name: "gloo-passthrough", about: "the gateway's line as Gloo Mesh prints it", style: istio(22)}, false)
	same := of("every-kubernetes")
	style := peers(30)
	style.ClusterID = "Kubernetes"
	behind := same.through(same.http("aks-a/web-a", "aks-b/cart-0", cartHost, 8080), "aks-b/istio-eastwestgateway")
	same.als(encode.SidecarOutbound, behind, shot{name: "every-kubernetes-far", about: "every cluster says Kubernetes, the peer's metadata too", style: style})
	behind.Client = same.pod("aks-b/istio-eastwestgateway-b").IP()
	same.als(encode.SidecarInbound, behind, shot{name: "every-kubernetes-far", about: "every cluster says Kubernetes, the peer's metadata too", style: style})
	same.als(encode.SidecarInbound, behind, shot{name: "every-kubernetes-no-agent", about: "every cluster says Kubernetes, and no agent says which; the proxy gives its network", style: style, hubOnly: true})
	reuse := of("ip-reuse-before")
	turn := &then{Topology: "ip-reuse-after", From: noon.Add(-10e9), To: noon.Add(10e9)}
	before := reuse.http("aks-reuse/web-r", "aks-reuse/cart-r1", cartHost, 8080)
	before.At = noon.Add(-60e9)
	reuse.als(encode.SidecarOutbound, before, shot{name: "address-reused-before", about: "10.244.0.30 is called before it changed hands", style: istio(28), then: turn})
	reuse.otlp(encode.SidecarOutbound, before, shot{name: "address-reused-before", about: "10.244.0.30 is called before it changed hands", style: istio(28), then: turn}, false)
	dual := of("dual-stack")
	six := dual.http("aks-dual/web-d", "aks-dual/cart-d", cartHost, 8080)
	six.Server, six.Client = "[fd12:0:0:2::30]:8080", "fd12:0:0:1::21"
	dual.als(encode.SidecarOutbound, six, shot{name: "dual-ipv6", about: "the endpoint's IPv6 address is chosen", style: istio(28)})
	dual.otlp(encode.SidecarInbound, six, shot{name: "dual-ipv6", about: "called from an IPv6 address", style: istio(28)}, false)
	host := of("host-network")
	snat := host.http("aks-host/web-h", "aks-host/cart-h", cartHost, 8080)
	snat.Client = "10.1.0.4"
	host.als(encode.SidecarInbound, snat, shot{name: "snat", about: "kube-proxy put the node's address in the place of the caller's: the certificate names its account", style: istio(28)})
	host.als(encode.SidecarInbound, snat, shot{name: "snat-peers", about: "kube-proxy put the node's address in the place of the caller's, and the proxies told each other who they are", style: peers(28)})
	vms := of("vms")
	oracle := vms.http("aks-westeurope/web-1", "aks-westeurope/oracle-10.1.9.7", "oracle.shop.svc.cluster.local", 1521)
	oracle.Protocol = "TCP"
	vms.als(encode.SidecarOutbound, oracle, shot{name: "vm", about: "a virtual machine is called over TCP", style: istio(28)})
}

// fileFamilies are access logs in files of the node: Istio's formats as the proxies print them.
func fileFamilies(of func(string) family) {
	two := of("two-networks")
	near := two.http(productpage, reviewsWest, reviewsHost, 9080)
	far := two.through(two.http(productpage, reviewsNorth, reviewsHost, 9080), intoNorth)
	callee := far
	callee.Client = two.pod(eastWestNorth).IP()
	unhealthy := near
	unhealthy.To, unhealthy.Server, unhealthy.Status, unhealthy.Flags = nil, "-", 503, "UH"
	refused := near
	refused.Status, refused.Flags, refused.NoAnswer = 503, "UF,URX", true
	passed := eastWestCall(two, productpage, reviewsNorth, eastWestNorth, intoNorth)
	gateway := two.http(ingressWest, productpage, productpageHost, 9080)
	gateway.Client = outside
	tcp := two.http(productpage, mongoWest, mongoHost, 27017)
	tcp.Protocol = "TCP"
	for _, k := range []struct {
		name, about, failure string
		role                 encode.Role
		call                 encode.Call
		minor                int
	}{
		{"other-node", "productpage calls reviews on another node", "", encode.SidecarOutbound, near, 26},
		{"other-node", "reviews is called from another node", "", encode.SidecarInbound, near, 26},
		{"other-region", "productpage calls the other region", "", encode.SidecarOutbound, far, 28},
		{"other-region", "reviews is called from the other region", "", encode.SidecarInbound, callee, 28},
		{"failure-UH", "reviews has no healthy endpoint", "UH", encode.SidecarOutbound, unhealthy, 30},
		{"failure-UF", "the last retry was refused too", "UF,URX", encode.SidecarOutbound, refused, 30},
		{"passthrough", "a connection passed through by its server name", "", encode.EastWestGateway, passed, 22},
		{"request", "a request from outside", "", encode.IngressGateway, gateway, 31},
		{"tcp", "a TCP connection", "", encode.SidecarOutbound, tcp, 20},
	} {
		s := shot{name: k.name, about: k.about + "; a line of the container's log", style: istio(k.minor), failure: k.failure}
		two.text(k.role, k.call, s)
		two.json(k.role, k.call, s, false)
		s.name, s.about = k.name+"-parsed", k.about+"; a line of the container's log that its reader parsed"
		two.json(k.role, k.call, s, true)
	}
	flat := of("flat")
	other := flat.http("aks-flat-west/web-7d9f-aaaaa", "aks-flat-north/cart-5c6d-ccccc", cartHost, 8080)
	flat.json(encode.SidecarInbound, other, shot{name: "flat-other-cluster", about: "a pod of the other cluster calls directly", style: istio(25)}, false)
	flat.text(encode.SidecarOutbound, other, shot{name: "flat-other-cluster", about: "a pod of the other cluster is called directly", style: istio(25)})
}
