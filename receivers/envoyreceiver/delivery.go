// SPDX-License-Identifier: Apache-2.0

package envoyreceiver

import (
	"context"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.uber.org/zap"
)

// delivery offers the messages of one stream to the pipeline, and waits with the stream unread until they are taken.
type delivery struct {
	receiver *envoyReceiver
	signal   signal
	// stream is done when the sender is gone.
	stream context.Context
	// consume carries the stream's values and outlives it: what was read is delivered even if the sender is gone.
	consume context.Context
	cancel  context.CancelFunc
}

func newDelivery(r *envoyReceiver, s signal, stream context.Context) *delivery {
	d := &delivery{receiver: r, signal: s, stream: stream}
	consume, cancel := context.WithCancel(context.WithoutCancel(stream))
	stop := context.AfterFunc(r.deadline, cancel)
	d.consume = consume
	d.cancel = func() {
		stop()
		cancel()
	}
	return d
}

func (d *delivery) close() {
	d.cancel()
}

// deliver calls offer until the pipeline takes the records, or refuses them for good, or there is no more time. It
// returns why the records were not delivered, and a status if the stream must end.
func (d *delivery) deliver(records int, offer func(context.Context) error) (failed, end error) {
	var disconnected <-chan time.Time
	gone := d.stream.Done()
	for attempt := 0; ; attempt++ {
		err := offer(d.consume)
		if err == nil {
			return nil, nil
		}
		if consumererror.IsPermanent(err) {
			d.drop(reasonPermanent, records, err)
			return err, nil
		}
		for again := time.After(d.pause(attempt)); again != nil; {
			select {
			case <-again:
				again = nil
				d.receiver.telemetry.retried(d.signal)
			case <-gone:
				gone, disconnected = nil, time.After(d.receiver.cfg.Retry.AfterDisconnect)
			case <-disconnected:
				d.drop(reasonDisconnected, records, err)
				return err, context.Cause(d.stream)
			case <-d.receiver.deadline.Done():
				d.drop(reasonShutdown, records, err)
				return err, errShuttingDown
			}
		}
	}
}

func (d *delivery) drop(why reason, records int, err error) {
	d.receiver.telemetry.recordsDropped(d.signal, why, records)
	d.receiver.set.Logger.Error("Dropped records", zap.String("signal", string(d.signal)),
		zap.String("reason", string(why)), zap.Int("records", records), zap.Error(err))
}

// pause doubles with each attempt, and varies by a fifth so that streams do not all try at once.
func (d *delivery) pause(attempt int) time.Duration {
	const most = 30 // doublings: beyond, the shift would overflow
	retry := d.receiver.cfg.Retry
	pause := min(retry.InitialInterval<<min(attempt, most), retry.MaxInterval)
	if pause <= 0 {
		pause = retry.MaxInterval
	}
	return time.Duration(float64(pause) * (0.9 + 0.2*rand.Float64()))
}
