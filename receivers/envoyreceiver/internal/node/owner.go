// SPDX-License-Identifier: Apache-2.0

package node

import (
	"strconv"
	"strings"

	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
)

// Resource attributes without a semantic convention.
const (
	keyNodeID       = "envoy.node.id"
	keyNodeCluster  = "envoy.node.cluster"
	keyNodeType     = "envoy.node.type"
	keyVersion      = "envoy.version"
	keySubZone      = "envoy.locality.sub_zone"
	keyIstioVersion = "istio.version"
	keyMeshID       = "mesh.id"
	keyMeshNetwork  = "mesh.network"
)

// ownerKeys are the attributes of the kinds a pod's owner can be, by the plural that Istio's owner reference uses.
var ownerKeys = map[string]string{
	"deployments":  string(semconv.K8SDeploymentNameKey),
	"statefulsets": string(semconv.K8SStatefulSetNameKey),
	"daemonsets":   string(semconv.K8SDaemonSetNameKey),
	"jobs":         string(semconv.K8SJobNameKey),
	"cronjobs":     string(semconv.K8SCronJobNameKey),
	"replicasets":  string(semconv.K8SReplicaSetNameKey),
}

// owner returns the attribute and the name of a pod's owner. Istio writes it as
// "kubernetes://apis/apps/v1/namespaces/bookinfo/deployments/reviews-v1" (istio/istio pkg/kube/inject, ISTIO_META_OWNER).
// The workload name stands in for a missing last part. Both results are empty for a kind that is not known.
func owner(reference, workload string) (key, name string) {
	path, ok := strings.CutPrefix(reference, "kubernetes://apis/")
	if !ok {
		return "", ""
	}
	parts := strings.Split(path, "/")
	if len(parts) < 2 {
		return "", ""
	}
	key = ownerKeys[parts[len(parts)-2]]
	if key == "" {
		return "", ""
	}
	return key, first(parts[len(parts)-1], workload)
}

func formatVersion(major, minor, patch uint32) string {
	return strconv.FormatUint(uint64(major), 10) + "." +
		strconv.FormatUint(uint64(minor), 10) + "." +
		strconv.FormatUint(uint64(patch), 10)
}
