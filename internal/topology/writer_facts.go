// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
)

// setFacts takes what is true of the cluster as a whole.
func (a *applier) setFacts(facts *ClusterFacts) {
	c := a.c
	if problem := checkFacts(facts); problem != "" {
		a.invalid(c.Name, "cluster "+c.Name, problem)
		return
	}
	if c.described && reflect.DeepEqual(c.facts, *facts) {
		return
	}
	c.facts, c.described = cloneFacts(facts), true
	told := cloneFacts(facts)
	c.live.facts.Store(&told)
	a.facts, c.touched = true, true
	now := *c.Cluster
	now.Region, now.Provider, now.Platform = told.Region, told.Provider, told.Platform
	now.TrustDomain, now.Network = told.TrustDomain, told.Network
	if now.Network == "" {
		// Istio treats a cluster without a network as sharing one nameless network with the others. Taking that for
		// granted would look addresses up where they cannot be seen, so such a cluster stands alone.
		now.Network = nameless + now.Name
	}
	was := c.Cluster
	if now.Region == was.Region && now.Provider == was.Provider && now.Platform == was.Platform &&
		now.TrustDomain == was.TrustDomain && now.Network == was.Network {
		return
	}
	now.end, now.sole = endOfCluster(&now), nil
	a.rebase(&now)
}

// rebase gives the cluster another record, and with it everything that leads to the cluster. It is the one change that
// touches all pods, and it happens when somebody gives the cluster another network, region or trust domain.
func (a *applier) rebase(now *Cluster) {
	c := a.c
	pods, nodes, services := slices.Collect(c.pods.all()), slices.Collect(c.nodes.all()), slices.Collect(c.services.all())
	stand := maps.Clone(c.standing)
	for name := range stand {
		a.dropStanding(name)
	}
	for _, p := range pods {
		if !p.ended {
			a.delist(c, p)
		}
		a.drop(c, p)
	}
	for _, n := range nodes {
		a.dropNode(n)
	}
	for _, s := range services {
		a.dropService(s)
	}
	a.leave(c, c.Network)
	c.Cluster, c.gateways = now, nil
	c.places, c.missing = map[Place]*Place{}, map[string]*Node{}
	a.join(c, now.Network)
	for _, n := range nodes {
		q := *n
		q.Cluster = now
		a.listNode(c, &q)
	}
	for _, s := range services {
		a.listService(c, &Service{Cluster: now, Namespace: s.Namespace, Name: s.Name, spec: s.spec, mark: s.mark})
	}
	a.renewStanding(stand)
	records := map[*Workload]*Workload{}
	for _, p := range pods {
		a.renew(p, records)
	}
}

// renew lists a pod again under the new record of its cluster.
func (a *applier) renew(p *Pod, records map[*Workload]*Workload) {
	c := a.c
	q := *p
	state := p.described()
	q.ownNetwork = p.ownNetwork && p.Network != c.Network
	if p.ended {
		q.Place = c.place(a.Writer, p.own(), p.Node)
		if records[p.Workload] == nil {
			records[p.Workload] = a.record(c, &state)
		}
		q.Workload = records[p.Workload]
		a.add(c, &q)
		return
	}
	if p.Node != nil {
		q.Node = a.node(c, p.Node.Name)
	}
	q.Place = c.place(a.Writer, p.own(), q.Node)
	q.Workload = a.enlist(c, &state, q.Place)
	a.settle(c, &q)
	a.add(c, &q)
}

// setGateways takes the gateways that the cluster has and knows; their records are made by [Writer.refresh].
func (a *applier) setGateways(specs []GatewaySpec) {
	c := a.c
	kept := make([]GatewaySpec, 0, len(specs))
	for i := range specs {
		spec := specs[i]
		if problem := checkGateway(&spec); problem != "" {
			a.invalid(c.Name, "gateway "+clip(spec.Namespace)+"/"+clip(spec.Name), problem)
			continue
		}
		others := a.stats.Gateways - len(c.specs)
		if a.full(others+len(kept), a.settings.Limits.MaxGateways, &a.counters.GatewaysRefused, "gateways") {
			break
		}
		spec.Name, spec.Namespace, spec.Network = strings.Clone(spec.Name), strings.Clone(spec.Namespace), strings.Clone(spec.Network)
		spec.Addresses = slices.Clone(distinct(spec.Addresses))
		kept = append(kept, spec)
	}
	if reflect.DeepEqual(kept, c.specs) {
		return
	}
	a.stats.Gateways += len(kept) - len(c.specs)
	c.specs = kept
	a.facts, c.touched = true, true
}

// gatewayNamed returns the cluster's own gateway that the workload of this name is, or nil.
func (c *clusterState) gatewayNamed(namespace, name string) *Gateway {
	for _, g := range c.gateways {
		if g.Name == name && g.Namespace == namespace && !g.Remote {
			return g
		}
	}
	return nil
}

// refresh brings everything up to date that depends on more than one pod or cluster.
func (w *Writer) refresh() {
	w.names = w.names[:0:0]
	for name := range w.clusters {
		w.names = append(w.names, name)
	}
	slices.Sort(w.names)
	w.refreshNetworks()
	w.refreshMesh()
	w.domains = map[string][]*Cluster{}
	w.gateways = map[netip.Addr][]*Gateway{}
	for _, name := range w.names {
		w.refreshCluster(w.clusters[name])
	}
	for _, remote := range []bool{false, true} {
		for _, name := range w.names {
			for _, g := range w.clusters[name].gateways {
				if g.Remote == remote {
					w.listGateway(g)
				}
			}
		}
	}
	w.reportFacts()
}

// listGateway notes the gateway under its addresses. Gateways that clusters have are listed before those they know.
func (w *Writer) listGateway(g *Gateway) {
	n := w.networks[g.Network]
	for _, address := range g.addresses {
		w.gateways[address] = append(w.gateways[address], g)
		if !g.Remote && n != nil {
			if n.gateways == nil {
				n.gateways = map[netip.Addr]*Gateway{}
			}
			n.gateways[address] = g
		}
	}
}

// refreshMesh notes the mesh id that the clusters agree on. A cluster that names none does not disagree.
func (w *Writer) refreshMesh() {
	w.meshID = ""
	for _, name := range w.names {
		id := w.clusters[name].facts.MeshID
		if id == "" || id == w.meshID {
			continue
		}
		if w.meshID != "" {
			w.meshID = ""
			return
		}
		w.meshID = id
	}
}

// refreshNetworks notes which clusters are in which network, and forgets empty ones.
func (w *Writer) refreshNetworks() {
	w.sole = ""
	count := 0
	for name, n := range w.networks {
		if len(n.members) == 0 && n.pods.n == 0 && n.nodes.n == 0 {
			delete(w.networks, name)
			continue
		}
		n.touched = true
		n.gateways = nil
		n.clusters = nil
		for c := range n.members {
			n.clusters = append(n.clusters, c.Cluster)
		}
		slices.SortFunc(n.clusters, func(a, b *Cluster) int { return strings.Compare(a.Name, b.Name) })
		if len(n.members) > 0 {
			count++
			w.sole = name
		}
	}
	if count != 1 {
		w.sole = ""
	}
}

// refreshCluster makes the records of the cluster and of its gateways anew where they changed.
func (w *Writer) refreshCluster(c *clusterState) {
	fresh := make([]*Gateway, 0, len(c.specs))
	for i := range c.specs {
		g := w.gateway(c, &c.specs[i])
		if i < len(c.gateways) && reflect.DeepEqual(c.gateways[i].comparable(), g.comparable()) {
			g = c.gateways[i]
		}
		fresh = append(fresh, g)
	}
	was := c.gateways
	c.gateways = fresh
	names := map[objectName]*Gateway{}
	for _, g := range slices.Concat(was, fresh) {
		key := objectName{g.Namespace, g.Name}
		names[key] = c.gatewayNamed(key.namespace, key.name)
	}
	w.repoint(c, names)
	now := *c.Cluster
	now.end = endOfCluster(&now)
	if c.foreign > 0 {
		// Pods of this cluster are in more than one network, so the cluster alone no longer tells it.
		now.end.Network = ""
	}
	now.sole = nil
	for _, g := range fresh {
		if g.Remote {
			continue
		}
		if now.sole != nil {
			now.sole = nil
			break
		}
		now.sole = g
	}
	if now.end != c.end || now.sole != c.sole {
		c.Cluster = &now
		c.touched = true
	}
	w.domains[c.TrustDomain] = append(w.domains[c.TrustDomain], c.Cluster)
}

func (g *Gateway) comparable() Gateway {
	q := *g
	q.Cluster = nil
	return q
}

// gateway returns a new record of a gateway.
func (w *Writer) gateway(c *clusterState, spec *GatewaySpec) *Gateway {
	g := &Gateway{
		Cluster: c.Cluster, Namespace: spec.Namespace, Name: spec.Name, Port: spec.Port, Network: spec.Network,
		Remote: spec.Remote, ID: c.Name + "/" + spec.Namespace + "/" + spec.Name, addresses: spec.Addresses,
	}
	if g.Network == "" {
		g.Network = c.Network
	}
	g.leads = mesh.End{Network: display(g.Network)}
	if n := w.networks[g.Network]; n != nil {
		g.leads = n.common(g.Network)
	}
	return g
}

// common returns what is true of every end in the network.
func (n *networkState) common(name string) mesh.End {
	end := mesh.End{Network: display(name)}
	for i, c := range n.clusters {
		if i == 0 {
			end.Cluster, end.Region = c.Name, c.Region
			continue
		}
		end.Cluster = ""
		if c.Region != end.Region {
			end.Region = ""
		}
	}
	return end
}

// repoint gives the workloads of these names, and their pods, the gateways that they are now.
func (w *Writer) repoint(c *clusterState, names map[objectName]*Gateway) {
	records := map[*Workload]*Workload{}
	renew := func(r *Workload, g *Gateway) *Workload {
		if records[r] == nil {
			q := *r
			q.EastWest = g
			records[r] = &q
		}
		return records[r]
	}
	for name, g := range names {
		listed := c.workloadNamed(w.seeds, name.namespace, name.name)
		if listed == nil {
			continue
		}
		for i := range listed.parts.groups {
			if at := &listed.parts.groups[i]; at.record.EastWest != g {
				at.record = renew(at.record, g)
				c.dirty[listed.parts] = struct{}{}
			}
		}
	}
	if len(names) == 0 {
		return
	}
	for p := range c.pods.all() {
		g, ok := names[objectName{p.Workload.Namespace, p.Workload.Name}]
		if ok && p.Workload.EastWest != g {
			q := *p
			q.Workload = renew(p.Workload, g)
			w.swap(c, p, &q)
		}
	}
}

func endOfCluster(c *Cluster) mesh.End {
	return mesh.End{Cluster: c.Name, Region: c.Region, Network: display(c.Network)}
}

func cloneFacts(f *ClusterFacts) ClusterFacts {
	out := *f
	for _, text := range []*string{
		&out.UID, &out.Region, &out.Provider, &out.Platform, &out.Network, &out.MeshID, &out.TrustDomain, &out.KubernetesVersion,
	} {
		*text = strings.Clone(*text)
	}
	out.Zones = cloneTexts(f.Zones)
	out.PodCIDRs = slices.Clone(f.PodCIDRs)
	out.Istio = slices.Clone(f.Istio)
	for i := range out.Istio {
		r := &out.Istio[i]
		r.Revision, r.Version, r.Tags = strings.Clone(r.Revision), strings.Clone(r.Version), cloneTexts(r.Tags)
	}
	return out
}

func cloneTexts(texts []string) []string {
	out := slices.Clone(texts)
	for i := range out {
		out[i] = strings.Clone(out[i])
	}
	return out
}

func cloneFailovers(specs []FailoverSpec) []FailoverSpec {
	out := slices.Clone(specs)
	for i := range out {
		f := &out[i]
		f.Namespace, f.Name, f.Host = strings.Clone(f.Namespace), strings.Clone(f.Name), strings.Clone(f.Host)
		f.From, f.To, f.Priority = cloneTexts(f.From), cloneTexts(f.To), cloneTexts(f.Priority)
	}
	return out
}
