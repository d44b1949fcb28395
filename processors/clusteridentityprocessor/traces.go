// SPDX-License-Identifier: Apache-2.0

package clusteridentityprocessor

import (
	"context"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

func (p *clusterIdentity) processTraces(ctx context.Context, td ptrace.Traces) (ptrace.Traces, error) {
	b := p.newBatch(ctx)
	if b.free() {
		if b.id == nil {
			for _, rs := range td.ResourceSpans().All() {
				b.tally.add(finding{reason: unverified}, accepted, spanCount(rs))
			}
		}
		return td, b.finish(ctx, 1)
	}
	td.ResourceSpans().RemoveIf(b.resourceSpans)
	return td, b.finish(ctx, td.ResourceSpans().Len())
}

// resourceSpans compares a resource and its spans; it reports whether they go.
func (b *batch) resourceSpans(rs ptrace.ResourceSpans) bool {
	if b.id == nil {
		b.note(finding{reason: unverified}, rejected, spanCount(rs))
		return true
	}
	attrs := rs.Resource().Attributes()
	r := b.resource(attrs)
	found := r.bad
	if found.reason == fine {
		found = b.spans(rs, &r)
	}
	if found.reason == fine && r.cluster != "" {
		return false
	}
	return b.settle(attrs, &r, found, spanCount(rs), func(m moving) {
		for _, ss := range rs.ScopeSpans().All() {
			m.attributes(ss.Scope().Attributes())
			for _, span := range ss.Spans().All() {
				m.attributes(span.Attributes())
			}
		}
	})
}

// spans returns what is wrong with the first span that has something wrong.
func (b *batch) spans(rs ptrace.ResourceSpans, r *resourceClaims) finding {
	for _, ss := range rs.ScopeSpans().All() {
		if f := b.scope(ss.Scope().Attributes()); f.reason != fine {
			return f
		}
		for _, span := range ss.Spans().All() {
			i := r.base(&b.judge)
			switch span.Kind() {
			case ptrace.SpanKindClient, ptrace.SpanKindProducer:
				i.kind = sourceSide
			case ptrace.SpanKindServer, ptrace.SpanKindConsumer:
				i.kind = destinationSide
			}
			for key, value := range span.Attributes().All() {
				i.look(key, value)
			}
			if f := i.finding(); f.reason != fine {
				return f
			}
		}
	}
	return finding{}
}

func spanCount(rs ptrace.ResourceSpans) (n int) {
	for _, ss := range rs.ScopeSpans().All() {
		n += ss.Spans().Len()
	}
	return n
}
