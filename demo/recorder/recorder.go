// SPDX-License-Identifier: Apache-2.0

// Package recorder takes an agent's place and keeps what Envoys send: spans and log records over OTLP, access log and
// metrics messages over Envoy's own services. Nothing is interpreted. The entry points are [Listen] and
// [Recorder.Snapshot].
package recorder

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/service/metrics/v3"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh"
)

// Recording is what arrived, in the order of arrival.
type Recording struct {
	Traces []ptrace.Traces
	Logs   []plog.Logs
	// AccessLogs and Metrics are the messages of each stream: only the first of a stream carries the identifier.
	AccessLogs [][]*accesslogv3.StreamAccessLogsMessage
	Metrics    [][]*metricsv3.StreamMetricsMessage
}

// Recorder is one running recorder. It is safe for concurrent use.
type Recorder struct {
	servers []*grpc.Server
	agent   mesh.AgentAddresses
	serving sync.WaitGroup
	mu      sync.Mutex
	got     Recording
}

// Listen records on the two addresses of an agent until [Recorder.Close]. Port 0 takes a free one: see
// [Recorder.Addresses]. It fails if one of the addresses is in use.
func Listen(agent mesh.AgentAddresses) (*Recorder, error) {
	r := &Recorder{}
	var err error
	r.agent.OTLP, err = r.serve(agent.OTLP, func(s *grpc.Server) {
		ptraceotlp.RegisterGRPCServer(s, &traceService{r: r})
		plogotlp.RegisterGRPCServer(s, &logService{r: r})
	})
	if err == nil {
		r.agent.ALS, err = r.serve(agent.ALS, func(s *grpc.Server) {
			accesslogv3.RegisterAccessLogServiceServer(s, accessLogService{r: r})
			metricsv3.RegisterMetricsServiceServer(s, metricsService{r: r})
		})
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Recorder) serve(address string, register func(*grpc.Server)) (listening string, err error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return "", fmt.Errorf("recorder: %w", err)
	}
	server := grpc.NewServer()
	register(server)
	r.servers = append(r.servers, server)
	r.serving.Go(func() { _ = server.Serve(listener) }) // ends when Close stops the server
	return listener.Addr().String(), nil
}

// Addresses returns the two addresses that it listens on.
func (r *Recorder) Addresses() mesh.AgentAddresses { return r.agent }

// Close ends every stream and waits for it.
func (r *Recorder) Close() {
	for _, s := range r.servers {
		s.Stop()
	}
	r.serving.Wait()
}

// Snapshot returns what arrived so far. The messages are shared: do not change them.
func (r *Recorder) Snapshot() Recording {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := Recording{Traces: slices.Clone(r.got.Traces), Logs: slices.Clone(r.got.Logs)}
	for _, stream := range r.got.AccessLogs {
		out.AccessLogs = append(out.AccessLogs, slices.Clone(stream))
	}
	for _, stream := range r.got.Metrics {
		out.Metrics = append(out.Metrics, slices.Clone(stream))
	}
	return out
}

type traceService struct {
	ptraceotlp.UnimplementedGRPCServer
	r *Recorder
}

func (s *traceService) Export(_ context.Context, request ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.r.got.Traces = append(s.r.got.Traces, request.Traces())
	return ptraceotlp.NewExportResponse(), nil
}

type logService struct {
	plogotlp.UnimplementedGRPCServer
	r *Recorder
}

func (s *logService) Export(_ context.Context, request plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.r.got.Logs = append(s.r.got.Logs, request.Logs())
	return plogotlp.NewExportResponse(), nil
}

type accessLogService struct{ r *Recorder }

func (s accessLogService) StreamAccessLogs(stream accesslogv3.AccessLogService_StreamAccessLogsServer) error {
	return record(s.r, &s.r.got.AccessLogs, stream.Recv)
}

type metricsService struct{ r *Recorder }

func (s metricsService) StreamMetrics(stream metricsv3.MetricsService_StreamMetricsServer) error {
	return record(s.r, &s.r.got.Metrics, stream.Recv)
}

// record appends one stream's messages to a list of their own until the stream ends.
func record[M any](r *Recorder, streams *[][]M, receive func() (M, error)) error {
	r.mu.Lock()
	index := len(*streams)
	*streams = append(*streams, nil)
	r.mu.Unlock()
	for {
		message, err := receive()
		if err != nil {
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		}
		r.mu.Lock()
		(*streams)[index] = append((*streams)[index], message)
		r.mu.Unlock()
	}
}
