// SPDX-License-Identifier: Apache-2.0

package upgrade

import (
	"fmt"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// markers tell the number of an item from its JSON at the endpoint.
var markers = []ingestiontest.Marker{
	{Name: traces, Prefix: `"id":"5eed`, Hex: true},
	{Name: logs, Prefix: `"message":"ledger-log-`},
	{Name: metrics, Prefix: `"name":"ledger-metric-`},
}

// services is how many services there are: metrics and logs are routed by them.
const services = 24

func fillResource(r pcommon.Resource, cluster string, number int) {
	name := fmt.Sprintf("service-%d", number%services)
	r.Attributes().PutStr("service.name", name)
	r.Attributes().PutStr("service.instance.id", name+"-1")
	r.Attributes().PutStr("k8s.cluster.name", cluster)
}

// spanID makes the id that the marker finds.
func spanID(number int) pcommon.SpanID {
	return pcommon.SpanID{0x5e, 0xed, 0, 0, byte(number >> 24), byte(number >> 16), byte(number >> 8), byte(number)}
}

// traceID is spread as random ones are, the same for the two spans of a call.
func traceID(call int) pcommon.TraceID {
	x := uint64(call+1) * 0x9e3779b97f4a7c15
	x ^= x >> 29
	x *= 0xbf58476d1ce4e5b9
	id := pcommon.TraceID{0: 1, 12: byte(call >> 24), 13: byte(call >> 16), 14: byte(call >> 8), 15: byte(call)}
	for i := range 8 {
		id[i+1] = byte(x >> (8 * i))
	}
	return id
}

// spansOf, recordsOf and pointsOf make a request with the items that have these numbers.
func spansOf(cluster string, numbers ...int) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	fillResource(rs.Resource(), cluster, 0)
	list := rs.ScopeSpans().AppendEmpty().Spans()
	start := time.Now().Add(-time.Second)
	for _, number := range numbers {
		// Two of a kind are one call: the caller's span has the odd number.
		caller := spanID(number | 1)
		span := list.AppendEmpty()
		span.SetTraceID(traceID(number / 2))
		span.SetSpanID(spanID(number))
		span.SetName("reviews.bookinfo.svc.cluster.local:9080/*")
		span.SetKind(ptrace.SpanKindClient)
		if number%2 == 0 {
			span.SetKind(ptrace.SpanKindServer)
			span.SetParentSpanID(caller)
		}
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(start.Add(20 * time.Millisecond)))
		fillEnvoy(span, cluster, number)
	}
	return td
}

// fillEnvoy writes what Envoy's tracer and Istio write: productpage in the west calls reviews in the north, through the
// latter's east/west gateway.
func fillEnvoy(span ptrace.Span, cluster string, number int) {
	values := map[string]string{
		"component": "proxy", "http.method": "GET", "http.protocol": "HTTP/1.1", "http.status_code": "200",
		"http.url": fmt.Sprintf("http://reviews:9080/reviews/%d", number), "response_flags": "-",
		"request_size": "0", "response_size": strconv.Itoa(100 + number%1000), "downstream_cluster": "-",
		"guid:x-request-id": fmt.Sprintf("e4e8c177-3962-4359-945e-%012d", number/2),
		"istio.mesh_id":     "mesh1", "istio.namespace": "bookinfo", "istio.cluster_id": cluster,
	}
	if number%2 == 1 {
		values["upstream_cluster"] = "outbound|9080||reviews.bookinfo.svc.cluster.local"
		values["upstream_cluster.name"] = values["upstream_cluster"]
		values["upstream_address"], values["peer.address"] = gateway+":15443", podAddress
		values["node_id"] = "sidecar~" + podAddress + "~" + pageFirst + ".bookinfo~bookinfo.svc.cluster.local"
		values["istio.canonical_service"], values["istio.canonical_revision"] = "productpage", "v1"
	} else {
		values["upstream_cluster"] = "inbound|9080||"
		values["upstream_cluster.name"] = values["upstream_cluster"]
		values["upstream_address"], values["peer.address"] = podAddress+":9080", "10.244.9.9"
		values["node_id"] = "sidecar~" + podAddress + "~" + reviewFirst + ".bookinfo~bookinfo.svc.cluster.local"
		values["istio.canonical_service"], values["istio.canonical_revision"] = "reviews", "v1"
	}
	for key, value := range values {
		span.Attributes().PutStr(key, value)
	}
}

// The pods of the calls, as in distribution/examples/topology.yaml: the same address in two networks.
const (
	podAddress  = "10.244.0.21"
	pageFirst   = "productpage-v1-564d4686f-abcde"
	reviewFirst = "reviews-v1-6d5f7c9b8-fghjk"
	gateway     = "20.2.0.15"
)

func recordsOf(cluster string, numbers ...int) plog.Logs {
	ld := plog.NewLogs()
	now := pcommon.NewTimestampFromTime(time.Now())
	for _, number := range numbers {
		rl := ld.ResourceLogs().AppendEmpty()
		fillResource(rl.Resource(), cluster, number)
		record := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		record.SetTimestamp(now)
		record.SetSeverityNumber(plog.SeverityNumberInfo)
		record.Body().SetStr(fmt.Sprintf("ledger-log-%d", number))
	}
	return ld
}

func pointsOf(cluster string, numbers ...int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	now := pcommon.NewTimestampFromTime(time.Now())
	for _, number := range numbers {
		rm := md.ResourceMetrics().AppendEmpty()
		fillResource(rm.Resource(), cluster, number)
		metric := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		metric.SetName(fmt.Sprintf("ledger-metric-%d", number))
		point := metric.SetEmptyGauge().DataPoints().AppendEmpty()
		point.SetTimestamp(now)
		point.SetDoubleValue(float64(number))
	}
	return md
}
