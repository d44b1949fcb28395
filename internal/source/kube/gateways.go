// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// buildGateways lists the gateways between networks, from the Gateway API, labeled services and meshNetworks.
func (e *engine) buildGateways() []topology.GatewaySpec {
	b := gatewayBuilder{list: []topology.GatewaySpec{}}
	for _, name := range sortedNames(e.gateways) {
		e.addGatewayResource(&b, name, e.gateways[name].value)
	}
	services := sortedNames(e.services)
	for _, name := range services {
		if g := e.services[name].value.gateway; g != nil && g.network != "" {
			e.hostnames("service "+name.Namespace+"/"+name.Name, g.hostnames)
			b.add(topology.GatewaySpec{
				Name: e.workloadBehind(name, name.Name), Namespace: name.Namespace,
				Addresses: g.addresses, Port: g.port, Network: g.network,
			})
		}
	}
	mesh, _ := e.mesh()
	own := e.defaultNetwork(&mesh)
	for _, network := range sortedKeys(mesh.networks) {
		e.addMeshNetwork(&b, network, own, mesh.networks[network])
	}
	return b.list
}

// gatewayBuilder drops what is told twice: Istio makes a labeled service for each gateway of the Gateway API.
type gatewayBuilder struct{ list []topology.GatewaySpec }

func (b *gatewayBuilder) add(g topology.GatewaySpec) {
	fresh := make([]netip.Addr, 0, len(g.Addresses))
	for _, a := range g.Addresses {
		taken := slices.ContainsFunc(b.list, func(o topology.GatewaySpec) bool {
			return slices.Contains(o.Addresses, a) && (o.Port == g.Port || o.Network == g.Network && o.Namespace == g.Namespace && o.Name == g.Name)
		})
		if !taken {
			fresh = append(fresh, a)
		}
	}
	if len(fresh) == 0 {
		return
	}
	g.Addresses = fresh
	b.list = append(b.list, g)
}

func (e *engine) hostnames(subject string, hostnames []string) {
	if len(hostnames) > 0 {
		e.source.reportInvalid(subject, "the gateway's address is the host name "+strings.Join(hostnames, ", ")+
			", and calls show addresses only, so it is left out; give its load balancer an address")
	}
}

func (e *engine) addGatewayResource(b *gatewayBuilder, name topology.ObjectName, g *gatewayItem) {
	e.hostnames("gateway "+name.Namespace+"/"+name.Name, g.hostnames)
	spec := topology.GatewaySpec{
		Name: name.Name, Namespace: name.Namespace, Addresses: g.addresses, Port: g.port, Network: g.network, Remote: g.remote,
	}
	if !g.remote {
		// Istio names the deployment and its service after the gateway and the class; an annotation may name others.
		spec.Name = name.Name + "-" + classEastWest
		for _, service := range []string{spec.Name, name.Name} {
			if w := e.workloadBehind(topology.ObjectName{Namespace: name.Namespace, Name: service}, ""); w != "" {
				spec.Name = w
				break
			}
		}
	}
	b.add(spec)
}

// addMeshNetwork adds the gateways that meshNetworks names. A service of this cluster is one of its own; an address is
// that of another network's, unless a service of this cluster has it.
func (e *engine) addMeshNetwork(b *gatewayBuilder, network, own string, m meshNetwork) {
	for _, g := range m.Gateways {
		port := uint16(portMutualTLS)
		if g.Port > 0 && g.Port <= 65535 {
			port = uint16(g.Port)
		}
		if name, ok := serviceOfHost(g.RegistryServiceName); ok {
			service := e.services[name].value.gateway
			if network != own || service == nil {
				// In another network the name means another cluster's service.
				continue
			}
			e.hostnames("service "+name.Namespace+"/"+name.Name, service.hostnames)
			b.add(topology.GatewaySpec{
				Name: e.workloadBehind(name, name.Name), Namespace: name.Namespace,
				Addresses: service.addresses, Port: port, Network: network,
			})
			continue
		}
		var set addressSet
		set.add(g.Address)
		if set.bad > 0 {
			e.hostnames("meshNetworks "+network, []string{g.Address})
		}
		if network != own {
			b.add(topology.GatewaySpec{
				Name: network, Namespace: e.source.settings.SystemNamespace,
				Addresses: set.list, Port: port, Network: network, Remote: true,
			})
			continue
		}
		for _, name := range sortedNames(e.services) {
			if s := e.services[name].value.gateway; s != nil && overlap(s.addresses, set.list) {
				b.add(topology.GatewaySpec{
					Name: e.workloadBehind(name, name.Name), Namespace: name.Namespace,
					Addresses: set.list, Port: port, Network: network,
				})
			}
		}
	}
}

func overlap(a, b []netip.Addr) bool {
	return slices.ContainsFunc(a, func(x netip.Addr) bool { return slices.Contains(b, x) })
}

// workloadBehind returns the workload of a service's endpoints; otherwise if they are not known.
func (e *engine) workloadBehind(service topology.ObjectName, otherwise string) string {
	for _, name := range slices.SortedFunc(slices.Values(e.slicesOf[service]), compareNames) {
		if pod := e.slices[name].value.pod; pod != "" {
			if row, ok := e.pods.rows[topology.ObjectName{Namespace: service.Namespace, Name: pod}]; ok {
				return row.workload.Value()
			}
		}
	}
	return otherwise
}
