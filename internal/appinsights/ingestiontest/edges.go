// SPDX-License-Identifier: Apache-2.0

package ingestiontest

import (
	"cmp"
	"slices"
)

// Edge is one arrow of the Application Map: dependencies of one role that
// requests of another name as their parent. Both ends carry their region, so
// that traffic between regions shows.
type Edge struct {
	SourceRole        string `json:"sourceRole"`
	SourceRegion      string `json:"sourceRegion"`
	DestinationRole   string `json:"destinationRole"`
	DestinationRegion string `json:"destinationRegion"`
	// Calls is the number of requests that were joined to their dependency;
	// duplicates count once.
	Calls uint64 `json:"calls"`
	// Failed is the number of those whose request has success false.
	Failed uint64 `json:"failed"`
}

// spanKey is the identity of a span: parents are looked up within an operation.
type spanKey struct{ operation, id string }

type roleEnd struct{ role, region string }

type callee struct {
	sequence uint64
	end      roleEnd
	failed   bool
}

// edgeBook joins requests to dependencies as they come, in either order. What
// waits for its other half is forgotten with the stored item; edges stay.
type edgeBook struct {
	limit        int
	dependencies map[spanKey]roleEnd
	waiting      map[spanKey][]callee
	edges        map[[2]roleEnd]*Edge
}

func newEdgeBook(limit int) *edgeBook {
	return &edgeBook{
		limit:        limit,
		dependencies: map[spanKey]roleEnd{},
		waiting:      map[spanKey][]callee{},
		edges:        map[[2]roleEnd]*Edge{},
	}
}

// add takes an item that is not a duplicate.
func (b *edgeBook) add(item *Item) {
	end := roleEnd{role: item.Role, region: item.Region}
	switch {
	case item.Type == "Dependency" && item.ID != "":
		key := spanKey{operation: item.OperationID, id: item.ID}
		b.dependencies[key] = end
		for _, c := range b.waiting[key] {
			b.count(end, c)
		}
		delete(b.waiting, key)
	case item.Type == "Request" && item.ParentID != "":
		key := spanKey{operation: item.OperationID, id: item.ParentID}
		c := callee{sequence: item.Sequence, end: end, failed: item.Success != nil && !*item.Success}
		if source, ok := b.dependencies[key]; ok {
			b.count(source, c)
			return
		}
		b.waiting[key] = append(b.waiting[key], c)
	}
}

// forget drops what waits for the other half of an evicted item.
func (b *edgeBook) forget(item *Item) {
	switch {
	case item.Type == "Dependency" && !item.Duplicate:
		delete(b.dependencies, spanKey{operation: item.OperationID, id: item.ID})
	case item.Type == "Request":
		key := spanKey{operation: item.OperationID, id: item.ParentID}
		left := slices.DeleteFunc(b.waiting[key], func(c callee) bool { return c.sequence == item.Sequence })
		if len(left) == 0 {
			delete(b.waiting, key)
			return
		}
		b.waiting[key] = left
	}
}

func (b *edgeBook) count(source roleEnd, c callee) {
	key := [2]roleEnd{source, c.end}
	edge, ok := b.edges[key]
	if !ok {
		if len(b.edges) >= b.limit {
			other := roleEnd{role: Overflow, region: Overflow}
			key = [2]roleEnd{other, other}
		}
		if edge, ok = b.edges[key]; !ok {
			edge = &Edge{
				SourceRole: key[0].role, SourceRegion: key[0].region,
				DestinationRole: key[1].role, DestinationRegion: key[1].region,
			}
			b.edges[key] = edge
		}
	}
	edge.Calls++
	if c.failed {
		edge.Failed++
	}
}

// list returns the edges by source, then destination.
func (b *edgeBook) list() []Edge {
	edges := make([]Edge, 0, len(b.edges))
	for _, edge := range b.edges {
		edges = append(edges, *edge)
	}
	slices.SortFunc(edges, func(x, y Edge) int {
		return cmp.Or(
			cmp.Compare(x.SourceRole, y.SourceRole), cmp.Compare(x.SourceRegion, y.SourceRegion),
			cmp.Compare(x.DestinationRole, y.DestinationRole), cmp.Compare(x.DestinationRegion, y.DestinationRegion),
		)
	})
	return edges
}
