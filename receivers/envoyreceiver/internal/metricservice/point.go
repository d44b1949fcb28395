// SPDX-License-Identifier: Apache-2.0

package metricservice

import (
	"math"

	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/attr"
)

// point writes one data point and reports whether it did.
func (c *Converter) point(family *dto.MetricFamily, metric *dto.Metric, to pmetric.MetricSlice) bool {
	switch family.GetType() {
	case dto.MetricType_COUNTER:
		c.counter(family, metric, c.metric(family, to).Sum().DataPoints().AppendEmpty())
	case dto.MetricType_HISTOGRAM:
		buckets, ok := splitBuckets(metric.GetHistogram())
		if !ok {
			c.Tally.Skip(attr.SkipBuckets, 1)
			return false
		}
		c.histogram(family, metric, buckets, c.metric(family, to).Histogram().DataPoints().AppendEmpty())
	case dto.MetricType_SUMMARY:
		c.summary(metric, c.metric(family, to).Summary().DataPoints().AppendEmpty())
	case dto.MetricType_UNTYPED:
		c.gauge(metric, metric.GetUntyped().GetValue(), c.metric(family, to).Gauge().DataPoints().AppendEmpty())
	default:
		c.gauge(metric, metric.GetGauge().GetValue(), c.metric(family, to).Gauge().DataPoints().AppendEmpty())
	}
	return true
}

func (c *Converter) gauge(metric *dto.Metric, value float64, point pmetric.NumberDataPoint) {
	point.SetTimestamp(c.timestamp(metric))
	point.SetDoubleValue(value)
	c.labels(metric, point.Attributes())
}

func (c *Converter) counter(family *dto.MetricFamily, metric *dto.Metric, point pmetric.NumberDataPoint) {
	value := metric.GetCounter().GetValue()
	point.SetTimestamp(c.timestamp(metric))
	point.SetDoubleValue(value)
	point.SetStartTimestamp(c.start(startQuery{
		family: family, metric: metric, value: value,
		temporality: c.Settings.CounterTemporality,
		created:     metric.GetCounter().GetCreatedTimestamp(),
	}))
	c.labels(metric, point.Attributes())
	if metric.GetCounter().GetExemplar() != nil {
		c.Tally.Skip(attr.SkipExemplar, 1)
	}
}

func (c *Converter) histogram(
	family *dto.MetricFamily, metric *dto.Metric, b buckets, point pmetric.HistogramDataPoint,
) {
	h := metric.GetHistogram()
	point.SetTimestamp(c.timestamp(metric))
	point.SetCount(h.GetSampleCount())
	point.SetSum(h.GetSampleSum())
	point.ExplicitBounds().FromRaw(b.bounds)
	point.BucketCounts().FromRaw(b.counts)
	point.SetStartTimestamp(c.start(startQuery{
		family: family, metric: metric, value: float64(h.GetSampleCount()),
		temporality: c.Settings.HistogramTemporality,
		created:     h.GetCreatedTimestamp(),
	}))
	c.labels(metric, point.Attributes())
	if n := countExemplars(h); n > 0 {
		c.Tally.Skip(attr.SkipExemplar, n)
	}
}

// summary writes the quantiles of the last interval. A quantile of no samples is not a number and is left out.
func (c *Converter) summary(metric *dto.Metric, point pmetric.SummaryDataPoint) {
	s := metric.GetSummary()
	point.SetTimestamp(c.timestamp(metric))
	point.SetStartTimestamp(c.Node.intervalStart(c.timestamp(metric)))
	point.SetCount(s.GetSampleCount())
	point.SetSum(s.GetSampleSum())
	for _, quantile := range s.GetQuantile() {
		if math.IsNaN(quantile.GetValue()) || math.IsNaN(quantile.GetQuantile()) {
			c.Tally.Skip(attr.SkipQuantile, 1)
			continue
		}
		q := point.QuantileValues().AppendEmpty()
		q.SetQuantile(quantile.GetQuantile())
		q.SetValue(quantile.GetValue())
	}
	c.labels(metric, point.Attributes())
}

func (c *Converter) labels(metric *dto.Metric, attributes pcommon.Map) {
	labels := metric.GetLabel()
	if over := len(labels) - c.Settings.Limits.MaxMapEntries; over > 0 {
		c.Tally.Skip(attr.SkipMapEntries, over)
		labels = labels[:c.Settings.Limits.MaxMapEntries]
	}
	w := attr.Writer{Map: attributes, Limits: c.Settings.Limits, Tally: &c.Tally}
	attributes.EnsureCapacity(len(labels))
	for _, label := range labels {
		if label.GetName() == "" {
			c.Tally.Skip(attr.SkipLabel, 1)
			continue
		}
		w.Str(w.Cut(label.GetName()), label.GetValue())
	}
	c.zoneAttributes(metric.GetLabel(), w)
}

// startQuery is what the start time of a point depends on.
type startQuery struct {
	family      *dto.MetricFamily
	metric      *dto.Metric
	value       float64
	temporality pmetric.AggregationTemporality
	created     *timestamppb.Timestamp
}

func (c *Converter) start(q startQuery) pcommon.Timestamp {
	at := c.timestamp(q.metric)
	if q.created.IsValid() && q.created.GetSeconds() > 0 && q.created.AsTime().Before(at.AsTime()) {
		return pcommon.NewTimestampFromTime(q.created.AsTime())
	}
	if q.temporality == pmetric.AggregationTemporalityDelta {
		return c.Node.intervalStart(at)
	}
	start, outcome := c.Node.observe(c.Node.key(q.family.GetName(), q.metric.GetLabel()), q.value, at)
	switch outcome {
	case reset:
		c.Tally.Resets++
	case untracked:
		c.Tally.Skip(attr.SkipTracking, 1)
	}
	return start
}

func countExemplars(h *dto.Histogram) int {
	n := len(h.GetExemplars())
	for _, bucket := range h.GetBucket() {
		if bucket.GetExemplar() != nil {
			n++
		}
	}
	return n
}
