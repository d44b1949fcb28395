// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// desk is a writer with a clock of its own; moments are seconds.
type desk struct {
	*Writer
	now      int
	findings []Finding
}

func second(n int) time.Time { return time.Unix(int64(n), 0) }

func newDesk(limits Limits) *desk {
	d := &desk{now: 1000}
	d.Writer = NewWriter(WriterSettings{
		Limits: limits, History: 500 * time.Second, Now: func() time.Time { return second(d.now) },
		Report: func(f Finding) { d.findings = append(d.findings, f) },
	})
	return d
}

func (d *desk) kinds() []string {
	var kinds []string
	for _, f := range d.findings {
		kinds = append(kinds, f.Kind)
	}
	return kinds
}

// pod has the uid n, so that two of one name differ.
func pod(name, address string, n byte, since int) PodState {
	p := PodState{
		PodSpec: PodSpec{Name: name}, UID: UID{n}, Namespace: "ns", Workload: "w", Kind: "deployment", Service: "w", Version: "v1",
		ServiceAccount: "sa", Since: second(since), Seen: second(since + 1),
	}
	if address != "" {
		p.Addresses = addrs(address)
	}
	return p
}

func facts(network string) *ClusterFacts {
	return &ClusterFacts{Network: network, Region: "westeurope", TrustDomain: "td-" + network}
}

func (d *desk) first(cluster string, pods ...PodState) {
	d.Apply(&Delta{Cluster: cluster, At: second(d.now), Full: true, Facts: facts("n"), Pods: pods})
}

func nameAt(s *Snapshot, at int, address string) string {
	t := time.Time{}
	if at > 0 {
		t = second(at)
	}
	p, how := s.At(t).ByAddress("n", addr(address))
	if how != Found {
		return how.String()
	}
	return p.Name
}

func TestAddressIsUsedAgain(t *testing.T) {
	d := newDesk(Limits{})
	d.first("c", pod("a", "10.0.0.1", 1, 900))
	d.Apply(&Delta{
		Cluster: "c", At: second(1100), Pods: []PodState{pod("b", "10.0.0.1", 2, 1050)},
		GonePods: []PodEnd{{Namespace: "ns", Name: "a", UID: UID{1}, Earliest: second(1040), Latest: second(1090)}},
	})
	s := d.Publish()
	for at, want := range map[int]string{
		0: "b", 899: "not_found", 900: "a", 1039: "a", 1045: "a", 1050: "ambiguous", 1051: "b", 1089: "b", 5000: "b",
	} {
		assert.Equal(t, want, nameAt(s, at, "10.0.0.1"), "at %d", at)
	}
	history := s.History("n", addr("10.0.0.1"))
	require.Len(t, history, 2)
	assert.Equal(t, "b", history[0].Name)
	earliest, latest, gap := history[1].Until()
	assert.True(t, history[1].Ended())
	assert.Equal(t, second(1040).UTC(), earliest)
	assert.Equal(t, second(1051).UTC(), latest, "b surely had it from then on")
	assert.False(t, gap)
	_, ok := s.At(second(1045)).ByPod("c", "ns", "a")
	assert.True(t, ok)
	_, ok = s.ByPod("c", "ns", "a")
	assert.False(t, ok, "it is gone")
	p, ok := s.At(second(1045)).PodNamed("ns", "a")
	require.True(t, ok)
	assert.Equal(t, "td-n", strings.Split(p.End().Principal, "/")[2])
}

func TestPredecessorBoundsTheBeginning(t *testing.T) {
	d := newDesk(Limits{})
	a, b := pod("a", "10.0.0.1", 1, 900), pod("b", "10.0.0.1", 2, 800)
	a.Seen, b.Seen = second(950), second(1050)
	d.first("c", a)
	d.Apply(&Delta{
		Cluster: "c", At: second(1100), Pods: []PodState{b},
		GonePods: []PodEnd{{Namespace: "ns", Name: "a", UID: UID{1}, Earliest: second(1040), Latest: second(1045)}},
	})
	s := d.Publish()
	for at, want := range map[int]string{850: "not_found", 920: "a", 1039: "a", 1042: "ambiguous", 1046: "b", 1050: "b"} {
		assert.Equal(t, want, nameAt(s, at, "10.0.0.1"), "at %d", at)
	}
}

func TestNameIsUsedAgain(t *testing.T) {
	d := newDesk(Limits{})
	d.first("c", pod("db-0", "10.0.0.1", 1, 900))
	d.Apply(&Delta{Cluster: "c", At: second(1100), Pods: []PodState{pod("db-0", "10.0.0.2", 2, 1050)}})
	s := d.Publish()
	p, ok := s.At(second(990)).ByPod("c", "ns", "db-0")
	require.True(t, ok)
	assert.Equal(t, UID{1}, p.UID())
	p, ok = s.At(second(1051)).ByPod("c", "ns", "db-0")
	require.True(t, ok)
	assert.Equal(t, UID{2}, p.UID())
	assert.Equal(t, "db-0", nameAt(s, 1020, "10.0.0.1"), "it may have lived until its successor")
	assert.Equal(t, "not_found", nameAt(s, 1051, "10.0.0.1"))
}

func TestPodMoves(t *testing.T) {
	d := newDesk(Limits{})
	d.first("c", pod("a", "10.0.0.1", 1, 900))
	d.Apply(&Delta{Cluster: "c", At: second(1100), Pods: []PodState{pod("a", "10.0.0.2", 1, 900)}})
	s := d.Publish()
	for _, at := range []int{950, 1050, 1150, 0} {
		to := time.Time{}
		if at > 0 {
			to = second(at)
		}
		p, ok := s.At(to).ByPod("c", "ns", "a")
		require.True(t, ok, "it is one pod all the time: at %d", at)
		assert.Equal(t, UID{1}, p.UID())
	}
	assert.Equal(t, "not_found", nameAt(s, 990, "10.0.0.2"))
	assert.Equal(t, "a", nameAt(s, 990, "10.0.0.1"))
	assert.Equal(t, "not_found", nameAt(s, 1100, "10.0.0.1"))
	assert.Equal(t, "a", nameAt(s, 1100, "10.0.0.2"))
	assert.Equal(t, 1, s.Stats().Pods)
	assert.Equal(t, 1, s.Stats().Ended)
}

func TestUpdateInPlaceKeepsTheTenancy(t *testing.T) {
	d := newDesk(Limits{})
	d.first("c", pod("a", "10.0.0.1", 1, 900))
	before := d.Publish()
	relabeled := pod("a", "10.0.0.1", 1, 900)
	relabeled.Version, relabeled.Service = "v2", "other"
	d.Apply(&Delta{Cluster: "c", At: second(1100), Pods: []PodState{relabeled}})
	after := d.Publish()
	p, _ := after.At(second(950)).ByAddress("n", addr("10.0.0.1"))
	assert.Equal(t, "v2", p.End().Version)
	old, _ := before.ByAddress("n", addr("10.0.0.1"))
	assert.Equal(t, "v1", old.End().Version, "an old snapshot keeps what it said")
	w, _ := after.Workload("c", "ns", "w")
	assert.Equal(t, "other", w.End().Service)
	assert.Zero(t, after.Stats().Ended)
	d.Apply(&Delta{Cluster: "c", At: second(1101), Pods: []PodState{relabeled}})
	assert.Same(t, after, d.Publish(), "nothing changed")
}

func TestFullDeltaLeavesAGap(t *testing.T) {
	d := newDesk(Limits{})
	d.first("c", pod("a", "10.0.0.1", 1, 900), pod("b", "10.0.0.2", 2, 900))
	d.Apply(&Delta{Cluster: "c", At: second(1200), Full: true, Pods: []PodState{pod("b", "10.0.0.2", 2, 900)}})
	s := d.Publish()
	assert.Equal(t, "a", nameAt(s, 999, "10.0.0.1"))
	assert.Equal(t, "gap", nameAt(s, 1100, "10.0.0.1"))
	assert.Equal(t, "not_found", nameAt(s, 1200, "10.0.0.1"))
	assert.Equal(t, "b", nameAt(s, 1100, "10.0.0.2"))
	end, ok := s.History("n", addr("10.0.0.1"))[0].PodEnd()
	require.True(t, ok)
	assert.Equal(t, PodEnd{Namespace: "ns", Name: "a", UID: UID{1}, Earliest: second(1000).UTC(), Latest: second(1200).UTC(), Gap: true}, end)
}

// TestListingAnsweredLate prevents that a pod counts as gone from the moment at which somebody asked for a listing: it may
// have ended while the API server took its time.
func TestListingAnsweredLate(t *testing.T) {
	d := newDesk(Limits{})
	d.first("c", pod("a", "10.0.0.1", 1, 900), pod("b", "10.0.0.2", 2, 900))
	moved := pod("b", "10.0.0.3", 2, 900)
	d.Apply(&Delta{Cluster: "c", At: second(1200), Made: second(1260), Full: true, Pods: []PodState{moved}})
	s := d.Publish()
	for at, want := range map[int]string{1199: "gap", 1259: "gap", 1260: "not_found"} {
		assert.Equal(t, want, nameAt(s, at, "10.0.0.1"), "at %d", at)
		assert.Equal(t, want, nameAt(s, at, "10.0.0.2"), "at %d", at)
	}
	assert.Equal(t, "b", nameAt(s, 1260, "10.0.0.3"))
	c, _ := s.Cluster("c")
	assert.Equal(t, second(1200).UTC(), c.Confirmed(), "what was asked for confirms nothing later")
}

func TestAddressConflict(t *testing.T) {
	d := newDesk(Limits{})
	d.first("c", pod("a", "10.0.0.1", 1, 900))
	d.first("other", pod("b", "10.0.0.1", 2, 950))
	s := d.Publish()
	d.findings = nil // that both share a trust domain
	assert.Equal(t, "ambiguous", nameAt(s, 0, "10.0.0.1"))
	assert.Equal(t, "ambiguous", nameAt(s, 960, "10.0.0.1"))
	assert.Equal(t, "a", nameAt(s, 940, "10.0.0.1"))
	assert.Equal(t, "a", nameAt(s, 950, "10.0.0.1"), "a is certain then and b only possible")
	assert.EqualValues(t, 1, d.Counters().AddressConflicts)
	assert.Empty(t, d.findings, "the end of one may still be on its way")
	d.now += 31
	d.Publish()
	require.Equal(t, []string{KindAddressConflict}, d.kinds())
	assert.Contains(t, d.findings[0].Detail, "c/ns/a and other/ns/b both have the address 10.0.0.1")
	d.Apply(&Delta{Cluster: "c", At: second(1050), GonePods: []PodEnd{{Namespace: "ns", Name: "a", Earliest: second(1040)}}})
	s = d.Publish()
	assert.Equal(t, "b", nameAt(s, 0, "10.0.0.1"))
}

// Between two listings a pod may have come and gone that nobody heard of, in the very second in which the listed one got
// the address: neither that one nor its predecessor may be named then.
func TestNobodyWatchedTheBeginning(t *testing.T) {
	for unseen, want := range map[bool]string{true: "gap", false: "b"} {
		d := newDesk(Limits{})
		a, b := pod("a", "10.0.0.1", 1, 900), pod("b", "10.0.0.1", 2, 950)
		b.Seen, b.Unseen = b.Since.Add(2*time.Second), unseen
		d.Apply(&Delta{Cluster: "c", At: second(940), Facts: facts("n"), Pods: []PodState{a}})
		d.Apply(&Delta{
			Cluster: "c", At: second(1000), Pods: []PodState{b},
			GonePods: []PodEnd{{Namespace: "ns", Name: "a", UID: UID{1}, Earliest: second(945), Latest: second(945)}},
		})
		s := d.Publish()
		assert.Equal(t, want, nameAt(s, 951, "10.0.0.1"))
		assert.Equal(t, "b", nameAt(s, 952, "10.0.0.1"), "certain")
		assert.Equal(t, "a", nameAt(s, 944, "10.0.0.1"))
		assert.Equal(t, unseen, s.History("n", addr("10.0.0.1"))[0].State().Unseen)

		// The same pod, told again by somebody who saw it begin.
		b.Unseen = false
		d.Apply(&Delta{Cluster: "c", At: second(1001), Pods: []PodState{b}})
		assert.Equal(t, "b", nameAt(d.Publish(), 951, "10.0.0.1"))
	}
}

func TestApplyPast(t *testing.T) {
	d := newDesk(Limits{})
	a, b := pod("a", "10.0.0.1", 1, 900), pod("a", "10.0.0.1", 2, 950)
	for range 2 {
		d.ApplyPast("c", &a, second(940), second(960), false)
		d.Apply(&Delta{Cluster: "c", At: second(1000), Full: true, Facts: facts("n"), Pods: []PodState{b}})
		s := d.Publish()
		assert.Equal(t, Stats{Clusters: 1, Workloads: 1, Pods: 1, Ended: 1}, s.Stats())
		assert.Len(t, s.History("n", addr("10.0.0.1")), 2)
		p, _ := s.At(second(930)).ByAddress("n", addr("10.0.0.1"))
		assert.Equal(t, UID{1}, p.UID())
		p, _ = s.At(second(955)).ByAddress("n", addr("10.0.0.1"))
		assert.Equal(t, UID{2}, p.UID())
	}
	d.ApplyPast("c", &b, second(990), second(1000), false)
	assert.Zero(t, d.Publish().Stats().Pods)
	old := pod("old", "10.0.0.7", 9, 100)
	d.ApplyPast("c", &old, second(200), second(300), false)
	assert.Equal(t, "not_found", nameAt(d.Publish(), 150, "10.0.0.7"), "too long ago")
}

// TestOnePodTwiceInABucket prevents that a pod without a uid whose two addresses fall into one bucket counts as two pods.
func TestOnePodTwiceInABucket(t *testing.T) {
	d := newDesk(Limits{})
	dual := pod("a", "10.0.0.1", 0, 900)
	dual.UID = UID{}
	d.first("c", dual)
	p, _ := d.Publish().ByAddress("n", addr("10.0.0.1"))
	var table table[Pod]
	table.add(1, p, true)
	table.add(1, p, true)
	found, how := View{at: forever}.holder(&table, 1, &podKey{address: p.first})
	assert.Equal(t, Found, how)
	assert.Same(t, p, found)
}
