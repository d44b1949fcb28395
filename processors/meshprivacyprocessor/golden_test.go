// SPDX-License-Identifier: Apache-2.0

package meshprivacyprocessor

import (
	"context"
	"flag"
	"path/filepath"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/plogtest"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/pmetrictest"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/ptracetest"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshprivacyprocessor/internal/metadatatest"
)

var update = flag.Bool("update", false, "write expected.yaml anew; read every difference before committing it")

// TestCases runs the folders of testdata with the defaults, each twice: the second pass must change nothing.
func TestCases(t *testing.T) {
	p, err := newMeshPrivacy(metadatatest.NewSettings(componenttest.NewTelemetry()), createDefaultConfig().(*Config))
	require.NoError(t, err)
	ctx := context.Background()
	t.Run("span_envoy", func(t *testing.T) {
		expected := filepath.Join("testdata", "span_envoy", "expected.yaml")
		td, err := golden.ReadTraces(filepath.Join("testdata", "span_envoy", "input.yaml"))
		require.NoError(t, err)
		for range 2 {
			td, _ = p.processTraces(ctx, td)
			if *update {
				require.NoError(t, golden.WriteTracesToFile(expected, td))
			}
			want, err := golden.ReadTraces(expected)
			require.NoError(t, err)
			require.NoError(t, ptracetest.CompareTraces(want, td))
		}
	})
	t.Run("log_access_text", func(t *testing.T) {
		expected := filepath.Join("testdata", "log_access_text", "expected.yaml")
		ld, err := golden.ReadLogs(filepath.Join("testdata", "log_access_text", "input.yaml"))
		require.NoError(t, err)
		for range 2 {
			ld, _ = p.processLogs(ctx, ld)
			if *update {
				require.NoError(t, golden.WriteLogsToFile(expected, ld))
			}
			want, err := golden.ReadLogs(expected)
			require.NoError(t, err)
			require.NoError(t, plogtest.CompareLogs(want, ld))
		}
	})
	t.Run("metric_exemplar", func(t *testing.T) {
		expected := filepath.Join("testdata", "metric_exemplar", "expected.yaml")
		md, err := golden.ReadMetrics(filepath.Join("testdata", "metric_exemplar", "input.yaml"))
		require.NoError(t, err)
		for range 2 {
			md, _ = p.processMetrics(ctx, md)
			if *update {
				require.NoError(t, golden.WriteMetricsToFile(expected, md))
			}
			want, err := golden.ReadMetrics(expected)
			require.NoError(t, err)
			require.NoError(t, pmetrictest.CompareMetrics(want, md, pmetrictest.IgnoreTimestamp()))
		}
	})
}
