// SPDX-License-Identifier: Apache-2.0

//go:generate mdatagen metadata.yaml

// Package meshmetricsprocessor makes the metrics of a mesh's proxies delta, adds them up over pods and time, and keeps
// them within a budget of series. The entry point is [NewFactory]. What is new in a point, and where it is kept until
// the next component takes it, is decided in internal/series; this package reads and writes the points.
package meshmetricsprocessor

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/processor"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshmetricsprocessor/internal/metadata"
)

// NewFactory returns the factory of the mesh_metrics processor.
func NewFactory() processor.Factory {
	return processor.NewFactory(metadata.Type, createDefaultConfig, processor.WithMetrics(createMetrics, metadata.MetricsStability))
}

func createMetrics(
	_ context.Context, set processor.Settings, cfg component.Config, next consumer.Metrics,
) (processor.Metrics, error) {
	return newMeshMetrics(set, cfg.(*Config), next)
}
