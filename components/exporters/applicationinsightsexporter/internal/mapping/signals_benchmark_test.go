// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
)

// perBatch is the number of records or points of one batch.
const perBatch = 1000

// meshLabels are what a point of an Istio metric carries after mesh_topology.
func meshLabels(a pcommon.Map, destination, version int) {
	for _, key := range meshEnds {
		a.PutStr(key, key)
	}
	a.PutStr("mesh.destination.service", fmt.Sprint("service-", destination))
	a.PutStr("destination_version", fmt.Sprint("v", version))
	a.PutStr("reporter", "source")
	a.PutStr("response_code", "200")
	for _, key := range []string{
		"response_flags", "request_protocol", "connection_security_policy", "source_principal", "destination_principal",
		"source_workload", "destination_workload", "source_app", "destination_app", "source_cluster", "destination_cluster",
		"mesh.source.zone", "mesh.source.workload", "mesh.tls", "mesh.traffic.locality", "mesh.resolution.source", "mesh.resolution.destination",
	} {
		a.PutStr(key, "a value of some length")
	}
}

func manyCounters() pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	podOf(rm.Resource().Attributes())
	sum := sumOf(rm.ScopeMetrics().AppendEmpty().Metrics(), "istio_requests_total", pmetric.AggregationTemporalityDelta, true)
	for i := range perBatch {
		numbers(sum.DataPoints(), float64(i))
		meshLabels(sum.DataPoints().At(i).Attributes(), i/4, i%4)
	}
	return md
}

func manyHistograms() pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	podOf(rm.Resource().Attributes())
	metric := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName("istio_request_duration_milliseconds")
	metric.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	for i := range perBatch {
		p := pointOf(metric.Histogram().DataPoints(), []float64{1, 7, 30, 250}, istioBounds, false)
		meshLabels(p.Attributes(), i/4, i%4)
	}
	return md
}

func manyLogs(access bool) plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	podOf(rl.Resource().Attributes())
	records := rl.ScopeLogs().AppendEmpty().LogRecords()
	for i := range perBatch {
		r := records.AppendEmpty()
		r.SetTimestamp(pcommon.NewTimestampFromTime(caseTime))
		r.SetTraceID(pcommon.TraceID{15: byte(i)})
		r.SetSpanID(pcommon.SpanID{7: byte(i)})
		a := r.Attributes()
		if !access {
			r.Body().SetStr("the cart of customer 4711 was saved within 12 ms")
			r.SetSeverityNumber(plog.SeverityNumberInfo)
			a.PutStr("http.route", "/cart")
			a.PutStr("code.function.name", "shop.Cart.save")
			continue
		}
		r.SetEventName(eventAccessHTTP)
		for _, key := range meshEnds {
			a.PutStr(key, key)
		}
		a.PutStr("http.request.method", "GET")
		a.PutStr("url.path", "/reviews/0")
		a.PutStr("server.address", "reviews")
		a.PutInt("server.port", 9080)
		a.PutInt("http.response.status_code", 200)
		a.PutInt("envoy.duration_ms", 12)
		a.PutStr("envoy.response.flags", "-")
		a.PutStr("user_agent.original", "curl/8.0")
		a.PutStr("envoy.request.id", "e4e8c177-3962-9359-945e-61e7175cd867")
		a.PutStr("envoy.upstream.cluster", "outbound|9080||reviews.bookinfo.svc.cluster.local")
		a.PutInt("http.response.body.size", 358)
	}
	return ld
}

func BenchmarkLogs(b *testing.B) {
	for name, ld := range map[string]plog.Logs{"application": manyLogs(false), "access": manyLogs(true)} {
		b.Run(name, func(b *testing.B) {
			m, _ := newTestMapper(b, DefaultSettings())
			b.ReportAllocs()
			for b.Loop() {
				m.Logs(ld, &items.Batch{})
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*perBatch), "ns/record")
		})
	}
}

func BenchmarkMetrics(b *testing.B) {
	for name, md := range map[string]pmetric.Metrics{"counters": manyCounters(), "histograms": manyHistograms()} {
		for _, merge := range []bool{true, false} {
			b.Run(fmt.Sprintf("%s/merge=%v", name, merge), func(b *testing.B) {
				s := DefaultSettings()
				s.Metrics.MergePoints = merge
				m, _ := newTestMapper(b, s)
				b.ReportAllocs()
				for b.Loop() {
					m.Metrics(md, &items.Batch{})
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*perBatch), "ns/point")
			})
		}
	}
}

// TestAllocationsPerRecordAndPoint holds what the benchmarks show: memory is allocated for the batch, not for each item.
func TestAllocationsPerRecordAndPoint(t *testing.T) {
	m, _ := newTestMapper(t, DefaultSettings())
	logs, access, counters, histograms := manyLogs(false), manyLogs(true), manyCounters(), manyHistograms()
	for name, run := range map[string]func(*items.Batch){
		"logs":        func(b *items.Batch) { m.Logs(logs, b) },
		"access logs": func(b *items.Batch) { m.Logs(access, b) },
		"counters":    func(b *items.Batch) { m.Metrics(counters, b) },
		"histograms":  func(b *items.Batch) { m.Metrics(histograms, b) },
	} {
		batch := &items.Batch{}
		run(batch)
		allocations := testing.AllocsPerRun(5, func() { run(&items.Batch{}) })
		assert.Less(t, allocations/perBatch, 0.5, name)
	}
}
