// SPDX-License-Identifier: Apache-2.0

package meshtopologyextension

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// origin is a source. When several describe one cluster, the greatest has it alone: two descriptions of one cluster
// would take turns to overwrite each other.
type origin uint8

const (
	originStatic origin = iota + 1
	originKubernetes
	originRemote
	originInventory
)

var originNames = [...]string{"", "static", "kubernetes", "remote_secrets", "inventory"}

// String returns the source's key in the configuration.
func (o origin) String() string { return originNames[o] }

// ownedCluster is what the engine knows of a cluster beside its content.
type ownedCluster struct {
	origin origin
	// overruled are the sources that describe the cluster too and are not heard.
	overruled map[origin]bool
	// confirmed is up to when the source has seen everything. The assembler keeps that itself.
	confirmed time.Time
	// stale says that the cluster was marked so by [engine.judge], or by [engine.settle].
	stale bool
	// anew says that the cluster has just become the source's.
	anew bool
}

// apply takes what a source learned of a cluster, if the cluster is the source's.
func (e *engine) apply(from origin, d *topology.Delta) {
	c := e.claim(from, d)
	if c == nil {
		e.overruled++
		return
	}
	e.writer.Apply(d)
	e.dirty = true
	if changes(d) {
		e.changes++
	}
	if from != originInventory && d.Full && (d.More || d.At.IsZero()) && c.confirmed.IsZero() {
		// The patience begins with the description: one that stops in the middle, or that nobody confirms, must not look
		// fresh forever.
		c.confirmed = e.now()
	}
	confirms := !d.At.IsZero() && !d.More
	// A confirmation in the future is of a clock that was ahead: it must not hide those that come after the correction.
	if confirms && (d.At.After(c.confirmed) || c.confirmed.After(e.now())) {
		c.confirmed = d.At
	}
	if c.stale && confirms && !e.outdated(from, d.At) {
		c.stale = false
		e.fresh(d.Cluster)
	}
	if e.findings.ResolveCluster(topology.KindClusterExpired, d.Cluster) > 0 {
		e.logger.Info("a cluster that was forgotten is back")
	}
}

// changes says whether a delta says more than that nothing happened.
func changes(d *topology.Delta) bool {
	return d.Full || d.Facts != nil || d.Gateways != nil || d.Failovers != nil || len(d.Nodes)+len(d.GoneNodes)+len(d.Services)+
		len(d.GoneServices)+len(d.Workloads)+len(d.GoneWorkloads)+len(d.Pods)+len(d.GonePods) > 0
}

// claim returns the cluster if the source may describe it. A stronger source takes a cluster over with a full
// description: until then, what is known stays. With one in pieces it does with the first, as nobody keeps the pieces
// until there are all of them; what it does not mention stays until the last.
//
// An inventory that waited in a queue until it was stale takes no cluster from a source that is not.
func (e *engine) claim(from origin, d *topology.Delta) *ownedCluster {
	name := d.Cluster
	c := e.clusters[name]
	switch {
	case c == nil && from == originInventory && !d.Full && !d.At.IsZero():
		// It goes on with a snapshot that another source's cluster was not given up for: it counts from the next one on.
		return nil
	case c == nil:
		if len(e.clusters) >= e.config.MaxClusters {
			// The writer counts and reports it.
			return &ownedCluster{}
		}
		c = &ownedCluster{origin: from, anew: true}
		e.clusters[name] = c
		e.tellSources()
		return c
	case c.origin == from:
		return c
	case from > c.origin && d.Full && (c.stale || !e.outdated(from, d.At)):
		e.overrule(c, name, from, c.origin)
		c.origin, c.confirmed, c.stale, c.anew = from, time.Time{}, false, true
		e.fresh(name)
		e.tellSources()
		return c
	case from < c.origin:
		e.overrule(c, name, c.origin, from)
	}
	return nil
}

// outdated says whether an inventory that confirms its cluster up to at is stale. The other sources speak of the present.
func (e *engine) outdated(from origin, at time.Time) bool {
	return from == originInventory && e.now().Sub(at) >= e.config.Inventory.Get().StaleAfter
}

// overrule notes that one source has a cluster that another describes too.
func (e *engine) overrule(c *ownedCluster, name string, winner, loser origin) {
	if c.overruled == nil {
		c.overruled = map[origin]bool{}
	}
	delete(c.overruled, winner)
	if c.overruled[loser] {
		return
	}
	c.overruled[loser] = true
	e.report(topology.Finding{
		Kind: topology.KindDuplicateClusterName, Severity: topology.SeverityInfo, Cluster: name, Subject: "sources " + winner.String() + ", " + loser.String(),
		Detail: fmt.Sprintf("cluster %q is described by the sources %s and %s; what %s says counts alone. Take it out of %s, or give it a name of its own if these are two clusters",
			name, winner, loser, winner, loser),
		At: e.now(),
	})
}

// forget removes a cluster, and lets a weaker source that was overruled describe it.
func (e *engine) forget(name string) {
	e.writer.Remove(name)
	e.dirty = true
	e.changes++
	c := e.clusters[name]
	if c == nil {
		return
	}
	delete(e.clusters, name)
	e.tellSources()
	e.findings.ResolveCluster(topology.KindClusterStale, name)
	e.findings.ResolveCluster(topology.KindInventoryGap, name)
	for loser := range c.overruled {
		e.findings.Resolve(topology.KindDuplicateClusterName, name, "sources "+c.origin.String()+", "+loser.String())
		if again := e.again[loser]; again != nil {
			again(name)
		}
	}
}

// fresh notes that a cluster is confirmed again.
func (e *engine) fresh(name string) {
	e.writer.MarkStale(name, time.Time{})
	e.findings.ResolveCluster(topology.KindClusterStale, name)
	e.findings.ResolveCluster(topology.KindInventoryGap, name)
}

// tellSources lets the metrics and the admin port know which source has which cluster.
func (e *engine) tellSources() {
	sources := make(map[string]string, len(e.clusters))
	for name, c := range e.clusters {
		sources[name] = c.origin.String()
	}
	e.sources.Store(&sources)
}

// patience is how long a source may be silent before its clusters are stale, and before they are forgotten; 0 for never.
func (e *engine) patience(o origin) (stale, expire time.Duration) {
	switch o {
	case originKubernetes:
		if c := e.config.Kubernetes.Get(); c != nil {
			return c.StaleAfter, 0
		}
	case originRemote:
		if c := e.config.RemoteSecrets.Get(); c != nil {
			return c.StaleAfter, c.ExpireAfter
		}
	}
	return 0, 0
}

// judge marks and forgets the clusters whose API server is silent. The assembler judges the inventories, and the file is
// there or not.
func (e *engine) judge(now time.Time) {
	for _, name := range slices.Sorted(maps.Keys(e.clusters)) {
		c := e.clusters[name]
		stale, expire := e.patience(c.origin)
		silent := now.Sub(c.confirmed)
		switch {
		case stale == 0 || c.confirmed.IsZero():
		case expire > 0 && silent >= expire:
			e.forget(name)
			e.report(topology.Finding{
				Kind: topology.KindClusterExpired, Cluster: name, Subject: c.origin.String(), At: now,
				Detail: fmt.Sprintf("the API server of cluster %q has not been heard of for %s, and the cluster is forgotten; if it still exists, see its remote secret",
					name, silent.Round(time.Second)),
			})
		case !c.stale && silent >= stale:
			c.stale = true
			e.markStale(name, c.origin, c.confirmed, fmt.Sprintf("its API server has not been heard of for %s", silent.Round(time.Second)))
		}
	}
}

func (e *engine) markStale(name string, from origin, since time.Time, why string) {
	e.writer.MarkStale(name, since)
	e.report(topology.Finding{
		Kind: topology.KindClusterStale, Cluster: name, Subject: from.String(), At: e.now(),
		Detail: fmt.Sprintf("what is known of cluster %q may be outdated since %s: %s", name, since.UTC().Format(time.RFC3339), why),
	})
}

// RejectedInventoryError says why a message of an inventory was not taken and never will be. It comes wrapped as a
// permanent error of the collector.
type RejectedInventoryError struct {
	// Reason is schema, invalid or refused, for a counter.
	Reason string
	Err    error
}

// Error returns what is wrong with the message.
func (e *RejectedInventoryError) Error() string {
	return "the inventory message is not taken: " + e.Err.Error()
}

// Unwrap returns the error of the inventory package.
func (e *RejectedInventoryError) Unwrap() error { return e.Err }

func rejected(reason string, err error) error {
	return consumererror.NewPermanent(&RejectedInventoryError{Reason: reason, Err: err})
}

// accept takes a message of an inventory. When it returns nil, the message is in the journal: a message that its sender
// forgets must not be lost with the process.
func (e *engine) accept(m *inventory.Message) error {
	j := e.copy.journal
	if j == nil {
		return e.take(m)
	}
	write, err := j.room(m)
	if err != nil {
		return err
	}
	if err := e.take(m); err != nil {
		return err
	}
	j.append(m, write)
	return nil
}

func (e *engine) take(m *inventory.Message) error {
	actions, err := e.assembler.Accept(m, e.now())
	e.perform(actions)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, inventory.ErrSchema):
		return rejected("schema", err)
	case errors.Is(err, inventory.ErrRefused):
		return rejected("refused", err)
	default:
		return rejected("invalid", err)
	}
}

// perform does what the assembler decided.
func (e *engine) perform(actions []inventory.Action) {
	for i := range actions {
		action := &actions[i]
		switch action.Kind {
		case inventory.ActionApply:
			e.applyPast(action.Cluster, action.Update)
			e.apply(originInventory, &action.Update.Delta)
		case inventory.ActionStale:
			e.performStale(action)
		case inventory.ActionRemove:
			if c := e.clusters[action.Cluster]; c != nil && c.origin == originInventory {
				e.forget(action.Cluster)
			}
		case inventory.ActionFinding:
			if c := e.clusters[action.Cluster]; c != nil && c.origin != originInventory && action.Finding.Kind == topology.KindClusterStale {
				// What is known of the cluster is of another source.
				continue
			}
			e.report(action.Finding)
		}
	}
	for i := range actions {
		if actions[i].Kind == inventory.ActionApply {
			e.settle(actions[i].Cluster)
		}
	}
}

// settle marks a cluster that has just become the inventory's, if what the inventory says is old. The assembler tells
// when that changes: it may have told before, when the cluster was of another source.
func (e *engine) settle(name string) {
	c := e.clusters[name]
	if c == nil || c.origin != originInventory || !c.anew {
		return
	}
	c.anew = false
	if !e.replaying.IsZero() || !e.outdated(originInventory, c.confirmed) {
		return
	}
	c.stale = true
	since, why := c.confirmed, "its inventory arrives, but the newest is older than 'inventory::stale_after'"
	if since.IsZero() {
		since, why = e.now(), "its inventory is not complete"
	}
	e.markStale(name, originInventory, since, why)
}

func (e *engine) performStale(action *inventory.Action) {
	c := e.clusters[action.Cluster]
	if c == nil || c.origin != originInventory {
		// A weaker source describes the cluster until there is a whole inventory.
		if action.Since.IsZero() {
			e.findings.Resolve(topology.KindInventoryGap, action.Cluster, originInventory.String())
		}
		return
	}
	c.stale, c.anew = false, false
	if action.Since.IsZero() {
		e.fresh(action.Cluster)
		return
	}
	e.writer.MarkStale(action.Cluster, action.Since)
}

// applyPast takes the pods of a snapshot that ended before it was made: before the others, as their addresses may be
// used again, and in the order of their ends.
func (e *engine) applyPast(cluster string, u *inventory.Update) {
	if len(u.Past) == 0 || e.claim(originInventory, &u.Delta) == nil {
		return
	}
	slices.SortFunc(u.Past, func(a, b inventory.PastPod) int { return cmp.Or(a.Latest.Compare(b.Latest), a.Since.Compare(b.Since)) })
	for i := range u.Past {
		p := &u.Past[i]
		e.writer.ApplyPast(cluster, &p.PodState, p.Earliest, p.Latest, p.Gap)
	}
}
