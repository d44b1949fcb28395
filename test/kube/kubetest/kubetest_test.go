// SPDX-License-Identifier: Apache-2.0

package kubetest

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// within bounds every wait; it matters only when something is broken.
const within = 60 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestCluster is one cluster, because starting it is most of the work.
func TestCluster(t *testing.T) {
	began := time.Now()
	c := Start(t, Options{Name: "aks-westeurope"})
	t.Logf("ready after %s", time.Since(began).Round(time.Millisecond))
	t.Run("looks like a cluster with Istio", func(t *testing.T) { looksLikeIstio(t, c) })
	t.Run("a pod's life", func(t *testing.T) { podLife(t, c) })
	t.Run("RBAC and the audit log", func(t *testing.T) { rbacAndAudit(t, c) })
	t.Run("a token expires", func(t *testing.T) { tokenExpires(t, c) })
	t.Run("the proxy cuts, stalls, refuses and counts", func(t *testing.T) { proxyDisturbs(t, c) })
	t.Run("killed and started again", func(t *testing.T) { killed(t, c) })
}

func looksLikeIstio(t *testing.T, c *Cluster) {
	c.CRDs(t)
	c.Istio(t, Istio{
		Network: "network-west", TrustDomain: "west.example", MeshID: "mesh1", Tags: []string{"prod"},
		MeshNetworks: "network-west:\n  gateways:\n  - address: 203.0.113.1\n    port: 15443\n",
	})
	c.Istio(t, Istio{Revision: "1-28", Version: "1.28.0"})
	nodes := c.Nodes(t, 3, NodeOptions{})
	assert.Equal(t, "10.244.2.0/24", nodes[2].Spec.PodCIDR)
	assert.Equal(t, "10.224.0.6", nodes[2].Status.Addresses[0].Address)
	assert.Equal(t, "westeurope-3", nodes[2].Labels["topology.kubernetes.io/zone"])
	gateway := c.EastWestGateway(t, "network-west", netip.MustParseAddr("203.0.113.1"))
	assert.Equal(t, "203.0.113.1", gateway.Status.LoadBalancer.Ingress[0].IP)
	config, err := c.Client.CoreV1().ConfigMaps("istio-system").Get(t.Context(), "istio", meta.GetOptions{})
	require.NoError(t, err)
	assert.Contains(t, config.Data["mesh"], "trustDomain: west.example")
	assert.Contains(t, config.Data["meshNetworks"], "\n  network-west:\n    gateways:")
	c.Apply(t, `
# Two documents and a status.
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm, namespace: istio-system}
spec: {address: 192.0.2.7, network: network-west}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: ew, namespace: istio-system}
spec: {gatewayClassName: istio-east-west}
status: {addresses: [{type: IPAddress, value: 203.0.113.9}]}
`)
	gateways := c.Dynamic.Resource(schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gateways"})
	ew, err := gateways.Namespace("istio-system").Get(t.Context(), "ew", meta.GetOptions{})
	require.NoError(t, err)
	assert.Contains(t, ew.Object, "status")
}

// podLife checks what the sources rely on, and that no other server would have to tell them.
func podLife(t *testing.T, c *Cluster) {
	ctx := t.Context()
	c.Namespace(t, "shop", nil)
	kubelet := c.Kubelet()
	pods := c.Client.CoreV1().Pods("shop")
	w, err := pods.Watch(ctx, meta.ListOptions{})
	require.NoError(t, err)
	defer w.Stop()
	node := Node(0, NodeOptions{})
	host := netip.MustParseAddr(node.Status.Addresses[0].Address)
	pod, err := pods.Create(ctx, Pod(PodOptions{Namespace: "shop", Workload: "reviews", Node: node.Name}), meta.CreateOptions{})
	require.NoError(t, err)
	pod, err = kubelet.Accept(ctx, pod, host)
	require.NoError(t, err)
	assert.Empty(t, pod.Status.PodIP)
	pod, err = kubelet.Run(ctx, pod, host, netip.MustParseAddr("10.244.0.9"))
	require.NoError(t, err)
	assert.Equal(t, "10.244.0.9", pod.Status.PodIP)
	text, err := json.Marshal(pod)
	require.NoError(t, err)
	t.Logf("an injected pod has %d bytes of JSON", len(text))
	assert.InDelta(t, 10_500, len(text), 1_500)

	slice := c.EndpointSlice(t, c.Service(t, "shop", "reviews", 9080), map[string]string{node.Name: "westeurope-1"}, pod)
	assert.Equal(t, "westeurope-1", *slice.Endpoints[0].Zone)

	asked := time.Now()
	require.NoError(t, kubelet.Terminate(ctx, pod, 30*time.Second))
	terminating := next(t, w, watch.Modified, func(p *core.Pod) bool { return p.DeletionTimestamp != nil })
	t.Logf("deletionTimestamp of a deletion with 30 s grace: request %+.1f s", terminating.DeletionTimestamp.Sub(asked).Seconds())
	assert.WithinDuration(t, asked.Add(30*time.Second), terminating.DeletionTimestamp.Time, 2*time.Second)
	// The two requests must differ by more than the second that times are rounded to.
	require.Eventually(t, func() bool { return time.Since(asked) > 2*time.Second }, within, 50*time.Millisecond)
	removed := time.Now()
	require.NoError(t, kubelet.Remove(ctx, pod))
	gone := next(t, w, watch.Deleted, func(*core.Pod) bool { return true })
	t.Logf("deletionTimestamp in the DELETED event: first request %+.1f s, last request %+.1f s, grace %d",
		gone.DeletionTimestamp.Sub(asked).Seconds(), gone.DeletionTimestamp.Sub(removed).Seconds(), *gone.DeletionGracePeriodSeconds)
	assert.Equal(t, "10.244.0.9", gone.Status.PodIP)
	// It says when the last request came, not the first one: pkg/registry/rest/delete.go keeps it from moving into the past.
	assert.WithinRange(t, gone.DeletionTimestamp.Time, removed.Add(-time.Second), time.Now())

	forced, err := pods.Create(ctx, Pod(PodOptions{Namespace: "shop", Workload: "job", Kind: "Job", Node: node.Name}), meta.CreateOptions{})
	require.NoError(t, err)
	forced, err = kubelet.Run(ctx, forced, host, netip.MustParseAddr("10.244.0.10"))
	require.NoError(t, err)
	forced, err = kubelet.Complete(ctx, forced, true)
	require.NoError(t, err)
	assert.Equal(t, core.PodSucceeded, forced.Status.Phase)
	assert.Equal(t, "10.244.0.10", forced.Status.PodIP, "a finished pod keeps the address in its status")
	removed = time.Now()
	require.NoError(t, kubelet.Remove(ctx, forced))
	gone = next(t, w, watch.Deleted, func(*core.Pod) bool { return true })
	if assert.NotNil(t, gone.DeletionTimestamp) {
		t.Logf("deletionTimestamp in the DELETED event of a forced deletion: request %+.1f s", gone.DeletionTimestamp.Sub(removed).Seconds())
	}
}

// next returns the next pod of a watch that meets a condition.
func next(t *testing.T, w watch.Interface, kind watch.EventType, want func(*core.Pod) bool) *core.Pod {
	t.Helper()
	timeout := time.After(within)
	for {
		select {
		case event, ok := <-w.ResultChan():
			require.True(t, ok, "the watch ended")
			if pod, isPod := event.Object.(*core.Pod); isPod && event.Type == kind && want(pod) {
				return pod
			}
		case <-timeout:
			t.Fatal("no such event")
		}
	}
}

func client(t *testing.T, config *rest.Config) *kubernetes.Clientset {
	t.Helper()
	// Not client-go's shared transports: their connections outlive the test.
	transport, err := rest.TLSConfigFor(config)
	require.NoError(t, err)
	base := &http.Transport{TLSClientConfig: transport, ForceAttemptHTTP2: true}
	t.Cleanup(base.CloseIdleConnections)
	config = rest.CopyConfig(config)
	config.Transport, config.TLSClientConfig = base, rest.TLSClientConfig{}
	k, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	return k
}

func rbacAndAudit(t *testing.T, c *Cluster) {
	k := client(t, c.ServiceAccountConfig(t, "mesh", "agent"))
	_, err := k.CoreV1().Pods("").List(t.Context(), meta.ListOptions{})
	require.True(t, apierrors.IsForbidden(err), "%v", err)
	c.Apply(t, `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: agent}
rules:
- {apiGroups: [""], resources: [pods], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: agent}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: agent}
subjects:
- {kind: ServiceAccount, namespace: mesh, name: agent}
`)
	require.NoError(t, poll(t.Context(), func(ctx context.Context) (bool, error) { // the authorizer learns of it by a watch
		_, err := k.CoreV1().Pods("").List(ctx, meta.ListOptions{})
		return err == nil, nil
	}))
	requests, err := c.Requests(ServiceAccountUser("mesh", "agent"))
	require.NoError(t, err)
	first, last := requests[0], requests[len(requests)-1]
	assert.Equal(t, "forbid", first.Annotations["authorization.k8s.io/decision"])
	assert.Equal(t, http.StatusForbidden, first.Response.Code)
	assert.Equal(t, "allow", last.Annotations["authorization.k8s.io/decision"])
	assert.Equal(t, []string{"list", "pods", ""}, []string{last.Verb, last.Object.Resource, last.Object.APIGroup})
	sizes, err := c.ResponseSizes(t.Context())
	require.NoError(t, err)
	var bytes float64
	for _, s := range sizes {
		if s.Resource == "pods" && s.Verb == "LIST" {
			bytes += s.Bytes
		}
	}
	assert.Positive(t, bytes)
}

func tokenExpires(t *testing.T, c *Cluster) {
	config, err := clientcmd.LoadFromFile(c.Kubeconfig(t, "mesh", "short"))
	require.NoError(t, err)
	file := config.AuthInfos["short"].TokenFile
	restConfig, err := clientcmd.NewDefaultClientConfig(*config, nil).ClientConfig()
	require.NoError(t, err)
	until := time.Now().Add(3 * time.Second)
	token, err := c.TokenUntil(t.Context(), "mesh", "short", until)
	require.NoError(t, err)
	require.NoError(t, WriteToken(file, token))
	k := client(t, restConfig)
	_, err = k.CoreV1().Pods("").List(t.Context(), meta.ListOptions{})
	require.True(t, apierrors.IsForbidden(err), "who it is should be known: %v", err)
	require.NoError(t, poll(t.Context(), func(ctx context.Context) (bool, error) {
		_, err := k.CoreV1().Pods("").List(ctx, meta.ListOptions{})
		return apierrors.IsUnauthorized(err), nil
	}))
	t.Logf("401 came %s after the token expired", time.Since(until).Round(10*time.Millisecond))
	assert.True(t, time.Now().After(until.Truncate(time.Second)))
	// client-go reads the file once a minute, also after a 401: a client of its own has the next token at once.
	token, err = c.Token(t.Context(), "mesh", "short", 10*time.Minute)
	require.NoError(t, err)
	require.NoError(t, WriteToken(file, token))
	_, err = client(t, restConfig).CoreV1().Pods("").List(t.Context(), meta.ListOptions{})
	require.True(t, apierrors.IsForbidden(err), "%v", err)
}
