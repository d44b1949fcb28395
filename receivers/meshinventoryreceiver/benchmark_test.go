// SPDX-License-Identifier: Apache-2.0

package meshinventoryreceiver

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// large is a cluster of 50 000 pods in 2 500 workloads.
func large() *topology.Delta {
	d := full(50_000, time.Now())
	for i := range d.Pods {
		p := &d.Pods[i]
		p.Namespace = fmt.Sprintf("team-%d", i%100)
		p.Workload = fmt.Sprintf("service-%d", i%2500)
		p.Service, p.ServiceAccount = p.Workload, p.Workload
		p.Name = fmt.Sprintf("%s-6f5d8c7b9-%05d", p.Workload, i)
	}
	return &d
}

// BenchmarkSnapshot publishes a cluster of 50 000 pods once: the time of one core, the bytes on the wire and in memory.
func BenchmarkSnapshot(b *testing.B) {
	d := large()
	n := len(d.Pods)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	c := newCluster(&Config{Cluster: "east", MaxPods: 150_000}, nil)
	c.apply(d)
	w, _ := c.take("")
	runtime.GC()
	runtime.ReadMemStats(&after)
	heap := float64(after.HeapAlloc-before.HeapAlloc) / float64(n)
	bytes := 0
	for b.Loop() {
		bytes = 0
		for m := range inventory.NewEncoder("east", "uid", 1).Snapshot(w.snapshot, time.Now()) {
			bytes += len(m.Body)
		}
	}
	b.ReportMetric(heap, "heap-B/pod")
	b.ReportMetric(float64(bytes)/float64(n), "wire-B/pod")
	runtime.KeepAlive(d)
	runtime.KeepAlive(c)
}

// BenchmarkApply takes a change of one pod in a cluster of 50 000, and merges it with what waits.
func BenchmarkApply(b *testing.B) {
	d := large()
	c := newCluster(&Config{Cluster: "east", MaxPods: 150_000}, nil)
	c.apply(d)
	c.take("")
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		p := d.Pods[i%1000]
		p.Version = fmt.Sprint("v", i%2)
		c.apply(&topology.Delta{Cluster: "east", At: time.Now(), Pods: []topology.PodState{p}})
		i++
	}
}
