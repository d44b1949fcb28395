// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// odd is what is wrong with one item.
type odd string

const (
	// oddPoison is an item that the endpoint is told to refuse by the text poison in it.
	oddPoison odd = "poison"
	// oddLarge is an item that is larger than the service takes.
	oddLarge odd = "large"
	// oddNaN is a point that is not a number.
	oddNaN odd = "nan"
	// asEnvoy makes every span what a sidecar sends, under Envoy's own names.
	asEnvoy odd = "envoy"
)

// oddItem is the number of the odd item, in the middle of a request.
const oddItem = 7

// poison is in the poisoned item and in no other.
const poison = "ledger-poison"

// markers tell the number of an item from its JSON, the same way for both exporters.
var markers = []ingestiontest.Marker{
	{Name: traces, Prefix: `"id":"5eed`, Hex: true},
	{Name: logs, Prefix: `"message":"ledger-log-`},
	{Name: metrics, Prefix: `"name":"ledger-metric-`},
}

func attributeKey(key string) attribute.Key { return attribute.Key(key) }

func fillResource(r pcommon.Resource) {
	r.Attributes().PutStr("service.name", "reviews")
	r.Attributes().PutStr("service.instance.id", "reviews-1")
	r.Attributes().PutStr("k8s.cluster.name", "aks-westeurope")
}

// fill makes the item odd if it is the one.
func (o odd) fill(number int, attributes pcommon.Map) {
	if number != oddItem {
		return
	}
	switch o {
	case oddPoison:
		attributes.PutStr("http.route", "/"+poison)
		attributes.PutStr("server.address", poison)
	case oddLarge:
		for n := range 20 {
			attributes.PutStr(fmt.Sprintf("mesh.note.%d", n), strings.Repeat("x", 8000))
		}
	}
}

// spanID makes the id that the marker finds.
func spanID(number int) pcommon.SpanID {
	return pcommon.SpanID{0x5e, 0xed, 0, 0, byte(number >> 24), byte(number >> 16), byte(number >> 8), byte(number)}
}

func spans(from, to int, o odd) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	fillResource(rs.Resource())
	list := rs.ScopeSpans().AppendEmpty().Spans()
	list.EnsureCapacity(to - from)
	start := time.Now().Add(-time.Second)
	for number := from; number < to; number++ {
		span := list.AppendEmpty()
		// Two of a kind are one call: the caller's span has the odd number.
		caller := spanID(number | 1)
		span.SetTraceID(pcommon.TraceID{1, 12: caller[4], 13: caller[5], 14: caller[6], 15: caller[7]})
		span.SetSpanID(spanID(number))
		span.SetName("GET /reviews")
		span.SetKind(ptrace.SpanKindServer)
		if number%2 == 1 {
			span.SetKind(ptrace.SpanKindClient)
		} else {
			span.SetParentSpanID(caller)
		}
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(start.Add(20 * time.Millisecond)))
		if o == asEnvoy {
			fillEnvoy(number, span)
			continue
		}
		span.Attributes().PutStr("http.request.method", "GET")
		span.Attributes().PutInt("http.response.status_code", 200)
		span.Attributes().PutStr("url.full", "http://reviews.bookinfo/reviews")
		o.fill(number, span.Attributes())
	}
	return td
}

// fillEnvoy writes what Envoy's tracer and Istio write.
func fillEnvoy(number int, span ptrace.Span) {
	span.SetName("reviews.bookinfo.svc.cluster.local:9080/*")
	for key, value := range map[string]string{
		"component": "proxy", "http.method": "GET", "http.protocol": "HTTP/1.1", "http.status_code": "200",
		"http.url":         fmt.Sprintf("http://reviews:9080/reviews/%d", number),
		"upstream_cluster": "outbound|9080||reviews.bookinfo.svc.cluster.local", "upstream_cluster.name": "outbound|9080||reviews.bookinfo.svc.cluster.local",
		"upstream_address": "10.244.0.21:9080", "peer.address": "10.244.0.22", "response_flags": "-",
		"request_size": "0", "response_size": strconv.Itoa(100 + number%1000), "downstream_cluster": "-",
		"user_agent": "python-requests/2.31.0", "guid:x-request-id": fmt.Sprintf("e4e8c177-3962-4359-945e-%012d", number),
		"node_id":                 "sidecar~10.244.0.21~productpage-v1-564d4686f-abcde.bookinfo~bookinfo.svc.cluster.local",
		"istio.canonical_service": "productpage", "istio.canonical_revision": "v1", "istio.mesh_id": "mesh1",
		"istio.namespace": "bookinfo", "istio.cluster_id": "aks-westeurope",
	} {
		span.Attributes().PutStr(key, value)
	}
}

func records(from, to int, o odd) plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	fillResource(rl.Resource())
	list := rl.ScopeLogs().AppendEmpty().LogRecords()
	list.EnsureCapacity(to - from)
	now := pcommon.NewTimestampFromTime(time.Now())
	for number := from; number < to; number++ {
		record := list.AppendEmpty()
		record.SetTimestamp(now)
		record.SetSeverityNumber(plog.SeverityNumberInfo)
		text := fmt.Sprintf("ledger-log-%d", number)
		if o == oddPoison && number == oddItem {
			text += " " + poison
		}
		record.Body().SetStr(text)
		o.fill(number, record.Attributes())
	}
	return ld
}

func points(from, to int, o odd) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	fillResource(rm.Resource())
	list := rm.ScopeMetrics().AppendEmpty().Metrics()
	now := pcommon.NewTimestampFromTime(time.Now())
	for number := from; number < to; number++ {
		metric := list.AppendEmpty()
		metric.SetName(fmt.Sprintf("ledger-metric-%d", number))
		point := metric.SetEmptyGauge().DataPoints().AppendEmpty()
		point.SetTimestamp(now)
		point.SetDoubleValue(float64(number))
		if number != oddItem {
			continue
		}
		switch o {
		case oddNaN:
			point.SetDoubleValue(math.NaN())
		case oddPoison:
			metric.SetName(fmt.Sprintf("ledger-metric-%d-%s", number, poison))
		}
	}
	return md
}
