// SPDX-License-Identifier: Apache-2.0

package meshsamplingextension

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/tailsamplingprocessor/pkg/samplingpolicy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshsamplingextension/internal/metadata"
)

// bench is a policy with a clock of its own.
type bench struct {
	*meshSampling
	policy samplingpolicy.ThresholdEvaluator
	at     time.Time
	random *rand.Rand
}

func newBench(t testing.TB, config *Config) *bench {
	t.Helper()
	require.NoError(t, config.Validate())
	m, err := newMeshSampling(extensiontest.NewNopSettings(metadata.Type), config)
	require.NoError(t, err)
	b := &bench{meshSampling: m, at: time.Unix(1_000_000, 0), random: rand.New(rand.NewPCG(1, 2))}
	m.now, m.gated = func() time.Time { return b.at }, func() bool { return true }
	policy, err := m.NewEvaluator("fair_share", nil)
	require.NoError(t, err)
	b.policy = policy.(samplingpolicy.ThresholdEvaluator)
	t.Cleanup(func() { require.NoError(t, m.Shutdown(t.Context())) })
	return b
}

func (b *bench) id() (id pcommon.TraceID) {
	binary.BigEndian.PutUint64(id[:], b.random.Uint64())
	binary.BigEndian.PutUint64(id[8:], b.random.Uint64())
	return id
}

// trace has a span for each edge, which is written as caller>called@cluster.
func trace(id pcommon.TraceID, state string, edges ...string) *samplingpolicy.TraceData {
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for _, edge := range edges {
		span := spans.AppendEmpty()
		span.SetTraceID(id)
		span.TraceState().FromRaw(state)
		span.Attributes().PutStr("mesh.source.service", "caller")
		span.Attributes().PutStr("mesh.destination.service", edge)
	}
	return &samplingpolicy.TraceData{SpanCount: int64(len(edges)), ReceivedBatches: td}
}

// judge returns the weight of a trace that is kept, else 0.
func (b *bench) judge(t testing.TB, id pcommon.TraceID, trace *samplingpolicy.TraceData) float64 {
	t.Helper()
	d, th, err := b.policy.EvaluateWithThreshold(t.Context(), id, trace)
	require.NoError(t, err)
	if d != samplingpolicy.Sampled {
		require.Equal(t, samplingpolicy.NotSampled, d)
		return 0
	}
	return th.AdjustedCount()
}

// TestSharesAreFairAndUnbiased sends ten minutes of edges whose traffic differs ten thousandfold, with bursts and an edge
// that is new. Each edge's weights add up to its traffic within what chance explains, and quiet edges are kept whole.
func TestSharesAreFairAndUnbiased(t *testing.T) {
	b := newBench(t, &Config{TracesPerEdge: 60, MaxTraces: 1e6, Interval: time.Minute, MaxWeight: 1e6, MaxEdges: 100})
	perMinute := map[string]int{"loud": 20000, "busy": 2000, "usual": 200, "quiet": 20, "rare": 2}
	type sum struct{ n, kept, weight, variance float64 }
	sums := map[string]*sum{"burst": {}, "new": {}}
	for name := range perMinute {
		sums[name] = &sum{}
	}
	one := func(name string) {
		id := b.id()
		w := b.judge(t, id, trace(id, "", name))
		s := sums[name]
		s.n++
		if w > 0 {
			s.kept++
			s.weight += w
			s.variance += w * (w - 1)
		}
	}
	for minute := range 10 {
		for second := range 60 {
			b.at = b.at.Add(time.Second)
			for name, n := range perMinute {
				for range n / 60 {
					one(name)
				}
				if second < n%60 {
					one(name)
				}
			}
			if minute == 4 && second < 5 {
				for range 500 {
					one("burst")
				}
			}
			if minute == 7 {
				one("new")
			}
		}
	}
	for name, s := range sums {
		t.Logf("%s: %g of %g, weight %.0f", name, s.kept, s.n, s.weight)
		assert.InDelta(t, s.n, s.weight, 4.5*math.Sqrt(s.variance)+1e-9, name)
	}
	for _, name := range []string{"quiet", "rare", "new"} {
		assert.InDelta(t, sums[name].n, sums[name].kept, 0, "%s: all", name)
	}
	for _, name := range []string{"loud", "busy", "usual"} {
		assert.InDelta(t, 600, sums[name].kept, 420, "%s: sixty a minute, and more in the first", name)
		assert.GreaterOrEqual(t, sums[name].kept, 500.0, name)
	}
	assert.Less(t, sums["burst"].kept, 500.0, "of 2500 in five seconds")
}

// TestATraceIsKeptAsItsRarestEdgeWants prevents that what happens seldom is lost in what happens all the time.
func TestATraceIsKeptAsItsRarestEdgeWants(t *testing.T) {
	b := newBench(t, &Config{TracesPerEdge: 10, MaxTraces: 1e6, Interval: time.Minute, MaxWeight: 1000, MaxEdges: 100})
	for range 5000 {
		id := b.id()
		b.judge(t, id, trace(id, "", "loud"))
	}
	for range 5 {
		id := b.id()
		assert.InDelta(t, 1, b.judge(t, id, trace(id, "", "loud", "rare")), 0)
	}
}

// TestCeilings: MaxTraces bounds many rare edges, MaxWeight what one stands for, MaxEdges the memory.
func TestCeilings(t *testing.T) {
	b := newBench(t, &Config{TracesPerEdge: 60, MaxTraces: 200, Interval: time.Minute, MaxWeight: 50, MaxEdges: 10})
	run := func(n int, name func(int) string) (kept, weight, most float64) {
		for i := range n {
			id := b.id()
			if w := b.judge(t, id, trace(id, "", name(i))); w > 0 {
				kept, weight, most = kept+1, weight+w, max(most, w)
			}
		}
		return kept, weight, most
	}
	run(4000, func(i int) string { return fmt.Sprint("edge", i%8) })
	b.at = b.at.Add(time.Minute)
	kept, weight, _ := run(4000, func(i int) string { return fmt.Sprint("edge", i%8) })
	assert.InDelta(t, 150, kept, 75, "MaxTraces goes before eight times sixty")
	assert.InDelta(t, 4000, weight, 1500)

	b.at = b.at.Add(time.Minute)
	_, _, most := run(20000, func(int) string { return "loud" })
	assert.InEpsilon(t, 50, most, 0.001)

	run(1000, func(i int) string { return fmt.Sprint("new", i) })
	assert.LessOrEqual(t, b.edges(), int64(11))
	b.at = b.at.Add(time.Hour)
	run(1, func(int) string { return "later" })
	assert.Equal(t, int64(1), b.edges(), "silent edges are forgotten")
}

// TestSampledBefore: what a head sampler kept one in four of stands for four, and a share of what came is kept on top.
func TestSampledBefore(t *testing.T) {
	b := newBench(t, &Config{TracesPerEdge: 100, MaxTraces: 1e6, Interval: time.Minute, MaxWeight: 1e6, MaxEdges: 10})
	quarter, err := sampling.ProbabilityToThreshold(0.25)
	require.NoError(t, err)
	var all, came, kept, weight, variance float64
	for minute := range 5 {
		for range 4000 {
			id := b.id()
			all++
			if !quarter.ShouldSample(sampling.TraceIDToRandomness(id)) {
				continue
			}
			came++
			w := b.judge(t, id, trace(id, "ot=th:"+quarter.TValue(), "edge"))
			if w > 0 {
				kept, weight, variance = kept+1, weight+w, variance+w*(w-1)
				assert.GreaterOrEqual(t, w, 4.0)
			}
		}
		_ = minute
		b.at = b.at.Add(time.Minute)
	}
	assert.Less(t, kept, came/4)
	assert.InDelta(t, all, weight, 4.5*math.Sqrt(variance))
}

// TestWrongThresholds prevents that a caller's threshold, which the trace did not pass, spoils the weight.
func TestWrongThresholds(t *testing.T) {
	b := newBench(t, &Config{TracesPerEdge: 1, MaxTraces: 1e6, Interval: time.Minute, MaxWeight: 1e6, MaxEdges: 10})
	var low pcommon.TraceID
	low[15] = 1
	wrong := trace(low, "ot=th:8;xy:1,other=1", "edge")
	assert.InDelta(t, 1, b.judge(t, low, wrong), 0)
	assert.Equal(t, "ot=xy:1,other=1", wrong.ReceivedBatches.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).TraceState().AsRaw())
	// An explicit randomness goes before the trace id.
	right := trace(low, "ot=rv:fffffffffffff0;th:8", "another")
	assert.InDelta(t, 2, b.judge(t, low, right), 0)
	broken := trace(low, "ot=th:zz,=;;", "third")
	assert.InDelta(t, 1, b.judge(t, low, broken), 0)
}

// TestNoWeightsNoStart prevents that somebody samples without weights and does not know.
func TestNoWeightsNoStart(t *testing.T) {
	m, err := newMeshSampling(extensiontest.NewNopSettings(metadata.Type), createDefaultConfig().(*Config))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Shutdown(t.Context())) })
	m.gated = func() bool { return false }
	_, err = m.NewEvaluator("fair_share", nil)
	require.ErrorContains(t, err, "processor.tailsamplingprocessor.usetracestate")
	m.gated = func() bool { return true }
	_, err = m.NewEvaluator("fair_share", map[string]any{"traces_per_edge": 1})
	require.ErrorContains(t, err, "extensions::mesh_sampling")
}

func TestValidate(t *testing.T) {
	require.NoError(t, createDefaultConfig().(*Config).Validate())
	err := (&Config{}).Validate()
	for _, key := range []string{"traces_per_edge", "max_traces", "max_weight", "max_edges", "interval"} {
		require.ErrorContains(t, err, "'"+key+"'")
	}
}

func BenchmarkPolicy(b *testing.B) {
	p := newBench(b, createDefaultConfig().(*Config))
	id := p.id()
	td := trace(id, "", "a", "b", "c", "d", "a", "b", "c", "d")
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := p.policy.EvaluateWithThreshold(b.Context(), id, td); err != nil {
			b.Fatal(err)
		}
	}
}
