// SPDX-License-Identifier: Apache-2.0

// Package node turns the node that introduces a stream of Envoy's push APIs into a resource.
package node

import (
	"errors"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"go.opentelemetry.io/collector/pdata/pcommon"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/attr"
)

// Errors of [Check]; their texts go to the sender.
var (
	ErrNoNode = errors.New("'identifier.node' is missing")
	ErrNoID   = errors.New("'identifier.node' has neither 'id' nor 'cluster': set both in Envoy's bootstrap")
)

// Check reports why a node cannot identify a stream, or nil if it can.
func Check(n *corev3.Node) error {
	switch {
	case n == nil:
		return ErrNoNode
	case n.GetId() == "" && n.GetCluster() == "":
		return ErrNoID
	default:
		return nil
	}
}

// Fill writes the resource attributes of a node. What Istio put into the node's metadata is preferred to what its id
// says, and what neither tells stays absent.
func Fill(n *corev3.Node, resource pcommon.Map, limits attr.Limits, tally *attr.Tally) {
	w := attr.Writer{Map: resource, Limits: limits, Tally: tally}
	meta := metadata{fields: n.GetMetadata().GetFields()}
	id, _ := envoy.ParseNodeID(n.GetId()) // An Envoy outside Istio has a free-form id: then id stays zero.

	w.Str(keyNodeID, n.GetId())
	w.Str(keyNodeCluster, n.GetCluster())
	w.Str(keyNodeType, id.Type)
	w.Str(keyVersion, version(n))
	w.Str(keyIstioVersion, meta.text("ISTIO_VERSION"))
	w.Str(keyMeshID, meta.text("MESH_ID"))
	w.Str(keyMeshNetwork, meta.text("NETWORK"))

	fillLocality(n.GetLocality(), w)
	fillWorkload(n, meta, id, w)
}

func fillLocality(locality *corev3.Locality, w attr.Writer) {
	w.Str(string(semconv.CloudRegionKey), locality.GetRegion())
	w.Str(string(semconv.CloudAvailabilityZoneKey), envoy.NormalizeZone(locality.GetRegion(), locality.GetZone()))
	w.Str(keySubZone, locality.GetSubZone())
}

func fillWorkload(n *corev3.Node, meta metadata, id envoy.NodeID, w attr.Writer) {
	pod := first(meta.text("NAME"), id.Pod)
	namespace := first(meta.text("NAMESPACE"), id.Namespace)
	w.Str(string(semconv.K8SClusterNameKey), meta.text("CLUSTER_ID"))
	w.Str(string(semconv.K8SNamespaceNameKey), namespace)
	w.Str(string(semconv.K8SPodNameKey), pod)
	w.Str(string(semconv.K8SPodIPKey), id.Address)
	w.Str(string(semconv.K8SNodeNameKey), meta.text("NODE_NAME"))
	if key, name := owner(meta.text("OWNER"), meta.text("WORKLOAD_NAME")); key != "" {
		w.Str(key, name)
	}
	w.Str(string(semconv.ServiceNameKey), serviceName(n, meta, namespace))
	w.Str(string(semconv.ServiceNamespaceKey), namespace)
	w.Str(string(semconv.ServiceVersionKey), serviceVersion(meta))
	w.Str(string(semconv.ServiceInstanceIDKey), instanceID(namespace, pod, n.GetId()))
}

// serviceName prefers the mesh's canonical name, by the order in which Istio itself derives it
// (istio/istio pkg/model/proxy.go, GetCanonicalServiceName), to the node's cluster, "<app>.<namespace>".
func serviceName(n *corev3.Node, meta metadata, namespace string) string {
	name := first(
		meta.label("service.istio.io/canonical-name"),
		meta.label("app.kubernetes.io/name"),
		meta.label("app"),
		meta.text("WORKLOAD_NAME"),
	)
	if name != "" {
		return name
	}
	if short, ok := strings.CutSuffix(n.GetCluster(), "."+namespace); ok && namespace != "" {
		return short
	}
	return n.GetCluster()
}

func serviceVersion(meta metadata) string {
	return first(
		meta.label("service.istio.io/canonical-revision"),
		meta.label("app.kubernetes.io/version"),
		meta.label("version"),
	)
}

func instanceID(namespace, pod, nodeID string) string {
	if namespace == "" || pod == "" {
		return nodeID
	}
	return namespace + "." + pod
}

// version renders Envoy's own version, for example "1.40.0".
func version(n *corev3.Node) string {
	if v := n.GetUserAgentVersion(); v != "" {
		return v
	}
	v := n.GetUserAgentBuildVersion().GetVersion()
	if v == nil {
		return ""
	}
	return formatVersion(v.GetMajorNumber(), v.GetMinorNumber(), v.GetPatch())
}

// metadata reads the node's metadata, in which the sender may have put anything.
type metadata struct {
	fields map[string]*structpb.Value
}

func (m metadata) text(key string) string {
	return m.fields[key].GetStringValue()
}

func (m metadata) label(key string) string {
	return m.fields["LABELS"].GetStructValue().GetFields()[key].GetStringValue()
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
