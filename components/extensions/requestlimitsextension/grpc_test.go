// SPDX-License-Identifier: Apache-2.0

package requestlimitsextension

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// nobody is an authenticator that lets nobody in.
type nobody struct{ component.Component }

func (nobody) Authenticate(ctx context.Context, _ map[string][]string) (context.Context, error) {
	return ctx, errors.New("nobody may")
}

func TestHonestRequestsPassOverGRPC(t *testing.T) {
	f := newFixture(t, nil, nil, nil)
	conn := f.dial(t, "")
	body := honest(t, 5000)
	for _, compression := range []string{"identity", gzip.Name, "zstd", "snappy"} {
		require.NoError(t, send(t.Context(), conn, tracesMethod, body, grpc.UseCompressor(compression)), compression)
		require.Equal(t, 5000, <-f.spans)
	}
	require.NoError(t, send(t.Context(), conn, logsMethod, nil))
	require.NoError(t, send(t.Context(), conn, metricsMethod, nil))
	f.idle(t)
	byReason, _ := f.refused(t)
	require.Empty(t, byReason)
}

// structures are requests that are refused, each with the reason that is counted.
func structures() map[string]struct {
	method, path string
	body         []byte
	reason       string
} {
	type r = struct {
		method, path string
		body         []byte
		reason       string
	}
	const most = 4 << 20
	return map[string]r{
		"spans":      {tracesMethod, "/v1/traces", hollow(most, 2, 2, 1), "records"},
		"few spans":  {tracesMethod, "/v1/traces", hollow(40_000, 2, 2, 1), "expansion"},
		"resources":  {tracesMethod, "/v1/traces", hollow(most, 1), "resources"},
		"scopes":     {logsMethod, "/v1/logs", hollow(most, 2, 1), "scopes"},
		"links":      {tracesMethod, "/v1/traces", hollow(most, 13, 2, 2, 1), "links"},
		"events":     {tracesMethod, "/v1/traces", hollow(most, 11, 2, 2, 1), "events"},
		"attributes": {tracesMethod, "/v1/traces", hollow(most, 9, 2, 2, 1), "attributes_per_object"},
		"records":    {logsMethod, "/v1/logs", hollow(most, 2, 2, 1), "records"},
		"values":     {logsMethod, "/v1/logs", hollow(most, 1, 5, 5, 2, 2, 1), "values"},
		"points":     {metricsMethod, "/v1/metrics", hollow(most, 1, 5, 2, 2, 1), "records"},
		"exemplars":  {metricsMethod, "/v1/metrics", hollow(most, 5, 1, 5, 2, 2, 1), "exemplars"},
		"malformed":  {tracesMethod, "/v1/traces", []byte{0x0a, 0x05, 0x0a}, "malformed"},
	}
}

func TestStructuresAreRefusedOverGRPC(t *testing.T) {
	for name, c := range structures() {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil, nil, nil)
			conn := f.dial(t, "127.0.0.7")
			for _, compression := range []string{"identity", gzip.Name, "zstd"} {
				err := send(t.Context(), conn, c.method, c.body, grpc.UseCompressor(compression))
				require.Equal(t, codes.InvalidArgument, status.Code(err), "%v", err)
				require.Contains(t, status.Convert(err).Message(), "request_limits: ")
				require.Empty(t, status.Convert(err).Details(), "it is for good")
			}
			require.NoError(t, send(t.Context(), conn, tracesMethod, honest(t, 10)), "the same connection goes on")
			f.idle(t)
			byReason, byPeer := f.refused(t)
			require.Equal(t, map[string]int64{c.reason: 3}, byReason)
			require.Equal(t, map[string]int64{"127.0.0.7": 3}, byPeer)
			require.Len(t, f.spans, 1)
		})
	}
}

func TestSizeIsBoundedOverGRPC(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Request.MaxBytes = 1 << 20 }, nil, nil)
	conn := f.dial(t, "")
	zeros := make([]byte, 3<<20)
	for _, compression := range []string{"identity", gzip.Name, "zstd", "snappy"} {
		require.Equal(t, codes.InvalidArgument, status.Code(send(t.Context(), conn, tracesMethod, zeros, grpc.UseCompressor(compression))))
	}
	more := make([]byte, 64<<20)
	for _, compression := range []string{gzip.Name, "snappy"} {
		require.Equal(t, codes.ResourceExhausted, status.Code(send(t.Context(), conn, tracesMethod, more, grpc.UseCompressor(compression))))
	}
	require.Equal(t, codes.InvalidArgument, status.Code(send(t.Context(), conn, tracesMethod, more, grpc.UseCompressor("zstd"))))
	f.idle(t)
	f.refusedSoon(t, map[string]int64{"request_bytes": 7})
}

// wideZstd claims a window that an honest sender has no use for.
type wideZstd struct{ encoding.Compressor }

func (wideZstd) Do(body []byte) []byte {
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, zstd.WithWindowSize(zstd.MaxWindowSize), zstd.WithSingleSegment(false))
	if err != nil {
		panic(err)
	}
	_, _ = w.Write(body)
	_ = w.Flush()
	_ = w.Close()
	return b.Bytes()
}

func TestWindowsOfZstdAreBounded(t *testing.T) {
	z, err := newBoundedZstd(1 << 20)
	require.NoError(t, err)
	body := honest(t, 100)
	_, err = z.Do(bytes.NewReader(wideZstd{}.Do(body)))
	require.ErrorIs(t, err, zstd.ErrWindowSizeExceeded)
	_, err = z.Do(strings.NewReader("none"))
	require.Error(t, err)
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, zstd.WithWindowSize(zstdWindow))
	require.NoError(t, err)
	_, err = w.Write(body)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	got, err := z.Do(&b)
	require.NoError(t, err)
	require.Equal(t, body, got)
	require.Equal(t, "zstd", z.Type())
	require.Len(t, z.idle, cap(z.idle))
}

func TestBudgetIsSharedAndRetried(t *testing.T) {
	body := honest(t, 4000)
	entered, leave := make(chan struct{}), make(chan struct{})
	f := newFixture(t, func(c *Config) {
		c.Request.MaxBytes, c.Request.MaxDecodedBytes = 1<<20, 2<<20
		c.MaxConcurrentBytesPerPeer, c.MaxConcurrentBytes = 4<<20, 8<<20
	}, nil, func(context.Context, ptrace.Traces) error {
		entered <- struct{}{}
		<-leave
		return nil
	})
	done := make(chan error, 2)
	go func() { done <- send(context.Background(), f.dial(t, "127.0.0.2"), tracesMethod, body) }()
	wait(t, entered)
	held, streams, connections := f.ledger.held()
	require.Greater(t, held, int64(1<<20))
	require.EqualValues(t, 1, streams)
	require.EqualValues(t, 1, connections)

	// The same peer is over its part, another one is not.
	full := f.cfg.MaxConcurrentBytesPerPeer - held
	require.True(t, f.ledger.hold("127.0.0.2", full))
	err := send(t.Context(), f.dial(t, "127.0.0.2"), tracesMethod, body)
	require.Equal(t, codes.ResourceExhausted, status.Code(err), "%v", err)
	require.Len(t, status.Convert(err).Details(), 1)
	require.Equal(t, time.Second, status.Convert(err).Details()[0].(*errdetails.RetryInfo).GetRetryDelay().AsDuration())
	go func() { done <- send(context.Background(), f.dial(t, "127.0.0.3"), tracesMethod, body) }()
	wait(t, entered)
	f.ledger.release("127.0.0.2", full)

	// All together are over the whole.
	rest := f.cfg.MaxConcurrentBytes - 2*held
	require.True(t, f.ledger.hold("127.0.0.4", rest))
	require.Equal(t, codes.ResourceExhausted, status.Code(send(t.Context(), f.dial(t, "127.0.0.5"), tracesMethod, body)))
	f.ledger.release("127.0.0.4", rest)
	close(leave)
	require.NoError(t, wait(t, done))
	require.NoError(t, wait(t, done))
	f.idle(t)
	require.Empty(t, f.reportedStreams())
	byReason, _ := f.refused(t)
	require.Equal(t, map[string]int64{"concurrent_bytes": 2}, byReason)
}

// reportedStreams returns the peers that the ledger still knows for something else than a connection.
func (f *fixture) reportedStreams() (peers []string) {
	f.ledger.mu.Lock()
	defer f.ledger.mu.Unlock()
	for name, h := range f.ledger.peers {
		if h.bytes != 0 || h.streams != 0 {
			peers = append(peers, name)
		}
	}
	return peers
}

func TestStreamsAndConnectionsAreBounded(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	f := newFixture(t, func(c *Config) { c.MaxStreamsPerPeer, c.MaxConnectionsPerPeer = 1, 2 }, nil,
		func(context.Context, ptrace.Traces) error {
			select {
			case entered <- struct{}{}:
				<-leave
			case <-leave:
			}
			return nil
		})
	first, second, third := f.dial(t, "127.0.0.2"), f.dial(t, "127.0.0.2"), f.dial(t, "127.0.0.2")
	done := make(chan error, 2)
	go func() { done <- send(context.Background(), first, tracesMethod, honest(t, 1)) }()
	wait(t, entered)
	err := send(t.Context(), second, tracesMethod, honest(t, 1))
	require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
	require.Contains(t, err.Error(), "max_streams_per_peer")
	err = send(t.Context(), third, tracesMethod, honest(t, 1))
	require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
	require.Contains(t, err.Error(), "max_connections_per_peer")
	go func() { done <- send(context.Background(), f.dial(t, "127.0.0.3"), tracesMethod, honest(t, 1)) }()
	wait(t, entered)
	close(leave)
	require.NoError(t, wait(t, done))
	require.NoError(t, wait(t, done))
	f.idle(t)
	// Once another connection is gone, the third may be used.
	require.NoError(t, second.Close())
	require.Eventually(t, func() bool {
		return send(t.Context(), third, tracesMethod, honest(t, 1)) == nil
	}, 10*time.Second, 10*time.Millisecond)
	byReason, _ := f.refused(t)
	require.EqualValues(t, 1, byReason["streams"])
	require.GreaterOrEqual(t, byReason["connections"], int64(1))
}

func TestHeadersAreBoundedOverGRPC(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxHeaderBytes = 4096 }, nil, nil)
	conn := f.dial(t, "")
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-long", strings.Repeat("x", 5000))
	require.Error(t, send(ctx, conn, tracesMethod, honest(t, 1)))
	require.NoError(t, send(t.Context(), conn, tracesMethod, honest(t, 1)))
	require.Equal(t, 1, <-f.spans)
}

// TestNothingIsLeftBehind ends calls in every way in which the interceptor never sees them.
func TestNothingIsLeftBehind(t *testing.T) {
	f := newFixture(t, nil, nil, nil)
	options, err := f.GetGRPCServerOptions(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, options)
	conn := f.dial(t, "")

	stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, tracesMethod, grpc.ForceCodecV2(rawCodec{}))
	require.NoError(t, err)
	require.NoError(t, stream.SendMsg(honest(t, 3)))
	require.NoError(t, stream.SendMsg(honest(t, 3)))
	var answer []byte
	require.NoError(t, stream.CloseSend())
	err = stream.RecvMsg(&answer)
	require.Equal(t, codes.Internal, status.Code(err), "%v", err)

	require.Equal(t, codes.Unimplemented, status.Code(send(t.Context(), conn, "/a.b.C/D", honest(t, 1))))
	ctx, cancel := context.WithCancel(t.Context())
	_, err = conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, tracesMethod)
	require.NoError(t, err)
	cancel()
	f.refusedSoon(t, map[string]int64{"unreadable": 1})
	// The call that was given up may only now arrive, and is gone again.
	require.Eventually(t, func() bool { return len(f.reportedStreams()) == 0 }, 10*time.Second, time.Millisecond)
}

func TestNobodyIsDecodedBeforeAuthentication(t *testing.T) {
	auth := map[string]any{"auth": map[string]any{"authenticator": "nobody"}}
	f := newFixture(t, nil, map[string]any{"protocols": map[string]any{"grpc": auth, "http": auth}}, nil)
	require.Equal(t, codes.Unauthenticated, status.Code(send(t.Context(), f.dial(t, ""), tracesMethod, honest(t, 3))))
	answer, _ := f.post(t, "/v1/traces", typeProto, honest(t, 3))
	require.Equal(t, 401, answer.StatusCode)
	f.idle(t)
	byReason, _ := f.refused(t)
	require.Empty(t, byReason)
	_, err := f.own.GetMetric("otelcol_extension_request_limits_admitted_requests")
	require.Error(t, err, "none was admitted")
}
