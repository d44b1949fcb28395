// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	servicev3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/service/metrics/v3"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/confignet"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver"
)

// itemKey marks each item on its way through the collectors, which may put items into another order. They leave
// attributes alone that they do not know.
const itemKey = "corpus.item"

// observed is when log lines are read that tell no time of their own.
var observed = time.Date(2026, 11, 1, 10, 0, 1, 0, time.UTC)

// data is what a collector gets, of one signal.
type data struct {
	traces  *ptrace.Traces
	logs    *plog.Logs
	metrics *pmetric.Metrics
}

// mark numbers the items of an input from first on, and returns the number after the last.
func (d *data) mark(first int) int {
	n := first
	number := func(attrs pcommon.Map) { attrs.PutInt(itemKey, int64(n)); n++ }
	d.each(number)
	return n
}

// each visits the attributes of all items.
func (d *data) each(visit func(attrs pcommon.Map)) {
	d.eachOf(func(_, attrs pcommon.Map) { visit(attrs) })
}

// eachOf visits the attributes of all items with those of their resources.
func (d *data) eachOf(visit func(resource, attrs pcommon.Map)) {
	switch {
	case d.traces != nil:
		for _, rs := range d.traces.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					visit(rs.Resource().Attributes(), span.Attributes())
				}
			}
		}
	case d.logs != nil:
		for _, rl := range d.logs.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, record := range sl.LogRecords().All() {
					visit(rl.Resource().Attributes(), record.Attributes())
				}
			}
		}
	case d.metrics != nil:
		for _, rm := range d.metrics.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, metric := range sm.Metrics().All() {
					eachPoint(metric, func(attrs pcommon.Map) { visit(rm.Resource().Attributes(), attrs) })
				}
			}
		}
	}
}

func eachPoint(metric pmetric.Metric, visit func(attrs pcommon.Map)) {
	switch metric.Type() {
	case pmetric.MetricTypeSum:
		for _, point := range metric.Sum().DataPoints().All() {
			visit(point.Attributes())
		}
	case pmetric.MetricTypeHistogram:
		for _, point := range metric.Histogram().DataPoints().All() {
			visit(point.Attributes())
		}
	}
}

// load reads an input as the collector's receivers give it.
func load(t *testing.T, folder string, in *input, als *envoyLogs) data {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, in.File))
	require.NoError(t, err)
	return decode(t, text, in, als)
}

func decode(t *testing.T, text []byte, in *input, als *envoyLogs) data {
	t.Helper()
	switch in.Form {
	case "otlp_spans":
		td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(text)
		require.NoError(t, err)
		return data{traces: &td}
	case "otlp_logs":
		ld, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(text)
		require.NoError(t, err)
		return data{logs: &ld}
	case "als":
		message := &servicev3.StreamAccessLogsMessage{}
		require.NoError(t, protojson.Unmarshal(text, message))
		ld := als.push(t, message)
		return data{logs: &ld}
	case "metrics_service":
		message := &metricsv3.StreamMetricsMessage{}
		require.NoError(t, protojson.Unmarshal(text, message))
		md := als.pushMetrics(t, message)
		return data{metrics: &md}
	case "lines", "json_bodies":
		ld := fromLines(t, string(text), in)
		return data{logs: &ld}
	case "prometheus":
		md := scrape(t, string(text), in)
		return data{metrics: &md}
	}
	require.Fail(t, "no such form: "+in.Form)
	return data{}
}

// fromLines makes a record of each line, as a reader of log files does: with the pod that its path names. In the form
// json_bodies it parsed the line.
func fromLines(t *testing.T, text string, in *input) plog.Logs {
	t.Helper()
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	for _, a := range in.Resource {
		rl.Resource().Attributes().PutStr(fmt.Sprint(a.Key), fmt.Sprint(a.Value))
	}
	records := rl.ScopeLogs().AppendEmpty().LogRecords()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		record := records.AppendEmpty()
		record.SetObservedTimestamp(pcommon.NewTimestampFromTime(observed))
		if in.Form == "lines" {
			record.Body().SetStr(line)
			continue
		}
		var fields map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &fields))
		require.NoError(t, record.Body().FromRaw(fields))
	}
	return ld
}

// scrape reads samples as the Prometheus receiver does: one counter each, and the scraped address on the resource.
func scrape(t *testing.T, text string, in *input) pmetric.Metrics {
	t.Helper()
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	if in.Scraped != "" {
		host, port, _ := strings.Cut(in.Scraped, ":")
		rm.Resource().Attributes().PutStr("service.instance.id", in.Scraped)
		rm.Resource().Attributes().PutStr("server.address", host)
		rm.Resource().Attributes().PutStr("server.port", port)
	}
	metrics := rm.ScopeMetrics().AppendEmpty().Metrics()
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, labels, ok := strings.Cut(line, "{")
		require.True(t, ok, line)
		labels, value, ok := strings.Cut(labels, "} ")
		require.True(t, ok, line)
		metric := metrics.AppendEmpty()
		metric.SetName(name)
		sum := metric.SetEmptySum()
		sum.SetIsMonotonic(true)
		sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		point := sum.DataPoints().AppendEmpty()
		point.SetTimestamp(pcommon.NewTimestampFromTime(observed))
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			point.SetDoubleValue(n)
		}
		for _, label := range splitLabels(labels) {
			key, quoted, _ := strings.Cut(label, "=")
			text, err := strconv.Unquote(quoted)
			require.NoError(t, err, label)
			point.Attributes().PutStr(key, text)
		}
	}
	return md
}

// splitLabels splits at the commas between labels, not those within values.
func splitLabels(text string) (labels []string) {
	start, quoted := 0, false
	for i := range len(text) {
		switch {
		case text[i] == '"' && text[i-1] != '\\':
			quoted = !quoted
		case text[i] == ',' && !quoted:
			labels = append(labels, text[start:i])
			start = i + 1
		}
	}
	if start < len(text) {
		labels = append(labels, text[start:])
	}
	return labels
}

// envoyLogs is a running envoy receiver.
type envoyLogs struct {
	sink          *consumertest.LogsSink
	metrics       *consumertest.MetricsSink
	client        servicev3.AccessLogServiceClient
	metricsClient metricsv3.MetricsServiceClient
}

// startEnvoyLogs starts the real receiver: access logs of the service's form go through it.
func startEnvoyLogs(t *testing.T) *envoyLogs {
	t.Helper()
	factory := envoyreceiver.NewFactory()
	cfg := factory.CreateDefaultConfig().(*envoyreceiver.Config)
	endpoint := "127.0.0.1:" + freePort(t)
	cfg.ServerConfig.NetAddr = confignet.AddrConfig{Endpoint: endpoint, Transport: confignet.TransportTypeTCP}
	als := &envoyLogs{sink: new(consumertest.LogsSink), metrics: new(consumertest.MetricsSink)}
	receiver, err := factory.CreateLogs(t.Context(), receivertest.NewNopSettings(factory.Type()), cfg, als.sink)
	require.NoError(t, err)
	// The same server, as the configuration is the same.
	_, err = factory.CreateMetrics(t.Context(), receivertest.NewNopSettings(factory.Type()), cfg, als.metrics)
	require.NoError(t, err)
	require.NoError(t, receiver.Start(t.Context(), componenttest.NewNopHost()))
	connection, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, connection.Close())
		require.NoError(t, receiver.Shutdown(context.Background()))
	})
	als.client = servicev3.NewAccessLogServiceClient(connection)
	als.metricsClient = metricsv3.NewMetricsServiceClient(connection)
	return als
}

// push sends a message on a stream of its own and returns what the receiver makes of it.
func (e *envoyLogs) push(t *testing.T, message *servicev3.StreamAccessLogsMessage) plog.Logs {
	t.Helper()
	e.sink.Reset()
	want := len(message.GetHttpLogs().GetLogEntry()) + len(message.GetTcpLogs().GetLogEntry())
	stream, err := e.client.StreamAccessLogs(t.Context())
	require.NoError(t, err)
	require.NoError(t, stream.Send(message))
	// The answer comes when all was taken.
	_, err = stream.CloseAndRecv()
	require.NoError(t, err)
	require.Equal(t, want, e.sink.LogRecordCount())
	ld := plog.NewLogs()
	e.sink.AllLogs()[0].CopyTo(ld)
	return ld
}

// pushMetrics sends a message to the metrics service and returns what the receiver makes of it.
func (e *envoyLogs) pushMetrics(t *testing.T, message *metricsv3.StreamMetricsMessage) pmetric.Metrics {
	t.Helper()
	e.metrics.Reset()
	stream, err := e.metricsClient.StreamMetrics(t.Context())
	require.NoError(t, err)
	require.NoError(t, stream.Send(message))
	_, err = stream.CloseAndRecv()
	require.NoError(t, err)
	require.Len(t, e.metrics.AllMetrics(), 1)
	md := pmetric.NewMetrics()
	e.metrics.AllMetrics()[0].CopyTo(md)
	return md
}
