// SPDX-License-Identifier: Apache-2.0

package distribution_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh"
)

const (
	standaloneHost = "127.7.0.2"
	patience       = 60 * time.Second
)

// TestStandaloneResolvesARecordedSpan prevents the bug that the configuration people try first validates, but does not
// do its job: a span as Envoy really sent it goes in, and both ends come out.
func TestStandaloneResolvesARecordedSpan(t *testing.T) {
	dir := t.TempDir()
	topology, err := mesh.Topology()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "topology.yaml"), topology, 0o644))
	output := filepath.Join(dir, "out.jsonl")
	pprof := "yaml:{extensions: {pprof: {endpoint: '" + standaloneHost + ":1777'}}, service: {extensions: [health_check, zpages, mesh_topology, pprof]}}"
	stderr, _ := start(t, []string{"config/standalone.yaml", pprof}, "MESH_LISTEN_HOST="+standaloneHost, "MESH_ADMIN_HOST="+standaloneHost, "MESH_DEBUG_HOST="+standaloneHost,
		"MESH_TOPOLOGY_FILE="+filepath.Join(dir, "topology.yaml"), "MESH_OUTPUT_FILE="+output)

	span, err := os.ReadFile("../test/recordings/testdata/spans/sidecar-outbound-remote.json")
	require.NoError(t, err)
	// The recording's ids and times are blanked; a span needs real ones.
	for from, to := range map[string]string{
		`"traceId": "01"`: `"traceId": "0102030405060708090a0b0c0d0e0f10"`, `"spanId": "01"`: `"spanId": "0102030405060708"`,
		`"parentSpanId": "01"`: `"parentSpanId": "1102030405060708"`,
	} {
		span = bytes.ReplaceAll(span, []byte(from), []byte(to))
	}
	eventually(t, stderr, func() bool { return post(t, "http://"+standaloneHost+":4318/v1/traces", span) })
	var line string
	eventually(t, stderr, func() bool {
		line = whole(output)
		return strings.Contains(line, "resourceSpans")
	})
	for key, value := range map[string]string{
		"k8s.cluster.name": "aks-westeurope", "cloud.region": "westeurope", "http.request.method": "GET",
		"mesh.source.workload": "productpage-v1", "mesh.destination.cluster": "aks-northeurope", "mesh.destination.service": "reviews",
		"mesh.traffic.locality": "cross_region", "mesh.resolution.destination": "endpoint_metadata",
	} {
		assert.Contains(t, line, `{"key":"`+key+`","value":{"stringValue":"`+value+`"}}`)
	}
}

// whole returns the lines of a file that are written to their ends; none if it cannot be read yet.
func whole(file string) string {
	raw, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return string(raw[:bytes.LastIndexByte(raw, '\n')+1])
}

func post(t *testing.T, url string, body []byte) bool {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if errors.Is(err, syscall.ECONNREFUSED) { // not listening yet
		return false
	}
	require.NoError(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, string(answer))
	return true
}

func eventually(t *testing.T, stderr *os.File, ask func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ask(); {
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(stderr.Name())
			require.Fail(t, "it did not happen; the collector said:\n"+string(log))
		}
		select {
		case <-t.Context().Done():
			require.NoError(t, t.Context().Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
