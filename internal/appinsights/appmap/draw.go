// SPDX-License-Identifier: Apache-2.0

package appmap

import (
	"cmp"
	"slices"
)

// typeInProcess marks a step within the caller, such as an INTERNAL span: the official clients write it, and the map draws
// no node for it. What is called below such a step is a dependency of its own. That no node is drawn is what people see in
// the portal; no document says so.
const typeInProcess = "InProc"

func (b *builder) draw() *Map {
	m := &Map{
		Components: map[string]Component{}, Calls: map[Call]Traffic{},
		Dependencies: map[Dependency]Traffic{}, Unanswered: map[Dependency]float64{}, Duplicates: b.duplicates,
	}
	answers := b.components(m)
	answered := map[Dependency]bool{}
	var alone []span
	for _, key := range b.callOrder {
		d := b.dependencies[key]
		if len(answers[key]) == 0 {
			if d.target.Type != typeInProcess {
				alone = append(alone, key)
			}
			continue
		}
		answered[Dependency{d.role, d.target}] = true
		m.arrows(&d, answers[key])
	}
	for _, key := range alone {
		d := b.dependencies[key]
		node := Dependency{d.role, d.target}
		if answered[node] {
			m.Unanswered[node] += d.weight
			continue
		}
		m.Dependencies[node] = m.Dependencies[node].plus(&d, false)
	}
	m.CallersOnly = b.callersOnly(m)
	return m
}

// components draws the component nodes and returns the requests that answered each call.
func (b *builder) components(m *Map) map[span][]request {
	answers := map[span][]request{}
	instances := map[string]map[string]struct{}{}
	for _, r := range b.requests {
		c := m.Components[r.role]
		c.Requests += r.weight
		if r.failed {
			c.Failed += r.weight
		}
		if r.region != "" {
			c.Regions = with(c.Regions, r.region, cmp.Compare[string])
		}
		if instances[r.role] == nil {
			instances[r.role] = map[string]struct{}{}
		}
		instances[r.role][r.instance] = struct{}{}
		c.Instances = len(instances[r.role])
		m.Components[r.role] = c
		if r.parent.id != "" {
			answers[r.parent] = append(answers[r.parent], r)
		}
	}
	return answers
}

// arrows draws one call to everyone who answered it. Retries by a proxy make several requests of one call, so the call is
// counted once for each role that answered.
func (m *Map) arrows(d *dependency, requests []request) {
	crossed := map[string]bool{}
	for _, r := range requests {
		crossed[r.role] = crossed[r.role] || (r.region != "" && d.region != "" && r.region != d.region)
	}
	for role, across := range crossed {
		call := Call{d.role, role}
		m.Calls[call] = m.Calls[call].plus(d, across)
	}
}

func (t Traffic) plus(d *dependency, across bool) Traffic {
	t.Calls += d.weight
	if d.failed {
		t.Failed += d.weight
	}
	if across {
		t.CrossRegion += d.weight
	}
	t.Targets = with(t.Targets, d.target, compareTargets)
	return t
}

func compareTargets(x, y Target) int {
	return cmp.Or(cmp.Compare(x.Type, y.Type), cmp.Compare(x.Name, y.Name))
}

// with returns the ordered set and one value more.
func with[T any](set []T, value T, compare func(x, y T) int) []T {
	at, found := slices.BinarySearchFunc(set, value, compare)
	if found {
		return set
	}
	return slices.Insert(set, at, value)
}

func (b *builder) callersOnly(m *Map) []string {
	var roles []string
	for _, d := range b.dependencies {
		if _, ok := m.Components[d.role]; !ok {
			roles = with(roles, d.role, cmp.Compare[string])
		}
	}
	return roles
}
