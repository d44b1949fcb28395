// SPDX-License-Identifier: Apache-2.0

package meshtopologyextension

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/kube"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// owner returns the source that has a cluster.
func (f *fixture) owner(cluster string) string { return (*f.engine.sources.Load())[cluster] }

// late returns a cluster whose inventory comes an hour late out of a queue, and whose first snapshot was lost. The hub
// knows that it is stale before the next one is complete.
func (f *fixture) late() *spoke {
	f.t.Helper()
	west := newSpoke("west", "u1", 1, 3)
	_ = west.snapshot(f.at().Add(-2 * time.Hour))
	f.accept(west.delta(&topology.Delta{At: f.at().Add(-time.Hour - time.Minute), Pods: []topology.PodState{podOf(7)}})...)
	f.forward(11 * time.Second)
	return west
}

// What waited in a queue for an hour takes no cluster from an API server that speaks of the present.
func TestAnOldInventoryOverrulesNobodyWhoIsFresh(t *testing.T) {
	f, k := withFake(t, withKubernetes(hub(t)))
	k.deltas <- fullOf(begin, podOf(0))
	k.set(kube.State{Synced: true, Confirmed: begin})
	f.eventually(func() bool { return f.owner("west") == "kubernetes" }, "there")
	west := f.late()
	f.accept(west.snapshot(begin.Add(-time.Hour))...)
	f.tick()
	assert.Equal(t, "kubernetes", f.owner("west"))
	assert.Equal(t, 1, f.Snapshot().Stats().Pods, "nothing of the inventory")
	assert.False(t, f.stale("west"))
	assert.Empty(t, f.ongoing(topology.KindClusterStale))

	// The queue is empty now. What follows builds on the snapshot that was not taken.
	f.accept(west.encoder.Heartbeat(f.at()))
	f.tick()
	assert.Equal(t, "kubernetes", f.owner("west"))
	assert.Empty(t, f.ongoing(topology.KindInventoryGap), "it is whole again")
	f.accept(west.snapshot(f.at())...)
	f.tick()
	assert.Equal(t, "inventory", f.owner("west"))
	assert.Equal(t, 4, f.Snapshot().Stats().Pods)
	assert.False(t, f.stale("west"))
}

// It takes it from one that is stale too, and that shows.
func TestAnOldInventoryThatTakesOverIsStale(t *testing.T) {
	f, k := withFake(t, withKubernetes(hub(t)))
	k.deltas <- fullOf(begin, podOf(0))
	f.eventually(func() bool { return f.owner("west") == "kubernetes" }, "there")
	west := f.late()
	f.forward(100 * time.Second)
	assert.Equal(t, []string{"west: kubernetes"}, f.ongoing(topology.KindClusterStale))
	f.accept(west.snapshot(begin.Add(-time.Hour))...)
	f.tick()
	assert.Equal(t, "inventory", f.owner("west"))
	assert.True(t, f.stale("west"))
	c, _ := f.Snapshot().Cluster("west")
	since, _ := c.StaleSince()
	assert.Equal(t, begin.Add(-time.Hour), since.UTC())
	assert.Equal(t, []string{"west: inventory"}, f.ongoing(topology.KindClusterStale))
	f.accept(west.encoder.Heartbeat(begin.Add(-30 * time.Minute)))
	f.tick()
	assert.True(t, f.stale("west"), "still old")

	f.accept(west.encoder.Heartbeat(f.at()))
	f.tick()
	assert.False(t, f.stale("west"))
	assert.Empty(t, f.ongoing(topology.KindClusterStale))
	f.forward(100 * time.Second)
	assert.True(t, f.stale("west"), "the assembler goes on from there")
}

// The source whose cluster an old inventory did not get gives it up: what comes before the next snapshot is not the
// cluster.
func TestAnOldInventoryDoesNotGoOnWithNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "topology.yaml")
	replace(t, file, described)
	f := started(t, withStatic(hub(t), file))
	west := newSpoke("west", "u1", 1, 3)
	f.accept(west.snapshot(begin.Add(-time.Hour))...)
	f.tick()
	assert.Equal(t, "static", f.owner("west"))
	replace(t, file, "clusters:\n  - {name: north, network: vnet-north}\n")
	f.eventually(func() bool { return f.owner("west") == "" }, "given up")
	f.accept(west.encoder.Heartbeat(begin))
	f.tick()
	assert.Empty(t, f.owner("west"), "a cluster without pods would look whole and fresh")
	f.accept(west.snapshot(begin)...)
	f.tick()
	assert.Equal(t, "west/p0", f.holder("vnet-west", "10.0.0.1"))
	assert.False(t, f.stale("west"))
}

// Everything was read once, and nothing that would confirm it ever establishes.
func TestADescriptionThatNobodyConfirmsBecomesStale(t *testing.T) {
	f, k := withFake(t, withKubernetes(createDefaultConfig().(*Config)))
	k.deltas <- fullOf(time.Time{}, podOf(0))
	f.eventually(func() bool { return f.holder("vnet-west", "10.0.0.1") == "west/p0" }, "visible")
	f.forward(89 * time.Second)
	assert.False(t, f.stale("west"))
	f.forward(2 * time.Second)
	assert.True(t, f.stale("west"))
	k.deltas <- &topology.Delta{Cluster: "west", At: f.at()}
	f.eventually(func() bool { return !f.stale("west") }, "confirmed")
}

// The clock was an hour ahead when the cluster was read, and then corrected.
func TestAClockThatIsSetBack(t *testing.T) {
	f, k := withFake(t, withKubernetes(createDefaultConfig().(*Config)))
	k.deltas <- fullOf(begin.Add(time.Hour), podOf(0))
	f.eventually(func() bool { return f.holder("vnet-west", "10.0.0.1") == "west/p0" }, "visible")
	k.deltas <- &topology.Delta{Cluster: "west", At: begin, Pods: []topology.PodState{podOf(1)}}
	f.eventually(func() bool { return f.holder("vnet-west", "10.0.0.2") == "west/p1" }, "visible")
	f.forward(89 * time.Second)
	assert.False(t, f.stale("west"))
	f.forward(2 * time.Second)
	assert.True(t, f.stale("west"), "an hour late it would be")
}
