// SPDX-License-Identifier: Apache-2.0

package meshinventoryreceiver

import (
	"context"
	"errors"
	"iter"
	"time"

	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
)

// mostResend is the longest pause between snapshots that follow lost messages.
const mostResend = time.Minute

// publisher sends what the leader knows, for one term.
type publisher struct {
	cfg       *Config
	cluster   *cluster
	sender    *sender
	telemetry *telemetry
	logger    *zap.Logger

	// epoch is the term's, or a little later if the cluster's uid became another.
	epoch   int64
	uid     string
	encoder *inventory.Encoder
	counted inventory.EncoderCounters

	// sent is when anything was sent, snapshot when the last snapshot was begun.
	sent, snapshot time.Time
	// lost says that messages were, in how many snapshots in a row, and again from when on to try.
	lost  int
	again time.Time
}

// run publishes until the context ends. The source never waits for it.
func (p *publisher) run(ctx context.Context) {
	ticker := time.NewTicker(p.cfg.DeltaInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := p.turn(ctx, time.Now())
		p.countEncoder()
		switch {
		case errors.Is(err, errLost):
			p.lost++
			p.again = time.Now().Add(min(p.cfg.DeltaInterval<<min(p.lost, 16), mostResend))
		case err != nil:
			return
		}
	}
}

// turn sends what there is to send.
func (p *publisher) turn(ctx context.Context, now time.Time) error {
	var forced cause
	switch {
	case p.lost > 0 && now.Before(p.again):
		// Deltas on top of what was lost would not help. What changes meanwhile will be in the snapshot.
		return nil
	case p.lost > 0:
		forced = causeLost
	case p.snapshot.IsZero():
		forced = causeBegin
	case now.Sub(p.snapshot) >= p.cfg.SnapshotInterval:
		forced = causeInterval
	}
	w, ok := p.cluster.take(forced)
	if !ok {
		return nil
	}
	p.sender.region = w.region
	switch {
	case w.snapshot != nil:
		return p.sendSnapshot(ctx, &w, now)
	case len(w.deltas) > 0:
		return p.sendDeltas(ctx, &w, now)
	case now.Sub(p.sent) >= p.cfg.HeartbeatInterval:
		heartbeat := p.encoder.Heartbeat(w.confirmed)
		return p.send(ctx, one(heartbeat), now)
	}
	return nil
}

func (p *publisher) sendSnapshot(ctx context.Context, w *work, now time.Time) error {
	if p.encoder == nil || p.uid != w.uid {
		if p.encoder != nil {
			// To a hub it is another cluster now. The next leader's epoch is at least a microsecond later.
			p.epoch++
		}
		p.uid, p.encoder, p.counted = w.uid, inventory.NewEncoder(p.cfg.Cluster, w.uid, p.epoch), inventory.EncoderCounters{}
	}
	p.telemetry.snapshot(w.cause)
	p.snapshot = now
	if err := p.send(ctx, p.encoder.Snapshot(w.snapshot, w.confirmed), now); err != nil {
		return err
	}
	p.lost = 0
	stats := w.snapshot.Stats()
	p.logger.Info("Sent a snapshot of the cluster", zap.String("reason", string(w.cause)), zap.Int("pods", stats.Pods),
		zap.Int("ended_pods", stats.Ended), zap.Int("nodes", stats.Nodes), zap.Int("services", stats.Services),
		zap.Int("gateways", stats.Gateways), zap.Time("confirmed", w.confirmed))
	return nil
}

func (p *publisher) sendDeltas(ctx context.Context, w *work, now time.Time) error {
	return p.send(ctx, func(yield func(inventory.Message) bool) {
		for i, d := range w.deltas {
			if i == len(w.deltas)-1 {
				// Everything up to here has been said.
				d.At = w.confirmed
			}
			for m := range p.encoder.Delta(d) {
				if !yield(m) {
					return
				}
			}
		}
	}, now)
}

func (p *publisher) send(ctx context.Context, messages iter.Seq[inventory.Message], now time.Time) error {
	p.sent = now
	return p.sender.send(ctx, messages)
}

// countEncoder counts what the format has no room for.
func (p *publisher) countEncoder() {
	if p.encoder == nil {
		return
	}
	counters := p.encoder.Counters()
	p.telemetry.refused(reasonAltered, counters.Altered-p.counted.Altered)
	p.telemetry.refused(reasonOversized, counters.Oversized-p.counted.Oversized)
	p.counted = counters
}

func one(m inventory.Message) iter.Seq[inventory.Message] {
	return func(yield func(inventory.Message) bool) { yield(m) }
}
