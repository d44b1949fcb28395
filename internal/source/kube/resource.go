// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// resource is one collection of objects to follow.
type resource struct {
	group, plural, namespace string
	// versions are the known ones, newest first. Those of a custom resource count as far as the server has them.
	versions       []string
	custom         bool
	fields, labels string
	// metadataOnly asks for the objects' metadata alone.
	metadataOnly bool
	// required says that nothing can be said of the cluster without it.
	required bool
	// paged asks for lists instead of streams: a list is compressed, and comes from the server's cache by an index.
	paged bool
	// trim returns what is left of an object; nil for nothing.
	trim func(obj runtime.Object, observed time.Time) any
}

// title names the resource as in RBAC, with the name of a single object.
func (r *resource) title() string {
	title := r.plural
	if r.group != "" {
		title += "." + r.group
	}
	if r.namespace != "" {
		title += " in " + r.namespace
	}
	if r.fields != "" {
		title += " with " + r.fields
	}
	return title
}

// path returns the URL path of the collection in a version.
func (r *resource) path(version string) string {
	path := "/api/" + version
	if r.group != "" {
		path = "/apis/" + r.group + "/" + version
	}
	if r.namespace != "" {
		path += "/namespaces/" + r.namespace
	}
	return path + "/" + r.plural
}

// What the trimming functions return, beside podItem, nodeItem, serviceItem, sliceItem and meshItem.
type (
	workloadEntryItem podItem
	namespaceItem     struct{ network string }
	tagItem           struct{ revision, tag string }
	failoverItem      topology.FailoverSpec
	serviceEntryItem  topology.ServiceSpec
	// invalidItem is an object that cannot be used, and why.
	invalidItem struct{ err error }
	// podGone is a deleted pod.
	podGone struct {
		uid              topology.UID
		earliest, latest time.Time
	}
)

// v1 is the version of all built-in resources that are read.
var v1 = []string{"v1"}

func (s *Source) resources() []resource {
	system := s.settings.SystemNamespace
	pods := resource{plural: "pods", versions: v1, required: true, trim: func(o runtime.Object, at time.Time) any {
		if pod := podOf(o); pod != nil {
			return trimPod(pod, at, system)
		}
		return nil
	}}
	nodes := resource{plural: "nodes", versions: v1, trim: func(o runtime.Object, _ time.Time) any {
		if node, ok := o.(*corev1.Node); ok {
			return trimNode(node)
		}
		return nil
	}}
	namespace := resource{plural: "namespaces", versions: v1, fields: byName(system), trim: func(o runtime.Object, _ time.Time) any {
		return namespaceItem{network: o.(metav1.Object).GetLabels()[labelNetwork]}
	}, metadataOnly: true}
	revision := ""
	if s.settings.Scope == ScopeNode {
		revision = s.settings.IstioRevision
	}
	list := []resource{pods, nodes, namespace, meshConfig(system, meshConfigOf(revision))}
	if s.settings.Scope == ScopeNode {
		list[0].fields = "spec.nodeName=" + s.settings.NodeName
		list[1].fields = byName(s.settings.NodeName)
		for i := range list {
			list[i].paged = true
		}
		return list
	}
	return append(list, clusterResources()...)
}

func byName(name string) string { return "metadata.name=" + name }

// meshConfig is one ConfigMap: to watch all of the namespace brings Istio's election locks, which change all the time.
func meshConfig(namespace, name string) resource {
	return resource{
		plural: "configmaps", versions: v1, namespace: namespace, fields: byName(name), paged: true,
		trim: func(o runtime.Object, _ time.Time) any {
			configMap, ok := o.(*corev1.ConfigMap)
			if !ok {
				return nil
			}
			item, err := trimMeshConfig(configMap)
			if err != nil {
				return invalidItem{err}
			}
			return item
		},
	}
}

// clusterResources are those of the cluster scope alone.
func clusterResources() []resource {
	return []resource{
		{plural: "services", versions: v1, trim: func(o runtime.Object, _ time.Time) any {
			if service, ok := o.(*corev1.Service); ok {
				return trimService(service)
			}
			return nil
		}},
		{group: "discovery.k8s.io", plural: "endpointslices", versions: v1, trim: func(o runtime.Object, _ time.Time) any {
			if slice, ok := o.(*discoveryv1.EndpointSlice); ok {
				return trimSlice(slice)
			}
			return nil
		}},
		{
			group: "admissionregistration.k8s.io", plural: "mutatingwebhookconfigurations", versions: v1,
			labels: labelTag, metadataOnly: true, paged: true,
			trim: func(o runtime.Object, _ time.Time) any {
				labels := o.(metav1.Object).GetLabels()
				return tagItem{revision: labels[labelRevision], tag: labels[labelTag]}
			},
		},
		{group: gatewayGroup, plural: "gateways", versions: gatewayVersions, custom: true, trim: func(o runtime.Object, _ time.Time) any {
			g, ok := o.(*gatewayResource)
			if !ok {
				return nil
			}
			// A nil pointer in an interface is not nil.
			if item := trimGateway(g); item != nil {
				return item
			}
			return nil
		}},
		{group: istioGroup, plural: "workloadentries", versions: istioVersions, custom: true, trim: func(o runtime.Object, at time.Time) any {
			if e, ok := o.(*workloadEntry); ok {
				return workloadEntryItem(trimWorkloadEntry(e, at))
			}
			return nil
		}},
		{group: istioGroup, plural: "serviceentries", versions: istioVersions, custom: true, trim: func(o runtime.Object, _ time.Time) any {
			if e, ok := o.(*serviceEntry); ok {
				return serviceEntryItem(trimServiceEntry(e))
			}
			return nil
		}},
		{group: istioGroup, plural: "destinationrules", versions: istioVersions, custom: true, trim: func(o runtime.Object, _ time.Time) any {
			rule, ok := o.(*destinationRule)
			if !ok {
				return nil
			}
			if spec, ok := trimDestinationRule(rule); ok {
				return failoverItem(spec)
			}
			return nil
		}},
	}
}
