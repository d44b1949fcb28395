// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// stream is the state of one cluster's messages.
type stream struct {
	a         *Assembler
	name, uid string
	epoch     int64
	// next is the sequence to come, applied the last one whose content was applied.
	next, applied uint64

	// pending are messages that wait for one before them, by sequence, since waiting.
	pending      []Message
	pendingBytes int
	waiting      time.Time

	chunks chunks
	// partial is the beginning of a delta that goes on in later messages.
	partial      *Update
	partialParts uint64
	partialBytes int
	// partialMessages are what partial was made of, partialLast is when the last of them came.
	partialMessages []Message
	partialLast     time.Time

	// known says that something was applied, so that the topology knows the cluster.
	known bool
	// awaiting says that the epoch's first snapshot is not complete yet, gap that messages before it were lost.
	awaiting, gap bool
	// restored says that all that is known is from the disk copy, replayed that some was added since by [Assembler.Replay].
	restored, replayed bool
	stale              bool
	// at is the newest confirmation of complete content by the spoke's clock. By the hub's, advanced is when it came, heard
	// when the last message came, and began when the first one did.
	at, advanced, heard, began time.Time
	lag                        lag

	rejected, twin, names, skewed, limited time.Time
}

// chunks is an incomplete snapshot.
type chunks struct {
	messages []Message
	first    uint64
	bytes    int
	last     time.Time
}

func newStream(a *Assembler, name string, now time.Time) *stream {
	return &stream{a: a, name: name, next: 1, awaiting: true, advanced: now, heard: now, began: now}
}

// rightEpoch says whether the message is of the leader to believe, and follows a change of leader.
func (c *stream) rightEpoch(m *Message, now time.Time) bool {
	switch {
	case m.Epoch == c.epoch:
		return true
	case m.Epoch < c.epoch:
		// The clock of the leader before was ahead, or its epoch is a wrong one: a leader that speaks of the present while
		// the other one is silent is the true one. What comes late from a queue speaks of the past.
		if now.Sub(c.heard) < c.a.settings.StaleAfter {
			return false
		}
		if now.Sub(m.At).Abs() > c.a.settings.ClockSkew {
			c.refuseEpoch(m, now)
			return false
		}
	}
	if c.epoch != 0 {
		c.a.counters.Epochs++
	}
	c.a.counters.OldEpoch += uint64(len(c.pending))
	c.drop()
	c.epoch, c.next, c.applied, c.awaiting = m.Epoch, 1, 0, true
	return true
}

// refuseEpoch reports that nobody is believed: the leader that is has been silent for long, and the one that speaks does
// not speak of the present.
func (c *stream) refuseEpoch(m *Message, now time.Time) {
	if !due(&c.skewed, now) {
		return
	}
	says := "confirms nothing"
	if !m.At.IsZero() {
		says = "has the time " + m.At.UTC().Format(time.RFC3339)
	}
	c.a.find(KindClockSkew, c.name, "clock", now, fmt.Sprintf(
		"the inventory of cluster %q is refused: it comes from a leader that is older, by the clock of its node, than the one "+
			"that has been silent for %s, and %s, which is not the hub's; unless it is left over in a queue, synchronize the "+
			"clocks of the cluster's nodes and of the hub's", c.name, now.Sub(c.heard).Round(time.Second), says))
}

// drop forgets what waits.
func (c *stream) drop() {
	c.a.bytes -= c.pendingBytes
	c.pending, c.pendingBytes, c.waiting = nil, 0, time.Time{}
	c.cut()
}

// cut forgets an incomplete snapshot or delta.
func (c *stream) cut() {
	c.a.counters.Incomplete += uint64(len(c.chunks.messages)) + c.partialParts
	c.a.bytes -= c.chunks.bytes + c.partialBytes
	c.chunks, c.partial, c.partialParts, c.partialBytes, c.partialMessages = chunks{}, nil, 0, 0, nil
	c.partialLast = time.Time{}
}

// messageBytes is what a message takes beside its body, with the room that a list keeps for more of them.
const messageBytes = 256

// size is what a message counts while it waits.
func size(m *Message) int { return len(m.Body) + messageBytes }

// wait puts the message in line. It returns false if it is there already.
func (c *stream) wait(m *Message) bool {
	i, found := slices.BinarySearchFunc(c.pending, m.Sequence, func(p Message, sequence uint64) int {
		return cmp.Compare(p.Sequence, sequence)
	})
	if found {
		return false
	}
	kept := *m
	kept.Body, kept.Cluster = slices.Clone(m.Body), c.name
	if kept.ClusterUID != "" {
		kept.ClusterUID = c.uid
	}
	c.pending = slices.Insert(c.pending, i, kept)
	c.pendingBytes += size(&kept)
	c.a.bytes += size(&kept)
	return true
}

// take removes the first message that waits.
func (c *stream) take() Message {
	m := c.pending[0]
	c.pending[0] = Message{}
	c.pending = c.pending[1:]
	c.pendingBytes -= size(&m)
	c.a.bytes -= size(&m)
	return m
}

// drain processes what is in order, and gives up on what is missing when too much waits for it.
func (c *stream) drain(now time.Time) {
	for {
		progress := false
		for len(c.pending) > 0 && c.pending[0].Sequence == c.next {
			m := c.take()
			c.next++
			c.process(&m, now)
			progress = true
		}
		if len(c.pending) == 0 {
			c.waiting = time.Time{}
			return
		}
		if progress || c.waiting.IsZero() {
			c.waiting = now
		}
		if !c.overfull() {
			return
		}
		c.skip(now)
	}
}

// overfull says whether waiting on makes no sense: too much waits, or more is missing than may ever wait.
func (c *stream) overfull() bool {
	s := &c.a.settings
	return len(c.pending) > s.ReorderMessages || c.pendingBytes > s.ReorderBytes || c.a.bytes > s.MaxBytes ||
		c.pending[0].Sequence-c.next > uint64(s.ReorderMessages)
}

// skip gives up on the messages before the first one that waits. If that one is in the middle of a snapshot, the
// snapshot's first chunk is where it makes sense to go on, so it may still come.
func (c *stream) skip(now time.Time) {
	head := &c.pending[0]
	to := head.Sequence
	if start := to - uint64(max(head.Part, 1)-1); start > c.next {
		to = start
	}
	c.lose(to-c.next, now)
	c.next, c.waiting = to, now
}

// lose notes that messages are missing. Deltas go on being applied, as most of what they say is right, but nothing
// confirms the cluster until a snapshot is complete.
func (c *stream) lose(n uint64, now time.Time) {
	c.cut()
	// A hub that comes to a stream in its middle has not lost what came before.
	joined := c.known || c.applied > 0 || c.gap
	if joined {
		c.a.counters.Lost += n
	}
	if c.gap {
		return
	}
	c.gap = true
	detail := fmt.Sprintf("%d messages of the inventory of cluster %q were lost before sequence %d; its topology counts as "+
		"stale until its next snapshot is complete; see whether the exporters between them drop data", n, c.name, c.next+n)
	switch {
	case n == 0:
		detail = fmt.Sprintf("a part of the inventory of cluster %q was given up before sequence %d, as the rest of it did not "+
			"come or it is too large; its topology counts as stale until its next snapshot is complete", c.name, c.next)
	case !joined:
		detail = fmt.Sprintf("the inventory of cluster %q is known from sequence %d on; its topology is incomplete, and "+
			"counts as stale, until its next snapshot", c.name, c.next+n)
	}
	c.a.find(topology.KindInventoryGap, c.name, "inventory", now, detail)
}

// expireWaiting gives up on messages that have been missing for long.
func (c *stream) expireWaiting(now time.Time) {
	if len(c.pending) > 0 && now.Sub(c.waiting) >= c.a.settings.ReorderTime {
		c.skip(now)
		c.drain(now)
	}
	if len(c.chunks.messages) > 0 && now.Sub(c.chunks.last) >= c.a.settings.SnapshotTime {
		c.cut()
	}
	if c.partial != nil && now.Sub(c.partialLast) >= c.a.settings.SnapshotTime {
		c.lose(0, now)
	}
}
