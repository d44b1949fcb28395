// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/internal/accesslog"
	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
)

// ztunnelAttributes reads the attributes of a record if they are those of ztunnel.
func (r *reading) ztunnelAttributes(attrs pcommon.Map) bool {
	if _, ok := attrs.Get(accesslog.SourceAddress.String()); !ok {
		return false
	}
	var e accesslog.Entry
	takeFields(attrs, &e)
	if !e.Ztunnel.IsAccessLog() {
		return false
	}
	r.ztunnel(&e.Ztunnel)
	return true
}

// translatedZtunnel reads the attributes that the envoy_semconv processor made of ztunnel's.
func (r *reading) translatedZtunnel(attrs pcommon.Map) {
	var z accesslog.Ztunnel
	var received, sent string
	for key, value := range attrs.All() {
		switch key {
		case "envoy.downstream.address":
			z.Set(accesslog.SourceAddress, value.Str())
		case "envoy.upstream.address", "envoy.downstream.local_address":
			z.Set(accesslog.DestinationAddress, value.Str())
		case "server.address":
			z.Set(accesslog.DestinationService, value.Str())
		case "envoy.bytes.received":
			received = scalar(value)
		case "envoy.bytes.sent":
			sent = scalar(value)
		case "envoy.connection.termination_details":
			z.Set(accesslog.ZtunnelError, value.Str())
		default:
			if name, ok := strings.CutPrefix(key, "ztunnel."); ok {
				z.Set(ztunnelFieldOf(name), value.Str())
			}
		}
	}
	if z.Get(accesslog.Direction) == "outbound" {
		received, sent = sent, received
	}
	z.Set(accesslog.ZtunnelBytesReceived, received)
	z.Set(accesslog.ZtunnelBytesSent, sent)
	if z.IsAccessLog() {
		r.ztunnel(&z)
	}
}

// ztunnelFieldOf returns the field that an attribute under "ztunnel." tells.
func ztunnelFieldOf(name string) accesslog.ZtunnelField {
	switch name {
	case "direction":
		return accesslog.Direction
	case "hbone.address":
		return accesslog.HBONETarget
	case "source.name":
		return accesslog.SourceName
	case "source.namespace":
		return accesslog.SourceNamespace
	case "source.cluster":
		return accesslog.SourceCluster
	case "source.identity":
		return accesslog.SourceIdentity
	case "destination.name":
		return accesslog.DestinationName
	case "destination.namespace":
		return accesslog.DestinationNamespace
	case "destination.cluster":
		return accesslog.DestinationCluster
	case "destination.identity":
		return accesslog.DestinationIdentity
	}
	return accesslog.ZtunnelNone
}

// ztunnel takes what a ztunnel logged. Names and identities of the called side are those of whoever has dst.addr, which
// may be a waypoint or a gateway; package rules tells by the address within the tunnel.
func (r *reading) ztunnel(z *accesslog.Ztunnel) {
	r.proxy = true
	c := &r.call
	c.Ztunnel = z.Get(accesslog.Direction)
	c.SourceTag = mesh.End{Cluster: z.Get(accesslog.SourceCluster), Namespace: z.Get(accesslog.SourceNamespace)}
	c.DestinationTag = mesh.End{Cluster: z.Get(accesslog.DestinationCluster), Namespace: z.Get(accesslog.DestinationNamespace)}
	c.SourceName, c.DestinationName = z.Get(accesslog.SourceName), z.Get(accesslog.DestinationName)
	c.PeerSAN = z.Get(accesslog.SourceIdentity)
	if z.MutualTLS() {
		c.UpstreamSAN = z.Get(accesslog.DestinationIdentity)
	}
	r.downstream = z.Get(accesslog.SourceAddress)
	r.upstreamAddress = z.Get(accesslog.DestinationAddress)
	c.DownstreamLocal = ""
	c.HBONETarget = z.Get(accesslog.HBONETarget)
	c.CalledHost = z.Get(accesslog.DestinationService)
}
