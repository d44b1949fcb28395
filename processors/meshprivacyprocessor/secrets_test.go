// SPDX-License-Identifier: Apache-2.0

package meshprivacyprocessor

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshprivacyprocessor/internal/metadatatest"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshprivacyprocessor/privacytest"
)

// TestNoSeededSecretLeaves: issue 6, 10 000 seeded secrets in every place of every signal, none of them leaves, and every
// topology field leaves as it came, in each mode.
func TestNoSeededSecretLeaves(t *testing.T) {
	for _, mode := range []Mode{Mask, Remove, Hash} {
		t.Run(string(mode), func(t *testing.T) {
			cfg := createDefaultConfig().(*Config)
			if cfg.Mode = mode; mode == Hash {
				cfg.HashKey = "0123456789abcdef"
			}
			c := privacytest.New(20261123)
			td, ld, md := c.Traces(), c.Logs(), c.Metrics()
			require.Greater(t, c.Secrets(), 10_000)
			p, err := newMeshPrivacy(metadatatest.NewSettings(componenttest.NewTelemetry()), cfg)
			require.NoError(t, err)
			for range 2 {
				_, _ = p.processTraces(context.Background(), td)
				_, _ = p.processLogs(context.Background(), ld)
				_, _ = p.processMetrics(context.Background(), md)
				assertNothingLeft(t, c, td, ld, md)
			}
		})
	}
}

func assertNothingLeft(t *testing.T, c *privacytest.Corpus, td ptrace.Traces, ld plog.Logs, md pmetric.Metrics) {
	t.Helper()
	spans, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	records, err := (&plog.ProtoMarshaler{}).MarshalLogs(ld)
	require.NoError(t, err)
	points, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(md)
	require.NoError(t, err)
	for signal, wire := range map[string][]byte{"traces": spans, "logs": records, "metrics": points} {
		leaks := c.Leaks(string(wire))
		if !assert.Empty(t, len(leaks), signal) {
			for _, leak := range leaks[:min(len(leaks), 12)] {
				at := strings.Index(string(wire), leak)
				t.Logf("%s: %q", leak, wire[max(0, at-120):min(len(wire), at+len(leak)+60)])
			}
		}
	}
	for _, rs := range td.ResourceSpans().All() {
		assertFields(t, rs.Resource().Attributes(), privacytest.ResourceFields)
		for _, span := range rs.ScopeSpans().At(0).Spans().All() {
			assertFields(t, span.Attributes(), privacytest.TopologyFields)
		}
	}
	for _, rl := range ld.ResourceLogs().All() {
		assertFields(t, rl.Resource().Attributes(), privacytest.ResourceFields)
		for _, record := range rl.ScopeLogs().At(0).LogRecords().All() {
			assertFields(t, record.Attributes(), privacytest.TopologyFields)
			if body := record.Body().AsString(); strings.HasPrefix(body, "[2026") {
				assert.True(t, strings.HasSuffix(body, privacytest.EnvoyTail), body)
			}
		}
	}
	for _, rm := range md.ResourceMetrics().All() {
		assertFields(t, rm.Resource().Attributes(), privacytest.ResourceFields)
		assertFields(t, rm.ScopeMetrics().At(0).Metrics().At(0).Gauge().DataPoints().At(0).Attributes(), privacytest.TopologyFields)
	}
}

func assertFields(t *testing.T, attrs pcommon.Map, fields [][2]string) {
	t.Helper()
	for _, kv := range fields {
		if value, ok := attrs.Get(kv[0]); !ok || value.Type() != pcommon.ValueTypeStr || value.Str() != kv[1] {
			assert.Fail(t, "a topology field changed", "%s: %q became %v", kv[0], kv[1], value)
		}
	}
}

// TestWhatUpstreamLeaves measures which places upstream's redaction processor cannot reach, told the same as well as its
// configuration allows. It documents the reason for this processor, and fails when upstream learns.
func TestWhatUpstreamLeaves(t *testing.T) {
	const secret = "https://user:pw@host/p?token=Z9abcdefghijkl"
	for _, allTypes := range []bool{false, true} {
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		ss := rs.ScopeSpans().AppendEmpty()
		span := ss.Spans().AppendEmpty()
		ss.SetSchemaUrl(secret + "-schema")
		ss.Scope().SetName(secret + "-scope")
		span.SetName(secret + "-name")
		span.Status().SetMessage(secret + "-status")
		span.TraceState().FromRaw("t=" + secret + "-state")
		span.Events().AppendEmpty().SetName(secret + "-event")
		span.Links().AppendEmpty().Attributes().PutStr("a", secret+"-link")
		span.Attributes().PutEmptySlice("list").AppendEmpty().SetStr(secret + "-list")
		span.Attributes().PutEmptyMap("map").PutStr("m", secret+"-map")
		span.Attributes().PutStr("text", secret+"-text")
		sink := &consumertest.TracesSink{}
		upstreamTraces(t, allTypes, sink)(td)
		wire, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(sink.AllTraces()[0])
		require.NoError(t, err)
		var left []string
		for _, place := range []string{"schema", "scope", "name", "status", "state", "event", "link", "list", "map", "text"} {
			if strings.Contains(string(wire), "Z9abcdefghijkl-"+place) {
				left = append(left, place)
			}
		}
		want := []string{"schema", "scope", "name", "status", "state", "event", "link"}
		if !allTypes {
			want = append(want, "list", "map")
		} else {
			list, _ := span.Attributes().Get("list")
			assert.Equal(t, pcommon.ValueTypeStr, list.Type(), "an array becomes a text")
		}
		assert.Equal(t, want, left)
	}
}
