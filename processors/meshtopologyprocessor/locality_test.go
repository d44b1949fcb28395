// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/metadatatest"
)

// fakeFindings is a topology that takes findings.
type fakeFindings struct {
	fakeTopology
	found []topology.Finding
}

func (f *fakeFindings) ReportFinding(finding topology.Finding) { f.found = append(f.found, finding) }

const frontNode = "sidecar~127.1.0.21~productpage-v1-1.bookinfo~bookinfo.svc.cluster.local"

func zonedSpan(key, zone string) ptrace.Traces {
	td := ptrace.NewTraces()
	span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.Attributes().PutStr("node_id", frontNode)
	span.Attributes().PutStr("istio.cluster_id", "aks-westeurope")
	span.Attributes().PutStr(key, zone)
	return td
}

func zonedRecord(region, zone string) plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	for key, value := range map[string]string{
		"envoy.node.id": frontNode, "k8s.cluster.name": "aks-westeurope", "k8s.namespace.name": "bookinfo",
		"k8s.pod.name": "productpage-v1-1", "cloud.region": region, "cloud.availability_zone": zone,
	} {
		rl.Resource().Attributes().PutStr(key, value)
	}
	record := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	record.Attributes().PutStr("upstream_cluster", "inbound|9080||")
	return ld
}

// TestAProxyThatIsElsewhereIsReported: once per pod, whichever signal tells. What the near end says does not change.
func TestAProxyThatIsElsewhereIsReported(t *testing.T) {
	_, snapshot := changing(t)
	held := &fakeFindings{}
	held.Set(snapshot)
	telemetry := componenttest.NewTelemetry()
	factory, traces, logs := NewFactory(), &consumertest.TracesSink{}, &consumertest.LogsSink{}
	spans, err := factory.CreateTraces(context.Background(), metadatatest.NewSettings(telemetry), createDefaultConfig(), traces)
	require.NoError(t, err)
	records, err := factory.CreateLogs(context.Background(), metadatatest.NewSettings(telemetry), createDefaultConfig(), logs)
	require.NoError(t, err)
	require.NoError(t, spans.Start(context.Background(), hostOf(held)))
	require.NoError(t, records.Start(context.Background(), hostOf(held)))

	require.NoError(t, spans.ConsumeTraces(context.Background(), zonedSpan("zone", "1")))
	require.NoError(t, records.ConsumeLogs(context.Background(), zonedRecord("westeurope", "westeurope-1")))
	require.Empty(t, held.found, "they agree")

	require.NoError(t, spans.ConsumeTraces(context.Background(), zonedSpan("zone", "3")))
	require.Len(t, held.found, 1)
	found := held.found[0]
	assert.Equal(t, topology.KindProxyLocality, found.Kind)
	assert.Equal(t, "aks-westeurope", found.Cluster)
	assert.Equal(t, "pod bookinfo/productpage-v1-1", found.Subject)
	for _, part := range []string{`zone "3"`, `zone "westeurope-1"`, "aks-pool-0", "istio-locality", "topology.kubernetes.io"} {
		assert.Contains(t, found.Detail, part)
	}
	assert.WithinDuration(t, time.Now(), found.At, time.Minute)

	require.NoError(t, spans.ConsumeTraces(context.Background(), zonedSpan("envoy.zone", "westeurope-3")))
	require.NoError(t, records.ConsumeLogs(context.Background(), zonedRecord("northeurope", "northeurope-1")))
	assert.Len(t, held.found, 1, "not again within ten minutes")
	metadatatest.AssertEqualProcessorMeshTopologyProxyLocalityConflicts(t, telemetry, counted(3), metricdatatest.IgnoreTimestamp())

	last := traces.AllTraces()[len(traces.AllTraces())-1].ResourceSpans().At(0)
	assert.Equal(t, "westeurope-1", last.Resource().Attributes().AsRaw()["cloud.availability_zone"])
	record := logs.AllLogs()[len(logs.AllLogs())-1].ResourceLogs().At(0)
	assert.Equal(t, "northeurope-1", record.Resource().Attributes().AsRaw()["cloud.availability_zone"], "what the resource says stays")
	assert.Equal(t, "westeurope-1", record.ScopeLogs().At(0).LogRecords().At(0).Attributes().AsRaw()["mesh.destination.zone"])
	require.NoError(t, spans.Shutdown(context.Background()))
	require.NoError(t, records.Shutdown(context.Background()))
}

// TestThePodIsReportedAgainLater, and other pods at once.
func TestThePodIsReportedAgainLater(t *testing.T) {
	_, snapshot := changing(t)
	held := &fakeFindings{}
	held.Set(snapshot)
	m, err := newMeshTopology(metadatatest.NewSettings(componenttest.NewTelemetry()), createDefaultConfig().(*Config))
	require.NoError(t, err)
	require.NoError(t, m.start(context.Background(), hostOf(held)))
	now := onThatDay(10, 10, 0)
	m.now = func() time.Time { return now }
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 1}, {localityPeriod - 1, 1}, {1, 2}} {
		now = now.Add(step.after)
		_, err := m.processTraces(context.Background(), zonedSpan("zone", "3"))
		require.NoError(t, err)
		assert.Len(t, held.found, step.want)
	}
	other := zonedSpan("zone", "3")
	other.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().PutStr("node_id", "sidecar~127.1.0.42~ratings-0.bookinfo~d")
	_, err = m.processTraces(context.Background(), other)
	require.NoError(t, err)
	assert.Len(t, held.found, 3)
	require.NoError(t, m.shutdown(context.Background()))
}
