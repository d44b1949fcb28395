// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"fmt"

	"github.com/otelcol-mesh/otelcol-mesh/test/corpus/internal/encode"
)

// The pods of ambient.yaml.
const (
	ambientPage     = "aks-ambient-west/productpage-v1-564d-aaaaa"
	ambientReviews  = "aks-ambient-west/reviews-v1-6d5f-aaaaa"
	ambientNorth    = "aks-ambient-north/reviews-v3-7fdb-ccccc"
	waypointWest    = "aks-ambient-west/waypoint-6cf9-aaaaa"
	waypointNorth   = "aks-ambient-north/waypoint-6cf9-ccccc"
	ztunnelWest     = "aks-ambient-west/ztunnel-aaaaa"
	ztunnelWest2    = "aks-ambient-west/ztunnel-bbbbb"
	ztunnelNorth    = "aks-ambient-north/ztunnel-ccccc"
	ambientIntoWest = "aks-ambient-west/istio-eastwest"
	ambientInto     = "aks-ambient-north/istio-eastwest"
)

var (
	waypoint         = encode.SpanOf{Role: encode.Waypoint}
	waypointUpstream = encode.SpanOf{Role: encode.Waypoint, Upstream: true}
)

// ambientFamilies are meshes without sidecars. Waypoints and ztunnels carry calls; they are no ends of them.
func ambientFamilies(of func(string) family) {
	amb := of("ambient")
	near := amb.http(ambientPage, ambientReviews, reviewsHost, 9080)
	near.Waypoint = amb.pod(waypointWest)
	at := near
	at.Proxy = amb.pod(waypointWest)
	for _, minor := range []int{22, 26, 28, 29, 30, 31} {
		about := fmt.Sprintf("productpage calls reviews through the waypoint; Istio 1.%d", minor)
		amb.span(waypoint, at, shot{name: fmt.Sprintf("request-1.%d", minor), about: about, style: istio(minor)})
	}
	for _, minor := range []int{26, 30} {
		amb.span(waypointUpstream, at, shot{name: fmt.Sprintf("upstream-1.%d", minor), about: fmt.Sprintf("the waypoint's call to reviews; Istio 1.%d", minor), style: istio(minor)})
	}
	amb.span(waypoint, at, shot{name: "request-guide", about: "productpage calls reviews through the waypoint, with the guide's tags", style: guided(30)})
	same := istio(30)
	same.ClusterID = "Kubernetes"
	amb.span(waypoint, at, shot{name: "request-every-kubernetes", about: "the waypoint's tags say Kubernetes for both clusters", style: same})
	far := amb.http(ambientPage, ambientNorth, reviewsHost, 9080)
	far = amb.through(far, ambientInto)
	far.Proxy = amb.pod(waypointNorth)
	far.Client, far.Server = amb.pod("aks-ambient-north/istio-eastwest-5f7c-ccccc").IP(), amb.pod(ambientNorth).IP()+":9080"
	amb.span(waypoint, far, shot{name: "other-region-1.30", about: "the waypoint of the called region, behind the gateway", style: istio(30)})
	amb.span(waypoint, far, shot{name: "other-region-1.26", about: "the waypoint of the called region, behind the gateway, without tags about the ends", style: istio(26)})
	double := amb.through(amb.http(ambientPage, ambientNorth, reviewsHost, 9080), ambientInto)
	double.Proxy, double.Waypoint = amb.pod(waypointWest), amb.pod(waypointWest)
	for _, style := range []encode.Style{istio(27), istio(31), guided(31)} {
		name := "other-region-tunnel-" + encode.Version(style.Istio)
		if style.Guide {
			name += "-guide"
		}
		amb.span(waypoint, double, shot{name: name, about: "the caller's waypoint sends to the other region, in a tunnel within a tunnel", style: style})
		amb.als(encode.Waypoint, double, shot{name: name, about: "the caller's waypoint sends to the other region, in a tunnel within a tunnel", style: style})
	}
	unhealthy := at
	unhealthy.To, unhealthy.Server, unhealthy.Status, unhealthy.Flags = nil, "-", 503, "UH"
	amb.span(waypoint, unhealthy, shot{name: "failure-UH", about: "reviews has no healthy endpoint behind the waypoint", style: istio(30), failure: "UH"})
	for _, style := range []encode.Style{istio(26), peers(26), peers(30)} {
		name := fmt.Sprintf("request-1.%d", style.Istio)
		if style.Peers {
			name += "-peers"
		}
		amb.als(encode.Waypoint, at, shot{name: name, about: "productpage calls reviews through the waypoint", style: style})
	}
	amb.otlp(encode.Waypoint, at, shot{name: "request", about: "productpage calls reviews through the waypoint", style: istio(26)}, false)
	amb.otlp(encode.Waypoint, at, shot{name: "request", about: "productpage calls reviews through the waypoint", style: guided(30)}, true)
	amb.metric(encode.Waypoint, encode.ByWaypoint, at, shot{name: "request", about: "the waypoint counts productpage's call to reviews", style: istio(30)})
	amb.metric(encode.Waypoint, encode.ByWaypoint, unhealthy, shot{name: "failure-UH", about: "reviews has no healthy endpoint behind the waypoint", style: istio(30), failure: "UH"})
	ztunnelMetrics(amb)
	ztunnelLogs(amb)
}

func ztunnelMetrics(amb family) {
	direct := amb.http(ambientPage, ambientReviews, reviewsHost, 9080)
	direct.Protocol, direct.Proxy = "TCP", amb.pod(ztunnelWest)
	for _, minor := range []int{22, 25, 30} {
		amb.metric(encode.Ztunnel, encode.Source, direct, shot{name: fmt.Sprintf("source-1.%d", minor), about: "the caller's ztunnel counts a connection", style: istio(minor)})
	}
	callee := direct
	callee.Proxy = amb.pod(ztunnelWest2)
	amb.metric(encode.Ztunnel, encode.Destination, callee, shot{name: "destination-1.30", about: "the called pod's ztunnel counts a connection", style: istio(30)})
	far := amb.through(amb.http(ambientPage, ambientNorth, reviewsHost, 9080), ambientInto)
	far.Protocol, far.Proxy = "TCP", amb.pod(ztunnelNorth)
	amb.metric(encode.Ztunnel, encode.Destination, far, shot{name: "other-region", about: "the called pod's ztunnel counts a connection from the other region", style: istio(30)})
	unknown := amb.http(ambientPage, "", reviewsHost, 9080)
	unknown.To = amb.pod(ambientNorth)
	unknown = amb.through(unknown, ambientInto)
	unknown.Protocol, unknown.Proxy = "TCP", amb.pod(ztunnelWest)
	amb.ztunnelUnknown(unknown, shot{name: "other-region-unknown", about: "the caller's ztunnel does not know who answered in the other region (istio#58476)", style: istio(30)})
}

// ztunnelUnknown adds a sample whose labels know nothing of the called end.
func (f family) ztunnelUnknown(c encode.Call, s shot) {
	said := c
	said.To = nil
	m := f.base("metric", encode.Ztunnel, &c, &s)
	place := worlds()[f.topology].Pod(m.Items[0].Reporter)
	m.Inputs[0].Connection, m.Inputs[0].Scraped = "", place.IP()+":15020"
	f.add(m, "input.txt", "prometheus", []byte(encode.ZtunnelMetric(encode.Source, &said, &s.style)+"\n"))
}

// ztunnelLogs are lines of ztunnel's log, as a reader of log files gives them.
func ztunnelLogs(amb family) {
	line := func(outbound, failed bool) func(c *encode.Call, s *encode.Style) string {
		return func(c *encode.Call, s *encode.Style) string { return encode.ZtunnelLog(c, s, outbound, failed) }
	}
	add := func(c encode.Call, s shot, outbound, failed bool) {
		amb.lines("ztunnel_log", "lines", encode.Ztunnel, c, s, line(outbound, failed))
	}
	direct := amb.http(ambientPage, ambientReviews, reviewsHost, 9080)
	direct.Protocol = "TCP"
	out, in := direct, direct
	out.Proxy, in.Proxy = amb.pod(ztunnelWest), amb.pod(ztunnelWest2)
	for _, minor := range []int{22, 25, 30} {
		add(out, shot{name: fmt.Sprintf("outbound-1.%d", minor), about: "productpage connects to reviews", style: istio(minor)}, true, false)
		add(in, shot{name: fmt.Sprintf("inbound-1.%d", minor), about: "productpage connects to reviews", style: istio(minor)}, false, false)
	}
	toWaypoint := out
	toWaypoint.Waypoint = amb.pod(waypointWest)
	toWaypoint.Server = amb.pod(waypointWest).IP() + ":15008"
	add(toWaypoint, shot{name: "outbound-to-waypoint", about: "productpage connects to reviews, whose service has a waypoint: ztunnel sends there", style: istio(30)}, true, false)
	far := amb.through(out, ambientInto)
	far.To = amb.pod(ambientNorth)
	far.Proxy = amb.pod(ztunnelWest)
	add(far, shot{name: "outbound-to-gateway", about: "productpage connects to reviews in the other region, through its gateway", style: istio(30)}, true, false)
	behind := far
	behind.Proxy, behind.Client = amb.pod(ztunnelNorth), amb.pod("aks-ambient-north/istio-eastwest-5f7c-ccccc").IP()
	add(behind, shot{name: "inbound-from-gateway", about: "reviews is connected to from the other region, through its gateway", style: istio(30)}, false, false)
	failed := out
	failed.NoAnswer = true
	add(failed, shot{name: "outbound-failed", about: "reviews refuses the connection: such lines have addresses alone", style: istio(30), failure: "refused"}, true, true)
	plain := in
	plain.Plain = true
	add(plain, shot{name: "inbound-plain-text", about: "a connection without TLS", style: istio(30)}, false, false)
}
