// SPDX-License-Identifier: Apache-2.0

package kube

// Labels and annotations that the source reads.
const (
	labelNetwork           = "topology.istio.io/network"
	labelLocality          = "topology.istio.io/locality"
	labelOldLocality       = "istio-locality"
	labelGatewayPort       = "networking.istio.io/gatewayPort"
	labelRevision          = "istio.io/rev"
	labelTag               = "istio.io/tag"
	labelWorkload          = "service.istio.io/workload-name"
	labelCanonicalName     = "service.istio.io/canonical-name"
	labelCanonicalRevision = "service.istio.io/canonical-revision"
	labelAppName           = "app.kubernetes.io/name"
	labelAppVersion        = "app.kubernetes.io/version"
	labelApp               = "app"
	labelVersion           = "version"
	labelTemplateHash      = "pod-template-hash"
	labelRolloutHash       = "rollouts-pod-template-hash"
	labelControllerHash    = "controller-revision-hash"
	labelRegion            = "topology.kubernetes.io/region"
	labelZone              = "topology.kubernetes.io/zone"
	labelOldRegion         = "failure-domain.beta.kubernetes.io/region"
	labelOldZone           = "failure-domain.beta.kubernetes.io/zone"
	labelAKSCluster        = "kubernetes.azure.com/cluster"
	labelServiceName       = "kubernetes.io/service-name"
	annotationAutoGroup    = "istio.io/autoRegistrationGroup"

	// What istiod labels the pods with that it makes for a Gateway: the controller that made them, and, from Istio 1.24
	// on, the Gateway's class.
	labelGatewayManaged = "gateway.istio.io/managed"
	labelGatewayClass   = "gateway.networking.k8s.io/gateway-class-name"
	meshController      = "istio.io-mesh-controller"
	waypointClass       = "istio-waypoint"
)

// first returns the first of the labels that is set.
func first(labels map[string]string, names ...string) string {
	for _, name := range names {
		if v := labels[name]; v != "" {
			return v
		}
	}
	return ""
}
