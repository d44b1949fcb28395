// SPDX-License-Identifier: Apache-2.0

package ingestiontest_test

import (
	"context"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/azuremonitorexporter"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// The upstream exporter is the yardstick: what it sends in a plain setup, the
// real service accepts, so this endpoint must as well.
func TestUpstreamExporter(t *testing.T) {
	server := ingestiontest.Start(t, ingestiontest.Config{
		InstrumentationKeys: []string{ingestiontest.DefaultInstrumentationKey},
	})
	stop := send(t, server.ConnectionString())

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(t, server.Wait(ctx, func() bool { return server.Summary().Accepted >= 4 }))
	stop()
	sum := server.Summary()
	assert.Equal(t, map[string]uint64{"Request": 1, "Dependency": 1, "Message": 1, "Metric": 1}, sum.ByType)
	assert.Zero(t, sum.Rejected, sum.RejectedBy)
	assert.Equal(t, []ingestiontest.Edge{{
		SourceRole: "bookinfo.reviews", SourceRegion: "westeurope",
		DestinationRole: "bookinfo.reviews", DestinationRegion: "westeurope", Calls: 1,
	}}, sum.Edges)

	request := server.Items(ingestiontest.Filter{Type: "Request", Role: "bookinfo.reviews", Region: "westeurope"})
	require.Len(t, request, 1)
	assert.Equal(t, "01020300000000000000000000000000", request[0].OperationID)
	assert.Equal(t, "0a00000000000000", request[0].ParentID)
	assert.Equal(t, "0b00000000000000", request[0].ID)
	assert.Equal(t, "GET /reviews", request[0].Name)
	assert.Equal(t, "200", request[0].ResultCode)
	assert.Equal(t, appinsights.Duration(250*time.Millisecond), request[0].Envelope.Data.BaseData.(*appinsights.RequestData).Duration)

	message := server.Items(ingestiontest.Filter{Type: "Message"})
	require.Len(t, message, 1)
	assert.Equal(t, "hello", message[0].Name)
	assert.Equal(t, appinsights.Warning, *message[0].Envelope.Data.BaseData.(*appinsights.MessageData).SeverityLevel)

	metric := server.Items(ingestiontest.Filter{Type: "Metric", Name: "istio_requests_total"})
	require.Len(t, metric, 1)
	points := metric[0].Envelope.Data.BaseData.(*appinsights.MetricData).Metrics
	require.Len(t, points, 1)
	assert.InDelta(t, 42, points[0].Value, 0)

	for _, r := range server.Requests() {
		assert.Equal(t, appinsights.TrackPath, r.Path)
		assert.Equal(t, "gzip", r.ContentEncoding)
		assert.Equal(t, appinsights.ContentTypeLines, r.ContentType)
	}
}

// send sends a trace of two spans, a log record and a metric. It returns what
// stops the exporters. They share one client, which the first one to stop
// closes while the queues of the others may still write to it, and then the
// process panics: stop them only when all has arrived.
func send(t *testing.T, connection string) (stop func()) {
	t.Helper()
	factory := azuremonitorexporter.NewFactory()
	cfg := factory.CreateDefaultConfig().(*azuremonitorexporter.Config)
	cfg.ConnectionString = configopaque.String(connection)
	cfg.ClientConfig.DisableKeepAlives = true //nolint:staticcheck // its successor is read from YAML only
	settings := exportertest.NewNopSettings(factory.Type())
	ctx := t.Context()

	traces, err := factory.CreateTraces(ctx, settings, cfg)
	require.NoError(t, err)
	logs, err := factory.CreateLogs(ctx, settings, cfg)
	require.NoError(t, err)
	metrics, err := factory.CreateMetrics(ctx, settings, cfg)
	require.NoError(t, err)
	host := componenttest.NewNopHost()
	require.NoError(t, traces.Start(ctx, host))
	require.NoError(t, logs.Start(ctx, host))
	require.NoError(t, metrics.Start(ctx, host))
	require.NoError(t, traces.ConsumeTraces(ctx, newTraces()))
	require.NoError(t, logs.ConsumeLogs(ctx, newLogs()))
	require.NoError(t, metrics.ConsumeMetrics(ctx, newMetrics()))
	return func() {
		require.NoError(t, traces.Shutdown(ctx))
		require.NoError(t, logs.Shutdown(ctx))
		require.NoError(t, metrics.Shutdown(ctx))
	}
}

func fillResource(r pcommon.Resource) {
	r.Attributes().PutStr("service.name", "reviews")
	r.Attributes().PutStr("service.namespace", "bookinfo")
	r.Attributes().PutStr("cloud.region", "westeurope")
}

func newTraces() ptrace.Traces {
	traces := ptrace.NewTraces()
	rs := traces.ResourceSpans().AppendEmpty()
	fillResource(rs.Resource())
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	start := time.Now().Add(-time.Second)
	add := func(kind ptrace.SpanKind, name string, id, parent byte) ptrace.Span {
		span := spans.AppendEmpty()
		span.SetTraceID(pcommon.TraceID{1, 2, 3})
		span.SetSpanID(pcommon.SpanID{id})
		span.SetParentSpanID(pcommon.SpanID{parent})
		span.SetKind(kind)
		span.SetName(name)
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(start.Add(250 * time.Millisecond)))
		span.Attributes().PutStr("http.request.method", "GET")
		span.Attributes().PutInt("http.response.status_code", 200)
		return span
	}
	add(ptrace.SpanKindClient, "GET", 0x0a, 0)
	add(ptrace.SpanKindServer, "GET", 0x0b, 0x0a).Attributes().PutStr("http.route", "/reviews")
	return traces
}

func newLogs() plog.Logs {
	logs := plog.NewLogs()
	rl := logs.ResourceLogs().AppendEmpty()
	fillResource(rl.Resource())
	record := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	record.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	record.SetSeverityNumber(plog.SeverityNumberWarn)
	record.Body().SetStr("hello")
	return logs
}

func newMetrics() pmetric.Metrics {
	metrics := pmetric.NewMetrics()
	rm := metrics.ResourceMetrics().AppendEmpty()
	fillResource(rm.Resource())
	metric := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName("istio_requests_total")
	point := metric.SetEmptySum().DataPoints().AppendEmpty()
	point.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	point.SetIntValue(42)
	return metrics
}
