// SPDX-License-Identifier: Apache-2.0

package meshinventoryreceiver

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// counter returns the values of a metric by its only attribute, "" if it has none.
func counter(t *testing.T, tt *componenttest.Telemetry, name string) map[string]int64 {
	m, err := tt.GetMetric(name)
	require.NoError(t, err)
	values := map[string]int64{}
	add := func(points []metricdata.DataPoint[int64]) {
		for _, p := range points {
			key := ""
			if p.Attributes.Len() > 0 {
				kv, _ := p.Attributes.Get(0)
				key = kv.Value.AsString()
			}
			values[key] = p.Value
		}
	}
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		add(data.DataPoints)
	case metricdata.Gauge[int64]:
		add(data.DataPoints)
	default:
		t.Fatalf("%s is %T", name, m.Data)
	}
	return values
}

func TestOwnMetrics(t *testing.T) {
	in(t, nil, func(t *testing.T, w *world) {
		const prefix = "otelcol_receiver_mesh_inventory_"
		require.Equal(t, map[string]int64{"": 0}, counter(t, w.tt, prefix+"leader"))
		w.lead(100)
		w.source.set(func(f *fakeSource) { f.counts.Lists, f.counts.Watches, f.counts.Failures = 5, 7, 1 })
		w.emit(full(31, time.Now()))
		w.pass(2 * time.Second)
		require.Equal(t, map[string]int64{"": 1}, counter(t, w.tt, prefix+"leader"))
		require.Equal(t, map[string]int64{"pod": 31, "ended_pod": 0, "node": 2, "service": 1, "gateway": 0}, counter(t, w.tt, prefix+"objects"))
		require.Equal(t, map[string]int64{"": 5}, counter(t, w.tt, prefix+"kubernetes_lists"))
		require.Equal(t, map[string]int64{"": 7}, counter(t, w.tt, prefix+"kubernetes_watches"))
		require.Equal(t, map[string]int64{"": 1}, counter(t, w.tt, prefix+"kubernetes_failures"))
		require.Equal(t, map[string]int64{"begin": 1}, counter(t, w.tt, prefix+"snapshots"))
		age, err := w.tt.GetMetric(prefix + "last_confirmed_age")
		require.NoError(t, err)
		require.InDelta(t, 2, age.Data.(metricdata.Gauge[float64]).DataPoints[0].Value, 0.01)

		w.pipeline.setAnswer(func(context.Context, plog.Logs) error { return errors.New("the queue is full") })
		w.emit(topology.Delta{At: time.Now(), Pods: []topology.PodState{pod(40, w.began)}})
		w.pass(5 * time.Second)
		w.pipeline.setAnswer(nil)
		w.pass(20 * time.Second)
		size := 0
		for _, m := range w.messages() {
			size += len(m.Body)
		}
		require.Equal(t, map[string]int64{"snapshot": 1, "delta": 1, "heartbeat": 1}, counter(t, w.tt, prefix+"messages_sent"))
		total := int64(0)
		for _, n := range counter(t, w.tt, prefix+"bytes_sent") {
			total += n
		}
		require.EqualValues(t, size, total)
		require.Positive(t, counter(t, w.tt, prefix+"send_failures")["retryable"])

		w.source.set(func(f *fakeSource) { f.counts.Lists = 6 })
		w.elector.lose <- struct{}{}
		w.pass(time.Second)
		require.Equal(t, map[string]int64{"": 0}, counter(t, w.tt, prefix+"leader"))
		require.Equal(t, map[string]int64{"": 6}, counter(t, w.tt, prefix+"kubernetes_lists"), "counted to the end")
		w.lead(200)
		w.pass(2 * time.Second)
		require.Equal(t, map[string]int64{"": 12}, counter(t, w.tt, prefix+"kubernetes_lists"), "a term has a source of its own")
	})
}

func TestFindingsAreLoggedOnceAndCounted(t *testing.T) {
	tt := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tt.Shutdown(context.Background())) }()
	own, err := newTelemetry(tt.NewTelemetrySettings())
	require.NoError(t, err)
	core, logs := observer.New(zap.InfoLevel)
	f := &findings{telemetry: own, logger: zap.New(core)}
	for range 3 {
		f.report(topology.Finding{Kind: topology.KindAddressConflict, Subject: "pod a/b", Detail: "Two pods have 10.0.0.1."})
	}
	f.report(topology.Finding{Kind: topology.KindKubernetesForbidden, Subject: "pods", Detail: "Let it.", Severity: topology.SeverityInfo})
	require.Len(t, logs.All(), 2)
	require.Equal(t, zap.WarnLevel, logs.All()[0].Level)
	require.Equal(t, zap.InfoLevel, logs.All()[1].Level)
	require.Equal(t, map[string]int64{topology.KindAddressConflict: 3, topology.KindKubernetesForbidden: 1},
		counter(t, tt, "otelcol_receiver_mesh_inventory_findings"))

	now := time.Now()
	require.False(t, f.news(findingKey{topology.KindAddressConflict, "pod a/b"}, now))
	require.True(t, f.news(findingKey{topology.KindAddressConflict, "pod a/b"}, now.Add(findingQuiet+time.Second)))
	for i := range 2 * maxFindings {
		f.news(findingKey{"k", strconv.Itoa(i)}, now)
	}
	require.LessOrEqual(t, len(f.logged), maxFindings)
}
