// SPDX-License-Identifier: Apache-2.0

// Package world is what really is there, by which the corpus judges the processors: it reads the topology files by
// itself and says of each pod where it is. It shares no code with what it judges, so that one mistake cannot be in both.
package world

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// File is a topology file, as the mesh_topology extension's README describes it.
type File struct {
	MeshID   string    `yaml:"mesh_id,omitempty"`
	Clusters []Cluster `yaml:"clusters"`
}

// Cluster of a topology file.
type Cluster struct {
	Name        string     `yaml:"name"`
	Region      string     `yaml:"region,omitempty"`
	Provider    string     `yaml:"provider,omitempty"`
	Platform    string     `yaml:"platform,omitempty"`
	Network     string     `yaml:"network,omitempty"`
	TrustDomain string     `yaml:"trust_domain,omitempty"`
	Nodes       []Node     `yaml:"nodes,omitempty"`
	Gateways    []Gateway  `yaml:"gateways,omitempty"`
	Services    []Service  `yaml:"services,omitempty"`
	Workloads   []Workload `yaml:"workloads,omitempty"`
}

// Node of a cluster.
type Node struct {
	Name      string   `yaml:"name"`
	Zone      string   `yaml:"zone,omitempty"`
	Addresses []string `yaml:"addresses,omitempty,flow"`
}

// Gateway is an east/west gateway.
type Gateway struct {
	Name      string   `yaml:"name"`
	Namespace string   `yaml:"namespace"`
	Addresses []string `yaml:"addresses,flow"`
	Port      int      `yaml:"port,omitempty"`
}

// Service with its virtual addresses.
type Service struct {
	Name      string   `yaml:"name"`
	Namespace string   `yaml:"namespace"`
	Addresses []string `yaml:"addresses,omitempty,flow"`
	Ports     []int    `yaml:"ports,omitempty,flow"`
}

// Workload with its pods.
type Workload struct {
	Name           string `yaml:"name"`
	Namespace      string `yaml:"namespace"`
	Kind           string `yaml:"kind,omitempty"`
	Service        string `yaml:"service,omitempty"`
	Version        string `yaml:"version,omitempty"`
	ServiceAccount string `yaml:"service_account,omitempty"`
	Waypoint       bool   `yaml:"waypoint,omitempty"`
	Pods           []Pod  `yaml:"pods,omitempty"`
}

// Pod of a workload.
type Pod struct {
	Name      string   `yaml:"name"`
	Addresses []string `yaml:"addresses,omitempty,flow"`
	Node      string   `yaml:"node,omitempty"`
	Network   string   `yaml:"network,omitempty"`
	Zone      string   `yaml:"zone,omitempty"`
}

// End is one end of a call as it really is: the nine attributes, empty where there is nothing to say.
type End struct {
	Cluster   string `yaml:"cluster,omitempty"`
	Region    string `yaml:"region,omitempty"`
	Zone      string `yaml:"zone,omitempty"`
	Network   string `yaml:"network,omitempty"`
	Namespace string `yaml:"namespace,omitempty"`
	Workload  string `yaml:"workload,omitempty"`
	Service   string `yaml:"service,omitempty"`
	Version   string `yaml:"version,omitempty"`
	Principal string `yaml:"principal,omitempty"`
}

// World is a mesh with everything in it, known to the collectors or not.
type World struct{ Clusters []Cluster }

// Place is a pod where it is.
type Place struct {
	Cluster  *Cluster
	Workload *Workload
	Pod      *Pod
}

// Read reads topology files, each after the first adding to the clusters of those before.
func Read(files ...string) (*World, error) {
	var w World
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var f File
		if err := yaml.UnmarshalWithOptions(data, &f, yaml.Strict()); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, c := range f.Clusters {
			w.add(c)
		}
	}
	return &w, nil
}

func (w *World) add(c Cluster) {
	old := w.Cluster(c.Name)
	if old == nil {
		w.Clusters = append(w.Clusters, c)
		return
	}
	old.Nodes = append(old.Nodes, c.Nodes...)
	old.Gateways = append(old.Gateways, c.Gateways...)
	old.Workloads = append(old.Workloads, c.Workloads...)
}

// Cluster returns the cluster of that name, or nil.
func (w *World) Cluster(name string) *Cluster {
	for i := range w.Clusters {
		if w.Clusters[i].Name == name {
			return &w.Clusters[i]
		}
	}
	return nil
}

// Pod returns the pod "<cluster>/<pod>", or panics: the families of cases name pods that are there.
func (w *World) Pod(ref string) Place {
	cluster, name, _ := strings.Cut(ref, "/")
	for _, p := range w.Pods() {
		if p.Cluster.Name == cluster && p.Pod.Name == name {
			return p
		}
	}
	panic("no pod " + ref)
}

// Pods returns all pods, in the order of the files.
func (w *World) Pods() []Place {
	var out []Place
	for i := range w.Clusters {
		c := &w.Clusters[i]
		for j := range c.Workloads {
			for k := range c.Workloads[j].Pods {
				out = append(out, Place{c, &c.Workloads[j], &c.Workloads[j].Pods[k]})
			}
		}
	}
	return out
}

// Gateway returns the east/west gateway "<cluster>/<name>", or panics.
func (w *World) Gateway(ref string) (*Cluster, *Gateway) {
	cluster, name, _ := strings.Cut(ref, "/")
	if c := w.Cluster(cluster); c != nil {
		for i := range c.Gateways {
			if c.Gateways[i].Name == name {
				return c, &c.Gateways[i]
			}
		}
	}
	panic("no gateway " + ref)
}

// IsGateway says whether the pod is one of an east/west gateway.
func (p Place) IsGateway() bool {
	return slices.ContainsFunc(p.Cluster.Gateways, func(g Gateway) bool {
		return g.Name == p.Workload.Name && g.Namespace == p.Workload.Namespace
	})
}

// End returns the pod as an end of a call.
func (p Place) End() End {
	e := End{
		Cluster: p.Cluster.Name, Region: p.Cluster.Region, Zone: p.zone(), Network: p.network(),
		Namespace: p.Workload.Namespace, Workload: p.Workload.Name, Service: p.Workload.Service, Version: p.Workload.Version,
	}
	if p.Cluster.TrustDomain != "" && p.Workload.ServiceAccount != "" {
		e.Principal = p.Principal()
	}
	return e
}

// Principal returns the identity in the pod's certificate.
func (p Place) Principal() string {
	return "spiffe://" + p.Cluster.TrustDomain + "/ns/" + p.Workload.Namespace + "/sa/" + p.Workload.ServiceAccount
}

// IP returns the pod's first address.
func (p Place) IP() string { return p.Pod.Addresses[0] }

func (p Place) network() string {
	if p.Pod.Network != "" {
		return p.Pod.Network
	}
	return p.Cluster.Network
}

func (p Place) zone() string {
	if p.Pod.Zone != "" {
		return p.Pod.Zone
	}
	for _, n := range p.Cluster.Nodes {
		if n.Name == p.Pod.Node {
			return n.Zone
		}
	}
	return ""
}

// Without returns the topology file after something was taken out of it.
func Without(file string, forget func(*World)) ([]byte, error) {
	w, err := Read(file)
	if err != nil {
		return nil, err
	}
	forget(w)
	return yaml.Marshal(File{Clusters: w.Clusters})
}

// AgentView returns what an agent on that node knows, as a topology file: its cluster's facts, its own node, and the
// pods on it. The whole mesh shares nothing else with it.
func AgentView(file, cluster, node string) ([]byte, error) {
	w, err := Read(file)
	if err != nil {
		return nil, err
	}
	c := w.Cluster(cluster)
	if c == nil {
		return yaml.Marshal(File{Clusters: []Cluster{{Name: cluster}}})
	}
	view := *c
	view.Gateways, view.Services, view.Nodes, view.Workloads = nil, nil, nil, nil
	for _, n := range c.Nodes {
		if n.Name == node {
			view.Nodes = append(view.Nodes, n)
		}
	}
	for _, l := range c.Workloads {
		l.Pods = slices.DeleteFunc(slices.Clone(l.Pods), func(p Pod) bool { return p.Node != node })
		if len(l.Pods) > 0 {
			view.Workloads = append(view.Workloads, l)
		}
	}
	return yaml.Marshal(File{Clusters: []Cluster{view}})
}
