// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"fmt"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// process takes the next message in order.
func (c *stream) process(m *Message, now time.Time) {
	if c.partial != nil && m.Kind != KindDelta {
		// A delta that has no end: what it changes is not known.
		c.lose(0, now)
	}
	switch m.Kind {
	case KindSnapshot:
		c.snapshot(m, now)
		return
	case KindDelta:
		c.delta(m, now)
	case KindHeartbeat:
		c.applied = m.Sequence
		c.a.counters.Taken++
		c.confirm(m, now)
	}
}

// confirm takes a heartbeat: it confirms what is complete, and says nothing of the rest.
func (c *stream) confirm(m *Message, now time.Time) {
	c.cutSnapshot()
	if c.awaiting || c.gap {
		return
	}
	c.apply(&Update{Delta: topology.Delta{Cluster: c.name, At: m.At}}, now)
}

// cutSnapshot forgets an incomplete snapshot: its chunks have consecutive sequences, so that it will not be completed.
func (c *stream) cutSnapshot() {
	if len(c.chunks.messages) > 0 {
		c.cut()
	}
}

func (c *stream) delta(m *Message, now time.Time) {
	c.cutSnapshot()
	u, more, err := Decode(m)
	if err != nil {
		c.a.reject(c, m, err, now)
		c.lose(1, now)
		return
	}
	if c.partial != nil {
		merge(c.partial, u)
		u = c.partial
		u.At = m.At
	}
	if c.partial != nil || more {
		c.partial = u
		c.partialParts++
		c.partialBytes += size(m)
		c.a.bytes += size(m)
		c.partialMessages, c.partialLast = append(c.partialMessages, *m), now
	}
	if c.a.tooMuch(u) || c.partialParts > MaxParts || c.partialBytes > c.a.settings.SnapshotBytes || c.a.bytes > c.a.settings.MaxBytes {
		c.tooLarge("delta", now)
		return
	}
	if more {
		return
	}
	c.a.counters.Taken += max(c.partialParts, 1)
	c.partialParts = 0
	c.cut()
	c.applied = m.Sequence
	if c.awaiting || c.gap {
		u.At = time.Time{}
	}
	c.apply(u, now)
}

// snapshot collects a chunk, and applies the snapshot if it is the last one. Chunks come in order.
func (c *stream) snapshot(m *Message, now time.Time) {
	if m.Part == 1 {
		c.cutSnapshot()
		c.chunks.first = m.Sequence
	}
	k := &c.chunks
	if m.Part != len(k.messages)+1 || (m.Part > 1 && (m.Parts != k.messages[0].Parts || !m.At.Equal(k.messages[0].At))) {
		// Its beginning was lost, or it was given up on.
		c.cutSnapshot()
		c.a.counters.Incomplete++
		return
	}
	k.messages, k.last = append(k.messages, *m), now
	k.bytes += size(m)
	c.a.bytes += size(m)
	if k.bytes > c.a.settings.SnapshotBytes || c.a.bytes > c.a.settings.MaxBytes {
		c.tooLarge("snapshot", now)
		return
	}
	if m.Part < m.Parts {
		return
	}
	c.complete(now)
}

// complete applies a snapshot of which all chunks are there.
func (c *stream) complete(now time.Time) {
	var whole *Update
	for i := range c.chunks.messages {
		u, _, err := Decode(&c.chunks.messages[i])
		if err != nil {
			c.a.reject(c, &c.chunks.messages[i], err, now)
			c.lose(1, now)
			return
		}
		if whole == nil {
			whole = u
		} else {
			merge(whole, u)
		}
		if c.a.tooMuch(whole) {
			c.tooLarge("snapshot", now)
			return
		}
	}
	last := &c.chunks.messages[len(c.chunks.messages)-1]
	c.applied = last.Sequence
	c.a.counters.Taken += uint64(len(c.chunks.messages))
	c.a.counters.Snapshots++
	c.chunks.messages = nil
	c.cut()
	if c.awaiting || whole.At.Before(c.at) {
		// The clock of a new leader may be behind that of the one before, and any clock may be set back.
		c.at = time.Time{}
	}
	healed := c.gap
	c.awaiting, c.gap = false, false
	c.apply(whole, now)
	if healed && !c.a.replaying {
		// The gap is over even if the cluster never counted as stale for it; judge says whether it does for another reason.
		c.stale = false
		c.a.act(Action{Kind: ActionStale, Cluster: c.name})
	}
}

// tooMuch says whether an update has more objects than may be held: each takes many times its bytes on the wire.
func (a *Assembler) tooMuch(u *Update) bool {
	others := len(u.Nodes) + len(u.GoneNodes) + len(u.Services) + len(u.GoneServices) + len(u.Gateways) + len(u.Failovers)
	return max(len(u.Pods)+len(u.GonePods)+len(u.Past), others) > a.settings.MaxPods
}

// tooLarge gives up on a snapshot or delta above a ceiling.
func (c *stream) tooLarge(what string, now time.Time) {
	c.a.counters.RefusedLimit += uint64(len(c.chunks.messages)) + c.partialParts
	c.chunks.messages, c.partialParts = nil, 0
	c.lose(0, now)
	if due(&c.limited, now) {
		c.a.find(topology.KindLimitReached, c.name, "inventory", now, fmt.Sprintf(
			"a %s of cluster %q has more than %d pods or other objects, comes in too many parts, or takes more memory than %d bytes while it arrives (%d bytes for "+
				"all clusters); raise 'max_pods' or send less", what, c.name, c.a.settings.MaxPods, c.a.settings.SnapshotBytes,
			c.a.settings.MaxBytes))
	}
}

// apply hands out an update.
func (c *stream) apply(u *Update, now time.Time) {
	if !c.known {
		c.known = true
		c.a.sameUID(c.uid, c, now)
	}
	if !u.At.IsZero() {
		c.restored = false
	}
	// A clock that was far ahead and is set right goes back.
	right := c.at.Sub(now) > c.a.settings.ClockSkew && u.At.Before(c.at) && !u.At.IsZero()
	if u.At.After(c.at) || right {
		c.at, c.advanced = u.At, now
	}
	c.a.act(Action{Kind: ActionApply, Cluster: c.name, Update: u})
}

// merge adds what a later part of the same snapshot or delta says.
func merge(to, from *Update) {
	if from.Made.After(to.Made) {
		to.Made = from.Made
	}
	if from.Facts != nil {
		to.Facts = from.Facts
	}
	if from.Gateways != nil {
		to.Gateways = append(nonNil(to.Gateways), from.Gateways...)
	}
	if from.Failovers != nil {
		to.Failovers = append(nonNil(to.Failovers), from.Failovers...)
	}
	to.Nodes = append(to.Nodes, from.Nodes...)
	to.GoneNodes = append(to.GoneNodes, from.GoneNodes...)
	to.Services = append(to.Services, from.Services...)
	to.GoneServices = append(to.GoneServices, from.GoneServices...)
	to.Pods = append(to.Pods, from.Pods...)
	to.GonePods = append(to.GonePods, from.GonePods...)
	to.Past = append(to.Past, from.Past...)
}

func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
