// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// bench is an assembler with a spoke and a clock.
type bench struct {
	*testing.T
	a   *Assembler
	now time.Time
	log []string
}

func newBench(t *testing.T, settings AssemblerSettings) *bench {
	return &bench{T: t, a: NewAssembler(settings), now: noon}
}

// send delivers messages and logs the actions.
func (b *bench) send(messages ...Message) []string {
	b.log = nil
	for i := range messages {
		actions, err := b.a.Accept(&messages[i], b.now)
		b.note(actions)
		if err != nil {
			b.log = append(b.log, "error")
		}
	}
	return b.log
}

func (b *bench) tick(d time.Duration) []string {
	b.now = b.now.Add(d)
	b.log = nil
	b.note(b.a.Tick(b.now))
	return b.log
}

func (b *bench) note(actions []Action) {
	for _, action := range actions {
		switch action.Kind {
		case ActionApply:
			words := []string{"delta"}
			if action.Update.Full {
				words[0] = "full"
			}
			for _, p := range action.Update.Pods {
				words = append(words, p.Name)
			}
			if action.Update.At.IsZero() {
				words = append(words, "unconfirmed")
			}
			b.log = append(b.log, strings.Join(words, " "))
		case ActionStale:
			if action.Since.IsZero() {
				b.log = append(b.log, "fresh")
			} else {
				b.log = append(b.log, "stale "+noon.Sub(action.Since).Round(time.Second).String())
			}
		case ActionRemove:
			b.log = append(b.log, "remove "+action.Cluster)
		case ActionFinding:
			require.NotEmpty(b, action.Finding.Detail)
			require.False(b, action.Finding.At.IsZero())
			b.log = append(b.log, "! "+action.Finding.Kind)
		}
	}
}

// spoke is a leader that says one pod at a time.
type spoke struct{ *Encoder }

func newSpoke(epoch int64) spoke {
	e := NewEncoder("west", "u1", epoch)
	e.limit = 200
	return spoke{e}
}

func (s spoke) pod(name string, at time.Time) Message {
	return slices.Collect(s.Delta(&topology.Delta{At: at, Pods: []topology.PodState{{
		PodSpec: topology.PodSpec{Name: name}, Namespace: "shop", Workload: "w",
	}}}))[0]
}

// full returns the chunks of a snapshot of pods with long names, two or three of which fill a chunk.
func (s spoke) full(at time.Time, names ...string) []Message {
	d := &topology.Delta{At: at, Full: true}
	for _, name := range names {
		d.Pods = append(d.Pods, topology.PodState{PodSpec: topology.PodSpec{Name: name}, Namespace: "shop", Workload: "w"})
	}
	return slices.Collect(s.Delta(d))
}

func long(name string) string { return fmt.Sprintf("%s_%0100d", name, 0) }

func TestInOrder(t *testing.T) {
	b, s := newBench(t, AssemblerSettings{}), newSpoke(1)
	require.Equal(t, []string{"full a"}, b.send(s.full(noon, "a")...))
	require.Equal(t, []string{"delta b"}, b.send(s.pod("b", noon)))
	require.Equal(t, []string{"delta"}, b.send(s.Heartbeat(noon)))
	require.Empty(t, b.tick(59*time.Second))
	require.Equal(t, []Position{{Cluster: "west", ClusterUID: "u1", Epoch: 1, Sequence: 3, At: noon, Complete: true}}, b.a.Positions())
	require.Equal(t, AssemblerCounters{Taken: 3, Snapshots: 1}, b.a.Counters())
}

func TestRepeatedAndReordered(t *testing.T) {
	b, s := newBench(t, AssemblerSettings{}), newSpoke(1)
	chunks := s.full(noon, long("a"), long("b"), long("c"))
	require.Greater(t, len(chunks), 2)
	later := []Message{s.pod("d", noon), s.pod("e", noon)}
	// The deltas come before the snapshot that they build on, the snapshot backward and twice.
	require.Empty(t, b.send(later[1], later[0], later[0]))
	slices.Reverse(chunks)
	require.Empty(t, b.send(chunks[:len(chunks)-1]...))
	require.Equal(t, []string{"full " + long("a") + " " + long("b") + " " + long("c"), "delta d", "delta e"},
		b.send(append(chunks[len(chunks)-1:], chunks...)...))
	require.Empty(t, b.send(later...))
	require.Zero(t, b.a.Waiting())
	require.Equal(t, uint64(1+len(chunks)+2), b.a.Counters().Repeated)
}

func TestGapByCount(t *testing.T) {
	b, s := newBench(t, AssemblerSettings{ReorderMessages: 3}), newSpoke(1)
	b.send(s.full(noon, "a")...)
	lost := s.pod("lost", noon.Add(time.Second))
	require.Empty(t, b.send(s.pod("b", noon), s.pod("c", noon), s.pod("d", noon)))
	require.Equal(t, []string{
		"! inventory_gap", "delta b unconfirmed", "delta c unconfirmed", "delta d unconfirmed", "delta e unconfirmed",
		"stale 0s", "! cluster_stale",
	}, b.send(s.pod("e", noon.Add(time.Minute))))
	require.Equal(t, uint64(1), b.a.Counters().Lost)
	require.Empty(t, b.send(s.Heartbeat(noon.Add(time.Minute))), "a heartbeat confirms nothing in a gap")
	require.Empty(t, b.send(lost), "what comes after it counted as lost is old")
	require.False(t, b.a.Positions()[0].Complete)
	require.Equal(t, []string{"full a e", "fresh"}, b.send(s.full(noon.Add(time.Minute), "a", "e")...))
	require.True(t, b.a.Positions()[0].Complete)
}

func TestGapByBytesAndTime(t *testing.T) {
	b, s := newBench(t, AssemblerSettings{ReorderBytes: 300 + 2*messageBytes}), newSpoke(1)
	b.send(s.full(noon, "a")...)
	_ = s.pod("lost", noon)
	require.Empty(t, b.send(s.pod(long("b"), noon), s.pod(long("c"), noon)))
	require.Contains(t, b.send(s.pod(long("d"), noon)), "! inventory_gap")
	require.Zero(t, b.a.Waiting())

	b, s = newBench(t, AssemblerSettings{}), newSpoke(1)
	b.send(s.full(noon, "a")...)
	_ = s.pod("lost", noon)
	require.Empty(t, b.send(s.pod("b", noon)))
	require.Empty(t, b.tick(9*time.Second))
	require.Equal(t, []string{"! inventory_gap", "delta b unconfirmed", "stale 0s", "! cluster_stale"}, b.tick(time.Second))
}

// TestJoin comes to a stream in its middle.
func TestJoin(t *testing.T) {
	b, s := newBench(t, AssemblerSettings{}), newSpoke(1)
	for range 500 {
		s.Heartbeat(noon)
	}
	require.Equal(t, []string{"! inventory_gap", "delta b unconfirmed", "stale 0s", "! cluster_stale"}, b.send(s.pod("b", noon)))
	require.Zero(t, b.a.Counters().Lost, "what was before the hub is not lost")
	// A snapshot whose second chunk comes first is complete all the same.
	b = newBench(t, AssemblerSettings{})
	chunks := s.full(noon, long("a"), long("b"), long("c"))
	require.Equal(t, []string{"! inventory_gap"}, b.send(chunks[1]))
	require.Empty(t, b.send(chunks[2:]...))
	require.Contains(t, b.send(chunks[0])[0], "full a")
	require.True(t, b.a.Positions()[0].Complete)
}

func TestLostChunk(t *testing.T) {
	b, s := newBench(t, AssemblerSettings{ReorderMessages: 2}), newSpoke(1)
	b.send(s.full(noon, "a")...)
	chunks := s.full(noon, long("a"), long("b"), long("c"), long("d"))
	require.Greater(t, len(chunks), 3)
	b.send(slices.Delete(slices.Clone(chunks), 1, 2)...)
	b.send(s.pod("e", noon), s.pod("f", noon))
	require.Zero(t, b.a.Waiting())
	require.Equal(t, uint64(1), b.a.Counters().Snapshots)
	require.Equal(t, uint64(len(chunks)-1), b.a.Counters().Incomplete)
	require.Equal(t, []string{"full a", "fresh"}, b.send(s.full(noon, "a")...))
}

// TestLeftSnapshot: a snapshot that its sender left in the middle does no harm.
func TestLeftSnapshot(t *testing.T) {
	b, s := newBench(t, AssemblerSettings{}), newSpoke(1)
	b.send(s.full(noon, "a")...)
	for m := range s.Delta(&topology.Delta{At: noon, Full: true, Pods: []topology.PodState{
		{PodSpec: topology.PodSpec{Name: long("x")}}, {PodSpec: topology.PodSpec{Name: long("y")}},
	}}) {
		require.Empty(t, b.send(m))
		break
	}
	require.Equal(t, []string{"delta b"}, b.send(s.pod("b", noon)))
	require.True(t, b.a.Positions()[0].Complete)
	require.Zero(t, b.a.Waiting())
}

func TestSnapshotTimesOut(t *testing.T) {
	b, s := newBench(t, AssemblerSettings{StaleAfter: time.Hour}), newSpoke(1)
	b.send(s.full(noon, "a")...)
	b.send(s.full(noon, long("x"), long("y"), long("z"))[:2]...)
	require.Positive(t, b.a.Waiting())
	require.Equal(t, uint64(1), b.a.Positions()[0].Sequence, "a disk copy does not hold half a snapshot")
	b.tick(time.Minute)
	require.Zero(t, b.a.Waiting())
	require.Equal(t, uint64(2), b.a.Counters().Incomplete)
}

func TestNewLeader(t *testing.T) {
	b, old, young := newBench(t, AssemblerSettings{}), newSpoke(1), newSpoke(2)
	b.send(old.full(noon, "a")...)
	late := old.full(noon.Add(time.Second), "late")
	first := young.full(noon.Add(time.Second), long("a"), long("b"), long("c"))
	delta := young.pod("d", noon.Add(time.Second))
	// Its deltas wait for its snapshot; nothing is stale meanwhile.
	require.Empty(t, b.send(delta))
	require.Empty(t, b.send(first[1:]...))
	require.Empty(t, b.send(late...), "an old snapshot of the leader before never counts")
	got := b.send(first[0])
	require.Len(t, got, 2)
	require.Equal(t, "delta d", got[1])
	require.Equal(t, uint64(1), b.a.Counters().OldEpoch)
	require.Equal(t, uint64(1), b.a.Counters().Epochs)
	require.Empty(t, b.send(old.pod("x", noon)))
}

// TestYoungLeaderBehind: the new leader's clock is behind the one before it, and its word counts all the same.
func TestYoungLeaderBehind(t *testing.T) {
	b, old, young := newBench(t, AssemblerSettings{}), newSpoke(1), newSpoke(2)
	b.send(old.full(noon.Add(50*time.Second), "a")...)
	require.Equal(t, []string{"full a"}, b.send(young.full(noon, "a")...))
	require.Equal(t, noon, b.a.Positions()[0].At)
}

// TestLeaderWithSlowClock: the epoch of the leader before was in the future.
func TestLeaderWithSlowClock(t *testing.T) {
	b, old, young := newBench(t, AssemblerSettings{}), newSpoke(1000), newSpoke(2)
	b.send(old.full(noon, "a")...)
	require.Empty(t, b.send(young.full(noon, "b")...))
	b.tick(2 * time.Minute)
	require.Equal(t, []string{"! clock_skew"}, b.send(young.pod("c", noon)), "what comes late is not of the present")
	require.Empty(t, b.send(young.Heartbeat(time.Time{})), "once a minute is enough")
	require.Equal(t, uint64(3), b.a.Counters().OldEpoch)
	require.Empty(t, b.send(young.full(b.now, "b")...), "its first messages may still come")
	require.Equal(t, []string{"! inventory_gap", "full b", "fresh"}, b.tick(10*time.Second))
	require.True(t, b.a.Positions()[0].Complete)
	require.Equal(t, int64(2), b.a.Positions()[0].Epoch)
}

func TestSilence(t *testing.T) {
	b, s := newBench(t, AssemblerSettings{ExpireAfter: time.Hour}), newSpoke(1)
	b.send(s.full(noon, "a")...)
	require.Equal(t, []string{"stale 0s", "! cluster_stale"}, b.tick(time.Minute))
	require.Empty(t, b.tick(time.Minute))
	require.Equal(t, []string{"delta", "fresh"}, b.send(s.Heartbeat(b.now)))
	require.Equal(t, []string{"stale -2m0s", "! cluster_stale"}, b.tick(59*time.Minute))
	require.Equal(t, []string{"remove west", "! cluster_expired"}, b.tick(time.Minute))
	require.Empty(t, b.tick(time.Hour))
	require.Empty(t, b.a.Positions())
	require.Equal(t, uint64(1), b.a.Counters().Expired)
}

// TestOldNewsConfirmsOldTimes: what waited in a queue for hours does not make the cluster look confirmed now.
func TestOldNewsConfirmsOldTimes(t *testing.T) {
	b, s := newBench(t, AssemblerSettings{}), newSpoke(1)
	b.now = noon.Add(3 * time.Hour)
	require.Equal(t, []string{"full a", "stale 0s", "! cluster_stale"}, b.send(s.full(noon, "a")...))
	require.Equal(t, []string{"delta b"}, b.send(s.pod("b", noon.Add(time.Hour))))
	require.Equal(t, []string{"delta c", "fresh"}, b.send(s.pod("c", b.now.Add(-time.Second))))
}

func TestClocks(t *testing.T) {
	b, s := newBench(t, AssemblerSettings{}), newSpoke(1)
	require.Equal(t, []string{"! clock_skew", "full a"}, b.send(s.full(noon.Add(2*time.Minute), "a")...))
	require.Equal(t, []string{"delta"}, b.send(s.Heartbeat(noon.Add(2*time.Minute))), "once a minute is enough")

	b, s = newBench(t, AssemblerSettings{StaleAfter: time.Hour}), newSpoke(1)
	b.send(s.full(noon.Add(-10*time.Minute), "a")...)
	var log []string
	for range 10 {
		b.now = b.now.Add(10 * time.Second)
		log = append(log, b.send(s.Heartbeat(b.now.Add(-10*time.Minute)))...)
	}
	require.Contains(t, log, "! clock_skew", "always late by ten minutes is a clock")

	b, s = newBench(t, AssemblerSettings{StaleAfter: time.Hour}), newSpoke(1)
	at := noon.Add(-10 * time.Minute)
	for range 40 {
		at, b.now = at.Add(15*time.Second), b.now.Add(2*time.Second)
		require.NotContains(t, b.send(s.Heartbeat(at)), "! clock_skew", "a queue that drains is none")
	}
}

func TestTwoClustersOfOneName(t *testing.T) {
	b, s := newBench(t, AssemblerSettings{}), newSpoke(1)
	other := spoke{NewEncoder("west", "u2", 5)}
	b.send(s.full(noon, "a")...)
	require.Equal(t, []string{"! duplicate_cluster_name", "error"}, b.send(other.full(noon, "b")...))
	require.Equal(t, []string{"error"}, b.send(other.Heartbeat(noon)), "once a minute is enough")
	require.Equal(t, uint64(2), b.a.Counters().RefusedUID)
	nameless := spoke{NewEncoder("west", "", 1)}
	nameless.header.Sequence = 1
	require.Equal(t, []string{"delta"}, b.send(nameless.Heartbeat(noon)), "an unknown uid is none of another")
	b.tick(time.Minute)
	require.Equal(t, []string{"error"}, b.send(other.Heartbeat(noon.Add(-time.Hour)))[1:], "older than what is known")
	got := b.send(other.full(b.now, "b")...)
	require.Equal(t, []string{"remove west", "! duplicate_cluster_name"}, got[:2], "a silent one gives way")
	b.tick(10 * time.Second)
	require.Equal(t, "u2", b.a.Positions()[0].ClusterUID)
}

func TestCeilings(t *testing.T) {
	b, s := newBench(t, AssemblerSettings{MaxClusters: 1, MaxPods: 3, SnapshotBytes: 400}), newSpoke(1)
	b.send(s.full(noon, "a")...)
	_, err := b.a.Accept(&Message{Header: Header{Schema: 1, Cluster: "east", Epoch: 1, Sequence: 1, Kind: KindHeartbeat}}, noon)
	require.ErrorIs(t, err, ErrRefused)
	require.Contains(t, b.send(s.full(noon, "a", "b", "c", "d")...), "! limit_reached")
	require.Zero(t, b.a.Waiting())
	b.now = b.now.Add(2 * time.Minute)
	require.Contains(t, b.send(s.full(noon, long("a"), long("b"), long("c"), long("d"), long("e"))...), "! limit_reached")
	require.Zero(t, b.a.Waiting())
	require.Equal(t, []string{"full a", "fresh"}, b.send(s.full(b.now, "a")...))
	b.now = b.now.Add(2 * time.Minute)
	many := &topology.Delta{At: b.now, GoneNodes: []string{"a", "b", "c", "d"}}
	require.Contains(t, b.send(slices.Collect(s.Delta(many))...), "! limit_reached")

	b, s = newBench(t, AssemblerSettings{MaxBytes: 150 + messageBytes}), newSpoke(1)
	b.send(s.full(noon, "a")...)
	_ = s.pod("lost", noon)
	require.Contains(t, b.send(s.pod(long("b"), noon), s.pod(long("c"), noon)), "! inventory_gap")
	require.Zero(t, b.a.Waiting())
}

func TestRejected(t *testing.T) {
	b, s := newBench(t, AssemblerSettings{}), newSpoke(1)
	b.send(s.full(noon, "a")...)
	bad := s.pod("b", noon)
	bad.Body = []byte{0xff}
	require.Equal(t, []string{"! inventory_rejected", "! inventory_gap", "stale 0s", "! cluster_stale"}, b.send(bad))
	newer := s.pod("c", noon)
	newer.Schema = 2
	require.Equal(t, []string{"error"}, b.send(newer))
	require.Equal(t, []string{"! inventory_rejected", "error"}, b.send(Message{}))
	require.Equal(t, uint64(3), b.a.Counters().Rejected)
	chunk := s.full(noon, "a")
	chunk[0].Body = []byte{0xff}
	b.send(chunk...)
	require.False(t, b.a.Positions()[0].Complete)
}

// TestCutDelta takes a delta of several messages as one, or not at all.
func TestCutDelta(t *testing.T) {
	b, s := newBench(t, AssemblerSettings{}), newSpoke(1)
	b.send(s.full(noon, "a")...)
	d := &topology.Delta{At: noon, Gateways: []topology.GatewaySpec{{Name: long("g")}, {Name: long("h")}, {Name: long("i")}}}
	messages := slices.Collect(s.Delta(d))
	require.Len(t, messages, 3)
	require.Empty(t, b.send(messages[:2]...))
	require.Positive(t, b.a.Waiting())
	actions, err := b.a.Accept(&messages[2], noon)
	require.NoError(t, err)
	require.Len(t, actions[0].Update.Gateways, 3)
	require.Equal(t, noon, actions[0].Update.At)
	require.Zero(t, b.a.Waiting())
	messages = slices.Collect(s.Delta(d))
	beat := s.Heartbeat(noon)
	beat.Sequence = messages[2].Sequence
	require.Contains(t, b.send(messages[0], messages[1], beat), "! inventory_gap")
	require.Zero(t, b.a.Waiting())
}
