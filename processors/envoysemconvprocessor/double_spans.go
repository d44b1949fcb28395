// SPDX-License-Identifier: Apache-2.0

package envoysemconvprocessor

import (
	"hash/maphash"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor/internal/pairs"
)

// originalKind is where the kind of a span that became INTERNAL is noted, "client" or "server".
const originalKind = "mesh.span.original_kind"

// doubleSpans finds the ends of calls that two spans tell of, and turns the one that is not preferred into an INTERNAL
// span (docs/adr/007-double-spans.md). Both spans of an end agree on one span id: at the client the sidecar's span is
// the application's child, at the server it is the other way round.
type doubleSpans struct {
	preferProxy bool
	memory      *pairs.Memory
	seed        maphash.Seed
	// now is the time since some moment; it does not run backwards.
	now func() time.Duration
}

// candidate is a span that is not the preferred one.
type candidate struct {
	span ptrace.Span
	key  pairs.Key
}

// newDoubleSpans returns nil if spans are to be kept as they are.
func newDoubleSpans(cfg *DoubleSpansConfig, now func() time.Duration) *doubleSpans {
	if cfg.Policy == doubleKeep {
		return nil
	}
	return &doubleSpans{
		preferProxy: cfg.Policy == doublePreferProxy,
		memory:      pairs.New(cfg.MaxRemembered, cfg.RememberFor),
		seed:        maphash.MakeSeed(),
		now:         now,
	}
}

// see notes a span of a batch; pod is the pod that its resource names. Of the proxies' spans only a sidecar's count: a
// gateway, or a waypoint, is a hop of its own between the two ends. And of two spans whose ids agree, both must be of
// one pod: an application that copies trace headers without tracing makes the span of the next one but one its child.
func (d *doubleSpans) see(n *normalizer, span ptrace.Span, pod string, now time.Duration) {
	isProxy := n.call.IsProxy()
	key, ok := pairKey(span, isProxy)
	if !ok {
		return
	}
	if isProxy {
		if !n.call.IsSidecar() {
			return
		}
		// Several proxies may share a resource.
		if own := n.call.Pod(); own != "" {
			pod = own
		}
	}
	if pod == "" {
		n.tally.doubles[podUnknown]++
		return
	}
	key.Pod = maphash.String(d.seed, pod)
	if isProxy != d.preferProxy {
		n.candidates = append(n.candidates, candidate{span, key})
		return
	}
	if d.memory.Add(key, now) {
		n.tally.forgotten++
	}
}

// podOf returns the name of the pod that a resource is about. The host name is the pod's unless somebody changed it; then
// it is no pod's, and fits none.
func podOf(r pcommon.Resource) string {
	for _, key := range [...]string{"k8s.pod.name", "host.name"} {
		if v, ok := r.Attributes().Get(key); ok && v.Str() != "" {
			return v.Str()
		}
	}
	return ""
}

// settle decides on the batch's candidates, after all of its spans were seen.
func (d *doubleSpans) settle(n *normalizer, now time.Duration) {
	for i := range n.candidates {
		c := &n.candidates[i]
		if !d.memory.Has(c.key, now) {
			n.tally.doubles[otherNotSeen]++
			continue
		}
		attrs := c.span.Attributes()
		if c.key.Role == pairs.Client {
			n.tally.doubles[clientDemoted]++
			attrs.PutStr(originalKind, "client")
		} else {
			n.tally.doubles[serverDemoted]++
			attrs.PutStr(originalKind, "server")
		}
		c.span.SetKind(ptrace.SpanKindInternal)
	}
}

// pairKey returns what a span and the other span of the same end have in common. It reports false for spans that have
// no other: a proxy's CLIENT span and an application's SERVER span need a parent.
func pairKey(span ptrace.Span, isProxy bool) (pairs.Key, bool) {
	key := pairs.Key{Trace: span.TraceID(), Span: span.SpanID()}
	switch span.Kind() {
	case ptrace.SpanKindClient:
		key.Role = pairs.Client
		if isProxy {
			key.Span = span.ParentSpanID()
		}
	case ptrace.SpanKindServer:
		key.Role = pairs.Server
		if !isProxy {
			key.Span = span.ParentSpanID()
		}
	default:
		return pairs.Key{}, false
	}
	return key, key.Span != [8]byte{}
}
