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

// hop is who is at the other side of the connection, by its address.
type hop struct {
	// pod has the address and is an end of the call; nil if none is.
	pod *topology.Pod
	// gateway is the one into another network that has the address, or nil.
	gateway *topology.Gateway
	// carrier says that whoever has the address carried the call: an east/west gateway or a waypoint. principal is who it
	// is in a certificate, if that is known.
	carrier   bool
	principal string
	// via is the id of the east/west gateway; empty for a waypoint.
	via string
	// why is why nobody can be named; [mesh.UnknownNoEvidence] if nobody had the address.
	why mesh.Resolution
}

// isWaypoint says whether a workload that the topology does not know is a waypoint, by its name: Istio's tools call them
// "waypoint", its guides "<what they are for>-waypoint". A workload that only has such a name is not named as an end,
// which loses an answer and gives no wrong one.
func isWaypoint(workload string) bool {
	return workload == "waypoint" || strings.HasSuffix(workload, "-waypoint")
}

// isEastWest says whether a workload is an east/west gateway by its name, as Istio's guides, its Helm chart and Gloo Mesh
// call them. The topology tells by their services, which an agent does not watch.
func isEastWest(workload string) bool {
	if _, rest, ok := strings.Cut(workload, "east"); ok {
		return strings.HasPrefix(rest, "west") || strings.HasPrefix(rest, "-west")
	}
	return strings.HasPrefix(workload, "cross-network-gateway")
}

// hopOf makes a hop of a pod, which is an end of the call unless it is a gateway or a waypoint.
func hopOf(pod *topology.Pod) hop {
	w := pod.Workload
	switch {
	case w.Waypoint:
		return hop{carrier: true, principal: principalOf(w), why: mesh.UnknownBehindGateway}
	case isEastWest(w.Name):
		return hop{carrier: true, via: unnamedGateway, principal: principalOf(w), why: mesh.UnknownBehindGateway}
	}
	return hop{pod: pod}
}

func principalOf(w *topology.Workload) string {
	end := w.End()
	return end.Principal
}

// hopOfGateway makes a hop of an east/west gateway of the reporter's own network.
func (j *judge) hopOfGateway(g *topology.Gateway) hop {
	h := hop{carrier: true, via: g.ID, why: mesh.UnknownBehindGateway}
	if w, ok := j.at.Workload(g.Cluster.Name, g.Namespace, g.Name); ok {
		h.principal = principalOf(w)
	}
	return h
}

// carrier is a gateway or waypoint that evidence names as an end of a call which it carried.
type carrier struct {
	named bool
	// gateway is the east/west gateway, nil for a waypoint and where the words fit several.
	gateway *topology.Gateway
	// via names the gateway; empty for a waypoint.
	via string
}

// namesCarrier says whether the end that the evidence names is an east/west gateway or a waypoint. Some versions name
// them as the peer (istio#58790): they carried the call.
func namesCarrier(at topology.View, end *mesh.End) carrier {
	if end.Workload == "" {
		return carrier{}
	}
	g, several, ok := at.GatewayNamed(end.Cluster, end.Namespace, end.Workload)
	switch {
	case ok && !several:
		return carrier{named: true, gateway: g, via: g.ID}
	case ok || isEastWest(end.Workload):
		return carrier{named: true, via: unnamedGateway}
	}
	if w, ok := at.Workload(end.Cluster, end.Namespace, end.Workload); ok {
		return carrier{named: w.Waypoint}
	}
	return carrier{named: isWaypoint(end.Workload)}
}

// offerNamed takes what a proxy says of an end in words: the end, and the pod if it names one. Where the words name a
// carrier, all that they say is the carrier's.
func (j *judge) offerNamed(f *finder, by mesh.Resolution, said *mesh.End, pod string, v *Verdict) (c carrier) {
	if *said == (mesh.End{}) && pod == "" {
		if f.trace != nil {
			f.offer(by, said)
		}
		return carrier{}
	}
	end := *said
	normalizeZone(&end)
	believed(j.at, &end)
	if j.call.Ztunnel != "" && pod != "" {
		if c = j.offerZtunnelName(f, by, &end, pod, v); c.named || f.by.Known() {
			return c
		}
	}
	if c = j.dropCarrier(f, by, &end, v); c.named {
		return c
	}
	f.offer(by, &end)
	if pod == "" || end.Cluster == "" || f.end.Cluster != end.Cluster {
		return carrier{}
	}
	if p, ok := j.at.ByPod(end.Cluster, end.Namespace, pod); ok {
		whole := p.End()
		f.clue = CluePod
		f.offerKnown(by, &whole, p.Workload.Cluster)
	}
	return carrier{}
}

// dropCarrier says whether the end is a carrier, and notes it as what carried the call.
func (j *judge) dropCarrier(f *finder, by mesh.Resolution, end *mesh.End, v *Verdict) carrier {
	c := namesCarrier(j.at, end)
	if c.named {
		v.Via = first(c.via, v.Via)
		f.lost(by, end, mesh.UnknownBehindGateway)
		f.reason(mesh.UnknownBehindGateway)
	}
	return c
}

// offerIdentity takes who the certificate says the end is, and returns the cluster that alone has its trust domain.
// That of a carrier is not the end's. What proxies said in words cannot stand against a certificate: then the end is
// unknown, unless its address tells.
func (j *judge) offerIdentity(f *finder, san string, h *hop) *topology.Cluster {
	f.clue = ClueIdentity
	if san == "" && f.trace == nil {
		return nil
	}
	identity, trusted := j.identity(san)
	if identity != (mesh.End{}) && j.ofCarrier(&identity, h) {
		f.lost(mesh.ByTrustDomain, &identity, mesh.UnknownBehindGateway)
		f.reason(mesh.UnknownBehindGateway)
		return nil
	}
	if j.excludes(&f.end, &identity, trusted) {
		f.overrule(&identity)
		return nil
	}
	f.offer(mesh.ByTrustDomain, &identity)
	return trusted
}

// excludes says whether the identity cannot be that of the end: it is in another namespace, in the trust domain of another
// cluster, or the topology knows that the end's workload has another service account. Trust domains by themselves may
// differ: one that was given up is still in certificates for a while.
func (j *judge) excludes(end, identity *mesh.End, trusted *topology.Cluster) bool {
	if identity.Principal == "" || end.Cluster == "" && end.Workload == "" {
		return false
	}
	if differ(end.Namespace, identity.Namespace) || (trusted != nil && differ(end.Cluster, trusted.Name)) {
		return true
	}
	w, ok := j.at.Workload(end.Cluster, end.Namespace, end.Workload)
	return ok && differ(accountOf(principalOf(w)), accountOf(identity.Principal))
}

// accountOf returns the service account of an identity; empty if it names none.
func accountOf(principal string) string {
	_, account, _ := strings.Cut(principal, "/sa/")
	return account
}

func differ(a, b string) bool { return a != "" && b != "" && a != b }

// ofCarrier says whether the identity is that of a waypoint or an east/west gateway which carried the call: the one at
// the other side of the connection, or a waypoint by its service account, which Istio names for it. Gateways have
// certificates of their own in ambient meshes alone, where everything in a namespace with a gateway may be that.
func (j *judge) ofCarrier(identity *mesh.End, h *hop) bool {
	if h.carrier && identity.Principal == h.principal {
		return true
	}
	account := accountOf(identity.Principal)
	if w, ok := j.waypointOf(identity, account); ok {
		return w.Waypoint
	}
	if isWaypoint(account) || isEastWest(account) {
		return true
	}
	if h.pod != nil || (j.near.NodeType != waypointType && j.call.Ztunnel == "") {
		return false
	}
	for g := range j.at.Gateways {
		if g.Namespace == identity.Namespace {
			return true
		}
	}
	return false
}

// waypointOf returns the workload that is named as its service account is, in the cluster that the identity may be of.
func (j *judge) waypointOf(identity *mesh.End, account string) (*topology.Workload, bool) {
	if !isWaypoint(account) {
		return nil, false
	}
	id, _ := envoy.ParseSPIFFE(identity.Principal)
	cluster, ok := j.at.TrustDomain(id.TrustDomain)
	if !ok {
		return nil, false
	}
	return j.at.Workload(cluster.Name, identity.Namespace, account)
}
