// SPDX-License-Identifier: Apache-2.0

package distribution_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// callsTo are n requests of productpage in westeurope to reviews in a region, as an agent's mesh_metrics reports them.
func callsTo(region, code, flags string, n int64) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("k8s.cluster.name", "aks-westeurope")
	metric := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName("istio_requests_total")
	sum := metric.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	p := sum.DataPoints().AppendEmpty()
	p.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	p.SetIntValue(n)
	for key, value := range map[string]string{
		"mesh.source.cluster": "aks-westeurope", "mesh.source.region": "westeurope", "mesh.source.namespace": "bookinfo",
		"mesh.source.workload": "productpage-v1", "mesh.source.version": "v1",
		"mesh.destination.cluster": "aks-" + region, "mesh.destination.region": region, "mesh.destination.namespace": "bookinfo",
		"mesh.destination.service": "reviews", "mesh.destination.workload": "reviews-v1", "mesh.destination.version": "v1",
		"reporter": "source", "request_protocol": "http", "response_code": code, "response_flags": flags,
	} {
		p.Attributes().PutStr(key, value)
	}
	return md
}

// sequence is the number of the graph's newest interval.
func sequence(t *testing.T) uint64 {
	t.Helper()
	answer, err := http.Head("http://" + standaloneHost + ":13135/api/v1/graph")
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	n, err := strconv.ParseUint(answer.Header.Get("Mesh-Graph-Sequence"), 10, 64)
	require.NoError(t, err)
	return n
}

// total is how many requests the hub's graph has, to reviews in a region.
func total(t *testing.T, region string) uint64 {
	t.Helper()
	answer, err := http.Get("http://" + standaloneHost + ":13135/api/v1/graph")
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	require.Equal(t, http.StatusOK, answer.StatusCode)
	var document struct {
		Edges []struct {
			Callee struct{ Region, Service string }
			Total  struct{ Requests uint64 }
		}
	}
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&document))
	var n uint64
	for _, e := range document.Edges {
		if e.Callee.Region == region && e.Callee.Service == "reviews" {
			n += e.Total.Requests
		}
	}
	return n
}

// told is how many requests of edges came to Application Insights.
func (a *azure) told() (n float64) {
	for _, item := range a.Items(ingestiontest.Filter{Type: "Metric"}) {
		m, ok := item.Envelope.Data.BaseData.(*appinsights.MetricData)
		if ok && m.Metrics[0].Name == "mesh.edge.requests" && m.Properties["mesh.destination.region"] == "westeurope" {
			n += m.Metrics[0].Value
		}
	}
	return n
}

// TestHubKeepsTheGraph holds the shipped hub to what docs/graph.md promises: each request is counted once, also if the hub is
// killed after it took it and the agent sends it again; edges come to Application Insights as metrics and a failover as a
// custom event.
func TestHubKeepsTheGraph(t *testing.T) {
	a := newAzure(t)
	a.anybody = true
	const faster = "yaml:{connectors: {mesh_graph: {interval: 1s, metrics_interval: 4s, failover: {learn: 4s}}}}"
	h := newHub(t, a, []string{"APPLICATION_INSIGHTS_CONNECTION_STRING=" + connectionTo(1, a.url())}, quick("application_insights"), faster)
	first := callsTo("westeurope", "200", "-", 40)
	h.send(t, first)
	h.send(t, first)
	h.kill(t)
	h.run(t)
	h.send(t, first)
	h.send(t, callsTo("westeurope", "200", "-", 2))
	eventually(t, h.stderr, func() bool { return total(t, "westeurope") == 42 })
	eventually(t, h.stderr, func() bool { return a.told() == 42 })

	started := func() bool {
		for _, item := range a.Items(ingestiontest.Filter{Type: "Event"}) {
			if item.Name == "mesh.failover.started" {
				assert.Equal(t, "northeurope", item.Properties()["mesh.failover.to.region"])
				return true
			}
		}
		return false
	}
	// Eight intervals in which calls stay at home are what is usual.
	usual := sequence(t) + 8
	eventually(t, h.stderr, func() bool {
		h.send(t, callsTo("westeurope", "200", "-", 50))
		return sequence(t) >= usual
	})
	require.False(t, started())
	eventually(t, h.stderr, func() bool {
		h.send(t, callsTo("westeurope", "503", "UH", 20))
		h.send(t, callsTo("northeurope", "200", "-", 50))
		return started()
	})
}
