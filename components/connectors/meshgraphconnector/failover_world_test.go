// SPDX-License-Identifier: Apache-2.0

package meshgraphconnector

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// The clusters of the day.
const (
	west, north, east = "aks-westeurope", "aks-northeurope", "aks-eastus"
	west2             = "aks-westeurope-2"
)

// dayInterval is that of the hub, in seconds.
const dayInterval = 4

// dayWorld is a mesh in which Envoys prefer their own region, as Istio's locality load balancing does, whose agents report what the
// proxies counted, and whose inventories tell what Kubernetes does.
type dayWorld struct {
	t         *testing.T
	random    *rand.Rand
	now       time.Time
	reporting int // seconds
	// early has agents report what is urgent before their interval ends.
	early    bool
	process  *process
	sink     *sink
	writer   *topology.Writer
	shapes   *shapes
	agents   []*dayAgent
	clusters []string // in the order in which they joined
	regions  map[string]string
	at       map[string]map[string]*placed
	names    []string
	rate     float64
	stray    float64
	// route overrides locality: the part of a region's calls of a service that goes to a cluster.
	route map[string]map[string]float64
	pods  int
	later []laterOn
	// stateful are services of StatefulSets.
	stateful map[string]bool
	// down says that there is no hub, mute until when the inventories do not come; untold is what they have to say then.
	down   bool
	mute   time.Time
	untold []*topology.Delta
	// ready is how long it takes until a new pod is.
	ready time.Duration
	// sent are all requests; shifted is the first one that left its region since it was reset.
	sent    int64
	shifted time.Time
}

// placed is a service in a cluster.
type placed struct {
	sets []*set
	// share is the part of the calls to a version that is not v1, v2 where nothing is said.
	share map[string]float64
	// failing is the part of the requests that break off, refusing that of the requests from the cluster that are refused, until
	// its callers have noticed.
	failing, refusing float64
	until             time.Time
	dead              bool
}

// set is a ReplicaSet, or a revision of a StatefulSet.
type set struct {
	version, hash string
	pods          []*dayPod
	gone          bool
}

type dayPod struct {
	name          string
	number        int
	address       netip.Addr
	ready, ending bool
	// gone is what its owner does then.
	gone func()
}

type laterOn struct {
	at time.Time
	do func()
}

// dayAgent is the agent of a node: what its proxies counted and it did not report yet.
type dayAgent struct {
	cluster, region, caller string
	phase                   int
	counts                  map[shape]int64
	order                   []shape
	// told is when it reported last, in seconds.
	told int
}

func newDay(t *testing.T, seed uint64, reporting int) *dayWorld {
	t.Helper()
	w := &dayWorld{
		t: t, random: rand.New(rand.NewPCG(seed, 9)), now: begin, reporting: reporting, sink: newSink(), shapes: readShapes(t),
		names: []string{"carts", "details", "ratings", "reviews"}, stateful: map[string]bool{"carts": true}, regions: map[string]string{}, at: map[string]map[string]*placed{},
		rate: 3, stray: 0.001, ready: 20 * time.Second, route: map[string]map[string]float64{},
	}
	config := testConfig("")
	require.NoError(t, config.Validate())
	w.process = start(t, config, w.sink, begin)
	w.writer = topology.NewWriter(topology.WriterSettings{History: time.Hour, Now: func() time.Time { return w.now }})
	w.process.topology = w.writer.Publish
	for _, name := range w.names {
		w.at[name] = map[string]*placed{}
	}
	for cluster, region := range map[string]string{west: "westeurope", north: "northeurope"} {
		w.join(cluster, region, w.names...)
	}
	for _, cluster := range []string{north, west} {
		for _, name := range w.names {
			w.deploy(cluster, name, "v1", 4)
		}
		for i := range 3 {
			w.agents = append(w.agents, &dayAgent{
				cluster: cluster, region: w.regions[cluster], caller: fmt.Sprint("web-", i), phase: w.random.IntN(reporting),
			})
		}
	}
	for w.now.Before(begin.Add(-time.Second)) {
		w.second()
	}
	return w
}

// join describes a cluster with the services, which have no endpoints yet.
func (w *dayWorld) join(cluster, region string, services ...string) {
	d := &topology.Delta{
		Cluster: cluster, At: w.now, Full: true, Facts: &topology.ClusterFacts{UID: cluster, Region: region},
		Nodes: []topology.NodeSpec{{Name: "pool-0", Zone: region + "-1"}},
	}
	for _, name := range services {
		d.Services = append(d.Services, topology.ServiceSpec{Namespace: "bookinfo", Name: name, EndingKnown: true, Endpoints: []topology.ZoneEndpoints{}})
	}
	w.apply(d)
	w.clusters, w.regions[cluster] = append(w.clusters, cluster), region
}

// tell is the delta of an inventory: the counts of a service's endpoints.
func (w *dayWorld) tell(cluster, service string) {
	z := topology.ZoneEndpoints{Zone: w.regions[cluster] + "-1"}
	w.each(cluster, service, func(_ *set, p *dayPod) {
		if !p.address.IsValid() {
			return
		}
		z.Total++
		if p.ready && !p.ending {
			z.Ready++
		}
		if p.ending {
			z.Ending++
		}
	})
	spec := topology.ServiceSpec{Namespace: "bookinfo", Name: service, EndingKnown: true, Endpoints: []topology.ZoneEndpoints{}}
	if z.Total > 0 {
		spec.Endpoints = append(spec.Endpoints, z)
	}
	w.apply(&topology.Delta{Cluster: cluster, At: w.now, Services: []topology.ServiceSpec{spec}})
}

func (w *dayWorld) each(cluster, service string, do func(*set, *dayPod)) {
	if p := w.at[service][cluster]; p != nil {
		for _, s := range p.sets {
			for _, pod := range s.pods {
				do(s, pod)
			}
		}
	}
}

func (w *dayWorld) tellPod(cluster, service string, s *set, p *dayPod) {
	state := topology.PodState{
		PodSpec: topology.PodSpec{Name: p.name, Node: "pool-0"}, Namespace: "bookinfo", Workload: service + "-" + s.version,
		Kind: "deployment", Service: service, Version: s.version, UID: topology.UID{byte(p.number), byte(p.number >> 8), byte(p.number >> 16), 1},
		Since: w.now, Seen: w.now,
	}
	if w.stateful[service] {
		state.Kind, state.Revision = "statefulset", s.hash
	}
	if p.address.IsValid() {
		state.Addresses = []netip.Addr{p.address}
	}
	w.apply(&topology.Delta{Cluster: cluster, At: w.now, Pods: []topology.PodState{state}})
}

func (w *dayWorld) in(d time.Duration, do func()) {
	w.later = append(w.later, laterOn{w.now.Add(d), do})
}

// deploy creates pods of a version's newest ReplicaSet: they wait for an address, then until they are ready.
func (w *dayWorld) deploy(cluster, service, version string, n int) {
	p := w.at[service][cluster]
	if p == nil {
		p = &placed{share: map[string]float64{}}
		w.at[service][cluster] = p
	}
	i := slices.IndexFunc(p.sets, func(s *set) bool { return s.version == version && !s.gone })
	if i < 0 {
		w.pods++
		p.sets = append(p.sets, &set{version: version, hash: fmt.Sprintf("%x", 0x5d8f7c00+w.pods)})
		i = len(p.sets) - 1
	}
	s := p.sets[i]
	for range n {
		w.pods++
		pod := &dayPod{name: fmt.Sprintf("%s-%s-%s-%05x", service, version, s.hash, w.pods), number: w.pods}
		if w.stateful[service] {
			pod.name = fmt.Sprintf("%s-%s-%d", service, version, w.ordinal(cluster, service))
		}
		s.pods = append(s.pods, pod)
		address := netip.AddrFrom4([4]byte{10, byte(w.pods >> 16), byte(w.pods >> 8), byte(w.pods)})
		if w.now.Equal(begin) {
			pod.address, pod.ready = address, true
			w.tellPod(cluster, service, s, pod)
			continue
		}
		w.tellPod(cluster, service, s, pod)
		w.in(3*time.Second, func() {
			pod.address = address
			w.tellPod(cluster, service, s, pod)
			w.tell(cluster, service)
		})
		w.in(w.ready, func() { pod.ready = true; w.tell(cluster, service) })
	}
	w.tell(cluster, service)
}

// scale brings the pods of a version to a number: what is too many is being deleted for half a minute, then gone.
func (w *dayWorld) scale(cluster, service, version string, n int) {
	have := 0
	w.each(cluster, service, func(s *set, p *dayPod) {
		if s.version != version || s.gone || p.ending {
			return
		}
		if have++; have > n {
			w.end(cluster, service, s, p)
		}
	})
	if have < n {
		w.deploy(cluster, service, version, n-have)
	}
	w.tell(cluster, service)
}

func (w *dayWorld) end(cluster, service string, s *set, p *dayPod) {
	p.ending = true
	w.in(30*time.Second, func() {
		s.pods = slices.DeleteFunc(s.pods, func(o *dayPod) bool { return o == p })
		if p.gone != nil {
			defer p.gone()
		}
		w.apply(&topology.Delta{Cluster: cluster, At: w.now, GonePods: []topology.PodEnd{
			{Namespace: "bookinfo", Name: p.name, Earliest: w.now, Latest: w.now},
		}})
		w.in(2*time.Second, func() { w.tell(cluster, service) })
	})
}

// rollOut begins a deployment: a new ReplicaSet beside the old one, with pods that are not ready for two minutes, so that some calls
// leave the region; and one of 60 breaks off with the old pods.
func (w *dayWorld) rollOut(cluster, service string) {
	p := w.at[service][cluster]
	old := p.sets[len(p.sets)-1]
	old.gone = true
	w.end(cluster, service, old, old.pods[0])
	w.ready = 2 * time.Minute
	w.deploy(cluster, service, old.version, 2)
	w.ready = 20 * time.Second
	p.failing = 1.0 / 60
}

func (w *dayWorld) rolledOut(cluster, service string) {
	p := w.at[service][cluster]
	for _, s := range p.sets {
		for _, pod := range s.pods {
			if s.gone && !pod.ending {
				w.end(cluster, service, s, pod)
			}
		}
	}
	w.deploy(cluster, service, p.sets[len(p.sets)-1].version, 2)
	w.tell(cluster, service)
	p.failing = 0
}

// ordinal is the first number that no pod of a StatefulSet has.
func (w *dayWorld) ordinal(cluster, service string) int {
	taken := map[string]bool{}
	w.each(cluster, service, func(_ *set, p *dayPod) { taken[p.name[len(p.name)-1:]] = true })
	n := 0
	for taken[strconv.Itoa(n)] {
		n++
	}
	return n
}

// rollOutStateful begins the update of a StatefulSet: one pod after the other is deleted, comes again and is ready a minute later. One
// of 60 requests breaks off meanwhile.
func (w *dayWorld) rollOutStateful(cluster, service string) {
	p := w.at[service][cluster]
	old := p.sets[len(p.sets)-1]
	old.gone = true
	p.failing = 1.0 / 60
	var next func()
	next = func() {
		if len(old.pods) == 0 {
			p.failing = 0
			return
		}
		last := old.pods[len(old.pods)-1]
		last.gone = func() {
			w.ready = time.Minute
			w.deploy(cluster, service, old.version, 1)
			w.ready = 20 * time.Second
			w.in(61*time.Second, next)
		}
		w.end(cluster, service, old, last)
		w.tell(cluster, service)
	}
	next()
}

// recreate deletes all pods of a Deployment, and makes new ones when they are gone, as the strategy Recreate does. Many calls break off
// until the callers have noticed.
func (w *dayWorld) recreate(cluster, service string) {
	p := w.at[service][cluster]
	old := p.sets[len(p.sets)-1]
	old.gone = true
	n := len(old.pods)
	p.refusing, p.until = 0.4, w.now.Add(4*time.Second)
	for i, pod := range slices.Clone(old.pods) {
		if i == n-1 {
			pod.gone = func() {
				w.ready = 90 * time.Second
				w.deploy(cluster, service, old.version, n)
				w.ready = 20 * time.Second
			}
		}
		w.end(cluster, service, old, pod)
	}
	w.tell(cluster, service)
}

// apply tells the hub's topology, or what it will be told when the inventories come again.
func (w *dayWorld) apply(d *topology.Delta) {
	if w.now.Before(w.mute) {
		w.untold = append(w.untold, d)
		return
	}
	w.writer.Apply(d)
}

// confirm lets the inventories say that they know all.
func (w *dayWorld) confirm() {
	if w.now.Before(w.mute) {
		return
	}
	for _, d := range w.untold {
		w.writer.Apply(d)
	}
	w.untold = nil
	for _, cluster := range w.clusters {
		w.writer.MarkStale(cluster, time.Time{})
		w.writer.Apply(&topology.Delta{Cluster: cluster, At: w.now})
	}
}

// crash lets all pods of a service die: callers notice after seconds, the inventory a little later.
func (w *dayWorld) crash(cluster, service string) {
	p := w.at[service][cluster]
	p.refusing, p.until, p.dead = 0.6, w.now.Add(5*time.Second), true
	w.in(4*time.Second, func() {
		w.each(cluster, service, func(_ *set, p *dayPod) { p.ready = false })
		w.tell(cluster, service)
	})
}

func (w *dayWorld) restart(cluster, service string) {
	p := w.at[service][cluster]
	p.dead = false
	w.each(cluster, service, func(_ *set, p *dayPod) { p.ready = true })
	w.tell(cluster, service)
}
