// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lives writes down all tenancies of a snapshot, for people.
func lives(s *Snapshot, cluster string) (out []string) {
	for p := range s.Pods(cluster) {
		since, seen := p.Since()
		earliest, latest, gap := p.Until()
		out = append(out, fmt.Sprint(p.Name, p.UID()[0], p.Addresses(), since.Unix(), seen.Unix(), p.Ended(), earliest.Unix(), latest.Unix(), gap))
	}
	slices.Sort(out)
	return out
}

// tell repeats to a writer what another one knows, as a snapshot of an inventory does.
func (d *desk) tell(s *Snapshot, cluster string) {
	var past []*Pod
	full := &Delta{Cluster: cluster, At: second(d.now), Full: true, Facts: facts("n")}
	for p := range s.Pods(cluster) {
		if p.Ended() {
			past = append(past, p)
		} else {
			full.Pods = append(full.Pods, p.State())
		}
	}
	slices.SortFunc(past, func(a, b *Pod) int { return int(a.latest - b.latest) })
	for _, p := range past {
		earliest, latest, gap := p.Until()
		state := p.State()
		d.ApplyPast(cluster, &state, earliest, latest, gap)
	}
	d.Apply(full)
}

// Whatever messages were lost: a snapshot afterwards makes the history what it would be if none had been.
func TestASnapshotHealsTheHistory(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		truth, hub := newDesk(Limits{}), newDesk(Limits{})
		truth.first("c")
		hub.first("c")
		alive := map[string]PodState{}
		for n := range 40 {
			truth.now += 10
			hub.now = truth.now
			name := fmt.Sprint("p", rng.IntN(4))
			delta := &Delta{Cluster: "c", At: second(truth.now)}
			old, there := alive[name]
			delete(alive, name)
			if there {
				delta.GonePods = []PodEnd{{Namespace: "ns", Name: name, UID: old.UID, Earliest: second(truth.now - 9), Latest: second(truth.now - 7)}}
			}
			free := fmt.Sprintf("10.0.0.%d", rng.IntN(6))
			taken := slices.ContainsFunc(slices.Collect(mapsValues(alive)), func(p PodState) bool { return len(p.Addresses) > 0 && p.Addresses[0] == addr(free) })
			switch {
			case taken || rng.IntN(3) == 0:
			case there && rng.IntN(3) == 0:
				// The name goes on as another pod, and nobody says that the one before is gone.
				delta.GonePods = nil
				fallthrough
			default:
				alive[name] = pod(name, free, byte(n+1), truth.now-4)
				delta.Pods = []PodState{alive[name]}
			}
			if rng.IntN(10) == 0 {
				// The pod is told before it has an address.
				early := pod("late", "", 200, truth.now-4)
				early.UID[1] = byte(n)
				if _, known := alive["late"]; !known {
					alive["late"] = early
					delta.Pods = append(delta.Pods, early)
				}
			}
			truth.Apply(delta)
			if rng.IntN(4) != 0 {
				delta.At = time.Time{}
				hub.Apply(delta)
			}
		}
		truth.now += 10
		hub.now = truth.now
		truth.Apply(&Delta{Cluster: "c", At: second(truth.now)})
		hub.tell(truth.Publish(), "c")
		want, got := truth.Publish(), hub.Publish()
		require.Equal(t, lives(want, "c"), lives(got, "c"), "seed %d", seed)
		require.Equal(t, want.Stats(), got.Stats())
		hub.tell(want, "c")
		require.Equal(t, lives(want, "c"), lives(hub.Publish(), "c"), "a second time changes nothing")
	}
}

func mapsValues(m map[string]PodState) func(func(PodState) bool) {
	return func(yield func(PodState) bool) {
		for _, p := range m {
			if !yield(p) {
				return
			}
		}
	}
}

func TestThePastEndsWhatIsHeldToRun(t *testing.T) {
	d := newDesk(Limits{})
	a, b := pod("a", "10.0.0.1", 1, 900), pod("b", "", 2, 900)
	d.first("c", a, b)
	d.now = 1100
	d.ApplyPast("c", &a, second(1010), second(1012), false)
	b.Addresses = addrs("10.0.0.2")
	d.ApplyPast("c", &b, second(1020), second(1022), false)
	d.first("c")
	s := d.Publish()
	for at, want := range map[int]string{950: "a", 1009: "a", 1013: "not_found", 1050: "not_found"} {
		assert.Equal(t, want, nameAt(s, at, "10.0.0.1"), "at %d", at)
	}
	_, ok := s.At(second(1015)).ByPod("c", "ns", "b")
	assert.True(t, ok)
	_, how := s.At(second(1050)).ByAddress("n", addr("10.0.0.2"))
	assert.Equal(t, NotFound, how, "its end is known, so there is no gap")
	assert.Equal(t, Stats{Clusters: 1, Ended: 2}, s.Stats())
}

// A pod that was followed by another of its name ended somewhere in between, until somebody says when.
func TestThePastNarrowsWhatWasConcluded(t *testing.T) {
	d := newDesk(Limits{})
	a, next := pod("db-0", "10.0.0.1", 1, 900), pod("db-0", "10.0.0.2", 2, 1050)
	d.first("c", a)
	d.now = 1100
	d.Apply(&Delta{Cluster: "c", Pods: []PodState{next}})
	assert.Equal(t, "db-0", nameAt(d.Publish(), 1040, "10.0.0.1"))
	d.ApplyPast("c", &a, second(1010), second(1012), false)
	s := d.Publish()
	assert.Equal(t, "db-0", nameAt(s, 1009, "10.0.0.1"))
	assert.Equal(t, "not_found", nameAt(s, 1040, "10.0.0.1"))
	d.ApplyPast("c", &a, second(2000), second(2001), false)
	assert.Equal(t, lives(s, "c"), lives(d.Publish(), "c"), "what cannot be true changes nothing")
}
