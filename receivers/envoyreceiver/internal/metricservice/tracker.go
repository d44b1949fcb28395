// SPDX-License-Identifier: Apache-2.0

package metricservice

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// ErrTooManyNodes reports that no more nodes can be remembered, as all that are have a stream.
var ErrTooManyNodes = errors.New("too many nodes")

// Tracker remembers the nodes that send metrics and the start times of their series, over the life of a stream: a node
// that reconnects must not seem to start anew, or its counts would be taken twice. It is safe for concurrent use.
type Tracker struct {
	settings TrackerSettings

	mu    sync.Mutex
	nodes map[string]*Node
	swept time.Time

	// series is the number of series remembered, for all nodes.
	series atomic.Int64
}

// TrackerSettings are a tracker's ceilings.
type TrackerSettings struct {
	// MaxNodes is how many nodes are remembered; at least 1.
	MaxNodes int
	// MaxSeries is how many series are remembered for all nodes; at least 1.
	MaxSeries int
	// Expiry is how long a node without a stream, or a series without a point, is remembered.
	Expiry time.Duration
	// Changed, if set, is told by how much the number of series remembered changed.
	Changed func(by int64)
}

// NewTracker returns an empty tracker.
func NewTracker(settings TrackerSettings) *Tracker {
	return &Tracker{settings: settings, nodes: make(map[string]*Node)}
}

// Series returns how many series are remembered now.
func (t *Tracker) Series() int64 {
	return t.series.Load()
}

func (t *Tracker) addSeries(n int64) {
	t.series.Add(n)
	if t.settings.Changed != nil {
		t.settings.Changed(n)
	}
}

// Acquire returns what is remembered of a node, for a stream that opened at now; the stream must release it. It returns
// [ErrTooManyNodes] if there is no room.
func (t *Tracker) Acquire(id string, now time.Time) (*Node, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(now)
	node, ok := t.nodes[id]
	if !ok {
		if len(t.nodes) >= t.settings.MaxNodes && !t.evictOne() {
			return nil, ErrTooManyNodes
		}
		node = newNode(t, now)
		t.nodes[id] = node
	}
	node.streams++
	return node, nil
}

// Release says that a stream of the node ended.
func (t *Tracker) Release(node *Node, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	node.streams--
	node.idleSince = now
}

// expire forgets nodes that have been without a stream for long. It looks at most once in a tenth of that time.
func (t *Tracker) expire(now time.Time) {
	const looksPerExpiry = 10
	if now.Sub(t.swept) < t.settings.Expiry/looksPerExpiry {
		return
	}
	t.swept = now
	for id, node := range t.nodes {
		if node.streams == 0 && now.Sub(node.idleSince) > t.settings.Expiry {
			t.forget(id, node)
		}
	}
}

// evictOne forgets the node that has been without a stream for longest.
func (t *Tracker) evictOne() bool {
	var oldest string
	for id, node := range t.nodes {
		if node.streams == 0 && (oldest == "" || node.idleSince.Before(t.nodes[oldest].idleSince)) {
			oldest = id
		}
	}
	if oldest == "" {
		return false
	}
	t.forget(oldest, t.nodes[oldest])
	return true
}

func (t *Tracker) forget(id string, node *Node) {
	delete(t.nodes, id)
	node.mu.Lock()
	defer node.mu.Unlock()
	t.addSeries(-int64(len(node.series)))
	node.series = nil
}
