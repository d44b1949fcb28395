// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// rotationPlan is for how long TestRotation runs, and how often it replaces something. OTELCOL_MESH_ROTATION sets another time,
// such as 10m; from 80 seconds on something is replaced every 10 seconds.
func rotationPlan(t *testing.T) (total, every time.Duration) {
	total = 12 * time.Second
	if text := os.Getenv("OTELCOL_MESH_ROTATION"); text != "" {
		var err error
		total, err = time.ParseDuration(text)
		require.NoError(t, err)
	}
	return total, min(total/8, 10*time.Second)
}

// aging is what makes every connection end before the next rotation, so that each certificate is shown: the shipped
// max_connection_age is 10 minutes.
func aging(age time.Duration) string {
	return fmt.Sprintf("receivers: {otlp: {protocols: {grpc: {keepalive: {server_parameters: {max_connection_age: %s, max_connection_age_grace: 10s}}}}}}\n", age)
}

// TestRotation replaces the certificates of the hub, of two agents and of an inventory, and the authorities of both sides with
// an overlap, again and again under load: no export fails, nothing is lost, and neither descriptors, goroutines nor memory
// grow. One agent's files are replaced as Kubernetes does, the other's one after the other.
func TestRotation(t *testing.T) {
	t.Parallel()
	total, every := rotationPlan(t)
	r := newRig(t, 1, ingestiontest.Config{Light: true, Ledger: markers, MaxRequests: 1 << 20})
	c := newRotation(r)
	// The hub remembers spans for their partners, 200 000 of them for 5 minutes: less, so that it is full from the beginning.
	hub := r.startHub(c.hub, aging(every/3), "processors: {mesh_span_pairing: {max_entries: 10000}}\n")
	senders := []*role{r.startAgent(10, west, c.linked), r.startAgent(11, north, c.renamed), r.startInventory(12, west, c.linked)}
	l := newLoad(t)
	l.proxy(senders[0], 0, 40*time.Millisecond)
	l.proxy(senders[1], 1, 40*time.Millisecond)
	told := c.tell(l, senders[2])
	hub.eventually("the load arrives", func() bool { return l.sent() > 400 && l.missing(r.server) < l.sent()/2 })

	roles := append([]*role{hub}, senders...)
	var begin []usage
	end := time.Now().Add(total)
	rotations := 0
	for ; time.Now().Before(end); rotations++ {
		if rotations == min(6, int(total/every)/2) {
			begin = leastOf(roles) // caches are warm by then
		}
		// From the last one on, however late that was: what an overlap is for.
		<-time.After(every)
		c.next(rotations)
	}
	last := leastOf(roles)
	l.finish()
	hub.eventually("everything arrives", func() bool { return l.missing(r.server) == 0 })
	c.judge(hub, senders, <-told)
	for i, o := range roles {
		t.Logf("%s: descriptors %d to %d, goroutines %d to %d, live heap %.1f to %.1f MiB, resident %d to %d MiB", o.name, begin[i].descriptors, last[i].descriptors,
			begin[i].goroutines, last[i].goroutines, mebi(begin[i].live), mebi(last[i].live), begin[i].resident>>20, last[i].resident>>20)
		assert.LessOrEqual(t, last[i].descriptors, begin[i].descriptors+10, "%s: descriptors", o.name)
		assert.LessOrEqual(t, last[i].goroutines, begin[i].goroutines+20, "%s: goroutines", o.name)
		// What waits at this moment is in it too.
		assert.LessOrEqual(t, last[i].live, begin[i].live*5/4+(12<<20), "%s: memory", o.name)
	}
	t.Logf("%d rotations in %s, %d spans sent, lost 0, twice %d", rotations, total, l.sent(), r.server.Ledger("spans").Duplicates)
}

func mebi(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// rotation holds the files and who signs them now.
type rotation struct {
	r                    *rig
	hub, linked, renamed files
	// of are the authorities of the hub's certificate and of the agents', before those that they had before.
	ofHub, ofAgents         *pkitest.Authority
	ofHubBefore, ofAgBefore *pkitest.Authority
}

func newRotation(r *rig) *rotation {
	c := &rotation{
		r: r, hub: newFiles(r.t), linked: newFiles(r.t), renamed: newFiles(r.t),
		ofHub: pkitest.New(r.t, "hubs 0"), ofAgents: pkitest.New(r.t, "agents 0"),
	}
	c.ofHubBefore, c.ofAgBefore = c.ofHub, c.ofAgents
	c.sign()
	c.trust(c.ofHub, c.ofAgents)
	return c
}

// sign issues everybody a certificate of the authorities of now.
func (c *rotation) sign() {
	t := c.r.t
	c.ofHub.Issue(t, c.r.hubLeaf()).Write(t, c.hub.own)
	c.ofAgents.Issue(t, agentLeaf(west)).Write(t, c.linked.own)
	c.ofAgents.Issue(t, agentLeaf(north)).Rename(t, c.renamed.own)
}

// trust says whom agents take for the hub, and the hub for agents.
func (c *rotation) trust(hubs, agents *pkitest.Authority, more ...*pkitest.Authority) {
	t := c.r.t
	forAgents, forHub := []*pkitest.Authority{hubs}, []*pkitest.Authority{agents}
	if len(more) == 2 {
		forAgents, forHub = append(forAgents, more[0]), append(forHub, more[1])
	}
	pkitest.WriteBundle(t, c.linked.trust, forAgents...)
	pkitest.RenameBundle(t, c.renamed.trust, forAgents...)
	pkitest.WriteBundle(t, c.hub.trust, forHub...)
}

// next does one step: new certificates, the next authorities beside the old ones, certificates of the next ones, and the
// old ones out.
func (c *rotation) next(step int) {
	switch step % 4 {
	case 0:
		c.sign()
	case 1:
		c.ofHubBefore, c.ofAgBefore = c.ofHub, c.ofAgents
		c.ofHub, c.ofAgents = pkitest.New(c.r.t, fmt.Sprint("hubs ", step)), pkitest.New(c.r.t, fmt.Sprint("agents ", step))
		c.trust(c.ofHubBefore, c.ofAgBefore, c.ofHub, c.ofAgents)
	case 2:
		c.sign()
	case 3:
		c.trust(c.ofHub, c.ofAgents)
	}
}

// tell has the inventory tell of its cluster four times a second for as long as the load runs, and returns how many
// messages that were.
func (c *rotation) tell(l *load, inventory *role) <-chan int {
	conn := plainConnection(c.r.t, inventory.host)
	told := make(chan int, 1)
	l.running.Go(func() {
		s := newSpoke(west, "uid-west", podOf[west], time.Now().UnixNano())
		n := 0
		defer func() { told <- n }()
		ticker := time.NewTicker(250 * time.Millisecond)
		defer ticker.Stop()
		for {
			if !assert.NoError(c.r.t, send(conn, s, n)) {
				return
			}
			n++
			select {
			case <-l.stop:
				return
			case <-ticker.C:
			}
		}
	})
	return told
}

func send(conn *grpc.ClientConn, s *spoke, n int) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if n == 0 {
		return deliver(ctx, conn, s.snapshot())
	}
	return deliver(ctx, conn, s.heartbeat())
}

// judge holds everybody to no failed export and no connection that TLS refused.
func (c *rotation) judge(hub *role, senders []*role, told int) {
	t := c.r.t
	for _, o := range senders {
		assert.Zero(t, o.metric("otelcol_exporter_send_failed"), "%s: failed exports", o.name)
		assert.Zero(t, o.metric("otelcol_exporter_enqueue_failed"), "%s: refused by the queue", o.name)
	}
	for _, o := range append(senders, hub) {
		assert.Zero(t, o.metric("otelcol_extension_cluster_identity_refused_connections"), "%s: handshakes that failed\n%s", o.name,
			strings.Join(o.lines("TLS refused a connection"), "\n"))
	}
	assert.Zero(t, hub.metric("otelcol_extension_cluster_identity_refused_requests"))
	assert.Zero(t, hub.metric("otelcol_processor_cluster_identity_flagged_resources"))
	assert.Zero(t, hub.metric("otelcol_extension_cluster_identity_reload_errors"))
	hub.eventually("the inventory is there", func() bool {
		var answer struct{ Clusters []struct{ Name, UID string } }
		hub.topology("/topology/clusters", &answer)
		return len(answer.Clusters) == 1 && answer.Clusters[0].Name == west && answer.Clusters[0].UID == "uid-west"
	})
	t.Logf("%d inventory messages", told)
}
