// SPDX-License-Identifier: Apache-2.0

package topology

import "slices"

// description is a full description of a cluster, which may come in pieces.
type description struct {
	// mark is on what the newest description mentioned.
	mark uint32
	// open says that the next piece is to come, next its number.
	open bool
	next int
	// late is what was above a limit while pieces were to come: what the description does not mention makes room in the
	// end. No more than that is worth keeping: known objects when the description began, less those that are late.
	late Delta
	room int
}

// describe notes which piece of a full description the delta is.
func (a *applier) describe() {
	if !a.d.Full {
		return
	}
	d := &a.c.description
	switch {
	case a.d.Part == 0:
		// Marks of a description that was interrupted count no more.
		a.mark++
		*d = description{mark: a.mark, open: true, room: a.c.alive + a.c.nodes.n + a.c.services.n}
	case !d.open || a.d.Part != d.next:
		// Some pieces went to nobody: what they mentioned is not known, so nothing is gone for not being mentioned.
		d.open, a.broken = false, true
	}
	d.next = a.d.Part + 1
	if !a.d.More {
		a.sweep = d.open
		d.open = false
	}
}

// mentions says whether what the delta mentions has to be marked. Changes may come in between of the pieces.
func (a *applier) mentions() bool { return a.d.Full || a.c.description.open }

// confirms says whether the delta confirms the whole cluster.
func (a *applier) confirms() bool { return !a.d.At.IsZero() && !a.d.More && !a.broken }

// unmentioned says whether something that the mark is on is gone.
func (a *applier) unmentioned(mark uint32) bool { return a.sweep && mark != a.c.description.mark }

// postpone says whether an object above a limit is to be tried again when the description is complete.
func (a *applier) postpone(n, limit int) bool {
	d := &a.c.description
	if limit <= 0 || n < limit || !d.open || d.room <= 0 {
		return false
	}
	d.room--
	return true
}

func (a *applier) postponePod(state *PodState) bool {
	if !a.postpone(a.stats.Pods, a.settings.Limits.MaxPods) {
		return false
	}
	late := *state
	late.Addresses = slices.Clone(state.Addresses)
	a.c.description.late.Pods = append(a.c.description.late.Pods, late)
	return true
}

func (a *applier) postponeNode(spec *NodeSpec) bool {
	if !a.postpone(a.stats.Nodes, a.settings.Limits.MaxNodes) {
		return false
	}
	late := *spec
	late.Addresses = slices.Clone(spec.Addresses)
	a.c.description.late.Nodes = append(a.c.description.late.Nodes, late)
	return true
}

func (a *applier) postponeService(spec *ServiceSpec) bool {
	if !a.postpone(a.stats.Services, a.settings.Limits.MaxServices) {
		return false
	}
	late := *spec
	late.Addresses, late.Ports = slices.Clone(spec.Addresses), slices.Clone(spec.Ports)
	late.Hosts, late.Endpoints = slices.Clone(spec.Hosts), slices.Clone(spec.Endpoints)
	a.c.description.late.Services = append(a.c.description.late.Services, late)
	return true
}

// applyLate tries again what there was no room for before the description was complete.
func (a *applier) applyLate() {
	d := &a.c.description
	if d.open || len(d.late.Pods)+len(d.late.Nodes)+len(d.late.Services) == 0 {
		return
	}
	late := d.late
	d.late = Delta{}
	late.Cluster = a.c.Name
	a.Apply(&late)
}
