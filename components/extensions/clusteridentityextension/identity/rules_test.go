// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/identity"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
)

func chain(pair pkitest.Pair, above ...*pkitest.Authority) [][]*x509.Certificate {
	one := []*x509.Certificate{pair.TLS.Leaf}
	for _, a := range above {
		one = append(one, a.Cert)
	}
	return [][]*x509.Certificate{one}
}

func TestIdentify(t *testing.T) {
	root := pkitest.New(t, "root")
	weu, neu := root.Sub(t, "weu"), root.Sub(t, "neu")
	rules, err := identity.Compile([]identity.Rule{
		{SPIFFE: "spiffe://{cluster}.mesh.example/ns/otelcol-mesh/sa/*"},
		{SPIFFE: "spiffe://mesh.example/cluster/{cluster}/sa/agent"},
		{SPIFFE: "spiffe://cluster.local/ns/otelcol-mesh/sa/agent", Clusters: []string{"weu"}, Issuers: []string{weu.KeyHash()}},
		{SPIFFE: "spiffe://cluster.local/ns/otelcol-mesh/sa/agent", Clusters: []string{"neu", "neu-2"}, Issuers: []string{neu.KeyHash()}},
		{SPIFFE: "spiffe://hub.example/relay", Clusters: []string{"*"}},
		{DNS: "{cluster}.Agents.example"},
		{CommonName: "agent-{cluster}"},
	})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		leaf  pkitest.Leaf
		by    *pkitest.Authority
		want  []string
		wrong identity.Reason
	}{
		"trust domain":           {leaf: pkitest.Leaf{URIs: []string{"spiffe://aks-weu.mesh.example/ns/otelcol-mesh/sa/agent"}}, want: []string{"aks-weu"}},
		"path":                   {leaf: pkitest.Leaf{URIs: []string{"spiffe://mesh.example/cluster/AKS_weu/sa/agent"}}, want: []string{"AKS_weu"}},
		"no dot beside text":     {leaf: pkitest.Leaf{URIs: []string{"spiffe://evil.aks-weu.mesh.example/ns/otelcol-mesh/sa/agent"}}, wrong: identity.ReasonNoRule},
		"suffix of the domain":   {leaf: pkitest.Leaf{URIs: []string{"spiffe://aks-weu.mesh.example.evil/ns/otelcol-mesh/sa/agent"}}, wrong: identity.ReasonNoRule},
		"longer path":            {leaf: pkitest.Leaf{URIs: []string{"spiffe://aks-weu.mesh.example/ns/otelcol-mesh/sa/agent/x"}}, wrong: identity.ReasonNoRule},
		"shorter path":           {leaf: pkitest.Leaf{URIs: []string{"spiffe://aks-weu.mesh.example/ns/otelcol-mesh/sa"}}, wrong: identity.ReasonNoRule},
		"another namespace":      {leaf: pkitest.Leaf{URIs: []string{"spiffe://aks-weu.mesh.example/ns/default/sa/agent"}}, wrong: identity.ReasonNoRule},
		"upper case domain":      {leaf: pkitest.Leaf{URIs: []string{"spiffe://AKS-weu.mesh.example/ns/otelcol-mesh/sa/agent"}}, wrong: identity.ReasonBadName},
		"dots in the path":       {leaf: pkitest.Leaf{URIs: []string{"spiffe://mesh.example/cluster/../sa/agent"}}, wrong: identity.ReasonBadName},
		"percent":                {leaf: pkitest.Leaf{URIs: []string{"spiffe://mesh.example/cluster/a%2Fb/sa/agent"}}, wrong: identity.ReasonBadName},
		"query":                  {leaf: pkitest.Leaf{URIs: []string{"spiffe://mesh.example/cluster/weu/sa/agent?x"}}, wrong: identity.ReasonBadName},
		"port":                   {leaf: pkitest.Leaf{URIs: []string{"spiffe://mesh.example:1/cluster/weu/sa/agent"}}, wrong: identity.ReasonBadName},
		"capital scheme":         {leaf: pkitest.Leaf{RawURIs: []string{"SPIFFE://mesh.example/cluster/weu/sa/agent"}}, wrong: identity.ReasonBadName},
		"empty fragment":         {leaf: pkitest.Leaf{RawURIs: []string{"spiffe://mesh.example/cluster/weu/sa/agent#"}}, wrong: identity.ReasonBadName},
		"as it is":               {leaf: pkitest.Leaf{RawURIs: []string{"spiffe://mesh.example/cluster/weu/sa/agent"}}, want: []string{"weu"}},
		"an authority":           {leaf: pkitest.Leaf{CommonName: "agent-weu", Authority: true}, wrong: identity.ReasonAuthority},
		"signs certificates":     {leaf: pkitest.Leaf{CommonName: "agent-weu", KeyUsage: x509.KeyUsageCertSign}, wrong: identity.ReasonAuthority},
		"signs revocations":      {leaf: pkitest.Leaf{URIs: []string{"spiffe://mesh.example/cluster/weu/sa/agent"}, KeyUsage: x509.KeyUsageCRLSign}, wrong: identity.ReasonAuthority},
		"name begins with a dot": {leaf: pkitest.Leaf{URIs: []string{"spiffe://mesh.example/cluster/.weu/sa/agent"}}, wrong: identity.ReasonBadName},
		"two ids":                {leaf: pkitest.Leaf{URIs: []string{"spiffe://a.mesh.example/ns/otelcol-mesh/sa/agent", "spiffe://b.mesh.example/ns/otelcol-mesh/sa/agent"}}, wrong: identity.ReasonAmbiguous},
		"id and another URI":     {leaf: pkitest.Leaf{URIs: []string{"spiffe://a.mesh.example/ns/otelcol-mesh/sa/agent", "https://b"}}, wrong: identity.ReasonAmbiguous},
		"id hides DNS":           {leaf: pkitest.Leaf{URIs: []string{"spiffe://else.example/x"}, DNS: []string{"weu.agents.example"}}, wrong: identity.ReasonNoRule},
		"issuer weu":             {leaf: pkitest.Leaf{URIs: []string{"spiffe://cluster.local/ns/otelcol-mesh/sa/agent"}}, by: weu, want: []string{"weu"}},
		"issuer neu":             {leaf: pkitest.Leaf{URIs: []string{"spiffe://cluster.local/ns/otelcol-mesh/sa/agent"}}, by: neu, want: []string{"neu", "neu-2"}},
		"wrong issuer":           {leaf: pkitest.Leaf{URIs: []string{"spiffe://cluster.local/ns/otelcol-mesh/sa/agent"}}, by: root, wrong: identity.ReasonIssuer},
		"any":                    {leaf: pkitest.Leaf{URIs: []string{"spiffe://hub.example/relay"}}, want: []string{"*"}},
		"DNS, case":              {leaf: pkitest.Leaf{DNS: []string{"WEU.agents.EXAMPLE"}}, want: []string{"weu"}},
		"DNS beside another":     {leaf: pkitest.Leaf{DNS: []string{"other", "weu.agents.example"}}, want: []string{"weu"}},
		"two DNS":                {leaf: pkitest.Leaf{DNS: []string{"neu.agents.example", "weu.agents.example"}}, wrong: identity.ReasonAmbiguous},
		"wildcard DNS":           {leaf: pkitest.Leaf{DNS: []string{"*.agents.example"}}, wrong: identity.ReasonBadName},
		"common name":            {leaf: pkitest.Leaf{CommonName: "agent-weu"}, want: []string{"weu"}},
		"common name, nothing":   {leaf: pkitest.Leaf{CommonName: "agent-"}, wrong: identity.ReasonNoRule},
		"common name, Cyrillic":  {leaf: pkitest.Leaf{CommonName: "agent-wеu"}, wrong: identity.ReasonBadName},
		"no name":                {leaf: pkitest.Leaf{}, wrong: identity.ReasonNoRule},
		"expired":                {leaf: pkitest.Leaf{CommonName: "agent-weu", NotAfter: time.Now().Add(-time.Second)}, wrong: identity.ReasonExpired},
		"not yet":                {leaf: pkitest.Leaf{CommonName: "agent-weu", NotBefore: time.Now().Add(time.Minute)}, wrong: identity.ReasonExpired},
	} {
		t.Run(name, func(t *testing.T) {
			by := c.by
			if by == nil {
				by = root
			}
			above := []*pkitest.Authority{by}
			if by != root {
				above = append(above, root)
			}
			id, err := rules.Identify(chain(by.Issue(t, c.leaf), above...), time.Now())
			if c.wrong != "" {
				var refusal *identity.Refusal
				require.ErrorAs(t, err, &refusal)
				assert.Equal(t, c.wrong, refusal.Reason, err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.want, id.Clusters())
			assert.Equal(t, c.want, id.GetAttribute(identity.AttributeClusters))
			assert.Equal(t, by.KeyHash(), id.GetAttribute(identity.AttributeIssuer))
			assert.NotEmpty(t, id.GetAttribute(identity.AttributeName))
			assert.False(t, id.MaySpeakFor(""))
			assert.Equal(t, id.Any(), id.MaySpeakFor("another"))
			for _, name := range id.GetAttributeNames() {
				assert.NotNil(t, id.GetAttribute(name))
			}
			assert.Nil(t, id.GetAttribute("other"))
		})
	}
}

// TestIdentifyByTheValidChain: of two chains, one of which ended, the other one counts, and its authorities alone.
func TestIdentifyByTheValidChain(t *testing.T) {
	old, next := pkitest.New(t, "old"), pkitest.New(t, "new")
	pair := next.Issue(t, pkitest.Leaf{CommonName: "a"})
	ended := *old.Cert
	ended.NotAfter = time.Now().Add(-time.Hour)
	chains := [][]*x509.Certificate{{pair.TLS.Leaf, &ended}, {pair.TLS.Leaf, next.Cert}}
	identify := func(issuer *pkitest.Authority) error {
		rules, err := identity.Compile([]identity.Rule{{CommonName: "a", Clusters: []string{"a"}, Issuers: []string{issuer.KeyHash()}}})
		require.NoError(t, err)
		_, err = rules.Identify(chains, time.Now())
		return err
	}
	assert.NoError(t, identify(next))
	assert.ErrorContains(t, identify(old), "none of the rule's 'issuers'")
	rules, err := identity.Compile(nil)
	require.NoError(t, err)
	_, err = rules.Identify(nil, time.Now())
	assert.ErrorContains(t, err, "client_ca_file")
}

func TestManyClusters(t *testing.T) {
	var names []string
	for c := 'a'; c < 'p'; c++ {
		names = append(names, string(c))
	}
	rules, err := identity.Compile([]identity.Rule{{CommonName: "x", Clusters: names}})
	require.NoError(t, err)
	root := pkitest.New(t, "root")
	id, err := rules.Identify(chain(root.Issue(t, pkitest.Leaf{CommonName: "x"}), root), time.Now())
	require.NoError(t, err)
	for _, name := range names {
		assert.True(t, id.MaySpeakFor(name))
	}
	assert.False(t, id.MaySpeakFor("z"))
	assert.Empty(t, id.Sole())
}

func TestCompileErrors(t *testing.T) {
	for want, rule := range map[string]identity.Rule{
		"write exactly one of 'spiffe', 'dns' and 'common_name'": {},
		"and not both": {DNS: "{cluster}.x", Clusters: []string{"a"}},
		"write either {cluster} in 'dns' or the names under 'clusters'":  {DNS: "x"},
		"'spiffe' is \"https://{cluster}\": write one such as":           {SPIFFE: "https://{cluster}"},
		"with a lower case trust domain":                                 {SPIFFE: "spiffe://A.{cluster}/x"},
		"'dns' is \"{cluster}.{cluster}\": write {cluster} at most once": {DNS: "{cluster}.{cluster}"},
		"no other braces":                         {DNS: "{name}.x", Clusters: []string{"a"}},
		"'common_name' is \"a*b*\"":               {CommonName: "a*b*", Clusters: []string{"a"}},
		"'clusters' has * beside names":           {DNS: "x", Clusters: []string{"*", "a"}},
		"write the cluster's name":                {DNS: "x", Clusters: []string{" a"}},
		"'no_inventories' is set":                 {DNS: "x", Clusters: []string{"*"}, NoInventories: true},
		"'issuers' has \"ab\": write the SHA-256": {DNS: "x", Clusters: []string{"a"}, Issuers: []string{"ab"}},
	} {
		_, err := identity.Compile([]identity.Rule{{DNS: "{cluster}"}, rule})
		assert.ErrorContains(t, err, want)
		assert.ErrorContains(t, err, "'rules[1]'")
	}
}

// TestNoInventories: an agent's certificate, which is on every node, may not tell who has which address.
func TestNoInventories(t *testing.T) {
	rules, err := identity.Compile([]identity.Rule{
		{SPIFFE: "spiffe://mesh.example/cluster/{cluster}/inventory"}, {SPIFFE: "spiffe://mesh.example/cluster/{cluster}/*", NoInventories: true},
	})
	require.NoError(t, err)
	root := pkitest.New(t, "root")
	for part, may := range map[string]bool{"inventory": true, "agent": false} {
		leaf := root.Issue(t, pkitest.Leaf{URIs: []string{"spiffe://mesh.example/cluster/west/" + part}}).TLS.Leaf
		id, err := rules.Identify([][]*x509.Certificate{{leaf, root.Cert}}, time.Now())
		require.NoError(t, err)
		assert.Equal(t, may, id.MayTellInventories(), part)
		assert.True(t, id.MaySpeakFor("west"))
	}
}
