// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
)

func TestManyTenanciesOfOneAddressAreBounded(t *testing.T) {
	d := newDesk(Limits{})
	d.first("c")
	for i := range 400 {
		name := fmt.Sprintf("p%d", i)
		d.Apply(&Delta{Cluster: "c", At: second(1000 + i), Pods: []PodState{pod(name, "10.0.0.1", byte(i), 1000+i)}})
		d.Apply(&Delta{Cluster: "c", At: second(1000 + i), GonePods: []PodEnd{{Namespace: "ns", Name: name, Latest: second(1001 + i)}}})
	}
	s := d.Publish()
	assert.LessOrEqual(t, len(s.History("n", addr("10.0.0.1"))), maxTenancies+1)
	assert.NotZero(t, d.Counters().HistoryEvicted)
	assert.Equal(t, "p399", s.History("n", addr("10.0.0.1"))[0].Name)
}

func TestViewsDoNotAllocate(t *testing.T) {
	d := newDesk(Limits{})
	two := pod("two", "10.0.0.2", 2, 900)
	two.Addresses = addrs("10.0.0.2", "fd00::2")
	d.first("c", pod("a", "10.0.0.1", 1, 900), two)
	d.Apply(&Delta{
		Cluster: "c", At: second(1010), GonePods: []PodEnd{{Namespace: "ns", Name: "a", Latest: second(1005)}},
		Nodes: []NodeSpec{{Name: "node", Addresses: addrs("10.0.0.250")}},
	})
	s := d.Publish()
	a, v6, at := addr("10.0.0.1"), addr("fd00::2"), second(950)
	var end mesh.End
	allocs := testing.AllocsPerRun(100, func() {
		v := s.At(at)
		p, _ := v.ByAddress("n", a)
		end = p.End()
		p, _ = v.ByAddress("n", v6)
		_ = v.HasAddress(p, v6)
		_ = p.UID()
		_, _ = p.Since()
		_, _, _ = p.Until()
		_, _ = v.ByPod("c", "ns", "a")
		_, _ = v.PodNamed("ns", "a")
		_, _ = v.OwnGateway("n", a)
		_, _ = v.NodeAt("n", a)
		_, _ = v.Workload("c", "ns", "w")
		_, _ = v.ServiceAt("c", a)
		_, _, _ = v.Gateway("n", a, 0)
		c, _ := v.Cluster("c")
		_, _ = c.StaleSince()
		_, _ = v.TrustDomain("td-n")
		_, _ = v.SoleNetwork()
	})
	assert.Zero(t, allocs)
	assert.Equal(t, "c", end.Cluster)
}

func TestReadersWhileWritten(t *testing.T) {
	var store Store
	now := second(1000)
	w := NewWriter(WriterSettings{Store: &store, History: time.Hour, Now: func() time.Time { return now }})
	w.Apply(&Delta{Cluster: "c", At: now, Full: true, Facts: facts("n"), Pods: []PodState{pod("stays", "10.0.0.1", 1, 900)}})
	w.Publish()
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				s := store.Snapshot()
				p, how := s.At(second(950)).ByAddress("n", addr("10.0.0.1"))
				if how != Found || p.End().Workload != "w" {
					t.Error("a pod that every snapshot has was missing")
					return
				}
				for q := range s.Pods("c") {
					_, _, _ = q.End(), q.State(), q.Ended()
				}
				c, _ := s.Cluster("c")
				_, _ = c.StaleSince()
				_ = c.Facts().Region
			}
		})
	}
	for i := range 2000 {
		name := fmt.Sprintf("p%d", i%50)
		p := pod(name, fmt.Sprintf("10.0.2.%d", i%70), byte(i), 1000+i)
		p.Node = "node"
		w.Apply(&Delta{Cluster: "c", At: second(1000 + i), Pods: []PodState{p}, Nodes: []NodeSpec{{Name: "node", Zone: strconv.Itoa(i / 100 % 2)}}})
		w.MarkStale("c", second(i))
		if i%7 == 0 {
			w.Publish()
		}
		if i%500 == 0 {
			f := facts("n")
			f.Region = fmt.Sprint("r", i)
			w.Apply(&Delta{Cluster: "c", Facts: f})
		}
	}
	close(stop)
	wg.Wait()
}

// An entry that is in the table under one of its keys must not come twice when the table grows for the next one: what is
// removed later would stay.
func TestTableGrowsBetweenTwoKeys(t *testing.T) {
	type entry struct{ keys []uint64 }
	tb := table[entry]{hashes: func(e *entry, yield func(uint64)) {
		for _, k := range e.keys {
			yield(k)
		}
	}}
	for i := range uint64(meanSlots - 1) {
		tb.add(i, &entry{[]uint64{i}}, true)
	}
	both := &entry{[]uint64{1 << 60, 2 << 60}}
	tb.add(both.keys[0], both, true)
	tb.add(both.keys[1], both, true)
	require.Len(t, tb.dir, 2, "it grew for the second key")
	for _, k := range both.keys {
		assert.True(t, tb.remove(k, both))
	}
	assert.NotContains(t, slices.Collect(tb.all()), both)
}

func TestTableGrowsWithTwoKeysInOneBucket(t *testing.T) {
	type entry struct{ keys []uint64 }
	tb := table[entry]{hashes: func(e *entry, yield func(uint64)) {
		for _, k := range e.keys {
			yield(k)
		}
	}}
	var all []*entry
	for i := range uint64(500) {
		e := &entry{[]uint64{i * 0x9E3779B97F4A7C15, i*0x9E3779B97F4A7C15 ^ 1<<60}}
		all = append(all, e)
		for _, k := range e.keys {
			tb.add(k, e, i%2 == 0)
		}
	}
	for i, e := range all {
		for _, k := range e.keys {
			assert.True(t, slices.Contains(slices.Collect(tb.candidates(k)), e))
		}
		if i%3 == 0 {
			for _, k := range e.keys {
				assert.True(t, tb.remove(k, e))
			}
			assert.False(t, tb.remove(e.keys[0], e))
		}
	}
	for i, e := range all {
		for _, k := range e.keys {
			assert.Equal(t, i%3 != 0, slices.Contains(slices.Collect(tb.candidates(k)), e))
		}
	}
	assert.Equal(t, 2*(500-167), tb.n)
}
