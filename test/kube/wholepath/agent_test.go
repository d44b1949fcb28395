// SPDX-License-Identifier: Apache-2.0

package wholepath_test

import (
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"

	"github.com/otelcol-mesh/otelcol-mesh/test/kube/kubetest"
	"github.com/otelcol-mesh/otelcol-mesh/test/kube/leastprivilege"
)

const (
	agentHost = "127.9.3.1"
	// agentNodes and agentPods are the cluster; the pods are those of one node.
	agentNodes, agentPods = 10, 100
	agentAccount          = "otelcol-mesh-agent"
	// agentOutage is how long the API server is down at least.
	agentOutage = 20 * time.Second
	// agentBytes is what the project promises of an agent's start.
	agentBytes    = 1_000_000
	agentManifest = "../../../distribution/rbac/agent.yaml"
)

// TestAgent runs the agent that users run, with the rights that they give it, on a node of a cluster of 1 000 pods.
func TestAgent(t *testing.T) {
	c := newAgentCluster(t)
	t.Run("KnowsItsNode", c.testKnowsItsNode)
	t.Run("NeedsLittleMemory", c.testNeedsLittleMemory)
	t.Run("StartsWithoutItsAPIServer", c.testStartsWithoutItsAPIServer)
	// After all that the agent may do was done.
	t.Run("StaysUnderItsRights", c.testStaysUnderItsRights)
}

// testKnowsItsNode prevents that an agent names pods of other nodes, whose addresses it cannot vouch for, or scrapes them.
func (c *agentCluster) testKnowsItsNode(t *testing.T) {
	a := c.startAgent(t, "agent", agentHost, "")
	took := a.eventually("the agent knows its node", func() bool { return a.knows(len(c.own)) })
	t.Logf("ready and synced; its node's pods are known %s after the health check said yes", took.Round(10*time.Millisecond))

	for i, pods := range c.pods {
		for _, pod := range pods {
			expected := ""
			if i == 0 {
				expected = pod.Namespace + "/" + pod.Name
			}
			require.Equal(t, expected, a.who(pod.Status.PodIP), "%s on %s", pod.Status.PodIP, pod.Spec.NodeName)
		}
	}

	said := a.span(c.own[7].Status.PodIP)
	for key, value := range map[string]string{
		"k8s.pod.name": c.own[7].Name, "k8s.namespace.name": "shop", "k8s.node.name": c.own[7].Spec.NodeName,
		"k8s.cluster.name": c.Name, "cloud.region": "westeurope", "cloud.availability_zone": "westeurope-1",
		"k8s.deployment.name": c.own[7].Labels["app"],
	} {
		assert.Equal(t, value, said[key], key)
	}
	// A pod of another node is not this agent's to name, and the span goes on all the same.
	assert.NotContains(t, a.span(c.pods[1][7].Status.PodIP), "k8s.pod.name")

	names := map[string]bool{}
	for _, pod := range c.own {
		names[pod.Name] = true
	}
	took = a.eventually("all pods of the node were scraped", func() bool { return len(c.proxies.seen()) >= len(names) })
	assert.Equal(t, names, c.proxies.seen(), "pods that were scraped")
	t.Logf("all %d pods were scraped %s later", len(names), took.Round(10*time.Millisecond))
	own, discovery := c.Proxy.Sent()+c.Proxy.Received(), c.discoveryProxy.Sent()+c.discoveryProxy.Received()
	t.Logf("since its start the network carried %d kB for the topology and %d kB for the discovery of targets", own/1000, discovery/1000)
	assert.Less(t, own+discovery, int64(agentBytes))
	a.eventually("scraped metrics are added up to workloads", func() bool {
		for _, resource := range a.resources(metrics) {
			if resource["k8s.deployment.name"] == c.own[7].Labels["app"] {
				return assert.NotContains(t, resource, "k8s.pod.name") && assert.NotContains(t, resource, "service.instance.id")
			}
		}
		return false
	})
}

// testStartsWithoutItsAPIServer prevents that an outage of the API server takes the telemetry of the nodes that start in it.
func (c *agentCluster) testStartsWithoutItsAPIServer(t *testing.T) {
	require.NoError(t, c.KillAPIServer())
	began := time.Now()
	a := c.startAgent(t, "orphan", agentHost, "")
	t.Logf("healthy %s after its start, without an API server", time.Since(began).Round(10*time.Millisecond))
	said := a.span(c.own[3].Status.PodIP)
	assert.NotContains(t, said, "k8s.pod.name", "nobody can know")
	outage := time.NewTimer(agentOutage)
	defer outage.Stop()
	var source agentSource
	a.eventually("the extension says why it knows nothing", func() bool {
		source = a.source()
		return source.Detail != ""
	})
	t.Logf("what it says: %+v", source)
	assert.False(t, source.Ready)
	assert.Nil(t, source.Confirmed)
	select {
	case <-outage.C: // the agent asks less and less often
	case <-t.Context().Done():
		require.NoError(t, t.Context().Err())
	}
	a.span(c.own[3].Status.PodIP)

	require.NoError(t, c.StartAPIServer(t.Context()))
	down := time.Since(began)
	// Pods alone do not tell: an API server that has just started may allow them before what tells the node's network.
	took := a.eventually("the agent knows its node", func() bool {
		return a.knows(len(c.own)) && a.span(c.own[3].Status.PodIP)["k8s.pod.name"] == c.own[3].Name
	})
	t.Logf("knows its node %s after the API server was ready, which was down for %s", took.Round(10*time.Millisecond), down.Round(time.Second))
	c.proxies.forget()
	took = a.eventually("all pods of the node are scraped", func() bool { return len(c.proxies.seen()) == len(c.own) })
	t.Logf("all are scraped %s later", took.Round(10*time.Millisecond))
}

func (c *agentCluster) testStaysUnderItsRights(t *testing.T) {
	text, err := os.ReadFile(agentManifest)
	require.NoError(t, err)
	granted, err := leastprivilege.Parse(string(text), home, agentAccount)
	require.NoError(t, err)
	requests, err := c.Requests(kubetest.ServiceAccountUser(home, agentAccount))
	require.NoError(t, err)
	require.NotEmpty(t, requests)
	report := leastprivilege.Compare(granted, requests)
	assert.True(t, report.Empty(), report.String())
	for i := range requests {
		r := &requests[i]
		// What was refused is in the report.
		if r.Annotations["authorization.k8s.io/decision"] == "allow" {
			assert.Less(t, r.Response.Code, 400, "%s %s of %s", r.Verb, r.RequestURI, r.UserAgent)
		}
		if r.Object.Resource != "pods" {
			continue
		}
		at, err := url.Parse(r.RequestURI)
		require.NoError(t, err)
		assert.Contains(t, at.Query().Get("fieldSelector"), "spec.nodeName="+c.nodes[0].Name, "%s asks for other nodes' pods", r.UserAgent)
	}
}

// agentCluster is a cluster and what the agents of its first node have.
type agentCluster struct {
	*kubetest.Cluster
	nodes []*core.Node
	// pods are those of each node, own those of the first.
	pods [][]*core.Pod
	own  []*core.Pod
	// kubeconfig and discovery are those of the agent's service account, for the topology and for Prometheus' discovery of
	// targets, whose bytes go through a proxy of its own.
	kubeconfig, discovery string
	discoveryProxy        *kubetest.Proxy
	proxies               *proxyPages
}

func newAgentCluster(t *testing.T) *agentCluster {
	t.Helper()
	c := &agentCluster{Cluster: kubetest.Start(t, kubetest.Options{Name: "aks-westeurope"}), proxies: newProxyPages(t)}
	c.Istio(t, kubetest.Istio{Network: "vnet-westeurope", TrustDomain: "cluster.local", MeshID: "mesh1"})
	c.Namespace(t, home, nil)
	c.Namespace(t, "shop", nil)
	c.ApplyFile(t, agentManifest)
	c.kubeconfig = c.Kubeconfig(t, home, agentAccount)
	var err error
	c.discoveryProxy, err = c.NewProxy()
	require.NoError(t, err)
	t.Cleanup(c.discoveryProxy.Close)
	c.discovery = c.KubeconfigVia(t, c.discoveryProxy, home, agentAccount)
	c.nodes = c.Nodes(t, agentNodes, kubetest.NodeOptions{})
	c.pods = c.Fill(t, c.nodes, agentPods, kubetest.PodOptions{Namespace: "shop", Network: "vnet-westeurope"})
	c.own = c.pods[0]
	return c
}
