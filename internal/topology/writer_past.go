// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"strings"
	"time"
)

// ApplyPast takes a pod that gave up its addresses before its cluster was described here, as a snapshot or a copy on
// disk tells of it. earliest and latest bound the moment, and gap means the same as in [PodEnd]; a zero earliest stands
// for since the pod was seen. A pod that is held to be there ends; what is known to have ended, and what ended too long
// ago, is passed over. Call it before the delta that describes what is there now, as that may hold the addresses.
func (w *Writer) ApplyPast(cluster string, state *PodState, earliest, latest time.Time, gap bool) {
	c := w.cluster(cluster)
	if c == nil {
		return
	}
	if problem := checkPod(state); problem != "" {
		w.invalid(cluster, "pod "+clip(state.Namespace)+"/"+clip(state.Name), problem)
		return
	}
	a := applier{
		Writer: w, c: c, d: &Delta{Cluster: cluster}, confirmed: c.live.confirmed.Load(), at: nanos(w.settings.Now()),
	}
	if alive := c.alivePod(w, state.Namespace, state.Name); alive != nil && sameUID(alive.uid, state.UID) && a.keepsAddresses(alive, state) {
		a.gone(&PodEnd{Namespace: state.Namespace, Name: state.Name, UID: state.UID, Earliest: earliest, Latest: latest, Gap: gap})
		return
	}
	since, seen := timesOf(state)
	if nanos(latest) <= w.cutoff() || a.ended(state, since, seen) {
		return
	}
	p := a.tenancy(state, since, seen)
	p.ended, p.gap, p.latest = true, gap, max(nanos(latest), since)
	p.earliest = min(p.latest, max(nanos(earliest), seen))
	// Nothing waits for the node of a pod that is gone.
	w.wait(p.Node)
	w.unwait(p.Node)
	// It is one of the workload's pods no longer, so it is not counted.
	p.Workload = w.recordFor(c, state, p.Place)
	w.settle(c, p)
	w.add(c, p)
}

// ended says whether an ended tenancy that can be this one is known: of the same pod and addresses, at times that meet.
func (a *applier) ended(state *PodState, since, seen int64) bool {
	key := podKey{namespace: state.Namespace, name: state.Name}
	for p := range a.c.pods.candidates(hashName(a.seed, state.Namespace, state.Name)) {
		if p.ended && key.is(p) && sameUID(p.uid, state.UID) && p.since <= seen && since <= p.seen && p.hasAll(state.Addresses) {
			return true
		}
	}
	return false
}

// recordFor returns a record for a pod that is not counted: that of its like if there are any.
func (w *Writer) recordFor(c *clusterState, state *PodState, place *Place) *Workload {
	if listed := c.workloadNamed(w.seed, state.Namespace, state.Workload); listed != nil {
		key := groupKey{state.Kind, state.Service, state.Version, state.ServiceAccount, place}
		if _, record := listed.parts.find(&key); record != nil {
			return record
		}
	}
	return w.record(c, state)
}

// tenancy returns a tenancy that is neither listed nor counted in a workload yet.
func (a *applier) tenancy(state *PodState, since, seen int64) *Pod {
	p := &Pod{
		Name: strings.Clone(state.Name), uid: state.UID, since: since, seen: seen, earliest: forever, latest: forever,
		hostNetwork: state.HostNetwork, ownRegion: state.Region != "", ownZone: state.Zone != "",
		ownNetwork: state.Network != "" && state.Network != a.c.Network,
	}
	p.setAddresses(state.Addresses)
	p.Node, p.Place = a.whereabouts(state)
	return p
}
