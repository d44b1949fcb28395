// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// itemsPerRequest is how many points or spans are in one request.
const itemsPerRequest = 1000

// end is an end of a call: the same names on spans and points.
func end(m pcommon.Map, side string, edge int) {
	name := func(s string) string { return "mesh." + side + "." + s }
	region := []string{"westeurope", "northeurope"}[edge%2]
	m.PutStr(name("cluster"), "aks-"+region)
	m.PutStr(name("region"), region)
	m.PutStr(name("zone"), region+"-1")
	m.PutStr(name("network"), "vnet-"+region)
	m.PutStr(name("namespace"), "shop")
	m.PutStr(name("workload"), fmt.Sprintf("%s-%d", side, edge))
	m.PutStr(name("service"), fmt.Sprintf("%s-%d", side, edge))
	m.PutStr(name("version"), "v1")
	m.PutStr(name("principal"), fmt.Sprintf("spiffe://cluster.local/ns/shop/sa/%s-%d", side, edge))
	m.PutStr("mesh.resolution."+side, "label")
}

// stamp is what mesh_topology writes of a call.
func stamp(m pcommon.Map, edge int) {
	end(m, "source", edge)
	end(m, "destination", edge)
	m.PutStr("mesh.traffic.locality", "same_zone")
	m.PutBool("mesh.traffic.cross_cluster", false)
	m.PutStr("mesh.tls", "mutual")
}

// spans are one of each call, as an agent hands them on: what Envoy's tracer says, in semantic conventions, and both ends.
func spans(from, edges int, at int64) ptrace.Traces {
	td := ptrace.NewTraces()
	for i := range itemsPerRequest {
		edge := (from + i) % edges
		if i%20 == 0 {
			r := td.ResourceSpans().AppendEmpty()
			r.Resource().Attributes().PutStr("service.name", fmt.Sprintf("source-%d.shop", edge))
			r.Resource().Attributes().PutStr("k8s.cluster.name", "aks-westeurope")
			r.ScopeSpans().AppendEmpty().Scope().SetName("envoy")
		}
		s := td.ResourceSpans().At(td.ResourceSpans().Len() - 1).ScopeSpans().At(0).Spans().AppendEmpty()
		s.SetName("cart.shop.svc.cluster.local:80/*")
		s.SetKind(ptrace.SpanKindClient)
		s.SetTraceID([16]byte{byte(i), byte(i >> 8), byte(at), byte(at >> 8), byte(at >> 16), byte(at >> 24), 1})
		s.SetSpanID([8]byte{byte(i), byte(i >> 8), 1})
		s.SetStartTimestamp(pcommon.Timestamp(at))
		s.SetEndTimestamp(pcommon.Timestamp(at + int64(i+1)*100_000))
		m := s.Attributes()
		m.PutStr("http.request.method", "GET")
		m.PutInt("http.response.status_code", 200)
		m.PutStr("url.full", "http://cart.shop/items/0")
		m.PutStr("network.protocol.version", "1.1")
		m.PutStr("user_agent.original", "shop")
		m.PutInt("http.request.body.size", 0)
		m.PutInt("http.response.body.size", 8192)
		m.PutStr("network.peer.address", "10.244.0.31")
		m.PutStr("envoy.response.flags", "-")
		m.PutStr("envoy.node.id", "sidecar~10.244.0.21~web-564d4686f-abcde.shop~shop.svc.cluster.local")
		m.PutStr("envoy.upstream.cluster", "outbound|80||cart.shop.svc.cluster.local")
		m.PutStr("envoy.request.id", "2f0e5d0a-9b3c-4d55-9d3a-1f6d6d6f7a10")
		stamp(m, edge)
	}
	return td
}

var bounds = []float64{0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000}

// points are what both proxies of each edge tell of a minute, as mesh_metrics hands it on: requests, durations and bytes both
// ways, by turns.
func points(from, edges int, at int64) pmetric.Metrics {
	md := pmetric.NewMetrics()
	for i := 0; i < itemsPerRequest; i += 20 {
		rm := md.ResourceMetrics().AppendEmpty()
		rm.Resource().Attributes().PutStr("k8s.cluster.name", "aks-westeurope")
		rm.Resource().Attributes().PutStr("service.name", fmt.Sprintf("source-%d.shop", i))
		sm := rm.ScopeMetrics().AppendEmpty()
		for q, name := range []string{
			"istio_requests_total", "istio_request_duration_milliseconds", "istio_request_bytes", "istio_response_bytes",
		} {
			m := sm.Metrics().AppendEmpty()
			m.SetName(name)
			for j := range 5 {
				point(m, q, (from+i/4+j)/2%edges, j%2, at)
			}
		}
	}
	return md
}

func point(m pmetric.Metric, quantity, edge, reporter int, at int64) {
	var attrs pcommon.Map
	if quantity == 0 {
		if m.Type() == pmetric.MetricTypeEmpty {
			m.SetEmptySum().SetIsMonotonic(true)
			m.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		}
		dp := m.Sum().DataPoints().AppendEmpty()
		dp.SetStartTimestamp(pcommon.Timestamp(at - 60e9))
		dp.SetTimestamp(pcommon.Timestamp(at))
		dp.SetDoubleValue(60)
		attrs = dp.Attributes()
	} else {
		if m.Type() == pmetric.MetricTypeEmpty {
			m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		}
		dp := m.Histogram().DataPoints().AppendEmpty()
		dp.SetStartTimestamp(pcommon.Timestamp(at - 60e9))
		dp.SetTimestamp(pcommon.Timestamp(at))
		dp.SetCount(60)
		dp.SetSum(6000)
		if quantity == 1 {
			dp.ExplicitBounds().FromRaw(bounds)
			dp.BucketCounts().FromRaw([]uint64{0, 0, 10, 20, 20, 10, 0, 0, 0, 0, 0, 0, 0, 0})
		}
		attrs = dp.Attributes()
	}
	stamp(attrs, edge)
	attrs.PutStr("reporter", []string{"source", "destination"}[reporter])
	attrs.PutStr("request_protocol", "http")
	if quantity < 2 {
		attrs.PutStr("response_code", "200")
		attrs.PutStr("response_flags", "-")
	}
}
