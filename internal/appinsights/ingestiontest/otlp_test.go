// SPDX-License-Identifier: Apache-2.0

package ingestiontest

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

const otlpBase = "/datacollectionRules/dcr-1/streams/Microsoft-OTLP-Traces/otlp/v1/"

func otlpTraces(t *testing.T, ids ...byte) []byte {
	t.Helper()
	td := ptrace.NewTraces()
	list := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for _, id := range ids {
		span := list.AppendEmpty()
		span.SetTraceID(pcommon.TraceID{1})
		span.SetSpanID(pcommon.SpanID{id})
	}
	body, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	require.NoError(t, err)
	return body
}

func postOTLP(t *testing.T, s *Server, signal string, body []byte, headers ...string) reply {
	t.Helper()
	got, err := do(t.Context(), t, http.MethodPost, s.URL()+otlpBase+signal, body, append([]string{"Content-Type", protobufType}, headers...)...)
	require.NoError(t, err)
	return got
}

func TestOTLPSignals(t *testing.T) {
	s := Start(t, testConfig())
	got := postOTLP(t, s, SignalTraces, otlpTraces(t, 1, 2))
	assert.Equal(t, http.StatusOK, got.status)
	assert.Empty(t, got.body)
	assert.Equal(t, http.StatusOK, postOTLP(t, s, SignalTraces, zip(t, otlpTraces(t, 2, 3)), "Content-Encoding", "gzip").status)

	ld := plog.NewLogs()
	ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr("hello")
	body, err := plogotlp.NewExportRequestFromLogs(ld).MarshalProto()
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, postOTLP(t, s, SignalLogs, body).status)

	md := pmetric.NewMetrics()
	list := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics()
	sum := list.AppendEmpty().SetEmptySum()
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	sum.DataPoints().AppendEmpty()
	histogram := list.AppendEmpty().SetEmptyHistogram()
	histogram.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	histogram.DataPoints().AppendEmpty()
	exponential := list.AppendEmpty().SetEmptyExponentialHistogram()
	exponential.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	exponential.DataPoints().AppendEmpty()
	body, err = pmetricotlp.NewExportRequestFromMetrics(md).MarshalProto()
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, postOTLP(t, s, SignalMetrics, body).status)

	assert.Equal(t, OTLPSummary{
		Requests: map[string]uint64{"200": 4},
		Items:    map[string]uint64{SignalTraces: 4, SignalLogs: 1, SignalMetrics: 3}, Duplicates: 1,
		NotDelta: 1, NotExponential: 1,
	}, s.OTLPSummary())
	requests := s.OTLPRequests()
	require.Len(t, requests, 4)
	assert.Equal(t, "dcr-1", requests[1].Rule)
	assert.Equal(t, "Microsoft-OTLP-Traces", requests[1].Stream)
	assert.Equal(t, "gzip", requests[1].Encoding)
	assert.Equal(t, "hello", requests[2].Logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Body().Str())
}

func TestOTLPRefuses(t *testing.T) {
	cfg := testConfig()
	cfg.OTLP = OTLP{Gzip: GzipRefuse, MaxBodyBytes: 100, Rules: []string{"dcr-1"}, Streams: []string{"Microsoft-OTLP-Traces"}}
	cfg.Auth = Auth{Mode: AuthRequire, Tokens: []string{"good"}}
	s := Start(t, cfg)
	body := otlpTraces(t, 1)
	good := []string{"Authorization", "Bearer good"}
	assert.Equal(t, 415, postOTLP(t, s, SignalTraces, []byte(`{}`), append(good, "Content-Type", "application/json")...).status, "JSON")
	assert.Equal(t, 415, postOTLP(t, s, SignalTraces, zip(t, body), append(good, "Content-Encoding", "gzip")...).status, "gzip")
	assert.Equal(t, 413, postOTLP(t, s, SignalTraces, make([]byte, 101), good...).status)
	assert.Equal(t, 400, postOTLP(t, s, SignalTraces, []byte("\xff\xff"), good...).status)
	assert.Equal(t, 401, postOTLP(t, s, SignalTraces, body).status)
	assert.Equal(t, 403, postOTLP(t, s, SignalTraces, body, "Authorization", "Bearer bad").status)
	for _, path := range []string{"/datacollectionRules/dcr-2/streams/Microsoft-OTLP-Traces/otlp/v1/traces", "/datacollectionRules/dcr-1/streams/other/otlp/v1/traces"} {
		got, err := do(t.Context(), t, http.MethodPost, s.URL()+path, body, append(good, "Content-Type", protobufType)...)
		require.NoError(t, err)
		assert.Equal(t, 404, got.status, path)
	}
	got, err := do(t.Context(), t, http.MethodGet, s.URL()+otlpBase+SignalTraces, nil)
	require.NoError(t, err)
	assert.Equal(t, 405, got.status)
	assert.Empty(t, s.OTLPRequests())
	assert.Equal(t, 200, postOTLP(t, s, SignalTraces, body, good...).status)
	assert.Equal(t, map[string]uint64{"200": 1, "400": 1, "401": 1, "403": 1, "404": 2, "413": 1, "415": 2}, s.OTLPSummary().Requests)
	assert.True(t, s.OTLPRequests()[0].Authorized)

	_, err = New(Config{OTLP: OTLP{Gzip: "no"}})
	require.ErrorContains(t, err, "write take or refuse")
}

func TestOTLPFaults(t *testing.T) {
	cfg := testConfig()
	cfg.MaxRequests = 1
	s := Start(t, cfg)
	require.NoError(t, s.Fault(
		Fault{Kind: FaultStatus, Status: 429, RetryAfter: 3 * time.Second},
		Fault{Kind: FaultClose, Store: true},
	))
	got := postOTLP(t, s, SignalTraces, otlpTraces(t, 1))
	assert.Equal(t, 429, got.status)
	assert.Equal(t, "3", got.header.Get("Retry-After"))
	_, err := do(t.Context(), t, http.MethodPost, s.URL()+otlpBase+SignalTraces, otlpTraces(t, 1), "Content-Type", protobufType)
	require.Error(t, err)
	assert.Equal(t, 200, postOTLP(t, s, SignalTraces, otlpTraces(t, 1)).status)
	sum := s.OTLPSummary()
	assert.Equal(t, uint64(2), sum.Items[SignalTraces])
	assert.Equal(t, uint64(1), sum.Duplicates)
	assert.Equal(t, uint64(1), sum.Evicted)
	assert.Equal(t, map[string]uint64{"0": 1, "200": 1, "429": 1}, sum.Requests)
}

// FuzzOTLPPath feeds any path: what is taken for one of native OTLP ingestion has all of its parts.
func FuzzOTLPPath(f *testing.F) {
	f.Add(otlpBase + SignalTraces)
	f.Add("//datacollectionrules/a/streams/b/otlp/v1/logs")
	f.Add("/datacollectionRules//streams//otlp/v1/metrics")
	f.Add("/v2.1/track")
	f.Fuzz(func(t *testing.T, path string) {
		got, ok := otlpSignal(path)
		assert.Equal(t, ok, got.rule != "" && got.stream != "" && got.signal != "", path)
	})
}
