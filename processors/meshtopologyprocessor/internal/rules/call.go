// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"net/netip"

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

// Call is what one span or log record says of a call. Strings are as they stand in the telemetry. It is comparable: equal
// calls are judged equally for equal reporters at one time.
type Call struct {
	Kind Kind
	// UpstreamCluster is the Envoy cluster the call went to.
	UpstreamCluster string
	// UpstreamAddress is the address of the endpoint the proxy chose; UpstreamPort if it stands apart, else 0.
	UpstreamAddress string
	UpstreamPort    uint16
	// Attempt says that the span is about one attempt to send a request on, of which Istio's gateways and waypoints write
	// spans apart. Sidecars do so only where their owner told them to.
	Attempt bool
	// UpstreamMayBeOwn says that the address stands under a name that some spans use for the caller.
	UpstreamMayBeOwn bool
	// NoHost says that the item names the endpoint as "-", so that none was chosen. An item without the name says nothing.
	NoHost bool
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
	// SourceName and DestinationName are the pods that the tags name. Those of ztunnel may be a workload instead.
	SourceName, DestinationName string
	// UpstreamPeer and DownstreamPeer are what the proxies told each other, UpstreamPod and DownstreamPod the pods that
	// they named.
	UpstreamPeer, DownstreamPeer mesh.End
	UpstreamPod, DownstreamPod   string
	// PeerSAN is the identity in the certificate of the downstream peer, UpstreamSAN that of the upstream's.
	PeerSAN, UpstreamSAN string
	// PlainText says that the connection the call came on is known to have had no TLS.
	PlainText bool
	// NoUpstream says that the response flags tell that no endpoint was chosen, see [NoUpstream].
	NoUpstream bool
	// Ztunnel is the direction that a ztunnel logged, "inbound" or "outbound"; empty for other reporters.
	Ztunnel string
	// HBONETarget is what a ztunnel asked the other side of the tunnel for, "ip:port" or "host:port".
	HBONETarget string
	// CalledHost is the host of the called service, where it stands apart from the cluster's name.
	CalledHost string
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
// must hold at that time, see [Near.Holds]. It does not allocate.
func Judge(at topology.View, near *Near, c *Call) Verdict { return JudgeTraced(at, near, c, nil) }

// JudgeTraced is [Judge] that also records what was tried in the trace; nil records nothing and costs nothing.
func JudgeTraced(at topology.View, near *Near, c *Call, trace *Trace) Verdict {
	j := judgeOf(at, near, c)
	j.trace = trace
	var v Verdict
	role := j.role()
	trace.begin(role, &j)
	switch role {
	case calledHere:
		j.nearDestination(&v)
		j.source(&v)
		v.TLS = j.inboundTLS()
	case calledFromHere:
		if near.isGateway() || (near.NodeType == "" && c.Attempt) {
			return j.atGateway()
		}
		j.nearSource(&v)
		j.destination(&v)
		v.TLS = j.outboundTLS()
	case carriedHere:
		j.source(&v)
		j.destination(&v)
		j.carriedBy(&v)
	default:
		v.SourceBy, v.DestinationBy = mesh.UnknownNoEvidence, mesh.UnknownNoEvidence
	}
	v.finishTraced(at, &c.Stamped, trace)
	return v
}

// nearSource makes the reporter the calling end.
func (j *judge) nearSource(v *Verdict) {
	v.Source, v.SourceBy, v.SourceConflict, v.staleSource = j.near.End, j.near.By, j.near.Conflict, j.near.Stale
	j.trace.source().near(j.near)
}

// nearDestination makes the reporter the called end.
func (j *judge) nearDestination(v *Verdict) {
	v.Destination, v.DestinationBy, v.DestinationConflict, v.staleDestination = j.near.End, j.near.By, j.near.Conflict, j.near.Stale
	j.trace.destination().near(j.near)
}

// carriedBy says through which east/west gateway the call went, if the reporter is one, and what it knows of TLS.
func (j *judge) carriedBy(v *Verdict) {
	switch {
	case j.near.EastWest != nil && j.eastWest():
		v.Via = j.near.EastWest.ID
	case j.eastWest():
		v.Via = unnamedGateway
	}
	switch {
	case j.call.Ztunnel != "":
		v.TLS = j.ztunnelTLS()
	case j.near.NodeType == waypointType:
		v.TLS = j.inboundTLS()
	}
}

// judge holds what the rules about one call share.
type judge struct {
	at       topology.View
	near     *Near
	call     *Call
	upstream envoy.ClusterName
	network  string
	trace    *Trace
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

// own says whether the address is the reporter's. A pod may have one of each family, and its node id one alone.
func (j *judge) own(ip netip.Addr) bool {
	return ip == j.near.Address || (j.near.Pod != nil && j.at.HasAddress(j.near.Pod, ip))
}
