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

// threeClusters are a and b in networks of their own with a gateway each, and c, which is in b's network. Web runs in a
// in two zones; db in b and everywhere else; shop in b only.
func threeClusters(t testing.TB) *topology.Snapshot {
	t.Helper()
	at := netip.MustParseAddr
	pod := func(name, address, zone string) topology.PodSpec {
		spec := topology.PodSpec{Name: name, Zone: zone}
		if address != "" {
			spec.Addresses = []netip.Addr{at(address)}
		}
		return spec
	}
	workload := func(namespace, name, kind string, pods ...topology.PodSpec) topology.WorkloadSpec {
		return topology.WorkloadSpec{Name: name, Namespace: namespace, Kind: kind, Service: name, ServiceAccount: name, Pods: pods}
	}
	gateway := func(address string) []topology.GatewaySpec {
		return []topology.GatewaySpec{{Name: "ew", Namespace: "istio-system", Addresses: []netip.Addr{at(address)}, Port: 15443}}
	}
	b := topology.NewBuilder("", topology.Limits{})
	require.NoError(t, b.Add(&topology.ClusterSpec{
		Name: "a", Region: "r", Network: "n", TrustDomain: "a.mesh", Gateways: gateway("20.0.0.1"),
		Workloads: []topology.WorkloadSpec{
			workload("shop", "web", "deployment", pod("web-1", "10.0.0.1", "r-1"), pod("web-2", "10.0.0.2", "r-2")),
			workload("istio-system", "ew", "deployment", pod("ew-1", "10.0.0.9", "r-1")),
			workload("istio-system", "ztunnel", "daemonset", pod("ztunnel-1", "10.0.0.8", "r-1")),
		},
	}))
	require.NoError(t, b.Add(&topology.ClusterSpec{
		Name: "b", Region: "s", Network: "m", TrustDomain: "b.mesh", Gateways: gateway("20.0.0.2"),
		Workloads: []topology.WorkloadSpec{
			workload("shop", "db", "deployment", pod("db-1", "10.0.0.1", "s-1")),
			workload("istio-system", "ew", "deployment", pod("ew-1", "10.0.0.9", "s-1")),
		},
	}))
	require.NoError(t, b.Add(&topology.ClusterSpec{
		Name: "c", Region: "s", Network: "m", TrustDomain: "c.mesh",
		Workloads: []topology.WorkloadSpec{workload("shop", "db", "deployment", pod("db-1", "10.0.0.3", "s-2"))},
	}))
	return b.Build(time.Unix(0, 0))
}

func reportedBy(s *topology.Snapshot, cluster, namespace, pod string) Near {
	return ResolveNear(s.At(time.Time{}), &Reporter{Cluster: cluster, Namespace: namespace, Pod: pod})
}

// webEnd is what labels say of web; none is what they say of nothing.
var (
	webEnd = mesh.End{Cluster: "a", Namespace: "shop", Workload: "web", Service: "web"}
	none   = mesh.End{Cluster: "unknown", Namespace: "unknown", Workload: "unknown", Service: "unknown", Version: "latest", Principal: "unknown"}
)

func unknownBut(change func(*mesh.End)) mesh.End {
	end := none
	change(&end)
	return end
}

func TestUnknownClusterIsRepairedByEvidenceOnly(t *testing.T) {
	tests := []struct {
		name        string
		destination mesh.End
		labels      Labels
		cluster     string
		by          mesh.Resolution
	}{
		{
			"nothing", none, Labels{}, "", mesh.UnknownNoEvidence,
		},
		{
			"the called service has pods in known clusters only", none,
			Labels{CalledHost: "web.shop.svc.cluster.local", CalledService: "web", CalledNamespace: "shop"},
			"", mesh.UnknownNoEvidence,
		},
		{
			"no endpoint", none, Labels{NoUpstream: true, CalledHost: "db.shop.svc.cluster.local"}, "", mesh.UnknownNoUpstream,
		},
		{
			"the workload is in one known cluster only", unknownBut(func(e *mesh.End) { e.Namespace, e.Workload = "shop", "web" }),
			Labels{},
			"", mesh.UnknownNoCluster,
		},
		{
			"its trust domain", unknownBut(func(e *mesh.End) {
				e.Namespace, e.Workload, e.Principal = "shop", "db", "spiffe://c.mesh/ns/shop/sa/db"
			}), Labels{}, "c", mesh.ByTrustDomain,
		},
		{
			"a trust domain that nobody has", unknownBut(func(e *mesh.End) { e.Workload, e.Principal = "db", "spiffe://z.mesh/ns/shop/sa/db" }),
			Labels{},
			"", mesh.UnknownNoCluster,
		},
		{
			"the id of every Istio", unknownBut(func(e *mesh.End) { e.Cluster, e.Namespace, e.Workload = "Kubernetes", "shop", "db" }),
			Labels{},
			"", mesh.UnknownNoCluster,
		},
		{
			"a principal of the gateway's namespace, which may be a gateway's", unknownBut(func(e *mesh.End) {
				e.Namespace, e.Principal = "istio-system", "spiffe://b.mesh/ns/istio-system/sa/some-gateway"
			}), Labels{}, "", mesh.UnknownNoCluster,
		},
		{
			"past the mesh", none, Labels{CalledHost: "example.com", CalledService: "PassthroughCluster"}, "", mesh.UnknownExternal,
		},
		{
			"refused", none, Labels{CalledService: "BlackHoleCluster"}, "", mesh.UnknownNoUpstream,
		},
	}
	s := threeClusters(t)
	near := reportedBy(s, "a", "shop", "web-1")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := tt.labels
			l.Reporter, l.Source, l.Destination = "source", webEnd, tt.destination
			v := JudgeLabels(s.At(time.Time{}), &near, &l)
			assert.Equal(t, tt.cluster, v.Destination.Cluster)
			assert.Equal(t, tt.by.String(), v.DestinationBy.String())
			assert.Equal(t, "a", v.Source.Cluster)
			assert.False(t, v.SourceConflict || v.DestinationConflict)
			assert.Empty(t, v.Via)
			if tt.destination.Workload == "unknown" {
				assert.NotEqual(t, "istio-system", v.Destination.Namespace, "the namespace of a gateway is not the destination's")
				assert.Empty(t, v.Destination.Principal)
			}
		})
	}
}

func TestTheCalledServiceIsNamed(t *testing.T) {
	s := threeClusters(t)
	near := reportedBy(s, "a", "shop", "web-1")
	judged := func(destination mesh.End, host, service, namespace string) mesh.End {
		v := JudgeLabels(s.At(time.Time{}), &near, &Labels{
			Reporter: "source", Source: webEnd, Destination: destination, CalledHost: host, CalledService: service, CalledNamespace: namespace,
		})
		return v.Destination
	}
	assert.Equal(t, mesh.End{Service: "db", Namespace: "shop"}, judged(none, "db.shop.svc.cluster.local", "db", "istio-system"),
		"Istio writes the peer's namespace where it knows none of the service")
	assert.Equal(t, mesh.End{Service: "api.example.com"}, judged(none, "api.example.com", "api.example.com", "unknown"))
	assert.Equal(t, mesh.End{}, judged(none, "example.com", "PassthroughCluster", "unknown"))
	end := judged(mesh.End{Cluster: "b", Namespace: "data", Workload: "pg", Service: "unknown"}, "db.shop.svc.cluster.local", "db", "shop")
	assert.Equal(t, "data", end.Namespace, "the workload's namespace is not the service's")
	assert.Empty(t, end.Service)
}

// TestZonesOfBothEnds: the reporter's zone is its pod's; the other end's only if all pods of the workload are in it.
func TestZonesOfBothEnds(t *testing.T) {
	s := threeClusters(t)
	web1 := reportedBy(s, "a", "shop", "web-1")
	db := mesh.End{Cluster: "b", Namespace: "shop", Workload: "db"}
	v := JudgeLabels(s.At(time.Time{}), &web1, &Labels{Reporter: "source", Source: webEnd, Destination: db})
	assert.Equal(t, "r-1", v.Source.Zone)
	assert.Equal(t, "s-1", v.Destination.Zone)
	dbNear := reportedBy(s, "b", "shop", "db-1")
	v = JudgeLabels(s.At(time.Time{}), &dbNear, &Labels{Reporter: "destination", Source: webEnd, Destination: db})
	assert.Empty(t, v.Source.Zone, "web has pods in two zones")
	assert.Equal(t, "r", v.Source.Region)
	v = JudgeLabels(s.At(time.Time{}), &web1, &Labels{Reporter: "waypoint", Source: webEnd, Destination: db})
	assert.Empty(t, v.Source.Zone, "a waypoint is at neither end")
}

// TestZtunnelServesItsNode: what it reports for is on its node, on the side that it is on.
func TestZtunnelServesItsNode(t *testing.T) {
	s := threeClusters(t)
	near := reportedBy(s, "a", "istio-system", "ztunnel-1")
	db := mesh.End{Cluster: "b", Namespace: "shop", Workload: "db"}
	v := JudgeLabels(s.At(time.Time{}), &near, &Labels{Reporter: "source", Source: webEnd, Destination: db})
	assert.Equal(t, "r-1", v.Source.Zone, "web has pods in two zones, and the ztunnel is in one")
	assert.Equal(t, "web", v.Source.Workload)
	l := Labels{Reporter: "source", Source: webEnd, Destination: db}
	l.Source.Cluster = "unknown"
	assert.Equal(t, "a", judgedSource(s, &near, &l).Cluster)
	l.Source.Workload = "unknown"
	assert.Empty(t, judgedSource(s, &near, &l).Cluster, "a caller that the ztunnel does not know may be no pod of its node")
	l = Labels{Reporter: "source", Source: webEnd, Destination: db}
	l.Source.Region, l.Source.Zone, l.Destination.Region, l.Destination.Zone = "r", "2", "unknown", "unknown"
	v = JudgeLabels(s.At(time.Time{}), &near, &l)
	assert.Equal(t, "r-2", v.Source.Zone, "the label is the workload's own, in Kubernetes' spelling")
	assert.Equal(t, "s-1", v.Destination.Zone, "unknown is nothing")
}

func judgedSource(s *topology.Snapshot, near *Near, l *Labels) mesh.End {
	return JudgeLabels(s.At(time.Time{}), near, l).Source
}

func TestTLSOfLabels(t *testing.T) {
	s := threeClusters(t)
	near := reportedBy(s, "a", "shop", "web-1")
	proven := func(end mesh.End, principal string) mesh.End {
		end.Principal = principal
		return end
	}
	db := mesh.End{Cluster: "b", Namespace: "shop", Workload: "db"}
	web, other := "spiffe://a.mesh/ns/shop/sa/web", "spiffe://b.mesh/ns/shop/sa/db"
	tests := []struct {
		name, reporter, policy string
		source, destination    mesh.End
		want                   string
	}{
		{"both identities at the caller", "source", "unknown", proven(webEnd, web), proven(db, other), mesh.TLSMutual},
		{"one identity", "source", "unknown", proven(webEnd, web), db, mesh.TLSUnknown},
		{"identities that the topology knows", "source", "unknown", webEnd, db, mesh.TLSUnknown},
		{"both identities at the called", "destination", "unknown", proven(webEnd, web), proven(db, other), mesh.TLSUnknown},
		{"the gateway's identity", "source", "unknown", proven(webEnd, web), unknownBut(func(e *mesh.End) {
			e.Principal = "spiffe://b.mesh/ns/istio-system/sa/ew"
		}), mesh.TLSUnknown},
		{"said", "destination", "mutual_tls", webEnd, db, mesh.TLSMutual},
		{"said at a waypoint", "waypoint", "mutual_tls", webEnd, db, mesh.TLSMutual},
		{"plain", "destination", "none", webEnd, db, mesh.TLSNone},
		{"outside of ztunnel's tunnel", "destination", "unknown", webEnd, proven(db, other), mesh.TLSNone},
		{"out of ztunnel, to whom it may be", "source", "unknown", proven(webEnd, web), db, mesh.TLSUnknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := JudgeLabels(s.At(time.Time{}), &near, &Labels{Reporter: tt.reporter, Policy: tt.policy, Source: tt.source, Destination: tt.destination})
			assert.Equal(t, tt.want, v.TLS)
		})
	}
}

// TestLabelsAgainWithoutThem: at a hub the labels may have been dropped, and the verdict must stand without a conflict.
func TestLabelsAgainWithoutThem(t *testing.T) {
	s := threeClusters(t)
	near := reportedBy(s, "a", "shop", "web-1")
	l := Labels{
		Reporter: "source", Source: webEnd, Destination: mesh.End{Cluster: "b", Namespace: "data", Workload: "db", Service: "db"},
		CalledHost: "db.shop.svc.cluster.local", CalledService: "db", CalledNamespace: "shop", Policy: "unknown",
	}
	v := JudgeLabels(s.At(time.Time{}), &near, &l)
	again := JudgeLabels(s.At(time.Time{}), &near, &Labels{
		Reporter: "source", CalledHost: l.CalledHost, CalledService: l.CalledService, CalledNamespace: l.CalledNamespace,
		Policy: l.Policy, Stamped: v,
	})
	assert.Equal(t, v, again)
}

func TestJudgingLabelsDoesNotAllocate(t *testing.T) {
	s := threeClusters(t)
	near := reportedBy(s, "a", "shop", "web-1")
	labels := []Labels{
		{Reporter: "source", Source: webEnd, Destination: mesh.End{Cluster: "b", Namespace: "shop", Workload: "db"}},
		{Reporter: "source", Source: webEnd, Destination: none, CalledHost: "db.shop.svc.cluster.local"},
		{Reporter: "waypoint", Source: webEnd, Destination: unknownBut(func(e *mesh.End) { e.Principal = "spiffe://b.mesh/ns/istio-system/sa/ew" })},
	}
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		for i := range labels {
			JudgeLabels(s.At(time.Time{}), &near, &labels[i])
		}
	}))
}

func FuzzJudgeLabels(f *testing.F) {
	s := threeClusters(f)
	f.Add("source", "a", "shop", "web", "spiffe://a.mesh/ns/shop/sa/web", "b", "shop", "db", "unknown", "db.shop.svc.cluster.local", "db", "web-1")
	f.Add("waypoint", "a", "shop", "web", "", "unknown", "istio-system", "unknown", "spiffe://b.mesh/ns/istio-system/sa/ew", "", "PassthroughCluster", "ew-1")
	f.Add("destination", "Kubernetes", "istio-system", "ew", "unknown", "c", "", "", "spiffe://", "x", "BlackHoleCluster", "ztunnel-1")
	f.Fuzz(func(t *testing.T, reporter, sc, sn, sw, sp, dc, dn, dw, dp, host, service, pod string) {
		near := reportedBy(s, "a", "shop", pod)
		l := Labels{
			Reporter: reporter, CalledHost: host, CalledService: service,
			Source:      mesh.End{Cluster: sc, Namespace: sn, Workload: sw, Principal: sp},
			Destination: mesh.End{Cluster: dc, Namespace: dn, Workload: dw, Principal: dp},
		}
		v := JudgeLabels(s.At(time.Time{}), &near, &l)
		if v.SourceBy.Known() != v.Source.Known() || v.DestinationBy.Known() != v.Destination.Known() {
			t.Fatalf("an end has a cluster exactly if something told it: %+v", v)
		}
		l.Stamped = v
		again := JudgeLabels(s.At(time.Time{}), &near, &l)
		again.SourceConflict, again.DestinationConflict = v.SourceConflict, v.DestinationConflict
		if again != v {
			t.Fatalf("judged again:\n%+v\n%+v", v, again)
		}
	})
}
