// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"fmt"

	"github.com/otelcol-mesh/otelcol-mesh/test/corpus/internal/encode"
)

// The pods of two-networks.yaml.
const (
	productpage = "aks-westeurope/productpage-v1-564d4686f-abcde"
	details     = "aks-westeurope/details-v1-5f4d584748-abcde"
	canary      = "aks-westeurope/details-v1-canary-5d8f-abcde"
	reviewsWest = "aks-westeurope/reviews-v1-6d5f7c9b8-abcde"
	mongoWest   = "aks-westeurope/mongodb-0"
	ingressWest = "aks-westeurope/istio-ingressgateway-79788cd94-abcde"
	egressWest  = "aks-westeurope/istio-egressgateway-5c8d7f9b6-abcde"
	eastWest    = "aks-westeurope/istio-eastwestgateway-6b9f4d7c85-abcde"

	ingressNorth  = "aks-northeurope/istio-ingressgateway-79788cd94-fghjk"
	eastWestNorth = "aks-northeurope/istio-eastwestgateway-6b9f4d7c85-fghjk"
	reviewsNorth  = "aks-northeurope/reviews-v2-6f76498fc8-fghjk"
	reviewsNorth3 = "aks-northeurope/reviews-v3-7fdb8d6c5-fghjk"
	ratings       = "aks-northeurope/ratings-v1-77bdbf89bb-fghjk"
	mongoNorth    = "aks-northeurope/mongodb-0"

	reviewsSouth  = "aks-uksouth/reviews-v1-6d5f7c9b8-qrstv"
	eastWestSouth = "aks-uksouth/istio-eastwestgateway-6b9f4d7c85-qrstv"

	intoWest  = "aks-westeurope/istio-eastwestgateway"
	intoNorth = "aks-northeurope/istio-eastwestgateway"
	intoSouth = "aks-uksouth/istio-eastwestgateway"

	reviewsHost = "reviews.bookinfo.svc.cluster.local"
	detailsHost = "details.bookinfo.svc.cluster.local"
	mongoHost   = "mongodb.bookinfo.svc.cluster.local"
)

// outside is an address of the internet.
const outside = "198.51.100.7"

func istio(minor int) encode.Style { return encode.Style{Istio: minor, Names: encode.Legacy} }

// guided is a mesh with the custom tags of the guide.
func guided(minor int) encode.Style { return istio(minor).Guided() }

func named(minor int, names encode.Names) encode.Style {
	s := guided(minor)
	s.Names = names
	return s
}

var (
	outbound = encode.SpanOf{Role: encode.SidecarOutbound}
	inbound  = encode.SpanOf{Role: encode.SidecarInbound}
)

func spanFamilies(of func(string) family) {
	two := of("two-networks")
	local := two.http(productpage, details, detailsHost, 9080)
	local.Path = "/details/0"
	near := two.http(productpage, reviewsWest, reviewsHost, 9080)
	far := two.through(two.http(productpage, reviewsNorth, reviewsHost, 9080), intoNorth)

	// The same calls by the form of each version.
	for _, minor := range []int{18, 20, 22, 24, 26, 28} {
		about := fmt.Sprintf("productpage calls details beside it; Istio 1.%d, no custom tags", minor)
		two.span(outbound, local, shot{name: fmt.Sprintf("local-1.%d", minor), about: about, style: istio(minor)})
		two.span(inbound, local, shot{name: fmt.Sprintf("local-1.%d", minor), about: about, style: istio(minor)})
		about = fmt.Sprintf("productpage calls reviews in the other region through its east/west gateway; Istio 1.%d, no custom tags", minor)
		two.span(outbound, far, shot{name: fmt.Sprintf("other-region-1.%d", minor), about: about, style: istio(minor)})
		callee := far
		callee.Client = two.pod(eastWestNorth).IP()
		two.span(inbound, callee, shot{name: fmt.Sprintf("other-region-1.%d", minor), about: about, style: istio(minor)})
	}
	for _, names := range []encode.Names{encode.Legacy, encode.New, encode.Both} {
		style := named(31, names)
		two.span(outbound, near, shot{name: "other-node-guide-" + string(names), about: "productpage calls reviews on another node, with the guide's tags and attribute names " + string(names), style: style})
		two.span(inbound, near, shot{name: "other-node-guide-" + string(names), about: "reviews is called by productpage from another node, with the guide's tags and attribute names " + string(names), style: style})
		two.span(outbound, far, shot{name: "other-region-guide-" + string(names), about: "productpage calls reviews in the other region, with the guide's tags and attribute names " + string(names), style: style})
		callee := far
		callee.Client = two.pod(eastWestNorth).IP()
		two.span(inbound, callee, shot{name: "other-region-guide-" + string(names), about: "reviews is called from the other region, with the guide's tags and attribute names " + string(names), style: style})
	}
	for _, names := range []encode.Names{encode.New, encode.Both} {
		style := istio(31)
		style.Names = names
		two.span(outbound, near, shot{name: "other-node-" + string(names), about: "productpage calls reviews on another node, without custom tags, attribute names " + string(names), style: style})
		two.span(inbound, near, shot{name: "other-node-" + string(names), about: "reviews is called by productpage from another node, without custom tags, attribute names " + string(names), style: style})
	}
	hostOnly := istio(29)
	hostOnly.HostTag = true
	two.span(outbound, far, shot{name: "other-region-host-tag", about: "the tag of the upstream host alone: the address of the gateway into a network with one cluster", style: hostOnly})
	two.span(outbound, near, shot{name: "other-node-host-tag", about: "the tag of the upstream host alone: a pod's address, which is another pod's in the other network", style: hostOnly})
	workloadOnly := istio(29)
	workloadOnly.WorkloadTag = true
	two.span(outbound, far, shot{name: "other-region-workload-tag", about: "the tag of the endpoint's metadata alone: the gateway's has the cluster only", style: workloadOnly})
	two.span(outbound, near, shot{name: "other-node-workload-tag", about: "the tag of the endpoint's metadata alone", style: workloadOnly})

	spanFailures(two, local, far)
	spanKinds(two, local)
	spanEdges(two)
	otherTopologySpans(of)
}

// spanFailures are calls that go wrong.
func spanFailures(two family, local, far encode.Call) {
	for _, style := range []struct {
		suffix string
		style  encode.Style
	}{{"", istio(28)}, {"-guide", guided(30)}} {
		for _, f := range []struct {
			flags, details, about string
			status                int
			chosen, answered      bool
		}{
			{"UH", "no_healthy_upstream", "reviews has no healthy endpoint", 503, false, false},
			{"NR", "route_not_found", "no route fits", 404, false, false},
			{"NC", "cluster_not_found", "the route leads to a cluster that is not there", 503, false, false},
			{"UO", "overflow", "the circuit breaker is open", 503, false, false},
			{"UF", "upstream_reset_before_response_started{connection_failure}", "the endpoint refuses the connection", 503, true, false},
			{"URX,UF", "upstream_reset_before_response_started{connection_failure}", "the last retry failed too", 503, true, false},
			{"UT", "response_timeout", "the endpoint does not answer in time", 504, true, false},
			{"DC", "downstream_remote_disconnect", "the caller hangs up", 0, true, true},
		} {
			c := local
			c.Flags, c.Details, c.Status, c.NoAnswer = f.flags, f.details, f.status, !f.answered
			if !f.chosen {
				c.To, c.Server = nil, "-"
			}
			if f.flags == "URX,UF" {
				c.Retries = 2
			}
			name := "failure-" + shortFlag(f.flags) + style.suffix
			two.span(outbound, c, shot{name: name, about: "productpage calls details: " + f.about, style: style.style, failure: f.flags})
		}
		c := far
		c.Flags, c.Details, c.Status, c.NoAnswer = "UF", "upstream_reset_before_response_started{remote_connection_failure}", 503, true
		two.span(outbound, c, shot{name: "failure-gateway-unreachable" + style.suffix, about: "the east/west gateway into the other region cannot be reached", style: style.style, failure: "UF"})
		failover := far
		two.span(outbound, failover, shot{name: "failover" + style.suffix, about: "reviews beside productpage is gone: the call goes to the other region", style: style.style, failure: "failover"})
		retried := far
		retried.Retries = 1
		two.span(outbound, retried, shot{name: "retry-in-other-cluster" + style.suffix, about: "the first attempt beside the caller failed, the second one went to the other cluster", style: style.style, failure: "retry"})
	}
	c := local
	c.Status, c.Flags = 0, "DC"
	two.span(inbound, c, shot{name: "failure-DC", about: "productpage hangs up before details answers", style: istio(28), failure: "DC"})
	c = local
	c.Status = 500
	two.span(inbound, c, shot{name: "failure-500", about: "details answers 500", style: istio(28), failure: "500"})
	c = local
	c.Status, c.Details = 403, "rbac_access_denied_matched_policy"
	two.span(inbound, c, shot{name: "denied", about: "an authorization policy denies the call", style: istio(28), failure: "denied"})
}

func shortFlag(flags string) string {
	if len(flags) > 3 {
		return flags[:3]
	}
	return flags
}

// spanKinds are protocols other than plain requests.
func spanKinds(two family, local encode.Call) {
	grpc := local
	grpc.GRPC, grpc.Protocol, grpc.Method, grpc.Path = true, "HTTP/2", "POST", "/details.Details/Get"
	two.span(outbound, grpc, shot{name: "grpc", about: "a gRPC call", style: guided(30)})
	two.span(inbound, grpc, shot{name: "grpc", about: "a gRPC call", style: guided(30)})
	grpc.GRPCStatus, grpc.Status = 14, 200
	two.span(outbound, grpc, shot{name: "grpc-unavailable", about: "a gRPC call that is answered with UNAVAILABLE", style: guided(30), failure: "UNAVAILABLE"})
	ws := local
	ws.Status, ws.Path = 101, "/socket"
	two.span(outbound, ws, shot{name: "websocket", about: "a request that becomes a web socket", style: guided(30)})
	two.span(inbound, ws, shot{name: "websocket", about: "a request that becomes a web socket", style: istio(26)})
	mirror := two.http(productpage, reviewsWest, reviewsHost, 9080)
	mirror.Authority = "reviews-shadow:9080"
	two.span(inbound, mirror, shot{name: "mirrored", about: "a mirrored request, which the caller's proxy sends with -shadow in its authority", style: istio(28)})
	subset := two.http(productpage, reviewsWest, reviewsHost, 9080)
	subset.Subset = "v1"
	two.span(outbound, subset, shot{name: "subset", about: "a call to a subset", style: guided(31)})
	plain := local
	plain.Plain = true
	two.span(inbound, plain, shot{name: "plain-text", about: "a call without TLS between the proxies", style: istio(28)})
	zipkin := local
	for _, of := range []encode.SpanOf{{Role: encode.SidecarOutbound, Zipkin: true}, {Role: encode.SidecarInbound, Zipkin: true}} {
		two.span(of, zipkin, shot{name: "zipkin-shared-id", about: "a span that came through Zipkin, where both sides of a call share a span id", style: istio(20)})
	}
}

// spanEdges are calls that leave the mesh, come from outside, or whose other end nobody knows.
func spanEdges(two family) {
	external := two.http(productpage, "", "api.github.com", 443)
	external.Server, external.Plain = "140.82.121.6:443", true
	two.span(outbound, external, shot{name: "external-service-entry", about: "a call to a host of a ServiceEntry", style: guided(29)})
	two.span(outbound, external, shot{name: "external-service-entry-no-tags", about: "a call to a host of a ServiceEntry", style: istio(25)})
	passthrough := external
	passthrough.Cluster, passthrough.Host = "PassthroughCluster", ""
	two.span(outbound, passthrough, shot{name: "passthrough", about: "a call to an address that the mesh does not know", style: guided(29)})
	hole := passthrough
	hole.Cluster, hole.Server, hole.Status, hole.Flags = "BlackHoleCluster", "-", 502, "UH"
	two.span(outbound, hole, shot{name: "black-hole", about: "a call that the mesh does not let out", style: guided(29), failure: "BlackHole"})
	vip := two.http(productpage, reviewsWest, "", 9080)
	vip.Cluster, vip.Server, vip.Plain = "PassthroughCluster", "10.100.0.3:9080", true
	two.span(outbound, vip, shot{name: "passthrough-service-address", about: "a call past the mesh to the virtual address of reviews, behind which kube-proxy chooses", style: hostTag(29)})
	unlisted := two.http(productpage, canary, detailsHost, 9080)
	two.span(outbound, unlisted, shot{name: "unlisted-pod-guide", about: "a call to a pod that no inventory has told of yet: istiod's metadata names it", style: guided(30)})
	two.span(outbound, unlisted, shot{name: "unlisted-pod-host-tag", about: "a call to a pod that no inventory has told of yet, by its address", style: hostTag(30)})
	caller := two.http(canary, reviewsWest, reviewsHost, 9080)
	two.span(inbound, caller, shot{name: "unlisted-pod", about: "a call from a pod that no inventory has told of yet", style: istio(28)})
	two.span(outbound, caller, shot{name: "reporter-unlisted", about: "the reporter's pod is not in any inventory yet", style: guided(30)})
	undescribed := two.through(two.http(productpage, reviewsSouth, reviewsHost, 9080), intoSouth)
	two.span(outbound, undescribed, shot{name: "undescribed-cluster-guide", about: "a call into a cluster that the hub has no inventory of", style: guided(30)})
	two.span(outbound, undescribed, shot{name: "undescribed-cluster-host-tag", about: "a call into a cluster that the hub has no inventory of, by its gateway's address", style: hostTag(30)})
	south := two.http(reviewsSouth, "", "ratings.bookinfo.svc.cluster.local", 9080)
	south.To = two.pod(ratings)
	south = two.through(south, intoNorth)
	two.span(outbound, south, shot{name: "reporter-undescribed-cluster", about: "the reporter's cluster is not described: its address is another pod's elsewhere", style: guided(30), hubOnly: true})
	passthroughIn := two.http(productpage, details, detailsHost, 9081)
	passthroughIn.Cluster = "InboundPassthroughCluster"
	for _, minor := range []int{18, 29} {
		two.span(inbound, passthroughIn, shot{name: fmt.Sprintf("passthrough-1.%d", minor), about: "a call to a port of details that no service names", style: istio(minor)})
	}
	hub := two.http(productpage, reviewsWest, reviewsHost, 9080)
	two.span(outbound, hub, shot{name: "straight-to-hub", about: "proxies that send to the hub themselves", style: guided(31), hubOnly: true})
	two.span(inbound, hub, shot{name: "straight-to-hub", about: "proxies that send to the hub themselves", style: istio(28), hubOnly: true})
	newNames := named(31, encode.New)
	newNames.HostTag, newNames.WorkloadTag, newNames.Guide = false, false, false
	two.span(outbound, hub, shot{name: "straight-to-hub-new", about: "new names alone, and no agent: the one address is the caller's own", style: newNames, hubOnly: true})
	two.span(inbound, hub, shot{name: "straight-to-hub-new", about: "new names alone, and no agent", style: newNames, hubOnly: true})
	probe := two.http("", details, detailsHost, 9080)
	probe.Client, probe.Plain, probe.Path = "10.1.0.4", true, "/healthz"
	two.span(inbound, probe, shot{name: "kubelet-probe", about: "the kubelet of the node asks for the health of details", style: istio(28)})
	stranger := two.http("", reviewsWest, reviewsHost, 9080)
	stranger.Client, stranger.Plain = outside, true
	two.span(inbound, stranger, shot{name: "caller-outside", about: "somebody outside of the mesh calls reviews directly", style: istio(28)})
	two.span(inbound, stranger, shot{name: "caller-outside-guide", about: "somebody outside of the mesh calls reviews directly; no certificate", style: guided(30)})
	stateful := two.http(mongoNorth, "", mongoHost, 27017)
	stateful.To = two.pod(mongoWest)
	stateful = two.through(stateful, intoWest)
	two.span(outbound, stateful, shot{name: "same-pod-name-in-both", about: "both clusters have a pod mongodb-0: the reporter is the northern one", style: guided(30)})
	two.span(outbound, stateful, shot{name: "same-pod-name-no-cluster", about: "both clusters have a pod mongodb-0, and the span names no cluster; the agent does", style: noCluster(guided(30))})
	two.span(outbound, stateful, shot{name: "same-pod-name-no-cluster-no-agent", about: "both clusters have a pod mongodb-0, and neither span nor agent names a cluster; the address is the northern one's alone", style: noCluster(istio(20)), hubOnly: true})
}

func hostTag(minor int) encode.Style {
	s := istio(minor)
	s.HostTag = true
	return s
}

func noCluster(s encode.Style) encode.Style {
	s.ClusterID = "none"
	return s
}
