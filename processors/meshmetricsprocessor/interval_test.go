// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/cumulativetodeltaprocessor"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/intervalprocessor"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

func init() {
	others = append(others, contender{"interval_and_cumulative_to_delta", func(tb testing.TB, next consumer.Metrics) consumer.Metrics {
		return interval(tb, upstream(tb, cumulativetodeltaprocessor.NewFactory(), nil, next))
	}})
}

func interval(tb testing.TB, next consumer.Metrics) consumer.Metrics {
	factory := intervalprocessor.NewFactory()
	config := factory.CreateDefaultConfig().(*intervalprocessor.Config)
	config.Interval = time.Minute
	return upstream(tb, factory, config, next)
}

// layout is how pods are spread, and what is between them and the hub.
type layout struct {
	name  string
	nodes int
	tier  bool
}

// TestAgainstTheIntervalProcessor is a minute of what every pod of a mesh has to tell once it runs for four hours, scraped
// every 15 seconds, through the interval processor alone and through mesh_metrics, side by side: what crosses the border of
// the region in zstd, and whether the sums are those of an oracle. With MESH_METRICS_SCALE the mesh has 50 workloads of 10
// pods that call 5 services with 3 codes, reported by both ends: 1 005 000 series as Prometheus counts them, each bucket one.
func TestAgainstTheIntervalProcessor(t *testing.T) {
	// A small mesh compresses less well.
	workloads, fewer, inZones := 2, 10, []int{3}
	if os.Getenv("MESH_METRICS_SCALE") != "" {
		workloads, fewer, inZones = 50, 15, []int{1, 3}
	}
	for _, zones := range inZones {
		for _, l := range []layout{
			{"all replicas at one agent", 1, false},
			{"replicas on ten nodes", 10, false},
			{"replicas on ten nodes, and one that adds up their deltas", 10, true},
		} {
			t.Run(fmt.Sprintf("%d zones, %s", zones, l.name), func(t *testing.T) {
				m := &mesh{workloads: workloads, pods: 10, callees: 5, codes: 3, zones: zones, busy: 10, both: true}
				synctest.Test(t, func(t *testing.T) { m.compare(t, l, fewer) })
			})
		}
	}
}

const ranFor = 4 * 60 * 4 // scrapes

func (m *mesh) compare(t *testing.T, l layout, fewer int) {
	oracle, first := &sink{}, &sink{}
	var ours, theirs []*wire
	var agents []*meshMetrics
	var intervals []consumer.Metrics
	var tier *meshMetrics
	if l.tier {
		ours = append(ours, newWire(t))
		tier = newScaleAgent(t, ours[0], 200_000)
	}
	for range l.nodes {
		theirs = append(theirs, newWire(t))
		intervals = append(intervals, interval(t, theirs[len(theirs)-1]))
		if l.tier {
			agents = append(agents, newScaleAgent(t, tier, 200_000))
			continue
		}
		ours = append(ours, newWire(t))
		agents = append(agents, newScaleAgent(t, ours[len(ours)-1], 200_000))
	}
	for n := range 5 {
		if n == 1 {
			// Between two of its flushes, as nothing else is at the same moment.
			time.Sleep(every / 2)
		}
		for workload := range m.workloads {
			for pod := range m.pods {
				md := m.scrape(0, workload, pod, ranFor+n)
				node := pod % l.nodes
				switch n {
				case 0:
					require.NoError(t, first.ConsumeMetrics(t.Context(), md))
				case 4:
					require.NoError(t, oracle.ConsumeMetrics(t.Context(), md))
				}
				if n > 0 {
					copied := pmetric.NewMetrics()
					md.CopyTo(copied)
					require.NoError(t, intervals[node].ConsumeMetrics(t.Context(), copied))
				}
				require.NoError(t, agents[node].ConsumeMetrics(t.Context(), md))
			}
		}
		if n > 0 {
			time.Sleep(every) // The clock of the bubble.
		}
	}
	synctest.Wait()
	for _, p := range agents {
		require.Zero(t, p.flush(t.Context(), atInterval))
	}
	if l.tier {
		require.Zero(t, tier.flush(t.Context(), atInterval))
	}
	for _, name := range istioMetrics {
		var got value
		for _, w := range ours {
			got.add(w.totals[name])
		}
		want := oracle.totals[name].minus(first.totals[name])
		require.Positive(t, want.sum)
		require.Equal(t, [2]float64{float64(want.count), want.sum}, [2]float64{float64(got.count), got.sum}, name)
		if name == istioMetrics[1] {
			require.Equal(t, want.buckets, got.buckets)
		}
	}
	mine, other := sent(ours), sent(theirs)
	require.Equal(t, m.workloads*m.pods*m.series(), other.points, "it hands on each series once")
	t.Logf("ours %d points, %d kB (%d kB raw); interval %d points, %d kB (%d kB raw): %.1f times fewer points, %.1f times fewer bytes",
		mine.points, mine.bytes/1000, mine.raw/1000, other.points, other.bytes/1000, other.raw/1000,
		float64(other.points)/float64(mine.points), float64(other.bytes)/float64(mine.bytes))
	if l.tier || l.nodes == 1 {
		require.GreaterOrEqual(t, other.bytes, fewer*mine.bytes)
	}
}

func sent(wires []*wire) (all wire) {
	for _, w := range wires {
		w.send()
		all.points += w.points
		all.bytes += w.bytes
		all.raw += w.raw
	}
	return all
}
