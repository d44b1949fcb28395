// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/cumulativetodeltaprocessor"
	"github.com/open-telemetry/opentelemetry-collector-contrib/receiver/prometheusreceiver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/collector/receiver/receivertest"
)

// TestScrapedAsByTheAgent takes the recorded pages the way of the agent: the Prometheus receiver and cumulative_to_delta.
// It prevents that names or types are read that these make something else of.
func TestScrapedAsByTheAgent(t *testing.T) {
	var step atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		name := "1-started.prom"
		if step.Load() > 0 {
			name = "2-connected.prom"
		}
		raw, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		if step.Load() > 1 {
			// cumulative_to_delta cannot tell when a series that is new to it began, and leaves its first value out.
			raw = []byte(strings.NewReplacer(`pushes{type="cds"} 24`, `pushes{type="cds"} 30`, `rejects{type="cds"} 4`, `rejects{type="cds"} 5`,
				`pilot_proxy_convergence_time_count 18`, `pilot_proxy_convergence_time_count 20`,
				`pilot_proxy_convergence_time_bucket{le="30"} 18`, `pilot_proxy_convergence_time_bucket{le="30"} 20`,
				`pilot_proxy_convergence_time_bucket{le="+Inf"} 18`, `pilot_proxy_convergence_time_bucket{le="+Inf"} 20`).Replace(string(raw)))
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = w.Write(raw)
	}))
	t.Cleanup(server.Close)

	sink := new(consumertest.MetricsSink)
	deltas := cumulativetodeltaprocessor.NewFactory()
	processor, err := deltas.CreateMetrics(t.Context(), processortest.NewNopSettings(deltas.Type()), deltas.CreateDefaultConfig(), sink)
	require.NoError(t, err)
	host := componenttest.NewNopHost()
	require.NoError(t, processor.Start(t.Context(), host))
	t.Cleanup(func() { require.NoError(t, processor.Shutdown(t.Context())) })

	factory := prometheusreceiver.NewFactory()
	config := factory.CreateDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(map[string]any{"config": map[string]any{"scrape_configs": []any{map[string]any{
		"job_name": "istiod", "scrape_interval": "100ms", "scrape_timeout": "100ms",
		"static_configs": []any{map[string]any{"targets": []any{strings.TrimPrefix(server.URL, "http://")}}},
	}}}}).Unmarshal(config))
	receiver, err := factory.CreateMetrics(t.Context(), receivertest.NewNopSettings(factory.Type()), config, processor)
	require.NoError(t, err)
	require.NoError(t, receiver.Start(t.Context(), host))
	t.Cleanup(func() { require.NoError(t, receiver.Shutdown(t.Context())) })

	s := New(DefaultConfig())
	var all Counts
	read := 0
	arrived := func(done func() bool) {
		require.Eventually(t, func() bool {
			batches := sink.AllMetrics()
			for _, md := range batches[read:] {
				for _, rm := range md.ResourceMetrics().All() {
					// As mesh_topology does at the agent.
					resource(rm, "aks-westeurope", pod, "westeurope")
				}
				all.add(s.Metrics(md, time.Now()))
			}
			read = len(batches)
			s.Roll(time.Now().Add(familySettle), nil)
			return done()
		}, 30*time.Second, 20*time.Millisecond)
	}
	arrived(func() bool { return len(s.Records()) == 1 && s.Records()[0].Remotes.Told })
	step.Store(1)
	arrived(func() bool { return s.Records()[0].Proxies.Connected == 6 })
	step.Store(2)
	arrived(func() bool { return s.Records()[0].Convergence != nil })

	r := record(t, s, "aks-westeurope")
	assert.Equal(t, "1.31.0", r.Istiods[0].Version)
	assert.Equal(t, map[string]int64{"cds": 6}, r.Pushes.Sent)
	assert.Equal(t, map[string]int64{"cds": 1}, r.Pushes.Rejects)
	assert.Equal(t, int64(2), r.Convergence.Count)
	assert.InDelta(t, 25, r.Convergence.P50.Seconds, 1e-9)
	assert.Equal(t, []Remote{{"aks-dead", "timeout"}, {"aks-eastus", "synced"}}, r.Remotes.Clusters)
	assert.Equal(t, Proxies{
		Connected: 6, OtherVersion: 3, UnknownVersion: 1, Refused: 1, RefusedNames: []string{"app-0.default"},
		ByVersion: []ProxyVersion{{"1.29.4", 1, 2}, {"1.30.2", 2, 1}, {"1.31.0", 2, 0}, {"unknown", 1, 0}},
	}, r.Proxies)
	assert.Equal(t, int64(2110797081), r.Certificates.RootExpires.Unix())
	all.Taken = 0
	assert.Equal(t, Counts{}, all, "nothing is refused")
}
