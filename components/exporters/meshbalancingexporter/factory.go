// SPDX-License-Identifier: Apache-2.0

//go:generate mdatagen metadata.yaml

// Package meshbalancingexporter spreads metrics over the replicas of the hub: points about calls by the called service, so that
// what both ends of a call report comes to one replica, what tells of control planes to one replica, and all others by cluster and service. The entry point is [NewFactory].
package meshbalancingexporter

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/meshbalancingexporter/internal/metadata"
)

// NewFactory returns the factory of the mesh_balancing exporter, which takes metrics.
func NewFactory() exporter.Factory {
	return exporter.NewFactory(metadata.Type, createDefaultConfig, exporter.WithMetrics(createMetrics, metadata.MetricsStability))
}

func createMetrics(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Metrics, error) {
	c := cfg.(*Config)
	b, err := newBalancer(set, c)
	if err != nil {
		return nil, err
	}
	return exporterhelper.NewMetrics(ctx, set, cfg, b.consume,
		exporterhelper.WithStart(b.start), exporterhelper.WithShutdown(b.shutdown), exporterhelper.WithTimeout(c.TimeoutConfig),
		exporterhelper.WithCapabilities(consumer.Capabilities{MutatesData: true}))
}
