// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func addrs(s ...string) []netip.Addr {
	out := make([]netip.Addr, 0, len(s))
	for _, a := range s {
		out = append(out, addr(a))
	}
	return out
}

// west and north use the same pod addresses on purpose: they are in two networks.
func west() *ClusterSpec {
	return &ClusterSpec{
		Name: "aks-westeurope", Region: "westeurope", Provider: "azure", Platform: "azure.aks",
		Network: "vnet-westeurope", TrustDomain: "west.local",
		Nodes: []NodeSpec{
			{Name: "pool-0", Zone: "westeurope-1", Addresses: addrs("10.0.0.250")},
			{Name: "pool-1", Zone: "westeurope-2"},
		},
		Gateways: []GatewaySpec{{Name: "eastwest", Namespace: "istio-system", Addresses: addrs("20.0.0.1"), Port: 15443}},
		Services: []ServiceSpec{{Name: "reviews", Namespace: "bookinfo", Addresses: addrs("10.100.0.3"), Ports: []uint16{9080}}},
		Workloads: []WorkloadSpec{
			{
				Name: "reviews-v1", Namespace: "bookinfo", Kind: "deployment", Service: "reviews", Version: "v1", ServiceAccount: "reviews",
				Pods: []PodSpec{
					{Name: "reviews-v1-a", Addresses: addrs("10.0.0.31"), Node: "pool-0"},
					{Name: "reviews-v1-b", Addresses: addrs("10.0.0.32"), Node: "pool-1"},
				},
			},
			{
				Name: "eastwest", Namespace: "istio-system", Kind: "deployment",
				Pods: []PodSpec{{Name: "eastwest-a", Addresses: addrs("10.0.0.15"), Node: "pool-0"}},
			},
		},
	}
}

func north() *ClusterSpec {
	return &ClusterSpec{
		Name: "aks-northeurope", Region: "northeurope", Network: "vnet-northeurope", TrustDomain: "shared.local",
		Gateways: []GatewaySpec{{Name: "eastwest", Namespace: "istio-system", Addresses: addrs("20.0.0.2"), Port: 15443}},
		Workloads: []WorkloadSpec{{
			Name: "ratings-v1", Namespace: "bookinfo", Kind: "deployment",
			Pods: []PodSpec{{Name: "ratings-v1-a", Addresses: addrs("10.0.0.31"), Zone: "northeurope-3"}},
		}},
	}
}

func build(t testing.TB, specs ...*ClusterSpec) *Snapshot {
	t.Helper()
	b := NewBuilder("mesh1", Limits{})
	for _, spec := range specs {
		require.NoError(t, b.Add(spec))
	}
	return b.Build(time.Unix(1, 0))
}

func TestLookupsWithinANetwork(t *testing.T) {
	s := build(t, west(), north())
	pod, ok := s.ByAddress("vnet-westeurope", addr("10.0.0.31"))
	require.True(t, ok)
	assert.Equal(t, "reviews-v1-a", pod.Name)
	assert.Equal(t, mesh.End{
		Cluster: "aks-westeurope", Region: "westeurope", Zone: "westeurope-1", Network: "vnet-westeurope", Namespace: "bookinfo",
		Workload: "reviews-v1", Service: "reviews", Version: "v1", Principal: "spiffe://west.local/ns/bookinfo/sa/reviews",
	}, pod.End())

	pod, ok = s.ByAddress("vnet-northeurope", addr("::ffff:10.0.0.31"))
	require.True(t, ok, "an IPv4 address in IPv6 clothes is the same address")
	assert.Equal(t, "ratings-v1-a", pod.Name)
	assert.Equal(t, "northeurope-3", pod.End().Zone)

	_, ok = s.ByAddress("vnet-northeurope", addr("10.0.0.32"))
	assert.False(t, ok, "an address of another network must not be found")
	_, ok = s.ByAddress("nowhere", addr("10.0.0.31"))
	assert.False(t, ok)

	node, ok := s.NodeAt("vnet-westeurope", addr("10.0.0.250"))
	require.True(t, ok)
	assert.Equal(t, "pool-0", node.Name)
	svc, ok := s.ServiceAt("aks-westeurope", addr("10.100.0.3"))
	require.True(t, ok)
	assert.Equal(t, "reviews", svc.Name)
	_, ok = s.ServiceAt("aks-northeurope", addr("10.100.0.3"))
	assert.False(t, ok)
	assert.Equal(t, Stats{Clusters: 2, Workloads: 3, Pods: 4, Gateways: 2, Services: 1, Nodes: 2}, s.Stats())
}

func TestLookupsByName(t *testing.T) {
	s := build(t, west(), north())
	_, ok := s.ByPod("aks-westeurope", "bookinfo", "reviews-v1-b")
	assert.True(t, ok)
	_, ok = s.ByPod("aks-northeurope", "bookinfo", "reviews-v1-b")
	assert.False(t, ok)
	_, ok = s.PodNamed("bookinfo", "ratings-v1-a")
	assert.True(t, ok)

	w, ok := s.Workload("aks-westeurope", "bookinfo", "reviews-v1")
	require.True(t, ok)
	assert.Empty(t, w.End().Zone, "pods in two zones do not agree on one")
	assert.Equal(t, "vnet-westeurope", w.End().Network)

	twin := north()
	twin.Name, twin.Network = "aks-twin", "vnet-twin"
	s = build(t, north(), twin)
	_, ok = s.PodNamed("bookinfo", "ratings-v1-a")
	assert.False(t, ok, "a name in two clusters is nobody's")
	_, ok = s.TrustDomain("shared.local")
	assert.False(t, ok, "a trust domain of two clusters tells neither")
}

func TestGateways(t *testing.T) {
	s := build(t, west(), north())
	g, ambiguous, ok := s.Gateway("vnet-westeurope", addr("20.0.0.2"), 15443)
	require.True(t, ok)
	assert.False(t, ambiguous)
	assert.Equal(t, "aks-northeurope/istio-system/eastwest", g.ID)
	assert.Equal(t, mesh.End{Cluster: "aks-northeurope", Region: "northeurope", Network: "vnet-northeurope"}, g.Leads())
	_, _, ok = s.Gateway("vnet-westeurope", addr("20.0.0.2"), 80)
	assert.False(t, ok, "another port of the load balancer is another thing")
	_, _, ok = s.Gateway("vnet-northeurope", addr("20.0.0.2"), 15443)
	assert.False(t, ok, "nobody enters his own network through its gateway")

	g, ok = s.OwnGateway("vnet-westeurope", addr("10.0.0.15"))
	require.True(t, ok, "the gateway's pod")
	assert.Equal(t, "aks-westeurope", g.Cluster.Name)
	_, ok = s.OwnGateway("vnet-westeurope", addr("10.0.0.31"))
	assert.False(t, ok)
	w, _ := s.Workload("aks-westeurope", "istio-system", "eastwest")
	assert.Same(t, g, w.EastWest)

	third := north()
	third.Name, third.Network, third.Region = "aks-third", "vnet-third", "eastus"
	s = build(t, west(), north(), third)
	_, ambiguous, ok = s.Gateway("vnet-westeurope", addr("20.0.0.2"), 15443)
	assert.False(t, ok)
	assert.True(t, ambiguous, "two networks behind one private address")
}

func TestGatewayOfASharedNetwork(t *testing.T) {
	second := &ClusterSpec{Name: "aks-northeurope-2", Region: "northeurope", Network: "vnet-northeurope"}
	s := build(t, west(), north(), second)
	g, _, ok := s.Gateway("vnet-westeurope", addr("20.0.0.2"), 15443)
	require.True(t, ok)
	assert.Equal(t, mesh.End{Region: "northeurope", Network: "vnet-northeurope"}, g.Leads(),
		"two clusters of one region are behind it: the region is known, the cluster is not")
}

func TestNamelessNetworksStayApart(t *testing.T) {
	a, b := west(), north()
	a.Network, b.Network = "", ""
	s := build(t, a, b)
	ca, _ := s.Cluster("aks-westeurope")
	pod, ok := s.ByAddress(ca.Network, addr("10.0.0.31"))
	require.True(t, ok)
	assert.Equal(t, "reviews-v1-a", pod.Name)
	assert.Empty(t, pod.End().Network, "the internal name must not leak")
	w, _ := s.Workload("aks-westeurope", "bookinfo", "reviews-v1")
	assert.Empty(t, w.End().Network)
	_, ok = s.SoleNetwork()
	assert.False(t, ok)
	name, ok := build(t, west()).SoleNetwork()
	assert.True(t, ok)
	assert.Equal(t, "vnet-westeurope", name)
}

func TestAddRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*ClusterSpec)
		kind   error
		want   string
	}{
		{"no name", func(c *ClusterSpec) { c.Name = "" }, ErrInvalid, "clusters[1].name: write the cluster's name"},
		{"a cluster twice", func(c *ClusterSpec) { c.Name = "aks-westeurope" }, ErrConflict, `cluster "aks-westeurope" is described twice`},
		{
			"an address twice", func(c *ClusterSpec) { c.Network = "vnet-westeurope" }, ErrConflict,
			`clusters[1].workloads[0].pods[0].addresses: address 10.0.0.31 in network "vnet-westeurope" belongs to pod bookinfo/reviews-v1-a of cluster "aks-westeurope" and to pod bookinfo/ratings-v1-a of cluster "aks-northeurope"`,
		},
		{"a pod twice", func(c *ClusterSpec) {
			c.Workloads[0].Pods = append(c.Workloads[0].Pods, PodSpec{Name: "ratings-v1-a"})
		}, ErrConflict, "pods[1].name: pod bookinfo/ratings-v1-a"},
		{"an unknown node", func(c *ClusterSpec) { c.Workloads[0].Pods[0].Node = "pool-9" }, ErrInvalid, `has no node "pool-9"`},
		{"an unknown kind", func(c *ClusterSpec) { c.Workloads[0].Kind = "Deployment" }, ErrInvalid, "write deployment, statefulset"},
		{"a workload without namespace", func(c *ClusterSpec) { c.Workloads[0].Namespace = "" }, ErrInvalid, "workloads[0].namespace"},
		{"a workload twice", func(c *ClusterSpec) { c.Workloads = append(c.Workloads, c.Workloads[0]) }, ErrConflict, "workloads[1].name"},
		{"a gateway without address", func(c *ClusterSpec) { c.Gateways[0].Addresses = nil }, ErrInvalid, "gateways[0].addresses"},
		{"a node twice", func(c *ClusterSpec) { c.Nodes = []NodeSpec{{Name: "n"}, {Name: "n"}} }, ErrConflict, "nodes[1].name"},
		{"a service address twice", func(c *ClusterSpec) {
			svc := ServiceSpec{Name: "a", Namespace: "b", Addresses: addrs("10.100.0.1")}
			c.Services = []ServiceSpec{svc, svc}
		}, ErrConflict, "services[1].addresses"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := NewBuilder("", Limits{})
			require.NoError(t, b.Add(west()))
			spec := north()
			tt.change(spec)
			err := b.Add(spec)
			require.ErrorIs(t, err, tt.kind)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestLimits(t *testing.T) {
	b := NewBuilder("", Limits{MaxPods: 3})
	require.NoError(t, b.Add(west()))
	err := b.Add(north())
	require.ErrorIs(t, err, ErrLimit)
	require.ErrorContains(t, err, "more than 3 pods")

	b = NewBuilder("", Limits{MaxClusters: 1})
	require.NoError(t, b.Add(west()))
	require.ErrorIs(t, b.Add(north()), ErrLimit)
}

func TestEmptyStoreAnswers(t *testing.T) {
	var store Store
	s := store.Snapshot()
	_, ok := s.ByAddress("n", addr("10.0.0.1"))
	assert.False(t, ok)
	_, ok = s.PodNamed("a", "b")
	assert.False(t, ok)
	_, _, ok = s.Gateway("n", addr("10.0.0.1"), 0)
	assert.False(t, ok)
	assert.Zero(t, s.Stats())
}

func TestStoreServesReadersWhileWritten(t *testing.T) {
	var store Store
	snapshots := []*Snapshot{build(t, west()), build(t, west(), north())}
	store.Set(snapshots[0])
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, ok := store.Snapshot().ByAddress("vnet-westeurope", addr("10.0.0.31")); !ok {
					t.Error("a pod that every snapshot has was missing")
					return
				}
			}
		})
	}
	for i := range 1000 {
		store.Set(snapshots[i%2])
	}
	close(stop)
	wg.Wait()
}

func TestLookupsDoNotAllocate(t *testing.T) {
	s := build(t, west(), north())
	a := addr("10.0.0.31")
	gateway := addr("20.0.0.2")
	var end mesh.End
	allocs := testing.AllocsPerRun(100, func() {
		pod, _ := s.ByAddress("vnet-westeurope", a)
		end = pod.End()
		_, _ = s.ByPod("aks-westeurope", "bookinfo", "reviews-v1-a")
		_, _ = s.PodNamed("bookinfo", "ratings-v1-a")
		_, _, _ = s.Gateway("vnet-westeurope", gateway, 15443)
		_, _ = s.OwnGateway("vnet-westeurope", a)
		_, _ = s.Workload("aks-westeurope", "bookinfo", "reviews-v1")
		_, _ = s.TrustDomain("west.local")
		_, _ = s.ServiceAt("aks-westeurope", a)
	})
	assert.Zero(t, allocs)
	assert.Equal(t, "reviews-v1", end.Workload)
}

func large(pods int) *ClusterSpec {
	spec := &ClusterSpec{Name: "large", Network: "n", TrustDomain: "cluster.local"}
	for i := range pods {
		if i%10 == 0 {
			spec.Workloads = append(spec.Workloads, WorkloadSpec{Name: fmt.Sprintf("w-%d", i/10), Namespace: "default"})
		}
		w := &spec.Workloads[len(spec.Workloads)-1]
		w.Pods = append(w.Pods, PodSpec{
			Name:      fmt.Sprintf("w-%d-%d", i/10, i),
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})},
		})
	}
	return spec
}

func BenchmarkByAddress(b *testing.B) {
	s := build(b, large(100_000))
	keys := make([]netip.Addr, 1024)
	for i := range keys {
		n := i * 97
		keys[i] = netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, ok := s.ByAddress("n", keys[i&1023]); !ok {
			b.Fatal("missing")
		}
		i++
	}
}

func BenchmarkByPod(b *testing.B) {
	s := build(b, large(100_000))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := s.ByPod("large", "default", "w-77-777"); !ok {
			b.Fatal("missing")
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	spec := large(10_000)
	b.ReportAllocs()
	for b.Loop() {
		build(b, spec)
	}
}
