// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"net/netip"
	"time"
)

// Limits are the ceilings of a topology. 0 stands for no limit.
type Limits struct {
	// MaxClusters is the most clusters.
	MaxClusters int
	// MaxPods is the most pods of all clusters together that have not ended.
	MaxPods int
	// MaxHistory is the most tenancies that ended and are kept. A [Builder] keeps none.
	MaxHistory int
	// MaxNodes, MaxServices and MaxGateways are the most of all clusters together. Of no use to a [Builder].
	MaxNodes, MaxServices, MaxGateways int
}

// WriterSettings is what a [Writer] needs.
type WriterSettings struct {
	// MeshID is the mesh's id. Empty stands for the one that the facts of all clusters which name one agree on.
	MeshID string
	Limits Limits
	// History is how long a pod that ended stays answerable. 0 keeps it until the next [Writer.Publish].
	History time.Duration
	// Store gets each published snapshot; nil for none.
	Store *Store
	// Now is the clock; nil stands for [time.Now].
	Now func() time.Time
	// Report is told of findings, each at most once in ten minutes, on the goroutine of the writer; nil for nobody.
	Report func(Finding)
}

// Counters are totals since the writer began.
type Counters struct {
	// PodsRefused, NodesRefused, ServicesRefused, GatewaysRefused and ClustersRefused were above a limit.
	PodsRefused, NodesRefused, ServicesRefused, GatewaysRefused, ClustersRefused uint64
	// Invalid could not be what they said.
	Invalid uint64
	// HistoryEvicted ended and were dropped before their time because of a ceiling.
	HistoryEvicted uint64
	// AddressConflicts counts the pods that came with an address which another running pod has.
	AddressConflicts uint64
	// UnknownEnds counts the ends of pods that nobody knew.
	UnknownEnds uint64
	// FindingsSuppressed counts the findings that were not reported because too many were.
	FindingsSuppressed uint64
}

// Writer builds the topology from deltas. One goroutine uses it. What it hands out with [Writer.Publish] is for any
// number of readers.
type Writer struct {
	settings WriterSettings
	seeds    *seeds
	clusters map[string]*clusterState
	networks map[string]*networkState
	strings  interner
	history  history
	stats    Stats
	counters Counters
	reports  reports
	clashes  map[clash]time.Time
	// facts says that something changed which concerns more than the pods of a cluster.
	facts   bool
	touched bool
	mark    uint32
	last    *Snapshot
	aged    time.Time
	scratch []*Pod

	gateways map[netip.Addr][]*Gateway
	domains  map[string][]*Cluster
	names    []string
	sole     string
	// meshID is what the clusters agree on.
	meshID string
	// standing counts the workloads that were described by themselves.
	standing int
}

// NewWriter returns a writer that knows nothing.
func NewWriter(settings WriterSettings) *Writer {
	if settings.Now == nil {
		settings.Now = time.Now
	}
	return &Writer{
		settings: settings, seeds: newSeeds(), facts: true,
		clusters: map[string]*clusterState{}, networks: map[string]*networkState{},
	}
}

// clusterState is what the writer knows of a cluster; it embeds what readers will see.
type clusterState struct {
	cluster
	facts     ClusterFacts
	described bool
	// description is the newest full one.
	description description
	specs       []GatewaySpec
	places      map[Place]*Place
	// usedPlaces counts those that were used when they were last looked through.
	usedPlaces int
	// missing are nodes that pods name and nobody described.
	missing map[string]*Node
	// standing are the workloads that were described by themselves.
	standing map[objectName]*standing
	// dirty are the workloads whose pods may no longer agree on what they did.
	dirty map[*parts]struct{}
	// alive and ended count pods, foreign those alive pods that are in another network than the cluster's.
	alive, ended, foreign int
	published             *cluster
	touched               bool
}

// networkState is what the writer knows of a network.
type networkState struct {
	network
	// members counts the alive pods of each cluster, and one for each cluster whose default network it is.
	members   map[*clusterState]int
	published *network
	touched   bool
	// nodesTouched says that nodeBits are not those of the nodes.
	nodesTouched bool
}

// Counters returns the totals. Call it on the writer's goroutine.
func (w *Writer) Counters() Counters { return w.counters }

// Apply takes what a source learned. It never fails: what cannot be taken is counted in [Writer.Counters] and reported
// as a [Finding]. Nothing is visible before [Writer.Publish]. The delta may be used again afterwards.
func (w *Writer) Apply(d *Delta) {
	c := w.cluster(d.Cluster)
	if c == nil {
		return
	}
	a := applier{
		Writer: w, c: c, d: d, confirmed: c.live.confirmed.Load(),
	}
	if a.made = nanos(d.Made); d.Made.IsZero() {
		a.made = max(nanos(w.settings.Now()), nanos(d.At))
	}
	a.describe()
	if d.Facts != nil {
		a.setFacts(d.Facts)
	}
	if d.Gateways != nil {
		a.setGateways(d.Gateways)
	}
	if d.Failovers != nil {
		c.failovers = cloneFailovers(d.Failovers)
		c.touched = true
	}
	a.applyNodes()
	a.applyServices()
	a.applyWorkloads()
	a.applyPods()
	a.applyLate()
	if a.confirms() && nanos(d.At) > a.confirmed {
		c.live.confirmed.Store(nanos(d.At))
	}
}

// applier applies one delta to one cluster.
type applier struct {
	*Writer
	c *clusterState
	d *Delta
	// confirmed is up to when the cluster was known before this delta, and made when all that it tells had been read.
	confirmed, made int64
	// sweep says that what the cluster's description did not mention is gone, broken that pieces of it are missing.
	sweep, broken bool
}

// cluster returns the cluster's state, a new one if there is room.
func (w *Writer) cluster(name string) *clusterState {
	if c := w.clusters[name]; c != nil {
		return c
	}
	if name == "" || len(name) > maxName {
		w.invalid("", "cluster", "a cluster has no name or one of more than 253 bytes; set the cluster's id where its inventory is read")
		return nil
	}
	if w.full(len(w.clusters), w.settings.Limits.MaxClusters, &w.counters.ClustersRefused, "clusters") {
		return nil
	}
	c := &clusterState{
		places: map[Place]*Place{}, missing: map[string]*Node{}, dirty: map[*parts]struct{}{},
	}
	c.pods.hashes = w.nameOfPod
	c.workloads.hashes = w.nameOfWorkload
	c.nodes.hashes = w.nameOfNode
	c.services.hashes = w.nameOfService
	c.virtual.hashes = w.addressesOfService
	c.Cluster = &Cluster{Name: w.strings.intern(name), live: &clusterLive{}}
	c.live.confirmed.Store(never)
	c.live.stale.Store(never)
	c.live.facts.Store(&ClusterFacts{})
	c.Network = nameless + c.Name
	c.end = endOfCluster(c.Cluster)
	w.clusters[c.Name] = c
	w.join(c, c.Network)
	w.stats.Clusters++
	c.touched, w.facts = true, true
	return c
}

// MarkStale notes since when nobody confirms the cluster; the zero time says that somebody does. Readers see it at once.
func (w *Writer) MarkStale(cluster string, since time.Time) {
	if c := w.clusters[cluster]; c != nil {
		c.live.stale.Store(nanos(since))
	}
}

// Remove forgets the cluster with all its pods, those that ended too.
func (w *Writer) Remove(cluster string) {
	c := w.clusters[cluster]
	if c == nil {
		return
	}
	for p := range c.pods.all() {
		if !p.hostNetwork {
			w.unlistAddresses(p)
		}
		if !p.ended {
			w.leave(c, p.Network)
		}
	}
	for n := range c.nodes.all() {
		w.unlistNode(c, n)
	}
	w.leave(c, c.Network)
	delete(w.clusters, cluster)
	w.stats.Clusters--
	w.stats.Pods -= c.alive
	w.stats.Ended -= c.ended
	w.stats.Workloads -= c.workloads.n
	w.standing -= len(c.standing)
	w.stats.Nodes -= c.nodes.n
	w.stats.Services -= c.services.n
	w.stats.Gateways -= len(c.specs)
	w.facts, w.touched = true, true
}

// network returns the network's state.
func (w *Writer) network(name string) *networkState {
	n := w.networks[name]
	if n == nil {
		n = &networkState{members: map[*clusterState]int{}}
		n.pods.hashes = w.addressesOfPod
		n.nodes.hashes = w.addressesOfNode
		w.networks[name] = n
	}
	return n
}

// join notes that something of the cluster is in the network, leave that it is no longer.
func (w *Writer) join(c *clusterState, network string) {
	n := w.network(network)
	if n.members[c]++; n.members[c] == 1 {
		n.touched, w.facts = true, true
	}
}

func (w *Writer) leave(c *clusterState, network string) {
	n := w.network(network)
	if n.members[c]--; n.members[c] <= 0 {
		delete(n.members, c)
		n.touched, w.facts = true, true
	}
}
