// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"
	"testing"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
)

func mesh(edges int) []graph.Edge {
	regions := []string{"westeurope", "northeurope", "eastus"}
	out := make([]graph.Edge, edges)
	for i := range out {
		out[i] = edge(regions[i%3], fmt.Sprint("ns-", i%50), regions[i%2], fmt.Sprint("ns-", i/100), fmt.Sprint("service-", i/5), 10_000, 100_000)
	}
	return out
}

func BenchmarkAdd(b *testing.B) {
	const edges = 10_000
	l := newLedger(b, Config{})
	all := mesh(edges)
	at := noon
	b.ReportAllocs()
	for b.Loop() {
		at = at.Add(4 * time.Second)
		l.Add(interval(at, all...))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/edges, "ns/edge")
	b.ReportMetric(float64(len(l.flows)), "flows")
}

func BenchmarkTake(b *testing.B) {
	const edges = 10_000
	l := newLedger(b, Config{})
	all := mesh(edges)
	at := noon
	b.ReportAllocs()
	for b.Loop() {
		at = at.Add(time.Minute)
		l.Add(interval(at, all...))
		l.Take()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/edges, "ns/flow")
}
