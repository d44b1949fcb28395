// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"slices"
	"strings"
)

func (a *applier) applyNodes() {
	c := a.c
	for _, name := range a.d.GoneNodes {
		if n := c.nodeNamed(a.Writer, name); n != nil {
			a.dropNode(n)
		}
	}
	if a.mentions() {
		for i := range a.d.Nodes {
			if n := c.nodeNamed(a.Writer, a.d.Nodes[i].Name); n != nil {
				n.mark = c.description.mark
			}
		}
	}
	if a.sweep {
		for n := range c.nodes.all() {
			if a.unmentioned(n.mark) {
				a.dropNode(n)
			}
		}
	}
	moved := map[string]*Node{}
	for i := range a.d.Nodes {
		if n := a.addNode(&a.d.Nodes[i]); n != nil {
			moved[n.Name] = n
		}
	}
	if len(moved) > 0 {
		a.carry(moved)
	}
}

// addNode takes a node that is there. It returns the node if pods have to follow it to another place.
func (a *applier) addNode(spec *NodeSpec) *Node {
	c := a.c
	if problem := checkNode(spec); problem != "" {
		a.invalid(c.Name, "node "+clip(spec.Name), problem)
		return nil
	}
	addresses := distinct(spec.Addresses)
	old := c.nodeNamed(a.Writer, spec.Name)
	if old != nil && old.Zone == spec.Zone && old.Region == spec.Region && slices.Equal(old.addresses, addresses) {
		return nil
	}
	if old == nil && (a.postponeNode(spec) || a.full(a.stats.Nodes, a.settings.Limits.MaxNodes, &a.counters.NodesRefused, "nodes")) {
		return nil
	}
	n := &Node{
		Cluster: c.Cluster, Name: strings.Clone(spec.Name), Zone: a.strings.intern(spec.Zone),
		Region: a.strings.intern(spec.Region), addresses: slices.Clone(addresses), mark: c.description.mark,
	}
	waited := c.missing[spec.Name] != nil
	if old != nil {
		a.dropNode(old)
	}
	a.listNode(c, n)
	if waited || (old != nil && (old.Zone != n.Zone || old.Region != n.Region)) {
		return n
	}
	return nil
}

// carry brings the alive pods of the nodes to where the nodes are now.
func (a *applier) carry(moved map[string]*Node) {
	c := a.c
	for p := range c.pods.all() {
		if p.ended || p.Node == nil || moved[p.Node.Name] == nil {
			continue
		}
		q := *p
		q.Node = moved[p.Node.Name]
		q.Place = c.place(a.Writer, p.own(), q.Node)
		if q.Place != p.Place {
			state := p.described()
			a.delist(c, p)
			q.Workload = a.enlist(c, &state, q.Place)
		}
		a.unwait(p.Node)
		a.swap(c, p, &q)
	}
}

// own returns what the pod has of its own of its place.
func (p *Pod) own() Place {
	own := Place{}
	if p.ownRegion {
		own.Region = p.Region
	}
	if p.ownZone {
		own.Zone = p.Zone
	}
	if p.ownNetwork {
		own.Network = p.Network
	}
	return own
}

// described returns what the pod's workload is known by.
func (p *Pod) described() PodState {
	w := p.Workload
	return PodState{
		Namespace: w.Namespace, Workload: w.Name, Kind: w.Kind, Service: w.service, Version: w.version, ServiceAccount: w.account,
		Revision: w.Revision, Waypoint: w.Waypoint,
	}
}

func (w *Writer) listNode(c *clusterState, n *Node) {
	c.touched = true
	c.nodes.add(hashName(w.seeds, "", n.Name), n, false)
	w.stats.Nodes++
	net := w.network(c.Network)
	for _, address := range n.addresses {
		net.nodes.add(hashAddress(w.seeds, address.As16()), n, false)
		net.touched, net.nodesTouched = true, true
	}
}

func (w *Writer) unlistNode(c *clusterState, n *Node) {
	net := w.network(c.Network)
	for _, address := range n.addresses {
		net.nodes.remove(hashAddress(w.seeds, address.As16()), n)
		net.touched, net.nodesTouched = true, true
	}
}

func (a *applier) dropNode(n *Node) {
	a.c.touched = true
	a.c.nodes.remove(hashName(a.seeds, "", n.Name), n)
	a.stats.Nodes--
	a.unlistNode(a.c, n)
}

// node returns the node of the name; if nobody described it yet, one that only has its name.
func (w *Writer) node(c *clusterState, name string) *Node {
	if n := c.nodeNamed(w, name); n != nil {
		return n
	}
	if n := c.missing[name]; n != nil {
		return n
	}
	n := &Node{Cluster: c.Cluster, Name: strings.Clone(name), unknown: true}
	c.missing[n.Name] = n
	return n
}

// wait and unwait count the pods of unknown nodes, which go with the last of them.
func (w *Writer) wait(n *Node) {
	if n != nil && n.unknown {
		n.waiting++
	}
}

func (w *Writer) unwait(n *Node) {
	if n == nil || !n.unknown {
		return
	}
	n.waiting--
	if c := w.clusters[n.Cluster.Name]; n.waiting <= 0 && c != nil && c.missing[n.Name] == n {
		delete(c.missing, n.Name)
	}
}

func (c *clusterState) nodeNamed(w *Writer, name string) *Node {
	for n := range c.nodes.candidates(hashName(w.seeds, "", name)) {
		if n.Name == name {
			return n
		}
	}
	return nil
}

func (a *applier) applyServices() {
	c := a.c
	for _, name := range a.d.GoneServices {
		if s := c.serviceNamed(a.Writer, name.Namespace, name.Name); s != nil {
			a.dropService(s)
		}
	}
	if a.mentions() {
		for i := range a.d.Services {
			if s := c.serviceNamed(a.Writer, a.d.Services[i].Namespace, a.d.Services[i].Name); s != nil {
				s.mark = c.description.mark
			}
		}
	}
	if a.sweep {
		for s := range c.services.all() {
			if a.unmentioned(s.mark) {
				a.dropService(s)
			}
		}
	}
	for i := range a.d.Services {
		a.addService(&a.d.Services[i])
	}
}

func (a *applier) addService(spec *ServiceSpec) {
	c := a.c
	if problem := checkService(spec); problem != "" {
		a.invalid(c.Name, "service "+clip(spec.Namespace)+"/"+clip(spec.Name), problem)
		return
	}
	old := c.serviceNamed(a.Writer, spec.Namespace, spec.Name)
	kept := a.cloneService(spec, old)
	if kept == nil {
		return
	}
	if old == nil && (a.postponeService(spec) || a.full(a.stats.Services, a.settings.Limits.MaxServices, &a.counters.ServicesRefused, "services")) {
		return
	}
	if old != nil {
		a.dropService(old)
	}
	a.listService(c, &Service{
		Cluster: c.Cluster, Namespace: kept.Namespace, Name: kept.Name, spec: kept, mark: c.description.mark,
	})
}

// cloneService returns a copy for keeps, nil if the old one says the same.
func (w *Writer) cloneService(spec *ServiceSpec, old *Service) *ServiceSpec {
	addresses := distinct(spec.Addresses)
	if old != nil && slices.Equal(old.spec.Addresses, addresses) && slices.Equal(old.spec.Ports, spec.Ports) &&
		slices.Equal(old.spec.Hosts, spec.Hosts) && old.spec.External == spec.External &&
		slices.Equal(old.spec.Endpoints, spec.Endpoints) && (old.spec.Endpoints == nil) == (spec.Endpoints == nil) &&
		old.spec.EndingKnown == spec.EndingKnown && old.spec.Canonical == spec.Canonical {
		return nil
	}
	kept := &ServiceSpec{
		Namespace: w.strings.intern(spec.Namespace), Name: strings.Clone(spec.Name), Addresses: slices.Clone(addresses),
		Ports: slices.Clone(spec.Ports), Hosts: slices.Clone(spec.Hosts), External: spec.External,
		Endpoints: slices.Clone(spec.Endpoints), EndingKnown: spec.EndingKnown,
		Canonical: w.strings.intern(spec.Canonical),
	}
	for i := range kept.Hosts {
		kept.Hosts[i] = strings.Clone(kept.Hosts[i])
	}
	for i := range kept.Endpoints {
		kept.Endpoints[i].Zone = w.strings.intern(kept.Endpoints[i].Zone)
	}
	return kept
}

func (w *Writer) listService(c *clusterState, s *Service) {
	c.touched = true
	c.services.add(hashName(w.seeds, s.Namespace, s.Name), s, false)
	w.stats.Services++
	for _, address := range s.spec.Addresses {
		c.virtual.add(hashAddress(w.seeds, address.As16()), s, false)
	}
}

func (a *applier) dropService(s *Service) {
	a.c.touched = true
	a.c.services.remove(hashName(a.seeds, s.Namespace, s.Name), s)
	a.stats.Services--
	for _, address := range s.spec.Addresses {
		a.c.virtual.remove(hashAddress(a.seeds, address.As16()), s)
	}
}

func (c *clusterState) serviceNamed(w *Writer, namespace, name string) *Service {
	for s := range c.services.candidates(hashName(w.seeds, namespace, name)) {
		if s.Name == name && s.Namespace == namespace {
			return s
		}
	}
	return nil
}
