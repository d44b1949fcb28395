// SPDX-License-Identifier: Apache-2.0

package sizing

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// perRequest is how many items a proxy puts into one request; proxies is how many there are on a node.
const (
	perRequest = 100
	proxies    = 30
)

var shortID = regexp.MustCompile(`"(traceId|spanId|parentSpanId)": "([0-9a-f]+)"`)

// recorded is what a real Envoy sent; its ids are shortened.
func recorded(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "recordings", "testdata", name+".json"))
	require.NoError(t, err)
	return shortID.ReplaceAllFunc(raw, func(field []byte) []byte {
		length := 16
		if bytes.HasPrefix(field, []byte(`"traceId"`)) {
			length = 32
		}
		parts := shortID.FindSubmatch(field)
		return fmt.Appendf(nil, `"%s": "%0*s"`, parts[1], length, parts[2])
	})
}

// samples are recorded items that requests are made of.
type samples struct {
	spans   map[string]ptrace.ResourceSpans
	records map[string]plog.LogRecord
}

// The two clusters: callers are in the west, those who are called in the north.
const west, north = "aks-westeurope", "aks-northeurope"

func newSamples(t *testing.T) *samples {
	t.Helper()
	s := &samples{spans: map[string]ptrace.ResourceSpans{}, records: map[string]plog.LogRecord{}}
	for cluster, names := range map[string][2]string{
		west: {"spans/sidecar-outbound-remote", "access-logs/otlp-outbound"}, north: {"spans/sidecar-inbound-remote", "access-logs/otlp-inbound"},
	} {
		traces, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(recorded(t, names[0]))
		require.NoError(t, err)
		s.spans[cluster] = traces.ResourceSpans().At(0)
		logs, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(recorded(t, names[1]))
		require.NoError(t, err)
		s.records[cluster] = logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
	}
	return s
}

// counting is when the proxies began to count.
var counting = time.Now().Add(-time.Hour)

func mix(n int) uint64 {
	x := uint64(n+1) * 0x9e3779b97f4a7c15
	x ^= x >> 29
	x *= 0xbf58476d1ce4e5b9
	return x ^ x>>32
}

func uuid(n int) string {
	a, b := mix(n^1<<42), mix(n^1<<43)
	return fmt.Sprintf("%08x-%04x-4%03x-9%03x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48&0xfff, b&0xffffffffffff)
}

// traces makes the n-th request of a cluster: one end of a hundred calls; the other cluster's n-th request has the other ends.
func (s *samples) traces(cluster string, n int) ptrace.Traces {
	td := ptrace.NewTraces()
	from := s.spans[cluster]
	rs := td.ResourceSpans().AppendEmpty()
	from.Resource().CopyTo(rs.Resource())
	rs.Resource().Attributes().PutStr("service.name", fmt.Sprintf("service-%d.bookinfo", n%proxies))
	ss := rs.ScopeSpans().AppendEmpty()
	from.ScopeSpans().At(0).Scope().CopyTo(ss.Scope())
	now := time.Now()
	for i := range perRequest {
		call := n*perRequest + i
		span := ss.Spans().AppendEmpty()
		from.ScopeSpans().At(0).Spans().At(0).CopyTo(span)
		id := mix(call)
		var trace pcommon.TraceID
		var caller pcommon.SpanID
		binary.LittleEndian.PutUint64(trace[:8], id)
		binary.LittleEndian.PutUint64(trace[8:], mix(call^1<<40))
		binary.LittleEndian.PutUint64(caller[:], mix(call^1<<41))
		caller[0] = 2
		span.SetTraceID(trace)
		span.SetSpanID(caller)
		span.SetParentSpanID(pcommon.SpanID{0: 9, 7: 1})
		if cluster == north {
			own := caller
			own[0] = 3
			span.SetSpanID(own)
			span.SetParentSpanID(caller)
		}
		begin := now.Add(-time.Second + time.Duration(id%uint64(time.Second/time.Microsecond))*time.Microsecond)
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(begin))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(begin.Add(time.Duration(id%50_000) * time.Microsecond)))
		span.Attributes().PutStr("guid:x-request-id", uuid(call))
		span.Attributes().PutStr("response_size", strconv.FormatUint(100+id%5000, 10))
	}
	return td
}

func (s *samples) logs(cluster string, n int) plog.Logs {
	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	now := pcommon.NewTimestampFromTime(time.Now())
	for i := range perRequest {
		record := records.AppendEmpty()
		s.records[cluster].CopyTo(record)
		id := n*perRequest + i
		record.SetTimestamp(now - pcommon.Timestamp(mix(id)%1_000_000)*1000)
		record.Body().SetStr(strings.ReplaceAll(record.Body().Str(), "00000000-0000-0000-0000-000000000000", uuid(id)))
		record.Attributes().PutStr("request_id", uuid(id))
		record.Attributes().PutStr("k8s.cluster.name", cluster)
		record.Attributes().PutStr("mesh.upstream.workload", "details-v1;bookinfo;details;v1;"+cluster)
		record.Attributes().PutStr("bytes_sent", strconv.FormatUint(100+mix(id)%5000, 10))
		record.Attributes().PutStr("k8s.pod.name", fmt.Sprintf("productpage-v1-564d4686f-%05d", n%proxies))
	}
	return ld
}

// metrics makes the n-th round of one proxy's series: a hundred counters with Istio's labels, which rise.
func (*samples) metrics(cluster string, n int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	proxy := n % proxies
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", fmt.Sprintf("service-%d", proxy))
	rm.Resource().Attributes().PutStr("k8s.pod.name", fmt.Sprintf("productpage-v1-564d4686f-%05d", proxy))
	rm.Resource().Attributes().PutStr("k8s.namespace.name", "bookinfo")
	metric := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName("istio_requests_total")
	sum := metric.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	now := time.Now()
	for i := range perRequest {
		point := sum.DataPoints().AppendEmpty()
		point.SetStartTimestamp(pcommon.NewTimestampFromTime(counting))
		point.SetTimestamp(pcommon.NewTimestampFromTime(now))
		point.SetDoubleValue(float64(n*10 + i))
		for key, value := range map[string]string{
			"reporter": "source", "source_workload": "productpage-v1", "source_canonical_service": "productpage", "source_canonical_revision": "v1",
			"source_workload_namespace": "bookinfo", "source_principal": "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-productpage",
			"source_app": "productpage", "source_version": "v1", "source_cluster": cluster, "destination_workload": fmt.Sprintf("details-%d", i),
			"destination_canonical_service": fmt.Sprintf("details-%d", i), "destination_canonical_revision": "v1", "destination_workload_namespace": "bookinfo",
			"destination_principal": "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-details", "destination_app": "details", "destination_version": "v1",
			"destination_cluster": cluster, "destination_service": fmt.Sprintf("details-%d.bookinfo.svc.cluster.local", i), "destination_service_name": fmt.Sprintf("details-%d", i),
			"destination_service_namespace": "bookinfo", "request_protocol": "http", "connection_security_policy": "mutual_tls",
			"response_flags": "-", "response_code": "200",
		} {
			point.Attributes().PutStr(key, value)
		}
	}
	return md
}
