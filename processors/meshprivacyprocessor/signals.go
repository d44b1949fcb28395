// SPDX-License-Identifier: Apache-2.0

package meshprivacyprocessor

import (
	"context"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func (p *meshPrivacy) processTraces(ctx context.Context, td ptrace.Traces) (ptrace.Traces, error) {
	s := pass{meshPrivacy: p}
	for _, rs := range td.ResourceSpans().All() {
		s.attributes(rs.Resource().Attributes(), inResource, 0)
		s.set(rs.SchemaUrl(), inResource, rs.SetSchemaUrl)
		for _, ss := range rs.ScopeSpans().All() {
			s.scope(ss.Scope())
			s.set(ss.SchemaUrl(), inScope, ss.SetSchemaUrl)
			for _, span := range ss.Spans().All() {
				s.span(span)
			}
		}
	}
	p.counter.add(ctx, &s.tally)
	return td, nil
}

func (p *pass) span(span ptrace.Span) {
	if name, changed := p.text(span.Name(), inSpanName); changed {
		span.SetName(name)
	}
	if state := span.TraceState().AsRaw(); state != "" {
		p.set(state, inTraceState, span.TraceState().FromRaw)
	}
	if message := span.Status().Message(); message != "" {
		p.set(message, inStatusMessage, span.Status().SetMessage)
	}
	p.attributes(span.Attributes(), inSpanAttribute, 0)
	for _, event := range span.Events().All() {
		p.set(event.Name(), inEvent, event.SetName)
		p.attributes(event.Attributes(), inEvent, 0)
	}
	for _, link := range span.Links().All() {
		p.set(link.TraceState().AsRaw(), inLink, link.TraceState().FromRaw)
		p.attributes(link.Attributes(), inLink, 0)
	}
}

func (p *pass) scope(scope pcommon.InstrumentationScope) {
	p.set(scope.Name(), inScope, scope.SetName)
	p.set(scope.Version(), inScope, scope.SetVersion)
	p.attributes(scope.Attributes(), inScope, 0)
}

// set writes a text back if something was redacted in it.
func (p *pass) set(text string, at place, write func(string)) {
	if out, changed := p.text(text, at); changed {
		write(out)
	}
}

func (p *meshPrivacy) processLogs(ctx context.Context, ld plog.Logs) (plog.Logs, error) {
	s := pass{meshPrivacy: p}
	for _, rl := range ld.ResourceLogs().All() {
		s.attributes(rl.Resource().Attributes(), inResource, 0)
		s.set(rl.SchemaUrl(), inResource, rl.SetSchemaUrl)
		for _, sl := range rl.ScopeLogs().All() {
			s.scope(sl.Scope())
			s.set(sl.SchemaUrl(), inScope, sl.SetSchemaUrl)
			for _, record := range sl.LogRecords().All() {
				s.set(record.EventName(), inLogText, record.SetEventName)
				s.set(record.SeverityText(), inLogText, record.SetSeverityText)
				// A map in the body has names as deep as any other.
				s.value(record.Body(), inLogBody, 0)
				s.attributes(record.Attributes(), inLogAttribute, 0)
			}
		}
	}
	p.counter.add(ctx, &s.tally)
	return ld, nil
}

func (p *meshPrivacy) processMetrics(ctx context.Context, md pmetric.Metrics) (pmetric.Metrics, error) {
	s := pass{meshPrivacy: p}
	for _, rm := range md.ResourceMetrics().All() {
		s.attributes(rm.Resource().Attributes(), inResource, 0)
		s.set(rm.SchemaUrl(), inResource, rm.SetSchemaUrl)
		for _, sm := range rm.ScopeMetrics().All() {
			s.scope(sm.Scope())
			s.set(sm.SchemaUrl(), inScope, sm.SetSchemaUrl)
			for _, metric := range sm.Metrics().All() {
				s.metric(metric)
			}
		}
	}
	p.counter.add(ctx, &s.tally)
	return md, nil
}

func (p *pass) metric(metric pmetric.Metric) {
	p.set(metric.Name(), inMetricText, metric.SetName)
	p.set(metric.Description(), inMetricText, metric.SetDescription)
	p.set(metric.Unit(), inMetricText, metric.SetUnit)
	p.attributes(metric.Metadata(), inMetricText, 0)
	switch metric.Type() {
	case pmetric.MetricTypeGauge:
		p.numbers(metric.Gauge().DataPoints())
	case pmetric.MetricTypeSum:
		p.numbers(metric.Sum().DataPoints())
	case pmetric.MetricTypeHistogram:
		for _, point := range metric.Histogram().DataPoints().All() {
			p.attributes(point.Attributes(), inMetricAttribute, 0)
			p.exemplars(point.Exemplars())
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, point := range metric.ExponentialHistogram().DataPoints().All() {
			p.attributes(point.Attributes(), inMetricAttribute, 0)
			p.exemplars(point.Exemplars())
		}
	case pmetric.MetricTypeSummary:
		for _, point := range metric.Summary().DataPoints().All() {
			p.attributes(point.Attributes(), inMetricAttribute, 0)
		}
	}
}

func (p *pass) numbers(points pmetric.NumberDataPointSlice) {
	for _, point := range points.All() {
		p.attributes(point.Attributes(), inMetricAttribute, 0)
		p.exemplars(point.Exemplars())
	}
}

func (p *pass) exemplars(exemplars pmetric.ExemplarSlice) {
	for _, exemplar := range exemplars.All() {
		p.attributes(exemplar.FilteredAttributes(), inExemplar, 0)
	}
}
