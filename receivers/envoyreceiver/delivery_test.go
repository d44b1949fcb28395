// SPDX-License-Identifier: Apache-2.0

package envoyreceiver

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/grpc/codes"

	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/metadatatest"
)

var errBusy = errors.New("busy")

// setLogs replaces where a receiver delivers logs to.
func setLogs(t *testing.T, r *envoyReceiver, consume consumer.ConsumeLogsFunc) {
	next, err := consumer.NewLogs(consume)
	require.NoError(t, err)
	r.nextLogs = next
}

// TestSlowPipelineHoldsTheSenderBack blocks the pipeline, sees that the sender is held back, and finds every record once
// it goes on.
func TestSlowPipelineHoldsTheSenderBack(t *testing.T) {
	const messages, entries = 400, 50
	tt := componenttest.NewTelemetry()
	defer shutdownTelemetry(t, tt)
	r, sinks := newTestReceiver(t, tt, nil)
	var open atomic.Bool
	setLogs(t, r, func(ctx context.Context, logs plog.Logs) error {
		if !open.Load() {
			// A pipeline that refuses may have changed the records by then.
			logs.ResourceLogs().RemoveIf(func(plog.ResourceLogs) bool { return true })
			return errBusy
		}
		return sinks.logs.ConsumeLogs(ctx, logs)
	})
	stream := openLogs(t, start(t, r))
	var sent atomic.Int64
	done := make(chan error, 1)
	go func() {
		identifier := testIdentifier("n")
		for range messages {
			message := logMessage(identifier, entries)
			message.GetHttpLogs().GetLogEntry()[0].Request.Path = string(make([]byte, 4096))
			if err := stream.Send(message); err != nil {
				done <- err
				return
			}
			sent.Add(1)
			identifier = nil
		}
		_, err := stream.CloseAndRecv()
		done <- err
	}()
	// Held back: the number sent stands still, well short of all.
	eventually(t, func() bool {
		before := sent.Load()
		retried := retries(tt)
		return before > 0 && waitFor(func() bool { return retries(tt) > retried+5 }) && sent.Load() == before
	}, "the sender must be held back")
	require.Less(t, sent.Load(), int64(messages/2))
	require.Zero(t, sinks.logs.LogRecordCount())

	open.Store(true)
	require.NoError(t, <-done)
	require.Equal(t, messages*entries, sinks.logs.LogRecordCount(), "exactly once")
	_, err := tt.GetMetric("otelcol_receiver_envoy_records_dropped")
	require.Error(t, err, "nothing may be dropped")
}

func waitFor(condition func() bool) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if condition() {
			return true
		}
	}
	return false
}

// retries returns how often a message was offered again.
func retries(tt *componenttest.Telemetry) int64 {
	m, err := tt.GetMetric("otelcol_receiver_envoy_consumer_retries")
	if err != nil {
		return 0
	}
	return m.Data.(metricdata.Sum[int64]).DataPoints[0].Value
}

func TestPermanentErrorDropsAndGoesOn(t *testing.T) {
	tt := componenttest.NewTelemetry()
	defer shutdownTelemetry(t, tt)
	r, sinks := newTestReceiver(t, tt, nil)
	var calls atomic.Int64
	setLogs(t, r, func(ctx context.Context, logs plog.Logs) error {
		if calls.Add(1) == 1 {
			return consumererror.NewPermanent(errors.New("never"))
		}
		return sinks.logs.ConsumeLogs(ctx, logs)
	})
	stream := openLogs(t, start(t, r))
	require.NoError(t, stream.Send(logMessage(testIdentifier("n"), 7)))
	require.NoError(t, stream.Send(logMessage(nil, 5)))
	_, err := stream.CloseAndRecv()
	require.NoError(t, err)
	require.Equal(t, 5, sinks.logs.LogRecordCount())
	metadatatest.AssertEqualReceiverEnvoyRecordsDropped(t, tt,
		[]metricdata.DataPoint[int64]{point(7, signalLogs, reasonPermanent)}, ignoreTime)
}

func TestMetricsAreRetriedUnchanged(t *testing.T) {
	r, sinks := newTestReceiver(t, nil, nil)
	var calls atomic.Int64
	next, err := consumer.NewMetrics(func(ctx context.Context, metrics pmetric.Metrics) error {
		if calls.Add(1) < 4 {
			metrics.ResourceMetrics().RemoveIf(func(pmetric.ResourceMetrics) bool { return true })
			return errBusy
		}
		return sinks.metrics.ConsumeMetrics(ctx, metrics)
	})
	require.NoError(t, err)
	r.nextMetrics = next
	stream := openMetrics(t, start(t, r))
	require.NoError(t, stream.Send(metricMessage("n", 3)))
	_, err = stream.CloseAndRecv()
	require.NoError(t, err)
	require.EqualValues(t, 4, calls.Load())
	require.Equal(t, 1, sinks.metrics.DataPointCount())
}

// TestDisconnectedSender: what was read is still offered for a while, then dropped and counted.
func TestDisconnectedSender(t *testing.T) {
	tt := componenttest.NewTelemetry()
	defer shutdownTelemetry(t, tt)
	r, _ := newTestReceiver(t, tt, func(cfg *Config) { cfg.Retry.AfterDisconnect = 50 * time.Millisecond })
	called := make(chan struct{}, 1)
	setLogs(t, r, func(ctx context.Context, _ plog.Logs) error {
		select {
		case called <- struct{}{}:
		default:
		}
		if ctx.Err() != nil {
			t.Error("the context must outlive the sender")
		}
		return errBusy
	})
	connection := start(t, r)
	stream := openLogs(t, connection)
	require.NoError(t, stream.Send(logMessage(testIdentifier("n"), 3)))
	<-called
	require.NoError(t, connection.Close())
	eventually(t, func() bool { return r.streams.Load() == 0 }, "the stream must end")
	metadatatest.AssertEqualReceiverEnvoyRecordsDropped(t, tt,
		[]metricdata.DataPoint[int64]{point(3, signalLogs, reasonDisconnected)}, ignoreTime)
}

// TestShutdownDelivers: a message that is being retried is delivered if the pipeline recovers in time.
func TestShutdownDelivers(t *testing.T) {
	r, sinks := newTestReceiver(t, nil, nil)
	var open atomic.Bool
	called := make(chan struct{}, 1)
	setLogs(t, r, func(ctx context.Context, logs plog.Logs) error {
		if !open.Load() {
			select {
			case called <- struct{}{}:
			default:
			}
			return errBusy
		}
		return sinks.logs.ConsumeLogs(ctx, logs)
	})
	stream := openLogs(t, start(t, r))
	require.NoError(t, stream.Send(logMessage(testIdentifier("n"), 3)))
	require.NoError(t, stream.Send(logMessage(nil, 4)))
	<-called
	done := make(chan error, 1)
	go func() { done <- r.Shutdown(context.Background()) }()
	<-r.stopping
	open.Store(true)
	require.NoError(t, <-done)
	require.Equal(t, 7, sinks.logs.LogRecordCount())
	_, err := stream.CloseAndRecv()
	requireStatus(t, err, codes.Unavailable, "shutting down")
}

// TestShutdownTakesWhatHasArrived: messages that wait behind one the pipeline is busy with are delivered too.
func TestShutdownTakesWhatHasArrived(t *testing.T) {
	const messages = 30
	r, sinks := newTestReceiver(t, nil, nil)
	called, release := make(chan struct{}, messages), make(chan struct{})
	setLogs(t, r, func(ctx context.Context, logs plog.Logs) error {
		called <- struct{}{}
		<-release
		return sinks.logs.ConsumeLogs(ctx, logs)
	})
	stream := openLogs(t, start(t, r))
	require.NoError(t, stream.Send(logMessage(testIdentifier("n"), 1)))
	<-called
	for range messages - 1 {
		require.NoError(t, stream.Send(logMessage(nil, 1)))
	}
	done := make(chan error, 1)
	go func() { done <- r.Shutdown(context.Background()) }()
	<-r.stopping
	close(release)
	require.NoError(t, <-done)
	require.Equal(t, messages, sinks.logs.LogRecordCount())
}

func TestShutdownGivesUpAndCounts(t *testing.T) {
	tt := componenttest.NewTelemetry()
	defer shutdownTelemetry(t, tt)
	r, _ := newTestReceiver(t, tt, func(cfg *Config) { cfg.ShutdownTimeout = 50 * time.Millisecond })
	called := make(chan struct{}, 1)
	setLogs(t, r, func(context.Context, plog.Logs) error {
		select {
		case called <- struct{}{}:
		default:
		}
		return errBusy
	})
	stream := openLogs(t, start(t, r))
	require.NoError(t, stream.Send(logMessage(testIdentifier("n"), 3)))
	<-called
	require.NoError(t, r.Shutdown(t.Context()))
	metadatatest.AssertEqualReceiverEnvoyRecordsDropped(t, tt,
		[]metricdata.DataPoint[int64]{point(3, signalLogs, reasonShutdown)}, ignoreTime)
}

// TestShutdownDoesNotHang: a pipeline that never returns cannot hold up shutdown.
func TestShutdownDoesNotHang(t *testing.T) {
	r, _ := newTestReceiver(t, nil, func(cfg *Config) { cfg.ShutdownTimeout = 10 * time.Millisecond })

	called, release := make(chan struct{}), make(chan struct{})
	setLogs(t, r, func(context.Context, plog.Logs) error {
		close(called)
		<-release
		return nil
	})
	stream := openLogs(t, start(t, r))
	require.NoError(t, stream.Send(logMessage(testIdentifier("n"), 1)))
	<-called
	require.ErrorIs(t, r.Shutdown(t.Context()), errStuck)
	close(release)
	r.readers.Wait()
	r.stopErr = nil
}

func TestPauseGrowsToItsLimit(t *testing.T) {
	d := &delivery{receiver: &envoyReceiver{cfg: &Config{Retry: RetryConfig{
		InitialInterval: 100 * time.Millisecond, MaxInterval: 5 * time.Second,
	}}}}
	require.InDelta(t, 100*time.Millisecond, d.pause(0), float64(10*time.Millisecond))
	require.InDelta(t, 200*time.Millisecond, d.pause(1), float64(20*time.Millisecond))
	for _, attempt := range []int{6, 20, 63, 1000} {
		require.InDelta(t, 5*time.Second, d.pause(attempt), float64(500*time.Millisecond))
	}
}
