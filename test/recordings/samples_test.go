// SPDX-License-Identifier: Apache-2.0

package recordings

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	accesslogdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/service/metrics/v3"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/otelcol-mesh/otelcol-mesh/demo/recorder"
)

// sample is one thing that an Envoy role sends. find returns it as JSON, or nil if it has not arrived yet.
type sample struct {
	name, cluster string
	find          func(recorder.Recording) []byte
}

const (
	detailsHost = "outbound|9080||details.bookinfo.svc.cluster.local"
	reviewsHost = "outbound|9080||reviews.bookinfo.svc.cluster.local"
	pageHost    = "outbound|9080||productpage.bookinfo.svc.cluster.local"
	inbound     = "inbound|9080||"
	// loadAgent tells the load from the mesh's own probes.
	loadAgent = "otelcol-mesh-demo"
)

// healthy is what the mesh sends when all is well. Each sample is a call that only one pod can make and one can answer,
// so that it is the same in every run.
var healthy = []sample{
	{"spans/ingress-gateway.json", west, spanOf("istio-ingressgateway", has("upstream_cluster", pageHost, "http.status_code", "200"), missing("upstream_address"), has("user_agent", loadAgent), forPath("/productpage"))},
	{"spans/ingress-gateway-upstream.json", west, spanOf("istio-ingressgateway", has("upstream_cluster", pageHost, "http.status_code", "200", "upstream_address", "127.1.0.21:9080"))},
	{"spans/ingress-gateway-404.json", west, spanOf("istio-ingressgateway", has("http.status_code", "404"), missing("upstream_address"))},
	{"spans/sidecar-inbound.json", west, spanOf("details", has("upstream_cluster", inbound, "http.status_code", "200", "peer.address", "127.1.0.21"))},
	{"spans/sidecar-outbound.json", west, spanOf("productpage", has("upstream_cluster", detailsHost, "http.status_code", "200", "mesh.upstream.host", "127.1.0.25:9080"))},
	{"spans/sidecar-outbound-503.json", west, spanOf("productpage", has("upstream_cluster", detailsHost, "http.status_code", "503", "response_flags", "URX"))},
	{"access-logs/als-http-inbound.json", west, httpEntryOf("details-v1", inbound, 200)},
	{"access-logs/als-http-outbound.json", west, httpEntryOf("productpage-v1", detailsHost, 200)},
	{"access-logs/als-http-outbound-503.json", west, httpEntryOf("productpage-v1", detailsHost, 503)},
	{"access-logs/otlp-inbound.json", north, logOf("details-v1", inbound, "200")},
	{"access-logs/otlp-outbound.json", north, logOf("productpage-v1", detailsHost, "200")},
	{"metrics/metrics-service-ingress-gateway.json", west, metricsOf("istio-ingressgateway")},
}

// failedOver is what it sends once westeurope's reviews are gone and northeurope's answer.
var failedOver = []sample{
	{"spans/sidecar-outbound-remote.json", west, spanOf("productpage", has("upstream_cluster", reviewsHost, "http.status_code", "200", "response_flags", "-", "mesh.upstream.workload", ";;;;aks-northeurope"))},
	{"spans/sidecar-inbound-remote.json", north, spanOf("reviews", has("upstream_cluster", inbound, "http.status_code", "200", "peer.address", "127.2.0.15"), fromNode("reviews-v1-"))},
	{"access-logs/als-http-outbound-remote.json", west, httpEntryTo("productpage-v1", reviewsHost, "127.2.0.15")},
}

// disconnected is what it sends when the caller's pod dies: the east/west gateway logs a connection at its end.
var disconnected = []sample{
	{"access-logs/als-tcp-east-west-gateway.json", north, tcpEntryOf("istio-eastwestgateway", "outbound_.9080_._.reviews.bookinfo.svc.cluster.local")},
}

type spanTest func(map[string]string) bool

func has(pairs ...string) spanTest {
	return func(attributes map[string]string) bool {
		for i := 0; i < len(pairs); i += 2 {
			if attributes[pairs[i]] != pairs[i+1] {
				return false
			}
		}
		return true
	}
}

func missing(key string) spanTest {
	return func(attributes map[string]string) bool { _, ok := attributes[key]; return !ok }
}

func forPath(path string) spanTest {
	return func(attributes map[string]string) bool { return strings.HasSuffix(attributes["http.url"], path) }
}

func fromNode(pod string) spanTest {
	return func(attributes map[string]string) bool { return strings.Contains(attributes["node_id"], "~"+pod) }
}

func texts(m pcommon.Map) map[string]string {
	out := map[string]string{}
	for k, v := range m.All() {
		out[k] = v.AsString()
	}
	return out
}

// spanOf finds a span of a service and returns it alone, with its resource and scope. Attributes are sorted: Envoy writes
// custom tags in no fixed order.
func spanOf(service string, tests ...spanTest) func(recorder.Recording) []byte {
	return func(r recorder.Recording) []byte {
		for _, traces := range r.Traces {
			for _, resource := range traces.ResourceSpans().All() {
				name, _ := resource.Resource().Attributes().Get("service.name")
				if !strings.HasPrefix(name.AsString(), service+".") {
					continue
				}
				for _, scope := range resource.ScopeSpans().All() {
					for _, span := range scope.Spans().All() {
						attributes := texts(span.Attributes())
						if slices.ContainsFunc(tests, func(ok spanTest) bool { return !ok(attributes) }) {
							continue
						}
						one := ptrace.NewTraces()
						rs := one.ResourceSpans().AppendEmpty()
						sortedCopy(resource.Resource().Attributes(), rs.Resource().Attributes())
						ss := rs.ScopeSpans().AppendEmpty()
						scope.Scope().CopyTo(ss.Scope())
						s := ss.Spans().AppendEmpty()
						span.CopyTo(s)
						sortedCopy(span.Attributes(), s.Attributes())
						raw, err := (&ptrace.JSONMarshaler{}).MarshalTraces(one)
						if err != nil {
							panic(err)
						}
						return raw
					}
				}
			}
		}
		return nil
	}
}

func sortedCopy(from, to pcommon.Map) {
	values := maps.Collect(from.All())
	to.Clear()
	for _, k := range slices.Sorted(maps.Keys(values)) {
		values[k].CopyTo(to.PutEmpty(k))
	}
}

func logOf(workload, upstreamCluster, status string) func(recorder.Recording) []byte {
	return func(r recorder.Recording) []byte {
		for _, logs := range r.Logs {
			for _, resource := range logs.ResourceLogs().All() {
				for _, scope := range resource.ScopeLogs().All() {
					for _, record := range scope.LogRecords().All() {
						a := texts(record.Attributes())
						if !strings.HasPrefix(a["k8s.pod.name"], workload+"-") || a["upstream_cluster"] != upstreamCluster || a["response_code"] != status {
							continue
						}
						one := plog.NewLogs()
						rl := one.ResourceLogs().AppendEmpty()
						resource.Resource().CopyTo(rl.Resource())
						sl := rl.ScopeLogs().AppendEmpty()
						scope.Scope().CopyTo(sl.Scope())
						lr := sl.LogRecords().AppendEmpty()
						record.CopyTo(lr)
						sortedCopy(record.Attributes(), lr.Attributes())
						raw, err := (&plog.JSONMarshaler{}).MarshalLogs(one)
						if err != nil {
							panic(err)
						}
						return raw
					}
				}
			}
		}
		return nil
	}
}

func httpEntryOf(workload, upstreamCluster string, status uint32) func(recorder.Recording) []byte {
	return httpEntry(workload, func(e *accesslogdata.HTTPAccessLogEntry) bool {
		return e.CommonProperties.UpstreamCluster == upstreamCluster && e.Response.ResponseCode.GetValue() == status
	})
}

func httpEntryTo(workload, upstreamCluster, upstreamHost string) func(recorder.Recording) []byte {
	return httpEntry(workload, func(e *accesslogdata.HTTPAccessLogEntry) bool {
		return e.CommonProperties.UpstreamCluster == upstreamCluster && e.Response.ResponseCode.GetValue() == 200 &&
			e.CommonProperties.UpstreamRemoteAddress.GetSocketAddress().GetAddress() == upstreamHost
	})
}

// httpEntry returns the message that carried the entry as the first of its stream would: with the identifier.
func httpEntry(workload string, match func(*accesslogdata.HTTPAccessLogEntry) bool) func(recorder.Recording) []byte {
	return func(r recorder.Recording) []byte {
		for _, stream := range r.AccessLogs {
			if len(stream) == 0 || !strings.Contains(stream[0].Identifier.GetNode().GetId(), "~"+workload+"-") {
				continue
			}
			for _, message := range stream {
				for _, entry := range message.GetHttpLogs().GetLogEntry() {
					if !match(entry) {
						continue
					}
					return protoJSON(&accesslogv3.StreamAccessLogsMessage{
						Identifier: identifierOf(stream[0].Identifier),
						LogEntries: &accesslogv3.StreamAccessLogsMessage_HttpLogs{HttpLogs: &accesslogv3.StreamAccessLogsMessage_HTTPAccessLogEntries{
							LogEntry: []*accesslogdata.HTTPAccessLogEntry{entry},
						}},
					})
				}
			}
		}
		return nil
	}
}

// tcpEntryOf returns an entry of a proxied TCP connection that carried an answer.
func tcpEntryOf(workload, upstreamCluster string) func(recorder.Recording) []byte {
	return func(r recorder.Recording) []byte {
		for _, stream := range r.AccessLogs {
			if len(stream) == 0 || !strings.Contains(stream[0].Identifier.GetNode().GetId(), "~"+workload+"-") {
				continue
			}
			for _, message := range stream {
				for _, entry := range message.GetTcpLogs().GetLogEntry() {
					if entry.CommonProperties.UpstreamCluster != upstreamCluster || entry.ConnectionProperties.GetSentBytes() == 0 {
						continue
					}
					one := proto.CloneOf(entry)
					one.ConnectionProperties.ReceivedBytes, one.ConnectionProperties.SentBytes = 1, 1
					// One of three reviews pods answered.
					one.CommonProperties.UpstreamRemoteAddress.GetSocketAddress().Address = "127.2.0.31"
					return protoJSON(&accesslogv3.StreamAccessLogsMessage{
						Identifier: identifierOf(stream[0].Identifier),
						LogEntries: &accesslogv3.StreamAccessLogsMessage_TcpLogs{TcpLogs: &accesslogv3.StreamAccessLogsMessage_TCPAccessLogEntries{
							LogEntry: []*accesslogdata.TCPAccessLogEntry{one},
						}},
					})
				}
			}
		}
		return nil
	}
}

// identifierOf leaves out which extensions Envoy was built with: 40 kB of no interest.
func identifierOf(id *accesslogv3.StreamAccessLogsMessage_Identifier) *accesslogv3.StreamAccessLogsMessage_Identifier {
	out := proto.CloneOf(id)
	out.Node.Extensions = nil
	return out
}

// metricsOf returns one counter and one histogram of a proxy, each with the first series only.
func metricsOf(workload string) func(recorder.Recording) []byte {
	return func(r recorder.Recording) []byte {
		for _, stream := range r.Metrics {
			if len(stream) == 0 || !strings.Contains(stream[0].Identifier.GetNode().GetId(), "~"+workload+"-") {
				continue
			}
			var families []*dto.MetricFamily
			for _, name := range []string{"istio_requests_total", "istio_request_duration_milliseconds"} {
				if family := familyOf(stream, name); family != nil {
					families = append(families, family)
				}
			}
			if len(families) != 2 {
				continue
			}
			identifier := proto.CloneOf(stream[0].Identifier)
			identifier.Node.Extensions = nil
			return protoJSON(&metricsv3.StreamMetricsMessage{Identifier: identifier, EnvoyMetrics: families})
		}
		return nil
	}
}

func familyOf(stream []*metricsv3.StreamMetricsMessage, name string) *dto.MetricFamily {
	for _, message := range stream {
		for _, family := range message.EnvoyMetrics {
			if !strings.Contains(family.GetName(), name) {
				continue
			}
			for _, metric := range family.Metric {
				if !hasLabel(metric, "response_code", "200") {
					continue
				}
				one := proto.CloneOf(family)
				one.Metric = []*dto.Metric{proto.CloneOf(metric)}
				blank(one.Metric[0])
				return one
			}
		}
	}
	return nil
}

func hasLabel(metric *dto.Metric, name, value string) bool {
	return slices.ContainsFunc(metric.Label, func(l *dto.LabelPair) bool { return l.GetName() == name && l.GetValue() == value })
}

// blank removes what differs from run to run: how much there was so far.
func blank(m *dto.Metric) {
	slices.SortFunc(m.Label, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
	if m.Counter != nil {
		m.Counter.Value = proto.Float64(1)
	}
	if h := m.Histogram; h != nil {
		h.SampleCount, h.SampleSum = proto.Uint64(1), proto.Float64(1)
		for _, b := range h.Bucket {
			b.CumulativeCount = proto.Uint64(1)
		}
	}
}

func protoJSON(m proto.Message) []byte {
	raw, err := protojson.Marshal(m)
	if err != nil {
		panic(err)
	}
	return raw
}

// What differs from run to run, by its shape. Everything else must be the same.
var volatile = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "00000000-0000-0000-0000-000000000000"},
	{regexp.MustCompile(`"(traceId|spanId|parentSpanId)": "[0-9a-f]+"`), `"$1": "01"`},
	{regexp.MustCompile(`00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]`), "00-01-01-01"},
	{regexp.MustCompile(`"(\w*[tT]imeUnixNano|timestampMs)": "\d+"`), `"$1": "1"`},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "2026-11-01T00:00:00Z"},
	{regexp.MustCompile(`"[0-9.]+s"`), `"1s"`},
	// The end of a connection that was opened towards a service port.
	{regexp.MustCompile(`(127\.\d+\.\d+\.\d+):[3-6]\d{4}`), "$1:40000"},
	{regexp.MustCompile(`"portValue": [3-6]\d{4}\b`), `"portValue": 40000`},
	// Durations in a text line, and those that are attributes of their own.
	{regexp.MustCompile(`(\\"-\\" \d+ \d+) \d+ (\d+|-) `), "$1 1 1 "},
	{regexp.MustCompile(`("key": "(?:duration|upstream_service_time)",\s*"value": \{\s*"stringValue": )"\d+"`), `$1"1"`},
	{regexp.MustCompile(`"(upstream|downstream)(HeaderBytes|WireBytes)(Sent|Received)": "\d+"`), `"$1$2$3": "1"`},
	{regexp.MustCompile(`"(requestHeadersBytes|responseHeadersBytes|responseBodyBytes)": "\d+"`), `"$1": "1"`},
	{regexp.MustCompile(`"(upstreamRequestAttemptCount)": \d+`), `"$1": 1`},
	{regexp.MustCompile(`("key": "response_size",\s*"value": \{\s*"stringValue": )"\d+"`), `$1"1"`},
	{regexp.MustCompile(`"(x-envoy-upstream-service-time|streamId|sessionId|ja3Fingerprint)": "[^"]*"`), `"$1": "1"`},
}

// normalize indents and blanks what differs from run to run.
func normalize(t *testing.T, raw []byte) []byte {
	t.Helper()
	var value any
	require.NoError(t, json.Unmarshal(raw, &value))
	out, err := json.MarshalIndent(value, "", "  ")
	require.NoError(t, err)
	for _, v := range volatile {
		out = v.pattern.ReplaceAll(out, []byte(v.with))
	}
	return append(out, '\n')
}
