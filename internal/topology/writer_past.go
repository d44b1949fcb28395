// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"strings"
	"time"
)

// ApplyPast takes a pod that gave up its addresses before its cluster was described here, as a snapshot or a copy on
// disk tells of it. earliest and latest bound the moment, and gap means the same as in [PodEnd]; a zero earliest stands
// for since the pod was seen. A pod that is held to be there ends, within these bounds; what is known to have ended keeps
// the narrower ones; what ended too long ago is passed over. Call it before the delta that describes what is there now, as
// that may hold the addresses.
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
		Writer: w, c: c, d: &Delta{Cluster: cluster}, confirmed: c.live.confirmed.Load(), made: nanos(w.settings.Now()),
	}
	since, seen := timesOf(state)
	if a.endAlive(state, earliest, latest, gap) || nanos(latest) <= w.cutoff() {
		return
	}
	if known := a.ended(state, since, seen); known != nil {
		a.refine(known, since, seen, max(nanos(earliest), seen), nanos(latest), gap)
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

// endAlive ends the tenancy that the past tells the end of, if it is held to go on. It says whether it did.
func (a *applier) endAlive(state *PodState, earliest, latest time.Time, gap bool) bool {
	alive := a.c.alivePod(a.Writer, state.Namespace, state.Name)
	if alive == nil || !sameUID(alive.uid, state.UID) {
		return false
	}
	if !a.keepsAddresses(alive, state) {
		if !alive.Addressed && len(state.Addresses) > 0 {
			// Nobody told of its addresses, and now it is told that it gave them up: it is no pod without addresses.
			a.delist(a.c, alive)
			a.drop(a.c, alive)
		}
		return false
	}
	// What the message told that was lost counts too: which node, and when it began.
	a.update(alive, state)
	return a.gone(&PodEnd{Namespace: state.Namespace, Name: state.Name, UID: state.UID, Earliest: earliest, Latest: latest, Gap: gap})
}

// refine narrows the times of a tenancy that ended. All bounds were true of the same moments, so the narrower ones are,
// unless they exclude each other. An end that was only concluded from what came after is as good as it is told.
func (a *applier) refine(known *Pod, since, seen, earliest, latest int64, gap bool) {
	q := *known
	q.since, q.seen = max(q.since, since), min(q.seen, seen)
	q.earliest, q.latest = max(q.earliest, earliest), min(q.latest, latest)
	q.gap = q.gap && gap
	if q.since > q.seen || q.earliest > q.latest || q.latest < q.since {
		return
	}
	if q.since == known.since && q.seen == known.seen && q.earliest == known.earliest && q.latest == known.latest && q.gap == known.gap {
		return
	}
	a.drop(a.c, known)
	a.settle(a.c, &q)
	a.add(a.c, &q)
}

// ended returns the ended tenancy that can be this one: of the same pod and addresses, at times that meet.
func (a *applier) ended(state *PodState, since, seen int64) *Pod {
	key := podKey{namespace: state.Namespace, name: state.Name}
	for p := range a.c.pods.candidates(hashName(a.seeds, state.Namespace, state.Name)) {
		if p.ended && key.is(p) && sameUID(p.uid, state.UID) && p.since <= seen && since <= p.seen && p.hasAll(state.Addresses) {
			return p
		}
	}
	return nil
}

// recordFor returns a record for a pod that is not counted: that of its like if there are any.
func (w *Writer) recordFor(c *clusterState, state *PodState, place *Place) *Workload {
	if listed := c.workloadNamed(w.seeds, state.Namespace, state.Workload); listed != nil {
		key := keyOf(state, place)
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
		hostNetwork: state.HostNetwork, unseen: state.Unseen, ownRegion: state.Region != "", ownZone: state.Zone != "",
		ownNetwork: state.Network != "" && state.Network != a.c.Network,
	}
	p.setAddresses(state.Addresses)
	p.Node, p.Place = a.whereabouts(state)
	return p
}
