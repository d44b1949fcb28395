// SPDX-License-Identifier: Apache-2.0

package sizing

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// ticks is how many parts of a second the kernel counts CPU time in.
const ticks = 100

// cpu is the CPU time of the process so far.
func (c *collector) cpu(t *testing.T) time.Duration {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.process.PID()))
	require.NoError(t, err)
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+2:]))
	var sum int
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		require.NoError(t, err)
		sum += n
	}
	return time.Duration(sum) * time.Second / ticks
}

// memory is what the process takes now, in MiB.
func (c *collector) memory(t *testing.T) int {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.process.PID()))
	require.NoError(t, err)
	for line := range strings.Lines(string(raw)) {
		if fields := strings.Fields(line); fields[0] == "VmRSS:" {
			n, err := strconv.Atoi(fields[1])
			require.NoError(t, err)
			return n / 1024
		}
	}
	return 0
}

// stage is everything that runs.
type stage struct {
	t                            *testing.T
	samples                      *samples
	endpoint                     *ingestiontest.Server
	agents                       map[string]*collector
	router                       *collector
	hubs                         []*collector
	toRouter, toHubs, toInsights []*relay
	// next is the first request of each signal that was not sent, so that counters rise.
	next map[string]int
	// interval is how often the agents hand over what metric points added up to.
	interval time.Duration
}

const noScrapes = "yaml:receivers: {prometheus: {config: {scrape_configs: [{job_name: none, static_configs: []}]}}}"

func newStage(t *testing.T, interval time.Duration) *stage {
	t.Helper()
	s := &stage{t: t, samples: newSamples(t), agents: map[string]*collector{}, next: map[string]int{}, interval: interval}
	server, err := ingestiontest.Listen("127.12.3.2:8080", ingestiontest.Config{Light: true, MaxRequests: 1})
	require.NoError(t, err)
	s.endpoint = server
	t.Cleanup(func() {
		server.DropConnections()
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		require.NoError(t, server.Shutdown(ctx))
	})
	s.toInsights = []*relay{newRelay(t, "127.12.3.3:8080", server.Addr())}
	connection := strings.Replace(server.ConnectionString(), server.Addr(), "127.12.3.3:8080", 1)
	root := pkitest.New(t, "sizing")
	const name = "otelcol-mesh-hub.otelcol-mesh.svc"
	tlsOf := func(prefix, dir string, keys ...string) (env []string) {
		for i, file := range []string{"/tls.crt", "/tls.key", "/ca.crt"} {
			env = append(env, prefix+keys[i]+"="+dir+file)
		}
		return env
	}
	server3 := []string{"SERVER_CERT_FILE", "SERVER_KEY_FILE", "CLIENT_CA_FILE"}
	client3 := []string{"CERT_FILE", "KEY_FILE", "CA_FILE"}
	hub := certificate(t, root, "", name)
	var replicas []string
	for i := range 2 {
		host := fmt.Sprintf("127.12.3.%d", 20+i)
		s.hubs = append(s.hubs, start(t, fmt.Sprintf("hub-%d", i), host,
			[]string{"config/hub.yaml", "examples/hub-mtls.yaml", "examples/hub-routed.yaml", "examples/static-topology.yaml"},
			append(tlsOf("MESH_HUB_", hub, server3...), "APPLICATION_INSIGHTS_CONNECTION_STRING="+connection, "GOMEMLIMIT=1280MiB")...))
		from := fmt.Sprintf("127.12.3.%d:14317", 30+i)
		s.toHubs = append(s.toHubs, newRelay(t, from, host+":14317"))
		replicas = append(replicas, from)
	}
	router := certificate(t, root, "spiffe://otelcol-mesh/router")
	s.router = start(t, "router", "127.12.3.11", []string{"config/router.yaml", "examples/router-static.yaml", "examples/hub-mtls.yaml"},
		append(append(tlsOf("MESH_HUB_", router, server3...), tlsOf("MESH_HUB_", router, client3...)...),
			"MESH_HUB_SERVER_NAME="+name, "MESH_HUB_REPLICAS=["+strings.Join(replicas, ",")+"]", "GOMEMLIMIT=640MiB")...)
	s.toRouter = []*relay{newRelay(t, "127.12.3.10:14317", "127.12.3.11:14317")}
	for i, cluster := range []string{west, north} {
		own := certificate(t, root, "spiffe://otelcol-mesh/cluster/"+cluster+"/agent")
		s.agents[cluster] = start(t, "agent-"+cluster, fmt.Sprintf("127.12.3.%d", 40+i),
			[]string{"config/agent.yaml", "examples/static-topology.yaml", noScrapes},
			append(tlsOf("MESH_HUB_", own, client3...), "MESH_CLUSTER="+cluster, "MESH_METRICS_INTERVAL="+interval.String(), "MESH_HUB_ENDPOINT=127.12.3.10:14317", "GOMEMLIMIT=320MiB")...)
	}
	return s
}

// warmUp sends the first round of each proxy's series: the agents only remember it.
func (s *stage) warmUp() {
	for cluster, agent := range s.agents {
		conn, err := grpc.NewClient("passthrough:///"+net.JoinHostPort(agent.host, "4317"), grpc.WithTransportCredentials(insecure.NewCredentials()))
		require.NoError(s.t, err)
		for n := range proxies {
			require.NoError(s.t, s.export(s.t.Context(), conn, "metric points", cluster, n))
		}
		require.NoError(s.t, conn.Close())
	}
}

// send makes load of one signal until the time is over, and returns how many items the agents took.
func (s *stage) send(signal string, perSecond int, d time.Duration) int64 {
	t := s.t
	var sent atomic.Int64
	first, requests := proxies+s.next[signal], int(d.Seconds()*float64(perSecond)/perRequest/float64(len(s.agents)))
	s.next[signal] += requests
	var running sync.WaitGroup
	for cluster, agent := range s.agents {
		conn, err := grpc.NewClient("passthrough:///"+net.JoinHostPort(agent.host, "4317"), grpc.WithTransportCredentials(insecure.NewCredentials()))
		require.NoError(t, err)
		running.Go(func() {
			defer conn.Close()
			began := time.Now()
			for n := range requests {
				due := began.Add(d * time.Duration(n) / time.Duration(requests))
				<-time.After(time.Until(due))
				for s.export(t.Context(), conn, signal, cluster, first+n) != nil && t.Context().Err() == nil {
					<-time.After(200 * time.Millisecond)
				}
				sent.Add(perRequest)
			}
		})
	}
	running.Wait()
	return sent.Load()
}

func (s *stage) export(ctx context.Context, conn *grpc.ClientConn, signal, cluster string, n int) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var err error
	switch signal {
	case "spans":
		_, err = ptraceotlp.NewGRPCClient(conn).Export(ctx, ptraceotlp.NewExportRequestFromTraces(s.samples.traces(cluster, n)))
	case "log records":
		_, err = plogotlp.NewGRPCClient(conn).Export(ctx, plogotlp.NewExportRequestFromLogs(s.samples.logs(cluster, n)))
	case "metric points":
		_, err = pmetricotlp.NewGRPCClient(conn).Export(ctx, pmetricotlp.NewExportRequestFromMetrics(s.samples.metrics(cluster, n)))
	}
	return err
}

// settle waits until the endpoint has more than so many items, and then until nothing has arrived for longer than the
// agents keep anything.
func (s *stage) settle(more uint64) {
	last, since := more, time.Now()
	require.Eventually(s.t, func() bool {
		if now := s.endpoint.Summary().Accepted; now != last {
			last, since = now, time.Now()
		}
		return last > more && time.Since(since) > s.interval+2*time.Second
	}, 5*time.Minute, 200*time.Millisecond)
}

func sum(relays []*relay) (n int64) {
	for _, r := range relays {
		n += r.sent.Load()
	}
	return n
}

// TestSizing prints the table of docs/sizing.md. OTELCOL_MESH_SIZING is how long each signal is measured, and
// OTELCOL_MESH_SIZING_RATE how many items a second are sent. Without the former it only shows that the measuring works.
func TestSizing(t *testing.T) {
	d, rate, interval, long := 2*time.Second, 2000, time.Second, false
	if text := os.Getenv("OTELCOL_MESH_SIZING"); text != "" {
		var err error
		d, err = time.ParseDuration(text)
		require.NoError(t, err)
		// A quarter of the shipped one, so that what is measured has several hand-overs.
		interval, long = 15*time.Second, true
	}
	if text := os.Getenv("OTELCOL_MESH_SIZING_RATE"); text != "" {
		var err error
		rate, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	s := newStage(t, interval)
	all := append([]*collector{s.agents[west], s.agents[north], s.router}, s.hubs...)
	s.warmUp()
	idle := s.idle(all, min(d, 10*time.Second))
	for _, signal := range []string{"spans", "log records", "metric points"} {
		s.measure(signal, rate, d, all, idle)
	}
	if long {
		s.outage(rate, d)
	}
}

// idle is the CPU time that each collector takes without load, a second.
func (s *stage) idle(all []*collector, d time.Duration) map[*collector]float64 {
	before := map[*collector]time.Duration{}
	for _, c := range all {
		before[c] = c.cpu(s.t)
	}
	<-time.After(d)
	out := map[*collector]float64{}
	for _, c := range all {
		out[c] = (c.cpu(s.t) - before[c]).Seconds() / d.Seconds()
		s.t.Logf("%s idle: %.1f %% of a core, %d MiB", c.role, out[c]*100, c.memory(s.t))
	}
	return out
}

func (s *stage) measure(signal string, rate int, d time.Duration, all []*collector, idle map[*collector]float64) {
	t := s.t
	cpu, peak := map[*collector]time.Duration{}, map[*collector]int{}
	for _, c := range all {
		cpu[c] = c.cpu(t)
	}
	wire := [3]int64{sum(s.toRouter), sum(s.toHubs), sum(s.toInsights)}
	arrived, began := s.endpoint.Summary().Accepted, time.Now()
	ctx, stop := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() {
		for ctx.Err() == nil {
			for _, c := range all {
				peak[c] = max(peak[c], c.memory(t))
			}
			<-time.After(200 * time.Millisecond)
		}
	})
	items := s.send(signal, rate, d)
	took := time.Since(began)
	s.settle(arrived)
	stop()
	watching.Wait()
	elapsed := time.Since(began).Seconds()
	arrived = s.endpoint.Summary().Accepted - arrived
	t.Logf("%s: %d sent in %s (%.0f/s), %d arrived", signal, items, took.Round(time.Second), float64(items)/took.Seconds(), arrived)
	used := func(c *collector) float64 { return (c.cpu(t) - cpu[c]).Seconds() - idle[c]*elapsed }
	row := func(role string, seconds float64, memory int) {
		t.Logf("| %s | %s | %.1f µs | %.0f /s/core | %d MiB |", role, signal, seconds*1e6/float64(items), float64(items)/seconds, memory)
	}
	row("agent", used(s.agents[west])+used(s.agents[north]), max(peak[s.agents[west]], peak[s.agents[north]]))
	row("router", used(s.router), peak[s.router])
	row("hub", used(s.hubs[0])+used(s.hubs[1]), max(peak[s.hubs[0]], peak[s.hubs[1]]))
	t.Logf("%s, bytes each: agent to router %d, router to hub %d, hub to Azure Monitor %d", signal,
		(sum(s.toRouter)-wire[0])/items, (sum(s.toHubs)-wire[1])/items, (sum(s.toInsights)-wire[2])/items)
	require.NotZero(t, arrived)
}

// outage measures what waits on disk: at the hub while the endpoint refuses, at the agents while the router is gone.
func (s *stage) outage(rate int, d time.Duration) {
	t := s.t
	for _, signal := range []string{"spans", "log records", "metric points"} {
		require.NoError(t, s.endpoint.Fault(ingestiontest.Fault{Kind: ingestiontest.FaultStatus, Status: 503, Times: ingestiontest.Forever}))
		arrived := s.endpoint.Summary().Accepted
		s.waits(signal, "hub", rate, d, s.hubs)
		s.endpoint.ClearFaults()
		s.settle(arrived)
		require.NoError(t, s.router.process.Hold())
		arrived = s.endpoint.Summary().Accepted
		s.waits(signal, "agent", rate, d, []*collector{s.agents[west], s.agents[north]})
		s.router.process.Release()
		s.settle(arrived)
	}
}

func (s *stage) waits(signal, role string, rate int, d time.Duration, where []*collector) {
	var before, after int64
	for _, c := range where {
		before += c.disk()
	}
	items := s.send(signal, rate, d)
	<-time.After(s.interval + 3*time.Second)
	queued := 0.0
	for _, c := range where {
		after += c.disk()
		queued += c.metric(s.t, "otelcol_exporter_queue_size")
	}
	s.t.Logf("%s that wait at the %s: each %d bytes on disk, %.0f of queue_size", signal, role, (after-before)/items, queued/float64(items))
}
