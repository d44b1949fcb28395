// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// twoClusters is cluster a in network n with the pods web and db, and cluster b in network m behind a gateway. The
// address of web is that of another pod in b.
func twoClusters(t testing.TB) *topology.Snapshot {
	t.Helper()
	at := netip.MustParseAddr
	workload := func(name, pod, address string) topology.WorkloadSpec {
		return topology.WorkloadSpec{Name: name, Namespace: "shop", Kind: "deployment", Service: name, ServiceAccount: name, Pods: []topology.PodSpec{
			{Name: pod, Addresses: []netip.Addr{at(address)}, Zone: "r-1"},
		}}
	}
	b := topology.NewBuilder("", topology.Limits{})
	require.NoError(t, b.Add(&topology.ClusterSpec{
		Name: "a", Region: "r", Network: "n", TrustDomain: "a.mesh",
		Workloads: []topology.WorkloadSpec{workload("web", "web-1", "10.0.0.1"), workload("db", "db-1", "10.0.0.2")},
	}))
	require.NoError(t, b.Add(&topology.ClusterSpec{
		Name: "b", Region: "s", Network: "m", TrustDomain: "b.mesh",
		Gateways:  []topology.GatewaySpec{{Name: "ew", Namespace: "istio-system", Addresses: []netip.Addr{at("20.0.0.1")}, Port: 15443}},
		Workloads: []topology.WorkloadSpec{workload("other", "other-1", "10.0.0.1")},
	}))
	return b.Build(time.Unix(0, 0))
}

const webNode = "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local"

func TestResolveNear(t *testing.T) {
	ip := netip.MustParseAddr
	tests := []struct {
		name     string
		reporter Reporter
		cluster  string
		workload string
		by       mesh.Resolution
		conflict bool
	}{
		{"nothing", Reporter{}, "", "", mesh.UnknownNoEvidence, false},
		{"node id and tag", Reporter{NodeID: webNode, TagCluster: "a"}, "a", "web", mesh.ByTag, false},
		{"node id, one pod of that name", Reporter{NodeID: webNode}, "a", "web", mesh.ByTag, false},
		{"node id and the collector's cluster", Reporter{NodeID: webNode, LocalCluster: "a"}, "a", "web", mesh.ByTag, false},
		{"the default cluster id is not a claim", Reporter{NodeID: webNode, TagCluster: "Kubernetes"}, "a", "web", mesh.ByTag, false},
		{"a tag that the topology contradicts", Reporter{NodeID: webNode, TagCluster: "b"}, "b", "", mesh.ByTag, true},
		{"an unknown cluster is a claim", Reporter{NodeID: "sidecar~10.9.9.9~x-1.shop~d", TagCluster: "z"}, "z", "", mesh.ByTag, false},
		{"the receiver's resource", Reporter{Cluster: "a", Namespace: "shop", Pod: "db-1", NodeID: "sidecar~10.0.0.2~db-1.shop~d", PeerMetadata: true}, "a", "db", mesh.ByPeerMetadata, false},
		{"an agent's stamp", Reporter{Cluster: "a", Namespace: "shop", Pod: "db-1"}, "a", "db", mesh.ByIP, false},
		{"stamp and tag disagree", Reporter{Cluster: "a", Namespace: "shop", Pod: "web-1", NodeID: webNode, TagCluster: "b"}, "a", "web", mesh.ByTag, true},
		{"an address in the collector's cluster", Reporter{Address: ip("10.0.0.2"), LocalCluster: "a"}, "a", "db", mesh.ByIP, false},
		{"an address in the resource's network", Reporter{Address: ip("10.0.0.1"), Network: "m"}, "b", "other", mesh.ByIP, false},
		{"an address without a network", Reporter{Address: ip("10.0.0.2")}, "", "", mesh.UnknownAddressNotFound, false},
		{"no cluster", Reporter{NodeID: "sidecar~10.9.9.9~x-1.shop~d"}, "", "", mesh.UnknownNoCluster, false},
		{"a broken node id", Reporter{NodeID: "~~~"}, "", "", mesh.UnknownNoCluster, false},
	}
	s := twoClusters(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			near := ResolveNear(s.At(time.Time{}), &tt.reporter)
			assert.Equal(t, tt.cluster, near.End.Cluster)
			assert.Equal(t, tt.workload, near.End.Workload)
			assert.Equal(t, tt.by.String(), near.By.String())
			assert.Equal(t, tt.conflict, near.Conflict)
		})
	}
}

func TestTheResourceStandsInForAnUnknownPod(t *testing.T) {
	near := ResolveNear(twoClusters(t).At(time.Time{}), &Reporter{
		Cluster: "a", Namespace: "shop", Pod: "new-1", PeerMetadata: true, NodeID: "sidecar~10.0.0.9~new-1.shop~d",
		Region: "r", Zone: "2", Workload: "new", Version: "v9", Network: "n",
	})
	assert.Equal(t, mesh.End{Cluster: "a", Region: "r", Zone: "r-2", Network: "n", Namespace: "shop", Workload: "new", Version: "v9"}, near.End)
}

func TestRole(t *testing.T) {
	tests := []struct {
		name string
		near Near
		call Call
		want role
	}{
		{"inbound cluster", Near{}, Call{Kind: ClientKind, UpstreamCluster: "inbound|80||"}, calledHere},
		{"inbound passthrough", Near{}, Call{UpstreamCluster: "InboundPassthroughCluster"}, calledHere},
		{"outbound cluster", Near{}, Call{Kind: ServerKind, UpstreamCluster: "outbound|80||db.shop.svc.cluster.local"}, calledFromHere},
		{"black hole", Near{}, Call{UpstreamCluster: "BlackHoleCluster"}, calledFromHere},
		{"waypoint", Near{NodeType: "waypoint"}, Call{UpstreamCluster: "inbound-vip|80|http|db.shop.svc.cluster.local"}, carriedHere},
		{"passed through by name", Near{NodeType: "router"}, Call{UpstreamCluster: "outbound_.80_._.db.shop.svc.cluster.local"}, carriedHere},
		{"ingress gateway without a cluster", Near{NodeType: "router"}, Call{Kind: ServerKind}, calledFromHere},
		{"server", Near{NodeType: "sidecar"}, Call{Kind: ServerKind}, calledHere},
		{"client", Near{NodeType: "sidecar"}, Call{Kind: ClientKind, UpstreamCluster: "my-own-cluster"}, calledFromHere},
		{"from the own address", Near{Address: netip.MustParseAddr("10.0.0.1")}, Call{DownstreamAddress: "10.0.0.1:5"}, calledFromHere},
		{"to the own address", Near{Address: netip.MustParseAddr("10.0.0.1")}, Call{DownstreamLocal: "10.0.0.1:80", DownstreamAddress: "10.0.0.2:5"}, calledHere},
		{
			"the server name is not the direction",
			Near{Address: netip.MustParseAddr("10.0.0.1")},
			Call{DownstreamLocal: "10.0.0.1:80", SNI: "outbound_.80_._.web.shop.svc.cluster.local"},
			calledHere,
		},
		{"nothing", Near{}, Call{}, unclear},
	}
	s := twoClusters(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			j := judgeOf(s.At(time.Time{}), &tt.near, &tt.call)
			assert.Equal(t, tt.want, j.role())
		})
	}
}

func TestMergeKeepsTheStronger(t *testing.T) {
	s := twoClusters(t)
	near := ResolveNear(s.At(time.Time{}), &Reporter{NodeID: webNode, TagCluster: "a"})
	tests := []struct {
		name    string
		stamped mesh.End
		by      mesh.Resolution
		cluster string
		want    mesh.Resolution
		confl   bool
	}{
		{"a stronger stamp stays", mesh.End{Cluster: "z"}, mesh.ByEndpointMetadata, "z", mesh.ByEndpointMetadata, true},
		{"a weaker stamp goes", mesh.End{Cluster: "z"}, mesh.ByTrustDomain, "a", mesh.ByIP, true},
		{"an unknown one is upgraded", mesh.End{Service: "db"}, mesh.UnknownAddressNotFound, "a", mesh.ByIP, false},
		{"an equal one stays and is completed", mesh.End{Cluster: "a"}, mesh.ByIP, "a", mesh.ByIP, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := Judge(s.At(time.Time{}), &near, &Call{
				UpstreamCluster: "outbound|80||db.shop.svc.cluster.local", UpstreamAddress: "10.0.0.2:80",
				Stamped: Verdict{Destination: tt.stamped, DestinationBy: tt.by, TLS: mesh.TLSUnknown},
			})
			assert.Equal(t, tt.cluster, v.Destination.Cluster)
			assert.Equal(t, tt.want.String(), v.DestinationBy.String())
			assert.Equal(t, tt.confl, v.DestinationConflict)
			if tt.cluster == "a" {
				assert.Equal(t, "r-1", v.Destination.Zone)
			}
		})
	}
}

func TestUpstreamAddressOfTheCallerIsNoDestination(t *testing.T) {
	s := twoClusters(t)
	near := ResolveNear(s.At(time.Time{}), &Reporter{NodeID: webNode, TagCluster: "a"})
	call := Call{Kind: ClientKind, UpstreamCluster: "outbound|80||db.shop.svc.cluster.local", UpstreamAddress: "10.0.0.1", UpstreamMayBeOwn: true}
	v := Judge(s.At(time.Time{}), &near, &call)
	assert.Equal(t, mesh.UnknownNoAddress.String(), v.DestinationBy.String())
	assert.Equal(t, "db", v.Destination.Service)
	call.UpstreamMayBeOwn = false
	v = Judge(s.At(time.Time{}), &near, &call)
	assert.Equal(t, "web", v.Destination.Workload, "a pod may call itself")
}

func TestLabelTLS(t *testing.T) {
	assert.Equal(t, mesh.TLSMutual, labelTLS("mutual_tls", false, true))
	assert.Equal(t, mesh.TLSNone, labelTLS("none", true, false))
	assert.Equal(t, mesh.TLSMutual, labelTLS("unknown", true, false))
	assert.Equal(t, mesh.TLSUnknown, labelTLS("unknown", false, false))
	assert.Equal(t, mesh.TLSUnknown, labelTLS("", false, true))
	assert.Equal(t, mesh.TLSNone, labelTLS("unknown", false, true), "ztunnel of the called side, outside of a tunnel")
}

func TestNoUpstream(t *testing.T) {
	for flags, want := range map[string]bool{"": false, "-": false, "UH": true, "URX,UH": true, "DC,UT": false, "UHX": false} {
		assert.Equal(t, want, NoUpstream(flags), flags)
	}
}

func FuzzJudge(f *testing.F) {
	s := twoClusters(f)
	f.Add("outbound|80||db.shop.svc.cluster.local", "10.0.0.2:80", "10.0.0.1", "db;shop;db;v1;a", "spiffe://a.mesh/ns/shop/sa/db", webNode, uint8(2))
	f.Add("outbound_.80_._.db.shop.svc.cluster.local", "20.0.0.1:15443", "-", ";;;;b", "", "router~10.0.0.1~ew.istio-system~d", uint8(0))
	f.Add("inbound-vip|80|http|h", "envoy://connect_originate/10.0.0.2:80", "[::1]:1", ";;;;", "spiffe://", "waypoint~~x~", uint8(1))
	f.Fuzz(func(t *testing.T, cluster, up, down, metadata, san, node string, kind uint8) {
		near := ResolveNear(s.At(time.Time{}), &Reporter{NodeID: node})
		call := Call{
			Kind: Kind(kind % 3), UpstreamCluster: cluster, UpstreamAddress: up, DownstreamAddress: down,
			EndpointMetadata: metadata, PeerSAN: san,
		}
		v := Judge(s.At(time.Time{}), &near, &call)
		if v.SourceBy.Known() != v.Source.Known() || v.DestinationBy.Known() != v.Destination.Known() {
			t.Fatalf("an end has a cluster exactly if something told it: %+v", v)
		}
		// The verdict, stamped and judged again, must stand.
		call.Stamped = v
		again := Judge(s.At(time.Time{}), &near, &call)
		again.SourceConflict, again.DestinationConflict = v.SourceConflict, v.DestinationConflict
		if again != v {
			t.Fatalf("judged again:\n%+v\n%+v", v, again)
		}
	})
}
