// SPDX-License-Identifier: Apache-2.0

//go:generate mdatagen metadata.yaml

// Package exponentialhistogramprocessor turns delta histograms with explicit bounds into exponential histograms, which
// Azure Monitor's OTLP ingestion wants. The entry point is [NewFactory]. The arithmetic is in internal/convert.
package exponentialhistogramprocessor

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processorhelper"

	"github.com/otelcol-mesh/otelcol-mesh/processors/exponentialhistogramprocessor/internal/metadata"
)

// NewFactory returns the factory of the exponential_histogram processor.
func NewFactory() processor.Factory {
	return processor.NewFactory(metadata.Type, createDefaultConfig, processor.WithMetrics(createMetrics, metadata.MetricsStability))
}

func createMetrics(
	ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Metrics,
) (processor.Metrics, error) {
	p, err := newExponentialHistogram(set, cfg.(*Config))
	if err != nil {
		return nil, err
	}
	return processorhelper.NewMetrics(ctx, set, cfg, next, p.processMetrics,
		processorhelper.WithCapabilities(consumer.Capabilities{MutatesData: true}), processorhelper.WithShutdown(p.shutdown))
}
