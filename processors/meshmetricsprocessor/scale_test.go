// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

const clusters = 10

// wire counts what crosses regions, in requests of as many points as ours.
type wire struct {
	t       *testing.T
	encoder *zstd.Encoder
	batch   pmetric.Metrics
	points  int
	bytes   int
	raw     int
	sink
}

func newWire(t *testing.T) *wire {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, encoder.Close()) })
	return &wire{t: t, encoder: encoder, batch: pmetric.NewMetrics()}
}

func (w *wire) Capabilities() consumer.Capabilities { return consumer.Capabilities{MutatesData: true} }

func (w *wire) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	if md.ResourceMetrics().Len() == 0 {
		return nil
	}
	require.NoError(w.t, w.sink.ConsumeMetrics(ctx, md))
	w.points += md.DataPointCount()
	md.ResourceMetrics().MoveAndAppendTo(w.batch.ResourceMetrics())
	if w.batch.DataPointCount() >= 5000 {
		w.send()
	}
	return nil
}

func (w *wire) send() {
	raw, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(w.batch)
	require.NoError(w.t, err)
	w.raw += len(raw)
	w.bytes += len(w.encoder.EncodeAll(raw, nil))
	w.batch = pmetric.NewMetrics()
}

// TestScale is a minute of a mesh of ten clusters, scraped every 15 seconds, of which each series grows all the time. With
// MESH_METRICS_SCALE it has 1 000 000 series of 5 000 workloads (points of OTLP: a histogram is one). The interval
// processor hands on the last point of each series once a minute; that is what it is compared with.
func TestScale(t *testing.T) {
	workloads := 2
	if os.Getenv("MESH_METRICS_SCALE") != "" {
		workloads = 500
	}
	m := &mesh{workloads: workloads, pods: 5, callees: 5, codes: 2, zones: 3, busy: 10}
	for _, run := range []struct {
		name           string
		agents, budget int
	}{
		{"one agent for each cluster", 1, workloads * 200},
		{"25 nodes for each cluster, replicas apart", 25, 20_000},
		{"one agent for each cluster, a budget for a sixth", 1, workloads * 20},
	} {
		t.Run(run.name, func(t *testing.T) { m.run(t, run.agents, run.budget) })
	}
}

// TestReduction is the same for shapes of meshes, with an agent that has all replicas of a workload.
func TestReduction(t *testing.T) {
	shapes, inZones, workloads := []int{10}, []int{3}, 1
	if os.Getenv("MESH_METRICS_SCALE") != "" {
		shapes, inZones, workloads = []int{1, 10, 30}, []int{1, 3}, 2
	}
	for _, pods := range shapes {
		for _, zones := range inZones {
			for _, busy := range []int{10, 3} {
				t.Run(fmt.Sprintf("%d pods in %d zones, %d of 10 series grow", pods, zones, busy), func(t *testing.T) {
					(&mesh{workloads: workloads, pods: pods, callees: 5, codes: 3, zones: zones, busy: busy}).run(t, 1, 20_000)
				})
			}
		}
	}
}

func (m *mesh) run(t *testing.T, agentsPerCluster, budget int) {
	began := time.Now()
	ours, interval, oracle := newWire(t), newWire(t), &sink{}
	var state, most, series, outputs int64
	for cluster := range clusters {
		agents := make([]*meshMetrics, agentsPerCluster)
		for i := range agents {
			agents[i] = newScaleAgent(t, ours, budget)
		}
		for workload := range m.workloads {
			for pod := range m.pods {
				p := agents[(workload*m.pods+pod)%len(agents)]
				for n := range 5 {
					md := m.scrape(cluster, workload, pod, n)
					if n == 4 {
						// All began at zero, so the last values are the totals.
						copied := pmetric.NewMetrics()
						md.CopyTo(copied)
						require.NoError(t, oracle.ConsumeMetrics(t.Context(), copied))
						require.NoError(t, interval.ConsumeMetrics(t.Context(), copied))
					}
					require.NoError(t, p.ConsumeMetrics(t.Context(), md))
				}
			}
		}
		for _, p := range agents {
			require.Zero(t, p.flush(t.Context(), atInterval))
			state += p.store.Bytes()
			most = max(most, p.store.Bytes())
			series += p.store.Series()
			outputs += int64(len(p.store.Table.Outputs()))
			require.LessOrEqual(t, p.store.Table.Count(0), int64(budget))
		}
	}
	ours.send()
	interval.send()
	for _, name := range istioMetrics {
		want, got := oracle.totals[name], ours.totals[name]
		require.Positive(t, want.sum)
		// The sink looks at the first buckets; sizes have none.
		require.Equal(t, [2]float64{float64(want.count), want.sum}, [2]float64{float64(got.count), got.sum}, name)
		if name == istioMetrics[1] {
			require.Equal(t, want.buckets, got.buckets)
		}
	}
	require.EqualValues(t, clusters*m.workloads*m.pods*m.series(), series)
	t.Logf("%d input series, %d written (%.1f times fewer); state %d MiB, at most %d MiB in one agent; a minute: ours %d points, "+
		"%d kB zstd (%d kB raw); interval alone %d points, %d kB zstd (%d kB raw): %.1f times fewer bytes; %v",
		series, outputs, float64(series)/float64(outputs), state>>20, most>>20, ours.points, ours.bytes/1000, ours.raw/1000,
		interval.points, interval.bytes/1000, interval.raw/1000, float64(interval.bytes)/float64(ours.bytes), time.Since(began).Round(time.Second))
}

func newScaleAgent(t *testing.T, next consumer.Metrics, budget int) *meshMetrics {
	f := newFixture(t, func(c *Config) { c.MaxSeries, c.MaxStateMiB = budget, 1024 })
	f.now = start.Add(time.Minute)
	f.p.next = next
	return f.p
}
