// SPDX-License-Identifier: Apache-2.0

package meshspanpairingprocessor

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshspanpairingprocessor/internal/pairing"
)

const (
	// maxSend is how many spans are handed on at a time.
	maxSend = 1024
	// shortestTick and longestTick bound how often is looked for what waited long enough.
	shortestTick, longestTick = 10 * time.Millisecond, 100 * time.Millisecond
	// firstPause and longestPause bound how long to rest after an error of the next component.
	firstPause, longestPause = 100 * time.Millisecond, 5 * time.Second
	// shutdownGrace is how long the next component gets at shutdown to take what is left.
	shutdownGrace = 10 * time.Second
)

// outgoing are the spans that wait no more, in the order they were let go.
type outgoing struct {
	mu    sync.Mutex
	queue []pairing.Released
	// count and bytes are those of the spans that were not taken yet, those on their way among them.
	count, bytes atomic.Int64
	// kick says that there is enough to hand on.
	kick chan struct{}

	// The rest belongs to the goroutine that hands on: what it could not yet, how long it rests and until when.
	pending  parcel
	pause    time.Duration
	pausedAt time.Time
}

// parcel is a batch on its way.
type parcel struct {
	traces  ptrace.Traces
	records []*record
	spans   int
	bytes   int64
}

func (o *outgoing) len() int64 { return o.count.Load() }

func (o *outgoing) add(released []pairing.Released) {
	if len(released) == 0 {
		return
	}
	bytes := int64(0)
	for i := range released {
		bytes += released[i].Bytes
	}
	o.bytes.Add(bytes)
	o.mu.Lock()
	o.queue = append(o.queue, released...)
	o.mu.Unlock()
	if o.count.Add(int64(len(released))) >= maxSend {
		select {
		case o.kick <- struct{}{}:
		default:
		}
	}
}

// take removes the oldest spans.
func (o *outgoing) take() []pairing.Released {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := min(len(o.queue), maxSend)
	taken := o.queue[:n:n]
	if o.queue = o.queue[n:]; len(o.queue) == 0 {
		o.queue = nil
	}
	return taken
}

// run lets go what waited long enough and hands on what was let go, until the processor stops.
func (p *spanPairing) run() {
	defer close(p.stopped)
	tick := min(max(p.config.Wait/20, shortestTick), longestTick)
	if p.config.Wait == 0 {
		tick = longestTick
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-ticker.C:
			// Nobody waits longer than told, so those go now who would have waited too long at the next tick.
			p.sweep(time.Now().Add(tick))
		case <-p.outgoing.kick:
		}
		if time.Since(p.outgoing.pausedAt) >= p.outgoing.pause {
			_ = p.handOn(p.running)
		}
	}
}

func (p *spanPairing) sweep(until time.Time) {
	var b pairing.Batch
	p.store.Sweep(until, &b)
	p.outgoing.add(b.Released)
	count(context.Background(), p.telemetry, &b, &tally{})
}

// handOn hands on all that was let go, until the next component returns an error that may pass.
func (p *spanPairing) handOn(ctx context.Context) error {
	o := &p.outgoing
	for {
		if o.pending.spans == 0 {
			released := o.take()
			if len(released) == 0 {
				return nil
			}
			o.pending = p.pack(ctx, released)
		}
		if err := p.send(ctx, &o.pending); err != nil {
			o.pause, o.pausedAt = min(max(2*o.pause, firstPause), longestPause), time.Now()
			return err
		}
		o.count.Add(-int64(o.pending.spans))
		o.bytes.Add(-o.pending.bytes)
		o.pending, o.pause = parcel{}, 0
	}
}

// pack stamps spans and puts those together that came in one resource and scope.
func (p *spanPairing) pack(ctx context.Context, released []pairing.Released) parcel {
	out := parcel{traces: ptrace.NewTraces(), spans: len(released)}
	groups := map[*group]ptrace.ScopeSpans{}
	var t tally
	for i := range released {
		r := &released[i]
		pl := r.Payload.(*payload)
		out.bytes += r.Bytes
		stamp(pl.span, &r.Own, &r.Now, &t)
		into, ok := groups[pl.group]
		if !ok {
			into = newGroup(out.traces, pl.group.resource, pl.group.scope).scope
			groups[pl.group] = into
		}
		pl.span.MoveTo(into.Spans().AppendEmpty())
		if pl.record != nil {
			out.records = append(out.records, pl.record)
		}
		*r = pairing.Released{}
	}
	count(ctx, p.telemetry, &pairing.Batch{}, &t)
	return out
}

// send offers a batch to the next component. It returns an error only if it should be offered again.
func (p *spanPairing) send(ctx context.Context, out *parcel) error {
	td := out.traces
	if p.next.Capabilities().MutatesData {
		td = ptrace.NewTraces()
		out.traces.CopyTo(td)
	}
	err := p.next.ConsumeTraces(ctx, td)
	if err == nil {
		p.forget(ctx, out.records)
		return nil
	}
	p.telemetry.ProcessorMeshSpanPairingSendFailures.Add(ctx, 1)
	if !consumererror.IsPermanent(err) {
		p.logger.Warn("Spans that waited for their partner were not taken; they are offered again", zap.Int("spans", out.spans), zap.Error(err))
		return err
	}
	p.logger.Error("Spans that waited for their partner were refused for good and are lost", zap.Int("spans", out.spans), zap.Error(err))
	p.telemetry.ProcessorMeshSpanPairingDroppedSpans.Add(ctx, int64(out.spans), refusedOption)
	p.forget(ctx, out.records)
	return nil
}

// Shutdown hands on all that waits. What the next component does not take within ten seconds stays in the storage, or is
// lost and counted if there is none.
func (p *spanPairing) Shutdown(ctx context.Context) error {
	defer p.telemetry.Shutdown()
	if p.stop == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, shutdownGrace)
	defer cancel()
	// The last call may hang until then.
	defer p.cancel()
	defer context.AfterFunc(ctx, p.cancel)()
	close(p.stop)
	<-p.stopped
	p.stop = nil
	var b pairing.Batch
	p.store.Drain(&b)
	p.outgoing.add(b.Released)
	count(ctx, p.telemetry, &b, &tally{})
	err := p.handOnLast(ctx)
	if p.journal != nil {
		err = errors.Join(err, p.journal.close(context.WithoutCancel(ctx)))
	}
	return err
}

func (p *spanPairing) handOnLast(ctx context.Context) error {
	for {
		err := p.handOn(ctx)
		if err == nil {
			return nil
		}
		pause := time.NewTimer(p.outgoing.pause)
		select {
		case <-pause.C:
			continue
		case <-ctx.Done():
		}
		pause.Stop()
		left := p.outgoing.len()
		if p.journal != nil {
			p.logger.Warn("Spans that waited for their partner stay in the storage until the next start", zap.Int64("spans", left))
			return nil
		}
		p.telemetry.ProcessorMeshSpanPairingDroppedSpans.Add(context.WithoutCancel(ctx), left, shutdownOption)
		p.logger.Error("Spans that waited for their partner are lost: the next component does not take them", zap.Int64("spans", left), zap.Error(err))
		return err
	}
}
