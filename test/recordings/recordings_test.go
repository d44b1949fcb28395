// SPDX-License-Identifier: Apache-2.0

// Package recordings freezes what each Envoy role really sends. The test runs the mesh, records, and compares with the
// files in testdata; `make record` writes them again.
package recordings

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/demo/recorder"
	"github.com/otelcol-mesh/otelcol-mesh/internal/envoybin"
)

const (
	west, north = "aks-westeurope", "aks-northeurope"
	within      = 60 * time.Second
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRecordings prevents the bug that our parsers are tested against what we believe Envoy sends: a new Envoy, or a
// change of the mesh's configuration, shows here as a difference from the frozen files.
func TestRecordings(t *testing.T) {
	got := capture(t)
	if os.Getenv("OTELCOL_MESH_RECORD") != "" {
		require.NoError(t, os.RemoveAll("testdata"))
		for name, content := range got {
			file := filepath.Join("testdata", name)
			require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
			require.NoError(t, os.WriteFile(file, content, 0o644))
		}
		return
	}
	for name, content := range got {
		want, err := os.ReadFile(filepath.Join("testdata", name))
		if assert.NoErrorf(t, err, "%s: record it with 'make record'", name) {
			assert.Equal(t, string(want), string(content), "%s: if the difference is right, 'make record'", name)
		}
	}
	var frozen []string
	require.NoError(t, filepath.WalkDir("testdata", func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, err := filepath.Rel("testdata", path)
			require.NoError(t, err)
			frozen = append(frozen, filepath.ToSlash(name))
		}
		return err
	}))
	for _, name := range frozen {
		assert.Contains(t, got, name, "frozen, but no longer recorded")
	}
}

// capture runs the mesh until every sample has been seen once, first in health, then with westeurope's reviews gone.
func capture(t *testing.T) map[string][]byte {
	t.Helper()
	envoy, err := envoybin.Path(t.Context())
	require.NoError(t, err)
	recorders := map[string]*recorder.Recorder{}
	for cluster, agent := range mesh.DefaultAgents() {
		r, err := recorder.Listen(agent)
		require.NoError(t, err)
		t.Cleanup(r.Close)
		recorders[cluster] = r
	}
	m, err := mesh.New(mesh.Options{Envoy: envoy, Dir: t.TempDir()})
	require.NoError(t, err)
	require.NoError(t, m.Start(t.Context()))
	// The test's own context ends before cleanups run.
	t.Cleanup(func() { assert.NoError(t, m.Stop(context.Background())) })

	ready, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	require.NoError(t, m.Ready(ready))
	load, stopLoad := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := m.Load(load, 10, nil)
		assert.NoError(t, err)
	}()
	defer func() { stopLoad(); <-done }()

	got := map[string][]byte{}
	collect(t, recorders, healthy, got)
	require.NoError(t, m.Fail(west, "reviews"))
	collect(t, recorders, failedOver, got)
	got["metrics/prometheus-sidecar.txt"] = scrape(t)
	require.NoError(t, m.Fail(west, "productpage"))
	collect(t, recorders, disconnected, got)
	return got
}

// collect waits until each sample has been recorded by its cluster's recorder.
func collect(t *testing.T, recorders map[string]*recorder.Recorder, samples []sample, got map[string][]byte) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		var missing []string
		for _, s := range samples {
			if _, ok := got[s.name]; ok {
				continue
			}
			if raw := s.find(recorders[s.cluster].Snapshot()); raw != nil {
				got[s.name] = normalize(t, raw)
			} else {
				missing = append(missing, s.name)
			}
		}
		if len(missing) == 0 {
			return
		}
		if time.Now().After(deadline) {
			require.Empty(t, missing, "not recorded within %s", within)
		}
		select {
		case <-t.Context().Done():
			require.NoError(t, t.Context().Err())
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// scrape returns the sidecar's Istio metrics without their values: which series there are, with which labels.
func scrape(t *testing.T) []byte {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+mesh.ScrapeTargets(west)[0]+"/stats/prometheus", http.NoBody)
	require.NoError(t, err)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	var lines []string
	for line := range strings.Lines(string(body)) {
		series, _, _ := strings.Cut(strings.TrimSpace(line), "} ")
		if !strings.HasPrefix(line, "istio_requests_total{") && !strings.HasPrefix(line, "# TYPE istio_") {
			continue
		}
		// Which answers there were by now depends on the moment; the calls to details are always there.
		if strings.HasPrefix(line, "istio_requests_total{") && (!strings.Contains(line, `destination_service_name="details"`) || !strings.Contains(line, `response_code="200"`)) {
			continue
		}
		if strings.HasPrefix(series, "istio_") {
			series += "} <value>"
		}
		lines = append(lines, series)
	}
	slices.Sort(lines)
	require.NotEmpty(t, lines)
	var out bytes.Buffer
	for _, line := range lines {
		out.WriteString(line + "\n")
	}
	return out.Bytes()
}
