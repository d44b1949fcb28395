// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/internal/points"
)

// origin is who says it.
type origin struct {
	cluster, instance, namespace, pod, workload, region, uid string
}

func originOf(resource pcommon.Resource) origin {
	text := func(key string) string {
		v, ok := resource.Attributes().Get(key)
		if !ok || v.Type() != pcommon.ValueTypeStr {
			return ""
		}
		return v.Str()
	}
	o := origin{
		cluster: text("k8s.cluster.name"), instance: text("service.instance.id"), namespace: text("k8s.namespace.name"),
		pod: text("k8s.pod.name"), workload: text("k8s.deployment.name"), region: text("cloud.region"), uid: text("k8s.cluster.uid"),
	}
	if o.pod != "" {
		// The pod, whatever the scrape calls its target.
		o.instance = o.namespace + "." + o.pod
		if o.workload == "" {
			o.workload = workloadOfPod(o.pod)
		}
	}
	return o
}

// workloadOfPod takes the name of a Deployment out of its pod's: <deployment>-<hash>-<five characters>.
func workloadOfPod(pod string) string {
	name := pod
	for range 2 {
		i := strings.LastIndexByte(name, '-')
		if i <= 0 {
			return ""
		}
		name = name[:i]
	}
	return name
}

// Metrics takes what there is of control planes in a batch that came at the given time. It keeps nothing of the batch,
// changes nothing in it, and takes no lock for a resource that has none of Istio's metrics of control planes. Safe for
// concurrent use.
func (s *Store) Metrics(md pmetric.Metrics, at time.Time) Counts {
	var all Counts
	for _, rm := range md.ResourceMetrics().All() {
		if relevant(rm) {
			all.add(s.resource(rm, at))
		}
	}
	return all
}

func relevant(rm pmetric.ResourceMetrics) bool {
	for _, sm := range rm.ScopeMetrics().All() {
		for _, m := range sm.Metrics().All() {
			if kindOf(m.Name()) != kindNone {
				return true
			}
		}
	}
	return false
}

func (s *Store) resource(rm pmetric.ResourceMetrics, now time.Time) (counts Counts) {
	from := originOf(rm.Resource())
	s.mu.Lock()
	defer s.mu.Unlock()
	r := reader{store: s, from: &from, now: now, counts: &counts}
	for _, sm := range rm.ScopeMetrics().All() {
		for _, m := range sm.Metrics().All() {
			if k := kindOf(m.Name()); k != kindNone {
				r.metric(m, k)
			}
		}
	}
	s.counts.add(counts)
	if counts.Taken > 0 {
		s.hear(now)
	}
	return counts
}

// reader reads one resource.
type reader struct {
	store  *Store
	from   *origin
	now    time.Time
	counts *Counts
}

func (r *reader) metric(m pmetric.Metric, k kind) {
	switch {
	case k == kindConvergence && m.Type() == pmetric.MetricTypeHistogram:
		h := m.Histogram()
		for _, p := range h.DataPoints().All() {
			r.convergence(p, h.AggregationTemporality())
		}
	case k < kindConvergence && m.Type() == pmetric.MetricTypeGauge:
		for _, p := range m.Gauge().DataPoints().All() {
			r.gauge(p, k, m.Name())
		}
	case k > kindConvergence && m.Type() == pmetric.MetricTypeSum && m.Sum().IsMonotonic():
		for _, p := range m.Sum().DataPoints().All() {
			r.counter(p, k, m.Sum().AggregationTemporality())
		}
	default:
		r.counts.Unreadable += points.Of(m)
	}
}

// istiod finds the istiod that a point is of. A point that is so old that its istiod counts as gone makes no new one.
// Deltas may have been summed over a cluster's istiods, as mesh_metrics does: they have no instance.
func (r *reader) istiod(at time.Time, shared bool) *istiod {
	switch {
	case at.Sub(r.now) > maxFuture:
		r.counts.Future++
	case r.from.cluster == "":
		r.counts.NoCluster++
	case r.from.instance == "" && !shared:
		r.counts.NoInstance++
	case r.from.instance == "" && r.now.Sub(at) > r.store.config.Expire:
		r.counts.Late++
	case r.from.instance == "":
		if c := r.store.clusterNamed(clip(r.from.cluster), r.now); c != nil {
			return c.summed
		}
		r.counts.Full++
	default:
		c := r.store.clusterNamed(clip(r.from.cluster), r.now)
		if c == nil {
			r.counts.Full++
			return nil
		}
		if c.istiods[r.from.instance] == nil && r.now.Sub(at) > r.store.config.Expire {
			r.counts.Late++
			return nil
		}
		r.from.instance = clip(r.from.instance)
		i := c.istiodOf(r.from, r.store.config.MaxIstiods, at, r.now)
		if i == nil {
			r.counts.Full++
			return nil
		}
		i.seen(earlier(at, r.now))
		return i
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func number(p pmetric.NumberDataPoint) (float64, bool) {
	if p.Flags().NoRecordedValue() {
		return 0, false
	}
	switch p.ValueType() {
	case pmetric.NumberDataPointValueTypeInt:
		return float64(p.IntValue()), true
	case pmetric.NumberDataPointValueTypeDouble:
		return p.DoubleValue(), finite(p.DoubleValue())
	}
	return 0, false
}

func labelOf(attributes pcommon.Map, key string) string {
	if key == "" {
		return ""
	}
	v, ok := attributes.Get(key)
	if !ok {
		return ""
	}
	return v.AsString()
}

func (r *reader) gauge(p pmetric.NumberDataPoint, k kind, name string) {
	if p.Flags().NoRecordedValue() {
		// The series ended: the next scrape does not have it.
		r.counts.Taken++
		return
	}
	value, ok := number(p)
	at := p.Timestamp().AsTime()
	if !ok || p.Timestamp() == 0 {
		r.counts.Unreadable++
		return
	}
	if k == kindBuild {
		r.build(p, at)
		return
	}
	i := r.istiod(at, false)
	if i == nil {
		return
	}
	key := labelOf(p.Attributes(), k.label())
	f := &i.families[k]
	switch k {
	case kindSync:
		key = labelOf(p.Attributes(), "cluster") + "\x00" + labelOf(p.Attributes(), "status")
	case kindRefused:
		// Four metrics share the family; their scrape has one time.
		key = name[len("pilot_xds_"):len("pilot_xds_cds")] + "\x00" + key
	}
	r.counts.count(f.set(at, r.now, strings.Clone(clip(key)), value))
}

// build takes istio_build, which each component has about itself.
func (r *reader) build(p pmetric.NumberDataPoint, at time.Time) {
	component, version := labelOf(p.Attributes(), "component"), labelOf(p.Attributes(), "tag")
	if component == "pilot" {
		if i := r.istiod(at, false); i != nil {
			r.counts.count(i.build.set(at, r.now, strings.Clone(clip(version)), 1))
		}
		return
	}
	switch {
	case at.Sub(r.now) > maxFuture:
		r.counts.Future++
	case r.from.cluster == "":
		r.counts.NoCluster++
	case r.now.Sub(at) > r.store.config.Expire:
		r.counts.Late++
	default:
		c := r.store.clusterNamed(clip(r.from.cluster), r.now)
		if c == nil || len(component) > maxComponent || len(version) > maxKeyBytes {
			r.counts.Full++
			return
		}
		id := build{component: component, version: version}
		last, known := c.builds[id]
		if !known && len(c.builds) >= maxBuilds {
			r.counts.Full++
			return
		}
		r.counts.Taken++
		if at = earlier(at, r.now); at.After(last) {
			c.builds[build{component: strings.Clone(component), version: strings.Clone(version)}] = at
		}
	}
}

func (r *reader) counter(p pmetric.NumberDataPoint, k kind, temporality pmetric.AggregationTemporality) {
	if p.Flags().NoRecordedValue() {
		r.counts.Taken++
		return
	}
	value, ok := number(p)
	if !ok || value < 0 || p.Timestamp() == 0 {
		r.counts.Unreadable++
		return
	}
	at := p.Timestamp().AsTime()
	i := r.istiod(at, temporality == pmetric.AggregationTemporalityDelta)
	if i == nil {
		return
	}
	c := i.counter(k, labelOf(p.Attributes(), k.label()), r.store.config.Window)
	switch {
	case c == nil:
		r.counts.Full++
	case temporality == pmetric.AggregationTemporalityDelta:
		r.counts.count(c.delta(at, value))
	case temporality == pmetric.AggregationTemporalityCumulative:
		r.counts.count(c.cumulative(startOf(p.StartTimestamp()), at, value, at.After(i.began)))
	default:
		r.counts.Unreadable++
	}
}

func startOf(t pcommon.Timestamp) time.Time {
	if t == 0 {
		return time.Time{}
	}
	return t.AsTime()
}

func (r *reader) convergence(p pmetric.HistogramDataPoint, temporality pmetric.AggregationTemporality) {
	if p.Flags().NoRecordedValue() {
		r.counts.Taken++
		return
	}
	bounds, counts := p.ExplicitBounds().AsRaw(), p.BucketCounts().AsRaw()
	if !readable(bounds, counts) || !finite(p.Sum()) || p.Sum() < 0 || p.Timestamp() == 0 {
		r.counts.Unreadable++
		return
	}
	at := p.Timestamp().AsTime()
	i := r.istiod(at, temporality == pmetric.AggregationTemporalityDelta)
	if i == nil {
		return
	}
	h := &i.convergence
	if h.buckets == nil || !same(h.bounds, bounds) {
		h.reset(bounds, r.store.config.Window)
	}
	switch temporality {
	case pmetric.AggregationTemporalityDelta:
		r.counts.count(h.delta(at, counts, p.Sum()))
	case pmetric.AggregationTemporalityCumulative:
		r.counts.count(h.cumulative(startOf(p.StartTimestamp()), at, counts, p.Sum(), at.After(i.began)))
	default:
		r.counts.Unreadable++
	}
}

// readable says whether the buckets are those of a histogram of durations.
func readable(bounds []float64, counts []uint64) bool {
	if len(bounds) == 0 || len(bounds) > maxBounds || len(counts) != len(bounds)+1 || bounds[0] <= 0 {
		return false
	}
	for i, b := range bounds {
		if !finite(b) || i > 0 && b <= bounds[i-1] {
			return false
		}
	}
	return true
}

func same(a, b []float64) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
