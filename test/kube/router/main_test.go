// SPDX-License-Identifier: Apache-2.0

// Package router runs the built distribution's router with its shipped configuration before stand-ins for the replicas of the
// hub, which note what they get: that one trace and one series stay at one replica, that the inventories reach all of them,
// that nothing is lost when replicas come and go, and that the rights of distribution/rbac/router.yaml are those it needs.
package router

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "go.opentelemetry.io/collector/config/configgrpc" // the compressions that collectors speak
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/otelcol-mesh/otelcol-mesh/demo/supervise"
	"github.com/otelcol-mesh/otelcol-mesh/internal/inventorylog"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
	"github.com/otelcol-mesh/otelcol-mesh/test/collectortest"
)

// within bounds every wait; it matters only when something is broken.
const within = 60 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// process is a router.
type process struct {
	host, log string
	process   *supervise.Process
}

func start(t *testing.T, host string, files []string, env ...string) *process {
	t.Helper()
	dir := t.TempDir()
	p := &process{host: host, log: filepath.Join(dir, "router.log")}
	args := []string{"--config", "../../../distribution/config/router.yaml"}
	for _, file := range files {
		args = append(args, "--config", file)
	}
	var err error
	p.process, err = supervise.Start(supervise.Spec{
		Name: "router", Path: collectortest.Binary(t), Args: args, LogFile: p.log, Log: slog.New(slog.DiscardHandler),
		Env: append(collectortest.Environment([]string{"PATH=" + os.Getenv("PATH")}, host, "",
			"MESH_HUB_INSECURE=true", "MESH_HUB_UNVERIFIED=accept"), env...),
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		assert.NoError(t, p.process.Stop(ctx))
		if t.Failed() {
			t.Log(collectortest.Tail(p.log, 12, nil))
		}
	})
	require.Eventually(t, func() bool { return p.healthy() }, within, 50*time.Millisecond, "the router does not become ready")
	return p
}

func (p *process) healthy() bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return collectortest.Get(ctx, p.host, "13133", "/", nil) == nil
}

// dial connects as an agent does.
func (p *process) dial(t *testing.T) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+net.JoinHostPort(p.host, "14317"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// replica stands in for a replica of the hub: it notes what it got.
type replica struct {
	host   string
	server *grpc.Server
	served sync.WaitGroup

	mu        sync.Mutex
	spans     map[string]string       // name by trace and span id
	points    map[string]int          // by series
	edges     map[edge]map[string]int // points about calls, by reporter
	records   map[string]int          // by text
	inventory map[string][]uint64
	joined    map[string]time.Time // when the first inventory of a cluster came
	// fails is what it answers.
	fails error
}

// edge is who called whom, "" for a service that is not known.
type edge struct{ caller, called string }

func startReplica(t *testing.T, host string, options ...grpc.ServerOption) *replica {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(host, "14317"))
	require.NoError(t, err)
	r := &replica{
		host: host, server: grpc.NewServer(options...), spans: map[string]string{}, points: map[string]int{}, edges: map[edge]map[string]int{}, records: map[string]int{},
		inventory: map[string][]uint64{}, joined: map[string]time.Time{},
	}
	ptraceotlp.RegisterGRPCServer(r.server, &traceServer{r: r})
	pmetricotlp.RegisterGRPCServer(r.server, &metricServer{r: r})
	plogotlp.RegisterGRPCServer(r.server, &logServer{r: r})
	r.served.Go(func() { _ = r.server.Serve(listener) })
	t.Cleanup(r.stop)
	return r
}

// stop kills the replica: what is under way gets no answer.
func (r *replica) stop() {
	r.server.Stop()
	r.served.Wait()
}

func (r *replica) failWith(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fails = err
}

type traceServer struct {
	ptraceotlp.UnimplementedGRPCServer
	r *replica
}

func (s *traceServer) Export(_ context.Context, request ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if s.r.fails != nil {
		return ptraceotlp.NewExportResponse(), s.r.fails
	}
	for _, rs := range request.Traces().ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				s.r.spans[span.TraceID().String()+span.SpanID().String()] = span.TraceID().String()
			}
		}
	}
	return ptraceotlp.NewExportResponse(), nil
}

type metricServer struct {
	pmetricotlp.UnimplementedGRPCServer
	r *replica
}

func (s *metricServer) Export(_ context.Context, request pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if s.r.fails != nil {
		return pmetricotlp.NewExportResponse(), s.r.fails
	}
	for _, rm := range request.Metrics().ResourceMetrics().All() {
		name := "none"
		if service, ok := rm.Resource().Attributes().Get("service.name"); ok {
			name = service.Str()
		}
		for _, sm := range rm.ScopeMetrics().All() {
			for _, metric := range sm.Metrics().All() {
				if metric.Type() == pmetric.MetricTypeSum {
					s.r.calls(metric.Sum().DataPoints())
					continue
				}
				s.r.points[name+"/"+metric.Name()] += metric.Gauge().DataPoints().Len()
			}
		}
	}
	return pmetricotlp.NewExportResponse(), nil
}

// calls notes points about calls.
func (r *replica) calls(points pmetric.NumberDataPointSlice) {
	text := func(point pmetric.NumberDataPoint, key string) string {
		if value, ok := point.Attributes().Get(key); ok {
			return value.Str()
		}
		return ""
	}
	for _, point := range points.All() {
		e := edge{text(point, "mesh.source.workload"), text(point, "mesh.destination.service")}
		if r.edges[e] == nil {
			r.edges[e] = map[string]int{}
		}
		r.edges[e][text(point, "reporter")]++
	}
}

type logServer struct {
	plogotlp.UnimplementedGRPCServer
	r *replica
}

func (s *logServer) Export(_ context.Context, request plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if s.r.fails != nil {
		return plogotlp.NewExportResponse(), s.r.fails
	}
	for _, rl := range request.Logs().ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, record := range sl.LogRecords().All() {
				if sl.Scope().Name() != inventory.ScopeName {
					s.r.records[record.Body().AsString()]++
					continue
				}
				m, err := inventorylog.FromLogRecord(record, rl.Resource().Attributes())
				if err != nil {
					return plogotlp.NewExportResponse(), fmt.Errorf("an inventory was changed on its way: %w", err)
				}
				if s.r.joined[m.Cluster].IsZero() {
					s.r.joined[m.Cluster] = time.Now()
				}
				s.r.inventory[m.Cluster] = append(s.r.inventory[m.Cluster], m.Sequence)
			}
		}
	}
	return plogotlp.NewExportResponse(), nil
}
