// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// TestSampleRateIsNotMadeUp: whoever calls from outside can send a trace state, so one that contradicts the specification,
// or the trace itself, tells nothing, and one span never stands for more than the service can count.
func TestSampleRateIsNotMadeUp(t *testing.T) {
	kept, rejected := pcommon.TraceID{9: 0x80, 15: 1}, pcommon.TraceID{9: 0x7f, 15: 1}
	for _, tc := range []struct {
		why, state string
		trace      pcommon.TraceID
		want       float64
	}{
		{"the trace id is above the threshold", "ot=th:8", kept, 50},
		{"it is below, so nobody sampled by that threshold", "ot=th:8", rejected, 100},
		{"an explicit randomness counts instead", "ot=th:8;rv:80000000000000", rejected, 50},
		{"in any order", "ot=rv:7fffffffffffff;th:8", kept, 100},
		{"one that cannot be read is none", "ot=rv:8;th:8", kept, 50},
		{"no trace id", "ot=th:8", pcommon.TraceID{}, 50},
		{"upper case is not allowed", "ot=th:C", kept, 100},
		{"one in 2^56, a trace that lies there", "ot=th:ffffffffffffff;rv:ffffffffffffff", kept, 100},
		{"one in 2^31", "ot=p:31", kept, 100},
		{"one in 2^30", "ot=p:30", kept, 100.0 / (1 << 30)},
	} {
		w := walkWith(t, DefaultSettings(), nil)
		assert.InDelta(t, tc.want, w.spanRate(tc.state, tc.trace), 1e-12, tc.why)
	}
	for why, tc := range map[string]struct {
		attributes map[string]any
		want       float64
	}{
		"a weight that nobody can count":        {map[string]any{"sampling.weight": 1e300}, 100},
		"a rate as small":                       {map[string]any{"microsoft.sample_rate": 1e-300}, 100},
		"the collector's sampler of records":    {map[string]any{"sampling.threshold": "c"}, 25},
		"which is beaten by a weight":           {map[string]any{"sampling.threshold": "c", "sampling.weight": 2}, 50},
		"and may be written so that it is none": {map[string]any{"sampling.threshold": "x"}, 100},
	} {
		w := walkWith(t, DefaultSettings(), tc.attributes)
		assert.InDelta(t, tc.want, w.spanRate("", pcommon.TraceID{}), 1e-12, why)
	}
}

// TestTypesOfCalls are calls that are neither HTTP, RPC, databases nor messages, or more than that.
func TestTypesOfCalls(t *testing.T) {
	for _, tc := range []struct {
		why, wantType, wantTarget string
		kind                      ptrace.SpanKind
		attributes                map[string]any
	}{
		{"a model", "GenAI | cohere", "api.cohere.com", ptrace.SpanKindClient, map[string]any{"gen_ai.provider.name": "cohere", "server.address": "api.cohere.com"}},
		{"a model over HTTP", "GenAI | cohere", "api.cohere.com", ptrace.SpanKindClient, map[string]any{"gen_ai.provider.name": "cohere", "http.request.method": "POST", "server.address": "api.cohere.com"}},
		{"a model, former name, no server", "GenAI | az.ai.inference", "az.ai.inference", ptrace.SpanKindClient, map[string]any{"gen_ai.system": "az.ai.inference", "az.namespace": "Microsoft.CognitiveServices"}},
		{"a step of an agent", "InProc", "", ptrace.SpanKindInternal, map[string]any{"gen_ai.provider.name": "cohere", "gen_ai.operation.name": "execute_tool"}},
		{"a function", "", "resize", ptrace.SpanKindClient, map[string]any{"faas.invoked_name": "resize", "faas.invoked_provider": "aws"}},
	} {
		got := mapOne(t, DefaultSettings(), tc.kind, tc.attributes, unset)
		assert.Equal(t, tc.wantType, got.Type, tc.why)
		assert.Equal(t, tc.wantTarget, got.Target, tc.why)
	}
}

// TestCodesOfOtherSystems: only gRPC's numbers are gRPC's.
func TestCodesOfOtherSystems(t *testing.T) {
	for _, tc := range []struct {
		why        string
		attributes map[string]any
		status     ptrace.StatusCode
		code       string
		success    bool
	}{
		{"Dubbo's 20 is OK", map[string]any{"rpc.system.name": "dubbo", "rpc.response.status_code": "20"}, unset, "20", true},
		{"as a number", map[string]any{"rpc.system.name": "dubbo", "rpc.response.status_code": 20}, unset, "20", true},
		{"Connect", map[string]any{"rpc.system": "connect_rpc", "rpc.connect_rpc.error_code": "not_found"}, failed, "not_found", false},
		{"gRPC", map[string]any{"rpc.system.name": "grpc", "rpc.response.status_code": "14"}, unset, "14", false},
		{"a database", map[string]any{"db.system.name": "postgresql", "db.response.status_code": "23505"}, failed, "23505", false},
		{"Cosmos DB", map[string]any{"db.system": "cosmosdb", "db.cosmosdb.status_code": 201}, unset, "201", true},
	} {
		got := mapOne(t, DefaultSettings(), ptrace.SpanKindClient, tc.attributes, tc.status)
		assert.Equal(t, tc.code, got.ResultCode, tc.why)
		assert.Equal(t, tc.success, got.Success, tc.why)
	}
}

// TestNothingIsBilledTwice: what a field says is no property too, unless the user names it.
func TestNothingIsBilledTwice(t *testing.T) {
	for _, tc := range []struct {
		why        string
		kind       ptrace.SpanKind
		attributes map[string]any
		status     ptrace.StatusCode
		want       map[string]string
	}{
		{"the status as error.type", ptrace.SpanKindClient, map[string]any{"http.request.method": "GET", "http.response.status_code": 404, "error.type": "404"}, failed, nil},
		{"an error.type that says more", ptrace.SpanKindClient, map[string]any{"http.request.method": "GET", "http.response.status_code": 404, "error.type": "reset"}, failed, map[string]string{"error.type": "reset"}},
		{"an error.type that is the code", ptrace.SpanKindInternal, map[string]any{"error.type": "a.B"}, failed, nil},
		{"gRPC's status by name", ptrace.SpanKindServer, map[string]any{"rpc.system.name": "grpc", "rpc.response.status_code": "UNAVAILABLE", "error.type": "UNAVAILABLE"}, failed, nil},
		{"the system that is the type", ptrace.SpanKindClient, map[string]any{"db.system.name": "postgresql"}, unset, nil},
		{"a system that is told by a family", ptrace.SpanKindClient, map[string]any{"db.system.name": "mariadb"}, unset, map[string]string{"db.system.name": "mariadb"}},
		{"the broker that is in the type", ptrace.SpanKindProducer, map[string]any{"messaging.system": "kafka"}, unset, nil},
		{"a request has no type", ptrace.SpanKindConsumer, map[string]any{"messaging.system": "kafka"}, unset, map[string]string{"messaging.system": "kafka"}},
		{"the method that is the name", ptrace.SpanKindServer, map[string]any{"rpc.system.name": "grpc", "rpc.method": "name"}, unset, nil},
	} {
		got := mapOne(t, DefaultSettings(), tc.kind, tc.attributes, tc.status)
		delete(got.Properties, "k8s.namespace.name")
		if len(tc.want) == 0 {
			assert.Empty(t, got.Properties, tc.why)
			continue
		}
		assert.Equal(t, tc.want, got.Properties, tc.why)
	}
}

// TestOperationNameOfADependency: nobody but the sender knows within which operation a call happened, and SDKs that do say it.
func TestOperationNameOfADependency(t *testing.T) {
	attributes := map[string]any{"microsoft.operation_name": "GET /orders", "http.request.method": "GET"}
	assert.Equal(t, "GET /orders", mapOne(t, DefaultSettings(), ptrace.SpanKindClient, attributes, unset).Tags[ai.TagOperationName])
	assert.NotContains(t, mapOne(t, DefaultSettings(), ptrace.SpanKindClient, nil, unset).Tags, ai.TagOperationName)
	assert.Equal(t, "name", mapOne(t, DefaultSettings(), ptrace.SpanKindServer, nil, unset).Tags[ai.TagOperationName])
}

// TestTimesThatNobodyCanMean: a time beyond the year 2262 would turn into one before 1970, and the item into one too old.
func TestTimesThatNobodyCanMean(t *testing.T) {
	m, _ := mapperOf(t, nil)
	item := oneLog(t, m, func(r plog.LogRecord) {
		r.SetTimestamp(1 << 63)
		r.SetObservedTimestamp(pcommon.NewTimestampFromTime(caseTime.Add(1e9)))
	})
	assert.Equal(t, caseTime.Add(1e9).UTC(), item.Time.UTC())
	_, got := metricsOf(t, m, func(list pmetric.MetricSlice) {
		metric := list.AppendEmpty()
		metric.SetName("m")
		p := metric.SetEmptyGauge().DataPoints().AppendEmpty()
		p.SetIntValue(1)
		p.SetTimestamp(1<<63 + 5)
	})
	assert.Equal(t, caseTime.UTC(), got[0].Time.UTC())
}

// TestHistogramsThatContradictThemselves never make a minimum above the maximum, and scales at the ends of their range do
// not move classes.
func TestHistogramsThatContradictThemselves(t *testing.T) {
	d := distribution{count: 1, sum: 9, hasSum: true, max: 3, hasMax: true, buckets: []bucket{{lo: 5, hi: 10, n: 1}}}
	_, _, ok := d.extremes()
	assert.False(t, ok, "the greatest value is below the lowest class")

	fine := exponential{scale: math.MaxInt32, positive: exponentialRange{offset: 64, counts: []uint64{1}}}
	coarse := exponential{scale: math.MinInt32, positive: exponentialRange{offset: 0, counts: []uint64{2}}}
	require.True(t, coarse.add(&fine))
	assert.Equal(t, exponentialRange{offset: 0, counts: []uint64{3}}, coarse.positive)
}

// TestProblemsWithoutLines: the place of a function without a name is its file and line, which change with each build.
func TestProblemsWithoutLines(t *testing.T) {
	for _, stack := range []string{
		"Error: x\n    at /app/dist/server.js:10:5\n", "Error: x\n    at file:///app/dist/server.mjs:77:12\n",
	} {
		assert.NotRegexp(t, `:\d+`, problemID("Error", stack))
	}
	assert.Equal(t, "Error at Promise.all", problemID("Error", "Error: x\n    at async Promise.all (index 0)\n"))
}
