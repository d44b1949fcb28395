// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"net/netip"
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// Kind is the kind of a span; log records have none.
type Kind uint8

// The kinds of spans that tell a direction.
const (
	OtherKind Kind = iota
	ServerKind
	ClientKind
)

// Call is what one span or log record says of a call. Strings are as they stand in the telemetry.
type Call struct {
	Kind Kind
	// UpstreamCluster is the Envoy cluster the call went to.
	UpstreamCluster string
	// UpstreamAddress is the address of the endpoint the proxy chose; UpstreamPort if it stands apart, else 0.
	UpstreamAddress string
	UpstreamPort    uint16
	// UpstreamMayBeOwn says that the address stands under a name that some spans use for the caller.
	UpstreamMayBeOwn bool
	// DownstreamAddress is the address the call came from.
	DownstreamAddress string
	// DownstreamLocal is the address the call was received on.
	DownstreamLocal string
	// SNI is the server name of the TLS handshake.
	SNI string
	// EndpointMetadata is istiod's metadata of the chosen endpoint.
	EndpointMetadata string
	// SourceTag and DestinationTag are what tags of the proxy say of the two ends.
	SourceTag, DestinationTag mesh.End
	// UpstreamPeer and DownstreamPeer are what the proxies told each other.
	UpstreamPeer, DownstreamPeer mesh.End
	// PeerSAN is the identity in the certificate of the downstream peer.
	PeerSAN string
	// PlainText says that the connection the call came on is known to have had no TLS.
	PlainText bool
	// NoUpstream says that the response flags tell that no endpoint was chosen, see [NoUpstream].
	NoUpstream bool
	// Stamped is what an earlier mesh_topology processor said.
	Stamped Verdict
}

// Verdict is who called whom.
type Verdict struct {
	Source, Destination     mesh.End
	SourceBy, DestinationBy mesh.Resolution
	// Via is the id of the east/west gateway that carried the call; empty if none did or nothing tells.
	Via string
	// TLS is mesh.TLSMutual, mesh.TLSNone or mesh.TLSUnknown; empty in a Verdict that was not judged.
	TLS string
	// SourceConflict and DestinationConflict say that two pieces of evidence excluded each other.
	SourceConflict, DestinationConflict bool
	// Stale says that an end was told by what is known of a cluster that nobody confirms any more.
	Stale bool

	// staleSource and staleDestination say so of each end until [Verdict.finish].
	staleSource, staleDestination bool
}

// Judge says who called whom in one span or access log record of a proxy, by the topology at the time of the call. near
// must hold at that time, see [Near.Holds].
func Judge(at topology.View, near *Near, c *Call) Verdict {
	j := judgeOf(at, near, c)
	var v Verdict
	switch j.role() {
	case calledHere:
		v.Destination, v.DestinationBy, v.DestinationConflict = near.End, near.By, near.Conflict
		v.staleDestination = near.Stale
		j.source(&v)
		v.TLS = j.inboundTLS()
	case calledFromHere:
		v.Source, v.SourceBy, v.SourceConflict = near.End, near.By, near.Conflict
		v.staleSource = near.Stale
		j.destination(&v)
	case carriedHere:
		j.source(&v)
		j.destination(&v)
		switch {
		case near.EastWest != nil:
			v.Via = near.EastWest.ID
		case j.passesThrough():
			v.Via = unnamedGateway
		}
		if near.NodeType == "waypoint" {
			v.TLS = j.inboundTLS()
		}
	default:
		v.SourceBy, v.DestinationBy = mesh.UnknownNoEvidence, mesh.UnknownNoEvidence
	}
	v.finish(at, &c.Stamped)
	return v
}

// judge holds what the rules about one call share.
type judge struct {
	at       topology.View
	near     *Near
	call     *Call
	upstream envoy.ClusterName
	network  string
}

func judgeOf(at topology.View, near *Near, c *Call) judge {
	name := c.UpstreamCluster
	if name == "" && near.EastWest != nil {
		// An east/west gateway that found no cluster still says by its server name which one was wanted. Elsewhere the
		// server name is the caller's word for the call, with the caller's direction.
		name = c.SNI
	}
	// A name of the user's own tells nothing, which the zero value says.
	upstream, _ := envoy.ParseClusterName(name)
	return judge{at: at, near: near, call: c, upstream: upstream, network: near.Network()}
}

// role is what the reporter is in the call.
type role uint8

const (
	unclear        role = iota
	calledHere          // the reporter stands before the called workload
	calledFromHere      // the reporter stands behind the calling workload, or is the caller itself
	carriedHere         // the reporter is neither end: a waypoint, a ztunnel or an east/west gateway
)

// role decides by the strongest evidence: what the proxy is, where it sent the call, then the span's kind, then whose
// address the call was received on. Names of spans say nothing: they can be configured.
func (j *judge) role() role {
	if j.near.NodeType == "waypoint" || j.near.NodeType == "ztunnel" || j.near.EastWest != nil || j.passesThrough() {
		return carriedHere
	}
	switch j.upstream.Direction {
	case envoy.Inbound, envoy.InboundPassthrough:
		return calledHere
	case envoy.InboundVIP:
		return carriedHere
	case envoy.Outbound, envoy.Passthrough, envoy.BlackHole:
		return calledFromHere
	}
	if j.near.NodeType == "router" {
		return calledFromHere
	}
	switch j.call.Kind {
	case ServerKind:
		return calledHere
	case ClientKind:
		return calledFromHere
	}
	return j.roleByAddress()
}

// roleByAddress tells the two listeners of a sidecar apart when no cluster was chosen: the application calls from the
// pod's own address, and others call to it.
func (j *judge) roleByAddress() role {
	if a, ok := parseAddress(j.call.DownstreamAddress, 0); ok && j.own(a.ip) {
		return calledFromHere
	}
	if a, ok := parseAddress(j.call.DownstreamLocal, 0); ok && j.own(a.ip) {
		return calledHere
	}
	return unclear
}

// own says whether the address is the reporter's. A pod may have one of each family, and its node id one alone.
func (j *judge) own(ip netip.Addr) bool {
	return ip == j.near.Address || (j.near.Pod != nil && j.at.HasAddress(j.near.Pod, ip))
}

// passesThrough says whether the call was forwarded by its server name, which only east/west gateways do: their
// clusters are named in the form of a server name.
func (j *judge) passesThrough() bool {
	return strings.HasPrefix(j.call.UpstreamCluster, "outbound_.")
}

// inboundTLS judges the connection that the call came on. The identity of the peer proves mutual TLS. TLS without one
// is neither mutual nor none.
func (j *judge) inboundTLS() string {
	switch {
	case j.call.PeerSAN != "":
		return mesh.TLSMutual
	case j.call.PlainText:
		return mesh.TLSNone
	default:
		return mesh.TLSUnknown
	}
}
