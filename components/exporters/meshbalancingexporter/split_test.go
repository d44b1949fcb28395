// SPDX-License-Identifier: Apache-2.0

package meshbalancingexporter

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

func ringOf(n int) *ring {
	var all []*replica
	for i := range n {
		all = append(all, &replica{endpoint: fmt.Sprintf("10.0.0.%d:14317", i)})
	}
	return newRing(all)
}

// random makes metrics of all types, some of them without points, each point with a number of its own.
func random(r *rand.Rand) pmetric.Metrics {
	md := pmetric.NewMetrics()
	n := 0
	stamp := func(attrs pcommon.Map) {
		n++
		attrs.PutInt("n", int64(n))
		if r.IntN(2) == 0 {
			attrs.PutStr(calledService, fmt.Sprint("s", r.IntN(20)))
			attrs.PutStr(calledNamespace, fmt.Sprint("n", r.IntN(2)))
		}
	}
	for i := range r.IntN(6) {
		rm := md.ResourceMetrics().AppendEmpty()
		rm.SetSchemaUrl("resource schema")
		rm.Resource().Attributes().PutInt("resource", int64(i))
		rm.Resource().Attributes().PutStr("service.name", fmt.Sprint("service", r.IntN(4)))
		for j := range r.IntN(4) {
			sm := rm.ScopeMetrics().AppendEmpty()
			sm.SetSchemaUrl("scope schema")
			sm.Scope().SetName(fmt.Sprint("scope", j))
			sm.Scope().Attributes().PutInt("resource", int64(i))
			for k := range r.IntN(5) {
				m := sm.Metrics().AppendEmpty()
				m.SetName(fmt.Sprint("m", i, j, k))
				if r.IntN(5) == 0 {
					m.SetName("pilot_xds")
				}
				m.SetUnit("s")
				m.SetDescription("d")
				m.Metadata().PutStr("prometheus.type", "x")
				points := r.IntN(6)
				switch r.IntN(6) {
				case 0:
					fill(points, m.SetEmptyGauge().DataPoints(), stamp)
				case 1:
					m.SetEmptySum().SetIsMonotonic(true)
					m.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
					fill(points, m.Sum().DataPoints(), stamp)
				case 2:
					m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
					fill(points, m.Histogram().DataPoints(), stamp)
				case 3:
					m.SetEmptyExponentialHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
					fill(points, m.ExponentialHistogram().DataPoints(), stamp)
				case 4:
					fill(points, m.SetEmptySummary().DataPoints(), stamp)
				}
			}
		}
	}
	return md
}

func fill[P point[P], S points[P]](n int, list S, stamp func(pcommon.Map)) {
	for range n {
		stamp(list.AppendEmpty().Attributes())
	}
}

// line is one point with everything above it, as text, and its key; without points a metric.
type line struct{ text, key string }

func lines(md pmetric.Metrics) map[line]int {
	found := map[line]int{}
	for _, rm := range md.ResourceMetrics().All() {
		own := fmt.Sprint("resource ", text(rm.Resource().Attributes(), "service.name"))
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				head := fmt.Sprint(rm.Resource().Attributes().AsRaw(), rm.SchemaUrl(), sm.Scope().Name(), sm.Scope().Attributes().AsRaw(), sm.SchemaUrl(),
					m.Name(), m.Unit(), m.Description(), m.Metadata().AsRaw(), m.Type())
				any := false
				add := func(what string, attrs pcommon.Map) {
					any = true
					key := own
					if m.Name() == "pilot_xds" {
						key = "control planes"
					} else if service := text(attrs, calledService); service != "" {
						key = "call " + text(attrs, calledNamespace) + "/" + service
					}
					found[line{head + what + fmt.Sprint(attrs.AsRaw()), key}]++
				}
				switch m.Type() {
				case pmetric.MetricTypeGauge:
					list(m.Gauge().DataPoints(), "", add)
				case pmetric.MetricTypeSum:
					list(m.Sum().DataPoints(), fmt.Sprint(m.Sum().IsMonotonic(), m.Sum().AggregationTemporality()), add)
				case pmetric.MetricTypeHistogram:
					list(m.Histogram().DataPoints(), m.Histogram().AggregationTemporality().String(), add)
				case pmetric.MetricTypeExponentialHistogram:
					list(m.ExponentialHistogram().DataPoints(), m.ExponentialHistogram().AggregationTemporality().String(), add)
				case pmetric.MetricTypeSummary:
					list(m.Summary().DataPoints(), "", add)
				}
				if !any && m.Name() == "pilot_xds" {
					found[line{head, "control planes"}]++
				} else if !any {
					found[line{head, own}]++
				}
			}
		}
	}
	return found
}

func list[P point[P], S points[P]](all S, what string, add func(string, pcommon.Map)) {
	for i := range all.Len() {
		add(what, all.At(i).Attributes())
	}
}

// TestNothingIsLostOrChanged: every point is in one part, with its resource, scope and metric as they were, and points of one key
// are in the same part, in every request.
func TestNothingIsLostOrChanged(t *testing.T) {
	ring := ringOf(3)
	at := map[string]int{}
	for seed := range uint64(500) {
		md := random(rand.New(rand.NewPCG(seed, 1))) //nolint:gosec // a test's
		want, all := lines(md), md.DataPointCount()
		got, sum := map[line]int{}, 0
		for i, part := range split(md, ring) {
			require.Equal(t, part.md.DataPointCount(), part.points)
			sum += part.points
			for l, n := range lines(part.md) {
				got[l] += n
				before, known := at[l.key]
				require.True(t, !known || before == i, "%s is at %d and %d", l.key, before, i)
				at[l.key] = i
			}
		}
		require.Equal(t, want, got, "seed %d", seed)
		require.Equal(t, all, sum)
	}
	used := map[int]bool{}
	for _, i := range at {
		used[i] = true
	}
	require.Len(t, used, 3)
}

// TestControlPlanesAreAtOneReplica: what istiods and proxies of all clusters tell of control planes comes to one replica, by whatever
// router and whatever else is in the request, and all of it to another one when that leaves. What else an istiod tells is by cluster.
func TestControlPlanesAreAtOneReplica(t *testing.T) {
	names := []string{"istio_build", "pilot_xds", "pilot_xds_pushes", "pilot_proxy_convergence_time", "istiod_uptime_seconds", "citadel_server_root_cert_expiry_timestamp"}
	where := func(ring *ring) (planes, others map[string]int) {
		planes, others = map[string]int{}, map[string]int{}
		for n := range 40 {
			md := pmetric.NewMetrics()
			rm := md.ResourceMetrics().AppendEmpty()
			rm.Resource().Attributes().PutStr("k8s.cluster.name", fmt.Sprint("cluster-", n))
			rm.Resource().Attributes().PutStr("service.name", "istiod")
			for _, name := range append(names, "pilot_services", "istio_requests_total") {
				m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
				m.SetName(name)
				p := m.SetEmptyGauge().DataPoints().AppendEmpty()
				if name == "istio_requests_total" || name == "istio_build" {
					p.Attributes().PutStr(calledService, fmt.Sprint("service-", n))
				}
			}
			for i, part := range split(md, ring) {
				for _, rm := range part.md.ResourceMetrics().All() {
					for _, sm := range rm.ScopeMetrics().All() {
						endpoint := ring.replicas[i].endpoint
						if slices.Contains(names, sm.Metrics().At(0).Name()) {
							planes[endpoint]++
						} else {
							others[endpoint]++
						}
					}
				}
			}
		}
		return planes, others
	}
	all := ringOf(4)
	planes, others := where(all)
	require.Len(t, planes, 1, "all at one")
	require.Len(t, others, 4, "and the others as before")
	owner := slices.Collect(maps.Keys(planes))[0]
	require.Equal(t, 40*len(names), planes[owner])
	turned := slices.Clone(all.replicas)
	slices.Reverse(turned)
	again, _ := where(newRing(turned))
	require.Equal(t, planes, again, "routers agree")
	left := slices.DeleteFunc(turned, func(r *replica) bool { return r.endpoint == owner })
	next, _ := where(newRing(left))
	require.Len(t, next, 1)
	require.NotContains(t, next, owner)
	// As with other keys, others that come and go change nothing, and it is not always the first address.
	first := 0
	for n := 2; n < 10; n++ {
		more := ringOf(n)
		planes, _ := where(more)
		if planes[more.replicas[0].endpoint] > 0 {
			first++
		}
		without := slices.DeleteFunc(slices.Clone(more.replicas), func(r *replica) bool { return planes[r.endpoint] == 0 })
		require.Len(t, without, 1)
		if n > 2 {
			fewer, _ := where(ringOf(n - 1))
			if _, same := fewer[without[0].endpoint]; !same {
				require.Equal(t, more.replicas[n-1].endpoint, without[0].endpoint, "only the new one takes them away")
			}
		}
	}
	require.Less(t, first, 8)
}

// TestRing: the order in which replicas are named does not matter, keys are spread evenly, and those that a change does not
// concern stay where they are.
func TestRing(t *testing.T) {
	const keys = 30_000
	three, two := ringOf(3), ringOf(2)
	turned := newRing([]*replica{three.replicas[2], three.replicas[0], three.replicas[1]})
	counts := map[string]int{}
	for n := range keys {
		key := hash(hash(offset, "shop"), fmt.Sprint("service-", n))
		owner := three.replicas[three.of(key)].endpoint
		require.Equal(t, owner, turned.replicas[turned.of(key)].endpoint)
		counts[owner]++
		if owner != three.replicas[2].endpoint {
			require.Equal(t, owner, two.replicas[two.of(key)].endpoint, "it moves without need")
		}
	}
	for endpoint, n := range counts {
		assert.InDelta(t, keys/3, n, keys/30, endpoint)
	}
	assert.NotEqual(t, hash(hash(offset, "ab"), "c"), hash(hash(offset, "a"), "bc"))
}

// BenchmarkSplit is the cost of a request of 10 000 points of 100 resources, each about calls of another service, to three replicas.
func BenchmarkSplit(b *testing.B) {
	ring, whole := ringOf(3), pmetric.NewMetrics()
	for i := range 100 {
		rm := whole.ResourceMetrics().AppendEmpty()
		rm.Resource().Attributes().PutInt("resource", int64(i))
		sm := rm.ScopeMetrics().AppendEmpty()
		for range 10 {
			points := sm.Metrics().AppendEmpty().SetEmptySum().DataPoints()
			for k := range 10 {
				attrs := points.AppendEmpty().Attributes()
				for a := range 12 {
					attrs.PutStr(fmt.Sprint("attribute", a), "value")
				}
				attrs.PutStr(calledNamespace, "shop")
				attrs.PutStr(calledService, fmt.Sprint("service-", k))
			}
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		md := pmetric.NewMetrics()
		whole.CopyTo(md)
		b.StartTimer()
		split(md, ring)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_000, "ns/point")
}
