// SPDX-License-Identifier: Apache-2.0

package endpoints

import (
	"cmp"
	"slices"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/failover"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// settle is how long after the start of a watcher without a memory a cluster may come that is not new: the inventories come one
// after the other.
const settle = 10 * time.Minute

// Watcher follows the endpoints over time. It is not for use by several goroutines at once.
type Watcher struct {
	last     *topology.Snapshot
	clusters map[string]*cluster
	rows     []failover.Endpoints
	// began is the first observation, at the last one; restored says that it goes on where another watcher ended.
	began, at time.Time
	restored  bool
	// asked is when somebody first asked for what is pending.
	asked    time.Time
	counting counting
}

// cluster is what is known of one.
type cluster struct {
	rows []failover.Endpoints
	// had is in which regions services had endpoints.
	had map[failover.Service][]tenure
	// watched says that it was described before; fresh that it joined while somebody watched; told that the rows are of use.
	watched, fresh, told bool
	// counted is up to when, by its own clock, the cluster was known at the last count. recount is when to count again though nothing
	// is new: pods that ended lately stop being of interest.
	counted, recount time.Time
}

// tenure is since when a service has, or had, endpoints in a region; zero for always, as far as anybody knows.
type tenure struct {
	region string
	since  time.Time
	// matched says that pods were seen that are those of the service, by their canonical name.
	matched bool
	// proven are the endpoints that were ready and are not being deleted; ending is how many are.
	proven, ending int
	// zero says that nobody wanted any, and that none was ready since.
	zero bool
}

// New returns a watcher that has seen nothing.
func New() *Watcher { return &Watcher{clusters: map[string]*cluster{}} }

// Observe returns what is known of endpoints at the time, sorted by service and place. It is the same list as before, without
// any allocation, while nothing changed; nobody may change it. A nil snapshot knows nothing. Clusters that are not described
// completely, or that nobody confirms any more, are left out.
func (w *Watcher) Observe(s *topology.Snapshot, at time.Time) []failover.Endpoints {
	if s == nil {
		return nil
	}
	if w.began.IsZero() {
		w.began = at
	}
	w.at = at
	changed := false
	for c := range s.Clusters() {
		if w.look(s, c, at) {
			changed = true
		}
	}
	if s != w.last {
		for name := range w.clusters {
			if _, ok := s.Cluster(name); !ok && w.clusters[name].told {
				w.clusters[name].told, changed = false, true
			}
		}
		w.last = s
		w.forget(s)
	}
	if changed {
		w.publish()
	}
	return w.rows
}

// look brings what is known of a cluster up to date, and says whether that changed.
func (w *Watcher) look(s *topology.Snapshot, c *topology.Cluster, at time.Time) bool {
	known := w.clusters[c.Name]
	_, stale := c.StaleSince()
	if stale || c.Confirmed().IsZero() {
		if known == nil || !known.told {
			return false
		}
		known.told = false
		return true
	}
	if known == nil {
		known = &cluster{fresh: w.restored || at.Sub(w.began) > settle}
		w.clusters[c.Name] = known
	}
	due := !known.recount.IsZero() && !at.Before(known.recount)
	if known.told && !due && s.Same(w.last, c.Name) {
		return false
	}
	w.count(s, c, known, at)
	known.watched, known.told = true, true
	return true
}

// forget drops clusters that are gone once they are more than those that are there.
func (w *Watcher) forget(s *topology.Snapshot) {
	const spare = 64
	if len(w.clusters) <= 2*s.Stats().Clusters+spare {
		return
	}
	for name := range w.clusters {
		if _, ok := s.Cluster(name); !ok {
			delete(w.clusters, name)
		}
	}
}

func (w *Watcher) publish() {
	n := 0
	for _, c := range w.clusters {
		if c.told {
			n += len(c.rows)
		}
	}
	rows := make([]failover.Endpoints, 0, n)
	for _, c := range w.clusters {
		if c.told {
			rows = append(rows, c.rows...)
		}
	}
	slices.SortFunc(rows, func(a, b failover.Endpoints) int {
		return cmp.Or(
			cmp.Compare(a.Service.Namespace, b.Service.Namespace), cmp.Compare(a.Service.Name, b.Service.Name),
			cmp.Compare(a.Place.Region, b.Place.Region), cmp.Compare(a.Place.Cluster, b.Place.Cluster),
		)
	})
	w.rows = rows
}
