// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// maxPodCIDRs bounds the address ranges of a cluster.
const maxPodCIDRs = 64

// facts works out what is true of the cluster as a whole.
func (e *engine) facts() *topology.ClusterFacts {
	mesh, _ := e.mesh()
	f := &topology.ClusterFacts{
		UID: e.identity.uid, KubernetesVersion: e.identity.version,
		Network: e.defaultNetwork(&mesh), MeshID: mesh.meshID, TrustDomain: mesh.trustDomain,
		Istio: e.istioRevisions(),
	}
	regions, zones := map[string]bool{}, map[string]bool{}
	var cidrs []netip.Prefix
	for _, row := range e.nodes {
		node := &row.value
		// A virtual node has no region, and says nothing against the others'.
		if node.spec.Region != "" {
			regions[node.spec.Region] = true
		}
		if node.spec.Zone != "" {
			zones[node.spec.Zone] = true
		}
		if node.azure {
			f.Provider = "azure"
			if node.aks {
				f.Platform = "azure.aks"
			}
		}
		cidrs = append(cidrs, node.cidrs...)
	}
	if len(regions) == 1 {
		f.Region = sortedKeys(regions)[0]
	}
	f.Zones = sortedKeys(zones)
	f.PodCIDRs = mergePrefixes(cidrs, maxPodCIDRs)
	return f
}

// istioRevisions lists the control planes with their tags. While one is upgraded it is there in two versions.
func (e *engine) istioRevisions() []topology.IstioRevision {
	versions := map[istiod]bool{}
	for _, d := range e.istiods {
		versions[d] = true
	}
	tags := map[string][]string{}
	for _, name := range sortedNames(e.tags) {
		if t := e.tags[name].value; t.tag != "" && !slices.Contains(tags[t.revision], t.tag) {
			tags[t.revision] = append(tags[t.revision], t.tag)
		}
	}
	var list []topology.IstioRevision
	for d := range versions {
		slices.Sort(tags[d.revision])
		list = append(list, topology.IstioRevision{Revision: d.revision, Version: d.version, Tags: slices.Clone(tags[d.revision])})
	}
	slices.SortFunc(list, func(a, b topology.IstioRevision) int {
		return cmp.Or(cmp.Compare(a.Revision, b.Revision), cmp.Compare(a.Version, b.Version))
	})
	return list
}
