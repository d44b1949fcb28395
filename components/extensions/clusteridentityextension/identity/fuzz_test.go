// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/identity"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
)

// FuzzParseSPIFFE: what is read is what was written, and has no part that a reader could take for another.
func FuzzParseSPIFFE(f *testing.F) {
	for _, seed := range []string{
		"spiffe://cluster.local/ns/istio-system/sa/ztunnel", "spiffe://aks-weu.mesh.example", "spiffe://td/", "spiffe://TD/a", "spiffe://td/a/../b", "SPIFFE://td/a",
		"spiffe://td:1/a", "spiffe://u@td/a", "spiffe://td/a?b", "spiffe://td/a#b", "spiffe://td/%61", "spiffe://tа/a", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := identity.ParseSPIFFE(text)
		if err != nil {
			return
		}
		if id.String() != text || id.TrustDomain == "" || strings.ToLower(id.TrustDomain) != id.TrustDomain ||
			strings.ContainsAny(text[len("spiffe://"):], "%?#@:\\ ") || strings.Contains(id.Path, "//") || strings.HasSuffix(id.Path, "/") || strings.Contains(id.Path+"/", "/../") {
			t.Fatalf("%q is read as %+v", text, id)
		}
	})
}

// FuzzIdentify feeds certificates as they come off the wire: nothing panics, and whoever a rule with {cluster} knows may
// speak for exactly one cluster, whose name is in the certificate.
func FuzzIdentify(f *testing.F) {
	root := pkitest.New(f, "root")
	for _, leaf := range []pkitest.Leaf{
		{URIs: []string{"spiffe://weu.mesh.example/ns/otelcol-mesh/sa/agent"}}, {DNS: []string{"weu.agents.example", "other"}}, {CommonName: "agent-weu"}, {},
	} {
		f.Add(root.Issue(f, leaf).TLS.Certificate[0])
	}
	rules, err := identity.Compile([]identity.Rule{{SPIFFE: "spiffe://{cluster}.mesh.example/ns/*/sa/*"}, {DNS: "{cluster}.agents.example"}, {CommonName: "agent-{cluster}"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		id, err := rules.Identify([][]*x509.Certificate{{leaf, root.Cert}}, time.Now())
		if err != nil {
			return
		}
		if id.Sole() == "" || id.Any() || strings.ContainsAny(id.Sole(), "*/ ") || !strings.Contains(strings.ToLower(id.Name), strings.ToLower(id.Sole())) {
			t.Fatalf("%+v", id)
		}
	})
}
