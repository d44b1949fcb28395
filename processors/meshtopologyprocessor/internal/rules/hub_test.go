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

// oneNode is what an agent of cluster west knows: the pods of its node, and neither gateways nor other clusters.
func oneNode(t testing.TB, pods map[string]string) *topology.Snapshot {
	t.Helper()
	spec := topology.ClusterSpec{Name: "west", Region: "r", Network: "n", TrustDomain: "west.mesh"}
	for name, address := range pods {
		namespace := "istio-system"
		if name == "web" || name == "db" {
			namespace = "shop"
		}
		spec.Workloads = append(spec.Workloads, topology.WorkloadSpec{Name: name, Namespace: namespace, Service: name, ServiceAccount: name, Pods: []topology.PodSpec{
			{Name: name + "-1", Addresses: []netip.Addr{netip.MustParseAddr(address)}, Zone: "r-1"},
		}})
	}
	b := topology.NewBuilder("", topology.Limits{})
	require.NoError(t, b.Add(&spec))
	return b.Build(time.Unix(0, 0))
}

// TestTheHubCorrectsTheAgent: an agent knows one node. What it stamps for want of knowledge must not stand at the hub.
func TestTheHubCorrectsTheAgent(t *testing.T) {
	tests := []struct {
		name, near string
		knows      map[string]string
		call       Call
		// What the agent and then the hub says.
		agentSource, agentDestination, source, destination, via string
	}{
		{
			"the caller of an egress gateway is on another node", "egress",
			map[string]string{"egress": "10.0.0.12"},
			Call{Kind: ClientKind, UpstreamCluster: outDB, DownstreamAddress: "10.0.0.1:5", UpstreamAddress: "10.0.0.2:80", PeerSAN: webSAN},
			"/ unknown:address_not_found", "/ unknown:address_not_found", "west/web ip", "west/db ip", "",
		},
		{
			"the caller of an egress gateway is on another node, and nothing proves that there is one", "egress",
			map[string]string{"egress": "10.0.0.12"},
			Call{Kind: ClientKind, UpstreamCluster: outDB, DownstreamAddress: "10.0.0.1"},
			"west/egress tag", "/ unknown:no_address", "/ unknown:ambiguous", "/ unknown:no_address", "",
		},
		{
			"an egress gateway out of the mesh", "egress",
			map[string]string{"egress": "10.0.0.12"},
			Call{Kind: ClientKind, UpstreamCluster: external, DownstreamAddress: "10.0.0.1"},
			"/ unknown:address_not_found", "/ unknown:external", "west/web ip", "/ unknown:external", "",
		},
		{
			"an ingress gateway that nothing of the mesh calls", "ingress",
			map[string]string{"ingress": "10.0.0.11"},
			Call{Kind: ClientKind, UpstreamCluster: outDB, DownstreamAddress: "52.1.1.1"},
			"west/ingress tag", "/ unknown:no_address", "west/ingress tag", "/ unknown:no_address", "",
		},
		{
			"a gateway between the networks that only the hub knows", "db",
			map[string]string{"db": "10.0.0.2", "ew": "10.0.0.15"},
			Call{Kind: ServerKind, UpstreamCluster: "inbound|80||", DownstreamAddress: "10.0.0.15"},
			"west/ew ip", "west/db tag", "/ unknown:behind_gateway", "west/db tag", westEW,
		},
		{
			"a gateway between the networks by its name", "db",
			map[string]string{"db": "10.0.0.2", "istio-eastwestgateway": "10.0.0.19"},
			Call{Kind: ServerKind, UpstreamCluster: "inbound|80||", DownstreamAddress: "10.0.0.19"},
			"/ unknown:behind_gateway", "west/db tag", "/ unknown:behind_gateway", "west/db tag", "east_west",
		},
		{
			"a trust domain is the only one that the agent knows", "db",
			map[string]string{"db": "10.0.0.2"},
			Call{Kind: ServerKind, UpstreamCluster: "inbound|80||", PeerSAN: webSAN},
			"/ unknown:no_address", "west/db tag", "west/ trust_domain", "west/db tag", "",
		},
		{
			"metadata of a gateway into a network that the agent does not know", "web",
			map[string]string{"web": "10.0.0.1"},
			Call{Kind: ClientKind, UpstreamCluster: outDB, EndpointMetadata: ";;;;north", UpstreamAddress: "20.0.0.2:15443"},
			"west/web tag", "/ unknown:behind_gateway", "west/web tag", "north/ endpoint_metadata", northEW,
		},
		{
			"the hub knows another holder of the address, and the agent knew the caller", "egress",
			map[string]string{"egress": "10.0.0.12", "web": "10.0.9.9"},
			Call{Kind: ClientKind, UpstreamCluster: external, DownstreamAddress: "10.0.9.9"},
			"west/web ip", "/ unknown:external", "west/web ip", "/ unknown:external", "",
		},
		{
			"the hub does not know the caller any more", "egress",
			map[string]string{"egress": "10.0.0.12", "web": "10.0.0.77"},
			Call{Kind: ClientKind, UpstreamCluster: external, DownstreamAddress: "10.0.0.77"},
			"west/web ip", "/ unknown:external", "west/web ip", "/ unknown:external", "",
		},
	}
	hub := roleMesh(t).At(time.Time{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			agent := oneNode(t, tt.knows).At(time.Time{}).Local()
			reporter := nodes[tt.near]
			near, call := ResolveNear(agent, &reporter), tt.call
			v := Judge(agent, &near, &call)
			assert.Equal(t, tt.agentSource, endWord(&v.Source, v.SourceBy), "the agent's source")
			assert.Equal(t, tt.agentDestination, endWord(&v.Destination, v.DestinationBy), "the agent's destination")
			call.Stamped = v
			near = ResolveNear(hub, &reporter)
			var trace Trace
			v = JudgeTraced(hub, &near, &call, &trace)
			assert.Equal(t, tt.source, endWord(&v.Source, v.SourceBy), "source")
			assert.Equal(t, tt.destination, endWord(&v.Destination, v.DestinationBy), "destination")
			assert.Equal(t, tt.via, v.Via, "via")
			assert.Equal(t, v, Judge(hub, &near, &call))
		})
	}
}

// TestAnAgentDoesNotSpeakOfAllPods: the pods of a workload that an agent sees need not be all of them.
func TestAnAgentDoesNotSpeakOfAllPods(t *testing.T) {
	s := oneNode(t, map[string]string{"web": "10.0.0.1", "db": "10.0.0.2"})
	reporter := nodes["web"]
	call := Call{UpstreamCluster: outDB, EndpointMetadata: "db;shop;db;v1;west"}
	near := ResolveNear(s.At(time.Time{}).Local(), &reporter)
	v := Judge(s.At(time.Time{}).Local(), &near, &call)
	assert.Empty(t, v.Destination.Zone)
	assert.Equal(t, "r-1", v.Source.Zone, "the reporter's own pod is known")
	call.Stamped = v
	v = Judge(s.At(time.Time{}), &near, &call)
	assert.Equal(t, "r-1", v.Destination.Zone, "a hub with one cluster knows them all")
}

// TestTheClusterOfTheReporter: what the resource says against the proxy's own tag.
func TestTheClusterOfTheReporter(t *testing.T) {
	const webNode, newNode = "sidecar~10.0.0.1~web-1.shop~d", "sidecar~10.0.0.99~new-1.shop~d"
	tests := []struct {
		name     string
		reporter Reporter
		cluster  string
		workload string
		conflict bool
	}{
		{"they agree", Reporter{NodeID: webNode, Cluster: "west", TagCluster: "west"}, "west", "web", false},
		{"the pod is where the resource says", Reporter{NodeID: webNode, Cluster: "west", TagCluster: "north"}, "west", "web", true},
		{"the pod is where the tag says", Reporter{NodeID: webNode, Cluster: "north", TagCluster: "west"}, "west", "web", true},
		{"the resource has another name for the cluster", Reporter{NodeID: webNode, Cluster: "aks-west-prod", TagCluster: "west"}, "west", "web", true},
		{"the tag has another name for the cluster", Reporter{NodeID: webNode, Cluster: "west", TagCluster: "mesh-west"}, "west", "web", true},
		{"nothing settles it: the tag is stronger", Reporter{NodeID: newNode, Cluster: "north", TagCluster: "west"}, "west", "", true},
		{"a cluster that nobody described", Reporter{NodeID: newNode, Cluster: "hub", TagCluster: "south"}, "south", "", true},
		{"the default id is no claim", Reporter{NodeID: newNode, Cluster: "west", TagCluster: "Kubernetes"}, "west", "", false},
		{"the proxy's own word on the resource", Reporter{NodeID: newNode, Cluster: "north", TagCluster: "west", PeerMetadata: true}, "north", "", true},
		{"a network of one cluster", Reporter{NodeID: newNode, Cluster: "Kubernetes", Network: "m"}, "north", "", false},
	}
	s := roleMesh(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			near := ResolveNear(s.At(time.Time{}), &tt.reporter)
			assert.Equal(t, tt.cluster, near.End.Cluster)
			assert.Equal(t, tt.workload, near.End.Workload)
			assert.Equal(t, tt.conflict, near.Conflict)
			assert.True(t, near.By.Known())
			var trace Trace
			assert.Equal(t, near, ResolveNearTraced(s.At(time.Time{}), &tt.reporter, &trace))
			assert.NotEmpty(t, trace.Near.Tried)
		})
	}
}

// TestACertificateOverrulesWords: what proxies say of a peer is in headers, a certificate is proven.
func TestACertificateOverrulesWords(t *testing.T) {
	web := mesh.End{Cluster: "west", Namespace: "shop", Workload: "web"}
	runRoles(t, []roleCase{
		{"the same account", "db", Call{UpstreamCluster: "inbound|80||", DownstreamPeer: web, PeerSAN: webSAN}, "west/web peer_metadata", "west/db tag", "", "", mesh.TLSMutual},
		{
			"another account", "db",
			Call{UpstreamCluster: "inbound|80||", DownstreamPeer: web, PeerSAN: "spiffe://west.mesh/ns/shop/sa/cart"},
			"/ unknown:conflict", "west/db tag", "", "", mesh.TLSMutual,
		},
		{
			"another namespace", "db",
			Call{UpstreamCluster: "inbound|80||", DownstreamPeer: web, PeerSAN: "spiffe://west.mesh/ns/evil/sa/web"},
			"/ unknown:conflict", "west/db tag", "", "", mesh.TLSMutual,
		},
		{
			"another cluster's trust domain", "db",
			Call{UpstreamCluster: "inbound|80||", DownstreamPeer: web, PeerSAN: "spiffe://north.mesh/ns/shop/sa/web"},
			"/ unknown:conflict", "west/db tag", "", "", mesh.TLSMutual,
		},
		{
			"a trust domain that was given up", "db",
			Call{UpstreamCluster: "inbound|80||", DownstreamPeer: web, PeerSAN: "spiffe://old.mesh/ns/shop/sa/web"},
			"west/web peer_metadata", "west/db tag", "", "", mesh.TLSMutual,
		},
		{
			"a waypoint is named, and the address agrees with the certificate", "db",
			Call{UpstreamCluster: "inbound|80||", DownstreamPeer: mesh.End{Cluster: "west", Namespace: "shop", Workload: "edge-proxy"}, DownstreamAddress: "10.0.0.1:5", PeerSAN: webSAN},
			"west/web ip", "west/db tag", "", "", mesh.TLSMutual,
		},
		{
			"the address agrees with the certificate, and words do not", "web",
			Call{UpstreamCluster: outDB, EndpointMetadata: "web;shop;web;v1;west", UpstreamAddress: "10.0.0.2:80", UpstreamSAN: dbSAN},
			"west/web tag", "west/db ip", "", "", mesh.TLSMutual,
		},
		{
			"two identities prove none", "db",
			Call{UpstreamCluster: "inbound|80||", PeerSAN: webSAN + "," + northSAN},
			"/ unknown:no_address", "west/db tag", "", "", mesh.TLSMutual,
		},
		{
			"the called end", "web",
			Call{UpstreamCluster: outDB, EndpointMetadata: "db;shop;db;v1;west", UpstreamSAN: northSAN},
			"west/web tag", "/ unknown:conflict", "db", "", mesh.TLSMutual,
		},
	})
}

// TestTheDefaultClusterID: whoever has it says nothing by it, but where a described cluster has the workload.
func TestTheDefaultClusterID(t *testing.T) {
	described := func(others ...string) topology.View {
		b := topology.NewBuilder("", topology.Limits{})
		require.NoError(t, b.Add(&topology.ClusterSpec{Name: "Kubernetes", Network: "n", Workloads: []topology.WorkloadSpec{{Name: "db", Namespace: "shop"}}}))
		for _, name := range others {
			require.NoError(t, b.Add(&topology.ClusterSpec{Name: name}))
		}
		return b.Build(time.Unix(0, 0)).At(time.Time{})
	}
	db, other := mesh.End{Cluster: "Kubernetes", Namespace: "shop", Workload: "db"}, mesh.End{Cluster: "Kubernetes", Namespace: "shop", Workload: "other"}
	for _, tt := range []struct {
		name string
		at   topology.View
		end  mesh.End
		want string
	}{
		{"a workload of it", described("b"), db, "Kubernetes"},
		{"not a workload of it", described("b"), other, ""},
		{"no other cluster is known, so the far one may have the same id", described(), db, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, believed(tt.at, &tt.end).Cluster)
		})
	}
}

// TestAWorkloadThatIsNotKnownMayBeInAnotherNetwork as a virtual machine of the cluster is.
func TestAWorkloadThatIsNotKnownMayBeInAnotherNetwork(t *testing.T) {
	at := roleMesh(t).At(time.Time{})
	end := mesh.End{Cluster: "west", Namespace: "shop", Workload: "machine"}
	completeFromTopology(at, &end)
	assert.Equal(t, mesh.End{Cluster: "west", Region: "r", Namespace: "shop", Workload: "machine"}, end)
	end = mesh.End{Cluster: "west", Service: "db"}
	completeFromTopology(at, &end)
	assert.Equal(t, "n", end.Network)
}

func TestUniqueNames(t *testing.T) {
	pod := func(kind, name string) *topology.Pod {
		return &topology.Pod{Name: name, Workload: &topology.Workload{Kind: kind}}
	}
	for _, tt := range []struct {
		kind, name string
		want       bool
	}{
		{"statefulset", "db-0", false},
		{"pod", "web-bcdfg", false},
		{"deployment", "web-1", true},
		{"daemonset", "agent-x2kqz", true},
		{"", "db-0", false},
		{"", "web-5d8f7c9b4x-x2kqz", true},
		{"", "web-abcde", false},
		{"", "-x2kqz", false},
		{"", "web", false},
	} {
		assert.Equal(t, tt.want, unique(pod(tt.kind, tt.name)), "%s %s", tt.kind, tt.name)
	}
}

// TestTheOnlyClusterIsNotTheReportersBecauseOfThat: one that nobody described may have a pod of the same name and address.
func TestTheOnlyClusterIsNotTheReportersBecauseOfThat(t *testing.T) {
	at := oneNode(t, map[string]string{"web": "10.0.0.1"}).At(time.Time{})
	for _, reporter := range []Reporter{
		{NodeID: "sidecar~10.0.0.1~web-1.shop~d", TagCluster: "Kubernetes"},
		{Address: netip.MustParseAddr("10.0.0.1")},
	} {
		near := ResolveNear(at, &reporter)
		assert.Empty(t, near.End.Cluster, "%+v", reporter)
		reporter.LocalCluster = "west"
		near = ResolveNear(at, &reporter)
		assert.Equal(t, "web", near.End.Workload, "a collector that was told its cluster knows")
	}
}
