// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
)

func TestWhatAPointSays(t *testing.T) {
	base := graph.Point{
		Key: wholeKey(), Status: 200, GRPC: -1, Flags: "-", TLS: graph.TLSMutual, Zone: graph.CrossZone,
		Time: 2, SourcePrincipal: "spiffe://west/ns/shop/sa/web", DestinationPrincipal: "spiffe://west/ns/shop/sa/cart",
	}
	tests := []struct {
		name    string
		metric  string
		value   any
		changes map[string]any
		want    func(*graph.Point)
	}{
		{"requests", "istio_requests_total", 3, nil, func(p *graph.Point) { p.Requests = 3 }},
		{"without _total", "istio_requests", 3.0, nil, func(p *graph.Point) { p.Requests = 3 }},
		{"pushed", "istiocustom.istio_requests_total", 3.0, nil, func(p *graph.Point) { p.Requests = 3 }},
		{"a float that rounding left", "istio_requests_total", 2.9999999, nil, func(p *graph.Point) { p.Requests = 3 }},
		{
			"destination", "istio_requests_total", 3,
			map[string]any{"reporter": "destination"},
			func(p *graph.Point) { p.Requests, p.Reporter = 3, graph.Destination },
		},
		{
			"waypoint", "istio_requests_total", 3,
			map[string]any{"reporter": "waypoint"},
			func(p *graph.Point) { p.Requests, p.Reporter = 3, graph.Waypoint },
		},
		{
			"gRPC", "istio_requests_total", 1,
			map[string]any{"request_protocol": "grpc", "grpc_response_status": "14"},
			func(p *graph.Point) { p.Requests, p.GRPC, p.Key.Protocol = 1, 14, graph.GRPC },
		},
		{
			"a code as a number", "istio_requests_total", 1,
			map[string]any{"response_code": 503, "response_flags": "UF,URX"},
			func(p *graph.Point) { p.Requests, p.Status, p.Flags = 1, 503, "UF,URX" },
		},
		{
			"no answer", "istio_requests_total", 1,
			map[string]any{"response_code": "0", "response_flags": "DC"},
			func(p *graph.Point) { p.Requests, p.Status, p.Flags = 1, 0, "DC" },
		},
		{
			"no code at all", "istio_requests_total", 1,
			map[string]any{"response_code": nil, "response_flags": nil},
			func(p *graph.Point) { p.Requests, p.Status, p.Flags = 1, -1, "" },
		},
		{
			"no code that anybody can read", "istio_requests_total", 1,
			map[string]any{"response_code": "+200"},
			func(p *graph.Point) { p.Requests, p.Status = 1, -1 },
		},
		{
			"a code that is none", "istio_requests_total", 1,
			map[string]any{"response_code": -200, "grpc_response_status": 1000},
			func(p *graph.Point) { p.Requests, p.Status, p.GRPC = 1, -1, -1 },
		},
		{
			"a code that is too long", "istio_requests_total", 1,
			map[string]any{"response_code": "0200", "grpc_response_status": ""},
			func(p *graph.Point) { p.Requests, p.Status, p.GRPC = 1, -1, -1 },
		},
		{
			"plain text", "istio_requests_total", 1,
			map[string]any{"mesh.tls": "none"},
			func(p *graph.Point) { p.Requests, p.TLS = 1, graph.TLSNone },
		},
		{
			"TLS by Istio's label", "istio_requests_total", 1,
			map[string]any{"mesh.tls": nil, "connection_security_policy": "none"},
			func(p *graph.Point) { p.Requests, p.TLS = 1, graph.TLSNone },
		},
		{
			"TLS unknown", "istio_requests_total", 1,
			map[string]any{"mesh.tls": "unknown", "connection_security_policy": "unknown"},
			func(p *graph.Point) { p.Requests, p.TLS = 1, graph.TLSUnknown },
		},
		{
			"same zone", "istio_requests_total", 1,
			map[string]any{"mesh.traffic.locality": "same_zone"},
			func(p *graph.Point) { p.Requests, p.Zone = 1, graph.SameZone },
		},
		{
			"another region", "istio_requests_total", 1,
			map[string]any{"mesh.traffic.locality": "cross_region"},
			func(p *graph.Point) { p.Requests, p.Zone = 1, graph.ZoneUnknown },
		},
		{
			"a label is no end", "istio_requests_total", 1,
			map[string]any{
				"mesh.source.workload": nil, "source_workload": "gateway", "mesh.source.principal": nil, "source_principal": "spiffe://x",
			},
			func(p *graph.Point) { p.Requests, p.Key.Caller.Workload, p.SourcePrincipal = 1, "", "" },
		},
		{"bytes as a counter", "istio_request_bytes_sum", 1200, nil, func(p *graph.Point) { p.RequestBytes = 1200 }},
		{
			"TCP received", "istio_tcp_received_bytes_total", 10.0,
			map[string]any{"mesh.traffic.direction": "request"},
			func(p *graph.Point) { p.RequestBytes, p.Key.Protocol = 10, graph.TCP },
		},
		{
			"TCP sent", "istio_tcp_sent_bytes_total", 10.0,
			map[string]any{"mesh.traffic.direction": "response"},
			func(p *graph.Point) { p.ResponseBytes, p.Key.Protocol = 10, graph.TCP },
		},
		{
			"TCP by the name", "istiocustom.istio_tcp_sent_bytes_total", 10.0, nil,
			func(p *graph.Point) { p.ResponseBytes, p.Key.Protocol = 10, graph.TCP },
		},
		{
			"the attribute is above the name", "istio_tcp_sent_bytes", 10.0,
			map[string]any{"mesh.traffic.direction": "request"},
			func(p *graph.Point) { p.RequestBytes, p.Key.Protocol = 10, graph.TCP },
		},
		{"opened", "istio_tcp_connections_opened_total", 2, nil, func(p *graph.Point) { p.Opened, p.Key.Protocol = 2, graph.TCP }},
		{"closed", "istio_tcp_connections_closed_total", 2, nil, func(p *graph.Point) { p.Closed, p.Key.Protocol = 2, graph.TCP }},
		{
			"failed, of ztunnel", "istio_tcp_connections_failed_total", 2,
			map[string]any{"response_flags": "CONNECT"},
			func(p *graph.Point) { p.FailedConnections, p.Key.Protocol, p.Flags = 2, graph.TCP, "CONNECT" },
		},
		{
			"nobody was reached", "istio_requests_total", 1,
			map[string]any{
				"mesh.destination.cluster": nil, "mesh.destination.region": nil, "mesh.destination.workload": nil,
				"mesh.destination.version": nil, "mesh.destination.principal": nil, "response_code": "503", "response_flags": "UH",
				"mesh.resolution.destination": "unknown:no_upstream",
			},
			func(p *graph.Point) {
				p.Requests, p.Status, p.Flags, p.DestinationPrincipal = 1, 503, "UH", ""
				p.Key.Callee = graph.Callee{Namespace: "shop", Service: "cart"}
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := base
			tt.want(&want)
			got := feedOf(metrics(tt.metric, sum(tt.value, but(tt.changes))))
			assert.Equal(t, Counts{Taken: 1}, got.counts)
			require.Len(t, got.points, 1)
			assert.Equal(t, want, got.points[0])
		})
	}
}

func TestWhatIsNotTaken(t *testing.T) {
	cumulative := func(m pmetric.Metric) {
		sum(1, whole())(m)
		setTemporality(m, pmetric.AggregationTemporalityCumulative)
	}
	stale := func(m pmetric.Metric) {
		sum(1, whole())(m)
		m.Sum().DataPoints().At(0).SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
	}
	gauge := func(m pmetric.Metric) { put(m.SetEmptyGauge().DataPoints().AppendEmpty().Attributes(), whole()) }
	tests := []struct {
		name   string
		metric string
		make   func(pmetric.Metric)
		want   Outcome
	}{
		{"cumulative", "istio_requests_total", cumulative, NotDelta},
		{"a cumulative histogram", "istio_request_duration_milliseconds", func(m pmetric.Metric) {
			explicit([]uint64{1, 0, 0}, 1, whole())(m)
			setTemporality(m, pmetric.AggregationTemporalityUnspecified)
		}, NotDelta},
		{"an application's", "http_requests_total", sum(1, whole()), OtherMetric},
		{"of Istio, and no edge's", "istio_request_messages_total", sum(1, whole()), OtherMetric},
		{"Envoy's", "envoy_cluster_upstream_rq_total", sum(1, whole()), OtherMetric},
		{"a gauge", "istio_requests_total", gauge, WrongType},
		{"a histogram of requests", "istio_requests_total", explicit([]uint64{1, 0, 0}, 1, whole()), WrongType},
		{"a counter of durations", "istio_request_duration_milliseconds", sum(1, whole()), WrongType},
		{"a histogram of TCP", "istio_tcp_sent_bytes_total", explicit([]uint64{1, 0, 0}, 1, whole()), WrongType},
		{"an empty metric", "istio_requests_total", func(pmetric.Metric) {}, OutcomeCount},
		{"no reporter", "istio_requests_total", sum(1, but(map[string]any{"reporter": nil})), NoReporter},
		{"another reporter", "istio_requests_total", sum(1, but(map[string]any{"reporter": "unknown"})), NoReporter},
		{"mesh_topology did not see it", "istio_requests_total", sum(1, map[string]any{"reporter": "source", "source_workload": "web"}), NoEnds},
		{"a gateway about itself", "istio_tcp_sent_bytes_total", sum(1, but(map[string]any{"mesh.resolution.source": "unknown:behind_gateway"})), Carrier},
		{"no value", "istio_requests_total", sum(nil, whole()), NoValue},
		{"no recorded value", "istio_requests_total", stale, NoValue},
		{"zero", "istio_requests_total", sum(0, whole()), Zero},
		{"zero as a float", "istio_requests_total", sum(0.2, whole()), Zero},
		{"negative", "istio_requests_total", sum(-1, whole()), BadValue},
		{"negative as a float", "istio_requests_total", sum(-3.0, whole()), BadValue},
		{"not a number", "istio_requests_total", sum(math.NaN(), whole()), BadValue},
		{"infinite", "istio_requests_total", sum(math.Inf(1), whole()), BadValue},
		{"more than a counter holds", "istio_requests_total", sum(math.Pow(2, 64), whole()), BadValue},
		{"no buckets", "istio_request_duration_milliseconds", func(m pmetric.Metric) {
			explicit([]uint64{1, 0, 0}, 1, whole())(m)
			m.Histogram().DataPoints().At(0).BucketCounts().FromRaw(nil)
		}, NoBuckets},
		{"a negative duration", "istio_request_duration_milliseconds", explicit([]uint64{1, 0, 0}, -1, whole()), BadValue},
		{"no durations", "istio_request_duration_milliseconds", explicit([]uint64{0, 0, 0}, 0, whole()), Zero},
		{"bytes without a sum", "istio_request_bytes", func(m pmetric.Metric) {
			explicit([]uint64{1, 0, 0}, 1, whole())(m)
			m.Histogram().DataPoints().At(0).RemoveSum()
		}, NoValue},
		{"negative exponential buckets", "istio_request_duration_milliseconds", func(m pmetric.Metric) {
			exponential([]uint64{1}, 1, whole())(m)
			m.ExponentialHistogram().DataPoints().At(0).Negative().BucketCounts().FromRaw([]uint64{1})
		}, BadValue},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := feedOf(metrics(tt.metric, tt.make))
			var want Counts
			if tt.want < OutcomeCount {
				want[tt.want] = 1
			}
			assert.Equal(t, outcomes(&want), outcomes(&got.counts))
			assert.Empty(t, got.points)
		})
	}
}

func TestHistograms(t *testing.T) {
	got := feedOf(metrics("istio_request_duration_milliseconds", explicit([]uint64{4, 2, 1}, 77, whole())))
	require.Len(t, got.points, 1)
	p := got.points[0]
	assert.Equal(t, []any{[]float64{5, 10}, []uint64{4, 2, 1}, 77.0}, []any{p.LatencyBounds, p.LatencyCounts, p.LatencySum})
	assert.Zero(t, p.Requests, "istio_requests_total counts them")

	got = feedOf(metrics("istio_request_duration_milliseconds", exponential([]uint64{4, 0, 1}, 77, whole())))
	require.Len(t, got.points, 1)
	l := got.points[0].Latency
	require.NotNil(t, l)
	assert.Equal(t, []uint64{4, 0, 1}, l.Counts)
	assert.Equal(t, []any{int32(3), int32(7), uint64(1), 77.0, 0.0, 99.0, true}, []any{l.Scale, l.Offset, l.Zero, l.Sum, l.Min, l.Max, l.HasExtremes})

	for _, make := range []func(pmetric.Metric){explicit([]uint64{4, 2, 1}, 900, whole()), exponential([]uint64{4}, 900, whole())} {
		got = feedOf(metrics("istio_request_bytes", make))
		require.Len(t, got.points, 1)
		assert.Equal(t, uint64(900), got.points[0].RequestBytes)
		got = feedOf(metrics("istiocustom.istio_response_bytes", make))
		require.Len(t, got.points, 1)
		assert.Equal(t, uint64(900), got.points[0].ResponseBytes)
	}
}

// A whole metric that is left out is counted by its points.
func TestAllPointsOfAMetricAreCounted(t *testing.T) {
	md := metrics("istio_requests_total", func(m pmetric.Metric) {
		sum(1, whole())(m)
		m.Sum().DataPoints().At(0).CopyTo(m.Sum().DataPoints().AppendEmpty())
		setTemporality(m, pmetric.AggregationTemporalityCumulative)
	})
	assert.Equal(t, Counts{NotDelta: 2}, feedOf(md).counts)
	md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).SetName("app_requests_total")
	assert.Equal(t, Counts{OtherMetric: 2}, feedOf(md).counts)
}

func TestARefusedPointIsCounted(t *testing.T) {
	counts := New([16]byte{}).Metrics(metrics("istio_requests_total", sum(1, whole())), func(ID, *graph.Point) error {
		return errors.New("no")
	})
	assert.Equal(t, Counts{Refused: 1}, counts)
}

// Every word that is counted is one word, and what an edge lost is told apart from what is no edge's.
func TestOutcomes(t *testing.T) {
	seen := map[string]bool{}
	for o := range OutcomeCount {
		require.NotEmpty(t, o.String())
		require.False(t, seen[o.String()], o)
		seen[o.String()] = true
	}
	assert.True(t, NotDelta.Loses())
	assert.False(t, OtherMetric.Loses())
	assert.Equal(t, "no_edge", OutcomeCount.String())
	a, b := Counts{Taken: 1, Zero: 2}, Counts{Taken: 5}
	a.Add(&b)
	assert.Equal(t, Counts{Taken: 6, Zero: 2}, a)
}

func TestEjections(t *testing.T) {
	f := New([16]byte{})
	var got []Ejection
	f.Ejected = func(e *Ejection) { got = append(got, *e) }
	gauge := func(value int64, attrs map[string]any) func(pmetric.Metric) {
		return func(m pmetric.Metric) {
			dp := m.SetEmptyGauge().DataPoints().AppendEmpty()
			dp.SetIntValue(value)
			dp.SetTimestamp(5e9)
			put(dp.Attributes(), attrs)
		}
	}
	attrs := map[string]any{
		"envoy_cluster_name": "outbound|80||cart.shop.svc.cluster.local", "mesh.source.cluster": "west", "mesh.source.region": "westeurope",
		"mesh.source.namespace": "shop", "mesh.source.workload": "web", "mesh.destination.namespace": "shop", "mesh.destination.service": "cart",
	}
	add := func(ID, *graph.Point) error { t.Error("no edge's"); return nil }
	for i, name := range []string{"envoy_cluster_outlier_detection_ejections_active", "cluster.outlier_detection.ejections_active"} {
		counts := f.Metrics(metrics(name, gauge(int64(2*i), attrs)), add)
		assert.Equal(t, Counts{Taken: 1}, counts)
	}
	require.Len(t, got, 2)
	assert.Equal(t, got[0].Proxy, got[1].Proxy)
	assert.Equal(t, got[0].Series, got[1].Series)
	assert.Equal(t, Ejection{
		Proxy: got[0].Proxy, Series: got[0].Series, Caller: graph.Caller{Cluster: "west", Region: "westeurope", Namespace: "shop", Workload: "web"},
		Namespace: "shop", Service: "cart", Hosts: 2, Time: time.Unix(5, 0).UTC(),
	}, got[1])
	attrs["envoy_cluster_name"] = "outbound|80|v2|cart.shop.svc.cluster.local"
	f.Metrics(metrics("cluster.outlier_detection.ejections_active", gauge(0, attrs)), add)
	assert.Equal(t, got[0].Proxy, got[2].Proxy)
	assert.NotEqual(t, got[0].Series, got[2].Series, "a subset of the service, which has a number of its own")
	counts := f.Metrics(metrics("cluster.outlier_detection.ejections_active", gauge(1, nil)), add)
	assert.Equal(t, Counts{NoEnds: 1}, counts)
	f.Ejected = nil
	counts = f.Metrics(metrics("cluster.outlier_detection.ejections_active", gauge(1, attrs)), add)
	assert.Equal(t, Counts{OtherMetric: 1}, counts, "nobody asked")
}

// Istio names two places that are no services: what goes past the mesh, and what is refused. Without the names they would be one
// edge, with the errors of the one and the requests of the other. Any other name may be a gateway's, so it is not taken.
func TestCallsToNoServiceAreToldApart(t *testing.T) {
	for name, want := range map[string]string{
		"PassthroughCluster": "PassthroughCluster", "BlackHoleCluster": "BlackHoleCluster",
		"cart": "", "istio-eastwestgateway": "", "InboundPassthroughCluster": "", "unknown": "",
	} {
		nobody := map[string]any{"destination_service_name": name}
		for key := range whole() {
			if strings.HasPrefix(key, "mesh.destination.") {
				nobody[key] = nil
			}
		}
		got := feedOf(metrics("istio_requests_total", sum(3, but(nobody))))
		require.Len(t, got.points, 1, name)
		assert.Equal(t, graph.Callee{Service: want}, got.points[0].Key.Callee, name)
		// Where somebody is known, Istio's name says nothing.
		known := feedOf(metrics("istio_requests_total", sum(3, but(map[string]any{"destination_service_name": name}))))
		assert.Equal(t, wholeKey(), known.points[0].Key, name)
	}
}
