// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is when the tests begin.
var noon = time.Date(2026, 8, 28, 12, 0, 0, 0, time.UTC)

func after(d time.Duration) time.Time { return noon.Add(d) }

// resource is istiod's, as it comes to the hub.
func resource(rm pmetric.ResourceMetrics, cluster, pod, region string) {
	a := rm.Resource().Attributes()
	for key, value := range map[string]string{
		"k8s.cluster.name": cluster, "k8s.namespace.name": "istio-system", "k8s.pod.name": pod, "cloud.region": region,
		"service.name": "istiod", "service.instance.id": "istio-system." + pod,
	} {
		if value != "" {
			a.PutStr(key, value)
		}
	}
}

// page reads a recorded page.
func page(t testing.TB, name string) map[string]*dto.MetricFamily {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	require.NoError(t, err)
	defer f.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(f)
	require.NoError(t, err)
	return families
}

// scrape makes what the agent's scrape makes of a page: totals, all of one time. The test with the real receiver holds it
// to that.
func scrape(families map[string]*dto.MetricFamily, cluster, pod, region string, start, at time.Time) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	resource(rm, cluster, pod, region)
	sm := rm.ScopeMetrics().AppendEmpty()
	for _, name := range slices.Sorted(maps.Keys(families)) {
		m := sm.Metrics().AppendEmpty()
		m.SetName(name)
		for _, from := range families[name].GetMetric() {
			one(m, families[name].GetType(), from, start, at)
		}
	}
	return md
}

func one(m pmetric.Metric, kind dto.MetricType, from *dto.Metric, start, at time.Time) {
	labels := func(a pcommon.Map) {
		for _, l := range from.GetLabel() {
			if l.GetValue() != "" {
				a.PutStr(l.GetName(), l.GetValue())
			}
		}
	}
	switch kind {
	case dto.MetricType_HISTOGRAM:
		if m.Type() == pmetric.MetricTypeEmpty {
			m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		}
		p := m.Histogram().DataPoints().AppendEmpty()
		labels(p.Attributes())
		p.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
		p.SetTimestamp(pcommon.NewTimestampFromTime(at))
		p.SetCount(from.GetHistogram().GetSampleCount())
		p.SetSum(from.GetHistogram().GetSampleSum())
		var before uint64
		for _, b := range from.GetHistogram().GetBucket() {
			if !math.IsInf(b.GetUpperBound(), 1) {
				p.ExplicitBounds().Append(b.GetUpperBound())
			}
			p.BucketCounts().Append(b.GetCumulativeCount() - before)
			before = b.GetCumulativeCount()
		}
	case dto.MetricType_COUNTER:
		if m.Type() == pmetric.MetricTypeEmpty {
			s := m.SetEmptySum()
			s.SetIsMonotonic(true)
			s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		}
		p := m.Sum().DataPoints().AppendEmpty()
		labels(p.Attributes())
		p.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
		p.SetTimestamp(pcommon.NewTimestampFromTime(at))
		p.SetDoubleValue(from.GetCounter().GetValue())
	default:
		if m.Type() == pmetric.MetricTypeEmpty {
			m.SetEmptyGauge()
		}
		p := m.Gauge().DataPoints().AppendEmpty()
		labels(p.Attributes())
		p.SetTimestamp(pcommon.NewTimestampFromTime(at))
		p.SetDoubleValue(from.GetGauge().GetValue())
	}
}

// text makes a page of a few lines; the first line of a metric is its type.
func text(t testing.TB, lines ...string) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(strings.Join(lines, "\n") + "\n"))
	require.NoError(t, err)
	return families
}

// record is the record of a cluster.
func record(t testing.TB, s *Store, cluster string) *Record {
	t.Helper()
	for i := range s.Records() {
		if s.Records()[i].Cluster == cluster {
			return &s.Records()[i]
		}
	}
	require.FailNow(t, "no record", cluster)
	return nil
}

func kindsOf(r *Record) (kinds []string) {
	for _, f := range r.Findings {
		kinds = append(kinds, f.Kind)
	}
	return kinds
}
