// SPDX-License-Identifier: Apache-2.0

package meshtopologyextension

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension/internal/metadata"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/static"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

var (
	_ Topology            = (*meshTopology)(nil)
	_ extension.Extension = (*meshTopology)(nil)
)

// meshTopology runs the source and hands its snapshots out.
type meshTopology struct {
	config    *Config
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder
	host      component.Host

	store topology.Store
	// staleSince is when the source stopped confirming the snapshot, in Unix nanoseconds; 0 while it does.
	staleSince atomic.Int64

	cancel context.CancelFunc
	done   sync.WaitGroup
	stop   sync.Once
}

func newMeshTopology(set extension.Settings, config *Config) (*meshTopology, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, fmt.Errorf("creating the extension's metrics: %w", err)
	}
	return &meshTopology{config: config, logger: set.Logger, telemetry: telemetry}, nil
}

// Snapshot implements [Topology].
func (m *meshTopology) Snapshot() *topology.Snapshot { return m.store.Snapshot() }

// Start reads the topology once, so that a bad file stops the collector before it stamps anything, then keeps reading.
func (m *meshTopology) Start(_ context.Context, host component.Host) error {
	m.host = host
	source := static.New(static.Settings{
		File:     m.config.Static.File,
		Interval: m.config.Static.ReloadInterval,
		Limits:   topology.Limits{MaxClusters: m.config.MaxClusters, MaxPods: m.config.MaxPods},
		Publish:  m.store.Set,
		Report:   m.report,
	})
	if err := source.Load(); err != nil {
		return err
	}
	if err := m.observe(); err != nil {
		return fmt.Errorf("registering the extension's gauges: %w", err)
	}
	m.logLoaded("topology loaded")
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	m.done.Go(func() { source.Run(ctx) })
	return nil
}

// Shutdown stops reading. It may be called twice and without Start.
func (m *meshTopology) Shutdown(context.Context) error {
	m.stop.Do(func() {
		if m.cancel != nil {
			m.cancel()
		}
		m.done.Wait()
		m.telemetry.Shutdown()
	})
	return nil
}

var (
	succeeded = metric.WithAttributeSet(attribute.NewSet(attribute.String("outcome", "success")))
	failed    = metric.WithAttributeSet(attribute.NewSet(attribute.String("outcome", "failure")))
)

// report takes the news of each reading from the source.
func (m *meshTopology) report(err error) {
	ctx := context.Background()
	if err != nil {
		m.staleSince.CompareAndSwap(0, time.Now().UnixNano())
		m.telemetry.ExtensionMeshTopologyReloads.Add(ctx, 1, failed)
		m.logger.Error("topology could not be read again, keeping the last good one", zap.Error(err),
			zap.Time("built", m.Snapshot().Built()))
		componentstatus.ReportStatus(m.host, componentstatus.NewRecoverableErrorEvent(err))
		return
	}
	m.staleSince.Store(0)
	m.telemetry.ExtensionMeshTopologyReloads.Add(ctx, 1, succeeded)
	m.logLoaded("topology read again")
	componentstatus.ReportStatus(m.host, componentstatus.NewEvent(componentstatus.StatusOK))
}

func (m *meshTopology) logLoaded(message string) {
	stats := m.Snapshot().Stats()
	m.logger.Info(message, zap.String("file", m.config.Static.File), zap.Int("clusters", stats.Clusters),
		zap.Int("workloads", stats.Workloads), zap.Int("pods", stats.Pods), zap.Int("gateways", stats.Gateways))
}

func (m *meshTopology) observe() error {
	if err := m.telemetry.RegisterExtensionMeshTopologyClustersCallback(func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(int64(m.Snapshot().Stats().Clusters))
		return nil
	}); err != nil {
		return err
	}
	if err := m.telemetry.RegisterExtensionMeshTopologyPodsCallback(func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(int64(m.Snapshot().Stats().Pods))
		return nil
	}); err != nil {
		return err
	}
	return m.telemetry.RegisterExtensionMeshTopologySnapshotAgeCallback(func(_ context.Context, o metric.Float64Observer) error {
		o.Observe(m.age().Seconds())
		return nil
	})
}

// age is how long the source has not confirmed the snapshot: zero while the file is there and good, however old it is.
func (m *meshTopology) age() time.Duration {
	since := m.staleSince.Load()
	if since == 0 {
		return 0
	}
	return time.Since(time.Unix(0, since))
}
