// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// alive is the least that an istiod says.
func alive(t testing.TB, version string, more ...string) []string {
	t.Helper()
	return append([]string{
		"# TYPE istiod_uptime_seconds gauge", "istiod_uptime_seconds 3600",
		"# TYPE pilot_info gauge", `pilot_info{version="` + version + `-0a1b2c-Clean"} 1`,
	}, more...)
}

func says(t testing.TB, s *Store, cluster, pod, region string, at time.Time, lines []string) Counts {
	t.Helper()
	return s.Metrics(scrape(text(t, lines...), cluster, pod, region, noon, at), at)
}

func world(t testing.TB, deltas ...*topology.Delta) *topology.Snapshot {
	t.Helper()
	w := topology.NewWriter(topology.WriterSettings{})
	for _, d := range deltas {
		d.Full, d.At = true, noon
		w.Apply(d)
	}
	return w.Publish()
}

// TestFindings has what each failure looks like on istiod's page, by the labels of Istio's source.
func TestFindings(t *testing.T) {
	soon := strconv.FormatInt(noon.Add(10*24*time.Hour).Unix(), 10)
	for name, test := range map[string]struct {
		more []string
		want []string
	}{
		"healthy": {},
		"send errors": {
			more: []string{"# TYPE pilot_xds_pushes counter", `pilot_xds_pushes{type="cds"} 70`, `pilot_xds_pushes{type="eds_senderr"} 2`},
			want: []string{KindPushErrors},
		},
		"write timeouts": {more: []string{"# TYPE pilot_xds_write_timeout counter", "pilot_xds_write_timeout 1"}, want: []string{KindPushErrors}},
		"internal":       {more: []string{"# TYPE pilot_total_xds_internal_errors counter", "pilot_total_xds_internal_errors 1"}, want: []string{KindPushErrors}},
		"rejects":        {more: []string{"# TYPE pilot_total_xds_rejects counter", `pilot_total_xds_rejects{type="lds"} 1`}, want: []string{KindRejects}},
		"unsigned":       {more: []string{"# TYPE citadel_server_csr_sign_err_count counter", `citadel_server_csr_sign_err_count{error="x"} 1`}, want: []string{KindSignErrors}},
		"root expires":   {more: []string{"# TYPE citadel_server_root_cert_expiry_timestamp gauge", "citadel_server_root_cert_expiry_timestamp " + soon}, want: []string{KindCertificate}},
		"chain expires":  {more: []string{"# TYPE citadel_server_cert_chain_expiry_timestamp gauge", "citadel_server_cert_chain_expiry_timestamp " + soon}, want: []string{KindCertificate}},
		"remote closed": {
			more: []string{
				"# TYPE istiod_remote_cluster_sync_status gauge",
				`istiod_remote_cluster_sync_status{cluster="b",cluster_type="remote",status="closed"} 1`, `istiod_remote_cluster_sync_status{cluster="b",cluster_type="remote",status="synced"} 0`,
			},
			want: []string{KindRemoteNotSynced},
		},
		"remote removed": {
			more: []string{"# TYPE istiod_remote_cluster_sync_status gauge", `istiod_remote_cluster_sync_status{cluster="b",cluster_type="remote",status="synced"} 0`},
		},
		"before 1.29": {
			more: []string{"# TYPE remote_cluster_sync_timeouts_total counter", `remote_cluster_sync_timeouts_total{cluster="b"} 1`},
			want: []string{KindRemoteNotSynced},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(DefaultConfig())
			says(t, s, "a", pod, "westeurope", noon, alive(t, "1.31.0"))
			says(t, s, "a", pod, "westeurope", after(30*time.Second), alive(t, "1.31.0", test.more...))
			s.Roll(after(35*time.Second), nil)
			assert.Equal(t, test.want, kindsOf(record(t, s, "a")))
			// What was in the window ends with it; the rest is as it is.
			says(t, s, "a", pod, "westeurope", after(12*time.Minute), alive(t, "1.31.0"))
			s.Roll(after(12*time.Minute+3*time.Second), nil)
			assert.Empty(t, record(t, s, "a").Findings, "an hour later istiod no longer says so")
		})
	}
}

// TestUpgradeByRevisions prevents that two control planes in one cluster, which is how Istio is upgraded, look like one
// cluster's name used twice.
func TestUpgradeByRevisions(t *testing.T) {
	s := New(DefaultConfig())
	says(t, s, "a", "istiod-1-30-7d9c8b6f5-aaaaa", "westeurope", noon, alive(t, "1.30.2", "# TYPE pilot_xds gauge", `pilot_xds{version="1.30.2"} 10`))
	says(t, s, "a", "istiod-1-31-7d9c8b6f5-bbbbb", "westeurope", noon, alive(t, "1.31.0", "# TYPE pilot_xds gauge", `pilot_xds{version="1.31.0"} 5`))
	s.Roll(after(5*time.Second), nil)
	r := record(t, s, "a")
	assert.Equal(t, []string{"1-30", "1-31"}, r.Revisions)
	assert.Equal(t, []string{"1.30.2", "1.31.0"}, r.Versions)
	assert.Equal(t, int64(15), r.Proxies.Connected)
	assert.Zero(t, r.Proxies.OtherVersion, "each has its istiod's version")
	assert.Equal(t, 1, r.Skew.MinorsBehind)
	assert.Equal(t, []string{KindControlPlaneSkew, KindProxiesBehind}, kindsOf(r))
}

// TestClusterClaimedTwice has the signs of two clusters with one name.
func TestClusterClaimedTwice(t *testing.T) {
	for name, test := range map[string]struct {
		one, other string
		declared   *topology.ClusterFacts
		want       []string
	}{
		"one region":             {one: "westeurope", other: "westeurope"},
		"two regions":            {one: "westeurope", other: "eastus", want: []string{KindClaimedTwice}},
		"one tells none":         {one: "westeurope", other: ""},
		"inventory agrees":       {one: "eastus", other: "eastus", declared: &topology.ClusterFacts{Region: "eastus"}},
		"inventory says another": {one: "westeurope", other: "westeurope", declared: &topology.ClusterFacts{Region: "eastus"}, want: []string{KindClaimedTwice}},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(DefaultConfig())
			says(t, s, "a", "istiod-7d9c8b6f5-aaaaa", test.one, noon, alive(t, "1.31.0"))
			says(t, s, "a", "istiod-7d9c8b6f5-bbbbb", test.other, noon, alive(t, "1.31.0"))
			var snapshot *topology.Snapshot
			if test.declared != nil {
				snapshot = world(t, &topology.Delta{Cluster: "a", Facts: test.declared})
			}
			s.Roll(after(5*time.Second), snapshot)
			assert.Equal(t, test.want, kindsOf(record(t, s, "a")))
		})
	}
	t.Run("uid", func(t *testing.T) {
		s := New(DefaultConfig())
		md := scrape(text(t, alive(t, "1.31.0")...), "a", pod, "eastus", noon, noon)
		md.ResourceMetrics().At(0).Resource().Attributes().PutStr("k8s.cluster.uid", "one")
		s.Metrics(md, noon)
		s.Roll(after(5*time.Second), world(t, &topology.Delta{Cluster: "a", Facts: &topology.ClusterFacts{UID: "other", Region: "eastus"}}))
		assert.Equal(t, []string{KindClaimedTwice}, kindsOf(record(t, s, "a")))
	})
}

// TestSilence follows istiods that go: a replica that was replaced is nothing, the last one is.
func TestSilence(t *testing.T) {
	config := DefaultConfig()
	s := New(config)
	snapshot := world(t,
		&topology.Delta{Cluster: "a", Facts: &topology.ClusterFacts{Region: "westeurope", Istio: []topology.IstioRevision{{Revision: "default", Version: "1.31.0"}, {Revision: "canary"}}}},
		&topology.Delta{Cluster: "b", Facts: &topology.ClusterFacts{Region: "eastus", Istio: []topology.IstioRevision{{Revision: "default"}}}},
		&topology.Delta{Cluster: "c", Facts: &topology.ClusterFacts{Region: "eastus"}})
	says(t, s, "a", "istiod-7d9c8b6f5-aaaaa", "westeurope", noon, alive(t, "1.31.0"))
	says(t, s, "a", "istiod-7d9c8b6f5-bbbbb", "westeurope", after(config.Expire), alive(t, "1.31.0"))
	doc := s.Roll(after(config.Expire+time.Second), snapshot)
	require.Len(t, doc.ControlPlanes, 2, "c has no istiod")
	a := record(t, s, "a")
	require.Len(t, a.Istiods, 1)
	assert.Equal(t, "istiod-7d9c8b6f5-bbbbb", a.Istiods[0].Pod)
	assert.Equal(t, []string{KindRevisionSilent}, kindsOf(a))
	b := record(t, s, "b")
	assert.Equal(t, Unseen, b.State)
	assert.Equal(t, []string{KindUnseen}, kindsOf(b))

	s.Roll(after(2*config.Expire+time.Second), snapshot)
	a = record(t, s, "a")
	assert.Equal(t, Silent, a.State)
	assert.Contains(t, kindsOf(a), KindSilent)
	assert.Equal(t, after(config.Expire), a.LastSeen)
	slice := pmetric.NewMetricSlice()
	s.AppendMetrics(slice, after(2*config.Expire))
	require.Equal(t, MetricIstiods, slice.At(0).Name())
	assert.Zero(t, slice.At(0).Gauge().DataPoints().At(0).IntValue(), "an alert needs a 0")

	// What an agent had in its queue does not bring it back.
	c := says(t, s, "a", "istiod-7d9c8b6f5-ccccc", "westeurope", after(time.Minute), alive(t, "1.31.0"))
	assert.Positive(t, c.Taken, "it was in time when it was made, and came then")
	late := s.Metrics(scrape(text(t, alive(t, "1.31.0")...), "a", "istiod-7d9c8b6f5-ddddd", "westeurope", noon, after(time.Minute)), after(time.Hour))
	assert.Equal(t, Counts{Late: late.Late}, late)

	doc = s.Roll(after(config.Forget+time.Hour), nil)
	assert.Empty(t, doc.ControlPlanes, "forgotten")
}

// TestRefusals counts what is not taken, each by its reason.
func TestRefusals(t *testing.T) {
	gauge := func(name string, change func(rm pmetric.ResourceMetrics, p pmetric.NumberDataPoint)) pmetric.Metrics {
		md := pmetric.NewMetrics()
		rm := md.ResourceMetrics().AppendEmpty()
		resource(rm, "a", pod, "westeurope")
		m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		m.SetName(name)
		p := m.SetEmptyGauge().DataPoints().AppendEmpty()
		p.SetTimestamp(pcommon.NewTimestampFromTime(noon))
		p.SetIntValue(1)
		change(rm, p)
		return md
	}
	for name, test := range map[string]struct {
		metric string
		change func(rm pmetric.ResourceMetrics, p pmetric.NumberDataPoint)
		want   Counts
	}{
		"taken": {"pilot_xds", func(pmetric.ResourceMetrics, pmetric.NumberDataPoint) {}, Counts{Taken: 1}},
		"no cluster": {"pilot_xds", func(rm pmetric.ResourceMetrics, _ pmetric.NumberDataPoint) {
			rm.Resource().Attributes().Remove("k8s.cluster.name")
		}, Counts{NoCluster: 1}},
		"no instance": {"pilot_xds", func(rm pmetric.ResourceMetrics, _ pmetric.NumberDataPoint) {
			rm.Resource().Attributes().Remove("k8s.pod.name")
			rm.Resource().Attributes().Remove("service.instance.id")
		}, Counts{NoInstance: 1}},
		"future": {"pilot_xds", func(_ pmetric.ResourceMetrics, p pmetric.NumberDataPoint) {
			p.SetTimestamp(pcommon.NewTimestampFromTime(after(time.Hour)))
		}, Counts{Future: 1}},
		"no time":    {"pilot_xds", func(_ pmetric.ResourceMetrics, p pmetric.NumberDataPoint) { p.SetTimestamp(0) }, Counts{Unreadable: 1}},
		"other type": {"pilot_xds_pushes", func(pmetric.ResourceMetrics, pmetric.NumberDataPoint) {}, Counts{Unreadable: 1}},
		"ended": {"pilot_xds", func(_ pmetric.ResourceMetrics, p pmetric.NumberDataPoint) {
			p.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
		}, Counts{Taken: 1}},
		"another": {"pilot_services", func(pmetric.ResourceMetrics, pmetric.NumberDataPoint) {}, Counts{}},
		"proxy":   {"istio_requests_total", func(pmetric.ResourceMetrics, pmetric.NumberDataPoint) {}, Counts{}},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(DefaultConfig())
			assert.Equal(t, test.want, s.Metrics(gauge(test.metric, test.change), noon))
			assert.Equal(t, test.want, s.Counts())
		})
	}
}

// TestCeilings prevents that a cluster that says too much costs more than it may, and that nobody hears of it.
func TestCeilings(t *testing.T) {
	config := DefaultConfig()
	config.MaxClusters, config.MaxIstiods = 2, 2
	s := New(config)
	var all Counts
	for c := range 5 {
		for i := range 5 {
			lines := alive(t, "1.31.0", "# TYPE pilot_xds gauge")
			for v := range 2 * maxKeys {
				lines = append(lines, fmt.Sprintf(`pilot_xds{version="1.%d.0"} 1`, v))
			}
			lines = append(lines, "# TYPE pilot_xds_pushes counter")
			for v := range 2 * maxCounters {
				lines = append(lines, fmt.Sprintf(`pilot_xds_pushes{type="t%d"} 1`, v))
			}
			all.add(says(t, s, fmt.Sprint("c", c), fmt.Sprintf("istiod-7d9c8b6f5-%c%c%c%c%c", 'a'+i, 'a', 'a', 'a', 'a'), strings.Repeat("r", 1000), noon, lines))
		}
	}
	doc := s.Roll(after(5*time.Second), nil)
	assert.True(t, doc.Full)
	require.Len(t, doc.ControlPlanes, 2)
	for _, r := range doc.ControlPlanes {
		assert.Len(t, r.Istiods, 2)
		assert.Equal(t, int64(2*maxKeys), r.Proxies.Connected)
		assert.LessOrEqual(t, len(r.Region), maxKeyBytes)
	}
	assert.Equal(t, 4*(2+maxKeys+maxCounters), all.Taken)
	assert.Equal(t, 21*(2+2*maxKeys+2*maxCounters)+4*(maxKeys+maxCounters), all.Full)
}

// TestDataPlane has the versions that proxies say, in clusters with and without an istiod of their own.
func TestDataPlane(t *testing.T) {
	s := New(DefaultConfig())
	s.Begin(noon)
	for _, tag := range []string{"1.31.0", "1.29.4", "1.31.0"} {
		says(t, s, "remote", "reviews-v1-5f8d9c7b6-xxxxx", "eastus", noon, []string{"# TYPE istio_build gauge", `istio_build{component="proxy",tag="` + tag + `"} 1`})
	}
	s.Roll(after(5*time.Second), nil)
	assert.Equal(t, Waiting, record(t, s, "remote").State, "its istiod may still come")
	s.Begin(noon.Add(-time.Hour))
	s.Roll(after(5*time.Second), nil)
	r := record(t, s, "remote")
	assert.Equal(t, ProxiesOnly, r.State)
	assert.Empty(t, r.Istiods)
	assert.Equal(t, []Build{{"proxy", "1.29.4"}, {"proxy", "1.31.0"}}, r.DataPlane)
	assert.Empty(t, r.Findings)
	slice := pmetric.NewMetricSlice()
	s.AppendMetrics(slice, noon)
	assert.Zero(t, slice.Len())
}

// TestSummedCounters has deltas that an agent summed over a cluster's istiods.
func TestSummedCounters(t *testing.T) {
	s := New(DefaultConfig())
	says(t, s, "a", pod, "westeurope", noon, alive(t, "1.31.0"))
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	resource(rm, "a", "", "westeurope")
	rm.Resource().Attributes().Remove("service.instance.id")
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("pilot_total_xds_rejects")
	m.SetEmptySum().SetIsMonotonic(true)
	m.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	p := m.Sum().DataPoints().AppendEmpty()
	p.SetTimestamp(pcommon.NewTimestampFromTime(after(time.Minute)))
	p.SetIntValue(3)
	p.Attributes().PutStr("type", "cds")
	assert.Equal(t, Counts{Taken: 1}, s.Metrics(md, after(time.Minute)))
	assert.Equal(t, Counts{Duplicate: 1}, s.Metrics(md, after(time.Minute)))
	s.Roll(after(61*time.Second), nil)
	r := record(t, s, "a")
	assert.Equal(t, map[string]int64{"cds": 3}, r.Pushes.Rejects)
	assert.Len(t, r.Istiods, 1)
	m.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	assert.Equal(t, Counts{NoInstance: 1}, s.Metrics(md, after(time.Minute)), "totals of two istiods are no total")
}

// TestNothingForOthers prevents that the metrics of the whole mesh, which all come by, pay for the few of istiods.
func TestNothingForOthers(t *testing.T) {
	s := New(DefaultConfig())
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	resource(rm, "a", pod, "westeurope")
	for _, name := range []string{"istio_requests_total", "istio_request_duration_milliseconds", "envoy_cluster_upstream_rq_total", "process_cpu", "http.server.duration"} {
		rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetName(name)
	}
	assert.Zero(t, testing.AllocsPerRun(100, func() { s.Metrics(md, noon) }))
}

func TestCheck(t *testing.T) {
	config := DefaultConfig()
	require.NoError(t, config.Check())
	bad := Config{Window: 90 * time.Second, Expire: time.Second, CertificateWarning: -1}
	err := bad.Check()
	for _, key := range []string{"window", "expire", "forget", "certificate_warning", "max_clusters", "max_istiods"} {
		assert.ErrorContains(t, err, "control_planes::"+key)
	}
}
