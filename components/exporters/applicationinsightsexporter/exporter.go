// SPDX-License-Identifier: Apache-2.0

package applicationinsightsexporter

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/mapping"
)

const (
	signalTraces  = "traces"
	signalLogs    = "logs"
	signalMetrics = "metrics"
)

// signalExporter is what the exporters of the three signals are made of.
type signalExporter struct {
	shared *shared
	signal string
	router *router
	// outlets are one for each destination of shared.
	outlets []*outlet
	// unrouted maps what no route takes, for the dead letters; nil if nothing can go there.
	unrouted *outlet
	release  func() error
}

func newSignalExporter(
	ctx context.Context, s *shared, set exporter.Settings, signal string, release func() error,
) (*signalExporter, error) {
	e := &signalExporter{shared: s, signal: signal, router: newRouter(s.cfg), release: release}
	for _, d := range s.destinations {
		o, err := newOutlet(s, d, signal)
		if err != nil {
			return nil, err
		}
		if err := o.build(ctx, set); err != nil {
			return nil, err
		}
		e.outlets = append(e.outlets, o)
	}
	if s.cfg.Unrouted == unroutedDeadLetter {
		o, err := newOutlet(s, &destination{name: destinationUnrouted}, signal)
		if err != nil {
			return nil, err
		}
		e.unrouted = o
	}
	for _, o := range e.outlets {
		s.watch(o)
	}
	return e, nil
}

func newOutlet(s *shared, d *destination, signal string) (*outlet, error) {
	o := &outlet{shared: s, destination: d, signal: signal, counters: newCounters(s.telemetry, s.logger, d, signal)}
	mapper, err := newMapper(s, o.counters)
	if err != nil {
		return nil, prefix("mapping::", err)
	}
	o.mapper = mapper
	return o, nil
}

// newMapper makes the mapping of one signal at one destination, which counts there.
func newMapper(s *shared, c *counters) (*mapping.Mapper, error) {
	settings := s.cfg.Mapping
	settings.SDKVersion = s.set.BuildInfo.Command + ":" + s.set.BuildInfo.Version
	return mapping.New(settings, c)
}

// build makes the chain of queue, batching and retry.
func (o *outlet) build(ctx context.Context, set exporter.Settings) error {
	cfg := o.shared.cfg
	set.Logger = calm(set.Logger, cfg.persistent())
	// The queue on disk and the metrics of the chain go by the ID. No user can write a '+' into one.
	if o.destination.route != nil {
		set.ID = component.NewIDWithName(set.ID.Type(), set.ID.Name()+"+"+o.destination.name)
	}
	retry := cfg.RetryConfig
	// The exporter itself says when it is enough, because it has to set aside what is left. See lastAttempt.
	retry.MaxElapsedTime = 0
	options := []exporterhelper.Option{
		exporterhelper.WithRetry(retry),
		// Each request of an attempt has a time limit; how many requests a batch takes is not known here.
		exporterhelper.WithTimeout(exporterhelper.TimeoutConfig{Timeout: 0}),
		xexporterhelper.WithQueueBatch(cfg.QueueConfig, xexporterhelper.QueueBatchSettings{Encoding: encoding{o}}),
	}
	switch o.signal {
	case signalTraces:
		chain, err := xexporterhelper.NewTracesRequest(ctx, set, func(ctx context.Context, _ ptrace.Traces) (xexporterhelper.Request, error) {
			return take(ctx)
		}, o.push, options...)
		o.queue = chain
		o.consume = func(ctx context.Context) error { return chain.ConsumeTraces(ctx, ptrace.NewTraces()) }
		return err
	case signalLogs:
		chain, err := xexporterhelper.NewLogsRequest(ctx, set, func(ctx context.Context, _ plog.Logs) (xexporterhelper.Request, error) {
			return take(ctx)
		}, o.push, options...)
		o.queue = chain
		o.consume = func(ctx context.Context) error { return chain.ConsumeLogs(ctx, plog.NewLogs()) }
		return err
	case signalMetrics:
		chain, err := xexporterhelper.NewMetricsRequest(ctx, set, func(ctx context.Context, _ pmetric.Metrics) (xexporterhelper.Request, error) {
			return take(ctx)
		}, o.push, options...)
		o.queue = chain
		o.consume = func(ctx context.Context) error { return chain.ConsumeMetrics(ctx, pmetric.NewMetrics()) }
		return err
	}
	return fmt.Errorf("signal %q is not known", o.signal)
}

// Start opens the destinations and then the queues.
func (e *signalExporter) Start(ctx context.Context, host component.Host) error {
	if err := e.shared.start(ctx, host); err != nil {
		return err
	}
	for _, o := range e.outlets {
		if err := o.start(ctx, host); err != nil {
			return fmt.Errorf("destination %s, %s: sending_queue: %w", o.destination.name, e.signal, err)
		}
	}
	return nil
}

// Shutdown ends the queues side by side, each within shutdown_timeout or little more, and then what the signals share, if
// this is the last of them. It does nothing the second time.
func (e *signalExporter) Shutdown(ctx context.Context) error {
	errs := make([]error, len(e.outlets)+1)
	var all sync.WaitGroup
	for i, o := range e.outlets {
		all.Go(func() { errs[i] = o.shutdown(ctx) })
	}
	all.Wait()
	errs[len(e.outlets)] = e.release()
	return errors.Join(errs...)
}

// Capabilities says that telemetry is taken apart if it is routed.
func (e *signalExporter) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: e.router.routes()}
}
