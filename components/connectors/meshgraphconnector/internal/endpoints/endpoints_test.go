// SPDX-License-Identifier: Apache-2.0

package endpoints

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/failover"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

var start = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// mesh tells a topology what an inventory would.
type mesh struct {
	t       *testing.T
	now     time.Time
	writer  *topology.Writer
	watcher *Watcher
}

func newMesh(t *testing.T) *mesh {
	m := &mesh{t: t, now: start, watcher: New()}
	m.writer = topology.NewWriter(topology.WriterSettings{History: time.Hour, Now: func() time.Time { return m.now }})
	return m
}

// join describes a cluster in a region of its name: a node in zone 1 and these services, without which nobody knows their endpoints.
func (m *mesh) join(cluster string, services ...topology.ServiceSpec) {
	m.writer.Apply(&topology.Delta{
		Cluster: cluster, At: m.now, Full: true, Facts: &topology.ClusterFacts{UID: cluster, Region: cluster},
		Nodes: []topology.NodeSpec{{Name: "n1", Zone: cluster + "-1"}}, Services: services,
	})
}

func (m *mesh) tell(cluster string, services ...topology.ServiceSpec) {
	m.writer.Apply(&topology.Delta{Cluster: cluster, At: m.now, Services: services})
}

func (m *mesh) pods(cluster string, pods ...topology.PodState) {
	m.writer.Apply(&topology.Delta{Cluster: cluster, At: m.now, Pods: pods})
}

func (m *mesh) observe() []failover.Endpoints { return m.watcher.Observe(m.writer.Publish(), m.now) }

// one returns what is known of a service, of which there is one row.
func (m *mesh) one(service string) failover.Endpoints {
	m.t.Helper()
	var found []failover.Endpoints
	for _, e := range m.observe() {
		if e.Service.Name == service {
			found = append(found, e)
		}
	}
	require.Len(m.t, found, 1)
	return found[0]
}

func (m *mesh) pass(d time.Duration) { m.now = m.now.Add(d) }

// has is a service with endpoints in zone 1 of a cluster.
func has(name, cluster string, ready, total, ending uint32) topology.ServiceSpec {
	return topology.ServiceSpec{
		Namespace: "shop", Name: name, EndingKnown: true,
		Endpoints: []topology.ZoneEndpoints{{Zone: cluster + "-1", Ready: ready, Total: total, Ending: ending}},
	}
}

func none(name string) topology.ServiceSpec {
	return topology.ServiceSpec{Namespace: "shop", Name: name, EndingKnown: true, Endpoints: []topology.ZoneEndpoints{}}
}

func pod(workload, set, name string, address byte) topology.PodState {
	p := topology.PodState{
		PodSpec:   topology.PodSpec{Name: workload + "-" + set + name},
		Namespace: "shop", Workload: workload, Kind: "deployment", Service: workload,
	}
	if address > 0 {
		p.Addresses = []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, address})}
	}
	return p
}

func row(name, cluster string, total, healthy int) failover.Endpoints {
	return failover.Endpoints{
		Service: failover.Service{Namespace: "shop", Name: name}, Place: failover.Place{Region: cluster, Cluster: cluster},
		Total: total, Healthy: healthy, Desired: -1,
	}
}

func TestWhatIsKnown(t *testing.T) {
	m := newMesh(t)
	m.join("west",
		has("reviews", "west", 3, 4, 0), none("empty"), topology.ServiceSpec{Namespace: "shop", Name: "nobody-tells"},
		topology.ServiceSpec{Namespace: "shop", Name: "bank", External: true, Hosts: []string{"bank.example"}, Endpoints: []topology.ZoneEndpoints{{Ready: 1, Total: 1}}},
		topology.ServiceSpec{Namespace: "shop", Name: "afar", EndingKnown: true, Endpoints: []topology.ZoneEndpoints{{Zone: "mars-1", Ready: 1, Total: 1}}},
		topology.ServiceSpec{Namespace: "shop", Name: "zoneless", EndingKnown: true, Endpoints: []topology.ZoneEndpoints{{Ready: 2, Total: 2}}},
	)
	m.join("north", has("reviews", "north", 4, 4, 0))
	assert.Equal(t, []failover.Endpoints{
		row("empty", "west", 0, 0), row("reviews", "north", 4, 4), row("reviews", "west", 4, 3), row("zoneless", "west", 2, 2),
	}, m.observe())
	assert.Nil(t, New().Observe(nil, start))
}

func TestWhatIsDeletedOnPurposeHasNotFailed(t *testing.T) {
	m := newMesh(t)
	m.join("west", has("reviews", "west", 2, 4, 2))
	ends := func(total, ending int) failover.Endpoints {
		e := row("reviews", "west", total, total)
		e.Ending = ending
		return e
	}
	assert.Equal(t, ends(2, 2), m.one("reviews"))
	m.tell("west", has("reviews", "west", 0, 4, 4))
	assert.Equal(t, ends(0, 4), m.one("reviews"), "scaled to zero")
	m.tell("west", has("reviews", "west", 4, 4, 4))
	assert.Equal(t, ends(0, 4), m.one("reviews"), "publishNotReadyAddresses")
	m.tell("west", has("reviews", "west", 4, 4, 0))
	m.observe()
	m.tell("west", has("reviews", "west", 0, 4, 0))
	assert.Equal(t, row("reviews", "west", 4, 0), m.one("reviews"), "dead")
}

// Endpoints that were never ready have not failed, whatever else is deleted meanwhile.
func TestNewEndpoints(t *testing.T) {
	m := newMesh(t)
	m.join("west", has("reviews", "west", 4, 4, 0))
	for _, step := range []struct {
		ready, total, ending uint32
		fresh                int
		what                 string
	}{
		{4, 4, 0, 0, "all are well"},
		{4, 6, 0, 2, "scaled up"},
		{3, 6, 0, 2, "one of the old ones fails"},
		{6, 6, 0, 0, "all are well again"},
		{2, 8, 4, 2, "two new ones come, four old ones go"},
		{2, 4, 0, 2, "the four are gone"},
		{1, 4, 0, 2, "an old one fails"},
		{3, 4, 0, 1, "and is back, with a new one"},
		{0, 4, 4, 0, "scaled to zero"},
	} {
		m.tell("west", has("reviews", "west", step.ready, step.total, step.ending))
		assert.Equal(t, step.fresh, m.one("reviews").New, step.what)
	}
}

// An inventory of the last version does not say which endpoints are being deleted.
func TestAnOlderInventory(t *testing.T) {
	m := newMesh(t)
	old := has("reviews", "west", 4, 4, 0)
	old.EndingKnown = false
	m.join("west", old)
	assert.Equal(t, row("reviews", "west", 4, 4), m.one("reviews"))
	old.Endpoints = []topology.ZoneEndpoints{{Zone: "west-1", Ready: 2, Total: 4}}
	m.tell("west", old)
	assert.Empty(t, m.observe(), "scaled down, or dead: nobody knows")
}

func TestRollout(t *testing.T) {
	m := newMesh(t)
	m.join("west", has("reviews", "west", 4, 4, 0), has("ratings", "west", 4, 4, 0))
	m.pods("west", pod("reviews", "5d8f", "-aaaaa", 1), pod("reviews", "5d8f", "-bbbbb", 2), pod("ratings", "77aa", "-ccccc", 3))
	assert.False(t, m.one("reviews").Rollout)
	m.pods("west", pod("reviews", "66cc", "-ddddd", 4))
	assert.True(t, m.one("reviews").Rollout)
	assert.False(t, m.one("ratings").Rollout)
	m.pass(time.Minute)
	var ends []topology.PodEnd
	for _, name := range []string{"reviews-5d8f-aaaaa", "reviews-5d8f-bbbbb"} {
		ends = append(ends, topology.PodEnd{Namespace: "shop", Name: name, Earliest: m.now, Latest: m.now})
	}
	m.writer.Apply(&topology.Delta{Cluster: "west", At: m.now, GonePods: ends})
	assert.False(t, m.one("reviews").Rollout)
}

func TestOnlyReplicaSetsTellARollout(t *testing.T) {
	for name, pods := range map[string][]topology.PodState{
		"a stateful set": {
			{PodSpec: topology.PodSpec{Name: "reviews-0"}, Namespace: "shop", Workload: "reviews", Kind: "statefulset", Service: "reviews"},
			{PodSpec: topology.PodSpec{Name: "reviews-a-1"}, Namespace: "shop", Workload: "reviews", Kind: "statefulset", Service: "reviews"},
		},
		"names that were cut":   {pod("reviews", "5d8", "faaaaa", 1), pod("reviews", "66c", "cbbbbb", 2)},
		"a workload of a label": {pod("reviews", "x-5d8f", "-aaaaa", 1), pod("reviews", "x-66cc", "-bbbbb", 2)},
		"two deployments":       {pod("reviews", "5d8f", "-aaaaa", 1), pod("ratings", "66cc", "-bbbbb", 2)},
		"deployments of one service": {
			{PodSpec: topology.PodSpec{Name: "reviews-v1-5d8f-aaaaa"}, Namespace: "shop", Workload: "reviews-v1", Kind: "deployment", Service: "reviews"},
			{PodSpec: topology.PodSpec{Name: "reviews-v2-66cc-aaaaa"}, Namespace: "shop", Workload: "reviews-v2", Kind: "deployment", Service: "reviews"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMesh(t)
			m.join("west", has("reviews", "west", 4, 4, 0))
			m.pods("west", pods...)
			assert.False(t, m.one("reviews").Rollout)
		})
	}
}

// Pods that wait for a node tell that a service was not scaled to zero.
func TestGone(t *testing.T) {
	m := newMesh(t)
	m.join("west", has("reviews", "west", 2, 2, 0))
	m.pods("west", pod("reviews", "5d8f", "-aaaaa", 0), pod("reviews", "5d8f", "-bbbbb", 0))
	assert.Equal(t, -1, m.one("reviews").Desired, "more pods than endpoints may be a scale-up")
	m.tell("west", none("reviews"))
	e := m.one("reviews")
	assert.Equal(t, []int{0, 2}, []int{e.Total, e.Desired})
	m.tell("west", has("reviews", "west", 0, 1, 1))
	assert.Equal(t, -1, m.one("reviews").Desired, "while some are being deleted, those that wait may be too")
	m.tell("west", none("reviews"))
	m.pods("west", pod("reviews", "66cc", "-ccccc", 0))
	assert.Equal(t, -1, m.one("reviews").Desired, "a deployment that replaces all at once")
}

// Pods that were deleted, and no others in their place, tell that it was.
func TestScaledToZero(t *testing.T) {
	m := newMesh(t)
	m.join("west", has("reviews", "west", 2, 2, 0), has("ratings", "west", 2, 2, 0), none("details"))
	m.pods("west", pod("reviews", "5d8f", "-aaaaa", 1), pod("reviews", "5d8f", "-bbbbb", 2))
	assert.Equal(t, -1, m.one("reviews").Desired)
	m.tell("west", has("reviews", "west", 0, 2, 2), none("ratings"))
	e := m.one("reviews")
	assert.Equal(t, []int{0, 0}, []int{e.Total, e.Desired})
	assert.Equal(t, -1, m.one("ratings").Desired, "nobody knows its pods")
	assert.Equal(t, -1, m.one("details").Desired, "it never had any")
	m.pass(time.Minute)
	var ends []topology.PodEnd
	for _, name := range []string{"reviews-5d8f-aaaaa", "reviews-5d8f-bbbbb"} {
		ends = append(ends, topology.PodEnd{Namespace: "shop", Name: name, Earliest: m.now, Latest: m.now})
	}
	m.tell("west", none("reviews"))
	assert.Equal(t, -1, m.one("reviews").Desired, "the pods are still there, as far as anybody knows")
	m.writer.Apply(&topology.Delta{Cluster: "west", At: m.now, GonePods: ends})
	assert.Zero(t, m.one("reviews").Desired)
	m.pods("west", pod("reviews", "5d8f", "-ccccc", 0))
	assert.Equal(t, -1, m.one("reviews").Desired, "they come back: they are not gone")
	m.tell("west", has("reviews", "west", 1, 1, 0))
	m.observe()
	m.tell("west", none("reviews"))
	assert.Equal(t, 1, m.one("reviews").Desired, "now it waits for a node that is gone")
}

func TestSince(t *testing.T) {
	m := newMesh(t)
	m.join("west", has("reviews", "west", 4, 4, 0), none("ratings"))
	assert.Zero(t, m.one("reviews").Since, "always, as far as anybody knows")
	m.pass(time.Minute)
	m.tell("west", has("ratings", "west", 1, 1, 0), has("details", "west", 1, 1, 0))
	assert.Equal(t, m.now, m.one("ratings").Since)
	assert.Equal(t, m.now, m.one("details").Since)
	began := m.now
	m.pass(time.Minute)
	m.tell("west", none("ratings"), none("reviews"))
	assert.Equal(t, began, m.one("ratings").Since)
	m.pass(time.Hour)
	m.tell("west", has("ratings", "west", 1, 1, 0), has("reviews", "west", 1, 1, 0))
	assert.Equal(t, began, m.one("ratings").Since, "who comes back is not new")
	assert.Zero(t, m.one("reviews").Since)
	unknown := has("reviews", "west", 0, 0, 0)
	unknown.Endpoints = nil
	m.tell("west", unknown)
	m.observe()
	m.tell("west", has("reviews", "west", 1, 1, 0))
	assert.Zero(t, m.one("reviews").Since, "nobody told for a while")
}

func TestAClusterThatJoins(t *testing.T) {
	m := newMesh(t)
	m.join("west", has("reviews", "west", 4, 4, 0))
	m.observe()
	m.pass(settle)
	m.join("late", has("late", "late", 4, 4, 0))
	assert.Zero(t, m.one("late").Since, "the inventories come one after the other")
	m.pass(time.Second)
	m.join("new", has("fresh", "new", 4, 4, 0))
	assert.Equal(t, m.now, m.one("fresh").Since)
	m.pass(time.Second)
	m.tell("new", has("more", "new", 4, 4, 0))
	assert.Equal(t, m.now, m.one("more").Since)
}

func TestWhatNobodyConfirmsIsLeftOut(t *testing.T) {
	m := newMesh(t)
	m.writer.Apply(&topology.Delta{
		Cluster: "west", At: m.now, Full: true, More: true, Facts: &topology.ClusterFacts{UID: "west", Region: "west"},
		Services: []topology.ServiceSpec{has("reviews", "west", 4, 4, 0)},
	})
	assert.Empty(t, m.observe(), "half a description")
	m.writer.Apply(&topology.Delta{Cluster: "west", At: m.now, Full: true, Part: 1, Services: []topology.ServiceSpec{has("ratings", "west", 4, 4, 0)}})
	m.pass(time.Second)
	rows := m.observe()
	require.Len(t, rows, 2)
	assert.Zero(t, rows[0].Since)
	m.writer.MarkStale("west", m.now)
	assert.Empty(t, m.observe())
	m.pass(time.Minute)
	m.writer.MarkStale("west", time.Time{})
	m.tell("west")
	assert.Equal(t, rows, m.observe())
	m.writer.Remove("west")
	assert.Empty(t, m.observe())
}

// A region of a cluster in two of them loses all endpoints, and all nodes.
func TestARegionOfACluster(t *testing.T) {
	m := newMesh(t)
	both := topology.ServiceSpec{Namespace: "shop", Name: "reviews", EndingKnown: true, Endpoints: []topology.ZoneEndpoints{
		{Zone: "a-1", Ready: 1, Total: 1}, {Zone: "a-2", Ready: 1, Total: 2}, {Zone: "b-1", Ready: 4, Total: 4},
	}}
	nodes := []topology.NodeSpec{{Name: "n1", Zone: "a-1", Region: "a"}, {Name: "n2", Zone: "a-2", Region: "a"}, {Name: "n3", Zone: "b-1", Region: "b"}}
	m.writer.Apply(&topology.Delta{Cluster: "west", At: m.now, Full: true, Facts: &topology.ClusterFacts{UID: "w"}, Nodes: nodes, Services: []topology.ServiceSpec{both}})
	at := func(region string, total, healthy int) failover.Endpoints {
		e := row("reviews", "west", total, healthy)
		e.Place.Region = region
		return e
	}
	assert.Equal(t, []failover.Endpoints{at("a", 3, 2), at("b", 4, 4)}, m.observe())
	both.Endpoints = both.Endpoints[2:]
	m.writer.Apply(&topology.Delta{Cluster: "west", At: m.now, GoneNodes: []string{"n1", "n2"}, Services: []topology.ServiceSpec{both}})
	assert.Equal(t, []failover.Endpoints{at("a", 0, 0), at("b", 4, 4)}, m.observe())
}

func TestAStateIsTheWatcher(t *testing.T) {
	m := newMesh(t)
	m.join("west", has("reviews", "west", 4, 4, 0))
	m.observe()
	m.pass(time.Minute)
	m.tell("west", has("details", "west", 1, 1, 0))
	before := m.observe()
	state, err := m.watcher.Encode()
	require.NoError(t, err)
	m.watcher = New()
	require.NoError(t, m.watcher.Restore(state, m.now))
	assert.Equal(t, before, m.observe())
	m.join("north", has("ratings", "north", 4, 4, 0))
	m.pass(time.Second)
	assert.Equal(t, m.now, m.one("ratings").Since, "who knows its clusters knows a new one at once")
	m.pass(remembered + time.Second)
	m.observe()
	state, err = m.watcher.Encode()
	require.NoError(t, err)
	assert.NotContains(t, string(state), "details")
}

func TestAStateThatIsNone(t *testing.T) {
	w := New()
	for _, state := range []string{
		"", "{", `{"version":2}`, `{"version":1} x`, `{"version":1,"beginnings":[{"cluster":"west"}]}`,
	} {
		require.ErrorIs(t, w.Restore([]byte(state), start), ErrState, state)
	}
	require.NoError(t, w.Restore([]byte(`{"version":1,"clusters":["west"],"beginnings":[{"cluster":"west","since":"2099-01-01T00:00:00Z"}]}`), start))
	assert.Empty(t, w.clusters["west"].had, "a beginning that is still to come")
}

func FuzzRestore(f *testing.F) {
	f.Add([]byte(`{"version":1,"clusters":["west"],"beginnings":[{"cluster":"west","region":"west","service":{"namespace":"shop","name":"reviews"},"since":"2026-11-23T07:59:00Z"}]}`))
	f.Fuzz(func(t *testing.T, state []byte) {
		m := newMesh(t)
		if m.watcher.Restore(state, start) != nil {
			return
		}
		m.join("west", has("reviews", "west", 4, 4, 0))
		m.observe()
		if _, err := m.watcher.Encode(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestNothingNewCostsNothing(t *testing.T) {
	m := newMesh(t)
	m.join("west", has("reviews", "west", 4, 4, 0))
	m.join("north", has("reviews", "north", 4, 4, 0))
	s := m.writer.Publish()
	first := m.watcher.Observe(s, m.now)
	assert.Zero(t, testing.AllocsPerRun(100, func() { m.watcher.Observe(s, m.now) }))
	assert.Same(t, &first[0], &m.watcher.Observe(s, m.now)[0])
	north := &m.watcher.clusters["north"].rows[0]
	west := &m.watcher.clusters["west"].rows[0]
	m.pods("west", pod("reviews", "5d8f", "-aaaaa", 1))
	m.observe()
	assert.Same(t, north, &m.watcher.clusters["north"].rows[0], "a cluster of which nothing is new is not counted again")
	assert.NotSame(t, west, &m.watcher.clusters["west"].rows[0])
}

// BenchmarkObserve is a cluster with 20,000 services and 100,000 pods: nothing new, and one new pod.
func BenchmarkObserve(b *testing.B) {
	w := topology.NewWriter(topology.WriterSettings{History: time.Hour})
	d := &topology.Delta{
		Cluster: "west", At: start, Full: true, Facts: &topology.ClusterFacts{UID: "u", Region: "west"},
		Nodes: []topology.NodeSpec{{Name: "n1", Zone: "west-1"}},
	}
	for i := range 20_000 {
		d.Services = append(d.Services, has(fmt.Sprint("s", i), "west", 5, 5, 0))
	}
	for i := range 100_000 {
		name := fmt.Sprint("s", i/5)
		d.Pods = append(d.Pods, topology.PodState{
			PodSpec:   topology.PodSpec{Name: fmt.Sprintf("%s-5d8f7c9b8-%05d", name, i), Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})}},
			Namespace: "shop", Workload: name, Kind: "deployment", Service: name,
		})
	}
	w.Apply(d)
	s := w.Publish()
	watcher := New()
	watcher.Observe(s, start)
	b.Run("nothing new", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			watcher.Observe(s, start)
		}
	})
	b.Run("one new pod", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			p := pod("s1", "5d8f7c9b8", fmt.Sprint("-", b.N), 0)
			w.Apply(&topology.Delta{Cluster: "west", Pods: []topology.PodState{p}})
			s = w.Publish()
			b.StartTimer()
			watcher.Observe(s, start)
		}
	})
}
