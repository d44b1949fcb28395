// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"fmt"
	"slices"
	"time"
)

// add lists a tenancy under its name and addresses.
func (w *Writer) add(c *clusterState, p *Pod) {
	c.touched = true
	c.pods.add(hashName(w.seeds, p.Workload.Namespace, p.Name), p, !p.ended)
	if !p.hostNetwork {
		n := w.network(p.Network)
		for a := range p.each {
			n.pods.add(hashAddress(w.seeds, a), p, !p.ended)
			n.touched = true
		}
	}
	if p.ended {
		c.ended++
		w.stats.Ended++
		w.history.push(p)
		return
	}
	c.alive++
	w.stats.Pods++
	w.join(c, p.Network)
	if p.Network != c.Network {
		if c.foreign++; c.foreign == 1 {
			w.facts = true
		}
	}
	w.wait(p.Node)
}

// drop takes a tenancy off all lists.
func (w *Writer) drop(c *clusterState, p *Pod) {
	c.touched = true
	c.pods.remove(hashName(w.seeds, p.Workload.Namespace, p.Name), p)
	if !p.hostNetwork {
		w.unlistAddresses(p)
	}
	if p.ended {
		c.ended--
		w.stats.Ended--
		return
	}
	c.alive--
	w.stats.Pods--
	w.leave(c, p.Network)
	if p.Network != c.Network {
		if c.foreign--; c.foreign == 0 {
			w.facts = true
		}
	}
	w.unwait(p.Node)
}

func (w *Writer) unlistAddresses(p *Pod) {
	n := w.network(p.Network)
	for a := range p.each {
		n.pods.remove(hashAddress(w.seeds, a), p)
		n.touched = true
	}
}

// swap puts a tenancy in the place of another of the same name, addresses and network, of which both or none ended.
func (w *Writer) swap(c *clusterState, p, by *Pod) {
	c.touched = true
	c.pods.replace(hashName(w.seeds, p.Workload.Namespace, p.Name), p, by)
	if !p.hostNetwork {
		n := w.network(p.Network)
		for a := range p.each {
			n.pods.replace(hashAddress(w.seeds, a), p, by)
			n.touched = true
		}
	}
	if by.ended {
		w.history.push(by)
	}
}

// settle narrows the times of a tenancy that is about to be listed, and those of the other tenancies of its name and
// addresses: while one surely held them, no other did. It counts the conflicts that remain.
func (w *Writer) settle(c *clusterState, p *Pod) {
	rivals := w.rivals(c, p)
	for _, o := range rivals {
		if o.same(p) {
			continue
		}
		if !o.ended && !p.ended {
			w.conflict(p, o)
			continue
		}
		if p.seen < o.seen {
			q := *o
			if narrow(p, &q) {
				w.swap(w.clusters[o.Workload.Cluster.Name], o, &q)
			}
			continue
		}
		q := *o
		narrow(&q, p)
		if q.latest != o.latest {
			w.swap(w.clusters[o.Workload.Cluster.Name], o, &q)
		}
	}
	if len(rivals) >= maxTenancies {
		w.evictOldest(rivals)
	}
}

// narrow bounds the times of two tenancies of one key, of which the second began later. It says whether it changed the
// second.
func narrow(first, second *Pod) bool {
	if !first.ended {
		return false
	}
	if second.seen < second.earliest {
		first.latest = min(first.latest, max(second.seen, first.earliest))
	}
	if first.seen >= first.earliest {
		return false
	}
	since := max(second.since, min(first.earliest, second.seen))
	changed := since != second.since
	second.since = since
	return changed
}

// rivals returns the other tenancies of the pod's name and addresses. The slice is good until the next call.
func (w *Writer) rivals(c *clusterState, p *Pod) []*Pod {
	found := w.scratch[:0]
	key := podKey{namespace: p.Workload.Namespace, name: p.Name}
	for o := range c.pods.candidates(hashName(w.seeds, key.namespace, key.name)) {
		if key.is(o) {
			found = append(found, o)
		}
	}
	if !p.hostNetwork {
		n := w.network(p.Network)
		for a := range p.each {
			for o := range n.pods.candidates(hashAddress(w.seeds, a)) {
				if o.has(a) && !slices.Contains(found, o) {
					found = append(found, o)
				}
			}
		}
	}
	w.scratch = found
	return found
}

// evictOldest makes room among the tenancies of one key.
func (w *Writer) evictOldest(rivals []*Pod) {
	var oldest *Pod
	for _, o := range rivals {
		c := w.clusters[o.Workload.Cluster.Name]
		if o.ended && c.lists(w, o) && (oldest == nil || o.latest < oldest.latest) {
			oldest = o
		}
	}
	if oldest == nil {
		return
	}
	w.counters.HistoryEvicted++
	w.drop(w.clusters[oldest.Workload.Cluster.Name], oldest)
}

// lists says whether the tenancy is listed: another may have taken its place.
func (c *clusterState) lists(w *Writer, p *Pod) bool {
	hash := hashName(w.seeds, p.Workload.Namespace, p.Name)
	b := c.pods.at(hash)
	return b != nil && b.find(hash, p) >= 0
}

// clash is an address that two running pods had when the second came.
type clash struct {
	network    string
	address    [16]byte
	one, other string
}

const (
	// patience is how long a clash may last before it is told: the end of a pod and the beginning of the next holder of
	// its address may come from two clusters, and not in this order.
	patience = 30 * time.Second
	// maxClashes bounds the clashes that are watched.
	maxClashes = 1024
)

// conflict notes that two running pods have one address.
func (w *Writer) conflict(p, o *Pod) {
	if o.Network != p.Network || p.hostNetwork || o.hostNetwork {
		return
	}
	n := w.network(p.Network)
	for a := range p.each {
		if !o.has(a) || n.nodeAt(hashAddress(w.seeds, a), a) != nil {
			continue
		}
		w.counters.AddressConflicts++
		if w.settings.Report == nil {
			return
		}
		if len(w.clashes) >= maxClashes {
			w.counters.FindingsSuppressed++
			return
		}
		key := clash{p.Network, a, describe(p), describe(o)}
		if key.one > key.other {
			key.one, key.other = key.other, key.one
		}
		if _, known := w.clashes[key]; !known {
			if w.clashes == nil {
				w.clashes = map[clash]time.Time{}
			}
			w.clashes[key] = w.settings.Now()
		}
		return
	}
}

// reportClashes tells the clashes that lasted.
func (w *Writer) reportClashes() {
	now := w.settings.Now()
	for key, since := range w.clashes {
		if now.Sub(since) < patience {
			continue
		}
		delete(w.clashes, key)
		n := w.networks[key.network]
		if n == nil {
			continue
		}
		if _, how := (View{at: forever}).holder(&n.pods, hashAddress(w.seeds, key.address), &podKey{address: key.address}); how != Ambiguous {
			continue
		}
		network, address := display(key.network), addressText(key.address)
		w.report(Finding{
			Kind: KindAddressConflict, Subject: fmt.Sprintf("%s %s: %s, %s", network, address, key.one, key.other),
			Detail: fmt.Sprintf("the running pods %s and %s both have the address %s in network %q, so calls of that address stay without a name; give networks that cannot reach each other different names (topology.istio.io/network)",
				key.one, key.other, address, network),
		})
	}
}

func describe(p *Pod) string {
	return p.Workload.Cluster.Name + "/" + p.Workload.Namespace + "/" + p.Name
}
