// SPDX-License-Identifier: Apache-2.0

package envoysemconvprocessor

import (
	"flag"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor/internal/metadatatest"
)

var update = flag.Bool("update", false, "write expected.yaml of the log cases anew; read every difference before committing it")

// requireSame compares all there is, event names and severities too, which the comparison of the golden package leaves out.
func requireSame(t *testing.T, want, got plog.Logs) {
	t.Helper()
	marshaler := plog.JSONMarshaler{}
	wantText, err := marshaler.MarshalLogs(want)
	require.NoError(t, err)
	gotText, err := marshaler.MarshalLogs(got)
	require.NoError(t, err)
	require.JSONEq(t, string(wantText), string(gotText))
}

func readLogs(t testing.TB, name string) plog.Logs {
	t.Helper()
	ld, err := golden.ReadLogs(filepath.Join("testdata", name, "input.yaml"))
	require.NoError(t, err)
	return ld
}

func records(ld plog.Logs) plog.LogRecordSlice {
	return ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
}

// Whichever way JSON comes, as a text, a map or attributes, with numbers or texts, it says the same.
func TestJSONSaysTheSameInEveryForm(t *testing.T) {
	for _, name := range []string{"logs_istio_json", "logs_ztunnel"} {
		got := records(runLogs(t, componenttest.NewTelemetry(), createDefaultConfig().(*Config), readLogs(t, name)))
		first, last := 0, got.Len()-1
		if name == "logs_ztunnel" {
			first, last = 4, 6
		}
		want := got.At(first)
		for i := first + 1; i <= last; i++ {
			record := got.At(i)
			record.Attributes().Remove("log.file.name")
			assert.Equal(t, want.Attributes().AsRaw(), record.Attributes().AsRaw(), "%s %d", name, i)
			assert.Equal(t, want.Timestamp(), record.Timestamp(), "%s %d", name, i)
			assert.Equal(t, want.EventName(), record.EventName(), "%s %d", name, i)
			assert.Equal(t, want.SeverityNumber(), record.SeverityNumber(), "%s %d", name, i)
		}
	}
}

func TestBodyTelemetry(t *testing.T) {
	tel := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(t.Context())) }()
	all := plog.NewLogs()
	for _, name := range []string{"logs_istio_text", "logs_istio_json", "logs_ztunnel", "logs_hostile", "logs_not_envoy"} {
		readLogs(t, name).ResourceLogs().MoveAndAppendTo(all.ResourceLogs())
	}
	runLogs(t, tel, createDefaultConfig().(*Config), all)
	metadatatest.AssertEqualProcessorEnvoySemconvParsedBodies(t, tel, []metricdata.DataPoint[int64]{
		point("format", "istio_text", 13), point("format", "istio_json", 2), point("format", "istio_map", 2),
		point("format", "ztunnel_text", 5), point("format", "ztunnel_json", 1), point("format", "ztunnel_map", 2),
	}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualProcessorEnvoySemconvUnparsedBodies(t, tel, []metricdata.DataPoint[int64]{
		point("reason", "ambiguous_quotes", 4), point("reason", "bad_json", 1), point("reason", "bad_text", 2),
	}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualProcessorEnvoySemconvConflictingAttributes(t, tel,
		[]metricdata.DataPoint[int64]{{Value: 1}}, metricdatatest.IgnoreTimestamp())
}

func TestBodyCeilingIsCounted(t *testing.T) {
	tel := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(t.Context())) }()
	ld := plog.NewLogs()
	add := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	add.AppendEmpty().Body().SetStr("2024-05-04T09:59:05.028709Z\tinfo\taccess\tconnection complete\tnothing")
	add.AppendEmpty().Body().SetStr(`{"upstream_cluster":"` + string(make([]byte, 70000)) + `"}`)
	runLogs(t, tel, createDefaultConfig().(*Config), ld)
	metadatatest.AssertEqualProcessorEnvoySemconvUnparsedBodies(t, tel, []metricdata.DataPoint[int64]{
		point("reason", "bad_ztunnel", 1), point("reason", "too_long", 1),
	}, metricdatatest.IgnoreTimestamp())
}

// What cannot be translated stays where it was.
func TestZtunnelNumbersThatAreNone(t *testing.T) {
	for text, stays := range map[string]bool{"": false, "12": false, "99999999999999999999999": true, "-1": true, "x": true} {
		tel := componenttest.NewTelemetry()
		ld := plog.NewLogs()
		attrs := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Attributes()
		for key, value := range map[string]string{
			"src.addr": "10.0.0.1:4711", "dst.addr": "10.0.0.2:15008", "direction": "inbound", "bytes_sent": text, "bytes_recv": "1",
			"duration": "1ms", "scope": "access",
		} {
			attrs.PutStr(key, value)
		}
		got := records(runLogs(t, tel, createDefaultConfig().(*Config), ld)).At(0)
		require.Equal(t, "ztunnel.access", got.EventName())
		_, there := got.Attributes().Get("bytes_sent")
		assert.Equal(t, stays, there, text)
		require.NoError(t, tel.Shutdown(t.Context()))
	}
}

// A record of the access log service says all of it already, but for the kind of error.
func TestAccessLogServiceGetsItsErrorType(t *testing.T) {
	for name, tt := range map[string]struct {
		in   map[string]any
		want any
	}{
		"failed":           {map[string]any{"http.response.status_code": 503, "envoy.response.flags": "UF"}, "503"},
		"without a status": {map[string]any{"envoy.response.flags": "UF,URX"}, "UF"},
		"gRPC":             {map[string]any{"http.response.status_code": 200, "rpc.grpc.status_code": 14}, "UNAVAILABLE"},
		"gRPC, well":       {map[string]any{"http.response.status_code": 200, "rpc.grpc.status_code": 0}, nil},
		"answered":         {map[string]any{"http.response.status_code": 404}, nil},
		"told":             {map[string]any{"http.response.status_code": 503, "error.type": "mine"}, "mine"},
	} {
		t.Run(name, func(t *testing.T) {
			ld := plog.NewLogs()
			record := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
			record.SetEventName("envoy.access")
			record.Body().SetStr("GET / 503 outbound|80||x")
			require.NoError(t, record.Attributes().FromRaw(tt.in))
			got := records(runLogs(t, componenttest.NewTelemetry(), createDefaultConfig().(*Config), ld)).At(0).Attributes().AsRaw()
			assert.Equal(t, tt.want, got["error.type"])
			delete(got, "error.type")
			delete(tt.in, "error.type")
			assert.Len(t, got, len(tt.in))
		})
	}
}

// What somebody set is not touched: the time at which a line was written, the level, the name.
func TestBodiesFillGapsOnly(t *testing.T) {
	ld := readLogs(t, "logs_istio_text")
	record := records(ld).At(1)
	record.SetTimestamp(5)
	record.SetSeverityText("notice")
	record.SetEventName("mine")
	body := record.Body().Str()
	record.Attributes().PutStr("start_time", "2026-11-01T10:00:00.000Z")
	got := records(runLogs(t, componenttest.NewTelemetry(), createDefaultConfig().(*Config), ld)).At(1)
	assert.EqualValues(t, 5, got.Timestamp())
	assert.Equal(t, "notice", got.SeverityText())
	assert.Equal(t, plog.SeverityNumberUnspecified, got.SeverityNumber())
	assert.Equal(t, "mine", got.EventName())
	assert.Equal(t, body, got.Body().Str())
	start, ok := got.Attributes().Get("start_time")
	assert.True(t, ok, "it is not what the timestamp says")
	assert.Equal(t, "2026-11-01T10:00:00.000Z", start.Str())
}

// FuzzBodies feeds bodies: attributes of others stay, the body stays, and a second pass changes nothing.
func FuzzBodies(f *testing.F) {
	for _, name := range []string{"logs_istio_text", "logs_istio_json", "logs_ztunnel", "logs_hostile"} {
		for _, record := range records(readLogs(f, name)).All() {
			f.Add(record.Body().AsString())
		}
	}
	cfg := createDefaultConfig().(*Config)
	f.Fuzz(func(t *testing.T, body string) {
		tel := componenttest.NewTelemetry()
		counter, err := newCounter(tel.NewTelemetrySettings())
		require.NoError(t, err)
		p := &envoySemconv{cfg: cfg, counter: counter}
		ld := plog.NewLogs()
		record := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		record.Body().SetStr(body)
		record.Attributes().PutStr("foreign", "x")
		once, err := p.processLogs(t.Context(), ld)
		require.NoError(t, err)
		first := records(once).At(0)
		if v, ok := first.Attributes().Get("foreign"); !ok || v.Str() != "x" || first.Body().Str() != body {
			t.Fatal("what was there changed")
		}
		attrs, event := first.Attributes().AsRaw(), first.EventName()
		twice, err := p.processLogs(t.Context(), once)
		require.NoError(t, err)
		second := records(twice).At(0)
		if !reflect.DeepEqual(attrs, second.Attributes().AsRaw()) || event != second.EventName() {
			t.Fatalf("a second pass changed %v to %v", attrs, second.Attributes().AsRaw())
		}
	})
}

// BenchmarkLogs times records that are fresh in each iteration, one of each way of carrying a call.
func BenchmarkLogs(b *testing.B) {
	for name, index := range map[string][2]any{
		"text": {"logs_istio_text", 0}, "json": {"logs_istio_json", 0}, "map": {"logs_istio_json", 1}, "labels": {"logs_istio_json", 2},
		"ztunnel": {"logs_ztunnel", 1}, "not an access log": {"logs_not_envoy", 0},
	} {
		b.Run(name, func(b *testing.B) {
			one := records(readLogs(b, index[0].(string))).At(index[1].(int))
			input := plog.NewLogs()
			to := input.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
			for range 64 {
				one.CopyTo(to.AppendEmpty())
			}
			counter, err := newCounter(componenttest.NewNopTelemetrySettings())
			require.NoError(b, err)
			p := &envoySemconv{cfg: createDefaultConfig().(*Config), counter: counter}
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				ld := plog.NewLogs()
				input.CopyTo(ld)
				b.StartTimer()
				if _, err := p.processLogs(b.Context(), ld); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*64), "ns/record")
		})
	}
}
