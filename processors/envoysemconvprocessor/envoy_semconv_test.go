// SPDX-License-Identifier: Apache-2.0

package envoysemconvprocessor

import (
	"path/filepath"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor/internal/metadatatest"
)

func TestStatusThatIsSetStays(t *testing.T) {
	for _, code := range []ptrace.StatusCode{ptrace.StatusCodeOk, ptrace.StatusCodeError} {
		td := proxySpan(map[string]any{"component": "proxy", "http.status_code": "503"})
		spanOf(td).Status().SetCode(code)
		spanOf(td).Status().SetMessage("by somebody else")
		got := spanOf(runTraces(t, componenttest.NewTelemetry(), createDefaultConfig(), td)).Status()
		assert.Equal(t, code, got.Code())
		assert.Equal(t, "by somebody else", got.Message())
	}
}

// Values that Envoy never sends must not be lost with the attribute's old name.
func TestBadTypeStays(t *testing.T) {
	td := proxySpan(map[string]any{
		"component": "proxy", "user_agent": []any{"a", "b"}, "http.method": map[string]any{"a": "b"}, "error": true,
		"http.status_code": 503, "request_size": 1.0,
	})
	got := spanOf(runTraces(t, componenttest.NewTelemetry(), createDefaultConfig(), td))
	assert.Equal(t, map[string]any{
		"user_agent": []any{"a", "b"}, "http.method": map[string]any{"a": "b"}, "http.response.status_code": int64(503),
		"http.request.body.size": int64(1), "error.type": "503",
	}, got.Attributes().AsRaw())
}

func TestSpanTelemetry(t *testing.T) {
	tel := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(t.Context())) }()
	all := ptrace.NewTraces()
	for _, name := range []string{"kiali_bookinfo", "new_encoding", "both_encodings", "unparsable", "not_envoy"} {
		td, err := golden.ReadTraces(filepath.Join("testdata", name, "input.yaml"))
		require.NoError(t, err)
		td.ResourceSpans().MoveAndAppendTo(all.ResourceSpans())
	}
	envoyOnly := all.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().Attributes()
	envoyOnly.PutStr("component", "proxy")
	runTraces(t, tel, createDefaultConfig(), all)

	metadatatest.AssertEqualProcessorEnvoySemconvNormalizedSpans(t, tel, []metricdata.DataPoint[int64]{
		point("encoding", "legacy", 11), // 8 of Kiali's, 3 unparsable
		point("encoding", "new", 3),
		point("encoding", "both", 3),
		point("encoding", "none", 1),
	}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualProcessorEnvoySemconvUnparsedAttributes(t, tel, []metricdata.DataPoint[int64]{
		point("reason", "not_a_number", 3),
		point("reason", "out_of_range", 3),
		point("reason", "unknown_protocol", 1),
		point("reason", "bad_url", 1),
		point("reason", "bad_type", 1),
	}, metricdatatest.IgnoreTimestamp())
	// Method, status code and URL of one span; the peer and the method of another.
	metadatatest.AssertEqualProcessorEnvoySemconvConflictingAttributes(t, tel,
		[]metricdata.DataPoint[int64]{{Value: 5}}, metricdatatest.IgnoreTimestamp())
}

func TestLogTelemetry(t *testing.T) {
	tel := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(t.Context())) }()
	ld, err := golden.ReadLogs(filepath.Join("testdata", "logs_istio", "input.yaml"))
	require.NoError(t, err)
	runLogs(t, tel, createDefaultConfig(), ld)

	metadatatest.AssertEqualProcessorEnvoySemconvNormalizedLogRecords(t, tel, []metricdata.DataPoint[int64]{
		point("encoding", "legacy", 4),
	}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualProcessorEnvoySemconvUnparsedAttributes(t, tel, []metricdata.DataPoint[int64]{
		point("reason", "not_a_number", 1),
		point("reason", "out_of_range", 1),
	}, metricdatatest.IgnoreTimestamp())
}

func point(key, value string, n int64) metricdata.DataPoint[int64] {
	return metricdata.DataPoint[int64]{Value: n, Attributes: attribute.NewSet(attribute.String(key, value))}
}

// proxySpan returns one SERVER span with the attributes.
func proxySpan(attrs map[string]any) ptrace.Traces {
	td := ptrace.NewTraces()
	span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetKind(ptrace.SpanKindServer)
	if err := span.Attributes().FromRaw(attrs); err != nil {
		panic(err)
	}
	return td
}

func spanOf(td ptrace.Traces) ptrace.Span {
	return td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
}

// clone returns a copy of attributes.
func clone(attrs pcommon.Map) pcommon.Map {
	m := pcommon.NewMap()
	attrs.CopyTo(m)
	return m
}
