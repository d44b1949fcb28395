// SPDX-License-Identifier: Apache-2.0

package kube

import "github.com/otelcol-mesh/otelcol-mesh/internal/topology"

// trimServiceEntry makes a service of a ServiceEntry. The addresses of its endpoints count as its own: a call to one of
// them goes to this destination, and nothing says which workload is there.
func trimServiceEntry(entry *serviceEntry) topology.ServiceSpec {
	spec := topology.ServiceSpec{
		Name: entry.Name, Namespace: entry.Namespace, Hosts: entry.Spec.Hosts,
		// The default is MESH_EXTERNAL.
		External: entry.Spec.Location != "MESH_INTERNAL" && entry.Spec.Location != "1",
	}
	for _, p := range entry.Spec.Ports {
		if p.Number > 0 && p.Number <= 65535 {
			spec.Ports = append(spec.Ports, uint16(p.Number))
		}
	}
	var set addressSet
	for _, a := range entry.Spec.Addresses {
		// A range is no address of one destination.
		set.add(a)
	}
	for i := range entry.Spec.Endpoints {
		endpoint := &entry.Spec.Endpoints[i]
		set.add(endpoint.Address)
		_, zone := entryLocality(endpoint)
		spec.Endpoints = addEndpoints(spec.Endpoints, zone, true, false)
	}
	sortEndpoints(spec.Endpoints)
	spec.Addresses = set.list
	return spec
}
