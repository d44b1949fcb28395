// SPDX-License-Identifier: Apache-2.0

// Package metricservice turns the Prometheus metric families of Envoy's metrics service v3 into metrics.
//
//   - [Converter.Convert] walks the families of one message
//   - point.go writes one data point of each kind
//   - zone.go finds the zones that hide in the names of zone statistics
//   - buckets.go turns Prometheus's cumulative buckets into OpenTelemetry's
//   - tracker.go and series.go remember since when a cumulative series counts
//
// Other names, and labels, stay as Envoy sends them.
package metricservice

import (
	"time"

	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/attr"
)

// uptimeMetric is the gauge that tells since when an Envoy runs, in seconds (Envoy's server statistics).
const uptimeMetric = "server.uptime"

// Settings say how to read what the protocol leaves open.
type Settings struct {
	Limits attr.Limits
	// CounterTemporality is cumulative unless Envoy's sink sets report_counters_as_deltas.
	CounterTemporality pmetric.AggregationTemporality
	// HistogramTemporality is delta for Envoy, whose sink reports each interval by itself.
	HistogramTemporality pmetric.AggregationTemporality
}

// Converter writes the families of one message. It is not safe for concurrent use.
type Converter struct {
	Settings Settings
	// Node remembers the sender's series.
	Node *Node
	// Zone is the sender's zone, as it spells it; empty if it told none.
	Zone string
	// Received is when the message arrived; it stands in for a missing timestamp.
	Received time.Time
	// Tally counts what was cut and skipped.
	Tally attr.Tally

	// metrics are the metrics written so far: Envoy sends a family for each set of tags, which are points of one metric.
	metrics map[metricKey]pmetric.Metric
	// histograms are the names of the histograms in the message.
	histograms map[string]struct{}
	// zones are those in the name of the family at hand.
	zones envoy.ZoneStat
}

// metricKey tells metrics apart within a message.
type metricKey struct {
	name string
	kind dto.MetricType
}

// Convert writes the families of a message and returns the number of data points written.
func (c *Converter) Convert(families []*dto.MetricFamily, to pmetric.MetricSlice) int {
	c.Node.mu.Lock()
	defer c.Node.mu.Unlock()

	c.metrics = make(map[metricKey]pmetric.Metric, len(families))
	c.histograms = make(map[string]struct{})
	c.survey(families)
	points := 0
	for _, family := range families {
		points += c.family(family, to)
	}
	return points
}

// survey reads ahead what the points depend on: the time of the flush, since when the process runs, and which
// summaries repeat a histogram.
func (c *Converter) survey(families []*dto.MetricFamily) {
	var flush pcommon.Timestamp
	var uptime float64
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			flush = max(flush, c.timestamp(metric))
		}
		switch {
		case family.GetType() == dto.MetricType_HISTOGRAM:
			c.histograms[family.GetName()] = struct{}{}
		case family.GetName() == uptimeMetric && len(family.GetMetric()) == 1:
			uptime = family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	if flush != 0 {
		c.Node.beginFlush(flush, uptime)
	}
}

func (c *Converter) family(family *dto.MetricFamily, to pmetric.MetricSlice) int {
	if _, repeats := c.histograms[family.GetName()]; repeats && family.GetType() == dto.MetricType_SUMMARY {
		// Two kinds under one name contradict each other, and the histogram holds more.
		c.Tally.Skip(attr.SkipSummary, len(family.GetMetric()))
		return 0
	}
	points := 0
	c.zones, _ = envoy.ParseZoneStat(family.GetName(), c.Zone) // Most names hold no zones, which the zero value says.
	for _, metric := range family.GetMetric() {
		if !c.supported(family, metric) {
			c.Tally.Skip(attr.SkipMetric, 1)
			continue
		}
		if c.point(family, metric, to) {
			points++
		}
	}
	return points
}

// supported reports whether a metric holds the value its family's type announces.
func (c *Converter) supported(family *dto.MetricFamily, metric *dto.Metric) bool {
	if family.GetName() == "" {
		return false
	}
	switch family.GetType() {
	case dto.MetricType_COUNTER:
		return metric.GetCounter() != nil
	case dto.MetricType_GAUGE:
		return metric.GetGauge() != nil
	case dto.MetricType_UNTYPED:
		return metric.GetUntyped() != nil
	case dto.MetricType_SUMMARY:
		return metric.GetSummary() != nil
	case dto.MetricType_HISTOGRAM:
		// A native histogram has a schema and float counts; Envoy sends neither.
		h := metric.GetHistogram()
		return h != nil && h.Schema == nil && h.SampleCountFloat == nil
	default:
		return false
	}
}

// metric returns the metric of a family, new or from earlier in the message.
func (c *Converter) metric(family *dto.MetricFamily, to pmetric.MetricSlice) pmetric.Metric {
	name := c.metricName(family)
	key := metricKey{name: name, kind: family.GetType()}
	if m, ok := c.metrics[key]; ok {
		return m
	}
	w := attr.Writer{Limits: c.Settings.Limits, Tally: &c.Tally}
	m := to.AppendEmpty()
	m.SetName(w.Cut(name))
	m.SetDescription(w.Cut(family.GetHelp()))
	m.SetUnit(w.Cut(family.GetUnit()))
	switch family.GetType() {
	case dto.MetricType_COUNTER:
		sum := m.SetEmptySum()
		sum.SetIsMonotonic(true)
		sum.SetAggregationTemporality(c.Settings.CounterTemporality)
	case dto.MetricType_HISTOGRAM:
		m.SetEmptyHistogram().SetAggregationTemporality(c.Settings.HistogramTemporality)
	case dto.MetricType_SUMMARY:
		m.SetEmptySummary()
	default:
		m.SetEmptyGauge()
	}
	c.metrics[key] = m
	return m
}

// timestamp returns a metric's own time, or when the message arrived.
func (c *Converter) timestamp(metric *dto.Metric) pcommon.Timestamp {
	const latest = (1<<63 - 1) / int64(time.Millisecond)
	if ms := metric.GetTimestampMs(); ms > 0 && ms <= latest {
		return pcommon.Timestamp(ms * int64(time.Millisecond))
	}
	return pcommon.NewTimestampFromTime(c.Received)
}
