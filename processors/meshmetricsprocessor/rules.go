// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"
)

// names is a list of names, some of which end with a star.
type names struct {
	exact    map[string]struct{}
	prefixes []string
}

func newNames(list []string) names {
	n := names{exact: map[string]struct{}{}}
	for _, name := range list {
		if prefix, ok := strings.CutSuffix(name, "*"); ok {
			n.prefixes = append(n.prefixes, prefix)
		} else {
			n.exact[name] = struct{}{}
		}
	}
	return n
}

func (n *names) has(name string) bool {
	if _, ok := n.exact[name]; ok {
		return true
	}
	for _, prefix := range n.prefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// rule is what is done with some metrics.
type rule struct {
	names      names
	attributes names
	except     names
	topology   *names
	// number is its place in the list.
	number    int
	drop      bool
	noBuckets bool
	keys      memo[uint64, key]
}

// rules finds the rule of a metric.
type rules struct {
	list  []*rule
	known memo[string, *rule]
}

func newRules(config *Config) *rules {
	r := &rules{}
	if len(config.Drop) > 0 {
		r.list = append(r.list, &rule{names: newNames(config.Drop), drop: true})
	}
	topology := newNames(config.TopologyAttributes)
	for _, m := range config.Metrics {
		r.list = append(r.list, &rule{
			names: newNames(m.Names), attributes: newNames(m.Attributes), except: newNames(m.Except),
			topology: &topology, number: len(r.list), noBuckets: m.Buckets == dropBuckets,
		})
	}
	return r
}

// of returns the rule of a metric, nil if it passes.
func (r *rules) of(name string) *rule {
	return r.known.get(name, func() (string, *rule) {
		own := strings.Clone(name)
		for _, one := range r.list {
			if one.names.has(own) {
				return own, one
			}
		}
		return own, nil
	})
}

// class is what an attribute of a point is for its identity.
type class uint8

const (
	ordinary class = iota
	reporter
	// label is one of Istio's that say what an attribute says, too.
	label
	// said is such an attribute.
	said
	// derived is any other that mesh_topology adds.
	derived
)

// key is what is known of an attribute's key.
type key struct {
	class class
	slot  uint8
	keep  bool
}

const (
	fields = 6
	slots  = 2 * fields
)

// The labels of an end in the order of the attributes that say the same, and what they say where nothing is known.
var (
	labelFields = [fields]string{"cluster", "workload", "workload_namespace", "canonical_service", "canonical_revision", "principal"}
	saidFields  = [fields]string{"cluster", "workload", "namespace", "service", "version", "principal"}
	nothings    = [fields]string{"unknown", "unknown", "unknown", "unknown", "latest", "unknown"}
	ends        = [2]string{"source", "destination"}
)

// nothing says that a label's value stands for none.
func nothing(slot uint8, value string) bool { return value == "" || value == nothings[slot%fields] }

func (r *rule) key(name string, hash uint64) key {
	return r.keys.get(hash, func() (uint64, key) {
		k := key{keep: r.attributes.has(name) && !r.except.has(name)}
		switch {
		case name == "reporter":
			k.class = reporter
		case strings.HasPrefix(name, "mesh."):
			k.class = derived
			k.find(name, "mesh.", ".", &saidFields, said)
		default:
			k.find(name, "", "_", &labelFields, label)
		}
		return hash, k
	})
}

func (k *key) find(name, before, between string, list *[fields]string, as class) {
	for e, end := range ends {
		for f, field := range list {
			if name == before+end+between+field {
				k.class, k.slot = as, uint8(e*fields+f)
			}
		}
	}
}

// memo remembers what was found, up to a ceiling. Reading takes no lock.
type memo[K comparable, V any] struct {
	mu sync.Mutex
	m  atomic.Pointer[map[K]V]
}

const memoSize = 2048

func (m *memo[K, V]) get(k K, find func() (K, V)) V {
	known := m.m.Load()
	if known != nil {
		if v, ok := (*known)[k]; ok {
			return v
		}
	}
	k, v := find()
	if known != nil && len(*known) >= memoSize {
		return v
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	more := map[K]V{}
	if known = m.m.Load(); known != nil {
		more = maps.Clone(*known)
	}
	more[k] = v
	m.m.Store(&more)
	return v
}
