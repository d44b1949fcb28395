// SPDX-License-Identifier: Apache-2.0

package requestlimitsextension

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/requestlimitsextension/internal/metadata"
)

const (
	tracesMethod  = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
	logsMethod    = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
	metricsMethod = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
)

// fixture is a real OTLP receiver behind the extension.
type fixture struct {
	*requestLimits
	own        *componenttest.Telemetry
	grpc, http string
	spans      chan int
}

type host struct {
	component.Host
	extensions map[component.ID]component.Component
}

func (h *host) GetExtensions() map[component.ID]component.Component { return h.extensions }

// newFixture starts the receiver; consume is what its pipeline does with spans, nil takes them.
func newFixture(t testing.TB, change func(*Config), extra map[string]any, consume consumer.ConsumeTracesFunc) *fixture {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	if change != nil {
		change(cfg)
	}
	require.NoError(t, confmap.NewFromStringMap(nil).Unmarshal(cfg))
	f := &fixture{own: componenttest.NewTelemetry(), spans: make(chan int, 10_000)}
	t.Cleanup(func() { require.NoError(t, f.own.Shutdown(context.Background())) })
	set := extensiontest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = f.own.NewTelemetrySettings()
	set.ID = component.NewID(metadata.Type)
	var err error
	f.requestLimits, err = newRequestLimits(set, cfg)
	require.NoError(t, err)
	require.NoError(t, f.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, f.Shutdown(context.Background())) })
	if consume == nil {
		consume = func(_ context.Context, td ptrace.Traces) error {
			f.spans <- td.SpanCount()
			return nil
		}
	}
	f.grpc, f.http = startReceiver(t, f.requestLimits, extra, consume)
	return f
}

// startReceiver starts an OTLP receiver with the extension as its middleware and returns its addresses.
func startReceiver(t testing.TB, own component.Component, extra map[string]any, consume consumer.ConsumeTracesFunc) (overGRPC, overHTTP string) {
	t.Helper()
	middlewares := []any{map[string]any{"id": "request_limits"}}
	factory := otlpreceiver.NewFactory()
	cfg := factory.CreateDefaultConfig()
	raw := map[string]any{"protocols": map[string]any{
		"grpc": map[string]any{"endpoint": "127.0.0.1:0", "middlewares": middlewares},
		"http": map[string]any{"endpoint": "127.0.0.1:0", "middlewares": middlewares},
	}}
	conf := confmap.NewFromStringMap(raw)
	require.NoError(t, conf.Merge(confmap.NewFromStringMap(extra)))
	require.NoError(t, conf.Unmarshal(cfg))
	if watcher, ok := own.(extensioncapabilities.ConfigSnapshotWatcher); ok {
		require.NoError(t, watcher.NotifyConfigSnapshot(context.Background(), told(t, map[string]any{"otlp": cfg}, nil)))
	}
	core, logs := observer.New(zapcore.InfoLevel)
	set := receivertest.NewNopSettings(factory.Type())
	set.Logger = zap.New(core)
	ctx := context.Background()
	traces, err := consumer.NewTraces(consume)
	require.NoError(t, err)
	logsNext, err := consumer.NewLogs(func(context.Context, plog.Logs) error { return nil })
	require.NoError(t, err)
	metricsNext, err := consumer.NewMetrics(func(context.Context, pmetric.Metrics) error { return nil })
	require.NoError(t, err)
	r, err := factory.CreateTraces(ctx, set, cfg, traces)
	require.NoError(t, err)
	_, err = factory.CreateLogs(ctx, set, cfg, logsNext)
	require.NoError(t, err)
	_, err = factory.CreateMetrics(ctx, set, cfg, metricsNext)
	require.NoError(t, err)
	h := &host{Host: componenttest.NewNopHost(), extensions: map[component.ID]component.Component{
		component.NewID(metadata.Type): own, component.MustNewID("nobody"): nobody{},
	}}
	require.NoError(t, r.Start(ctx, h))
	t.Cleanup(func() { stop(t, r) })
	for _, entry := range logs.FilterMessageSnippet("Starting").All() {
		if entry.Message == "Starting GRPC server" {
			overGRPC = entry.ContextMap()["endpoint"].(string)
		} else {
			overHTTP = entry.ContextMap()["endpoint"].(string)
		}
	}
	return overGRPC, overHTTP
}

// told is a configuration as the collector tells it to extensions: with all defaults.
func told(t testing.TB, receivers, extensions map[string]any) extensioncapabilities.ConfigSnapshot {
	t.Helper()
	conf := confmap.New()
	require.NoError(t, conf.Marshal(map[string]any{"receivers": receivers, "extensions": extensions}))
	return extensioncapabilities.NewConfigSnapshot(conf, nil)
}

// listen serves on an address of its own until the server is stopped.
func listen(t testing.TB, server *grpc.Server) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = server.Serve(listener) }()
	return listener.Addr().String()
}

func stop(t testing.TB, r receiver.Traces) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	require.NoError(t, r.Shutdown(ctx))
}

// rawCodec sends bytes as they are.
type rawCodec struct{}

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

func (rawCodec) Name() string { return "proto" }

var _ encoding.CodecV2 = rawCodec{}

// dial connects from a loopback address, empty for any.
func (f *fixture) dial(t testing.TB, from string) *grpc.ClientConn {
	t.Helper()
	dialer := &net.Dialer{}
	if from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	conn, err := grpc.NewClient("passthrough:///"+f.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry(),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", address)
		}))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func send(ctx context.Context, conn *grpc.ClientConn, method string, body []byte, options ...grpc.CallOption) error {
	var answer []byte
	return conn.Invoke(ctx, method, body, &answer, append(options, grpc.ForceCodecV2(rawCodec{}))...)
}

// post sends a request over HTTP and returns the answer with its body read.
func (f *fixture) post(t testing.TB, path, contentType string, body []byte, headers ...string) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+f.http+path, bytes.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", contentType)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	require.NoError(t, err)
	defer func() { require.NoError(t, answer.Body.Close()) }()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer, text
}

// refused returns how many requests were refused, by reason, and by peer for one of them.
func (f *fixture) refused(t testing.TB) (byReason, byPeer map[string]int64) {
	t.Helper()
	byReason, byPeer = make(map[string]int64), make(map[string]int64)
	m, err := f.own.GetMetric("otelcol_extension_request_limits_refused_requests")
	if err != nil {
		return byReason, byPeer
	}
	for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
		why, _ := p.Attributes.Value("reason")
		who, _ := p.Attributes.Value("peer")
		byReason[why.AsString()] += p.Value
		byPeer[who.AsString()] += p.Value
	}
	return byReason, byPeer
}

// wait receives, or fails after a while.
func wait[T any](t testing.TB, c <-chan T) (got T) {
	t.Helper()
	select {
	case got = <-c:
	case <-time.After(20 * time.Second):
		require.FailNow(t, "nothing came")
	}
	return got
}

// idle waits until nothing is held.
func (f *fixture) idle(t testing.TB) {
	t.Helper()
	require.Eventually(t, func() bool {
		bytes, streams, _ := f.ledger.held()
		return bytes == 0 && streams == 0
	}, 10*time.Second, time.Millisecond)
}

// refusedSoon waits for what is counted: gRPC tells the end of a call that it refused by itself after the caller has its
// answer.
func (f *fixture) refusedSoon(t testing.TB, want map[string]int64) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		byReason, _ := f.refused(t)
		assert.Equal(c, want, byReason)
	}, 10*time.Second, time.Millisecond)
}

func spans(n int) ptraceotlp.ExportRequest {
	td := ptrace.NewTraces()
	list := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for range n {
		s := list.AppendEmpty()
		s.SetTraceID(pcommon.TraceID{1})
		s.SetName("GET /reviews")
		s.Attributes().PutStr("http.request.method", "GET")
		s.Attributes().PutStr("url.path", "/reviews/0")
	}
	return ptraceotlp.NewExportRequestFromTraces(td)
}

func honest(t testing.TB, n int) []byte {
	t.Helper()
	body, err := spans(n).MarshalProto()
	require.NoError(t, err)
	return body
}

// hollow is a request of about size bytes that is mostly structure: many empty parts within the fields of path, from the
// inside out.
func hollow(size int, path ...byte) []byte {
	body := make([]byte, 0, size+64)
	for len(body) < size-32 {
		body = append(body, path[0]<<3|2, 0)
	}
	for _, number := range path[1:] {
		head := []byte{number<<3 | 2}
		n := len(body)
		for ; n >= 0x80; n >>= 7 {
			head = append(head, byte(n)|0x80)
		}
		body = append(append(head, byte(n)), body...)
	}
	return body
}
