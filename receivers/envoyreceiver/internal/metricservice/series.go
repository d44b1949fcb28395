// SPDX-License-Identifier: Apache-2.0

package metricservice

import (
	"hash/maphash"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// restartSlack is how far a process's start, worked out from a whole number of seconds of uptime, may wander without
// being another process.
const restartSlack = pcommon.Timestamp(5 * time.Second)

// Node remembers the series of one sender. A [Converter] locks it for the length of a message.
type Node struct {
	tracker *Tracker

	// Guarded by the tracker's mutex.
	streams   int
	idleSince time.Time

	mu sync.Mutex
	// start is since when the node's series count: since its process runs, if it told, or else since its first point.
	start pcommon.Timestamp
	// told is set once the node told since when its process runs.
	told bool
	// opened is when the node was first seen. Flushes are the times of the last two flushes.
	opened, lastFlush, thisFlush pcommon.Timestamp
	seed                         maphash.Seed
	series                       map[uint64]series
	swept                        pcommon.Timestamp
}

// series is the state of one cumulative series.
type series struct {
	start, at pcommon.Timestamp
	value     float64
}

// outcome is what an observation showed.
type outcome int

const (
	continued outcome = iota
	reset
	untracked
)

func newNode(tracker *Tracker, now time.Time) *Node {
	return &Node{
		tracker: tracker,
		opened:  pcommon.NewTimestampFromTime(now),
		seed:    maphash.MakeSeed(),
		series:  make(map[uint64]series),
	}
}

// beginFlush takes note of a message's time, and of the process's uptime in seconds if the message told it; zero if not.
// The messages of one flush share their time.
func (n *Node) beginFlush(at pcommon.Timestamp, uptime float64) {
	if at > n.thisFlush {
		n.lastFlush, n.thisFlush = n.thisFlush, at
	}
	if n.start == 0 {
		n.start = at
	}
	const longest = 1e9 // seconds, thirty years
	if uptime <= 0 || uptime > longest {
		return
	}
	began := at - min(at, pcommon.Timestamp(uptime*float64(time.Second)))
	switch {
	case !n.told:
		// Series that already have a point keep their start: to move it would look like a reset.
		n.told, n.start = true, began
	case began > n.start+restartSlack:
		n.start = began
		n.forgetSeries()
	}
}

// intervalStart returns when the interval that ends at a time began: at the flush before it. The first interval of a
// node began when the node was first seen, at the latest; if that is no time before its end, its start is not known, and
// the result is zero.
func (n *Node) intervalStart(at pcommon.Timestamp) pcommon.Timestamp {
	began := n.lastFlush
	if began == 0 {
		began = n.opened
	}
	if began >= at {
		return 0
	}
	return began
}

// observe returns since when a cumulative series counts that has a value at a time. A value below the last one shows
// that the series restarted, at some time since: then it counts since the last point.
func (n *Node) observe(key uint64, value float64, at pcommon.Timestamp) (pcommon.Timestamp, outcome) {
	s, known := n.series[key]
	if !known {
		if !n.makeRoom(at) {
			return min(n.start, at), untracked
		}
		n.tracker.addSeries(1)
		n.series[key] = series{start: n.start, at: at, value: value}
		return min(n.start, at), continued
	}
	result := continued
	if value < s.value && at > s.at {
		s.start, result = s.at, reset
	}
	if at >= s.at {
		s.at, s.value = at, value
	}
	n.series[key] = s
	return min(s.start, at), result
}

// makeRoom reports whether one more series can be remembered, after forgetting the node's own that are out of use.
func (n *Node) makeRoom(at pcommon.Timestamp) bool {
	limit := int64(n.tracker.settings.MaxSeries)
	if n.series == nil {
		return false
	}
	if n.tracker.series.Load() < limit {
		return true
	}
	expiry := pcommon.Timestamp(n.tracker.settings.Expiry)
	if at < n.swept+expiry {
		return false
	}
	n.swept = at
	for key, s := range n.series {
		if s.at+expiry < at {
			delete(n.series, key)
			n.tracker.addSeries(-1)
		}
	}
	return n.tracker.series.Load() < limit
}

func (n *Node) forgetSeries() {
	n.tracker.addSeries(-int64(len(n.series)))
	clear(n.series)
}

// key identifies a series by name and labels. Labels are taken in the order sent, which Envoy keeps.
func (n *Node) key(name string, labels []*dto.LabelPair) uint64 {
	var h maphash.Hash
	h.SetSeed(n.seed)
	write := func(text string) {
		_, _ = h.WriteString(text)
		_ = h.WriteByte(0xff) // never part of valid UTF-8
	}
	write(name)
	for _, label := range labels {
		write(label.GetName())
		write(label.GetValue())
	}
	return h.Sum64()
}
