// SPDX-License-Identifier: Apache-2.0

package static

// document is the file as users write it. The README of the mesh_topology extension documents each key.
type document struct {
	MeshID   string    `yaml:"mesh_id"`
	Clusters []cluster `yaml:"clusters"`
}

type cluster struct {
	Name        string     `yaml:"name"`
	Region      string     `yaml:"region"`
	Provider    string     `yaml:"provider"`
	Platform    string     `yaml:"platform"`
	Network     string     `yaml:"network"`
	TrustDomain string     `yaml:"trust_domain"`
	Nodes       []node     `yaml:"nodes"`
	Gateways    []gateway  `yaml:"gateways"`
	Services    []service  `yaml:"services"`
	Workloads   []workload `yaml:"workloads"`
}

type node struct {
	Name      string   `yaml:"name"`
	Zone      string   `yaml:"zone"`
	Addresses []string `yaml:"addresses"`
}

type gateway struct {
	Name      string   `yaml:"name"`
	Namespace string   `yaml:"namespace"`
	Addresses []string `yaml:"addresses"`
	Port      uint16   `yaml:"port"`
}

type service struct {
	Name      string   `yaml:"name"`
	Namespace string   `yaml:"namespace"`
	Addresses []string `yaml:"addresses"`
	Ports     []uint16 `yaml:"ports"`
}

type workload struct {
	Name           string `yaml:"name"`
	Namespace      string `yaml:"namespace"`
	Kind           string `yaml:"kind"`
	Service        string `yaml:"service"`
	Version        string `yaml:"version"`
	ServiceAccount string `yaml:"service_account"`
	Pods           []pod  `yaml:"pods"`
}

type pod struct {
	Name      string   `yaml:"name"`
	Addresses []string `yaml:"addresses"`
	Node      string   `yaml:"node"`
	Network   string   `yaml:"network"`
	Zone      string   `yaml:"zone"`
}
