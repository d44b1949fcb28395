// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"context"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/processors/internal/attrs"
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

// proxyKey tells proxies apart whose spans share a resource.
type proxyKey struct{ nodeID, namespace, cluster string }

// proxyKeyOf returns the proxy that the attributes name, if any. seen is one that is known to be a proxy, so that its id
// need not be parsed again; nil if none is.
func proxyKeyOf(attrs pcommon.Map, seen *proxyKey) (key proxyKey) {
	var other string
	for name, value := range attrs.All() {
		switch name {
		case "node_id":
			key.nodeID = value.Str()
		case "envoy.node.id":
			other = value.Str()
		case "istio.cluster_id":
			key.cluster = value.Str()
		}
	}
	return key.named(other, seen)
}

// named returns the key, with the other id if it has none itself, if that is the id of a proxy.
func (k proxyKey) named(other string, seen *proxyKey) proxyKey {
	if k.nodeID == "" {
		k.nodeID = other
	}
	if k.nodeID == "" || ((seen == nil || k.nodeID != seen.nodeID) && !isNodeID(k.nodeID)) {
		return proxyKey{}
	}
	return k
}

// resourceSpans stamps the spans of one resource, after splitting it if they came from several proxies. It
// reports whether nothing is left of the resource itself.
func (b *batch) resourceSpans(all ptrace.ResourceSpansSlice, rs ptrace.ResourceSpans) (gone bool) {
	res := readResource(rs.Resource().Attributes())
	zone, only := b.resolveSpans(rs, &res)
	done := 0
	if res.reporter.NodeID == "" {
		// Nearly always one proxy reported all of them. So they are stamped up to the first that does not name it, which
		// says nothing of those before it, and only then is the rest looked through.
		if done = b.stampSpans(rs, &res, 0, &only); done < spanCount(rs) && severalSpanProxies(rs) {
			return b.splitResource(all, rs, &res, done)
		}
	}
	b.stampSpans(rs, &res, done, nil)
	b.finishResource(rs, &res, zone)
	return false
}

// splitResource stamps the spans of a resource that came from several proxies, each as one of its proxy's. The first
// ones are stamped already, and all of them are of the first proxy. It reports whether nothing is left of the resource.
func (b *batch) splitResource(all ptrace.ResourceSpansSlice, rs ptrace.ResourceSpans, res *resourceReading, done int) (gone bool) {
	b.tally.splits++
	parts := splitSpans(all, rs)
	if gone = rs.ScopeSpans().Len() == 0; !gone {
		parts = append(parts, rs)
	}
	for i, part := range parts {
		res.shared = !gone && i == len(parts)-1
		zone, _ := b.resolveSpans(part, res)
		b.stampSpans(part, res, done, nil)
		b.finishResource(part, res, zone)
		done = 0
	}
	return gone
}

// finishResource says on the resource who reported its spans.
func (b *batch) finishResource(rs ptrace.ResourceSpans, res *resourceReading, zone string) {
	b.checkLocality(res, zone)
	stampResource(rs.Resource().Attributes(), &b.reported.near)
}

func spanCount(rs ptrace.ResourceSpans) (n int) {
	for _, ss := range rs.ScopeSpans().All() {
		n += ss.Spans().Len()
	}
	return n
}

func severalSpanProxies(rs ptrace.ResourceSpans) bool {
	var seen proxyKey
	for _, ss := range rs.ScopeSpans().All() {
		for _, span := range ss.Spans().All() {
			key := proxyKeyOf(span.Attributes(), &seen)
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
	owner, most := spanOwners(rs), mostParts(spansOriginSize(rs))
	parts := map[proxyKey]*spansOfProxy{}
	var split []ptrace.ResourceSpans
	for i, ss := range rs.ScopeSpans().All() {
		ss.Spans().RemoveIf(func(span ptrace.Span) bool {
			key := proxyKeyOf(span.Attributes(), nil)
			if key.nodeID == "" {
				key = owner[span.ParentSpanID()]
			}
			part := parts[key]
			if key.nodeID == "" || (part == nil && len(parts) >= most) {
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

// spansOriginSize returns how many bytes a copy of all but the spans takes.
func spansOriginSize(rs ptrace.ResourceSpans) int {
	size := attrs.Size(rs.Resource().Attributes()) + len(rs.SchemaUrl())
	for _, ss := range rs.ScopeSpans().All() {
		size += attrs.ScopeSize(ss.Scope()) + len(ss.SchemaUrl())
	}
	return size
}

// spanOwners returns the proxy of each span that names one. Zipkin lets two proxies share a span id; such a span has no
// owner.
func spanOwners(rs ptrace.ResourceSpans) map[pcommon.SpanID]proxyKey {
	owner := map[pcommon.SpanID]proxyKey{}
	for _, ss := range rs.ScopeSpans().All() {
		for _, span := range ss.Spans().All() {
			key := proxyKeyOf(span.Attributes(), nil)
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

// stampSpans stamps spans that are all of one reporter, after the first so many. It ends at the first span that does not
// name the only proxy, unless that is nil, and returns how many spans are before it.
func (b *batch) stampSpans(rs ptrace.ResourceSpans, res *resourceReading, done int, only *proxyKey) (passed int) {
	var parents map[pcommon.SpanID]*parent
	if b.reported.near.Between() {
		if only != nil {
			// What such a span inherits must not come from another proxy's.
			return 0
		}
		parents = parentsOf(rs)
	}
	remembers := parents == nil && b.m.explains == nil
	var what said
	for _, ss := range rs.ScopeSpans().All() {
		proxy := res.proxy || ss.Scope().Name() == "envoy"
		for _, span := range ss.Spans().All() {
			if passed < done {
				passed++
				continue
			}
			attrs, kind, when := span.Attributes(), kindOf(span.Kind()), b.when(span.StartTimestamp())
			if remembers {
				if r := b.memo.spans.find(kind, attrs, &what); r != nil && (proxy || r.proxy) && only.names(r.nodeID, r.tagCluster) && b.repeat(attrs, when, r) {
					passed++
					continue
				}
			}
			var r reading
			r.attributes(attrs)
			if !only.names(r.nodeID, r.tagCluster) {
				return passed
			}
			passed++
			if !proxy && !r.proxy {
				continue
			}
			r.settle(kind)
			if !remembers {
				r.inheritCaller(parents, span)
				b.judge(attrs, when, &r)
				continue
			}
			b.memo.spans.learn(kind, attrs, &what)
			b.memo.spans.keep(&what, &r, b.judge(attrs, when, &r))
		}
	}
	return passed
}

// names says whether the key, unless it is nil, is that of the proxy which these two name.
func (k *proxyKey) names(nodeID, cluster string) bool {
	return k == nil || (k.nodeID != "" && k.nodeID == nodeID && k.cluster == cluster)
}

// resolveSpans resolves who reported the spans, as it was at the start of the first span that names its proxy; without
// one, the resource and the connection tell alone. It returns the zone that the proxy says it is in, and the proxy if a
// span names one.
func (b *batch) resolveSpans(rs ptrace.ResourceSpans, res *resourceReading) (zone string, proxy proxyKey) {
	reporter := b.reporter(res)
	span, proxy := firstSpan(rs, !res.shared)
	if proxy.nodeID != "" {
		var r reading
		r.attributes(span.Attributes())
		reporter, zone = r.reporter(reporter), r.zone
	} else if cluster, ok := soleCluster(rs); ok && !res.shared {
		// With its new names alone, Envoy writes no node id; Istio's tags still tell the cluster.
		reporter.TagCluster = cluster
	}
	b.resolve(reporter, b.when(span.StartTimestamp()))
	return zone, proxy
}

// soleCluster returns the istio.cluster_id that all spans which have one agree on.
func soleCluster(rs ptrace.ResourceSpans) (cluster string, ok bool) {
	for _, ss := range rs.ScopeSpans().All() {
		for _, span := range ss.Spans().All() {
			id, tagged := span.Attributes().Get("istio.cluster_id")
			switch {
			case !tagged || id.Str() == cluster:
			case cluster != "":
				return "", false
			default:
				cluster = id.Str()
			}
		}
	}
	return cluster, cluster != ""
}

// firstSpan returns the first span that names its proxy, and the proxy, if one is wanted and there, else the first span.
func firstSpan(rs ptrace.ResourceSpans, named bool) (first ptrace.Span, proxy proxyKey) {
	first = noSpan
	for _, ss := range rs.ScopeSpans().All() {
		for _, span := range ss.Spans().All() {
			if named {
				if proxy = proxyKeyOf(span.Attributes(), nil); proxy.nodeID != "" {
					return span, proxy
				}
			}
			if first == noSpan {
				first = span
			}
			if !named {
				return first, proxyKey{}
			}
		}
	}
	return first, proxyKey{}
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
