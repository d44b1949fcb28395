// SPDX-License-Identifier: Apache-2.0

package router

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/otelcol-mesh/otelcol-mesh/internal/inventorylog"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
)

func traceID(call int) (id pcommon.TraceID) {
	binary.BigEndian.PutUint64(id[:], uint64(call+1)*0x9e3779b97f4a7c15)
	id[15] = 1
	return id
}

// spans makes one end of the calls from first on: end is 1 or 2.
func spans(cluster string, first, n, end int) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("k8s.cluster.name", cluster)
	list := rs.ScopeSpans().AppendEmpty().Spans()
	for call := first; call < first+n; call++ {
		span := list.AppendEmpty()
		span.SetTraceID(traceID(call))
		span.SetSpanID(pcommon.SpanID{7: byte(end)})
	}
	return td
}

// points makes a point of each of n services, and one whose resource names no service.
func points(n int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	for i := range n + 1 {
		rm := md.ResourceMetrics().AppendEmpty()
		rm.Resource().Attributes().PutStr("k8s.cluster.name", "west")
		if i < n {
			rm.Resource().Attributes().PutStr("service.name", fmt.Sprintf("service-%d", i))
		}
		metric := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		metric.SetName("load")
		metric.SetEmptyGauge().DataPoints().AppendEmpty().SetIntValue(1)
	}
	return md
}

func records(n int) plog.Logs {
	ld := plog.NewLogs()
	for i := range n {
		rl := ld.ResourceLogs().AppendEmpty()
		rl.Resource().Attributes().PutStr("k8s.cluster.name", "west")
		rl.Resource().Attributes().PutStr("k8s.pod.name", fmt.Sprintf("pod-%d", i))
		rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr(fmt.Sprintf("record %d", i))
	}
	return ld
}

// inventoryOf makes one message of a cluster's inventory: the first is a snapshot.
func inventoryOf(cluster string, sequence uint64) plog.Logs {
	m := &inventory.Message{Body: []byte{1}, Header: inventory.Header{
		Schema: 1, Cluster: cluster, Epoch: 7, Sequence: sequence, Kind: inventory.KindDelta, At: time.Now(),
	}}
	if sequence == 1 {
		m.Kind, m.Part, m.Parts = inventory.KindSnapshot, 1, 1
	}
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	inventorylog.ToResource(&m.Header, "", rl.Resource().Attributes())
	sl := rl.ScopeLogs().AppendEmpty()
	sl.Scope().SetName(inventory.ScopeName)
	inventorylog.ToLogRecord(m, sl.LogRecords().AppendEmpty())
	return ld
}

// small makes a request of about 8 MiB, the largest batch of an agent: of applications that say 8 KiB about themselves and made one span
// with each of 40 libraries.
func small() (td ptrace.Traces, calls int) {
	td = ptrace.NewTraces()
	for (&ptrace.ProtoMarshaler{}).TracesSize(td) < 7<<20 {
		for range 25 {
			rs := td.ResourceSpans().AppendEmpty()
			rs.Resource().Attributes().PutStr("k8s.cluster.name", "west")
			rs.Resource().Attributes().PutStr("process.command_line", strings.Repeat("x", 8<<10))
			for library := range 40 {
				ss := rs.ScopeSpans().AppendEmpty()
				ss.Scope().SetName(fmt.Sprintf("io.opentelemetry.library-%d", library))
				span := ss.Spans().AppendEmpty()
				span.SetTraceID(traceID(calls))
				span.SetSpanID(pcommon.SpanID{7: 1})
				span.Attributes().PutStr("url.full", strings.Repeat("y", 300))
				calls++
			}
		}
	}
	return td, calls
}

// export sends a request once.
func export(t *testing.T, conn *grpc.ClientConn, request any) error {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var err error
	switch r := request.(type) {
	case ptrace.Traces:
		_, err = ptraceotlp.NewGRPCClient(conn).Export(ctx, ptraceotlp.NewExportRequestFromTraces(r))
	case pmetric.Metrics:
		_, err = pmetricotlp.NewGRPCClient(conn).Export(ctx, pmetricotlp.NewExportRequestFromMetrics(r))
	case plog.Logs:
		_, err = plogotlp.NewGRPCClient(conn).Export(ctx, plogotlp.NewExportRequestFromLogs(r))
	}
	return err
}

// deliver sends a request until it is taken, as an agent does. A final answer is a mistake.
func deliver(t *testing.T, conn *grpc.ClientConn, request any) {
	t.Helper()
	require.EventuallyWithT(t, func(collect *assert.CollectT) {
		err := export(t, conn, request)
		require.NotContains(t, []codes.Code{codes.InvalidArgument, codes.Internal, codes.PermissionDenied, codes.Unauthenticated}, status.Code(err), "%v", err)
		require.NoError(collect, err)
	}, within, 20*time.Millisecond)
}

// ends counts the first and second ends of calls that a replica has.
func ends(r *replica, first, n int) (count [3]int, all int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for call := first; call < first+n; call++ {
		for end := 1; end <= 2; end++ {
			if _, ok := r.spans[traceID(call).String()+pcommon.SpanID{7: byte(end)}.String()]; ok {
				count[end]++
				all++
			}
		}
	}
	return count, all
}

// split counts the calls whose two spans are at different replicas, and how many have both ends somewhere.
func split(replicas []*replica, first, n int) (apart, whole int) {
	for call := first; call < first+n; call++ {
		var at [3][]int
		for i, r := range replicas {
			r.mu.Lock()
			for end := 1; end <= 2; end++ {
				if _, ok := r.spans[traceID(call).String()+pcommon.SpanID{7: byte(end)}.String()]; ok {
					at[end] = append(at[end], i)
				}
			}
			r.mu.Unlock()
		}
		if len(at[1]) > 0 && len(at[2]) > 0 {
			whole++
			if !slices.ContainsFunc(at[1], func(i int) bool { return slices.Contains(at[2], i) }) {
				apart++
			}
		}
	}
	return apart, whole
}

// spread says how many replicas have something of a kind.
func spread[T any](replicas []*replica, of func(*replica) map[string]T) (used, sum int) {
	for _, r := range replicas {
		r.mu.Lock()
		if n := len(of(r)); n > 0 {
			used++
			sum += n
		}
		r.mu.Unlock()
	}
	return used, sum
}

// sequences returns what came of a cluster's inventory, as it came.
func (r *replica) sequences(cluster string) []uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.inventory[cluster])
}

// check holds what everything depends on: each trace and each series at one replica, everything somewhere, inventories everywhere.
func check(t *testing.T, conn *grpc.ClientConn, replicas []*replica) {
	t.Helper()
	const calls = 2000
	for first := 0; first < calls; first += 100 {
		deliver(t, conn, spans("west", first, 100, 1))
		deliver(t, conn, spans("north", first, 100, 2))
	}
	apart, whole := split(replicas, 0, calls)
	assert.Equal(t, calls, whole, "every span is at a replica")
	assert.Zero(t, apart, "the two spans of a call are at one replica")
	deliver(t, conn, points(200))
	used, series := spread(replicas, func(r *replica) map[string]int { return r.points })
	assert.Equal(t, len(replicas), used)
	assert.Equal(t, 201, series, "each series at one replica, and the one without a service is not lost")
	deliver(t, conn, records(200))
	used, texts := spread(replicas, func(r *replica) map[string]int { return r.records })
	assert.Equal(t, len(replicas), used)
	assert.Equal(t, 200, texts)
	deliver(t, conn, inventoryOf("west", 1))
	deliver(t, conn, inventoryOf("west", 2))
	for _, r := range replicas {
		assert.Equal(t, []uint64{1, 2}, r.sequences("west"), "an inventory is answered when every replica has it, once")
	}
}
