// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-mesh/otelcol-mesh/internal/inventorylog"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/metadatatest"
)

// fakeSink is a topology that takes inventories. answer says what it makes of a message.
type fakeSink struct {
	fakeTopology
	answer func(m *inventory.Message) error
	taken  []string
}

func (s *fakeSink) AcceptInventory(_ context.Context, m *inventory.Message) error {
	if s.answer != nil {
		if err := s.answer(m); err != nil {
			return err
		}
	}
	s.taken = append(s.taken, fmt.Sprintf("%s %d", m.Cluster, m.Sequence))
	return nil
}

// addInventory adds heartbeats of a cluster.
func addInventory(ld plog.Logs, cluster string, sequences ...uint64) {
	rl := ld.ResourceLogs().AppendEmpty()
	header := inventory.Header{Schema: inventory.SchemaVersion, Cluster: cluster, Epoch: 1, Kind: inventory.KindHeartbeat}
	inventorylog.ToResource(&header, "", rl.Resource().Attributes())
	sl := rl.ScopeLogs().AppendEmpty()
	sl.Scope().SetName(inventory.ScopeName)
	for _, sequence := range sequences {
		header.Sequence = sequence
		inventorylog.ToLogRecord(&inventory.Message{Header: header}, sl.LogRecords().AppendEmpty())
	}
}

// addAccessLog adds a record that is about a call.
func addAccessLog(rl plog.ResourceLogs) {
	record := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	record.Attributes().PutStr("upstream_cluster", "inbound|9080||")
}

// logsOf passes a batch through a processor whose extension is the one given.
func logsOf(t *testing.T, extension component.Component, ld plog.Logs) (passed []plog.Logs, telemetry *componenttest.Telemetry, err error) {
	t.Helper()
	return logsWith(t, createDefaultConfig(), extension, ld)
}

func logsWith(t *testing.T, cfg component.Config, extension component.Component, ld plog.Logs) (passed []plog.Logs, telemetry *componenttest.Telemetry, err error) {
	t.Helper()
	telemetry = componenttest.NewTelemetry()
	sink := &consumertest.LogsSink{}
	p, err := NewFactory().CreateLogs(context.Background(), metadatatest.NewSettings(telemetry), cfg, sink)
	require.NoError(t, err)
	require.NoError(t, p.Start(context.Background(), hostOf(extension)))
	err = p.ConsumeLogs(context.Background(), ld)
	require.NoError(t, p.Shutdown(context.Background()))
	return sink.AllLogs(), telemetry, err
}

func counted(n int64, attrs ...attribute.KeyValue) []metricdata.DataPoint[int64] {
	return []metricdata.DataPoint[int64]{{Attributes: attribute.NewSet(attrs...), Value: n}}
}

func TestInventoriesAreTakenOut(t *testing.T) {
	ld := plog.NewLogs()
	addInventory(ld, "a", 1, 2)
	addAccessLog(ld.ResourceLogs().AppendEmpty())
	addInventory(ld, "b", 7)
	addAccessLog(ld.ResourceLogs().At(2))
	held := &fakeSink{}
	passed, telemetry, err := logsOf(t, held, ld)
	require.NoError(t, err)
	assert.Equal(t, []string{"a 1", "a 2", "b 7"}, held.taken)
	require.Len(t, passed, 1)
	assert.Equal(t, 2, passed[0].ResourceLogs().Len(), "a resource that held nothing else is gone")
	for _, rl := range passed[0].ResourceLogs().All() {
		require.Equal(t, 1, rl.ScopeLogs().Len())
		assert.Contains(t, rl.ScopeLogs().At(0).LogRecords().At(0).Attributes().AsRaw(), "mesh.resolution.source")
	}
	metadatatest.AssertEqualProcessorMeshTopologyInventoryAccepted(t, telemetry, counted(3), metricdatatest.IgnoreTimestamp())
	_, err = telemetry.GetMetric("otelcol_processor_mesh_topology_inventory_rejected")
	assert.Error(t, err)
}

func TestABatchOfInventoriesGoesNoFurther(t *testing.T) {
	ld := plog.NewLogs()
	addInventory(ld, "a", 1)
	passed, _, err := logsOf(t, &fakeSink{}, ld)
	require.NoError(t, err)
	assert.Empty(t, passed)

	passed, _, err = logsOf(t, &fakeSink{}, plog.NewLogs())
	require.NoError(t, err)
	assert.Len(t, passed, 1, "an empty batch is nobody's inventory")
}

// TestInventoriesThatNobodyWantsPass: where telemetry of several clusters comes and the extension has other sources.
func TestInventoriesThatNobodyWantsPass(t *testing.T) {
	off := &fakeSink{answer: func(*inventory.Message) error { return fmt.Errorf("only a file: %w", inventorylog.ErrNotTaken) }}
	for name, extension := range map[string]component.Component{"no interface": &fakeTopology{}, "not configured": off} {
		t.Run(name, func(t *testing.T) {
			ld := plog.NewLogs()
			addInventory(ld, "a", 1, 2)
			addAccessLog(ld.ResourceLogs().AppendEmpty())
			want := plog.NewLogs()
			ld.ResourceLogs().At(0).CopyTo(want.ResourceLogs().AppendEmpty())
			passed, telemetry, err := logsOf(t, extension, ld)
			require.NoError(t, err)
			require.Len(t, passed, 1)
			require.Equal(t, 2, passed[0].ResourceLogs().Len())
			got := plog.NewLogs()
			passed[0].ResourceLogs().At(0).CopyTo(got.ResourceLogs().AppendEmpty())
			assert.Equal(t, want, got, "untouched")
			_, err = telemetry.GetMetric("otelcol_processor_mesh_topology_inventory_accepted")
			assert.Error(t, err)
		})
	}
}

// TestAgentsTurnInventoriesAway: a pod that sends one to an agent would speak for the whole cluster.
func TestAgentsTurnInventoriesAway(t *testing.T) {
	off := &fakeSink{answer: func(*inventory.Message) error { return fmt.Errorf("only a file: %w", inventorylog.ErrNotTaken) }}
	for name, extension := range map[string]component.Component{"no interface": &fakeTopology{}, "not configured": off} {
		t.Run(name, func(t *testing.T) {
			ld := plog.NewLogs()
			addInventory(ld, "a", 1, 2)
			addAccessLog(ld.ResourceLogs().AppendEmpty())
			addInventory(ld, "b", 7)
			addAccessLog(ld.ResourceLogs().At(2))
			cfg := createDefaultConfig().(*Config)
			cfg.Cluster = "a"
			passed, telemetry, err := logsWith(t, cfg, extension, ld)
			require.NoError(t, err)
			require.Len(t, passed, 1)
			assert.Equal(t, 2, passed[0].LogRecordCount(), "the access logs")
			for _, rl := range passed[0].ResourceLogs().All() {
				assert.False(t, isInventory(rl.ScopeLogs().At(0)))
			}
			metadatatest.AssertEqualProcessorMeshTopologyInventoryRejected(t, telemetry, counted(3, attribute.String("reason", "not_here")), metricdatatest.IgnoreTimestamp())

			only := plog.NewLogs()
			addInventory(only, "a", 3)
			passed, _, err = logsWith(t, cfg, extension, only)
			require.NoError(t, err)
			assert.Empty(t, passed)
		})
	}
}

// TestABusyTopologyGivesTheBatchBack: whole, and without having passed on any of it.
func TestABusyTopologyGivesTheBatchBack(t *testing.T) {
	for name, busy := range map[string]error{"queue": errors.New("queue is full"), "context": context.DeadlineExceeded} {
		t.Run(name, func(t *testing.T) {
			ld := plog.NewLogs()
			addAccessLog(ld.ResourceLogs().AppendEmpty())
			addInventory(ld, "a", 1, 2)
			ld.ResourceLogs().At(1).ScopeLogs().At(0).LogRecords().AppendEmpty() // no message, and not yet counted
			addInventory(ld, "b", 3)
			want := plog.NewLogs()
			ld.CopyTo(want)
			held := &fakeSink{answer: func(m *inventory.Message) error {
				if m.Cluster == "b" {
					return busy
				}
				return nil
			}}
			passed, telemetry, err := logsOf(t, held, ld)
			require.ErrorIs(t, err, busy)
			assert.False(t, consumererror.IsPermanent(err))
			assert.Empty(t, passed)
			assert.Equal(t, want, ld, "whoever sends it again has all of it")
			metadatatest.AssertEqualProcessorMeshTopologyInventoryDeferred(t, telemetry, counted(1), metricdatatest.IgnoreTimestamp())
			for _, name := range []string{"accepted", "rejected"} {
				_, err = telemetry.GetMetric("otelcol_processor_mesh_topology_inventory_" + name)
				assert.Error(t, err, "counted when it comes again")
			}
		})
	}
}

func TestMessagesThatWillNeverBeTakenAreCounted(t *testing.T) {
	tests := []struct {
		reason string
		err    error
	}{
		{"schema", fmt.Errorf("too new: %w", inventory.ErrSchema)},
		{"invalid", fmt.Errorf("broken: %w", inventory.ErrInvalid)},
		{"refused", fmt.Errorf("another uid: %w", inventory.ErrRefused)},
		{"refused", consumererror.NewPermanent(errors.New("no"))},
		{"attribute", nil},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			ld := plog.NewLogs()
			addInventory(ld, "a", 1, 2, 3)
			if tt.err == nil {
				ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(1).Attributes().Clear()
			}
			held := &fakeSink{answer: func(m *inventory.Message) error {
				if m.Sequence == 2 {
					return tt.err
				}
				return nil
			}}
			passed, telemetry, err := logsOf(t, held, ld)
			require.NoError(t, err)
			assert.Empty(t, passed)
			assert.Equal(t, []string{"a 1", "a 3"}, held.taken)
			metadatatest.AssertEqualProcessorMeshTopologyInventoryRejected(t, telemetry,
				counted(1, attribute.String("reason", tt.reason)), metricdatatest.IgnoreTimestamp())
			metadatatest.AssertEqualProcessorMeshTopologyInventoryAccepted(t, telemetry, counted(2), metricdatatest.IgnoreTimestamp())
		})
	}
}

// TestRejectionsAreLoggedSparingly: once per cluster and minute, however many there are.
func TestRejectionsAreLoggedSparingly(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	set := metadatatest.NewSettings(componenttest.NewTelemetry())
	set.Logger = zap.New(core)
	m, err := newMeshTopology(set, createDefaultConfig().(*Config))
	require.NoError(t, err)
	require.NoError(t, m.start(context.Background(), hostOf(&fakeSink{answer: func(*inventory.Message) error { return inventory.ErrRefused }})))
	now := time.Unix(1_800_000_000, 0)
	m.now = func() time.Time { return now }
	send := func() (clusters []string) {
		ld := plog.NewLogs()
		addInventory(ld, "a", 1, 2)
		addInventory(ld, "b", 1)
		_, err := m.takeInventories(context.Background(), ld)
		require.NoError(t, err)
		for _, entry := range logs.TakeAll() {
			clusters = append(clusters, entry.ContextMap()["cluster"].(string))
		}
		slices.Sort(clusters)
		return clusters
	}
	assert.Equal(t, []string{"a", "b"}, send())
	now = now.Add(59 * time.Second)
	assert.Empty(t, send())
	now = now.Add(time.Second)
	assert.Equal(t, []string{"a", "b"}, send())
	require.NoError(t, m.shutdown(context.Background()))
}
