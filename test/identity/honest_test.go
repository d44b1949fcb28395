// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/inventorylog"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// markers tell the number of a span from its item at the endpoint.
var markers = []ingestiontest.Marker{{Name: "spans", Prefix: `"id":"5eed`, Hex: true}}

// podOf is the address of the one pod of each cluster.
var podOf = map[string]string{west: "10.0.1.1", north: "10.0.2.1", south: "10.0.3.1"}

const (
	west  = "aks-west"
	north = "aks-north"
	south = "aks-south"
	// perRequest is how many spans a proxy's request has.
	perRequest = 20
)

// spoke is a cluster that tells its inventory.
type spoke struct {
	cluster, uid string
	writer       *topology.Writer
	encoder      *inventory.Encoder
}

// newSpoke makes an inventory with one pod; epoch is that of its leader: a later one takes over.
func newSpoke(cluster, uid, address string, epoch int64) *spoke {
	s := &spoke{cluster: cluster, uid: uid, encoder: inventory.NewEncoder(cluster, uid, epoch), writer: topology.NewWriter(topology.WriterSettings{History: time.Hour})}
	since := time.Now().Add(-time.Hour)
	s.writer.Apply(&topology.Delta{
		Cluster: cluster, At: time.Now(), Full: true, Facts: &topology.ClusterFacts{UID: uid, Network: "vnet", Region: "westeurope", TrustDomain: "cluster.local"},
		Pods: []topology.PodState{{
			PodSpec: topology.PodSpec{Name: "pod-of-" + cluster, Addresses: []netip.Addr{netip.MustParseAddr(address)}}, UID: topology.UID{1},
			Namespace: "bookinfo", Workload: "w", Kind: "deployment", Since: since, Seen: since,
		}},
	})
	return s
}

func (s *spoke) snapshot() plogotlp.ExportRequest {
	return s.request(slices.Collect(s.encoder.Snapshot(s.writer.Publish(), time.Now()))...)
}

func (s *spoke) heartbeat() plogotlp.ExportRequest { return s.request(s.encoder.Heartbeat(time.Now())) }

func (s *spoke) request(messages ...inventory.Message) plogotlp.ExportRequest {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	inventorylog.ToResource(&messages[0].Header, "westeurope", rl.Resource().Attributes())
	sl := rl.ScopeLogs().AppendEmpty()
	sl.Scope().SetName(inventory.ScopeName)
	for i := range messages {
		inventorylog.ToLogRecord(&messages[i], sl.LogRecords().AppendEmpty())
	}
	return plogotlp.NewExportRequestFromLogs(ld)
}

// calls are spans of the pod of a cluster that calls the one of another, as the proxy writes them: no cluster is named.
func calls(from, to, first int) ptraceotlp.ExportRequest {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "honest")
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	now := time.Now()
	for n := first; n < first+perRequest; n++ {
		span := spans.AppendEmpty()
		id := pcommon.SpanID{0x5e, 0xed}
		binary.BigEndian.PutUint32(id[4:], uint32(n))
		span.SetSpanID(id)
		span.SetTraceID(pcommon.TraceID{1, 14: id[6], 15: id[7], 13: id[5], 12: id[4]})
		span.SetName("reviews.bookinfo.svc.cluster.local:9080/*")
		span.SetKind(ptrace.SpanKindClient)
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-20 * time.Millisecond)))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
		for key, value := range map[string]string{
			"component": "proxy", "http.method": "GET", "http.protocol": "HTTP/1.1", "http.status_code": "200", "http.url": fmt.Sprintf("http://reviews:9080/%d", n),
			"node_id":          "sidecar~" + podOf[clusters[from]] + "~pod-of-" + clusters[from] + ".bookinfo~bookinfo.svc.cluster.local",
			"upstream_cluster": "outbound|9080||reviews.bookinfo.svc.cluster.local", "upstream_cluster.name": "outbound|9080||reviews.bookinfo.svc.cluster.local",
			"upstream_address": podOf[clusters[to]] + ":9080", "peer.address": podOf[clusters[from]], "istio.cluster_id": clusters[from],
		} {
			span.Attributes().PutStr(key, value)
		}
	}
	return ptraceotlp.NewExportRequestFromTraces(td)
}

var clusters = [...]string{west, north, south}

// load are proxies that send to agents until they are told to stop.
type load struct {
	t       *testing.T
	stop    chan struct{}
	running sync.WaitGroup
	next    atomic.Int64
	// acked are the spans that an agent took over.
	mu    sync.Mutex
	acked ingestiontest.Numbers
}

func newLoad(t *testing.T) *load {
	l := &load{t: t, stop: make(chan struct{})}
	l.next.Store(1)
	return l
}

// proxy sends a request of a cluster's proxy every so often; all of them call the next cluster.
func (l *load) proxy(agent *role, from int, every time.Duration) {
	conn := plainConnection(l.t, agent.host)
	l.running.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-l.stop:
				return
			case <-ticker.C:
			}
			l.send(conn, from)
		}
	})
}

func (l *load) send(conn *grpc.ClientConn, from int) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	first := int(l.next.Add(perRequest)) - perRequest
	if !assert.NoError(l.t, deliver(ctx, conn, calls(from, 1-from%2, first))) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for n := first; n < first+perRequest; n++ {
		l.acked.Add(uint64(n))
	}
}

func (l *load) sent() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked.Len()
}

// finish stops the load.
func (l *load) finish() {
	close(l.stop)
	l.running.Wait()
}

// missing says how many of the spans that agents took over did not arrive yet.
func (l *load) missing(server *ingestiontest.Server) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	missing, _ := server.Missing("spans", &l.acked, 1)
	return missing
}

// plainConnection connects to the receiver of an agent, which pods reach without TLS.
func plainConnection(t *testing.T, host string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+net.JoinHostPort(host, "4317"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}
