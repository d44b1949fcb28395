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

func second(s int) time.Time { return time.Unix(1_800_000_000+int64(s), 0) }

// reused is cluster a, in which web-0 was at 10.0.0.1 in zone r-1 from second 0 until second 10 to 12 and is at
// 10.0.0.2 in zone r-2 from second 20 to 21 on, in which 10.0.0.1 is db's from second 11 on, 10.0.0.3 was lost sight of
// between seconds 10 and 20, and 10.0.0.9 is on node n1 and its pod in the host network.
func reused(t testing.TB) (*topology.Writer, *topology.Snapshot) {
	t.Helper()
	w := topology.NewWriter(topology.WriterSettings{History: time.Hour, Now: func() time.Time { return second(60) }})
	pod := func(name, workload, address, zone string, since, seen int) topology.PodState {
		return topology.PodState{
			PodSpec:   topology.PodSpec{Name: name, Addresses: []netip.Addr{netip.MustParseAddr(address)}, Zone: zone},
			Namespace: "shop", Workload: workload, Kind: "statefulset", Service: workload, Since: second(since), Seen: second(seen),
		}
	}
	host := pod("proxy-1", "proxy", "10.0.0.9", "r-1", 0, 0)
	host.HostNetwork = true
	w.Apply(&topology.Delta{
		Cluster: "a", At: second(1), Full: true, Facts: &topology.ClusterFacts{Region: "r", Network: "n", TrustDomain: "a.mesh"},
		Nodes: []topology.NodeSpec{{Name: "n1", Zone: "r-1", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.9")}}},
		Pods: []topology.PodState{
			pod("web-0", "web", "10.0.0.1", "r-1", 0, 0), pod("old-0", "old", "10.0.0.3", "r-1", 0, 0), host,
			pod("always-0", "always", "10.0.0.8", "r-1", 0, 0),
		},
	})
	w.Apply(&topology.Delta{Cluster: "a", At: second(20), GonePods: []topology.PodEnd{
		{Namespace: "shop", Name: "web-0", Earliest: second(10), Latest: second(12)},
		{Namespace: "shop", Name: "old-0", Earliest: second(10), Latest: second(20), Gap: true},
	}})
	// Another cluster, as a topology that knows one alone tells nothing by what is the only one of its kind.
	w.Apply(&topology.Delta{Cluster: "b", At: second(60), Full: true, Facts: &topology.ClusterFacts{Region: "s", Network: "m", TrustDomain: "b.mesh"}})
	w.Apply(&topology.Delta{Cluster: "a", At: second(60), Pods: []topology.PodState{
		pod("web-0", "web", "10.0.0.2", "r-2", 20, 21), pod("db-0", "db", "10.0.0.1", "r-1", 11, 15),
	}})
	return w, w.Publish()
}

const alwaysNode = "sidecar~10.0.0.8~always-0.shop~shop.svc.cluster.local"

// TestBothEndsAreLookedUpAtTheTimeOfTheCall walks one address through its holders, as the called and as the calling end.
func TestBothEndsAreLookedUpAtTheTimeOfTheCall(t *testing.T) {
	tests := []struct {
		name     string
		at       time.Time
		address  string
		workload string
		by       mesh.Resolution
	}{
		{"before all", second(-1), "10.0.0.1", "", mesh.UnknownAddressNotFound},
		{"the first", second(5), "10.0.0.1", "web", mesh.ByIP},
		{"the first, perhaps gone", second(10), "10.0.0.1", "web", mesh.ByIP},
		{"both possible", second(11), "10.0.0.1", "", mesh.UnknownAddressAmbiguous},
		{"the second, perhaps not yet", second(13), "10.0.0.1", "db", mesh.ByIP},
		{"the second", second(15), "10.0.0.1", "db", mesh.ByIP},
		{"the newest", time.Time{}, "10.0.0.1", "db", mesh.ByIP},
		{"before the gap", second(9), "10.0.0.3", "old", mesh.ByIP},
		{"in the gap", second(15), "10.0.0.3", "", mesh.UnknownTopologyGap},
		{"after the gap", second(25), "10.0.0.3", "", mesh.UnknownAddressNotFound},
		{"a node's", second(15), "10.0.0.9", "", mesh.UnknownNodeAddress},
		{"nobody's", second(15), "10.0.0.77", "", mesh.UnknownAddressNotFound},
	}
	_, s := reused(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at := s.At(tt.at)
			near := ResolveNear(at, &Reporter{NodeID: alwaysNode, TagCluster: "a"})
			out := Judge(at, &near, &Call{UpstreamCluster: "outbound|80||x.shop.svc.cluster.local", UpstreamAddress: tt.address + ":80"})
			assert.Equal(t, tt.by.String(), out.DestinationBy.String())
			assert.Equal(t, tt.workload, out.Destination.Workload)
			in := Judge(at, &near, &Call{UpstreamCluster: "inbound|80||", DownstreamAddress: tt.address + ":5000"})
			assert.Equal(t, tt.by.String(), in.SourceBy.String())
			assert.Equal(t, tt.workload, in.Source.Workload)
		})
	}
}

func TestTheReporterIsLookedUpAtTheTimeOfTheCall(t *testing.T) {
	_, s := reused(t)
	byName := &Reporter{Cluster: "a", Namespace: "shop", Pod: "web-0"}
	byAddress := func(address string) *Reporter {
		return &Reporter{Address: netip.MustParseAddr(address), Network: "n"}
	}
	tests := []struct {
		name           string
		at             time.Time
		reporter       *Reporter
		workload, zone string
		by             mesh.Resolution
	}{
		{"the first of the name", second(5), byName, "web", "r-1", mesh.ByIP},
		{"between the two", second(15), byName, "", "", mesh.ByIP},
		{"the second of the name", second(30), byName, "web", "r-2", mesh.ByIP},
		{"the newest of the name", time.Time{}, byName, "web", "r-2", mesh.ByIP},
		{"the first at the address", second(5), byAddress("10.0.0.1"), "web", "r-1", mesh.ByIP},
		{"the second at the address", second(30), byAddress("10.0.0.1"), "db", "r-1", mesh.ByIP},
		{"either", second(11), byAddress("10.0.0.1"), "", "", mesh.UnknownAddressAmbiguous},
		{"in the gap", second(15), byAddress("10.0.0.3"), "", "", mesh.UnknownTopologyGap},
		{"nobody", second(15), byAddress("10.0.0.77"), "", "", mesh.UnknownAddressNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			near := ResolveNear(s.At(tt.at), tt.reporter)
			assert.Equal(t, tt.workload, near.End.Workload)
			assert.Equal(t, tt.zone, near.End.Zone)
			assert.Equal(t, tt.by.String(), near.By.String())
		})
	}
}

// TestHolds: where a reporter is said to hold, resolving it again must give the same.
func TestHolds(t *testing.T) {
	_, s := reused(t)
	reporters := []Reporter{
		{Cluster: "a", Namespace: "shop", Pod: "web-0"},
		{NodeID: alwaysNode, TagCluster: "a"},
		{NodeID: alwaysNode},
		{Address: netip.MustParseAddr("10.0.0.1"), Network: "n"},
		{NodeID: "sidecar~10.9.9.9~nobody-0.shop~d", TagCluster: "a"},
	}
	times := []time.Time{{}}
	for i := -1; i < 30; i++ {
		times = append(times, second(i))
	}
	held := 0
	for i := range reporters {
		for _, from := range times {
			near := ResolveNear(s.At(from), &reporters[i])
			for _, to := range times {
				if near.Holds(to) {
					held++
					require.Equal(t, near, ResolveNear(s.At(to), &reporters[i]), "reporter %d from %s to %s", i, from, to)
				}
			}
		}
	}
	assert.Greater(t, held, 1000, "a pod that was there all the time must not be looked up again and again")
	near := ResolveNear(s.At(second(5)), &reporters[0])
	assert.False(t, near.Holds(second(10)), "it may have ended")
	assert.False(t, near.Holds(time.Time{}), "another has the name now")
}

// TestStale: what comes of a cluster that nobody confirms is marked, and what others told is not.
func TestStale(t *testing.T) {
	w, s := reused(t)
	stale := func(call *Call) bool {
		at := s.At(second(30))
		near := ResolveNear(at, &Reporter{NodeID: "sidecar~10.9.9.9~x.other~d", TagCluster: "elsewhere", Network: "n"})
		v := Judge(at, &near, call)
		return v.Stale
	}
	whole := mesh.End{
		Cluster: "a", Region: "r", Zone: "r-1", Network: "n", Namespace: "shop", Workload: "db", Service: "db", Version: "v", Principal: "p",
	}
	part := mesh.End{Cluster: "a", Namespace: "shop", Workload: "db"}
	tests := []struct {
		name string
		call Call
		want bool
	}{
		{"by address", Call{Kind: ClientKind, UpstreamAddress: "10.0.0.1:80"}, true},
		{"by the trust domain", Call{Kind: ServerKind, PeerSAN: "spiffe://a.mesh/ns/shop/sa/db"}, true},
		{"completed", Call{Kind: ClientKind, DestinationTag: part}, true},
		{"by the proxy alone", Call{Kind: ClientKind, DestinationTag: whole}, false},
		{"nothing", Call{Kind: ClientKind}, false},
		{"contradicted", Call{Kind: ClientKind, DestinationTag: mesh.End{Cluster: "z"}, UpstreamAddress: "10.0.0.1:80"}, false},
		{
			"an agent knew it all",
			Call{Kind: ClientKind, UpstreamAddress: "10.0.0.1:80", Stamped: Verdict{Destination: whole, DestinationBy: mesh.ByIP, TLS: mesh.TLSNone}},
			false,
		},
		{
			"an agent knew it in part",
			Call{Kind: ClientKind, UpstreamAddress: "10.0.0.1:80", Stamped: Verdict{Destination: part, DestinationBy: mesh.ByIP, TLS: mesh.TLSNone}},
			true,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.MarkStale("a", time.Time{})
			assert.False(t, stale(&tt.call), "fresh")
			w.MarkStale("a", second(50))
			assert.Equal(t, tt.want, stale(&tt.call))
		})
	}
	w.MarkStale("a", time.Time{})
	assert.True(t, stale(&Call{Stamped: Verdict{Stale: true}}), "an agent's mark stays")
}

// TestTheReporterIsStale: its pod, and its cluster where the pod is not known.
func TestTheReporterIsStale(t *testing.T) {
	w, s := reused(t)
	w.MarkStale("a", second(50))
	for _, reporter := range []Reporter{{NodeID: alwaysNode, TagCluster: "a"}, {Cluster: "a", Namespace: "shop", Pod: "gone"}} {
		near := ResolveNear(s.At(time.Time{}), &reporter)
		assert.True(t, near.Stale)
		assert.True(t, Judge(s.At(time.Time{}), &near, &Call{Kind: ServerKind}).Stale)
		v := JudgeLabels(s.At(time.Time{}), &near, &Labels{Reporter: "source", Source: mesh.End{Cluster: "z"}})
		assert.False(t, v.Stale, "the labels told everything")
	}
	near := ResolveNear(s.At(time.Time{}), &Reporter{NodeID: alwaysNode, TagCluster: "a"})
	v := JudgeLabels(s.At(time.Time{}), &near, &Labels{Reporter: "source", Source: mesh.End{Cluster: "a", Namespace: "shop", Workload: "always"}})
	assert.True(t, v.Stale)
	outside := ResolveNear(s.At(time.Time{}), &Reporter{Cluster: "z", Pod: "p"})
	assert.False(t, outside.Stale)
}

// TestAHubTellsMoreThanAnAgentThatFoundNothing: an agent knows one node, and finds most addresses nowhere.
func TestAHubTellsMoreThanAnAgentThatFoundNothing(t *testing.T) {
	_, s := reused(t)
	at := s.At(second(15))
	near := ResolveNear(at, &Reporter{NodeID: alwaysNode, TagCluster: "a"})
	judged := func(stamped mesh.Resolution, address string) mesh.Resolution {
		return Judge(at, &near, &Call{Kind: ClientKind, UpstreamAddress: address, Stamped: Verdict{DestinationBy: stamped}}).DestinationBy
	}
	assert.Equal(t, mesh.UnknownTopologyGap, judged(mesh.UnknownAddressNotFound, "10.0.0.3:80"))
	assert.Equal(t, mesh.UnknownNodeAddress, judged(mesh.UnknownAddressNotFound, "10.0.0.9:80"))
	assert.Equal(t, mesh.UnknownAddressNotFound, judged(mesh.UnknownAddressNotFound, ""), "no address tells less")
	assert.Equal(t, mesh.UnknownExternal, judged(mesh.UnknownExternal, "10.0.0.3:80"), "other reasons stay")
}

func TestElsewhere(t *testing.T) {
	_, s := reused(t)
	pod := ResolveNear(s.At(second(30)), &Reporter{Cluster: "a", Namespace: "shop", Pod: "web-0"})
	tests := []struct {
		name, region, zone string
		want               bool
	}{
		{"nothing", "", "", false},
		{"the same", "r", "r-2", false},
		{"the same, in Azure's words", "r", "2", false},
		{"the same, without the region", "", "2", false},
		{"the same, in capitals", "R", "R-2", false},
		{"another zone", "r", "r-1", true},
		{"another zone, in Azure's words", "r", "1", true},
		{"another zone, without the region", "", "1", true},
		{"another region", "s", "", true},
		{"the same number in another region", "s", "2", true},
		{"no zone on Azure", "r", "0", false},
		{"Istio's word for nothing", "unknown", "-", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, pod.Elsewhere(tt.region, tt.zone))
			unknown := Near{}
			assert.False(t, unknown.Elsewhere(tt.region, tt.zone))
		})
	}
}
