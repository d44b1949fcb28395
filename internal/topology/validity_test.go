// SPDX-License-Identifier: Apache-2.0

package topology_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// tenancies are a cluster in which addresses and a name changed hands, each in another way: with a pause, overlapping,
// with a gap, and by a pod that had been there unseen.
func tenancies() *topology.Snapshot {
	at := func(second int) time.Time { return time.Date(2026, time.January, 1, 10, 0, second, 0, time.UTC) }
	pod := func(name, address string, since, seen time.Time) topology.PodState {
		return topology.PodState{
			PodSpec:   topology.PodSpec{Name: name, Addresses: []netip.Addr{netip.MustParseAddr(address)}},
			Namespace: "n", Workload: name, Since: since, Seen: seen,
		}
	}
	end := func(name string, earliest, latest int, gap bool) topology.PodEnd {
		return topology.PodEnd{Namespace: "n", Name: name, Earliest: at(earliest), Latest: at(latest), Gap: gap}
	}
	unseen := pod("unseen", "10.0.0.5", at(4), at(44))
	unseen.Unseen = true
	w := topology.NewWriter(topology.WriterSettings{History: 24 * time.Hour, Now: func() time.Time { return at(59) }})
	w.Apply(&topology.Delta{Cluster: "c", At: at(0), Full: true, Facts: &topology.ClusterFacts{Network: "net"}, Pods: []topology.PodState{
		pod("paused", "10.0.0.1", at(2), at(4)), pod("overlap", "10.0.0.2", at(2), at(4)), pod("gap", "10.0.0.3", at(2), at(4)),
		pod("set-0", "10.0.0.4", at(2), at(4)), unseen,
	}})
	w.Apply(&topology.Delta{Cluster: "c", At: at(20), GonePods: []topology.PodEnd{
		end("paused", 10, 12, false), end("overlap", 10, 18, false), end("gap", 10, 18, true), end("set-0", 10, 12, false),
	}})
	w.Apply(&topology.Delta{Cluster: "c", At: at(50), Pods: []topology.PodState{
		pod("next", "10.0.0.1", at(14), at(16)), pod("early", "10.0.0.2", at(12), at(16)), pod("set-0", "10.0.0.6", at(14), at(16)),
	}})
	return w.Publish()
}

// TestAnAnswerHoldsAsLongAsItIsNoted asks everything at every moment at which something changes, and just beside it.
func TestAnAnswerHoldsAsLongAsItIsNoted(t *testing.T) {
	snapshot := tenancies()
	times := []time.Time{{}}
	for second := range 60 {
		for nanosecond := -1; nanosecond <= 1; nanosecond++ {
			times = append(times, time.Date(2026, time.January, 1, 10, 0, second, nanosecond, time.UTC))
		}
	}
	type answer struct {
		pod *topology.Pod
		how topology.Lookup
	}
	byAddress := func(address string) func(topology.View) answer {
		return func(v topology.View) answer {
			p, how := v.ByAddress("net", netip.MustParseAddr(address))
			return answer{p, how}
		}
	}
	questions := map[string]func(topology.View) answer{
		"by name": func(v topology.View) (a answer) { a.pod, _ = v.ByPod("c", "n", "set-0"); return a },
		"by name in any cluster": func(v topology.View) (a answer) {
			a.pod, _ = v.PodNamed("n", "set-0")
			return a
		},
		"nobody's": byAddress("10.9.9.9"),
	}
	for _, address := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"} {
		questions[address] = byAddress(address)
	}
	for name, ask := range questions {
		longest, answers := 0, map[answer]bool{}
		for _, at := range times {
			var noted topology.Validity
			said, holds := ask(snapshot.At(at).Noting(&noted)), 0
			assert.Equal(t, ask(snapshot.At(at)), said, "noting changes no answer")
			answers[said] = true
			for _, other := range times {
				if noted.Holds(snapshot.At(other)) {
					holds++
					assert.Equal(t, said, ask(snapshot.At(other)), "%s: noted at %v, asked at %v", name, at, other)
				}
			}
			assert.Positive(t, holds, "an answer holds at its own time")
			longest = max(longest, holds)
		}
		assert.Greater(t, longest, 3, "%s: no answer holds for longer than its own moment, so that none is worth keeping", name)
		if name != "nobody's" {
			assert.Greater(t, len(answers), 1, "%s: the answer never changes, so that nothing is tested", name)
		}
	}
}
