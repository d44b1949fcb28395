// SPDX-License-Identifier: Apache-2.0

package envoyreceiver

import (
	"context"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver/receivertest"
)

func TestSignalsShareOneServer(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.ServerConfig.NetAddr.Endpoint = "localhost:0"
	set := receivertest.NewNopSettings(typ)
	logs, err := createLogs(t.Context(), set, cfg, consumertest.NewNop())
	require.NoError(t, err)
	metrics, err := createMetrics(t.Context(), set, cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.Same(t, logs, metrics)
	require.NoError(t, logs.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, metrics.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, logs.Shutdown(t.Context()))
	require.NoError(t, metrics.Shutdown(t.Context()))
	require.NoError(t, metrics.Shutdown(t.Context()))

	again, err := createLogs(t.Context(), set, cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.NotSame(t, logs, again, "a receiver that was shut down is not used again")
	require.NoError(t, again.Shutdown(t.Context()))
}

func TestStartTellsThatThePortIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "localhost:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	r, _ := newTestReceiver(t, nil, func(cfg *Config) { cfg.ServerConfig.NetAddr.Endpoint = taken.Addr().String() })
	require.ErrorContains(t, r.Start(t.Context(), componenttest.NewNopHost()), "cannot listen on 'endpoint'")
	require.Error(t, r.Start(t.Context(), componenttest.NewNopHost()), "the second signal gets the error too")
}

// statusHost keeps the events reported to it.
type statusHost struct {
	events chan *componentstatus.Event
}

func (statusHost) GetExtensions() map[component.ID]component.Component { return nil }

func (h statusHost) Report(event *componentstatus.Event) { h.events <- event }

func TestServerFailureIsReported(t *testing.T) {
	r, _ := newTestReceiver(t, nil, nil)
	host := statusHost{events: make(chan *componentstatus.Event, 1)}
	require.NoError(t, r.Start(context.Background(), host))
	require.NoError(t, r.listener.Close())
	require.Equal(t, componentstatus.StatusFatalError, (<-host.events).Status())
}
