// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"flag"
	"path/filepath"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/pmetrictest"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

var update = flag.Bool("update", false, "write expected.yaml anew; read every difference before committing it")

// TestCases runs every folder of testdata: the input, once more a scrape later with twice the values, and a flush.
func TestCases(t *testing.T) {
	inputs, err := filepath.Glob(filepath.Join("testdata", "*", "input.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, inputs)
	for _, input := range inputs {
		t.Run(filepath.Base(filepath.Dir(input)), func(t *testing.T) {
			f := newFixture(t, nil)
			for round := range 2 {
				md, err := golden.ReadMetrics(input)
				require.NoError(t, err)
				for _, rm := range md.ResourceMetrics().All() {
					for _, m := range rm.ScopeMetrics().At(0).Metrics().All() {
						for _, p := range m.Sum().DataPoints().All() {
							p.SetTimestamp(pcommon.NewTimestampFromTime(start.Add(time.Duration(round) * every)))
							p.SetDoubleValue(p.DoubleValue() * float64(round+1))
						}
					}
				}
				require.NoError(t, f.p.ConsumeMetrics(t.Context(), md))
			}
			f.total()
			require.Len(t, f.sink.batches, 1)
			path := filepath.Join(filepath.Dir(input), "expected.yaml")
			if *update {
				require.NoError(t, golden.WriteMetricsToFile(path, f.sink.batches[0]))
			}
			expected, err := golden.ReadMetrics(path)
			require.NoError(t, err)
			require.NoError(t, pmetrictest.CompareMetrics(expected, f.sink.batches[0], pmetrictest.IgnoreMetricDataPointsOrder(),
				pmetrictest.IgnoreTimestamp(), pmetrictest.IgnoreStartTimestamp(),
				pmetrictest.IgnoreResourceMetricsOrder()))
		})
	}
}
