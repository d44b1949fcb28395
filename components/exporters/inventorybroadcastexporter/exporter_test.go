// SPDX-License-Identifier: Apache-2.0

package inventorybroadcastexporter

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/internal/replicas"
	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/inventorybroadcastexporter/internal/metadata"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
)

// manual is a resolver that the test tells what to say.
type manual struct{ told func(map[string]bool) }

func (m *manual) Start(told func(map[string]bool)) error { m.told = told; return nil }
func (*manual) Stop()                                    {}

// newTest starts an exporter whose replicas the test names. tel may be nil.
func newTest(t *testing.T, tel *componenttest.Telemetry, change func(*Config)) (*broadcaster, *manual) {
	t.Helper()
	c := createDefaultConfig().(*Config)
	c.Resolver.Static = configoptional.Some(replicas.Static{Hostnames: []string{"127.12.1.1:1"}})
	c.Protocol.OTLP.ClientConfig.TLS.Insecure = true
	if change != nil {
		change(c)
	}
	set := exportertest.NewNopSettings(metadata.Type)
	if tel != nil {
		set = exporter.Settings{ID: set.ID, TelemetrySettings: tel.NewTelemetrySettings()}
	}
	b, err := newBroadcaster(set, c)
	require.NoError(t, err)
	m := &manual{}
	b.resolver = m
	require.NoError(t, b.start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, b.shutdown(context.Background())) })
	return b, m
}

// give sends messages and fails the test if not all ready replicas got them.
func give(t *testing.T, b *broadcaster, ld plog.Logs) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	require.NoError(t, b.consume(ctx, ld))
}

func TestEveryReplicaGetsEverythingInOrder(t *testing.T) {
	one, two := startHub(t, ""), startHub(t, "")
	b, m := newTest(t, nil, nil)
	m.told(map[string]bool{one.address: true, two.address: true})
	give(t, b, batch(message("west", 1, 1, 2), message("west", 2, 2, 2)))
	give(t, b, batch(message("west", 3, 0, 0), message("east", 1, 1, 1)))
	for _, h := range []*hub{one, two} {
		assert.Equal(t, []uint64{1, 2, 3}, h.sequences("west"), "an answer means that all have it")
		assert.Equal(t, []uint64{1}, h.sequences("east"))
	}
}

// TestAReplicaThatComesLater gets the latest complete snapshot of each cluster and what followed, before it is ready.
func TestAReplicaThatComesLater(t *testing.T) {
	one, late := startHub(t, ""), startHub(t, "")
	b, m := newTest(t, nil, nil)
	m.told(map[string]bool{one.address: true})
	give(t, b, batch(message("west", 1, 1, 1), message("west", 2, 0, 0)))
	give(t, b, batch(message("west", 3, 1, 2), message("west", 4, 2, 2), message("west", 5, 0, 0)))
	give(t, b, batch(message("west", 6, 1, 2)))
	m.told(map[string]bool{one.address: true, late.address: false})
	late.await(t, "west", 3, 4, 5, 6)
	m.told(map[string]bool{one.address: true, late.address: true})
	give(t, b, batch(message("west", 7, 2, 2)))
	assert.Equal(t, []uint64{3, 4, 5, 6, 7}, late.sequences("west"))
}

// TestAnotherRoutersSnapshotGoesFirst: of a cluster without a snapshot here a newcomer gets what there is, a little later.
func TestAnotherRoutersSnapshotGoesFirst(t *testing.T) {
	one, late := startHub(t, ""), startHub(t, "")
	b, m := newTest(t, nil, nil)
	m.told(map[string]bool{one.address: true})
	give(t, b, batch(message("west", 41, 0, 0), message("east", 1, 1, 1)))
	began := time.Now()
	m.told(map[string]bool{late.address: true})
	late.await(t, "east", 1)
	late.await(t, "west", 41)
	assert.GreaterOrEqual(t, time.Since(began), lateral)
	assert.Equal(t, key{"east", 7, 1}, late.got[0])
}

func TestASenderThatRepeats(t *testing.T) {
	one := startHub(t, "")
	b, m := newTest(t, nil, nil)
	m.told(map[string]bool{one.address: true})
	one.failWith(status.Error(codes.Unavailable, "full"))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := b.consume(ctx, batch(message("west", 1, 1, 1)))
	require.ErrorContains(t, err, one.address)
	assert.False(t, consumererror.IsPermanent(err), "the sender keeps it")
	one.failWith(nil)
	give(t, b, batch(message("west", 1, 1, 1)))
	give(t, b, batch(message("west", 2, 0, 0)))
	assert.Equal(t, []uint64{1, 2}, one.sequences("west"))
}

func TestNobodyIsThere(t *testing.T) {
	b, m := newTest(t, nil, nil)
	err := b.consume(t.Context(), batch(message("west", 1, 1, 1)))
	require.ErrorIs(t, err, errNobody)
	assert.False(t, consumererror.IsPermanent(err))
	late := startHub(t, "")
	m.told(map[string]bool{late.address: false})
	late.await(t, "west", 1)
	require.ErrorIs(t, b.consume(t.Context(), batch(message("west", 2, 0, 0))), errNobody, "one that is not ready cannot promise anything")
	require.NoError(t, b.consume(t.Context(), plog.NewLogs()), "other logs are none of its business")
}

// TestADeadReplicaHoldsUpTheOthersForAWhile and gets all that it needs when it is back, even if it forgot what it had.
func TestADeadReplicaHoldsUpTheOthersForAWhile(t *testing.T) {
	one, two := startHub(t, ""), startHub(t, "")
	b, m := newTest(t, nil, func(c *Config) { c.GiveUpAfter = time.Second })
	m.told(map[string]bool{one.address: true, two.address: true})
	give(t, b, batch(message("west", 1, 1, 1)))
	two.server.Stop()
	began := time.Now()
	give(t, b, batch(message("west", 2, 0, 0)))
	assert.GreaterOrEqual(t, time.Since(began), time.Second)
	back := startHub(t, two.address)
	back.await(t, "west", 1, 2)
	give(t, b, batch(message("west", 3, 0, 0)))
	back.await(t, "west", 1, 2, 3)
	assert.Equal(t, []uint64{1, 2, 3}, one.sequences("west"))
}

// TestAReplicaThatDoesNotAnswer and returns no error either holds up the others no longer than one that is dead.
func TestAReplicaThatDoesNotAnswer(t *testing.T) {
	one, two := startHub(t, ""), startHub(t, "")
	b, m := newTest(t, nil, func(c *Config) {
		c.GiveUpAfter = time.Second
		c.Protocol.OTLP.TimeoutConfig.Timeout = time.Hour
	})
	m.told(map[string]bool{one.address: true, two.address: true})
	give(t, b, batch(message("west", 1, 1, 1)))
	until := make(chan struct{})
	two.hold(until)
	began := time.Now()
	give(t, b, batch(message("west", 2, 0, 0)))
	assert.GreaterOrEqual(t, time.Since(began), time.Second)
	close(until)
	two.await(t, "west", 1, 2)
	give(t, b, batch(message("west", 3, 0, 0)))
	two.await(t, "west", 1, 2, 3)
}

// TestAReplicaWhoseExporterCannotBeMade, as while a certificate is being written, is tried again.
func TestAReplicaWhoseExporterCannotBeMade(t *testing.T) {
	authority, dir := pkitest.New(t, "authority"), t.TempDir()
	pair := authority.Issue(t, pkitest.Leaf{Addresses: []string{"127.12.1.1"}})
	one := startHub(t, "", grpc.Creds(credentials.NewServerTLSFromCert(&pair.TLS)))
	b, m := newTest(t, nil, func(c *Config) {
		c.GiveUpAfter = time.Second
		c.Protocol.OTLP.ClientConfig.TLS.Insecure = false
		c.Protocol.OTLP.ClientConfig.TLS.CAFile = filepath.Join(dir, "ca.crt")
	})
	m.told(map[string]bool{one.address: true})
	require.Eventually(t, func() bool {
		return errors.Is(b.consume(t.Context(), batch(message("west", 1, 1, 1))), errNobody)
	}, within, 10*time.Millisecond)
	pkitest.WriteBundle(t, dir, authority)
	one.await(t, "west", 1)
	// What it answered is noted a moment later; until then nobody is there to wait for.
	require.Eventually(t, func() bool { return b.consume(t.Context(), batch(message("west", 1, 1, 1))) == nil }, within, 10*time.Millisecond)
}

// TestOnlyWhatBelongsToTheFormIsKept: a sender does not fill the memory with what nobody counts.
func TestOnlyWhatBelongsToTheFormIsKept(t *testing.T) {
	tel := componenttest.NewTelemetry()
	one := startHub(t, "")
	b, m := newTest(t, tel, nil)
	m.told(map[string]bool{one.address: true})
	const size = 1 << 20
	ld := batch(message("west", 1, 1, 1), message(strings.Repeat("w", 2000), 1, 1, 1))
	rl := ld.ResourceLogs().At(0)
	rl.Resource().Attributes().PutStr("cloud.region", "westeurope")
	rl.Resource().Attributes().PutStr("more", strings.Repeat("x", size))
	rl.ScopeLogs().At(0).Scope().SetVersion(strings.Repeat("x", size))
	rl.ScopeLogs().At(0).LogRecords().At(0).Attributes().PutEmptySlice("more").AppendEmpty().SetStr(strings.Repeat("x", size))
	give(t, b, ld)
	one.await(t, "west", 1)
	require.Len(t, b.book.entries, 1)
	kept := b.book.entries[0]
	assert.Less(t, (&plog.ProtoMarshaler{}).LogsSize(kept.logs), kept.bytes)
	region, ok := kept.logs.ResourceLogs().At(0).Resource().Attributes().Get("cloud.region")
	require.True(t, ok)
	assert.Equal(t, "westeurope", region.Str())
	assert.Equal(t, int64(1), counted(t, tel, "otelcol_exporter_inventory_broadcast_lost_messages", "reason", "malformed"))
	require.NoError(t, tel.Shutdown(context.Background()))
}

// TestAReplicaThatWasNotReady may be another process that knows nothing.
func TestAReplicaThatWasNotReady(t *testing.T) {
	one := startHub(t, "")
	b, m := newTest(t, nil, nil)
	m.told(map[string]bool{one.address: true})
	give(t, b, batch(message("west", 1, 1, 1)))
	m.told(map[string]bool{one.address: false})
	one.await(t, "west", 1, 1)
}

func TestWhatIsRefusedForGood(t *testing.T) {
	tel := componenttest.NewTelemetry()
	one := startHub(t, "")
	b, m := newTest(t, tel, nil)
	m.told(map[string]bool{one.address: true})
	one.failWith(status.Error(codes.InvalidArgument, "never"))
	give(t, b, batch(message("west", 1, 1, 2), message("west", 2, 2, 2)))
	one.failWith(nil)
	give(t, b, batch(message("west", 3, 0, 0)))
	assert.Equal(t, []uint64{3}, one.sequences("west"))
	assert.Equal(t, int64(2), counted(t, tel, "otelcol_exporter_inventory_broadcast_lost_messages", "reason", "refused"))
	assert.Equal(t, int64(1), counted(t, tel, "otelcol_exporter_inventory_broadcast_sent_messages", "exporter", b.set.ID.String()))
	assert.Equal(t, int64(1), counted(t, tel, "otelcol_exporter_inventory_broadcast_replicas", "state", "ready"))
	require.NoError(t, tel.Shutdown(context.Background()))
}

func TestWhatIsNoMessage(t *testing.T) {
	tel := componenttest.NewTelemetry()
	b, _ := newTest(t, tel, nil)
	ld := batch(message("west", 1, 1, 1))
	ld.ResourceLogs().At(0).Resource().Attributes().Clear()
	require.NoError(t, b.consume(t.Context(), ld))
	assert.Equal(t, int64(1), counted(t, tel, "otelcol_exporter_inventory_broadcast_lost_messages", "reason", "malformed"))
	require.NoError(t, tel.Shutdown(context.Background()))
}
