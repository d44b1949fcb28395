// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"net/netip"
	"slices"
)

// Lookup says what a look-up by address came to.
type Lookup uint8

// What a look-up may come to.
const (
	// NotFound: no pod can have had the address then. The zero value.
	NotFound Lookup = iota
	// Found: exactly one pod can have had it.
	Found
	// Ambiguous: two pods can have had it.
	Ambiguous
	// Gap: somebody can have had it who was missed.
	Gap
	// Shared: it is a node's address, which tells nothing: everything in the host network of that node has it too, and
	// so has whatever the node translates.
	Shared
)

var lookupWords = [...]string{"not_found", "found", "ambiguous", "gap", "shared"}

// String returns the word for a metric or a log.
func (l Lookup) String() string { return lookupWords[min(int(l), len(lookupWords)-1)] }

// View is the topology as it was at a time; see [Snapshot.At]. Only pods and what hangs on them have a past: nodes,
// services, gateways and facts are the snapshot's.
type View struct {
	s  *Snapshot
	at int64
	// noted is nil unless somebody wants to know how long the answers hold.
	noted *Validity
	// local says that the caller sees one cluster's telemetry alone, see [View.Local].
	local bool
}

// Validity is the time for which the answers of a [View] hold: at any other time within it, the same look-ups in the same
// snapshot have the same answers.
type Validity struct{ from, until int64 }

// Holds says whether the view is of a time within.
func (w *Validity) Holds(v View) bool {
	return v.at == w.from || (w.from < v.at && v.at < w.until)
}

// exclude leaves out what is beyond the moment, at which an answer may change, as seen from the time of the view.
func (w *Validity) exclude(moment, at int64) {
	if moment <= at {
		w.from = max(w.from, moment)
	} else {
		w.until = min(w.until, moment)
	}
}

// excludeOthers leaves out the times at which it may be otherwise whether the pod held its addresses.
func (w *Validity) excludeOthers(p *Pod, at int64) {
	w.exclude(p.since, at)
	w.exclude(p.seen, at)
	w.exclude(p.earliest, at)
	w.exclude(p.latest, at)
}

// Noting returns a view whose look-ups note in w for how long their answers hold, beginning anew. It makes the look-ups
// slower: it is for those who keep the answers.
func (v View) Noting(w *Validity) View {
	*w = Validity{from: never, until: forever}
	if v.at == forever {
		// What is newest is asked in another way, so that it is not what holds at any one time.
		w.from = forever
	}
	v.noted = w
	return v
}

// ByAddress returns the pod that had the address in the network for itself. The pod is nil unless the look-up is Found.
func (v View) ByAddress(networkName string, address netip.Addr) (*Pod, Lookup) {
	n := v.s.networks.find(networkName)
	if n == nil || !address.IsValid() {
		return nil, NotFound
	}
	key := podKey{address: address.As16()}
	hash := hashAddress(v.s.seeds, key.address)
	if n.nodeBits.may(hash) && n.nodeAt(hash, key.address) != nil {
		return nil, Shared
	}
	return v.holder(&n.pods, hash, &key)
}

// ByPod returns the pod of this name in the cluster.
func (v View) ByPod(cluster, namespace, name string) (*Pod, bool) {
	c, ok := v.s.clusters[cluster]
	if !ok {
		return nil, false
	}
	p, how := v.holder(&c.pods, hashName(v.s.seeds, namespace, name), &podKey{namespace: namespace, name: name})
	return p, how == Found
}

// PodNamed returns the pod of this name if exactly one cluster had one. It visits every cluster: use [View.ByPod] where
// the cluster is known.
func (v View) PodNamed(namespace, name string) (*Pod, bool) {
	if len(v.s.clusters) == 0 {
		return nil, false
	}
	key := podKey{namespace: namespace, name: name}
	hash := hashName(v.s.seeds, namespace, name)
	var found *Pod
	for _, c := range v.s.clusters {
		p, how := v.holder(&c.pods, hash, &key)
		if how == NotFound {
			continue
		}
		if found != nil || p == nil {
			return nil, false
		}
		found = p
	}
	return found, found != nil
}

// OwnGateway returns the east/west gateway of the network itself that has the address: the one through which calls from
// other networks arrive.
func (v View) OwnGateway(networkName string, address netip.Addr) (*Gateway, bool) {
	n := v.s.networks.find(networkName)
	if n == nil || !address.IsValid() {
		return nil, false
	}
	key := podKey{address: address.As16()}
	if p, how := v.holder(&n.pods, hashAddress(v.s.seeds, key.address), &key); how == Found {
		return p.Workload.EastWest, p.Workload.EastWest != nil
	}
	g, ok := n.gateways[address.Unmap()]
	return g, ok
}

// HasAddress is [Snapshot.HasAddress].
func (v View) HasAddress(p *Pod, address netip.Addr) bool { return v.s.HasAddress(p, address) }

// NodeAt is [Snapshot.NodeAt].
func (v View) NodeAt(network string, address netip.Addr) (*Node, bool) {
	return v.s.NodeAt(network, address)
}

// Workload is [Snapshot.Workload].
func (v View) Workload(cluster, namespace, name string) (*Workload, bool) {
	return v.s.Workload(cluster, namespace, name)
}

// Cluster is [Snapshot.Cluster].
func (v View) Cluster(name string) (*Cluster, bool) { return v.s.Cluster(name) }

// ServiceAt is [Snapshot.ServiceAt].
func (v View) ServiceAt(cluster string, address netip.Addr) (*Service, bool) {
	return v.s.ServiceAt(cluster, address)
}

// Gateway is [Snapshot.Gateway].
func (v View) Gateway(from string, address netip.Addr, port uint16) (g *Gateway, ambiguous, ok bool) {
	return v.s.Gateway(from, address, port)
}

// TrustDomain is [Snapshot.TrustDomain], where the topology knows of several clusters: see [View.Alone].
func (v View) TrustDomain(domain string) (*Cluster, bool) {
	if v.Alone() {
		return nil, false
	}
	return v.s.TrustDomain(domain)
}

// SoleNetwork is [Snapshot.SoleNetwork].
func (v View) SoleNetwork() (string, bool) { return v.s.SoleNetwork() }

// podKey is what a pod is looked up by: its name if there is one, else an address.
type podKey struct {
	namespace, name string
	address         [16]byte
}

func (k *podKey) is(p *Pod) bool {
	if k.name != "" {
		return p.Name == k.name && p.Workload.Namespace == k.namespace
	}
	return p.has(k.address)
}

// holder returns who held the key at the time: the one pod that is certain, else the one that is possible.
func (v View) holder(t *table[Pod], hash uint64, key *podKey) (*Pod, Lookup) {
	at, b := v.at, t.at(hash)
	if b == nil {
		return nil, NotFound
	}
	slots := b.slots
	if at == forever {
		slots = slots[:b.alive]
	}
	tag := tagOf(hash)
	var found *Pod
	var sure, clash bool
	for i, p := range slots {
		if b.cannot(i, tag) || !key.is(p) {
			continue
		}
		if at != forever {
			if v.noted != nil {
				v.noted.excludeOthers(p, at)
			}
			if !p.possible(at) {
				continue
			}
		}
		certain := at == forever || p.certain(at)
		switch {
		case found == nil || (certain && !sure):
			found, sure, clash = p, certain, false
		case sure && !certain:
		case found == p || found.same(p):
			// A pod with two addresses may be twice in a bucket.
			if p.since > found.since {
				found = p
			}
		default:
			clash = true
		}
	}
	switch {
	case found == nil:
		return nil, NotFound
	case clash:
		return nil, Ambiguous
	case !sure && (found.gap && at >= found.earliest || found.unseen && at < found.seen):
		return nil, Gap
	}
	return found, Found
}

func (n *network) nodeAt(hash uint64, address [16]byte) *Node {
	b := n.nodes.at(hash)
	if b == nil {
		return nil
	}
	// By hand and not over [table.candidates]: every look-up by address comes here, nearly always to find no tag alike.
	tag := tagOf(hash)
	for i, node := range b.slots {
		if b.cannot(i, tag) {
			continue
		}
		for _, a := range node.addresses {
			if a.As16() == address {
				return node
			}
		}
	}
	return nil
}

func (c *cluster) workloadNamed(seeds *seeds, namespace, name string) *Workload {
	for w := range c.workloads.candidates(hashName(seeds, namespace, name)) {
		if w.Name == name && w.Namespace == namespace {
			return w
		}
	}
	return nil
}

func (s *Service) has(address netip.Addr) bool { return slices.Contains(s.spec.Addresses, address) }
