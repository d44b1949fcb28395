// SPDX-License-Identifier: Apache-2.0

package mesh

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/service/metrics/v3"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
)

// sink is one cluster's agent: it records what the Envoys send.
type sink struct {
	mu      sync.Mutex
	spans   []span
	logs    []plog.Logs
	access  []*accesslogv3.StreamAccessLogsMessage
	metrics []*metricsv3.StreamMetricsMessage
}

// span is one recorded span with what a test asks of it.
type span struct {
	service           string
	trace, id, parent string
	kind              ptrace.SpanKind
	start             time.Time
	attributes        map[string]string
}

// startSinks runs a sink for each cluster on free ports, so that only the mesh itself needs the machine for itself.
func startSinks(t *testing.T) (map[string]*sink, map[string]AgentAddresses) {
	sinks, agents := map[string]*sink{}, map[string]AgentAddresses{}
	for cluster := range DefaultAgents() {
		s := &sink{}
		sinks[cluster] = s
		agents[cluster] = AgentAddresses{
			OTLP: serveGRPC(t, func(server *grpc.Server) {
				ptraceotlp.RegisterGRPCServer(server, &traceService{sink: s})
				plogotlp.RegisterGRPCServer(server, &logService{sink: s})
			}),
			ALS: serveGRPC(t, func(server *grpc.Server) {
				accesslogv3.RegisterAccessLogServiceServer(server, accessService{sink: s})
				metricsv3.RegisterMetricsServiceServer(server, metricsService{sink: s})
			}),
		}
	}
	return sinks, agents
}

func serveGRPC(t *testing.T, register func(*grpc.Server)) (address string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	register(server)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		require.NoError(t, <-done)
	})
	return listener.Addr().String()
}

type traceService struct {
	ptraceotlp.UnimplementedGRPCServer
	sink *sink
}

func (s *traceService) Export(_ context.Context, request ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	for _, resource := range request.Traces().ResourceSpans().All() {
		service, _ := resource.Resource().Attributes().Get("service.name")
		for _, scope := range resource.ScopeSpans().All() {
			for _, one := range scope.Spans().All() {
				attributes := map[string]string{}
				for k, v := range one.Attributes().All() {
					attributes[k] = v.AsString()
				}
				s.sink.spans = append(s.sink.spans, span{
					service: service.AsString(), kind: one.Kind(), start: one.StartTimestamp().AsTime(), attributes: attributes,
					trace: one.TraceID().String(), id: one.SpanID().String(), parent: one.ParentSpanID().String(),
				})
			}
		}
	}
	return ptraceotlp.NewExportResponse(), nil
}

type logService struct {
	plogotlp.UnimplementedGRPCServer
	sink *sink
}

func (s *logService) Export(_ context.Context, request plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	s.sink.logs = append(s.sink.logs, request.Logs())
	return plogotlp.NewExportResponse(), nil
}

type accessService struct{ sink *sink }

func (s accessService) StreamAccessLogs(stream accesslogv3.AccessLogService_StreamAccessLogsServer) error {
	for {
		message, err := stream.Recv()
		if err != nil {
			return err
		}
		s.sink.mu.Lock()
		s.sink.access = append(s.sink.access, message)
		s.sink.mu.Unlock()
	}
}

type metricsService struct{ sink *sink }

func (s metricsService) StreamMetrics(stream metricsv3.MetricsService_StreamMetricsServer) error {
	for {
		message, err := stream.Recv()
		if err != nil {
			return err
		}
		s.sink.mu.Lock()
		s.sink.metrics = append(s.sink.metrics, message)
		s.sink.mu.Unlock()
	}
}

func (s *sink) allSpans() []span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.spans)
}

func (s *sink) accessLogs() []*accesslogv3.StreamAccessLogsMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.access)
}

func (s *sink) otlpLogs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.logs)
}

// counter returns the highest value of a counter with a label.
func (s *sink) counter(name, label, value string) (highest float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, message := range s.metrics {
		for _, family := range message.GetEnvoyMetrics() {
			if family.GetName() != name {
				continue
			}
			for _, metric := range family.GetMetric() {
				for _, pair := range metric.GetLabel() {
					if pair.GetName() == label && pair.GetValue() == value {
						highest = max(highest, metric.GetCounter().GetValue())
					}
				}
			}
		}
	}
	return highest
}

// waitSpan waits for a span that matches.
func (s *sink) waitSpan(t *testing.T, match func(span) bool) span {
	t.Helper()
	var found span
	require.Eventually(t, func() bool {
		spans := s.allSpans()
		i := slices.IndexFunc(spans, match)
		if i >= 0 {
			found = spans[i]
		}
		return i >= 0
	}, soon, tick)
	return found
}
