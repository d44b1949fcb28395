// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// onThatDay returns a moment of the day on which the changing cluster changed.
func onThatDay(hour, minute, second int) time.Time {
	return time.Date(2026, time.January, 1, hour, minute, second, 0, time.UTC)
}

// pod returns a pod of the changing cluster.
func pod(name, workload, kind, address, node string, since, seen time.Time) topology.PodState {
	return topology.PodState{
		PodSpec:   topology.PodSpec{Name: name, Addresses: []netip.Addr{netip.MustParseAddr(address)}, Node: node},
		Namespace: "bookinfo", Workload: workload, Kind: kind, Service: workload, ServiceAccount: workload, Since: since, Seen: seen,
	}
}

// changing is a cluster in which pods came and went:
//
//   - 127.1.0.31 went from reviews (until 10:00:00 to 10:00:05) to details (from 10:00:20 to 10:00:21)
//   - 127.1.0.41 and .42 are two pods of the name ratings-0, until 10:00:00 to 10:00:02 and from 10:00:10 to 10:00:11
//   - 127.1.0.51 went from cart (until 10:00:00 to 10:00:30) to cart2 (from 10:00:10 to 10:00:11)
//   - 127.1.0.61 was given up by stock while nobody watched, between 10:00:00 and 10:05:00
//   - 127.1.0.71 is twin's from 09:00 and other's from 10:07
//   - 127.1.0.81 is frontend's until 10:00:00 to 10:00:01
func changing(t testing.TB) (*topology.Writer, *topology.Snapshot) {
	t.Helper()
	w := topology.NewWriter(topology.WriterSettings{
		History: 24 * time.Hour, Now: func() time.Time { return onThatDay(10, 10, 0) },
	})
	nine := onThatDay(9, 0, 0)
	w.Apply(&topology.Delta{
		Cluster: "aks-westeurope", At: onThatDay(9, 30, 0), Full: true,
		Facts: &topology.ClusterFacts{Region: "westeurope", Network: "vnet-westeurope", TrustDomain: "west.mesh"},
		Nodes: []topology.NodeSpec{{Name: "aks-pool-0", Zone: "westeurope-1"}, {Name: "aks-pool-1", Zone: "westeurope-2"}},
		Pods: []topology.PodState{
			pod("productpage-v1-1", "productpage", "deployment", "127.1.0.21", "aks-pool-0", nine, nine),
			pod("reviews-a", "reviews", "deployment", "127.1.0.31", "aks-pool-1", nine, nine),
			pod("ratings-0", "ratings", "statefulset", "127.1.0.41", "aks-pool-0", nine, nine),
			pod("cart-a", "cart", "deployment", "127.1.0.51", "aks-pool-1", nine, nine),
			pod("stock-a", "stock", "deployment", "127.1.0.61", "aks-pool-1", nine, nine),
			pod("twin-a", "twin", "deployment", "127.1.0.71", "aks-pool-1", nine, nine),
			pod("frontend-a", "frontend", "deployment", "127.1.0.81", "aks-pool-0", nine, nine),
		},
	})
	end := func(name string, latest time.Time, gap bool) topology.PodEnd {
		return topology.PodEnd{Namespace: "bookinfo", Name: name, Earliest: onThatDay(10, 0, 0), Latest: latest, Gap: gap}
	}
	w.Apply(&topology.Delta{Cluster: "aks-westeurope", At: onThatDay(10, 6, 0), GonePods: []topology.PodEnd{
		end("reviews-a", onThatDay(10, 0, 5), false), end("ratings-0", onThatDay(10, 0, 2), false),
		end("cart-a", onThatDay(10, 0, 30), false), end("stock-a", onThatDay(10, 5, 0), true),
		end("frontend-a", onThatDay(10, 0, 1), false),
	}})
	w.Apply(&topology.Delta{Cluster: "aks-westeurope", At: onThatDay(10, 10, 0), Pods: []topology.PodState{
		pod("details-a", "details", "deployment", "127.1.0.31", "aks-pool-0", onThatDay(10, 0, 20), onThatDay(10, 0, 21)),
		pod("ratings-0", "ratings", "statefulset", "127.1.0.42", "aks-pool-1", onThatDay(10, 0, 10), onThatDay(10, 0, 11)),
		pod("cart2-a", "cart2", "deployment", "127.1.0.51", "aks-pool-1", onThatDay(10, 0, 10), onThatDay(10, 0, 11)),
		pod("other-a", "other", "deployment", "127.1.0.71", "aks-pool-1", onThatDay(10, 7, 0), onThatDay(10, 7, 0)),
	}})
	return w, w.Publish()
}

func changingHost(t testing.TB) component.Host {
	t.Helper()
	_, snapshot := changing(t)
	held := &fakeTopology{}
	held.Set(snapshot)
	return hostOf(held)
}

// TestTimes runs every folder of testdata/time through the processor with the changing cluster.
func TestTimes(t *testing.T) {
	inputs, err := filepath.Glob(filepath.Join("testdata", "time", "*", "input.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, inputs)
	for _, input := range inputs {
		folder := filepath.Dir(input)
		t.Run(filepath.Base(folder), func(t *testing.T) {
			data, err := os.ReadFile(input)
			require.NoError(t, err)
			if bytes.HasPrefix(data, []byte("resourceSpans")) {
				runSpans(t, changingHost(t), folder)
			} else {
				runLogs(t, changingHost(t), folder)
			}
		})
	}
}

// TestTimesThatAreBelieved: what is absurd stands for the newest that is known.
func TestTimesThatAreBelieved(t *testing.T) {
	_, snapshot := changing(t)
	now := onThatDay(10, 10, 0)
	b := &batch{snapshot: snapshot, latest: pcommon.NewTimestampFromTime(now.Add(maxAhead))}
	tests := []struct {
		name     string
		own      pcommon.Timestamp
		workload string
	}{
		{"none", 0, "details"},
		{"a number in another unit", pcommon.Timestamp(now.Unix()), "details"},
		{"before 2000", pcommon.NewTimestampFromTime(time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC)), "details"},
		{"2000, when there was no pod", pcommon.NewTimestampFromTime(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)), ""},
		{"the past", pcommon.NewTimestampFromTime(onThatDay(9, 30, 0)), "reviews"},
		{"a clock that is ahead", pcommon.NewTimestampFromTime(now.Add(maxAhead)), "details"},
		{"far ahead", pcommon.NewTimestampFromTime(now.Add(24 * time.Hour)), "details"},
		{"beyond all times", 1<<64 - 1, "details"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, how := b.view(b.when(tt.own)).ByAddress("vnet-westeurope", netip.MustParseAddr("127.1.0.31"))
			if tt.workload == "" {
				assert.Equal(t, topology.NotFound, how)
				return
			}
			require.Equal(t, topology.Found, how)
			assert.Equal(t, tt.workload, p.Workload.Name)
		})
	}
	assert.Zero(t, b.when(pcommon.NewTimestampFromTime(now.Add(maxAhead+1))))
	assert.NotZero(t, b.when(pcommon.NewTimestampFromTime(now.Add(maxAhead))))
}

// TestPointsAreJudgedAtTheirOwnTime: the zone of the reporting pod is the one that it had when the point ended, for
// cumulative points and for deltas.
func TestPointsAreJudgedAtTheirOwnTime(t *testing.T) {
	for _, temporality := range []pmetric.AggregationTemporality{pmetric.AggregationTemporalityCumulative, pmetric.AggregationTemporalityDelta} {
		md := pmetric.NewMetrics()
		rm := md.ResourceMetrics().AppendEmpty()
		for key, value := range map[string]string{"k8s.cluster.name": "aks-westeurope", "k8s.namespace.name": "bookinfo", "k8s.pod.name": "ratings-0"} {
			rm.Resource().Attributes().PutStr(key, value)
		}
		metric := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		metric.SetName("istio_requests_total")
		metric.SetEmptySum().SetAggregationTemporality(temporality)
		for _, at := range []time.Time{onThatDay(9, 59, 0), onThatDay(10, 1, 0), onThatDay(9, 58, 0)} {
			point := metric.Sum().DataPoints().AppendEmpty()
			point.SetStartTimestamp(pcommon.NewTimestampFromTime(onThatDay(9, 30, 0)))
			point.SetTimestamp(pcommon.NewTimestampFromTime(at))
			for key, value := range map[string]string{
				"reporter": "destination", "destination_cluster": "aks-westeurope", "destination_workload": "ratings", "destination_workload_namespace": "bookinfo",
			} {
				point.Attributes().PutStr(key, value)
			}
		}
		out := metricsThrough(t, changingHost(t), createDefaultConfig().(*Config), md)
		points := out.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints()
		for i, zone := range []string{"westeurope-1", "westeurope-2", "westeurope-1"} {
			assert.Equal(t, zone, points.At(i).Attributes().AsRaw()["mesh.destination.zone"])
		}
	}
}

// TestStaleKnowledgeIsMarked: on spans and records, and not on metric points.
func TestStaleKnowledgeIsMarked(t *testing.T) {
	w, snapshot := changing(t)
	held := &fakeTopology{}
	held.Set(snapshot)
	record := func() plog.Logs {
		ld := plog.NewLogs()
		record := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		record.SetTimestamp(pcommon.NewTimestampFromTime(onThatDay(10, 1, 0)))
		record.Attributes().PutStr("upstream_cluster", "outbound|9080||details.bookinfo.svc.cluster.local")
		record.Attributes().PutStr("upstream_host", "127.1.0.31:9080")
		record.Attributes().PutStr("pod_name", "productpage-v1-1")
		record.Attributes().PutStr("pod_namespace", "bookinfo")
		record.Attributes().PutStr("k8s.cluster.name", "aks-westeurope")
		return ld
	}
	said := func(ld plog.Logs) map[string]any {
		return ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().AsRaw()
	}
	cfg := createDefaultConfig().(*Config)
	fresh := logsThrough(t, hostOf(held), cfg, record())
	assert.Equal(t, "details", said(fresh)["mesh.destination.workload"])
	assert.NotContains(t, said(fresh), "mesh.topology.stale")

	// Without another snapshot.
	w.MarkStale("aks-westeurope", onThatDay(10, 9, 0))
	stale := logsThrough(t, hostOf(held), cfg, record())
	assert.Equal(t, "details", said(stale)["mesh.destination.workload"], "what is known is still told")
	assert.Equal(t, true, said(stale)["mesh.topology.stale"])
	assert.NotContains(t, said(logsThrough(t, hostOf(held), cfg, fresh)), "mesh.topology.stale",
		"nothing was told anew, so a hub that is behind does not mark what the agent knew")

	w.MarkStale("aks-westeurope", time.Time{})
	assert.Equal(t, true, said(logsThrough(t, hostOf(held), cfg, stale))["mesh.topology.stale"], "a second processor keeps the mark")
}
