// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// Assembler puts the streams of all clusters in order. It holds positions and what waits, not the topology. One
// goroutine uses it. Time is the caller's, so that tests need not wait.
type Assembler struct {
	settings AssemblerSettings
	clusters map[string]*stream
	counters AssemblerCounters
	// bytes is what waits, of all clusters together.
	bytes int
	// full is when the ceiling of clusters was last reported, nameless when a message without a usable name was.
	full, nameless time.Time
	actions        []Action
	// replaying says that messages are taken that were taken before.
	replaying bool
}

// NewAssembler returns an assembler that knows no cluster.
func NewAssembler(settings AssemblerSettings) *Assembler {
	settings.setDefaults()
	return &Assembler{settings: settings, clusters: map[string]*stream{}}
}

// Counters returns the totals so far.
func (a *Assembler) Counters() AssemblerCounters { return a.counters }

// Waiting returns how many bytes wait for messages before them or for the rest of their snapshot.
func (a *Assembler) Waiting() int { return a.bytes }

// Positions returns how far the applied updates of each cluster go, sorted by name, for the disk copy. Take them when
// every action so far has been done on the topology that is saved.
func (a *Assembler) Positions() []Position {
	positions := make([]Position, 0, len(a.clusters))
	for _, name := range slices.Sorted(maps.Keys(a.clusters)) {
		c := a.clusters[name]
		if !c.known {
			continue
		}
		positions = append(positions, Position{
			Cluster: name, ClusterUID: c.uid, Epoch: c.epoch, Sequence: c.applied, At: c.at,
			Complete: !c.gap && !c.awaiting,
		})
	}
	return positions
}

// Accept takes a message that arrived at now, and returns what to do. The assembler keeps nothing of m. The error wraps
// [ErrInvalid], [ErrSchema] or [ErrRefused] and means that sending the message again does not help; there may be actions
// all the same.
func (a *Assembler) Accept(m *Message, now time.Time) ([]Action, error) {
	a.actions = nil
	err := a.accept(m, now)
	return a.actions, err
}

func (a *Assembler) accept(m *Message, now time.Time) error {
	c := a.clusters[m.Cluster]
	if err := m.check(); err != nil {
		a.reject(c, m, err, now)
		return err
	}
	if len(m.Body) > MaxBodyBytes {
		err := m.invalid("the body has %d bytes, more than %d", len(m.Body), MaxBodyBytes)
		a.reject(c, m, err, now)
		return err
	}
	if c == nil {
		if len(a.clusters) >= a.settings.MaxClusters {
			return a.tooMany(m, now)
		}
		c = newStream(a, m.Cluster, now)
		a.clusters[m.Cluster] = c
	}
	c, err := a.identify(c, m, now)
	if err != nil {
		return err
	}
	if !c.rightEpoch(m, now) {
		a.counters.OldEpoch++
		return nil
	}
	if m.Sequence < c.next || !c.wait(m) {
		a.counters.Repeated++
		return nil
	}
	c.hear(m, now)
	c.drain(now)
	c.judge(now)
	return nil
}

// identify compares the uid: two clusters of one name must not be mixed. The one that is known stays until it has been
// silent for long and the other one is the younger.
func (a *Assembler) identify(c *stream, m *Message, now time.Time) (*stream, error) {
	if c.uid == "" || m.ClusterUID == "" || c.uid == m.ClusterUID {
		if c.uid == "" {
			c.uid = m.ClusterUID
		}
		return c, nil
	}
	if now.Sub(c.heard) >= a.settings.StaleAfter && m.At.After(c.at) {
		c.drop()
		a.act(Action{Kind: ActionRemove, Cluster: c.name})
		a.find(topology.KindDuplicateClusterName, c.name, "uid "+clip(m.ClusterUID), now, fmt.Sprintf(
			"the inventory of cluster %q now comes from the uid %s, after silence from %s, which is forgotten; if both "+
				"clusters exist, give each a name of its own", c.name, clip(m.ClusterUID), clip(c.uid)))
		c = newStream(a, m.Cluster, now)
		c.uid = m.ClusterUID
		a.clusters[m.Cluster] = c
		return c, nil
	}
	a.counters.RefusedUID++
	if due(&c.twin, now) {
		a.find(topology.KindDuplicateClusterName, c.name, "uid "+clip(m.ClusterUID), now, fmt.Sprintf(
			"two clusters send their inventory as %q: the one with uid %s is believed, the one with uid %s is refused; "+
				"give each cluster a name of its own (key 'cluster' of the mesh_inventory receiver)",
			c.name, clip(c.uid), clip(m.ClusterUID)))
	}
	return nil, fmt.Errorf("%w: cluster %q is known with uid %q, this message has uid %q",
		ErrRefused, clip(m.Cluster), clip(c.uid), clip(m.ClusterUID))
}

func (a *Assembler) tooMany(m *Message, now time.Time) error {
	a.counters.RefusedLimit++
	if due(&a.full, now) {
		a.find(topology.KindLimitReached, clip(m.Cluster), "clusters", now, fmt.Sprintf(
			"the inventory of cluster %q is refused, as %d clusters are known already; raise 'max_clusters'",
			clip(m.Cluster), a.settings.MaxClusters))
	}
	return fmt.Errorf("%w: cluster %q is one more than %d", ErrRefused, clip(m.Cluster), a.settings.MaxClusters)
}

// reject counts an invalid message and reports it, but not every one of many.
func (a *Assembler) reject(c *stream, m *Message, err error, now time.Time) {
	a.counters.Rejected++
	last := &a.nameless
	if c != nil {
		last = &c.rejected
	}
	if due(last, now) {
		a.find(topology.KindInventoryRejected, clip(m.Cluster), "inventory", now, err.Error())
	}
}

// Tick does what time demands: it gives up waiting, and marks and forgets clusters that went silent. Call it every few
// seconds.
func (a *Assembler) Tick(now time.Time) []Action {
	a.actions = nil
	for _, name := range slices.Sorted(maps.Keys(a.clusters)) {
		c := a.clusters[name]
		if c == nil {
			// Another one has its uid.
			continue
		}
		c.expireWaiting(now)
		if now.Sub(c.heard) < a.settings.ExpireAfter {
			c.judge(now)
			continue
		}
		c.drop()
		delete(a.clusters, name)
		a.counters.Expired++
		a.act(Action{Kind: ActionRemove, Cluster: name})
		a.find(topology.KindClusterExpired, name, "inventory", now, fmt.Sprintf(
			"cluster %q has sent nothing for %s and is forgotten; if it still exists, see whether its mesh_inventory "+
				"receiver runs and reaches the hub", name, now.Sub(c.heard).Round(time.Second)))
	}
	a.compareUIDs(now)
	return a.actions
}

// Restore takes a cluster from the disk copy, before its first message. It is stale until its inventory arrives.
func (a *Assembler) Restore(s *Saved, now time.Time) []Action {
	a.actions = nil
	if a.clusters[s.Cluster] != nil {
		return nil
	}
	if len(a.clusters) >= a.settings.MaxClusters {
		_ = a.tooMany(&Message{Header: Header{Cluster: s.Cluster}}, now)
		return a.actions
	}
	c := newStream(a, s.Cluster, now)
	c.uid, c.epoch, c.next, c.applied, c.at = s.ClusterUID, s.Epoch, s.Sequence+1, s.Sequence, s.At
	c.awaiting, c.gap, c.known, c.restored = false, !s.Complete, true, true
	a.clusters[s.Cluster] = c
	a.act(Action{Kind: ActionApply, Cluster: c.name, Update: s.Update})
	c.judge(now)
	return a.actions
}

func (a *Assembler) act(action Action) { a.actions = append(a.actions, action) }

func (a *Assembler) find(kind, cluster, subject string, now time.Time, detail string) {
	a.act(Action{Kind: ActionFinding, Cluster: cluster, Finding: topology.Finding{
		Kind: kind, Cluster: cluster, Subject: subject, Detail: detail, At: now,
	}})
}

// findingInterval is how often one thing is reported at most while messages keep showing it.
const findingInterval = time.Minute

// due says whether it is time to report again, and notes that it is done.
func due(last *time.Time, now time.Time) bool {
	if !last.IsZero() && now.Sub(*last) < findingInterval {
		return false
	}
	*last = now
	return true
}
