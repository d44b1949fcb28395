// SPDX-License-Identifier: Apache-2.0

package meshtopologyextension

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension/internal/metadatatest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/disk"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// killed returns the configuration of a hub that finds what this one would leave if it were killed now.
func (f *fixture) killed() *Config {
	f.t.Helper()
	cfg := *f.config
	ours := *cfg.Inventory.Get()
	ours.Directory = filepath.Join(f.t.TempDir(), "topology")
	require.NoError(f.t, os.CopyFS(ours.Directory, os.DirFS(f.config.Inventory.Get().Directory)))
	cfg.Inventory = configoptional.Some(ours)
	return &cfg
}

// again starts a hub from what this one would leave, at the same time, and shuts it down at the end of the test.
func (f *fixture) again() *fixture {
	f.t.Helper()
	g := build(f.t, f.killed())
	g.engine.lookEvery = f.engine.lookEvery
	g.clock.Store(f.clock.Load())
	require.NoError(f.t, g.Start(context.Background(), g.host))
	return g
}

// knows returns all that the hub knows, and what waits.
func (f *fixture) knows() (known []byte, waiting []inventory.Message) {
	f.t.Helper()
	var out bytes.Buffer
	require.NoError(f.t, f.engine.do(context.Background(), func() error {
		f.engine.publish()
		waiting = f.engine.assembler.WaitingMessages()
		return inventory.Save(&out, f.store.Snapshot(), f.engine.assembler.Positions())
	}))
	return out.Bytes(), waiting
}

// sameAs checks that a hub that was killed knows what one knows that was not.
func (f *fixture) sameAs(other *fixture, message string) {
	f.t.Helper()
	known, waiting := f.knows()
	wantKnown, wantWaiting := other.knows()
	require.Equal(f.t, fmt.Sprint(wantWaiting), fmt.Sprint(waiting), message)
	require.True(f.t, bytes.Equal(wantKnown, known), message)
	require.Equal(f.t, other.Snapshot().Stats(), f.Snapshot().Stats(), message)
	for c := range f.Snapshot().Clusters() {
		require.True(f.t, f.stale(c.Name), "%s: nobody confirms it yet", message)
	}
}

// journals returns the journal's files, oldest first.
func journals(t *testing.T, cfg *Config) []string {
	t.Helper()
	found, err := filepath.Glob(copyOf(cfg) + journalSuffix + ".[0-9]*")
	require.NoError(t, err)
	return found
}

// story returns what two clusters send: beginnings and ends of pods, moves, heartbeats, snapshots, another leader, and
// messages that come in another order, twice or not at all. The clock of the hub moves on a second with each.
func story(rng *rand.Rand) (messages []inventory.Message, west, east *spoke) {
	west, east = newSpoke("west", "u1", 1, 5), newSpoke("east", "u2", 1, 3)
	messages = append(west.snapshot(begin), east.snapshot(begin)...)
	for n := range 60 {
		at := begin.Add(time.Duration(n) * time.Second)
		s := []*spoke{west, east}[rng.IntN(2)]
		switch rng.IntN(6) {
		case 0:
			messages = append(messages, s.encoder.Heartbeat(at))
		case 1:
			messages = append(messages, s.snapshot(at)...)
		case 2:
			// Without times, so that it counts when the message came.
			messages = append(messages, s.delta(&topology.Delta{At: at, GonePods: []topology.PodEnd{{Namespace: "ns", Name: fmt.Sprintf("p%d", rng.IntN(12))}}})...)
		default:
			p := podOf(rng.IntN(12))
			p.UID[15], p.Since, p.Seen = byte(n), at.Add(-time.Second), at
			messages = append(messages, s.delta(&topology.Delta{At: at, Pods: []topology.PodState{p}})...)
		}
		if n == 30 {
			west.encoder = inventory.NewEncoder("west", "u1", 2)
			messages = append(messages, west.snapshot(at)...)
		}
	}
	for range 8 {
		i := 2 + rng.IntN(len(messages)-3)
		switch rng.IntN(3) {
		case 0:
			messages[i], messages[i+1] = messages[i+1], messages[i]
		case 1:
			messages[i] = messages[i-1]
		case 2:
			messages = append(messages[:i], messages[i+1:]...)
		}
	}
	return messages, west, east
}

func TestAKillLosesNothingThatWasTaken(t *testing.T) {
	for seed := range uint64(3) {
		rng := rand.New(rand.NewPCG(seed, 3))
		messages, west, east := story(rng)
		f := build(t, hub(t))
		// Both hubs look at the time when they are told to: else the one gives up waiting for a message a moment before the other.
		f.engine.lookEvery = time.Hour
		require.NoError(t, f.Start(t.Context(), f.host))
		for i := range messages {
			f.clock.Add(int64(time.Second))
			f.accept(messages[i])
			if rng.IntN(3) == 0 {
				g := f.again()
				g.sameAs(f, fmt.Sprintf("seed %d, after message %d", seed, i))
				require.NoError(t, g.Shutdown(context.Background()))
			}
			if rng.IntN(20) == 0 {
				saves := f.engine.copy.status().Saved
				f.forward(time.Minute)
				f.eventually(func() bool { return f.engine.copy.status().Saved != saves && f.engine.copy.pending.Load() == 0 }, "a copy")
			}
		}
		g := f.again()
		for _, s := range []*spoke{west, east} {
			f.accept(s.snapshot(f.at())...)
			g.accept(s.snapshot(f.at())...)
		}
		// Each hole is waited for, one after the other.
		for range 6 {
			f.forward(11 * time.Second)
			g.forward(11 * time.Second)
		}
		assert.Equal(t, f.Snapshot().Stats(), g.Snapshot().Stats())
		assert.False(t, g.stale("west"))
		assert.False(t, g.stale("east"))
	}
}

// The step of a save at which a hub is killed makes no difference.
func TestAKillDuringEachStepOfASave(t *testing.T) {
	f := started(t, hub(t))
	west := newSpoke("west", "u1", 1, 3)
	f.accept(west.snapshot(begin)...)
	first := west.delta(&topology.Delta{At: begin.Add(time.Second), Pods: []topology.PodState{podOf(7)}})
	f.accept(first...)
	missing := west.encoder.Heartbeat(begin.Add(2 * time.Second))
	f.accept(west.delta(&topology.Delta{At: begin.Add(3 * time.Second), Pods: []topology.PodState{podOf(8)}})...)
	check := func(step string) {
		t.Helper()
		g := f.again()
		g.sameAs(f, step)
		g.clock.Add(int64(3 * time.Second))
		g.accept(missing)
		g.tick()
		assert.Equal(t, "west/p8", g.holder("vnet-west", "10.0.0.9"), step)
		assert.False(t, g.stale("west"), step)
		assert.Empty(t, g.ongoing(topology.KindInventoryGap), step)
	}
	check("before")
	var s saving
	require.NoError(t, f.engine.do(context.Background(), func() error {
		s = f.engine.content()
		return nil
	}))
	require.Len(t, journals(t, f.config), 2, "rotated")
	check("rotated")
	_, err := disk.Replace(copyOf(f.config), func(w io.Writer) error { return inventory.Save(w, s.snapshot, s.positions) })
	require.NoError(t, err)
	check("copied")
	require.True(t, f.engine.copy.journal.remove(s.through))
	require.Len(t, journals(t, f.config), 1, "what waits is in no copy")
	check("removed")

	require.NoError(t, f.Shutdown(context.Background()))
	g := f.again()
	_, waiting := g.knows()
	assert.Len(t, waiting, 1, "a shutdown loses it no more than a kill")
}

// A message that is under way when the hub is killed comes afterwards, however long the hub was away.
func TestWhatWaitsWaitsOn(t *testing.T) {
	f := started(t, hub(t))
	west := newSpoke("west", "u1", 1, 1)
	for i := range 9000 {
		p := podOf(i)
		p.Name = strings.Repeat("x", 100) + p.Name
		west.pods = append(west.pods, p)
	}
	west.writer.Apply(&topology.Delta{Cluster: "west", At: begin, Full: true, Facts: &topology.ClusterFacts{UID: "u1", Network: "vnet-west"}, Pods: west.pods})
	chunks := west.snapshot(begin)
	require.Greater(t, len(chunks), 2)
	f.accept(chunks[0])
	f.accept(chunks[2:]...)
	f.clock.Add(int64(time.Hour))
	g := f.again()
	_, waiting := g.knows()
	require.Equal(t, fmt.Sprint(chunks[0]), fmt.Sprint(waiting[0]))
	require.Len(t, waiting, len(chunks)-1)
	g.tick()
	assert.Zero(t, g.Snapshot().Stats().Clusters)
	g.accept(chunks[1])
	g.tick()
	assert.Equal(t, 9001, g.Snapshot().Stats().Pods)
	assert.Empty(t, g.ongoing(topology.KindInventoryGap))
}

// What a message does not date happened when the hub got it, not when it read its journal.
func TestAMessageCountsAsOfWhenItCame(t *testing.T) {
	f := started(t, hub(t))
	west := newSpoke("west", "u1", 1, 2)
	f.accept(west.snapshot(begin)...)
	west.encoder.Heartbeat(begin)
	f.accept(west.encoder.Heartbeat(begin.Add(time.Second)))
	f.forward(11 * time.Second)
	require.NotEmpty(t, f.ongoing(topology.KindInventoryGap))
	f.forward(time.Minute)
	f.eventually(func() bool { return f.engine.copy.pending.Load() == 0 }, "a copy")
	// Nothing confirms the cluster in the gap, so that its own time does not count.
	f.accept(west.delta(&topology.Delta{At: begin.Add(2 * time.Second), GonePods: []topology.PodEnd{{Namespace: "ns", Name: "p0"}}})...)
	f.tick()
	came := f.at()
	f.clock.Add(int64(10 * time.Minute))
	g := f.again()
	history := g.Snapshot().History("vnet-west", podOf(0).Addresses[0])
	require.Len(t, history, 1)
	_, latest, _ := history[0].Until()
	assert.Equal(t, came, latest)
}

// A change that takes several messages is taken as a whole, though a copy and a kill come in between.
func TestHalfAChangeWaitsOn(t *testing.T) {
	cfg := hub(t)
	// The parts that are missing are waited for no longer than a minute.
	cfg.Inventory.Get().SaveInterval = 30 * time.Second
	f := started(t, cfg)
	west := newSpoke("west", "u1", 1, 1)
	f.accept(west.snapshot(begin)...)
	change := &topology.Delta{At: begin.Add(time.Second)}
	for i := range 9000 {
		p := podOf(i)
		p.Name = strings.Repeat("y", 100) + p.Name
		change.Pods = append(change.Pods, p)
	}
	parts := west.delta(change)
	require.Greater(t, len(parts), 2)
	f.accept(parts[:2]...)
	f.forward(30 * time.Second)
	f.eventually(func() bool { return f.engine.copy.status().Saved != nil && f.engine.copy.pending.Load() == 0 }, "a copy")
	g := f.again()
	g.sameAs(f, "two parts wait")
	g.accept(parts[2:]...)
	g.tick()
	assert.Equal(t, 9001, g.Snapshot().Stats().Pods)
	assert.Empty(t, g.ongoing(topology.KindInventoryGap))
}

func TestATornJournal(t *testing.T) {
	f := started(t, hub(t))
	west := newSpoke("west", "u1", 1, 3)
	f.accept(west.snapshot(begin)...)
	path := journals(t, f.config)[0]
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	f.accept(west.delta(&topology.Delta{At: begin, Pods: []topology.PodState{podOf(7)}})...)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for n := len(before); n < len(whole); n += 9 {
		require.NoError(t, os.WriteFile(path, whole[:n], 0o600))
		g := f.again()
		assert.Equal(t, 3, g.Snapshot().Stats().Pods, "nobody was told that it was taken")
		assert.Empty(t, g.ongoing(kindDiskCopy))
		metadatatest.AssertEqualExtensionMeshTopologyJournalLoads(t, g.telemetry, []metricdata.DataPoint[int64]{
			point(1, attribute.String("outcome", "success")),
		}, metricdatatest.IgnoreTimestamp())
		require.NoError(t, g.Shutdown(context.Background()))
	}
}

func TestADamagedJournal(t *testing.T) {
	f := started(t, hub(t))
	west, east := newSpoke("west", "u1", 1, 3), newSpoke("east", "u2", 1, 2)
	f.accept(west.snapshot(begin)...)
	path := journals(t, f.config)[0]
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	f.accept(east.snapshot(begin)...)
	f.accept(west.encoder.Heartbeat(begin))
	damaged, err := os.ReadFile(path)
	require.NoError(t, err)
	damaged[len(before)+20] ^= 1
	require.NoError(t, os.WriteFile(path, damaged, 0o600))
	g := f.again()
	assert.Equal(t, topology.Stats{Clusters: 1, Workloads: 1, Pods: 3}, g.Snapshot().Stats(), "the rest is used")
	assert.Equal(t, []string{": damage of the journal"}, g.ongoing(kindDiskCopy))
	metadatatest.AssertEqualExtensionMeshTopologyJournalLoads(t, g.telemetry, []metricdata.DataPoint[int64]{
		point(1, attribute.String("outcome", "failure")),
	}, metricdatatest.IgnoreTimestamp())
	g.forward(time.Minute)
	g.eventually(func() bool { return len(journals(t, g.config)) == 0 }, "a copy has what could be read")
	aside, err := os.ReadFile(copyOf(g.config) + journalSuffix + ".damaged")
	require.NoError(t, err)
	assert.Equal(t, damaged, aside)
}

func TestADirectoryThatWentAway(t *testing.T) {
	f := started(t, hub(t))
	directory := f.config.Inventory.Get().Directory
	require.NoError(t, os.Rename(directory, directory+".away"))
	west := newSpoke("west", "u1", 1, 1)
	f.accept(west.snapshot(begin)...)
	f.accept(west.encoder.Heartbeat(begin))
	f.tick()
	assert.Equal(t, "west/p0", f.holder("vnet-west", "10.0.0.1"), "it goes on")
	assert.Equal(t, []string{": journal"}, f.ongoing(kindDiskCopy))
	assert.Equal(t, uint64(2), f.finding(kindDiskCopy).Count)
	metadatatest.AssertEqualExtensionMeshTopologyJournalFailures(t, f.telemetry, []metricdata.DataPoint[int64]{point(2)}, metricdatatest.IgnoreTimestamp())
	require.NoError(t, os.Rename(directory+".away", directory))
	f.forward(time.Minute)
	f.eventually(func() bool { return f.engine.copy.status().Saved != nil && f.engine.copy.pending.Load() == 0 }, "a copy")
	assert.Empty(t, f.ongoing(kindDiskCopy), "the copy has all, and the journal begins anew")
	f.accept(west.encoder.Heartbeat(begin))
	assert.Positive(t, f.journalSize())
	g := f.again()
	g.sameAs(f, "whole again")
}

// large returns messages that fill a journal.
func large(s *spoke, n int) (messages []inventory.Message) {
	for i := range n {
		m := s.encoder.Heartbeat(begin.Add(time.Duration(i) * time.Millisecond))
		// Whoever takes a heartbeat does not look at its body.
		m.Body = bytes.Repeat([]byte("x"), inventory.MaxBodyBytes/4)
		messages = append(messages, m)
	}
	return messages
}

func TestALargeJournalIsReplacedByACopy(t *testing.T) {
	cfg := hub(t)
	cfg.Inventory.Get().MaxJournalMiB = 1
	f := started(t, cfg)
	west := newSpoke("west", "u1", 1, 1)
	f.accept(west.snapshot(begin)...)
	assert.NoFileExists(t, copyOf(cfg))
	f.accept(large(west, 4)...)
	f.eventually(func() bool { return f.engine.copy.pending.Load() == 0 && f.journalSize() == 0 }, "long before the interval is over")
	assert.FileExists(t, copyOf(cfg))

	// The disk takes its time: senders have to wait, or they would forget what neither has.
	f.engine.copy.mu.Lock()
	messages := large(west, 12)
	taken := 0
	for ; taken < len(messages); taken++ {
		if err := f.AcceptInventory(context.Background(), &messages[taken]); err != nil {
			require.ErrorIs(t, err, errJournalFull)
			break
		}
	}
	assert.Equal(t, 7, taken, "two MiB and no more")
	assert.LessOrEqual(t, f.journalSize(), int64(2<<20))
	f.engine.copy.mu.Unlock()
	f.eventually(func() bool { return f.AcceptInventory(context.Background(), &messages[taken]) == nil }, "there is room again")
	assert.Empty(t, f.ongoing(kindDiskCopy))
	f.eventually(func() bool { return f.engine.copy.pending.Load() == 0 }, "written")
	g := f.again()
	g.sameAs(f, "nothing is lost")

	// No copy can be written at all: the hub goes on without.
	require.NoError(t, os.Mkdir(copyOf(cfg)+".tmp", 0o700))
	for _, m := range large(west, 20) {
		// The first copy that fails has to have failed.
		f.eventually(func() bool { return f.AcceptInventory(context.Background(), &m) == nil }, "taken")
	}
	assert.Equal(t, []string{": disk copy", ": journal"}, f.ongoing(kindDiskCopy))
	assert.LessOrEqual(t, f.journalSize(), int64(4<<20), "two MiB, and what waits for the messages that were given up")
	require.NoError(t, os.Remove(copyOf(cfg)+".tmp"))
	f.forward(time.Minute)
	f.eventually(func() bool { return f.engine.copy.pending.Load() == 0 }, "a copy is written")
	f.forward(time.Minute)
	f.eventually(func() bool { return len(f.ongoing(kindDiskCopy)) == 0 && f.engine.copy.pending.Load() == 0 }, "over")
	assert.Zero(t, f.journalSize())
}

func TestWithoutAJournal(t *testing.T) {
	cfg := hub(t)
	cfg.Inventory.Get().MaxJournalMiB = 0
	f := started(t, cfg)
	f.accept(newSpoke("west", "u1", 1, 1).snapshot(begin)...)
	assert.Empty(t, journals(t, cfg))
	f.tick()
	require.NoError(t, f.Shutdown(context.Background()))
	assert.FileExists(t, copyOf(cfg))
}

// What the journal costs: each message is written before its sender is told that it was taken.
func BenchmarkAcceptInventory(b *testing.B) {
	for name, size := range map[string]int{"journal": 64, "none": 0} {
		b.Run(name, func(b *testing.B) {
			f := benchmarked(b, size)
			west := newSpoke("west", "u1", 1, 100)
			for _, m := range west.snapshot(begin) {
				require.NoError(b, f.AcceptInventory(context.Background(), &m))
			}
			p := podOf(200)
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				p.Version = fmt.Sprint("v", n%2)
				for m := range west.encoder.Delta(&topology.Delta{Cluster: "west", At: begin, Pods: []topology.PodState{p}}) {
					if err := f.AcceptInventory(context.Background(), &m); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
