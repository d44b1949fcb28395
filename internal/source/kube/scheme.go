// SPDX-License-Identifier: Apache-2.0

package kube

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
)

// newScheme knows the kinds that the source reads, and no more: the whole Kubernetes scheme costs an agent some megabytes.
func newScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	core := corev1.SchemeGroupVersion
	s.AddKnownTypes(core,
		&corev1.Node{}, &corev1.NodeList{}, &corev1.Service{}, &corev1.ServiceList{},
		&corev1.Namespace{}, &corev1.NamespaceList{}, &corev1.ConfigMap{}, &corev1.ConfigMapList{})
	addKind(s, core.WithKind("Pod"), &leanPod{}, &leanPodList{})
	s.AddKnownTypes(discoveryv1.SchemeGroupVersion, &discoveryv1.EndpointSlice{}, &discoveryv1.EndpointSliceList{})
	metav1.AddToGroupVersion(s, core)
	metav1.AddToGroupVersion(s, discoveryv1.SchemeGroupVersion)
	metav1.AddToGroupVersion(s, admissionv1.SchemeGroupVersion)
	utilruntime.Must(metav1.AddMetaToScheme(s))
	for _, version := range istioVersions {
		gv := schema.GroupVersion{Group: istioGroup, Version: version}
		addKind(s, gv.WithKind("WorkloadEntry"), &workloadEntry{}, &workloadEntryList{})
		addKind(s, gv.WithKind("ServiceEntry"), &serviceEntry{}, &serviceEntryList{})
		addKind(s, gv.WithKind("DestinationRule"), &destinationRule{}, &destinationRuleList{})
		metav1.AddToGroupVersion(s, gv)
	}
	for _, version := range gatewayVersions {
		gv := schema.GroupVersion{Group: gatewayGroup, Version: version}
		addKind(s, gv.WithKind("Gateway"), &gatewayResource{}, &gatewayList{})
		metav1.AddToGroupVersion(s, gv)
	}
	return s
}

func addKind(s *runtime.Scheme, kind schema.GroupVersionKind, object, list runtime.Object) {
	s.AddKnownTypeWithName(kind, object)
	s.AddKnownTypeWithName(kind.GroupVersion().WithKind(kind.Kind+"List"), list)
}

// object holds what all custom resources share. The methods that [runtime.Object] wants are on each type.
type object struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
}

type objectList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
}
