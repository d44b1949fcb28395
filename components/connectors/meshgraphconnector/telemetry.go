// SPDX-License-Identifier: Apache-2.0

package meshgraphconnector

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/controlplane"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/emit"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/feed"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/keep"
	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/metadata"
	"github.com/otelcol-mesh/otelcol-mesh/internal/disk"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/failover"
)

// warnEvery is how often the same trouble is told.
const warnEvery = time.Minute

// counter counts what happens to the graph and tells of trouble. Any number of goroutines may use it.
type counter struct {
	telemetry *metadata.TelemetryBuilder
	log       *zap.Logger
	warned    *[troubles]atomic.Int64
}

// trouble is something to tell once in a while.
type trouble int

const (
	troubleJournal trouble = iota
	troublePoints
	troubleSave
	troubleMetrics
	troubleEvents
	troubleDropped
	troubleMetricsDropped
	troubleEventsDropped
	troubleHangs
	troubles
)

// Why something that was to be handed on was dropped.
const (
	reasonPermanent = "permanent_error"
	reasonFull      = "full"
	reasonStopped   = "stopped"
)

func newCounter(telemetry *metadata.TelemetryBuilder, log *zap.Logger) counter {
	return counter{telemetry: telemetry, log: log, warned: &[troubles]atomic.Int64{}}
}

// warn tells of a trouble unless it was told a short time ago.
func (c counter) warn(t trouble, text string, fields ...zap.Field) {
	now, last := time.Now().UnixNano(), c.warned[t].Load()
	if now-last < int64(warnEvery) || !c.warned[t].CompareAndSwap(last, now) {
		return
	}
	c.log.Warn(text, fields...)
}

func with(key, value string) metric.AddOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String(key, value)))
}

func outcome(err error) string {
	if err != nil {
		return "failure"
	}
	return "success"
}

func (c counter) points(counts *feed.Counts, duplicates int) {
	for o, n := range counts {
		if n != 0 {
			c.telemetry.ConnectorMeshGraphPoints.Add(context.Background(), int64(n), with("outcome", feed.Outcome(o).String()))
		}
	}
	if duplicates != 0 {
		c.telemetry.ConnectorMeshGraphPoints.Add(context.Background(), int64(duplicates), with("outcome", "duplicate"))
	}
}

func (c counter) controlPlanes(counts *controlplane.Counts) {
	if *counts == (controlplane.Counts{}) {
		return
	}
	for _, o := range [...]struct {
		outcome string
		n       int
	}{
		{"taken", counts.Taken},
		{"late", counts.Late},
		{"duplicate", counts.Duplicate},
		{"future", counts.Future},
		{"no_cluster", counts.NoCluster},
		{"no_instance", counts.NoInstance},
		{"unreadable", counts.Unreadable},
		{"full", counts.Full},
	} {
		if o.n != 0 {
			c.telemetry.ConnectorMeshGraphControlPlanePoints.Add(context.Background(), int64(o.n), with("outcome", o.outcome))
		}
	}
}

func (c counter) spans(counts *feed.Counts) {
	for o, n := range counts {
		if n != 0 {
			c.telemetry.ConnectorMeshGraphSpans.Add(context.Background(), int64(n), with("outcome", feed.Outcome(o).String()))
		}
	}
}

func (c counter) unjournaled(n int, err error) {
	c.telemetry.ConnectorMeshGraphUnjournaledPoints.Add(context.Background(), int64(n))
	c.warn(troublePoints, "Points were counted that could not be written to the journal of the graph. "+
		"Should the process crash before the next state is written, they are lost.", zap.Int("points", n), zap.Error(err))
}

// What the disk may not answer to.
const (
	diskJournal = "journal"
	diskState   = "state"
	diskSync    = "sync"
)

// timeout counts that somebody waited for the disk for longer than that is allowed to take, if that is the error.
func (c counter) timeout(operation string, err error) {
	if !errors.Is(err, disk.ErrHangs) || errors.Is(err, disk.ErrStillHangs) {
		return
	}
	c.telemetry.ConnectorMeshGraphDiskTimeouts.Add(context.Background(), 1, with("operation", operation))
	c.warn(troubleHangs, "The disk does not answer. The graph goes on without it. Should the process crash before it answers, "+
		"what could not be written is lost.", zap.String("operation", operation))
}

func (c counter) journalFailed(err error) {
	c.telemetry.ConnectorMeshGraphJournalFailures.Add(context.Background(), 1)
	c.warn(troubleJournal, "The journal of the graph cannot be written.", zap.Error(err))
}

func (c counter) saved(err error) {
	c.telemetry.ConnectorMeshGraphStateSaves.Add(context.Background(), 1, with("outcome", outcome(err)))
	if err != nil {
		c.warn(troubleSave, "The state of the graph cannot be written. Everything is counted; the one before and the journal stay, "+
			"and it is tried again.", zap.Error(err))
	}
}

func (c counter) loaded(err error) {
	c.telemetry.ConnectorMeshGraphStateLoads.Add(context.Background(), 1, with("outcome", outcome(err)))
}

func (c counter) replayed(report *keep.Report) {
	c.telemetry.ConnectorMeshGraphReplayedPoints.Add(context.Background(), int64(report.Points))
	c.telemetry.ConnectorMeshGraphJournalDamage.Add(context.Background(), report.DamagedBytes)
}

func (c counter) folded(edges uint64) {
	if edges > 0 {
		c.telemetry.ConnectorMeshGraphFoldedEdges.Add(context.Background(), int64(edges))
	}
}

func (c counter) event(e *failover.Event) {
	c.telemetry.ConnectorMeshGraphEvents.Add(context.Background(), 1, with("event_name", e.Name()))
}

func (c counter) eventsDropped(n int) {
	c.telemetry.ConnectorMeshGraphEventsDropped.Add(context.Background(), int64(n), with("reason", reasonFull))
	c.warn(troubleDropped, "Events of the graph were dropped: the next component has refused them for too long.", zap.Int("events", n))
}

// handedOn counts an attempt, and what it dropped.
func (c counter) handedOn(p *part) {
	ctx, result := context.Background(), outcome(p.err)
	if p.final {
		result = "permanent"
	}
	set := attribute.NewSet(attribute.String("outcome", result), attribute.String("signal", p.signal))
	c.telemetry.ConnectorMeshGraphHandedOn.Add(ctx, 1, metric.WithAttributeSet(set))
	switch metrics := p.signal == signalMetrics; {
	case p.err == nil && p.points > 0:
		c.telemetry.ConnectorMeshGraphOutputPoints.Add(ctx, int64(p.points))
	case p.err == nil:
	case p.final && metrics:
		c.telemetry.ConnectorMeshGraphOutputPointsDropped.Add(ctx, int64(p.points), with("reason", reasonPermanent))
		c.warn(troubleMetricsDropped, "Metrics of the graph were dropped: the next component refuses them for good. The error says why.",
			zap.Int("points", p.points), zap.Int("edges", p.edges), zap.Error(p.err))
	case p.final:
		c.telemetry.ConnectorMeshGraphEventsDropped.Add(ctx, int64(p.events), with("reason", reasonPermanent))
		c.warn(troubleEventsDropped, "Events of the graph were dropped: the next component refuses them for good. The error says why, and "+
			"this log has each event in a line of its own.", zap.Int("events", p.events), zap.Error(p.err))
	case metrics:
		c.warn(troubleMetrics, "The next component refuses the metrics of the graph. They are kept, added up and tried again.", zap.Error(p.err))
	default:
		c.warn(troubleEvents, "The next component refuses the events of the graph. They are kept and tried again.", zap.Error(p.err))
	}
}

// lost counts what nobody took and nothing keeps.
func (c counter) lost(edges, events int) {
	if edges > 0 {
		c.telemetry.ConnectorMeshGraphLostEdges.Add(context.Background(), int64(edges))
	}
	if events > 0 {
		c.telemetry.ConnectorMeshGraphEventsDropped.Add(context.Background(), int64(events), with("reason", reasonStopped))
	}
	if edges+events > 0 {
		c.log.Warn("The collector stops, and what the next component refused is lost: 'directory' would keep it.",
			zap.Int("edges", edges), zap.Int("events", events))
	}
}

func edgesOf(m *emit.Minute) int {
	if m == nil {
		return 0
	}
	return len(m.Edges)
}

// observe registers what is asked for when metrics are collected.
func (g *meshGraph) observe() error {
	e, t := g.engine, g.telemetry
	kind := func(value string) metric.ObserveOption {
		return metric.WithAttributeSet(attribute.NewSet(attribute.String("kind", value)))
	}
	for _, register := range []func() error{
		func() error {
			return t.RegisterConnectorMeshGraphEdgesCallback(func(_ context.Context, o metric.Int64Observer) error {
				stats := e.graph.Stats()
				o.Observe(int64(stats.Edges), kind("own"))
				o.Observe(int64(stats.OverflowEdges), kind("overflow"))
				return nil
			})
		},
		func() error {
			return t.RegisterConnectorMeshGraphFailoversActiveCallback(func(_ context.Context, o metric.Int64Observer) error {
				o.Observe(e.failovers.Load(), kind(string(failover.Failover)))
				o.Observe(e.shifts.Load(), kind(string(failover.Unexpected)))
				return nil
			})
		},
		func() error {
			return t.RegisterConnectorMeshGraphControlPlaneFindingsCallback(func(_ context.Context, o metric.Int64Observer) error {
				for f, n := range e.findingsOfPlanes() {
					o.Observe(n, metric.WithAttributeSet(attribute.NewSet(attribute.String("kind", f.kind), attribute.String("severity", f.severity))))
				}
				return nil
			})
		},
		func() error {
			return t.RegisterConnectorMeshGraphStateAgeCallback(func(_ context.Context, o metric.Float64Observer) error {
				if at := e.savedAt.Load(); at != 0 {
					o.Observe(time.Since(time.Unix(0, at)).Seconds())
				}
				return nil
			})
		},
	} {
		if err := register(); err != nil {
			return err
		}
	}
	return g.observeNumbers()
}

// observeNumbers registers what is one number.
func (g *meshGraph) observeNumbers() error {
	e, t := g.engine, g.telemetry
	for _, o := range []struct {
		register func(metric.Int64Callback) error
		value    func() int64
	}{
		{t.RegisterConnectorMeshGraphEdgesExpiredCallback, func() int64 { return int64(e.graph.Stats().Expired) }},
		{t.RegisterConnectorMeshGraphOverflowedPointsCallback, func() int64 { return int64(e.graph.Stats().OverflowedPoints) }},
		{t.RegisterConnectorMeshGraphUnwatchedPairsCallback, e.unwatched.Load},
		{t.RegisterConnectorMeshGraphUnwatchedEjectionsCallback, func() int64 { return int64(e.ejections.Refused()) }},
		{t.RegisterConnectorMeshGraphStateSizeCallback, e.savedBytes.Load},
		{t.RegisterConnectorMeshGraphJournalSizeCallback, func() int64 { return e.status().journal }},
		{t.RegisterConnectorMeshGraphRememberedPointsCallback, func() int64 { return e.status().remembered }},
		{t.RegisterConnectorMeshGraphForgottenPointsCallback, func() int64 { return e.status().forgotten }},
	} {
		if err := o.register(func(_ context.Context, observer metric.Int64Observer) error {
			observer.Observe(o.value())
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// findingOf is what findings are counted by.
type findingOf struct{ kind, severity string }

func (e *engine) findingsOfPlanes() map[findingOf]int64 {
	counts := map[findingOf]int64{}
	for _, record := range e.planes.Document().ControlPlanes {
		for _, f := range record.Findings {
			counts[findingOf{f.Kind, string(f.Severity)}]++
		}
	}
	return counts
}

// status is asked for by who reads metrics, and waits for nothing.
type status struct{ journal, remembered, forgotten int64 }

func (e *engine) status() status {
	s := status{remembered: e.remembered.Load(), forgotten: e.forgotten.Load()}
	if e.directory != nil {
		s.journal = e.directory.Size()
	}
	return s
}

// counted counts the requests to a handler.
func (g *meshGraph) counted(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &answered{ResponseWriter: w, status: http.StatusOK}
		h.ServeHTTP(answer, r)
		class := [...]string{"2xx", "3xx", "4xx", "5xx"}[min(max(answer.status/100, 2), 5)-2]
		g.telemetry.ConnectorMeshGraphAdminRequests.Add(context.Background(), 1, with("status_class", class))
	})
}

// answered remembers the status of an answer.
type answered struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements [http.ResponseWriter].
func (a *answered) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}
