// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// Labels are the labels of a point of an Istio metric, with Istio's "unknown" as it stands.
type Labels struct {
	// Reporter is source, destination or waypoint.
	Reporter            string
	Source, Destination mesh.End
	// Policy is connection_security_policy.
	Policy string
	// NoUpstream says that the response flags tell that no endpoint was chosen, see [NoUpstream].
	NoUpstream bool
	Stamped    Verdict
}

// JudgeLabels says who called whom by the labels of an Istio metric. A cluster that the labels do not know stays
// unknown: it is never taken to be the reporter's.
func JudgeLabels(at topology.View, near *Near, l *Labels) Verdict {
	var v Verdict
	source := labeled(at, near, &l.Source, l.Reporter == "source")
	v.Source, v.SourceBy = source.result()
	v.SourceConflict, v.staleSource = source.conflict, source.stale
	destination := labeled(at, near, &l.Destination, l.Reporter == "destination")
	v.Destination, v.DestinationBy = destination.result()
	v.DestinationConflict, v.staleDestination = destination.conflict, destination.stale
	v.unknownDestination(l)
	v.TLS = labelTLS(l.Policy, known(l.Source.Principal) != "" && known(l.Destination.Principal) != "")
	v.finish(at, &l.Stamped)
	return v
}

// unknownDestination says why the destination is unknown where the labels tell: for calls to what the mesh does not
// know, Istio writes the name of the Envoy cluster in the place of a service.
func (v *Verdict) unknownDestination(l *Labels) {
	if v.DestinationBy.Known() {
		return
	}
	switch l.Destination.Service {
	case "PassthroughCluster":
		v.Destination.Service, v.DestinationBy = "", mesh.UnknownExternal
	case "BlackHoleCluster":
		v.Destination.Service, v.DestinationBy = "", mesh.UnknownNoUpstream
	default:
		if l.NoUpstream {
			v.DestinationBy = mesh.UnknownNoUpstream
		}
	}
}

// labeled cleans one end of the labels. The reporter's own end gets what is known of its pod, zone above all, if the
// labels name its workload: ztunnel and waypoints report for others.
func labeled(at topology.View, near *Near, label *mesh.End, own bool) finder {
	end := mesh.End{
		Cluster: known(label.Cluster), Region: known(label.Region), Network: known(label.Network),
		Namespace: known(label.Namespace), Workload: known(label.Workload), Service: known(label.Service),
		Version: revision(label.Version), Principal: known(label.Principal),
	}
	end.Zone = envoy.NormalizeZone(end.Region, known(label.Zone))
	f := finder{}
	f.offer(mesh.ByLabel, believed(at, &end))
	if own && near.By.Known() && near.End.Workload != "" && near.End.Workload == end.Workload && near.End.Namespace == end.Namespace {
		f.offer(near.By, &near.End)
		f.stale = near.Stale && !f.conflict
	}
	return f
}

// labelTLS reads connection_security_policy. It is always unknown at the calling side, where only mutual TLS gives
// Istio the identities of both ends.
func labelTLS(policy string, bothProven bool) string {
	switch policy {
	case "mutual_tls":
		return mesh.TLSMutual
	case "none":
		return mesh.TLSNone
	}
	if bothProven {
		return mesh.TLSMutual
	}
	return mesh.TLSUnknown
}
