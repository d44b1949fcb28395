// SPDX-License-Identifier: Apache-2.0

package envoyreceiver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/wire"
)

// Flow control windows. They are fixed, as gRPC would let them grow to 16 MiB for each stream of a slow consumer.
const (
	streamWindow     = 64 << 10
	connectionWindow = 1 << 20
)

// envoyReceiver is the server that logs and metrics of one configuration share.
type envoyReceiver struct {
	cfg         *Config
	set         receiver.Settings
	nextLogs    consumer.Logs
	nextMetrics consumer.Metrics
	telemetry   *telemetry
	obsreport   *receiverhelper.ObsReport
	// now tells the time; tests set it.
	now func() time.Time

	startOnce, stopOnce sync.Once
	startErr, stopErr   error

	mu    sync.Mutex
	hosts []component.Host

	server   *grpc.Server
	listener net.Listener
	serving  sync.WaitGroup
	streams  atomic.Int64
	// readers are the goroutines that read streams; they outlive their stream by a moment.
	readers sync.WaitGroup

	// stopping is closed at shutdown: streams take what has arrived and end.
	stopping chan struct{}
	// deadline is canceled when shutdown can wait no longer: streams give up what they hold.
	deadline context.Context
	giveUp   context.CancelFunc
}

var (
	_ receiver.Logs    = (*envoyReceiver)(nil)
	_ receiver.Metrics = (*envoyReceiver)(nil)
)

func newReceiver(cfg *Config, set receiver.Settings) (*envoyReceiver, error) {
	obsreport, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID:             set.ID,
		Transport:              "grpc",
		LongLivedCtx:           true,
		ReceiverCreateSettings: set,
	})
	if err != nil {
		return nil, err
	}
	own, err := newTelemetry(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	r := &envoyReceiver{cfg: cfg, set: set, obsreport: obsreport, telemetry: own, now: time.Now, stopping: make(chan struct{})}
	r.deadline, r.giveUp = context.WithCancel(context.Background())
	return r, nil
}

// Start opens the port. The second signal's call finds it open already.
func (r *envoyReceiver) Start(ctx context.Context, host component.Host) error {
	r.mu.Lock()
	r.hosts = append(r.hosts, host)
	r.mu.Unlock()
	r.startOnce.Do(func() { r.startErr = r.start(ctx, host) })
	return r.startErr
}

func (r *envoyReceiver) start(ctx context.Context, host component.Host) error {
	options := []grpc.ServerOption{
		grpc.ForceServerCodecV2(wire.NewCodec()),
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connectionWindow),
		grpc.UnknownServiceHandler(r.refuseUnknown),
	}
	wrapped := make([]configgrpc.ToServerOption, 0, len(options))
	for _, option := range options {
		wrapped = append(wrapped, configgrpc.WithGrpcServerOption(option))
	}
	server, err := r.cfg.ServerConfig.ToServer(ctx, host.GetExtensions(), r.set.TelemetrySettings, wrapped...)
	if err != nil {
		return err
	}
	if err := r.register(server); err != nil {
		return err
	}
	listener, err := r.cfg.ServerConfig.NetAddr.Listen(ctx)
	if err != nil {
		return fmt.Errorf("cannot listen on 'endpoint': %w", err)
	}
	r.server, r.listener = server, listener
	r.set.Logger.Info("Serving Envoy's push APIs", zap.String("endpoint", listener.Addr().String()),
		zap.Bool("logs", r.nextLogs != nil), zap.Bool("metrics", r.nextMetrics != nil))
	r.serving.Go(func() {
		if err := server.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			r.report(componentstatus.NewFatalErrorEvent(err))
		}
	})
	return nil
}

// register serves the signals that are in a pipeline.
func (r *envoyReceiver) register(server *grpc.Server) error {
	if r.nextLogs != nil {
		server.RegisterService(r.description(logsService, newLogsHandler), nil)
	}
	if r.nextMetrics != nil {
		newHandler, err := newMetricsHandlers(r)
		if err != nil {
			return err
		}
		server.RegisterService(r.description(metricsService, newHandler), nil)
	}
	return nil
}

func (r *envoyReceiver) report(event *componentstatus.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, host := range r.hosts {
		componentstatus.ReportStatus(host, event)
	}
}

// Shutdown ends the streams: each takes what has arrived and delivers it, for as long as the context and
// 'shutdown_timeout' allow. It may be called without Start, and again.
func (r *envoyReceiver) Shutdown(ctx context.Context) error {
	r.stopOnce.Do(func() { r.stopErr = r.stop(ctx) })
	return r.stopErr
}

func (r *envoyReceiver) stop(ctx context.Context) error {
	shared.forget(r)
	close(r.stopping)
	defer r.telemetry.shutdown()
	defer r.giveUp()
	if r.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.ShutdownTimeout)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.server.GracefulStop()
		r.serving.Wait()
		r.readers.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	// The streams see this, count what they still hold, and tell their senders.
	r.giveUp()
	const moment = 500 * time.Millisecond
	select {
	case <-done:
		return nil
	case <-time.After(moment):
	}
	go r.server.Stop()
	return errStuck
}

var errStuck = errors.New("the pipeline did not return from a call in time, so streams were cut off")
