// SPDX-License-Identifier: Apache-2.0

package topology

import "strings"

// standing is a workload that a source described by itself, so that it is known while no pod of it is.
type standing struct {
	record *Workload
	mark   uint32
}

// applyWorkloads takes the workloads that are described by themselves.
func (a *applier) applyWorkloads() {
	c := a.c
	for _, name := range a.d.GoneWorkloads {
		a.dropStanding(objectName{name.Namespace, name.Name})
	}
	for i := range a.d.Workloads {
		a.addStanding(&a.d.Workloads[i])
	}
	if !a.sweep {
		return
	}
	for name, s := range c.standing {
		if a.unmentioned(s.mark) {
			a.dropStanding(name)
		}
	}
}

func (a *applier) addStanding(spec *WorkloadSpec) {
	c := a.c
	if problem := checkWorkload(spec); problem != "" {
		a.invalid(c.Name, "workload "+clip(spec.Namespace)+"/"+clip(spec.Name), problem)
		return
	}
	key := objectName{spec.Namespace, spec.Name}
	old := c.standing[key]
	if old == nil && a.full(a.standing, a.settings.Limits.MaxPods, &a.counters.PodsRefused, "pods") {
		return
	}
	if old != nil {
		r := old.record
		if r.Kind == spec.Kind && r.service == spec.Service && r.version == spec.Version && r.account == spec.ServiceAccount &&
			r.Revision == spec.Revision && r.Waypoint == spec.Waypoint {
			old.mark = c.description.mark
			return
		}
		a.dropStanding(key)
	}
	state := spec.state(&PodSpec{})
	a.listStanding(&state)
}

// listStanding counts the workload as one pod that is nowhere.
func (a *applier) listStanding(state *PodState) {
	c := a.c
	record := a.enlist(c, state, nil)
	if c.standing == nil {
		c.standing = map[objectName]*standing{}
	}
	c.standing[objectName{strings.Clone(state.Namespace), strings.Clone(state.Workload)}] = &standing{record, c.description.mark}
	a.standing++
	c.touched = true
}

func (a *applier) dropStanding(name objectName) {
	c := a.c
	s := c.standing[name]
	if s == nil {
		return
	}
	delete(c.standing, name)
	a.standing--
	c.touched = true
	a.delist(c, &Pod{Workload: s.record})
}

// renewStanding lists the workloads again under the new record of their cluster.
func (a *applier) renewStanding(all map[objectName]*standing) {
	for name, s := range all {
		state := (&Pod{Workload: s.record}).described()
		a.listStanding(&state)
		a.c.standing[name].mark = s.mark
	}
}
