// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"fmt"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// hear notes that a new message came, and compares the clocks.
func (c *stream) hear(m *Message, now time.Time) {
	c.heard = now
	if m.At.IsZero() {
		return
	}
	skew := c.a.settings.ClockSkew
	if ahead := m.At.Sub(now); ahead > skew {
		if due(&c.skewed, now) {
			c.a.find(KindClockSkew, c.name, "clock", now, fmt.Sprintf(
				"the clock of cluster %q is %s ahead of the hub's, so that its pods' times do not fit the times of calls; "+
					"synchronize the clocks of its nodes and of the hub's", c.name, ahead.Round(time.Second)))
		}
		return
	}
	if behind, ok := c.lag.constant(now.Sub(m.At), now, skew); ok && due(&c.skewed, now) {
		c.a.find(KindClockSkew, c.name, "clock", now, fmt.Sprintf(
			"the inventory of cluster %q arrives %s late all the time: its clock is behind the hub's, or something between "+
				"them is that slow; the cluster counts as stale if that is more than %s", c.name,
			behind.Round(time.Second), c.a.settings.StaleAfter))
	}
}

// lag tells a clock that is behind from messages that waited in a queue: these come faster than they were sent, so that
// their lag shrinks.
type lag struct {
	since       time.Time
	least, most time.Duration
	messages    int
}

// lagSpread is how far apart the lags of messages may be that count as constant, lagMessages how many it takes.
const (
	lagSpread   = 15 * time.Second
	lagMessages = 4
)

// constant returns the least lag if it has been above skew, and about the same, for as long as skew itself.
func (l *lag) constant(behind time.Duration, now time.Time, skew time.Duration) (time.Duration, bool) {
	least, most := min(l.least, behind), max(l.most, behind)
	if behind <= skew || l.messages == 0 || most-least > lagSpread {
		*l = lag{since: now, least: behind, most: behind, messages: 1}
		return 0, false
	}
	l.least, l.most = least, most
	l.messages++
	return l.least, l.messages >= lagMessages && now.Sub(l.since) >= skew
}

// judge decides whether the cluster is stale, and says so when that changes. The age of what it says counts, and not
// only when it spoke last: an inventory that waited in a queue for hours confirms what was true hours ago.
func (c *stream) judge(now time.Time) {
	if !c.known || c.a.replaying {
		return
	}
	reason := c.reason(now)
	if (reason != "") == c.stale {
		return
	}
	c.stale = reason != ""
	if !c.stale {
		c.a.act(Action{Kind: ActionStale, Cluster: c.name})
		return
	}
	since := c.at
	switch {
	case since.IsZero():
		since = now
	case since.After(c.advanced):
		// The spoke's clock is ahead.
		since = c.advanced
	}
	c.a.act(Action{Kind: ActionStale, Cluster: c.name, Since: since})
	c.a.find(topology.KindClusterStale, c.name, "inventory", now, fmt.Sprintf(
		"what is known of cluster %q may be outdated since %s: %s", c.name, since.UTC().Format(time.RFC3339), reason))
}

// reason returns why the cluster is stale; empty if it is not.
func (c *stream) reason(now time.Time) string {
	after := c.a.settings.StaleAfter
	// By the spoke's clock and by the hub's: if the spoke's is ahead, its last word looks young for long.
	age, pause := now.Sub(c.at), now.Sub(c.advanced)
	switch {
	case c.restored:
		return "it is from the disk copy, and its inventory has not arrived since the hub started"
	case c.gap:
		return "messages of its inventory were lost, and its next snapshot is not complete yet"
	case now.Sub(c.heard) >= after:
		return fmt.Sprintf("its inventory has not come for %s; see whether its mesh_inventory receiver runs and reaches the hub",
			now.Sub(c.heard).Round(time.Second))
	case max(age, pause) >= after && c.awaiting:
		return "it has a new leader, whose snapshot is not complete yet"
	case age >= after:
		return fmt.Sprintf("its inventory arrives, but the newest is %s old", age.Round(time.Second))
	case pause >= after:
		return fmt.Sprintf("its inventory arrives, but has confirmed nothing new for %s", pause.Round(time.Second))
	}
	return ""
}
