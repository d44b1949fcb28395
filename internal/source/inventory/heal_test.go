// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// TestGapHealsUnmarked: who reported a gap learns that it is over, even if the cluster never counted as stale for it.
func TestGapHealsUnmarked(t *testing.T) {
	b, s := newBench(t, AssemblerSettings{}), newSpoke(1)
	for range 500 {
		s.Heartbeat(noon)
	}
	require.Equal(t, []string{"! inventory_gap"}, b.send(s.Heartbeat(noon)), "nothing is known that may be stale")
	require.Equal(t, []string{"full a", "fresh"}, b.send(s.full(noon, "a")...))
	require.Equal(t, []string{"delta"}, b.send(s.Heartbeat(noon)))

	// The gap and the snapshot that ends it come together.
	b, s = newBench(t, AssemblerSettings{}), newSpoke(1)
	b.send(s.full(noon, "a")...)
	_ = s.pod("lost", noon)
	require.Empty(t, b.send(s.full(noon, "a")...))
	require.Equal(t, []string{"! inventory_gap", "full a", "fresh"}, b.tick(10*time.Second))

	// Its snapshot waited in a queue: it is stale all the same.
	b, s = newBench(t, AssemblerSettings{}), newSpoke(1)
	s.Heartbeat(noon)
	b.now = noon.Add(time.Hour)
	b.send(s.full(noon, "a")...)
	require.Equal(t, []string{"! inventory_gap", "full a", "fresh", "stale 0s", "! cluster_stale"}, b.tick(10*time.Second))
}

// TestGapHealsInReplay leaves what is stale to the end of the replay.
func TestGapHealsInReplay(t *testing.T) {
	b, s := newBench(t, AssemblerSettings{}), newSpoke(1)
	s.Heartbeat(noon)
	replay := func(m Message) []string {
		b.log = nil
		actions, err := b.a.Replay(&m, noon)
		require.NoError(t, err)
		b.note(actions)
		return b.log
	}
	for range 100 {
		s.Heartbeat(noon)
	}
	require.Equal(t, []string{"! inventory_gap"}, replay(s.Heartbeat(noon)))
	require.Equal(t, []string{"full a"}, replay(s.full(noon, "a")[0]))
	b.log = nil
	b.note(b.a.Replayed(noon))
	require.Equal(t, []string{"stale 0s", "! cluster_stale"}, b.log)
	require.Equal(t, []string{"delta", "fresh"}, b.send(s.Heartbeat(noon)))
}

// TestFrozenAhead: a clock that is ahead does not hide that nothing new is confirmed.
func TestFrozenAhead(t *testing.T) {
	b, s := newBench(t, AssemblerSettings{}), newSpoke(1)
	frozen := noon.Add(2 * time.Hour)
	b.send(s.full(frozen, "a")...)
	b.tick(30 * time.Second)
	require.Equal(t, []string{"delta"}, b.send(s.Heartbeat(frozen.Add(30*time.Second))), "it goes on")
	require.Empty(t, b.tick(59*time.Second))
	require.Equal(t, []string{"! clock_skew", "delta"}, b.send(s.Heartbeat(frozen.Add(30*time.Second))))
	require.Equal(t, []string{"stale -30s", "! cluster_stale"}, b.tick(time.Second))
	require.NotContains(t, b.send(s.full(frozen.Add(30*time.Second), "a")...), "fresh", "a snapshot of then is no news")
	require.Equal(t, []string{"delta", "fresh"}, b.send(s.Heartbeat(frozen.Add(time.Minute))))

	// The clock is set right: it confirms again what is true now.
	b.tick(30 * time.Second)
	require.Equal(t, []string{"delta"}, b.send(s.Heartbeat(b.now)))
	require.Equal(t, b.now, b.a.Positions()[0].At)
	require.Empty(t, b.tick(59*time.Second))
}

// TestFrozenAfterRestart: a copy that was ahead is no different, and its stream has its time to go on.
func TestFrozenAfterRestart(t *testing.T) {
	b, s := newBench(t, AssemblerSettings{}), newSpoke(1)
	frozen := noon.Add(2 * time.Hour)
	s.Heartbeat(frozen)
	b.note(b.a.Restore(&Saved{
		Position: Position{Cluster: "west", ClusterUID: "u1", Epoch: 1, Sequence: 1, At: frozen, Complete: true},
		Update:   &Update{Delta: topology.Delta{Cluster: "west", Full: true, At: frozen}},
	}, noon))
	b.tick(10 * time.Second)
	require.Equal(t, []string{"! clock_skew", "delta", "fresh"}, b.send(s.Heartbeat(frozen)))
	b.tick(45 * time.Second)
	b.send(s.Heartbeat(frozen))
	require.Equal(t, []string{"stale 0s", "! cluster_stale"}, b.tick(5*time.Second))
}

// endless returns a part of a delta that never ends.
func endless(s spoke, at time.Time) Message {
	m := s.pod("a", at)
	m.Body = appendBool(nil, inventoryMore, true)
	return m
}

// TestEndlessDelta bounds a delta of many small parts.
func TestEndlessDelta(t *testing.T) {
	b, s := newBench(t, AssemblerSettings{}), newSpoke(1)
	b.send(s.full(noon, "a")...)
	for range MaxParts {
		require.Empty(t, b.send(endless(s, noon)))
	}
	require.GreaterOrEqual(t, b.a.Waiting(), MaxParts*messageBytes)
	require.Len(t, b.a.WaitingMessages(), MaxParts)
	require.Equal(t, []string{"! inventory_gap", "! limit_reached", "stale 0s", "! cluster_stale"}, b.send(endless(s, noon)))
	require.Zero(t, b.a.Waiting())
	require.Equal(t, uint64(MaxParts+1), b.a.Counters().RefusedLimit)

	b, s = newBench(t, AssemblerSettings{SnapshotBytes: 10 * messageBytes}), newSpoke(1)
	b.send(s.full(noon, "a")...)
	for range 9 {
		require.Empty(t, b.send(endless(s, noon)))
	}
	require.Contains(t, b.send(endless(s, noon)), "! limit_reached", "a part is more than its body")
}

// TestCutDeltaTimesOut gives up a delta whose rest does not come.
func TestCutDeltaTimesOut(t *testing.T) {
	b, s := newBench(t, AssemblerSettings{StaleAfter: time.Hour}), newSpoke(1)
	b.send(s.full(noon, "a")...)
	b.send(endless(s, noon))
	b.tick(30 * time.Second)
	b.send(endless(s, noon))
	require.Empty(t, b.tick(59*time.Second))
	require.Positive(t, b.a.Waiting())
	require.Equal(t, []string{"! inventory_gap", "stale 0s", "! cluster_stale"}, b.tick(time.Second))
	require.Zero(t, b.a.Waiting())
	require.Equal(t, uint64(2), b.a.Counters().Incomplete)
	require.Empty(t, b.tick(time.Minute))
	require.Equal(t, []string{"full a", "fresh"}, b.send(s.full(b.now, "a")...))
}

// TestReplayedDeltaWaits: the parts of a delta that were taken before the hub ended wait for the rest as if they came now.
func TestReplayedDeltaWaits(t *testing.T) {
	b, s := newBench(t, AssemblerSettings{}), newSpoke(1)
	for _, m := range append(s.full(noon, "a"), endless(s, noon)) {
		_, err := b.a.Replay(&m, noon)
		require.NoError(t, err)
	}
	b.now = noon.Add(time.Hour)
	b.a.Replayed(b.now)
	require.NotContains(t, b.tick(59*time.Second), "! inventory_gap")
	require.Contains(t, b.send(s.pod("b", b.now)), "delta b")
}

// as is a leader of the cluster with the uid u1 that calls it by a name.
func as(name string, epoch int64) spoke {
	e := NewEncoder(name, "u1", epoch)
	e.limit = 200
	return spoke{e}
}

// TestRenamed: one cluster that speaks under a new name leaves nothing under its old one.
func TestRenamed(t *testing.T) {
	b, old, young := newBench(t, AssemblerSettings{}), as("west", 1), as("east", 2)
	b.send(old.full(noon, "a")...)
	b.tick(time.Minute)
	require.Empty(t, b.send(young.full(b.now, long("a"), long("b"), long("c"))[0]), "what was known stays until there is something")
	young = as("east", 3)
	require.Equal(t, []string{"remove west", "! duplicate_cluster_name", "full a"}, b.send(young.full(b.now, "a")...))
	require.Len(t, b.a.Positions(), 1)
	require.Zero(t, b.a.Waiting())

	// The new name comes before the old one is silent for long, as when its receiver restarts. What comes late under the
	// old name makes no difference.
	b, old, young = newBench(t, AssemblerSettings{}), as("west", 1), as("east", 2)
	b.send(old.full(noon, "a")...)
	b.tick(10 * time.Second)
	require.Equal(t, []string{"! duplicate_cluster_name", "full a"}, b.send(young.full(b.now, "a")...))
	require.Equal(t, []string{"delta"}, b.send(old.Heartbeat(noon)))
	b.tick(59 * time.Second)
	b.send(young.Heartbeat(b.now))
	require.Equal(t, []string{"remove west", "! duplicate_cluster_name"}, b.tick(time.Second))
	require.Empty(t, b.send(old.pod("b", noon)))
	require.Contains(t, b.tick(10*time.Second), "delta b unconfirmed")
	b.send(young.Heartbeat(b.now))
	require.Len(t, b.a.Positions(), 2)
	for range 5 {
		b.tick(10 * time.Second)
		b.send(young.Heartbeat(b.now))
	}
	require.Len(t, b.a.Positions(), 1)
	require.Equal(t, "east", b.a.Positions()[0].Cluster)
}

// TestTwoNames: of two names that both speak none is forgotten, not even when one ends later.
func TestTwoNames(t *testing.T) {
	b, west, east := newBench(t, AssemblerSettings{}), as("west", 1), as("east", 2)
	b.send(west.full(noon, "a")...)
	log := slices.Clone(b.send(east.full(noon, "a")...))
	for range 12 {
		log = append(log, b.tick(10*time.Second)...)
		log = append(log, b.send(west.Heartbeat(b.now), east.Heartbeat(b.now))...)
	}
	log = slices.DeleteFunc(log, func(s string) bool { return s == "delta" })
	require.Equal(t, []string{
		"! duplicate_cluster_name", "full a", "! duplicate_cluster_name", "! duplicate_cluster_name",
	}, log, "once a minute is enough")
	for range 12 {
		b.tick(10 * time.Second)
		require.Equal(t, []string{"delta"}, b.send(east.Heartbeat(b.now)))
	}
	require.Len(t, b.a.Positions(), 2)
}

// TestRenamedWhileAway: the copy has the old name, and the stream goes on under a new one.
func TestRenamedWhileAway(t *testing.T) {
	b, young := newBench(t, AssemblerSettings{}), as("east", 2)
	b.note(b.a.Restore(&Saved{
		Position: Position{Cluster: "west", ClusterUID: "u1", Epoch: 1, Sequence: 1, At: noon, Complete: true},
		Update:   &Update{Delta: topology.Delta{Cluster: "west", Full: true, At: noon}},
	}, noon))
	require.Equal(t, []string{"full a"}, b.send(young.full(noon, "a")...), "it may still come")
	b.tick(59 * time.Second)
	b.send(young.Heartbeat(b.now))
	require.Equal(t, []string{"remove west", "! duplicate_cluster_name"}, b.tick(time.Second))
}
