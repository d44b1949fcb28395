// SPDX-License-Identifier: Apache-2.0

//go:generate mdatagen metadata.yaml

// Package applicationinsightsexporter delivers traces, logs and metrics to Application Insights, and accounts for every
// item. The entry point is [NewFactory]. Telemetry becomes items in internal/mapping before it is queued, and a queued
// item is sent by internal/delivery; this package connects the two by the queue, routes, and counts.
package applicationinsightsexporter

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/metadata"
)

// NewFactory returns the factory of the application_insights exporter.
func NewFactory() exporter.Factory {
	f := &factory{users: map[*Config]*user{}}
	return exporter.NewFactory(
		metadata.Type,
		createDefaultConfig,
		exporter.WithTraces(f.traces, metadata.TracesStability),
		exporter.WithLogs(f.logs, metadata.LogsStability),
		exporter.WithMetrics(f.metrics, metadata.MetricsStability),
	)
}

// factory knows what the signals of each exporter share. A configuration stands for one exporter.
type factory struct {
	mu    sync.Mutex
	users map[*Config]*user
}

type user struct {
	shared *shared
	count  int
}

// acquire returns what the signals of the exporter share, and how to give it back.
func (f *factory) acquire(cfg *Config, set exporter.Settings) (*shared, func() error, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	u := f.users[cfg]
	if u == nil {
		s, err := newShared(cfg, set)
		if err != nil {
			return nil, nil, err
		}
		u = &user{shared: s}
		f.users[cfg] = u
	}
	u.count++
	var once sync.Once
	release := func() (err error) {
		once.Do(func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			if u.count--; u.count > 0 {
				return
			}
			delete(f.users, cfg)
			err = u.shared.close()
		})
		return err
	}
	return u.shared, release, nil
}

func (f *factory) create(ctx context.Context, set exporter.Settings, cfg component.Config, signal string) (*signalExporter, error) {
	s, release, err := f.acquire(cfg.(*Config), set)
	if err != nil {
		return nil, err
	}
	e, err := newSignalExporter(ctx, s, set, signal, release)
	if err != nil {
		_ = release()
		return nil, err
	}
	return e, nil
}

func (f *factory) traces(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Traces, error) {
	e, err := f.create(ctx, set, cfg, signalTraces)
	if err != nil {
		return nil, err
	}
	return &tracesExporter{e}, nil
}

func (f *factory) logs(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Logs, error) {
	e, err := f.create(ctx, set, cfg, signalLogs)
	if err != nil {
		return nil, err
	}
	return &logsExporter{e}, nil
}

func (f *factory) metrics(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Metrics, error) {
	e, err := f.create(ctx, set, cfg, signalMetrics)
	if err != nil {
		return nil, err
	}
	return &metricsExporter{e}, nil
}
