// SPDX-License-Identifier: Apache-2.0

// Package appmap draws the Application Map from telemetry items, by the rules that Microsoft documents for it, so that a
// test can say what the portal would show and compare it with who really called whom.
//
// The rules (learn.microsoft.com: "Application Map", and "Troubleshoot Application Map issues" of 2025-10-14):
//   - each ai.cloud.role that sent a request is a component node;
//   - each (type, target, role) of a dependency is a dependency node, unless the call was answered by a request that was
//     seen too: one whose operation_ParentId is the id of the dependency. Then the arrow goes to the component that
//     answered;
//   - a role that only calls is no node, so its calls hang in the air;
//   - an item stands for 100/sampleRate events, and counts are those of events.
package appmap

import (
	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// RegionProperty is the custom dimension that tells the region of the role that sent an item.
const RegionProperty = "cloud.region"

// Limits of the portal: with more than MaxNodes the map is incomplete, and with more than MaxUngrouped it is not drawn
// before it is grouped or filtered.
const (
	MaxNodes     = 10_000
	MaxUngrouped = 1_000
)

// Component is a node that stands for a role.
type Component struct {
	// Requests is the number of requests it answered, and Failed those with success false; sampled ones by their weight.
	Requests, Failed float64
	// Regions are the regions its requests name, in order. More than one says that the role merges regions.
	Regions []string
	// Instances is the number of role instances that answered.
	Instances int
}

// Call is an arrow between two components.
type Call struct {
	// From and To are role names.
	From, To string
}

// Traffic is what goes along an arrow or into a dependency node.
type Traffic struct {
	// Calls is the number of calls that the caller saw, and Failed those with success false; sampled ones by their weight.
	Calls, Failed float64
	// CrossRegion is the number of Calls whose two ends name different regions. Zero for calls that nobody answered.
	CrossRegion float64
	// Targets are the (type, target) by which the caller named the other end, in order.
	Targets []Target
}

// Target is how a dependency names what it called.
type Target struct {
	// Type is the kind of dependency, such as "HTTP", and Name the called component.
	Type, Name string
}

// Dependency is a node that stands for what a role calls and that sends no telemetry of its own.
type Dependency struct {
	// Role is the caller.
	Role string
	Target
}

// Map is what the portal would draw.
type Map struct {
	// Components are the component nodes by role.
	Components map[string]Component
	// Calls are the arrows from component to component.
	Calls map[Call]Traffic
	// Dependencies are the dependency nodes, with the arrow into each.
	Dependencies map[Dependency]Traffic
	// CallersOnly are the roles that sent dependencies and no request, in order. The map has no node for them.
	CallersOnly []string
	// Unanswered are the calls to a target that others of the same caller were answered by: failed before they got there,
	// or their request was lost or sampled out. They make no node. A request that no dependency is the parent of comes
	// from outside.
	Unanswered map[Dependency]float64
	// Duplicates is the number of requests and dependencies that came twice; they count once here, while the portal counts
	// each.
	Duplicates int
}

// Nodes returns the number of nodes.
func (m *Map) Nodes() int { return len(m.Components) + len(m.Dependencies) }

// Complete says whether the portal draws all of the map at once.
func (m *Map) Complete() bool { return m.Nodes() <= MaxUngrouped }

type span struct{ operation, id string }

type side struct {
	role, instance, region string
	weight                 float64
	failed                 bool
}

type request struct {
	side
	parent span
}

type dependency struct {
	side
	target Target
}

// Build draws the map of the requests and dependencies among the items; items of other types have no part in it.
func Build(items []ai.Envelope) *Map {
	b := builder{requests: map[span]request{}, dependencies: map[span]dependency{}}
	for i := range items {
		b.read(&items[i])
	}
	return b.draw()
}

type builder struct {
	requests     map[span]request
	dependencies map[span]dependency
	// callOrder keeps the result independent of the order of a map where it could show.
	callOrder  []span
	duplicates int
}

func (b *builder) read(e *ai.Envelope) {
	s := side{role: e.Tags[ai.TagCloudRole], instance: e.Tags[ai.TagCloudRoleInstance], weight: 1}
	if e.SampleRate > 0 {
		s.weight = 100 / e.SampleRate
	}
	operation := e.Tags[ai.TagOperationID]
	switch d := e.Data.BaseData.(type) {
	case *ai.RequestData:
		s.region, s.failed = d.Properties[RegionProperty], !d.Success
		key := span{operation, d.ID}
		if _, twice := b.requests[key]; twice {
			b.duplicates++
			return
		}
		b.requests[key] = request{side: s, parent: span{operation, e.Tags[ai.TagOperationParentID]}}
	case *ai.RemoteDependencyData:
		s.region, s.failed = d.Properties[RegionProperty], !d.Success
		key := span{operation, d.ID}
		if _, twice := b.dependencies[key]; twice {
			b.duplicates++
			return
		}
		b.dependencies[key] = dependency{side: s, target: Target{d.Type, d.Target}}
		b.callOrder = append(b.callOrder, key)
	}
}
