// SPDX-License-Identifier: Apache-2.0

//go:generate mdatagen metadata.yaml

// Package envoyreceiver serves Envoy's push APIs on one gRPC port: the access log service v3 becomes logs, the metrics
// service v3 becomes metrics. The node that introduces a stream becomes the resource.
package envoyreceiver

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"

	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/metadata"
)

// defaultEndpoint listens on loopback alone, on a port that neither Envoy, Istio nor the collector uses.
const defaultEndpoint = "localhost:18090"

// NewFactory creates the factory of the envoy receiver.
func NewFactory() receiver.Factory {
	return receiver.NewFactory(
		metadata.Type,
		createDefaultConfig,
		receiver.WithLogs(createLogs, metadata.LogsStability),
		receiver.WithMetrics(createMetrics, metadata.MetricsStability),
	)
}

func createDefaultConfig() component.Config {
	server := configgrpc.NewDefaultServerConfig()
	server.NetAddr.Endpoint = defaultEndpoint
	server.MaxRecvMsgSizeMiB = 4
	server.MaxConcurrentStreams = 256
	// Connections end in time, so that senders spread over replicas and rotated certificates take effect. The grace lets
	// streams end by themselves first.
	server.Keepalive = configoptional.Some(configgrpc.KeepaliveServerConfig{
		ServerParameters: configoptional.Some(configgrpc.KeepaliveServerParameters{
			MaxConnectionAge:      time.Hour,
			MaxConnectionAgeGrace: 15 * time.Minute,
			Time:                  time.Minute,
			Timeout:               20 * time.Second,
		}),
		EnforcementPolicy: configoptional.Some(configgrpc.KeepaliveEnforcementPolicy{
			MinTime:             10 * time.Second,
			PermitWithoutStream: true,
		}),
	})
	return &Config{
		ServerConfig:           server,
		MaxStreams:             4096,
		MaxEntriesPerMessage:   10_000,
		MaxObjectsPerMessage:   250_000,
		MaxIdentitiesPerStream: 16,
		IdentifyTimeout:        30 * time.Second,
		MaxAttributeLength:     4096,
		MaxMapEntries:          64,
		ShutdownTimeout:        10 * time.Second,
		Retry: RetryConfig{
			InitialInterval: 100 * time.Millisecond,
			MaxInterval:     5 * time.Second,
			AfterDisconnect: 10 * time.Second,
		},
		Metrics: MetricsConfig{
			CounterTemporality:   TemporalityCumulative,
			HistogramTemporality: TemporalityDelta,
			MaxNodes:             4096,
			MaxSeries:            500_000,
			Expiry:               time.Hour,
		},
	}
}

func createLogs(
	_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs,
) (receiver.Logs, error) {
	r, err := shared.get(cfg.(*Config), set)
	if err != nil {
		return nil, err
	}
	r.nextLogs = next
	return r, nil
}

func createMetrics(
	_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Metrics,
) (receiver.Metrics, error) {
	r, err := shared.get(cfg.(*Config), set)
	if err != nil {
		return nil, err
	}
	r.nextMetrics = next
	return r, nil
}
