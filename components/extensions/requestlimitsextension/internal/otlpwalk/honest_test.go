// SPDX-License-Identifier: Apache-2.0

package otlpwalk

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

const benchmarkItems = 1000

// honest are requests like those of a proxy: short attributes, one resource; the metrics are the smallest points there are.
func honest(tb testing.TB) map[Signal][]byte {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "reviews.default")
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	ld := plog.NewLogs()
	logs := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	md := pmetric.NewMetrics()
	m := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("queue.length")
	points := m.SetEmptyGauge().DataPoints()
	for i := range benchmarkItems {
		s := spans.AppendEmpty()
		s.SetTraceID(pcommon.TraceID{1, 2, 3, byte(i)})
		s.SetSpanID(pcommon.SpanID{4, byte(i)})
		s.SetParentSpanID(pcommon.SpanID{5})
		s.SetName("reviews.default.svc.cluster.local:9080/*")
		s.SetKind(ptrace.SpanKindServer)
		s.SetStartTimestamp(1_700_000_000_000_000_000)
		s.SetEndTimestamp(1_700_000_000_100_000_000)
		for j := range 8 {
			s.Attributes().PutStr(fmt.Sprintf("http.attribute.%d", j), "some-value-of-it")
		}
		l := logs.AppendEmpty()
		l.SetTimestamp(1_700_000_000_000_000_000)
		l.Body().SetStr("[2026-01-01T00:00:00.000Z] \"GET /reviews/0 HTTP/1.1\" 200 - via_upstream")
		l.Attributes().PutInt("status", 200)
		p := points.AppendEmpty()
		p.SetTimestamp(1_700_000_000_000_000_000)
		p.SetIntValue(int64(i))
		p.Attributes().PutStr("queue", "a")
	}
	bodies := make(map[Signal][]byte)
	for signal, r := range map[Signal]request{
		Traces: ptraceotlp.NewExportRequestFromTraces(td), Logs: plogotlp.NewExportRequestFromLogs(ld),
		Metrics: pmetricotlp.NewExportRequestFromMetrics(md),
	} {
		body, err := r.MarshalProto()
		require.NoError(tb, err)
		bodies[signal] = body
	}
	return bodies
}
