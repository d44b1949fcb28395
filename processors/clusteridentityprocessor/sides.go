// SPDX-License-Identifier: Apache-2.0

package clusteridentityprocessor

import (
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
)

// side says at which end of the call the reporter is, by the strongest evidence, as the mesh_topology processor judges it:
// what a ztunnel logs or an Istio metric says, what the proxy is, where it sent the call, the span's kind. Where two of one
// strength disagree it is at both ends, so that either claim is compared.
func (i *item) side() side {
	if i.sent != "" {
		i.sentTo(i.sent)
	}
	for _, at := range [...]side{i.ztunnel, i.label} {
		if at != 0 {
			return at
		}
	}
	if i.carrier {
		return carrier
	}
	if i.flow != 0 {
		return i.flow
	}
	return i.kind
}

// node reads the id of the proxy. A sidecar's says nothing of the side.
func (i *item) node(id string) {
	kind, _, ok := strings.Cut(id, "~")
	if !ok {
		return
	}
	switch kind {
	case "router", "waypoint", "agentgateway", "ztunnel":
		i.carrier = true
	}
}

// reporter reads the label of an Istio metric.
func (i *item) reporter(word string) {
	switch word {
	case "source":
		i.label |= sourceSide
	case "destination":
		i.label |= destinationSide
	case "waypoint":
		i.carrier = true
	}
}

// direction reads which side a ztunnel logs.
func (i *item) direction(word string) {
	switch word {
	case "outbound":
		i.ztunnel |= sourceSide
	case "inbound":
		i.ztunnel |= destinationSide
	}
}

// upstream notes the Envoy cluster that the call went to, which is read only if the side matters.
func (i *item) upstream(name string) {
	if i.sent != "" && i.sent != name {
		i.sentTo(i.sent)
	}
	i.sent = name
}

func (i *item) sentTo(name string) {
	if strings.HasPrefix(name, "outbound_.") {
		// Named as a server name: an east/west gateway.
		i.carrier = true
		return
	}
	// A name in none of Istio's forms has no direction.
	cluster, _ := envoy.ParseClusterName(name)
	switch cluster.Direction {
	case envoy.Inbound, envoy.InboundPassthrough:
		i.flow |= destinationSide
	case envoy.InboundVIP:
		i.carrier = true
	case envoy.Outbound, envoy.Passthrough, envoy.BlackHole:
		i.flow |= sourceSide
	}
}

// originalKind reads the kind that a span had before envoy_semconv made it internal.
func (i *item) originalKind(word string) {
	switch word {
	case "client":
		i.kind |= sourceSide
	case "server":
		i.kind |= destinationSide
	}
}
