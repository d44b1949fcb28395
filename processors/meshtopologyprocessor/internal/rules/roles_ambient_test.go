// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"testing"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
)

func TestWaypoints(t *testing.T) {
	web := mesh.End{Cluster: "west", Namespace: "shop", Workload: "web", Service: "web"}
	db := mesh.End{Cluster: "west", Namespace: "shop", Workload: "db", Service: "db"}
	gateway := mesh.End{Cluster: "north", Namespace: "istio-system", Workload: "ew", Service: "ew"}
	runRoles(t, []roleCase{
		{"by tags", "waypoint", Call{Kind: ServerKind, UpstreamCluster: vipDB, SourceTag: web, DestinationTag: db}, "west/web tag", "west/db tag", "", "", ""},
		{"by addresses", "waypoint", Call{Kind: ServerKind, UpstreamCluster: vipDB, DownstreamAddress: "10.0.0.1:5", UpstreamAddress: "envoy://connect_originate/10.0.0.2:80"}, "west/web ip", "west/db ip", "", "", ""},
		{
			"tags that name the gateway of the hop", "waypoint",
			Call{UpstreamCluster: vipDB, SourceTag: gateway, DestinationTag: gateway},
			"/ unknown:behind_gateway", "north/ gateway", "db", northEW, "",
		},
		{
			"tags that name the gateway without its cluster", "waypoint",
			Call{UpstreamCluster: vipDB, SourceTag: web, DestinationTag: mesh.End{Namespace: "istio-system", Workload: "ew"}},
			"west/web tag", "/ unknown:behind_gateway", "db", "east_west", "",
		},
		{
			"to another network", "waypoint",
			Call{UpstreamCluster: vipDB, SourceTag: web, UpstreamAddress: "envoy://outer_connect_originate/20.0.0.2:15008"},
			"west/web tag", "north/ gateway", "db", northEW, "",
		},
		{
			"to another network, from the outer cluster", "waypoint",
			Call{UpstreamCluster: "outer_connect_originate", SourceTag: web, UpstreamAddress: "20.0.0.2:15008"},
			"west/web tag", "north/ gateway", "", northEW, "",
		},
		{
			"to another network, by a name", "waypoint",
			Call{UpstreamCluster: vipDB, SourceTag: web, UpstreamAddress: "envoy://inner_connect_originate/db.shop.svc.cluster.local:80"},
			"west/web tag", "/ unknown:behind_gateway", "db", "east_west", "",
		},
		{"from the east/west gateway", "waypoint", Call{UpstreamCluster: vipDB, DownstreamAddress: "10.0.0.15:5", DestinationTag: db}, "/ unknown:behind_gateway", "west/db tag", "", westEW, ""},
		{"the tunnel's TLS is not told inside of it", "waypoint", Call{UpstreamCluster: vipDB, SourceTag: web, DestinationTag: db, PlainText: true}, "west/web tag", "west/db tag", "", "", ""},
		{
			"a certificate in a namespace with a gateway may be the gateway's", "waypoint",
			Call{UpstreamCluster: vipDB, DestinationTag: db, PeerSAN: "spiffe://north.mesh/ns/istio-system/sa/any"},
			"/ unknown:behind_gateway", "west/db tag", "", "", mesh.TLSMutual,
		},
		{"by a pod's name", "waypoint", Call{UpstreamCluster: vipDB, SourceTag: web, SourceName: "web-1", DestinationTag: mesh.End{Cluster: "west", Namespace: "shop"}, DestinationName: "db-1"}, "west/web tag", "west/db tag", "", "", ""},
	})
}

func TestZtunnels(t *testing.T) {
	shop := mesh.End{Cluster: "west", Namespace: "shop"}
	runRoles(t, []roleCase{
		{
			"outbound, to a pod", "ztunnel",
			Call{Ztunnel: "outbound", SourceTag: shop, SourceName: "web-1", DestinationTag: shop, DestinationName: "db-1", DownstreamAddress: "10.0.0.1:5", UpstreamAddress: "10.0.0.2:15008", HBONETarget: "10.0.0.2:80", CalledHost: "db.shop.svc.cluster.local", UpstreamSAN: dbSAN},
			"west/web tag", "west/db tag", "db", "", mesh.TLSMutual,
		},
		{
			"inbound", "ztunnel",
			Call{Ztunnel: "inbound", SourceTag: shop, SourceName: "web-1", DestinationTag: shop, DestinationName: "db-1", DownstreamAddress: "10.0.0.1:5", UpstreamAddress: "10.0.0.2:80", PeerSAN: webSAN},
			"west/web tag", "west/db tag", "db", "", mesh.TLSMutual,
		},
		{"by addresses alone", "ztunnel", Call{Ztunnel: "outbound", DownstreamAddress: "10.0.0.1:5", UpstreamAddress: "10.0.0.2:80"}, "west/web ip", "west/db ip", "", "", ""},
		{"names that the topology does not know are not written", "ztunnel", Call{Ztunnel: "outbound", SourceTag: shop, SourceName: "new-1", DestinationTag: shop, DestinationName: "other-1"}, "west/ tag", "west/ tag", "", "", ""},
		{"a workload's name", "ztunnel", Call{Ztunnel: "outbound", SourceTag: shop, SourceName: "web", DestinationTag: shop, DestinationName: "db"}, "west/web tag", "west/db tag", "", "", ""},
		{
			"outbound, to a waypoint for a service", "ztunnel",
			Call{Ztunnel: "outbound", SourceTag: shop, SourceName: "web-1", DestinationTag: shop, DestinationName: "waypoint-1", UpstreamAddress: "10.0.0.16:15008", HBONETarget: "10.100.0.1:80", CalledHost: "db.shop.svc.cluster.local", UpstreamSAN: wayptSAN},
			"west/web tag", "/ unknown:behind_gateway", "db", "", mesh.TLSMutual,
		},
		{
			"outbound, to a waypoint for a pod", "ztunnel",
			Call{Ztunnel: "outbound", SourceTag: shop, SourceName: "web-1", DestinationTag: shop, DestinationName: "waypoint-1", UpstreamAddress: "10.0.0.16:15008", HBONETarget: "10.0.0.2:80", UpstreamSAN: wayptSAN},
			"west/web tag", "west/db ip", "db", "", mesh.TLSMutual,
		},
		{
			"outbound, to a waypoint that nothing tells from a workload", "ztunnel",
			Call{Ztunnel: "outbound", SourceTag: shop, SourceName: "web-1", DestinationTag: mesh.End{Cluster: "west", Namespace: "istio-system"}, DestinationName: "egress-1", UpstreamAddress: "10.0.0.12:15008", HBONETarget: "10.0.0.2:80", UpstreamSAN: "spiffe://west.mesh/ns/istio-system/sa/egress"},
			"west/web tag", "west/db ip", "db", "", mesh.TLSMutual,
		},
		{
			"outbound, through the east/west gateway", "ztunnel",
			Call{Ztunnel: "outbound", SourceTag: shop, SourceName: "web-1", UpstreamAddress: "20.0.0.2:15008", HBONETarget: "db.shop.svc.cluster.local:80", CalledHost: "db.shop.svc.cluster.local"},
			"west/web tag", "north/ gateway", "db", northEW, "",
		},
		{
			"outbound, the gateway is named as the peer", "ztunnel",
			Call{Ztunnel: "outbound", SourceTag: shop, SourceName: "web-1", DestinationTag: mesh.End{Cluster: "north", Namespace: "istio-system"}, DestinationName: "ew", UpstreamAddress: "20.0.0.2:15008", HBONETarget: "db.shop.svc.cluster.local:80", CalledHost: "db.shop.svc.cluster.local"},
			"west/web tag", "north/ gateway", "db", northEW, "",
		},
		{
			"inbound, from a waypoint", "ztunnel",
			Call{Ztunnel: "inbound", SourceTag: shop, SourceName: "waypoint-1", DestinationTag: shop, DestinationName: "db-1", DownstreamAddress: "10.0.0.16:5", PeerSAN: wayptSAN},
			"/ unknown:behind_gateway", "west/db tag", "db", "", mesh.TLSMutual,
		},
		{"out of the mesh", "ztunnel", Call{Ztunnel: "outbound", SourceTag: shop, SourceName: "web-1", UpstreamAddress: "52.0.0.1:443", CalledHost: "api.example.com"}, "west/web tag", "/ unknown:external", "api.example.com", "", ""},
	})
}

// FuzzRoles: whatever the telemetry says, an end has a cluster exactly if something told it, carriers are no ends, the
// trace changes nothing, and a second pass changes nothing.
func FuzzRoles(f *testing.F) {
	s := roleMesh(f)
	f.Add("egress", external, "52.0.0.1:443", "10.0.0.1:5", "-", webSAN, "", "", "", uint8(2), uint8(0))
	f.Add("ztunnel", "", "10.0.0.16:15008", "10.0.0.1:5", "", webSAN, wayptSAN, "10.0.0.2:80", "db.shop.svc.cluster.local", uint8(0), uint8(1))
	f.Add("ztunnel", "", "20.0.0.2:15008", "10.0.0.1:5", "", "", "", "db.shop.svc.cluster.local:80", "api.example.com", uint8(0), uint8(1))
	f.Add("waypoint", "outer_connect_originate", "envoy://inner_connect_originate/20.0.0.2:15008", "envoy://x/10.0.0.1:5", ";;;;north", northSAN, dbSAN, "", "", uint8(1), uint8(0))
	f.Add("edge", "outbound_.80_._.cart.shop.svc.cluster.local", "10.2.0.2:80", "10.2.0.15:5", "edge;istio-system;edge;v1;combo", edgeSAN, "", "", "", uint8(0), uint8(0))
	f.Fuzz(func(t *testing.T, reporter, cluster, up, down, metadata, downSAN, upSAN, target, host string, kind, more uint8) {
		r, ok := nodes[reporter]
		if !ok {
			r = Reporter{NodeID: reporter, TagCluster: "west"}
		}
		at := s.At(time.Time{})
		near := ResolveNear(at, &r)
		call := Call{
			Kind: Kind(kind % 3), UpstreamCluster: cluster, UpstreamAddress: up, DownstreamAddress: down, EndpointMetadata: metadata,
			PeerSAN: downSAN, UpstreamSAN: upSAN, HBONETarget: target, CalledHost: host, Ztunnel: [...]string{"", "outbound", "inbound"}[more%3],
			Attempt: more&4 != 0, NoHost: more&8 != 0, NoUpstream: more&16 != 0, UpstreamMayBeOwn: more&32 != 0, PlainText: more&64 != 0,
		}
		var trace Trace
		v := JudgeTraced(at, &near, &call, &trace)
		if v != Judge(at, &near, &call) {
			t.Fatal("the trace changes the verdict")
		}
		for _, end := range []*mesh.End{&v.Source, &v.Destination} {
			if w, ok := at.Workload(end.Cluster, end.Namespace, end.Workload); ok && (w.Waypoint || w.EastWest != nil) && end.Workload != near.End.Workload && end.Workload != "edge" {
				t.Fatalf("a carrier is an end: %+v", v)
			}
		}
		if v.SourceBy.Known() != v.Source.Known() || v.DestinationBy.Known() != v.Destination.Known() {
			t.Fatalf("an end has a cluster exactly if something told it: %+v", v)
		}
		call.Stamped = v
		again := Judge(at, &near, &call)
		again.SourceConflict, again.DestinationConflict = v.SourceConflict, v.DestinationConflict
		if again != v {
			t.Fatalf("judged again:\n%+v\n%+v", v, again)
		}
	})
}

// BenchmarkTrace is what a trace costs: without one, as in production, nothing beside a look whether there is one.
func BenchmarkTrace(b *testing.B) {
	at := roleMesh(b).At(time.Time{})
	reporter := nodes["web"]
	near := ResolveNear(at, &reporter)
	call := Call{Kind: ClientKind, UpstreamCluster: outDB, UpstreamAddress: "10.0.0.2:80", UpstreamSAN: dbSAN}
	b.Run("none", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			JudgeTraced(at, &near, &call, nil)
		}
	})
	b.Run("recorded", func(b *testing.B) {
		var trace Trace
		b.ReportAllocs()
		for b.Loop() {
			JudgeTraced(at, &near, &call, &trace)
		}
	})
}
