// SPDX-License-Identifier: Apache-2.0

package kube

import "slices"

// maxRevisions bounds the mesh configurations that are followed.
const maxRevisions = 16

// followRevision follows the mesh configuration of a control plane.
func (e *engine) followRevision(revision string) {
	if e.source.settings.Scope != ScopeCluster || revision == "default" {
		return
	}
	r := meshConfig(e.source.settings.SystemNamespace, "istio-"+revision)
	followed := 0
	for _, w := range e.watchers {
		if w.resource.fields == r.fields && w.resource.plural == r.plural {
			return
		}
		if w.resource.plural == r.plural {
			followed++
		}
	}
	if followed >= maxRevisions {
		e.source.reportInvalid("istio revision "+revision, "there are too many control planes to read the mesh configuration of each")
		return
	}
	e.follow(r, false)
}

// mesh returns the mesh configuration that counts: the default revision's, else that of the first by name.
func (e *engine) mesh() (meshItem, bool) {
	for _, name := range sortedNames(e.meshes) {
		return e.meshes[name].value, true
	}
	return meshItem{}, false
}

// defaultNetwork returns the network of the pods that nothing else places, by Istio's order: the namespace's label goes
// before meshNetworks.
func (e *engine) defaultNetwork(mesh *meshItem) string {
	if e.network != "" {
		return e.network
	}
	return mesh.ofRegistry(e.source.settings.Cluster)
}

// changedNetworks works out the networks again. When the ranges of meshNetworks count and changed, the pods are listed
// again, since they are not kept.
func (e *engine) changedNetworks() {
	e.changedFacts()
	e.changedGateways()
	mesh, _ := e.mesh()
	var ranges []networkRange
	if e.defaultNetwork(&mesh) == "" {
		ranges = mesh.ranges()
	}
	if slices.Equal(ranges, e.ranges) {
		return
	}
	e.ranges = ranges
	if e.part == 0 {
		return
	}
	e.pods.salt++
	e.entries.salt++
	for _, w := range e.watchers {
		if plural := w.resource.plural; plural == "pods" || plural == "workloadentries" {
			select {
			case w.relist <- struct{}{}:
			default:
			}
		}
	}
}
