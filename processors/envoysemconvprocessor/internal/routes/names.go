// SPDX-License-Identifier: Apache-2.0

package routes

import (
	"strings"
	"sync"
)

// maxName is the length in bytes from which on a name is not learned: the ceiling bounds memory only if names are short.
const maxName = 1 << 10

// Names is a ceiling on the names that nobody configured: a name is good if it was among the first that were learned.
// It is safe for concurrent use.
type Names struct {
	max  int
	mu   sync.RWMutex
	seen map[string]string
}

// NewNames returns an empty set that learns at most limit names.
func NewNames(limit int) *Names {
	return &Names{max: limit, seen: map[string]string{}}
}

// Use returns the set's own copy of a name. It reports false for a name that is not in the set, if it is not to be
// learned or the set is full. It allocates only when it learns.
func (n *Names) Use(name []byte, learn bool) (string, bool) {
	n.mu.RLock()
	known, ok := n.seen[string(name)]
	full := len(n.seen) >= n.max || len(name) > maxName
	n.mu.RUnlock()
	if ok || !learn || full {
		return known, ok
	}
	return n.learn(string(name))
}

// UseText is [Names.Use] for a text.
func (n *Names) UseText(name string, learn bool) (string, bool) {
	n.mu.RLock()
	known, ok := n.seen[name]
	full := len(n.seen) >= n.max || len(name) > maxName
	n.mu.RUnlock()
	if ok || !learn || full {
		return known, ok
	}
	return n.learn(strings.Clone(name)) // the span's text would keep its whole request in memory
}

// Len returns how many names the set has learned.
func (n *Names) Len() int {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return len(n.seen)
}

func (n *Names) learn(name string) (string, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if known, ok := n.seen[name]; ok {
		return known, true
	}
	if len(n.seen) >= n.max {
		return "", false
	}
	n.seen[name] = name
	return name, true
}
