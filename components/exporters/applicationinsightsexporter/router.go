// SPDX-License-Identifier: Apache-2.0

package applicationinsightsexporter

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/deadletter"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
)

// router says which destination a resource goes to.
type router struct {
	rules []rule
	// rest is the index of the destination of what no rule takes: the default, or one past the last if there is none.
	rest int
}

// rule is the match of a route.
type rule []condition

type condition struct {
	attribute string
	values    map[string]struct{}
}

func newRouter(cfg *Config) *router {
	r := &router{rest: len(cfg.Routes)}
	for i := range cfg.Routes {
		var conditions rule
		for name, values := range cfg.Routes[i].Match {
			set := make(map[string]struct{}, len(values))
			for _, value := range values {
				set[value] = struct{}{}
			}
			conditions = append(conditions, condition{attribute: name, values: set})
		}
		r.rules = append(r.rules, conditions)
	}
	return r
}

// routes says whether there is anything to decide.
func (r *router) routes() bool { return len(r.rules) > 0 }

// of returns the index of the destination of a resource: of the first route that matches.
func (r *router) of(resource pcommon.Resource) int {
	for i, conditions := range r.rules {
		if conditions.matches(resource.Attributes()) {
			return i
		}
	}
	return r.rest
}

func (r rule) matches(attributes pcommon.Map) bool {
	for _, c := range r {
		value, ok := attributes.Get(c.attribute)
		if !ok {
			return false
		}
		if _, ok := c.values[value.AsString()]; !ok {
			return false
		}
	}
	return true
}

// signalType is what the code for the three signals differs in.
type signalType[T any] struct {
	fill      func(*outlet, T, *items.Batch)
	count     func(T) int
	resources func(T) int
	resource  func(T, int) pcommon.Resource
	empty     func() T
	// move appends the resource at an index of one to the other, and leaves an empty one behind.
	move func(from T, i int, to T)
	// partial returns an error that says which part has to be sent again.
	partial func(error, T) error
}

var (
	tracesType = signalType[ptrace.Traces]{
		fill:      func(o *outlet, td ptrace.Traces, b *items.Batch) { o.mapper.Traces(td, b) },
		count:     ptrace.Traces.SpanCount,
		resources: func(td ptrace.Traces) int { return td.ResourceSpans().Len() },
		resource:  func(td ptrace.Traces, i int) pcommon.Resource { return td.ResourceSpans().At(i).Resource() },
		empty:     ptrace.NewTraces,
		move: func(from ptrace.Traces, i int, to ptrace.Traces) {
			from.ResourceSpans().At(i).MoveTo(to.ResourceSpans().AppendEmpty())
		},
		partial: consumererror.NewTraces,
	}
	logsType = signalType[plog.Logs]{
		fill:      func(o *outlet, ld plog.Logs, b *items.Batch) { o.mapper.Logs(ld, b) },
		count:     plog.Logs.LogRecordCount,
		resources: func(ld plog.Logs) int { return ld.ResourceLogs().Len() },
		resource:  func(ld plog.Logs, i int) pcommon.Resource { return ld.ResourceLogs().At(i).Resource() },
		empty:     plog.NewLogs,
		move: func(from plog.Logs, i int, to plog.Logs) {
			from.ResourceLogs().At(i).MoveTo(to.ResourceLogs().AppendEmpty())
		},
		partial: consumererror.NewLogs,
	}
	metricsType = signalType[pmetric.Metrics]{
		fill:      func(o *outlet, md pmetric.Metrics, b *items.Batch) { o.mapper.Metrics(md, b) },
		count:     pmetric.Metrics.DataPointCount,
		resources: func(md pmetric.Metrics) int { return md.ResourceMetrics().Len() },
		resource:  func(md pmetric.Metrics, i int) pcommon.Resource { return md.ResourceMetrics().At(i).Resource() },
		empty:     pmetric.NewMetrics,
		move: func(from pmetric.Metrics, i int, to pmetric.Metrics) {
			from.ResourceMetrics().At(i).MoveTo(to.ResourceMetrics().AppendEmpty())
		},
		partial: consumererror.NewMetrics,
	}
)

type (
	tracesExporter  struct{ *signalExporter }
	logsExporter    struct{ *signalExporter }
	metricsExporter struct{ *signalExporter }
)

// ConsumeTraces queues spans.
func (e *tracesExporter) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	return consume(ctx, e.signalExporter, &tracesType, td)
}

// ConsumeLogs queues log records.
func (e *logsExporter) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	return consume(ctx, e.signalExporter, &logsType, ld)
}

// ConsumeMetrics queues metric points.
func (e *metricsExporter) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	return consume(ctx, e.signalExporter, &metricsType, md)
}

// consume queues telemetry at the destinations of its resources. The error, if any, says which part was not taken.
func consume[T any](ctx context.Context, e *signalExporter, t *signalType[T], data T) error {
	n := t.resources(data)
	if n == 0 {
		return nil
	}
	if !e.router.routes() {
		return queue(ctx, e, t, 0, data)
	}
	places := make([]int, n)
	same := true
	for i := range places {
		places[i] = e.router.of(t.resource(data, i))
		same = same && places[i] == places[0]
	}
	if same {
		return queue(ctx, e, t, places[0], data)
	}
	parts := make([]T, len(e.router.rules)+1)
	used := make([]bool, len(parts))
	for i, place := range places {
		if !used[place] {
			parts[place], used[place] = t.empty(), true
		}
		t.move(data, i, parts[place])
	}
	return queueParts(ctx, e, t, parts, used)
}

// queueParts queues each part at its destination, whatever becomes of the others.
func queueParts[T any](ctx context.Context, e *signalExporter, t *signalType[T], parts []T, used []bool) error {
	refused := t.empty()
	var errs []error
	permanent := true
	for place, part := range parts {
		if !used[place] {
			continue
		}
		err := queue(ctx, e, t, place, part)
		if err == nil {
			continue
		}
		errs = append(errs, err)
		permanent = permanent && consumererror.IsPermanent(err)
		for i := range t.resources(part) {
			t.move(part, i, refused)
		}
	}
	if len(errs) == 0 {
		return nil
	}
	err := errors.Join(errs...)
	if !permanent {
		// One part that can never be taken must not make the sender drop another one that could be taken later.
		err = errors.New(err.Error())
	}
	return t.partial(err, refused)
}

// queue translates telemetry and puts it into the queue of a destination.
func queue[T any](ctx context.Context, e *signalExporter, t *signalType[T], place int, data T) error {
	if place == len(e.outlets) {
		return unrouted(ctx, e, t, data)
	}
	o := e.outlets[place]
	batch := o.newBatch(t.count(data))
	t.fill(o, data, batch)
	o.learn(batch)
	if err := o.accept(ctx, batch); err != nil {
		return fmt.Errorf("destination %s: %w", o.destination.name, err)
	}
	return nil
}

var errUnrouted = errors.New("no route takes the resource, and there is no connection_string beside the routes")

// unrouted refuses what no route takes, or writes it to the dead letters.
func unrouted[T any](ctx context.Context, e *signalExporter, t *signalType[T], data T) error {
	e.shared.telemetry.ExporterApplicationInsightsItemsUnrouted.Add(ctx, int64(t.count(data)),
		metric.WithAttributeSet(attribute.NewSet(attribute.String("signal", e.signal))))
	if e.unrouted == nil {
		return consumererror.NewPermanent(errUnrouted)
	}
	o := e.unrouted
	batch := &items.Batch{}
	t.fill(o, data, batch)
	letters := make([]deadletter.Letter, batch.Len())
	for i := range letters {
		letters[i] = deadletter.Letter{
			Destination: o.destination.name, Reason: reasonUnrouted, Message: errUnrouted.Error(), Item: batch.Item(i).JSON,
		}
	}
	if o.shared.letters == nil {
		return errors.Join(errUnrouted, errNoLetters)
	}
	if batch.Overflowed() > 0 {
		return errOverflow(batch)
	}
	if err := o.shared.letters.Write(ctx, letters); err != nil {
		return err
	}
	o.counters.received(ctx, batch.Len())
	o.counters.deadLettered(ctx, reasonUnrouted, batch.Len())
	return nil
}
