// SPDX-License-Identifier: Apache-2.0

package applicationinsightsexporter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/deadletter"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/delivery"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/mapping"
)

// Reasons of dead letters and losses that are not the sender's.
const (
	reasonShutdown = "shutdown"
	reasonGaveUp   = "gave_up"
	reasonUnrouted = "unrouted"

	lostNoLetters     = "no_dead_letters"
	lostLettersFailed = "dead_letters_failed"
)

// putBackTimeout bounds the wait for room in a full queue. Without any the items are kept in memory until they are sent.
const putBackTimeout = time.Second

// maxRoom is the most that is allocated on a guess.
const maxRoom = 16 * mebibyte

// attempter sends a batch once. It is a [delivery.Sender].
type attempter interface {
	Send(ctx context.Context, b *items.Batch) delivery.Result
}

// outlet sends the items of one signal to one destination: it has a queue, which nothing else goes through.
type outlet struct {
	shared      *shared
	destination *destination
	signal      string
	counters    *counters
	mapper      *mapping.Mapper
	sender      attempter

	// queue is the chain of queue, batching and retry. consume puts what the context carries into it.
	queue   component.Component
	consume func(context.Context) error

	// density is how many bytes of JSON a span, record or point became on average, as of late.
	density atomic.Int64

	// phantoms says that the storage refused a batch, which the queue counts all the same.
	phantoms atomic.Bool

	pending  pending
	stopping atomic.Bool
	// stopped ends when requests in flight have had their time.
	stopped context.Context
	stop    context.CancelFunc
}

// carrierKey is the key of a [carrier] in a context. It is how a batch gets into the chain, which starts with telemetry.
type carrierKey struct{}

type carrier struct{ batch *items.Batch }

var errNoCarrier = errors.New("no items came with the context; this is a fault of the exporter")

// take empties the carrier: the queue keeps the context as long as the request, and parts of it.
func take(ctx context.Context) (xexporterhelper.Request, error) {
	c, ok := ctx.Value(carrierKey{}).(*carrier)
	if !ok || c.batch == nil {
		return nil, errNoCarrier
	}
	r := &request{batch: c.batch}
	c.batch = nil
	return r, nil
}

// offer puts items into the queue. An error says that the queue did not take them.
func (o *outlet) offer(ctx context.Context, b *items.Batch) error {
	err := o.consume(context.WithValue(ctx, carrierKey{}, &carrier{batch: b}))
	switch {
	case err == nil || !o.shared.cfg.persistent():
	case !errors.Is(err, exporterhelper.ErrQueueIsFull) && ctx.Err() == nil:
		o.phantoms.Store(true)
	case o.phantoms.Swap(false):
		// The collector's queue counts what the storage refused as if it were there, until it reads up to its end. A queue
		// full of nothing has no reason to read, and would refuse everything for good. A batch without items, which has no
		// size, gives it one; it is read as nothing.
		if o.consume(context.WithValue(context.WithoutCancel(ctx), carrierKey{}, &carrier{batch: &items.Batch{}})) != nil {
			o.phantoms.Store(true)
		}
	}
	return err
}

// errOverflow is of telemetry that is too large to be queued whole.
func errOverflow(b *items.Batch) error {
	return consumererror.NewPermanent(fmt.Errorf(
		"the telemetry becomes more than %d bytes, %d items too many; send smaller batches, or fewer attributes by mapping::attributes",
		items.MaxText, b.Overflowed()))
}

// newBatch returns a batch with room for what so many spans, records or points are likely to become.
func (o *outlet) newBatch(sources int) *items.Batch {
	b := &items.Batch{}
	// An eighth more than the average, so that most batches need no second allocation.
	text := int64(sources) * o.density.Load()
	b.Grow(sources, int(min(text+text/8, maxRoom)))
	return b
}

// learn takes the size of a batch into the average.
func (o *outlet) learn(b *items.Batch) {
	if b.Sources() == 0 {
		return
	}
	now := int64(b.TextBytes() / b.Sources())
	before := o.density.Load()
	if before == 0 {
		before = now
	}
	// Two at once may overwrite each other's share, which does no harm.
	o.density.Store((3*before + now) / 4)
}

// accept puts items that are new into the queue.
func (o *outlet) accept(ctx context.Context, b *items.Batch) error {
	if b.Overflowed() > 0 {
		return errOverflow(b)
	}
	// The queue may send and merge the batch before this returns.
	count := b.Len()
	if count == 0 {
		return nil
	}
	b.SetAccepted(o.shared.now())
	if err := o.offer(ctx, b); err != nil {
		return err
	}
	o.counters.received(ctx, count)
	return nil
}

// push makes one attempt at a request. It is what the retry calls; the queue forgets the request when it returns nil or a
// permanent error.
func (o *outlet) push(ctx context.Context, r xexporterhelper.Request) error {
	req, ok := r.(*request)
	if !ok {
		return consumererror.NewPermanent(fmt.Errorf("a request of type %T is not of this exporter", r))
	}
	if req.first.IsZero() {
		req.first = o.shared.now()
	}
	o.pending.add(req)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(o.stopped, cancel)()

	result := o.sender.Send(ctx, req.batch)
	for _, i := range result.Struck {
		req.batch.Strike(i)
	}
	left, err := result.Left, result.Err
	if buried := o.buryDead(ctx, req.batch, result.Dead); buried != nil {
		for _, d := range result.Dead {
			left = append(left, d.Index)
		}
		slices.Sort(left)
		err = errors.Join(err, buried)
	}
	if len(left) == 0 {
		o.pending.remove(req)
		return nil
	}
	if len(left) < req.batch.Len() {
		req.rest = req.batch.Pick(left)
	}
	return o.keep(ctx, req, err, result.Delay)
}

// keep sees to it that what an attempt left is sent again, or set aside if nobody will.
func (o *outlet) keep(ctx context.Context, req *request, err error, delay time.Duration) error {
	rest := req.rest
	if rest == nil {
		rest = req.batch
	}
	if (o.shared.cfg.persistent() && req.rest != nil || o.stumbles(rest, err)) && o.putBack(ctx, rest) {
		o.pending.remove(req)
		return nil
	}
	if why := o.lastAttempt(req); why != "" {
		o.pending.remove(req)
		return consumererror.NewPermanent(errors.Join(err, o.giveUp(ctx, rest, why)))
	}
	if cause, _, _ := o.destination.target.Blocked(); cause != "" {
		// The sender itself refuses while it has to wait. Asking it now and then costs no request, and the wait may end
		// early, as when the connection string changes.
		delay = min(delay, o.shared.cfg.RetryConfig.MaxInterval)
	}
	if delay > 0 {
		return exporterhelper.NewThrottleRetry(err, delay)
	}
	return err
}

// stumbles says whether what is left may be items that the endpoint stumbles over. They go to the end of the queue: if
// each consumer held some, nothing else would be sent, and nobody could tell such items from an endpoint that is down.
func (o *outlet) stumbles(rest *items.Batch, err error) bool {
	var failure *delivery.Failure
	if o.stopping.Load() || o.lastAttempt(&request{}) != "" || !errors.As(err, &failure) {
		return false
	}
	switch failure.Cause {
	case delivery.CauseNetwork, delivery.CauseTimeout, delivery.CauseUnavailable, delivery.CauseUnreadable:
		return rest.Len() == 1 || rest.Struck()
	case delivery.CauseItem:
		// The endpoint answered, for these items alone.
		return true
	default:
		return false
	}
}

// putBack puts what is left of a request into the queue anew, and says whether that worked. With a queue on disk it is
// stored before the request itself, of which a part was accepted, is deleted; if the process ends before the next attempt,
// nothing of that part is sent again.
func (o *outlet) putBack(ctx context.Context, rest *items.Batch) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), putBackTimeout)
	defer cancel()
	// The collector's own counter of sent items counts the sources of a request when it is done, as these were already.
	again := rest.Slice(0, rest.Len())
	again.Derive()
	return o.offer(ctx, again) == nil
}

// lastAttempt says why the request will not be tried again; empty if it will. On disk a request is always tried again, if
// not by this process.
func (o *outlet) lastAttempt(req *request) string {
	cfg := o.shared.cfg
	switch {
	case cfg.persistent():
		return ""
	case o.stopping.Load():
		return reasonShutdown
	case !cfg.RetryConfig.Enabled:
		return reasonGaveUp
	case cfg.RetryConfig.MaxElapsedTime > 0 && o.shared.now().Sub(req.first) >= cfg.RetryConfig.MaxElapsedTime:
		return reasonGaveUp
	}
	return ""
}

// buryDead writes items that can never be delivered to the dead letters, and counts them. After an error they are where
// they were.
func (o *outlet) buryDead(ctx context.Context, b *items.Batch, dead []delivery.Dead) error {
	if len(dead) == 0 {
		return nil
	}
	counts := map[string]int{}
	letters := make([]deadletter.Letter, len(dead))
	for i, d := range dead {
		counts[d.Reason]++
		letters[i] = deadletter.Letter{
			Destination: o.destination.name, Reason: d.Reason, Status: d.Status, Message: d.Message, Item: b.Item(d.Index).JSON,
		}
	}
	if o.shared.letters == nil {
		o.counters.lost(ctx, lostNoLetters, len(dead))
		o.shared.logger.Error("Items that can never be delivered are lost, because dead_letter::directory is not set",
			zap.String("destination", o.destination.name), zap.String("signal", o.signal), zap.Int("items", len(dead)),
			zap.String("reason", dead[0].Reason), zap.String("message", dead[0].Message))
		return nil
	}
	// The disk is written even if the time for sending is over: the endpoint would only refuse the items again.
	if err := o.shared.letters.Write(context.WithoutCancel(ctx), letters); err != nil {
		return err
	}
	for why, count := range counts {
		o.counters.deadLettered(ctx, why, count)
	}
	return nil
}

// giveUp sets aside what nobody will send, and returns what became of it as an error.
func (o *outlet) giveUp(ctx context.Context, b *items.Batch, why string) error {
	letters := make([]deadletter.Letter, b.Len())
	for i := range letters {
		letters[i] = deadletter.Letter{
			Destination: o.destination.name, Reason: why, Message: "was not sent", Item: b.Item(i).JSON,
		}
	}
	return o.bury(ctx, letters, why, b.Len())
}

// bury writes letters that stand for a number of items which are gone if that does not work.
func (o *outlet) bury(ctx context.Context, letters []deadletter.Letter, why string, count int) error {
	err := errNoLetters
	lost := why
	if o.shared.letters != nil {
		if err = o.shared.letters.Write(context.WithoutCancel(ctx), letters); err == nil {
			o.counters.deadLettered(ctx, why, count)
			return fmt.Errorf("%d items were written to the dead letters (%s)", count, why)
		}
		lost = lostLettersFailed
	}
	o.counters.lost(ctx, lost, count)
	o.shared.logger.Error("Items are lost", zap.String("destination", o.destination.name), zap.String("signal", o.signal),
		zap.Int("items", count), zap.String("reason", why), zap.Error(err))
	return fmt.Errorf("%d items are lost (%s): %w", count, why, err)
}

var errNoLetters = errors.New("dead_letter::directory is not set")

func (o *outlet) start(ctx context.Context, host component.Host) error {
	o.sender = o.destination.target.Sender(o.counters)
	o.stopped, o.stop = context.WithCancel(context.Background())
	return o.queue.Start(ctx, host)
}

// shutdown gives requests in flight their time and empties the queue in memory.
func (o *outlet) shutdown(ctx context.Context) error {
	if o.stopping.Swap(true) {
		return nil
	}
	if o.stop == nil {
		// It never started, so nothing is in the queue. Its metrics end here.
		return o.queue.Shutdown(ctx)
	}
	timer := time.AfterFunc(o.shared.grace(), o.stop)
	defer timer.Stop()
	// With a queue on disk, what waits for its next attempt stays there. In memory, the queue is emptied with one attempt
	// each, and what waited is handed back here.
	err := o.queue.Shutdown(ctx)
	if !o.shared.cfg.persistent() {
		for _, req := range o.pending.all() {
			req.OnError(nil)
			// A permanent error here says that the items were set aside, which is counted.
			_ = o.push(context.WithoutCancel(ctx), req)
		}
	}
	o.stop()
	return err
}
