// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/exphist"
)

const benchEdges = 10_000

// benchPoints are what one interval brings: for each edge both reporters' requests, bytes and latencies.
func benchPoints() []Point {
	counts := make([]uint64, 24)
	for i := range counts {
		counts[i] = uint64(i)
	}
	var points []Point
	for i := range benchEdges {
		k := key(fmt.Sprintf("web-%d", i%500), fmt.Sprintf("reviews-%d", i/100), HTTP)
		k.Callee.Service = fmt.Sprintf("reviews-%d", i/500)
		for _, r := range []Reporter{Source, Destination} {
			own := len(points)
			points = append(points,
				Point{Key: k, Reporter: r, Status: 200, GRPC: -1, Requests: 100, TLS: TLSMutual},
				Point{Key: k, Reporter: r, Status: 503, GRPC: -1, Flags: "UC", Requests: 1, TLS: TLSMutual},
				Point{Key: k, Reporter: r, Status: 200, GRPC: -1, RequestBytes: 1000},
				Point{Key: k, Reporter: r, Status: 200, GRPC: -1, Latency: &exphist.Points{Scale: 3, Offset: 10, Counts: counts, Sum: 5}},
			)
			for i := own; i < len(points); i++ {
				p := &points[i]
				p.Zone = CrossZone
				// As they come: not the same bytes in memory as those of the point before.
				p.SourcePrincipal = "spiffe://mesh.example/ns/" + k.Caller.Namespace + "/sa/" + k.Caller.Workload
				p.DestinationPrincipal = "spiffe://mesh.example/ns/" + k.Callee.Namespace + "/sa/" + k.Callee.Service
			}
		}
	}
	return points
}

func benchGraph(b *testing.B) *Graph {
	config := DefaultConfig()
	config.Expire = 1000 * time.Hour
	return newGraph(b, config)
}

// BenchmarkAdd is a point of an edge that is known, requests or bytes or a latency by turns.
func BenchmarkAdd(b *testing.B) {
	g, points := benchGraph(b), benchPoints()
	for i := range points {
		_ = g.Add(&points[i])
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		_ = g.Add(&points[i])
		if i++; i == len(points) {
			i = 0
		}
	}
}

// BenchmarkRoll is an interval in which all edges had traffic; ns/edge is the part of one.
func BenchmarkRoll(b *testing.B) {
	g, points := benchGraph(b), benchPoints()
	minute := 0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		for i := range points {
			_ = g.Add(&points[i])
		}
		minute++
		b.StartTimer()
		g.Roll(at(minute))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchEdges, "ns/edge")
}

// BenchmarkMemory reports what an edge holds: with its published record, and without traffic.
func BenchmarkMemory(b *testing.B) {
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	points := benchPoints()
	for b.Loop() {
		before := heap()
		g := benchGraph(b)
		for minute := range 2 {
			for i := range points {
				_ = g.Add(&points[i])
			}
			g.Roll(at(minute + 1))
		}
		for i := range points {
			_ = g.Add(&points[i])
		}
		b.ReportMetric(float64(heap()-before)/benchEdges, "B/busy_edge")
		g.Roll(at(3))
		g.Roll(at(4))
		b.ReportMetric(float64(heap()-before)/benchEdges, "B/idle_edge")
		b.ReportMetric(float64(len(g.Encode()))/benchEdges, "B/edge_on_disk")
		runtime.KeepAlive(g)
	}
}

func BenchmarkDocument(b *testing.B) {
	g, points := benchGraph(b), benchPoints()
	for i := range points {
		_ = g.Add(&points[i])
	}
	g.Roll(at(1))
	size := 0
	b.ReportAllocs()
	for b.Loop() {
		out, err := json.Marshal(g.Snapshot().Document())
		if err != nil {
			b.Fatal(err)
		}
		size = len(out)
	}
	b.ReportMetric(float64(size)/benchEdges, "B/edge")
}

func BenchmarkRestore(b *testing.B) {
	g, points := benchGraph(b), benchPoints()
	for i := range points {
		_ = g.Add(&points[i])
	}
	g.Roll(at(1))
	state := g.Encode()
	for b.Loop() {
		if _, err := benchGraph(b).Restore(state, at(1)); err != nil {
			b.Fatal(err)
		}
	}
}
