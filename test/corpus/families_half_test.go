// SPDX-License-Identifier: Apache-2.0

package corpus

import "github.com/otelcol-mesh/otelcol-mesh/test/corpus/internal/encode"

// halfFamilies are what a hub gets from a cluster that it does not know, without an agent before it: whatever fits the one
// cluster that it knows may be of another one.
func halfFamilies(of func(string) family) {
	half := of("half-described")
	called := half.http("aks-a/web-a", "aks-a/cart-0", cartHost, 8080)
	calls := half.http("aks-a/cart-0", "aks-a/web-a", "web.shop.svc.cluster.local", 8080)
	style := func(s encode.Style) encode.Style { s.ClusterID = "Kubernetes"; return s }
	bare := func(s encode.Style) encode.Style { s.ClusterID = "none"; return s }
	about := "a proxy of a cluster that the hub does not know, whose pod has the name and the address of one that it knows"
	half.span(inbound, called, shot{name: "half-described", about: about, style: style(istio(26)), hubOnly: true})
	half.span(inbound, called, shot{name: "half-described-no-cluster-id", about: about, style: bare(istio(20)), hubOnly: true})
	half.span(outbound, calls, shot{name: "half-described-guide", about: about, style: style(guided(30)), hubOnly: true})
	half.als(encode.SidecarInbound, called, shot{name: "half-described-peers", about: about + "; it names its network", style: style(peers(30)), hubOnly: true})
	half.als(encode.SidecarOutbound, calls, shot{name: "half-described", about: about + "; it names its network", style: style(istio(26)), hubOnly: true})
	half.otlp(encode.SidecarInbound, called, shot{name: "half-described", about: about, style: style(guided(30)), hubOnly: true}, true)
	half.metric(encode.SidecarOutbound, encode.Source, calls, shot{name: "half-described", about: about, style: style(istio(28)), hubOnly: true})
	half.metric(encode.SidecarInbound, encode.Destination, called, shot{name: "half-described", about: about, style: style(istio(28)), hubOnly: true})
	// With their agent, which knows its cluster's name, the same are told.
	half.span(inbound, called, shot{name: "half-described-agent", about: "the same with an agent, which knows the name of its cluster", style: style(istio(26))})
	half.metric(encode.SidecarOutbound, encode.Source, calls, shot{name: "half-described-agent", about: "the same with an agent, which knows the name of its cluster", style: style(istio(28))})
}
