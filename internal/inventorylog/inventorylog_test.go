// SPDX-License-Identifier: Apache-2.0

package inventorylog

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
)

func message(kind inventory.Kind) *inventory.Message {
	m := &inventory.Message{Header: inventory.Header{
		Schema: inventory.SchemaVersion, Cluster: "aks-westeurope", ClusterUID: "1f0c", Epoch: 1_700_000_000_000_000_000, Sequence: 7,
		Kind: kind, At: time.Unix(1_700_000_060, 5).UTC(),
	}}
	switch kind {
	case inventory.KindSnapshot:
		m.Part, m.Parts, m.Body = 2, 3, []byte{1, 2, 3}
	case inventory.KindDelta:
		m.Body = []byte{0}
	}
	return m
}

// written returns the message as a record under its resource.
func written(m *inventory.Message) (plog.LogRecord, pcommon.Map) {
	rl := plog.NewLogs().ResourceLogs().AppendEmpty()
	ToResource(&m.Header, "westeurope", rl.Resource().Attributes())
	record := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	ToLogRecord(m, record)
	return record, rl.Resource().Attributes()
}

func TestAMessageComesBack(t *testing.T) {
	for _, kind := range []inventory.Kind{inventory.KindSnapshot, inventory.KindDelta, inventory.KindHeartbeat} {
		t.Run(kind.EventName(), func(t *testing.T) {
			m := message(kind)
			record, resource := written(m)
			got, err := FromLogRecord(record, resource)
			require.NoError(t, err)
			assert.Equal(t, m, got)
		})
	}
	m := message(inventory.KindDelta)
	m.At, m.ClusterUID = time.Time{}, ""
	record, resource := written(m)
	got, err := FromLogRecord(record, resource)
	require.NoError(t, err)
	assert.Equal(t, m, got, "no time and no uid come back as none")
}

// TestTheForm holds the names that receivers of other makers rely on.
func TestTheForm(t *testing.T) {
	record, resource := written(message(inventory.KindSnapshot))
	assert.Equal(t, map[string]any{
		"k8s.cluster.name": "aks-westeurope", "k8s.cluster.uid": "1f0c", "cloud.region": "westeurope",
	}, resource.AsRaw())
	assert.Equal(t, "mesh.inventory.snapshot", record.EventName())
	assert.Equal(t, map[string]any{
		"mesh.inventory.schema_version": int64(1), "mesh.inventory.epoch": int64(1_700_000_000_000_000_000),
		"mesh.inventory.sequence": int64(7), "mesh.inventory.part": int64(2), "mesh.inventory.parts": int64(3),
	}, record.Attributes().AsRaw())
	assert.Equal(t, pcommon.NewTimestampFromTime(time.Unix(1_700_000_060, 5)), record.Timestamp())
	assert.Equal(t, []byte{1, 2, 3}, record.Body().Bytes().AsRaw())

	record, resource = written(message(inventory.KindHeartbeat))
	assert.Len(t, record.Attributes().AsRaw(), 3, "only snapshots have parts")
	assert.Equal(t, pcommon.ValueTypeBytes, record.Body().Type())
	resource.Remove("cloud.region")
	_, err := FromLogRecord(record, resource)
	assert.NoError(t, err, "the region is not part of the message")
}

// TestTheMessageOutlivesTheRecord: a batch is used again when the processor is done with it.
func TestTheMessageOutlivesTheRecord(t *testing.T) {
	record, resource := written(message(inventory.KindSnapshot))
	got, err := FromLogRecord(record, resource)
	require.NoError(t, err)
	record.Body().Bytes().SetAt(0, 99)
	assert.Equal(t, []byte{1, 2, 3}, got.Body)
}

func TestWhatIsNoMessage(t *testing.T) {
	tests := []struct {
		name   string
		damage func(record plog.LogRecord, resource pcommon.Map)
		reason Reason
		text   string
	}{
		{"no event name", func(r plog.LogRecord, _ pcommon.Map) { r.SetEventName("") }, ReasonEvent, `event name ""`},
		{"a long event name", func(r plog.LogRecord, _ pcommon.Map) { r.SetEventName(strings.Repeat("x", 1000)) }, ReasonEvent, `x"…`},
		{"no cluster", func(_ plog.LogRecord, m pcommon.Map) { m.Remove("k8s.cluster.name") }, ReasonCluster, "k8s.cluster.name is missing"},
		{"an empty cluster", func(_ plog.LogRecord, m pcommon.Map) { m.PutStr("k8s.cluster.name", "") }, ReasonCluster, "k8s.cluster.name is missing or empty"},
		{"a numbered cluster", func(_ plog.LogRecord, m pcommon.Map) { m.PutInt("k8s.cluster.name", 3) }, ReasonCluster, "no string"},
		{"a numbered uid", func(_ plog.LogRecord, m pcommon.Map) { m.PutInt("k8s.cluster.uid", 3) }, ReasonCluster, "k8s.cluster.uid is no string"},
		{"no schema version", func(r plog.LogRecord, _ pcommon.Map) { r.Attributes().Remove("mesh.inventory.schema_version") }, ReasonAttribute, "schema_version is missing"},
		{"a spelled schema version", func(r plog.LogRecord, _ pcommon.Map) { r.Attributes().PutStr("mesh.inventory.schema_version", "1") }, ReasonAttribute, "schema_version is no integer"},
		{"a huge schema version", func(r plog.LogRecord, _ pcommon.Map) {
			r.Attributes().PutInt("mesh.inventory.schema_version", math.MaxInt64)
		}, ReasonAttribute, "out of range"},
		{"no epoch", func(r plog.LogRecord, _ pcommon.Map) { r.Attributes().Remove("mesh.inventory.epoch") }, ReasonAttribute, "epoch is missing"},
		{"a negative epoch", func(r plog.LogRecord, _ pcommon.Map) { r.Attributes().PutInt("mesh.inventory.epoch", -1) }, ReasonAttribute, "epoch is out of range"},
		{"a broken sequence", func(r plog.LogRecord, _ pcommon.Map) { r.Attributes().PutDouble("mesh.inventory.sequence", 7) }, ReasonAttribute, "sequence is no integer"},
		{"sequence zero", func(r plog.LogRecord, _ pcommon.Map) { r.Attributes().PutInt("mesh.inventory.sequence", 0) }, ReasonAttribute, "sequence is out of range"},
		{"no part", func(r plog.LogRecord, _ pcommon.Map) { r.Attributes().Remove("mesh.inventory.part") }, ReasonAttribute, "part is missing"},
		{"no parts", func(r plog.LogRecord, _ pcommon.Map) { r.Attributes().Remove("mesh.inventory.parts") }, ReasonAttribute, "parts is missing"},
		{"a time after all times", func(r plog.LogRecord, _ pcommon.Map) { r.SetTimestamp(math.MaxUint64) }, ReasonTimestamp, "timestamp"},
		{"no body", func(r plog.LogRecord, _ pcommon.Map) { pcommon.NewValueEmpty().CopyTo(r.Body()) }, ReasonBody, "Empty"},
		{"a body of text", func(r plog.LogRecord, _ pcommon.Map) { r.Body().SetStr("AQID") }, ReasonBody, "Str"},
		{"a body beyond the ceiling", func(r plog.LogRecord, _ pcommon.Map) {
			r.Body().SetEmptyBytes().FromRaw(make([]byte, inventory.MaxBodyBytes+1))
		}, ReasonBody, "too large"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			record, resource := written(message(inventory.KindSnapshot))
			tt.damage(record, resource)
			m, err := FromLogRecord(record, resource)
			assert.Nil(t, m)
			var format *FormatError
			require.ErrorAs(t, err, &format)
			assert.Equal(t, tt.reason, format.Reason)
			assert.ErrorContains(t, err, tt.text)
			assert.Less(t, len(err.Error()), 200)
		})
	}
}

// FuzzFromLogRecord: whatever is sent, it is refused with a reason or comes back the same when it is written again.
func FuzzFromLogRecord(f *testing.F) {
	for _, kind := range []inventory.Kind{inventory.KindSnapshot, inventory.KindDelta, inventory.KindHeartbeat} {
		rl := plog.NewLogs()
		record, resource := written(message(kind))
		at := rl.ResourceLogs().AppendEmpty()
		resource.CopyTo(at.Resource().Attributes())
		record.CopyTo(at.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty())
		wire, err := (&plog.ProtoMarshaler{}).MarshalLogs(rl)
		require.NoError(f, err)
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		ld, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(wire)
		if err != nil {
			return
		}
		for _, rl := range ld.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, record := range sl.LogRecords().All() {
					m, err := FromLogRecord(record, rl.Resource().Attributes())
					if err != nil {
						var format *FormatError
						require.ErrorAs(t, err, &format)
						require.NotEmpty(t, format.Reason)
						continue
					}
					again, err := FromLogRecord(written(m))
					require.NoError(t, err)
					require.Equal(t, m, again)
				}
			}
		}
	})
}
