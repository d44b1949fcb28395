// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"path/filepath"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
)

func caseRecords(t testing.TB, name string) plog.LogRecordSlice {
	t.Helper()
	ld, err := golden.ReadLogs(filepath.Join("testdata", name, "input.yaml"))
	require.NoError(t, err)
	return ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
}

// Reading a body of text must not allocate; JSON needs what its walk over the keys needs.
func TestReadingBodiesIsCheap(t *testing.T) {
	for name, tt := range map[string]struct {
		record plog.LogRecord
		most   float64
	}{
		"text": {caseRecords(t, "log_istio_json").At(3), 0}, "JSON": {caseRecords(t, "log_istio_json").At(0), 4},
		"map": {caseRecords(t, "log_istio_json").At(1), 4}, "ztunnel": {caseRecords(t, "log_ztunnel").At(0), 0},
	} {
		t.Run(name, func(t *testing.T) {
			var r reading
			allocs := testing.AllocsPerRun(100, func() {
				r = reading{}
				r.record(tt.record)
			})
			assert.LessOrEqual(t, allocs, tt.most)
			assert.True(t, r.proxy)
		})
	}
}

// The end of a line tells the ends of the call, also where the user chose another beginning.
func TestLineWithABeginningOfTheUsersOwn(t *testing.T) {
	record := plog.NewLogRecord()
	record.Body().SetStr(`[my mesh] "whatever" "127.1.0.31:9080" inbound|9080|| 127.0.0.6:43211 127.1.0.31:9080 127.1.0.21:55000 - default`)
	var r reading
	assert.True(t, r.record(record))
	assert.Equal(t, "inbound|9080||", r.call.UpstreamCluster)
	assert.Equal(t, "127.1.0.31:9080", r.upstreamHost)
	assert.Equal(t, "127.1.0.21:55000", r.downstream)
}

// A body fills what the attributes leave open, and overrides none.
func TestTheAttributesCountMoreThanTheBody(t *testing.T) {
	record := plog.NewLogRecord()
	record.Body().SetStr(`{"upstream_cluster":"inbound|1||","upstream_host":"127.1.0.31:1","downstream_remote_address":"127.1.0.21:1","requested_server_name":"b"}`)
	record.Attributes().PutStr("upstream_cluster", "inbound|9080||")
	record.Attributes().PutStr("downstream_remote_address", "127.1.0.21:2")
	var r reading
	assert.True(t, r.record(record))
	assert.Equal(t, "inbound|9080||", r.call.UpstreamCluster)
	assert.Equal(t, "127.1.0.31:1", r.upstreamHost)
	assert.Equal(t, "127.1.0.21:2", r.downstream)
	assert.Equal(t, "b", r.call.SNI)
}

// FuzzBody reads any body, as text and within a map.
func FuzzBody(f *testing.F) {
	for _, name := range []string{"log_istio_json", "log_ztunnel", "log_otlp_text"} {
		for _, record := range caseRecords(f, name).All() {
			f.Add(record.Body().AsString())
		}
	}
	f.Fuzz(func(t *testing.T, body string) {
		record := plog.NewLogRecord()
		record.Body().SetStr(body)
		var r reading
		if !r.record(record) && r.call.Ztunnel != "" {
			t.Fatal("a call of nobody's")
		}
		record.Body().SetEmptyMap().PutStr("upstream_host", body)
		record.Body().Map().PutStr("src.addr", body)
		record.Attributes().PutStr("dst.addr", body)
		r = reading{}
		r.record(record)
	})
}
