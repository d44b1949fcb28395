// SPDX-License-Identifier: Apache-2.0

package inventorybroadcastexporter

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"google.golang.org/grpc"

	"github.com/otelcol-mesh/otelcol-mesh/internal/inventorylog"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
)

// within bounds every wait; it matters only when something is broken.
const within = 30 * time.Second

// hub is a replica that notes what it gets.
type hub struct {
	plogotlp.UnimplementedGRPCServer
	address string
	server  *grpc.Server

	mu    sync.Mutex
	got   []key
	fails error
	// holds lets nothing be answered until it is closed.
	holds chan struct{}
}

// startHub starts a replica; an empty address takes a free port.
func startHub(t *testing.T, address string, options ...grpc.ServerOption) *hub {
	t.Helper()
	if address == "" {
		address = "127.12.1.1:0"
	}
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", address)
	require.NoError(t, err)
	h := &hub{address: listener.Addr().String(), server: grpc.NewServer(options...)}
	plogotlp.RegisterGRPCServer(h.server, h)
	var served sync.WaitGroup
	served.Go(func() { _ = h.server.Serve(listener) })
	t.Cleanup(func() { h.server.Stop(); served.Wait() })
	return h
}

func (h *hub) Export(ctx context.Context, r plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	h.mu.Lock()
	holds := h.holds
	h.mu.Unlock()
	if holds != nil {
		select {
		case <-holds:
		case <-ctx.Done():
			return plogotlp.NewExportResponse(), ctx.Err()
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fails != nil {
		return plogotlp.NewExportResponse(), h.fails
	}
	for _, rl := range r.Logs().ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, record := range sl.LogRecords().All() {
				m, err := inventorylog.FromLogRecord(record, rl.Resource().Attributes())
				if err != nil {
					return plogotlp.NewExportResponse(), err
				}
				h.got = append(h.got, key{m.Cluster, m.Epoch, m.Sequence})
			}
		}
	}
	return plogotlp.NewExportResponse(), nil
}

func (h *hub) failWith(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fails = err
}

// hold lets the replica answer nothing until the channel is closed.
func (h *hub) hold(until chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holds = until
}

// sequences returns the sequences of a cluster, in the order in which they came.
func (h *hub) sequences(cluster string) []uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []uint64
	for _, k := range h.got {
		if k.cluster == cluster {
			out = append(out, k.sequence)
		}
	}
	return out
}

func (h *hub) await(t *testing.T, cluster string, want ...uint64) {
	t.Helper()
	require.Eventually(t, func() bool { return slices.Equal(want, h.sequences(cluster)) }, within, 5*time.Millisecond,
		"want %v", want)
}

// message is one of epoch 7: a chunk of a snapshot if there are parts, else a delta.
func message(cluster string, sequence uint64, part, parts int) *inventory.Message {
	kind := inventory.KindDelta
	if parts > 0 {
		kind = inventory.KindSnapshot
	}
	return &inventory.Message{Body: []byte("body"), Header: inventory.Header{
		Schema: 1, Cluster: cluster, Epoch: 7, Sequence: sequence, Kind: kind, Part: part, Parts: parts, At: time.Unix(1_800_000_000, 0),
	}}
}

func batch(messages ...*inventory.Message) plog.Logs {
	ld := plog.NewLogs()
	for _, m := range messages {
		rl := ld.ResourceLogs().AppendEmpty()
		inventorylog.ToResource(&m.Header, "", rl.Resource().Attributes())
		sl := rl.ScopeLogs().AppendEmpty()
		sl.Scope().SetName(inventory.ScopeName)
		inventorylog.ToLogRecord(m, sl.LogRecords().AppendEmpty())
	}
	return ld
}
