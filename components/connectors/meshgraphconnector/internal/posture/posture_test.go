// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

var start = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// mesh is a graph whose clock the test moves, with a topology and a store.
type mesh struct {
	t     *testing.T
	graph *graph.Graph
	known *topology.Snapshot
	store *Store
	now   time.Time
}

func newMesh(t *testing.T, clusters ...topology.ClusterSpec) *mesh {
	g, err := graph.New(graph.DefaultConfig(), start)
	require.NoError(t, err)
	return &mesh{t: t, graph: g, known: topologyOf(t, clusters...), store: New(), now: start}
}

func topologyOf(t *testing.T, clusters ...topology.ClusterSpec) *topology.Snapshot {
	b := topology.NewBuilder("mesh", topology.Limits{})
	for i := range clusters {
		require.NoError(t, b.Add(&clusters[i]))
	}
	return b.Build(start)
}

// cluster has a workload shop/web with the account web.
func cluster(name, domain string) topology.ClusterSpec {
	return topology.ClusterSpec{Name: name, TrustDomain: domain, Workloads: []topology.WorkloadSpec{
		{Namespace: "shop", Name: "web", ServiceAccount: "web", Pods: []topology.PodSpec{{Name: "web-1", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}}},
	}}
}

// call is what an edge from shop/web of a cluster to shop/reviews of the cluster north reports.
type call struct {
	cluster, workload string
	source, callee    string
	tls               graph.TLS
	requests          uint64
}

func (m *mesh) add(c *call) {
	p := &graph.Point{
		Key: graph.Key{
			Caller:   graph.Caller{Cluster: c.cluster, Namespace: "shop", Workload: c.workload},
			Callee:   graph.Callee{Cluster: "north", Namespace: "shop", Service: "reviews", Workload: "reviews-v1"},
			Protocol: graph.HTTP,
		},
		Reporter: graph.Destination, Status: 200, GRPC: -1, Requests: c.requests, RequestBytes: 10 * c.requests, ResponseBytes: c.requests,
		TLS: c.tls, SourcePrincipal: c.source, DestinationPrincipal: c.callee,
	}
	require.NoError(m.t, m.graph.Add(p))
}

// pass lets time pass with the same calls each minute, and returns the last report.
func (m *mesh) pass(minutes int, calls ...call) *Report {
	var r *Report
	for range minutes {
		for i := range calls {
			m.add(&calls[i])
		}
		m.now = m.now.Add(time.Minute)
		r = m.store.Update(m.graph.Roll(m.now), m.known)
	}
	return r
}

// west is a call of the workload web of cluster west under an identity.
func west(source string) call {
	return call{cluster: "west", workload: "web", source: source, tls: graph.TLSMutual, requests: 5}
}

const own = "spiffe://west.mesh/ns/shop/sa/web"

func TestFindings(t *testing.T) {
	two := []topology.ClusterSpec{cluster("west", "west.mesh"), cluster("north", "north.mesh")}
	for name, tt := range map[string]struct {
		clusters []topology.ClusterSpec
		calls    []call
		findings []Finding
		unjudged map[Unjudged]int
		judged   int
	}{
		"its own identity":    {two, []call{west(own)}, nil, nil, 1},
		"no identity":         {two, []call{west("")}, nil, nil, 0},
		"another cluster's":   {two, []call{west("spiffe://north.mesh/ns/shop/sa/web")}, []Finding{{Kind: ForeignCluster, Expected: "west.mesh", Clusters: []string{"north"}}}, nil, 1},
		"of nobody":           {two, []call{west("spiffe://old.mesh/ns/shop/sa/web")}, []Finding{{Kind: ForeignDomain, Expected: "west.mesh"}}, nil, 1},
		"another namespace":   {two, []call{west("spiffe://west.mesh/ns/bank/sa/web")}, []Finding{{Kind: Namespace, Expected: "shop"}}, nil, 1},
		"another account":     {two, []call{west("spiffe://west.mesh/ns/shop/sa/admin")}, []Finding{{Kind: Account, Expected: "web"}}, nil, 1},
		"not of Istio's form": {two, []call{west("spiffe://west.mesh/agent")}, nil, map[Unjudged]int{NoIdentity: 1}, 0},
		"no SPIFFE id":        {two, []call{west("CN=web")}, nil, map[Unjudged]int{NoIdentity: 1}, 0},
		"a waypoint's":        {two, []call{west("spiffe://north.mesh/ns/bank/sa/waypoint")}, nil, map[Unjudged]int{Carrier: 1}, 0},
		"a gateway's":         {two, []call{west("spiffe://north.mesh/ns/istio-system/sa/istio-eastwestgateway-service-account")}, nil, map[Unjudged]int{Carrier: 1}, 0},
		"an unknown workload has no account to compare": {
			two, []call{{cluster: "west", workload: "batch", source: "spiffe://west.mesh/ns/shop/sa/admin", requests: 1}}, nil, nil, 1,
		},
		"an unknown cluster is not judged": {
			two, []call{{workload: "web", source: "spiffe://north.mesh/ns/shop/sa/web", requests: 1}}, nil, map[Unjudged]int{NoCluster: 1}, 0,
		},
		"but its namespace is": {
			two,
			[]call{{workload: "web", source: "spiffe://north.mesh/ns/bank/sa/web", requests: 1}},
			[]Finding{{Kind: Namespace, Expected: "shop", Cluster: "-"}},
			map[Unjudged]int{NoCluster: 1},
			0,
		},
		"a cluster that the topology does not know": {
			two[1:], []call{west("spiffe://north.mesh/ns/shop/sa/web")}, nil, map[Unjudged]int{NotInTopology: 1}, 0,
		},
		"a cluster without a declared trust domain may have any": {
			[]topology.ClusterSpec{cluster("west", ""), cluster("north", "north.mesh")},
			[]call{west("spiffe://north.mesh/ns/shop/sa/web")},
			nil,
			map[Unjudged]int{NoTrustDomain: 1},
			0,
		},
		"one trust domain fits everywhere": {
			[]topology.ClusterSpec{cluster("west", "cluster.local"), cluster("north", "cluster.local")},
			[]call{west("spiffe://cluster.local/ns/shop/sa/web")},
			nil, nil, 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMesh(t, tt.clusters...)
			early := m.pass(int(Confirm/time.Minute), tt.calls...)
			assert.Empty(t, early.Findings, "nothing is a finding at once")
			assert.Equal(t, len(tt.findings), early.Summary.Unconfirmed)
			r := m.pass(1, tt.calls...)
			require.Len(t, r.Findings, len(tt.findings), "%+v", r.Findings)
			for i, want := range tt.findings {
				got := r.Findings[i]
				assert.NotEmpty(t, got.Detail)
				assert.Equal(t, start.Add(time.Minute), got.Since)
				wantCluster := "west"
				if want.Cluster == "-" {
					wantCluster = ""
				}
				assert.Equal(t, [3]string{wantCluster, "shop", "web"}, [3]string{got.Cluster, got.Namespace, got.Workload})
				assert.Equal(t, want.Kind, got.Kind)
				assert.Equal(t, want.Expected, got.Expected)
				assert.Equal(t, want.Clusters, got.Clusters)
				assert.Equal(t, tt.calls[0].tls == graph.TLSMutual, got.Proven)
				assert.Equal(t, 16*tt.calls[0].requests, got.Requests)
				assert.Equal(t, 1, r.Summary.Findings[want.Kind])
			}
			for _, reason := range reasons {
				assert.Equal(t, tt.unjudged[reason], r.Summary.Unjudged[reason], reason)
			}
			assert.Equal(t, tt.judged, r.Summary.Judged)
		})
	}
}

func TestWithoutATopology(t *testing.T) {
	m := newMesh(t)
	m.known = nil
	r := m.pass(30, west("spiffe://north.mesh/ns/bank/sa/web"))
	require.Len(t, r.Findings, 1)
	assert.Equal(t, Namespace, r.Findings[0].Kind, "the names are in the telemetry")
	assert.Equal(t, 1, r.Summary.Unjudged[NotInTopology])
}

// A callee that nobody named has the namespace of the service, and may be anywhere.
func TestAServiceIsNoWorkload(t *testing.T) {
	m := newMesh(t, cluster("west", "west.mesh"))
	for range 30 {
		require.NoError(t, m.graph.Add(&graph.Point{
			Key:      graph.Key{Callee: graph.Callee{Namespace: "shop", Service: "reviews"}, Protocol: graph.HTTP},
			Reporter: graph.Source, Status: 200, GRPC: -1, Requests: 1, DestinationPrincipal: "spiffe://west.mesh/ns/bank/sa/web",
		}))
		assert.Empty(t, m.pass(1).Findings)
	}
}

func TestIdentitiesOfSeveralClusters(t *testing.T) {
	const shared = "spiffe://mesh/ns/shop/sa/web"
	north := call{cluster: "north", workload: "web", source: shared, tls: graph.TLSMutual, requests: 3}
	for name, tt := range map[string]struct {
		domains [2]string
		sharing Sharing
		kinds   []Kind
	}{
		"a shared trust domain is a fact":       {[2]string{"mesh", "mesh"}, Shared, nil},
		"an undeclared one is not judged":       {[2]string{"mesh", ""}, Undeclared, nil},
		"none declared":                         {[2]string{"", ""}, Undeclared, nil},
		"another cluster's key":                 {[2]string{"mesh", "north.mesh"}, Foreign, []Kind{ForeignCluster, TwoClusters}},
		"other trust domains, and both foreign": {[2]string{"west.mesh", "north.mesh"}, Foreign, []Kind{ForeignDomain, ForeignDomain, TwoClusters}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMesh(t, cluster("west", tt.domains[0]), cluster("north", tt.domains[1]))
			r := m.pass(16, west(shared), north)
			require.Len(t, r.Identities, 1)
			assert.Equal(t, tt.sharing, r.Identities[0].Sharing)
			assert.Equal(t, []IdentityCluster{{"north", 1, 48, m.now}, {"west", 1, 80, m.now}}, r.Identities[0].Clusters)
			assert.Equal(t, 1, r.Summary.SeveralClusters[tt.sharing])
			var kinds []Kind
			for _, f := range r.Findings {
				kinds = append(kinds, f.Kind)
			}
			assert.Equal(t, tt.kinds, kinds)
		})
	}
}

// One cluster that declares another trust domain is enough, whatever the others say.
func TestAForeignClusterAmongUndeclaredOnes(t *testing.T) {
	const shared = "spiffe://mesh/ns/shop/sa/web"
	clusters, calls := []topology.ClusterSpec{cluster("west", "mesh"), cluster("north", "north.mesh")}, []call{west(shared)}
	for i := range 6 {
		name := fmt.Sprintf("undeclared-%d", i)
		clusters = append(clusters, cluster(name, ""))
		calls = append(calls, call{cluster: name, workload: "web", source: shared, requests: 1})
	}
	calls = append(calls, call{cluster: "north", workload: "web", source: shared, requests: 1})
	m := newMesh(t, clusters...)
	for range 20 {
		assert.Equal(t, Foreign, m.pass(1, calls...).Identities[0].Sharing)
	}
}

// While an account is changed, edges remember the old one for a while, and an inventory comes late. That is no finding; what
// comes back again and again is one, even if it is rare.
func TestWhatPassesIsNoFinding(t *testing.T) {
	m := newMesh(t, cluster("west", "west.mesh"), cluster("north", "north.mesh"))
	m.pass(10, west(own))
	odd := west("spiffe://west.mesh/ns/shop/sa/admin")
	r := m.pass(3, odd)
	assert.Equal(t, 1, r.Summary.Unconfirmed)
	for range 40 {
		assert.Empty(t, m.pass(1, west(own)).Findings)
	}
	assert.Equal(t, 1, m.store.Report().Summary.Unjudged[Old], "the edge still has it")
	assert.Len(t, m.pass(1, odd).Findings, 1)
	// An hour after it was old it begins anew.
	m.pass(72, west(own))
	assert.Empty(t, m.pass(1, odd).Findings)
}

func TestStatesOfEdges(t *testing.T) {
	m := newMesh(t, cluster("west", "west.mesh"))
	of := func(workload string, tls graph.TLS, n uint64) call {
		return call{cluster: "west", workload: workload, tls: tls, requests: n}
	}
	r := m.pass(1, of("a", graph.TLSMutual, 8), of("b", graph.TLSNone, 7), of("c", graph.TLSMutual, 3), of("c", graph.TLSNone, 1), of("d", graph.TLSUnknown, 5))
	got := map[string]State{}
	var order []State
	for _, e := range r.Edges {
		got[e.Caller.Workload] = e.State
		order = append(order, e.State)
	}
	assert.Equal(t, map[string]State{"a": Mutual, "b": Plaintext, "c": Mixed, "d": Unknown}, got)
	assert.Equal(t, []State{Plaintext, Mixed, Unknown, Mutual}, order)
	assert.Equal(t, map[State]int{Mutual: 1, Plaintext: 1, Mixed: 1, Unknown: 1}, r.Summary.Edges)
	assert.InDelta(t, 11.0/19, *r.Summary.Share, 1e-9)
	require.Len(t, r.Plaintext, 2)
	assert.Equal(t, PlaintextEdge{
		Caller: End{Cluster: "west", Namespace: "shop", Workload: "c"},
		Callee: End{Cluster: "north", Namespace: "shop", Service: "reviews", Workload: "reviews-v1"}, Protocol: "http",
		State: Mixed, Plaintext: 1, Share: 0.75, Bytes: 44, Reporters: []string{"destination"}, First: m.now, Last: m.now,
	}, r.Plaintext[1])
	assert.Equal(t, uint64(7), r.Plaintext[0].Plaintext)
	// What was in plain text an hour ago is not what is.
	calls := []call{of("a", graph.TLSMutual, 1), of("b", graph.TLSMutual, 1), of("c", graph.TLSMutual, 1), of("d", graph.TLSUnknown, 1)}
	assert.Len(t, m.pass(60, calls...).Plaintext, 2)
	r = m.pass(1, calls...)
	assert.Empty(t, r.Plaintext)
	assert.Equal(t, map[State]int{Mutual: 3, Plaintext: 0, Mixed: 0, Unknown: 1}, r.Summary.Edges)
	assert.NotNil(t, r.Edges[1].Share, "the share is of all that was since the edge is known")
}

// TestDocument is the report as JSON, with something of everything.
func TestDocument(t *testing.T) {
	m := newMesh(t, cluster("west", "west.mesh"), cluster("north", "north.mesh"))
	r := m.pass(16, west(own), west("spiffe://north.mesh/ns/bank/sa/web"),
		call{cluster: "north", workload: "web", source: own, requests: 2, tls: graph.TLSNone})
	got, err := json.MarshalIndent(r, "", "  ")
	require.NoError(t, err)
	file := filepath.Join("testdata", "report.json")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.MkdirAll("testdata", 0o750))
		require.NoError(t, os.WriteFile(file, append(got, '\n'), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got)+"\n")
	// It is empty, not null, before anything happened.
	raw, err := json.Marshal(New().Report())
	require.NoError(t, err)
	assert.NotContains(t, string(raw), "null")
}

func TestMetrics(t *testing.T) {
	m := newMesh(t, cluster("west", "west.mesh"), cluster("north", "north.mesh"))
	slice := pmetric.NewMetricSlice()
	m.store.AppendMetrics(slice, start)
	assert.Zero(t, slice.Len())
	m.pass(16, west("spiffe://north.mesh/ns/shop/sa/web"))
	m.store.AppendMetrics(slice, m.now)
	got := map[string]int64{}
	for i := range slice.Len() {
		metric := slice.At(i)
		for p := range metric.Gauge().DataPoints().Len() {
			point := metric.Gauge().DataPoints().At(p)
			assert.Equal(t, m.now, point.Timestamp().AsTime())
			name := []string{metric.Name()}
			for _, v := range point.Attributes().All() {
				name = append(name, v.Str())
			}
			got[strings.Join(name, " ")] = point.IntValue()
		}
	}
	assert.Len(t, got, len(states)+1+len(sharings)+len(Kinds)+len(reasons))
	assert.Equal(t, int64(1), got["mesh.posture.edges mutual"])
	assert.Equal(t, int64(0), got["mesh.posture.edges plaintext"])
	assert.Equal(t, int64(1), got["mesh.posture.findings trust_domain_of_another_cluster"])
	assert.Equal(t, int64(1), got["mesh.posture.identities"])
}

func TestFindingsForTheTopology(t *testing.T) {
	m := newMesh(t, cluster("west", "west.mesh"), cluster("north", "north.mesh"))
	var calls []call
	for i := range 2 * maxTold {
		c := west("spiffe://old.mesh/ns/shop/sa/web")
		c.workload = fmt.Sprintf("web-%03d", i)
		calls = append(calls, c)
	}
	calls = append(calls, west("spiffe://north.mesh/ns/shop/sa/web"))
	m.pass(16, calls...)
	told := m.store.Findings()
	require.Len(t, told, maxTold)
	assert.Equal(t, "identity_trust_domain", told[0].Kind)
	assert.Equal(t, topology.SeverityWarning, told[0].Severity)
	assert.Equal(t, "shop/web as spiffe://north.mesh/ns/shop/sa/web", told[0].Subject)
	assert.Equal(t, topology.SeverityInfo, told[1].Severity)
	for _, k := range Kinds {
		assert.NotEmpty(t, topologyKinds[k])
	}
}

func TestCeilings(t *testing.T) {
	m := newMesh(t, cluster("west", "west.mesh"))
	var calls []call
	for i := range MaxEdges + 7 {
		calls = append(calls, call{
			cluster: "west", workload: fmt.Sprintf("web-%05d", i), requests: 1, tls: graph.TLSNone,
			source: fmt.Sprintf("spiffe://old.mesh/ns/shop/sa/web-%05d", i),
		})
	}
	r := m.pass(1, calls...)
	assert.Len(t, r.Edges, MaxEdges)
	assert.Equal(t, 7, r.Summary.EdgesLeftOut)
	assert.Len(t, r.Plaintext, MaxPlaintext)
	assert.Equal(t, MaxEdges+7-MaxPlaintext, r.Summary.PlaintextLeftOut)
	assert.Equal(t, MaxFindings, r.Summary.Unconfirmed)
	assert.Equal(t, MaxEdges+7-MaxFindings, r.Summary.FindingsLeftOut)
	assert.Len(t, m.store.found, MaxFindings)
	// Both ends of all edges are the ceiling's: they belong to nobody.
	config := graph.DefaultConfig()
	config.MaxEdges = 1
	g, err := graph.New(config, start)
	require.NoError(t, err)
	m.graph = g
	assert.Len(t, m.pass(1, calls[:5]...).Edges, 1)
}

// Readers see whole reports while new ones are made.
func TestReadersDoNotLock(t *testing.T) {
	m := newMesh(t, cluster("west", "west.mesh"), cluster("north", "north.mesh"))
	var reading sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		reading.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				r := m.store.Report()
				_, err := json.Marshal(r)
				assert.NoError(t, err)
				m.store.AppendMetrics(pmetric.NewMetricSlice(), start)
				_ = m.store.Findings()
			}
		})
	}
	m.pass(60, west("spiffe://north.mesh/ns/bank/sa/web"), west(own))
	close(done)
	reading.Wait()
}

// BenchmarkUpdate is a report of 10 000 edges with two identities each; ns/edge is the part of one.
func BenchmarkUpdate(b *testing.B) {
	const edges = 10_000
	g, err := graph.New(graph.DefaultConfig(), start)
	require.NoError(b, err)
	for i := range edges {
		workload, callee := fmt.Sprintf("web-%d", i%500), fmt.Sprintf("reviews-%d", i/100)
		require.NoError(b, g.Add(&graph.Point{
			Key: graph.Key{
				Caller:   graph.Caller{Cluster: "west", Namespace: "shop", Workload: workload},
				Callee:   graph.Callee{Cluster: "west", Namespace: "shop", Service: callee, Workload: callee},
				Protocol: graph.HTTP,
			},
			Status: 200, GRPC: -1, Requests: 1, TLS: graph.TLSMutual,
			SourcePrincipal: "spiffe://west.mesh/ns/shop/sa/" + workload, DestinationPrincipal: "spiffe://west.mesh/ns/shop/sa/" + callee,
		}))
	}
	snapshot, store := g.Roll(start.Add(time.Minute)), New()
	builder := topology.NewBuilder("mesh", topology.Limits{})
	spec := cluster("west", "west.mesh")
	require.NoError(b, builder.Add(&spec))
	known := builder.Build(start)
	size := 0
	b.ReportAllocs()
	for b.Loop() {
		raw, err := json.Marshal(store.Update(snapshot, known))
		require.NoError(b, err)
		size = len(raw)
	}
	b.ReportMetric(float64(size)/edges, "B/edge")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/edges, "ns/edge")
}
