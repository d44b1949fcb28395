// SPDX-License-Identifier: Apache-2.0

package mesh_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/demo/recorder"
	"github.com/otelcol-mesh/otelcol-mesh/internal/envoybin"
)

const (
	west, north = "aks-westeurope", "aks-northeurope"
	// soon bounds each wait: telemetry is flushed every second or five, outlier detection acts within four.
	soon = 20 * time.Second
	tick = 50 * time.Millisecond
)

// TestTwoRegions is the whole life of a mesh with real Envoys: start, failover, heal, crash, stop, start again.
func TestTwoRegions(t *testing.T) {
	envoy, err := envoybin.Path(t.Context())
	require.NoError(t, err)
	recorders, agents := startRecorders(t)
	m, err := mesh.New(mesh.Options{Envoy: envoy, Dir: t.TempDir(), Agents: agents, Wait: true})
	require.NoError(t, err)
	start(t, m)
	stopLoad := load(t, m)

	requireEveryRole(t, recorders)
	requireTruthfulEndpoints(t, recorders)

	require.NoError(t, m.Fail(west, "reviews"))
	requireTraceAcrossRegions(t, recorders)
	requireGatewayEvidence(t, recorders[north])

	require.NoError(t, m.Heal(timeout(t, soon), west, "reviews"))
	requireHome(t, recorders[west])
	requireScrape(t)

	require.NoError(t, m.KillEnvoy("127.1.0.31"))
	require.Eventually(t, func() bool { return m.Restarts()["reviews-v1-6d5f7c9b8-abcde"] == 1 }, soon, tick)
	require.NoError(t, m.Ready(timeout(t, soon)))

	summary := stopLoad()
	require.Greater(t, summary.Sent, 50)
	require.Zero(t, summary.ByStatus[0], "no request may be without an answer")
	// A pod that is killed takes its requests in flight with it; the ingress gateway's retry repairs most.
	require.GreaterOrEqual(t, float64(summary.OK), 0.98*float64(summary.Sent), "%+v", summary)

	stop(t, m)
	start(t, m)
	stop(t, m)
}

func timeout(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func start(t *testing.T, m *mesh.Mesh) {
	require.NoError(t, m.Start(timeout(t, time.Minute)))
	t.Cleanup(func() { require.NoError(t, m.Stop(context.Background())) })
	require.Error(t, m.Start(t.Context()), "a running mesh does not start again")
	require.NoError(t, m.Ready(timeout(t, soon)))
	require.Len(t, m.PIDs(), 16)
}

func stop(t *testing.T, m *mesh.Mesh) {
	pids := m.PIDs()
	require.NoError(t, m.Stop(timeout(t, soon)))
	for pod, pid := range pids {
		require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH, "%s still runs", pod)
	}
	require.Empty(t, m.PIDs())
}

// load sends requests until the returned function is called.
func load(t *testing.T, m *mesh.Mesh) (stop func() mesh.LoadSummary) {
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan mesh.LoadSummary, 1)
	go func() {
		summary, err := m.Load(ctx, 20, nil)
		if err != nil {
			t.Error(err)
		}
		result <- summary
	}()
	t.Cleanup(cancel)
	return func() mesh.LoadSummary {
		cancel()
		return <-result
	}
}

// requireEveryRole waits for a span of every kind of proxy, in both clusters, with Istio's tags.
func requireEveryRole(t *testing.T, recorders map[string]*recorder.Recorder) {
	type role struct {
		service string
		kind    ptrace.SpanKind
	}
	roles := []role{
		{"istio-ingressgateway.istio-system", ptrace.SpanKindServer},
		{"istio-ingressgateway.istio-system", ptrace.SpanKindClient},
		{"productpage.bookinfo", ptrace.SpanKindServer},
		{"productpage.bookinfo", ptrace.SpanKindClient},
		{"details.bookinfo", ptrace.SpanKindServer},
		{"reviews.bookinfo", ptrace.SpanKindServer},
		{"reviews.bookinfo", ptrace.SpanKindClient},
		{"ratings.bookinfo", ptrace.SpanKindServer},
	}
	for cluster, r := range recorders {
		for _, want := range roles {
			found := waitSpan(t, r, func(one span) bool { return one.service == want.service && one.Kind() == want.kind })
			require.Equal(t, cluster, found.attribute("istio.cluster_id"))
			require.Equal(t, "mesh1", found.attribute("istio.mesh_id"))
			require.Equal(t, "proxy", found.attribute("component"))
		}
	}
}

// requireTruthfulEndpoints compares the endpoint metadata that Envoy stamps with the address it stamps.
func requireTruthfulEndpoints(t *testing.T, recorders map[string]*recorder.Recorder) {
	for cluster, r := range recorders {
		for one := range spans(r.Snapshot()) {
			workload := one.attribute("mesh.upstream.workload")
			if one.Kind() != ptrace.SpanKindClient || workload == "" {
				continue
			}
			host, _, _ := strings.Cut(one.attribute("mesh.upstream.host"), ":")
			truth, ok := mesh.TruthOf(host)
			require.True(t, ok, "%v", one.Attributes().AsRaw())
			e := truth.End
			require.Equal(t, strings.Join([]string{e.Workload, e.Namespace, e.Service, e.Version, e.Cluster}, ";"), workload)
			require.Equal(t, cluster, e.Cluster, "before the failure all calls stay in the region")
		}
	}
}

// requireTraceAcrossRegions waits for a call from westeurope's productpage that northeurope's reviews answered, in one
// trace, through the east/west gateway.
func requireTraceAcrossRegions(t *testing.T, recorders map[string]*recorder.Recorder) {
	out := waitSpan(t, recorders[west], func(one span) bool {
		return one.service == "productpage.bookinfo" && one.attribute("mesh.upstream.workload") == ";;;;"+north &&
			one.attribute("http.status_code") == "200"
	})
	require.Equal(t, "127.2.0.15:15443", out.attribute("mesh.upstream.host"))
	root := waitSpan(t, recorders[west], func(one span) bool { return one.TraceID() == out.TraceID() && one.ParentSpanID().IsEmpty() })
	require.Equal(t, "istio-ingressgateway.istio-system", root.service)
	in := waitSpan(t, recorders[north], func(one span) bool { return one.ParentSpanID() == out.SpanID() && one.Kind() == ptrace.SpanKindServer })
	require.Equal(t, out.TraceID(), in.TraceID())
	require.Equal(t, "reviews.bookinfo", in.service)
	require.Equal(t, north, in.attribute("istio.cluster_id"))
	require.Equal(t, "127.2.0.15", in.attribute("peer.address"), "the callee sees the gateway, not its caller")
}

// requireGatewayEvidence waits for what the east/west gateway tells of the crossing: TCP access log and counters.
func requireGatewayEvidence(t *testing.T, r *recorder.Recorder) {
	require.Eventually(t, func() bool {
		for _, message := range accessLogs(r.Snapshot()) {
			for _, entry := range message.GetTcpLogs().GetLogEntry() {
				common := entry.GetCommonProperties()
				if common.GetTlsProperties().GetTlsSniHostname() == "outbound_.9080_._.reviews.bookinfo.svc.cluster.local" &&
					common.GetDownstreamRemoteAddress().GetSocketAddress().GetAddress() == "127.1.0.21" &&
					entry.GetConnectionProperties().GetReceivedBytes() > 0 {
					return true
				}
			}
		}
		return false
	}, soon, tick, "no TCP access log of the crossing")
	for _, name := range []string{"istio_tcp_connections_opened_total", "istio_tcp_connections_closed_total", "istio_tcp_sent_bytes_total", "istio_tcp_received_bytes_total"} {
		require.Eventually(t, func() bool { return counter(r.Snapshot(), name, "destination_service_name", "reviews") > 0 }, soon, tick, name)
	}
	require.Eventually(t, func() bool {
		return counter(r.Snapshot(), "istio_requests_total", "destination_service_name", "productpage") > 0
	}, soon, tick)
	require.Eventually(t, func() bool { return len(r.Snapshot().Logs) > 0 }, soon, tick, "northeurope's sidecars log over OTLP")
}

// requireHome waits for a call to reviews that begins after now and stays in the region.
func requireHome(t *testing.T, r *recorder.Recorder) {
	healed := time.Now()
	waitSpan(t, r, func(one span) bool {
		return one.StartTimestamp().AsTime().After(healed) && one.service == "productpage.bookinfo" && one.Kind() == ptrace.SpanKindClient &&
			strings.HasPrefix(one.attribute("mesh.upstream.workload"), "reviews-v") && one.attribute("http.status_code") == "200"
	})
	require.NotEmpty(t, accessLogs(r.Snapshot()), "westeurope's sidecars log over gRPC")
}

// requireScrape reads sidecars' Prometheus pages as an agent would, until they say what the load did.
func requireScrape(t *testing.T) {
	for _, target := range mesh.ScrapeTargets(west) {
		requireOnPage(t, target, `istio_requests_total{reporter="`)
	}
	requireOnPage(t, "127.1.0.21:15090", `destination_workload="reviews-v1"`)
	// Through the gateway only the cluster is known.
	requireOnPage(t, "127.1.0.21:15090", `destination_workload="unknown"`)
	requireOnPage(t, "127.1.0.21:15090", `destination_cluster="`+north+`"`)
	requireOnPage(t, "127.1.0.21:15090", "istio_request_duration_milliseconds_bucket{")
	// The callee learns its caller from the peer headers.
	requireOnPage(t, "127.2.0.31:15090", `source_cluster="`+west+`"`)
}

func requireOnPage(t *testing.T, target, text string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	require.Eventually(t, func() bool {
		response, err := client.Get("http://" + target + "/stats/prometheus")
		if err != nil {
			return false
		}
		body, err := io.ReadAll(response.Body)
		return err == nil && response.Body.Close() == nil && strings.Contains(string(body), text)
	}, soon, tick, "%s has no %s", target, text)
}
