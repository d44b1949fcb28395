// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The truth is a list of who surely held which address from when to when. The store is told of it with blurred times,
// and is then asked at moments at which somebody held an address: it may not know, but it must never name another.

const (
	modelClusters  = 3
	modelAddresses = 12
	modelNames     = 20
)

// life is one true tenancy. hidden ones the store is never told of, as they came and went while nobody watched.
type life struct {
	cluster        int
	name           string
	uid            UID
	address        netip.Addr
	from, to       int64
	since, seen    int64
	earliest       int64
	latest         int64
	told, ending   bool
	hidden, gapped bool
}

type model struct {
	t        testing.TB
	script   func(n int) int
	clock    int64
	w        *Writer
	lives    []*life
	alive    [modelClusters]map[string]*life
	holders  map[string]*life
	uids     int
	deltas   [modelClusters]*Delta
	watching [modelClusters]bool
	// confirmed is up to when the store was told of a cluster.
	confirmed [modelClusters]int64
	old       []kept
}

// kept is a published snapshot with what it answered then.
type kept struct {
	s       *Snapshot
	answers []answer
}

type answer struct {
	network string
	address netip.Addr
	at      time.Time
	pod     *Pod
	how     Lookup
	uid     UID
}

const modelHistory = 2000 * time.Second

func newModel(t testing.TB, script func(n int) int) *model {
	m := &model{t: t, script: script, clock: 1_000_000 * int64(time.Second), holders: map[string]*life{}}
	m.w = NewWriter(WriterSettings{History: modelHistory, Now: func() time.Time { return moment(m.clock) }, Report: func(f Finding) {
		if f.Kind != KindAddressConflict {
			t.Errorf("a finding without a cause: %+v", f)
		}
	}})
	for i := range m.alive {
		m.alive[i], m.watching[i] = map[string]*life{}, true
		m.deltas[i] = m.delta(i)
		m.deltas[i].Facts = &ClusterFacts{Network: m.network(i), Region: "r"}
		m.deltas[i].Full = true
	}
	return m
}

// network: two clusters share one, and use the same addresses at different times.
func (m *model) network(cluster int) string { return []string{"shared", "shared", "other"}[cluster] }

func (m *model) delta(cluster int) *Delta { return &Delta{Cluster: fmt.Sprintf("c%d", cluster)} }

func (m *model) holderKey(l *life) string { return m.network(l.cluster) + l.address.String() }

func (m *model) pass() { m.clock += int64(1+m.script(3000)) * int64(time.Millisecond) }

func (m *model) step() {
	m.pass()
	cluster := m.script(modelClusters)
	switch op := m.script(20); {
	case op < 7:
		m.start(cluster)
	case op < 12:
		m.stop(cluster)
	case op < 13:
		m.relabel(cluster)
	case op < 17:
		m.tell(cluster)
	case op < 18:
		m.blind(cluster)
	default:
		m.publish()
	}
}

func (m *model) start(cluster int) {
	name := fmt.Sprintf("p%d", m.script(modelNames))
	address := netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + m.script(modelAddresses))})
	l := &life{cluster: cluster, name: name, address: address, from: m.clock, hidden: !m.watching[cluster]}
	if m.alive[cluster][name] != nil || m.holders[m.holderKey(l)] != nil {
		return
	}
	m.uids++
	l.uid = UID{1, byte(m.uids >> 16), byte(m.uids >> 8), byte(m.uids)}
	second := int64(time.Second)
	l.since = l.from / second * second
	m.pass()
	l.seen = min(m.clock, l.since+second)
	m.alive[cluster][name], m.holders[m.holderKey(l)] = l, l
	m.lives = append(m.lives, l)
	if !l.hidden {
		m.told(l)
	}
}

// told puts the pod into the cluster's next delta.
func (m *model) told(l *life) {
	l.told, l.hidden = true, false
	d := m.deltas[l.cluster]
	d.Pods = slices.DeleteFunc(d.Pods, func(p PodState) bool { return p.UID == l.uid })
	d.Pods = append(d.Pods, m.state(l))
}

func (m *model) state(l *life) PodState {
	return PodState{
		PodSpec: PodSpec{Name: l.name, Addresses: []netip.Addr{l.address}, Node: "n1"}, UID: l.uid, Namespace: "ns",
		Workload: "w" + l.name, Version: fmt.Sprint("v", m.script(2)), Since: moment(l.since), Seen: moment(l.seen),
	}
}

func (m *model) some(cluster int) *life {
	var names []string
	for name := range m.alive[cluster] {
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return m.alive[cluster][names[m.script(len(names))]]
}

func (m *model) stop(cluster int) {
	l := m.some(cluster)
	if l == nil {
		return
	}
	if m.watching[cluster] && !m.knows(l) && m.script(2) == 0 {
		// A source may tell the beginning and the end of a pod in one delta or in two.
		m.tell(cluster)
	}
	early := m.clock
	m.pass()
	l.to = m.clock
	m.pass()
	delete(m.alive[cluster], l.name)
	delete(m.holders, m.holderKey(l))
	l.ending = true
	if m.watching[cluster] {
		d := m.deltas[cluster]
		if m.knows(l) {
			d.Pods = slices.DeleteFunc(d.Pods, func(p PodState) bool { return p.UID == l.uid })
		}
		d.GonePods = append(d.GonePods, PodEnd{
			Namespace: "ns", Name: l.name, UID: l.uid, Earliest: moment(max(early, l.seen)), Latest: moment(m.clock),
		})
		l.earliest, l.latest = max(early, l.seen), m.clock
		if l.earliest > l.to {
			l.earliest = l.to
			d.GonePods[len(d.GonePods)-1].Earliest = moment(l.to)
		}
	} else {
		l.gapped = true
	}
}

// knows says whether the pod reached the store.
func (m *model) knows(l *life) bool {
	c := m.w.clusters[m.deltas[l.cluster].Cluster]
	if c == nil {
		return false
	}
	p := c.alivePod(m.w, "ns", l.name)
	return p != nil && p.uid == l.uid
}

func (m *model) relabel(cluster int) {
	if l := m.some(cluster); l != nil && m.watching[cluster] {
		m.told(l)
	}
}

// tell applies the cluster's delta: of a cluster that nobody watched for a while, a full one.
func (m *model) tell(cluster int) {
	d := m.deltas[cluster]
	if !m.watching[cluster] {
		*d = *m.delta(cluster)
		d.Full = true
		for _, l := range m.alive[cluster] {
			m.told(l)
		}
		m.watching[cluster] = true
	} else if m.script(6) == 0 {
		// A full delta while all is watched.
		d.Full = true
		d.Pods = slices.DeleteFunc(d.Pods, func(p PodState) bool {
			return !slices.ContainsFunc(d.GonePods, func(e PodEnd) bool { return e.UID == p.UID })
		})
		for _, l := range m.alive[cluster] {
			m.told(l)
		}
	}
	d.Nodes = []NodeSpec{{Name: "n1", Zone: "z"}}
	d.At = moment(m.clock)
	m.apply(d)
	m.confirmed[cluster] = m.clock
	m.deltas[cluster] = m.delta(cluster)
}

// blind loses the watch of the cluster, with what was not told yet.
func (m *model) blind(cluster int) {
	if m.script(3) != 0 {
		return
	}
	m.tell(cluster)
	m.watching[cluster] = false
}

func (m *model) publish() {
	s := m.w.Publish()
	if m.script(4) != 0 {
		return
	}
	k := kept{s: s}
	for range 20 {
		a := answer{network: m.network(m.script(modelClusters)), at: moment(m.clock - int64(m.script(3000))*int64(time.Second))}
		a.address = netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + m.script(modelAddresses))})
		if a.pod, a.how = s.At(a.at).ByAddress(a.network, a.address); a.pod != nil {
			a.uid = a.pod.UID()
		}
		k.answers = append(k.answers, a)
	}
	m.old = append(m.old, k)
}

// finish tells all there is and asks.
func (m *model) finish() (right, silent int) {
	for i := range modelClusters {
		m.pass()
		m.tell(i)
	}
	s := m.w.Publish()
	for _, l := range m.lives {
		r, q := m.ask(s, l)
		right, silent = right+r, silent+q
	}
	m.consistent(s)
	for _, k := range m.old {
		for _, a := range k.answers {
			pod, how := k.s.At(a.at).ByAddress(a.network, a.address)
			require.Same(m.t, a.pod, pod, "an old snapshot answers otherwise than it did")
			require.Equal(m.t, a.how, how)
			if pod != nil {
				require.Equal(m.t, a.uid, pod.UID())
			}
		}
	}
	return right, silent
}

// ask asks the store at moments at which the pod surely held its address.
func (m *model) ask(s *Snapshot, l *life) (right, silent int) {
	to := l.to
	if to == 0 {
		to = m.clock
	}
	for i := range 5 {
		at := l.from + (to-1-l.from)*int64(i)/4
		pod, how := s.At(moment(at)).ByAddress(m.network(l.cluster), l.address)
		if how == Found && l.uid != pod.UID() {
			// One that nobody saw may have held the address in the blur of another's beginning or end. Nothing can tell.
			require.False(m.t, l.told || pod.certain(at), "at %s: named %s of %s for %s of c%d",
				moment(at), pod.Name, pod.Workload.Cluster.Name, l.name, l.cluster)
			silent++
			continue
		}
		if how == Found {
			right++
			continue
		}
		silent++
		sure := l.told && at >= l.seen && (l.to == 0 || (!l.gapped && at < l.earliest)) && at > m.clock-int64(modelHistory)
		require.False(m.t, sure, "at %s: %s for %s of c%d, which surely held %s", moment(at), how, l.name, l.cluster, l.address)
	}
	if l.to == 0 {
		pod, how := s.At(time.Time{}).ByAddress(m.network(l.cluster), l.address)
		require.Equal(m.t, Found, how)
		require.Equal(m.t, l.uid, pod.UID())
		pod, ok := s.ByPod(fmt.Sprintf("c%d", l.cluster), "ns", l.name)
		require.True(m.t, ok)
		require.Equal(m.t, l.uid, pod.UID())
		require.Equal(m.t, "z", pod.Zone)
	}
	return right, silent
}

// consistent checks that the counts are those of what is there.
func (m *model) consistent(s *Snapshot) {
	var alive, ended, workloads int
	for c := range s.Clusters() {
		seen := map[string]bool{}
		for p := range s.Pods(c.Name) {
			if p.Ended() {
				ended++
				continue
			}
			alive++
			seen[p.Workload.Name] = true
			w, ok := s.Workload(c.Name, "ns", p.Workload.Name)
			require.True(m.t, ok)
			require.Equal(m.t, p.End(), w.End(), "a workload of one pod is what the pod is")
		}
		workloads += len(seen)
	}
	truth := 0
	for i := range m.alive {
		truth += len(m.alive[i])
	}
	require.Equal(m.t, truth, alive)
	stats := s.Stats()
	require.Equal(m.t, [3]int{alive, ended, workloads}, [3]int{stats.Pods, stats.Ended, stats.Workloads})
}

func TestModel(t *testing.T) {
	var right, silent int
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 7))
		m := newModel(t, rng.IntN)
		for range 600 {
			m.step()
		}
		r, q := m.finish()
		right, silent = right+r, silent+q
	}
	t.Logf("%d named, %d not", right, silent)
	require.Greater(t, right, 10*silent, "a store that knows nothing would pass otherwise")
}

func FuzzWriter(f *testing.F) {
	f.Add([]byte("a pod comes and another goes, while somebody looks away and publishes what he has not seen"))
	f.Fuzz(func(t *testing.T, script []byte) {
		at := 0
		m := newModel(t, func(n int) int {
			if len(script) == 0 {
				return 0
			}
			at++
			return (int(script[at%len(script)])*131 + at/len(script)) % n
		})
		for range min(len(script), 400) {
			m.step()
		}
		m.finish()
	})
}
