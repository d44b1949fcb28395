// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestGatewaysOfAView(t *testing.T) {
	gateway := func(address string) GatewaySpec {
		return GatewaySpec{Name: "ew", Namespace: "istio-system", Addresses: []netip.Addr{netip.MustParseAddr(address)}, Port: 15443}
	}
	b := NewBuilder("", Limits{})
	require.NoError(t, b.Add(&ClusterSpec{Name: "b", Region: "s", Network: "m", Gateways: []GatewaySpec{gateway("20.0.0.2")}}))
	require.NoError(t, b.Add(&ClusterSpec{Name: "a", Region: "r", Network: "n", Gateways: []GatewaySpec{gateway("20.0.0.1")}}))
	require.NoError(t, b.Add(&ClusterSpec{Name: "c", Network: "m"}))
	at := b.Build(time.Unix(0, 0)).At(time.Time{})

	var ids []string
	for g := range at.Gateways {
		ids = append(ids, g.ID)
	}
	assert.Equal(t, []string{"a/istio-system/ew", "b/istio-system/ew"}, ids)
	for range at.Gateways {
		break // Must not yield after the loop is left.
	}
	assert.Equal(t, []string{"r", "s"}, slices.Collect(at.Regions))
	for range at.Regions {
		break
	}

	g, several, ok := at.GatewayNamed("a", "istio-system", "ew")
	require.True(t, ok)
	assert.False(t, several)
	assert.Equal(t, "a/istio-system/ew", g.ID)
	g, several, ok = at.GatewayNamed("", "istio-system", "ew")
	assert.True(t, ok)
	assert.True(t, several)
	assert.Nil(t, g)
	for _, other := range [][3]string{{"c", "istio-system", "ew"}, {"z", "istio-system", "ew"}, {"a", "x", "ew"}, {"a", "istio-system", "x"}, {"", "", ""}} {
		_, _, ok = at.GatewayNamed(other[0], other[1], other[2])
		assert.False(t, ok, other)
	}

	network, ok := at.NetworkOf("c")
	assert.True(t, ok)
	assert.Equal(t, "m", network)
	_, ok = at.NetworkOf("z")
	assert.False(t, ok)
	assert.Zero(t, testing.AllocsPerRun(10, func() {
		for range at.Gateways {
		}
		at.GatewayNamed("", "istio-system", "ew")
	}))
}
