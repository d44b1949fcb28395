// SPDX-License-Identifier: Apache-2.0

package clusteridentityprocessor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
	"github.com/otelcol-mesh/otelcol-mesh/processors/clusteridentityprocessor/claimtest"
)

// TestCertificates: whose certificate is not good for a cluster gets nothing through, over either transport.
func TestCertificates(t *testing.T) {
	p := newPKI(t)
	h := startHub(t, p)
	stranger := pkitest.New(t, "stranger")
	id := "spiffe://aks-north.mesh.example/ns/otelcol-mesh/sa/agent"
	for name, c := range map[string]struct {
		pair pkitest.Pair
		// reason is empty where TLS itself refuses.
		reason string
	}{
		"two SPIFFE ids": {p.root.Issue(t, pkitest.Leaf{URIs: []string{"spiffe://aks-west.mesh.example/ns/otelcol-mesh/sa/agent", id}}), "ambiguous"},
		"nobody's rule":  {p.root.Issue(t, pkitest.Leaf{URIs: []string{"spiffe://aks-north.mesh.example/ns/default/sa/agent"}}), "no_rule"},
		"shared trust domain, no cluster's authority": {p.shared(t, p.root), "issuer"},
		"bad id":                  {p.root.Issue(t, pkitest.Leaf{URIs: []string{"spiffe://aks-north.mesh.example/ns/otelcol-mesh/sa/%41"}}), "bad_name"},
		"another authority":       {stranger.Issue(t, pkitest.Leaf{URIs: []string{id}}), ""},
		"authority's name copied": {pkitest.New(t, "root").Issue(t, pkitest.Leaf{URIs: []string{id}}), ""},
		"self-signed":             {pkitest.SelfSigned(t, pkitest.Leaf{URIs: []string{id}}), ""},
		"expired":                 {p.root.Issue(t, pkitest.Leaf{URIs: []string{id}, NotAfter: time.Now().Add(-time.Minute)}), ""},
		"not yet valid":           {p.root.Issue(t, pkitest.Leaf{URIs: []string{id}, NotBefore: time.Now().Add(time.Minute)}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := h.sender(t, c.pair.TLS)
			for _, overHTTP := range []bool{false, true} {
				e := newEnvelope(traces)
				e.Add("hostile").Resource.PutStr(clusterKey, north)
				require.Error(t, s.export(t.Context(), e.Request(), overHTTP, claimtest.ForgedHeaders))
			}
			if c.reason != "" {
				for _, transport := range []string{"grpc", "http"} {
					assert.EqualValues(t, 1, h.sum(t, "extension_cluster_identity_refused_requests", attribute.String("reason", c.reason), attribute.String("transport", transport)))
				}
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		s := h.sender(t)
		for _, overHTTP := range []bool{false, true} {
			e := newEnvelope(traces)
			e.Add("hostile").Resource.PutStr(clusterKey, north)
			require.Error(t, s.export(t.Context(), e.Request(), overHTTP, claimtest.ForgedHeaders))
		}
	})
	t.Run("shared trust domain", func(t *testing.T) {
		e := newEnvelope(traces)
		e.Add("hostile").Resource.PutStr(clusterKey, west)
		assertForbidden(t, h.sender(t, p.shared(t, p.north).TLS).export(t.Context(), e.Request(), false, nil), "the other cluster's authority")
		require.NoError(t, h.sender(t, p.shared(t, p.west).TLS).export(t.Context(), func() any {
			e := newEnvelope(traces)
			claimtest.Own(e.Add("honest"))
			return e.Request()
		}(), true, nil))
	})
	arrived, wrong := h.arrived(t)
	assert.Equal(t, 1, arrived)
	assert.Empty(t, wrong)
}
