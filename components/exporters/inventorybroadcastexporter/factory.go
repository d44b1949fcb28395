// SPDX-License-Identifier: Apache-2.0

//go:generate mdatagen metadata.yaml

// Package inventorybroadcastexporter gives the inventories of the clusters (docs/inventory.md) to every replica of the hub.
// What a load balancer routes reaches one replica; an inventory is needed by all of them, and by one that is started later
// at once. The entry point is [NewFactory].
package inventorybroadcastexporter

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/inventorybroadcastexporter/internal/metadata"
)

// NewFactory returns the factory of the inventory_broadcast exporter, which takes logs.
func NewFactory() exporter.Factory {
	return exporter.NewFactory(metadata.Type, createDefaultConfig, exporter.WithLogs(createLogs, metadata.LogsStability))
}

func createLogs(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Logs, error) {
	c := cfg.(*Config)
	b, err := newBroadcaster(set, c)
	if err != nil {
		return nil, err
	}
	return exporterhelper.NewLogs(ctx, set, cfg, b.consume,
		exporterhelper.WithStart(b.start), exporterhelper.WithShutdown(b.shutdown), exporterhelper.WithTimeout(c.TimeoutConfig),
		exporterhelper.WithCapabilities(consumer.Capabilities{MutatesData: false}))
}
