// SPDX-License-Identifier: Apache-2.0

package meshgraphconnector

import (
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/emit"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/events"
)

const (
	signalMetrics = "metrics"
	signalLogs    = "logs"
	signalTraces  = "traces"

	// maxEdgesInPart is how many edges go to the next component at a time, eventsInPart how many events.
	maxEdgesInPart = 2_000
	eventsInPart   = 500
	// sendTime is how long the next component may take for a part.
	sendTime = 30 * time.Second
)

// part is what one attempt handed on.
type part struct {
	signal string
	// number and edges, or events, are what was taken.
	number        uint64
	edges, events int
	points        int
	err           error
	// final says that err is one for good: what was refused is dropped.
	final bool
	// last says that nothing follows of what was begun.
	last bool
}

// sender hands on what the engine has, in a goroutine of its own: the next component may take its time, and intervals have
// to be closed. At most one attempt of each signal is under way; until it ended, nobody changes what it reads.
type sender struct {
	engine   *engine
	metrics  consumer.Metrics
	logs     consumer.Logs
	writer   *events.Writer
	resource pcommon.Resource
	version  string

	// edgesInPart is how many edges go to the next component at a time.
	edgesInPart int

	parts                   chan part
	busyMetrics, busyEvents bool
	// gaugesDue says that what is true now has not been told since the last flush.
	gaugesDue bool
}

// start begins what is due and can be begun.
func (s *sender) start(ctx context.Context, now time.Time) {
	if !s.busyMetrics {
		if send := s.nextMetrics(now); send != nil {
			s.busyMetrics = true
			go send(ctx)
		}
	}
	if !s.busyEvents {
		if send := s.nextEvents(now); send != nil {
			s.busyEvents = true
			go send(ctx)
		}
	}
}

// nextMetrics returns what hands on the metrics that wait, nil for none.
func (s *sender) nextMetrics(now time.Time) func(context.Context) {
	e := s.engine
	if s.metrics == nil || (e.unsent == nil && e.unsentCost == nil && !s.gaugesDue) {
		return nil
	}
	first := pmetric.NewMetrics()
	into := emit.Resource(first, s.resource, s.version)
	if s.gaugesDue {
		s.gaugesDue = false
		events.Active(into, e.detector.Active(), now)
		e.planes.AppendMetrics(into, now)
		e.posture.AppendMetrics(into, now)
	}
	var edges []emit.Named
	start, end, number := now, now, e.number
	if e.unsent != nil {
		edges, start, end = e.unsent.Sorted(), e.unsent.Start, e.unsent.End
	}
	if e.unsentCost != nil {
		e.unsentCost.AppendMetrics(into, start, end)
	}
	return func(ctx context.Context) {
		md := first
		for last := false; !last; {
			n := min(len(edges), s.edgesInPart)
			emit.Append(edges[:n], start, end, into)
			p := part{signal: signalMetrics, number: number, edges: n, points: md.DataPointCount()}
			p.err = s.sendMetrics(ctx, md)
			p.final = permanent(p.err)
			edges = edges[n:]
			last = (p.err != nil && !p.final) || len(edges) == 0
			p.last = last
			s.parts <- p
			md = pmetric.NewMetrics()
			into = emit.Resource(md, s.resource, s.version)
		}
	}
}

func (s *sender) sendMetrics(ctx context.Context, md pmetric.Metrics) error {
	if md.DataPointCount() == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	return s.metrics.ConsumeMetrics(ctx, md)
}

// nextEvents returns what hands on the events that wait, nil for none.
func (s *sender) nextEvents(now time.Time) func(context.Context) {
	if s.logs == nil || len(s.engine.waiting) == 0 {
		return nil
	}
	n := min(len(s.engine.waiting), eventsInPart)
	ld := s.writer.Logs(s.engine.waiting[:n], now)
	return func(ctx context.Context) {
		err := s.sendEvents(ctx, ld)
		s.parts <- part{signal: signalLogs, events: n, err: err, final: permanent(err), last: true}
	}
}

func (s *sender) sendEvents(ctx context.Context, ld plog.Logs) error {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	return s.logs.ConsumeLogs(ctx, ld)
}

// permanent says whether all who refused refuse for good. Of several exporters behind one pipeline, whose answers the collector
// puts in a list, one that may take it the next time is a reason to try again.
func permanent(err error) bool {
	if list, ok := err.(interface{ Errors() []error }); ok {
		return !slices.ContainsFunc(list.Errors(), func(e error) bool { return !permanent(e) })
	}
	return consumererror.IsPermanent(err)
}

// take notes what came of a part. What was refused for good is gone as if it had been taken: it would be refused again, and all
// that waits behind it with it.
func (s *sender) take(p part) {
	e := s.engine
	if p.points > 0 || p.events > 0 {
		e.count.handedOn(&p)
	}
	done := p.err == nil || p.final
	switch p.signal {
	case signalLogs:
		s.busyEvents = false
		if done {
			e.lockedMark(func() error { return e.directory.EventsSent(p.events) })
			e.eventsSent(p.events)
		}
	default:
		s.busyMetrics = !p.last
		if done {
			e.lockedMark(func() error { return e.directory.Sent(p.number, p.edges) })
			e.sent(p.number, p.edges)
		}
	}
}

// wait takes what comes of all that is under way.
func (s *sender) wait() {
	for s.busyMetrics || s.busyEvents {
		s.take(<-s.parts)
	}
}
