// SPDX-License-Identifier: Apache-2.0

// Package layout is the static plan of the demo mesh: which pod runs where, under which address and identity. Every
// other package derives its answers from it, so that the Envoys' configuration, the topology file and the truth table
// cannot disagree.
package layout

import (
	"fmt"
	"strconv"
)

// Names shared by both clusters.
const (
	// MeshID is the ISTIO_META_MESH_ID of every proxy.
	MeshID = "mesh1"
	// TrustDomain is the SPIFFE trust domain of the one root certificate.
	TrustDomain = "cluster.local"
	// BookinfoNamespace holds the workloads, GatewayNamespace the gateways.
	BookinfoNamespace = "bookinfo"
	// GatewayNamespace is where Istio installs its gateways.
	GatewayNamespace = "istio-system"
	// IstioVersion is what the proxies report in their node metadata.
	IstioVersion = "1.29.0"
)

// Ports by Istio's conventions. Every pod has its own address, so all pods use the same ports.
const (
	// PortApp is the service port and the port of the sidecar's mutual TLS listener.
	PortApp = 9080
	// PortAppLocal is where the application itself listens; no peer in the mesh dials it.
	PortAppLocal = 19080
	// PortOutbound is the sidecar's listener for the pod's own calls (Istio's virtualOutbound).
	PortOutbound = 15001
	// PortAdmin is Envoy's admin interface.
	PortAdmin = 15000
	// PortPrometheus serves /stats/prometheus.
	PortPrometheus = 15090
	// PortIngress is the ingress gateway's plain HTTP listener (Istio maps service port 80 to it).
	PortIngress = 8080
	// PortEastWest is the east/west gateway's AUTO_PASSTHROUGH listener.
	PortEastWest = 15443
)

// Kind is the role of a pod's Envoy.
type Kind int

// The three roles.
const (
	// Sidecar is a workload pod: an application and its own Envoy.
	Sidecar Kind = iota
	// Ingress is an istio-ingressgateway pod.
	Ingress
	// EastWest is an istio-eastwestgateway pod.
	EastWest
)

// Cluster is one AKS cluster; region, cluster and network are one-to-one in this mesh.
type Cluster struct {
	// Name is Istio's cluster id, for example "aks-westeurope".
	Name string
	// Region is the Azure region, for example "westeurope".
	Region string
	// Network is Istio's network name, for example "vnet-westeurope".
	Network string
	// Prefix is the first two octets of every address in the cluster, for example "127.1".
	Prefix string
	// suffix ends every pod name, so that a pod name is unique in the whole mesh.
	suffix string
}

// Pod is one pod with its Envoy.
type Pod struct {
	Cluster Cluster
	Kind    Kind
	// Name is the pod's name, unique in the whole mesh.
	Name string
	// Namespace is "bookinfo" or "istio-system".
	Namespace string
	// Workload is the deployment's name, Service the canonical service, Version the canonical revision.
	Workload, Service, Version string
	// ServiceAccount is the Kubernetes service account, which the SPIFFE identity names.
	ServiceAccount string
	// IP is the pod's loopback address.
	IP string
	// Node is the node's name and Zone the zone's number, as the Azure metadata service gives it ("1").
	Node, Zone string
}

// Service is one Kubernetes service of the mesh.
type Service struct {
	Name, Namespace, VIPSuffix string
	Port                       int
}

// Node is one AKS node.
type Node struct {
	Name, Zone, Address string
}

type workload struct {
	name, service, version, account, namespace, hash, host, zone string
	kind                                                         Kind
}

var workloads = []workload{
	{"istio-ingressgateway", "istio-ingressgateway", "latest", "istio-ingressgateway-service-account", GatewayNamespace, "79788cd94", "0.10", "1", Ingress},
	{"istio-eastwestgateway", "istio-eastwestgateway", "latest", "istio-eastwestgateway-service-account", GatewayNamespace, "6b9f4d7c85", "0.15", "3", EastWest},
	{"productpage-v1", "productpage", "v1", "bookinfo-productpage", BookinfoNamespace, "564d4686f", "0.21", "1", Sidecar},
	{"details-v1", "details", "v1", "bookinfo-details", BookinfoNamespace, "5f4d584748", "0.25", "1", Sidecar},
	{"reviews-v1", "reviews", "v1", "bookinfo-reviews", BookinfoNamespace, "6d5f7c9b8", "0.31", "1", Sidecar},
	{"reviews-v2", "reviews", "v2", "bookinfo-reviews", BookinfoNamespace, "7bbb5b9cf7", "0.32", "2", Sidecar},
	{"reviews-v3", "reviews", "v3", "bookinfo-reviews", BookinfoNamespace, "7dbcdcbc56", "0.33", "3", Sidecar},
	{"ratings-v1", "ratings", "v1", "bookinfo-ratings", BookinfoNamespace, "b6994bb9", "0.41", "2", Sidecar},
}

// Clusters returns the two clusters, westeurope first.
func Clusters() []Cluster {
	return []Cluster{
		{Name: "aks-westeurope", Region: "westeurope", Network: "vnet-westeurope", Prefix: "127.1", suffix: "abcde"},
		{Name: "aks-northeurope", Region: "northeurope", Network: "vnet-northeurope", Prefix: "127.2", suffix: "fghjk"},
	}
}

// ClusterByName returns the cluster of that name, or false.
func ClusterByName(name string) (Cluster, bool) {
	for _, c := range Clusters() {
		if c.Name == name {
			return c, true
		}
	}
	return Cluster{}, false
}

// Services returns the services that the mesh routes to.
func Services() []Service {
	return []Service{
		{Name: "productpage", Namespace: BookinfoNamespace, VIPSuffix: "100.1", Port: PortApp},
		{Name: "details", Namespace: BookinfoNamespace, VIPSuffix: "100.2", Port: PortApp},
		{Name: "reviews", Namespace: BookinfoNamespace, VIPSuffix: "100.3", Port: PortApp},
		{Name: "ratings", Namespace: BookinfoNamespace, VIPSuffix: "100.4", Port: PortApp},
	}
}

// Host is the service's fully qualified name.
func (s Service) Host() string { return s.Name + "." + s.Namespace + ".svc.cluster.local" }

// Nodes returns the cluster's three nodes, one in each zone.
func (c Cluster) Nodes() []Node {
	nodes := make([]Node, 0, 3)
	for i := range 3 {
		nodes = append(nodes, Node{
			Name:    nodeName(strconv.Itoa(i + 1)),
			Zone:    fmt.Sprintf("%s-%d", c.Region, i+1),
			Address: fmt.Sprintf("%s.0.%d", c.Prefix, 250+i),
		})
	}
	return nodes
}

// ClientAddress is where outside requests come from: what the ingress gateway sees of the Azure load balancer.
func (c Cluster) ClientAddress() string { return c.Prefix + ".0.1" }

// Pods returns all pods of the cluster.
func (c Cluster) Pods() []Pod {
	pods := make([]Pod, 0, len(workloads))
	for _, w := range workloads {
		pods = append(pods, Pod{
			Cluster: c, Kind: w.kind, Namespace: w.namespace,
			Name:     w.name + "-" + w.hash + "-" + c.suffix,
			Workload: w.name, Service: w.service, Version: w.version, ServiceAccount: w.account,
			IP: c.Prefix + "." + w.host, Node: nodeName(w.zone), Zone: w.zone,
		})
	}
	return pods
}

// PodsOf returns the cluster's pods behind one service.
func (c Cluster) PodsOf(service string) []Pod {
	var pods []Pod
	for _, p := range c.Pods() {
		if p.Service == service {
			pods = append(pods, p)
		}
	}
	return pods
}

// Pods returns the pods of both clusters.
func Pods() []Pod {
	var pods []Pod
	for _, c := range Clusters() {
		pods = append(pods, c.Pods()...)
	}
	return pods
}

// Principal is the SPIFFE identity in the pod's certificate.
func (p Pod) Principal() string {
	return "spiffe://" + TrustDomain + "/ns/" + p.Namespace + "/sa/" + p.ServiceAccount
}

// NodeID is Envoy's node id as Istio writes it: type~address~pod.namespace~dns domain.
func (p Pod) NodeID() string {
	kind := "sidecar"
	if p.Kind != Sidecar {
		kind = "router"
	}
	return kind + "~" + p.IP + "~" + p.Name + "." + p.Namespace + "~" + p.Namespace + ".svc.cluster.local"
}

// NodeCluster is Envoy's node cluster, which is also the service name of its traces.
func (p Pod) NodeCluster() string { return p.Service + "." + p.Namespace }

// ZoneLabel is the node label topology.kubernetes.io/zone as AKS writes it, for example "westeurope-1".
func (p Pod) ZoneLabel() string { return p.Cluster.Region + "-" + p.Zone }

// EndpointMetadata is the endpoint metadata string istiod attaches: workload;namespace;canonical;revision;cluster.
func (p Pod) EndpointMetadata() string {
	return p.Workload + ";" + p.Namespace + ";" + p.Service + ";" + p.Version + ";" + p.Cluster.Name
}

// Ports returns the ports on the pod's address that the demo listens on.
func (p Pod) Ports() []int {
	ports := []int{PortAdmin, PortPrometheus}
	switch p.Kind {
	case Ingress:
		return append(ports, PortIngress)
	case EastWest:
		return append(ports, PortEastWest)
	default:
		return append(ports, PortApp, PortAppLocal, PortOutbound)
	}
}

func nodeName(zone string) string { return "aks-pool-" + string(zone[0]-1) }
