// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

func oneSpan() (ptrace.Traces, ptrace.Span) {
	td := ptrace.NewTraces()
	return td, td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
}

// TestMapperByManyAtOnce runs one mapper from several goroutines; with -race it shows what they share.
func TestMapperByManyAtOnce(t *testing.T) {
	m, _ := newTestMapper(t, DefaultSettings())
	m.observer = nil
	td := manySpans(t, 20)
	want := &items.Batch{}
	m.Traces(td, want)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 20 {
				got := &items.Batch{}
				m.Traces(td, got)
				if assert.Equal(t, want.Len(), got.Len()) {
					assert.Equal(t, string(want.Item(7).JSON), string(got.Item(7).JSON))
				}
			}
		})
	}
	group.Wait()
}

// TestObserverIsTold holds that nothing is left out silently.
func TestObserverIsTold(t *testing.T) {
	td, span := oneSpan()
	resource := td.ResourceSpans().At(0).Resource().Attributes()
	resource.PutStr("process.pid", "7")
	resource.PutStr("mesh.note", strings.Repeat("x", ai.MaxPropertyValueLength+1))
	scope := td.ResourceSpans().At(0).ScopeSpans().At(0).Scope().Attributes()
	scope.PutStr("scoped", "x")
	scope.PutStr("mesh.note", strings.Repeat("x", ai.MaxPropertyValueLength+1))
	// What the scope and the resource before the last one had counts too.
	td.ResourceSpans().At(0).CopyTo(td.ResourceSpans().AppendEmpty())
	td.ResourceSpans().At(0).ScopeSpans().At(0).CopyTo(td.ResourceSpans().At(0).ScopeSpans().AppendEmpty())
	td.ResourceSpans().At(0).ScopeSpans().At(1).Spans().RemoveIf(func(ptrace.Span) bool { return true })
	td.ResourceSpans().At(1).ScopeSpans().At(0).Spans().RemoveIf(func(ptrace.Span) bool { return true })
	span.SetName(strings.Repeat("n", ai.MaxNameLength+1))
	span.Attributes().PutStr("not listed", "x")
	span.Attributes().PutStr("", "no name")
	for range maxEvents + 3 {
		span.Events().AppendEmpty().SetName("e")
	}
	for range maxLinks + 1 {
		span.Links().AppendEmpty()
	}
	m, seen := newTestMapper(t, DefaultSettings())
	batch := &items.Batch{}
	m.Traces(td, batch)
	assert.Equal(t, 1+maxEvents, batch.Len())
	assert.Equal(t, 1, batch.Sources())
	assert.Equal(t, counts{textsTrimmed: 7, attributesDropped: 7, eventsDropped: 3}, seen.counts)
}

// TestHostileSpans: whatever a span holds, it becomes an item, in time.
func TestHostileSpans(t *testing.T) {
	s := DefaultSettings()
	s.Attributes = []string{"*"}
	for name, fill := range map[string]func(pcommon.Map){
		"deep": func(m pcommon.Map) {
			for range 500 {
				m = m.PutEmptyMap("m")
			}
		},
		"wide": func(m pcommon.Map) {
			list := m.PutEmptySlice("list")
			for range 200_000 {
				list.AppendEmpty().SetStr("http://u:p@h/?a=b")
			}
		},
		"many": func(m pcommon.Map) {
			for i := range 5_000 {
				m.PutStr(strings.Repeat("k", i%200)+string(rune('a'+i)), "v")
			}
		},
		"long": func(m pcommon.Map) {
			for _, key := range []string{"http.request.method", "url.full", "http.route", "mesh.destination.service", "error.type", "x", "y", "z"} {
				m.PutStr(key, strings.Repeat("\"\n\x00é😀", 1_000_000))
			}
		},
		"URLs": func(m pcommon.Map) {
			m.PutStr("x", strings.Repeat("a://b:c@d?sig=e&", 100_000))
		},
	} {
		t.Run(name, func(t *testing.T) {
			td, span := oneSpan()
			fill(span.Attributes())
			fill(td.ResourceSpans().At(0).Resource().Attributes())
			span.SetKind(ptrace.SpanKindClient)
			m, _ := newTestMapper(t, s)
			batch := &items.Batch{}
			m.Traces(td, batch)
			require.Equal(t, 1, batch.Len())
			acceptAll(t, batch)
		})
	}
}

// TestTheSpanWins: of a property that resource, scope and span have, that of the span counts, then that of the scope.
func TestTheSpanWins(t *testing.T) {
	td, span := oneSpan()
	resource, scope := td.ResourceSpans().At(0).Resource().Attributes(), td.ResourceSpans().At(0).ScopeSpans().At(0).Scope().Attributes()
	for _, m := range []pcommon.Map{resource, scope, span.Attributes()} {
		m.PutStr("mesh.a", "span")
	}
	resource.PutStr("mesh.b", "resource")
	scope.PutStr("mesh.b", "scope")
	resource.PutStr("mesh.c", "resource")
	scope.PutStr("mesh.a", "scope")
	resource.PutStr("mesh.a", "resource")
	want := map[string]string{"mesh.a": "span", "mesh.b": "scope", "mesh.c": "resource"}
	assert.Equal(t, want, mapTraces(t, DefaultSettings(), td)[0].Properties)
}

// TestResourcesDoNotMix: what one resource has is not on the items of the next.
func TestResourcesDoNotMix(t *testing.T) {
	td, _ := oneSpan()
	first := td.ResourceSpans().At(0)
	first.Resource().Attributes().PutStr("service.name", "a")
	first.Resource().Attributes().PutStr("cloud.region", "r")
	first.ScopeSpans().At(0).Scope().Attributes().PutStr("mesh.scope", "s")
	td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	got := mapTraces(t, DefaultSettings(), td)
	assert.Equal(t, map[string]string{"cloud.region": "r", "mesh.scope": "s"}, got[0].Properties)
	assert.Empty(t, got[1].Properties)
	assert.Equal(t, UnknownRole, got[1].Tags[ai.TagCloudRole])
	assert.NotContains(t, got[1].Tags, ai.TagCloudLocation)
}

// TestStepsOfASidecarKeepTheirEnd: a sidecar's SERVER span that envoy_semconv made INTERNAL is judged as a server's.
func TestStepsOfASidecarKeepTheirEnd(t *testing.T) {
	attributes := map[string]any{"http.request.method": "GET", "http.response.status_code": 404}
	assert.False(t, mapOne(t, DefaultSettings(), ptrace.SpanKindInternal, attributes, unset).Success)
	attributes["mesh.span.original_kind"] = "server"
	assert.True(t, mapOne(t, DefaultSettings(), ptrace.SpanKindInternal, attributes, unset).Success)
}
