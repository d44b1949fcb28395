// SPDX-License-Identifier: Apache-2.0

package envoysemconvprocessor

import (
	"context"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"

	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor/internal/rules"
)

type envoySemconv struct {
	cfg     *Config
	counter *counter
}

func newEnvoySemconv(set processor.Settings, cfg *Config) (*envoySemconv, error) {
	c, err := newCounter(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	return &envoySemconv{cfg: cfg, counter: c}, nil
}

func (p *envoySemconv) shutdown(context.Context) error {
	p.counter.shutdown()
	return nil
}

func (p *envoySemconv) processTraces(ctx context.Context, td ptrace.Traces) (ptrace.Traces, error) {
	n := newNormalizer(rules.SpanKey, p.cfg.KeepOriginalAttributes)
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				n.call.Reset(kindOf(span.Kind()), false)
				failed := n.normalize(span.Attributes())
				if failed && p.cfg.SetSpanStatus && span.Status().Code() == ptrace.StatusCodeUnset {
					span.Status().SetCode(ptrace.StatusCodeError)
				}
			}
		}
	}
	p.counter.addSpans(ctx, &n.tally)
	return td, nil
}

func (p *envoySemconv) processLogs(ctx context.Context, ld plog.Logs) (plog.Logs, error) {
	n := newNormalizer(rules.LogKey, p.cfg.KeepOriginalAttributes)
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, record := range sl.LogRecords().All() {
				n.call.Reset(rules.KindOther, true)
				n.normalize(record.Attributes())
			}
		}
	}
	p.counter.addLogRecords(ctx, &n.tally)
	return ld, nil
}

func kindOf(kind ptrace.SpanKind) rules.Kind {
	switch kind {
	case ptrace.SpanKindServer:
		return rules.KindServer
	case ptrace.SpanKindClient:
		return rules.KindClient
	default:
		return rules.KindOther
	}
}
