// SPDX-License-Identifier: Apache-2.0

package meshtopologyextension

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension/internal/metadatatest"
)

const (
	good = "clusters: [{name: a, workloads: [{name: w, namespace: n, pods: [{name: p}]}]}]\n"
	more = "clusters: [{name: a}, {name: b}]\n"
	bad  = "clusters: [{nam: a}]\n"
)

func TestValidate(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	require.ErrorContains(t, cfg.Validate(), "'static::file' is missing: write the path")
	cfg.Static.File = "topology.yaml"
	require.NoError(t, cfg.Validate())
	cfg.Static.ReloadInterval, cfg.MaxClusters, cfg.MaxPods = time.Millisecond, 0, -1
	err := cfg.Validate()
	require.ErrorContains(t, err, "'static::reload_interval' must be at least 100ms")
	require.ErrorContains(t, err, "'max_clusters'")
	require.ErrorContains(t, err, "'max_pods'")
}

// statusHost takes the status that the extension reports while it runs.
type statusHost struct {
	component.Host
	mu     sync.Mutex
	events []componentstatus.Status
}

func (h *statusHost) Report(event *componentstatus.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, event.Status())
}

func (h *statusHost) last() componentstatus.Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.events) == 0 {
		return componentstatus.StatusNone
	}
	return h.events[len(h.events)-1]
}

// replace puts the content in place at once, as a reader of half a file would see a third content.
func replace(t *testing.T, file, content string) {
	t.Helper()
	next := file + ".next"
	require.NoError(t, os.WriteFile(next, []byte(content), 0o600))
	require.NoError(t, os.Rename(next, file))
}

func TestReloading(t *testing.T) {
	file := filepath.Join(t.TempDir(), "topology.yaml")
	replace(t, file, good)
	telemetry := componenttest.NewTelemetry()
	cfg := createDefaultConfig().(*Config)
	cfg.Static.File, cfg.Static.ReloadInterval = file, time.Millisecond
	m, err := newMeshTopology(metadatatest.NewSettings(telemetry), cfg)
	require.NoError(t, err)
	assert.Zero(t, m.Snapshot().Stats().Clusters, "before the start there is an empty snapshot, not none")
	host := &statusHost{Host: componenttest.NewNopHost()}
	require.NoError(t, m.Start(context.Background(), host))
	t.Cleanup(func() { require.NoError(t, m.Shutdown(context.Background())) })
	assert.Equal(t, 1, m.Snapshot().Stats().Pods)

	eventually := func(status componentstatus.Status) {
		t.Helper()
		require.Eventually(t, func() bool { return host.last() == status }, 10*time.Second, time.Millisecond)
	}
	replace(t, file, bad)
	eventually(componentstatus.StatusRecoverableError)
	assert.Equal(t, 1, m.Snapshot().Stats().Clusters, "the last good snapshot stays")
	assert.Positive(t, m.age())
	replace(t, file, more)
	eventually(componentstatus.StatusOK)
	assert.Equal(t, 2, m.Snapshot().Stats().Clusters)
	assert.Zero(t, m.age())

	point := func(n int64, kv ...attribute.KeyValue) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{Value: n, Attributes: attribute.NewSet(kv...)}
	}
	metadatatest.AssertEqualExtensionMeshTopologyClusters(t, telemetry, []metricdata.DataPoint[int64]{point(2)}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualExtensionMeshTopologyPods(t, telemetry, []metricdata.DataPoint[int64]{point(0)}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualExtensionMeshTopologyReloads(t, telemetry, []metricdata.DataPoint[int64]{
		point(1, attribute.String("outcome", "failure")), point(1, attribute.String("outcome", "success")),
	}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualExtensionMeshTopologySnapshotAge(t, telemetry,
		[]metricdata.DataPoint[float64]{{Value: 0}}, metricdatatest.IgnoreTimestamp())
}

func TestABadFileStopsTheStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "topology.yaml")
	cfg := createDefaultConfig().(*Config)
	cfg.Static.File = file
	m, err := newMeshTopology(metadatatest.NewSettings(componenttest.NewTelemetry()), cfg)
	require.NoError(t, err)
	require.ErrorIs(t, m.Start(context.Background(), componenttest.NewNopHost()), os.ErrNotExist)
	replace(t, file, bad)
	require.ErrorContains(t, m.Start(context.Background(), componenttest.NewNopHost()), `unknown field "nam"`)
	require.NoError(t, m.Shutdown(context.Background()))
	require.NoError(t, m.Shutdown(context.Background()), "twice")
}

func TestTheCeilingsAreKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "topology.yaml")
	replace(t, file, more)
	cfg := createDefaultConfig().(*Config)
	cfg.Static.File, cfg.MaxClusters = file, 1
	m, err := newMeshTopology(metadatatest.NewSettings(componenttest.NewTelemetry()), cfg)
	require.NoError(t, err)
	require.ErrorContains(t, m.Start(context.Background(), componenttest.NewNopHost()), "'max_clusters'")
	require.NoError(t, m.Shutdown(context.Background()))
}
