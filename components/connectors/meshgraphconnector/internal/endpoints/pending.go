// SPDX-License-Identifier: Apache-2.0

package endpoints

import (
	"slices"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// patience is how long after the start inventories are waited for. Agents try again within 30 seconds.
const patience = time.Minute

// Pending returns the clusters of which an inventory is expected at any moment, sorted: in the first minute after the first call, those
// that the watcher knew in an earlier life, or that the snapshot has from a disk copy, and that nobody confirmed as of that call. What
// is done to their endpoints now may not be known yet. A cluster that nobody confirms later on is not among them.
func (w *Watcher) Pending(s *topology.Snapshot, at time.Time) []string {
	if w.asked.IsZero() {
		w.asked = at
	}
	if at.Sub(w.asked) >= patience {
		return nil
	}
	var pending []string
	for name := range w.clusters {
		if !confirmed(s, name, w.asked) {
			pending = append(pending, name)
		}
	}
	if s != nil {
		for c := range s.Clusters() {
			if _, stale := c.StaleSince(); stale && w.clusters[c.Name] == nil {
				pending = append(pending, c.Name)
			}
		}
	}
	slices.Sort(pending)
	return pending
}

// confirmed says whether a cluster is known as of a time.
func confirmed(s *topology.Snapshot, name string, at time.Time) bool {
	if s == nil {
		return false
	}
	c, there := s.Cluster(name)
	if !there {
		return false
	}
	_, stale := c.StaleSince()
	return !stale && !c.Confirmed().Before(at)
}
