// SPDX-License-Identifier: Apache-2.0

package kube

import "github.com/otelcol-mesh/otelcol-mesh/internal/topology"

// rows are the trimmed objects of one resource by name.
type rows[T any] map[topology.ObjectName]row[T]

type row[T any] struct {
	value   T
	listing uint32
}

// put stores an object.
func (r rows[T]) put(m *message, value T) { r[m.name] = row[T]{value: value, listing: m.listing} }

// drop removes an object, and tells whether it was there.
func (r rows[T]) drop(name topology.ObjectName) bool {
	_, ok := r[name]
	delete(r, name)
	return ok
}

// stale returns the names of what the listing did not bring.
func (r rows[T]) stale(listing uint32) (gone []topology.ObjectName) {
	for name, row := range r {
		if row.listing != listing {
			gone = append(gone, name)
		}
	}
	return gone
}

// sweep removes what the listing did not bring, and returns the names.
func (r rows[T]) sweep(listing uint32) []topology.ObjectName {
	gone := r.stale(listing)
	for _, name := range gone {
		delete(r, name)
	}
	return gone
}

// names is a set of objects to tell about.
type names map[topology.ObjectName]struct{}

func (n names) add(list ...topology.ObjectName) {
	for _, name := range list {
		n[name] = struct{}{}
	}
}
