// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"net/netip"
	"slices"
)

func (a *applier) applyPods() {
	// late are the ends of pods that this delta begins: they came and went since the one before.
	var late map[UID]*PodEnd
	for i := range a.d.GonePods {
		end := &a.d.GonePods[i]
		switch {
		case a.gone(end):
		case end.UID == UID{} || len(a.d.Pods) == 0:
			a.counters.UnknownEnds++
		default:
			if late == nil {
				late = map[UID]*PodEnd{}
			}
			late[end.UID] = end
		}
	}
	if a.mentions() {
		a.mentionPods()
	}
	if a.sweep {
		a.endUnmentioned()
	}
	if a.d.Full {
		a.reserve(len(a.d.Pods))
	}
	for i := range a.d.Pods {
		a.addPod(&a.d.Pods[i])
		if end := late[a.d.Pods[i].UID]; end != nil && a.gone(end) {
			delete(late, end.UID)
		}
	}
	a.counters.UnknownEnds += uint64(len(late))
}

// reserve makes room for all pods of the cluster.
func (a *applier) reserve(pods int) {
	if limit := a.settings.Limits.MaxPods; limit > 0 {
		pods = min(pods, limit)
	}
	a.c.pods.reserve(pods)
	a.network(a.c.Network).pods.reserve(pods)
}

// gone ends the pod that the source says is gone. It says whether there was one.
func (a *applier) gone(end *PodEnd) bool {
	p := a.c.alivePod(a.Writer, end.Namespace, end.Name)
	if p == nil || !sameUID(p.uid, end.UID) {
		return false
	}
	earliest, latest := nanos(end.Earliest), nanos(end.Latest)
	if latest == never {
		latest = a.made
	}
	if earliest == never {
		earliest = max(a.confirmed, p.seen)
	}
	a.end(p, earliest, latest, end.Gap)
	return true
}

// mentionPods marks what is known already of what the delta mentions. What it begins is marked then.
func (a *applier) mentionPods() {
	for i := range a.d.Pods {
		state := &a.d.Pods[i]
		if p := a.c.alivePod(a.Writer, state.Namespace, state.Name); p != nil && sameUID(p.uid, state.UID) {
			p.mark = a.c.description.mark
		}
	}
}

// endUnmentioned ends what a full description did not mention.
func (a *applier) endUnmentioned() {
	var over []*Pod
	for p := range a.c.pods.all() {
		if !p.ended && a.unmentioned(p.mark) {
			over = append(over, p)
		}
	}
	for _, p := range over {
		a.end(p, max(a.confirmed, p.seen), a.made, true)
	}
}

// end puts a tenancy that ended in the place of one that has not.
func (a *applier) end(p *Pod, earliest, latest int64, gap bool) {
	q := *p
	q.mark = 0
	q.latest = max(latest, p.since)
	q.earliest = min(earliest, q.latest)
	q.ended, q.gap = true, gap
	a.delist(a.c, p)
	a.drop(a.c, p)
	a.settle(a.c, &q)
	a.add(a.c, &q)
}

// addPod takes a pod that is there.
func (a *applier) addPod(state *PodState) {
	if problem := checkPod(state); problem != "" {
		a.invalid(a.c.Name, "pod "+clip(state.Namespace)+"/"+clip(state.Name), problem)
		return
	}
	old := a.c.alivePod(a.Writer, state.Namespace, state.Name)
	if old != nil && sameUID(old.uid, state.UID) {
		if a.keepsAddresses(old, state) {
			a.update(old, state)
			return
		}
		a.move(old, state)
		return
	}
	since, seen := timesOf(state)
	if old != nil {
		// A name has one pod at a time, so this one was gone when its successor got its addresses.
		latest := a.made
		if seen != never {
			latest = min(latest, seen)
		}
		a.end(old, max(a.confirmed, old.seen), latest, a.d.Full)
	} else if a.postponePod(state) || a.full(a.stats.Pods, a.settings.Limits.MaxPods, &a.counters.PodsRefused, "pods") {
		return
	}
	a.begin(state, since, seen)
}

// move ends the tenancy of a pod whose addresses changed and begins the next.
func (a *applier) move(old *Pod, state *PodState) {
	since, seen := timesOf(state)
	if old.Addressed {
		a.end(old, max(a.confirmed, old.seen), a.made, a.d.Full)
		since = max(since, min(max(a.confirmed, old.seen), a.made))
		if seen <= a.confirmed {
			// The source tells when the pod began, not when it moved.
			seen = a.made
		}
		seen = max(seen, since)
	} else {
		a.delist(a.c, old)
		a.drop(a.c, old)
	}
	a.begin(state, since, seen)
}

// begin begins a tenancy.
func (a *applier) begin(state *PodState, since, seen int64) {
	p := a.tenancy(state, since, seen)
	p.mark = a.c.description.mark
	p.Workload = a.enlist(a.c, state, p.Place)
	a.settle(a.c, p)
	a.add(a.c, p)
}

// update changes what is known of a pod that has the addresses it had.
func (a *applier) update(old *Pod, state *PodState) {
	// Both bounds were true of the same moment, so the narrower ones are, unless they exclude each other.
	since, seen := timesOf(state)
	if since, seen = max(since, old.since), min(seen, old.seen); since > seen {
		since, seen = old.since, old.seen
	}
	unseen := old.unseen && state.Unseen
	uid := old.uid
	if uid == (UID{}) {
		uid = state.UID
	}
	node, place := a.whereabouts(state)
	w := old.Workload
	described := place == old.Place && w.Name == state.Workload && w.Kind == state.Kind && w.service == state.Service &&
		w.version == state.Version && w.account == state.ServiceAccount && w.Revision == state.Revision && w.Waypoint == state.Waypoint
	ownRegion, ownZone := state.Region != "", state.Zone != ""
	if described && node == old.Node && since == old.since && seen == old.seen && unseen == old.unseen && uid == old.uid &&
		ownRegion == old.ownRegion && ownZone == old.ownZone {
		return
	}
	q := *old
	q.uid, q.since, q.seen, q.unseen = uid, since, seen, unseen
	q.Node, q.Place, q.ownRegion, q.ownZone = node, place, ownRegion, ownZone
	if !described {
		a.delist(a.c, old)
		q.Workload = a.enlist(a.c, state, place)
	}
	if node != old.Node {
		a.wait(node)
		a.unwait(old.Node)
	}
	a.swap(a.c, old, &q)
}

// whereabouts returns the pod's node, a placeholder if nobody described it, and its place.
func (a *applier) whereabouts(state *PodState) (*Node, *Place) {
	place := Place{Region: state.Region, Zone: state.Zone, Network: state.Network}
	var node *Node
	if state.Node != "" {
		node = a.node(a.c, state.Node)
	}
	return node, a.c.place(a.Writer, place, node)
}

// place returns the interned place of a pod with these overrides on the node.
func (c *clusterState) place(w *Writer, own Place, node *Node) *Place {
	if node != nil {
		if own.Region == "" {
			own.Region = node.Region
		}
		if own.Zone == "" {
			own.Zone = node.Zone
		}
	}
	if own.Region == "" {
		own.Region = c.Region
	}
	if own.Network == "" {
		own.Network = c.Network
	}
	if p := c.places[own]; p != nil {
		return p
	}
	p := &Place{w.strings.intern(own.Region), w.strings.intern(own.Zone), w.strings.intern(own.Network)}
	c.places[*p] = p
	return p
}

// keepsAddresses says whether the pod holds the addresses that it held.
func (a *applier) keepsAddresses(p *Pod, state *PodState) bool {
	network := state.Network
	if network == "" {
		network = a.c.Network
	}
	if p.Network != network || p.hostNetwork != state.HostNetwork {
		return false
	}
	n := 0
	for range p.each {
		n++
	}
	if n != len(state.Addresses) {
		return n > 0 && n == len(distinct(state.Addresses)) && p.hasAll(state.Addresses)
	}
	return p.hasAll(state.Addresses)
}

func (p *Pod) hasAll(addresses []netip.Addr) bool {
	for _, address := range addresses {
		if !p.has(address.As16()) {
			return false
		}
	}
	return true
}

// setAddresses notes the addresses, each once.
func (p *Pod) setAddresses(addresses []netip.Addr) {
	if addresses = distinct(addresses); len(addresses) == 0 {
		return
	}
	p.first, p.Addressed = addresses[0].As16(), true
	if len(addresses) > 1 {
		more := slices.Clone(addresses[1:])
		p.more = &more
	}
}

// distinct returns the addresses in plain clothes, each once. It allocates only if there are several.
func distinct(addresses []netip.Addr) []netip.Addr {
	if len(addresses) == 0 || (len(addresses) == 1 && !addresses[0].Is4In6()) {
		return addresses
	}
	out := make([]netip.Addr, 0, len(addresses))
	for _, address := range addresses {
		if address = address.Unmap(); !slices.Contains(out, address) {
			out = append(out, address)
		}
	}
	return out
}

// timesOf returns the bounds of the moment at which the pod got its addresses.
func timesOf(state *PodState) (since, seen int64) {
	since, seen = nanos(state.Since), nanos(state.Seen)
	return since, max(since, seen)
}

// sameUID says whether the uids do not tell two pods apart.
func sameUID(a, b UID) bool { return a == b || a == UID{} || b == UID{} }

// alivePod returns the pod of the name that has not ended, or nil.
func (c *clusterState) alivePod(w *Writer, namespace, name string) *Pod {
	key := podKey{namespace: namespace, name: name}
	for p := range c.pods.candidates(hashName(w.seeds, namespace, name)) {
		if !p.ended && key.is(p) {
			return p
		}
	}
	return nil
}
