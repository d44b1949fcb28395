// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// Upstream is what a point of one of Envoy's own metrics about an upstream cluster says.
type Upstream struct {
	// Cluster is the name of the Envoy cluster.
	Cluster string
	// From and To are the zones of a zone statistic, which counts the calls between two zones, as Envoy spells them.
	From, To string
	// Stamped is what an earlier mesh_topology processor said.
	Stamped Verdict
}

// JudgeUpstream says between whom the traffic of an Envoy cluster goes. ok is false where it is no call: the proxy's own
// connections, and names that Istio did not build. The point is about all calls of one proxy to one service, wherever
// they were answered, so the destination of an outbound cluster is a service without a cluster, never a place.
func JudgeUpstream(at topology.View, near *Near, u *Upstream) (v Verdict, ok bool) {
	name, err := envoy.ParseClusterName(u.Cluster)
	if err != nil {
		return Verdict{}, false
	}
	switch name.Direction {
	case envoy.Inbound, envoy.InboundPassthrough:
		v.Destination, v.DestinationBy, v.staleDestination = near.End, near.By, near.Stale
	case envoy.Outbound, envoy.InboundVIP:
		v.callingEnd(at, near)
		v.DestinationBy = mesh.UnknownNoCluster
		if v.Destination.Service, v.Destination.Namespace, ok = envoy.ParseServiceHost(name.Host); !ok {
			v.Destination.Service = name.Host
		}
	case envoy.Passthrough:
		v.callingEnd(at, near)
		v.DestinationBy = mesh.UnknownExternal
	case envoy.BlackHole:
		v.callingEnd(at, near)
		v.DestinationBy = mesh.UnknownNoUpstream
	default:
		return Verdict{}, false
	}
	if u.To != "" && v.Destination.Zone == "" {
		v.zones(at, near, u)
	}
	v.finish(at, &u.Stamped)
	return v, true
}

// zones adds the two zones of a zone statistic. The proxy's own is only what the proxy says: what the topology knows of
// its pod goes before it. That of the endpoints is the node's label, as istiod tells it; a bare number, which stands for
// another zone in each region, tells none.
func (v *Verdict) zones(at topology.View, near *Near, u *Upstream) {
	if v.Source.Zone == "" && v.SourceBy.Known() {
		v.Source.Zone = envoy.NormalizeZone(v.Source.Region, u.From)
	}
	zone := envoy.NormalizeZone("", u.To)
	if zone == "" {
		return
	}
	v.Destination.Zone = zone
	if region := near.End.Region; inRegion(zone, region) {
		v.Destination.Region = region
		return
	}
	for region := range at.Regions {
		if inRegion(zone, region) {
			v.Destination.Region = region
			return
		}
	}
}

// inRegion says whether the zone is one of the region's by its name, as on Azure: "westeurope-1" is of westeurope.
func inRegion(zone, region string) bool {
	number, ok := strings.CutPrefix(zone, region)
	return ok && region != "" && len(number) > 1 && number[0] == '-' && strings.Trim(number[1:], "0123456789") == ""
}

// callingEnd takes the reporter as the calling end, unless it carries the calls of others.
func (v *Verdict) callingEnd(at topology.View, near *Near) {
	c := namesCarrier(at, &near.End)
	if near.NodeType == waypointType || near.EastWest != nil || c.named {
		v.Via, v.SourceBy = c.via, mesh.UnknownBehindGateway
		if near.EastWest != nil {
			v.Via = near.EastWest.ID
		}
		return
	}
	v.Source, v.SourceBy, v.staleSource = near.End, near.By, near.Stale
}
