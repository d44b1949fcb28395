// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"context"
	"errors"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshmetricsprocessor/internal/metadata"
)

// pushed is a cumulative counter as a process pushes it.
func pushed(pod, code string, start, at time.Time, n int64) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.instance.id", pod)
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("istio_requests_total")
	m.SetEmptySum().SetIsMonotonic(true)
	m.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	point := m.Sum().DataPoints().AppendEmpty()
	if !start.IsZero() {
		point.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
	}
	point.SetTimestamp(pcommon.NewTimestampFromTime(at))
	point.SetIntValue(n)
	point.Attributes().PutStr("reporter", "source")
	point.Attributes().PutStr("response_code", code)
	point.Attributes().PutStr("mesh.source.workload", "reviews")
	return md
}

type fixture struct {
	t    *testing.T
	now  time.Time
	p    *meshMetrics
	sink *sink
}

func newFixture(t *testing.T, change func(*Config)) *fixture {
	config := createDefaultConfig().(*Config)
	if change != nil {
		change(config)
	}
	f := &fixture{t: t, now: start, sink: &sink{keep: true}}
	p, err := newMeshMetrics(processortest.NewNopSettings(metadata.Type), config, f.sink)
	require.NoError(t, err)
	p.now = func() time.Time { return f.now }
	p.open()
	f.p = p
	t.Cleanup(p.telemetry.Shutdown)
	return f
}

func (f *fixture) push(pod, code string, begin time.Time, n int64) {
	f.now = f.now.Add(time.Second)
	require.NoError(f.t, f.p.ConsumeMetrics(f.t.Context(), pushed(pod, code, begin, f.now, n)))
}

func (f *fixture) total() uint64 {
	f.now = f.now.Add(time.Second)
	f.p.flush(f.t.Context(), atInterval)
	return f.sink.totals["istio_requests_total"].count
}

func TestSeriesThatBeginWhileWeWatchCountFromZero(t *testing.T) {
	f := newFixture(t, nil)
	f.push("old", "200", start.Add(-time.Hour), 1000)
	require.Zero(t, f.total(), "what was counted before we watched is not known")
	f.push("old", "200", start.Add(-time.Hour), 1003)
	require.EqualValues(t, 3, f.total())
	f.push("new", "200", f.now, 7)
	require.EqualValues(t, 10, f.total())
	f.push("unknown", "200", time.Time{}, 100)
	require.EqualValues(t, 10, f.total(), "without a start nothing tells")
	f.push("old", "200", f.now.Add(time.Millisecond), 2000)
	require.EqualValues(t, 2010, f.total(), "a later start is another process though its value is greater")
}

func TestForgottenSeriesDoNotCountTwice(t *testing.T) {
	f := newFixture(t, nil)
	f.push("pod", "200", f.now.Add(time.Millisecond), 100)
	require.EqualValues(t, 100, f.total())
	began := start.Add(time.Millisecond)
	for range 70 {
		f.total()
	}
	require.Zero(t, f.p.store.Series(), "it is stale")
	require.Zero(t, f.p.store.Table.Count(0))
	require.Zero(t, f.p.store.Bytes(), "all memory is given back")
	f.push("pod", "200", began, 150)
	require.EqualValues(t, 100, f.total(), "it began while we watched, but was counted and forgotten")
	f.push("pod", "200", began, 151)
	require.EqualValues(t, 101, f.total())
}

func TestRefusedDeltasAreCarriedOver(t *testing.T) {
	f := newFixture(t, nil)
	begin := f.now.Add(time.Millisecond)
	f.push("pod", "200", begin, 5)
	f.sink.refuse = func() bool { return true }
	for n := range int64(10) {
		f.push("pod", "200", begin, 6+n)
		require.Zero(t, f.total())
	}
	f.sink.refuse = nil
	require.EqualValues(t, 15, f.total())
	point := f.sink.batches[0].ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().At(0)
	require.Equal(t, begin.UnixNano(), int64(point.StartTimestamp()), "one delta covers all that time")
	f.push("pod", "200", begin, 16)
	require.EqualValues(t, 16, f.total())
	next := f.sink.batches[1].ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().At(0)
	require.Equal(t, point.Timestamp(), next.StartTimestamp(), "times do not overlap")
}

func TestDeltasAreAddedUp(t *testing.T) {
	f := newFixture(t, nil)
	for range 3 {
		md := pushed("pod", "200", time.Time{}, f.now, 5)
		md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		require.NoError(t, f.p.ConsumeMetrics(t.Context(), md))
	}
	require.EqualValues(t, 15, f.total())
	require.Zero(t, f.p.store.Series())
}

func TestFractionsDoNotDrift(t *testing.T) {
	f := newFixture(t, nil)
	want := 0.0
	for n := range 2000 {
		want = 0.1 * float64(n+1)
		md := pushed("pod", "200", start.Add(time.Millisecond), f.now.Add(time.Second), 0)
		md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().At(0).SetDoubleValue(want)
		f.now = f.now.Add(time.Second)
		require.NoError(t, f.p.ConsumeMetrics(t.Context(), md))
		if n%7 == 0 {
			f.total()
		}
	}
	f.total()
	var sum, rest float64 // what a reader with enough digits adds up
	for _, md := range f.sink.batches {
		x := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().At(0).DoubleValue()
		require.Positive(t, x)
		s := sum + x
		rest += (sum - (s - x)) + (x - (s - (s - x)))
		sum = s
	}
	require.InDelta(t, want, sum+rest, math.Nextafter(want, 1000)-want)
}

// TestBudget fills the budget: what is beyond goes to series that say so and keep the topology, and then to one of the
// metric; all of it is counted.
func TestBudget(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxSeries, c.MaxOverflowSeries = 2, 1 })
	for code := range 6 {
		f.push("pod", strconv.Itoa(code), f.now.Add(time.Millisecond), 1)
	}
	md := pushed("pod", "200", f.now.Add(time.Millisecond), f.now.Add(time.Second), 10)
	md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().At(0).Attributes().PutStr("mesh.source.workload", "ratings")
	f.now = f.now.Add(time.Second)
	require.NoError(t, f.p.ConsumeMetrics(t.Context(), md))
	require.EqualValues(t, 16, f.total())
	require.EqualValues(t, 4, f.sink.totals["istio_requests_total reviews "].count, "it keeps the workload and no code")
	require.EqualValues(t, 10, f.sink.totals["istio_requests_total  "].count)
	overflow := 0
	for _, m := range f.sink.batches[0].ResourceMetrics().All() {
		for _, p := range m.ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().All() {
			if v, ok := p.Attributes().Get("otel.metric.overflow"); ok && v.Bool() {
				overflow++
			}
		}
	}
	require.Equal(t, 2, overflow)
}

func TestCeilingOfState(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxStateMiB = 1 })
	for pod := range 20_000 {
		require.NoError(t, f.p.ConsumeMetrics(t.Context(), pushed(strconv.Itoa(pod), "200", start.Add(-time.Hour), f.now.Add(time.Second), 1)))
	}
	require.LessOrEqual(t, f.p.store.Bytes(), int64(1<<20)+4096)
	require.Less(t, f.p.store.Series(), int64(20_000))
	require.Positive(t, f.p.warn.full.Load())
}

// TestConcurrent lets pods report, be refused and be flushed at once.
func TestConcurrent(t *testing.T) {
	for name, directory := range map[string]string{"in memory": "", "on disk": t.TempDir()} {
		t.Run(name, func(t *testing.T) { concurrent(t, directory) })
	}
}

func concurrent(t *testing.T, directory string) {
	var sum, refusals atomic.Int64
	next, err := consumer.NewMetrics(func(_ context.Context, md pmetric.Metrics) error {
		if refusals.Add(1)%3 == 0 {
			return errors.New("queue is full")
		}
		for _, rm := range md.ResourceMetrics().All() {
			for _, m := range rm.ScopeMetrics().At(0).Metrics().All() {
				for _, p := range m.Sum().DataPoints().All() {
					sum.Add(p.IntValue())
				}
			}
		}
		return nil
	})
	require.NoError(t, err)
	config := createDefaultConfig().(*Config)
	config.MaxSeries, config.Directory = 5, directory
	// Staleness counts flushes, and here are 160 of them: no series may be forgotten meanwhile.
	config.MaxStaleness = longestStaleness
	p, err := newMeshMetrics(processortest.NewNopSettings(metadata.Type), config, next)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	begin := time.Now()
	var pods sync.WaitGroup
	for pod := range 8 {
		pods.Go(func() {
			for n := range 200 {
				md := pushed(strconv.Itoa(pod), strconv.Itoa(n%9), begin, begin.Add(time.Duration(n+1)*time.Millisecond), int64(n/9+1))
				if err := p.ConsumeMetrics(t.Context(), md); err != nil {
					t.Error(err)
				}
				if n%10 == pod {
					p.flush(t.Context(), atInterval)
				}
			}
		})
	}
	pods.Wait()
	require.NoError(t, p.Shutdown(t.Context()))
	// The last value of a series is that of its last round: 200 rounds, so the first two series have 23, the others 22.
	require.EqualValues(t, 8*(2*23+7*22), sum.Load())
}

func TestShutdownSaysWhatIsLost(t *testing.T) {
	p, err := newMeshMetrics(processortest.NewNopSettings(metadata.Type), createDefaultConfig().(*Config), consumertest.NewErr(errors.New("full")))
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	now := time.Now()
	require.NoError(t, p.ConsumeMetrics(t.Context(), pushed("pod", "200", now, now.Add(time.Millisecond), 3)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorContains(t, p.Shutdown(ctx), "1 points of metrics are lost")
}

func TestPasses(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Drop = []string{"up"} })
	md := pmetric.NewMetrics()
	metrics := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics()
	for _, name := range []string{"up", "istio_build", "my_gauge"} {
		m := metrics.AppendEmpty()
		m.SetName(name)
		m.SetEmptyGauge().DataPoints().AppendEmpty().SetIntValue(1)
	}
	pushed("pod", "200", start.Add(time.Millisecond), start.Add(time.Second), 3).ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).
		MoveTo(metrics.AppendEmpty())
	require.NoError(t, f.p.ConsumeMetrics(t.Context(), md))
	require.Len(t, f.sink.batches, 1)
	require.Equal(t, 2, f.sink.batches[0].MetricCount(), "gauges pass at once, what is configured is dropped")
	require.EqualValues(t, 3, f.total())
}

func TestIstioLabelsStandForAttributesThatAreNotThere(t *testing.T) {
	f := newFixture(t, nil)
	for _, workload := range []string{"a", "b"} {
		md := pushed("pod", "200", f.now.Add(time.Millisecond), f.now.Add(time.Second), 1)
		attrs := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().At(0).Attributes()
		attrs.Remove("mesh.source.workload")
		attrs.PutStr("source_workload", workload)
		attrs.PutStr("destination_workload", "unknown")
		attrs.PutStr("pod_ip", "10.0.0.1")
		require.NoError(t, f.p.ConsumeMetrics(t.Context(), md))
	}
	f.total()
	points := f.sink.batches[0].ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints()
	require.Equal(t, 2, points.Len())
	_, ok := points.At(0).Attributes().Get("source_workload")
	require.True(t, ok)
	for _, gone := range []string{"destination_workload", "pod_ip"} {
		_, ok = points.At(0).Attributes().Get(gone)
		require.False(t, ok, gone)
	}
}

// TestADroppedPointIsNoProofOfAbsence has a series whose value cannot be read at first: it was there all the same.
func TestADroppedPointIsNoProofOfAbsence(t *testing.T) {
	f := newFixture(t, nil)
	for _, values := range [][2]float64{{5, math.NaN()}, {6, 100}, {6, 103}} {
		f.now = f.now.Add(time.Second)
		md := pushed("pod", "200", time.Time{}, f.now, 0)
		sm := md.ResourceMetrics().At(0).ScopeMetrics().At(0)
		sm.Scope().SetName(scrapeScope)
		points := sm.Metrics().At(0).Sum().DataPoints()
		points.At(0).CopyTo(points.AppendEmpty())
		points.At(1).Attributes().PutStr("response_code", "500")
		points.At(0).SetDoubleValue(values[0])
		points.At(1).SetDoubleValue(values[1])
		require.NoError(t, f.p.ConsumeMetrics(t.Context(), md))
	}
	f.total()
	require.InDelta(t, 4, f.sink.totals["istio_requests_total"].sum, 0)
}

// TestARefusedBatchMayComeAgain has a delta beside what is refused: it counts once, when the sender repeats it.
func TestARefusedBatchMayComeAgain(t *testing.T) {
	f := newFixture(t, nil)
	for _, refused := range []bool{true, false} {
		f.sink.refuse = func() bool { return refused }
		md := pushed("pod", "200", time.Time{}, f.now, 5)
		metrics := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics()
		metrics.At(0).Sum().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		gauge := metrics.AppendEmpty()
		gauge.SetName("my_gauge")
		gauge.SetEmptyGauge().DataPoints().AppendEmpty().SetIntValue(1)
		require.Equal(t, refused, f.p.ConsumeMetrics(t.Context(), md) != nil)
	}
	require.EqualValues(t, 5, f.total())
}
