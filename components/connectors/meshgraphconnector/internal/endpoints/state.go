// SPDX-License-Identifier: Apache-2.0

package endpoints

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/failover"
)

// ErrState means bytes that are no state of a watcher.
var ErrState = errors.New("not a state of the endpoints")

const (
	stateVersion = 1
	// remembered is how long a beginning is of interest to anybody.
	remembered = 24 * time.Hour
	// maxClusters and maxBeginnings are the most that is taken back.
	maxClusters, maxBeginnings = 10_000, 1_000_000
)

// state is what outlives a restart: which clusters are not new, and what began lately.
type state struct {
	Version    int         `json:"version"`
	Clusters   []string    `json:"clusters"`
	Beginnings []beginning `json:"beginnings"`
}

type beginning struct {
	Cluster string           `json:"cluster"`
	Region  string           `json:"region"`
	Service failover.Service `json:"service"`
	Since   time.Time        `json:"since"`
}

// Encode returns what another watcher needs to go on, as JSON.
func (w *Watcher) Encode() ([]byte, error) {
	s := state{Version: stateVersion, Clusters: slices.Sorted(maps.Keys(w.clusters))}
	for _, name := range s.Clusters {
		for service, places := range w.clusters[name].had {
			for i := range places {
				if since := places[i].since; !since.IsZero() && w.at.Sub(since) <= remembered {
					s.Beginnings = append(s.Beginnings, beginning{name, places[i].region, service, since})
				}
			}
		}
	}
	return json.Marshal(&s)
}

// Restore takes a state in the place of what the watcher knows. With an error, which is an [ErrState], nothing was changed.
// Without it, clusters that the state does not know are new from their first observation on. A beginning that is not before now is
// none.
func (w *Watcher) Restore(raw []byte, now time.Time) error {
	var s state
	if err := json.Unmarshal(raw, &s); err != nil {
		return fmt.Errorf("%w: %w", ErrState, err)
	}
	if s.Version != stateVersion {
		return fmt.Errorf("%w: it has version %d, not %d", ErrState, s.Version, stateVersion)
	}
	if len(s.Clusters) > maxClusters || len(s.Beginnings) > maxBeginnings {
		return fmt.Errorf("%w: it has %d clusters and %d beginnings", ErrState, len(s.Clusters), len(s.Beginnings))
	}
	clusters := make(map[string]*cluster, len(s.Clusters))
	for _, name := range s.Clusters {
		clusters[name] = &cluster{had: map[failover.Service][]tenure{}}
	}
	for i := range s.Beginnings {
		b := &s.Beginnings[i]
		c := clusters[b.Cluster]
		if c == nil {
			return fmt.Errorf("%w: a beginning in a cluster that it does not have", ErrState)
		}
		if _, twice := find(c.had[b.Service], b.Region); !twice && !b.Since.After(now) {
			c.had[b.Service] = append(c.had[b.Service], tenure{region: b.Region, since: b.Since})
		}
	}
	*w = Watcher{clusters: clusters, restored: len(clusters) > 0}
	return nil
}
