// SPDX-License-Identifier: Apache-2.0

package meshbalancingexporter

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/internal/replicas"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/meshbalancingexporter/internal/metadata"
)

// within bounds every wait; it matters only when something is broken.
const within = 30 * time.Second

// hub is a replica.
type hub struct {
	pmetricotlp.UnimplementedGRPCServer
	address string
	mu      sync.Mutex
	points  int
	fails   error
	// entered is told of each request, which then waits for the other one; both may be nil.
	entered, holds chan struct{}
}

func startHub(t *testing.T) *hub {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	h := &hub{address: listener.Addr().String()}
	server := grpc.NewServer()
	pmetricotlp.RegisterGRPCServer(server, h)
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() { server.Stop(); served.Wait() })
	return h
}

func (h *hub) Export(_ context.Context, r pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	if h.entered != nil {
		h.entered <- struct{}{}
		<-h.holds
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fails == nil {
		h.points += r.Metrics().DataPointCount()
	}
	return pmetricotlp.NewExportResponse(), h.fails
}

func (h *hub) failWith(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fails = err
}

func (h *hub) got() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.points
}

// manual is a source that the test tells what to say.
type manual struct{ told func(map[string]bool) }

func (m *manual) Start(told func(map[string]bool)) error { m.told = told; return nil }
func (*manual) Stop()                                    {}

func newTest(t *testing.T) (*balancer, *manual, *componenttest.Telemetry) {
	t.Helper()
	c := createDefaultConfig().(*Config)
	c.Resolver.Static = configoptional.Some(replicas.Static{Hostnames: []string{"127.0.0.1:1"}})
	c.Protocol.OTLP.ClientConfig.TLS.Insecure = true
	tel := componenttest.NewTelemetry()
	b, err := newBalancer(exporter.Settings{ID: exportertest.NewNopSettings(metadata.Type).ID, TelemetrySettings: tel.NewTelemetrySettings()}, c)
	require.NoError(t, err)
	m := &manual{}
	b.source = m
	require.NoError(t, b.start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() {
		require.NoError(t, b.shutdown(context.Background()))
		require.NoError(t, tel.Shutdown(context.Background()))
	})
	return b, m, tel
}

// calls makes a point about a call of each of n services.
func calls(n int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	list := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetEmptyGauge().DataPoints()
	for i := range n {
		list.AppendEmpty().Attributes().PutStr(calledService, fmt.Sprint("service-", i))
	}
	return md
}

// counted returns the points by outcome.
func counted(t *testing.T, tel *componenttest.Telemetry) map[string]int64 {
	t.Helper()
	sums := map[string]int64{}
	m, err := tel.GetMetric("otelcol_exporter_mesh_balancing_points")
	require.NoError(t, err)
	for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
		value, _ := p.Attributes.Value("outcome")
		sums[value.AsString()] += p.Value
	}
	return sums
}

// TestAnswers: a request is answered when all replicas have their part. What may be tried again comes before what is final.
func TestAnswers(t *testing.T) {
	one, two := startHub(t), startHub(t)
	b, m, tel := newTest(t)
	require.ErrorIs(t, b.consume(t.Context(), calls(1)), errNobody)
	assert.False(t, consumererror.IsPermanent(errNobody))
	m.told(map[string]bool{one.address: true, two.address: true, "127.0.0.1:1": false})
	require.NoError(t, b.consume(t.Context(), calls(100)))
	assert.Equal(t, 100, one.got()+two.got())
	assert.Positive(t, one.got())
	assert.Positive(t, two.got())

	busy, bad := status.Error(codes.Unavailable, "full"), status.Error(codes.InvalidArgument, "bad")
	two.failWith(busy)
	err := b.consume(t.Context(), calls(100))
	require.ErrorContains(t, err, "full")
	assert.False(t, consumererror.IsPermanent(err))
	two.failWith(bad)
	err = b.consume(t.Context(), calls(100))
	require.ErrorContains(t, err, "bad")
	assert.True(t, consumererror.IsPermanent(err))
	one.failWith(busy)
	err = b.consume(t.Context(), calls(100))
	require.ErrorContains(t, err, "full")
	assert.False(t, consumererror.IsPermanent(err), "the one that is full has its part again later")
	sums := counted(t, tel)
	assert.EqualValues(t, 400, sums["taken"]+sums["again"]+sums["refused"])
	assert.EqualValues(t, one.got()+two.got(), sums["taken"])
	assert.Positive(t, sums["refused"])
	assert.Positive(t, sums["again"])
}

// TestReplicasComeAndGo: the keys of one that leaves go to others, and a request that it has is not broken off.
func TestReplicasComeAndGo(t *testing.T) {
	one, two := startHub(t), startHub(t)
	two.entered, two.holds = make(chan struct{}), make(chan struct{})
	b, m, _ := newTest(t)
	m.told(map[string]bool{one.address: true, two.address: true})
	sent := make(chan error, 1)
	go func() { sent <- b.consume(context.Background(), calls(100)) }()
	<-two.entered
	m.told(map[string]bool{one.address: true, two.address: false})
	require.NoError(t, b.consume(t.Context(), calls(100)), "nothing of it is for the one that left")
	close(two.holds)
	select {
	case err := <-sent:
		require.NoError(t, err)
	case <-time.After(within):
		require.Fail(t, "the request hangs")
	}
	assert.Equal(t, 200, one.got()+two.got())
	gone := &replica{b: b, endpoint: "gone", gone: true}
	require.ErrorContains(t, gone.send(t.Context(), &part{md: calls(1)}), "not ready any more")
}
