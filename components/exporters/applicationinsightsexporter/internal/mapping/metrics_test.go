// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// numbers adds points to a sum or gauge.
func numbers(points pmetric.NumberDataPointSlice, values ...any) {
	for _, v := range values {
		p := points.AppendEmpty()
		p.SetTimestamp(pcommon.NewTimestampFromTime(caseTime))
		switch v := v.(type) {
		case int:
			p.SetIntValue(int64(v))
		case int64:
			p.SetIntValue(v)
		case float64:
			p.SetDoubleValue(v)
		}
	}
}

func sumOf(metrics pmetric.MetricSlice, name string, temporality pmetric.AggregationTemporality, monotonic bool) pmetric.Sum {
	metric := metrics.AppendEmpty()
	metric.SetName(name)
	sum := metric.SetEmptySum()
	sum.SetAggregationTemporality(temporality)
	sum.SetIsMonotonic(monotonic)
	return sum
}

// points returns the points of the items.
func points(t *testing.T, envelopes []ai.Envelope) (out []ai.DataPoint) {
	t.Helper()
	for _, e := range envelopes {
		d := data[*ai.MetricData](t, e)
		require.Len(t, d.Metrics, 1)
		out = append(out, d.Metrics[0])
	}
	return out
}

func TestNumbers(t *testing.T) {
	const delta, cumulative, unspecified = pmetric.AggregationTemporalityDelta, pmetric.AggregationTemporalityCumulative, pmetric.AggregationTemporalityUnspecified
	for name, c := range map[string]struct {
		fill       func(pmetric.MetricSlice)
		want       []ai.DataPoint
		cumulative int
	}{
		"a gauge is a measurement": {func(m pmetric.MetricSlice) {
			metric := m.AppendEmpty()
			metric.SetName("cpu")
			numbers(metric.SetEmptyGauge().DataPoints(), 0.25, 3, 3)
		}, []ai.DataPoint{{Name: "cpu", Value: 0.25}, {Name: "cpu", Value: 3}, {Name: "cpu", Value: 3}}, 0},
		"a delta is a measurement": {func(m pmetric.MetricSlice) {
			numbers(sumOf(m, "calls", delta, true).DataPoints(), 7)
		}, []ai.DataPoint{{Name: "calls", Value: 7}}, 0},
		"a zero is told": {func(m pmetric.MetricSlice) {
			numbers(sumOf(m, "calls", delta, true).DataPoints(), 0)
		}, []ai.DataPoint{{Name: "calls", Value: 0}}, 0},
		"a change up and down is a measurement": {func(m pmetric.MetricSlice) {
			numbers(sumOf(m, "queue", delta, false).DataPoints(), -7)
		}, []ai.DataPoint{{Name: "queue", Value: -7}}, 0},
		"a level is a gauge": {func(m pmetric.MetricSlice) {
			numbers(sumOf(m, "connections", cumulative, false).DataPoints(), 12)
		}, []ai.DataPoint{{Name: "connections", Value: 12}}, 0},
		"a total is never told as a delta": {func(m pmetric.MetricSlice) {
			numbers(sumOf(m, "calls", cumulative, true).DataPoints(), 7000)
		}, []ai.DataPoint{{Name: "calls.cumulative", Value: 7000}}, 1},
		"what does not say is no delta": {func(m pmetric.MetricSlice) {
			numbers(sumOf(m, "calls", unspecified, true).DataPoints(), 7000)
		}, []ai.DataPoint{{Name: "calls.cumulative", Value: 7000}}, 1},
		"without a name": {func(m pmetric.MetricSlice) {
			numbers(sumOf(m, "", delta, true).DataPoints(), 1)
		}, []ai.DataPoint{{Name: "unnamed", Value: 1}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m, told := mapperOf(t, nil)
			_, envelopes := metricsOf(t, m, c.fill)
			assert.Equal(t, c.want, points(t, envelopes))
			assert.Equal(t, c.cumulative, told.pointsCumulative)
			for _, e := range envelopes {
				assert.Equal(t, "reviews.bookinfo@aks-westeurope", e.Tags[ai.TagCloudRole])
				assert.Equal(t, "reviews-v1-1", e.Tags[ai.TagCloudRoleInstance])
				assert.Equal(t, caseTime, e.Time.Time)
				assert.Equal(t, map[string]string{"cloud.region": "westeurope"}, data[*ai.MetricData](t, e).Properties)
			}
		})
	}
}

func TestZeroDeltasMayBeLeftOut(t *testing.T) {
	m, told := mapperOf(t, func(s *Settings) { s.Metrics.SkipZeroDeltas = true })
	b, _ := metricsOf(t, m, func(metrics pmetric.MetricSlice) {
		numbers(sumOf(metrics, "calls", pmetric.AggregationTemporalityDelta, true).DataPoints(), 0, 0.0, math.Copysign(0, -1), 1)
		numbers(sumOf(metrics, "level", pmetric.AggregationTemporalityCumulative, false).DataPoints(), 0)
	})
	assert.Equal(t, 2, b.Len(), "a level of zero is no silence")
	assert.Equal(t, 3, told.pointsEmpty)
}

func TestPointsWithoutAValueAreNoItems(t *testing.T) {
	m, told := mapperOf(t, nil)
	stale := pmetric.DefaultDataPointFlags.WithNoRecordedValue(true)
	b, _ := metricsOf(t, m, func(metrics pmetric.MetricSlice) {
		metrics.AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty().SetFlags(stale)
		sumOf(metrics, "a", pmetric.AggregationTemporalityDelta, true).DataPoints().AppendEmpty().SetFlags(stale)
		sumOf(metrics, "b", pmetric.AggregationTemporalityCumulative, true).DataPoints().AppendEmpty().SetFlags(stale)
		metrics.AppendEmpty().SetEmptyHistogram().DataPoints().AppendEmpty().SetFlags(stale)
		metrics.AppendEmpty().SetEmptyExponentialHistogram().DataPoints().AppendEmpty().SetFlags(stale)
		metrics.AppendEmpty().SetEmptySummary().DataPoints().AppendEmpty().SetFlags(stale)
		metrics.AppendEmpty() // of no type
	})
	assert.Zero(t, b.Len())
	assert.Equal(t, counts{pointsStale: 6}, told.counts)
	b, _ = metricsOf(t, m, func(metrics pmetric.MetricSlice) {
		metrics.AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty()
		h := metrics.AppendEmpty().SetEmptyHistogram()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		h.DataPoints().AppendEmpty().SetSum(0)
	})
	assert.Zero(t, b.Len())
	assert.Equal(t, 2, told.pointsEmpty)
}

func TestWhatIsNotFiniteGoesToTheDeadLetters(t *testing.T) {
	m, told := mapperOf(t, nil)
	b, envelopes := metricsOf(t, m, func(metrics pmetric.MetricSlice) {
		metric := metrics.AppendEmpty()
		metric.SetName("ratio")
		numbers(metric.SetEmptyGauge().DataPoints(), math.NaN(), math.Inf(1), 0.5)
		numbers(sumOf(metrics, "calls", pmetric.AggregationTemporalityDelta, true).DataPoints(), math.Inf(-1), 1.0)
		h := metrics.AppendEmpty()
		h.SetName("size")
		h.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		p := h.Histogram().DataPoints().AppendEmpty()
		p.SetCount(1)
		p.SetSum(math.NaN())
	})
	assert.Equal(t, 6, b.Len())
	assert.Equal(t, 4, told.pointsNotFinite)
	assert.Len(t, envelopes, 2, "the others are delivered")
	rejected := 0
	for i := range b.Len() {
		if b.Item(i).Reject == items.RejectNotFinite {
			rejected++
		}
	}
	assert.Equal(t, 4, rejected)
	assert.Contains(t, string(b.Item(0).JSON), `"value":"NaN"`)
	assert.Contains(t, string(b.Item(1).JSON), `"value":"+Inf"`)
}

func TestDimensions(t *testing.T) {
	istio := map[string]any{
		"reporter": "source", "response_code": "503", "destination_version": "v1", "mesh.source.service": "productpage",
		"mesh.destination.service": "reviews", "mesh.destination.region": "", "response_flags": "UF",
	}
	twelve := map[string]any{"http.route": long(300)}
	for i := range 11 {
		twelve[fmt.Sprintf("a%02d", i)] = int64(i)
	}
	for name, c := range map[string]struct {
		metric  string
		attrs   map[string]any
		want    map[string]string
		dropped int
	}{
		"of the mesh": {"istio_requests_total", istio, map[string]string{
			"reporter": "source", "status_class": "5xx", "mesh.source.service": "productpage", "mesh.destination.service": "reviews", "unit": "ms",
		}, 3},
		"of a connection": {"istio_tcp_sent_bytes_total", map[string]any{"mesh.traffic.direction": "request", "reporter": "source"}, map[string]string{
			"mesh.traffic.direction": "request", "reporter": "source", "unit": "ms",
		}, 0},
		"of an edge": {"mesh.edge.duration", map[string]any{
			"mesh.source.workload": "web", "mesh.destination.service": "cart", "mesh.destination.workload": "cart-v1", "mesh.destination.version": "v1",
			"reporter": "source", "network.protocol.name": "http",
		}, map[string]string{
			"mesh.source.workload": "web", "mesh.destination.service": "cart", "mesh.destination.version": "v1", "reporter": "source", "unit": "ms",
		}, 2},
		"ten at most, by name": {"app.things", twelve, map[string]string{
			"cloud.region": "westeurope", "a00": "0", "a01": "1", "a02": "2", "a03": "3", "a04": "4", "a05": "5", "a06": "6", "a07": "7", "a08": "8",
		}, 3},
		"of an application": {"app.things", map[string]any{"ok": true, "n": 2.5, "of": []any{"a"}, "k8s.pod.name": "own"}, map[string]string{
			"cloud.region": "westeurope", "ok": "true", "n": "2.5", "of": `["a"]`, "k8s.pod.name": "own", "unit": "ms",
		}, 0},
		"a long value": {"app.things", map[string]any{"v": long(300)}, map[string]string{"cloud.region": "westeurope", "v": long(256), "unit": "ms"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m, told := mapperOf(t, nil)
			_, envelopes := metricsOf(t, m, func(metrics pmetric.MetricSlice) {
				p := sumOf(metrics, c.metric, pmetric.AggregationTemporalityDelta, true).DataPoints()
				metrics.At(0).SetUnit("ms")
				numbers(p, 1)
				require.NoError(t, p.At(0).Attributes().FromRaw(c.attrs))
			})
			assert.Equal(t, c.want, data[*ai.MetricData](t, envelopes[0]).Properties)
			assert.Equal(t, c.dropped, told.dimensionsDropped)
		})
	}
}

func TestUnits(t *testing.T) {
	rules := newMetricRules(new(DefaultMetricSettings()))
	for unit, want := range map[string]string{"ms": "ms", "1": "", "": "", "{request}": "", "By": "By", "By/s": "By/s"} {
		assert.Equal(t, want, rules.unit(unit), unit)
	}
	rules.UnitDimension = ""
	assert.Empty(t, rules.unit("ms"))
}

func TestStatusClasses(t *testing.T) {
	for _, c := range []struct {
		attrs map[string]any
		want  string
	}{
		{map[string]any{}, ""},
		{map[string]any{"response_code": "200", "grpc_response_status": ""}, "2xx"},
		{map[string]any{"response_code": "200", "grpc_response_status": "0"}, "2xx"},
		{map[string]any{"response_code": "200", "grpc_response_status": "14"}, "grpc_error"},
		{map[string]any{"http.response.status_code": 404}, "4xx"},
		{map[string]any{"response_code": "0"}, "none"},
		{map[string]any{"envoy_response_code_class": "5"}, "5xx"},
		{map[string]any{"response_code_class": "3xx"}, "3xx"},
		{map[string]any{"response_code_class": "x"}, ""},
		{map[string]any{"http.response.status_code": 999}, "999"},
		{map[string]any{"rpc.response.status_code": "UNAVAILABLE"}, "grpc_error"},
		{map[string]any{"rpc.response.status_code": "OK"}, ""},
	} {
		attrs := pcommon.NewMap()
		require.NoError(t, attrs.FromRaw(c.attrs))
		assert.Equal(t, c.want, statusClass(attrs), "%v", c.attrs)
	}
}

func TestNamespaceAndExemplar(t *testing.T) {
	m, _ := mapperOf(t, func(s *Settings) { s.Metrics.Namespace, s.Metrics.ExemplarTraceID = "mesh {scope.name}", true })
	md := pmetric.NewMetrics()
	sm := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty()
	sm.Scope().SetName("envoy")
	p := histogramOf(sm.Metrics(), "size", []float64{1, 2}, []float64{5}, true)
	for i, v := range []float64{1, 9, 5} {
		e := p.Exemplars().AppendEmpty()
		e.SetDoubleValue(v)
		e.SetTraceID(pcommon.TraceID{15: byte(i + 1)})
	}
	b := &items.Batch{}
	m.Metrics(md, b)
	e := deliver(t, strictEndpoint(t), b)[0]
	d := data[*ai.MetricData](t, e)
	assert.Equal(t, "mesh envoy", d.Metrics[0].Namespace)
	assert.Equal(t, "00000000000000000000000000000002", d.Properties["exemplar.trace_id"])
	assert.Equal(t, UnknownRole, e.Tags[ai.TagCloudRole])
}

func TestLongMetricNamesKeepWhatMakesThemDifferent(t *testing.T) {
	m, told := mapperOf(t, nil)
	_, envelopes := metricsOf(t, m, func(metrics pmetric.MetricSlice) {
		histogramOf(metrics, "duration"+long(2000), []float64{1}, []float64{5}, true)
	})
	got := points(t, envelopes)
	require.Len(t, got, 4)
	assert.True(t, strings.HasSuffix(got[1].Name, ".p50"))
	assert.Len(t, got[1].Name, ai.MaxNameLength)
	assert.Positive(t, told.textsTrimmed)
}

func TestMetricSettingsSayWhatToWrite(t *testing.T) {
	for want, change := range map[string]func(*Settings){
		"metrics::namespace":                        func(s *Settings) { s.Metrics.Namespace = "{service.name}" },
		"metrics::dimensions[0]::metrics: is empty": func(s *Settings) { s.Metrics.Dimensions = []DimensionRule{{Keep: []string{"a"}}} },
		"metrics::dimensions[0]::metrics: an entry": func(s *Settings) { s.Metrics.Dimensions = []DimensionRule{{Metrics: []string{""}}} },
		"metrics::dimensions[0]::keep": func(s *Settings) {
			s.Metrics.Dimensions = []DimensionRule{{Metrics: []string{"*"}, Keep: []string{""}}}
		},
		"metrics::percentiles[0]::percentiles: 100: write": func(s *Settings) { s.Metrics.Percentiles[0].Percentiles = []float64{100} },
		"metrics::percentiles[0]::percentiles: NaN":        func(s *Settings) { s.Metrics.Percentiles[0].Percentiles = []float64{math.NaN()} },
		"metrics::percentiles[0]::metrics":                 func(s *Settings) { s.Metrics.Percentiles[0].Metrics = nil },
		"logs::custom_events":                              func(s *Settings) { s.Logs.CustomEvents = []string{""} },
	} {
		s := DefaultSettings()
		change(&s)
		assert.ErrorContains(t, s.Validate(), want)
	}
	assert.Equal(t, ".p99.9", newPercentile(0.999).suffix)
	assert.Equal(t, ".p50", newPercentile(0.5).suffix)
	assert.Equal(t, ".p0", newPercentile(0).suffix)
	assert.Equal(t, ".p100", newPercentile(1).suffix)
}
