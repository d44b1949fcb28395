// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh/layout"
	"github.com/otelcol-mesh/otelcol-mesh/internal/envoybin"
	"github.com/otelcol-mesh/otelcol-mesh/test/kube/kubetest"
)

// west and north are the demo mesh's clusters.
const west, north = "aks-westeurope", "aks-northeurope"

// Each pod has an address of the loopback for its own.
const (
	hubHost = "127.13.0.3"
	// secondHubHost and routerHost are a second replica's, and that of the router before the two.
	secondHubHost, routerHost = "127.13.0.4", "127.13.0.5"
	// azureHost is where the stand-in of Azure Monitor listens with a certificate for it.
	azureHost = "127.13.0.9"
)

func agentHost(cluster string) string {
	return map[string]string{west: "127.13.1.1", north: "127.13.2.1"}[cluster]
}

func inventoryHost(cluster string) string {
	return map[string]string{west: "127.13.1.2", north: "127.13.2.2"}[cluster]
}

// tierHost is where the metrics of a cluster's nodes are added up.
func tierHost(cluster string) string {
	return map[string]string{west: "127.13.1.3", north: "127.13.2.3"}[cluster]
}

// region is one cluster of the demo mesh, with its API server.
type region struct {
	*kubetest.Cluster
	applier *applier
	// node is where all its pods are, so that one agent serves them.
	node string
}

// newRegion starts the API server of a cluster of the demo mesh and tells it of the mesh's pods.
func newRegion(t *testing.T, cluster layout.Cluster) *region {
	t.Helper()
	c := kubetest.Start(t, kubetest.Options{Name: cluster.Name})
	c.CRDs(t)
	c.Apply(t, monitoring)
	c.Istio(t, kubetest.Istio{Network: cluster.Network, TrustDomain: layout.TrustDomain, MeshID: layout.MeshID})
	node := kubetest.Node(0, kubetest.NodeOptions{Region: cluster.Region})
	node.Name = cluster.Nodes()[0].Name
	node.Labels["kubernetes.io/hostname"] = node.Name
	_, err := c.Client.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{})
	require.NoError(t, err)
	r := &region{Cluster: c, applier: newApplier(t, c), node: node.Name}
	for _, pod := range cluster.Pods() {
		r.run(t, node, pod.IP, kubetest.PodOptions{
			Namespace: pod.Namespace, Name: pod.Name, Workload: pod.Workload, Version: pod.Version, ServiceAccount: pod.ServiceAccount, Network: cluster.Network,
			// The demo's gateways push their metrics; what the injector adds would have them scraped too.
			Plain: pod.Kind != layout.Sidecar,
			Labels: map[string]string{
				"app": pod.Service, "service.istio.io/canonical-name": pod.Service, "service.istio.io/canonical-revision": pod.Version,
			},
		})
	}
	// Of the ambient mesh only ztunnel's log is there. These have addresses that can be looked up, which those of a loopback
	// cannot: of the demo's pods the agents know what the Envoys tell.
	r.run(t, node, "10.244.0.60", kubetest.PodOptions{
		Namespace: layout.GatewayNamespace, Name: ztunnel, Workload: "ztunnel", Kind: "DaemonSet", ServiceAccount: "ztunnel", Plain: true,
	})
	for name, address := range map[string]string{"shell": shellAddress, "echo": echoAddress} {
		r.run(t, node, address, kubetest.PodOptions{Namespace: "ambient", Workload: name, ServiceAccount: name, Plain: true})
	}
	return r
}

const (
	ztunnel                   = "ztunnel-x2x9p"
	shellAddress, echoAddress = "10.244.0.24", "10.244.0.42"
)

// run tells the API server of a pod, as a scheduler and a kubelet would.
func (r *region) run(t *testing.T, node *core.Node, address string, o kubetest.PodOptions) {
	t.Helper()
	o.Node = node.Name
	require.NoError(t, r.ServiceAccount(t.Context(), o.Namespace, o.ServiceAccount))
	pod, err := r.Client.CoreV1().Pods(o.Namespace).Create(t.Context(), kubetest.Pod(o), metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = r.Kubelet().Run(t.Context(), pod, netip.MustParseAddr(node.Status.Addresses[0].Address), netip.MustParseAddr(address))
	require.NoError(t, err)
}

// startMesh starts the demo mesh and its load, which last as long as the test. The Envoys send to the agents' addresses,
// whether or not somebody listens.
func startMesh(t *testing.T) {
	t.Helper()
	envoy, err := envoybin.Path(t.Context())
	require.NoError(t, err)
	agents := map[string]mesh.AgentAddresses{}
	for _, c := range layout.Clusters() {
		agents[c.Name] = mesh.AgentAddresses{OTLP: net.JoinHostPort(agentHost(c.Name), "4317"), ALS: net.JoinHostPort(agentHost(c.Name), "18090")}
	}
	m, err := mesh.New(mesh.Options{Envoy: envoy, Dir: t.TempDir(), Agents: agents, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	require.NoError(t, m.Start(ctx))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		assert.NoError(t, m.Stop(ctx))
	})
	require.NoError(t, m.Ready(ctx))
	load, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := m.Load(load, 4, nil)
		assert.NoError(t, err)
	}()
	t.Cleanup(func() { stop(); <-done })
}
