// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"cmp"
	"time"
)

// interval between two generations of shared strings.
const agingInterval = 10 * time.Minute

// Publish drops history that is too old or too much, builds the next snapshot, hands it to the store and returns it. What
// did not change is shared with the snapshots before. If nothing changed, it returns the last one again.
func (w *Writer) Publish() *Snapshot {
	now := w.settings.Now()
	w.prune()
	w.reportClashes()
	changed := w.facts || w.touched || w.last == nil
	if w.facts {
		w.refresh()
	}
	for _, c := range w.clusters {
		w.agree(c)
		changed = changed || c.touched
	}
	if !changed {
		return w.last
	}
	s := &Snapshot{
		meshID: cmp.Or(w.settings.MeshID, w.meshID), built: now, seeds: w.seeds, names: w.names, sole: w.sole, gateways: w.gateways,
		domains: w.domains, stats: w.stats,
		clusters: make(map[string]*cluster, len(w.clusters)), networks: newNetworkIndex(w.seeds, len(w.networks)),
	}
	for name, c := range w.clusters {
		s.clusters[name] = c.publish()
	}
	for name, n := range w.networks {
		s.networks.add(name, n.publish())
	}
	w.facts, w.touched = false, false
	w.last = s
	if now.Sub(w.aged) >= agingInterval {
		w.aged = now
		w.strings.age()
	}
	if w.settings.Store != nil {
		w.settings.Store.Set(s)
	}
	return s
}

// publish returns what readers see of the cluster.
func (c *clusterState) publish() *cluster {
	if c.published == nil || c.touched {
		c.sweepPlaces()
		c.published = &cluster{
			Cluster: c.Cluster, pods: c.pods.share(), workloads: c.workloads.share(), nodes: c.nodes.share(),
			services: c.services.share(), virtual: c.virtual.share(), gateways: c.gateways, failovers: c.failovers,
		}
		c.touched = false
	}
	return c.published
}

// sweepPlaces forgets places that no pod is in any more.
func (c *clusterState) sweepPlaces() {
	if len(c.places) <= 2*c.usedPlaces+1024 {
		return
	}
	used := map[Place]*Place{}
	for p := range c.pods.all() {
		used[*p.Place] = p.Place
	}
	c.places, c.usedPlaces = used, len(used)
}

// publish returns what readers see of the network.
func (n *networkState) publish() *network {
	if n.published == nil || n.touched {
		if n.nodesTouched {
			n.nodeBits = bitsOf(&n.nodes)
			n.nodesTouched = false
		}
		n.published = &network{
			pods: n.pods.share(), nodes: n.nodes.share(), nodeBits: n.nodeBits, gateways: n.gateways, clusters: n.clusters,
		}
		n.touched = false
	}
	return n.published
}
