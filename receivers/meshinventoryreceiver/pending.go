// SPDX-License-Identifier: Apache-2.0

package meshinventoryreceiver

import (
	"slices"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// The ceilings of what waits to be sent. Beyond them a snapshot says the same in less.
const (
	maxPendingObjects = 20_000
	maxPendingStages  = 64
)

// pending are the changes that were not sent yet, merged: of what changed twice only the last is kept. Within a delta
// what is gone counts before what is there, so a pod that came and went needs two; hence the stages, which are sent in
// their order.
type pending struct {
	stages []*stage
	// objects counts what the stages hold.
	objects int
}

// stage is one delta in the making. The indices say where an object is in its list.
type stage struct {
	delta    topology.Delta
	pods     map[topology.ObjectName]int
	nodes    map[string]int
	services map[topology.ObjectName]int
}

func newStage(cluster string) *stage {
	return &stage{
		delta: topology.Delta{Cluster: cluster},
		pods:  map[topology.ObjectName]int{}, nodes: map[string]int{}, services: map[topology.ObjectName]int{},
	}
}

// add merges a delta that is not full. It returns false, and holds nothing any longer, if more waits than may.
//
// A delta is merged as a whole or not at all: what a stage says must be all that was known at the time it is true of.
func (p *pending) add(d *topology.Delta) bool {
	if saysNothing(d) {
		return true
	}
	var last *stage
	if n := len(p.stages); n > 0 && p.stages[n-1].takes(d) {
		last = p.stages[n-1]
	} else {
		last = newStage(d.Cluster)
		p.stages = append(p.stages, last)
	}
	p.objects += last.merge(d)
	if p.objects > maxPendingObjects || len(p.stages) > maxPendingStages {
		p.clear()
		return false
	}
	return true
}

// take returns what waits, in order, and holds nothing any longer.
func (p *pending) take() []*topology.Delta {
	deltas := make([]*topology.Delta, 0, len(p.stages))
	for _, s := range p.stages {
		deltas = append(deltas, &s.delta)
	}
	p.clear()
	return deltas
}

func (p *pending) clear() { p.stages, p.objects = nil, 0 }

func saysNothing(d *topology.Delta) bool {
	return d.Facts == nil && d.Gateways == nil && d.Failovers == nil &&
		len(d.Nodes)+len(d.GoneNodes)+len(d.Services)+len(d.GoneServices)+len(d.Pods)+len(d.GonePods) == 0
}

// takes says whether the delta can be merged without changing the story: who had an address, in which order.
func (s *stage) takes(d *topology.Delta) bool {
	for i := range d.GonePods {
		if _, here := s.pods[topology.ObjectName{Namespace: d.GonePods[i].Namespace, Name: d.GonePods[i].Name}]; here {
			return false
		}
	}
	for i := range d.Pods {
		next := &d.Pods[i]
		at, here := s.pods[topology.ObjectName{Namespace: next.Namespace, Name: next.Name}]
		if !here {
			continue
		}
		was := &s.delta.Pods[at]
		if was.UID != next.UID || (len(was.Addresses) > 0 && !slices.Equal(was.Addresses, next.Addresses)) {
			return false
		}
	}
	return true
}

// merge adds the delta and returns how many objects more the stage holds.
func (s *stage) merge(d *topology.Delta) int {
	before := s.size()
	if d.At.After(s.delta.At) {
		s.delta.At = d.At
	}
	if d.Made.After(s.delta.Made) {
		s.delta.Made = d.Made
	}
	if d.Facts != nil {
		s.delta.Facts = d.Facts
	}
	if d.Gateways != nil {
		s.delta.Gateways = d.Gateways
	}
	if d.Failovers != nil {
		s.delta.Failovers = d.Failovers
	}
	for _, name := range d.GoneNodes {
		s.delta.Nodes = without(s.delta.Nodes, s.nodes, name, func(n *topology.NodeSpec) string { return n.Name })
		s.delta.GoneNodes = append(s.delta.GoneNodes, name)
	}
	for i := range d.Nodes {
		s.delta.Nodes = with(s.delta.Nodes, s.nodes, d.Nodes[i].Name, d.Nodes[i])
	}
	for _, name := range d.GoneServices {
		s.delta.Services = without(s.delta.Services, s.services, name, serviceName)
		s.delta.GoneServices = append(s.delta.GoneServices, name)
	}
	for i := range d.Services {
		s.delta.Services = with(s.delta.Services, s.services, serviceName(&d.Services[i]), d.Services[i])
	}
	s.delta.GonePods = append(s.delta.GonePods, d.GonePods...)
	for i := range d.Pods {
		p := &d.Pods[i]
		s.delta.Pods = with(s.delta.Pods, s.pods, topology.ObjectName{Namespace: p.Namespace, Name: p.Name}, *p)
	}
	return s.size() - before
}

func (s *stage) size() int {
	d := &s.delta
	return len(d.Nodes) + len(d.GoneNodes) + len(d.Services) + len(d.GoneServices) + len(d.Pods) + len(d.GonePods)
}

func serviceName(s *topology.ServiceSpec) topology.ObjectName {
	return topology.ObjectName{Namespace: s.Namespace, Name: s.Name}
}

// with puts an object in the place it has, or at the end.
func with[K comparable, T any](list []T, index map[K]int, key K, object T) []T {
	if at, here := index[key]; here {
		list[at] = object
		return list
	}
	index[key] = len(list)
	return append(list, object)
}

// without takes an object out; the last one takes its place.
func without[K comparable, T any](list []T, index map[K]int, key K, keyOf func(*T) K) []T {
	at, here := index[key]
	if !here {
		return list
	}
	last := len(list) - 1
	if at != last {
		list[at] = list[last]
		index[keyOf(&list[at])] = at
	}
	delete(index, key)
	clear(list[last:])
	return list[:last]
}
