// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/metadatatest"
)

// labelSet makes the labels of a point; a nil value leaves the label out.
type labelSet map[string]any

func (l labelSet) put(attrs pcommon.Map) {
	for key, value := range l {
		if text, ok := value.(string); ok {
			attrs.PutStr(key, text)
		}
	}
}

func callOf(reporter string) labelSet {
	return labelSet{
		"reporter":        reporter,
		"source_workload": "productpage-v1", "source_workload_namespace": "bookinfo", "source_cluster": "aks-westeurope",
		"source_canonical_service": "productpage", "source_canonical_revision": "v1",
		"source_principal":     "spiffe://west.mesh/ns/bookinfo/sa/bookinfo-productpage",
		"destination_workload": "reviews-v3", "destination_workload_namespace": "bookinfo", "destination_cluster": "aks-northeurope",
		"destination_canonical_service": "reviews", "destination_canonical_revision": "v3",
		"destination_principal": "spiffe://north.mesh/ns/bookinfo/sa/bookinfo-reviews",
		"destination_service":   "reviews.bookinfo.svc.cluster.local", "destination_service_name": "reviews",
		"destination_service_namespace": "bookinfo", "connection_security_policy": "unknown",
	}
}

// ofEachType adds the metric once for each type of points.
func ofEachType(metrics pmetric.MetricSlice, name string, labels labelSet) {
	add := func() pmetric.Metric {
		m := metrics.AppendEmpty()
		m.SetName(name)
		return m
	}
	labels.put(add().SetEmptySum().DataPoints().AppendEmpty().Attributes())
	labels.put(add().SetEmptyGauge().DataPoints().AppendEmpty().Attributes())
	labels.put(add().SetEmptyHistogram().DataPoints().AppendEmpty().Attributes())
	labels.put(add().SetEmptyExponentialHistogram().DataPoints().AppendEmpty().Attributes())
	labels.put(add().SetEmptySummary().DataPoints().AppendEmpty().Attributes())
}

func allPoints(md pmetric.Metrics, visit func(name string, attrs pcommon.Map)) {
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, metric := range sm.Metrics().All() {
				eachPoint(metric, func(attrs pcommon.Map, _ pcommon.Timestamp) { visit(metric.Name(), attrs) })
			}
		}
	}
}

// TestDirection: which way bytes went does not depend on who reports, nor on the type of the points.
func TestDirection(t *testing.T) {
	tests := map[string]string{
		"istio_tcp_received_bytes_total": "request", "istio_tcp_received_bytes": "request",
		"istio_tcp_sent_bytes_total": "response", "istio_tcp_sent_bytes": "response",
		"istio_request_bytes": "request", "istio_response_bytes": "response",
		"istio_request_messages_total": "request", "istio_response_messages_total": "response",
		"istiocustom.istio_tcp_sent_bytes_total": "response",
		"istio_requests_total":                   "", "istio_tcp_connections_opened_total": "",
		"istio_request_duration_milliseconds": "",
	}
	md := pmetric.NewMetrics()
	metrics := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics()
	for name := range tests {
		for _, reporter := range []string{"source", "destination", "waypoint"} {
			ofEachType(metrics, name, callOf(reporter))
		}
	}
	seen := 0
	allPoints(passMetrics(t, createDefaultConfig().(*Config), md), func(name string, attrs pcommon.Map) {
		seen++
		got, _ := attrs.Get("mesh.traffic.direction")
		assert.Equal(t, tests[name], got.Str(), name)
		cluster, _ := attrs.Get("mesh.destination.cluster")
		assert.Equal(t, "aks-northeurope", cluster.Str(), name)
	})
	assert.Equal(t, len(tests)*3*5, seen)
}

func TestNoDirectionWithoutACall(t *testing.T) {
	md := pmetric.NewMetrics()
	metrics := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics()
	ofEachType(metrics, "istio_request_bytes", labelSet{"component": "proxy"})
	ofEachType(metrics, "http.server.request.body.size", callOf("source"))
	allPoints(passMetrics(t, createDefaultConfig().(*Config), md), func(name string, attrs pcommon.Map) {
		attrs.Range(func(key string, _ pcommon.Value) bool {
			assert.False(t, strings.HasPrefix(key, "mesh."), "%s: %s", name, key)
			return true
		})
	})
}

func dropping() *Config {
	cfg := createDefaultConfig().(*Config)
	cfg.IstioLabels = dropLabels
	return cfg
}

// TestDropRemovesWhatIsSaid: six labels of each end go, and no other.
func TestDropRemovesWhatIsSaid(t *testing.T) {
	md := pmetric.NewMetrics()
	point := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	point.SetName("istio_requests_total")
	labels := callOf("source")
	for _, other := range []string{"source_app", "source_version", "source_region", "source_zone", "destination_app", "destination_zone"} {
		labels[other] = "unknown"
	}
	labels.put(point.SetEmptySum().DataPoints().AppendEmpty().Attributes())
	check := func(md pmetric.Metrics) {
		t.Helper()
		allPoints(md, func(_ string, attrs pcommon.Map) {
			var left []string
			for key := range attrs.All() {
				if !strings.HasPrefix(key, "mesh.") {
					left = append(left, key)
				}
			}
			slices.Sort(left)
			assert.Equal(t, []string{
				"connection_security_policy", "destination_app", "destination_service", "destination_service_name",
				"destination_service_namespace", "destination_zone", "reporter", "source_app", "source_region", "source_version", "source_zone",
			}, left)
			assert.Equal(t, "productpage-v1", attrs.AsRaw()["mesh.source.workload"])
			assert.Equal(t, "mutual", attrs.AsRaw()["mesh.tls"])
		})
	}
	once := passMetrics(t, dropping(), md)
	check(once)
	hub := passMetrics(t, createDefaultConfig().(*Config), once)
	check(hub)
	assert.Equal(t, fingerprints(once), fingerprints(hub), "a hub must not forget what an agent's labels told")
}

func TestIstioLabelsOfTheConfig(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	assert.Equal(t, "keep", cfg.IstioLabels)
	require.NoError(t, confmap.NewFromStringMap(map[string]any{"istio_labels": "remove"}).Unmarshal(cfg))
	require.ErrorContains(t, cfg.Validate(), "'istio_labels' is \"remove\": write keep, or drop")
}

// fingerprint is the identity of a point within its metric.
func fingerprint(attrs pcommon.Map) string {
	pairs := make([]string, 0, attrs.Len())
	for key, value := range attrs.All() {
		pairs = append(pairs, fmt.Sprintf("%s=%s:%q", key, value.Type(), value.AsString()))
	}
	slices.Sort(pairs)
	return strings.Join(pairs, ",")
}

func fingerprints(md pmetric.Metrics) (out []string) {
	allPoints(md, func(_ string, attrs pcommon.Map) { out = append(out, fingerprint(attrs)) })
	slices.Sort(out)
	return out
}

// TestDropKeepsSeriesApart puts every combination of what the labels of an end can say, be it known, unknown, empty,
// another or absent, through the processor: as many series have to come out as went in, from agent and hub, whatever
// attributes are written.
func TestDropKeepsSeriesApart(t *testing.T) {
	few := dropping()
	few.Attributes = []string{"mesh.source.cluster", "mesh.resolution.source", "mesh.destination.cluster", "mesh.resolution.destination", "mesh.traffic.locality"}
	for _, end := range []string{"source", "destination"} {
		for name, cfg := range map[string]*Config{"all": dropping(), "few": few} {
			t.Run(end+"_"+name, func(t *testing.T) {
				md := combinations(end)
				went := len(slices.Compact(fingerprints(md)))
				require.Equal(t, md.DataPointCount(), went, "the test's own series are distinct")
				out := passMetrics(t, cfg, md)
				require.Len(t, slices.Compact(fingerprints(out)), went)
				hub := passMetrics(t, createDefaultConfig().(*Config), out)
				require.Len(t, slices.Compact(fingerprints(hub)), went)
			})
		}
	}
}

// combinations are the series that differ in the labels of one end. The reporter is the pod of one of them.
func combinations(end string) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("k8s.cluster.name", "aks-westeurope")
	rm.Resource().Attributes().PutStr("k8s.namespace.name", "bookinfo")
	rm.Resource().Attributes().PutStr("k8s.pod.name", "productpage-v1-1")
	metric := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName("istio_requests_total")
	points := metric.SetEmptySum().DataPoints()
	values := [][]any{
		{nil, "", "unknown", "aks-westeurope", "elsewhere"},
		{nil, "unknown", "productpage-v1"},
		{nil, "unknown", "bookinfo"},
		{nil, "unknown", "productpage"},
		{nil, "latest", "v1"},
		{nil, "unknown", "spiffe://west.mesh/ns/bookinfo/sa/bookinfo-productpage"},
		{nil, "westeurope-1"},
	}
	names := []string{"cluster", "workload", "workload_namespace", "canonical_service", "canonical_revision", "principal", "zone"}
	var fill func(i int, labels labelSet)
	fill = func(i int, labels labelSet) {
		if i == len(names) {
			labels.put(points.AppendEmpty().Attributes())
			return
		}
		for _, value := range values[i] {
			labels[end+"_"+names[i]] = value
			fill(i+1, labels)
		}
	}
	for _, reporter := range []string{"source", "destination"} {
		fill(0, labelSet{"reporter": reporter})
	}
	return md
}

// TestZoneStatistics reads zones out of names: of Prometheus metrics by the zones that are known, of pushed ones by the
// reporter's own.
func TestZoneStatistics(t *testing.T) {
	tests := []struct {
		name, clusterKey, cluster string
		destinationZone, locality any
	}{
		{"envoy_cluster_zone_1_westeurope_2_upstream_rq_completed", "cluster_name", "outbound|80||reviews.bookinfo.svc.cluster.local;", "westeurope-2", "cross_zone"},
		{"envoy_cluster_zone_westeurope_1_northeurope_1_upstream_rq", "cluster_name", "outbound|80||reviews.bookinfo.svc.cluster.local", "northeurope-1", "cross_region"},
		{"envoy_cluster_zone_1_westeurope_1_upstream_rq_time", "cluster_name", "outbound|80||reviews.bookinfo.svc.cluster.local", "westeurope-1", "same_zone"},
		{"envoy_cluster_zone_1_2_upstream_rq", "cluster_name", "outbound|80||reviews.bookinfo.svc.cluster.local", nil, "unknown"},
		{"envoy_cluster_zone_1_nowhere_upstream_rq", "cluster_name", "outbound|80||reviews.bookinfo.svc.cluster.local", nil, nil},
		{"cluster.zone.1.westeurope-2.upstream_rq_200", "envoy.cluster_name", "outbound|80||reviews.bookinfo.svc.cluster.local", "westeurope-2", "cross_zone"},
		{"cluster.outbound|80||reviews.bookinfo.svc.cluster.local;.zone.westeurope-1.westeurope-2.upstream_rq_200", "", "", "westeurope-2", "cross_zone"},
		{"envoy_cluster_upstream_rq_total", "cluster_name", "outbound|80||reviews.bookinfo.svc.cluster.local", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			md := pmetric.NewMetrics()
			rm := md.ResourceMetrics().AppendEmpty()
			rm.Resource().Attributes().PutStr("k8s.cluster.name", "aks-westeurope")
			rm.Resource().Attributes().PutStr("k8s.namespace.name", "bookinfo")
			rm.Resource().Attributes().PutStr("k8s.pod.name", "productpage-v1-1")
			ofEachType(rm.ScopeMetrics().AppendEmpty().Metrics(), tt.name, labelSet{tt.clusterKey: tt.cluster})
			out := passMetrics(t, createDefaultConfig().(*Config), md)
			allPoints(out, func(_ string, attrs pcommon.Map) {
				raw := attrs.AsRaw()
				assert.Equal(t, tt.destinationZone, raw["mesh.destination.zone"])
				assert.Equal(t, tt.locality, raw["mesh.traffic.locality"])
				assert.Equal(t, "westeurope-1", raw["mesh.source.zone"])
				assert.Equal(t, "reviews", raw["mesh.destination.service"])
				assert.Nil(t, raw["mesh.destination.cluster"])
				assert.Nil(t, raw["mesh.tls"])
			})
			assert.Equal(t, fingerprints(out), fingerprints(passMetrics(t, createDefaultConfig().(*Config), out)))
			allPoints(metricsThrough(t, newTestHost(), createDefaultConfig().(*Config), out), func(_ string, attrs pcommon.Map) {
				assert.Equal(t, tt.locality, attrs.AsRaw()["mesh.traffic.locality"], "a hub that knows no zones keeps the agent's")
			})
		})
	}
}

// TestZonesOfTheReceiver: the envoy receiver takes the zones out of the name, in Envoy's spelling.
func TestZonesOfTheReceiver(t *testing.T) {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("envoy.node.id", "sidecar~127.1.0.21~productpage-v1-1.bookinfo~bookinfo.svc.cluster.local")
	rm.Resource().Attributes().PutStr("k8s.cluster.name", "aks-westeurope")
	ofEachType(rm.ScopeMetrics().AppendEmpty().Metrics(), "cluster.zone.upstream_rq_completed", labelSet{
		"envoy.cluster_name": "outbound|80||reviews", "envoy.cluster.name": "outbound|80||reviews.bookinfo.svc.cluster.local",
		"envoy.zone.source": "1", "envoy.zone.destination": "westeurope-2",
	})
	allPoints(passMetrics(t, createDefaultConfig().(*Config), md), func(_ string, attrs pcommon.Map) {
		raw := attrs.AsRaw()
		assert.Equal(t, "westeurope-1", raw["mesh.source.zone"])
		assert.Equal(t, "westeurope-2", raw["mesh.destination.zone"])
		assert.Equal(t, "cross_zone", raw["mesh.traffic.locality"])
		assert.Equal(t, "bookinfo", raw["mesh.destination.namespace"])
	})
}

// BenchmarkMetrics stamps points that are fresh from the wire, 20 labels each.
func BenchmarkMetrics(b *testing.B) {
	const points = 1000
	md := pmetric.NewMetrics()
	metric := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName("istio_request_bytes")
	dps := metric.SetEmptyHistogram().DataPoints()
	for i := range points {
		labels := callOf("source")
		labels["response_code"], labels["request_protocol"], labels["destination_app"] = strconv.Itoa(200+i%300), "http", "reviews"
		labels.put(dps.AppendEmpty().Attributes())
	}
	wire, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(md)
	require.NoError(b, err)
	for name, cfg := range map[string]*Config{"keep": createDefaultConfig().(*Config), "drop": dropping()} {
		b.Run(name, func(b *testing.B) {
			p, err := newMeshTopology(metadatatest.NewSettings(componenttest.NewTelemetry()), cfg)
			require.NoError(b, err)
			require.NoError(b, p.start(context.Background(), newHost(b)))
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(wire)
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if _, err := p.processMetrics(context.Background(), md); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/points, "ns/point")
		})
	}
}
