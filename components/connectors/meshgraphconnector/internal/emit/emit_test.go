// SPDX-License-Identifier: Apache-2.0

package emit

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/goleak"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/exphist"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var begin = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func keyOf(n int) *graph.Key {
	return &graph.Key{
		Caller: graph.Caller{Cluster: "west", Region: "westeurope", Namespace: "shop", Workload: fmt.Sprintf("w%d", n)},
		Callee: graph.Callee{Cluster: "west", Region: "westeurope", Namespace: "shop", Service: "cart", Workload: "cart"}, Protocol: graph.HTTP,
	}
}

func latency(values ...float64) *exphist.Histogram {
	h := exphist.New()
	for _, v := range values {
		h.Record(v, 1)
	}
	return h
}

// interval is a snapshot with something on some edges.
func interval(n int, r *rand.Rand) *graph.Snapshot {
	s := &graph.Snapshot{Start: begin.Add(time.Duration(n) * 4 * time.Second), End: begin.Add(time.Duration(n+1) * 4 * time.Second)}
	for i := range 8 {
		e := graph.Edge{Key: keyOf(i)}
		if r.IntN(2) == 0 {
			e.Interval.Classes[graph.Success] = r.Uint64N(5)
			e.Interval.RequestBytes = r.Uint64N(100)
			e.Flags = []graph.Flag{{Reporter: graph.Source, Flag: "UH", Requests: 1}, {Reporter: graph.Destination, Flag: "UH", Requests: r.Uint64N(4)}}
			e.Latency[r.IntN(2)] = latency(r.Float64()*100, r.Float64())
			e.OpenConnections = r.Uint64N(3)
		}
		s.Edges = append(s.Edges, e)
	}
	return s
}

// totals are what a sum holds, however it came about.
func totals(m *Minute) map[string]uint64 {
	out := map[string]uint64{}
	for key, e := range m.Edges {
		out["requests "+key.Caller.Workload] += e.Requests()
		out["bytes "+key.Caller.Workload] += e.RequestBytes
		for _, f := range e.Flags {
			out[fmt.Sprint("flag ", key.Caller.Workload, f.Reporter, f.Flag)] += f.Requests
		}
		for r, h := range e.Latency {
			if h != nil {
				out[fmt.Sprint("latency ", key.Caller.Workload, r)] += h.Count
			}
		}
	}
	return out
}

// TestNothingIsLostByWaiting holds sums of any parts, in any order, over a restart or not, against the sum of all.
func TestNothingIsLostByWaiting(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 3))
		whole, parts, part := New(100), New(100), New(100)
		var snapshots []*graph.Snapshot
		for n := range 40 {
			s := interval(n, r)
			snapshots = append(snapshots, s)
			whole.Add(s)
			part.Add(s)
			if r.IntN(3) == 0 {
				if r.IntN(2) == 0 {
					raw, err := part.Encode()
					require.NoError(t, err)
					part, err = Decode(raw, 100)
					require.NoError(t, err)
				}
				if r.IntN(2) == 0 {
					part.Merge(parts) // The older one into the newer one.
					parts = part
				} else {
					parts.Merge(part)
				}
				part = New(100)
			}
		}
		parts.Merge(part)
		require.Equal(t, totals(whole), totals(parts))
		require.Equal(t, whole.Start, parts.Start)
		require.Equal(t, whole.End, parts.End)
		for key, e := range whole.Edges {
			require.Equal(t, e.Open, parts.Edges[key].Open, "the latest number is the one that holds")
		}
		again := New(100)
		for _, s := range snapshots {
			again.Add(s)
		}
		require.Equal(t, totals(whole), totals(again), "a snapshot belongs to others too: nobody may change it")
	}
}

func TestTheCeilingKeepsTotals(t *testing.T) {
	m := New(3)
	var want uint64
	for n := range 200 {
		key := keyOf(n)
		key.Callee.Cluster = fmt.Sprintf("c%d", n%20)
		s := &graph.Snapshot{Start: begin, End: begin.Add(time.Second), Edges: []graph.Edge{{Key: key}}}
		s.Edges[0].Interval.Classes[graph.Success] = uint64(n)
		m.Add(s)
		want += uint64(n)
	}
	var got uint64
	for _, e := range m.Edges {
		got += e.Requests()
	}
	assert.Equal(t, want, got)
	assert.LessOrEqual(t, len(m.Edges), 3+16+1)
	assert.Equal(t, uint64(196), m.Folded)
}

func TestTheFirstPartsAreAlwaysTheSame(t *testing.T) {
	m := New(100)
	for n := range 50 {
		m.edge(keyOf((n * 7) % 50)).Classes[graph.Success] = uint64(n)
	}
	raw, err := m.Encode()
	require.NoError(t, err)
	again, err := Decode(raw, 100)
	require.NoError(t, err)
	for _, n := range []int{0, 7, 20} {
		first := m.Sorted()
		m.DropFirst(n)
		again.DropFirst(n)
		require.Len(t, m.Edges, len(first)-n)
		for i, e := range again.Sorted() {
			require.Equal(t, first[n+i].Key, e.Key)
			require.Equal(t, first[n+i].Edge.Counts, e.Edge.Counts)
		}
	}
	m.DropFirst(1000)
	assert.True(t, m.Empty())
	m.edge(keyOf(1))
	assert.Len(t, m.Sorted(), 1)
}

// TestEveryFieldOfTheCountsSurvives finds a number that a later version of the graph adds and the state lacks.
func TestEveryFieldOfTheCountsSurvives(t *testing.T) {
	m := New(10)
	e := m.edge(keyOf(1))
	v := reflect.ValueOf(&e.Counts).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		if f.Kind() == reflect.Array {
			for j := range f.Len() {
				f.Index(j).SetUint(uint64(10*i + j + 1))
			}
			continue
		}
		f.SetUint(uint64(10*i + 1))
	}
	raw, err := m.Encode()
	require.NoError(t, err)
	again, err := Decode(raw, 10)
	require.NoError(t, err)
	assert.Equal(t, e.Counts, again.Edges[*keyOf(1)].Counts)
}

func metricsOf(m *Minute) map[string]pmetric.Metric {
	slice := pmetric.NewMetricSlice()
	Append(m.Sorted(), m.Start, m.End, slice)
	out := map[string]pmetric.Metric{}
	for _, metric := range slice.All() {
		out[metric.Name()] = metric
	}
	return out
}

func TestOnlyWhatHasSomethingToTellIsWritten(t *testing.T) {
	m := New(10)
	assert.Empty(t, metricsOf(m))
	m.Add(&graph.Snapshot{Start: begin, End: begin.Add(time.Second), Edges: []graph.Edge{{Key: keyOf(1)}}})
	assert.True(t, m.Empty())

	e := m.edge(keyOf(2))
	e.Classes[graph.Success] = 3
	e.MutualTLS, e.Plaintext = 1, 3
	out := metricsOf(m)
	require.Len(t, out, 2)
	assert.Equal(t, int64(3), out["mesh.edge.requests"].Sum().DataPoints().At(0).IntValue())
	assert.InDelta(t, 0.25, out["mesh.edge.mutual_tls.share"].Gauge().DataPoints().At(0).DoubleValue(), 0)
}

func TestWhatNothingToldIsAbsent(t *testing.T) {
	attrs := pcommon.NewMap()
	Attributes(&graph.Key{Callee: graph.Callee{Service: "cart"}, Protocol: graph.TCP}, attrs)
	assert.Equal(t, map[string]any{"mesh.destination.service": "cart", "network.transport": "tcp"}, attrs.AsRaw())
	Attributes(&graph.Key{Caller: graph.Caller{Cluster: "a"}, Callee: graph.Callee{Cluster: "b"}, Overflow: true}, attrs)
	assert.Equal(t, map[string]any{
		"mesh.source.cluster": "a", "mesh.destination.cluster": "b", "mesh.traffic.cross_cluster": true, "otel.metric.overflow": true,
	}, attrs.AsRaw())
}

func FuzzDecode(f *testing.F) {
	m := New(10)
	m.Add(interval(1, rand.New(rand.NewPCG(1, 1))))
	raw, err := m.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := Decode(raw, 10)
		if err != nil {
			return
		}
		m.Merge(New(10))
		other := New(10)
		other.Add(interval(1, rand.New(rand.NewPCG(1, 1))))
		other.Merge(m)
		metricsOf(other)
	})
}

func BenchmarkFlush(b *testing.B) {
	m := New(50_000)
	for n := range 10_000 {
		e := m.edge(keyOf(n))
		e.Classes[graph.Success], e.Classes[graph.ServerError], e.RequestBytes, e.ResponseBytes = 5, 1, 100, 1000
		e.MutualTLS = 6
		e.Latency[0], e.Latency[1] = latency(1, 5, 90), latency(1, 5, 80)
	}
	b.ReportAllocs()
	for b.Loop() {
		Append(m.Sorted(), begin, begin, pmetric.NewMetricSlice())
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*10_000), "ns/edge")
}

// TestEdgesOfClustersTakeNoPlace prevents that an edge that others were folded into takes the place of one, which then is folded,
// too, or is not, by chance.
func TestEdgesOfClustersTakeNoPlace(t *testing.T) {
	for range 50 {
		o := New(1)
		for _, service := range []string{"cart", "other"} {
			key := graph.Key{Callee: graph.Callee{Service: service}}
			o.edge(&key).Classes[graph.Success] = 1
		}
		require.Len(t, o.Edges, 2, "one of its own, and one of clusters")
		m := New(1)
		m.Merge(o)
		assert.Equal(t, uint64(1), m.Folded)
		assert.Contains(t, m.Edges, graph.Key{Callee: graph.Callee{Service: "cart"}})
		m.DropFirst(2)
		assert.Zero(t, m.own)
	}
}
