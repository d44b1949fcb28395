// SPDX-License-Identifier: Apache-2.0

//go:build !purego

package meshtopologyprocessor

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/processors/internal/attrs"
)

// linear is a time within which even a slow machine has done what grows with what came; what grows with its square takes
// minutes.
const linear = 10 * time.Second

// TestAttributesThatRepeat: a sender may write the same key as often as fits into a message.
func TestAttributesThatRepeat(t *testing.T) {
	td := ptrace.NewTraces()
	span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.Attributes().PutStr("component", "proxy")
	const times = 400_000
	keys, values := make([]string, times), make([]string, times)
	for i := range keys {
		keys[i] = "mesh.source.zone"
		if i < times/2 {
			keys[i] = "another.attribut" // as long as that one
		}
	}
	attrs.Append(span.Attributes(), keys, values)
	began := time.Now()
	out := passTraces(t, createDefaultConfig().(*Config), td)
	assert.Less(t, time.Since(began), linear)
	left := out.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes()
	_, there := left.Get("mesh.source.zone")
	assert.False(t, there)
	assert.Greater(t, left.Len(), times/2, "what is not ours stays")
}

// TestAttemptsOfALongRequest: many attempts may have one parent, which may be long.
func TestAttemptsOfALongRequest(t *testing.T) {
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	request := spans.AppendEmpty()
	request.SetSpanID(pcommon.SpanID{1})
	request.SetKind(ptrace.SpanKindClient)
	for key, value := range map[string]string{
		"component": "proxy", "node_id": "waypoint~127.1.0.61~waypoint-1.bookinfo~bookinfo.svc.cluster.local",
		"http.url": "http://reviews:9080/", "peer.address": "127.1.0.21",
	} {
		request.Attributes().PutStr(key, value)
	}
	const times = 100_000
	keys, values := make([]string, times), make([]string, times)
	for i := range keys {
		keys[i] = "node_id_"
	}
	attrs.Append(request.Attributes(), keys, values)
	for i := range 20_000 {
		attempt := spans.AppendEmpty()
		attempt.SetSpanID(pcommon.SpanID{2, byte(i), byte(i >> 8)})
		attempt.SetParentSpanID(pcommon.SpanID{1})
		attempt.SetKind(ptrace.SpanKindClient)
		attempt.Attributes().PutStr("component", "proxy")
		attempt.Attributes().PutStr("upstream_cluster", "inbound-vip|9080|http|reviews.bookinfo.svc.cluster.local")
	}
	began := time.Now()
	out := passTraces(t, createDefaultConfig().(*Config), td)
	assert.Less(t, time.Since(began), linear)
	assert.Equal(t, 20_001, out.SpanCount())
}

// TestSplittingALargeResource: the parts are copies of the resource, so the larger it is, the fewer there are.
func TestSplittingALargeResource(t *testing.T) {
	large := strings.Repeat("x", 1<<20)
	nodeOf := func(i int) string {
		return fmt.Sprintf("sidecar~127.1.0.%d~pod-%d.bookinfo~bookinfo.svc.cluster.local", i, i)
	}
	for _, inScope := range []bool{false, true} {
		td, ld := ptrace.NewTraces(), plog.NewLogs()
		rs, rl := td.ResourceSpans().AppendEmpty(), ld.ResourceLogs().AppendEmpty()
		ss, sl := rs.ScopeSpans().AppendEmpty(), rl.ScopeLogs().AppendEmpty()
		if inScope {
			ss.Scope().SetVersion(large)
			sl.Scope().Attributes().PutEmptySlice("a").AppendEmpty().SetStr(large)
		} else {
			rs.Resource().Attributes().PutStr("a", large)
			rl.Resource().Attributes().PutEmptyMap("a").PutEmptyBytes("b").FromRaw([]byte(large))
		}
		for i := range 50 {
			span, record := ss.Spans().AppendEmpty(), sl.LogRecords().AppendEmpty()
			span.Attributes().PutStr("component", "proxy")
			span.Attributes().PutStr("node_id", nodeOf(i))
			record.Attributes().PutStr("upstream_cluster", "inbound|9080||")
			record.Attributes().PutStr("node_id", nodeOf(i))
		}
		spans := passTraces(t, createDefaultConfig().(*Config), td)
		assert.Equal(t, 50, spans.SpanCount())
		assert.LessOrEqual(t, (&ptrace.ProtoMarshaler{}).TracesSize(spans), 10<<20)
		assert.Greater(t, spans.ResourceSpans().Len(), 1)
		records := passLogs(t, createDefaultConfig().(*Config), ld)
		assert.Equal(t, 50, records.LogRecordCount())
		assert.LessOrEqual(t, (&plog.ProtoMarshaler{}).LogsSize(records), 10<<20)
		assert.Greater(t, records.ResourceLogs().Len(), 1)
	}
}
