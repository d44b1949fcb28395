// SPDX-License-Identifier: Apache-2.0

package requestlimitsextension

import (
	"bytes"
	"compress/gzip"
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

func zipped(t *testing.T, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(body)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func TestHonestRequestsPassOverHTTP(t *testing.T) {
	f := newFixture(t, nil, nil, nil)
	json, err := spans(3000).MarshalJSON()
	require.NoError(t, err)
	for _, c := range []struct {
		contentType string
		body        []byte
	}{{typeProto, honest(t, 3000)}, {typeJSON, json}, {typeJSON + "; charset=utf-8", json}} {
		answer, _ := f.post(t, "/v1/traces", c.contentType, c.body)
		require.Equal(t, http.StatusOK, answer.StatusCode)
		require.Equal(t, 3000, <-f.spans)
		answer, _ = f.post(t, "/v1/traces", c.contentType, zipped(t, c.body), "Content-Encoding", "gzip")
		require.Equal(t, http.StatusOK, answer.StatusCode)
		require.Equal(t, 3000, <-f.spans)
	}
	f.idle(t)
	byReason, _ := f.refused(t)
	require.Empty(t, byReason)
	answer, _ := f.post(t, "/v1/traces", "text/plain", []byte("x"))
	require.Equal(t, http.StatusUnsupportedMediaType, answer.StatusCode)
}

func TestStructuresAreRefusedOverHTTP(t *testing.T) {
	for name, c := range structures() {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil, nil, nil)
			want := http.StatusRequestEntityTooLarge
			if c.reason == "malformed" {
				want = http.StatusBadRequest
			}
			answer, body := f.post(t, c.path, typeProto, c.body)
			require.Equal(t, want, answer.StatusCode)
			require.Equal(t, typeProto, answer.Header.Get("Content-Type"))
			require.Empty(t, answer.Header.Get("Retry-After"))
			var s spb.Status
			require.NoError(t, proto.Unmarshal(body, &s))
			require.Contains(t, s.GetMessage(), "request_limits: ")
			answer, _ = f.post(t, c.path, typeProto, zipped(t, c.body), "Content-Encoding", "gzip")
			require.Equal(t, want, answer.StatusCode)
			f.idle(t)
			byReason, byPeer := f.refused(t)
			require.Equal(t, map[string]int64{c.reason: 2}, byReason)
			require.Equal(t, map[string]int64{"127.0.0.1": 2}, byPeer)
		})
	}
}

func TestJSONIsRefused(t *testing.T) {
	f := newFixture(t, nil, nil, nil)
	for body, reason := range map[string]string{
		`{"resourceSpans":[{"scopeSpans":[{"spans":[` + strings.Repeat("{},", 1_000_000) + `{}]}]}]}`:      "records",
		`{"resourceSpans":` + strings.Repeat("[", 1_000_000):                                               "malformed",
		`{"unknown":` + strings.Repeat(`{"a":`, 300_000):                                                   "depth",
		`{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":{"events":[{},{}]}}]}]}]}`:                     "malformed",
		`{"resourceSpans":[{"resource":{"attributes":[` + strings.Repeat(`{"key":"a"},`, 2000) + `{}]}}]}`: "attributes_per_object",
	} {
		before, _ := f.refused(t)
		answer, text := f.post(t, "/v1/traces", typeJSON, []byte(body))
		require.Contains(t, []int{400, 413}, answer.StatusCode)
		var s spb.Status
		require.NoError(t, protojson.Unmarshal(text, &s))
		require.Contains(t, s.GetMessage(), "request_limits: ")
		after, _ := f.refused(t)
		require.Equal(t, before[reason]+1, after[reason], "%s: %v", reason, after)
	}
	require.Empty(t, f.spans)
}

func TestSizeIsBoundedOverHTTP(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxHeaderBytes, c.Request.MaxBytes = 2048, 128<<10 }, nil, nil)
	zeros := make([]byte, 64<<20)
	for _, c := range []struct {
		status int
		body   []byte
		header []string
	}{
		// Of a body that it refuses the server reads 256 KiB, so that the sender gets to read the answer.
		{413, zeros[:200<<10], nil},
		{413, zipped(t, zeros), []string{"Content-Encoding", "gzip"}},
		{400, zipped(t, zeros[:100<<10])[:60], []string{"Content-Encoding", "gzip"}},
		{431, nil, []string{"X-Long", strings.Repeat("x", 3000)}},
	} {
		answer, _ := f.post(t, "/v1/traces", typeProto, c.body, c.header...)
		require.Equal(t, c.status, answer.StatusCode)
	}
	answer, _ := f.post(t, "/v2/traces", typeProto, honest(t, 1))
	require.Equal(t, http.StatusNotFound, answer.StatusCode)
	f.idle(t)
	byReason, _ := f.refused(t)
	require.Equal(t, map[string]int64{"request_bytes": 2, "unreadable": 1, "header_bytes": 1, "unknown_path": 1}, byReason)
}

func TestBudgetIsRetriedOverHTTP(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	f := newFixture(t, func(c *Config) { c.MaxStreamsPerPeer = 1 }, nil, func(context.Context, ptrace.Traces) error {
		entered <- struct{}{}
		<-leave
		return nil
	})
	require.True(t, f.ledger.hold("127.0.0.1", f.cfg.MaxConcurrentBytesPerPeer))
	answer, _ := f.post(t, "/v1/traces", typeProto, honest(t, 1))
	require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	require.Equal(t, "1", answer.Header.Get("Retry-After"))
	f.ledger.release("127.0.0.1", f.cfg.MaxConcurrentBytesPerPeer)
	done := make(chan int)
	go func() {
		answer, _ := f.post(t, "/v1/traces", typeProto, honest(t, 1))
		done <- answer.StatusCode
	}()
	wait(t, entered)
	answer, _ = f.post(t, "/v1/traces", typeProto, honest(t, 1))
	require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	require.Equal(t, "1", answer.Header.Get("Retry-After"))
	close(leave)
	require.Equal(t, http.StatusOK, wait(t, done))
	f.idle(t)
	byReason, _ := f.refused(t)
	require.Equal(t, map[string]int64{"concurrent_bytes": 1, "streams": 1}, byReason)
}
