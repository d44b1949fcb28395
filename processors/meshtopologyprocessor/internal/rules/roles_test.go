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

// roleMesh has every kind of proxy. Cluster west in network n: web and db, an ingress, an egress and an east/west
// gateway, a waypoint and a ztunnel. Cluster north in network m behind a gateway, with an overlapping address. Cluster
// combo in network o, whose only gateway is ingress and east/west gateway in one. Clusters south and south-2 share network
// p and the gateway of one of them.
func roleMesh(t testing.TB) *topology.Snapshot {
	t.Helper()
	at := netip.MustParseAddr
	workload := func(namespace, name, pod, address string) topology.WorkloadSpec {
		return topology.WorkloadSpec{
			Name: name, Namespace: namespace, Service: name, ServiceAccount: name,
			Pods: []topology.PodSpec{{Name: pod, Addresses: []netip.Addr{at(address)}, Zone: "r-1"}},
		}
	}
	waypoint := workload("shop", "waypoint", "waypoint-1", "10.0.0.16")
	waypoint.Waypoint = true
	shared := workload("shop", "edge-proxy", "edge-proxy-1", "10.0.0.18")
	shared.Waypoint = true
	b := topology.NewBuilder("", topology.Limits{})
	require.NoError(t, b.Add(&topology.ClusterSpec{
		Name: "west", Region: "r", Network: "n", TrustDomain: "west.mesh",
		Nodes:    []topology.NodeSpec{{Name: "node", Addresses: []netip.Addr{at("10.0.9.9")}}},
		Gateways: []topology.GatewaySpec{{Name: "ew", Namespace: "istio-system", Addresses: []netip.Addr{at("20.0.0.1")}, Port: 15443}},
		Services: []topology.ServiceSpec{{Name: "db", Namespace: "shop", Addresses: []netip.Addr{at("10.100.0.1")}}},
		Workloads: []topology.WorkloadSpec{
			workload("shop", "web", "web-1", "10.0.0.1"), workload("shop", "db", "db-1", "10.0.0.2"),
			workload("istio-system", "ingress", "ingress-1", "10.0.0.11"), workload("istio-system", "egress", "egress-1", "10.0.0.12"),
			workload("istio-system", "ew", "ew-1", "10.0.0.15"), waypoint, shared,
			workload("istio-system", "ztunnel", "ztunnel-1", "10.0.0.17"), workload("istio-system", "istio-eastwestgateway", "iewg-1", "10.0.0.19"),
			workload("hike", "good-waypoint", "good-waypoint-1", "10.0.0.20"),
		},
	}))
	require.NoError(t, b.Add(&topology.ClusterSpec{
		Name: "north", Region: "s", Network: "m", TrustDomain: "north.mesh",
		Gateways:  []topology.GatewaySpec{{Name: "ew", Namespace: "istio-system", Addresses: []netip.Addr{at("20.0.0.2")}, Port: 15443}},
		Workloads: []topology.WorkloadSpec{workload("shop", "db", "db-north", "10.0.0.2")},
	}))
	require.NoError(t, b.Add(&topology.ClusterSpec{
		Name: "combo", Region: "q", Network: "o", TrustDomain: "combo.mesh",
		Gateways:  []topology.GatewaySpec{{Name: "edge", Namespace: "istio-system", Addresses: []netip.Addr{at("20.0.0.3")}, Port: 15443}},
		Workloads: []topology.WorkloadSpec{workload("istio-system", "edge", "edge-1", "10.2.0.15"), workload("shop", "cart", "cart-1", "10.2.0.2")},
	}))
	require.NoError(t, b.Add(&topology.ClusterSpec{
		Name: "south", Region: "t", Network: "p", TrustDomain: "south.mesh",
		Gateways: []topology.GatewaySpec{{Name: "ew", Namespace: "istio-system", Addresses: []netip.Addr{at("20.0.0.4")}, Port: 15443}},
	}))
	require.NoError(t, b.Add(&topology.ClusterSpec{Name: "south-2", Region: "t", Network: "p", TrustDomain: "south2.mesh"}))
	return b.Build(time.Unix(0, 0))
}

var nodes = map[string]Reporter{
	"web":      {NodeID: "sidecar~10.0.0.1~web-1.shop~d", TagCluster: "west"},
	"db":       {NodeID: "sidecar~10.0.0.2~db-1.shop~d", TagCluster: "west"},
	"ingress":  {NodeID: "router~10.0.0.11~ingress-1.istio-system~d", TagCluster: "west"},
	"egress":   {NodeID: "router~10.0.0.12~egress-1.istio-system~d", TagCluster: "west"},
	"agentgw":  {NodeID: "agentgateway~10.0.0.12~egress-1.istio-system~d", TagCluster: "west"},
	"ew":       {NodeID: "router~10.0.0.15~ew-1.istio-system~d", TagCluster: "west"},
	"waypoint": {NodeID: "waypoint~10.0.0.16~waypoint-1.shop~d", TagCluster: "west"},
	"ztunnel":  {Cluster: "west", Namespace: "istio-system", Pod: "ztunnel-1"},
	"edge":     {NodeID: "router~10.2.0.15~edge-1.istio-system~d", TagCluster: "combo"},
	"cart":     {NodeID: "sidecar~10.2.0.2~cart-1.shop~d", TagCluster: "combo"},
	"tagged":   {TagCluster: "west"},
	"unnamed":  {Cluster: "west", Namespace: "istio-system", Pod: "egress-1"},
	"newgw":    {NodeID: "router~10.0.0.99~new-1.istio-system~d", TagCluster: "west"},
}

const (
	outDB     = "outbound|80||db.shop.svc.cluster.local"
	sniDB     = "outbound_.80_._.db.shop.svc.cluster.local"
	external  = "outbound|443||api.example.com"
	vipDB     = "inbound-vip|80|http|db.shop.svc.cluster.local"
	webSAN    = "spiffe://west.mesh/ns/shop/sa/web"
	dbSAN     = "spiffe://west.mesh/ns/shop/sa/db"
	northSAN  = "spiffe://north.mesh/ns/shop/sa/db"
	wayptSAN  = "spiffe://west.mesh/ns/shop/sa/waypoint"
	edgeSAN   = "spiffe://combo.mesh/ns/istio-system/sa/edge"
	westEW    = "west/istio-system/ew"
	northEW   = "north/istio-system/ew"
	comboEdge = "combo/istio-system/edge"
)

type roleCase struct {
	name, near string
	call       Call
	// An end is "cluster/workload resolution", the cluster or workload empty if it is not known.
	source, destination string
	service, via, tls   string
}

func endWord(end *mesh.End, by mesh.Resolution) string {
	return end.Cluster + "/" + end.Workload + " " + by.String()
}

func runRoles(t *testing.T, cases []roleCase) {
	t.Helper()
	s := roleMesh(t)
	for _, tt := range cases {
		t.Run(tt.near+": "+tt.name, func(t *testing.T) {
			reporter, ok := nodes[tt.near]
			require.True(t, ok)
			near := ResolveNear(s.At(time.Time{}), &reporter)
			call := tt.call
			var trace Trace
			v := JudgeTraced(s.At(time.Time{}), &near, &call, &trace)
			assert.Equal(t, tt.source, endWord(&v.Source, v.SourceBy), "source")
			assert.Equal(t, tt.destination, endWord(&v.Destination, v.DestinationBy), "destination")
			assert.Equal(t, tt.via, v.Via, "via")
			if tt.service != "" {
				assert.Equal(t, tt.service, v.Destination.Service, "service")
			}
			if tt.tls == "" {
				tt.tls = mesh.TLSUnknown
			}
			assert.Equal(t, tt.tls, v.TLS, "TLS")
			assert.Equal(t, tt.call, call, "the call is not changed")
			assert.Equal(t, v, Judge(s.At(time.Time{}), &near, &call), "the trace changes nothing")
			view := s.At(time.Time{})
			assert.Zero(t, testing.AllocsPerRun(5, func() { Judge(view, &near, &call) }), "allocations")
			call.Stamped = v
			again := Judge(s.At(time.Time{}), &near, &call)
			again.SourceConflict, again.DestinationConflict = v.SourceConflict, v.DestinationConflict
			assert.Equal(t, v, again, "a second pass changes nothing")
			checkTrace(t, &trace.Source, &v.Source, v.SourceBy)
			checkTrace(t, &trace.Destination, &v.Destination, v.DestinationBy)
		})
	}
}

// checkTrace: a known end has exactly one winner, which is what it is stamped with; an unknown one has none.
func checkTrace(t *testing.T, trace *EndTrace, end *mesh.End, by mesh.Resolution) {
	t.Helper()
	winners := 0
	for _, e := range trace.Tried {
		if e.Outcome == Won {
			winners++
			assert.Equal(t, by.String(), e.By.String())
			assert.Equal(t, end.Cluster, e.Said.Cluster)
		}
	}
	if by.Known() {
		assert.Equal(t, 1, winners, "%+v", trace.Tried)
	} else {
		assert.Zero(t, winners, "%+v", trace.Tried)
	}
}

func TestSidecars(t *testing.T) {
	runRoles(t, []roleCase{
		{"from a workload", "db", Call{Kind: ServerKind, UpstreamCluster: "inbound|80||", DownstreamAddress: "10.0.0.1:5"}, "west/web ip", "west/db tag", "", "", ""},
		{"from the ingress gateway", "db", Call{Kind: ServerKind, UpstreamCluster: "inbound|80||", DownstreamAddress: "10.0.0.11"}, "west/ingress ip", "west/db tag", "", "", ""},
		{"from the east/west gateway", "db", Call{UpstreamCluster: "inbound|80||", DownstreamAddress: "10.0.0.15:5"}, "/ unknown:behind_gateway", "west/db tag", "", westEW, ""},
		{
			"from the east/west gateway, by the caller's certificate", "db",
			Call{UpstreamCluster: "inbound|80||", DownstreamAddress: "10.0.0.15:5", PeerSAN: northSAN},
			"north/ trust_domain", "west/db tag", "", westEW, mesh.TLSMutual,
		},
		{"from a waypoint", "db", Call{UpstreamCluster: "inbound|80||", DownstreamAddress: "10.0.0.16:5"}, "/ unknown:behind_gateway", "west/db tag", "", "", ""},
		{
			"from a waypoint, by its certificate", "db",
			Call{UpstreamCluster: "inbound|80||", DownstreamAddress: "10.0.0.16:5", PeerSAN: wayptSAN},
			"/ unknown:behind_gateway", "west/db tag", "", "", mesh.TLSMutual,
		},
		{
			"from a waypoint whose address nothing tells", "db",
			Call{UpstreamCluster: "inbound|80||", PeerSAN: wayptSAN},
			"/ unknown:behind_gateway", "west/db tag", "", "", mesh.TLSMutual,
		},
		{
			"from a waypoint, by the peer's metadata", "db",
			Call{UpstreamCluster: "inbound|80||", DownstreamPeer: mesh.End{Cluster: "west", Namespace: "shop", Workload: "waypoint"}},
			"/ unknown:behind_gateway", "west/db tag", "", "", "",
		},
		{
			"the peer's pod tells its zone", "db",
			Call{UpstreamCluster: "inbound|80||", DownstreamPeer: mesh.End{Cluster: "west", Namespace: "shop", Workload: "web"}, DownstreamPod: "web-1"},
			"west/web peer_metadata", "west/db tag", "", "", "",
		},
		{"in plain text", "db", Call{UpstreamCluster: "inbound|80||", DownstreamAddress: "10.0.0.1:5", PlainText: true}, "west/web ip", "west/db tag", "", "", mesh.TLSNone},
		{
			"out of a tunnel: what is inside tells nothing of TLS", "db",
			Call{UpstreamCluster: "inbound|80||", DownstreamAddress: "10.0.0.1:5", DownstreamLocal: "envoy://connect_terminate/10.0.0.2:80", PlainText: true},
			"west/web ip", "west/db tag", "", "", "",
		},
		{"a legacy outbound span", "web", Call{Kind: ClientKind, UpstreamCluster: outDB, DownstreamAddress: "10.0.0.1"}, "west/web tag", "/ unknown:no_address", "db", "", ""},
		{"to a workload", "web", Call{Kind: ClientKind, UpstreamCluster: outDB, UpstreamAddress: "10.0.0.2:80"}, "west/web tag", "west/db ip", "", "", ""},
		{
			"to a workload that proved who it is", "web",
			Call{Kind: ClientKind, UpstreamCluster: outDB, UpstreamAddress: "10.0.0.2:80", UpstreamSAN: dbSAN},
			"west/web tag", "west/db ip", "", "", mesh.TLSMutual,
		},
		{
			"to who proved to be somewhere", "web",
			Call{Kind: ClientKind, UpstreamCluster: outDB, UpstreamSAN: northSAN},
			"west/web tag", "north/ trust_domain", "db", "", mesh.TLSMutual,
		},
		{
			"a web server's certificate is no identity", "web",
			Call{Kind: ClientKind, UpstreamCluster: external, UpstreamAddress: "52.0.0.1:443", UpstreamSAN: "https://example.com"},
			"west/web tag", "/ unknown:external", "api.example.com", "", "",
		},
		{
			"a trust domain's own certificate is no workload's", "web",
			Call{UpstreamCluster: outDB, UpstreamAddress: "10.0.0.2:80", UpstreamSAN: "spiffe://west.mesh"},
			"west/web tag", "west/db ip", "", "", "",
		},
		{"to another network", "web", Call{UpstreamCluster: outDB, UpstreamAddress: "20.0.0.2:15443"}, "west/web tag", "north/ gateway", "db", northEW, ""},
		{
			"to another network, by metadata alone", "web",
			Call{Kind: ClientKind, UpstreamCluster: outDB, EndpointMetadata: ";;;;north"},
			"west/web tag", "north/ endpoint_metadata", "db", northEW, "",
		},
		{
			"to another network, by the certificate too", "web",
			Call{UpstreamCluster: outDB, UpstreamAddress: "20.0.0.2:15443", EndpointMetadata: ";;;;north", UpstreamSAN: northSAN},
			"west/web tag", "north/ endpoint_metadata", "db", northEW, mesh.TLSMutual,
		},
		{
			"an endpoint of a ServiceEntry has no workload and is no gateway", "web",
			Call{UpstreamCluster: outDB, EndpointMetadata: ";shop;db;latest;west"},
			"west/web tag", "west/ endpoint_metadata", "db", "", "",
		},
		{
			"metadata that names the gateway", "web",
			Call{UpstreamCluster: outDB, EndpointMetadata: "ew;istio-system;ew;latest;north"},
			"west/web tag", "north/ gateway", "db", northEW, "",
		},
		{"a gateway nobody described, by its port", "web", Call{UpstreamCluster: outDB, UpstreamAddress: "20.9.9.9:15443"}, "west/web tag", "/ unknown:behind_gateway", "db", "east_west", ""},
		{"a pod that listens on the gateways' port", "web", Call{UpstreamCluster: outDB, UpstreamAddress: "10.0.0.11:15443"}, "west/web tag", "/ unknown:behind_gateway", "db", "east_west", ""},
		{"to a waypoint", "web", Call{UpstreamCluster: outDB, UpstreamAddress: "10.0.0.16:15008"}, "west/web tag", "/ unknown:behind_gateway", "db", "", ""},
		{
			"to a waypoint, by its certificate", "web",
			Call{UpstreamCluster: outDB, UpstreamAddress: "10.0.0.16:15008", UpstreamSAN: wayptSAN},
			"west/web tag", "/ unknown:behind_gateway", "db", "", mesh.TLSMutual,
		},
		{"through a tunnel", "web", Call{UpstreamCluster: outDB, UpstreamAddress: "envoy://connect_originate/10.0.0.2:15008"}, "west/web tag", "west/db ip", "", "", ""},
		{
			"to the egress gateway", "web",
			Call{UpstreamCluster: "outbound|443||egress.istio-system.svc.cluster.local", UpstreamAddress: "10.0.0.12:8443"},
			"west/web tag", "west/egress ip", "", "", "",
		},
		{"out of the mesh", "web", Call{UpstreamCluster: external, UpstreamAddress: "52.0.0.1:443"}, "west/web tag", "/ unknown:external", "api.example.com", "", ""},
		{"out of the mesh, unmatched", "web", Call{UpstreamCluster: "PassthroughCluster", UpstreamAddress: "52.0.0.1:443"}, "west/web tag", "/ unknown:external", "", "", ""},
		{"to a virtual address", "web", Call{UpstreamCluster: "PassthroughCluster", UpstreamAddress: "10.100.0.1:80"}, "west/web tag", "/ unknown:service_address", "db", "", ""},
		{"a black hole", "web", Call{UpstreamCluster: "BlackHoleCluster"}, "west/web tag", "/ unknown:no_upstream", "", "", ""},
		{"no healthy host", "web", Call{Kind: ClientKind, UpstreamCluster: outDB, NoUpstream: true}, "west/web tag", "/ unknown:no_upstream", "db", "", ""},
		{"the host is written as none", "web", Call{Kind: ClientKind, UpstreamCluster: outDB, NoHost: true}, "west/web tag", "/ unknown:no_upstream", "db", "", ""},
		{
			"no healthy host at last, but an endpoint was tried", "web",
			Call{Kind: ClientKind, UpstreamCluster: outDB, NoUpstream: true, UpstreamAddress: "10.0.0.2:80"},
			"west/web tag", "west/db ip", "", "", "",
		},
		{
			"no healthy host at last, but an endpoint was named", "web",
			Call{Kind: ClientKind, UpstreamCluster: outDB, NoUpstream: true, EndpointMetadata: "db;shop;db;v1;Kubernetes"},
			"west/web tag", "/db unknown:no_address", "", "", "",
		},
		{
			"from a waypoint of another name", "db",
			Call{UpstreamCluster: "inbound|80||", DownstreamAddress: "10.0.0.18:5", PeerSAN: "spiffe://west.mesh/ns/shop/sa/edge-proxy"},
			"/ unknown:behind_gateway", "west/db tag", "", "", mesh.TLSMutual,
		},
		{
			"from a workload that is no waypoint, whatever its name", "db",
			Call{UpstreamCluster: "inbound|80||", DownstreamAddress: "10.0.0.20:5"},
			"west/good-waypoint ip", "west/db tag", "", "", "",
		},
		{
			"out of a tunnel: the address within is the called end's", "db",
			Call{UpstreamCluster: "inbound|80||", DownstreamAddress: "envoy://connect_terminate/10.0.0.1:80"},
			"/ unknown:no_address", "west/db tag", "", "", "",
		},
		{
			"called from its own address, whatever the kind", "web",
			Call{Kind: ServerKind, DownstreamAddress: "10.0.0.1:5"},
			"west/web tag", "/ unknown:no_address", "", "", "",
		},
		{
			"what may be its own, of who is not known by an address", "tagged",
			Call{Kind: ClientKind, UpstreamCluster: outDB, UpstreamAddress: "10.0.0.1", UpstreamMayBeOwn: true},
			"west/ tag", "/ unknown:no_address", "db", "", "",
		},
		{
			"to a network of two clusters, whose gateway is in one", "web",
			Call{UpstreamCluster: outDB, EndpointMetadata: ";;;;south", UpstreamAddress: "20.0.0.4:15443"},
			"west/web tag", "/ unknown:behind_gateway", "db", "south/istio-system/ew", "",
		},
		{
			"an address of many, out of the mesh", "web",
			Call{UpstreamCluster: external, UpstreamAddress: "20.0.0.2"},
			"west/web tag", "/ unknown:external", "api.example.com", "", "",
		},
		{
			"a tunnel within a tunnel", "web",
			Call{UpstreamCluster: outDB, UpstreamAddress: "envoy://inner_connect_originate/10.0.0.2:80"},
			"west/web tag", "/ unknown:behind_gateway", "db", "east_west", "",
		},
	})
}

func TestGateways(t *testing.T) {
	runRoles(t, []roleCase{
		{"from a load balancer", "ingress", Call{Kind: ClientKind, UpstreamCluster: outDB, DownstreamAddress: "52.1.1.1"}, "west/ingress tag", "/ unknown:no_address", "db", "", ""},
		{"from a node", "ingress", Call{Kind: ClientKind, UpstreamCluster: outDB, DownstreamAddress: "10.0.9.9"}, "west/ingress tag", "/ unknown:no_address", "db", "", ""},
		{"an attempt", "ingress", Call{Kind: ClientKind, UpstreamCluster: outDB, UpstreamAddress: "10.0.0.2:80"}, "west/ingress tag", "west/db ip", "", "", ""},
		{"an attempt in another network", "ingress", Call{Kind: ClientKind, UpstreamCluster: outDB, UpstreamAddress: "20.0.0.2:15443"}, "west/ingress tag", "north/ gateway", "db", northEW, ""},
		{"an attempt through a waypoint", "ingress", Call{Kind: ClientKind, UpstreamCluster: outDB, UpstreamAddress: "envoy://connect_originate/10.0.0.16:15008"}, "west/ingress tag", "/ unknown:behind_gateway", "db", "", ""},
		{"no route", "ingress", Call{Kind: ServerKind, DownstreamAddress: "52.1.1.1", NoUpstream: true}, "west/ingress tag", "/ unknown:no_upstream", "", "", ""},
		{"from an address that a pod has, and others outside of the mesh may have", "ingress", Call{Kind: ClientKind, UpstreamCluster: outDB, DownstreamAddress: "10.0.0.1"}, "/ unknown:ambiguous", "/ unknown:no_address", "db", "", ""},
		{"from a workload of the mesh", "ingress", Call{UpstreamCluster: outDB, DownstreamAddress: "10.0.0.1:5", PeerSAN: webSAN}, "west/web ip", "/ unknown:no_address", "db", "", ""},
		{
			"a client certificate of a web client", "ingress",
			Call{UpstreamCluster: outDB, UpstreamAddress: "10.0.0.2:80", DownstreamAddress: "52.1.1.1:5", PeerSAN: "client.example.com"},
			"west/ingress tag", "west/db ip", "", "", "",
		},
		{
			"mutual TLS to the workload", "ingress",
			Call{UpstreamCluster: outDB, UpstreamAddress: "10.0.0.2:80", DownstreamAddress: "52.1.1.1:5", UpstreamSAN: dbSAN},
			"west/ingress tag", "west/db ip", "", "", mesh.TLSMutual,
		},
		{"in the middle, by address", "egress", Call{Kind: ClientKind, UpstreamCluster: external, DownstreamAddress: "10.0.0.1"}, "west/web ip", "/ unknown:external", "api.example.com", "", ""},
		{
			"in the middle, with both addresses", "egress",
			Call{UpstreamCluster: external, DownstreamAddress: "10.0.0.1:5", UpstreamAddress: "52.0.0.1:443", PeerSAN: webSAN},
			"west/web ip", "/ unknown:external", "api.example.com", "", "",
		},
		{
			"in the middle, by the certificate", "egress",
			Call{UpstreamCluster: external, UpstreamAddress: "52.0.0.1:443", PeerSAN: northSAN},
			"north/ trust_domain", "/ unknown:external", "api.example.com", "", "",
		},
		{
			"in the middle, by the peer", "egress",
			Call{UpstreamCluster: external, DownstreamPeer: mesh.End{Cluster: "west", Namespace: "shop", Workload: "web"}},
			"west/web peer_metadata", "/ unknown:external", "api.example.com", "", "",
		},
		{
			"in the middle, to a service", "egress",
			Call{UpstreamCluster: outDB, DownstreamAddress: "10.0.0.1:5", UpstreamAddress: "10.0.0.2:80", PeerSAN: webSAN, UpstreamSAN: dbSAN},
			"west/web ip", "west/db ip", "", "", mesh.TLSMutual,
		},
		{"an attempt out of the mesh: whose nothing tells", "egress", Call{Kind: ClientKind, UpstreamCluster: external, UpstreamAddress: "52.0.0.1:443"}, "/ unknown:no_address", "/ unknown:external", "api.example.com", "", ""},
		{"an attempt of who is not known to be a gateway", "unnamed", Call{Kind: ClientKind, Attempt: true, UpstreamCluster: external, UpstreamAddress: "52.0.0.1:443"}, "/ unknown:no_address", "/ unknown:external", "api.example.com", "", ""},
		{"an attempt within the mesh", "unnamed", Call{Kind: ClientKind, Attempt: true, UpstreamCluster: outDB, UpstreamAddress: "10.0.0.2:80"}, "west/egress ip", "west/db ip", "", "", ""},
		{"a caller that is not known here", "egress", Call{Kind: ClientKind, UpstreamCluster: external, DownstreamAddress: "10.0.0.77"}, "/ unknown:address_not_found", "/ unknown:external", "api.example.com", "", ""},
		{"agentgateway in the middle", "agentgw", Call{Kind: ServerKind, UpstreamCluster: outDB, DownstreamAddress: "10.0.0.1", PeerSAN: webSAN}, "west/web ip", "/ unknown:no_address", "db", "", ""},
		{
			"someone behind a gateway calls", "egress",
			Call{UpstreamCluster: external, DownstreamAddress: "10.0.0.15:5", UpstreamAddress: "52.0.0.1:443"},
			"/ unknown:behind_gateway", "/ unknown:external", "api.example.com", westEW, "",
		},
	})
}

func TestEastWestGateways(t *testing.T) {
	runRoles(t, []roleCase{
		{
			"forwards by server name", "ew",
			Call{UpstreamCluster: sniDB, SNI: sniDB, DownstreamAddress: "10.0.0.1:5", DownstreamLocal: "10.0.0.15:15443", UpstreamAddress: "10.0.0.2:80"},
			"/ unknown:cross_network", "west/db ip", "", westEW, "",
		},
		{"found nobody", "ew", Call{SNI: sniDB, DownstreamLocal: "10.0.0.15:15443", NoUpstream: true}, "/ unknown:no_address", "/ unknown:no_upstream", "db", westEW, ""},
		{
			"by its port, without a cluster", "newgw",
			Call{SNI: sniDB, DownstreamLocal: "10.0.0.99:15443", UpstreamAddress: "10.0.0.2:80"},
			"/ unknown:no_address", "west/db ip", "", "east_west", "",
		},
		{
			"nobody described it", "newgw",
			Call{UpstreamCluster: sniDB, DownstreamAddress: "10.0.0.1:5", UpstreamAddress: "10.0.0.2:80"},
			"/ unknown:cross_network", "west/db ip", "", "east_west", "",
		},
		{"to a waypoint", "ew", Call{UpstreamCluster: sniDB, UpstreamAddress: "10.0.0.16:15008"}, "/ unknown:no_address", "/ unknown:behind_gateway", "db", westEW, ""},
		{
			"takes tunnels", "ew",
			Call{UpstreamCluster: vipDB, DownstreamLocal: "10.0.0.15:15008", DownstreamAddress: "10.0.0.1:5", UpstreamAddress: "10.0.0.2:15008", PeerSAN: northSAN},
			"north/ trust_domain", "west/db ip", "", westEW, "",
		},
		{
			"takes tunnels in", "ew",
			Call{UpstreamCluster: "main_internal", DownstreamLocal: "10.0.0.15:15008", UpstreamAddress: "envoy://main_internal/10.0.0.2:80"},
			"/ unknown:no_address", "west/db ip", "", westEW, "",
		},
		{
			"the ingress gateway that it is too", "edge",
			Call{Kind: ClientKind, UpstreamCluster: "outbound|80||cart.shop.svc.cluster.local", DownstreamAddress: "52.1.1.1"},
			"combo/edge tag", "/ unknown:no_address", "cart", "", "",
		},
		{
			"the ingress gateway that it is too, in an access log", "edge",
			Call{UpstreamCluster: "outbound|80||cart.shop.svc.cluster.local", DownstreamLocal: "10.2.0.15:8443", DownstreamAddress: "52.1.1.1:5", UpstreamAddress: "10.2.0.2:80"},
			"combo/edge tag", "combo/cart ip", "", "", "",
		},
		{
			"as an east/west gateway", "edge",
			Call{UpstreamCluster: "outbound_.80_._.cart.shop.svc.cluster.local", DownstreamLocal: "10.2.0.15:15443", UpstreamAddress: "10.2.0.2:80"},
			"/ unknown:no_address", "combo/cart ip", "", comboEdge, "",
		},
		{
			"a span of it, to a cluster of the user's own", "edge",
			Call{Kind: ClientKind, UpstreamCluster: "my-own"},
			"combo/edge tag", "/ unknown:no_address", "", "", "",
		},
		{
			"no route on another port", "edge",
			Call{UpstreamCluster: "BlackHoleCluster", DownstreamLocal: "10.2.0.15:8443", DownstreamAddress: "52.1.1.1:5"},
			"combo/edge tag", "/ unknown:no_upstream", "", "", "",
		},
		{
			"a workload called by the ingress gateway that is both", "cart",
			Call{UpstreamCluster: "inbound|80||", DownstreamAddress: "10.2.0.15:5", PeerSAN: edgeSAN},
			"combo/edge ip", "combo/cart tag", "", "", mesh.TLSMutual,
		},
		{
			"a workload called through it", "cart",
			Call{UpstreamCluster: "inbound|80||", DownstreamAddress: "10.2.0.15:5", PeerSAN: northSAN},
			"north/ trust_domain", "combo/cart tag", "", comboEdge, mesh.TLSMutual,
		},
	})
}
