// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
	"github.com/otelcol-mesh/otelcol-mesh/processors/clusteridentityprocessor/claimtest"
)

// TestHostilePod: a pod beside an honest agent plays all tricks through it, in the batches that the agent's honest telemetry is
// in. Nothing arrives as another cluster's or as an inventory, nothing honest is lost, and the agent's queue is not blocked.
func TestHostilePod(t *testing.T) {
	t.Parallel()
	r := newRig(t, 6, ingestiontest.Config{Ledger: markers, MaxRequests: 1 << 20})
	root := pkitest.New(t, "root")
	hub := r.startHub(r.hubFiles(root, root))
	own := newFiles(t)
	root.Issue(t, agentLeaf(west)).Write(t, own.own)
	pkitest.WriteBundle(t, own.trust, root)
	agent := r.startAgent(10, west, own)
	l := newLoad(t)
	l.proxy(agent, 0, 50*time.Millisecond)
	conn := plainConnection(t, agent.host)
	sent := 0
	for _, trick := range append(claimtest.OfResources(), claimtest.OfItems()...) {
		on := trick.On
		if on == nil {
			on = []string{claimtest.Traces, claimtest.Logs, claimtest.Metrics}
		}
		for _, signal := range on {
			e := claimtest.New(signal)
			trick.Do(e.Add("hostile " + trick.Name))
			require.NoError(t, deliver(t.Context(), conn, e.Request()), trick.Name)
			sent++
		}
	}
	// What nobody but the inventory tells: who has which address.
	s := newSpoke(west, "uid-of-west", "10.66.0.1", time.Now().UnixNano())
	for _, request := range []plogotlp.ExportRequest{s.snapshot(), s.heartbeat(), newSpoke(north, "uid-of-north", "10.66.0.1", 1).snapshot()} {
		require.NoError(t, deliver(t.Context(), conn, request))
	}
	l.finish()
	hub.eventually("the honest spans arrive", func() bool { return l.missing(r.server) == 0 })
	hub.eventually("the agent's queue is empty", func() bool { return agent.metric("otelcol_exporter_queue_size") == 0 })
	hub.eventually("so is the hub's", func() bool { return hub.metric("otelcol_exporter_queue_size") == 0 })
	passed := 0
	for _, item := range r.server.Items(ingestiontest.Filter{}) {
		properties := item.Properties()
		for _, key := range []string{"k8s.cluster.name", "istio.cluster_id"} {
			assert.NotEqual(t, north, properties[key], "%s %v", item.Role, properties)
		}
		assert.NotContains(t, item.Role, north)
		if strings.HasPrefix(item.Role, "hostile") {
			passed++
		}
	}
	var answer struct{ Clusters []struct{ Name string } }
	hub.topology("/topology/clusters", &answer)
	assert.Empty(t, answer.Clusters)
	assert.Positive(t, agent.metric("otelcol_processor_mesh_topology_inventory_rejected", `reason="not_here"`))
	t.Logf("%d crafted requests through an honest agent: %.0f resources rejected at the hub, %d passed as the agent's own cluster; %d honest spans, lost 0",
		sent, hub.metric("otelcol_processor_cluster_identity_flagged_resources", `action="rejected"`), passed, l.sent())
}
