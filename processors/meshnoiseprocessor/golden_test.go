// SPDX-License-Identifier: Apache-2.0

package meshnoiseprocessor

import (
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
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshnoiseprocessor/internal/metadatatest"
)

var update = flag.Bool("update", false, "write expected.yaml anew; read every difference before committing it")

// TestCases runs every folder of testdata: the input through the processor with the folder's config, and once more. The
// second pass must change nothing.
func TestCases(t *testing.T) {
	folders, err := filepath.Glob(filepath.Join("testdata", "*", "input.yaml"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(folders), 9)
	for _, input := range folders {
		folder := filepath.Dir(input)
		t.Run(filepath.Base(folder), func(t *testing.T) {
			cfg := loadConfig(t, folder)
			switch name := filepath.Base(folder); {
			case strings.HasPrefix(name, "span_"):
				checkSpans(t, folder, cfg)
			case strings.HasPrefix(name, "log_"):
				checkLogs(t, folder, cfg)
			default:
				checkMetrics(t, folder, cfg)
			}
		})
	}
}

func checkSpans(t *testing.T, folder string, cfg *Config) {
	input, err := golden.ReadTraces(filepath.Join(folder, "input.yaml"))
	require.NoError(t, err)
	actual := passTraces(t, componenttest.NewTelemetry(), cfg, input)
	if *update {
		require.NoError(t, golden.WriteTracesToFile(filepath.Join(folder, "expected.yaml"), actual))
	}
	expected, err := golden.ReadTraces(filepath.Join(folder, "expected.yaml"))
	require.NoError(t, err)
	require.NoError(t, ptracetest.CompareTraces(expected, actual))
	again := passTraces(t, componenttest.NewTelemetry(), cfg, actual)
	require.NoError(t, ptracetest.CompareTraces(expected, again), "a second pass must change nothing")
}

func checkLogs(t *testing.T, folder string, cfg *Config) {
	input, err := golden.ReadLogs(filepath.Join(folder, "input.yaml"))
	require.NoError(t, err)
	actual := passLogs(t, componenttest.NewTelemetry(), cfg, input)
	if *update {
		require.NoError(t, golden.WriteLogsToFile(filepath.Join(folder, "expected.yaml"), actual))
	}
	expected, err := golden.ReadLogs(filepath.Join(folder, "expected.yaml"))
	require.NoError(t, err)
	require.NoError(t, plogtest.CompareLogs(expected, actual))
	again := passLogs(t, componenttest.NewTelemetry(), cfg, actual)
	require.NoError(t, plogtest.CompareLogs(expected, again), "a second pass must change nothing")
}

// golden sorts metrics and sets their timestamps when it writes them.
var ignoreOrder = []pmetrictest.CompareMetricsOption{
	pmetrictest.IgnoreResourceMetricsOrder(), pmetrictest.IgnoreMetricsOrder(), pmetrictest.IgnoreMetricDataPointsOrder(),
	pmetrictest.IgnoreTimestamp(),
}

func checkMetrics(t *testing.T, folder string, cfg *Config) {
	input, err := golden.ReadMetrics(filepath.Join(folder, "input.yaml"))
	require.NoError(t, err)
	actual := passMetrics(t, componenttest.NewTelemetry(), cfg, input)
	if *update {
		require.NoError(t, golden.WriteMetricsToFile(filepath.Join(folder, "expected.yaml"), actual))
	}
	expected, err := golden.ReadMetrics(filepath.Join(folder, "expected.yaml"))
	require.NoError(t, err)
	require.NoError(t, pmetrictest.CompareMetrics(expected, actual, ignoreOrder...))
	again := passMetrics(t, componenttest.NewTelemetry(), cfg, actual)
	require.NoError(t, pmetrictest.CompareMetrics(expected, again, ignoreOrder...), "a second pass must change nothing")
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
	require.NoError(t, cfg.Validate())
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
	return fakeHost{componenttest.NewNopHost(), map[component.ID]component.Component{component.MustNewID("mesh_topology"): held}}
}

func passTraces(t testing.TB, tel *componenttest.Telemetry, cfg *Config, td ptrace.Traces) ptrace.Traces {
	t.Helper()
	sink := &consumertest.TracesSink{}
	p, err := NewFactory().CreateTraces(context.Background(), metadatatest.NewSettings(tel), cfg, sink)
	require.NoError(t, err)
	require.NoError(t, p.Start(context.Background(), newHost(t)))
	in := ptrace.NewTraces()
	td.CopyTo(in)
	require.NoError(t, p.ConsumeTraces(context.Background(), in))
	require.NoError(t, p.Shutdown(context.Background()))
	if len(sink.AllTraces()) == 0 {
		return ptrace.NewTraces()
	}
	return sink.AllTraces()[0]
}

func passLogs(t testing.TB, tel *componenttest.Telemetry, cfg *Config, ld plog.Logs) plog.Logs {
	t.Helper()
	sink := &consumertest.LogsSink{}
	p, err := NewFactory().CreateLogs(context.Background(), metadatatest.NewSettings(tel), cfg, sink)
	require.NoError(t, err)
	require.NoError(t, p.Start(context.Background(), newHost(t)))
	in := plog.NewLogs()
	ld.CopyTo(in)
	require.NoError(t, p.ConsumeLogs(context.Background(), in))
	require.NoError(t, p.Shutdown(context.Background()))
	if len(sink.AllLogs()) == 0 {
		return plog.NewLogs()
	}
	return sink.AllLogs()[0]
}

func passMetrics(t testing.TB, tel *componenttest.Telemetry, cfg *Config, md pmetric.Metrics) pmetric.Metrics {
	t.Helper()
	sink := &consumertest.MetricsSink{}
	p, err := NewFactory().CreateMetrics(context.Background(), metadatatest.NewSettings(tel), cfg, sink)
	require.NoError(t, err)
	require.NoError(t, p.Start(context.Background(), newHost(t)))
	in := pmetric.NewMetrics()
	md.CopyTo(in)
	require.NoError(t, p.ConsumeMetrics(context.Background(), in))
	require.NoError(t, p.Shutdown(context.Background()))
	if len(sink.AllMetrics()) == 0 {
		return pmetric.NewMetrics()
	}
	return sink.AllMetrics()[0]
}
