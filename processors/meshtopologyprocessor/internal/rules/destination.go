// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// unnamedGateway stands in mesh.via when the call went through an east/west gateway and nothing tells which.
const unnamedGateway = "east_west"

// destination finds the called end as a proxy at or near the calling end saw it.
func (j *judge) destination(v *Verdict) {
	var f finder
	if j.upstream.Direction == envoy.BlackHole || (j.call.NoUpstream && j.call.UpstreamAddress == "") {
		f.reason(mesh.UnknownNoUpstream)
	}
	f.offer(mesh.ByTag, believed(j.at, &j.call.DestinationTag))
	normalizeZone(&j.call.UpstreamPeer)
	if gateway, ok := j.gatewayWorkload(&j.call.UpstreamPeer); ok {
		v.Via = gateway
		f.reason(mesh.UnknownBehindGateway)
	} else {
		f.offer(mesh.ByPeerMetadata, believed(j.at, &j.call.UpstreamPeer))
	}
	viaGateway := j.endpointMetadata(&f)
	j.destinationByAddress(&f, v, viaGateway)
	j.calledService(&f)
	v.Destination, v.DestinationBy = f.result()
	v.DestinationConflict = v.DestinationConflict || f.conflict
	v.staleDestination = f.stale
}

// endpointMetadata reads istiod's metadata of the chosen endpoint. An endpoint of another network is its east/west
// gateway, of which istiod tells the cluster alone.
func (j *judge) endpointMetadata(f *finder) (viaGateway bool) {
	m, err := envoy.ParseEndpointMetadata(j.call.EndpointMetadata)
	if err != nil {
		return false
	}
	f.offer(mesh.ByEndpointMetadata, believed(j.at, &mesh.End{
		Cluster: known(m.Cluster), Namespace: known(m.Namespace), Workload: known(m.Workload),
		Service: known(m.CanonicalName), Version: revision(m.Revision),
	}))
	return m.ViaGateway()
}

// destinationByAddress looks the address up that the proxy sent to: in its own network first, then among the gateways
// into other networks. A pod's address is never looked up in another network: it cannot be reached there.
func (j *judge) destinationByAddress(f *finder, v *Verdict, viaGateway bool) {
	a, ok := j.upstreamAddress()
	if !ok {
		f.reason(mesh.UnknownNoAddress)
		if viaGateway {
			v.Via = first(j.soleGateway(f.end.Cluster), unnamedGateway)
		}
		return
	}
	if j.network == "" && !viaGateway {
		f.reason(mesh.UnknownNoNetwork)
		return
	}
	if !viaGateway && j.pod(f, v, a) {
		return
	}
	if j.behindGateway(f, v, a) {
		return
	}
	if viaGateway {
		v.Via = first(j.soleGateway(f.end.Cluster), unnamedGateway)
		return
	}
	j.noPod(f, a)
}

// pod says whether the address was that of a pod in the reporter's network, be it known which or not, and takes what
// that tells. A pod of an east/west gateway is the called end only on its other ports.
func (j *judge) pod(f *finder, v *Verdict, a address) bool {
	pod, how := j.at.ByAddress(j.network, a.ip)
	if how != topology.Found {
		why := unnamedHolder(how)
		f.reason(why)
		return why != mesh.UnknownNoEvidence
	}
	if g := pod.Workload.EastWest; g != nil && (g.Port == 0 || a.port == 0 || g.Port == a.port) {
		v.Via = g.ID
		f.reason(mesh.UnknownBehindGateway)
		return true
	}
	end := pod.End()
	f.offerKnown(mesh.ByIP, &end, pod.Workload.Cluster)
	if f.conflict {
		f.reason(mesh.UnknownConflict)
	}
	return true
}

// behindGateway says whether the address is that of a gateway into another network, and takes what that tells.
func (j *judge) behindGateway(f *finder, v *Verdict, a address) bool {
	g, ambiguous, ok := j.at.Gateway(j.network, a.ip, a.port)
	if ambiguous {
		f.reason(mesh.UnknownAmbiguous)
		return false
	}
	if !ok {
		return false
	}
	v.Via = g.ID
	leads := g.Leads()
	f.offerKnown(mesh.ByGateway, &leads, g.Cluster)
	f.reason(mesh.UnknownBehindGateway)
	return true
}

// noPod notes what else the address may be.
func (j *judge) noPod(f *finder, a address) {
	if j.near.Cluster != nil {
		if svc, ok := j.at.ServiceAt(j.near.Cluster.Name, a.ip); ok {
			f.offer(mesh.ByIP, &mesh.End{Namespace: svc.Namespace, Service: svc.Name})
			f.reason(mesh.UnknownServiceAddress)
			return
		}
	}
	if _, ok := j.at.NodeAt(j.network, a.ip); ok {
		f.reason(mesh.UnknownNodeAddress)
		return
	}
	if j.upstream.Direction == envoy.Passthrough || j.externalHost() {
		f.reason(mesh.UnknownExternal)
		return
	}
	f.reason(mesh.UnknownAddressNotFound)
}

// upstreamAddress returns the address the proxy sent to. One that may be the caller's and is the reporter's own is.
func (j *judge) upstreamAddress() (address, bool) {
	a, ok := parseAddress(j.call.UpstreamAddress, j.call.UpstreamPort)
	if ok && j.call.UpstreamMayBeOwn && j.own(a.ip) {
		return address{}, false
	}
	return a, ok
}

// calledService fills service and namespace from the host that was called, if nothing told the workload.
func (j *judge) calledService(f *finder) {
	if f.end.Workload != "" {
		return
	}
	service, namespace, ok := envoy.ParseServiceHost(j.upstream.Host)
	if ok {
		f.offer(mesh.UnknownNoEvidence, &mesh.End{Service: service, Namespace: namespace})
		return
	}
	if j.externalHost() {
		f.end.Fill(&mesh.End{Service: j.upstream.Host})
		if !f.by.Known() {
			f.why = mesh.UnknownExternal
		}
	}
}

// externalHost says whether the call went to a host that is no Kubernetes service. Hosts ending in ".global" or
// ".mesh" are Gloo Mesh's names for services of several clusters, so they are not external.
func (j *judge) externalHost() bool {
	host := j.upstream.Host
	if host == "" || strings.HasSuffix(host, ".global") || strings.HasSuffix(host, ".mesh") ||
		strings.HasSuffix(host, ".mesh.internal") {
		return false
	}
	_, _, ok := envoy.ParseServiceHost(host)
	return !ok
}

func (j *judge) soleGateway(cluster string) string {
	c, ok := j.at.Cluster(cluster)
	if !ok {
		return ""
	}
	g, ok := c.SoleGateway()
	if !ok {
		return ""
	}
	return g.ID
}
