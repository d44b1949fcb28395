// SPDX-License-Identifier: Apache-2.0

package clusteridentityprocessor

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/plogtest"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/pmetrictest"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/ptracetest"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap/confmaptest"
)

var update = flag.Bool("update", false, "write expected.yaml anew; read every difference before committing it")

// TestCases runs every folder of testdata through the processor with the folder's config, as sent by the agent of aks-west.
func TestCases(t *testing.T) {
	inputs, err := filepath.Glob(filepath.Join("testdata", "*", "input.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, inputs)
	for _, input := range inputs {
		folder := filepath.Dir(input)
		t.Run(filepath.Base(folder), func(t *testing.T) {
			data, err := os.ReadFile(input)
			require.NoError(t, err)
			cfg := createDefaultConfig().(*Config)
			if conf, err := confmaptest.LoadConf(filepath.Join(folder, "config.yaml")); err == nil {
				require.NoError(t, conf.Unmarshal(cfg))
			}
			switch {
			case bytes.HasPrefix(data, []byte("resourceSpans")):
				runTraces(t, cfg, folder)
			case bytes.HasPrefix(data, []byte("resourceLogs")):
				runLogs(t, cfg, folder)
			default:
				runMetrics(t, cfg, folder)
			}
		})
	}
}

func runTraces(t *testing.T, cfg *Config, folder string) {
	td, err := golden.ReadTraces(filepath.Join(folder, "input.yaml"))
	require.NoError(t, err)
	td, err = newTested(t, cfg, traces).processTraces(from(t, west), td)
	require.NoError(t, err)
	file := filepath.Join(folder, "expected.yaml")
	if *update {
		require.NoError(t, golden.WriteTracesToFile(file, td))
	}
	want, err := golden.ReadTraces(file)
	require.NoError(t, err)
	require.NoError(t, ptracetest.CompareTraces(want, td))
}

func runLogs(t *testing.T, cfg *Config, folder string) {
	ld, err := golden.ReadLogs(filepath.Join(folder, "input.yaml"))
	require.NoError(t, err)
	ld, err = newTested(t, cfg, logs).processLogs(from(t, west), ld)
	require.NoError(t, err)
	file := filepath.Join(folder, "expected.yaml")
	if *update {
		require.NoError(t, golden.WriteLogsToFile(file, ld))
	}
	want, err := golden.ReadLogs(file)
	require.NoError(t, err)
	require.NoError(t, plogtest.CompareLogs(want, ld))
}

func runMetrics(t *testing.T, cfg *Config, folder string) {
	md, err := golden.ReadMetrics(filepath.Join(folder, "input.yaml"))
	require.NoError(t, err)
	md, err = newTested(t, cfg, metrics).processMetrics(from(t, west), md)
	require.NoError(t, err)
	file := filepath.Join(folder, "expected.yaml")
	if *update {
		require.NoError(t, golden.WriteMetricsToFile(file, md))
	}
	want, err := golden.ReadMetrics(file)
	require.NoError(t, err)
	require.NoError(t, pmetrictest.CompareMetrics(want, md, pmetrictest.IgnoreTimestamp()))
}
