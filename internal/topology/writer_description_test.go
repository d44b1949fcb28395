// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pieces cuts a full delta.
func pieces(d *Delta, size int) []*Delta {
	first := *d
	first.Pods, first.Services, first.At, first.More = nil, nil, time.Time{}, true
	list := []*Delta{&first}
	for some := range slices.Chunk(d.Pods, size) {
		list = append(list, &Delta{Cluster: d.Cluster, Full: true, More: true, Part: len(list), Pods: some})
	}
	return append(list, &Delta{Cluster: d.Cluster, Full: true, Part: len(list), At: d.At, Services: d.Services})
}

func generationOf(generation, pods int) *Delta {
	d := &Delta{Cluster: "c", Full: true, At: second(1000 + generation*100), Facts: facts("n")}
	for i := range 4 {
		name := fmt.Sprintf("x%d", i+generation)
		d.Nodes = append(d.Nodes, NodeSpec{Name: name, Zone: "z" + name})
		d.Services = append(d.Services, ServiceSpec{Namespace: "ns", Name: name})
	}
	for i := range pods {
		// A third of the pods is there again, a third has a new uid, and the others are new with addresses that others had.
		name, uid, address, since := fmt.Sprint("p", i), UID{byte(i + 1)}, fmt.Sprint("10.0.0.", i), 900
		switch i % 3 {
		case 1:
			uid[1], since = byte(generation), since+generation*100
		case 2:
			name, uid[1], since = fmt.Sprint(name, "-", generation), byte(generation), since+generation*100
			address = fmt.Sprint("10.0.0.", (i+3*generation)%pods)
		}
		p := pod(name, address, 0, since)
		p.UID = uid
		p.Node = d.Nodes[i%4].Name
		d.Pods = append(d.Pods, p)
	}
	return d
}

// told returns all that a snapshot says of the cluster, as text to compare.
func told(s *Snapshot) (list []string) {
	for p := range s.Pods("c") {
		from, seen := p.Since()
		earliest, latest, gap := p.Until()
		list = append(list, fmt.Sprint(p.Name, p.UID(), p.Addresses(), p.Place, p.Node.Name, p.Ended(), from, seen, earliest, latest, gap))
	}
	for n := range s.Nodes("c") {
		list = append(list, fmt.Sprint("node ", n.Spec()))
	}
	for v := range s.Services("c") {
		list = append(list, fmt.Sprint("service ", *v.Spec()))
	}
	slices.Sort(list)
	return append(list, fmt.Sprint(s.Stats()))
}

func TestPiecesEqualOneFullDelta(t *testing.T) {
	for _, size := range []int{1, 7, 100} {
		now := second(1000)
		settings := WriterSettings{History: time.Hour, Now: func() time.Time { return now }}
		whole, cut := NewWriter(settings), NewWriter(settings)
		for generation := range 3 {
			d := generationOf(generation, 60)
			now = d.At
			whole.Apply(d)
			for _, piece := range pieces(d, size) {
				cut.Apply(piece)
				cut.Publish()
			}
			assert.Equal(t, told(whole.Publish()), told(cut.Publish()), "generation %d in pieces of %d", generation, size)
		}
	}
}

func TestADescriptionThatIsNotComplete(t *testing.T) {
	w := NewWriter(WriterSettings{History: time.Hour, Now: func() time.Time { return second(2000) }})
	w.Apply(&Delta{Cluster: "c", Full: true, At: second(1000), Facts: facts("n"), Nodes: []NodeSpec{{Name: "n1"}}, Pods: []PodState{
		pod("a", "10.0.0.1", 1, 900), pod("b", "10.0.0.2", 2, 900), pod("c", "10.0.0.3", 3, 900),
	}})
	piece := func(part int, more bool, pods ...PodState) *Snapshot {
		w.Apply(&Delta{Cluster: "c", Full: true, Part: part, More: more, At: second(1100 + part), Pods: pods})
		return w.Publish()
	}
	alive := func(s *Snapshot) string {
		var names []string
		for p := range s.Pods("c") {
			if !p.Ended() {
				names = append(names, p.Name)
			}
		}
		slices.Sort(names)
		return strings.Join(names, "")
	}
	confirmed := func(s *Snapshot) time.Time { c, _ := s.Cluster("c"); return c.Confirmed() }

	s := piece(0, true, pod("a", "10.0.0.1", 1, 900), pod("d", "10.0.0.4", 4, 900))
	assert.Equal(t, "abcd", alive(s), "what was not mentioned stays")
	assert.True(t, second(1000).Equal(confirmed(s)), "nothing is confirmed")

	// It begins again: what the first one mentioned counts no more.
	s = piece(0, true, pod("b", "10.0.0.2", 2, 900))
	assert.Equal(t, "abcd", alive(s))
	w.Apply(&Delta{Cluster: "c", Pods: []PodState{pod("d", "10.0.0.4", 4, 900)}})
	s = piece(1, false)
	assert.Equal(t, "bd", alive(s), "d was told of by a change in between")
	assert.True(t, second(1101).Equal(confirmed(s)))
	_, known := s.NodeAt("n", netip.MustParseAddr("10.0.0.9"))
	assert.False(t, known)

	// A piece went to nobody.
	piece(0, true, pod("b", "10.0.0.2", 2, 900))
	assert.Equal(t, "bd", alive(piece(2, true)))
	s = piece(3, false)
	assert.Equal(t, "bd", alive(s))
	assert.True(t, second(1101).Equal(confirmed(s)), "that is no whole description")
	s = piece(7, false)
	assert.Equal(t, "bd", alive(s), "nor is one without a beginning")
	s = piece(0, false, pod("b", "10.0.0.2", 2, 900))
	assert.Equal(t, "b", alive(s))
}

func TestPiecesAtTheLimit(t *testing.T) {
	w := NewWriter(WriterSettings{Limits: Limits{MaxPods: 40, MaxNodes: 4, MaxServices: 4}, Now: func() time.Time { return second(2000) }})
	w.Apply(generationOf(0, 40))
	next := generationOf(1, 40)
	for _, piece := range pieces(next, 9) {
		w.Apply(piece)
	}
	assert.Equal(t, Counters{AddressConflicts: w.Counters().AddressConflicts}, w.Counters(), "there is room once the others are gone")
	s := w.Publish()
	for i := range next.Pods {
		_, ok := s.ByPod("c", "ns", next.Pods[i].Name)
		require.True(t, ok, next.Pods[i].Name)
	}
	more := generationOf(2, 45)
	for _, piece := range pieces(more, 9) {
		w.Apply(piece)
	}
	assert.EqualValues(t, 5, w.Counters().PodsRefused, "what is too much after all is counted")
}

// apply applies a delta of the model: some full ones in two pieces, of which some begin twice.
func (m *model) apply(d *Delta) {
	if !d.Full || m.script(2) == 0 {
		m.w.Apply(d)
		return
	}
	// A pod that came and went is told with its end.
	brief := slices.Clone(d.Pods)
	brief = slices.DeleteFunc(brief, func(p PodState) bool {
		return !slices.ContainsFunc(d.GonePods, func(e PodEnd) bool { return e.UID == p.UID })
	})
	stay := slices.DeleteFunc(d.Pods, func(p PodState) bool {
		return slices.ContainsFunc(brief, func(b PodState) bool { return b.UID == p.UID })
	})
	half := m.script(len(stay) + 1)
	first, second := *d, Delta{Cluster: d.Cluster, At: d.At, Full: true, Part: 1, Nodes: d.Nodes, Pods: stay[half:]}
	first.At, first.More, first.Pods = time.Time{}, true, append(brief, stay[:half]...)
	m.w.Apply(&first)
	if m.script(2) == 0 {
		first.GonePods, first.Pods = nil, stay[:half]
		m.w.Apply(&first)
	}
	if m.script(2) == 0 {
		m.publish()
	}
	m.w.Apply(&second)
}

// BenchmarkApplyPieces loads 50 000 pods of one cluster that come in pieces of 2 000, each made when it is needed; peak is
// what the heap grows to with the piece.
func BenchmarkApplyPieces(b *testing.B) {
	const all, size = 50_000, 2000
	b.ReportAllocs()
	var peak uint64
	for b.Loop() {
		before := heap()
		w := NewWriter(WriterSettings{})
		var m runtime.MemStats
		for part := range all / size {
			d := fleetDelta(0, 0)
			d.Part, d.More = part, part+1 < all/size
			for i := range size {
				d.Pods = append(d.Pods, fleetPod(part*size+i, 0))
			}
			w.Apply(d)
			w.Publish()
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc-before)
		}
		runtime.KeepAlive(w)
	}
	b.ReportMetric(float64(peak)/1e6, "peak-MB")
}

// The trust domain of a revisioned Istio becomes known when its istiod is met among the pods, which is in the middle of
// the description of a large cluster.
func TestFactsThatChangeInTheMiddleTakeNothingAway(t *testing.T) {
	d := newDesk(Limits{})
	service := ServiceSpec{Namespace: "ns", Name: "svc", Addresses: []netip.Addr{addr("10.96.0.1")}}
	d.Apply(&Delta{
		Cluster: "c", Full: true, More: true, Facts: facts("n"), Services: []ServiceSpec{service},
		Nodes: []NodeSpec{{Name: "node"}}, Pods: []PodState{pod("a", "10.0.0.1", 1, 900)},
	})
	changed := facts("n")
	changed.TrustDomain = "west.example"
	d.Apply(&Delta{Cluster: "c", Full: true, More: true, Part: 1, Facts: changed, Pods: []PodState{pod("b", "10.0.0.2", 2, 900)}})
	d.Apply(&Delta{Cluster: "c", Full: true, Part: 2, At: second(1000)})
	stats := d.Publish().Stats()
	assert.Equal(t, 1, stats.Services)
	assert.Equal(t, 1, stats.Nodes)
	assert.Equal(t, 2, stats.Pods)
}
