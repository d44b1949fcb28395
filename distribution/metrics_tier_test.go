// SPDX-License-Identifier: Apache-2.0

package distribution_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
)

// sums is a hub that adds up requests, each point once: the same attributes, times and value are the same point.
type sums struct {
	pmetricotlp.UnimplementedGRPCServer
	mu     sync.Mutex
	points map[string]bool
	total  map[string]int64
	again  int
}

func (s *sums) Export(_ context.Context, request pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rm := range request.Metrics().ResourceMetrics().All() {
		for _, m := range rm.ScopeMetrics().At(0).Metrics().All() {
			for _, p := range m.Sum().DataPoints().All() {
				code, _ := p.Attributes().Get("response_code")
				key := fmt.Sprint(p.Attributes().AsRaw(), p.StartTimestamp(), p.Timestamp(), p.IntValue())
				if s.points[key] {
					s.again++
					continue
				}
				s.points[key] = true
				s.total[code.Str()] += p.IntValue()
			}
		}
	}
	return pmetricotlp.NewExportResponse(), nil
}

func (s *sums) sum() (all int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.total {
		all += n
	}
	return all
}

// deltasOf is what a node's agent sends: one request of each code.
func deltasOf(node, n int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	m := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("istio_requests_total")
	m.SetEmptySum().SetIsMonotonic(true)
	m.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	for code := range 20 {
		p := m.Sum().DataPoints().AppendEmpty()
		at := time.Unix(1_800_000_000+int64(n), int64(node))
		p.SetStartTimestamp(pcommon.NewTimestampFromTime(at.Add(-time.Second)))
		p.SetTimestamp(pcommon.NewTimestampFromTime(at))
		p.SetIntValue(1)
		p.Attributes().PutStr("response_code", strconv.Itoa(200+code))
		p.Attributes().PutStr("mesh.source.workload", "reviews")
	}
	return md
}

// TestMetricsTierLosesNothing kills the place that adds up the nodes of a cluster while agents push, who send again what was
// not acknowledged, and now and then what was.
func TestMetricsTierLosesNothing(t *testing.T) {
	hub := &sums{points: map[string]bool{}, total: map[string]int64{}}
	server := grpc.NewServer()
	pmetricotlp.RegisterGRPCServer(server, hub)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", alertsHost+":14317")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); assert.NoError(t, <-served) })

	authority := pkitest.New(t, "agents and tier")
	cert, key := authority.Issue(t, pkitest.Leaf{DNS: []string{"hub.example"}}).Write(t, t.TempDir())
	env := []string{
		"MESH_LISTEN_HOST=" + standaloneHost, "MESH_ADMIN_HOST=" + standaloneHost, "MESH_DEBUG_HOST=" + standaloneHost,
		"MESH_STORAGE_DIR=" + t.TempDir(), "MESH_HUB_INSECURE=true", "MESH_HUB_ENDPOINT=" + listener.Addr().String(),
		"MESH_TIER_INTERVAL=1s", "MESH_TIER_CERT_FILE=" + cert, "MESH_TIER_KEY_FILE=" + key,
		"MESH_TIER_CLIENT_CA_FILE=" + pkitest.WriteBundle(t, t.TempDir(), authority),
	}
	began := time.Now()
	run := func() *process {
		return launch(t, []string{"examples/metrics-tier.yaml", "yaml:{exporters: {otlp_grpc/hub: {compression: none}}}"}, env...)
	}
	p := run()
	conn, err := grpc.NewClient(standaloneHost+":14327", grpc.WithTransportCredentials(
		credentials.NewTLS(showing(t, authority, pkitest.Leaf{DNS: []string{"aks-westeurope.agents.otelcol-mesh"}}))))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, conn.Close()) })

	const nodes, each = 3, 200
	half := make(chan struct{})
	var agents sync.WaitGroup
	for node := range nodes {
		agents.Go(func() {
			for n := range each {
				if n == each/2 {
					half <- struct{}{}
				}
				times := 1
				if n%10 == 0 {
					times = 2 // Its answer was lost.
				}
				for range times {
					if err := pushUntilTaken(t.Context(), conn, deltasOf(node, n)); err != nil {
						t.Errorf("node %d: %v", node, err)
						return
					}
				}
			}
		})
	}
	<-half
	p.kill(t)
	p = run()
	<-half
	<-half
	agents.Wait()
	p.kill(t)
	p = run()
	eventually(t, p.stderr, func() bool { return hub.sum() >= 20*nodes*each })
	require.NoError(t, p.stop())
	for code, n := range hub.total {
		assert.EqualValues(t, nodes*each, n, code)
	}
	assert.Len(t, hub.total, 20)
	// One of each code an interval, and one more for each of the three processes.
	most := 20 * (int(time.Since(began)/time.Second) + 1 + 3)
	assert.LessOrEqual(t, len(hub.points), most, "they were added up")
	t.Logf("%d points for %d, %d came twice", len(hub.points), 20*nodes*each, hub.again)
}

func pushUntilTaken(ctx context.Context, conn *grpc.ClientConn, md pmetric.Metrics) error {
	client := pmetricotlp.NewGRPCClient(conn)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err := client.Export(attempt, pmetricotlp.NewExportRequestFromMetrics(md), grpc.WaitForReady(true))
		cancel()
		if err == nil {
			return nil
		}
	}
	return errors.New("it was never taken")
}

// TestMetricsTierExampleMerges prevents that the agents' part is merged into a place where nothing looks.
func TestMetricsTierExampleMerges(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), binary(t), "validate", "--config", "config/agent.yaml", "--config", "examples/agent-metrics-tier.yaml")
	cmd.Env = []string{"MESH_STORAGE_DIR=" + t.TempDir(), "MESH_CLUSTER=aks-westeurope", "MESH_NODE_NAME=aks-pool-0", "MESH_TIER_ENDPOINT=tier:14327"}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	merged := wiringOf(t, "examples/agent-metrics-tier.yaml")
	for name := range wiringOf(t, "config/agent.yaml").Service.Pipelines {
		_, sent := merged.Service.Pipelines[name]
		assert.Equal(t, name == "metrics" || name == "metrics/scrape", sent, name)
	}
}
