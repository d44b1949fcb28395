// SPDX-License-Identifier: Apache-2.0

package meshtopologyextension

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension/internal/metadatatest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// filled runs a hub that two clusters told about, and shuts it down.
func filled(t *testing.T, cfg *Config) (west, east *spoke) {
	t.Helper()
	f := started(t, cfg)
	west, east = newSpoke("west", "u1", 1, 3), newSpoke("east", "u2", 1, 2)
	f.accept(west.snapshot(begin)...)
	f.accept(east.snapshot(begin)...)
	f.accept(west.delta(&topology.Delta{At: begin.Add(2 * time.Second), GonePods: []topology.PodEnd{
		{Namespace: "ns", Name: "p0", Earliest: begin.Add(time.Second), Latest: begin.Add(2 * time.Second)},
	}})...)
	require.NoError(t, f.Shutdown(context.Background()))
	return west, east
}

func copyOf(cfg *Config) string {
	return filepath.Join(cfg.Inventory.Get().Directory, "mesh_topology"+copySuffix)
}

func TestARestartBeginsWithTheDiskCopy(t *testing.T) {
	cfg := hub(t)
	west, _ := filled(t, cfg)

	f := started(t, cfg)
	assert.Equal(t, topology.Stats{Clusters: 2, Workloads: 2, Pods: 4, Ended: 1}, f.Snapshot().Stats(), "before anything is stamped")
	assert.Equal(t, "west/p1", f.holder("vnet-west", "10.0.0.2"))
	p, how := f.Snapshot().At(begin).ByAddress("vnet-west", podOf(0).Addresses[0])
	require.Equal(t, topology.Found, how, "history too")
	assert.Equal(t, "p0", p.Name)
	assert.True(t, f.stale("west"))
	assert.True(t, f.stale("east"))
	assert.Len(t, f.ongoing(topology.KindClusterStale), 2)
	assert.False(t, f.status().Sources[0].Ready, "nobody confirms any of them")

	f.clock.Add(int64(3 * time.Second))
	f.accept(west.encoder.Heartbeat(f.at()))
	assert.False(t, f.stale("west"), "the stream goes on where the copy ends: a heartbeat is enough")
	assert.True(t, f.stale("east"))
	assert.True(t, f.status().Sources[0].Ready, "without a snapshot")
	assert.Contains(t, f.status().Sources[0].Detail, " 1 clusters fresh,")
	metadatatest.AssertEqualExtensionMeshTopologyDiskCopyLoads(t, f.telemetry, []metricdata.DataPoint[int64]{
		point(1, attribute.String("outcome", "success")),
	}, metricdatatest.IgnoreTimestamp())
}

func TestCopiesAreWrittenWhileSomethingChanges(t *testing.T) {
	cfg := hub(t)
	f := started(t, cfg)
	saves := func() uint64 {
		status := f.engine.copy.status()
		if status.Saved == nil {
			return 0
		}
		return uint64(status.Saved.Sub(begin) / time.Minute)
	}
	f.forward(time.Minute)
	west := newSpoke("west", "u1", 1, 1)
	f.accept(west.snapshot(begin)...)
	f.forward(time.Minute)
	f.eventually(func() bool { return saves() == 2 }, "written")
	assert.FileExists(t, copyOf(cfg))
	for range confirmEvery - 1 {
		f.forward(time.Minute)
	}
	assert.Equal(t, uint64(2), saves(), "nothing changed")
	f.forward(time.Minute)
	f.eventually(func() bool { return saves() == 2+confirmEvery }, "when it was confirmed is worth a copy now and then")
	f.accept(west.delta(&topology.Delta{At: f.at(), Pods: []topology.PodState{podOf(5)}})...)
	f.forward(time.Minute)
	f.eventually(func() bool { return saves() == 3+confirmEvery }, "written")
	assert.Positive(t, f.copySize())
}

// A process that is killed while it writes leaves a torn temporary file and the copy before.
func TestAKillDuringASave(t *testing.T) {
	cfg := hub(t)
	filled(t, cfg)
	whole, err := os.ReadFile(copyOf(cfg))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(copyOf(cfg)+".tmp", whole[:len(whole)/2], 0o600))
	f := started(t, cfg)
	assert.Equal(t, 4, f.Snapshot().Stats().Pods)
	require.NoError(t, f.Shutdown(context.Background()))
	assert.NoFileExists(t, copyOf(cfg)+".tmp", "written over, and renamed")
}

// Whatever byte of the copy is wrong, and wherever it ends: the hub starts, with what is whole, and says what is not.
func TestADamagedCopy(t *testing.T) {
	cfg := hub(t)
	filled(t, cfg)
	whole, err := os.ReadFile(copyOf(cfg))
	require.NoError(t, err)
	for n := 0; n < len(whole); n += max(len(whole)/12, 1) {
		flipped := append([]byte{}, whole...)
		flipped[n] ^= 0x55
		for _, damaged := range [][]byte{whole[:n], flipped} {
			require.NoError(t, os.WriteFile(copyOf(cfg), damaged, 0o600))
			f := started(t, cfg)
			assert.LessOrEqual(t, f.Snapshot().Stats().Clusters, 2)
			assert.Equal(t, []string{": damage of the disk copy"}, f.ongoing(kindDiskCopy))
			kept, err := os.ReadFile(copyOf(cfg) + ".damaged")
			require.NoError(t, err)
			assert.Equal(t, damaged, kept, "for people to look at")
			metadatatest.AssertEqualExtensionMeshTopologyDiskCopyLoads(t, f.telemetry, []metricdata.DataPoint[int64]{
				point(1, attribute.String("outcome", "failure")),
			}, metricdatatest.IgnoreTimestamp())
			require.NoError(t, f.Shutdown(context.Background()))
			assert.FileExists(t, copyOf(cfg), "the next copy takes its place")
		}
	}
}

func TestADiskThatIsFull(t *testing.T) {
	cfg := hub(t)
	f := started(t, cfg)
	f.accept(newSpoke("west", "u1", 1, 1).snapshot(begin)...)
	// A directory in the place of the temporary file fails as a full disk does, for every user.
	require.NoError(t, os.Mkdir(copyOf(cfg)+".tmp", 0o700))
	f.forward(time.Minute)
	f.eventually(func() bool { return len(f.ongoing(kindDiskCopy)) == 1 }, "reported")
	f.forward(time.Minute)
	f.eventually(func() bool { return f.finding(kindDiskCopy).Count == 2 }, "tried again, and still full")
	assert.Contains(t, f.finding(kindDiskCopy).Detail, "'inventory::directory'")
	assert.NotEmpty(t, f.engine.copy.status().Error)
	assert.Equal(t, "west/p0", f.holder("vnet-west", "10.0.0.1"), "it goes on")

	require.NoError(t, os.Remove(copyOf(cfg)+".tmp"))
	f.forward(time.Minute)
	f.eventually(func() bool { return len(f.ongoing(kindDiskCopy)) == 0 }, "over")
	assert.FileExists(t, copyOf(cfg))
}

func TestADirectoryThatCannotBe(t *testing.T) {
	cfg := hub(t)
	blocked := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(blocked, nil, 0o600))
	cfg.Inventory.Get().Directory = filepath.Join(blocked, "below")
	require.ErrorContains(t, startError(t, cfg), "'inventory::directory'")
}
