// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	benchClusters = 10
	benchPods     = 10_000
)

// fleetPod is pod i of a cluster; generation tells its successors apart.
func fleetPod(i, generation int) PodState {
	w := i / 10
	return PodState{
		PodSpec: PodSpec{
			Name: fmt.Sprintf("checkout-service-%d-7d9f8c6b5d-%05d", w, (i*31+generation)%99999), Node: fmt.Sprintf("aks-pool-%d", i%200),
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 244, byte(i >> 8), byte(i)})},
		},
		UID: UID{byte(i), byte(i >> 8), byte(i >> 16), byte(generation), byte(generation >> 8), 1}, Namespace: fmt.Sprintf("team-%d", w%50),
		Workload: fmt.Sprintf("checkout-service-%d", w), Kind: "deployment", Service: fmt.Sprintf("checkout-service-%d", w), Version: "v1",
		ServiceAccount: fmt.Sprintf("checkout-service-%d", w), Since: time.Unix(1_000_000, 0), Seen: time.Unix(1_000_001, 0),
	}
}

func fleetDelta(cluster, pods int) *Delta {
	d := &Delta{
		Cluster: fmt.Sprintf("cluster-%d", cluster), At: time.Unix(1_000_100, 0), Full: true,
		Facts: &ClusterFacts{Region: "westeurope", Network: fmt.Sprintf("network-%d", cluster), TrustDomain: "cluster.local"},
		Nodes: make([]NodeSpec, 0, 200),
	}
	for i := range 200 {
		d.Nodes = append(d.Nodes, NodeSpec{
			Name: fmt.Sprintf("aks-pool-%d", i), Zone: fmt.Sprintf("westeurope-%d", 1+i%3),
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})},
		})
	}
	for i := range pods {
		d.Pods = append(d.Pods, fleetPod(i, 0))
	}
	return d
}

func fleet(tb testing.TB, store *Store) *Writer {
	tb.Helper()
	w := NewWriter(WriterSettings{Store: store, History: time.Minute, Limits: Limits{MaxHistory: 50_000}})
	for c := range benchClusters {
		w.Apply(fleetDelta(c, benchPods))
	}
	w.Publish()
	return w
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkMemory holds 100 000 pods in 10 clusters.
func BenchmarkMemory(b *testing.B) {
	var perPod float64
	for b.Loop() {
		before := heap()
		w := fleet(b, nil)
		after := heap()
		perPod = float64(after-before) / (benchClusters * benchPods)
		runtime.KeepAlive(w)
	}
	b.ReportMetric(perPod, "B/pod")
}

// BenchmarkApplyFull loads 50 000 pods of one cluster; peak is what the heap grows to above the delta.
func BenchmarkApplyFull(b *testing.B) {
	d := fleetDelta(0, 50_000)
	b.ReportAllocs()
	var peak uint64
	for b.Loop() {
		before := heap()
		w := NewWriter(WriterSettings{})
		w.Apply(d)
		w.Publish()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		peak = max(peak, m.HeapAlloc-before)
		runtime.KeepAlive(w)
	}
	b.ReportMetric(float64(peak)/1e6, "peak-MB")
}

// BenchmarkApplyFullAgain is a full delta that says nothing new.
func BenchmarkApplyFullAgain(b *testing.B) {
	w := fleet(b, nil)
	d := fleetDelta(3, benchPods)
	b.ReportAllocs()
	for b.Loop() {
		w.Apply(d)
		w.Publish()
	}
}

func benchmarkLookup(b *testing.B, at time.Time) {
	w := fleet(b, nil)
	s := w.Publish()
	names := make([]string, benchClusters)
	for c := range names {
		names[c] = fmt.Sprintf("network-%d", c)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		n := i * 7919 % benchPods
		p, how := s.At(at).ByAddress(names[i%benchClusters], netip.AddrFrom4([4]byte{10, 244, byte(n >> 8), byte(n)}))
		if how != Found || p.End().Cluster == "" {
			b.Fatal(how)
		}
		i++
	}
}

func BenchmarkByAddressNow(b *testing.B) { benchmarkLookup(b, time.Time{}) }

func BenchmarkByAddressAt(b *testing.B) { benchmarkLookup(b, time.Unix(1_000_050, 0)) }

// churn replaces pods one by one, each with the address of the one that goes: two events a call.
type churn struct {
	w          *Writer
	generation [benchClusters][benchPods]int
	i          int
}

func (c *churn) event() {
	cluster, n := c.i%benchClusters, c.i*7919%benchPods
	c.i++
	old := fleetPod(n, c.generation[cluster][n])
	c.generation[cluster][n]++
	fresh := fleetPod(n, c.generation[cluster][n])
	now := time.Now()
	fresh.Since, fresh.Seen = now, now
	c.w.Apply(&Delta{
		Cluster: fmt.Sprintf("cluster-%d", cluster), At: now, Pods: []PodState{fresh},
		GonePods: []PodEnd{{Namespace: old.Namespace, Name: old.Name, UID: old.UID, Latest: now}},
	})
}

// BenchmarkUpdates counts the pod events a second that one writer takes, publishing ten times a second, while readers
// look up at full speed.
func BenchmarkUpdates(b *testing.B) {
	for _, readers := range []int{0, 4} {
		b.Run(fmt.Sprintf("readers=%d", readers), func(b *testing.B) {
			var store Store
			c := &churn{w: fleet(b, &store)}
			stop, lookups := readAll(&store, readers)
			b.ReportAllocs()
			last, start := time.Now(), time.Now()
			events := 0
			for b.Loop() {
				c.event()
				events += 2
				if time.Since(last) > 100*time.Millisecond {
					last = time.Now()
					c.w.Publish()
				}
			}
			seconds := time.Since(start).Seconds()
			b.ReportMetric(float64(events)/seconds, "events/s")
			b.ReportMetric(float64(stop())/seconds, "lookups/s")
			_ = lookups
		})
	}
}

// readAll starts readers; the first result ends them and returns how often they looked up.
func readAll(store *Store, readers int) (stop func() uint64, total *atomic.Uint64) {
	total = &atomic.Uint64{}
	done := make(chan struct{})
	var wg sync.WaitGroup
	for r := range readers {
		wg.Go(func() {
			var n uint64
			defer func() { total.Add(n) }()
			for {
				select {
				case <-done:
					return
				default:
				}
				s := store.Snapshot()
				for i := range 256 {
					k := (i*7919 + r) % benchPods
					_, _ = s.ByAddress("network-3", netip.AddrFrom4([4]byte{10, 244, byte(k >> 8), byte(k)}))
					n++
				}
			}
		})
	}
	return func() uint64 { close(done); wg.Wait(); return total.Load() }, total
}

// latencies counts durations by the nanosecond. Keeping each of them would fault in pages and push what is measured out of
// the caches.
type latencies struct {
	counts [8192]uint32
	n      int
	most   time.Duration
}

func (l *latencies) add(d time.Duration) {
	l.counts[min(int(d), len(l.counts)-1)]++
	l.n++
	l.most = max(l.most, d)
}

func (l *latencies) report(b *testing.B, prefix string) {
	for _, quantile := range []struct {
		name  string
		share float64
	}{{"p50-ns", 0.5}, {"p99-ns", 0.99}, {"p99.99-ns", 0.9999}} {
		below := 0
		for d, count := range l.counts {
			if below += int(count); float64(below) >= quantile.share*float64(l.n) {
				b.ReportMetric(float64(d), prefix+quantile.name)
				break
			}
		}
	}
	b.ReportMetric(float64(l.most), prefix+"max-ns")
}

// BenchmarkLatency measures single look-ups while 1000 pod events a second come in, published every 100 ms. The control is
// arithmetic that takes as long and touches nothing that anybody shares: what it shows is the machine's and the
// scheduler's.
func BenchmarkLatency(b *testing.B) {
	b.Run("lookup", func(b *testing.B) {
		benchmarkLatency(b, func(store *Store, a netip.Addr) { _, _ = store.Snapshot().ByAddress("network-3", a) })
	})
	work := uint64(1)
	b.Run("control", func(b *testing.B) {
		benchmarkLatency(b, func(*Store, netip.Addr) {
			for range 60 {
				work = work*6364136223846793005 + 1442695040888963407
			}
		})
	})
	runtime.KeepAlive(work)
}

func benchmarkLatency(b *testing.B, look func(*Store, netip.Addr)) {
	var store Store
	c := &churn{w: fleet(b, &store)}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var publishing time.Duration
	wg.Go(func() {
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
			}
			for range 50 {
				c.event()
			}
			start := time.Now()
			c.w.Publish()
			publishing = max(publishing, time.Since(start))
		}
	})
	// A measurement of nothing in the same loop tells what of the times is the clock's and the machine's.
	var took, idle latencies
	i := 0
	for b.Loop() {
		n := i * 7919 % benchPods
		a := netip.AddrFrom4([4]byte{10, 244, byte(n >> 8), byte(n)})
		start := time.Now()
		look(&store, a)
		took.add(time.Since(start))
		start = time.Now()
		idle.add(time.Since(start))
		i++
	}
	close(stop)
	wg.Wait()
	idle.report(b, "clock-")
	took.report(b, "")
	b.ReportMetric(float64(publishing)/1e3, "publish-max-µs")
}
