// SPDX-License-Identifier: Apache-2.0

package meshbalancingexporter

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"

	"github.com/otelcol-mesh/otelcol-mesh/internal/istiod"
	counting "github.com/otelcol-mesh/otelcol-mesh/internal/points"
)

// The attributes that say what was called. mesh_topology writes them at the agent, the same at both ends of a call.
const (
	calledService   = "mesh.destination.service"
	calledNamespace = "mesh.destination.namespace"
)

// controlPlanes is the key of what tells of control planes, of all clusters: how they differ, and that two speak for one cluster, can
// only be seen where all of them are. All routers have the same one.
var controlPlanes = hash(offset, "control planes")

// part is what one replica gets of a request. rm and sm are where the next metric goes: they are of the resource and the scope that
// are split now, or not set.
type part struct {
	md         pmetric.Metrics
	points     int
	rm         pmetric.ResourceMetrics
	sm         pmetric.ScopeMetrics
	inRM, inSM bool
}

// split moves each point of a request to the part of its replica, in one pass: resources, scopes and metrics come in the order in
// which they were, so that nothing is looked for.
func split(md pmetric.Metrics, r *ring) []part {
	s := &splitting{ring: r, planes: r.of(controlPlanes), parts: make([]part, len(r.replicas)), open: make([]pmetric.Metric, len(r.replicas)), isOpen: make([]bool, len(r.replicas))}
	for i := range s.parts {
		s.parts[i].md = pmetric.NewMetrics()
	}
	for _, rm := range md.ResourceMetrics().All() {
		s.resource(rm)
	}
	return s.parts
}

type splitting struct {
	ring  *ring
	parts []part
	// own is the replica of what the resource says about itself, planes that of what tells of control planes.
	own, planes int
	// open are the metrics that the points of the one that is split go to.
	open   []pmetric.Metric
	isOpen []bool
}

func (s *splitting) resource(rm pmetric.ResourceMetrics) {
	s.own = s.ring.of(resourceKey(rm.Resource().Attributes()))
	for i := range s.parts {
		s.parts[i].inRM = false
	}
	for _, sm := range rm.ScopeMetrics().All() {
		for i := range s.parts {
			s.parts[i].inSM = false
		}
		for _, m := range sm.Metrics().All() {
			s.metric(rm, sm, m)
		}
	}
}

// resourceKey is the cluster and the service of a resource; both may be missing.
func resourceKey(attrs pcommon.Map) uint64 {
	return hash(hash(offset, text(attrs, string(semconv.K8SClusterNameKey))), text(attrs, string(semconv.ServiceNameKey)))
}

func text(attrs pcommon.Map, key string) string {
	value, ok := attrs.Get(key)
	if !ok {
		return ""
	}
	return value.AsString()
}

// of returns the replica of a point.
func (s *splitting) of(attrs pcommon.Map) int {
	service := text(attrs, calledService)
	if service == "" {
		return s.own
	}
	return s.ring.of(hash(hash(offset, text(attrs, calledNamespace)), service))
}

// metric gives the points of a metric to their replicas.
func (s *splitting) metric(rm pmetric.ResourceMetrics, sm pmetric.ScopeMetrics, m pmetric.Metric) {
	if istiod.IsMetric(m.Name()) {
		to := &s.parts[s.planes]
		to.points += counting.Of(m)
		m.MoveTo(to.room(rm, sm))
		return
	}
	clear(s.isOpen)
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		place(s, rm, sm, m, m.Gauge().DataPoints(), func(to pmetric.Metric, fresh bool) pmetric.NumberDataPointSlice {
			if fresh {
				to.SetEmptyGauge()
			}
			return to.Gauge().DataPoints()
		})
	case pmetric.MetricTypeSum:
		from := m.Sum()
		place(s, rm, sm, m, from.DataPoints(), func(to pmetric.Metric, fresh bool) pmetric.NumberDataPointSlice {
			if fresh {
				to.SetEmptySum().SetIsMonotonic(from.IsMonotonic())
				to.Sum().SetAggregationTemporality(from.AggregationTemporality())
			}
			return to.Sum().DataPoints()
		})
	case pmetric.MetricTypeHistogram:
		from := m.Histogram()
		place(s, rm, sm, m, from.DataPoints(), func(to pmetric.Metric, fresh bool) pmetric.HistogramDataPointSlice {
			if fresh {
				to.SetEmptyHistogram().SetAggregationTemporality(from.AggregationTemporality())
			}
			return to.Histogram().DataPoints()
		})
	case pmetric.MetricTypeExponentialHistogram:
		from := m.ExponentialHistogram()
		place(s, rm, sm, m, from.DataPoints(), func(to pmetric.Metric, fresh bool) pmetric.ExponentialHistogramDataPointSlice {
			if fresh {
				to.SetEmptyExponentialHistogram().SetAggregationTemporality(from.AggregationTemporality())
			}
			return to.ExponentialHistogram().DataPoints()
		})
	case pmetric.MetricTypeSummary:
		place(s, rm, sm, m, m.Summary().DataPoints(), func(to pmetric.Metric, fresh bool) pmetric.SummaryDataPointSlice {
			if fresh {
				to.SetEmptySummary()
			}
			return to.Summary().DataPoints()
		})
	default:
		m.MoveTo(s.parts[s.own].room(rm, sm))
	}
}

// points are those of a metric of one type.
type points[P any] interface {
	Len() int
	At(i int) P
	AppendEmpty() P
}

type point[P any] interface {
	Attributes() pcommon.Map
	MoveTo(dest P)
}

// place moves a metric as a whole if all of its points, or none, go to one replica; else point by point. in returns the points of
// a metric that they go to, which has a type only if it is not fresh.
func place[P point[P], S points[P]](s *splitting, rm pmetric.ResourceMetrics, sm pmetric.ScopeMetrics, m pmetric.Metric, from S, in func(to pmetric.Metric, fresh bool) S) {
	if from.Len() == 0 {
		m.MoveTo(s.parts[s.own].room(rm, sm))
		return
	}
	first, n := s.of(from.At(0).Attributes()), 1
	for n < from.Len() && s.of(from.At(n).Attributes()) == first {
		n++
	}
	if n == from.Len() {
		s.parts[first].points += n
		m.MoveTo(s.parts[first].room(rm, sm))
		return
	}
	for i := range from.Len() {
		at := s.of(from.At(i).Attributes())
		fresh := !s.isOpen[at]
		if fresh {
			to := s.parts[at].room(rm, sm)
			to.SetName(m.Name())
			to.SetDescription(m.Description())
			to.SetUnit(m.Unit())
			m.Metadata().CopyTo(to.Metadata())
			s.open[at], s.isOpen[at] = to, true
		}
		from.At(i).MoveTo(in(s.open[at], fresh).AppendEmpty())
		s.parts[at].points++
	}
}

// room is where a part takes the next metric of a resource and a scope.
func (p *part) room(rm pmetric.ResourceMetrics, sm pmetric.ScopeMetrics) pmetric.Metric {
	if !p.inRM {
		p.rm = p.md.ResourceMetrics().AppendEmpty()
		rm.Resource().CopyTo(p.rm.Resource())
		p.rm.SetSchemaUrl(rm.SchemaUrl())
		p.inRM, p.inSM = true, false
	}
	if !p.inSM {
		p.sm = p.rm.ScopeMetrics().AppendEmpty()
		sm.Scope().CopyTo(p.sm.Scope())
		p.sm.SetSchemaUrl(sm.SchemaUrl())
		p.inSM = true
	}
	return p.sm.Metrics().AppendEmpty()
}

func (p *part) empty() bool { return p.md.ResourceMetrics().Len() == 0 }
