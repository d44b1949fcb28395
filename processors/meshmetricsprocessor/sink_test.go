// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// sink takes metrics, or refuses them, and adds up what it took.
type sink struct {
	refuse  func() bool
	totals  map[string]value
	points  int
	batches []pmetric.Metrics
	keep    bool
	// taken are the points that came, by what makes them one, if that is looked at; again counts those that came again.
	taken map[string]value
	again int
}

type value struct {
	count   uint64
	sum     float64
	buckets [4]uint64
}

func (v *value) add(o value) {
	v.count += o.count
	v.sum += o.sum
	for i := range v.buckets {
		v.buckets[i] += o.buckets[i]
	}
}

func (v value) minus(o value) value {
	v.count -= o.count
	v.sum -= o.sum
	for i := range v.buckets {
		v.buckets[i] -= o.buckets[i]
	}
	return v
}

func (v value) below(o value) bool {
	for i := range v.buckets {
		if v.buckets[i] < o.buckets[i] {
			return true
		}
	}
	return v.count < o.count
}

func (*sink) Capabilities() consumer.Capabilities { return consumer.Capabilities{MutatesData: true} }

func (s *sink) ConsumeMetrics(_ context.Context, md pmetric.Metrics) error {
	if s.refuse != nil && s.refuse() {
		// Whoever refuses may have changed what it got.
		md.ResourceMetrics().RemoveIf(func(pmetric.ResourceMetrics) bool { return true })
		return errors.New("queue is full")
	}
	if s.keep {
		copied := pmetric.NewMetrics()
		md.CopyTo(copied)
		s.batches = append(s.batches, copied)
	}
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				s.metric(rm.Resource().Attributes(), m)
			}
		}
	}
	return nil
}

func (s *sink) metric(resource pcommon.Map, m pmetric.Metric) {
	switch m.Type() {
	case pmetric.MetricTypeSum:
		for _, p := range m.Sum().DataPoints().All() {
			v := value{count: uint64(p.IntValue()), sum: p.DoubleValue()}
			if s.came(v, resource, p.Attributes(), m.Name(), p.StartTimestamp(), p.Timestamp()) {
				continue
			}
			s.add(m.Name(), p.Attributes(), v)
		}
	case pmetric.MetricTypeHistogram:
		for _, p := range m.Histogram().DataPoints().All() {
			v := value{count: p.Count(), sum: p.Sum()}
			copy(v.buckets[:], p.BucketCounts().AsRaw())
			if s.came(v, resource, p.Attributes(), m.Name(), p.StartTimestamp(), p.Timestamp()) {
				continue
			}
			s.add(m.Name(), p.Attributes(), v)
		}
	default:
	}
}

// came says that the same point is there already, as who reads it can tell.
func (s *sink) came(v value, resource, attrs pcommon.Map, identity ...any) bool {
	if s.taken == nil {
		return false
	}
	key := fmt.Sprint(resource.AsRaw(), attrs.AsRaw(), identity)
	before, again := s.taken[key]
	if again && before != v {
		panic("another value under the same times: " + key)
	}
	if again {
		s.again++
	}
	s.taken[key] = v
	return again
}

func (s *sink) add(name string, attrs pcommon.Map, v value) {
	s.points++
	if s.totals == nil {
		s.totals = map[string]value{}
	}
	workload, code := text(attrs, "mesh.source.workload"), text(attrs, "response_code")
	for _, key := range []string{name, name + " " + workload, name + " " + workload + " " + code} {
		total := s.totals[key]
		total.add(v)
		s.totals[key] = total
	}
}

func text(attrs pcommon.Map, name string) string {
	if v, ok := attrs.Get(name); ok {
		return v.AsString()
	}
	return ""
}
