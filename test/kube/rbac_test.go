// SPDX-License-Identifier: Apache-2.0

// Package kube tests what reads Kubernetes against real API servers.
package kube

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	authorization "k8s.io/api/authorization/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/kube"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/kube/lease"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/kube/remote"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
	"github.com/otelcol-mesh/otelcol-mesh/test/kube/kubetest"
	"github.com/otelcol-mesh/otelcol-mesh/test/kube/leastprivilege"
)

const (
	// within bounds every wait; it matters only when something is broken.
	within = 60 * time.Second
	// home is the namespace that the manifests put the collector in.
	home = "otelcol-mesh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRolesHaveWhatTheyNeedAndNoMore runs each role as the service account of its manifest, and holds the manifest against
// the audit log. It takes two servers, as the sources stream lists where they can and list in pages elsewhere, and need
// both: a server that does not stream yet, or not anymore, must not cost the inventory.
func TestRolesHaveWhatTheyNeedAndNoMore(t *testing.T) {
	streaming, listing := kubetest.Options{Name: "streaming"}, kubetest.Options{Name: "listing"}
	listing.APIServerFlags = []string{"--feature-gates=WatchList=false"}
	clusters := []*kubetest.Cluster{kubetest.Start(t, streaming), kubetest.Start(t, listing)}
	for _, c := range clusters {
		prepare(t, c)
	}
	// As the head of the manifest says, and for an account of its own, since the audit log goes by accounts.
	ofRevision := strings.NewReplacer("resourceNames: [istio]", "resourceNames: [istio-1-28]", "otelcol-mesh-agent", "otelcol-mesh-agent-1-28")
	for _, role := range []struct {
		title, manifest, account string
		change                   *strings.Replacer
		run                      func(t *testing.T, c *kubetest.Cluster, kubeconfig string)
	}{
		{"agent.yaml", "agent.yaml", "otelcol-mesh-agent", strings.NewReplacer(), runAgent("", "west.example")},
		{"agent.yaml of a revision", "agent.yaml", "otelcol-mesh-agent-1-28", ofRevision, runAgent("1-28", "canary.example")},
		{"inventory.yaml", "inventory.yaml", "otelcol-mesh-inventory", strings.NewReplacer(), runInventory},
		{"hub-remote.yaml", "hub-remote.yaml", "otelcol-mesh-hub", strings.NewReplacer(), runRemote},
	} {
		t.Run(role.title, func(t *testing.T) {
			path := filepath.Join("..", "..", "distribution", "rbac", role.manifest)
			raw, err := os.ReadFile(path)
			require.NoError(t, err)
			text := role.change.Replace(string(raw))
			granted, err := leastprivilege.Parse(text, home, role.account)
			require.NoError(t, err)
			require.NotEmpty(t, granted)
			var requests []kubetest.Request
			for _, c := range clusters {
				c.Apply(t, text)
				awaitGrants(t, c, kubetest.ServiceAccountUser(home, role.account), granted)
				role.run(t, c, c.Kubeconfig(t, home, role.account))
				of, err := c.Requests(kubetest.ServiceAccountUser(home, role.account))
				require.NoError(t, err)
				requests = append(requests, of...)
			}
			require.NotEmpty(t, requests)
			report := leastprivilege.Compare(granted, requests)
			require.True(t, report.Empty(), "%s:\n%s", path, report)
		})
	}
}

// awaitGrants waits until the API server's authorizer, which learns of roles by watches, knows them all.
func awaitGrants(t *testing.T, c *kubetest.Cluster, user string, granted []leastprivilege.Permission) {
	t.Helper()
	require.EventuallyWithT(t, func(collect *assert.CollectT) {
		for _, p := range granted {
			review := &authorization.SubjectAccessReview{Spec: authorization.SubjectAccessReviewSpec{
				User: user,
				ResourceAttributes: &authorization.ResourceAttributes{
					Verb: p.Verb, Group: p.Group, Resource: p.Resource, Name: p.Name, Namespace: p.Namespace,
				},
			}}
			review, err := c.Client.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), review, meta.CreateOptions{})
			require.NoError(collect, err)
			require.True(collect, review.Status.Allowed, p.String())
		}
	}, within, 50*time.Millisecond)
}

// prepare gives a cluster one of everything that the roles read.
func prepare(t *testing.T, c *kubetest.Cluster) {
	c.CRDs(t)
	c.Istio(t, kubetest.Istio{Network: "network-west", TrustDomain: "west.example", MeshID: "mesh1", Tags: []string{"prod"}})
	c.Istio(t, kubetest.Istio{Revision: "1-28", Version: "1.28.0", TrustDomain: "canary.example"})
	c.Nodes(t, 2, kubetest.NodeOptions{})
	c.Namespace(t, home, nil)
	c.Namespace(t, "shop", nil)
	node := kubetest.Node(0, kubetest.NodeOptions{})
	pod := kubetest.Pod(kubetest.PodOptions{Namespace: "shop", Workload: "reviews", Node: node.Name})
	_, err := c.Client.CoreV1().Pods("shop").Create(t.Context(), pod, meta.CreateOptions{})
	require.NoError(t, err)
}

// runAgent runs what an agent runs, which must find the trust domain of its revision.
func runAgent(revision, trustDomain string) func(*testing.T, *kubetest.Cluster, string) {
	return func(t *testing.T, c *kubetest.Cluster, kubeconfig string) {
		facts := runSource(t, kube.Settings{
			Cluster: c.Name, Client: kube.ClientSettings{Kubeconfig: kubeconfig}, Scope: kube.ScopeNode,
			NodeName: kubetest.Node(0, kubetest.NodeOptions{}).Name, IstioRevision: revision,
		})
		assert.Equal(t, trustDomain, facts.TrustDomain)
	}
}

func runInventory(t *testing.T, c *kubetest.Cluster, kubeconfig string) {
	runSource(t, kube.Settings{Cluster: c.Name, Client: kube.ClientSettings{Kubeconfig: kubeconfig}, Scope: kube.ScopeCluster})
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	require.NoError(t, err)
	elector, err := lease.New(config, lease.Settings{
		Namespace: home, Name: "otelcol-mesh-inventory", Identity: "test", Duration: 3 * time.Second,
		RenewDeadline: 2 * time.Second, RetryPeriod: 200 * time.Millisecond, Logger: logger(t),
	})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	terms := 0
	elector.Run(ctx, func(context.Context, lease.Term) { // returning ends the term: it is released, and won again
		if terms++; terms == 2 {
			cancel()
		}
	})
	require.Equal(t, 2, terms)
}

// runSource runs a source until all its watches are established, and fails if it is refused anything. It returns what the
// source told of the cluster.
func runSource(t *testing.T, s kube.Settings) topology.ClusterFacts {
	t.Helper()
	s.Logger = logger(t)
	var mu sync.Mutex
	var findings []topology.Finding
	var facts topology.ClusterFacts
	s.Report = func(f topology.Finding) {
		mu.Lock()
		defer mu.Unlock()
		findings = append(findings, f)
	}
	source, err := kube.New(s)
	require.NoError(t, err)
	during(t, func(ctx context.Context) {
		_ = source.Run(ctx, func(d *topology.Delta) {
			if d.Facts != nil {
				facts = *d.Facts
			}
		})
	}, func() bool {
		state := source.State()
		return state.Synced && state.Watches > 0 && state.Live == state.Watches && !state.Confirmed.IsZero()
	})
	mu.Lock()
	defer mu.Unlock()
	assert.Empty(t, findings) // and go on, to say what is missing
	return facts
}

func runRemote(t *testing.T, c *kubetest.Cluster, kubeconfig string) {
	manager, err := remote.New(remote.Settings{
		Client: kube.ClientSettings{Kubeconfig: kubeconfig}, Logger: logger(t), Emit: func(*topology.Delta) {},
	})
	require.NoError(t, err)
	watched := func() bool {
		requests, err := c.Requests(kubetest.ServiceAccountUser(home, "otelcol-mesh-hub"))
		require.NoError(t, err)
		for i := range requests {
			if requests[i].Verb == "watch" {
				return true
			}
		}
		return false
	}
	during(t, func(ctx context.Context) { _ = manager.Run(ctx) }, watched)
}

// during runs something until a condition holds, and waits for its end.
func during(t *testing.T, run func(context.Context), until func() bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(ctx)
	}()
	require.Eventually(t, until, within, 50*time.Millisecond)
	cancel()
	select {
	case <-done:
	case <-time.After(within):
		t.Fatal("it does not end")
	}
}

func logger(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}
