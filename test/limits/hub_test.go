// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
)

// sink is what an agent sends to: it takes everything.
type sink struct {
	endpoint string

	mu      sync.Mutex
	spans   map[string]int // by the attribute "honest.id"
	traces  []ptrace.Traces
	logs    []plog.Logs
	metrics []pmetric.Metrics
	keep    bool
}

// startSink listens at an endpoint; keep says that it keeps all that comes.
func startSink(t *testing.T, endpoint string, keep bool) *sink {
	t.Helper()
	s := &sink{endpoint: endpoint, keep: keep, spans: make(map[string]int)}
	factory := otlpreceiver.NewFactory()
	cfg := factory.CreateDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(map[string]any{"protocols": map[string]any{
		"grpc": map[string]any{"endpoint": endpoint, "max_recv_msg_size_mib": 64},
	}}).Unmarshal(cfg))
	set := receivertest.NewNopSettings(factory.Type())
	traces, err := consumer.NewTraces(s.takeTraces)
	require.NoError(t, err)
	logs, err := consumer.NewLogs(s.takeLogs)
	require.NoError(t, err)
	metrics, err := consumer.NewMetrics(s.takeMetrics)
	require.NoError(t, err)
	r, err := factory.CreateTraces(t.Context(), set, cfg, traces)
	require.NoError(t, err)
	_, err = factory.CreateLogs(t.Context(), set, cfg, logs)
	require.NoError(t, err)
	_, err = factory.CreateMetrics(t.Context(), set, cfg, metrics)
	require.NoError(t, err)
	require.NoError(t, r.Start(context.Background(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, r.Shutdown(context.Background())) })
	return s
}

func (s *sink) takeTraces(_ context.Context, td ptrace.Traces) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				if id, ok := span.Attributes().Get("honest.id"); ok {
					s.spans[id.Str()]++
				}
			}
		}
	}
	if s.keep {
		s.traces = append(s.traces, td)
	}
	return nil
}

func (s *sink) takeLogs(_ context.Context, ld plog.Logs) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keep {
		s.logs = append(s.logs, ld)
	}
	return nil
}

func (s *sink) takeMetrics(_ context.Context, md pmetric.Metrics) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keep {
		s.metrics = append(s.metrics, md)
	}
	return nil
}

// missing returns how many of the given spans have not arrived.
func (s *sink) missing(ids []string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if s.spans[id] == 0 {
			n++
		}
	}
	return n
}
