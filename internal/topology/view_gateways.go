// SPDX-License-Identifier: Apache-2.0

package topology

// Gateways yields the east/west gateways that the clusters have or know, by the names of the clusters: see
// [Gateway.Remote]. It does not allocate.
func (v View) Gateways(yield func(*Gateway) bool) {
	for _, name := range v.s.names {
		for _, g := range v.gatewaysOf(name) {
			if !yield(g) {
				return
			}
		}
	}
}

// GatewayNamed returns the east/west gateway of this name that the cluster has or knows; without a cluster, that any has
// or knows. several says that gateways of different ids fit; then g is nil.
func (v View) GatewayNamed(cluster, namespace, name string) (g *Gateway, several, ok bool) {
	fits := func(candidate *Gateway) {
		if candidate.Name != name || candidate.Namespace != namespace {
			return
		}
		several = several || (g != nil && g.ID != candidate.ID)
		g = candidate
	}
	if cluster != "" {
		for _, candidate := range v.gatewaysOf(cluster) {
			fits(candidate)
		}
	} else {
		for candidate := range v.Gateways {
			fits(candidate)
		}
	}
	if ok = g != nil; several {
		g = nil
	}
	return g, several, ok
}

// NetworkOf returns the network that all pods of the cluster are in; ok is false if the cluster is not known, or if its
// pods are in several networks.
func (v View) NetworkOf(cluster string) (network string, ok bool) {
	c, ok := v.s.clusters[cluster]
	if !ok || c.end.Network == "" {
		return "", false
	}
	return c.end.Network, true
}

// Regions yields the regions of the clusters, by the names of the clusters; one may come several times.
func (v View) Regions(yield func(string) bool) {
	for _, name := range v.s.names {
		if c, ok := v.s.clusters[name]; ok && c.Region != "" && !yield(c.Region) {
			return
		}
	}
}

func (v View) gatewaysOf(cluster string) []*Gateway {
	c, ok := v.s.clusters[cluster]
	if !ok {
		return nil
	}
	return c.gateways
}
