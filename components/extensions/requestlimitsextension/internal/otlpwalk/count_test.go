// SPDX-License-Identifier: Apache-2.0

package otlpwalk

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// recount counts what pdata holds, with nothing of the walk.
type recount struct{ Counts }

func (c *recount) attributes(m pcommon.Map, depth int64) {
	c.Attributes += int64(m.Len())
	c.ObjectAttributes = max(c.ObjectAttributes, int64(m.Len()))
	for k, v := range m.All() {
		c.KeyBytes = max(c.KeyBytes, int64(len(k)))
		c.value(v, depth)
	}
}

func (c *recount) value(v pcommon.Value, depth int64) {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		c.text(v.Str())
	case pcommon.ValueTypeBytes:
		c.ValueBytes = max(c.ValueBytes, int64(v.Bytes().Len()))
	case pcommon.ValueTypeSlice:
		c.Depth = max(c.Depth, depth+1)
		c.Values += int64(v.Slice().Len())
		for _, e := range v.Slice().All() {
			c.value(e, depth+1)
		}
	case pcommon.ValueTypeMap:
		c.Depth = max(c.Depth, depth+1)
		c.attributes(v.Map(), depth+1)
	}
}

func (c *recount) text(texts ...string) {
	for _, t := range texts {
		c.ValueBytes = max(c.ValueBytes, int64(len(t)))
	}
}

func (c *recount) resource(r pcommon.Resource, schema string, scopes int) {
	c.Resources++
	c.Scopes += int64(scopes)
	c.text(schema)
	c.attributes(r.Attributes(), 0)
}

func (c *recount) scope(s pcommon.InstrumentationScope, schema string) {
	c.text(schema, s.Name(), s.Version())
	c.attributes(s.Attributes(), 0)
}

func (c *recount) traces(td ptrace.Traces) Counts {
	for _, rs := range td.ResourceSpans().All() {
		c.resource(rs.Resource(), rs.SchemaUrl(), rs.ScopeSpans().Len())
		for _, ss := range rs.ScopeSpans().All() {
			c.scope(ss.Scope(), ss.SchemaUrl())
			for _, s := range ss.Spans().All() {
				c.span(s)
			}
		}
	}
	return c.Counts
}

func (c *recount) span(s ptrace.Span) {
	c.Records++
	c.text(s.Name(), s.TraceState().AsRaw(), s.Status().Message())
	c.attributes(s.Attributes(), 0)
	c.Events += int64(s.Events().Len())
	for _, e := range s.Events().All() {
		c.text(e.Name())
		c.attributes(e.Attributes(), 0)
	}
	c.Links += int64(s.Links().Len())
	for _, l := range s.Links().All() {
		c.text(l.TraceState().AsRaw())
		c.attributes(l.Attributes(), 0)
	}
}

func (c *recount) logs(ld plog.Logs) Counts {
	for _, rl := range ld.ResourceLogs().All() {
		c.resource(rl.Resource(), rl.SchemaUrl(), rl.ScopeLogs().Len())
		for _, sl := range rl.ScopeLogs().All() {
			c.scope(sl.Scope(), sl.SchemaUrl())
			for _, r := range sl.LogRecords().All() {
				c.Records++
				c.text(r.SeverityText(), r.EventName())
				c.value(r.Body(), 0)
				c.attributes(r.Attributes(), 0)
			}
		}
	}
	return c.Counts
}

func (c *recount) metrics(md pmetric.Metrics) Counts {
	for _, rm := range md.ResourceMetrics().All() {
		c.resource(rm.Resource(), rm.SchemaUrl(), rm.ScopeMetrics().Len())
		for _, sm := range rm.ScopeMetrics().All() {
			c.scope(sm.Scope(), sm.SchemaUrl())
			for _, m := range sm.Metrics().All() {
				c.Metrics++
				c.text(m.Name(), m.Description(), m.Unit())
				c.attributes(m.Metadata(), 0)
				c.points(m)
			}
		}
	}
	return c.Counts
}

func (c *recount) points(m pmetric.Metric) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		c.numbers(m.Gauge().DataPoints())
	case pmetric.MetricTypeSum:
		c.numbers(m.Sum().DataPoints())
	case pmetric.MetricTypeHistogram:
		for _, p := range m.Histogram().DataPoints().All() {
			c.point(p.Attributes(), p.Exemplars(), p.BucketCounts().Len()+p.ExplicitBounds().Len())
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			c.point(p.Attributes(), p.Exemplars(), p.Positive().BucketCounts().Len()+p.Negative().BucketCounts().Len())
		}
	case pmetric.MetricTypeSummary:
		for _, p := range m.Summary().DataPoints().All() {
			c.point(p.Attributes(), pmetric.NewExemplarSlice(), p.QuantileValues().Len())
		}
	}
}

func (c *recount) numbers(points pmetric.NumberDataPointSlice) {
	for _, p := range points.All() {
		c.point(p.Attributes(), p.Exemplars(), 0)
	}
}

func (c *recount) point(attributes pcommon.Map, exemplars pmetric.ExemplarSlice, buckets int) {
	c.Records++
	c.Buckets += int64(buckets)
	c.attributes(attributes, 0)
	c.Exemplars += int64(exemplars.Len())
	for _, e := range exemplars.All() {
		c.attributes(e.FilteredAttributes(), 0)
	}
}
