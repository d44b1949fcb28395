// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"

	"github.com/otelcol-mesh/otelcol-mesh/test/kube/kubetest"
)

const (
	costNodes    = 10
	costPodsEach = 100
	// costRest is how long the cluster is left alone. Nothing changes in it, not even a node's status, and it is shorter than
	// a watch lasts: an agent asks four times in five to ten minutes for the next ones.
	costRest = 30 * time.Second
	// costAtStart is what the project promises of an agent, costAtRest a bound for "close to nothing": one ping in five
	// seconds and a bookmark a minute for each of four watches, several times over.
	costAtStart = 1_000_000
	costAtRest  = 20_000
)

// TestCostAtTheAPIServer counts what the agents of ten nodes and the cluster's inventory ask of the API server, with the
// rights of their manifests, beside what the informers of as many k8sattributes processors ask. Requests are those of the
// audit log; bytes are what the network carried in both directions, encryption included, each client's apart.
func TestCostAtTheAPIServer(t *testing.T) {
	c, nodes := costCluster(t)
	inventory := costInventory(t, c)
	agents := costAgents(t, c, nodes)
	unfiltered := costInformers(t, c, "k8sattributes-unfiltered", "k8sattributes' informers, unfiltered", nodes, func(*core.Node) informerRules {
		return informerRules{}
	})
	filtered := costInformers(t, c, "k8sattributes-node", "k8sattributes' informers, filtered to the node", nodes, func(n *core.Node) informerRules {
		return informerRules{node: n.Name}
	})
	alike := costInformers(t, c, "k8sattributes-zone", "the same with the cluster's uid and the node's zone", nodes, func(n *core.Node) informerRules {
		return informerRules{node: n.Name, clusterUID: true, nodeLabels: true}
	})
	all := []*costParty{inventory, agents, unfiltered, filtered, alike}
	for _, p := range all {
		p.start(t, c)
	}
	costAtRestOf(t, c, all)
	costTable(t, all)

	ours := append(lists(inventory, inventory.atStart), lists(agents, agents.atStart)...)
	ours = append(append(ours, lists(inventory, inventory.atRest)...), lists(agents, agents.atRest)...)
	require.Len(t, ours, 1, "lists of all pods by the inventory and %d agents: %v", len(nodes), ours)
	assert.True(t, strings.HasPrefix(ours[0], inventory.title), ours[0])
	for i, bytes := range agents.atStart.bytes {
		assert.LessOrEqual(t, bytes, int64(costAtStart), "bytes of the agent of node %d at start", i)
	}
	assert.Empty(t, agents.atRest.requests, "requests of agents at rest")
	for i, bytes := range agents.atRest.bytes {
		assert.LessOrEqual(t, perMinute(bytes), int64(costAtRest), "bytes a minute of the agent of node %d at rest", i)
	}
	for _, r := range inventory.atRest.requests {
		assert.Equal(t, "leases", r.Object.Resource, "request of the inventory at rest: %s %s", r.Verb, r.RequestURI)
	}
	assert.LessOrEqual(t, perMinute(sum(inventory.atRest.bytes)), int64(200_000), "bytes a minute of the inventory at rest")

	// The comparison counts what it says it counts.
	assert.Len(t, lists(unfiltered, unfiltered.atStart), len(nodes))
	assert.Empty(t, lists(filtered, filtered.atStart))
	assert.Greater(t, sum(unfiltered.atStart.bytes), sum(inventory.atStart.bytes)+sum(agents.atStart.bytes))
}

// lists names the requests that bring every pod of the cluster: lists and streaming lists of all namespaces and nodes. A
// list of one pod, which asks for the number of them, is none; of a list in pages the first counts.
func lists(p *costParty, u usage) []string {
	var all []string
	for i := range u.requests {
		r := &u.requests[i]
		if r.Object.Resource != "pods" || r.Object.Namespace != "" || r.Object.Name != "" {
			continue
		}
		query := queryOf(r)
		if kindOf(r) == "watch" || query.Get("fieldSelector") != "" || query.Get("limit") == "1" || query.Get("continue") != "" {
			continue
		}
		all = append(all, p.title+": "+r.RequestURI)
	}
	return all
}

// kindOf is the verb of a request, or stream for a watch that begins with all objects there are.
func kindOf(r *kubetest.Request) string {
	if r.Verb == "watch" && queryOf(r).Get("sendInitialEvents") == "true" {
		return "stream"
	}
	return r.Verb
}

func queryOf(r *kubetest.Request) url.Values {
	_, query, _ := strings.Cut(r.RequestURI, "?")
	values, err := url.ParseQuery(query)
	if err != nil { // the API server has parsed it
		panic(err)
	}
	return values
}

func sum(all []int64) int64 {
	var total int64
	for _, n := range all {
		total += n
	}
	return total
}

func perMinute(bytes int64) int64 { return bytes * int64(time.Minute) / int64(costRest) }
