// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// lifetime is how long the certificate is valid. Certificates end at a full second.
const lifetime = 6 * time.Second

// TestExpiry: an agent's certificate ends while its connection lives. From then on each request is refused, the connection ends
// and the next one is refused by TLS; the metrics of both ends tell of it. With a new certificate all of it arrives.
func TestExpiry(t *testing.T) {
	t.Parallel()
	r := newRig(t, 5, ingestiontest.Config{Light: true, Ledger: markers})
	root := pkitest.New(t, "root")
	// A connection lives for longer than the certificate, by far: on a busy machine seconds may pass without a request.
	hub := r.startHub(r.hubFiles(root, root), aging(20*time.Second))
	own := newFiles(t)
	leaf := agentLeaf(west)
	leaf.NotAfter = time.Now().Add(lifetime)
	root.Issue(t, leaf).Write(t, own.own)
	pkitest.WriteBundle(t, own.trust, root)
	agent := r.startAgent(10, west, own)
	l := newLoad(t)
	l.proxy(agent, 0, 50*time.Millisecond)
	file := `file="` + own.own + `/tls.crt"`
	expiry := func() float64 { return agent.metric("otelcol_extension_cluster_identity_certificate_expiry", file) }
	accepted := func() float64 { return hub.metric("otelcol_extension_cluster_identity_accepted_requests") }
	hub.eventually("the agent is heard", func() bool {
		if time.Now().After(leaf.NotAfter) {
			// The machine was too slow for that certificate.
			leaf.NotAfter = time.Now().Add(lifetime)
			root.Issue(t, leaf).Write(t, own.own)
		}
		return accepted() > 0
	})
	assert.LessOrEqual(t, expiry(), lifetime.Seconds())
	assert.InDelta(t, 3600, hub.metric("otelcol_extension_cluster_identity_certificate_expiry", "/tls.crt"), 120, "the hub's own")

	hub.eventually("requests on the living connection are refused", func() bool {
		return hub.metric("otelcol_extension_cluster_identity_refused_requests", `reason="expired"`) > 0
	})
	hub.eventually("the connection ends and the next one is refused", func() bool {
		return hub.metric("otelcol_extension_cluster_identity_refused_connections", `reason="expired"`) > 0
	})
	assert.Negative(t, expiry(), "the agent says that it has expired")
	before, more := accepted(), l.sent()+400
	hub.eventually("the load goes on", func() bool { return l.sent() >= more })
	assert.Equal(t, before, accepted(), "nothing more is taken")

	leaf.NotAfter = time.Time{}
	root.Issue(t, leaf).Write(t, own.own)
	l.finish()
	hub.eventually("all of it arrives with the new certificate", func() bool { return l.missing(r.server) == 0 })
	assert.Positive(t, expiry())
	assert.Zero(t, agent.metric("otelcol_exporter_send_failed"))
	assert.Zero(t, agent.metric("otelcol_exporter_enqueue_failed"))
	t.Logf("%d spans, lost 0, twice %d", l.sent(), r.server.Ledger("spans").Duplicates)
}
