// SPDX-License-Identifier: Apache-2.0

//go:generate mdatagen metadata.yaml

// Package meshtopologyprocessor stamps both ends of a call on spans, access logs and metric points. The entry point is
// [NewFactory]. Who an end is, is decided in internal/rules; this package reads the telemetry, writes the answers and
// counts them.
package meshtopologyprocessor

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processorhelper"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/metadata"
)

var capabilities = processorhelper.WithCapabilities(consumer.Capabilities{MutatesData: true})

// NewFactory returns the factory of the mesh_topology processor.
func NewFactory() processor.Factory {
	f := factory{localities: newThrottle[podID](localityPeriod, maxLocalities)}
	return processor.NewFactory(
		metadata.Type,
		createDefaultConfig,
		processor.WithTraces(f.createTraces, metadata.TracesStability),
		processor.WithLogs(f.createLogs, metadata.LogsStability),
		processor.WithMetrics(f.createMetrics, metadata.MetricsStability),
	)
}

// factory holds what the processors of all signals share.
type factory struct {
	localities *throttle[podID]
}

func (f *factory) create(set processor.Settings, cfg component.Config) (*meshTopology, error) {
	p, err := newMeshTopology(set, cfg.(*Config))
	if err != nil {
		return nil, err
	}
	p.localities = f.localities
	return p, nil
}

func createDefaultConfig() component.Config {
	return &Config{Topology: component.NewID(metadata.Type), IstioLabels: keepLabels}
}

func (f *factory) createTraces(
	ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Traces,
) (processor.Traces, error) {
	p, err := f.create(set, cfg)
	if err != nil {
		return nil, err
	}
	return processorhelper.NewTraces(ctx, set, cfg, next, p.processTraces,
		capabilities, processorhelper.WithStart(p.start), processorhelper.WithShutdown(p.shutdown))
}

func (f *factory) createLogs(
	ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Logs,
) (processor.Logs, error) {
	p, err := f.create(set, cfg)
	if err != nil {
		return nil, err
	}
	return processorhelper.NewLogs(ctx, set, cfg, next, p.processLogs,
		capabilities, processorhelper.WithStart(p.start), processorhelper.WithShutdown(p.shutdown))
}

func (f *factory) createMetrics(
	ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Metrics,
) (processor.Metrics, error) {
	p, err := f.create(set, cfg)
	if err != nil {
		return nil, err
	}
	return processorhelper.NewMetrics(ctx, set, cfg, next, p.processMetrics,
		capabilities, processorhelper.WithStart(p.start), processorhelper.WithShutdown(p.shutdown))
}
