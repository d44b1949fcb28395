// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
)

func TestNodesTellThePlace(t *testing.T) {
	d := newDesk(Limits{})
	a, b := pod("a", "10.0.0.1", 1, 900), pod("b", "10.0.0.2", 2, 900)
	a.Node, b.Node, b.Zone = "node", "node", "own-zone"
	d.first("c", a, b)
	s := d.Publish()
	p, _ := s.ByAddress("n", addr("10.0.0.1"))
	assert.Equal(t, "node", p.Node.Name, "the name is known before the node")
	assert.Empty(t, p.Zone)
	assert.Equal(t, "westeurope", p.Region)
	assert.Zero(t, s.Stats().Nodes)

	d.Apply(&Delta{Cluster: "c", Nodes: []NodeSpec{{Name: "node", Zone: "z1", Region: "northeurope", Addresses: addrs("10.0.0.250")}}})
	s = d.Publish()
	p, _ = s.ByAddress("n", addr("10.0.0.1"))
	assert.Equal(t, "z1", p.End().Zone)
	assert.Equal(t, "northeurope", p.End().Region)
	p, _ = s.ByAddress("n", addr("10.0.0.2"))
	assert.Equal(t, "own-zone", p.Zone)
	w, _ := s.Workload("c", "ns", "w")
	assert.Empty(t, w.End().Zone, "the pods are in two zones")
	assert.Equal(t, "northeurope", w.End().Region)
	assert.Empty(t, d.clusters["c"].missing)

	d.Apply(&Delta{Cluster: "c", Nodes: []NodeSpec{{Name: "node", Zone: "own-zone", Addresses: addrs("10.0.0.250")}}})
	s = d.Publish()
	w, _ = s.Workload("c", "ns", "w")
	assert.Equal(t, mesh.End{
		Cluster: "c", Region: "westeurope", Zone: "own-zone", Network: "n", Namespace: "ns", Workload: "w", Service: "w", Version: "v1",
		Principal: "spiffe://td-n/ns/ns/sa/sa",
	}, w.End())
	nodes := slices.Collect(s.Nodes("c"))
	require.Len(t, nodes, 1)
	assert.Equal(t, NodeSpec{Name: "node", Zone: "own-zone", Addresses: addrs("10.0.0.250")}, nodes[0].Spec())

	d.Apply(&Delta{Cluster: "c", GoneNodes: []string{"node"}})
	s = d.Publish()
	_, ok := s.NodeAt("n", addr("10.0.0.250"))
	assert.False(t, ok)
	p, _ = s.ByAddress("n", addr("10.0.0.1"))
	assert.Equal(t, "own-zone", p.Zone, "pods outlive the node's object for a moment")
}

func TestHostNetworkIsFoundByName(t *testing.T) {
	d := newDesk(Limits{})
	host := pod("proxy", "10.0.0.250", 1, 900)
	host.HostNetwork = true
	twin := pod("twin", "10.0.0.250", 2, 900)
	twin.HostNetwork = true
	d.first("c", host, twin)
	d.Apply(&Delta{Cluster: "c", Nodes: []NodeSpec{{Name: "node", Addresses: addrs("10.0.0.250")}}})
	s := d.Publish()
	assert.Equal(t, "shared", nameAt(s, 0, "10.0.0.250"))
	p, ok := s.ByPod("c", "ns", "proxy")
	require.True(t, ok)
	assert.True(t, s.HasAddress(p, addr("::ffff:10.0.0.250")))
	assert.Equal(t, addrs("10.0.0.250"), p.Addresses())
	assert.Zero(t, d.Counters().AddressConflicts)
}

func TestWriterLimits(t *testing.T) {
	d := newDesk(Limits{MaxClusters: 1, MaxPods: 2, MaxNodes: 1, MaxServices: 1, MaxGateways: 1, MaxHistory: 1})
	d.first("c", pod("a", "10.0.0.1", 1, 900), pod("b", "10.0.0.2", 2, 900), pod("z", "10.0.0.3", 3, 900))
	d.first("too-many")
	gateway := GatewaySpec{Name: "g", Namespace: "ns", Addresses: addrs("20.0.0.1")}
	d.Apply(&Delta{
		Cluster: "c", At: second(1001), Nodes: []NodeSpec{{Name: "n1"}, {Name: "n2"}}, Gateways: []GatewaySpec{gateway, gateway},
		Services: []ServiceSpec{{Namespace: "ns", Name: "s1"}, {Namespace: "ns", Name: "s2"}},
	})
	c := d.Counters()
	assert.Equal(t, Counters{PodsRefused: 1, NodesRefused: 1, ServicesRefused: 1, GatewaysRefused: 1, ClustersRefused: 1}, c)
	s := d.Publish()
	assert.Equal(t, Stats{Clusters: 1, Workloads: 1, Pods: 2, Gateways: 1, Services: 1, Nodes: 1}, s.Stats())
	assert.Contains(t, d.findings[0].Detail, "'max_pods'")

	d.Apply(&Delta{Cluster: "c", At: second(1010), GonePods: []PodEnd{
		{Namespace: "ns", Name: "a", Latest: second(1005)},
		{Namespace: "ns", Name: "b", Latest: second(1006)},
		{Namespace: "ns", Name: "nobody"},
	}})
	s = d.Publish()
	assert.Equal(t, 1, s.Stats().Ended)
	assert.EqualValues(t, 1, d.Counters().HistoryEvicted)
	assert.EqualValues(t, 1, d.Counters().UnknownEnds)
	assert.Equal(t, "not_found", nameAt(s, 950, "10.0.0.1"), "the oldest end went")
	assert.Equal(t, "b", nameAt(s, 950, "10.0.0.2"))
	assert.Zero(t, s.Stats().Workloads)
	d.now = 1506
	s = d.Publish()
	assert.Equal(t, "not_found", nameAt(s, 950, "10.0.0.2"), "its time is over")
	assert.EqualValues(t, 1, d.Counters().HistoryEvicted)
	assert.Subset(t, []string{KindLimitReached}, d.kinds())
}

func TestInvalidObjectsAreRefusedOneByOne(t *testing.T) {
	d := newDesk(Limits{})
	long := strings.Repeat("x", 300)
	bad := []PodState{
		pod("", "10.0.0.1", 1, 900), pod(long, "10.0.0.1", 1, 900), pod("a", "0.0.0.0", 1, 900), pod("a", "fe80::1%eth0", 1, 900),
	}
	bad = append(bad, pod("zero", "", 1, 900), pod("w", "10.0.0.1", 1, 900), pod("net", "10.0.0.1", 1, 900))
	bad[4].Addresses = []netip.Addr{{}}
	bad[5].Workload = ""
	bad[6].Network = nameless + "c"
	d.first("c", append(bad, pod("good", "10.0.0.1", 1, 900))...)
	d.Apply(&Delta{
		Cluster: "c", Nodes: []NodeSpec{{}}, Services: []ServiceSpec{{Name: "x"}}, Gateways: []GatewaySpec{{Name: "x"}},
		Facts: &ClusterFacts{Region: strings.Repeat("x", 2000)},
	})
	d.Apply(&Delta{Cluster: ""})
	s := d.Publish()
	assert.Equal(t, "good", nameAt(s, 0, "10.0.0.1"))
	assert.EqualValues(t, len(bad)+5, d.Counters().Invalid)
	assert.Equal(t, 1, s.Stats().Pods)
	assert.Subset(t, []string{KindInvalidObject}, d.kinds())
	for _, f := range d.findings {
		assert.Less(t, len(f.Subject), 200)
	}
}

func TestFindingsOnFacts(t *testing.T) {
	d := newDesk(Limits{})
	tell := func(cluster, network, meshID, domain, cidr string) {
		d.Apply(&Delta{Cluster: cluster, Facts: &ClusterFacts{
			Network: network, MeshID: meshID, TrustDomain: domain, PodCIDRs: []netip.Prefix{netip.MustParsePrefix(cidr)},
		}})
	}
	tell("a", "n", "mesh", "td", "10.0.0.0/16")
	tell("b", "n", "mesh", "td", "10.0.4.0/24")
	d.Publish()
	assert.Equal(t, []string{KindOverlappingPodCIDRs, KindTrustDomainClash}, d.kinds())
	assert.Equal(t, SeverityWarning, d.findings[0].Severity)
	assert.Equal(t, SeverityInfo, d.findings[1].Severity, "clusters of one mesh may share a trust domain")
	tell("b", "elsewhere", "other", "td", "10.0.4.0/24")
	d.findings = nil
	d.Publish()
	assert.Equal(t, SeverityInfo, d.findings[0].Severity)
	assert.Equal(t, SeverityWarning, d.findings[1].Severity)
	assert.Contains(t, d.findings[1].Detail, "different meshes mesh, other")
	d.findings = nil
	tell("b", "elsewhere", "other", "td2", "10.1.0.0/16")
	d.Publish()
	assert.Empty(t, d.findings, "all is well")
	tell("b", "n", "other", "td2", "10.0.255.0/24")
	d.Publish()
	assert.Equal(t, []string{KindOverlappingPodCIDRs}, d.kinds(), "it is told again when it comes again")
}

func TestGatewaysOfOthers(t *testing.T) {
	d := newDesk(Limits{})
	own := GatewaySpec{Name: "w", Namespace: "ns", Addresses: addrs("20.0.0.1"), Port: 15443}
	d.Apply(&Delta{Cluster: "owner", Facts: facts("n"), Gateways: []GatewaySpec{own}, Pods: []PodState{pod("gw", "10.0.0.1", 1, 900)}})
	known := GatewaySpec{Name: "remote", Namespace: "istio-system", Addresses: addrs("20.0.0.1"), Port: 15443, Network: "n", Remote: true}
	unknown := GatewaySpec{Name: "far", Namespace: "istio-system", Addresses: addrs("20.0.0.9"), Network: "far", Remote: true}
	d.Apply(&Delta{Cluster: "a-caller", Facts: facts("callers"), Gateways: []GatewaySpec{known, unknown}})
	s := d.Publish()
	g, ambiguous, ok := s.Gateway("callers", addr("20.0.0.1"), 15443)
	require.True(t, ok)
	assert.False(t, ambiguous)
	assert.Equal(t, "owner/ns/w", g.ID, "the owner's own entry wins")
	assert.Equal(t, "owner", g.Leads().Cluster)
	g, _, ok = s.Gateway("callers", addr("20.0.0.9"), 15443)
	require.True(t, ok)
	assert.Equal(t, mesh.End{Network: "far"}, g.Leads(), "nobody of that network is known")
	c, _ := s.Cluster("a-caller")
	_, ok = c.SoleGateway()
	assert.False(t, ok, "it only knows gateways")
	w, _ := s.Workload("owner", "ns", "w")
	require.NotNil(t, w.EastWest)
	own2, ok := s.OwnGateway("n", addr("10.0.0.1"))
	require.True(t, ok, "the gateway's pod")
	assert.Same(t, w.EastWest, own2)

	d.Apply(&Delta{Cluster: "third", Facts: facts("third"), Gateways: []GatewaySpec{{Name: "x", Namespace: "y", Addresses: addrs("20.0.0.1")}}})
	s = d.Publish()
	_, ambiguous, _ = s.Gateway("fourth", addr("20.0.0.1"), 15443)
	assert.True(t, ambiguous, "one private address of two networks")
	g, ambiguous, ok = s.Gateway("callers", addr("20.0.0.1"), 15443)
	require.True(t, ok, "the caller's own cluster knows where it leads")
	assert.False(t, ambiguous)
	assert.Equal(t, "owner/ns/w", g.ID)

	d.Apply(&Delta{Cluster: "owner", Gateways: []GatewaySpec{}})
	s = d.Publish()
	p, _ := s.ByAddress("n", addr("10.0.0.1"))
	assert.Nil(t, p.Workload.EastWest)
	w, _ = s.Workload("owner", "ns", "w")
	assert.Nil(t, w.EastWest)
}

func TestFactsChange(t *testing.T) {
	d := newDesk(Limits{})
	a := pod("a", "10.0.0.1", 1, 900)
	a.Node = "node"
	d.Apply(&Delta{
		Cluster: "c", At: second(1000), Pods: []PodState{a, pod("b", "10.0.0.2", 2, 900)}, Nodes: []NodeSpec{{Name: "node", Zone: "z"}},
		Services: []ServiceSpec{{Namespace: "ns", Name: "svc", Addresses: addrs("10.1.0.1")}},
	})
	d.Apply(&Delta{Cluster: "c", At: second(1001), GonePods: []PodEnd{{Namespace: "ns", Name: "b", Latest: second(1001)}}})
	before := d.Publish()
	c, _ := before.Cluster("c")
	p, how := before.At(second(950)).ByAddress(c.Network, addr("10.0.0.1"))
	require.Equal(t, Found, how, "before the facts, the cluster has a network for itself")
	assert.Empty(t, p.End().Region)

	d.Apply(&Delta{Cluster: "c", Facts: facts("n")})
	s := d.Publish()
	assert.Equal(t, "a", nameAt(s, 0, "10.0.0.1"))
	assert.Equal(t, "b", nameAt(s, 950, "10.0.0.2"), "the past moves too")
	p, _ = s.ByAddress("n", addr("10.0.0.1"))
	assert.Equal(t, mesh.End{
		Cluster: "c", Region: "westeurope", Zone: "z", Network: "n", Namespace: "ns", Workload: "w", Service: "w", Version: "v1",
		Principal: "spiffe://td-n/ns/ns/sa/sa",
	}, p.End())
	svc, ok := s.ServiceAt("c", addr("10.1.0.1"))
	require.True(t, ok)
	assert.Equal(t, "westeurope", svc.Cluster.Region)
	network, _ := s.SoleNetwork()
	assert.Equal(t, "n", network)
	assert.Equal(t, Stats{Clusters: 1, Workloads: 1, Pods: 1, Services: 1, Nodes: 1, Ended: 1}, s.Stats())
	assert.Equal(t, "westeurope", c.Facts().Region, "facts are live")
}

func TestStaleAndRemoved(t *testing.T) {
	d := newDesk(Limits{})
	d.first("c", pod("a", "10.0.0.1", 1, 900))
	d.first("keep", pod("b", "10.0.0.2", 2, 900))
	d.Apply(&Delta{Cluster: "c", At: second(1010), GonePods: []PodEnd{{Namespace: "ns", Name: "a", Latest: second(1005)}}})
	s := d.Publish()
	c, _ := s.Cluster("c")
	assert.Equal(t, second(1010).UTC(), c.Confirmed())
	_, stale := c.StaleSince()
	assert.False(t, stale)
	d.MarkStale("c", second(1200))
	since, stale := c.StaleSince()
	assert.True(t, stale, "at once")
	assert.Equal(t, second(1200).UTC(), since)
	d.MarkStale("c", time.Time{})
	_, stale = c.StaleSince()
	assert.False(t, stale)
	d.Remove("c")
	d.Remove("nobody")
	s = d.Publish()
	_, ok := s.Cluster("c")
	assert.False(t, ok)
	assert.Equal(t, "not_found", nameAt(s, 950, "10.0.0.1"))
	assert.Equal(t, "b", nameAt(s, 950, "10.0.0.2"))
	assert.Equal(t, Stats{Clusters: 1, Workloads: 1, Pods: 1}, s.Stats())
	assert.Len(t, slices.Collect(s.Clusters()), 1)
	d.now = 9999
	d.Publish()
	assert.Empty(t, d.history.heap)
}

func TestWorkloadsOfManyKinds(t *testing.T) {
	d := newDesk(Limits{})
	var pods []PodState
	for i := range 100 {
		p := pod(fmt.Sprintf("p%d", i), fmt.Sprintf("10.0.1.%d", i), byte(i), 900)
		p.Version, p.Zone = fmt.Sprintf("v%d", i%40), fmt.Sprintf("z%d", i%3)
		pods = append(pods, p)
	}
	d.first("c", pods...)
	s := d.Publish()
	w, _ := s.Workload("c", "ns", "w")
	assert.Empty(t, w.End().Version)
	assert.Equal(t, "w", w.End().Service)
	var kept []PodState
	for i := range pods {
		if i%40 == 7 {
			pods[i].Zone = "z1"
			kept = append(kept, pods[i])
		}
	}
	d.now = 1001
	d.first("c", kept...)
	s = d.Publish()
	w, _ = s.Workload("c", "ns", "w")
	assert.Equal(t, "v7", w.End().Version)
	assert.Equal(t, "z1", w.End().Zone)
	assert.Equal(t, 1, s.Stats().Workloads)
}

// TestWaypoint prevents that a waypoint, which carries calls, shows as an end of them, and that a workload keeps the mark
// that its pods lost.
func TestWaypoint(t *testing.T) {
	d := newDesk(Limits{})
	carrier := pod("w-1", "10.0.0.1", 1, 900)
	carrier.Waypoint = true
	d.first("c", carrier)
	s := d.Publish()
	p, _ := s.ByAddress("n", addr("10.0.0.1"))
	assert.True(t, p.Workload.Waypoint)
	assert.True(t, p.State().Waypoint)
	listed, _ := s.Workload("c", "ns", p.Workload.Name)
	assert.True(t, listed.Waypoint)
	plain := carrier
	plain.Waypoint = false
	d.Apply(&Delta{Cluster: "c", At: second(1100), Pods: []PodState{plain}})
	s = d.Publish()
	p, _ = s.ByAddress("n", addr("10.0.0.1"))
	assert.False(t, p.Workload.Waypoint)
	listed, _ = s.Workload("c", "ns", p.Workload.Name)
	assert.False(t, listed.Waypoint)
}

// TestRevision prevents that a deployment, which brings nothing else that is new, does not show: pods of two templates differ in it,
// and the workload has none while they do. A pod that is gone keeps its own.
func TestRevision(t *testing.T) {
	d := newDesk(Limits{})
	old, fresh := pod("w-1", "10.0.0.1", 1, 900), pod("w-2", "10.0.0.2", 2, 900)
	old.Revision, fresh.Revision = "a", "a"
	d.first("c", old, fresh)
	revisions := func() []string {
		s := d.Publish()
		one, _ := s.ByAddress("n", addr("10.0.0.1"))
		two, _ := s.ByAddress("n", addr("10.0.0.2"))
		listed, _ := s.Workload("c", "ns", one.Workload.Name)
		assert.Equal(t, one.Workload.Revision, one.State().Revision)
		return []string{one.Workload.Revision, two.Workload.Revision, listed.Revision}
	}
	assert.Equal(t, []string{"a", "a", "a"}, revisions())
	fresh.Revision = "b"
	d.Apply(&Delta{Cluster: "c", At: second(1100), Pods: []PodState{fresh}})
	assert.Equal(t, []string{"a", "b", ""}, revisions())
	d.Apply(&Delta{Cluster: "c", At: second(1200), GonePods: []PodEnd{{Namespace: "ns", Name: "w-1", Earliest: second(1150), Latest: second(1160)}}})
	s := d.Publish()
	listed, _ := s.Workload("c", "ns", "w")
	assert.Equal(t, "b", listed.Revision)
	for p := range s.Pods("c") {
		if p.Ended() {
			assert.Equal(t, "a", p.Workload.Revision)
		}
	}
}

// What is known of a service's endpoints may change without their numbers: known to be none, and which are being deleted.
func TestEndpointsOfAService(t *testing.T) {
	w := NewWriter(WriterSettings{})
	service := func() ServiceSpec {
		for s := range w.Publish().Services("west") {
			return *s.Spec()
		}
		t.Fatal("no service")
		return ServiceSpec{}
	}
	for _, spec := range []ServiceSpec{
		{Namespace: "shop", Name: "cart"},
		{Namespace: "shop", Name: "cart", Endpoints: []ZoneEndpoints{}},
		{Namespace: "shop", Name: "cart", Endpoints: []ZoneEndpoints{}, EndingKnown: true},
		{Namespace: "shop", Name: "cart", Endpoints: []ZoneEndpoints{{Zone: "z", Ready: 1, Total: 2}}, EndingKnown: true},
		{Namespace: "shop", Name: "cart", Endpoints: []ZoneEndpoints{{Zone: "z", Ready: 1, Total: 2, Ending: 1}}, EndingKnown: true},
		{Namespace: "shop", Name: "cart", Endpoints: []ZoneEndpoints{{Zone: "z", Ready: 1, Total: 2, Ending: 1}}, EndingKnown: true, Canonical: "basket"},
		{Namespace: "shop", Name: "cart"},
	} {
		w.Apply(&Delta{Cluster: "west", Services: []ServiceSpec{spec}})
		got := service()
		require.Equal(t, spec.Endpoints == nil, got.Endpoints == nil)
		require.Equal(t, spec.EndingKnown, got.EndingKnown)
		require.Equal(t, spec.Canonical, got.Canonical)
		require.True(t, slices.Equal(spec.Endpoints, got.Endpoints))
	}
}

func TestSame(t *testing.T) {
	w := NewWriter(WriterSettings{})
	w.Apply(&Delta{Cluster: "west", Services: []ServiceSpec{{Namespace: "shop", Name: "cart"}}})
	w.Apply(&Delta{Cluster: "north", Services: []ServiceSpec{{Namespace: "shop", Name: "cart"}}})
	first := w.Publish()
	require.True(t, first.Same(first, "west"))
	require.False(t, first.Same(nil, "west"))
	w.Apply(&Delta{Cluster: "west", Services: []ServiceSpec{{Namespace: "shop", Name: "web"}}})
	second := w.Publish()
	require.False(t, second.Same(first, "west"))
	require.True(t, second.Same(first, "north"))
	w.Remove("north")
	require.False(t, w.Publish().Same(second, "north"))
}
