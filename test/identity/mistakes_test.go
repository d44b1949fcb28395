// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// onlyWest is a hub that was not told of the other clusters yet.
const onlyWest = `extensions:
  cluster_identity:
    rules:
      - spiffe: spiffe://otelcol-mesh/cluster/aks-west/agent
        clusters: [aks-west]
`

// TestMissingRule: a new spoke sends before the hub has a rule for it. It is refused, and told why; it loses nothing, and all
// of it arrives once the rule is there, as that of the others does all the time.
func TestMissingRule(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, ingestiontest.Config{Light: true, Ledger: markers})
	root := pkitest.New(t, "root")
	f := r.hubFiles(root, root)
	hub := r.startHub(f, onlyWest)
	l, known := newLoad(t), newLoad(t)
	known.next.Store(1 << 20)
	var agents []*role
	for i, cluster := range []string{west, south} {
		own := newFiles(t)
		root.Issue(t, agentLeaf(cluster)).Write(t, own.own)
		pkitest.WriteBundle(t, own.trust, root)
		agents = append(agents, r.startAgent(10+i, cluster, own))
	}
	known.proxy(agents[0], 0, 50*time.Millisecond)
	l.proxy(agents[1], 2, 50*time.Millisecond)
	refused := func() float64 {
		return hub.metric("otelcol_extension_cluster_identity_refused_requests", `reason="no_rule"`)
	}
	hub.eventually("the new spoke is refused again and again", func() bool { return refused() >= 2 && l.sent() >= 400 })
	assert.Equal(t, l.sent(), l.missing(r.server), "nothing of it is taken")
	assert.Positive(t, agents[1].logged("no rule of cluster_identity says which cluster"), "who looks at the agent sees why")
	assert.Zero(t, agents[1].metric("otelcol_exporter_send_failed"), "nothing is given up")
	known.finish()
	hub.eventually("the others' telemetry arrives meanwhile", func() bool { return known.missing(r.server) == 0 })

	hub.stop()
	hub = r.startHub(f) // with the shipped rules
	hub.eventually("all of it arrives", func() bool { return l.missing(r.server) < l.sent()/2 })
	l.finish()
	hub.eventually("the rest arrives", func() bool { return l.missing(r.server) == 0 })
	assert.Zero(t, agents[1].metric("otelcol_exporter_send_failed"))
	assert.Zero(t, agents[1].metric("otelcol_exporter_enqueue_failed"))
	t.Logf("refused, kept and delivered %d spans; of the others %d", l.sent(), known.sent())
}

// TestHubWithoutTLS: a hub that was started without hub-mtls.yaml takes nothing, and the agents that cannot reach it over
// TLS keep what they have.
func TestHubWithoutTLS(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4, ingestiontest.Config{Light: true, Ledger: markers})
	root := pkitest.New(t, "root")
	env := []string{"APPLICATION_INSIGHTS_CONNECTION_STRING=" + r.server.ConnectionString()}
	hub := r.start(spec{name: "hub", host: r.hubHost(), configs: []string{"config/hub.yaml"}, env: env})
	own := newFiles(t)
	root.Issue(t, agentLeaf(west)).Write(t, own.own)
	pkitest.WriteBundle(t, own.trust, root)
	agent := r.startAgent(10, west, own)
	l := newLoad(t)
	l.proxy(agent, 0, 50*time.Millisecond)
	agent.eventually("it cannot connect, which is counted", func() bool {
		return agent.metric("otelcol_extension_cluster_identity_refused_connections", `side="exporter"`) > 0 && l.sent() >= 200
	})
	// And who comes without TLS is not believed.
	plain := r.start(spec{
		name: "agent-plain", host: r.host(11), configs: []string{"config/agent.yaml", "examples/static-topology.yaml"},
		overlays: []string{"receivers: {prometheus: {config: {scrape_configs: [{job_name: none, static_configs: []}]}}}\n"},
		env: []string{
			"MESH_CLUSTER=" + west, "MESH_HUB_ENDPOINT=" + r.hubHost() + ":14317", "MESH_HUB_INSECURE=true", "MESH_NODE_NAME=node",
			"MESH_TOPOLOGY_FILE=" + r.file("topology-plain.yaml", "clusters: [{name: aks-west, network: vnet}]\n"),
		},
	})
	unbelieved := newLoad(t)
	unbelieved.next.Store(1 << 20)
	unbelieved.proxy(plain, 0, 50*time.Millisecond)
	hub.eventually("who did not prove anything is refused", func() bool {
		return hub.metric("otelcol_processor_cluster_identity_flagged_resources", `reason="unverified"`) > 0
	})
	assert.Equal(t, 1, plain.logged("'exporter_tls::insecure' is true"))
	unbelieved.finish()
	l.finish()
	assert.Equal(t, unbelieved.sent()+l.sent(), unbelieved.missing(r.server)+l.missing(r.server), "nothing is taken")
	assert.Zero(t, agent.metric("otelcol_exporter_send_failed")+plain.metric("otelcol_exporter_send_failed"))

	hub.stop()
	hub = r.startHub(r.hubFiles(root, root))
	hub.eventually("what the agent kept arrives", func() bool { return l.missing(r.server) == 0 })
	require.Equal(t, unbelieved.sent(), unbelieved.missing(r.server))
	assert.Zero(t, agent.metric("otelcol_exporter_send_failed"))
}
