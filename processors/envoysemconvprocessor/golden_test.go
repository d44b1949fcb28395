// SPDX-License-Identifier: Apache-2.0

package envoysemconvprocessor

import (
	"path/filepath"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/plogtest"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/ptracetest"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/processors/envoysemconvprocessor/internal/metadatatest"
)

// spanCases name the folders of testdata whose input is spans.
var spanCases = []string{
	"kiali_bookinfo", "grpc", "status_503_unset", "downstream_disconnect", "gateway", "new_encoding", "both_encodings",
	"unparsable", "not_envoy", "keep_originals", "keep_originals_list", "new_encoding_only", "errors", "protocols",
	"span_names", "double_spans_prefer_proxy", "double_spans_prefer_application", "double_spans_keep",
}

// logCases name the folders of testdata whose input is log records.
var logCases = []string{
	"logs_istio", "logs_not_envoy", "logs_istio_text", "logs_istio_json", "logs_ztunnel", "logs_hostile", "logs_bodies_off",
}

func TestSpans(t *testing.T) {
	for _, name := range spanCases {
		t.Run(name, func(t *testing.T) {
			input, err := golden.ReadTraces(filepath.Join("testdata", name, "input.yaml"))
			require.NoError(t, err)
			expected, err := golden.ReadTraces(filepath.Join("testdata", name, "expected.yaml"))
			require.NoError(t, err)

			actual := runTraces(t, componenttest.NewTelemetry(), loadConfig(t, name), input)
			require.NoError(t, ptracetest.CompareTraces(expected, actual))
			again := runTraces(t, componenttest.NewTelemetry(), loadConfig(t, name), actual)
			require.NoError(t, ptracetest.CompareTraces(expected, again), "a second pass must change nothing")
		})
	}
}

func TestLogs(t *testing.T) {
	for _, name := range logCases {
		t.Run(name, func(t *testing.T) {
			input, err := golden.ReadLogs(filepath.Join("testdata", name, "input.yaml"))
			require.NoError(t, err)
			expected, err := golden.ReadLogs(filepath.Join("testdata", name, "expected.yaml"))
			require.NoError(t, err)

			actual := runLogs(t, componenttest.NewTelemetry(), loadConfig(t, name), input)
			if *update {
				require.NoError(t, golden.WriteLogsToFile(filepath.Join("testdata", name, "expected.yaml"), actual))
			}
			requireSame(t, expected, actual)
			require.NoError(t, plogtest.CompareLogs(expected, actual))
			again := runLogs(t, componenttest.NewTelemetry(), loadConfig(t, name), actual)
			require.NoError(t, plogtest.CompareLogs(expected, again), "a second pass must change nothing")
		})
	}
}

func loadConfig(t *testing.T, name string) *Config {
	t.Helper()
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", name, "config.yaml"))
	require.NoError(t, err)
	sub, err := conf.Sub("envoy_semconv")
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, sub.Unmarshal(cfg))
	return cfg
}

func runTraces(t *testing.T, tel *componenttest.Telemetry, cfg component.Config, input ptrace.Traces) ptrace.Traces {
	t.Helper()
	sink := new(consumertest.TracesSink)
	p, err := NewFactory().CreateTraces(t.Context(), metadatatest.NewSettings(tel), cfg, sink)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, p.ConsumeTraces(t.Context(), input))
	require.NoError(t, p.Shutdown(t.Context()))
	require.Len(t, sink.AllTraces(), 1)
	return sink.AllTraces()[0]
}

func runLogs(t *testing.T, tel *componenttest.Telemetry, cfg component.Config, input plog.Logs) plog.Logs {
	t.Helper()
	sink := new(consumertest.LogsSink)
	p, err := NewFactory().CreateLogs(t.Context(), metadatatest.NewSettings(tel), cfg, sink)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, p.ConsumeLogs(t.Context(), input))
	require.NoError(t, p.Shutdown(t.Context()))
	require.Len(t, sink.AllLogs(), 1)
	return sink.AllLogs()[0]
}
