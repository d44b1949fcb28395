// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	accesslogdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/otelcol-mesh/otelcol-mesh/demo/stack"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// ownMetric sums the series of one of a collector's own metrics whose labels contain all texts.
func ownMetric(t *testing.T, s *stack.Stack, role, name string, labels ...string) float64 {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Host(role)+":8888/metrics", http.NoBody)
	require.NoError(t, err)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	sum := 0.0
	for line := range strings.Lines(string(body)) {
		if !strings.HasPrefix(line, name) {
			continue
		}
		all := true
		for _, l := range labels {
			all = all && strings.Contains(line, l)
		}
		if fields := strings.Fields(line); all && len(fields) > 1 {
			value, err := strconv.ParseFloat(fields[len(fields)-1], 64)
			require.NoError(t, err, line)
			sum += value
		}
	}
	return sum
}

// eventually asks until ask says yes, or fails the test after a while. Unlike testify's it asks from the test's own
// goroutine, so that ask may use the test.
func eventually(t *testing.T, what string, ask func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !ask(); {
		if time.Now().After(deadline) {
			require.Fail(t, "it never happened: "+what)
		}
		select {
		case <-t.Context().Done():
			require.NoError(t, t.Context().Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func malformedInput(t *testing.T, s *stack.Stack) {
	const role = "agent-" + west
	t.Run("OTLP", func(t *testing.T) {
		refused := func() float64 {
			return ownMetric(t, s, role, "http_server_request_duration_count", `http_response_status_code="400"`)
		}
		before := refused()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.Host(role)+":4318/v1/traces", bytes.NewReader([]byte("not a protobuf message")))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/x-protobuf")
		response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		assert.Equal(t, http.StatusBadRequest, response.StatusCode)
		assert.NotEmpty(t, body, "the answer says what is wrong")
		eventually(t, "the refusal is counted", func() bool { return refused() > before })
	})
	rejected := func() float64 { return ownMetric(t, s, role, "otelcol_receiver_envoy_messages_rejected") }
	t.Run("a first message without an identifier", func(t *testing.T) {
		before := rejected()
		code, message := pushAccessLogs(t, s, role, &accesslogv3.StreamAccessLogsMessage{})
		assert.Equal(t, codes.InvalidArgument, code)
		assert.Contains(t, message, "identifier")
		eventually(t, "the refusal is counted", func() bool { return rejected() > before })
	})
	t.Run("an entry of 50 MB", func(t *testing.T) {
		before := rejected()
		entry := &accesslogdata.HTTPAccessLogEntry{Request: &accesslogdata.HTTPRequestProperties{Path: strings.Repeat("x", 50<<20)}}
		code, message := pushAccessLogs(t, s, role, &accesslogv3.StreamAccessLogsMessage{
			LogEntries: &accesslogv3.StreamAccessLogsMessage_HttpLogs{HttpLogs: &accesslogv3.StreamAccessLogsMessage_HTTPAccessLogEntries{
				LogEntry: []*accesslogdata.HTTPAccessLogEntry{entry},
			}},
		})
		assert.Equal(t, codes.ResourceExhausted, code)
		assert.Contains(t, message, "larger than max")
		eventually(t, "the refusal is counted", func() bool { return rejected() > before })
	})
}

// pushAccessLogs sends one message to an agent's access log service and returns how the stream ended.
func pushAccessLogs(t *testing.T, s *stack.Stack, role string, message *accesslogv3.StreamAccessLogsMessage) (codes.Code, string) {
	t.Helper()
	conn, err := grpc.NewClient(s.Host(role)+":18090", grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	stream, err := accesslogv3.NewAccessLogServiceClient(conn).StreamAccessLogs(ctx)
	require.NoError(t, err)
	// The receiver may end the stream while this is still being sent; what it says is in the answer.
	_ = stream.Send(message)
	_, err = stream.CloseAndRecv()
	require.Error(t, err)
	return status.Code(err), status.Convert(err).Message()
}

func brokenTopology(t *testing.T, s *stack.Stack) {
	good, err := os.ReadFile(s.TopologyFile())
	require.NoError(t, err)
	failures := func() float64 {
		return ownMetric(t, s, "hub", "otelcol_extension_mesh_topology_reloads", `outcome="failure"`)
	}
	before := failures()
	require.NoError(t, os.WriteFile(s.TopologyFile(), []byte("clusters: [{name: aks-westeurope, regoin: westeurope}]\n"), 0o644))
	eventually(t, "the bad file is counted", func() bool { return failures() > before })
	after := since(s)
	item := waitFor(t, s, "a call that is still resolved", ingestiontest.Filter{Type: "Dependency", Role: "productpage.bookinfo@" + west, Match: after})
	assert.Equal(t, "westeurope", item.Properties()["mesh.source.region"])
	require.NoError(t, os.WriteFile(s.TopologyFile(), good, 0o644))
	eventually(t, "the good file is read again", func() bool {
		return ownMetric(t, s, "hub", "otelcol_extension_mesh_topology_reloads", `outcome="success"`) > 0
	})
}
