// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

const (
	tracesMethod  = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
	logsMethod    = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
	metricsMethod = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
)

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

func dialer(from string) *net.Dialer {
	return &net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
}

// packed says that messages are compressed already.
type packed string

func (packed) Do(w io.Writer, message []byte) error {
	_, err := w.Write(message)
	return err
}

func (p packed) Type() string { return string(p) }

// dialGRPC connects from a loopback address.
func dialGRPC(t testing.TB, from, target string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+target, append(options,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry(),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return dialer(from).DialContext(ctx, "tcp", address)
		}))...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func export(ctx context.Context, conn *grpc.ClientConn, method string, body []byte, options ...grpc.CallOption) error {
	var answer []byte
	return conn.Invoke(ctx, method, body, &answer, append(options, grpc.ForceCodecV2(rawCodec{}))...)
}

// httpClient connects from a loopback address.
func httpClient(t testing.TB, from string) *http.Client {
	transport := &http.Transport{DialContext: dialer(from).DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: within}
}

func post(client *http.Client, url, contentType, contentEncoding string, body []byte) (int, string, error) {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Content-Type", contentType)
	if contentEncoding != "" {
		request.Header.Set("Content-Encoding", contentEncoding)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// honest is a sender of OTLP as SDKs are: it sends again what it may, until all is taken.
type honest struct {
	name string
	send func(ctx context.Context, body []byte) (again bool, err error)

	ids     []string
	latency []time.Duration
	retries int
	err     error
}

// overGRPC and overHTTP are the two kinds of it.
func overGRPC(t testing.TB, from, target string) *honest {
	conn := dialGRPC(t, from, target)
	return &honest{name: "grpc" + from, send: func(ctx context.Context, body []byte) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		err := export(ctx, conn, tracesMethod, body)
		// https://opentelemetry.io/docs/specs/otlp/#failures
		again := []codes.Code{
			codes.Canceled, codes.DeadlineExceeded, codes.Aborted, codes.OutOfRange, codes.Unavailable, codes.DataLoss,
		}
		s := status.Convert(err)
		return slices.Contains(again, s.Code()) || s.Code() == codes.ResourceExhausted && len(s.Details()) > 0, err
	}}
}

func overHTTP(t testing.TB, from, target string) *honest {
	client := httpClient(t, from)
	return &honest{name: "http" + from, send: func(_ context.Context, body []byte) (bool, error) {
		code, text, err := post(client, "http://"+target+"/v1/traces", "application/x-protobuf", "", body)
		switch {
		case err != nil:
			return true, err
		case code == http.StatusOK:
			return false, nil
		}
		again := []int{http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}
		return slices.Contains(again, code), fmt.Errorf("%d: %s", code, strings.TrimSpace(text))
	}}
}

const honestSpans = 20

// batch makes a request whose spans have ids of their own.
func (h *honest) batch() ([]byte, error) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "reviews.bookinfo")
	list := rs.ScopeSpans().AppendEmpty().Spans()
	for range honestSpans {
		id := fmt.Sprintf("%s-%d", h.name, len(h.ids))
		h.ids = append(h.ids, id)
		s := list.AppendEmpty()
		s.SetName("GET /reviews")
		s.SetTraceID(pcommon.TraceID([]byte(fmt.Sprintf("%016d", len(h.ids)))))
		s.SetSpanID(pcommon.SpanID([]byte(fmt.Sprintf("%08d", len(h.ids)))))
		s.SetKind(ptrace.SpanKindServer)
		s.Attributes().PutStr("honest.id", id)
		s.Attributes().PutStr("http.request.method", "GET")
		s.Attributes().PutStr("url.path", "/reviews/0")
	}
	return ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
}

// run sends one batch after the other until stop is closed, and gives up a batch only if told so.
func (h *honest) run(stop <-chan struct{}) {
	for {
		body, err := h.batch()
		if err != nil {
			h.err = err
			return
		}
		began := time.Now()
		for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
			again, err := h.send(context.Background(), body)
			if err == nil {
				break
			}
			if !again || time.Since(began) > within {
				h.err = err
				return
			}
			h.retries++
			<-time.After(pause) // the back-off of the sender that this is
		}
		h.latency = append(h.latency, time.Since(began))
		select {
		case <-stop:
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// beside runs do with honest senders beside it, and holds that nothing of theirs was lost on its way to the sink.
func beside(t *testing.T, s *sink, senders []*honest, do func()) {
	t.Helper()
	stop := make(chan struct{})
	var running sync.WaitGroup
	for _, h := range senders {
		running.Go(func() { h.run(stop) })
	}
	func() {
		defer func() {
			close(stop)
			running.Wait()
		}()
		do()
	}()
	for _, h := range senders {
		require.NoError(t, h.err, "%s after %d batches", h.name, len(h.latency))
		require.NotEmpty(t, h.latency)
		require.Eventually(t, func() bool { return s.missing(h.ids) == 0 }, within, 100*time.Millisecond, h.name)
		median, p99, worst := spread(h.latency)
		t.Logf("honest %s: %d spans in %d batches, lost 0, sent again %d times; latency %v, p99 %v, at most %v",
			h.name, len(h.ids), len(h.latency), h.retries, median, p99, worst)
	}
}

// spread returns the median, the 99th percentile and the largest.
func spread(all []time.Duration) (median, p99, worst time.Duration) {
	sorted := slices.Sorted(slices.Values(all))
	round := func(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
	return round(sorted[len(sorted)/2]), round(sorted[len(sorted)*99/100]), round(sorted[len(sorted)-1])
}
