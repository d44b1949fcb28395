// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshmetricsprocessor/internal/early"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshmetricsprocessor/internal/series"
)

// resourceLabel is a resource that is written, with its scope. Many series share it.
type resourceLabel struct {
	key            series.Key
	attrs          pcommon.Map
	scope, version string
}

// outputLabel is what a written series is called.
type outputLabel struct {
	resource                *resourceLabel
	name, unit, description string
	attrs                   pcommon.Map
	bounds                  []float64
	histogram, hasSum       bool
	// watches are of what it tells about calls; none for other metrics.
	watches watches
	// order is that in which the series began: neighbors are alike, and compress well.
	order int64
}

type resourceLabels struct {
	mu sync.Mutex
	m  map[series.Key]*resourceLabel
}

func (l *resourceLabels) get(key series.Key, label func() *resourceLabel) *resourceLabel {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.m[key]
	if known == nil {
		known = label()
		if l.m == nil {
			l.m = map[series.Key]*resourceLabel{}
		}
		l.m[key] = known
	}
	return known
}

// keep forgets all others.
func (l *resourceLabels) keep(used map[series.Key]*resourceLabel) {
	l.mu.Lock()
	l.m = used
	l.mu.Unlock()
}

const clusterName = "k8s.cluster.name"

// clusterKey is what stays of the resource where nothing else does.
func (b *batch) clusterKey() series.Key {
	if value, ok := b.rm.Resource().Attributes().Get(clusterName); ok {
		return fold(b.scopeKey, b.seeds.pair(b.seeds.name(clusterName), value))
	}
	return b.scopeKey
}

const attributeBytes = 96 // in pdata, apart from the text

// label returns what a series is called, and how much memory that takes.
func (b *batch) label(attrs pcommon.Map, bounds pcommon.Float64Slice, level series.Level) (any, int) {
	m := b.metric
	l := &outputLabel{name: m.Name(), unit: m.Unit(), description: m.Description(), attrs: pcommon.NewMap(), order: b.order.Add(1)}
	if m.Type() == pmetric.MetricTypeHistogram {
		l.histogram = true
		l.bounds = bounds.AsRaw()
		l.hasSum = b.hasSum
	}
	b.seeds.pointLabels(b.rule, attrs, level, l.attrs)
	size := len(l.name) + len(l.unit) + 24*len(l.bounds)
	for name, value := range l.attrs.All() {
		size += attributeBytes + len(name)
		if value.Type() == pcommon.ValueTypeStr {
			size += len(value.Str())
		}
	}
	size += b.watch(l)
	key := fold(b.resKey, b.scopeKey)
	if level == series.Total {
		key = b.clusterKey()
	}
	l.resource = b.labels.get(key, func() *resourceLabel {
		r := &resourceLabel{key: key, attrs: pcommon.NewMap(), scope: b.sm.Scope().Name(), version: b.sm.Scope().Version()}
		for name, value := range b.rm.Resource().Attributes().All() {
			if (level == series.Total && name == clusterName) || (level != series.Total && b.resources.has(name) && !b.rule.except.has(name)) {
				value.CopyTo(r.attrs.PutEmpty(name))
			}
		}
		return r
	})
	return l, size
}

// part is what one series has to tell.
type part struct {
	output *series.Output
	label  *outputLabel
	taken  series.Taken
}

func (p *part) compare(o *part) int {
	a, b := p.label, o.label
	return cmp.Or(
		cmp.Compare(a.resource.key.Hi, b.resource.key.Hi), cmp.Compare(a.resource.key.Lo, b.resource.key.Lo),
		strings.Compare(a.name, b.name), strings.Compare(a.unit, b.unit), compareBool(a.histogram, b.histogram),
		cmp.Compare(a.order, b.order),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func (p *part) sameMetric(o *part) bool {
	return p.label.name == o.label.name && p.label.unit == o.label.unit && p.label.histogram == o.label.histogram
}

// flush ends an interval: it hands on what was added up, and forgets what is stale. What is refused stays, and goes with what
// is added until the next flush; flush returns how many points that are.
func (p *meshMetrics) flush(ctx context.Context, why reason) (refused int) {
	p.flushing.Lock()
	defer p.flushing.Unlock()
	refused = p.handOn(ctx, why)
	p.forgetRecent()
	if expired := p.store.Tick(p.now().UnixNano()); expired > 0 {
		p.telemetry.ProcessorMeshMetricsExpiredSeries.Add(ctx, expired)
	}
	p.warn.ceilings(p.logger)
	return refused
}

// hurry hands on what was added up, before the interval ends. All of it: of urgent series alone nobody could tell what part of
// the calls they are.
func (p *meshMetrics) hurry(ctx context.Context, why reason) {
	p.flushing.Lock()
	defer p.flushing.Unlock()
	p.handOn(ctx, why)
}

func (p *meshMetrics) handOn(ctx context.Context, why reason) (refused int) {
	if refused = p.resend(ctx); refused > 0 {
		return refused
	}
	points, refused := p.handOver(ctx)
	if points > refused {
		p.telemetry.ProcessorMeshMetricsHandovers.Add(ctx, 1, withWord("reason", string(why)))
	}
	return refused
}

// handOver hands on what was added up. With a directory it is written down before, together with what it was made from.
func (p *meshMetrics) handOver(ctx context.Context) (points, refused int) {
	now := p.now().UnixNano()
	parts, image := p.take(now)
	slices.SortFunc(parts, func(a, b part) int { return a.compare(&b) })
	groups := slices.Collect(slices.Chunk(parts, p.config.MaxPointsPerRequest))
	batches := make([]pmetric.Metrics, len(groups))
	for i, some := range groups {
		batches[i] = write(some)
	}
	var unsaved error
	if image != nil {
		unsaved = p.save(ctx, now, image, batches)
	}
	for i, some := range groups {
		err := unsaved
		if err == nil {
			err = p.next.ConsumeMetrics(ctx, batches[i])
		}
		if err == nil && p.keeper != nil {
			p.keeper.Mark(i)
		}
		for i := range some {
			some[i].output.Settle(err == nil, now)
		}
		if err == nil {
			p.telemetry.ProcessorMeshMetricsOutputPoints.Add(ctx, int64(len(some)))
			continue
		}
		refused += len(some)
		if unsaved == nil {
			p.warn.refused(p.logger, err)
		}
	}
	if refused > 0 {
		p.telemetry.ProcessorMeshMetricsRefusedPoints.Add(ctx, int64(refused))
	}
	return len(parts), refused
}

// take takes what every output has to tell, and with a directory the image of all series that is as old.
func (p *meshMetrics) take(now int64) (parts []part, image []byte) {
	resources := map[series.Key]*resourceLabel{}
	watched := map[*early.Watch]struct{}{}
	p.reading.Lock()
	for _, o := range p.store.Table.Outputs() {
		label := o.Label.(*outputLabel)
		resources[label.resource.key] = label.resource
		for _, w := range label.watches {
			watched[w] = struct{}{}
		}
		if taken, ok := o.Take(now); ok {
			parts = append(parts, part{o, label, taken})
		}
	}
	if p.early != nil {
		p.early.Keep(watched)
	}
	if touched := p.touched.Swap(false); p.keeper != nil && (touched || len(parts) > 0) {
		image = p.image()
		number, size := p.keeper.Journal()
		if size > 0 {
			p.journals = append(p.journals, pastJournal{number, now})
		}
		if size > 0 || p.keeper.Broken() {
			p.keeper.Begin()
		}
	}
	p.reading.Unlock()
	p.labels.keep(resources)
	return parts, image
}

// write makes metrics of sorted parts.
func write(parts []part) pmetric.Metrics {
	md := pmetric.NewMetrics()
	var scope pmetric.ScopeMetrics
	var metric pmetric.Metric
	for i := range parts {
		p := &parts[i]
		newResource := i == 0 || parts[i-1].label.resource.key != p.label.resource.key
		if newResource {
			rm := md.ResourceMetrics().AppendEmpty()
			p.label.resource.attrs.CopyTo(rm.Resource().Attributes())
			scope = rm.ScopeMetrics().AppendEmpty()
			scope.Scope().SetName(p.label.resource.scope)
			scope.Scope().SetVersion(p.label.resource.version)
		}
		if newResource || !parts[i-1].sameMetric(p) {
			metric = scope.Metrics().AppendEmpty()
			metric.SetName(p.label.name)
			metric.SetUnit(p.label.unit)
			metric.SetDescription(p.label.description)
			if p.label.histogram {
				metric.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
			} else {
				sum := metric.SetEmptySum()
				sum.SetIsMonotonic(true)
				sum.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
			}
		}
		p.write(metric)
	}
	return md
}

func (p *part) write(metric pmetric.Metric) {
	if p.label.histogram {
		point := metric.Histogram().DataPoints().AppendEmpty()
		p.label.attrs.CopyTo(point.Attributes())
		point.SetStartTimestamp(pcommon.Timestamp(p.taken.Start))
		point.SetTimestamp(pcommon.Timestamp(p.taken.Time))
		point.SetCount(p.taken.Count)
		if p.label.hasSum {
			point.SetSum(p.taken.Sum)
		}
		if len(p.taken.Buckets) > 0 {
			point.ExplicitBounds().FromRaw(p.label.bounds)
			point.BucketCounts().FromRaw(p.taken.Buckets)
		}
		return
	}
	point := metric.Sum().DataPoints().AppendEmpty()
	p.label.attrs.CopyTo(point.Attributes())
	point.SetStartTimestamp(pcommon.Timestamp(p.taken.Start))
	point.SetTimestamp(pcommon.Timestamp(p.taken.Time))
	if p.output.Kind == series.Int {
		point.SetIntValue(int64(p.taken.Count))
	} else {
		point.SetDoubleValue(p.taken.Sum)
	}
}

// count counts what became of a batch.
func (b *batch) count(ctx context.Context) {
	if b.dropped > 0 {
		b.telemetry.ProcessorMeshMetricsDroppedPoints.Add(ctx, b.dropped, configuredDrop)
	}
	if b.exemplars > 0 {
		b.telemetry.ProcessorMeshMetricsDroppedExemplars.Add(ctx, b.exemplars)
	}
	for o, n := range b.outcomes {
		switch {
		case n == 0:
		case series.Outcome(o).Dropped():
			b.telemetry.ProcessorMeshMetricsDroppedPoints.Add(ctx, n, b.meshMetrics.outcomes[o])
			if o >= int(series.StateFull) {
				b.warn.full.Add(n)
			}
		default:
			b.telemetry.ProcessorMeshMetricsInputPoints.Add(ctx, n, b.meshMetrics.outcomes[o])
		}
	}
	for l, n := range b.overflowed {
		if n > 0 && series.Level(l) != series.Full {
			b.telemetry.ProcessorMeshMetricsOverflowedPoints.Add(ctx, n, b.levels[l])
			b.warn.overflowed.Add(n)
		}
	}
}
