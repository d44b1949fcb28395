// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// destination finds the called end as a proxy at or near the calling end saw it.
func (j *judge) destination(v *Verdict) {
	f := finder{trace: j.trace.destination()}
	f.clue = ClueFlags
	if j.noUpstream() {
		f.reason(mesh.UnknownNoUpstream)
	}
	f.clue = ClueTags
	var byTag carrier
	if byTag.named = j.ztunnelNamesCarrier(); byTag.named {
		f.reason(mesh.UnknownBehindGateway)
	} else {
		byTag = j.offerNamed(&f, mesh.ByTag, &j.call.DestinationTag, j.call.DestinationName, v)
	}
	f.clue = CluePeer
	byPeer := j.offerNamed(&f, mesh.ByPeerMetadata, &j.call.UpstreamPeer, j.call.UpstreamPod, v)
	f.clue = ClueEndpoint
	byEndpoint, crosses := j.endpointMetadata(&f, v)
	crosses = crosses || j.tunnelsOut()
	h := j.callee(crosses)
	h.carrier = h.carrier || byTag.named || byPeer.named || byEndpoint.named || crosses
	for _, named := range [...]*topology.Gateway{byTag.gateway, byPeer.gateway, byEndpoint.gateway} {
		// Nobody leaves a network to enter it, so only a gateway into another one tells where the call went.
		if h.gateway == nil && h.pod == nil && named != nil && j.network != "" && named.Network != j.network {
			h.gateway, h.via = named, named.ID
		}
	}
	var trusted *topology.Cluster
	if !j.ztunnelNamesCarrier() {
		trusted = j.offerIdentity(&f, j.call.UpstreamSAN, &h)
	}
	f.clue = ClueAddress
	j.offerCallee(&f, &h, v, crosses)
	if trusted != nil && !f.by.Known() {
		f.clue = ClueTrustDomain
		whole := trusted.End()
		f.offerKnown(mesh.ByTrustDomain, &whole, trusted)
	}
	f.clue = ClueCalled
	j.calledService(&f)
	v.Destination, v.DestinationBy = f.result()
	v.DestinationConflict = v.DestinationConflict || f.conflict
	v.staleDestination = f.stale
}

// noUpstream says whether the proxy chose no endpoint. Flags that mean so count only where nothing of an endpoint is
// told: they are those of the last attempt, and an earlier one may have reached somebody.
func (j *judge) noUpstream() bool {
	if j.upstream.Direction == envoy.BlackHole {
		return true
	}
	chosen := j.call.UpstreamAddress != "" || known(j.call.EndpointMetadata) != "" || j.call.UpstreamPeer != (mesh.End{}) || j.call.UpstreamSAN != ""
	return !chosen && (j.call.NoHost || j.call.NoUpstream)
}

// endpointMetadata reads istiod's metadata of the chosen endpoint. An endpoint of another network is its east/west
// gateway, of which istiod tells the cluster alone (istio/istio pilot/pkg/xds/endpoints/ep_filters.go). One of a
// ServiceEntry may have no workload either, but it has a namespace.
func (j *judge) endpointMetadata(f *finder, v *Verdict) (c carrier, crosses bool) {
	m, err := envoy.ParseEndpointMetadata(j.call.EndpointMetadata)
	if err != nil {
		f.offer(mesh.ByEndpointMetadata, &mesh.End{})
		return carrier{}, false
	}
	if crosses = m.ViaGateway() && m.Namespace == "" && m.CanonicalName == ""; crosses {
		j.metadataOfGateway(f, known(m.Cluster))
		return carrier{}, true
	}
	return j.offerNamed(f, mesh.ByEndpointMetadata, &mesh.End{
		Cluster: known(m.Cluster), Namespace: known(m.Namespace), Workload: known(m.Workload),
		Service: known(m.CanonicalName), Version: revision(m.Revision),
	}, "", v), false
}

// metadataOfGateway takes the cluster of an east/west gateway. It is the gateway's own (istio/istio
// pilot/pkg/xds/endpoints, EndpointsByNetworkFilter): the endpoint is in its network, and in its cluster only if no other
// one is in that network.
func (j *judge) metadataOfGateway(f *finder, cluster string) {
	c, ok := j.at.Cluster(cluster)
	if !ok || cluster == DefaultClusterID {
		f.reason(mesh.UnknownBehindGateway)
		return
	}
	if sole, ok := j.at.SoleIn(c.Network); !ok || sole.Name != c.Name {
		f.reason(mesh.UnknownBehindGateway)
		return
	}
	f.offerKnown(mesh.ByEndpointMetadata, &mesh.End{Cluster: cluster}, c)
}

// tunnelsOut says whether the call went into a tunnel within a tunnel, which only calls into other networks do: the outer
// one ends at the east/west gateway there.
func (j *judge) tunnelsOut() bool {
	if isOuterTunnel(j.call.UpstreamCluster) {
		return true
	}
	if listener, ok := strings.CutPrefix(j.call.UpstreamAddress, "envoy://"); ok && isOuterTunnel(listener) {
		return true
	}
	if j.call.Ztunnel != "" {
		return j.ztunnelTunnelsOut()
	}
	return false
}

func isOuterTunnel(name string) bool {
	return strings.HasPrefix(name, envoy.InnerConnect) || strings.HasPrefix(name, "outer_connect_originate")
}

// callee looks the address up that the proxy sent to: in its own network first, then among the gateways into other
// networks. A pod's address is never looked up in another network: it cannot be reached there. crosses says that the
// address is that of a gateway in any case.
func (j *judge) callee(crosses bool) hop {
	a, ok := j.upstreamAddress()
	switch {
	case !ok:
		return hop{why: mesh.UnknownNoAddress}
	case j.network == "" && !crosses:
		return hop{why: mesh.UnknownNoNetwork}
	}
	if !crosses {
		pod, how := j.at.ByAddress(j.network, a.ip)
		if how == topology.Found {
			return j.calleePod(pod, a)
		}
		if why := unnamedHolder(how); why != mesh.UnknownNoEvidence {
			return hop{why: why}
		}
	}
	if a.port == 0 && !crosses && j.externalHost() {
		// An address of a load balancer that many share, as far as is known.
		return hop{}
	}
	g, ambiguous, ok := j.at.Gateway(j.network, a.ip, a.port)
	if crosses && !ok && !ambiguous {
		// A gateway in any case, which takes tunnels on a port that nobody described.
		g, ambiguous, ok = j.at.Gateway(j.network, a.ip, 0)
	}
	switch {
	case ok:
		return hop{gateway: g, carrier: true, via: g.ID}
	case ambiguous:
		return hop{why: mesh.UnknownAmbiguous}
	case a.port == sniPort && !crosses:
		// Nobody described the gateway, and no other end listens on its port.
		return hop{carrier: true, via: unnamedGateway, why: mesh.UnknownBehindGateway}
	}
	return hop{}
}

// calleePod makes a hop of the pod that the proxy sent to. A pod of an east/west gateway is the called end only on its
// other ports.
func (j *judge) calleePod(pod *topology.Pod, a address) hop {
	switch g := pod.Workload.EastWest; {
	case g != nil && (g.Port == 0 || a.port == 0 || g.Port == a.port || a.port == sniPort || a.port == hbonePort):
		return j.hopOfGateway(g)
	case a.port == sniPort:
		return hop{carrier: true, via: unnamedGateway, why: mesh.UnknownBehindGateway}
	}
	return hopOf(pod)
}

// offerCallee takes what the address tells.
func (j *judge) offerCallee(f *finder, h *hop, v *Verdict, crosses bool) {
	f.looked(j.call.UpstreamAddress, j.network)
	var leads mesh.End
	if h.gateway != nil {
		leads = h.gateway.Leads()
	}
	if h.via != "" && !f.end.Contradicts(&leads) {
		v.Via = h.via
	}
	if crosses {
		f.reason(mesh.UnknownBehindGateway)
	}
	switch {
	case h.pod != nil:
		end := h.pod.End()
		f.offerKnown(mesh.ByIP, &end, h.pod.Workload.Cluster)
		if f.conflict {
			f.reason(mesh.UnknownConflict)
		}
	case h.gateway != nil:
		f.clue = ClueGateway
		f.offerKnown(mesh.ByGateway, &leads, h.gateway.Cluster)
		f.reason(mesh.UnknownBehindGateway)
	case h.why != mesh.UnknownNoEvidence:
		f.reason(h.why)
		if h.why == mesh.UnknownAmbiguous {
			j.noPod(f)
		}
	case !crosses:
		j.noPod(f)
	}
	if crosses && h.via == "" {
		v.Via = first(j.soleGateway(f.end.Cluster), unnamedGateway)
	}
}

// noPod notes what else the address may be.
func (j *judge) noPod(f *finder) {
	a, _ := j.upstreamAddress()
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
	if j.call.Ztunnel != "" {
		return j.ztunnelTarget()
	}
	if j.upstream.Direction == envoy.BlackHole {
		return address{}, false
	}
	a, ok := parseAddress(j.call.UpstreamAddress, j.call.UpstreamPort)
	if ok && j.call.UpstreamMayBeOwn && (j.own(a.ip) || !j.near.addressed()) {
		return address{}, false
	}
	return a, ok
}

// calledHost returns the host that was called.
func (j *judge) calledHost() string { return first(j.upstream.Host, j.call.CalledHost) }

// calledService fills service and namespace from the host that was called, if nothing told the workload.
func (j *judge) calledService(f *finder) {
	if f.end.Workload != "" {
		return
	}
	service, namespace, ok := envoy.ParseServiceHost(j.calledHost())
	if ok {
		f.offer(mesh.UnknownNoEvidence, &mesh.End{Service: service, Namespace: namespace})
		return
	}
	if j.externalHost() {
		if host := j.calledHost(); !strings.Contains(host, "*") {
			f.offer(mesh.UnknownNoEvidence, &mesh.End{Service: host})
		}
		if !f.by.Known() {
			f.why = mesh.UnknownExternal
		}
	}
}

// externalHost says whether the call went to a host that is no Kubernetes service. Hosts ending in ".global" or
// ".mesh" are Gloo Mesh's names for services of several clusters, so they are not external.
func (j *judge) externalHost() bool {
	host := j.calledHost()
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
