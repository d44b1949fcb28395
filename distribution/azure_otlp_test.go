// SPDX-License-Identifier: Apache-2.0

package distribution_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// otlpHub is the hub with the overlay for native OTLP ingestion.
func otlpHub(t *testing.T, a *azure) *hub {
	t.Helper()
	at := a.url() + "/datacollectionRules/dcr-0123456789abcdef/streams/"
	return newHub(t, a, []string{
		"AZURE_MONITOR_OTLP_TRACES=" + at + "Microsoft-OTLP-Traces/otlp/v1/traces",
		"AZURE_MONITOR_OTLP_LOGS=" + at + "Microsoft-OTLP-Logs/otlp/v1/logs",
		"AZURE_MONITOR_OTLP_METRICS=" + at + "microsoft-otelmetrics/otlp/v1/metrics",
	}, "examples/azure-monitor-otlp.yaml", a.entraOverlay(), quick("otlp_http/traces", "otlp_http/logs", "otlp_http/metrics"))
}

// metricsOf makes a delta histogram as the proxies have it, and a delta sum, with a point for each number.
func metricsOf(from, to int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	describe(rm.Resource(), nil)
	metrics := rm.ScopeMetrics().AppendEmpty().Metrics()
	duration, requests := metrics.AppendEmpty(), metrics.AppendEmpty()
	duration.SetName("istio_request_duration_milliseconds")
	requests.SetName("istio_requests_total")
	histogram, sum := duration.SetEmptyHistogram(), requests.SetEmptySum()
	histogram.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	sum.SetIsMonotonic(true)
	began, now := pcommon.NewTimestampFromTime(time.Now().Add(-time.Minute)), pcommon.NewTimestampFromTime(time.Now())
	for n := from; n < to; n++ {
		point := histogram.DataPoints().AppendEmpty()
		point.Attributes().PutInt("n", int64(n))
		point.ExplicitBounds().FromRaw([]float64{1, 10, 100})
		point.BucketCounts().FromRaw([]uint64{1, 2, 3, uint64(n)})
		point.SetCount(6 + uint64(n))
		point.SetSum(float64(n) + 0.1)
		point.SetStartTimestamp(began)
		point.SetTimestamp(now)
		number := sum.DataPoints().AppendEmpty()
		number.Attributes().PutInt("n", int64(n))
		number.SetIntValue(int64(n))
		number.SetStartTimestamp(began)
		number.SetTimestamp(now)
	}
	return md
}

// arrived counts how often each span, record and point came, by a name of its own that says its totals too.
func arrived(a *azure) map[string]int {
	came := map[string]int{}
	for _, r := range a.OTLPRequests() {
		switch r.Signal {
		case ingestiontest.SignalTraces:
			for _, rs := range r.Traces.ResourceSpans().All() {
				for _, ss := range rs.ScopeSpans().All() {
					for _, span := range ss.Spans().All() {
						came[span.Name()]++
					}
				}
			}
		case ingestiontest.SignalLogs:
			for _, rl := range r.Logs.ResourceLogs().All() {
				for _, sl := range rl.ScopeLogs().All() {
					for _, record := range sl.LogRecords().All() {
						came[record.Body().Str()]++
					}
				}
			}
		default:
			pointsOf(r.Metrics, came)
		}
	}
	return came
}

func pointsOf(md pmetric.Metrics, came map[string]int) {
	number := func(attributes pcommon.Map) int64 {
		n, _ := attributes.Get("n")
		return n.Int()
	}
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				switch m.Type() {
				case pmetric.MetricTypeExponentialHistogram:
					for _, p := range m.ExponentialHistogram().DataPoints().All() {
						in := p.ZeroCount()
						for _, count := range p.Positive().BucketCounts().All() {
							in += count
						}
						came[fmt.Sprintf("histogram-%d count %d, in buckets %d, sum %g", number(p.Attributes()), p.Count(), in, p.Sum())]++
					}
				case pmetric.MetricTypeSum:
					for _, p := range m.Sum().DataPoints().All() {
						came[fmt.Sprintf("sum-%d is %d", number(p.Attributes()), p.IntValue())]++
					}
				default:
					came[m.Name()+" is a "+m.Type().String()]++
				}
			}
		}
	}
}

// sendAll sends spans, records and points with these numbers and adds what has to arrive.
func (h *hub) sendAll(t *testing.T, from, to int, wanted map[string]int) {
	t.Helper()
	h.send(t, spansOf(from, to, nil))
	h.send(t, logsOf(from, to, nil))
	h.send(t, metricsOf(from, to))
	for n := from; n < to; n++ {
		for _, name := range []string{
			fmt.Sprintf("span-%d", n), fmt.Sprintf("log-%d", n), fmt.Sprintf("sum-%d is %d", n, n),
			fmt.Sprintf("histogram-%d count %d, in buckets %d, sum %g", n, n+6, n+6, float64(n)+0.1),
		} {
			wanted[name] = 1
		}
	}
}

// TestOTLPExampleDelivers prevents that the overlay for native OTLP ingestion sends what the service takes and then shows
// nowhere, or that a role that is not there yet costs data.
func TestOTLPExampleDelivers(t *testing.T) {
	a := newAzure(t)
	h, wanted := otlpHub(t, a), map[string]int{}
	h.sendAll(t, 0, 50, wanted)
	eventually(t, h.stderr, func() bool { return len(arrived(a)) >= len(wanted) })
	assert.Equal(t, wanted, arrived(a))

	// 401 and 403 come first; otlp_http by itself would drop on both.
	for status, from := range map[int]int{http.StatusUnauthorized: 50, http.StatusForbidden: 100} {
		a.answers(refuses(status))
		before := a.answered(status)
		h.sendAll(t, from, from+50, wanted)
		eventually(t, h.stderr, func() bool { return a.answered(status) >= before+9 })
		a.answers(nil)
		eventually(t, h.stderr, func() bool { return len(arrived(a)) >= len(wanted) })
		assert.Equal(t, wanted, arrived(a), "each once")
	}

	sum := a.OTLPSummary()
	assert.Zero(t, sum.NotDelta)
	assert.Zero(t, sum.NotExponential)
	assert.Equal(t, map[string]uint64{"traces": 150, "logs": 150, "metrics": 300}, sum.Items)
	assert.Len(t, sum.Requests, 1, "all of them 200: %v", sum.Requests)
	for _, r := range a.OTLPRequests() {
		assert.Empty(t, r.Encoding, "compression is not documented")
	}
	token, err := os.ReadFile(strings.TrimPrefix(h.variable("AZURE_FEDERATED_TOKEN_FILE"), "AZURE_FEDERATED_TOKEN_FILE="))
	require.NoError(t, err)
	for _, r := range a.entra.Requests("token") {
		assert.Equal(t, string(token), r.Values.Get("client_assertion"), "the workload's own token")
	}
	said := h.log(t)
	assert.Contains(t, said, "Monitoring Metrics Publisher")
	assert.Contains(t, said, "the data collection rule")
	assert.Contains(t, said, azureHost)
	assert.NotContains(t, said, "eyJ", "no token is in the log")
	assert.NotContains(t, said, dropping)
}

const dropping = "Dropping data"

// TestOTLPExampleStaysBelowTheLimit prevents that what piled up in an outage is sent in bodies that the service refuses, which
// would lose them whole.
func TestOTLPExampleStaysBelowTheLimit(t *testing.T) {
	a := newAzure(t)
	h := otlpHub(t, a)
	a.down(t)
	const requests, each = 4, 1000
	for n := range requests {
		ld := logsOf(n*each, (n+1)*each, nil)
		for _, record := range ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
			record.Attributes().PutStr("padding", strings.Repeat("x", 2000))
		}
		h.send(t, ld)
	}
	a.up(t)
	eventually(t, h.stderr, func() bool { return len(arrived(a)) >= requests*each })
	assert.GreaterOrEqual(t, len(a.OTLPRequests()), requests*each*2000/1_000_000)
	assert.Len(t, a.OTLPSummary().Requests, 1, "all of them 200: %v", a.OTLPSummary().Requests)
	assert.NotContains(t, h.log(t), dropping)
}

// variable returns the entry of the environment of this name.
func (h *hub) variable(name string) string {
	for _, entry := range h.env {
		if strings.HasPrefix(entry, name+"=") {
			return entry
		}
	}
	return ""
}

// TestOTLPExampleSurvivesAKill prevents that what the hub took over is lost with its process.
func TestOTLPExampleSurvivesAKill(t *testing.T) {
	a := newAzure(t)
	h, wanted := otlpHub(t, a), map[string]int{}
	a.down(t)
	for round := range 3 {
		h.sendAll(t, round*50, round*50+50, wanted)
		h.kill(t)
		h.run(t)
	}
	assert.Empty(t, arrived(a))
	a.up(t)
	eventually(t, h.stderr, func() bool { return len(arrived(a)) >= len(wanted) })
	for name := range arrived(a) {
		assert.Contains(t, wanted, name)
	}
	assert.NotContains(t, h.log(t), dropping)
}

// TestWhatOTLPExampleLoses holds the list of answers in docs/azure-monitor.md to be true: otlp_http gives up what the service
// answers so, and no setting of it changes that. If this fails because less is lost, shorten the list.
func TestWhatOTLPExampleLoses(t *testing.T) {
	a := newAzure(t)
	h := otlpHub(t, a)
	for n, tc := range []struct {
		status int
		lost   bool
	}{
		{400, true},
		{402, true},
		{404, true},
		{408, true},
		{413, true},
		{439, true},
		{500, true},
		{401, false},
		{403, false},
		{429, false},
		{502, false},
		{503, false},
		{504, false},
		{0, false},
	} {
		a.answers(a.once(tc.status))
		name, before := fmt.Sprintf("log-%d", n), strings.Count(h.log(t), dropping)
		h.send(t, logsOf(n, n+1, nil))
		lost := false
		eventually(t, h.stderr, func() bool {
			lost = strings.Count(h.log(t), dropping) > before
			return lost || arrived(a)[name] > 0
		})
		assert.Equal(t, tc.lost, lost, "status %d", tc.status)
		assert.Equal(t, !tc.lost, arrived(a)[name] == 1, "status %d", tc.status)
	}

	// What is lost whole is counted; docs/azure-monitor.md has an alert on it.
	assert.Equal(t, 7, h.lostLogs(t))

	// A part that was refused is gone, with a warning and no count.
	a.answers(a.partly)
	h.send(t, logsOf(1000, 1010, nil))
	eventually(t, h.stderr, func() bool { return strings.Contains(h.log(t), "Partial success response") })
	assert.Contains(t, h.log(t), `"dropped_log_records":4`)
	assert.Equal(t, 7, h.lostLogs(t))
}

var lostLine = regexp.MustCompile(`(?m)^otelcol_exporter_send_failed_log_records\{error_permanent="true",.*exporter="otlp_http/logs",.*\} (\d+)$`)

// lostLogs is what the hub's own metrics say was lost of the logs.
func (*hub) lostLogs(t *testing.T) (lost int) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+standaloneHost+":8888/metrics", http.NoBody)
	require.NoError(t, err)
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	for _, line := range lostLine.FindAllSubmatch(text, -1) {
		n, err := strconv.Atoi(string(line[1]))
		require.NoError(t, err)
		lost += n
	}
	return lost
}

// once answers one request with a status, 0 for a closed connection, and then leaves it to the endpoint.
func (a *azure) once(status int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		a.answers(nil)
		if status == 0 {
			panic(http.ErrAbortHandler)
		}
		return refuses(status)(w, r)
	}
}

func (a *azure) partly(w http.ResponseWriter, r *http.Request) bool {
	a.answers(nil)
	_, _ = io.Copy(io.Discard, r.Body)
	response := plogotlp.NewExportResponse()
	response.PartialSuccess().SetRejectedLogRecords(4)
	response.PartialSuccess().SetErrorMessage("four are too old")
	body, err := response.MarshalProto()
	if err != nil {
		return refuses(http.StatusTeapot)(w, r)
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(body)
	return true
}
