// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
)

// pki are the authorities that the hub trusts: each cluster has one of its own below a common root.
type pki struct {
	t                 *testing.T
	root, west, north *pkitest.Authority
}

func newPKI(t *testing.T) *pki {
	root := pkitest.New(t, "root")
	return &pki{t, root, root.Sub(t, west), root.Sub(t, north)}
}

const sharedID = "spiffe://cluster.local/ns/otelcol-mesh/sa/agent"

// rules are the shipped ones, and those for a trust domain that both clusters share: the intermediate tells them apart.
func (p *pki) rules() string {
	return fmt.Sprintf(`extensions:
  cluster_identity:
    rules:
      - spiffe: spiffe://otelcol-mesh/cluster/{cluster}/*
      - spiffe: %[1]s
        clusters: [%[2]s]
        issuers: [%[3]s]
      - spiffe: %[1]s
        clusters: [%[4]s]
        issuers: [%[5]s]
      - dns: "{cluster}.agents.otelcol-mesh"
`, sharedID, west, p.west.KeyHash(), north, p.north.KeyHash())
}

func (p *pki) agent(cluster string) pkitest.Pair { return p.root.Issue(p.t, agentLeaf(cluster)) }

// shared is a certificate of the shared trust domain.
func (p *pki) shared(by *pkitest.Authority) pkitest.Pair {
	return by.Issue(p.t, pkitest.Leaf{URIs: []string{sharedID}})
}

// named is a certificate with a DNS name alone.
func (p *pki) named(cluster string) pkitest.Pair {
	return p.root.Issue(p.t, pkitest.Leaf{DNS: []string{cluster + ".agents.otelcol-mesh"}})
}

// refusedPair is a certificate that the extension refuses, and its reason.
type refusedPair struct {
	pair   pkitest.Pair
	reason string
}

func (p *pki) refused() map[string]refusedPair {
	const id = "spiffe://otelcol-mesh/cluster/" + north + "/agent"
	uris := func(all ...string) pkitest.Pair { return p.root.Issue(p.t, pkitest.Leaf{URIs: all}) }
	raw := func(uri string) pkitest.Pair { return p.root.Issue(p.t, pkitest.Leaf{RawURIs: []string{uri}}) }
	dns := func(all ...string) pkitest.Pair { return p.root.Issue(p.t, pkitest.Leaf{DNS: all}) }
	return map[string]refusedPair{
		"two SPIFFE ids":                         {uris("spiffe://otelcol-mesh/cluster/"+west+"/agent", id), "ambiguous"},
		"the same id twice":                      {uris(id, id), "ambiguous"},
		"a URL beside the id":                    {uris("https://"+north+".agents.otelcol-mesh", id), "ambiguous"},
		"DNS names of two clusters":              {dns(west+".agents.otelcol-mesh", north+".agents.otelcol-mesh"), "ambiguous"},
		"percent encoding":                       {uris("spiffe://otelcol-mesh/cluster/" + north + "/%61gent"), "bad_name"},
		"a capital trust domain":                 {uris("spiffe://Otelcol-Mesh/cluster/" + north + "/agent"), "bad_name"},
		"a capital scheme":                       {uris("SPIFFE://otelcol-mesh/cluster/" + north + "/Agent%20"), "bad_name"},
		"a capital scheme and no other fault":    {raw("SPIFFE://otelcol-mesh/cluster/" + north + "/agent"), "bad_name"},
		"an empty fragment":                      {raw(id + "#"), "bad_name"},
		"an authority":                           {p.root.Issue(p.t, pkitest.Leaf{URIs: []string{id}, Authority: true}), "authority"},
		"a key that may sign certificates":       {p.root.Issue(p.t, pkitest.Leaf{URIs: []string{id}, KeyUsage: x509.KeyUsageCertSign}), "authority"},
		"a port":                                 {uris("spiffe://otelcol-mesh:443/cluster/" + north + "/agent"), "bad_name"},
		"a user":                                 {uris("spiffe://" + north + "@otelcol-mesh/cluster/" + north + "/agent"), "bad_name"},
		"a query":                                {uris(id + "?cluster=" + north), "bad_name"},
		"a fragment":                             {uris(id + "#" + north), "bad_name"},
		"dots":                                   {uris("spiffe://otelcol-mesh/cluster/" + west + "/../" + north + "/agent"), "bad_name"},
		"two slashes":                            {uris("spiffe://otelcol-mesh/cluster//" + north + "/agent"), "bad_name"},
		"a slash at the end":                     {uris(id + "/"), "bad_name"},
		"a wildcard":                             {dns("*.agents.otelcol-mesh"), "bad_name"},
		"another trust domain":                   {uris("spiffe://otelcol-mesh.example/cluster/" + north + "/agent"), "no_rule"},
		"a part more":                            {uris(id + "/more"), "no_rule"},
		"a part less":                            {uris("spiffe://otelcol-mesh/cluster/" + north), "no_rule"},
		"another path":                           {uris("spiffe://otelcol-mesh/ns/default/sa/" + north), "no_rule"},
		"the domain as a part of a name":         {dns(north + ".agents.otelcol-mesh.example"), "no_rule"},
		"a name below a cluster's":               {dns("x." + north + ".agents.otelcol-mesh"), "no_rule"},
		"another kind of URI":                    {uris("https://otelcol-mesh/cluster/" + north + "/agent"), "no_rule"},
		"a common name":                          {p.root.Issue(p.t, pkitest.Leaf{CommonName: north + ".agents.otelcol-mesh"}), "no_rule"},
		"no name":                                {p.root.Issue(p.t, pkitest.Leaf{}), "no_rule"},
		"shared, of no cluster's authority":      {p.shared(p.root), "issuer"},
		"shared, of a third cluster's authority": {p.shared(p.root.Sub(p.t, south)), "issuer"},
		"shared, of an authority's namesake":     {p.shared(p.root.Sub(p.t, west)), "issuer"},
	}
}

// untrusted are certificates that TLS refuses; nil is none.
func (p *pki) untrusted() map[string]*pkitest.Pair {
	leaf := agentLeaf(north)
	with := func(change func(*pkitest.Leaf)) *pkitest.Pair {
		changed := leaf
		change(&changed)
		pair := p.root.Issue(p.t, changed)
		return &pair
	}
	of := func(pair pkitest.Pair) *pkitest.Pair { return &pair }
	return map[string]*pkitest.Pair{
		"none":                    nil,
		"another authority":       of(pkitest.New(p.t, "stranger").Issue(p.t, leaf)),
		"authority's name copied": of(pkitest.New(p.t, "root").Issue(p.t, leaf)),
		"below another authority": of(pkitest.New(p.t, "stranger").Sub(p.t, north).Issue(p.t, leaf)),
		"self-signed":             of(pkitest.SelfSigned(p.t, leaf)),
		"signed by an agent":      of(p.agent(west).Authority().Issue(p.t, leaf)),
		"expired": with(func(l *pkitest.Leaf) {
			l.NotBefore, l.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Minute)
		}),
		"not valid yet":           with(func(l *pkitest.Leaf) { l.NotBefore = time.Now().Add(30 * time.Minute) }),
		"for servers alone":       with(func(l *pkitest.Leaf) { l.Usages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
		"for signing code alone":  with(func(l *pkitest.Leaf) { l.Usages = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} }),
		"of an expired authority": of(p.root.SubUntil(p.t, north, time.Now().Add(-time.Minute)).Issue(p.t, leaf)),
	}
}
