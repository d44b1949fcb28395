// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// meshItem is what is left of an Istio mesh configuration.
type meshItem struct {
	trustDomain, meshID string
	networks            map[string]meshNetwork
}

// meshNetwork is a network of meshNetworks.
type meshNetwork struct {
	Endpoints []struct {
		FromCidr     string `json:"fromCidr"`
		FromRegistry string `json:"fromRegistry"`
	} `json:"endpoints"`
	Gateways []struct {
		Address             string `json:"address"`
		RegistryServiceName string `json:"registryServiceName"`
		Port                int64  `json:"port"`
	} `json:"gateways"`
}

// defaultTrustDomain is Istio's where the configuration names none.
const defaultTrustDomain = "cluster.local"

func trimMeshConfig(configMap *corev1.ConfigMap) (meshItem, error) {
	var mesh struct {
		TrustDomain   string `json:"trustDomain"`
		DefaultConfig struct {
			MeshID string `json:"meshId"`
		} `json:"defaultConfig"`
	}
	var networks struct {
		Networks map[string]meshNetwork `json:"networks"`
	}
	item := meshItem{trustDomain: defaultTrustDomain}
	if err := yaml.Unmarshal([]byte(configMap.Data["mesh"]), &mesh); err != nil {
		return item, fmt.Errorf("the key mesh: %w", err)
	}
	if mesh.TrustDomain != "" {
		item.trustDomain = mesh.TrustDomain
	}
	item.meshID = mesh.DefaultConfig.MeshID
	if err := yaml.Unmarshal([]byte(configMap.Data["meshNetworks"]), &networks); err != nil {
		return item, fmt.Errorf("the key meshNetworks: %w", err)
	}
	item.networks = networks.Networks
	return item, nil
}

// ofRegistry returns the network that meshNetworks gives to all of a cluster; empty if none.
func (m *meshItem) ofRegistry(cluster string) string {
	for _, name := range sortedKeys(m.networks) {
		for _, e := range m.networks[name].Endpoints {
			if e.FromRegistry == cluster {
				return name
			}
		}
	}
	return ""
}

// networkRange is an address range that belongs to a network.
type networkRange struct {
	prefix  netip.Prefix
	network string
}

// ranges returns the address ranges that meshNetworks gives to networks.
func (m *meshItem) ranges() []networkRange {
	var list []networkRange
	for _, name := range sortedKeys(m.networks) {
		for _, e := range m.networks[name].Endpoints {
			if p, err := netip.ParsePrefix(e.FromCidr); err == nil {
				list = append(list, networkRange{prefix: p.Masked(), network: name})
			}
		}
	}
	return list
}

// networkOf returns the network of the narrowest range around an address; empty if there is none.
func networkOf(ranges []networkRange, addresses []netip.Addr) string {
	best, bits := "", -1
	if len(addresses) == 0 {
		return best
	}
	for _, r := range ranges {
		if r.prefix.Bits() > bits && r.prefix.Contains(addresses[0]) {
			best, bits = r.network, r.prefix.Bits()
		}
	}
	return best
}

// serviceOfHost returns the service that a host such as name.namespace.svc.cluster.local means.
func serviceOfHost(host string) (topology.ObjectName, bool) {
	name, rest, _ := strings.Cut(host, ".")
	namespace, _, _ := strings.Cut(rest, ".")
	return topology.ObjectName{Namespace: namespace, Name: name}, name != "" && namespace != ""
}
