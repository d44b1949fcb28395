// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"net/netip"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// The ports on which an east/west gateway takes mutual TLS and HBONE.
const (
	portMutualTLS = 15443
	portHBONE     = 15008
)

// serviceItem is what is left of a service.
type serviceItem struct {
	spec topology.ServiceSpec
	// gateway is set for a service that leads into a network, and for one with outside addresses, which meshNetworks may
	// name as a gateway.
	gateway *serviceGateway
	// invalid counts what is no address.
	invalid int
}

// serviceGateway is a service that other networks may send to.
type serviceGateway struct {
	network   string
	addresses []netip.Addr
	// hostnames are the load balancer's names where it has no address.
	hostnames []string
	port      uint16
}

func trimService(service *corev1.Service) serviceItem {
	item := serviceItem{spec: topology.ServiceSpec{Name: service.Name, Namespace: service.Namespace}}
	var set addressSet
	for _, ip := range clusterIPs(&service.Spec) {
		if ip != corev1.ClusterIPNone {
			set.add(ip)
		}
	}
	item.spec.Addresses, item.invalid = set.list, set.bad
	for i := range service.Spec.Ports {
		if p := service.Spec.Ports[i].Port; p > 0 && p <= 65535 {
			item.spec.Ports = append(item.spec.Ports, uint16(p))
		}
	}
	item.gateway = trimServiceGateway(service)
	return item
}

func clusterIPs(spec *corev1.ServiceSpec) []string {
	if len(spec.ClusterIPs) > 0 {
		return spec.ClusterIPs
	}
	if spec.ClusterIP != "" {
		return []string{spec.ClusterIP}
	}
	return nil
}

func trimServiceGateway(service *corev1.Service) *serviceGateway {
	g := &serviceGateway{network: service.Labels[labelNetwork], port: gatewayPort(service)}
	var set addressSet
	for i := range service.Status.LoadBalancer.Ingress {
		ingress := &service.Status.LoadBalancer.Ingress[i]
		set.add(ingress.IP)
		if ingress.IP == "" && ingress.Hostname != "" {
			g.hostnames = append(g.hostnames, ingress.Hostname)
		}
	}
	for _, ip := range service.Spec.ExternalIPs {
		set.add(ip)
	}
	g.addresses = set.list
	if g.network == "" && len(g.addresses) == 0 && len(g.hostnames) == 0 {
		return nil
	}
	return g
}

// gatewayPort returns the port that other networks send to: the one that the label names, else the service's port that
// leads to a gateway's well-known one, else Istio's default.
func gatewayPort(service *corev1.Service) uint16 {
	if n, err := strconv.ParseUint(service.Labels[labelGatewayPort], 10, 16); err == nil && n > 0 {
		return uint16(n)
	}
	for _, want := range []int{portMutualTLS, portHBONE} {
		for i := range service.Spec.Ports {
			p := &service.Spec.Ports[i]
			target := p.TargetPort.IntValue()
			if target == 0 {
				target = int(p.Port)
			}
			if target == want && p.Port > 0 && p.Port <= 65535 {
				return uint16(p.Port)
			}
		}
	}
	return portMutualTLS
}
