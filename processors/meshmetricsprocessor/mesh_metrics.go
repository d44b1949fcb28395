// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshmetricsprocessor/internal/early"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshmetricsprocessor/internal/keep"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshmetricsprocessor/internal/metadata"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshmetricsprocessor/internal/series"
)

var levelNames = [series.Levels]string{"full", "topology", "total"}

type meshMetrics struct {
	config    *Config
	next      consumer.Metrics
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder
	rules     *rules
	resources names
	seeds     *seeds
	store     *series.Store
	labels    resourceLabels
	order     atomic.Int64
	outcomes  [series.Outcomes]metric.MeasurementOption
	levels    [series.Levels]metric.MeasurementOption
	now       func() time.Time
	id        component.ID
	// early is nil if nothing goes on early; wake says that something is urgent.
	early *early.Table
	wake  chan struct{}

	// reading is held, shared, while a batch is added up, so that what is taken and what is known are of one moment.
	reading sync.RWMutex
	// keeper is nil without a directory. It and what follows belong to who is flushing.
	keeper    *keep.Keeper
	inFlight  []batchInFlight
	imageSize int
	journals  []pastJournal
	// inState is the first journal that is not in the state on the disk.
	inState uint64
	turned  int64
	// touched says that something was added up since the image was made.
	touched atomic.Bool

	flushing      sync.Mutex
	warn          warnings
	stop, stopped chan struct{}
}

var _ processor.Metrics = (*meshMetrics)(nil)

func newMeshMetrics(set processor.Settings, config *Config, next consumer.Metrics) (*meshMetrics, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	p := &meshMetrics{
		config: config, next: next, logger: set.Logger, telemetry: telemetry, rules: newRules(config),
		resources: newNames(config.ResourceAttributes), seeds: newSeeds(), now: time.Now, id: set.ID,
		wake: make(chan struct{}, 1),
	}
	for o, name := range series.Names {
		word := "outcome"
		if series.Outcome(o).Dropped() {
			word = "reason"
		}
		p.outcomes[o] = metric.WithAttributeSet(attribute.NewSet(attribute.String(word, name)))
	}
	for l, name := range levelNames {
		p.levels[l] = metric.WithAttributeSet(attribute.NewSet(attribute.String("level", name)))
	}
	p.open()
	return p, nil
}

// open begins to watch, now.
func (p *meshMetrics) open() {
	intervals := (p.config.MaxStaleness + p.config.Interval - 1) / p.config.Interval
	p.store = series.NewStore(series.Limits{
		Outputs:     [series.Levels]int{p.config.MaxSeries, p.config.MaxOverflowSeries, p.config.MaxOverflowSeries},
		Bytes:       int64(p.config.MaxStateMiB) << 20,
		PerInstance: p.config.MaxSeriesPerProcess,
		Staleness:   uint32(intervals),
		Late:        p.config.MaxStaleness.Nanoseconds(),
	}, p.now().UnixNano())
	if p.early = nil; p.config.Early.Burst > 0 {
		p.early = early.NewTable(p.now())
	}
}

// Capabilities says that metrics are changed and moved.
func (*meshMetrics) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

// Start begins to watch.
func (p *meshMetrics) Start(ctx context.Context, _ component.Host) error {
	p.open()
	if err := p.restore(ctx); err != nil {
		return err
	}
	if err := p.observe(); err != nil {
		return err
	}
	p.stop, p.stopped = make(chan struct{}), make(chan struct{})
	go p.run(context.WithoutCancel(ctx))
	return nil
}

// Shutdown hands on what was added up. What is refused until the context ends, or for five seconds, stays in the directory;
// without one it is lost and counted.
func (p *meshMetrics) Shutdown(ctx context.Context) error {
	defer p.telemetry.Shutdown()
	if p.stop == nil {
		return nil
	}
	close(p.stop)
	<-p.stopped
	p.stop = nil
	err := p.lastFlush(ctx)
	if p.keeper != nil {
		err = errors.Join(err, p.keeper.Close())
	}
	return err
}

func (p *meshMetrics) lastFlush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lastTry)
	defer cancel()
	for {
		refused := p.flush(ctx, atShutdown)
		if refused == 0 {
			return nil
		}
		retry := time.NewTimer(lastPause)
		select {
		case <-retry.C:
		case <-ctx.Done():
			retry.Stop()
			if p.keeper != nil && p.keeper.Size() > 0 {
				p.logger.Info("The next component refuses metrics; the next start hands them on", zap.Int("points", refused))
				return nil
			}
			p.telemetry.ProcessorMeshMetricsLostPoints.Add(context.WithoutCancel(ctx), int64(refused))
			return fmt.Errorf("%d points of metrics are lost: the next component refused them until the end", refused)
		}
	}
}

const (
	lastTry   = 5 * time.Second
	lastPause = 100 * time.Millisecond
)

func (p *meshMetrics) observe() error {
	if err := p.telemetry.RegisterProcessorMeshMetricsInputSeriesCallback(func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(p.store.Series())
		return nil
	}); err != nil {
		return fmt.Errorf("registering the processor's metrics: %w", err)
	}
	if err := p.telemetry.RegisterProcessorMeshMetricsStateBytesCallback(func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(p.store.Bytes())
		return nil
	}); err != nil {
		return fmt.Errorf("registering the processor's metrics: %w", err)
	}
	if err := p.telemetry.RegisterProcessorMeshMetricsStateFileBytesCallback(func(_ context.Context, o metric.Int64Observer) error {
		if p.keeper != nil {
			o.Observe(p.keeper.Size())
		}
		return nil
	}); err != nil {
		return fmt.Errorf("registering the processor's metrics: %w", err)
	}
	if err := p.telemetry.RegisterProcessorMeshMetricsOutputSeriesCallback(func(_ context.Context, o metric.Int64Observer) error {
		for l := range series.Levels {
			o.Observe(p.store.Table.Count(l), p.levels[l])
		}
		return nil
	}); err != nil {
		return fmt.Errorf("registering the processor's metrics: %w", err)
	}
	return nil
}

// ConsumeMetrics adds up the metrics that are handled and hands on the others. These go first. If they are refused, the
// sender has the whole batch and may send it again, or not: so of what is handled, only cumulative points are added up,
// which count nothing when they come a second time.
func (p *meshMetrics) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	b := batch{meshMetrics: p}
	rest, handled := b.split(md)
	var err error
	if rest.ResourceMetrics().Len() > 0 || !handled {
		err = p.next.ConsumeMetrics(ctx, rest)
		b.refused = err != nil
	}
	if handled {
		p.reading.RLock()
		err = errors.Join(err, b.writeDown(ctx, md))
		b.readAll(md)
		p.reading.RUnlock()
		b.count(ctx)
		p.notice()
	}
	return err
}

// readAll adds up what split left.
func (b *batch) readAll(md pmetric.Metrics) {
	b.touched.Store(true)
	b.now = b.meshMetrics.now().UnixNano()
	i := 0
	for _, rm := range md.ResourceMetrics().All() {
		b.resource(rm, b.visitors[i])
		i++
	}
}
