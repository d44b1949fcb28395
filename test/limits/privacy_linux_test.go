// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	alsdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	alssvc "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	metricsvc "github.com/envoyproxy/go-control-plane/envoy/service/metrics/v3"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshprivacyprocessor/privacytest"
)

// itemID names each item, so that what left two agents can be compared.
const itemID = "corpus.id"

// withoutPrivacy is the shipped configuration with nothing redacted.
const withoutPrivacy = `service:
  pipelines:
    traces: {processors: [memory_limiter, mesh_noise, mesh_topology, envoy_semconv]}
    logs: {processors: [memory_limiter, mesh_topology, envoy_semconv, mesh_noise]}
    metrics: {processors: [memory_limiter, filter/proxy_metrics, mesh_noise, mesh_topology, cumulative_to_delta]}
`

const (
	privacySeed = 20261124
	accessLogs  = 300
)

// feed sends more than ten thousand secrets to an agent, over OTLP and over Envoy's own services, and returns the corpus
// that knows them and how many items it sent.
func feed(t *testing.T, host string) (*privacytest.Corpus, int) {
	t.Helper()
	c := privacytest.New(privacySeed)
	items := 0
	number := func(attrs pcommon.Map) {
		items++
		attrs.PutStr(itemID, fmt.Sprintf("item-%d", items))
	}
	td, ld, md := c.Traces(), c.Logs(), c.Metrics()
	eachItem([]ptrace.Traces{td}, []plog.Logs{ld}, []pmetric.Metrics{md}, func(_, attrs pcommon.Map) { number(attrs) })
	conn := dialGRPC(t, "127.14.0.39", host+":4317")
	body, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	require.NoError(t, err)
	require.NoError(t, export(t.Context(), conn, tracesMethod, body))
	body, err = plogotlp.NewExportRequestFromLogs(ld).MarshalProto()
	require.NoError(t, err)
	require.NoError(t, export(t.Context(), conn, logsMethod, body))
	// And one over HTTP, in JSON.
	body, err = pmetricotlp.NewExportRequestFromMetrics(md).MarshalJSON()
	require.NoError(t, err)
	code, text, err := post(httpClient(t, "127.14.0.39"), "http://"+host+":4318/v1/metrics", "application/json", "gzip", pack(t, "gzip", body))
	require.NoError(t, err)
	require.Equal(t, 200, code, text)
	feedEnvoy(t, c, dialGRPC(t, "127.14.0.39", host+":18090"))
	return c, items
}

// feedEnvoy sends access logs and metrics as a proxy does.
func feedEnvoy(t *testing.T, c *privacytest.Corpus, conn *grpc.ClientConn) {
	t.Helper()
	node := &corev3.Node{Id: "sidecar~127.1.0.21~productpage-v1-1.bookinfo~bookinfo.svc.cluster.local", Cluster: "productpage.bookinfo"}
	logs, err := alssvc.NewAccessLogServiceClient(conn).StreamAccessLogs(t.Context())
	require.NoError(t, err)
	now := time.Now()
	var entries []*alsdata.HTTPAccessLogEntry
	for i := range accessLogs {
		entries = append(entries, &alsdata.HTTPAccessLogEntry{
			CommonProperties: &alsdata.AccessLogCommon{
				StartTime: timestamppb.New(now), TimeToLastDownstreamTxByte: durationpb.New(time.Millisecond),
				UpstreamCluster:                "outbound|9080||reviews.bookinfo.svc.cluster.local",
				UpstreamTransportFailureReason: c.Line(), ResponseFlags: &alsdata.ResponseFlags{},
				CustomTags: map[string]string{itemID: fmt.Sprintf("als-%d", i), "note": c.Line(), "url.full": c.URL()},
			},
			Request: &alsdata.HTTPRequestProperties{
				RequestMethod: corev3.RequestMethod_GET, Scheme: "http", Authority: "reviews:9080",
				Path: "/reviews/0?user=" + c.Word(), OriginalPath: "/r?token=" + c.Word(), Referer: "https://u:" + c.Word() + "@h/p?q=" + c.Word(),
				RequestId: fmt.Sprintf("als-%d", i), UserAgent: "Mozilla/5.0",
				RequestHeaders: map[string]string{
					"authorization": "Bearer " + c.Word(), "cookie": "sid=" + c.Word() + "; b=" + c.Word(), "x-api-key": c.Word(), "x-note": c.Line(),
				},
			},
			Response: &alsdata.HTTPResponseProperties{
				ResponseCode: wrapperspb.UInt32(200), ResponseCodeDetails: "via_upstream",
				ResponseHeaders:  map[string]string{"set-cookie": "sid=" + c.Word() + "; Path=/", "location": "/app?code=" + c.Word()},
				ResponseTrailers: map[string]string{"grpc-message": c.Line()},
			},
		})
	}
	require.NoError(t, logs.Send(&alssvc.StreamAccessLogsMessage{
		Identifier: &alssvc.StreamAccessLogsMessage_Identifier{Node: node, LogName: "otel"},
		LogEntries: &alssvc.StreamAccessLogsMessage_HttpLogs{HttpLogs: &alssvc.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: entries}},
	}))
	require.NoError(t, logs.CloseSend())
	points, err := metricsvc.NewMetricsServiceClient(conn).StreamMetrics(t.Context())
	require.NoError(t, err)
	var gauges []*dto.Metric
	for i := range 100 {
		label := func(name, value string) *dto.LabelPair { return &dto.LabelPair{Name: &name, Value: &value} }
		value := float64(i)
		gauges = append(gauges, &dto.Metric{Gauge: &dto.Gauge{Value: &value}, Label: []*dto.LabelPair{
			label("path", c.URL()), label("password", c.Word()), label("note", c.Line()), label(itemID, fmt.Sprintf("gauge-%d", i)),
		}})
	}
	name, kind := "cluster.membership_healthy", dto.MetricType_GAUGE
	require.NoError(t, points.Send(&metricsvc.StreamMetricsMessage{
		Identifier:   &metricsvc.StreamMetricsMessage_Identifier{Node: node},
		EnvoyMetrics: []*dto.MetricFamily{{Name: &name, Type: &kind, Metric: gauges}},
	}))
	require.NoError(t, points.CloseSend())
}

// eachItem calls f with the attributes of the resource and of each span, log record and point.
func eachItem(traces []ptrace.Traces, logs []plog.Logs, metrics []pmetric.Metrics, f func(resource, item pcommon.Map)) {
	for _, td := range traces {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					f(rs.Resource().Attributes(), s.Attributes())
				}
			}
		}
	}
	for _, ld := range logs {
		for _, rl := range ld.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, r := range sl.LogRecords().All() {
					f(rl.Resource().Attributes(), r.Attributes())
				}
			}
		}
	}
	for _, md := range metrics {
		for _, rm := range md.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					eachPoint(m, func(attrs pcommon.Map) { f(rm.Resource().Attributes(), attrs) })
				}
			}
		}
	}
}

func eachPoint(m pmetric.Metric, f func(pcommon.Map)) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		for _, p := range m.Gauge().DataPoints().All() {
			f(p.Attributes())
		}
	case pmetric.MetricTypeSum:
		for _, p := range m.Sum().DataPoints().All() {
			f(p.Attributes())
		}
	case pmetric.MetricTypeHistogram:
		for _, p := range m.Histogram().DataPoints().All() {
			f(p.Attributes())
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			f(p.Attributes())
		}
	case pmetric.MetricTypeSummary:
		for _, p := range m.Summary().DataPoints().All() {
			f(p.Attributes())
		}
	}
}

// topology returns the fields of each item that say where it is from and where it went, those of its resource included.
func (s *sink) topology() map[string]map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := make(map[string]bool)
	for _, kv := range append(privacytest.TopologyFields, privacytest.ResourceFields...) {
		known[kv[0]] = true
	}
	items := make(map[string]map[string]any)
	eachItem(s.traces, s.logs, s.metrics, func(resource, item pcommon.Map) {
		id, ok := item.Get(itemID)
		if !ok {
			id, ok = item.Get("envoy.custom_tag." + itemID)
		}
		if !ok {
			return
		}
		fields := make(map[string]any)
		for prefix, m := range map[string]pcommon.Map{"resource ": resource, "": item} {
			for key, value := range m.All() {
				head, _, _ := strings.Cut(key, ".")
				switch {
				case strings.HasPrefix(key, "k8s.pod.annotation"): // where the corpus puts secrets
				case known[key], head == "mesh", head == "k8s", head == "cloud", head == "service":
					fields[prefix+key] = value.AsRaw()
				}
			}
		}
		items[id.AsString()] = fields
	})
	return items
}

// wire is all that came, as bytes.
func (s *sink) wire(t *testing.T) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var all strings.Builder
	add := func(b []byte, err error) {
		require.NoError(t, err)
		all.Write(b)
	}
	for _, td := range s.traces {
		add((&ptrace.ProtoMarshaler{}).MarshalTraces(td))
	}
	for _, ld := range s.logs {
		add((&plog.ProtoMarshaler{}).MarshalLogs(ld))
	}
	for _, md := range s.metrics {
		add((&pmetric.ProtoMarshaler{}).MarshalMetrics(md))
	}
	return all.String()
}

// TestNoSecretLeavesTheAgent gives the same secrets to an agent as it is shipped and to one without mesh_privacy: of what the
// one sends, nothing is a secret, and everything that tells the topology is as with the other.
func TestNoSecretLeavesTheAgent(t *testing.T) {
	kept, plain := startSink(t, "127.14.0.33:14317", true), startSink(t, "127.14.0.34:14317", true)
	startAgent(t, "127.14.0.31", kept.endpoint)
	startAgentWith(t, "127.14.0.32", plain.endpoint, withoutPrivacy)
	c, items := feed(t, "127.14.0.31")
	_, _ = feed(t, "127.14.0.32")
	require.Greater(t, c.Secrets(), 10_000)
	// What arrives without mesh_privacy is all that the other processors let through.
	arrived := -1
	require.Eventually(t, func() bool {
		before := arrived
		arrived = len(plain.topology())
		return arrived > 0 && arrived == before && len(kept.topology()) == arrived
	}, within, 3*time.Second, "%d and %d items", len(kept.topology()), len(plain.topology()))
	require.Greater(t, arrived, (items+accessLogs)*9/10)
	require.Greater(t, len(c.Leaks(plain.wire(t))), 10_000, "the secrets are there without mesh_privacy")
	leaks := c.Leaks(kept.wire(t))
	if !assert.Empty(t, len(leaks)) {
		wire := kept.wire(t)
		for _, leak := range leaks[:min(len(leaks), 12)] {
			at := strings.Index(wire, leak)
			t.Logf("%s: %q", leak, wire[max(0, at-120):min(len(wire), at+len(leak)+60)])
		}
	}
	got, want := kept.topology(), plain.topology()
	fields := 0
	for id, all := range want {
		fields += len(all)
		require.Equal(t, all, got[id], id)
	}
	t.Logf("%d secrets in %d items: 0 left; %d topology fields left as they were", c.Secrets(), arrived, fields)
}
