// SPDX-License-Identifier: Apache-2.0

package kube

import "net/netip"

const (
	classEastWest = "istio-east-west"
	classRemote   = "istio-remote"
)

// gatewayItem is what is left of a Gateway API gateway between networks.
type gatewayItem struct {
	network   string
	addresses []netip.Addr
	hostnames []string
	port      uint16
	// remote says that it stands for another network's gateway.
	remote bool
}

// trimGateway returns nil for a gateway of another class.
func trimGateway(gateway *gatewayResource) *gatewayItem {
	class := gateway.Spec.GatewayClassName
	if class != classEastWest && class != classRemote {
		return nil
	}
	item := &gatewayItem{network: gateway.Labels[labelNetwork], remote: class == classRemote, port: listenerPort(gateway)}
	// Istio writes the addresses of a remote gateway to its status as well; an old version may not yet have.
	addresses := gateway.Status.Addresses
	if len(addresses) == 0 && item.remote {
		addresses = gateway.Spec.Addresses
	}
	var set addressSet
	for _, a := range addresses {
		if a.Type == "Hostname" {
			item.hostnames = append(item.hostnames, a.Value)
			continue
		}
		set.add(a.Value)
	}
	item.addresses = set.list
	return item
}

// listenerPort returns the port of the HBONE listener, else of the first that is a port of gateways, else Istio's default.
func listenerPort(gateway *gatewayResource) uint16 {
	port := int64(portHBONE)
	for _, l := range gateway.Spec.Listeners {
		if l.Port <= 0 || l.Port > 65535 {
			continue
		}
		if l.Protocol == "HBONE" {
			return uint16(l.Port)
		}
		if l.Port == portMutualTLS {
			port = l.Port
		}
	}
	return uint16(port)
}
