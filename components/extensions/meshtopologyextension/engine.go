// SPDX-License-Identifier: Apache-2.0

package meshtopologyextension

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension/internal/findings"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension/internal/metadata"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

const (
	// tickEvery is how often the engine looks at the time, pruneEvery how often it forgets though nothing happens.
	tickEvery  = time.Second
	pruneEvery = 30 * time.Second
)

var (
	errQueueFull = errors.New("the topology has more to take than it can at the moment; send the message again")
	errStopped   = errors.New("the topology is shutting down; send the message again")
)

// engine owns the writer. Its goroutine, that of [engine.run], is the only one that touches what has no lock; the others
// hand it work with [engine.enqueue]. Readers see nothing of it but the store.
type engine struct {
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder
	config    *Config
	now       func() time.Time
	// lookEvery is how often it looks at the time by itself.
	lookEvery time.Duration
	store     *topology.Store
	findings  *findings.Table

	queue   chan func()
	stopped chan struct{}
	// totals are copies of counters for the metrics and the admin port; sources says which source each cluster is from.
	totals  atomic.Pointer[totals]
	sources atomic.Pointer[map[string]string]

	writer    *topology.Writer
	assembler *inventory.Assembler
	clusters  map[string]*ownedCluster
	// overruled counts readings that were left out because a stronger source has the cluster.
	overruled uint64
	// again asks a source to tell a cluster in full once more.
	again map[origin]func(cluster string)
	// every is called at each tick.
	every []func(now time.Time)

	// changes counts what changed the content; published and pruned are when that was made visible last.
	changes uint64
	dirty   bool
	// replaying is when the message came that the journal tells again; zero other than at the start. A message that came
	// before the process is taken as it was then.
	replaying         time.Time
	published, pruned time.Time
	copy              *diskCopy
}

// totals are the counters as they were when they were copied last.
type totals struct {
	writer    topology.Counters
	assembler inventory.AssemblerCounters
	waiting   int
	overruled uint64
}

func newEngine(config *Config, logger *zap.Logger, telemetry *metadata.TelemetryBuilder, store *topology.Store, table *findings.Table, now func() time.Time) *engine {
	e := &engine{
		logger: logger, telemetry: telemetry, config: config, store: store, findings: table, lookEvery: tickEvery,
		queue: make(chan func(), config.QueueSize), stopped: make(chan struct{}),
		clusters: map[string]*ownedCluster{}, again: map[origin]func(string){},
	}
	e.now = func() time.Time {
		if !e.replaying.IsZero() {
			return e.replaying
		}
		return now()
	}
	e.totals.Store(&totals{})
	e.sources.Store(&map[string]string{})
	e.writer = topology.NewWriter(topology.WriterSettings{
		Limits: topology.Limits{
			MaxClusters: config.MaxClusters, MaxPods: config.MaxPods, MaxHistory: config.MaxHistory,
			MaxNodes: config.MaxNodes, MaxServices: config.MaxServices, MaxGateways: config.MaxGateways,
		},
		History: config.History, Store: store, Now: e.now, Report: e.report,
	})
	if c := config.Inventory.Get(); c != nil {
		e.assembler = inventory.NewAssembler(inventory.AssemblerSettings{
			MaxClusters: config.MaxClusters, MaxPods: config.MaxPods + config.MaxHistory,
			StaleAfter: c.StaleAfter, ExpireAfter: c.ExpireAfter,
		})
	}
	return e
}

// enqueue hands work to the engine's goroutine. It waits while the queue is full.
func (e *engine) enqueue(ctx context.Context, work func()) error {
	select {
	case <-e.stopped:
		return errStopped
	default:
	}
	select {
	case e.queue <- work:
		return nil
	case <-e.stopped:
		return errStopped
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errQueueFull, ctx.Err())
	}
}

// do has work done and waits for it.
func (e *engine) do(ctx context.Context, work func() error) error {
	result := make(chan error, 1)
	if err := e.enqueue(ctx, func() { result <- work() }); err != nil {
		return err
	}
	select {
	case err := <-result:
		return err
	case <-e.stopped:
		// The last work was done before stopped was closed.
		select {
		case err := <-result:
			return err
		default:
			return errStopped
		}
	case <-ctx.Done():
		// It may be done all the same, and then comes a second time, which is taken for what it is.
		return fmt.Errorf("%w: %w", errQueueFull, ctx.Err())
	}
}

// run works until the context ends, then does what is in the queue and publishes it.
func (e *engine) run(ctx context.Context) {
	defer close(e.stopped)
	ticker := time.NewTicker(e.lookEvery)
	defer ticker.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	waiting := true
	for {
		select {
		case work := <-e.queue:
			work()
			if e.dirty && !waiting {
				waiting = true
				timer.Reset(e.untilPublish())
			}
		case <-timer.C:
			waiting = false
			e.publish()
		case <-ticker.C:
			e.tick()
			if e.dirty && !waiting {
				waiting = true
				timer.Reset(e.untilPublish())
			}
		case <-ctx.Done():
			e.drain()
			return
		}
	}
}

// drain does what waits already. Who comes later finds the engine stopped.
func (e *engine) drain() {
	for {
		select {
		case work := <-e.queue:
			work()
		default:
			e.publish()
			return
		}
	}
}

// untilPublish is how long to collect changes before the next snapshot: what is left of the interval, and a part of it
// after a quiet time, since changes seldom come alone.
func (e *engine) untilPublish() time.Duration {
	interval := e.config.PublishInterval
	return max(interval-e.now().Sub(e.published), interval/10)
}

// publish makes all changes visible at once.
func (e *engine) publish() {
	if e.dirty {
		e.dirty = false
		began := e.now()
		e.writer.Publish()
		e.published = e.now()
		e.telemetry.ExtensionMeshTopologyPublishDuration.Record(context.Background(), e.published.Sub(began).Seconds())
	}
	e.copyTotals()
}

func (e *engine) copyTotals() {
	t := totals{writer: e.writer.Counters(), overruled: e.overruled}
	if e.assembler != nil {
		t.assembler, t.waiting = e.assembler.Counters(), e.assembler.Waiting()
	}
	e.totals.Store(&t)
}

// tick does what time demands.
func (e *engine) tick() {
	now := e.now()
	if e.assembler != nil {
		e.perform(e.assembler.Tick(now))
	}
	e.judge(now)
	for _, f := range e.every {
		f(now)
	}
	if now.Sub(e.pruned) >= pruneEvery {
		e.pruned = now
		e.dirty = true
		e.resolveConditions(now)
		e.findings.Prune()
	}
	if e.copy != nil {
		if e.copy.journal != nil {
			e.copy.journal.tick()
		}
		if e.copy.due(now, e.changes) {
			e.save()
		}
	}
	e.copyTotals()
}

// report takes a finding from the engine's goroutine.
func (e *engine) report(f topology.Finding) { reportTo(e.findings, e.logger, f) }

// reportTo notes a finding, and logs it if it is news.
func reportTo(table *findings.Table, logger *zap.Logger, f topology.Finding) {
	if !table.Report(f) {
		return
	}
	fields := []zap.Field{zap.String("kind", f.Kind), zap.String("cluster", f.Cluster), zap.String("subject", f.Subject), zap.String("detail", f.Detail)}
	if f.Severity == topology.SeverityInfo {
		logger.Info("finding about the mesh", fields...)
		return
	}
	logger.Warn("finding about the mesh", fields...)
}
