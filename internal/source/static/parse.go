// SPDX-License-Identifier: Apache-2.0

package static

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// errEmpty is returned for a file without clusters: the most likely cause is a file that is being written.
var errEmpty = errors.New("clusters: write at least one cluster, as '- name: <cluster>'")

// Parse reads a topology file and checks it. Errors name the line and the key, and say what to write there. now becomes
// the time the snapshot was built.
func Parse(data []byte, limits topology.Limits, now time.Time) (*topology.Snapshot, error) {
	d, err := read(data, limits)
	if err != nil {
		return nil, err
	}
	return d.builder.Build(now), nil
}

// description is the content of a file that contradicts nothing.
type description struct {
	meshID   string
	clusters []*topology.ClusterSpec
	// builder has taken all clusters.
	builder *topology.Builder
}

// read takes a file apart and checks all that it says with a [topology.Builder]: a person wrote it and can mend it,
// unlike what other sources say, which is taken as far as it can be.
func read(data []byte, limits topology.Limits) (*description, error) {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, fmt.Errorf("reading the topology: %w", describe(err))
	}
	doc, err := decode(file)
	if err != nil {
		return nil, fmt.Errorf("reading the topology: %w", err)
	}
	if len(doc.Clusters) == 0 {
		return nil, errEmpty
	}
	d := &description{meshID: string(doc.MeshID), builder: topology.NewBuilder(string(doc.MeshID), limits)}
	for i := range doc.Clusters {
		spec, err := doc.Clusters[i].spec(i)
		if err == nil {
			err = d.builder.Add(spec)
		}
		if err != nil {
			return nil, locate(file, err)
		}
		d.clusters = append(d.clusters, spec)
	}
	return d, nil
}

// decode fills the document from the file's only part.
func decode(file *ast.File) (*document, error) {
	doc := &document{}
	var body ast.Node
	for _, part := range file.Docs {
		switch {
		case part.Body == nil || part.Body.Type() == ast.CommentType || part.Body.Type() == ast.NullType:
		case body != nil:
			return nil, fmt.Errorf("line %d: a second YAML document; write one", part.GetToken().Position.Line)
		default:
			body = part.Body
		}
	}
	if body == nil {
		return doc, nil
	}
	// A few aliases of aliases make a small file a huge one, so none are followed.
	finder := &aliasFinder{}
	ast.Walk(finder, body)
	if finder.found != nil {
		return nil, fmt.Errorf("line %d: an alias (*%s); write it out", finder.found.GetToken().Position.Line, finder.found.Value.GetToken().Value)
	}
	if err := yaml.NodeToValue(body, doc, yaml.Strict()); err != nil {
		return nil, describe(err)
	}
	return doc, nil
}

// aliasFinder is a visitor that keeps the first alias.
type aliasFinder struct{ found *ast.AliasNode }

// Visit implements [ast.Visitor].
func (f *aliasFinder) Visit(node ast.Node) ast.Visitor {
	if f.found != nil {
		return nil
	}
	if alias, ok := node.(*ast.AliasNode); ok {
		f.found = alias
		return nil
	}
	return f
}

// describe turns an error of the YAML library into one that keeps its position but not the colored excerpt.
func describe(err error) error {
	var at *token.Token
	var message string
	var withToken yaml.Error
	var value *valueError
	switch {
	case errors.As(err, &value):
		at, message = value.node.GetToken(), value.Error()
	case errors.As(err, &withToken):
		at, message = withToken.GetToken(), withToken.GetMessage()
	}
	if at == nil || at.Position == nil {
		return err
	}
	if key := keyOf(at); key != "" {
		message = "'" + key + "': " + message
	}
	return fmt.Errorf("line %d, column %d: %s", at.Position.Line, at.Position.Column, message)
}

// keyOf returns the key that a value's token stands behind; empty if the token is a key itself.
func keyOf(at *token.Token) string {
	if at.Next != nil && at.Next.Type == token.MappingValueType {
		return ""
	}
	for t := at; t != nil; t = t.Prev {
		if t.Type == token.MappingValueType && t.Prev != nil {
			return t.Prev.Value
		}
	}
	return ""
}

// locate puts the line in front of an error about the content.
func locate(file *ast.File, err error) error {
	var invalid *topology.ValidationError
	if !errors.As(err, &invalid) {
		return err
	}
	// The key may be missing, which is then the error: the part that lacks it has a line.
	whole := invalid.At
	whole.Field = ""
	for _, at := range []topology.Position{invalid.At, whole} {
		if line, ok := lineOf(file, at); ok {
			return fmt.Errorf("line %d, %w", line, err)
		}
	}
	return err
}

func lineOf(file *ast.File, at topology.Position) (int, bool) {
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
		Name: string(c.Name), Region: string(c.Region), Provider: string(c.Provider), Platform: string(c.Platform),
		Network: string(c.Network), TrustDomain: string(c.TrustDomain),
	}
	var err error
	for i, n := range c.Nodes {
		node := topology.NodeSpec{Name: string(n.Name), Zone: envoy.NormalizeZone(string(c.Region), string(n.Zone))}
		at.List, at.Index = "nodes", i
		if node.Addresses, err = addresses(at, n.Addresses); err != nil {
			return nil, err
		}
		spec.Nodes = append(spec.Nodes, node)
	}
	for i, g := range c.Gateways {
		gateway := topology.GatewaySpec{Name: string(g.Name), Namespace: string(g.Namespace), Port: g.Port}
		at.List, at.Index = "gateways", i
		if gateway.Addresses, err = addresses(at, g.Addresses); err != nil {
			return nil, err
		}
		spec.Gateways = append(spec.Gateways, gateway)
	}
	for i, s := range c.Services {
		service := topology.ServiceSpec{Name: string(s.Name), Namespace: string(s.Namespace), Ports: s.Ports}
		at.List, at.Index = "services", i
		if service.Addresses, err = addresses(at, s.Addresses); err != nil {
			return nil, err
		}
		spec.Services = append(spec.Services, service)
	}
	for i := range c.Workloads {
		at.List, at.Index = "workloads", i
		w, err := c.Workloads[i].spec(at, string(c.Region))
		if err != nil {
			return nil, err
		}
		spec.Workloads = append(spec.Workloads, w)
	}
	return spec, nil
}

func (w *workload) spec(at topology.Position, region string) (topology.WorkloadSpec, error) {
	spec := topology.WorkloadSpec{
		Name: string(w.Name), Namespace: string(w.Namespace), Kind: string(w.Kind), Service: string(w.Service), Version: string(w.Version),
		ServiceAccount: string(w.ServiceAccount), Waypoint: w.Waypoint, Pods: make([]topology.PodSpec, len(w.Pods)),
	}
	for i, p := range w.Pods {
		at.Pod = i
		list, err := addresses(at, p.Addresses)
		if err != nil {
			return topology.WorkloadSpec{}, err
		}
		spec.Pods[i] = topology.PodSpec{
			Name: string(p.Name), Addresses: list, Node: string(p.Node), Network: string(p.Network), Zone: envoy.NormalizeZone(region, string(p.Zone)),
		}
	}
	return spec, nil
}

func addresses(at topology.Position, texts []text) ([]netip.Addr, error) {
	out := make([]netip.Addr, len(texts))
	for i, written := range texts {
		address, err := netip.ParseAddr(string(written))
		if err != nil || address.Zone() != "" || address.IsUnspecified() {
			at.Field = "addresses"
			return nil, topology.Invalid(at, fmt.Sprintf("%q is no IP address; write one without port or mask, such as 10.0.0.1", written))
		}
		out[i] = address
	}
	return out, nil
}
