// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"maps"
	"slices"
	"time"
)

// Replay takes a message again that [Assembler.Accept] took at received, before the hub ended: after [Assembler.Restore]
// and before the first new message, in the order of then. What the disk copy has is known from its sequence. Nobody
// counts as stale or fresh for it: [Assembler.Replayed] decides that at the end.
func (a *Assembler) Replay(m *Message, received time.Time) ([]Action, error) {
	if c := a.clusters[m.Cluster]; c != nil && c.heard.After(received) {
		// It was restored just now, and what it says is of a time before that.
		c.heard = c.at
	}
	a.replaying = true
	defer func() { a.replaying = false }()
	actions, err := a.Accept(m, received)
	if c := a.clusters[m.Cluster]; c != nil {
		c.replayed = true
	}
	return actions, err
}

// Replayed ends the replay. The clusters are as stale as those of a disk copy, and what waits may wait for as long as
// if it had come now: the message before it may be one that its sender still has.
func (a *Assembler) Replayed(now time.Time) []Action {
	a.actions = nil
	for _, name := range slices.Sorted(maps.Keys(a.clusters)) {
		c := a.clusters[name]
		if !c.replayed {
			continue
		}
		c.replayed, c.restored, c.stale, c.lag = false, c.known, false, lag{}
		c.advanced, c.heard, c.began = now, now, now
		if len(c.pending) > 0 {
			c.waiting = now
		}
		if len(c.chunks.messages) > 0 {
			c.chunks.last = now
		}
		if c.partial != nil {
			c.partialLast = now
		}
		c.judge(now)
	}
	return a.actions
}

// WaitingMessages returns what was taken and is in no position yet, in an order in which it can be taken again: the
// chunks of incomplete snapshots, the parts of incomplete deltas, and what waits for a message before it. The bodies are
// the assembler's and must not be modified.
func (a *Assembler) WaitingMessages() []Message {
	var waiting []Message
	for _, name := range slices.Sorted(maps.Keys(a.clusters)) {
		c := a.clusters[name]
		waiting = append(waiting, c.chunks.messages...)
		waiting = append(waiting, c.partialMessages...)
		waiting = append(waiting, c.pending...)
	}
	return waiting
}
