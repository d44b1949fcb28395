// SPDX-License-Identifier: Apache-2.0

package window

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
)

// mesh are edges with traffic and both reporters' latencies.
func mesh(edges int) []graph.Edge {
	random := rand.New(rand.NewPCG(1, 2))
	out := make([]graph.Edge, edges)
	for i := range out {
		k := Key{
			Namespace: "shop", Service: fmt.Sprint("service-", i/10), Version: fmt.Sprint("v", i%2), Cluster: fmt.Sprint("cluster-", i%3),
			Region: "westeurope", Workload: fmt.Sprint("workload-", i/5), CallerCluster: fmt.Sprint("cluster-", i%7), CallerRegion: "westeurope",
		}
		out[i] = edge(k, 50, 1, 0)
		values := make([]float64, 50)
		for v := range values {
			values[v] = 2 + 40*random.ExpFloat64()
		}
		out[i] = latency(latency(out[i], graph.Source, values...), graph.Destination, values...)
	}
	return out
}

func BenchmarkAdd(b *testing.B) {
	const edges = 10_000
	s := newStore(b, DefaultMaxSeries)
	all := mesh(edges)
	at := noon
	b.ReportAllocs()
	for b.Loop() {
		at = at.Add(4 * time.Second)
		s.Add(interval(at, all...))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/edges, "ns/edge")
	b.ReportMetric(float64(s.Stats().Series), "series")
}

// BenchmarkHour fills an hour and measures what it takes.
func BenchmarkHour(b *testing.B) {
	const edges = 2_000
	all := mesh(edges)
	var stats Stats
	var state int
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		s := newStore(b, DefaultMaxSeries)
		for i := range Minutes + 1 {
			s.Add(interval(noon.Add(time.Duration(i)*time.Minute), all...))
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		stats, state = s.Stats(), len(s.Encode())
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(stats.Series), "B/series")
	b.ReportMetric(float64(state)/float64(stats.Series), "stateB/series")
}

func BenchmarkQuery(b *testing.B) {
	s := newStore(b, DefaultMaxSeries)
	all := mesh(10_000)
	for i := range Minutes + 1 {
		s.Add(interval(noon.Add(time.Duration(i)*time.Minute), all...))
	}
	for _, window := range []time.Duration{5 * time.Minute, time.Hour} {
		b.Run(window.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Query(&Query{Namespace: "shop", Service: "service-7", Version: "v1", Window: window})
			}
		})
	}
	b.Run("versions", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.Versions("shop", "service-7", time.Hour)
		}
	})
}
