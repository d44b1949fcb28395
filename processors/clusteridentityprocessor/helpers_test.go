// SPDX-License-Identifier: Apache-2.0

package clusteridentityprocessor

import (
	"crypto/x509"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/identity"
	"github.com/otelcol-mesh/otelcol-mesh/processors/clusteridentityprocessor/claimtest"
)

func newEnvelope(s signal) *claimtest.Envelope { return claimtest.New(string(s)) }

// mayOnly returns the identity of a sender that may speak for these clusters alone.
func mayOnly(t testing.TB, clusters ...string) *identity.Identity {
	t.Helper()
	return identityOf(t, identity.Rule{DNS: "agent.example", Clusters: clusters})
}

func identityOf(t testing.TB, rule identity.Rule) *identity.Identity {
	t.Helper()
	rules, err := identity.Compile([]identity.Rule{rule})
	require.NoError(t, err)
	now := time.Now()
	leaf := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"agent.example"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	id, err := rules.Identify([][]*x509.Certificate{{leaf}}, now)
	require.NoError(t, err)
	return id
}
