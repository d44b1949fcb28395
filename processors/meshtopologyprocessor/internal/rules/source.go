// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
)

// source finds the calling end as a proxy at or near the called end saw it.
func (j *judge) source(v *Verdict) {
	var f finder
	f.offer(mesh.ByTag, believed(j.s, &j.call.SourceTag))
	normalizeZone(&j.call.DownstreamPeer)
	if gateway, ok := j.gatewayWorkload(&j.call.DownstreamPeer); ok {
		// Some versions name the east/west gateway as the peer. It is not: it carried the call.
		v.Via = gateway
		f.reason(mesh.UnknownBehindGateway)
	} else {
		f.offer(mesh.ByPeerMetadata, believed(j.s, &j.call.DownstreamPeer))
	}
	identity, trustCluster := j.identity(j.call.PeerSAN)
	f.offer(mesh.ByTrustDomain, &identity)
	j.sourceByAddress(&f, v)
	if trustCluster.Cluster != "" && !f.by.Known() {
		f.offer(mesh.ByTrustDomain, &trustCluster)
	}
	v.Source, v.SourceBy = f.result()
	v.SourceConflict = v.SourceConflict || f.conflict
}

// sourceByAddress looks the address up that the call came from.
func (j *judge) sourceByAddress(f *finder, v *Verdict) {
	a, ok := parseAddress(j.call.DownstreamAddress, 0)
	if !ok {
		f.reason(mesh.UnknownNoAddress)
		return
	}
	if j.network == "" {
		f.reason(mesh.UnknownNoNetwork)
		return
	}
	if g, ok := j.s.OwnGateway(j.network, a.ip); ok {
		v.Via = g.ID
		f.reason(mesh.UnknownBehindGateway)
		return
	}
	if _, ok := j.s.NodeAt(j.network, a.ip); ok {
		f.reason(mesh.UnknownNodeAddress)
		return
	}
	if j.near.EastWest != nil || j.passesThrough() {
		// Callers of this gateway are in other networks, so their addresses mean nothing in this one, where they may be
		// those of other pods.
		f.reason(mesh.UnknownCrossNetwork)
		return
	}
	if pod, ok := j.s.ByAddress(j.network, a.ip); ok {
		end := pod.End()
		f.offer(mesh.ByIP, &end)
		if f.conflict {
			f.reason(mesh.UnknownConflict)
		}
		return
	}
	f.reason(mesh.UnknownAddressNotFound)
}

// identity reads a SPIFFE id: it always tells the principal and the namespace, and the cluster only if exactly one
// cluster has the trust domain.
func (j *judge) identity(san string) (end, cluster mesh.End) {
	id, err := envoy.ParseSPIFFE(san)
	if err != nil {
		return end, cluster
	}
	end.Principal, end.Namespace = san, id.Namespace
	if c, ok := j.s.TrustDomain(id.TrustDomain); ok {
		cluster = c.End()
	}
	return end, cluster
}

// gatewayWorkload returns the id of the east/west gateway that the end is, if it is one.
func (j *judge) gatewayWorkload(end *mesh.End) (id string, ok bool) {
	if end.Workload == "" {
		return "", false
	}
	w, ok := j.s.Workload(end.Cluster, end.Namespace, end.Workload)
	if !ok || w.EastWest == nil {
		return "", false
	}
	return w.EastWest.ID, true
}
