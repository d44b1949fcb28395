// SPDX-License-Identifier: Apache-2.0

package meshinventoryreceiver

import (
	"sync"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// cause is why a snapshot is sent: a value of the attribute `reason`.
type cause string

const (
	causeBegin    cause = "begin"    // of leading
	causeInterval cause = "interval" // 'snapshot_interval' has passed
	causeLost     cause = "lost"     // a message was not delivered
	causeOverflow cause = "overflow" // more changed than may wait
	causeRelist   cause = "relist"   // the source described the whole cluster anew
	causeUID      cause = "uid"      // the cluster's uid became known, or is another
)

// cluster is what the leader knows of the cluster, and what of it was not sent yet. The source writes, the publisher
// reads; neither waits longer than a merge takes.
type cluster struct {
	name string

	mu      sync.Mutex
	writer  *topology.Writer
	pending pending
	// due is why the next thing to send is a snapshot; empty if it need not be.
	due cause
	// synced says that the whole cluster was described once, confirmed up to when all is known.
	synced    bool
	confirmed time.Time
	refused   uint64
	unpruned  bool
	stats     topology.Stats
	facts     topology.ClusterFacts
}

func newCluster(cfg *Config, report func(topology.Finding)) *cluster {
	return &cluster{name: cfg.Cluster, writer: topology.NewWriter(topology.WriterSettings{
		Limits: topology.Limits{
			MaxClusters: 1, MaxPods: cfg.MaxPods, MaxHistory: cfg.MaxPods, MaxNodes: cfg.MaxPods, MaxServices: cfg.MaxPods,
		},
		History: cfg.History,
		Report:  report,
	})}
}

// apply takes what the source learned.
func (c *cluster) apply(d *topology.Delta) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.date(d)
	c.writer.Apply(d)
	if d.At.After(c.confirmed) && !d.More {
		c.confirmed = d.At
	}
	if d.Facts != nil {
		if c.synced && d.Facts.UID != c.facts.UID {
			c.due = causeUID
		}
		c.facts = *d.Facts
	}
	c.unpruned = c.unpruned || d.Full || !saysNothing(d)
	switch {
	case d.Full && !d.More:
		// The pieces before were no whole description, so nothing was sent of them, or as changes.
		c.pending.clear()
		if c.due = causeRelist; !c.synced {
			c.due = causeBegin
		}
		c.synced = true
	case c.synced:
		c.filter(d)
		if !c.pending.add(d) {
			c.due = causeOverflow
		}
	}
}

// date fills in the ends of pods what a hub would fill in by the confirmations that it got, which are fewer.
func (c *cluster) date(d *topology.Delta) {
	if d.Made.IsZero() {
		d.Made = time.Now()
	}
	for i := range d.GonePods {
		end := &d.GonePods[i]
		if end.Latest.IsZero() {
			end.Latest = d.Made
		}
		if end.Earliest.IsZero() && !end.Latest.IsZero() && c.confirmed.Before(end.Latest) {
			end.Earliest = c.confirmed
		}
	}
}

// filter takes out of the delta the pods that the writer refused: what deltas say must be what snapshots say.
func (c *cluster) filter(d *topology.Delta) {
	refused := c.writer.Counters().PodsRefused
	if refused == c.refused {
		return
	}
	c.refused = refused
	s := c.writer.Publish()
	kept := d.Pods[:0]
	for i := range d.Pods {
		if p, ok := s.ByPod(c.name, d.Pods[i].Namespace, d.Pods[i].Name); ok && p.UID() == d.Pods[i].UID {
			kept = append(kept, d.Pods[i])
		}
	}
	d.Pods = kept
}

// work is what there is to send.
type work struct {
	// cause is why a snapshot is to be sent, empty if deltas are.
	cause     cause
	snapshot  *topology.Snapshot
	deltas    []*topology.Delta
	confirmed time.Time
	uid       string
	region    string
}

// take returns what there is to send, nothing if the whole cluster was not described yet. With a cause it is a snapshot
// in any case. What it returns is no longer pending.
func (c *cluster) take(forced cause) (work, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.synced {
		return work{}, false
	}
	w := work{cause: c.due, confirmed: c.confirmed, uid: c.facts.UID, region: c.facts.Region}
	if w.cause == "" {
		w.cause = forced
	}
	if w.cause == "" {
		w.deltas = c.pending.take()
		return w, true
	}
	c.due = ""
	c.pending.clear()
	w.snapshot = c.writer.Publish()
	return w, true
}

// figures are what the gauges and the component's status show.
type figures struct {
	synced    bool
	confirmed time.Time
	stats     topology.Stats
	counters  topology.Counters
}

// look returns the figures. It also lets the writer forget what is too old: nothing else would in a quiet cluster.
func (c *cluster) look() figures {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unpruned || c.stats.Ended > 0 {
		c.stats, c.unpruned = c.writer.Publish().Stats(), false
	}
	return figures{synced: c.synced, confirmed: c.confirmed, stats: c.stats, counters: c.writer.Counters()}
}
