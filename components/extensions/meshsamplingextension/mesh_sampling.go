// SPDX-License-Identifier: Apache-2.0

package meshsamplingextension

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/tailsamplingprocessor/pkg/samplingpolicy"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/featuregate"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshsamplingextension/internal/metadata"
)

// gateID is the feature gate with which the tail sampling processor writes what policies say into the trace state.
const gateID = "processor.tailsamplingprocessor.usetracestate"

var (
	_ samplingpolicy.Extension          = (*meshSampling)(nil)
	_ samplingpolicy.ThresholdEvaluator = (*evaluator)(nil)
)

// meshSampling makes policies. All of one name share what they know: the processor makes one for each shard.
type meshSampling struct {
	config    *Config
	telemetry *metadata.TelemetryBuilder
	seed      maphash.Seed
	now       func() time.Time
	gated     func() bool

	mu     sync.Mutex
	shares map[string]*share
}

func newMeshSampling(set extension.Settings, config *Config) (*meshSampling, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	m := &meshSampling{config: config, telemetry: telemetry, seed: maphash.MakeSeed(), now: time.Now, gated: gateEnabled, shares: map[string]*share{}}
	if err := telemetry.RegisterExtensionMeshSamplingEdgesCallback(func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(m.edges())
		return nil
	}); err != nil {
		return nil, err
	}
	return m, nil
}

// gateEnabled says whether the sampler writes weights. A distribution without the sampler has no such gate.
func gateEnabled() (enabled bool) {
	featuregate.GlobalRegistry().VisitAll(func(g *featuregate.Gate) {
		enabled = enabled || g.ID() == gateID && g.IsEnabled()
	})
	return enabled
}

func (m *meshSampling) edges() (n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.shares {
		n += int64(s.size())
	}
	return n
}

// Start implements component.Component.
func (*meshSampling) Start(context.Context, component.Host) error { return nil }

// Shutdown implements component.Component.
func (m *meshSampling) Shutdown(context.Context) error {
	m.telemetry.Shutdown()
	return nil
}

// NewEvaluator implements samplingpolicy.Extension. The settings are the extension's, where `validate` sees them.
func (m *meshSampling) NewEvaluator(policyName string, cfg map[string]any) (samplingpolicy.Evaluator, error) {
	if len(cfg) > 0 {
		return nil, errors.New("the policy has no settings of its own: write them under extensions::mesh_sampling")
	}
	if !m.gated() {
		return nil, fmt.Errorf("this collector has no feature gate %s, so that nobody would write the weights: build it with tail_sampling v0.154.0 or newer", gateID)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.shares[policyName]
	if s == nil {
		s = newShare(m.config, m.now)
		m.shares[policyName] = s
	}
	return &evaluator{sampling: m, share: s, edges: make([]uint64, 0, maxTraceEdges)}, nil
}

// evaluator is the policy in one shard of the processor, which asks it from one goroutine.
type evaluator struct {
	sampling *meshSampling
	share    *share
	edges    []uint64
}

// IsStateful implements samplingpolicy.Evaluator: what is kept depends on the traces before.
func (*evaluator) IsStateful() bool { return true }

// Evaluate implements samplingpolicy.Evaluator.
func (e *evaluator) Evaluate(ctx context.Context, id pcommon.TraceID, trace *samplingpolicy.TraceData) (samplingpolicy.Decision, error) {
	d, _, err := e.EvaluateWithThreshold(ctx, id, trace)
	return d, err
}

// EvaluateWithThreshold implements samplingpolicy.ThresholdEvaluator. Who sampled before, and said so, counts: the threshold
// stands for both, so that a share of what came is kept and the weight is right.
func (e *evaluator) EvaluateWithThreshold(ctx context.Context, id pcommon.TraceID, trace *samplingpolicy.TraceData) (samplingpolicy.Decision, sampling.Threshold, error) {
	e.edges = edgesOf(e.sampling.seed, trace.ReceivedBatches, e.edges[:0])
	p, overflowed := e.share.probability(e.edges)
	if overflowed {
		e.sampling.telemetry.ExtensionMeshSamplingOverflowedTraces.Add(ctx, 1)
	}
	before, randomness := told(id, trace.ReceivedBatches)
	threshold, err := sampling.ProbabilityToThreshold(before.Probability() * p)
	if err != nil {
		// Less than one in 2^56: what came before left out nearly all, and nothing more is to be left out.
		threshold = before
	}
	if sampling.ThresholdLessThan(threshold, before) {
		threshold = before
	}
	if !threshold.ShouldSample(randomness) {
		e.sampling.telemetry.ExtensionMeshSamplingTraces.Add(ctx, 1, leaveOut)
		return samplingpolicy.NotSampled, threshold, nil
	}
	e.sampling.telemetry.ExtensionMeshSamplingTraces.Add(ctx, 1, keep)
	e.sampling.telemetry.ExtensionMeshSamplingRepresentedTraces.Add(ctx, before.Probability()/threshold.Probability())
	return samplingpolicy.Sampled, threshold, nil
}

// told reads what the trace state says: the strictest threshold before, and the randomness, else that of the trace id. A
// threshold that the trace did not pass is no one's that sampled it: it is taken out, or nobody could write the right one.
func told(id pcommon.TraceID, td ptrace.Traces) (before sampling.Threshold, randomness sampling.Randomness) {
	before, randomness = sampling.AlwaysSampleThreshold, sampling.TraceIDToRandomness(id)
	random, wrong := false, false
	states(td, func(state *sampling.W3CTraceState, _ ptrace.Span) {
		if rv, ok := state.OTelValue().RValueRandomness(); ok && !random {
			randomness, random = rv, true
		}
	})
	states(td, func(state *sampling.W3CTraceState, _ ptrace.Span) {
		th, ok := state.OTelValue().TValueThreshold()
		switch {
		case ok && !th.ShouldSample(randomness):
			wrong = true
		case ok && sampling.ThresholdGreater(th, before):
			before = th
		}
	})
	if wrong {
		states(td, func(state *sampling.W3CTraceState, span ptrace.Span) {
			if th, ok := state.OTelValue().TValueThreshold(); !ok || th.ShouldSample(randomness) {
				return
			}
			state.OTelValue().ClearTValue()
			var text strings.Builder
			// A strings.Builder gives no error.
			_ = state.Serialize(&text)
			span.TraceState().FromRaw(text.String())
		})
	}
	return before, randomness
}

// states visits the trace states that can be read.
func states(td ptrace.Traces, visit func(*sampling.W3CTraceState, ptrace.Span)) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				raw := span.TraceState().AsRaw()
				if raw == "" {
					continue
				}
				if state, err := sampling.NewW3CTraceState(raw); err == nil {
					visit(&state, span)
				}
			}
		}
	}
}

var (
	keep     = metric.WithAttributeSet(attribute.NewSet(attribute.String("decision", "keep")))
	leaveOut = metric.WithAttributeSet(attribute.NewSet(attribute.String("decision", "leave_out")))
)
