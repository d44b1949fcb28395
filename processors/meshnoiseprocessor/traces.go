// SPDX-License-Identifier: Apache-2.0

package meshnoiseprocessor

import (
	"context"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processorhelper"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshnoiseprocessor/internal/rules"
)

// spanID names a span.
type spanID struct {
	trace pcommon.TraceID
	span  pcommon.SpanID
}

// noise is why a span is dropped, and the path of its call.
type noise struct {
	reason rules.Reason
	path   string
}

// noisySpans are the spans of a batch that are to be dropped. Two spans may have one id, so they are dropped by their
// place in the batch, and known to their children by their id.
type noisySpans struct {
	at map[int]bool
	by map[spanID]noise
}

func (n *noisySpans) add(at int, span ptrace.Span, why noise) {
	if n.at == nil {
		n.at, n.by = map[int]bool{}, map[spanID]noise{}
	}
	n.at[at] = true
	if !span.SpanID().IsEmpty() {
		n.by[spanID{span.TraceID(), span.SpanID()}] = why
	}
}

// maxDepth is how many generations of children follow a dropped span.
const maxDepth = 8

// processTraces judges every span before it drops one, as children may come before their parents.
func (p *meshNoise) processTraces(ctx context.Context, td ptrace.Traces) (ptrace.Traces, error) {
	var t tally
	var noisy noisySpans
	p.judgeSpans(td, &noisy, &t)
	if len(noisy.at) > 0 {
		for depth := 0; depth < maxDepth && p.addChildren(td, &noisy, &t); depth++ {
		}
		removeSpans(td, &noisy)
	}
	p.counter.add(ctx, &t)
	if td.ResourceSpans().Len() == 0 {
		return td, processorhelper.ErrSkipProcessingData
	}
	return td, nil
}

func (p *meshNoise) judgeSpans(td ptrace.Traces, noisy *noisySpans, t *tally) {
	at, look := -1, p.rules.Look()
	for _, rs := range td.ResourceSpans().All() {
		own := p.ownResource(rs.Resource().Attributes())
		for _, ss := range rs.ScopeSpans().All() {
			if !proxyScope(ss.Scope().Name()) {
				continue
			}
			for _, span := range ss.Spans().All() {
				at++
				var c rules.Call
				proxy := readSuspect(span.Attributes(), &c) || ss.Scope().Name() == envoyScope
				if reason := p.judgeSpan(span, proxy, own, &look, &c); p.act(reason, span.Attributes(), t) {
					noisy.add(at, span, noise{reason, c.PathOnly()})
				}
			}
		}
	}
}

// envoyScope is Envoy's own instrumentation scope: the only mark of spans with new names alone.
const envoyScope = "envoy"

// proxyScope says whether spans of proxies can stand under the instrumentation scope: Envoy's own, or none, as older
// versions and Zipkin's format have.
func proxyScope(name string) bool { return name == "" || name == envoyScope }

func (p *meshNoise) judgeSpan(span ptrace.Span, proxy, own bool, look *rules.Look, c *rules.Call) rules.Reason {
	if !proxy {
		return rules.None
	}
	if own {
		return rules.Telemetry
	}
	if !look.Suspect(c) {
		return rules.None
	}
	readRest(span.Attributes(), c, span.Kind() == ptrace.SpanKindServer)
	return p.rules.Judge(c)
}

// addChildren adds the proxies' spans of the same request whose parent is dropped, for the same reason: they would be
// orphans. Spans of applications are never touched. It says whether it added one.
func (p *meshNoise) addChildren(td ptrace.Traces, noisy *noisySpans, t *tally) (added bool) {
	at := -1
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			if !proxyScope(ss.Scope().Name()) {
				continue
			}
			for _, span := range ss.Spans().All() {
				at++
				why, ok := noisy.by[spanID{span.TraceID(), span.ParentSpanID()}]
				if ok && !noisy.at[at] && p.follows(span, ss.Scope().Name() == envoyScope, why) {
					noisy.add(at, span, why)
					t[why.reason][dropped]++
					added = true
				}
			}
		}
	}
	return added
}

// follows says whether a child of a dropped span is dropped, too: if it is a proxy's, and of the same request. That has
// the same path, or none, as the span of an attempt. An application may make any call in the trace of a probe, and so
// could hide one otherwise. A call that failed stays if failed probes do.
func (p *meshNoise) follows(span ptrace.Span, envoys bool, why noise) bool {
	var c rules.Call
	if !readSuspect(span.Attributes(), &c) && !envoys {
		return false
	}
	if path := c.PathOnly(); path != "" && path != why.path {
		return false
	}
	if why.reason != rules.HealthProbe || p.actions[rules.FailedHealthProbe] == dropped {
		return true
	}
	readRest(span.Attributes(), &c, false)
	return !c.Failed()
}

func removeSpans(td ptrace.Traces, noisy *noisySpans) {
	at := -1
	td.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool {
		removed := false
		rs.ScopeSpans().RemoveIf(func(ss ptrace.ScopeSpans) bool {
			before := ss.Spans().Len()
			if !proxyScope(ss.Scope().Name()) {
				return false
			}
			ss.Spans().RemoveIf(func(ptrace.Span) bool {
				at++
				return noisy.at[at]
			})
			removed = removed || ss.Spans().Len() < before
			return ss.Spans().Len() == 0 && before > 0
		})
		return removed && rs.ScopeSpans().Len() == 0
	})
}
