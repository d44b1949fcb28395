// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
)

// The types of proxies, as node ids name them, that are not beside one workload.
const (
	routerType       = "router"
	agentGatewayType = "agentgateway"
	waypointType     = "waypoint"
	ztunnelType      = "ztunnel"
)

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
	if j.near.NodeType == waypointType || j.near.NodeType == ztunnelType || j.call.Ztunnel != "" || j.eastWest() {
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
	if j.near.isGateway() {
		return calledFromHere
	}
	if j.calledByOwn() {
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
	if a, ok := parseAddress(j.call.DownstreamLocal, 0); ok && j.own(a.ip) {
		return calledHere
	}
	return unclear
}

// calledByOwn says whether the call came from the reporter's own address: from the application beside it.
func (j *judge) calledByOwn() bool {
	a, ok := j.downstreamAddress()
	return ok && j.own(a.ip)
}

// isGateway says whether the reporter is a gateway at the edge of the mesh, or may be one.
func (n *Near) isGateway() bool { return n.NodeType == routerType || n.NodeType == agentGatewayType }

// Between says whether the reporter stands between others: calls come to it and go on from it.
func (n *Near) Between() bool { return n.isGateway() || n.NodeType == waypointType }

// sniPort is where Istio's east/west gateways receive calls that they forward by their server names (istio/istio
// manifests, AUTO_PASSTHROUGH). Istio uses the port for nothing else.
const sniPort = 15443

// hbonePort is where tunnels are received: by ztunnels and waypoints as well as by the east/west gateways of ambient
// meshes, so that it tells a gateway only where the reporter is known to be one.
const hbonePort = 15008

// eastWest says whether the reporter carried this call as an east/west gateway. One workload may be that and the ingress
// gateway too, so what it is in the topology does not tell alone: it makes spans only as the ingress gateway, and it sends
// only other calls to clusters whose names have pipes.
func (j *judge) eastWest() bool {
	if j.passesThrough() {
		return true
	}
	g := j.near.EastWest
	if g == nil && !j.near.isGateway() {
		return false
	}
	local, known := parseAddress(j.call.DownstreamLocal, 0)
	if g == nil {
		return known && local.port == sniPort
	}
	if j.call.Kind != OtherKind || (j.upstream.Direction == envoy.Outbound && strings.Contains(j.call.UpstreamCluster, "|")) {
		return false
	}
	return !known || local.port == 0 || g.Port == 0 || local.port == g.Port || local.port == sniPort || local.port == hbonePort
}

// passesThrough says whether the call was forwarded by its server name, which only east/west gateways do: their
// clusters are named in the form of a server name.
func (j *judge) passesThrough() bool {
	return strings.HasPrefix(j.call.UpstreamCluster, "outbound_.")
}

// atGateway judges a call that a gateway at the edge of the mesh made. Where a part of the mesh called the gateway, as a
// workload does an egress gateway, that is the calling end and the gateway is in the middle of the call. Else the call
// entered the mesh here, and the gateway is the first of it that is known.
func (j *judge) atGateway() (v Verdict) {
	var far Verdict
	j.source(&far)
	if far.SourceBy == mesh.ByIP && j.call.PeerSAN == "" && !j.externalHost() {
		// A client outside of the mesh may have an address that is a pod's too: ranges of pods are used elsewhere again. Who
		// calls a gateway to leave the mesh is within it.
		far.Source, far.SourceBy = mesh.End{}, mesh.UnknownAmbiguous
		j.trace.source().retract()
		j.trace.source().note(ClueAddress, "dropped: a client outside of the mesh may have a pod's address too, and only a certificate would tell them apart")
	}
	stamped := &j.call.Stamped
	// An agent knows the pods of one node, and takes the gateway for the first of the mesh where its caller is on another.
	hasty := stamped.SourceBy == j.near.By && stamped.Source.Cluster == j.near.End.Cluster && !stamped.Source.Contradicts(&j.near.End)
	switch {
	case partOfMesh(&far):
		v = far
		v.TLS = j.middleTLS()
		if hasty {
			j.trace.source().note(ClueStamped, "dropped: who found no caller took the gateway for the first of the mesh")
			corrected := *stamped
			corrected.Source, corrected.SourceBy = mesh.End{}, mesh.UnknownNoEvidence
			stamped = &corrected
		}
	case stamped.SourceBy.Known() && !hasty:
		// Somebody knew the caller, and this collector does not, or no more: that nothing was found is no evidence.
		v.Source, v.SourceBy = stamped.Source, stamped.SourceBy
		v.TLS = j.middleTLS()
	case j.leavesMesh(far.SourceBy) && !hasty:
		v.SourceBy = far.SourceBy
	default:
		j.nearSource(&v)
		v.TLS = j.outboundTLS()
	}
	j.destination(&v)
	v.finishTraced(j.at, stamped, j.trace)
	return v
}

// leavesMesh says whether the gateway sent the call out of the mesh and nothing tells who called it: then it may be an
// egress gateway, which is no end, as well as an ingress gateway, which is.
func (j *judge) leavesMesh(why mesh.Resolution) bool {
	switch why {
	case mesh.UnknownAddressNotFound, mesh.UnknownNoAddress, mesh.UnknownNoNetwork:
		return j.externalHost()
	}
	return false
}

// partOfMesh says whether the evidence about a gateway's caller says that it is a part of the mesh, be it known which or
// not. An address that is nobody's, or a node's, is what load balancers and callers from outside have.
func partOfMesh(far *Verdict) bool {
	if far.SourceBy.Known() || far.Source != (mesh.End{}) {
		return true
	}
	switch far.SourceBy {
	case mesh.UnknownAddressAmbiguous, mesh.UnknownTopologyGap, mesh.UnknownBehindGateway, mesh.UnknownCrossNetwork,
		mesh.UnknownConflict, mesh.UnknownAmbiguous:
		return true
	}
	return false
}
