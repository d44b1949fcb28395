// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensiontest"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/meshtopologyextension"
	"github.com/otelcol-mesh/otelcol-mesh/test/kube/kubetest"
)

// embedded returns a kubeconfig for the inventory's account of the cluster as a remote secret has it: with everything
// in it, and no file.
func embedded(t *testing.T, c *kubetest.Cluster) []byte {
	t.Helper()
	ca, err := c.CA()
	require.NoError(t, err)
	token, err := c.Token(t.Context(), "otelcol-mesh", inventoryAccount, time.Hour)
	require.NoError(t, err)
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: c.Proxy.URL(), CertificateAuthorityData: ca}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	data, err := clientcmd.Write(*config)
	require.NoError(t, err)
	return data
}

// remoteHub starts the extension with the source remote_secrets, as the account of the hub.
func remoteHub(t *testing.T, hub *kubetest.Cluster) (meshtopologyextension.Topology, extension.Extension) {
	t.Helper()
	factory := meshtopologyextension.NewFactory()
	cfg := factory.CreateDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(map[string]any{
		"remote_secrets": map[string]any{
			"kubeconfig": hub.Kubeconfig(t, "otelcol-mesh", "otelcol-mesh-hub"), "own_cluster": hub.Name, "stale_after": "12s",
		},
	}).Unmarshal(cfg))
	require.NoError(t, confmap.Validate(cfg))
	e, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), cfg)
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, e.Shutdown(context.Background())) })
	return e.(meshtopologyextension.Topology), e
}

// The hub reads a spoke with a remote secret of its own API server: as the least that its account may, with a rotation,
// and without the spoke once the secret is gone.
func TestRemoteSecrets(t *testing.T) {
	hub, spoke := kubetest.Start(t, kubetest.Options{Name: "hub"}), kubetest.Start(t, kubetest.Options{Name: "aks-westeurope"})
	hub.Namespace(t, "istio-system", nil)
	hub.Namespace(t, "otelcol-mesh", nil)
	hub.ApplyFile(t, filepath.Join("..", "..", "distribution", "rbac", "hub-remote.yaml"))
	spoke.Istio(t, kubetest.Istio{Network: "vnet-westeurope", TrustDomain: "west"})
	spoke.Namespace(t, "otelcol-mesh", nil)
	spoke.ApplyFile(t, filepath.Join("..", "..", "distribution", "rbac", "inventory.yaml"))
	spoke.Namespace(t, "shop", nil)
	nodes := spoke.Nodes(t, 1, kubetest.NodeOptions{})
	kubelet := spoke.Kubelet()
	run := func(ordinal int, address string) *core.Pod {
		t.Helper()
		p, err := spoke.Client.CoreV1().Pods("shop").Create(t.Context(), kubetest.Pod(kubetest.PodOptions{
			Namespace: "shop", Workload: "cart", Ordinal: ordinal, Node: nodes[0].Name,
		}), meta.CreateOptions{})
		require.NoError(t, err)
		p, err = kubelet.Run(t.Context(), p, netip.MustParseAddr("10.250.0.1"), netip.MustParseAddr(address))
		require.NoError(t, err)
		return p
	}
	first := run(0, "10.99.0.1")

	known, _ := remoteHub(t, hub)
	secrets := hub.Client.CoreV1().Secrets("istio-system")
	secret, err := secrets.Create(t.Context(), &core.Secret{
		ObjectMeta: meta.ObjectMeta{Name: "istio-remote-secret-west", Labels: map[string]string{"istio/multiCluster": "true"}},
		Data:       map[string][]byte{spoke.Name: embedded(t, spoke)},
	}, meta.CreateOptions{})
	require.NoError(t, err)
	named := func(p *core.Pod, address string) {
		t.Helper()
		require.Eventually(t, func() bool {
			found, ok := known.Snapshot().ByAddress("vnet-westeurope", netip.MustParseAddr(address))
			return ok && found.Name == p.Name
		}, time.Minute, 10*time.Millisecond, "%s is %s", address, p.Name)
	}
	named(first, "10.99.0.1")

	secret.Data[spoke.Name] = embedded(t, spoke)
	_, err = secrets.Update(t.Context(), secret, meta.UpdateOptions{})
	require.NoError(t, err)
	named(first, "10.99.0.1")
	named(run(1, "10.99.0.2"), "10.99.0.2")

	require.NoError(t, secrets.Delete(t.Context(), secret.Name, meta.DeleteOptions{}))
	require.Eventually(t, func() bool {
		c, ok := known.Snapshot().Cluster(spoke.Name)
		if !ok {
			return false
		}
		_, stale := c.StaleSince()
		return stale
	}, time.Minute, 50*time.Millisecond, "stale, and not gone")
	named(first, "10.99.0.1")
}
