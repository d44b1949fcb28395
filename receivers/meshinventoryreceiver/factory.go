// SPDX-License-Identifier: Apache-2.0

//go:generate mdatagen metadata.yaml

// Package meshinventoryreceiver watches one cluster's API server and emits the cluster's inventory as log records: a
// snapshot, then what changes, then snapshots again from time to time. Of several replicas one does so, the leader.
//
//	election ── term ──▶ kube source ──▶ cluster (topology, pending changes) ──▶ publisher ──▶ sender ──▶ pipeline
//
// The source never waits for the pipeline: while that is slow, changes merge in the cluster.
package meshinventoryreceiver

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"

	"github.com/otelcol-mesh/otelcol-mesh/receivers/meshinventoryreceiver/internal/metadata"
)

// NewFactory creates the factory of the mesh_inventory receiver.
func NewFactory() receiver.Factory {
	return receiver.NewFactory(
		metadata.Type,
		createDefaultConfig,
		receiver.WithLogs(createLogs, metadata.LogsStability),
	)
}

func createLogs(
	_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs,
) (receiver.Logs, error) {
	return newReceiver(cfg.(*Config), set, next)
}
