// SPDX-License-Identifier: Apache-2.0

package appmap

import (
	"fmt"
	"slices"
)

// Graph is who really called whom, as somebody knows it who is no telemetry.
type Graph struct {
	// Components are the roles that answered something.
	Components map[string]struct{}
	// Calls are the pairs of roles of which the first called the second.
	Calls map[Call]struct{}
	// Dependencies are what roles call that sends no telemetry.
	Dependencies map[Dependency]struct{}
}

// Called adds a call that was answered, and both its ends. An empty from is a call from outside, which is no node.
func (g *Graph) Called(from, to string) {
	if g.Components == nil {
		g.Components, g.Calls = map[string]struct{}{}, map[Call]struct{}{}
	}
	g.Components[to] = struct{}{}
	if from == "" {
		return
	}
	g.Components[from] = struct{}{}
	g.Calls[Call{from, to}] = struct{}{}
}

// Left adds a call to something that sends no telemetry.
func (g *Graph) Left(from string, to Target) {
	if g.Dependencies == nil {
		g.Dependencies = map[Dependency]struct{}{}
	}
	g.Dependencies[Dependency{from, to}] = struct{}{}
}

// Diff says in words what the map shows and is not so, and what is so and the map does not show; nothing if the two
// agree. Counts are not compared, as the truth has none.
func (m *Map) Diff(want Graph) []string {
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for role := range m.Components {
		if _, ok := want.Components[role]; !ok {
			say("phantom component %q", role)
		}
	}
	for role := range want.Components {
		if _, ok := m.Components[role]; !ok {
			say("missing component %q", role)
		}
	}
	for call, traffic := range m.Calls {
		if _, ok := want.Calls[call]; !ok {
			say("phantom arrow %q -> %q (%v calls)", call.From, call.To, traffic.Calls)
		}
	}
	for call := range want.Calls {
		if _, ok := m.Calls[call]; !ok {
			say("missing arrow %q -> %q", call.From, call.To)
		}
	}
	for node, traffic := range m.Dependencies {
		if _, ok := want.Dependencies[node]; !ok {
			say("phantom dependency node %q of type %q, called by %q (%v calls)", node.Name, node.Type, node.Role, traffic.Calls)
		}
	}
	for node := range want.Dependencies {
		if _, ok := m.Dependencies[node]; !ok {
			say("missing dependency node %q of type %q, called by %q", node.Name, node.Type, node.Role)
		}
	}
	for _, role := range m.CallersOnly {
		say("role %q calls and answers nothing, so the map has no node for it", role)
	}
	if !m.Complete() {
		say("%d nodes: the portal draws %d", m.Nodes(), MaxUngrouped)
	}
	slices.Sort(wrong)
	return wrong
}
