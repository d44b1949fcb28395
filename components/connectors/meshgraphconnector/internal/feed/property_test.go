// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
	"github.com/otelcol-mesh/otelcol-mesh/internal/points"
)

// fleet makes metrics of random edges, with what has no place in the graph among them, and says what they count.
func fleet(random *rand.Rand, size int) (md pmetric.Metrics, want graph.Point) {
	md = pmetric.NewMetrics()
	for range size {
		rm := md.ResourceMetrics().AppendEmpty()
		m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		attrs := but(map[string]any{
			"mesh.source.workload": fmt.Sprint("w", random.IntN(40)), "mesh.destination.workload": fmt.Sprint("w", random.IntN(40)),
			"reporter": []string{"source", "destination", "waypoint"}[random.IntN(3)],
		})
		n := uint64(random.IntN(1000) + 1)
		switch random.IntN(8) {
		case 0:
			m.SetName("istio_requests_total")
			sum(int(n), attrs)(m)
			want.Requests += n
		case 1:
			m.SetName("istio_request_bytes")
			explicit([]uint64{n, 0, 0}, float64(n*7), attrs)(m)
			want.RequestBytes += n * 7
		case 2:
			m.SetName("istio_tcp_sent_bytes_total")
			sum(float64(n), attrs)(m)
			want.ResponseBytes += n
		case 3:
			m.SetName("istio_tcp_connections_opened_total")
			sum(float64(n), attrs)(m)
			want.Opened += n
		case 4:
			m.SetName("istio_requests_total")
			sum(-int(n), attrs)(m)
		case 5:
			m.SetName("process_cpu_seconds_total")
			sum(float64(n), nil)(m)
		case 6:
			m.SetName("istio_requests_total")
			sum(int(n), attrs)(m)
			setTemporality(m, pmetric.AggregationTemporalityCumulative)
		default:
			m.SetName("istio_response_bytes")
			exponential([]uint64{n}, float64(n), attrs)(m)
			want.ResponseBytes += n
		}
	}
	return md, want
}

// Whatever comes, each point has one outcome, what is taken adds up, and no two points have one ID.
func TestSumsAreExact(t *testing.T) {
	f := New([16]byte{3})
	for seed := range uint64(50) {
		md, want := fleet(rand.New(rand.NewPCG(seed, 9)), 400)
		var got graph.Point
		var mu sync.Mutex
		ids := map[ID]int{}
		add := func(id ID, p *graph.Point) error {
			mu.Lock()
			defer mu.Unlock()
			ids[id]++
			got.Requests += p.Requests
			got.RequestBytes += p.RequestBytes
			got.ResponseBytes += p.ResponseBytes
			got.Opened += p.Opened
			return nil
		}
		// Two goroutines read the same metrics: as many points, each twice.
		var counts [2]Counts
		var both sync.WaitGroup
		for i := range counts {
			both.Go(func() { counts[i] = f.Metrics(md, add) })
		}
		both.Wait()
		require.Equal(t, counts[0], counts[1])
		all := 0
		for _, n := range counts[0] {
			all += n
		}
		require.Equal(t, 400, all)
		require.Equal(t, [4]uint64{2 * want.Requests, 2 * want.RequestBytes, 2 * want.ResponseBytes, 2 * want.Opened},
			[4]uint64{got.Requests, got.RequestBytes, got.ResponseBytes, got.Opened})
		for _, n := range ids {
			require.Zero(t, n%2)
		}
	}
}

// The hot path allocates nothing: not a point, and not a request.
func TestNothingIsAllocated(t *testing.T) {
	f := New([16]byte{3})
	md, _ := fleet(rand.New(rand.NewPCG(1, 9)), 400)
	latency := metrics("istio_request_duration_milliseconds", exponential([]uint64{1, 2}, 9, whole()))
	add := func(ID, *graph.Point) error { return nil }
	spans := span(ptrace.SpanKindClient, whole())
	f.Metrics(md, add)
	most := 0.0
	if withRace {
		most = 6 // A pool forgets some of what it holds then.
	}
	assert.LessOrEqual(t, testing.AllocsPerRun(50, func() {
		f.Metrics(md, add)
		f.Metrics(latency, add)
		f.Traces(spans, func(*graph.Key, graph.Exemplar) bool { return true })
	}), most)
}

func FuzzMetrics(f *testing.F) {
	for seed := range uint64(4) {
		md, _ := fleet(rand.New(rand.NewPCG(seed, 1)), 8)
		wire, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(md)
		require.NoError(f, err)
		f.Add(wire)
	}
	config := graph.DefaultConfig()
	f.Fuzz(func(t *testing.T, wire []byte) {
		md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(wire)
		if err != nil {
			return
		}
		g, err := graph.New(config, start)
		require.NoError(t, err)
		came, handed := 0, 0
		for _, rm := range md.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					came += points.Of(m)
				}
			}
		}
		var first []ID
		counts := New([16]byte{}).Metrics(md, func(id ID, p *graph.Point) error {
			first = append(first, id)
			handed++
			return g.Add(p)
		})
		all := 0
		for _, n := range counts {
			all += n
		}
		require.Equal(t, came, all, "each point has one outcome")
		require.Equal(t, handed, counts[Taken]+counts[Refused])
		g.Roll(start.Add(1))
		var second []ID
		New([16]byte{}).Metrics(md, func(id ID, _ *graph.Point) error { second = append(second, id); return nil })
		require.Equal(t, first, second)
	})
}

func FuzzTraces(f *testing.F) {
	wire, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(span(ptrace.SpanKindClient, whole()))
	require.NoError(f, err)
	f.Add(wire)
	f.Fuzz(func(t *testing.T, wire []byte) {
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(wire)
		if err != nil {
			return
		}
		g, err := graph.New(graph.DefaultConfig(), start)
		require.NoError(t, err)
		counts := New([16]byte{}).Traces(td, g.AddExemplar)
		all := 0
		for _, n := range counts {
			all += n
		}
		require.Equal(t, td.SpanCount(), all)
	})
}
