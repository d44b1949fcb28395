// SPDX-License-Identifier: Apache-2.0

package static

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// errEmpty is returned for a file without clusters: the most likely cause is a file that is being written.
var errEmpty = errors.New("clusters: write at least one cluster, as '- name: <cluster>'")

// Parse reads a topology file and checks it. Errors name the line and the key, and say what to write there. now becomes
// the time the snapshot was built.
func Parse(data []byte, limits topology.Limits, now time.Time) (*topology.Snapshot, error) {
	var doc document
	if err := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading the topology: %w", describe(err))
	}
	if len(doc.Clusters) == 0 {
		return nil, errEmpty
	}
	b := topology.NewBuilder(doc.MeshID, limits)
	for i := range doc.Clusters {
		spec, err := doc.Clusters[i].spec(i)
		if err == nil {
			err = b.Add(spec)
		}
		if err != nil {
			return nil, locate(data, err)
		}
	}
	return b.Build(now), nil
}

// describe turns an error of the YAML library into one that keeps its position but not the colored excerpt.
func describe(err error) error {
	var withToken yaml.Error
	if !errors.As(err, &withToken) || withToken.GetToken() == nil || withToken.GetToken().Position == nil {
		return err
	}
	at := withToken.GetToken().Position
	return fmt.Errorf("line %d, column %d: %s", at.Line, at.Column, withToken.GetMessage())
}

// locate puts the line in front of an error about the content.
func locate(data []byte, err error) error {
	var invalid *topology.ValidationError
	if !errors.As(err, &invalid) {
		return err
	}
	// The key may be missing, which is then the error: the part that lacks it has a line.
	whole := invalid.At
	whole.Field = ""
	for _, at := range []topology.Position{invalid.At, whole} {
		if line, ok := lineOf(data, at); ok {
			return fmt.Errorf("line %d, %w", line, err)
		}
	}
	return err
}

func lineOf(data []byte, at topology.Position) (int, bool) {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return 0, false
	}
	path, err := yaml.PathString("$." + at.String())
	if err != nil {
		return 0, false
	}
	node, err := path.FilterFile(file)
	if err != nil || node == nil {
		return 0, false
	}
	return firstLine(node), true
}

// firstLine returns the line a node starts in. A mapping's own token is the colon after its first key.
func firstLine(node ast.Node) int {
	if m, ok := node.(*ast.MappingNode); ok && len(m.Values) > 0 {
		return m.Values[0].Key.GetToken().Position.Line
	}
	return node.GetToken().Position.Line
}

// spec turns a cluster of the file into the builder's form. index is its place in the file.
func (c *cluster) spec(index int) (*topology.ClusterSpec, error) {
	at := topology.Position{Cluster: index, Pod: -1}
	spec := &topology.ClusterSpec{
		Name: c.Name, Region: c.Region, Provider: c.Provider, Platform: c.Platform,
		Network: c.Network, TrustDomain: c.TrustDomain,
	}
	var err error
	for i, n := range c.Nodes {
		node := topology.NodeSpec{Name: n.Name, Zone: envoy.NormalizeZone(c.Region, n.Zone)}
		at.List, at.Index = "nodes", i
		if node.Addresses, err = addresses(at, n.Addresses); err != nil {
			return nil, err
		}
		spec.Nodes = append(spec.Nodes, node)
	}
	for i, g := range c.Gateways {
		gateway := topology.GatewaySpec{Name: g.Name, Namespace: g.Namespace, Port: g.Port}
		at.List, at.Index = "gateways", i
		if gateway.Addresses, err = addresses(at, g.Addresses); err != nil {
			return nil, err
		}
		spec.Gateways = append(spec.Gateways, gateway)
	}
	for i, s := range c.Services {
		service := topology.ServiceSpec{Name: s.Name, Namespace: s.Namespace, Ports: s.Ports}
		at.List, at.Index = "services", i
		if service.Addresses, err = addresses(at, s.Addresses); err != nil {
			return nil, err
		}
		spec.Services = append(spec.Services, service)
	}
	for i := range c.Workloads {
		at.List, at.Index = "workloads", i
		w, err := c.Workloads[i].spec(at, c.Region)
		if err != nil {
			return nil, err
		}
		spec.Workloads = append(spec.Workloads, w)
	}
	return spec, nil
}

func (w *workload) spec(at topology.Position, region string) (topology.WorkloadSpec, error) {
	spec := topology.WorkloadSpec{
		Name: w.Name, Namespace: w.Namespace, Kind: w.Kind, Service: w.Service, Version: w.Version,
		ServiceAccount: w.ServiceAccount, Pods: make([]topology.PodSpec, len(w.Pods)),
	}
	for i, p := range w.Pods {
		at.Pod = i
		list, err := addresses(at, p.Addresses)
		if err != nil {
			return topology.WorkloadSpec{}, err
		}
		spec.Pods[i] = topology.PodSpec{
			Name: p.Name, Addresses: list, Node: p.Node, Network: p.Network, Zone: envoy.NormalizeZone(region, p.Zone),
		}
	}
	return spec, nil
}

func addresses(at topology.Position, texts []string) ([]netip.Addr, error) {
	out := make([]netip.Addr, len(texts))
	for i, text := range texts {
		address, err := netip.ParseAddr(text)
		if err != nil || address.Zone() != "" || address.IsUnspecified() {
			at.Field = "addresses"
			return nil, topology.Invalid(at, fmt.Sprintf("%q is no IP address; write one without port or mask, such as 10.0.0.1", text))
		}
		out[i] = address
	}
	return out, nil
}
