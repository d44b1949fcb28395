// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshmetricsprocessor/internal/metadatatest"
)

func points1(key, value string, n int64) []metricdata.DataPoint[int64] {
	p := metricdata.DataPoint[int64]{Value: n}
	if key != "" {
		p.Attributes = attribute.NewSet(attribute.String(key, value))
	}
	return []metricdata.DataPoint[int64]{p}
}

// TestOwnTelemetry has one of each happen.
func TestOwnTelemetry(t *testing.T) {
	tel := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, tel.Shutdown(context.WithoutCancel(t.Context()))) })
	config := createDefaultConfig().(*Config)
	config.Directory, config.MaxSeries, config.Drop = t.TempDir(), 1, []string{"envoy_server_uptime"}
	out := &sink{}
	p, err := newMeshMetrics(metadatatest.NewSettings(tel), config, out)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	began := time.Now()
	at := func(n int) time.Time { return began.Add(time.Duration(n) * time.Millisecond) }
	push := func(code string, begin time.Time, n int, value int64) {
		require.NoError(t, p.ConsumeMetrics(t.Context(), pushed("pod", code, begin, at(n), value)))
	}
	push("200", at(0), 1, 5)
	push("503", at(0), 1, 1)
	delta := pushed("pod", "200", at(0), at(9), 4)
	m := delta.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics()
	m.At(0).Sum().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	m.At(0).Sum().DataPoints().At(0).Exemplars().AppendEmpty()
	up := m.AppendEmpty()
	up.SetName("envoy_server_uptime")
	up.SetEmptyGauge().DataPoints().AppendEmpty()
	again := pmetric.NewMetrics()
	delta.CopyTo(again)
	require.NoError(t, p.ConsumeMetrics(t.Context(), delta))
	require.NoError(t, p.ConsumeMetrics(t.Context(), again))
	out.refuse = func() bool { return true }
	require.Equal(t, 2, p.flush(t.Context(), atInterval))
	out.refuse = nil
	require.Zero(t, p.flush(t.Context(), atInterval))

	ignore := metricdatatest.IgnoreTimestamp()
	metadatatest.AssertEqualProcessorMeshMetricsInputPoints(t, tel, []metricdata.DataPoint[int64]{
		points1("outcome", "from_zero", 2)[0], points1("outcome", "counted", 1)[0], points1("outcome", "repeated", 1)[0],
	}, ignore)
	metadatatest.AssertEqualProcessorMeshMetricsOverflowedPoints(t, tel, points1("level", "topology", 1), ignore)
	metadatatest.AssertEqualProcessorMeshMetricsDroppedPoints(t, tel, points1("reason", "configured", 2), ignore)
	metadatatest.AssertEqualProcessorMeshMetricsDroppedExemplars(t, tel, points1("", "", 2), ignore)
	metadatatest.AssertEqualProcessorMeshMetricsRefusedPoints(t, tel, points1("", "", 2), ignore)
	metadatatest.AssertEqualProcessorMeshMetricsOutputPoints(t, tel, points1("", "", 2), ignore)
	metadatatest.AssertEqualProcessorMeshMetricsHandovers(t, tel, points1("reason", "interval", 1), ignore)
	metadatatest.AssertEqualProcessorMeshMetricsInputSeries(t, tel, points1("", "", 2), ignore)
	metadatatest.AssertEqualProcessorMeshMetricsOutputSeries(t, tel, []metricdata.DataPoint[int64]{
		points1("level", "full", 1)[0], points1("level", "topology", 1)[0], points1("level", "total", 0)[0],
	}, ignore)
	metadatatest.AssertEqualProcessorMeshMetricsStateBytes(t, tel, points1("", "", p.store.Bytes()), ignore)
	metadatatest.AssertEqualProcessorMeshMetricsStateFileBytes(t, tel, points1("", "", p.keeper.Size()), ignore)
	metadatatest.AssertEqualProcessorMeshMetricsStateLoads(t, tel, points1("result", "none", 1), ignore)
	metadatatest.AssertEqualProcessorMeshMetricsStateSaves(t, tel, points1("result", "success", 2), ignore)
	require.NoError(t, p.Shutdown(t.Context()))
}

// TestADirectoryThatFails: without a state a restart begins anew, and what can only come once is refused.
func TestADirectoryThatFails(t *testing.T) {
	tel := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, tel.Shutdown(context.WithoutCancel(t.Context()))) })
	config := createDefaultConfig().(*Config)
	config.Directory = filepath.Join(t.TempDir(), "metrics")
	out := &sink{}
	p, err := newMeshMetrics(metadatatest.NewSettings(tel), config, out)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	began := time.Now()
	require.NoError(t, p.ConsumeMetrics(t.Context(), pushed("pod", "200", began, began.Add(time.Millisecond), 5)))
	require.Zero(t, p.flush(t.Context(), atInterval))
	require.NoError(t, os.RemoveAll(config.Directory))
	require.NoError(t, p.ConsumeMetrics(t.Context(), pushed("pod", "200", began, began.Add(2*time.Millisecond), 7)))
	require.Equal(t, 1, p.flush(t.Context(), atInterval), "not handed on: that there is no state cannot be made sure of")
	metadatatest.AssertEqualProcessorMeshMetricsStateSaves(t, tel, []metricdata.DataPoint[int64]{
		points1("result", "success", 1)[0], points1("result", "failure", 1)[0],
	}, metricdatatest.IgnoreTimestamp())
	require.NoError(t, os.MkdirAll(config.Directory, 0o700))
	require.Zero(t, p.flush(t.Context(), atInterval))
	require.EqualValues(t, 7, out.totals["istio_requests_total"].count, "nothing is lost by it")
	require.NoError(t, p.Shutdown(t.Context()))
}

func TestADamagedStateIsSetAside(t *testing.T) {
	tel := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, tel.Shutdown(context.WithoutCancel(t.Context()))) })
	config := createDefaultConfig().(*Config)
	config.Directory = t.TempDir()
	set := metadatatest.NewSettings(tel)
	file := filepath.Join(config.Directory, "mesh_metrics")
	require.NoError(t, os.WriteFile(file, []byte("nothing that we wrote"), 0o600))
	p, err := newMeshMetrics(set, config, &sink{})
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	metadatatest.AssertEqualProcessorMeshMetricsStateLoads(t, tel, points1("result", "damaged", 1), metricdatatest.IgnoreTimestamp())
	require.FileExists(t, file+".damaged")
	second, err := newMeshMetrics(set, config, &sink{})
	require.NoError(t, err)
	require.ErrorContains(t, second.Start(t.Context(), componenttest.NewNopHost()), "'directory' "+config.Directory)
	require.NoError(t, p.Shutdown(t.Context()))
}
