// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// source finds the calling end as a proxy at or near the called end saw it.
func (j *judge) source(v *Verdict) {
	var f finder
	f.offer(mesh.ByTag, believed(j.at, &j.call.SourceTag))
	normalizeZone(&j.call.DownstreamPeer)
	if gateway, ok := j.gatewayWorkload(&j.call.DownstreamPeer); ok {
		// Some versions name the east/west gateway as the peer. It is not: it carried the call.
		v.Via = gateway
		f.reason(mesh.UnknownBehindGateway)
	} else {
		f.offer(mesh.ByPeerMetadata, believed(j.at, &j.call.DownstreamPeer))
	}
	identity, trusted := j.identity(j.call.PeerSAN)
	f.offer(mesh.ByTrustDomain, &identity)
	j.sourceByAddress(&f, v)
	if trusted != nil && !f.by.Known() {
		whole := trusted.End()
		f.offerKnown(mesh.ByTrustDomain, &whole, trusted)
	}
	v.Source, v.SourceBy = f.result()
	v.SourceConflict = v.SourceConflict || f.conflict
	v.staleSource = f.stale
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
	if g, ok := j.at.OwnGateway(j.network, a.ip); ok {
		v.Via = g.ID
		f.reason(mesh.UnknownBehindGateway)
		return
	}
	if _, ok := j.at.NodeAt(j.network, a.ip); ok {
		f.reason(mesh.UnknownNodeAddress)
		return
	}
	if j.near.EastWest != nil || j.passesThrough() {
		// Callers of this gateway are in other networks, so their addresses mean nothing in this one, where they may be
		// those of other pods.
		f.reason(mesh.UnknownCrossNetwork)
		return
	}
	pod, how := j.at.ByAddress(j.network, a.ip)
	if how == topology.Found {
		end := pod.End()
		f.offerKnown(mesh.ByIP, &end, pod.Workload.Cluster)
		if f.conflict {
			f.reason(mesh.UnknownConflict)
		}
		return
	}
	f.reason(unnamedHolder(how))
	f.reason(mesh.UnknownAddressNotFound)
}

// identity reads a SPIFFE id: it always tells the principal and the namespace, and the cluster only if exactly one
// cluster has the trust domain.
func (j *judge) identity(san string) (end mesh.End, cluster *topology.Cluster) {
	id, err := envoy.ParseSPIFFE(san)
	if err != nil {
		return end, nil
	}
	end.Principal, end.Namespace = san, id.Namespace
	if c, ok := j.at.TrustDomain(id.TrustDomain); ok {
		cluster = c
	}
	return end, cluster
}

// gatewayWorkload returns the id of the east/west gateway that the end is, if it is one.
func (j *judge) gatewayWorkload(end *mesh.End) (id string, ok bool) {
	if end.Workload == "" {
		return "", false
	}
	w, ok := j.at.Workload(end.Cluster, end.Namespace, end.Workload)
	if !ok || w.EastWest == nil {
		return "", false
	}
	return w.EastWest.ID, true
}
