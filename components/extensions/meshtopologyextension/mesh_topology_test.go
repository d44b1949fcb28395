// SPDX-License-Identifier: Apache-2.0

package meshtopologyextension

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension/internal/metadatatest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

const (
	good = "mesh_id: m\nclusters: [{name: a, network: n, workloads: [{name: w, namespace: n, pods: [{name: p, addresses: [10.0.0.1]}]}]}]\n"
	more = "clusters: [{name: a}, {name: b}]\n"
	bad  = "clusters: [{nam: a}]\n"
)

func point(n int64, kv ...attribute.KeyValue) metricdata.DataPoint[int64] {
	return metricdata.DataPoint[int64]{Value: n, Attributes: attribute.NewSet(kv...)}
}

func TestReloading(t *testing.T) {
	file := filepath.Join(t.TempDir(), "topology.yaml")
	replace(t, file, good)
	f := build(t, withStatic(createDefaultConfig().(*Config), file))
	assert.Zero(t, f.Snapshot().Stats().Clusters, "before the start there is an empty snapshot, not none")
	require.NoError(t, f.Start(context.Background(), f.host))
	assert.Equal(t, 1, f.Snapshot().Stats().Pods, "read before the start returns")
	assert.Equal(t, "a/p", f.holder("n", "10.0.0.1"))

	replace(t, file, bad)
	f.eventually(func() bool { return f.host.last() == componentstatus.StatusRecoverableError }, "a bad file")
	f.tick()
	assert.Equal(t, 1, f.Snapshot().Stats().Clusters, "the last good content stays")
	assert.True(t, f.stale("a"))
	assert.Equal(t, []string{"a: static"}, f.ongoing(topology.KindClusterStale))

	f.clock.Add(int64(time.Second))
	replace(t, file, more)
	f.eventually(func() bool { return f.host.last() == componentstatus.StatusOK }, "a good file")
	f.tick()
	assert.Equal(t, 2, f.Snapshot().Stats().Clusters)
	assert.False(t, f.stale("a"))
	assert.Empty(t, f.ongoing(topology.KindClusterStale))

	replace(t, file, "clusters: [{name: b}]\n")
	f.eventually(func() bool { return f.Snapshot().Stats().Clusters == 1 }, "a cluster less")

	metadatatest.AssertEqualExtensionMeshTopologyClusters(t, f.telemetry, []metricdata.DataPoint[int64]{point(1)}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualExtensionMeshTopologyPods(t, f.telemetry, []metricdata.DataPoint[int64]{point(0)}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualExtensionMeshTopologyReloads(t, f.telemetry, []metricdata.DataPoint[int64]{
		point(1, attribute.String("outcome", "failure")), point(2, attribute.String("outcome", "success")),
	}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualExtensionMeshTopologyClusterStale(t, f.telemetry, []metricdata.DataPoint[int64]{
		point(0, attribute.String("k8s.cluster.name", "b")),
	}, metricdatatest.IgnoreTimestamp())
}

func TestABadFileStopsTheStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "topology.yaml")
	require.ErrorIs(t, startError(t, withStatic(createDefaultConfig().(*Config), file)), os.ErrNotExist)
	replace(t, file, bad)
	require.ErrorContains(t, startError(t, withStatic(createDefaultConfig().(*Config), file)), `unknown field "nam"`)
}

// startError starts what cannot start, and shuts it down twice as the collector may.
func startError(t *testing.T, cfg *Config) error {
	t.Helper()
	f := build(t, cfg)
	err := f.Start(context.Background(), f.host)
	require.NoError(t, f.Shutdown(context.Background()))
	return err
}

func TestTheCeilingsAreKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "topology.yaml")
	replace(t, file, more)
	cfg := withStatic(createDefaultConfig().(*Config), file)
	cfg.MaxClusters = 1
	require.ErrorContains(t, startError(t, cfg), "'max_clusters'")
}

func TestAdminPort(t *testing.T) {
	cfg := hub(t)
	cfg.Admin.Endpoint = "127.0.0.1:0"
	f := started(t, cfg)
	west := newSpoke("west", "u1", 1, 3)
	f.accept(west.snapshot(begin)...)
	f.forward(time.Minute)

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	get := func(path string) (body map[string]any) {
		t.Helper()
		response, err := client.Get("http://" + f.listener.Addr().String() + path)
		require.NoError(t, err)
		defer response.Body.Close()
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.NoError(t, json.NewDecoder(response.Body).Decode(&body))
		return body
	}
	body := get("/topology")
	assert.Equal(t, 3., body["counts"].(map[string]any)["pods"])
	source := body["sources"].([]any)[0].(map[string]any)
	assert.Equal(t, "inventory", source["source"])
	assert.Equal(t, true, source["ready"])
	assert.Equal(t, 1., body["counters"].(map[string]any)["inventory_messages_taken"])
	assert.Contains(t, body["disk_copy"].(map[string]any)["file"], "mesh_topology")
	assert.Contains(t, body["counters"], "refused_pod", "a field does not come and go")
	cluster := get("/topology/clusters")["clusters"].([]any)[0].(map[string]any)
	assert.Equal(t, "inventory", cluster["source"])
	assert.Equal(t, 60., cluster["age_seconds"])

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+f.listener.Addr().String()+"/topology", http.NoBody)
	require.NoError(t, err)
	request.Host = "rebound.example"
	response, err := client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	assert.Equal(t, http.StatusForbidden, response.StatusCode)
}

func TestTheAdminPortIsTaken(t *testing.T) {
	cfg := hub(t)
	cfg.Admin.Endpoint = "127.0.0.1:0"
	f := started(t, cfg)
	second := hub(t)
	second.Admin.Endpoint = f.listener.Addr().String()
	require.ErrorContains(t, startError(t, second), "'admin::endpoint'")
}
