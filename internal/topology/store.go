// SPDX-License-Identifier: Apache-2.0

package topology

import "sync/atomic"

// Store hands the newest snapshot to readers. One goroutine may call [Store.Set]; any number may call [Store.Snapshot].
// The zero value is ready and holds an empty snapshot.
type Store struct {
	current atomic.Pointer[Snapshot]
}

// empty answers every lookup with "not found": maps may be nil for reading.
var empty = &Snapshot{}

// Snapshot returns the newest snapshot, never nil.
func (s *Store) Snapshot() *Snapshot {
	if current := s.current.Load(); current != nil {
		return current
	}
	return empty
}

// Set makes the snapshot the newest one.
func (s *Store) Set(snapshot *Snapshot) { s.current.Store(snapshot) }
