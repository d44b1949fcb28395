// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// A request is what forty proxies report, each half the calls it made and half those it received, as real Envoys sent
// them: about 25 attributes each. No two items are alike in what differs in life: ids, sizes, times, and the ports of
// connections.
const (
	proxies         = 40
	itemsPerProxy   = 25
	itemsPerRequest = proxies * itemsPerProxy
)

// shortID is an id as the recordings shorten it, to stay readable.
var shortID = regexp.MustCompile(`"(traceId|spanId|parentSpanId)": "([0-9a-f]+)"`)

func recorded(b *testing.B, kind, name string) []byte {
	b.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "recordings", "testdata", kind, name+".json"))
	require.NoError(b, err)
	return shortID.ReplaceAllFunc(raw, func(field []byte) []byte {
		length := 16
		if bytes.HasPrefix(field, []byte(`"traceId"`)) {
			length = 32
		}
		parts := shortID.FindSubmatch(field)
		return fmt.Appendf(nil, `"%s": "%0*s"`, parts[1], length, parts[2])
	})
}

// vary makes an item the n-th of its kind.
func vary(attrs pcommon.Map, n int) {
	for key, value := range attrs.All() {
		switch key {
		case "guid:x-request-id", "request_id":
			value.SetStr(fmt.Sprintf("e4e8c177-3962-4359-945e-%012d", n))
		case "response_size", "bytes_sent":
			value.SetStr(strconv.Itoa(100 + n))
		case "mesh.downstream.host", "downstream_remote_address", "upstream_local_address":
			if host, _, ok := strings.Cut(value.Str(), ":"); ok {
				value.SetStr(fmt.Sprintf("%s:%d", host, 32768+n))
			}
		}
	}
}

func spans(b *testing.B) []byte {
	b.Helper()
	var kinds []ptrace.ResourceSpans
	for _, name := range []string{"sidecar-outbound", "sidecar-inbound"} {
		traces, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(recorded(b, "spans", name))
		require.NoError(b, err)
		kinds = append(kinds, traces.ResourceSpans().At(0))
	}
	request := ptrace.NewTraces()
	for n := range itemsPerRequest {
		from := kinds[n/itemsPerProxy%2]
		if n%itemsPerProxy == 0 {
			to := request.ResourceSpans().AppendEmpty()
			from.Resource().CopyTo(to.Resource())
			from.ScopeSpans().At(0).Scope().CopyTo(to.ScopeSpans().AppendEmpty().Scope())
		}
		span := request.ResourceSpans().At(n / itemsPerProxy).ScopeSpans().At(0).Spans().AppendEmpty()
		from.ScopeSpans().At(0).Spans().At(0).CopyTo(span)
		span.SetStartTimestamp(span.StartTimestamp() + pcommon.Timestamp(n)*1000)
		vary(span.Attributes(), n)
	}
	wire, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(request)
	require.NoError(b, err)
	return wire
}

// withCalls returns the request with so many called endpoints, by turns: a proxy rarely does the same all the time.
func withCalls(b *testing.B, request []byte, calls int) []byte {
	b.Helper()
	traces, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(request)
	require.NoError(b, err)
	n := 0
	for _, rs := range traces.ResourceSpans().All() {
		for _, span := range rs.ScopeSpans().At(0).Spans().All() {
			span.Attributes().PutStr("mesh.upstream.host", fmt.Sprintf("10.%d.%d.7:9080", n%calls/250, n%calls%250))
			n++
		}
	}
	wire, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(traces)
	require.NoError(b, err)
	return wire
}

// records are OpenTelemetry access logs, whose resource says nothing.
func records(b *testing.B) []byte {
	b.Helper()
	var kinds []plog.LogRecord
	for _, name := range []string{"otlp-outbound", "otlp-inbound"} {
		logs, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(recorded(b, "access-logs", name))
		require.NoError(b, err)
		kinds = append(kinds, logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0))
	}
	request := plog.NewLogs()
	for n := range itemsPerRequest {
		if n%itemsPerProxy == 0 {
			request.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
		}
		record := request.ResourceLogs().At(n / itemsPerProxy).ScopeLogs().At(0).LogRecords().AppendEmpty()
		kinds[n/itemsPerProxy%2].CopyTo(record)
		vary(record.Attributes(), n)
	}
	wire, err := (&plog.ProtoMarshaler{}).MarshalLogs(request)
	require.NoError(b, err)
	return wire
}

// points are of Istio's metrics, with the labels that its proxies give them, all clients and servers among four
// services.
func points(b *testing.B) []byte {
	b.Helper()
	services := []string{"productpage", "details", "reviews", "ratings"}
	request := pmetric.NewMetrics()
	for n := range itemsPerRequest {
		if n%itemsPerProxy == 0 {
			rm := request.ResourceMetrics().AppendEmpty()
			rm.Resource().Attributes().PutStr("service.name", "istio-proxy")
			rm.Resource().Attributes().PutStr("k8s.cluster.name", "aks-westeurope")
			metric := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
			metric.SetName("istio_requests_total")
			metric.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		}
		point := request.ResourceMetrics().At(n / itemsPerProxy).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().AppendEmpty()
		point.SetIntValue(int64(n))
		attrs := point.Attributes()
		for key, value := range map[string]string{
			"reporter": "source", "request_protocol": "http", "response_code": strconv.Itoa(200 + n%5), "grpc_response_status": "",
			"response_flags": "-", "connection_security_policy": "unknown",
		} {
			attrs.PutStr(key, value)
		}
		for end, service := range map[string]string{"source_": services[n%4], "destination_": services[n/4%4]} {
			for key, value := range map[string]string{
				"workload": service + "-v1", "workload_namespace": "bookinfo", "canonical_service": service, "canonical_revision": "v1",
				"app": service, "version": "v1", "cluster": "aks-westeurope", "principal": "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-" + service,
			} {
				attrs.PutStr(end+key, value)
			}
		}
		service := services[n/4%4]
		attrs.PutStr("destination_service", service+".bookinfo.svc.cluster.local")
		attrs.PutStr("destination_service_name", service)
		attrs.PutStr("destination_service_namespace", "bookinfo")
	}
	wire, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(request)
	require.NoError(b, err)
	return wire
}
