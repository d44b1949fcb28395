// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"path/filepath"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/components/exporters/applicationinsightsexporter/internal/items"
)

// signalInputs returns inputs of our own by the golden file of each, and those that the cases of the processors before the
// exporter end in: whatever the mesh makes of logs and metrics.
func signalInputs(t *testing.T, signal, prefix string) map[string]string {
	t.Helper()
	inputs := map[string]string{}
	own, err := filepath.Glob(filepath.Join("testdata", signal, "*", "input.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, own)
	for _, file := range own {
		inputs[filepath.Join(filepath.Dir(file), "expected.ndjson")] = file
	}
	for _, processor := range []string{"meshtopologyprocessor", "envoysemconvprocessor"} {
		theirs, err := filepath.Glob(filepath.Join(root, "processors", processor, "testdata", prefix+"*", "expected.yaml"))
		require.NoError(t, err)
		for _, file := range theirs {
			inputs[filepath.Join("testdata", signal+"_of_processors", filepath.Base(filepath.Dir(file))+".ndjson")] = file
		}
	}
	require.Greater(t, len(inputs), len(own)+2, "the processors' cases moved")
	return inputs
}

func TestLogCases(t *testing.T) {
	for expected, input := range signalInputs(t, "logs", "log") {
		t.Run(expected, func(t *testing.T) {
			ld, err := golden.ReadLogs(input)
			require.NoError(t, err)
			m, seen := newTestMapper(t, loadSettings(t, filepath.Dir(expected)))
			batch := &items.Batch{}
			m.Logs(ld, batch)
			require.Equal(t, ld.LogRecordCount(), batch.Sources(), "one item for each record")
			compareGolden(t, expected, batch, seen)
			acceptAll(t, batch)
		})
	}
}

func TestMetricCases(t *testing.T) {
	for expected, input := range signalInputs(t, "metrics", "metric") {
		t.Run(expected, func(t *testing.T) {
			md, err := golden.ReadMetrics(input)
			require.NoError(t, err)
			m, seen := newTestMapper(t, loadSettings(t, filepath.Dir(expected)))
			batch := &items.Batch{}
			m.Metrics(md, batch)
			require.Equal(t, md.DataPointCount(), batch.Sources()+seen.pointsMerged+seen.pointsStale+seen.pointsEmpty, "each point is accounted for")
			compareGolden(t, expected, batch, seen)
			acceptAll(t, batch)
		})
	}
}
