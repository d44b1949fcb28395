// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"fmt"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/test/corpus/internal/encode"
)

// otherTopologySpans are spans of meshes of other forms.
func otherTopologySpans(of func(string) family) {
	flatSpans(of("flat"))
	regionSpans(of("three-regions"))
	glooSpans(of("gloo"))
	sameNameSpans(of("every-kubernetes"))
	vmSpans(of("vms"))
	dualSpans(of("dual-stack"))
	hostSpans(of("host-network"))
	reuseSpans(of("ip-reuse-before"))
	unmarkedSpans(of("unmarked-gateway"))
}

const cartHost = "cart.shop.svc.cluster.local"

// flatSpans: pods of two clusters in one network.
func flatSpans(flat family) {
	far := flat.http("aks-flat-west/web-7d9f-aaaaa", "aks-flat-north/cart-5c6d-ccccc", cartHost, 8080)
	flat.span(outbound, far, shot{name: "flat-other-cluster-guide", about: "a pod of the other cluster is called directly", style: guided(30)})
	flat.span(outbound, far, shot{name: "flat-other-cluster-host-tag", about: "a pod of the other cluster is called directly, told by its address", style: hostTag(29)})
	flat.span(outbound, far, shot{name: "flat-other-cluster-1.27", about: "a pod of the other cluster is called directly, without custom tags", style: istio(27)})
	flat.span(inbound, far, shot{name: "flat-other-cluster-1.27", about: "a pod of the other cluster calls directly", style: istio(27)})
	flat.span(inbound, far, shot{name: "flat-other-cluster-1.19", about: "a pod of the other cluster calls directly", style: istio(19)})
	near := flat.http("aks-flat-west/web-7d9f-aaaaa", "aks-flat-west/cart-5c6d-aaaaa", cartHost, 8080)
	flat.span(outbound, near, shot{name: "flat-other-zone-guide", about: "another zone of the same region", style: guided(30)})
	flat.span(inbound, near, shot{name: "flat-other-zone", about: "another zone of the same region", style: istio(26)})
	headless := flat.http("aks-flat-west/web-7d9f-bbbbb", "aks-flat-north/stock-0", "stock-0.stock.shop.svc.cluster.local", 5432)
	flat.span(outbound, headless, shot{name: "flat-headless-pod", about: "one pod of a headless service, called by its own name", style: guided(30)})
}

// regionSpans: three regions, one with two clusters behind one gateway.
func regionSpans(three family) {
	for i, to := range []string{"aks-northeurope/orders-n", "aks-eastus-1/orders-e1", "aks-eastus-2/orders-e2"} {
		c := three.http("aks-westeurope/front-w", to, "orders.shop.svc.cluster.local", 8080)
		into := "aks-eastus-1/istio-eastwestgateway"
		if i == 0 {
			into = "aks-northeurope/istio-eastwestgateway"
		}
		c = three.through(c, into)
		name := fmt.Sprintf("three-regions-%d", i+1)
		cluster := c.To.Cluster.Name
		// istiod names the gateway's cluster, whichever cluster of the network the endpoint is in.
		guidedShot := shot{name: name + "-guide", about: "orders in " + cluster + " through a gateway, whose cluster istiod names", style: guided(30)}
		hostShot := shot{name: name + "-host-tag", about: "orders in " + cluster + " through a gateway, told by the gateway's address alone", style: hostTag(30)}
		three.spanVia(outbound, c, guidedShot, into)
		three.spanVia(outbound, c, hostShot, into)
		callee := c
		callee.Client = three.pod([]string{"aks-northeurope/istio-eastwestgateway-n", "aks-eastus-1/istio-eastwestgateway-e", "aks-eastus-1/istio-eastwestgateway-e"}[i]).IP()
		three.spanVia(inbound, callee, shot{name: name, about: "orders in " + cluster + " is called through the gateway of its network", style: istio(28)}, into)
	}
}

// spanVia adds a span of a call whose gateway is in another cluster than the called end.
func (f family) spanVia(of encode.SpanOf, c encode.Call, s shot, via string) {
	f.span(of, c, s)
	cluster, gateway := worlds()[f.topology].Gateway(via)
	(*f.all)[len(*f.all)-1].Calls[0].Via = cluster.Name + "/" + gateway.Namespace + "/" + gateway.Name
}

// glooSpans: a trust domain for each cluster, and hosts that are no Kubernetes names.
func glooSpans(gloo family) {
	far := gloo.http("gloo-west/productpage-v1-w1", "gloo-east/reviews-v3-e1", "reviews.global", 9080)
	far = gloo.through(far, "gloo-east/istio-eastwestgateway")
	for _, minor := range []int{18, 26} {
		name := fmt.Sprintf("gloo-global-1.%d", minor)
		gloo.span(outbound, far, shot{name: name, about: "reviews.global, answered in the other cluster", style: istio(minor)})
		callee := far
		callee.Client = gloo.pod("gloo-east/istio-eastwestgateway-e1").IP()
		gloo.span(inbound, callee, shot{name: name, about: "called through the gateway; the workload has the address of another one in the caller's network", style: istio(minor)})
	}
	gloo.span(outbound, far, shot{name: "gloo-global-guide", about: "reviews.global with the guide's tags: the certificate names the cluster", style: guided(29)})
	callee := far
	callee.Client = gloo.pod("gloo-east/istio-eastwestgateway-e1").IP()
	gloo.span(inbound, callee, shot{name: "gloo-global-guide", about: "called through the gateway with the guide's tags: the caller's certificate names its cluster", style: guided(29)})
	near := gloo.http("gloo-west/productpage-v1-w1", "gloo-west/reviews-v1-w1", "reviews.global", 9080)
	gloo.span(outbound, near, shot{name: "gloo-global-local-guide", about: "reviews.global, answered in the caller's cluster", style: guided(29)})
}

// sameNameSpans: every proxy calls its cluster "Kubernetes".
func sameNameSpans(same family) {
	s := func(style encode.Style) encode.Style { style.ClusterID = "Kubernetes"; return style }
	near := same.http("aks-a/web-a", "aks-a/cart-0", cartHost, 8080)
	far := same.through(same.http("aks-a/web-a", "aks-b/cart-0", cartHost, 8080), "aks-b/istio-eastwestgateway")
	same.span(outbound, near, shot{name: "every-kubernetes-local", about: "every cluster says Kubernetes; the agent knows its own name", style: s(guided(30))})
	same.span(outbound, far, shot{name: "every-kubernetes-far", about: "every cluster says Kubernetes, also istiod of the one behind the gateway", style: s(guided(30))})
	same.span(inbound, near, shot{name: "every-kubernetes-local", about: "every cluster says Kubernetes; the agent knows its own name", style: s(istio(26))})
	callee := far
	callee.Client = same.pod("aks-b/istio-eastwestgateway-b").IP()
	same.span(inbound, callee, shot{name: "every-kubernetes-far", about: "every cluster says Kubernetes, and both have a pod cart-0 of one address", style: s(istio(26))})
	same.span(inbound, callee, shot{name: "every-kubernetes-no-agent", about: "every cluster says Kubernetes, and no agent says which: both have a pod cart-0 of one address", style: s(istio(26)), hubOnly: true})
	same.span(outbound, near, shot{name: "every-kubernetes-no-agent", about: "every cluster says Kubernetes, and no agent says which: the pod's name is in one cluster only", style: s(guided(30)), hubOnly: true})
}

// vmSpans: virtual machines.
func vmSpans(vms family) {
	oracle := vms.http("aks-westeurope/web-1", "aks-westeurope/oracle-10.1.9.7", "oracle.shop.svc.cluster.local", 1521)
	vms.span(outbound, oracle, shot{name: "vm-guide", about: "a virtual machine in the pods' network is called", style: guided(30)})
	vms.span(outbound, oracle, shot{name: "vm-host-tag", about: "a virtual machine in the pods' network is called, told by its address", style: hostTag(30)})
	back := vms.http("aks-westeurope/oracle-10.1.9.7", "aks-westeurope/web-1", "web.shop.svc.cluster.local", 8080)
	vms.span(inbound, back, shot{name: "vm-calls", about: "a virtual machine calls", style: istio(28)})
	vms.span(outbound, back, shot{name: "vm-reports", about: "the proxy of a virtual machine reports", style: guided(30), hubOnly: true})
	mainframe := vms.http("aks-westeurope/web-1", "aks-westeurope/mainframe-192.168.7.7", "mainframe.shop.svc.cluster.local", 1521)
	vms.span(outbound, mainframe, shot{name: "vm-other-network-guide", about: "a virtual machine of another network, reached without a gateway", style: guided(30)})
	vms.span(outbound, mainframe, shot{name: "vm-other-network-host-tag", about: "a virtual machine of another network, reached without a gateway, told by its address", style: hostTag(30)})
}

// dualSpans: IPv4 and IPv6.
func dualSpans(dual family) {
	six := dual.http("aks-dual/web-d", "aks-dual/cart-d", cartHost, 8080)
	six.Server = "[fd12:0:0:2::30]:8080"
	dual.span(outbound, six, shot{name: "dual-ipv6-host-tag", about: "the endpoint's IPv6 address is chosen", style: hostTag(30)})
	six.Client = "fd12:0:0:1::21"
	dual.span(inbound, six, shot{name: "dual-ipv6", about: "called from the IPv6 address of a pod whose node id has its IPv4 address", style: istio(28)})
	four := dual.http("aks-dual/web-d", "aks-dual/cart-d", cartHost, 8080)
	four.Client = "::ffff:10.244.0.21"
	dual.span(inbound, four, shot{name: "dual-mapped", about: "an IPv4 address in its IPv6 form", style: istio(28)})
}

// hostSpans: the host network, and addresses that kube-proxy translated.
func hostSpans(host family) {
	toHost := host.http("aks-host/web-h", "aks-host/node-exporter-1", "node-exporter.monitoring.svc.cluster.local", 9100)
	host.span(outbound, toHost, shot{name: "host-network-host-tag", about: "a pod in the host network is called: the address is its node's", style: hostTag(30)})
	host.span(outbound, toHost, shot{name: "host-network-guide", about: "a pod in the host network is called, which istiod names", style: guided(30)})
	fromHost := host.http("aks-host/node-exporter-1", "aks-host/cart-h", cartHost, 8080)
	host.span(inbound, fromHost, shot{name: "host-network-calls", about: "a pod in the host network calls: the address is its node's", style: istio(28)})
	snat := host.http("aks-host/web-h", "aks-host/cart-h", cartHost, 8080)
	snat.Client = "10.1.0.4"
	host.span(inbound, snat, shot{name: "snat", about: "kube-proxy put the node's address in the place of the caller's", style: istio(28)})
	host.span(inbound, snat, shot{name: "snat-guide", about: "kube-proxy put the node's address in the place of the caller's; the certificate names the caller's account", style: guided(30)})
	gateway := host.http("aks-host/istio-ingressgateway-h", "aks-host/cart-h", cartHost, 8080)
	gateway.Client = outside
	host.span(encode.SpanOf{Role: encode.IngressGateway}, gateway, shot{name: "host-network", about: "an ingress gateway in the host network reports", style: guided(30)})
	gateway.Client = ""
	host.span(inbound, gateway, shot{name: "host-network-gateway-calls", about: "an ingress gateway in the host network calls", style: istio(28)})
}

// reuseSpans: an address that one pod gave up and another one got.
func reuseSpans(reuse family) {
	turn := &then{Topology: "ip-reuse-after", From: noon.Add(-10 * time.Second), To: noon.Add(10 * time.Second)}
	for _, when := range []struct {
		name, to, host string
		at             time.Duration
	}{
		{"before", "aks-reuse/cart-r1", cartHost, -time.Minute},
		{"while-it-changed-hands", "aks-reuse/cart-r1", cartHost, -time.Second},
		{"after", "aks-reuse/stock-r1", "stock.shop.svc.cluster.local", time.Minute},
	} {
		c := reuse.http("aks-reuse/web-r", when.to, when.host, 8080)
		c.At = noon.Add(when.at)
		reuse.span(outbound, c, shot{name: "address-reused-" + when.name, about: "10.244.0.30 is called, which changed hands: " + when.name, style: hostTag(30), then: turn})
		back := reuse.http(when.to, "aks-reuse/web-r", "web.shop.svc.cluster.local", 8080)
		back.At = c.At
		reuse.span(inbound, back, shot{name: "address-reused-" + when.name, about: "10.244.0.30 calls, which changed hands: " + when.name, style: istio(28), then: turn})
	}
}

// unmarkedSpans: a gateway between the networks that the topology takes for a workload.
func unmarkedSpans(f family) {
	c := f.through(f.http("aks-west/web-w", "aks-north/cart-n", cartHost, 8080), "aks-north/istio-eastwestgateway")
	f.span(outbound, c, shot{name: "unmarked-gateway-host-tag", about: "the address is that of a gateway nobody told of", style: hostTag(30)})
	f.span(outbound, c, shot{name: "unmarked-gateway-guide", about: "a gateway nobody told of, and istiod's metadata", style: guided(30)})
	c.Client = f.pod("aks-north/istio-eastwestgateway-n").IP()
	f.span(inbound, c, shot{name: "unmarked-gateway", about: "called from the address of a gateway that nobody marked as one", style: istio(26)})
	f.span(inbound, c, shot{name: "unmarked-gateway-guide", about: "called from the address of a gateway that nobody marked as one, with the guide's tags", style: guided(30)})
	f.als(encode.SidecarInbound, c, shot{name: "unmarked-gateway", about: "called from the address of a gateway that nobody marked as one", style: istio(26)})
	passed := c
	passed.Protocol, passed.Proxy, passed.Client = "TCP", f.pod("aks-north/istio-eastwestgateway-n"), ""
	f.als(encode.EastWestGateway, passed, shot{name: "unmarked-gateway", about: "a gateway that nobody marked passes a connection on: the caller's address is another network's", style: istio(26)})
}
