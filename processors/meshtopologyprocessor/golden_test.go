// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/plogtest"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/pmetrictest"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/ptracetest"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/static"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/metadatatest"
)

var update = flag.Bool("update", false, "write expected.yaml anew; read every difference before committing it")

// TestCases runs every folder of testdata: the input through the processor with the folder's config, and once more,
// as an agent's output goes through the hub. The second pass must change nothing.
func TestCases(t *testing.T) {
	inputs, err := filepath.Glob(filepath.Join("testdata", "*", "input.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, inputs)
	for _, input := range inputs {
		folder := filepath.Dir(input)
		t.Run(filepath.Base(folder), func(t *testing.T) {
			data, err := os.ReadFile(input)
			require.NoError(t, err)
			switch {
			case bytes.HasPrefix(data, []byte("resourceSpans")):
				runSpans(t, newHost(t), folder)
			case bytes.HasPrefix(data, []byte("resourceLogs")):
				runLogs(t, newHost(t), folder)
			default:
				runMetrics(t, newHost(t), folder)
			}
		})
	}
}

func runSpans(t *testing.T, host component.Host, folder string) {
	input, err := golden.ReadTraces(filepath.Join(folder, "input.yaml"))
	require.NoError(t, err)
	actual := tracesThrough(t, host, loadConfig(t, folder), input)
	if expected := filepath.Join(folder, "expected.yaml"); *update {
		require.NoError(t, golden.WriteTracesToFile(expected, actual))
	}
	expected, err := golden.ReadTraces(filepath.Join(folder, "expected.yaml"))
	require.NoError(t, err)
	require.NoError(t, ptracetest.CompareTraces(expected, actual))
	hub := tracesThrough(t, host, createDefaultConfig().(*Config), actual)
	require.NoError(t, ptracetest.CompareTraces(expected, hub), "a second pass must change nothing")
}

func runLogs(t *testing.T, host component.Host, folder string) {
	input, err := golden.ReadLogs(filepath.Join(folder, "input.yaml"))
	require.NoError(t, err)
	actual := logsThrough(t, host, loadConfig(t, folder), input)
	if expected := filepath.Join(folder, "expected.yaml"); *update {
		require.NoError(t, golden.WriteLogsToFile(expected, actual))
	}
	expected, err := golden.ReadLogs(filepath.Join(folder, "expected.yaml"))
	require.NoError(t, err)
	require.NoError(t, plogtest.CompareLogs(expected, actual))
	hub := logsThrough(t, host, createDefaultConfig().(*Config), actual)
	require.NoError(t, plogtest.CompareLogs(expected, hub), "a second pass must change nothing")
}

// golden sorts metrics and sets their timestamps when it writes them.
var ignoreOrder = []pmetrictest.CompareMetricsOption{
	pmetrictest.IgnoreResourceMetricsOrder(), pmetrictest.IgnoreMetricsOrder(), pmetrictest.IgnoreMetricDataPointsOrder(),
	pmetrictest.IgnoreTimestamp(),
}

func runMetrics(t *testing.T, host component.Host, folder string) {
	input, err := golden.ReadMetrics(filepath.Join(folder, "input.yaml"))
	require.NoError(t, err)
	actual := metricsThrough(t, host, loadConfig(t, folder), input)
	if expected := filepath.Join(folder, "expected.yaml"); *update {
		require.NoError(t, golden.WriteMetricsToFile(expected, actual))
	}
	expected, err := golden.ReadMetrics(filepath.Join(folder, "expected.yaml"))
	require.NoError(t, err)
	require.NoError(t, pmetrictest.CompareMetrics(expected, actual, ignoreOrder...))
	hub := metricsThrough(t, host, createDefaultConfig().(*Config), actual)
	require.NoError(t, pmetrictest.CompareMetrics(expected, hub, ignoreOrder...), "a second pass must change nothing")
}

func loadConfig(t testing.TB, folder string) *Config {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	file := filepath.Join(folder, "config.yaml")
	if _, err := os.Stat(file); err != nil {
		return cfg
	}
	conf, err := confmaptest.LoadConf(file)
	require.NoError(t, err)
	require.NoError(t, conf.Unmarshal(cfg))
	return cfg
}

// fakeTopology is a host's extension that holds a snapshot.
type fakeTopology struct {
	component.StartFunc
	component.ShutdownFunc
	topology.Store
}

type fakeHost struct {
	component.Host
	extensions map[component.ID]component.Component
}

func (h fakeHost) GetExtensions() map[component.ID]component.Component { return h.extensions }

func newHost(t testing.TB) component.Host {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "topology.yaml"))
	require.NoError(t, err)
	snapshot, err := static.Parse(data, topology.Limits{}, time.Unix(0, 0))
	require.NoError(t, err)
	held := &fakeTopology{}
	held.Set(snapshot)
	return hostOf(held)
}

func hostOf(extension component.Component) component.Host {
	return fakeHost{componenttest.NewNopHost(), map[component.ID]component.Component{component.MustNewID("mesh_topology"): extension}}
}

// newTestHost is the host of the generated lifecycle tests: a collector with an empty topology.
func newTestHost() component.Host {
	return hostOf(&fakeTopology{})
}

func passTraces(t testing.TB, cfg *Config, td ptrace.Traces) ptrace.Traces {
	return tracesThrough(t, newHost(t), cfg, td)
}

func tracesThrough(t testing.TB, host component.Host, cfg *Config, td ptrace.Traces) ptrace.Traces {
	t.Helper()
	sink := &consumertest.TracesSink{}
	p, err := NewFactory().CreateTraces(context.Background(), metadatatest.NewSettings(componenttest.NewTelemetry()), cfg, sink)
	require.NoError(t, err)
	require.NoError(t, p.Start(context.Background(), host))
	in := ptrace.NewTraces()
	td.CopyTo(in)
	require.NoError(t, p.ConsumeTraces(context.Background(), in))
	require.NoError(t, p.Shutdown(context.Background()))
	return sink.AllTraces()[0]
}

func passLogs(t testing.TB, cfg *Config, ld plog.Logs) plog.Logs {
	return logsThrough(t, newHost(t), cfg, ld)
}

func logsThrough(t testing.TB, host component.Host, cfg *Config, ld plog.Logs) plog.Logs {
	t.Helper()
	sink := &consumertest.LogsSink{}
	p, err := NewFactory().CreateLogs(context.Background(), metadatatest.NewSettings(componenttest.NewTelemetry()), cfg, sink)
	require.NoError(t, err)
	require.NoError(t, p.Start(context.Background(), host))
	in := plog.NewLogs()
	ld.CopyTo(in)
	require.NoError(t, p.ConsumeLogs(context.Background(), in))
	require.NoError(t, p.Shutdown(context.Background()))
	return sink.AllLogs()[0]
}

func passMetrics(t testing.TB, cfg *Config, md pmetric.Metrics) pmetric.Metrics {
	return metricsThrough(t, newHost(t), cfg, md)
}

func metricsThrough(t testing.TB, host component.Host, cfg *Config, md pmetric.Metrics) pmetric.Metrics {
	t.Helper()
	sink := &consumertest.MetricsSink{}
	p, err := NewFactory().CreateMetrics(context.Background(), metadatatest.NewSettings(componenttest.NewTelemetry()), cfg, sink)
	require.NoError(t, err)
	require.NoError(t, p.Start(context.Background(), host))
	in := pmetric.NewMetrics()
	md.CopyTo(in)
	require.NoError(t, p.ConsumeMetrics(context.Background(), in))
	require.NoError(t, p.Shutdown(context.Background()))
	return sink.AllMetrics()[0]
}

// TestEveryCaseHasItsAnswer finds a folder whose expected file was forgotten or is empty.
func TestEveryCaseHasItsAnswer(t *testing.T) {
	folders, err := filepath.Glob(filepath.Join("testdata", "*", "input.yaml"))
	require.NoError(t, err)
	for _, input := range folders {
		data, err := os.ReadFile(filepath.Join(filepath.Dir(input), "expected.yaml"))
		require.NoError(t, err)
		require.True(t, strings.Contains(string(data), "cluster"), input)
	}
}
