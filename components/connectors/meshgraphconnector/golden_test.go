// SPDX-License-Identifier: Apache-2.0

package meshgraphconnector

import (
	"flag"
	"path/filepath"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/pmetrictest"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

var update = flag.Bool("update", false, "write expected.yaml anew; read every difference before committing it")

// TestCases runs every folder of testdata: what agents send, and what comes of it a minute later.
func TestCases(t *testing.T) {
	inputs, err := filepath.Glob(filepath.Join("testdata", "*", "input.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, inputs)
	for _, input := range inputs {
		t.Run(filepath.Base(filepath.Dir(input)), func(t *testing.T) {
			to := newSink()
			p := start(t, testConfig(t.TempDir()), to, begin)
			md, err := golden.ReadMetrics(input)
			require.NoError(t, err)
			p.takeMetrics(md, begin.Add(time.Second))
			p.step(begin.Add(4*time.Second), false)
			p.step(begin.Add(time.Minute), true)
			p.kill()
			got := edgesAlone(to.batches())
			path := filepath.Join(filepath.Dir(input), "expected.yaml")
			if *update {
				require.NoError(t, golden.WriteMetricsToFile(path, got))
			}
			expected, err := golden.ReadMetrics(path)
			require.NoError(t, err)
			require.NoError(t, pmetrictest.CompareMetrics(expected, got, pmetrictest.IgnoreMetricDataPointsOrder(), pmetrictest.IgnoreMetricsOrder(),
				pmetrictest.IgnoreTimestamp(), pmetrictest.IgnoreStartTimestamp())) // The files have others.
			for _, m := range got.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
				if m.Type() == pmetric.MetricTypeSum {
					require.Equal(t, begin, m.Sum().DataPoints().At(0).StartTimestamp().AsTime())
					require.Equal(t, begin.Add(time.Minute), m.Sum().DataPoints().At(0).Timestamp().AsTime())
				}
			}
		})
	}
}

// edgesAlone are the metrics of edges and costs: others are told by the tests of their packages.
func edgesAlone(list []pmetric.Metrics) pmetric.Metrics {
	all := pmetric.NewMetrics()
	for _, md := range list {
		md.ResourceMetrics().MoveAndAppendTo(all.ResourceMetrics())
	}
	for _, rm := range all.ResourceMetrics().All() {
		rm.ScopeMetrics().At(0).Metrics().RemoveIf(func(m pmetric.Metric) bool {
			return m.Type() == pmetric.MetricTypeGauge && m.Name() != "mesh.edge.mutual_tls.share" && m.Name() != "mesh.edge.connections.open"
		})
	}
	return all
}
