// SPDX-License-Identifier: Apache-2.0

package envoyreceiver

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	alssvc "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	metricsvc "github.com/envoyproxy/go-control-plane/envoy/service/metrics/v3"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/pmetrictest"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/metadatatest"
)

var update = flag.Bool("update", false, "write the expected files of the golden tests anew")

// goldenTime is when each message of a golden test arrives.
var goldenTime = time.Date(2026, 11, 22, 21, 9, 1, 0, time.UTC)

// goldenSkipped are the parts that cases leave out on purpose.
var goldenSkipped = map[string]map[string]int64{
	"filter_state": {"filter_state_type": 2},
	"peers_obj":    {"peer_malformed": 1},
	"peers_wasm":   {"peer_field": 5},
	"histogram":    {"summary_duplicates_histogram": 1, "inconsistent_histogram": 1},
	"summary":      {"nan_quantile": 1},
	"unsupported":  {"unsupported_metric": 4},
}

// TestGoldenLogs converts testdata/logs/<case>/input.json, a message with its identifier.
func TestGoldenLogs(t *testing.T) {
	for _, dir := range caseDirs(t, "testdata/logs") {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			tt := componenttest.NewTelemetry()
			defer shutdownTelemetry(t, tt)
			r, sink := newTestReceiver(t, tt, func(cfg *Config) { cfg.Logs.MetadataNamespaces = []string{"istio"} })
			message := &alssvc.StreamAccessLogsMessage{}
			h := newLogsHandler(r, newDelivery(r, signalLogs, t.Context()))
			require.NoError(t, h.handle(readMessage(t, filepath.Join(dir, "input.json"), message)))
			requireSameLogs(t, filepath.Join(dir, "expected.yaml"), sink.logs.AllLogs()[0])
			requireSkipped(t, tt, signalLogs, goldenSkipped[filepath.Base(dir)])
		})
	}
}

// TestGoldenMetrics converts testdata/metrics/<case>/1.json, 2.json and so on, the messages of one stream.
func TestGoldenMetrics(t *testing.T) {
	for _, dir := range caseDirs(t, "testdata/metrics") {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			tt := componenttest.NewTelemetry()
			defer shutdownTelemetry(t, tt)
			r, sink := newTestReceiver(t, tt, nil)
			makeHandler, err := newMetricsHandlers(r)
			require.NoError(t, err)
			h := makeHandler(r, newDelivery(r, signalMetrics, t.Context()))
			defer h.close()
			inputs, err := filepath.Glob(filepath.Join(dir, "*.json"))
			require.NoError(t, err)
			for i := range inputs {
				name := strconv.Itoa(i + 1)
				data := readMessage(t, filepath.Join(dir, name+".json"), &metricsvc.StreamMetricsMessage{})
				require.NoError(t, h.handle(data))
				all := sink.metrics.AllMetrics()
				requireSameMetrics(t, filepath.Join(dir, name+".yaml"), all[len(all)-1])
			}
			requireSkipped(t, tt, signalMetrics, goldenSkipped[filepath.Base(dir)])
		})
	}
}

func caseDirs(t *testing.T, root string) []string {
	dirs, err := filepath.Glob(filepath.Join(root, "*"))
	require.NoError(t, err)
	require.NotEmpty(t, dirs)
	return dirs
}

func readMessage(t testing.TB, file string, message proto.Message) []byte {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, protojson.Unmarshal(text, message), file)
	data, err := proto.Marshal(message)
	require.NoError(t, err)
	return data
}

// requireSameLogs compares all there is, as JSON: the order of attributes counts too.
func requireSameLogs(t *testing.T, file string, got plog.Logs) {
	if *update {
		require.NoError(t, golden.WriteLogsToFile(file, got))
	}
	want, err := golden.ReadLogs(file)
	require.NoError(t, err)
	marshaler := plog.JSONMarshaler{}
	wantText, err := marshaler.MarshalLogs(want)
	require.NoError(t, err)
	gotText, err := marshaler.MarshalLogs(got)
	require.NoError(t, err)
	require.JSONEq(t, string(wantText), string(gotText))
}

func requireSameMetrics(t *testing.T, file string, got pmetric.Metrics) {
	if *update {
		require.NoError(t, golden.WriteMetricsToFile(file, got, golden.SkipMetricTimestampNormalization()))
	}
	want, err := golden.ReadMetrics(file)
	require.NoError(t, err)
	require.NoError(t, pmetrictest.CompareMetrics(want, got,
		pmetrictest.IgnoreMetricsOrder(), pmetrictest.IgnoreMetricDataPointsOrder()))
}

func requireSkipped(t *testing.T, tt *componenttest.Telemetry, s signal, want map[string]int64) {
	if len(want) == 0 {
		_, err := tt.GetMetric("otelcol_receiver_envoy_values_skipped")
		require.Error(t, err, "nothing may be skipped")
		return
	}
	points := make([]metricdata.DataPoint[int64], 0, len(want))
	for why, n := range want {
		points = append(points, point(n, s, reason(why)))
	}
	metadatatest.AssertEqualReceiverEnvoyValuesSkipped(t, tt, points, ignoreTime)
}
