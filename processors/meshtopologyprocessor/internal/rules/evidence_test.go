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

// hardMesh is what makes evidence look like more than it is: pods with two addresses, a pod in the host network,
// overlapping ranges behind gateways, and one trust domain that a cluster does not name.
func hardMesh(t testing.TB) *topology.Snapshot {
	t.Helper()
	at := netip.MustParseAddr
	workload := func(namespace, name string, addresses ...netip.Addr) topology.WorkloadSpec {
		return topology.WorkloadSpec{Name: name, Namespace: namespace, ServiceAccount: name, Pods: []topology.PodSpec{{Name: name + "-0", Addresses: addresses}}}
	}
	gateway := func(address string) []topology.GatewaySpec {
		return []topology.GatewaySpec{{Name: "ew", Namespace: "istio-system", Addresses: []netip.Addr{at(address)}, Port: 15443}}
	}
	b := topology.NewBuilder("", topology.Limits{})
	require.NoError(t, b.Add(&topology.ClusterSpec{
		Name: "a", Region: "r", Network: "n", TrustDomain: "cluster.local", Gateways: gateway("20.0.0.1"),
		Nodes: []topology.NodeSpec{{Name: "node", Addresses: []netip.Addr{at("10.0.9.9")}}},
		Workloads: []topology.WorkloadSpec{
			workload("shop", "web", at("10.0.0.1"), at("fd00::1")), workload("shop", "db", at("10.0.0.2")),
			workload("shop", "host", at("10.0.9.9")), workload("istio-system", "ew", at("10.0.0.15")),
			{Name: "api", Namespace: "shop", Pods: []topology.PodSpec{{Name: "api-5d8f7c9b4x-x2kqz", Addresses: []netip.Addr{at("10.0.0.7")}}}},
		},
	}))
	require.NoError(t, b.Add(&topology.ClusterSpec{
		Name: "b", Region: "s", Network: "m", Gateways: gateway("20.0.0.2"),
		Workloads: []topology.WorkloadSpec{workload("shop", "other", at("10.0.0.1"))},
	}))
	return b.Build(time.Unix(0, 0))
}

const (
	dualNode     = "sidecar~10.0.0.1~web-0.shop~d"
	eastWestNode = "router~10.0.0.15~ew-0.istio-system~d"
)

func judgeFrom(t *testing.T, node string, c *Call) Verdict {
	t.Helper()
	s := hardMesh(t)
	near := ResolveNear(s.At(time.Time{}), &Reporter{NodeID: node, TagCluster: "a"})
	require.Equal(t, "a", near.End.Cluster)
	return Judge(s.At(time.Time{}), &near, c)
}

func TestNearIsNeverAPodThatTheEvidenceExcludes(t *testing.T) {
	ip := netip.MustParseAddr
	tests := []struct {
		name              string
		reporter          Reporter
		cluster, workload string
		by                mesh.Resolution
		conflict          bool
	}{
		{"a stateful pod of a cluster that is not described", Reporter{NodeID: "sidecar~10.7.7.7~db-0.shop~d"}, "", "", mesh.UnknownNoCluster, true},
		{"a node id without an address: the name repeats in clusters that are not described", Reporter{NodeID: "sidecar~~db-0.shop~d"}, "", "", mesh.UnknownNoCluster, false},
		{"a node id without an address, of a name that never repeats", Reporter{NodeID: "sidecar~~api-5d8f7c9b4x-x2kqz.shop~d"}, "a", "api", mesh.ByTag, false},
		{"the other address of a pod", Reporter{NodeID: "sidecar~fd00::1~web-0.shop~d"}, "a", "web", mesh.ByTag, false},
		{"a pod in the host network", Reporter{NodeID: "sidecar~10.0.9.9~host-0.shop~d"}, "a", "host", mesh.ByTag, false},
		{"the node's address is no pod", Reporter{Address: ip("10.0.9.9"), LocalCluster: "a"}, "a", "", mesh.ByIP, false},
		{
			"the node id is stronger than the pod that forwarded",
			Reporter{Cluster: "a", Namespace: "shop", Pod: "db-0", NodeID: dualNode},
			"a", "web", mesh.ByTag, true,
		},
	}
	s := hardMesh(t)
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

func TestAnUndescribedClusterHasNoNetwork(t *testing.T) {
	b := topology.NewBuilder("", topology.Limits{})
	require.NoError(t, b.Add(&topology.ClusterSpec{Name: "a", Network: "n", Workloads: []topology.WorkloadSpec{
		{Name: "web", Namespace: "shop", Pods: []topology.PodSpec{{Name: "web-1", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}}},
	}}))
	near := ResolveNear(b.Build(time.Unix(0, 0)).At(time.Time{}), &Reporter{Address: netip.MustParseAddr("10.0.0.1"), LocalCluster: "new"})
	assert.Equal(t, mesh.End{Cluster: "new"}, near.End, "the address is one of a cluster that the topology does not know")
	assert.False(t, near.Conflict)
}

func TestAResourceInAnotherRegionGivesNoZone(t *testing.T) {
	s := hardMesh(t)
	near := ResolveNear(s.At(time.Time{}), &Reporter{Cluster: "a", Pod: "new", Region: "s", Zone: "s-1"})
	assert.Equal(t, mesh.End{Cluster: "a", Region: "r", Network: "n"}, near.End)
	near = ResolveNear(s.At(time.Time{}), &Reporter{Cluster: "a", Pod: "new", Zone: "1"})
	assert.Equal(t, "r-1", near.End.Zone)
}

const toDB = "outbound|80||db.shop.svc.cluster.local"

var destinations = []struct {
	name              string
	call              Call
	cluster, workload string
	by                mesh.Resolution
	via               string
}{
	{
		"the other address of the caller",
		Call{Kind: ClientKind, UpstreamCluster: toDB, UpstreamAddress: "fd00::1", UpstreamMayBeOwn: true},
		"", "", mesh.UnknownNoAddress, "",
	},
	{
		"an IPv4 address in IPv6 form",
		Call{UpstreamCluster: toDB, UpstreamAddress: "[::ffff:10.0.0.2]:80"},
		"a", "db", mesh.ByIP, "",
	},
	{
		"a pod in the host network, or anything else on that node",
		Call{UpstreamCluster: toDB, UpstreamAddress: "10.0.9.9:80"},
		"", "", mesh.UnknownNodeAddress, "",
	},
	{
		"the own network's gateway carries the call further",
		Call{UpstreamCluster: toDB, UpstreamAddress: "10.0.0.15:15443"},
		"", "", mesh.UnknownBehindGateway, "a/istio-system/ew",
	},
	{
		"the gateway itself, on another port",
		Call{UpstreamCluster: "outbound|15021||ew.istio-system.svc.cluster.local", UpstreamAddress: "10.0.0.15:15021"},
		"a", "ew", mesh.ByIP, "",
	},
	{
		"the default cluster id of endpoint metadata",
		Call{UpstreamCluster: toDB, EndpointMetadata: "db;shop;db;v1;Kubernetes"},
		"", "db", mesh.UnknownNoAddress, "",
	},
	{
		"the default cluster id does not contradict a pod",
		Call{UpstreamCluster: toDB, EndpointMetadata: "db;shop;db;v1;Kubernetes", UpstreamAddress: "10.0.0.2:80"},
		"a", "db", mesh.ByIP, "",
	},
	{
		"the default cluster id of a peer",
		Call{UpstreamCluster: toDB, UpstreamPeer: mesh.End{Cluster: "Kubernetes", Workload: "db", Namespace: "shop"}},
		"", "db", mesh.UnknownNoAddress, "",
	},
	{
		"the default cluster id of a tag",
		Call{UpstreamCluster: toDB, DestinationTag: mesh.End{Cluster: "Kubernetes", Workload: "db", Namespace: "shop"}},
		"", "db", mesh.UnknownNoAddress, "",
	},
	{
		"the default cluster id behind a gateway",
		Call{UpstreamCluster: toDB, EndpointMetadata: ";;;;Kubernetes", UpstreamAddress: "20.0.0.2:15443"},
		"b", "", mesh.ByGateway, "b/istio-system/ew",
	},
}

func TestDestinationNeedsEvidence(t *testing.T) {
	for _, tt := range destinations {
		t.Run(tt.name, func(t *testing.T) {
			v := judgeFrom(t, dualNode, &tt.call)
			assert.Equal(t, tt.cluster, v.Destination.Cluster)
			assert.Equal(t, tt.workload, v.Destination.Workload)
			assert.Equal(t, tt.by.String(), v.DestinationBy.String())
			assert.Equal(t, tt.via, v.Via)
			assert.False(t, v.DestinationConflict)
		})
	}
}

func TestSourceNeedsEvidence(t *testing.T) {
	tests := []struct {
		name, node        string
		call              Call
		cluster, workload string
		by                mesh.Resolution
	}{
		{
			"an east/west gateway sees addresses of other networks", eastWestNode,
			Call{UpstreamCluster: "outbound_.80_._.db.shop.svc.cluster.local", DownstreamAddress: "10.0.0.1:4711", UpstreamAddress: "10.0.0.2:80"},
			"", "", mesh.UnknownCrossNetwork,
		},
		{
			"a trust domain that another cluster may have too", dualNode,
			Call{UpstreamCluster: "inbound|80||", DownstreamAddress: "10.0.0.15:4711", PeerSAN: "spiffe://cluster.local/ns/shop/sa/other"},
			"", "", mesh.UnknownBehindGateway,
		},
		{
			"the address of a node that a pod shares", dualNode,
			Call{UpstreamCluster: "inbound|80||", DownstreamAddress: "10.0.9.9:4711"},
			"", "", mesh.UnknownNodeAddress,
		},
		{
			"the default cluster id of a peer", dualNode,
			Call{UpstreamCluster: "inbound|80||", DownstreamPeer: mesh.End{Cluster: "Kubernetes", Workload: "db", Namespace: "shop"}, DownstreamAddress: "10.0.0.2:9"},
			"a", "db", mesh.ByIP,
		},
		{
			"the default cluster id of a tag", dualNode,
			Call{UpstreamCluster: "inbound|80||", SourceTag: mesh.End{Cluster: "Kubernetes", Workload: "db", Namespace: "shop"}},
			"", "db", mesh.UnknownNoAddress,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := judgeFrom(t, tt.node, &tt.call)
			assert.Equal(t, tt.cluster, v.Source.Cluster)
			assert.Equal(t, tt.workload, v.Source.Workload)
			assert.Equal(t, tt.by.String(), v.SourceBy.String())
			assert.False(t, v.SourceConflict)
		})
	}
}

func TestZtunnelIsNeitherEnd(t *testing.T) {
	s := hardMesh(t)
	near := ResolveNear(s.At(time.Time{}), &Reporter{NodeID: "ztunnel~10.0.5.5~ztunnel-x.istio-system~d", TagCluster: "a"})
	v := Judge(s.At(time.Time{}), &near, &Call{
		UpstreamCluster: "outbound|80||db.shop.svc.cluster.local", DownstreamAddress: "10.0.0.1:9", UpstreamAddress: "10.0.0.2:80",
	})
	assert.Equal(t, "web", v.Source.Workload)
	assert.Equal(t, "db", v.Destination.Workload)
}

func TestTheDefaultClusterIDOfLabelsIsNoCluster(t *testing.T) {
	s := hardMesh(t)
	near := ResolveNear(s.At(time.Time{}), &Reporter{NodeID: dualNode, TagCluster: "a"})
	v := JudgeLabels(s.At(time.Time{}), &near, &Labels{
		Reporter: "source", Source: mesh.End{Cluster: "Kubernetes", Workload: "web", Namespace: "shop"},
		Destination: mesh.End{Cluster: "Kubernetes", Workload: "db", Namespace: "shop"},
	})
	assert.Equal(t, "a", v.Source.Cluster, "the reporter's pod tells")
	assert.Equal(t, mesh.ByTag.String(), v.SourceBy.String())
	assert.Empty(t, v.Destination.Cluster)
	assert.Equal(t, mesh.UnknownNoCluster.String(), v.DestinationBy.String())
	assert.False(t, v.SourceConflict)
}
