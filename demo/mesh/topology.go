// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"net"
	"strconv"

	"github.com/goccy/go-yaml"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh/layout"
	domain "github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
)

// The static topology file's schema, as the mesh_topology extension reads it.
type (
	topologyFile struct {
		MeshID   string            `yaml:"mesh_id"`
		Clusters []topologyCluster `yaml:"clusters"`
	}
	topologyCluster struct {
		Name        string             `yaml:"name"`
		Region      string             `yaml:"region"`
		Provider    string             `yaml:"provider"`
		Platform    string             `yaml:"platform"`
		Network     string             `yaml:"network"`
		TrustDomain string             `yaml:"trust_domain"`
		Nodes       []topologyNode     `yaml:"nodes"`
		Gateways    []topologyGateway  `yaml:"gateways"`
		Services    []topologyService  `yaml:"services"`
		Workloads   []topologyWorkload `yaml:"workloads"`
	}
	topologyNode struct {
		Name      string   `yaml:"name"`
		Zone      string   `yaml:"zone"`
		Addresses []string `yaml:"addresses"`
	}
	topologyGateway struct {
		Name      string   `yaml:"name"`
		Namespace string   `yaml:"namespace"`
		Addresses []string `yaml:"addresses"`
		Port      int      `yaml:"port"`
	}
	topologyService struct {
		Name      string   `yaml:"name"`
		Namespace string   `yaml:"namespace"`
		Addresses []string `yaml:"addresses"`
		Ports     []int    `yaml:"ports"`
	}
	topologyWorkload struct {
		Name           string        `yaml:"name"`
		Namespace      string        `yaml:"namespace"`
		Kind           string        `yaml:"kind"`
		Service        string        `yaml:"service"`
		Version        string        `yaml:"version"`
		ServiceAccount string        `yaml:"service_account"`
		Pods           []topologyPod `yaml:"pods"`
	}
	topologyPod struct {
		Name      string   `yaml:"name"`
		Addresses []string `yaml:"addresses"`
		Node      string   `yaml:"node"`
	}
)

// Topology returns the mesh as the static file of the mesh_topology extension: every node, gateway, service, workload
// and pod of both clusters. It does not depend on whether the mesh runs.
func Topology() ([]byte, error) {
	file := topologyFile{MeshID: layout.MeshID}
	for _, c := range layout.Clusters() {
		file.Clusters = append(file.Clusters, clusterTopology(c))
	}
	return yaml.Marshal(file)
}

func clusterTopology(c layout.Cluster) topologyCluster {
	out := topologyCluster{
		Name: c.Name, Region: c.Region, Provider: "azure", Platform: "azure.aks", Network: c.Network, TrustDomain: layout.TrustDomain,
	}
	for _, n := range c.Nodes() {
		out.Nodes = append(out.Nodes, topologyNode{Name: n.Name, Zone: n.Zone, Addresses: []string{n.Address}})
	}
	for _, s := range layout.Services() {
		out.Services = append(out.Services, topologyService{
			Name: s.Name, Namespace: s.Namespace, Addresses: []string{c.Prefix + "." + s.VIPSuffix}, Ports: []int{s.Port},
		})
	}
	for _, p := range c.Pods() {
		if p.Kind == layout.EastWest {
			out.Gateways = append(out.Gateways, topologyGateway{
				Name: p.Workload, Namespace: p.Namespace, Addresses: []string{p.IP}, Port: layout.PortEastWest,
			})
		}
		out.Workloads = append(out.Workloads, topologyWorkload{
			Name: p.Workload, Namespace: p.Namespace, Kind: "deployment", Service: p.Service, Version: p.Version,
			ServiceAccount: p.ServiceAccount,
			Pods:           []topologyPod{{Name: p.Name, Addresses: []string{p.IP}, Node: p.Node}},
		})
	}
	return out
}

// ScrapeTargets returns the cluster's sidecars as "ip:port" for Prometheus: /stats/prometheus on port 15090. Gateways
// are not among them: they push. An unknown cluster has none.
func ScrapeTargets(cluster string) []string {
	c, ok := layout.ClusterByName(cluster)
	if !ok {
		return nil
	}
	var targets []string
	for _, p := range c.Pods() {
		if p.Kind == layout.Sidecar {
			targets = append(targets, net.JoinHostPort(p.IP, strconv.Itoa(layout.PortPrometheus)))
		}
	}
	return targets
}

// PodTruth is what every mesh.source.* or mesh.destination.* attribute must say when a pod is that end.
type PodTruth struct {
	// Pod is the pod's name, NodeID its Envoy's node id, IP its address.
	Pod, NodeID, IP string
	// Node is the Kubernetes node's name.
	Node string
	// Gateway is true for an east/west gateway: it carries calls and is never an end of one.
	Gateway bool
	// End holds the nine attributes.
	End domain.End
}

// Truth returns the expected attributes of every pod, in the layout's order.
func Truth() []PodTruth {
	pods := layout.Pods()
	truth := make([]PodTruth, 0, len(pods))
	for _, p := range pods {
		truth = append(truth, PodTruth{
			Pod: p.Name, NodeID: p.NodeID(), IP: p.IP, Node: p.Node, Gateway: p.Kind == layout.EastWest,
			End: domain.End{
				Cluster: p.Cluster.Name, Region: p.Cluster.Region, Zone: p.ZoneLabel(), Network: p.Cluster.Network,
				Namespace: p.Namespace, Workload: p.Workload, Service: p.Service, Version: p.Version, Principal: p.Principal(),
			},
		})
	}
	return truth
}

// TruthOf returns the truth about the pod with this address, name or node id.
func TruthOf(key string) (PodTruth, bool) {
	for _, t := range Truth() {
		if key == t.IP || key == t.Pod || key == t.NodeID {
			return t, true
		}
	}
	return PodTruth{}, false
}
