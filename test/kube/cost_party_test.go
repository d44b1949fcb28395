// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/kube"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
	"github.com/otelcol-mesh/otelcol-mesh/receivers/meshinventoryreceiver"
	"github.com/otelcol-mesh/otelcol-mesh/test/kube/kubetest"
)

// costParty is several clients of one kind and one service account, each through a proxy of its own.
type costParty struct {
	title, account  string
	proxies         []*kubetest.Proxy
	begin           func()
	synced          func() bool
	took            time.Duration
	atStart, atRest usage
	// counted is how many bytes each proxy had when it was looked at last.
	counted []int64
}

// usage is what was asked in some time, and the bytes of each client.
type usage struct {
	requests []kubetest.Request
	bytes    []int64
}

// start lets the party begin and counts what it costs until everybody knows everything and is silent.
func (p *costParty) start(t *testing.T, c *kubetest.Cluster) {
	t.Helper()
	began := time.Now()
	p.counted = make([]int64, len(p.proxies)) // before the inventory begins, if it is there
	p.begin()
	require.Eventually(t, p.synced, within, 20*time.Millisecond, p.title)
	p.took = time.Since(began)
	awaitSilence(t, []*costParty{p})
	p.atStart = p.take(t, c, began)
}

// take counts since it was called last.
func (p *costParty) take(t *testing.T, c *kubetest.Cluster, since time.Time) usage {
	t.Helper()
	var u usage
	for i, proxy := range p.proxies {
		total := proxy.Sent() + proxy.Received()
		u.bytes = append(u.bytes, total-p.counted[i])
		p.counted[i] = total
	}
	entries, err := c.Requests(kubetest.ServiceAccountUser(home, p.account))
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, r := range entries {
		// The log says of a watch that it began, and again that it ended.
		if !r.Received.Before(since) && !seen[r.AuditID] {
			seen[r.AuditID] = true
			u.requests = append(u.requests, r)
		}
	}
	return u
}

// awaitSilence waits until the proxies have carried nothing but pings for a second.
func awaitSilence(t *testing.T, parties []*costParty) {
	t.Helper()
	total := func() int64 {
		var n int64
		for _, p := range parties {
			for _, proxy := range p.proxies {
				n += proxy.Sent() + proxy.Received()
			}
		}
		return n
	}
	last := total()
	require.Eventually(t, func() bool {
		now := total()
		silent := now-last < 10_000
		last = now
		return silent
	}, within, time.Second)
}

// costAtRestOf counts all parties in the same time, in which nothing happens in the cluster.
func costAtRestOf(t *testing.T, c *kubetest.Cluster, parties []*costParty) {
	t.Helper()
	awaitSilence(t, parties)
	began := time.Now()
	for _, p := range parties {
		p.take(t, c, began)
	}
	rest := time.NewTimer(costRest)
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-t.Context().Done():
		require.NoError(t, t.Context().Err())
	}
	for _, p := range parties {
		p.atRest = p.take(t, c, began)
	}
}

// costTable logs the figures.
func costTable(t *testing.T, parties []*costParty) {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "%d pods on %d nodes; bytes are what the network carried\n", costNodes*costPodsEach, costNodes)
	text.WriteString("| who | clients | synced after | requests at start | bytes at start | the most of one | requests a minute at rest | bytes a minute at rest |\n" +
		"|---|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, p := range parties {
		fmt.Fprintf(&text, "| %s | %d | %s | %d | %s | %s | %d | %s |\n", p.title, len(p.proxies), p.took.Round(10*time.Millisecond),
			len(p.atStart.requests), kilo(sum(p.atStart.bytes)), kilo(slices.Max(p.atStart.bytes)),
			perMinute(int64(len(p.atRest.requests))), kilo(perMinute(sum(p.atRest.bytes))))
	}
	for _, p := range parties {
		fmt.Fprintf(&text, "%s, at start: %s\n", p.title, histogram(p.atStart.requests))
		fmt.Fprintf(&text, "%s, in %s at rest: %s\n", p.title, costRest, histogram(p.atRest.requests))
	}
	t.Log(text.String())
}

func kilo(bytes int64) string { return fmt.Sprintf("%.1f kB", float64(bytes)/1000) }

// histogram counts requests by what they ask for.
func histogram(requests []kubetest.Request) string {
	counts := map[string]int{}
	for i := range requests {
		r := &requests[i]
		what := kindOf(r) + " " + r.Object.Resource
		if r.Object.Resource == "" {
			what, _, _ = strings.Cut(r.Verb+" "+r.RequestURI, "?")
		}
		if limit := queryOf(r).Get("limit"); limit != "" {
			what += " limit=" + limit
		}
		if r.Response.Code >= 300 {
			what += fmt.Sprintf(" (%d)", r.Response.Code)
		}
		counts[what]++
	}
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[what], what))
	}
	return strings.Join(parts, ", ")
}

// costInventory is the receiver with its default settings, its election among them.
func costInventory(t *testing.T, c *kubetest.Cluster) *costParty {
	hub := newInventoryHub()
	p := &costParty{title: "our inventory", account: inventoryAccount}
	p.begin = func() {
		r := startInventory(t, c, hub, "a", func(cfg *meshinventoryreceiver.Config) {
			shipped := meshinventoryreceiver.NewFactory().CreateDefaultConfig().(*meshinventoryreceiver.Config)
			election := shipped.LeaderElection
			election.LeaseNamespace, election.Identity = cfg.LeaderElection.LeaseNamespace, cfg.LeaderElection.Identity
			cfg.LeaderElection, cfg.DeltaInterval, cfg.HeartbeatInterval = election, shipped.DeltaInterval, shipped.HeartbeatInterval
		})
		p.proxies, p.counted = []*kubetest.Proxy{r.proxy}, []int64{0}
	}
	p.synced = func() bool {
		hub.mu.Lock()
		defer hub.mu.Unlock()
		s := hub.store.Snapshot()
		return s != nil && len(hubPods(hub, c.Name)) == costNodes*costPodsEach
	}
	return p
}

// costAgents is the agents' source, one for each node.
func costAgents(t *testing.T, c *kubetest.Cluster, nodes []*core.Node) *costParty {
	p := &costParty{title: "our agents", account: agentAccount}
	var sources []*kube.Source
	known := make([]atomic.Int64, len(nodes))
	for _, node := range nodes {
		proxy := newCostProxy(t, c)
		source, err := kube.New(kube.Settings{
			Cluster: c.Name, Client: kube.ClientSettings{Kubeconfig: c.KubeconfigVia(t, proxy, home, agentAccount)},
			Scope: kube.ScopeNode, NodeName: node.Name, Logger: logger(t),
			Report: func(f topology.Finding) { t.Errorf("%s: %s %s", node.Name, f.Kind, f.Detail) },
		})
		require.NoError(t, err)
		p.proxies, sources = append(p.proxies, proxy), append(sources, source)
	}
	p.begin = func() {
		for i, source := range sources {
			costRun(t, func(ctx context.Context) {
				_ = source.Run(ctx, func(d *topology.Delta) { known[i].Add(int64(len(d.Pods))) }) // the context's error
			})
		}
	}
	p.synced = func() bool {
		for i, source := range sources {
			state := source.State()
			if !state.Synced || state.Live != state.Watches || known[i].Load() != costPodsEach {
				return false
			}
		}
		return true
	}
	return p
}

// costRun runs something until the test ends, and waits for its end.
func costRun(t *testing.T, run func(context.Context)) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

func newCostProxy(t *testing.T, c *kubetest.Cluster) *kubetest.Proxy {
	t.Helper()
	proxy, err := c.NewProxy()
	require.NoError(t, err)
	t.Cleanup(proxy.Close)
	return proxy
}
