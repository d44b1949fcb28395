// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNamesAndAddressesAreUnique(t *testing.T) {
	require.Len(t, Pods(), 16)
	names, sockets := map[string]bool{}, map[string]bool{}
	for _, p := range Pods() {
		require.False(t, names[p.Name], p.Name)
		names[p.Name] = true
		require.True(t, strings.HasPrefix(p.IP, p.Cluster.Prefix+"."))
		for _, port := range p.Ports() {
			socket := net.JoinHostPort(p.IP, strconv.Itoa(port))
			require.False(t, sockets[socket], socket)
			sockets[socket] = true
		}
	}
}

func TestIstioSpellings(t *testing.T) {
	c, ok := ClusterByName("aks-westeurope")
	require.True(t, ok)
	p := c.PodsOf("reviews")[0]
	require.Equal(t, "sidecar~127.1.0.31~reviews-v1-6d5f7c9b8-abcde.bookinfo~bookinfo.svc.cluster.local", p.NodeID())
	require.Equal(t, "reviews.bookinfo", p.NodeCluster())
	require.Equal(t, "reviews-v1;bookinfo;reviews;v1;aks-westeurope", p.EndpointMetadata())
	require.Equal(t, "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-reviews", p.Principal())
	require.Equal(t, "westeurope-1", p.ZoneLabel())
	require.Equal(t, "router~127.1.0.10~istio-ingressgateway-79788cd94-abcde.istio-system~istio-system.svc.cluster.local",
		c.PodsOf("istio-ingressgateway")[0].NodeID())
	_, ok = ClusterByName("aks-mars")
	require.False(t, ok)
}

// TestPodsRunOnNodesOfTheirZone keeps node, zone and node label together.
func TestPodsRunOnNodesOfTheirZone(t *testing.T) {
	for _, p := range Pods() {
		found := false
		for _, n := range p.Cluster.Nodes() {
			if n.Name == p.Node {
				found = true
				require.Equal(t, n.Zone, p.ZoneLabel(), p.Name)
			}
		}
		require.True(t, found, p.Name)
	}
}

func TestCertsAreMutuallyValid(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, WriteCerts(dir))
	for _, p := range Pods() {
		files := p.Certs(dir)
		pair, err := tls.LoadX509KeyPair(files.Chain, files.Key)
		require.NoError(t, err)
		root, err := os.ReadFile(files.Root)
		require.NoError(t, err)
		pool := x509.NewCertPool()
		require.True(t, pool.AppendCertsFromPEM(root))
		_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		require.NoError(t, err)
		require.Equal(t, p.Principal(), pair.Leaf.URIs[0].String())
		info, err := os.Stat(files.Key)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode())
	}
	require.Error(t, WriteCerts("/dev/null/no"))
}
