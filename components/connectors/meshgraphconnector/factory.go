// SPDX-License-Identifier: Apache-2.0

//go:generate mdatagen metadata.yaml

// Package meshgraphconnector keeps the graph of the mesh at the hub: metrics and spans in, metrics of each edge and events
// of failovers out, and the graph as JSON. The entry point is [NewFactory]. What is counted is decided in internal/graph of
// this module; what data points say in internal/feed; what outlives a restart in internal/keep.
package meshgraphconnector

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"

	"github.com/otelcol-mesh/otelcol-mesh/components/connectors/meshgraphconnector/internal/metadata"
)

// NewFactory returns the factory of the mesh_graph connector. All pairs of one component id share one graph.
func NewFactory() connector.Factory {
	s := &sharing{graphs: map[component.ID]*meshGraph{}}
	return connector.NewFactory(
		metadata.Type,
		createDefaultConfig,
		connector.WithMetricsToMetrics(s.metricsToMetrics, metadata.MetricsToMetricsStability),
		connector.WithMetricsToLogs(s.metricsToLogs, metadata.MetricsToLogsStability),
		connector.WithTracesToMetrics(s.tracesToMetrics, metadata.TracesToMetricsStability),
		connector.WithTracesToLogs(s.tracesToLogs, metadata.TracesToLogsStability),
	)
}

func (s *sharing) metricsToMetrics(
	_ context.Context, set connector.Settings, cfg component.Config, next consumer.Metrics,
) (connector.Metrics, error) {
	return s.pair(set, cfg.(*Config), signalMetrics, signalMetrics, func(s *sender) { s.metrics = next })
}

func (s *sharing) metricsToLogs(
	_ context.Context, set connector.Settings, cfg component.Config, next consumer.Logs,
) (connector.Metrics, error) {
	return s.pair(set, cfg.(*Config), signalMetrics, signalLogs, func(s *sender) { s.logs = next })
}

func (s *sharing) tracesToMetrics(
	_ context.Context, set connector.Settings, cfg component.Config, next consumer.Metrics,
) (connector.Traces, error) {
	return s.pair(set, cfg.(*Config), signalTraces, signalMetrics, func(s *sender) { s.metrics = next })
}

func (s *sharing) tracesToLogs(
	_ context.Context, set connector.Settings, cfg component.Config, next consumer.Logs,
) (connector.Traces, error) {
	return s.pair(set, cfg.(*Config), signalTraces, signalLogs, func(s *sender) { s.logs = next })
}
