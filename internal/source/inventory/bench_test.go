// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"testing"
	"time"
)

const benchPods = 10_000

// perPod reports a benchmark's time a pod.
func perPod(b *testing.B, bytes int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchPods, "ns/pod")
	if bytes > 0 {
		b.ReportMetric(float64(bytes)/benchPods, "wireB/pod")
	}
}

func BenchmarkEncodeSnapshot(b *testing.B) {
	w := newTopology()
	w.Apply(realistic(benchPods))
	s := w.Publish()
	e := NewEncoder("aks-westeurope", "u", 1)
	b.ReportAllocs()
	bytes := 0
	for b.Loop() {
		bytes = 0
		for m := range e.Snapshot(s, noon) {
			bytes += len(m.Body)
		}
	}
	perPod(b, bytes)
}

func BenchmarkEncodeDelta(b *testing.B) {
	d := realistic(benchPods)
	d.Full = false
	e := NewEncoder("aks-westeurope", "u", 1)
	b.ReportAllocs()
	for b.Loop() {
		for range e.Delta(d) {
		}
	}
	perPod(b, 0)
}

func BenchmarkDecode(b *testing.B) {
	var messages []Message
	for m := range NewEncoder("aks-westeurope", "u", 1).Delta(realistic(benchPods)) {
		messages = append(messages, m)
	}
	b.ReportAllocs()
	for b.Loop() {
		for i := range messages {
			if _, _, err := Decode(&messages[i]); err != nil {
				b.Fatal(err)
			}
		}
	}
	perPod(b, 0)
}

func BenchmarkAcceptHeartbeat(b *testing.B) {
	a, e, now := NewAssembler(AssemblerSettings{}), NewEncoder("west", "u", 1), noon
	for m := range e.Delta(realistic(1)) {
		_, _ = a.Accept(&m, now)
	}
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Second)
		m := e.Heartbeat(now)
		if _, err := a.Accept(&m, now); err != nil {
			b.Fatal(err)
		}
	}
}
