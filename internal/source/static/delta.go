// SPDX-License-Identifier: Apache-2.0

package static

import (
	"net/netip"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// place is an address within what can tell it apart: its network, or its cluster where that names none.
type place struct {
	cluster, network string
	address          netip.Addr
}

// objectOf names a pod of a cluster.
type objectOf struct{ cluster, namespace, name string }

// deltas turns a checked file into one full delta for each cluster, in the file's order, and says who has which address.
//
// A file knows no times, so a pod in it has had its addresses always. That cannot be true of an address that another
// pod had by the content before: it moved between the last confirmation of that, since, and now.
func (d *description) deltas(now, since time.Time, before map[place]objectOf) ([]*topology.Delta, map[place]objectOf) {
	out, holders := make([]*topology.Delta, len(d.clusters)), map[place]objectOf{}
	for i, spec := range d.clusters {
		delta := &topology.Delta{
			Cluster: spec.Name, At: now, Full: true,
			Facts: &topology.ClusterFacts{
				Region: spec.Region, Provider: spec.Provider, Platform: spec.Platform, Network: spec.Network,
				MeshID: d.meshID, TrustDomain: spec.TrustDomain,
			},
			// An empty list that is not nil: there are none.
			Gateways:  append([]topology.GatewaySpec{}, spec.Gateways...),
			Failovers: []topology.FailoverSpec{},
			Nodes:     spec.Nodes,
			Services:  spec.Services,
		}
		for j := range spec.Workloads {
			w := &spec.Workloads[j]
			if len(w.Pods) == 0 {
				delta.Workloads = append(delta.Workloads, *w)
			}
			for _, p := range w.Pods {
				state := topology.PodState{
					PodSpec: p, Namespace: w.Namespace, Workload: w.Name, Kind: w.Kind, Service: w.Service, Version: w.Version,
					ServiceAccount: w.ServiceAccount, Waypoint: w.Waypoint,
				}
				self := objectOf{spec.Name, w.Namespace, p.Name}
				for _, address := range p.Addresses {
					at := placeOf(spec, &p, address)
					holders[at] = self
					if other, had := before[at]; had && other != self {
						state.Since, state.Seen = since, now
					}
				}
				delta.Pods = append(delta.Pods, state)
			}
		}
		out[i] = delta
	}
	return out, holders
}

func placeOf(spec *topology.ClusterSpec, p *topology.PodSpec, address netip.Addr) place {
	at := place{network: p.Network, address: address.Unmap()}
	if at.network == "" {
		at.network = spec.Network
	}
	if at.network == "" {
		at.cluster = spec.Name
	}
	return at
}

// missing returns the names of before that are not in after.
func missing(before, after []string) []string {
	there := make(map[string]bool, len(after))
	for _, name := range after {
		there[name] = true
	}
	var gone []string
	for _, name := range before {
		if !there[name] {
			gone = append(gone, name)
		}
	}
	return gone
}
