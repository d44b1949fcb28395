// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"net/netip"
	"strings"
)

// The longest names and texts that are taken. Kubernetes allows 253 bytes for a name; whatever is longer than a text is
// none.
const (
	maxName = 253
	maxText = 1024
	// maxAddresses is the most addresses of one object.
	maxAddresses = 256
)

const (
	badName      = "it has no name or namespace, or one of more than 253 bytes; nothing in Kubernetes is named so, so look at what wrote the inventory"
	badWorkload  = "it names no workload, or one of more than 253 bytes; a pod without an owner is its own workload"
	badText      = "a field is longer than 1024 bytes; look at what wrote the inventory"
	badAddress   = "an address cannot be one of a pod, node, service or gateway: it is missing, unspecified or has a zone"
	tooManyAddrs = "it has more than 256 addresses; look at what wrote the inventory"
	badNetwork   = "its network begins with a zero byte; look at what wrote the inventory"
)

func named(names ...string) bool {
	for _, name := range names {
		if name == "" || len(name) > maxName {
			return false
		}
	}
	return true
}

func short(texts ...string) bool {
	for _, text := range texts {
		if len(text) > maxText {
			return false
		}
	}
	return true
}

func checkAddresses(addresses []netip.Addr) string {
	if len(addresses) > maxAddresses {
		return tooManyAddrs
	}
	for _, a := range addresses {
		if !a.IsValid() || a.IsUnspecified() || a.Unmap().IsUnspecified() || a.Zone() != "" {
			return badAddress
		}
	}
	return ""
}

func checkPod(p *PodState) string {
	switch {
	case !named(p.Namespace, p.Name):
		return badName
	case !named(p.Workload):
		return badWorkload
	case !short(p.Kind, p.Service, p.Version, p.ServiceAccount, p.Revision, p.Node, p.Network, p.Region, p.Zone):
		return badText
	case strings.HasPrefix(p.Network, nameless):
		return badNetwork
	}
	return checkAddresses(p.Addresses)
}

func checkWorkload(w *WorkloadSpec) string {
	switch {
	case !named(w.Namespace, w.Name):
		return badName
	case !short(w.Kind, w.Service, w.Version, w.ServiceAccount, w.Revision):
		return badText
	}
	return ""
}

func checkNode(n *NodeSpec) string {
	switch {
	case !named(n.Name):
		return badName
	case !short(n.Zone, n.Region):
		return badText
	}
	return checkAddresses(n.Addresses)
}

func checkService(s *ServiceSpec) string {
	if !named(s.Namespace, s.Name) {
		return badName
	}
	if !short(s.Hosts...) || !short(s.Canonical) {
		return badText
	}
	for i := range s.Endpoints {
		if !short(s.Endpoints[i].Zone) {
			return badText
		}
	}
	return checkAddresses(s.Addresses)
}

func checkGateway(g *GatewaySpec) string {
	switch {
	case !named(g.Namespace, g.Name):
		return badName
	case !short(g.Network):
		return badText
	case strings.HasPrefix(g.Network, nameless):
		return badNetwork
	}
	return checkAddresses(g.Addresses)
}

func checkFacts(f *ClusterFacts) string {
	if !short(f.UID, f.Region, f.Provider, f.Platform, f.Network, f.MeshID, f.TrustDomain, f.KubernetesVersion) || !short(f.Zones...) {
		return badText
	}
	for i := range f.Istio {
		if r := &f.Istio[i]; !short(r.Revision, r.Version) || !short(r.Tags...) {
			return badText
		}
	}
	if strings.HasPrefix(f.Network, nameless) {
		return badNetwork
	}
	return ""
}

// clip shortens what may be absurdly long for a message.
func clip(text string) string {
	if len(text) > 64 {
		return strings.ToValidUTF8(text[:64], "") + "…"
	}
	return text
}

func addressText(a [16]byte) string { return netip.AddrFrom16(a).Unmap().String() }
