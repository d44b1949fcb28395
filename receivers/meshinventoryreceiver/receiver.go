// SPDX-License-Identifier: Apache-2.0

package meshinventoryreceiver

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
)

// watchInterval is the pause between two looks at how the source fares.
const watchInterval = time.Second

// inventoryReceiver takes part in the election, and watches and publishes while it leads.
type inventoryReceiver struct {
	cfg       *Config
	set       receiver.Settings
	next      consumer.Logs
	telemetry *telemetry
	obsreport *receiverhelper.ObsReport
	findings  *findings
	health    *health
	// env is made at start unless a test has set it.
	env environment

	leaseFailing atomic.Bool
	// leading is the cluster as this replica knows it while it leads, else nil.
	leading atomic.Pointer[cluster]

	stop   context.CancelFunc
	done   chan struct{}
	closed sync.Once
}

var _ receiver.Logs = (*inventoryReceiver)(nil)

func newReceiver(cfg *Config, set receiver.Settings, next consumer.Logs) (*inventoryReceiver, error) {
	obsreport, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID:             set.ID,
		Transport:              "http",
		LongLivedCtx:           true,
		ReceiverCreateSettings: set,
	})
	if err != nil {
		return nil, err
	}
	own, err := newTelemetry(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	return &inventoryReceiver{
		cfg: cfg, set: set, next: next, telemetry: own, obsreport: obsreport,
		findings: &findings{telemetry: own, logger: set.Logger}, health: &health{},
	}, nil
}

// Start begins to take part in the election. That the API server cannot be reached is no error here: it is the
// component's status.
func (r *inventoryReceiver) Start(_ context.Context, host component.Host) error {
	r.health.host = host
	if r.env.elector == nil {
		env, err := r.connect()
		if err != nil {
			return err
		}
		r.env = env
	}
	if err := r.observe(); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	r.stop, r.done = stop, make(chan struct{})
	go func() {
		defer close(r.done)
		r.env.elector.Run(ctx, r.lead)
	}()
	return nil
}

var errStuck = errors.New("the pipeline did not return from a call in time, so the lease was not released; it runs out by itself")

// Shutdown stops publishing, then releases the lease. What was not published yet is published by the replica that leads
// next. It may be called without Start, and again.
func (r *inventoryReceiver) Shutdown(ctx context.Context) error {
	var err error
	r.closed.Do(func() {
		defer r.telemetry.shutdown()
		if r.stop == nil {
			return
		}
		r.stop()
		select {
		case <-r.done:
		case <-ctx.Done():
			err = errStuck
		}
	})
	return err
}

// lead watches and publishes for one term. It returns when the context ends and everything it began has.
func (r *inventoryReceiver) lead(ctx context.Context, term leadership) {
	began := time.Now()
	src, err := r.env.newSource(r.findings.report)
	if err != nil {
		// The settings were fine at the start, so this is a file that changed. The lease is released for another to try.
		r.set.Logger.Error("Cannot read the cluster", zap.Error(err))
		r.health.clusterSeen(err)
		return
	}
	c := newCluster(r.cfg, r.findings.report)
	r.leading.Store(c)
	defer r.leading.Store(nil)
	defer r.health.clusterSeen(nil)
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() {
		if err := src.Run(ctx, c.apply); err != nil && ctx.Err() == nil {
			r.set.Logger.Error("The source ended", zap.Error(err))
		}
	})
	group.Go(func() { r.watch(ctx, src, c, began) })
	p := publisher{
		cfg: r.cfg, cluster: c, telemetry: r.telemetry, logger: r.set.Logger, epoch: term.epoch,
		sender: &sender{
			next: r.next, obsreport: r.obsreport, telemetry: r.telemetry, logger: r.set.Logger,
			version: r.set.BuildInfo.Version, held: term.held,
		},
	}
	p.run(ctx)
}

// watch keeps the status and the counters up to date.
func (r *inventoryReceiver) watch(ctx context.Context, src source, c *cluster, began time.Time) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	var last totals
	look := func() {
		f := c.look()
		now := totals{writer: f.counters, source: src.Counters()}
		r.telemetry.totals(&now, &last)
		last = now
		r.health.clusterSeen(judge(src.State(), f, began, time.Now()))
	}
	for {
		select {
		case <-ctx.Done():
			look()
			return
		case <-ticker.C:
			look()
		}
	}
}

// observe registers the gauges.
func (r *inventoryReceiver) observe() error {
	return errors.Join(
		r.telemetry.builder.RegisterReceiverMeshInventoryLeaderCallback(func(_ context.Context, o metric.Int64Observer) error {
			leads := int64(0)
			if r.leading.Load() != nil {
				leads = 1
			}
			o.Observe(leads)
			return nil
		}),
		r.telemetry.builder.RegisterReceiverMeshInventoryObjectsCallback(func(_ context.Context, o metric.Int64Observer) error {
			if c := r.leading.Load(); c != nil {
				stats := c.look().stats
				o.Observe(int64(stats.Pods), byKind("pod"))
				o.Observe(int64(stats.Ended), byKind("ended_pod"))
				o.Observe(int64(stats.Nodes), byKind("node"))
				o.Observe(int64(stats.Services), byKind("service"))
				o.Observe(int64(stats.Gateways), byKind("gateway"))
			}
			return nil
		}),
		r.telemetry.builder.RegisterReceiverMeshInventoryLastConfirmedAgeCallback(func(_ context.Context, o metric.Float64Observer) error {
			if c := r.leading.Load(); c != nil {
				if f := c.look(); f.synced {
					o.Observe(time.Since(f.confirmed).Seconds())
				}
			}
			return nil
		}),
	)
}
