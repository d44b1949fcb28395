// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// newTopology returns a topology whose time is one second after noon.
func newTopology() *topology.Writer {
	return topology.NewWriter(topology.WriterSettings{
		History: 24 * time.Hour, Now: func() time.Time { return noon.Add(time.Second) },
	})
}

// contents returns all that a snapshot says of a cluster.
func contents(t *testing.T, s *topology.Snapshot, cluster string) *Update {
	t.Helper()
	return normal(assemble(t, slices.Collect(NewEncoder(cluster, "u", 1).Snapshot(s, noon))))
}

// saved returns a topology of three clusters with history, and its disk copy.
func saved(t *testing.T) (*topology.Snapshot, []Position, []byte) {
	t.Helper()
	w := newTopology()
	var positions []Position
	for i, name := range []string{"east", "north", "west"} {
		d := realistic(500 + 2500*i)
		d.Cluster, d.Facts.Network = name, "net-"+name
		w.Apply(d)
		gone := &topology.Delta{Cluster: name, At: noon}
		for _, p := range d.Pods[:20] {
			gone.GonePods = append(gone.GonePods, topology.PodEnd{
				Namespace: p.Namespace, Name: p.Name, UID: p.UID, Earliest: ago(2 * time.Minute), Latest: ago(time.Minute),
			})
		}
		w.Apply(gone)
		positions = append(positions, Position{Cluster: name, ClusterUID: "u", Epoch: 7, Sequence: 99, At: noon, Complete: true})
	}
	s := w.Publish()
	var out bytes.Buffer
	require.NoError(t, Save(&out, s, append(positions, Position{Cluster: "unknown", Epoch: 1})))
	return s, positions, out.Bytes()
}

func TestDiskCopy(t *testing.T) {
	s, positions, copied := saved(t)
	a := NewAssembler(AssemblerSettings{})
	w := newTopology()
	var loaded []Position
	now := noon.Add(3 * time.Hour)
	report := Load(bytes.NewReader(copied), LoadLimits{}, func(saved *Saved) {
		loaded = append(loaded, saved.Position)
		actions := a.Restore(saved, now)
		require.Equal(t, Action{Kind: ActionStale, Cluster: saved.Cluster, Since: noon}, actions[1])
		execute(actions, w)
	})
	require.NoError(t, report.Err)
	require.Equal(t, LoadReport{Clusters: 3, Pods: 500 + 3000 + 5500}, report)
	require.Equal(t, positions, loaded)
	require.Equal(t, positions, a.Positions())
	restored := w.Publish()
	for _, p := range positions {
		require.Equal(t, contents(t, s, p.Cluster), contents(t, restored, p.Cluster))
		require.Len(t, contents(t, restored, p.Cluster).Past, 20)
	}
	require.Zero(t, w.Counters())

	// A stream that goes on where the copy ends makes the cluster fresh; one that does not has a gap.
	e := &Encoder{header: Header{Schema: 1, Cluster: "west", ClusterUID: "u", Epoch: 7, Sequence: 99}, page: newPage(), limit: MaxMessageBytes}
	beat := e.Heartbeat(now)
	actions, err := a.Accept(&beat, now)
	require.NoError(t, err)
	require.Equal(t, Action{Kind: ActionStale, Cluster: "west"}, actions[len(actions)-1])
	e.header.Cluster, e.header.Sequence = "east", 500
	beat = e.Heartbeat(now)
	actions, err = a.Accept(&beat, now)
	require.NoError(t, err)
	require.Equal(t, topology.KindInventoryGap, actions[0].Finding.Kind)
	require.Len(t, actions, 1, "it stays stale")
}

// TestDamagedCopy cuts the copy anywhere, and flips a bit anywhere: what is whole before is loaded, and nothing false.
func TestDamagedCopy(t *testing.T) {
	s, _, copied := saved(t)
	want := map[string]map[string]bool{}
	for c := range s.Clusters() {
		want[c.Name] = map[string]bool{}
		for p := range s.Pods(c.Name) {
			want[c.Name][p.Workload.Namespace+"/"+p.Name] = true
		}
	}
	g := newGenerator(1)
	for i := range 30 {
		at := g.IntN(len(copied))
		damaged := slices.Clone(copied)
		if i%2 == 0 {
			damaged = damaged[:at]
		} else {
			damaged[at] ^= 1 << g.IntN(8)
		}
		pods := 0
		report := Load(bytes.NewReader(damaged), LoadLimits{}, func(saved *Saved) {
			for _, p := range saved.Update.Pods {
				if !want[saved.Cluster][p.Namespace+"/"+p.Name] {
					t.Fatalf("cluster %s has no pod %s", saved.Cluster, p.Name)
				}
			}
			pods += len(saved.Update.Pods) + len(saved.Update.Past)
			require.Equal(t, saved.Update.Full, saved.Complete)
		})
		require.ErrorIs(t, report.Err, ErrDisk, "damage at %d of %d", at, len(copied))
		require.Equal(t, pods, report.Pods)
		require.Less(t, pods, 9_000)
		if i%2 == 1 {
			require.Positive(t, report.LostBytes)
		}
		if at > diskHeaderBytes {
			require.Positive(t, report.LostClusters)
		}
	}
}

func TestLoadLimits(t *testing.T) {
	_, _, copied := saved(t)
	var names []string
	take := func(s *Saved) { names = append(names, s.Cluster) }
	report := Load(bytes.NewReader(copied), LoadLimits{Clusters: 1}, take)
	require.ErrorContains(t, report.Err, "more than 1 clusters")
	require.Equal(t, []string{"east"}, names)
	require.Equal(t, 2, report.LostClusters)
	report = Load(bytes.NewReader(copied), LoadLimits{Pods: 600}, take)
	require.ErrorContains(t, report.Err, "more than 600 pods")
}

func TestLoadRefuses(t *testing.T) {
	_, _, copied := saved(t)
	version := slices.Clone(copied)
	version[8] = 2
	for name, test := range map[string]struct {
		in   io.Reader
		want string
	}{
		"empty":      {bytes.NewReader(nil), "it ends within the header"},
		"other file": {bytes.NewReader(bytes.Repeat([]byte("x"), 100)), "the file is something else"},
		"version":    {bytes.NewReader(version), "wrong checksum of the header"},
		"unreadable": {iotest.ErrReader(errors.New("disk on fire")), "disk on fire"},
	} {
		t.Run(name, func(t *testing.T) {
			report := Load(test.in, LoadLimits{}, func(*Saved) { t.Fatal("nothing is whole") })
			require.ErrorContains(t, report.Err, test.want)
		})
	}
}

func TestSaveFails(t *testing.T) {
	s, positions, _ := saved(t)
	for _, room := range []int{0, 100_000} {
		err := Save(&full{room}, s, positions)
		require.ErrorContains(t, err, "cannot write the disk copy of the inventory: no room")
	}
}

// full is a disk with so much room.
type full struct{ room int }

func (f *full) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errors.New("no room")
	}
	return len(p), nil
}

// TestSnapshotConfirmedEarly prevents that a hub takes the confirmation of a snapshot, which is from when its listing was
// asked for, for when the pods that it does not mention had ended: an API server that starts answers late.
func TestSnapshotConfirmedEarly(t *testing.T) {
	clock := ago(time.Minute)
	topologies := map[string]*topology.Writer{}
	for _, name := range []string{"spoke", "hub"} {
		topologies[name] = topology.NewWriter(topology.WriterSettings{History: time.Hour, Now: func() time.Time { return clock }})
	}
	a := NewAssembler(AssemblerSettings{})
	hear := func(epoch int64, confirmed time.Time) {
		for m := range NewEncoder("west", "u", epoch).Snapshot(topologies["spoke"].Publish(), confirmed) {
			actions, err := a.Accept(&m, noon)
			require.NoError(t, err)
			execute(actions, topologies["hub"])
		}
	}
	d := topology.Delta{
		Cluster: "west", At: clock, Full: true, Facts: &topology.ClusterFacts{Network: "n"},
		Pods: []topology.PodState{{
			PodSpec: topology.PodSpec{Name: "web-0", Addresses: g4(1)}, UID: topology.UID{1}, Namespace: "shop", Workload: "web",
			Kind: "statefulset", Since: ago(time.Hour), Seen: ago(time.Hour),
		}},
	}
	topologies["spoke"].Apply(&d)
	hear(1, clock)
	// Another leader asked 30 seconds ago and got the answer 10 seconds ago.
	clock = ago(10 * time.Second)
	topologies["spoke"] = topology.NewWriter(topology.WriterSettings{Now: func() time.Time { return clock }})
	d.At, d.Pods = ago(30*time.Second), nil
	topologies["spoke"].Apply(&d)
	hear(2, d.At)
	s := topologies["hub"].Publish()
	for seconds, want := range map[int]topology.Lookup{20: topology.Gap, 11: topology.Gap, 9: topology.NotFound} {
		_, how := s.At(ago(time.Duration(seconds)*time.Second)).ByAddress("n", g4(1)[0])
		require.Equal(t, want.String(), how.String(), "%d seconds ago", seconds)
	}
}

// TestMissedEndIsLearned loses the delta with the end of a pod: the next snapshot tells when it truly was.
func TestMissedEndIsLearned(t *testing.T) {
	spoke, hub := newTopology(), newTopology()
	a, e := NewAssembler(AssemblerSettings{}), NewEncoder("west", "u", 1)
	deliver := func(messages []Message) {
		for i := range messages {
			actions, err := a.Accept(&messages[i], noon)
			require.NoError(t, err)
			execute(actions, hub)
		}
	}
	pod := func(name string, uid byte, since time.Time) topology.PodState {
		return topology.PodState{
			PodSpec: topology.PodSpec{Name: name, Addresses: g4(1)}, UID: topology.UID{uid}, Namespace: "shop", Workload: "web",
			Kind: "statefulset", Since: since, Seen: since,
		}
	}
	spoke.Apply(&topology.Delta{
		Cluster: "west", At: ago(time.Hour), Full: true, Facts: &topology.ClusterFacts{Network: "n"},
		Pods: []topology.PodState{pod("web-0", 1, ago(2*time.Hour))},
	})
	deliver(slices.Collect(e.Snapshot(spoke.Publish(), ago(time.Hour))))
	// One pod of the name ends, another one comes and ends, a third one comes; the hub hears nothing of it.
	for i := range 2 {
		at := ago(time.Duration(30-10*i) * time.Minute)
		spoke.Apply(&topology.Delta{
			Cluster: "west", At: at.Add(time.Minute),
			GonePods: []topology.PodEnd{{Namespace: "shop", Name: "web-0", UID: topology.UID{byte(i + 1)}, Earliest: at, Latest: at}},
			Pods:     []topology.PodState{pod("web-0", byte(i+2), at.Add(time.Minute))},
		})
	}
	truth := spoke.Publish()
	e.Heartbeat(noon)
	deliver(slices.Collect(e.Snapshot(truth, noon)))
	execute(a.Tick(noon.Add(10*time.Second)), hub)
	learned := hub.Publish()
	require.Equal(t, contents(t, truth, "west"), contents(t, learned, "west"))
	for minutes := range 60 {
		at := ago(time.Duration(minutes)*time.Minute + 30*time.Second)
		want, how := truth.At(at).ByAddress("n", g4(1)[0])
		got, same := learned.At(at).ByAddress("n", g4(1)[0])
		require.Equal(t, how, same, "%d minutes ago", minutes)
		if want != nil {
			require.Equal(t, want.UID(), got.UID())
		}
	}
}
