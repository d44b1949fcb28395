// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

var update = flag.Bool("update", false, "write the golden documents anew")

const pod = "istiod-7d9c8b6f5-abcde"

// golden compares the whole document, as it is served.
func golden(t *testing.T, name string, doc *Document) {
	t.Helper()
	got, err := json.MarshalIndent(doc, "", "  ")
	require.NoError(t, err)
	path := filepath.Join("testdata", name+".json")
	if *update {
		require.NoError(t, os.WriteFile(path, append(got, '\n'), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.JSONEq(t, string(want), string(got))
}

// TestRecordedIstiod follows a real istiod: started, with proxies and changes, and after its restart, and a second cluster
// with an older one. It prevents that names, labels or types are read that Istio does not have.
func TestRecordedIstiod(t *testing.T) {
	s := New(DefaultConfig())
	s.Begin(noon.Add(-time.Hour))
	started, connected := page(t, "1-started.prom"), page(t, "2-connected.prom")
	s.Metrics(scrape(started, "aks-westeurope", pod, "westeurope", noon, after(0)), after(0))
	golden(t, "1-started", s.Roll(after(3*time.Second), nil))

	counts := s.Metrics(scrape(connected, "aks-westeurope", pod, "westeurope", noon, after(30*time.Second)), after(30*time.Second))
	assert.Equal(t, Counts{Taken: counts.Taken}, counts, "nothing of a real page is refused")
	assert.Greater(t, counts.Taken, 20)
	old := text(t, "# TYPE pilot_info gauge", `pilot_info{version="1.29.4-0a1b2c-Clean"} 1`, "# TYPE istiod_uptime_seconds gauge", "istiod_uptime_seconds 86400",
		"# TYPE pilot_xds gauge", `pilot_xds{version="1.29.4"} 40`, `pilot_xds{version="1.28.0"} 0`)
	s.Metrics(scrape(old, "aks-eastus", "istiod-1-29-66b9d9f6c4-zzzzz", "eastus", noon, after(30*time.Second)), after(30*time.Second))
	golden(t, "2-connected", s.Roll(after(33*time.Second), nil))

	// The container began anew: the same pod, counters from zero, versions gone.
	restarted := page(t, "3-restarted.prom")
	s.Metrics(scrape(restarted, "aks-westeurope", pod, "westeurope", after(46*time.Second), after(60*time.Second)), after(60*time.Second))
	golden(t, "3-restarted", s.Roll(after(63*time.Second), nil))
	r := record(t, s, "aks-westeurope")
	assert.Equal(t, int64(3), r.Proxies.Connected)
	assert.Zero(t, r.Proxies.OtherVersion)
	assert.Equal(t, int64(24+3), r.Pushes.Sent["cds"], "what was sent before and after the restart")
	assert.Equal(t, after(45*time.Second), r.Istiods[0].Started)
}

// TestEmittedOfARecording prevents that a metric has another name, unit or type than the documentation says.
func TestEmittedOfARecording(t *testing.T) {
	s := New(DefaultConfig())
	s.Metrics(scrape(page(t, "1-started.prom"), "aks-westeurope", pod, "westeurope", noon, after(0)), after(0))
	s.Metrics(scrape(page(t, "2-connected.prom"), "aks-westeurope", pod, "westeurope", noon, after(30*time.Second)), after(30*time.Second))
	s.Roll(after(33*time.Second), nil)
	slice := pmetric.NewMetricSlice()
	s.AppendMetrics(slice, after(33*time.Second))
	got := map[string]float64{}
	for _, m := range slice.All() {
		for _, p := range m.Gauge().DataPoints().All() {
			parts := []string{m.Name() + "[" + m.Unit() + "]"}
			for _, k := range []string{"k8s.cluster.name", "version", "revision", "type", "quantile", "certificate", "status", "kind"} {
				if v, ok := p.Attributes().Get(k); ok {
					parts = append(parts, v.Str())
				}
			}
			key := strings.Join(parts, " ")
			v, _ := number(p)
			assert.NotContains(t, got, key, "twice")
			got[key] = v
		}
	}
	const c = " aks-westeurope"
	assert.InDelta(t, 315359967, got["mesh.control_plane.certificate.expires[s]"+c+" root"], 3e7)
	delete(got, "mesh.control_plane.certificate.expires[s]"+c+" root")
	for key, v := range got {
		got[key] = math.Round(v*1e6) / 1e6
	}
	assert.Equal(t, map[string]float64{
		"mesh.control_plane.istiods[{istiod}]" + c + " 1.31.0 default":           1,
		"mesh.control_plane.proxies[{proxy}]" + c + " 1.29.4":                    1,
		"mesh.control_plane.proxies[{proxy}]" + c + " 1.30.2":                    2,
		"mesh.control_plane.proxies[{proxy}]" + c + " 1.31.0":                    2,
		"mesh.control_plane.proxies[{proxy}]" + c + " unknown":                   1,
		"mesh.control_plane.proxies.behind[{proxy}]" + c:                         3,
		"mesh.control_plane.version.behind[{version}]" + c:                       0,
		"mesh.control_plane.push.errors[{error}]" + c:                            0,
		"mesh.control_plane.push.rejects[{reject}]" + c + " cds":                 4,
		"mesh.control_plane.findings[{finding}]" + c + " " + KindRejects:         1,
		"mesh.control_plane.remote_clusters[{cluster}]" + c + " synced":          1,
		"mesh.control_plane.remote_clusters[{cluster}]" + c + " syncing":         0,
		"mesh.control_plane.remote_clusters[{cluster}]" + c + " closed":          0,
		"mesh.control_plane.remote_clusters[{cluster}]" + c + " timeout":         1,
		"mesh.control_plane.findings[{finding}]" + c + " " + KindRemoteNotSynced: 1,
		"mesh.control_plane.findings[{finding}]" + c + " " + KindProxiesBehind:   1,
		"mesh.control_plane.convergence[s]" + c + " 0.5":                         0.05,
		"mesh.control_plane.convergence[s]" + c + " 0.9":                         0.09,
		"mesh.control_plane.convergence[s]" + c + " 0.99":                        0.099,
	}, got)
}
