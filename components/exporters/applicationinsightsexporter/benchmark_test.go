// SPDX-License-Identifier: Apache-2.0

package applicationinsightsexporter

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/delivery"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/mapping"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// meshSpans returns spans as a proxy makes them, behind this project's processors: random ids, few services and routes.
func meshSpans(count int) ptrace.Traces {
	random := rand.New(rand.NewPCG(5, 6))
	td := ptrace.NewTraces()
	now := time.Now()
	const perResource = 50
	for count > 0 {
		rs := td.ResourceSpans().AppendEmpty()
		a := rs.Resource().Attributes()
		pod := random.IntN(40)
		a.PutStr("service.name", fmt.Sprintf("reviews-%d", pod%8))
		a.PutStr("k8s.namespace.name", "bookinfo")
		a.PutStr("k8s.cluster.name", "aks-westeurope")
		a.PutStr("k8s.pod.name", fmt.Sprintf("reviews-%d-7c5fbb5d6-x%dkq", pod%8, pod))
		a.PutStr("k8s.node.name", "aks-nodepool1-12345678-vmss000001")
		a.PutStr("cloud.region", "westeurope")
		list := rs.ScopeSpans().AppendEmpty().Spans()
		for range min(count, perResource) {
			s := list.AppendEmpty()
			var trace pcommon.TraceID
			var id, parent pcommon.SpanID
			binary.BigEndian.PutUint64(trace[:], random.Uint64())
			binary.BigEndian.PutUint64(trace[8:], random.Uint64())
			binary.BigEndian.PutUint64(id[:], random.Uint64())
			binary.BigEndian.PutUint64(parent[:], random.Uint64())
			s.SetTraceID(trace)
			s.SetSpanID(id)
			s.SetParentSpanID(parent)
			s.SetKind(ptrace.SpanKindClient)
			s.SetName("GET /reviews/{id}")
			s.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(time.Duration(random.IntN(1e9)))))
			s.SetEndTimestamp(s.StartTimestamp() + pcommon.Timestamp(random.IntN(1e8)))
			at := s.Attributes()
			at.PutStr("http.request.method", "GET")
			at.PutInt("http.response.status_code", 200)
			at.PutStr("url.full", fmt.Sprintf("http://reviews.bookinfo.svc.cluster.local:9080/reviews/%d", random.IntN(1e6)))
			at.PutStr("http.route", "/reviews/{id}")
			at.PutStr("server.address", "reviews.bookinfo.svc.cluster.local")
			at.PutInt("server.port", 9080)
			at.PutStr("mesh.destination.service", "reviews")
			at.PutStr("mesh.destination.namespace", "bookinfo")
			at.PutStr("mesh.destination.cluster", "aks-northeurope")
			at.PutStr("mesh.destination.region", "northeurope")
			at.PutBool("mesh.cross_region", true)
			at.PutStr("network.peer.address", fmt.Sprintf("10.244.%d.%d", random.IntN(256), random.IntN(256)))
			at.PutStr("envoy.request.id", fmt.Sprintf("%08x-9f3c-4bde-8a1e-%012x", random.Uint32(), random.Uint64()>>16))
			count--
		}
	}
	return td
}

const benchSpans = 1000

func perItem(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchSpans, "ns/item")
}

// BenchmarkConsumeToSent is the whole way of an item in one process: mapping, queue in memory, batching, gzip, HTTP, and a
// local endpoint that only counts, whose work is part of the time.
func BenchmarkConsumeToSent(b *testing.B) {
	endpoint := ingestiontest.Start(b, ingestiontest.Config{Light: true})
	for name, storage := range map[string]keys{"memory": {}, "disk": onDisk} {
		b.Run(name, func(b *testing.B) {
			r := start(b, config(b, keys{"sending_queue": keys{"block_on_overflow": true}}, storage, to(endpoint)), newDisk())
			td := meshSpans(benchSpans)
			b.ReportAllocs()
			sent := int64(0)
			for b.Loop() {
				require.NoError(b, r.traces.ConsumeTraces(context.Background(), td))
				sent += benchSpans
			}
			r.stop(b)
			perItem(b)
			if name == "memory" {
				require.Equal(b, sent, r.books(b).accepted)
			}
		})
	}
}

// accepting takes everything at once.
type accepting struct{}

func (accepting) Send(_ context.Context, b *items.Batch) delivery.Result {
	return delivery.Result{Accepted: b.Len()}
}

// BenchmarkConsumeToQueueToPush is without gzip and HTTP: mapping, queue, batching and book-keeping.
func BenchmarkConsumeToQueueToPush(b *testing.B) {
	r := start(b, config(b, keys{"sending_queue": keys{"block_on_overflow": true}, "connection_string": someConnection}))
	r.traces.(*tracesExporter).outlets[0].sender = accepting{}
	td := meshSpans(benchSpans)
	b.ReportAllocs()
	for b.Loop() {
		require.NoError(b, r.traces.ConsumeTraces(context.Background(), td))
	}
	r.stop(b)
	perItem(b)
}

// BenchmarkStored compares what an item takes on disk and the work of writing and reading it with OTLP protobuf, which is
// what the queue of an exporter without an encoding of its own stores.
func BenchmarkStored(b *testing.B) {
	td := meshSpans(benchSpans)
	mapper, err := mapping.New(mapping.DefaultSettings(), nil)
	require.NoError(b, err)
	batch := &items.Batch{}
	mapper.Traces(td, batch)
	e := encoding{}
	var raw []byte
	report := func(b *testing.B) {
		perItem(b)
		b.ReportMetric(float64(len(raw))/benchSpans, "B/item-on-disk")
	}
	b.Run("items/write", func(b *testing.B) {
		for b.Loop() {
			raw, err = e.Marshal(context.Background(), &request{batch: batch})
			require.NoError(b, err)
		}
		report(b)
	})
	b.Run("items/read", func(b *testing.B) {
		for b.Loop() {
			_, _, err = e.Unmarshal(raw)
			require.NoError(b, err)
		}
		report(b)
	})
	b.Run("otlp/write", func(b *testing.B) {
		m := &ptrace.ProtoMarshaler{}
		for b.Loop() {
			raw, err = m.MarshalTraces(td)
			require.NoError(b, err)
		}
		report(b)
	})
	b.Run("otlp/read", func(b *testing.B) {
		u := &ptrace.ProtoUnmarshaler{}
		for b.Loop() {
			_, err = u.UnmarshalTraces(raw)
			require.NoError(b, err)
		}
		report(b)
	})
}
