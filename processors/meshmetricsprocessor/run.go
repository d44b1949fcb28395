// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshmetricsprocessor/internal/early"
)

// reason is why something was handed over, as the metric says it.
type reason string

const (
	atInterval reason = "interval"
	atShutdown reason = "shutdown"
	atShift    reason = "shift"
	atFailures reason = "failures"
)

func reasonOf(kind early.Kind) reason {
	if kind == early.Elsewhere {
		return atShift
	}
	return atFailures
}

// notice wakes who hands over if something is urgent. The batch that it came with is added up by then.
func (p *meshMetrics) notice() {
	if p.early == nil {
		return
	}
	p.early.Turn(p.now())
	if p.early.Waiting() {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

// pacer decides when there is an early hand-over. It belongs to one goroutine.
type pacer struct {
	*meshMetrics
	pace early.Pace
	// urgent is the most urgent of what waits, nothing if calm. held says that it was counted as withheld.
	urgent early.Urgent
	held   bool
	timer  *time.Timer
}

// run hands over at the end of each interval, and what is urgent early. An early one does not move the next interval: agents
// that all noticed the same would hand over at the same time from then on.
func (p *meshMetrics) run(ctx context.Context) {
	defer close(p.stopped)
	c := &p.config.Early
	e := pacer{meshMetrics: p, pace: early.Pace{Gap: c.MinGap, Burst: c.Burst, Refill: c.Refill}, timer: time.NewTimer(time.Hour)}
	e.timer.Stop()
	e.pace.Begin(p.now())
	ticker := time.NewTicker(p.config.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			e.calm()
			p.flush(ctx, atInterval)
			e.pace.HandedOver(p.now(), false)
		case <-p.wake:
			e.listen(ctx)
		case <-e.timer.C:
			e.act(ctx)
		case <-p.stop:
			e.timer.Stop()
			return
		}
	}
}

// calm forgets what was urgent: it goes with what is handed over now.
func (e *pacer) calm() {
	e.timer.Stop()
	e.urgent, e.held = early.Urgent{}, false
	if e.early != nil {
		e.early.Take()
	}
}

// listen asks what is urgent.
func (e *pacer) listen(ctx context.Context) {
	if u, ok := e.early.Take(); ok && u.Strength > e.urgent.Strength {
		e.urgent, e.held = u, false
	}
	e.act(ctx)
}

// act hands over if it may, and otherwise sees to it that it is asked again when it may.
func (e *pacer) act(ctx context.Context) {
	if e.urgent.Strength == early.Calm {
		return
	}
	now := e.now()
	why := reasonOf(e.urgent.Kind)
	wait, held := e.pace.Wait(now, e.urgent.Strength)
	if held && !e.held {
		e.held = true
		e.telemetry.ProcessorMeshMetricsWithheldHandovers.Add(ctx, 1, withWord("reason", string(why)))
	}
	if wait > 0 {
		e.timer.Reset(wait)
		return
	}
	e.logger.Info("Metrics go on before the interval ends: calls go elsewhere, or fail, as they did not",
		zap.String("reason", string(why)), zap.String("service", e.urgent.Text))
	e.calm()
	e.hurry(ctx, why)
	e.pace.HandedOver(e.now(), true)
}
