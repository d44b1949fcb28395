// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Ceilings beside those of [Config].
const (
	maxBuilds    = 64
	maxRegions   = 8
	maxFuture    = 5 * time.Minute
	maxComponent = 64
)

// Store holds what the istiods of all clusters say. Any number of goroutines may call [Store.Metrics] and read what is
// published; one at a time may call [Store.Roll].
type Store struct {
	config Config

	mu       sync.Mutex
	clusters map[string]*cluster
	listening
	// counts is what became of all points, since the start.
	counts Counts

	document atomic.Pointer[Document]
}

// cluster is what is known of one cluster's control plane.
type cluster struct {
	name    string
	istiods map[string]*istiod
	// summed has the deltas that came without an instance.
	summed      *istiod
	first, last time.Time
	// builds are the versions that proxies, agents and ztunnels said, with when.
	builds map[build]time.Time
	// gone is what the last istiod was, when it went.
	gone []Istiod
}

type build struct{ component, version string }

// istiod is one istiod: a pod. A container that begins anew in it is the same one, with counters from zero.
type istiod struct {
	instance, namespace, pod, workload, region, uid string
	// began is the time of its first scrape, last of its newest point.
	began, last time.Time
	families    [kindConvergence]family
	build       family
	counters    map[series]*counter
	convergence histogram
}

type series struct {
	kind kind
	key  string
}

// New returns an empty store. The configuration must be valid.
func New(config Config) *Store {
	s := &Store{config: config, clusters: map[string]*cluster{}}
	s.document.Store(s.empty(time.Time{}))
	return s
}

// Document returns what was published last, never nil. Nobody may change it. It does not lock.
func (s *Store) Document() *Document { return s.document.Load() }

// Records returns the records of [Store.Document], by cluster. Nobody may change them.
func (s *Store) Records() []Record { return s.Document().ControlPlanes }

// Counts returns what became of all points since the start.
func (s *Store) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

// clusterNamed returns the cluster, a new one if there is room.
func (s *Store) clusterNamed(name string, now time.Time) *cluster {
	c := s.clusters[name]
	if c == nil && len(s.clusters) < s.config.MaxClusters {
		c = &cluster{name: strings.Clone(clip(name)), istiods: map[string]*istiod{}, summed: &istiod{counters: map[series]*counter{}}, first: now, last: now, builds: map[build]time.Time{}}
		s.clusters[c.name] = c
	}
	return c
}

// istiodOf returns the istiod that a resource is, a new one if there is room.
func (c *cluster) istiodOf(from *origin, most int, at, now time.Time) *istiod {
	i := c.istiods[from.instance]
	if i == nil {
		if len(c.istiods) >= most {
			return nil
		}
		i = &istiod{instance: strings.Clone(from.instance), began: at, counters: map[series]*counter{}}
		c.istiods[i.instance] = i
	}
	for _, text := range []struct {
		into *string
		from string
	}{{&i.namespace, from.namespace}, {&i.pod, from.pod}, {&i.workload, from.workload}, {&i.region, from.region}, {&i.uid, from.uid}} {
		if text.from != "" && *text.into != text.from {
			*text.into = strings.Clone(clip(text.from))
		}
	}
	return i
}

// counter returns a series of a counter. Beyond the ceiling all that is new of a kind is one series, and totals are then
// of no use: what falls among them looks like a new beginning.
func (i *istiod) counter(k kind, key string, length time.Duration) *counter {
	id := series{kind: k, key: clip(key)}
	c := i.counters[id]
	if c == nil {
		if len(i.counters) >= maxCounters {
			return nil
		}
		id.key = strings.Clone(id.key)
		c = &counter{window: newWindow(length)}
		i.counters[id] = c
	}
	return c
}

// seen notes a sign of life at a time.
func (i *istiod) seen(at time.Time) {
	if at.After(i.last) {
		i.last = at
	}
}

// expire drops istiods and clusters that are silent for too long.
func (s *Store) expire(now time.Time) {
	for _, c := range s.clusters {
		for _, i := range c.istiods {
			if i.last.After(c.last) {
				c.last = i.last
			}
		}
		for _, name := range slices.Sorted(maps.Keys(c.istiods)) {
			i := c.istiods[name]
			if now.Sub(i.last) <= s.config.Expire {
				continue
			}
			if len(c.istiods) == 1 {
				c.gone = []Istiod{i.describe(now)}
			}
			delete(c.istiods, name)
		}
		if len(c.istiods) > 0 {
			c.gone = nil
		}
		maps.DeleteFunc(c.builds, func(_ build, at time.Time) bool { return now.Sub(at) > s.config.Expire })
		if len(c.istiods) == 0 && len(c.builds) == 0 && now.Sub(c.last) > s.config.Forget {
			delete(s.clusters, c.name)
		}
	}
}
