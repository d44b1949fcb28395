// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// source finds the calling end as a proxy at or near the called end saw it.
func (j *judge) source(v *Verdict) {
	f := finder{trace: j.trace.source()}
	h := j.caller()
	f.clue = ClueTags
	byTag := j.offerNamed(&f, mesh.ByTag, &j.call.SourceTag, j.call.SourceName, v)
	f.clue = CluePeer
	byPeer := j.offerNamed(&f, mesh.ByPeerMetadata, &j.call.DownstreamPeer, j.call.DownstreamPod, v)
	h.carrier = h.carrier || byTag.named || byPeer.named
	trusted := j.offerIdentity(&f, j.call.PeerSAN, &h)
	f.clue = ClueAddress
	j.offerCaller(&f, &h, v)
	if trusted != nil && !f.by.Known() {
		f.clue = ClueTrustDomain
		whole := trusted.End()
		f.offerKnown(mesh.ByTrustDomain, &whole, trusted)
	}
	v.Source, v.SourceBy = f.result()
	v.SourceConflict = v.SourceConflict || f.conflict
	v.staleSource = f.stale
}

// caller looks the address up that the call came from.
func (j *judge) caller() hop {
	a, ok := j.downstreamAddress()
	if !ok {
		return hop{why: mesh.UnknownNoAddress}
	}
	if j.network == "" {
		return hop{why: mesh.UnknownNoNetwork}
	}
	if g, ok := j.at.OwnGateway(j.network, a.ip); ok {
		h := j.hopOfGateway(g)
		if j.near.NodeType == "sidecar" && h.principal != "" && h.principal == j.call.PeerSAN {
			// A call that is forwarded by its server name keeps the caller's certificate, so with its own the gateway is the
			// caller: it is the ingress gateway too.
			if pod, how := j.at.ByAddress(j.network, a.ip); how == topology.Found {
				return hop{pod: pod}
			}
		}
		return h
	}
	if _, ok := j.at.NodeAt(j.network, a.ip); ok {
		return hop{why: mesh.UnknownNodeAddress}
	}
	if j.near.EastWest != nil && j.eastWest() || j.passesThrough() {
		// Callers of this gateway are in other networks, so their addresses mean nothing in this one, where they may be
		// those of other pods.
		return hop{why: mesh.UnknownCrossNetwork}
	}
	pod, how := j.at.ByAddress(j.network, a.ip)
	if how == topology.Found {
		return hopOf(pod)
	}
	if why := unnamedHolder(how); why != mesh.UnknownNoEvidence {
		return hop{why: why}
	}
	return hop{why: mesh.UnknownAddressNotFound}
}

// downstreamAddress returns the address that the call came from. That of a listener within the proxy names where the tunnel
// led, which is the called end's.
func (j *judge) downstreamAddress() (address, bool) {
	if internalAddress(j.call.DownstreamAddress) {
		return address{}, false
	}
	return parseAddress(j.call.DownstreamAddress, 0)
}

// offerCaller takes what the address tells.
func (j *judge) offerCaller(f *finder, h *hop, v *Verdict) {
	f.looked(j.call.DownstreamAddress, j.network)
	if h.pod == nil {
		if h.via != "" {
			v.Via = h.via
		}
		f.reason(h.why)
		return
	}
	end := h.pod.End()
	f.offerKnown(mesh.ByIP, &end, h.pod.Workload.Cluster)
	if f.conflict {
		f.reason(mesh.UnknownConflict)
	}
}

// identity reads a SPIFFE id: one of Istio's form tells the principal and the namespace, and each the cluster if exactly one
// cluster has the trust domain. What the topology knows as principals are of that form alone, so another is not set beside
// them.
func (j *judge) identity(san string) (end mesh.End, cluster *topology.Cluster) {
	id, err := envoy.ParseSPIFFE(san)
	if err != nil || strings.IndexByte(san, ',') >= 0 {
		// A certificate with two identities proves neither.
		return end, nil
	}
	if id.Namespace != "" {
		end.Principal, end.Namespace = san, id.Namespace
	}
	if c, ok := j.at.TrustDomain(id.TrustDomain); ok {
		cluster = c
	}
	return end, cluster
}
