// SPDX-License-Identifier: Apache-2.0

package envoysemconvprocessor

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"

	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor/internal/routes"
	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor/internal/rules"
)

type envoySemconv struct {
	cfg     *Config
	counter *counter
	namer   *rules.Namer
	doubles *doubleSpans
	// walkers holds the normalizers of spans, with their buffers.
	walkers sync.Pool
}

func newEnvoySemconv(set processor.Settings, cfg *Config) (*envoySemconv, error) {
	c, err := newCounter(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	return &envoySemconv{cfg: cfg, counter: c}, nil
}

// newSpans prepares what only spans need.
func newSpans(set processor.Settings, cfg *Config) (*envoySemconv, error) {
	table, err := cfg.table()
	if err != nil {
		return nil, fmt.Errorf("routes%w", err)
	}
	p, err := newEnvoySemconv(set, cfg)
	if err != nil {
		return nil, err
	}
	if len(cfg.Routes) > 0 || cfg.PathTemplates || cfg.SpanName == spanNameSemconv {
		p.namer = &rules.Namer{
			Rename:    cfg.SpanName == spanNameSemconv,
			Routes:    table,
			Templates: cfg.PathTemplates,
			MaxPath:   cfg.MaxPathLength,
			Names:     routes.NewNames(cfg.MaxSpanNames),
		}
	}
	started := time.Now()
	p.doubles = newDoubleSpans(&cfg.DoubleSpans, func() time.Duration { return time.Since(started) })
	p.walkers.New = func() any {
		return newSpanNormalizer(cfg.kept(), p.namer)
	}
	return p, nil
}

func (p *envoySemconv) shutdown(context.Context) error {
	p.counter.shutdown()
	return nil
}

func (p *envoySemconv) processTraces(ctx context.Context, td ptrace.Traces) (ptrace.Traces, error) {
	n := p.walkers.Get().(*normalizer)
	p.walk(n, td)
	p.counter.addSpans(ctx, &n.tally)
	n.begin() // forgets this one
	p.walkers.Put(n)
	return td, nil
}

// walk translates the spans of a batch.
func (p *envoySemconv) walk(n *normalizer, td ptrace.Traces) {
	n.begin()
	var now time.Duration
	if p.doubles != nil {
		now = p.doubles.now()
	}
	for _, rs := range td.ResourceSpans().All() {
		sdkIsEnvoy := isEnvoySDK(rs.Resource())
		pod := ""
		if p.doubles != nil {
			pod = podOf(rs.Resource())
		}
		for _, ss := range rs.ScopeSpans().All() {
			fromEnvoy := sdkIsEnvoy || ss.Scope().Name() == "envoy"
			for _, span := range ss.Spans().All() {
				p.processSpan(n, span, fromEnvoy)
				if p.doubles != nil {
					p.doubles.see(n, span, pod, now)
				}
			}
		}
	}
	if p.doubles != nil {
		p.doubles.settle(n, now)
	}
}

func (p *envoySemconv) processSpan(n *normalizer, span ptrace.Span, fromEnvoyScope bool) {
	n.call.Reset(kindOf(span.Kind()), false)
	n.call.FromEnvoyScope = fromEnvoyScope
	n.call.StatusError = span.Status().Code() == ptrace.StatusCodeError
	n.spanName = span.Name()
	if n.normalize(span.Attributes()) {
		if n.out.Failed && p.cfg.SetSpanStatus && span.Status().Code() == ptrace.StatusCodeUnset {
			span.Status().SetCode(ptrace.StatusCodeError)
		}
		if n.spanName != span.Name() {
			span.SetName(n.spanName)
		}
	}
}

// isEnvoySDK reports whether Envoy's tracer made the resource. Envoys that are told not to name their scope
// (set_instrumentation_scope of the tracer's configuration) still say so here.
func isEnvoySDK(r pcommon.Resource) bool {
	name, ok := r.Attributes().Get("telemetry.sdk.name")
	return ok && name.Str() == "envoy"
}

func kindOf(kind ptrace.SpanKind) rules.Kind {
	switch kind {
	case ptrace.SpanKindServer:
		return rules.KindServer
	case ptrace.SpanKindClient:
		return rules.KindClient
	default:
		return rules.KindOther
	}
}
