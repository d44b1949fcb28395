// SPDX-License-Identifier: Apache-2.0

package meshspanpairingprocessor

import (
	"context"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshspanpairingprocessor/internal/pairing"
)

const benchmarkSpans = 500

// wireOf makes a batch as it comes from the wire: spans of 20 proxies, of about 40 attributes each. change is called with
// the span's place in the batch.
func wireOf(b *testing.B, make func(ptrace.Traces, uint64) ptrace.Span, change func(ptrace.Span, uint64)) []byte {
	b.Helper()
	td := ptrace.NewTraces()
	for n := range uint64(benchmarkSpans) {
		one := ptrace.NewTraces()
		s := make(one, n)
		for i := range 12 {
			s.Attributes().PutStr("envoy.custom."+strconv.Itoa(i), "some value of a usual length")
		}
		for _, side := range []string{"mesh.source.", "mesh.destination."} {
			if _, ok := s.Attributes().Get(side + "cluster"); ok {
				putAll(s.Attributes(), side+"zone", "westeurope-1", side+"network", "vnet", side+"version", "v1", side+"principal", "spiffe://mesh/ns/shop/sa/default")
			}
		}
		if change != nil {
			change(s, n)
		}
		if n%(benchmarkSpans/20) == 0 {
			one.ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
			continue
		}
		s.MoveTo(td.ResourceSpans().At(td.ResourceSpans().Len() - 1).ScopeSpans().At(0).Spans().AppendEmpty())
	}
	wire, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(b, err)
	return wire
}

// fresh returns the batch, in traces that were not seen before.
func fresh(b *testing.B, wire []byte, round uint64) ptrace.Traces {
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(wire)
	if err != nil {
		b.Fatal(err)
	}
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				id := s.TraceID()
				for i := range 6 {
					id[8+i] = byte(round >> (8 * i))
				}
				s.SetTraceID(id)
			}
		}
	}
	return td
}

// knowEnd makes a client span know both ends.
func knowEnd(s ptrace.Span, _ uint64) {
	putEnd(s.Attributes(), "mesh.destination.", backendEnd)
	s.Attributes().PutStr("mesh.resolution.destination", "ip")
}

// BenchmarkTraces measures the processor alone on batches fresh from the wire. passing: both ends are known. paired: the
// partner came earlier. held: nobody's partner came, until the wait is over (a span is handed on within the measured time).
// waited: what a span costs that waits, then pairs, its partner's cost included.
func BenchmarkTraces(b *testing.B) {
	clients := wireOf(b, clientSpan, nil)
	servers := wireOf(b, serverSpan, nil)
	known := wireOf(b, clientSpan, knowEnd)
	applications := wireOf(b, func(td ptrace.Traces, n uint64) ptrace.Span {
		return newSpan(td, "app", n, 1, 2, ptrace.SpanKindClient, time.Second)
	}, nil)
	for _, bench := range []struct {
		name   string
		before []byte
		wire   []byte
		wait   time.Duration
	}{
		{"application", nil, applications, 5 * time.Second},
		{"passing", nil, known, 5 * time.Second},
		{"unpaired_without_wait", nil, clients, 0},
		{"paired", clients, servers, 0},
		{"held_then_paired", clients, servers, 5 * time.Second},
		{"held", nil, clients, 5 * time.Second},
	} {
		b.Run(bench.name, func(b *testing.B) {
			set := config(func(c *Config) { c.Wait, c.MaxHeldSpans, c.MaxHeldMiB = bench.wait, 1<<30, 1<<20 })
			p, err := newSpanPairing(settings(componenttest.NewTelemetry()), set, consumertest.NewNop())
			require.NoError(b, err)
			round := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				round++
				if bench.before != nil {
					require.NoError(b, p.ConsumeTraces(context.Background(), fresh(b, bench.before, round)))
				}
				td := fresh(b, bench.wire, round)
				b.StartTimer()
				if err := p.ConsumeTraces(context.Background(), td); err != nil {
					b.Fatal(err)
				}
				if bench.name == "held" {
					p.sweep(time.Now().Add(time.Minute / 10))
				}
				if err := p.handOn(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
			report(b)
		})
	}
}

func report(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchmarkSpans, "ns/span")
}

// BenchmarkCores shows what more cores bring: compare -cpu 1,2.
func BenchmarkCores(b *testing.B) {
	known := wireOf(b, clientSpan, knowEnd)
	p, err := newSpanPairing(settings(componenttest.NewTelemetry()), config(), consumertest.NewNop())
	require.NoError(b, err)
	var round atomic.Uint64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := p.ConsumeTraces(context.Background(), fresh(b, known, round.Add(1))); err != nil {
				b.Error(err)
			}
		}
	})
	report(b)
}

// BenchmarkMemory reports what a remembered span takes, with the spans themselves gone, and what a waiting one takes
// beside its own attributes.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		const n = 20_000
		before := heap()
		store := pairing.NewStore(pairing.Settings{Wait: time.Second, MaxAge: time.Minute, MaxEntries: n, MaxHeld: 10, MaxBytes: 1000})
		var batch pairing.Batch
		for i := range uint64(n) {
			td := ptrace.NewTraces()
			s := clientSpan(td, i)
			s.SetSpanID([8]byte{byte(i), byte(i >> 8), byte(i >> 16), 1})
			s.SetParentSpanID([8]byte{byte(i), byte(i >> 8), byte(i >> 16), 2})
			var f pairing.Facts
			readSpan(store, 1, s, &f)
			store.Add(&f, time.Unix(0, 0), &batch)
		}
		require.EqualValues(b, n, store.Entries())
		b.ReportMetric(float64(heap()-before)/n, "B/entry")
		runtime.KeepAlive(store)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
