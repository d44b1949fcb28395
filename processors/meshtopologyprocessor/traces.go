// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"context"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/rules"
)

func (m *meshTopology) processTraces(ctx context.Context, td ptrace.Traces) (ptrace.Traces, error) {
	b := m.newBatch(ctx)
	// Splitting appends resources that are stamped as they are made, so the walk ends at the ones that came.
	came := td.ResourceSpans().Len()
	var gone map[int]bool
	for i := range came {
		if b.resourceSpans(td.ResourceSpans(), td.ResourceSpans().At(i)) {
			if gone == nil {
				gone = map[int]bool{}
			}
			gone[i] = true
		}
	}
	if gone != nil {
		i := -1
		td.ResourceSpans().RemoveIf(func(ptrace.ResourceSpans) bool { i++; return gone[i] })
	}
	b.finish(ctx)
	return td, nil
}

// maxProxies is the most parts a resource is split into. Each part is a copy of the resource, so a sender that makes up
// proxies must not choose how many there are.
const maxProxies = 64

// proxyKey tells proxies apart whose spans share a resource.
type proxyKey struct{ nodeID, namespace, cluster string }

func proxyKeyOf(attrs pcommon.Map) proxyKey {
	id, ok := attrs.Get("node_id")
	if !ok {
		if id, ok = attrs.Get("envoy.node.id"); !ok {
			return proxyKey{}
		}
	}
	if !isNodeID(id.Str()) {
		return proxyKey{}
	}
	key := proxyKey{nodeID: id.Str()}
	if cluster, ok := attrs.Get("istio.cluster_id"); ok {
		key.cluster = cluster.Str()
	}
	return key
}

// resourceSpans stamps the spans of one resource, after splitting it if they came from several proxies. It
// reports whether nothing is left of the resource itself.
func (b *batch) resourceSpans(all ptrace.ResourceSpansSlice, rs ptrace.ResourceSpans) (gone bool) {
	res := readResource(rs.Resource().Attributes())
	if res.reporter.NodeID != "" || !severalSpanProxies(rs) {
		b.stampSpans(rs, &res)
		return false
	}
	b.tally.splits++
	for _, part := range splitSpans(all, rs) {
		b.stampSpans(part, &res)
	}
	if rs.ScopeSpans().Len() == 0 {
		return true
	}
	res.shared = true
	b.stampSpans(rs, &res)
	return false
}

func severalSpanProxies(rs ptrace.ResourceSpans) bool {
	var seen proxyKey
	for _, ss := range rs.ScopeSpans().All() {
		for _, span := range ss.Spans().All() {
			key := proxyKeyOf(span.Attributes())
			switch {
			case key.nodeID == "" || key == seen:
			case seen.nodeID == "":
				seen = key
			default:
				return true
			}
		}
	}
	return false
}

// spansOfProxy is where the spans of one proxy go.
type spansOfProxy struct {
	resource ptrace.ResourceSpans
	scope    ptrace.ScopeSpans
	// from is the scope that scope is a copy of.
	from int
}

// splitSpans moves the spans of each proxy to a resource of their own and returns those. A span that names no proxy
// goes with its parent, as the upstream span of a gateway goes with the span of the request. Spans that nothing tells,
// and those of proxies above the ceiling, stay.
func splitSpans(all ptrace.ResourceSpansSlice, rs ptrace.ResourceSpans) []ptrace.ResourceSpans {
	owner := spanOwners(rs)
	parts := map[proxyKey]*spansOfProxy{}
	var split []ptrace.ResourceSpans
	for i, ss := range rs.ScopeSpans().All() {
		ss.Spans().RemoveIf(func(span ptrace.Span) bool {
			key := proxyKeyOf(span.Attributes())
			if key.nodeID == "" {
				key = owner[span.ParentSpanID()]
			}
			part := parts[key]
			if key.nodeID == "" || (part == nil && len(parts) >= maxProxies) {
				return false
			}
			if part == nil {
				part = &spansOfProxy{resource: all.AppendEmpty(), from: -1}
				rs.Resource().CopyTo(part.resource.Resource())
				part.resource.SetSchemaUrl(rs.SchemaUrl())
				parts[key], split = part, append(split, part.resource)
			}
			if part.from != i {
				part.scope, part.from = part.resource.ScopeSpans().AppendEmpty(), i
				ss.Scope().CopyTo(part.scope.Scope())
				part.scope.SetSchemaUrl(ss.SchemaUrl())
			}
			span.MoveTo(part.scope.Spans().AppendEmpty())
			return true
		})
	}
	removeEmptySpans(rs)
	return split
}

// spanOwners returns the proxy of each span that names one. Zipkin lets two proxies share a span id; such a span has no
// owner.
func spanOwners(rs ptrace.ResourceSpans) map[pcommon.SpanID]proxyKey {
	owner := map[pcommon.SpanID]proxyKey{}
	for _, ss := range rs.ScopeSpans().All() {
		for _, span := range ss.Spans().All() {
			key := proxyKeyOf(span.Attributes())
			if key.nodeID == "" || span.SpanID().IsEmpty() {
				continue
			}
			if other, taken := owner[span.SpanID()]; taken && other != key {
				key = proxyKey{}
			}
			owner[span.SpanID()] = key
		}
	}
	return owner
}

func removeEmptySpans(rs ptrace.ResourceSpans) {
	rs.ScopeSpans().RemoveIf(func(ss ptrace.ScopeSpans) bool { return ss.Spans().Len() == 0 })
}

// stampSpans stamps a resource whose spans are all of one reporter.
func (b *batch) stampSpans(rs ptrace.ResourceSpans, res *resourceReading) {
	b.resolveSpans(rs, res)
	stampResource(rs.Resource().Attributes(), &b.reported.near)
	for _, ss := range rs.ScopeSpans().All() {
		proxy := res.proxy || ss.Scope().Name() == "envoy"
		for _, span := range ss.Spans().All() {
			r := &b.read
			*r = reading{}
			r.attributes(span.Attributes())
			if !proxy && !r.proxy {
				continue
			}
			r.settle(kindOf(span.Kind()))
			when := b.when(span.StartTimestamp())
			v := rules.Judge(b.view(when), b.nearAt(when), &r.call)
			b.tally.count(&v)
			stamp(span.Attributes(), &v, &r.call.Stamped)
			stampStale(span.Attributes(), &v, &r.call.Stamped)
		}
	}
}

// resolveSpans resolves who reported the spans, as it was at the start of the first span that names its proxy; without
// one, the resource and the connection tell alone.
func (b *batch) resolveSpans(rs ptrace.ResourceSpans, res *resourceReading) {
	reporter, zone := b.reporter(res), ""
	span, named := firstSpan(rs, !res.shared)
	if named {
		r := &b.read
		*r = reading{}
		r.attributes(span.Attributes())
		reporter, zone = r.reporter(reporter), r.zone
	}
	b.resolve(reporter, b.when(span.StartTimestamp()))
	b.checkLocality(res, zone)
}

// firstSpan returns the first span that names its proxy, if one is wanted and there, else the first span.
func firstSpan(rs ptrace.ResourceSpans, named bool) (first ptrace.Span, names bool) {
	first = noSpan
	for _, ss := range rs.ScopeSpans().All() {
		for _, span := range ss.Spans().All() {
			if named && proxyKeyOf(span.Attributes()).nodeID != "" {
				return span, true
			}
			if first == noSpan {
				first = span
			}
			if !named {
				return first, false
			}
		}
	}
	return first, false
}

// noSpan stands for the first of none. Nobody may change it.
var noSpan = ptrace.NewSpan()

func kindOf(kind ptrace.SpanKind) rules.Kind {
	switch kind {
	case ptrace.SpanKindServer:
		return rules.ServerKind
	case ptrace.SpanKindClient:
		return rules.ClientKind
	default:
		return rules.OtherKind
	}
}
