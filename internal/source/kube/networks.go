// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// defaultRevision is how a control plane is called that was installed without a revision.
const defaultRevision = "default"

// ValidRevision tells whether an Istio revision can be one: Istio takes DNS labels of at most 63 characters, as it makes
// names of them.
func ValidRevision(revision string) bool { return len(validation.IsDNS1123Label(revision)) == 0 }

// meshConfigOf returns the name of a revision's mesh configuration.
func meshConfigOf(revision string) string {
	if revision == "" || revision == defaultRevision {
		return "istio"
	}
	return "istio-" + revision
}

// maxRevisions bounds the mesh configurations that are followed.
const maxRevisions = 16

// followRevision follows the mesh configuration of a control plane.
func (e *engine) followRevision(revision string) {
	if e.source.settings.Scope != ScopeCluster || revision == defaultRevision {
		return
	}
	r := meshConfig(e.source.settings.SystemNamespace, meshConfigOf(revision))
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

// foundMesh notes that there is a mesh configuration, even one that cannot be read: that is another finding.
func (e *engine) foundMesh(m *message) {
	if e.source.settings.Scope != ScopeNode {
		return
	}
	e.meshListing = m.listing
	e.source.resolve(KindMeshConfigMissing, meshSubject(m.name))
}

// missMesh reports that the mesh configuration is not there. In the cluster scope any of several may do, and which of
// them there are is known by the control planes.
func (e *engine) missMesh(name topology.ObjectName) {
	if e.source.settings.Scope != ScopeNode {
		return
	}
	e.source.report(KindMeshConfigMissing, meshSubject(name), fmt.Sprintf(
		"there is no ConfigMap %s in the namespace %s, so trust domain, mesh id and meshNetworks are unknown here; write istiod's namespace "+
			"as system_namespace, and its revision (the label istio.io/rev of its pods) as istio_revision, empty if it has none", name.Name, name.Namespace))
}

func meshSubject(name topology.ObjectName) string {
	return "configmap " + name.Namespace + "/" + name.Name
}

// nameOfMesh returns the object that a watcher of a mesh configuration follows.
func nameOfMesh(r *resource) topology.ObjectName {
	return topology.ObjectName{Namespace: r.namespace, Name: strings.TrimPrefix(r.fields, byName(""))}
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
