// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// The values of the label reporter that put the reporter at an end; a waypoint is at neither.
const (
	reporterSource      = "source"
	reporterDestination = "destination"
)

// Labels are the labels of a point of an Istio metric, with Istio's "unknown" as it stands.
type Labels struct {
	// Reporter is source, destination or waypoint.
	Reporter string
	// Source and Destination are what the labels say of the workloads. Service is the canonical service.
	Source, Destination mesh.End
	// CalledHost, CalledService and CalledNamespace are destination_service, destination_service_name and
	// destination_service_namespace: what was called, whoever answered.
	CalledHost, CalledService, CalledNamespace string
	// Policy is connection_security_policy.
	Policy string
	// NoUpstream says that the response flags tell that no endpoint was chosen, see [NoUpstream].
	NoUpstream bool
	Stamped    Verdict
}

// JudgeLabels says who called whom by the labels of an Istio metric. A cluster that the labels do not know is told by
// evidence or stays unknown:
//
//   - the reporter's own end by its pod, and that of a pod which a ztunnel serves by the ztunnel's node;
//   - by the trust domain of the end's principal, if one cluster alone has it.
//
// It is never taken to be the reporter's, as Kiali once did (kiali#7416), and the called service does not tell it
// either, not even where only one known cluster has pods of that service: another cluster may not be described yet, the
// point may count calls of a time when other pods answered, and where no endpoint was chosen none did (istio#29373).
func JudgeLabels(at topology.View, near *Near, l *Labels) Verdict {
	return JudgeLabelsTraced(at, near, l, nil)
}

// JudgeLabelsTraced is [JudgeLabels] that also records what was tried in the trace; nil records nothing and costs nothing.
func JudgeLabelsTraced(at topology.View, near *Near, l *Labels, trace *Trace) Verdict {
	var v Verdict
	trace.beginLabels(l.Reporter)
	j := labelJudge{at: at, near: near, labels: l, trace: trace}
	source := j.end(&l.Source, l.Reporter == reporterSource, &v)
	v.Source, v.SourceBy = source.result()
	v.SourceConflict, v.staleSource = source.conflict, source.stale
	destination := j.end(&l.Destination, l.Reporter == reporterDestination, &v)
	j.leadsTo(&destination)
	v.Destination, v.DestinationBy = destination.result()
	v.DestinationConflict, v.staleDestination = destination.conflict, destination.stale
	j.called(&v)
	// What the topology knows of a service account proves nothing, and neither does the identity of a carrier.
	bothProven := l.Reporter == reporterSource && !j.atCarrier && known(l.Source.Principal) != "" && known(l.Destination.Principal) != ""
	untunneled := l.Reporter == reporterDestination && known(l.Source.Principal) == ""
	v.TLS = labelTLS(l.Policy, bothProven, untunneled)
	v.finishTraced(at, &l.Stamped, trace)
	return v
}

// labelJudge holds what the rules about one point share.
type labelJudge struct {
	at     topology.View
	near   *Near
	labels *Labels
	// atCarrier says that the labels of an end name an east/west gateway or a waypoint; gateway is the gateway in the
	// destination's place, nil if nothing tells which.
	atCarrier bool
	gateway   *topology.Gateway
	trace     *Trace
}

// end judges one end. own says that the reporter is at this end.
func (j *labelJudge) end(label *mesh.End, own bool, v *Verdict) finder {
	end := mesh.End{
		Cluster: known(label.Cluster), Region: known(label.Region), Network: known(label.Network),
		Namespace: known(label.Namespace), Workload: known(label.Workload), Service: known(label.Service),
		Version: revision(label.Version), Principal: known(label.Principal),
	}
	end.Zone = envoy.NormalizeZone(end.Region, known(label.Zone))
	believed(j.at, &end)
	f := finder{clue: ClueLabels, trace: j.trace.source()}
	if label == &j.labels.Destination {
		f.trace = j.trace.destination()
	}
	if c := j.carrierNamed(&end); c.named {
		// Some versions name the gateway of the hop as the peer (istio#58790), a ztunnel names the waypoint that it calls,
		// and a gateway that reports is not the caller either. All that these labels say is the carrier's, the cluster
		// above all.
		j.atCarrier = true
		if label == &j.labels.Destination {
			if network := j.near.Network(); c.gateway != nil && !own && (network == "" || network == c.gateway.Network) {
				// Nobody leaves its network by the gateway into it: the cluster of the labels is not the gateway's.
				c.via, c.gateway = unnamedGateway, nil
			}
			j.gateway = c.gateway
		}
		v.Via = first(c.via, v.Via)
		f.lost(mesh.ByLabel, &end, mesh.UnknownBehindGateway)
		f.reason(mesh.UnknownBehindGateway)
		return f
	}
	if end.Workload == "" && j.mayBeCarrier(end.Principal) {
		// Then the namespace, which Istio takes from the principal, would be the carrier's, too.
		j.atCarrier = true
		f.reason(mesh.UnknownNoCluster)
		end.Namespace, end.Principal = "", ""
	}
	if label == &j.labels.Destination && !own && end.Workload == "" && end.Service == "" && end.Cluster != "" {
		j.clusterAlone(&f, &end, v)
	}
	f.offer(mesh.ByLabel, &end)
	if own {
		j.ownEnd(&f, &end)
	}
	j.identity(&f, &end)
	return f
}

// ownEnd adds what is known of the reporter, if the labels name its workload: ztunnel and waypoints report for others.
// A ztunnel serves the pods of its own node, so these are where it is.
func (j *labelJudge) ownEnd(f *finder, end *mesh.End) {
	near := j.near
	if !near.By.Known() || end.Workload == "" {
		return
	}
	var told mesh.End
	switch {
	case near.End.Workload == end.Workload && near.End.Namespace == end.Namespace:
		told = near.End
	case near.isZtunnel():
		told = mesh.End{Cluster: near.End.Cluster, Region: near.End.Region, Zone: near.End.Zone, Network: near.End.Network}
	default:
		return
	}
	clashed := f.conflict
	f.conflict = false
	f.offer(near.By, &told)
	f.stale = near.Stale && !f.conflict
	f.conflict = f.conflict || clashed
}

// isZtunnel says whether the reporter is a ztunnel: by its node id, else by the daemon set that Istio installs.
func (n *Near) isZtunnel() bool {
	if n.NodeType != "" {
		return n.NodeType == "ztunnel"
	}
	return n.Pod != nil && n.Pod.Workload.Kind == "daemonset" && n.Pod.Workload.Name == "ztunnel"
}

// identity tells the cluster by the trust domain of the principal where nothing else did.
func (j *labelJudge) identity(f *finder, end *mesh.End) {
	id, err := envoy.ParseSPIFFE(end.Principal)
	if err != nil {
		return
	}
	if id.Namespace != "" && f.end.Namespace == "" {
		f.end.Namespace = id.Namespace
	}
	if f.by.Known() {
		return
	}
	if c, ok := j.at.TrustDomain(id.TrustDomain); ok {
		whole := c.End()
		f.offerKnown(mesh.ByTrustDomain, &whole, c)
	}
}

// mayBeCarrier says whether the principal may be that of a waypoint, or of an east/west gateway whose service account is
// not known: it is named like one, or is of a namespace that has a gateway. It counts where the labels name no workload
// (istio#58476).
func (j *labelJudge) mayBeCarrier(principal string) bool {
	id, err := envoy.ParseSPIFFE(principal)
	if err != nil || id.Namespace == "" {
		return false
	}
	if isWaypoint(id.ServiceAccount) || isEastWest(id.ServiceAccount) {
		return true
	}
	for g := range j.at.Gateways {
		if g.Namespace == id.Namespace {
			return true
		}
	}
	return false
}

// carrierNamed says whether the labels of an end name an east/west gateway or a waypoint: its workload, or a gateway's
// principal where the workload is not named.
func (j *labelJudge) carrierNamed(end *mesh.End) carrier {
	if end.Workload != "" || end.Principal == "" {
		return namesCarrier(j.at, end)
	}
	g, several, ok := j.gatewayWithPrincipal(end.Principal)
	switch {
	case several:
		return carrier{named: true, via: unnamedGateway}
	case ok:
		return carrier{named: true, via: g.ID, gateway: g}
	}
	return carrier{}
}

func (j *labelJudge) gatewayWithPrincipal(principal string) (g *topology.Gateway, several, ok bool) {
	for candidate := range j.at.Gateways {
		if candidate.Remote {
			continue
		}
		w, found := j.at.Workload(candidate.Cluster.Name, candidate.Namespace, candidate.Name)
		if !found || w.End().Principal != principal {
			continue
		}
		several = several || g != nil
		g = candidate
	}
	if ok = g != nil; several {
		g = nil
	}
	return g, several, ok
}

// clusterAlone judges a destination of which the labels name nothing but the cluster. Of an endpoint in another network
// istiod tells the cluster of the gateway that leads there, and nothing else: the call went through it, and who answered is
// in that cluster only if no other one is in that network.
func (j *labelJudge) clusterAlone(f *finder, end *mesh.End, v *Verdict) {
	network := j.near.Network()
	other, described := j.at.NetworkOf(end.Cluster)
	if end.Cluster == j.near.End.Cluster || (described && other == network) {
		return
	}
	f.reason(mesh.UnknownNoCluster)
	if described && network != "" {
		v.Via = unnamedGateway
		f.why = mesh.UnknownBehindGateway
		if c, ok := j.at.Cluster(end.Cluster); ok {
			if g, ok := c.SoleGateway(); ok {
				v.Via = g.ID
			}
		}
	}
	if sole, ok := j.at.SoleIn(other); !ok || sole.Name != end.Cluster {
		end.Cluster = ""
	}
}

// leadsTo adds what the gateway tells that stands in the destination's place: it leads into its network.
func (j *labelJudge) leadsTo(f *finder) {
	if g := j.gateway; g != nil && j.labels.Reporter != reporterDestination {
		leads := g.Leads()
		f.offerKnown(mesh.ByGateway, &leads, g.Cluster)
	}
}

// called names the service that was called where nothing told the workload, and says why the destination is unknown
// where the labels tell: for calls to what the mesh does not know, Istio writes the name of the Envoy cluster in the
// place of a service.
func (j *labelJudge) called(v *Verdict) {
	l := j.labels
	named := v.Destination.Workload != "" || v.Destination.Service != "" || l.Stamped.Destination.Workload != ""
	reason := mesh.UnknownNoEvidence
	switch l.CalledService {
	case "PassthroughCluster":
		reason = mesh.UnknownExternal
	case "BlackHoleCluster":
		reason = mesh.UnknownNoUpstream
	case "InboundPassthroughCluster", "InboundPassthroughClusterIpv4", "InboundPassthroughClusterIpv6":
	default:
		if !named {
			j.calledService(&v.Destination)
		}
	}
	if l.NoUpstream && reason == mesh.UnknownNoEvidence {
		reason = mesh.UnknownNoUpstream
	}
	if reason != mesh.UnknownNoEvidence && !v.DestinationBy.Known() {
		v.DestinationBy = reason
	}
}

// calledService takes the service from its host name, else from Istio's two labels: in the place of a namespace that it
// does not know, Istio writes that of the peer.
func (j *labelJudge) calledService(end *mesh.End) {
	l := j.labels
	service, namespace, ok := envoy.ParseServiceHost(l.CalledHost)
	if !ok {
		service, namespace = known(l.CalledService), known(l.CalledNamespace)
	}
	if end.Namespace != "" && namespace != "" && namespace != end.Namespace {
		// The workload that answered is in another namespace than the service.
		namespace = ""
	}
	end.Fill(&mesh.End{Service: service, Namespace: namespace})
}

// labelTLS reads connection_security_policy. Sidecars always write unknown at the calling side, where only mutual TLS
// gives Istio the identities of both ends. At the called side they write mutual_tls or none. So unknown without the caller's
// identity is ztunnel's there, which has no other word for a connection that came outside of a tunnel.
func labelTLS(policy string, bothProven, untunneled bool) string {
	switch {
	case policy == "mutual_tls":
		return mesh.TLSMutual
	case policy == "none", policy == "unknown" && untunneled:
		return mesh.TLSNone
	case bothProven:
		return mesh.TLSMutual
	}
	return mesh.TLSUnknown
}
