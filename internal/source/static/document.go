// SPDX-License-Identifier: Apache-2.0

package static

import (
	"errors"

	"github.com/goccy/go-yaml/ast"
)

// text is a value as it is written: YAML takes an unquoted version 1.10 for the number 1.1.
type text string

var errNoText = errors.New("write a text")

// UnmarshalYAML takes any scalar by its spelling.
func (t *text) UnmarshalYAML(node ast.Node) error {
	switch n := node.(type) {
	case *ast.NullNode:
		*t = ""
	case *ast.StringNode:
		*t = text(n.Value)
	case *ast.LiteralNode:
		*t = text(n.Value.Value)
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		*t = text(node.GetToken().Value)
	default:
		return &valueError{node: node, err: errNoText}
	}
	return nil
}

// valueError is an error about one value.
type valueError struct {
	node ast.Node
	err  error
}

func (e *valueError) Error() string { return e.err.Error() }

func (e *valueError) Unwrap() error { return e.err }

// document is the file as users write it. The README of the mesh_topology extension documents each key.
type document struct {
	MeshID   text      `yaml:"mesh_id"`
	Clusters []cluster `yaml:"clusters"`
}

type cluster struct {
	Name        text       `yaml:"name"`
	Region      text       `yaml:"region"`
	Provider    text       `yaml:"provider"`
	Platform    text       `yaml:"platform"`
	Network     text       `yaml:"network"`
	TrustDomain text       `yaml:"trust_domain"`
	Nodes       []node     `yaml:"nodes"`
	Gateways    []gateway  `yaml:"gateways"`
	Services    []service  `yaml:"services"`
	Workloads   []workload `yaml:"workloads"`
}

type node struct {
	Name      text   `yaml:"name"`
	Zone      text   `yaml:"zone"`
	Addresses []text `yaml:"addresses"`
}

type gateway struct {
	Name      text   `yaml:"name"`
	Namespace text   `yaml:"namespace"`
	Addresses []text `yaml:"addresses"`
	Port      uint16 `yaml:"port"`
}

type service struct {
	Name      text     `yaml:"name"`
	Namespace text     `yaml:"namespace"`
	Addresses []text   `yaml:"addresses"`
	Ports     []uint16 `yaml:"ports"`
}

type workload struct {
	Name           text  `yaml:"name"`
	Namespace      text  `yaml:"namespace"`
	Kind           text  `yaml:"kind"`
	Service        text  `yaml:"service"`
	Version        text  `yaml:"version"`
	ServiceAccount text  `yaml:"service_account"`
	Waypoint       bool  `yaml:"waypoint"`
	Pods           []pod `yaml:"pods"`
}

type pod struct {
	Name      text   `yaml:"name"`
	Addresses []text `yaml:"addresses"`
	Node      text   `yaml:"node"`
	Network   text   `yaml:"network"`
	Zone      text   `yaml:"zone"`
}
