// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
	"github.com/otelcol-mesh/otelcol-mesh/processors/clusteridentityprocessor/claimtest"
)

// attack is a hub under attack, with what has to be counted there in the end.
type attack struct {
	t   *testing.T
	r   *rig
	p   *pki
	hub *role
	// batches are all crafted requests, beside those that had an honest resource too.
	batches, beside int
	// byReason is how many resources the processor must have rejected, refused how many requests the extension must have
	// refused.
	byReason, refused map[string]int
	// grpcDials and httpDials are the connections of those whom TLS has to refuse, unheard how many requests they tried.
	grpcDials, httpDials int64
	unheard              int
}

// TestCraftedBatches sends more than a thousand requests that claim another cluster to the shipped hub, in every way there is,
// while the agents of two clusters send what is true: nothing of the former comes to the endpoint or into the topology and
// each is counted, of the latter nothing is missing and each far end is resolved.
func TestCraftedBatches(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2, ingestiontest.Config{Ledger: markers, MaxRequests: 1 << 20})
	p := newPKI(t)
	hub := r.startHub(r.hubFiles(p.root, p.root), p.rules())
	a := &attack{t: t, r: r, p: p, hub: hub, byReason: map[string]int{}, refused: map[string]int{}}
	honest := a.honest()
	a.claims()
	a.inventories()
	a.certificates()
	a.connections()
	honest.finish()

	hub.eventually("the honest spans arrive", func() bool { return honest.missing(r.server) == 0 })
	a.counted()
	a.topologyIsTrue()
	a.endpointIsClean(honest.sent())
	assert.GreaterOrEqual(t, a.batches, 1000)
	t.Logf("%d crafted batches, %d of them beside an honest resource: %d heard and rejected %v, %d refused by their certificate %v, %d refused by TLS on %d connections over gRPC and %d over HTTP; "+
		"%d honest spans beside them, lost 0", a.batches, a.beside, sum(a.byReason), a.byReason, sum(a.refused), a.refused, a.unheard, a.grpcDials, a.httpDials, honest.sent())
}

func sum(m map[string]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

// honest starts the agents and tells the hub the inventories of both clusters.
func (a *attack) honest() *load {
	l := newLoad(a.t)
	var agents []*role
	for i, cluster := range []string{west, north} {
		f := newFiles(a.t)
		a.p.agent(cluster).Write(a.t, f.own)
		pkitest.WriteBundle(a.t, f.trust, a.p.root)
		agents = append(agents, a.r.startAgent(10+i, cluster, f))
		s := a.sender(a.p.agent(cluster), "")
		require.NoError(a.t, s.export(newSpoke(cluster, uidOf[cluster], podOf[cluster], time.Now().UnixNano()).snapshot(), false, nil))
	}
	a.hub.eventually("both inventories are there", func() bool { return len(a.clusters()) == 2 })
	for i, agent := range agents {
		l.proxy(agent, i, 100*time.Millisecond)
	}
	return l
}

func (a *attack) sender(pair pkitest.Pair, authority string) *sender {
	s := newSender(a.t, a.r.hubHost(), authority, &pair.TLS)
	a.t.Cleanup(s.close)
	return s
}

// claims are all tricks on each signal, by each kind of certificate that is a cluster's own, over both transports.
func (a *attack) claims() {
	senders := []*sender{
		a.sender(a.p.agent(west), ""), a.sender(a.p.shared(a.p.west), ""), a.sender(a.p.named(west), ""),
		// Names beside the SPIFFE id do not count.
		a.sender(a.p.root.Issue(a.t, pkitest.Leaf{URIs: agentLeaf(west).URIs, DNS: []string{north + ".agents.otelcol-mesh"}, CommonName: north}), ""),
		a.sender(a.p.agent(west), north+".agents.otelcol-mesh"),
	}
	n := 0
	for _, trick := range append(claimtest.OfResources(), claimtest.OfItems()...) {
		on := trick.On
		if on == nil {
			on = []string{claimtest.Traces, claimtest.Logs, claimtest.Metrics}
		}
		for _, signal := range on {
			for _, overHTTP := range []bool{false, true} {
				for _, beside := range []bool{false, true} {
					a.claim(senders[n%len(senders)], trick, signal, overHTTP, beside)
					n++
				}
			}
		}
	}
}

// claim sends one. beside says to put an honest resource beside it, which passes.
func (a *attack) claim(s *sender, trick claimtest.Trick, signal string, overHTTP, beside bool) {
	e := claimtest.New(signal)
	trick.Do(e.Add("hostile " + trick.Name))
	if beside {
		claimtest.Own(e.Add("beside"))
		a.beside++
	}
	err := s.export(e.Request(), overHTTP, claimtest.ForgedHeaders)
	if beside {
		assert.NoError(a.t, err, trick.Name)
	} else {
		a.forbidden(err, trick.Name)
	}
	a.byReason[trick.Reason]++
	a.batches++
}

// forbidden: the sender is told, for good.
func (a *attack) forbidden(err error, name string) {
	if answer, ok := errors.AsType[*httpError](err); ok {
		assert.Equal(a.t, http.StatusForbidden, answer.status, name)
		return
	}
	assert.Equal(a.t, codes.PermissionDenied, status.Code(err), "%s: %v", name, err)
}

// inventories are whole ones, as a real sender writes them, of another cluster: they move the pod of that cluster to an address
// of the attacker, as a later leader, or claim its uid.
func (a *attack) inventories() {
	s := a.sender(a.p.agent(west), "")
	epoch := time.Now().Add(time.Hour).UnixNano()
	for n := range 20 {
		overHTTP := n%2 == 1
		a.forbidden(s.export(newSpoke(north, uidOf[north], "10.66.0.1", epoch+int64(n)).snapshot(), overHTTP, claimtest.ForgedHeaders), "inventory")
		a.forbidden(s.export(newSpoke(north, uidOf[north], "10.66.0.1", epoch+int64(n)).heartbeat(), overHTTP, nil), "heartbeat")
		a.forbidden(s.export(newSpoke("aks-new", "uid-of-new", "10.66.0.2", epoch+int64(n)).snapshot(), overHTTP, nil), "inventory of nobody")
		a.byReason[claimtest.ForeignInventory] += 3
		a.forbidden(s.export(newSpoke(west, uidOf[north], "10.66.0.3", epoch+int64(n)).snapshot(), overHTTP, nil), "the other's uid")
		a.byReason[claimtest.ForeignUID]++
		a.batches += 4
	}
}

// certificates are those that TLS takes, as the authority is trusted, and the extension does not.
func (a *attack) certificates() {
	for name, c := range a.p.refused() {
		s := a.sender(c.pair, "")
		for _, signal := range []string{claimtest.Traces, claimtest.Logs, claimtest.Metrics} {
			for _, overHTTP := range []bool{false, true} {
				e := claimtest.New(signal)
				e.Add("hostile "+name).Resource.PutStr(claimtest.ClusterKey, north)
				err := s.export(e.Request(), overHTTP, claimtest.ForgedHeaders)
				a.mayTryAgain(err, name)
				a.refused[c.reason]++
				a.batches++
			}
		}
	}
	// Those of the other cluster's authority are the other cluster's.
	s := a.sender(a.p.shared(a.p.north), "")
	for n := range 12 {
		e := claimtest.New([]string{claimtest.Traces, claimtest.Logs, claimtest.Metrics}[n%3])
		e.Add("hostile pinned").Resource.PutStr(claimtest.ClusterKey, west)
		a.forbidden(s.export(e.Request(), n%2 == 1, claimtest.ForgedHeaders), "the other cluster's authority")
		a.byReason[claimtest.ForeignCluster]++
		a.batches++
	}
}

// mayTryAgain: a rule or a certificate can be mended, so that an honest sender keeps what it has.
func (a *attack) mayTryAgain(err error, name string) {
	if answer, ok := errors.AsType[*httpError](err); ok {
		assert.Equal(a.t, http.StatusServiceUnavailable, answer.status, name)
		return
	}
	assert.Equal(a.t, codes.Unavailable, status.Code(err), "%s: %v", name, err)
}

// connections are of certificates, or none, that TLS itself refuses. Each request has a connection of its own.
func (a *attack) connections() {
	for name, pair := range a.p.untrusted() {
		for n := range 12 {
			var certificate *tls.Certificate
			if pair != nil {
				certificate = &pair.TLS
			}
			s := newSender(a.t, a.r.hubHost(), "", certificate)
			e := claimtest.New([]string{claimtest.Traces, claimtest.Logs, claimtest.Metrics}[n%3])
			e.Add("hostile "+name).Resource.PutStr(claimtest.ClusterKey, north)
			assert.Error(a.t, s.export(e.Request(), n%4 == 3, claimtest.ForgedHeaders), name)
			s.close()
			a.grpcDials += s.grpcDials.Load()
			a.httpDials += s.httpDials.Load()
			a.unheard++
			a.batches++
		}
	}
}

// counted compares what was sent with what the hub counted.
func (a *attack) counted() {
	for reason, want := range a.byReason {
		for _, name := range []string{"flagged_resources", "flagged_items"} {
			assert.EqualValues(a.t, want, a.hub.metric("otelcol_processor_cluster_identity_"+name, `reason="`+reason+`"`, `action="rejected"`), "%s %s", name, reason)
		}
	}
	assert.EqualValues(a.t, sum(a.byReason), a.hub.metric("otelcol_processor_cluster_identity_flagged_resources"))
	for reason, want := range a.refused {
		assert.EqualValues(a.t, want, a.hub.metric("otelcol_extension_cluster_identity_refused_requests", `reason="`+reason+`"`), reason)
	}
	assert.EqualValues(a.t, sum(a.refused), a.hub.metric("otelcol_extension_cluster_identity_refused_requests"))
	// A connection is counted when the hub has looked at it, which may be after its sender has gone.
	refused := func() float64 { return a.hub.metric("otelcol_extension_cluster_identity_refused_connections") }
	dials := a.grpcDials + a.httpDials
	a.hub.eventually(fmt.Sprintf("%d refused connections are counted", dials), func() bool { return refused() >= float64(dials) })
	assert.EqualValues(a.t, dials, refused())
	assert.Positive(a.t, a.httpDials)
	for _, reason := range []string{"no_certificate", "unknown_authority", "expired", "bad_certificate"} {
		assert.Positive(a.t, a.hub.metric("otelcol_extension_cluster_identity_refused_connections", `reason="`+reason+`"`), reason)
	}
	assert.Positive(a.t, a.hub.logged("a sender claims what its certificate does not name"))
	assert.Positive(a.t, a.hub.logged("TLS refused a connection"))
}

// uidOf are the uids of the clusters; that of the other one is also in the tricks.
var uidOf = map[string]string{west: "uid-of-west", north: "uid-of-north"}

// clusters are the names and uids of the clusters that the hub knows of.
func (a *attack) clusters() map[string]string {
	var answer struct{ Clusters []struct{ Name, UID string } }
	a.hub.topology("/topology/clusters", &answer)
	found := map[string]string{}
	for _, c := range answer.Clusters {
		found[c.Name] = c.UID
	}
	return found
}

// topologyIsTrue: nothing of what was claimed is in the topology.
func (a *attack) topologyIsTrue() {
	assert.Equal(a.t, uidOf, a.clusters())
	for address, want := range map[string]string{podOf[west]: west, podOf[north]: north, "10.66.0.1": "", "10.66.0.2": "", "10.66.0.3": ""} {
		var answer struct {
			Networks []struct {
				Answer string
				Pod    struct{ Cluster string }
			}
		}
		a.hub.topology("/topology/address?network=vnet&address="+address, &answer)
		require.Len(a.t, answer.Networks, 1)
		if want == "" {
			assert.Equal(a.t, "not_found", answer.Networks[0].Answer, address)
			continue
		}
		assert.Equal(a.t, want, answer.Networks[0].Pod.Cluster, address)
	}
}

// endpointIsClean: what arrived is honest, under its own cluster, with the far end resolved.
func (a *attack) endpointIsClean(sent uint64) {
	a.hub.eventually("the honest resources beside crafted ones arrive", func() bool {
		return len(a.r.server.Items(ingestiontest.Filter{Match: beside})) == a.beside
	})
	spans := 0
	for _, item := range a.r.server.Items(ingestiontest.Filter{}) {
		properties := item.Properties()
		require.NotContains(a.t, strings.ToLower(fmt.Sprint(item.Role, item.Name, properties)), "hostile")
		switch {
		case beside(item):
			assert.Equal(a.t, "beside@"+west, item.Role)
		case strings.HasPrefix(item.Role, "honest"):
			spans++
			far := map[string]string{west: north, north: west}[properties["k8s.cluster.name"]]
			require.NotEmpty(a.t, far)
			require.Equal(a.t, far, properties["mesh.destination.cluster"])
			require.Equal(a.t, "ip", properties["mesh.resolution.destination"])
		default:
			assert.Fail(a.t, "neither honest nor crafted", item.Role)
		}
	}
	assert.GreaterOrEqual(a.t, uint64(spans), sent)
}

func beside(item ingestiontest.Item) bool { return strings.HasPrefix(item.Role, "beside") }
