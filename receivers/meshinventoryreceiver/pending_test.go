// SPDX-License-Identifier: Apache-2.0

package meshinventoryreceiver

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// tenancy is who had an address when, to the second.
type tenancy struct {
	name, address string
	uid           topology.UID
	since, latest int64
	ended         bool
}

func tenancies(s *topology.Snapshot) []tenancy {
	var list []tenancy
	for p := range s.Pods("east") {
		since, _ := p.Since()
		_, latest, _ := p.Until()
		t := tenancy{name: p.Name, uid: p.UID(), address: fmt.Sprint(p.Addresses()), since: since.Unix(), ended: p.Ended()}
		if p.Ended() {
			t.latest = latest.Unix()
		}
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b tenancy) int {
		return cmp.Or(cmp.Compare(a.since, b.since), cmp.Compare(a.name, b.name), slices.Compare(a.uid[:], b.uid[:]), cmp.Compare(a.latest, b.latest))
	})
	return list
}

// TestMergedChangesTellTheSameStory lets pods come, move and go at random, and compares what one learns from each change
// with what one learns from the changes merged.
func TestMergedChangesTellTheSameStory(t *testing.T) {
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 0))
		now := time.Unix(1_700_000_000, 0)
		clock := func() time.Time { return now }
		settings := topology.WriterSettings{History: 24 * time.Hour, Now: clock}
		each, merged := topology.NewWriter(settings), topology.NewWriter(settings)
		begin := full(3, now)
		each.Apply(&begin)
		merged.Apply(&begin)
		c := &cluster{name: "east", writer: each, synced: true, confirmed: now}
		running := map[string]topology.PodState{}
		uids := 1000
		deltas := 0
		for range 60 {
			now = now.Add(time.Second)
			c.apply(randomDelta(random, running, &uids, now))
			if random.IntN(10) == 0 {
				deltas += flush(c, merged)
			}
		}
		deltas += flush(c, merged)
		require.Less(t, deltas, 60)
		require.Equal(t, tenancies(each.Publish()), tenancies(merged.Publish()), "seed %d", seed)
		require.Zero(t, merged.Counters().UnknownEnds, "seed %d", seed)
	}
}

func flush(c *cluster, w *topology.Writer) int {
	waits, _ := c.take("")
	for _, d := range waits.deltas {
		w.Apply(d)
	}
	return len(waits.deltas)
}

// randomDelta lets some of five pods come or go.
func randomDelta(random *rand.Rand, running map[string]topology.PodState, uids *int, now time.Time) *topology.Delta {
	d := &topology.Delta{Cluster: "east", At: now}
	for i := range 5 {
		name := fmt.Sprintf("pod-%d", i)
		state, runs := running[name]
		switch action := random.IntN(6); {
		case action == 0 && runs:
			d.GonePods = append(d.GonePods, topology.PodEnd{Namespace: "shop", Name: name, UID: state.UID, Earliest: now, Latest: now})
			delete(running, name)
		case action == 1 && !runs:
			*uids++
			state = pod(*uids, now)
			state.Name, state.Namespace, state.Seen = name, "shop", now
			state.Addresses = []netip.Addr{address(200 + random.IntN(50)*10 + i)}
			d.Pods = append(d.Pods, state)
			running[name] = state
		case action == 2 && runs:
			state.Version = fmt.Sprint("v", random.IntN(3))
			d.Pods = append(d.Pods, state)
			running[name] = state
		}
	}
	return d
}

func TestObjectsThatGoAndComeBack(t *testing.T) {
	var p pending
	node := func(name, zone string) topology.NodeSpec { return topology.NodeSpec{Name: name, Zone: zone} }
	require.True(t, p.add(&topology.Delta{Nodes: []topology.NodeSpec{node("a", "1"), node("b", "1"), node("c", "1")}}))
	require.True(t, p.add(&topology.Delta{GoneNodes: []string{"a"}}))
	require.True(t, p.add(&topology.Delta{Nodes: []topology.NodeSpec{node("c", "2")}}))
	require.True(t, p.add(&topology.Delta{GoneNodes: []string{"b"}, Nodes: []topology.NodeSpec{node("a", "3")}}))
	require.True(t, p.add(&topology.Delta{Gateways: []topology.GatewaySpec{}}))
	require.True(t, p.add(&topology.Delta{At: time.Now()}), "a confirmation waits for nobody")
	deltas := p.take()
	require.Len(t, deltas, 1)
	require.Equal(t, []topology.NodeSpec{node("c", "2"), node("a", "3")}, deltas[0].Nodes)
	require.Equal(t, []string{"a", "b"}, deltas[0].GoneNodes)
	require.NotNil(t, deltas[0].Gateways)
	require.Empty(t, p.take())
}

func TestTooManyStages(t *testing.T) {
	var p pending
	for i := range maxPendingStages {
		state := pod(1, time.Unix(int64(i), 0))
		state.UID = uid(i)
		require.True(t, p.add(&topology.Delta{Pods: []topology.PodState{state}}))
	}
	require.False(t, p.add(&topology.Delta{Pods: []topology.PodState{pod(1, time.Unix(1, 0))}}))
	require.Zero(t, p.objects)
	require.Empty(t, p.take())
}
