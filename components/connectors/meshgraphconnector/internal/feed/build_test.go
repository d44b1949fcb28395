// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/goleak"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// whole are the attributes that a point of mesh_metrics has.
func whole() map[string]any {
	return map[string]any{
		"mesh.source.cluster": "west", "mesh.source.region": "westeurope", "mesh.source.zone": "westeurope-1",
		"mesh.source.network": "vnet-west", "mesh.source.namespace": "shop", "mesh.source.workload": "web",
		"mesh.source.service": "web", "mesh.source.version": "v1", "mesh.source.principal": "spiffe://west/ns/shop/sa/web",
		"mesh.destination.cluster": "west", "mesh.destination.region": "westeurope", "mesh.destination.zone": "westeurope-2",
		"mesh.destination.network": "vnet-west", "mesh.destination.namespace": "shop", "mesh.destination.workload": "cart-v2",
		"mesh.destination.service": "cart", "mesh.destination.version": "v2",
		"mesh.destination.principal": "spiffe://west/ns/shop/sa/cart",
		"mesh.resolution.source":     "label", "mesh.resolution.destination": "label", "mesh.traffic.locality": "cross_zone",
		"mesh.traffic.cross_cluster": false, "mesh.tls": "mutual", "reporter": "source", "request_protocol": "http",
		"response_code": "200", "response_flags": "-", "destination_service_name": "cart",
	}
}

// but is whole with some attributes changed; nil removes one.
func but(changes map[string]any) map[string]any {
	attrs := whole()
	for k, v := range changes {
		if v == nil {
			delete(attrs, k)
		} else {
			attrs[k] = v
		}
	}
	return attrs
}

func wholeKey() graph.Key {
	return graph.Key{
		Caller: graph.Caller{Cluster: "west", Region: "westeurope", Namespace: "shop", Workload: "web", Version: "v1"},
		Callee: graph.Callee{
			Cluster: "west", Region: "westeurope", Namespace: "shop", Service: "cart", Workload: "cart-v2", Version: "v2",
		},
		Protocol: graph.HTTP,
	}
}

// metrics are those of one metric that make makes.
func metrics(name string, make func(pmetric.Metric)) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("k8s.cluster.name", "west")
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName("scope")
	m := sm.Metrics().AppendEmpty()
	m.SetName(name)
	make(m)
	return md
}

func put(to pcommon.Map, attrs map[string]any) {
	if err := to.FromRaw(attrs); err != nil {
		panic(err)
	}
}

// sum makes a delta of one point.
func sum(value any, attrs map[string]any) func(pmetric.Metric) {
	return func(m pmetric.Metric) {
		s := m.SetEmptySum()
		s.SetIsMonotonic(true)
		s.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		dp := s.DataPoints().AppendEmpty()
		dp.SetStartTimestamp(1_000_000_001)
		dp.SetTimestamp(2_000_000_002)
		switch v := value.(type) {
		case int:
			dp.SetIntValue(int64(v))
		case float64:
			dp.SetDoubleValue(v)
		}
		put(dp.Attributes(), attrs)
	}
}

// explicit makes a histogram of two bounds.
func explicit(counts []uint64, total float64, attrs map[string]any) func(pmetric.Metric) {
	return func(m pmetric.Metric) {
		h := m.SetEmptyHistogram()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		dp := h.DataPoints().AppendEmpty()
		dp.SetStartTimestamp(1)
		dp.SetTimestamp(2)
		for _, n := range counts {
			dp.SetCount(dp.Count() + n)
		}
		dp.SetSum(total)
		dp.BucketCounts().FromRaw(counts)
		dp.ExplicitBounds().FromRaw([]float64{5, 10})
		put(dp.Attributes(), attrs)
	}
}

// exponential makes an exponential histogram.
func exponential(counts []uint64, total float64, attrs map[string]any) func(pmetric.Metric) {
	return func(m pmetric.Metric) {
		h := m.SetEmptyExponentialHistogram()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		dp := h.DataPoints().AppendEmpty()
		dp.SetZeroCount(1)
		dp.SetCount(1)
		for _, n := range counts {
			dp.SetCount(dp.Count() + n)
		}
		dp.SetSum(total)
		dp.SetScale(3)
		dp.Positive().SetOffset(7)
		dp.Positive().BucketCounts().FromRaw(counts)
		dp.SetMin(0)
		dp.SetMax(99)
		put(dp.Attributes(), attrs)
	}
}

// taken are the points that metrics become; only the first one keeps its histogram.
type taken struct {
	points []graph.Point
	ids    []ID
	counts Counts
}

func feedOf(md pmetric.Metrics) (t taken) {
	t.counts = New([16]byte{7}).Metrics(md, func(id ID, p *graph.Point) error {
		t.points, t.ids = append(t.points, *p), append(t.ids, id)
		return nil
	})
	return t
}

var start = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
