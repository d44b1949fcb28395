// SPDX-License-Identifier: Apache-2.0

package topology

// parts is what the alive pods of one workload are. Readers never see it.
type parts struct {
	// listed is the record of the workload in the cluster's table.
	listed *Workload
	groups []group
	// index finds a group once there are many.
	index map[groupKey]int
}

// group counts pods of one workload that differ in nothing that the workload tells. The place is nil for a workload
// that is described without pods.
type group struct {
	record *Workload
	place  *Place
	n      int
}

type groupKey struct {
	kind, service, version, account, revision string
	waypoint                                  bool
	place                                     *Place
}

func keyOf(state *PodState, place *Place) groupKey {
	return groupKey{state.Kind, state.Service, state.Version, state.ServiceAccount, state.Revision, state.Waypoint, place}
}

// manyGroups is the number of groups above which they are indexed.
const manyGroups = 16

// find returns the group of the key, -1 for none, and a record that pods of another place share.
func (p *parts) find(key *groupKey) (at int, record *Workload) {
	if p.index != nil {
		if i, ok := p.index[*key]; ok {
			return i, p.groups[i].record
		}
		return -1, nil
	}
	for i := range p.groups {
		r := p.groups[i].record
		if r.Kind == key.kind && r.service == key.service && r.version == key.version && r.account == key.account &&
			r.Revision == key.revision && r.Waypoint == key.waypoint {
			record = r
			if p.groups[i].place == key.place {
				return i, r
			}
		}
	}
	return -1, record
}

func (g *group) key() groupKey {
	r := g.record
	return groupKey{r.Kind, r.service, r.version, r.account, r.Revision, r.Waypoint, g.place}
}

func (p *parts) add(g group) {
	p.groups = append(p.groups, g)
	switch {
	case p.index != nil:
		p.index[g.key()] = len(p.groups) - 1
	case len(p.groups) > manyGroups:
		p.index = make(map[groupKey]int, 2*manyGroups)
		for i := range p.groups {
			p.index[p.groups[i].key()] = i
		}
	}
}

func (p *parts) remove(at int) {
	last := len(p.groups) - 1
	if p.index != nil {
		delete(p.index, p.groups[at].key())
		if at != last {
			p.index[p.groups[last].key()] = at
		}
	}
	p.groups[at] = p.groups[last]
	p.groups[last] = group{}
	p.groups = p.groups[:last]
}

// enlist counts a pod in its workload and returns the record that it shares with its like.
func (w *Writer) enlist(c *clusterState, state *PodState, place *Place) *Workload {
	var p *parts
	if listed := c.workloadNamed(w.seeds, state.Namespace, state.Workload); listed != nil {
		p = listed.parts
	}
	key := keyOf(state, place)
	var record *Workload
	if p != nil {
		var at int
		if at, record = p.find(&key); at >= 0 {
			p.groups[at].n++
			return record
		}
	}
	if record == nil {
		record = w.record(c, state)
	}
	if p == nil {
		p = &parts{listed: &Workload{}}
		*p.listed = *record
		p.listed.parts = p
		c.workloads.add(hashName(w.seeds, record.Namespace, record.Name), p.listed, false)
		w.stats.Workloads++
	}
	p.add(group{record, place, 1})
	c.dirty[p] = struct{}{}
	return record
}

// record returns a new record for pods of the workload.
func (w *Writer) record(c *clusterState, state *PodState) *Workload {
	r := &Workload{
		Cluster: c.Cluster, Namespace: w.strings.intern(state.Namespace), Name: w.strings.intern(state.Workload),
		Kind: w.strings.intern(state.Kind), service: w.strings.intern(state.Service),
		version: w.strings.intern(state.Version), account: w.strings.intern(state.ServiceAccount),
		Revision: w.strings.intern(state.Revision), Waypoint: state.Waypoint,
	}
	r.EastWest = c.gatewayNamed(r.Namespace, r.Name)
	r.principal = w.principal(c.Cluster, r)
	return r
}

func (w *Writer) principal(c *Cluster, r *Workload) string {
	if c.TrustDomain == "" || r.account == "" {
		return ""
	}
	return w.strings.intern("spiffe://" + c.TrustDomain + "/ns/" + r.Namespace + "/sa/" + r.account)
}

// delist takes a pod out of its workload.
func (w *Writer) delist(c *clusterState, pod *Pod) {
	listed := c.workloadNamed(w.seeds, pod.Workload.Namespace, pod.Workload.Name)
	if listed == nil {
		return
	}
	p := listed.parts
	g := group{record: pod.Workload, place: pod.Place}
	key := g.key()
	at, _ := p.find(&key)
	if at < 0 {
		return
	}
	if p.groups[at].n--; p.groups[at].n > 0 {
		return
	}
	p.remove(at)
	c.dirty[p] = struct{}{}
	if len(p.groups) == 0 {
		c.workloads.remove(hashName(w.seeds, listed.Namespace, listed.Name), listed)
		w.stats.Workloads--
		delete(c.dirty, p)
	}
}

// agree brings the records of the workloads up to date whose pods changed.
func (w *Writer) agree(c *clusterState) {
	for p := range c.dirty {
		now := p.agreed(c)
		if was := p.listed; !now.tellsWhat(was) {
			now.parts = p
			c.workloads.replace(hashName(w.seeds, was.Namespace, was.Name), was, now)
			p.listed = now
		}
	}
	clear(c.dirty)
}

// agreed returns the record of what all pods of the workload have in common.
func (p *parts) agreed(c *clusterState) *Workload {
	now := *p.groups[0].record
	now.place = nil
	var place Place
	placed := false
	for i := range p.groups {
		g := &p.groups[i]
		keep(&now.Kind, g.record.Kind)
		keep(&now.service, g.record.service)
		keep(&now.version, g.record.version)
		keep(&now.account, g.record.account)
		keep(&now.Revision, g.record.Revision)
		keep(&now.principal, g.record.principal)
		// A workload of which some pods carry calls is not surely an end.
		now.Waypoint = now.Waypoint || g.record.Waypoint
		switch {
		case g.place == nil:
		case !placed:
			place, placed = *g.place, true
		default:
			keep(&place.Region, g.place.Region)
			keep(&place.Zone, g.place.Zone)
			keep(&place.Network, g.place.Network)
		}
	}
	if placed {
		if now.place = c.places[place]; now.place == nil {
			now.place = &place
			c.places[place] = now.place
		}
	}
	return &now
}

// keep empties the field if the value is another.
func keep(field *string, value string) {
	if *field != value {
		*field = ""
	}
}

// tellsWhat says whether two records tell the same.
func (l *Workload) tellsWhat(other *Workload) bool {
	return l.Cluster == other.Cluster && l.Kind == other.Kind && l.EastWest == other.EastWest && l.Waypoint == other.Waypoint && l.service == other.service &&
		l.version == other.version && l.account == other.account && l.Revision == other.Revision && l.principal == other.principal &&
		(l.place == other.place || (l.place != nil && other.place != nil && *l.place == *other.place))
}
