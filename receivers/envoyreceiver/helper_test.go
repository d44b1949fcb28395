// SPDX-License-Identifier: Apache-2.0

package envoyreceiver

import (
	"context"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	alsdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	alssvc "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	metricsvc "github.com/envoyproxy/go-control-plane/envoy/service/metrics/v3"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/metadatatest"
)

// patience is how long a test waits for something that must happen.
const patience = 20 * time.Second

var ignoreTime = metricdatatest.IgnoreTimestamp()

// testSinks are what a test receiver delivers to.
type testSinks struct {
	logs    *consumertest.LogsSink
	metrics *consumertest.MetricsSink
}

// newTestReceiver makes a receiver of both signals that is not started; tt and mutate may be nil.
func newTestReceiver(t testing.TB, tt *componenttest.Telemetry, mutate func(*Config)) (*envoyReceiver, testSinks) {
	cfg := createDefaultConfig().(*Config)
	cfg.ServerConfig.NetAddr.Endpoint = "localhost:0"
	cfg.Retry.InitialInterval = time.Millisecond
	cfg.Retry.MaxInterval = 5 * time.Millisecond
	if mutate != nil {
		mutate(cfg)
	}
	set := receivertest.NewNopSettings(typ)
	if tt != nil {
		set = metadatatest.NewSettings(tt)
	}
	sinks := testSinks{logs: new(consumertest.LogsSink), metrics: new(consumertest.MetricsSink)}
	_, err := createLogs(t.Context(), set, cfg, sinks.logs)
	require.NoError(t, err)
	_, err = createMetrics(t.Context(), set, cfg, sinks.metrics)
	require.NoError(t, err)
	r, err := shared.get(cfg, set)
	require.NoError(t, err)
	r.now = func() time.Time { return goldenTime }
	t.Cleanup(func() { require.NoError(t, r.Shutdown(context.Background())) })
	return r, sinks
}

// start starts a receiver and returns a connection to it.
func start(t testing.TB, r *envoyReceiver) *grpc.ClientConn {
	require.NoError(t, r.Start(t.Context(), componenttest.NewNopHost()))
	return dial(t, r)
}

func dial(t testing.TB, r *envoyReceiver) *grpc.ClientConn {
	connection, err := grpc.NewClient(r.listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(100<<20)))
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

func openLogs(t testing.TB, connection *grpc.ClientConn) alssvc.AccessLogService_StreamAccessLogsClient {
	stream, err := alssvc.NewAccessLogServiceClient(connection).StreamAccessLogs(t.Context())
	require.NoError(t, err)
	return stream
}

func openMetrics(t testing.TB, connection *grpc.ClientConn) metricsvc.MetricsService_StreamMetricsClient {
	stream, err := metricsvc.NewMetricsServiceClient(connection).StreamMetrics(t.Context())
	require.NoError(t, err)
	return stream
}

func testNode(id string) *corev3.Node {
	return &corev3.Node{Id: id, Cluster: "reviews.bookinfo"}
}

func testIdentifier(id string) *alssvc.StreamAccessLogsMessage_Identifier {
	return &alssvc.StreamAccessLogsMessage_Identifier{Node: testNode(id), LogName: "log"}
}

// logMessage holds n entries; identifier may be nil.
func logMessage(identifier *alssvc.StreamAccessLogsMessage_Identifier, n int) *alssvc.StreamAccessLogsMessage {
	entries := make([]*alsdata.HTTPAccessLogEntry, n)
	for i := range entries {
		entries[i] = &alsdata.HTTPAccessLogEntry{Request: &alsdata.HTTPRequestProperties{Path: "/"}}
	}
	return &alssvc.StreamAccessLogsMessage{
		Identifier: identifier,
		LogEntries: &alssvc.StreamAccessLogsMessage_HttpLogs{
			HttpLogs: &alssvc.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: entries},
		},
	}
}

// metricMessage holds one counter; id may be empty for no identifier.
func metricMessage(id string, value float64) *metricsvc.StreamMetricsMessage {
	message := &metricsvc.StreamMetricsMessage{EnvoyMetrics: []*dto.MetricFamily{{
		Name: new("c"), Type: dto.MetricType_COUNTER.Enum(),
		Metric: []*dto.Metric{{Counter: &dto.Counter{Value: new(value)}}},
	}}}
	if id != "" {
		message.Identifier = &metricsvc.StreamMetricsMessage_Identifier{Node: testNode(id)}
	}
	return message
}

// requireStatus waits for the end of a stream.
func requireStatus(t *testing.T, err error, code codes.Code, contains string) {
	t.Helper()
	require.Equal(t, code, status.Code(err), "%v", err)
	require.ErrorContains(t, err, contains)
}

func point(n int64, s signal, why reason) metricdata.DataPoint[int64] {
	return metricdata.DataPoint[int64]{Value: n, Attributes: attribute.NewSet(
		attribute.String("signal", string(s)), attribute.String("reason", string(why)),
	)}
}

func signalPoint(n int64, s signal) metricdata.DataPoint[int64] {
	return metricdata.DataPoint[int64]{Value: n, Attributes: attribute.NewSet(attribute.String("signal", string(s)))}
}

func eventually(t *testing.T, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, patience, time.Millisecond, what)
}

func shutdownTelemetry(t *testing.T, tt *componenttest.Telemetry) {
	require.NoError(t, tt.Shutdown(context.Background()))
}

// resetLogs gives a receiver a new sink, so that a fuzz target sees only its own records.
func resetLogs(r *envoyReceiver) *consumertest.LogsSink {
	sink := new(consumertest.LogsSink)
	r.nextLogs = sink
	return sink
}

func resetMetrics(r *envoyReceiver) *consumertest.MetricsSink {
	sink := new(consumertest.MetricsSink)
	r.nextMetrics = sink
	return sink
}
