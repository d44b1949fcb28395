// SPDX-License-Identifier: Apache-2.0

package envoyreceiver

import (
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	alsdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	alssvc "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	metricsvc "github.com/envoyproxy/go-control-plane/envoy/service/metrics/v3"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/metadatatest"
)

func assertRejected(t *testing.T, tt *componenttest.Telemetry, points ...metricdata.DataPoint[int64]) {
	t.Helper()
	metadatatest.AssertEqualReceiverEnvoyMessagesRejected(t, tt, points, ignoreTime)
}

func TestWrongFirstMessage(t *testing.T) {
	for name, tc := range map[string]struct {
		identifier *alssvc.StreamAccessLogsMessage_Identifier
		why        reason
		contains   string
	}{
		"no identifier": {nil, reasonNoIdentifier, "'identifier'"},
		"no node":       {&alssvc.StreamAccessLogsMessage_Identifier{LogName: "x"}, reasonIdentity, "'identifier.node' is missing"},
		"no id": {
			&alssvc.StreamAccessLogsMessage_Identifier{Node: &corev3.Node{UserAgentName: "envoy"}}, reasonIdentity,
			"neither 'id' nor 'cluster'",
		},
	} {
		t.Run(name, func(t *testing.T) {
			tt := componenttest.NewTelemetry()
			defer shutdownTelemetry(t, tt)
			r, sinks := newTestReceiver(t, tt, nil)
			stream := openLogs(t, start(t, r))
			require.NoError(t, stream.Send(logMessage(tc.identifier, 1)))
			_, err := stream.CloseAndRecv()
			requireStatus(t, err, codes.InvalidArgument, tc.contains)
			require.Zero(t, sinks.logs.LogRecordCount())
			assertRejected(t, tt, point(1, signalLogs, tc.why))
		})
	}
}

func TestMetricsWithoutIdentifier(t *testing.T) {
	tt := componenttest.NewTelemetry()
	defer shutdownTelemetry(t, tt)
	r, _ := newTestReceiver(t, tt, nil)
	stream := openMetrics(t, start(t, r))
	require.NoError(t, stream.Send(metricMessage("", 1)))
	_, err := stream.CloseAndRecv()
	requireStatus(t, err, codes.InvalidArgument, "'identifier'")
	assertRejected(t, tt, point(1, signalMetrics, reasonNoIdentifier))
}

func TestSilentStreamEnds(t *testing.T) {
	tt := componenttest.NewTelemetry()
	defer shutdownTelemetry(t, tt)
	r, _ := newTestReceiver(t, tt, func(cfg *Config) { cfg.IdentifyTimeout = 10 * time.Millisecond })
	stream := openLogs(t, start(t, r))
	require.ErrorContains(t, stream.RecvMsg(&alssvc.StreamAccessLogsResponse{}), "no message with an identifier within 10ms")
	assertRejected(t, tt, point(1, signalLogs, reasonTimeout))
}

func TestHugeEntry(t *testing.T) {
	tt := componenttest.NewTelemetry()
	defer shutdownTelemetry(t, tt)
	r, sinks := newTestReceiver(t, tt, nil)
	stream := openLogs(t, start(t, r))
	message := logMessage(testIdentifier("n"), 1)
	message.GetHttpLogs().GetLogEntry()[0].Request.Path = "/" + strings.Repeat("x", 50<<20)
	_ = stream.Send(message) // fails once the server has refused it
	err := stream.RecvMsg(&alssvc.StreamAccessLogsResponse{})
	requireStatus(t, err, codes.ResourceExhausted, "received message larger than max")
	require.Zero(t, sinks.logs.LogRecordCount())
	assertRejected(t, tt, point(1, signalLogs, reasonMessageTooLong))
}

func TestTooManyEntriesAndObjects(t *testing.T) {
	tt := componenttest.NewTelemetry()
	defer shutdownTelemetry(t, tt)
	r, sinks := newTestReceiver(t, tt, func(cfg *Config) {
		cfg.MaxEntriesPerMessage = 10
		cfg.MaxObjectsPerMessage = 100
	})
	connection := start(t, r)
	stream := openLogs(t, connection)
	require.NoError(t, stream.Send(logMessage(testIdentifier("n"), 11)))
	_, err := stream.CloseAndRecv()
	requireStatus(t, err, codes.ResourceExhausted, "11 entries; 'max_entries_per_message'")

	stream = openLogs(t, connection)
	require.NoError(t, stream.Send(logMessage(testIdentifier("n"), 60)))
	_, err = stream.CloseAndRecv()
	requireStatus(t, err, codes.ResourceExhausted, "'max_objects_per_message' of the collector's envoy receiver is 100")

	require.Zero(t, sinks.logs.LogRecordCount())
	assertRejected(t, tt, point(1, signalLogs, reasonEntries), point(1, signalLogs, reasonObjects))
}

func TestInvalidText(t *testing.T) {
	tt := componenttest.NewTelemetry()
	defer shutdownTelemetry(t, tt)
	r, _ := newTestReceiver(t, tt, nil)
	h := newLogsHandler(r, newDelivery(r, signalLogs, t.Context()))
	// Field 1, a message that claims five bytes and has one.
	requireStatus(t, h.handle([]byte{0x0a, 0x05, 0x01}), codes.InvalidArgument, "cannot decode the message")
	assertRejected(t, tt, point(1, signalLogs, reasonMalformed))
}

func TestChangingIdentity(t *testing.T) {
	tt := componenttest.NewTelemetry()
	defer shutdownTelemetry(t, tt)
	r, sinks := newTestReceiver(t, tt, func(cfg *Config) { cfg.MaxIdentitiesPerStream = 3 })
	stream := openLogs(t, start(t, r))
	for _, id := range []string{"a", "a", "b", "c", "d"} {
		require.NoError(t, stream.Send(logMessage(testIdentifier(id), 1)))
	}
	_, err := stream.CloseAndRecv()
	requireStatus(t, err, codes.ResourceExhausted, "'max_identities_per_stream' of the collector's envoy receiver is 3")
	require.Equal(t, 4, sinks.logs.LogRecordCount())
	last, _ := sinks.logs.AllLogs()[3].ResourceLogs().At(0).Resource().Attributes().Get("envoy.node.id")
	require.Equal(t, "c", last.Str())
	assertRejected(t, tt, point(1, signalLogs, reasonIdentities))
	metadatatest.AssertEqualReceiverEnvoyIdentityChanges(t, tt, []metricdata.DataPoint[int64]{signalPoint(2, signalLogs)}, ignoreTime)
}

func TestEndlessNodes(t *testing.T) {
	tt := componenttest.NewTelemetry()
	defer shutdownTelemetry(t, tt)
	r, sinks := newTestReceiver(t, tt, func(cfg *Config) { cfg.Metrics.MaxNodes = 2 })
	connection := start(t, r)
	open := make([]metricsvc.MetricsService_StreamMetricsClient, 3)
	for i := range open {
		open[i] = openMetrics(t, connection)
		require.NoError(t, open[i].Send(metricMessage("n"+strconv.Itoa(i), 1)))
		if i < 2 {
			eventually(t, func() bool { return sinks.metrics.DataPointCount() == i+1 }, "the point must arrive")
		}
	}
	_, err := open[2].CloseAndRecv()
	requireStatus(t, err, codes.ResourceExhausted, "'metrics::max_nodes' of the collector's envoy receiver is 2")
	assertRejected(t, tt, point(1, signalMetrics, reasonNodes))

	// A node that is gone makes room.
	_, err = open[0].CloseAndRecv()
	require.NoError(t, err)
	again := openMetrics(t, connection)
	require.NoError(t, again.Send(metricMessage("n3", 1)))
	eventually(t, func() bool { return sinks.metrics.DataPointCount() == 3 }, "the point must arrive")
	metadatatest.AssertEqualReceiverEnvoySeriesTracked(t, tt, []metricdata.DataPoint[int64]{{Value: 2}}, ignoreTime)
}

func TestTooManyStreams(t *testing.T) {
	tt := componenttest.NewTelemetry()
	defer shutdownTelemetry(t, tt)
	r, sinks := newTestReceiver(t, tt, func(cfg *Config) { cfg.MaxStreams = 2 })
	connection := start(t, r)
	first := openLogs(t, connection)
	require.NoError(t, first.Send(logMessage(testIdentifier("a"), 1)))
	second := openMetrics(t, dial(t, r))
	require.NoError(t, second.Send(metricMessage("b", 1)))
	eventually(t, func() bool { return sinks.logs.LogRecordCount() == 1 && sinks.metrics.DataPointCount() == 1 }, "both streams must be open")

	third := openLogs(t, connection)
	requireStatus(t, third.RecvMsg(&alssvc.StreamAccessLogsResponse{}), codes.ResourceExhausted, "'max_streams'")
	metadatatest.AssertEqualReceiverEnvoyStreamsRejected(t, tt,
		[]metricdata.DataPoint[int64]{point(1, signalLogs, reasonMaxStreams)}, ignoreTime)
	metadatatest.AssertEqualReceiverEnvoyStreamsActive(t, tt,
		[]metricdata.DataPoint[int64]{signalPoint(1, signalLogs), signalPoint(1, signalMetrics)}, ignoreTime)

	_, err := first.CloseAndRecv()
	require.NoError(t, err)
	fourth := openLogs(t, connection)
	require.NoError(t, fourth.Send(logMessage(testIdentifier("a"), 1)))
	eventually(t, func() bool { return sinks.logs.LogRecordCount() == 2 }, "a stream that ended makes room")
}

func TestUnknownServices(t *testing.T) {
	tt := componenttest.NewTelemetry()
	defer shutdownTelemetry(t, tt)
	cfg := createDefaultConfig().(*Config)
	cfg.ServerConfig.NetAddr.Endpoint = "localhost:0"
	r, err := shared.get(cfg, metadatatest.NewSettings(tt))
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Shutdown(context.Background())) }()
	connection := start(t, r)

	err = openLogs(t, connection).RecvMsg(&alssvc.StreamAccessLogsResponse{})
	requireStatus(t, err, codes.Unimplemented, "in no logs pipeline")
	err = openMetrics(t, connection).RecvMsg(&metricsvc.StreamMetricsResponse{})
	requireStatus(t, err, codes.Unimplemented, "in no metrics pipeline")
	old, err := connection.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true},
		"/envoy.service.accesslog.v2.AccessLogService/StreamAccessLogs")
	require.NoError(t, err)
	requireStatus(t, old.RecvMsg(&alssvc.StreamAccessLogsResponse{}), codes.Unimplemented, "'transport_api_version: V3'")
	metadatatest.AssertEqualReceiverEnvoyStreamsRejected(t, tt, []metricdata.DataPoint[int64]{
		point(1, signalLogs, reasonNotServed), point(1, signalMetrics, reasonNotServed), point(1, signalUnknown, reasonNotServed),
	}, ignoreTime)
}

func TestSenderDisappears(t *testing.T) {
	r, sinks := newTestReceiver(t, nil, nil)
	require.NoError(t, r.Start(t.Context(), componenttest.NewNopHost()))
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := alssvc.NewAccessLogServiceClient(dial(t, r)).StreamAccessLogs(ctx)
		require.NoError(t, err)
		require.NoError(t, stream.Send(logMessage(testIdentifier("n"), 1)))
		cancel()
	}
	raw, err := net.Dial("tcp", r.listener.Addr().String())
	require.NoError(t, err)
	_, err = raw.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	require.NoError(t, err)
	require.NoError(t, raw.Close())
	eventually(t, func() bool { return r.streams.Load() == 0 }, "no stream may stay behind")

	stream := openLogs(t, dial(t, r))
	before := sinks.logs.LogRecordCount()
	require.NoError(t, stream.Send(logMessage(testIdentifier("n"), 3)))
	_, err = stream.CloseAndRecv()
	require.NoError(t, err)
	require.Equal(t, before+3, sinks.logs.LogRecordCount())
}

func TestOldStreamEndsInOrder(t *testing.T) {
	r, sinks := newTestReceiver(t, nil, func(cfg *Config) {
		cfg.ServerConfig.Keepalive = configoptional.Some(configgrpc.KeepaliveServerConfig{
			ServerParameters: configoptional.Some(configgrpc.KeepaliveServerParameters{
				MaxConnectionAge: 300 * time.Millisecond, MaxConnectionAgeGrace: time.Minute,
			}),
		})
	})
	stream := openLogs(t, start(t, r))
	require.NoError(t, stream.Send(logMessage(testIdentifier("n"), 1)))
	// The server ends the stream with a response and no error.
	require.NoError(t, stream.RecvMsg(&alssvc.StreamAccessLogsResponse{}))
	require.Equal(t, 1, sinks.logs.LogRecordCount())
}

func TestEndlessEntriesKeepMemoryBound(t *testing.T) {
	r, sinks := newTestReceiver(t, nil, nil)
	stream := openLogs(t, start(t, r))
	const messages, entries = 200, 100
	identifier := testIdentifier("n")
	for range messages {
		message := logMessage(identifier, entries)
		message.GetHttpLogs().GetLogEntry()[0].CommonProperties = &alsdata.AccessLogCommon{RouteName: "r"}
		require.NoError(t, stream.Send(message))
		identifier = nil
	}
	_, err := stream.CloseAndRecv()
	require.NoError(t, err)
	require.Equal(t, messages*entries, sinks.logs.LogRecordCount())
}
