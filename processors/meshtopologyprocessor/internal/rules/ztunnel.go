// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// ztunnelTarget returns the address that a ztunnel's caller asked for. A ztunnel that sends into a tunnel names both the
// other side of the tunnel (dst.addr), which may be a waypoint, and what it asked there for (dst.hbone_addr).
func (j *judge) ztunnelTarget() (address, bool) {
	if j.call.HBONETarget != "" {
		if target, ok := parseAddress(j.call.HBONETarget, 0); ok {
			return target, true
		}
		// A host: an east/west gateway finds somebody for it, and the address is that gateway's.
	}
	return parseAddress(j.call.UpstreamAddress, 0)
}

// ztunnelTunnelsOut says whether the ztunnel asked for a host, as it does of an east/west gateway alone.
func (j *judge) ztunnelTunnelsOut() bool {
	return j.call.HBONETarget != "" && !spelledAsAddress(j.call.HBONETarget)
}

// ztunnelNamesCarrier says whether all that a ztunnel says of the other side of its tunnel is a waypoint's: it asked there
// for another address. Where it asked for a host, the other side is an east/west gateway, and who answered may have told
// who it is.
func (j *judge) ztunnelNamesCarrier() bool {
	if j.call.Ztunnel != "outbound" || j.call.HBONETarget == "" {
		return false
	}
	target, ok := parseAddress(j.call.HBONETarget, 0)
	if !ok {
		return false
	}
	connected, ok := parseAddress(j.call.UpstreamAddress, 0)
	return ok && connected.ip != target.ip
}

// offerZtunnelName takes the name that a ztunnel gives an end: that of a pod, mostly, or of a workload. Only the topology
// can tell which, so a name that it does not know is not written.
func (j *judge) offerZtunnelName(f *finder, by mesh.Resolution, end *mesh.End, name string, v *Verdict) carrier {
	if end.Cluster == "" {
		return carrier{}
	}
	named, whole, cluster := *end, mesh.End{}, (*topology.Cluster)(nil)
	named.Workload = name
	if p, ok := j.at.ByPod(end.Cluster, end.Namespace, name); ok {
		named.Workload, whole, cluster = p.Workload.Name, p.End(), p.Workload.Cluster
	} else if w, ok := j.at.Workload(end.Cluster, end.Namespace, name); ok {
		whole, cluster = w.End(), w.Cluster
	}
	if c := j.dropCarrier(f, by, &named, v); c.named || cluster == nil {
		return c
	}
	f.offerKnown(by, &whole, cluster)
	return carrier{}
}
