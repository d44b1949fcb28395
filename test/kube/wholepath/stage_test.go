// SPDX-License-Identifier: Apache-2.0

// Package wholepath_test runs the topology's whole path with the binary that users run and the files they install: real
// API servers, an inventory with the rights of its manifest for each of them, and a hub. What the hub says is asked of its
// JSON.
package wholepath_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"

	"github.com/otelcol-mesh/otelcol-mesh/demo/supervise"
	"github.com/otelcol-mesh/otelcol-mesh/test/collectortest"
	"github.com/otelcol-mesh/otelcol-mesh/test/kube/churn"
	"github.com/otelcol-mesh/otelcol-mesh/test/kube/kubetest"
)

const (
	// within bounds every wait; it matters only when something is broken.
	within = 90 * time.Second
	// home is the namespace that the manifests put the collector in.
	home    = "otelcol-mesh"
	hubHost = "127.9.0.1"
	// portAdmin is the topology's JSON, portHealth the health check, portHub the hub's OTLP.
	portAdmin, portHealth, portHub = "13134", "13133", "14317"
)

// region is one of the two clusters of a stage.
type region struct {
	*kubetest.Cluster
	network string
	nodes   []*core.Node
	// replicas are the inventory's processes, by their host.
	replicas map[string]*supervise.Process
	// kubeconfig is what the inventory has; its token is in a file beside it.
	kubeconfig string
}

// stage is two regions and a hub.
type stage struct {
	t       *testing.T
	dir     string
	binary  string
	hub     *supervise.Process
	regions []*region
}

// newStage starts the API servers and the hub, not the inventories. hub is merged over the shipped configuration.
func newStage(t *testing.T, hub string) *stage {
	t.Helper()
	s := &stage{t: t, dir: t.TempDir(), binary: collectortest.Binary(t)}
	for _, name := range []string{"westeurope", "northeurope"} {
		r := &region{
			Cluster: kubetest.Start(t, kubetest.Options{Name: "aks-" + name}), network: "vnet-" + name,
			replicas: map[string]*supervise.Process{},
		}
		r.CRDs(t)
		r.Istio(t, kubetest.Istio{Network: r.network, TrustDomain: "cluster.local", MeshID: "mesh1"})
		// The default ranges of the pods, so that the two clusters overlap.
		r.nodes = r.Nodes(t, 6, kubetest.NodeOptions{Region: name})
		r.Namespace(t, "churn", nil)
		r.Namespace(t, home, nil)
		r.ApplyFile(t, "../../../distribution/rbac/inventory.yaml")
		r.kubeconfig = r.Kubeconfig(t, home, "otelcol-mesh-inventory")
		s.regions = append(s.regions, r)
	}
	s.hub = s.start("hub", hubHost, []string{"hub.yaml"}, hub, "MESH_HUB_UNVERIFIED=accept",
		"APPLICATION_INSIGHTS_CONNECTION_STRING=InstrumentationKey=00000000-0000-0000-0000-000000000000;IngestionEndpoint=http://"+hubHost+":9")
	return s
}

// inventory starts a replica of a region's inventory on a host of its own.
func (s *stage) inventory(r *region, host, overlay string) {
	s.t.Helper()
	r.replicas[host] = s.start("inventory-"+host, host, []string{"inventory.yaml"}, overlay,
		"MESH_CLUSTER="+r.Name, "MESH_KUBECONFIG="+r.kubeconfig, "MESH_NAMESPACE="+home,
		"MESH_HUB_ENDPOINT="+net.JoinHostPort(hubHost, portHub), "MESH_HUB_INSECURE=true")
}

// start starts a role under supervision and returns when it is healthy.
func (s *stage) start(name, host string, configs []string, overlay string, env ...string) *supervise.Process {
	s.t.Helper()
	var args []string
	for _, c := range configs {
		args = append(args, "--config", filepath.Join("..", "..", "..", "distribution", "config", c))
	}
	if overlay != "" {
		args = append(args, "--config", "yaml:"+overlay)
	}
	log := filepath.Join(s.dir, name+".log")
	p, err := supervise.Start(supervise.Spec{
		Name: name, Path: s.binary, Args: args, LogFile: log,
		Env: collectortest.Environment([]string{"PATH=" + os.Getenv("PATH"), "HOSTNAME=" + name}, host, filepath.Join(s.dir, name), env...),
	})
	require.NoError(s.t, err)
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		assert.NoError(s.t, p.Stop(ctx))
		if s.t.Failed() {
			s.t.Logf("end of the log of %s:\n%s", name, collectortest.Tail(log, 25, nil))
		}
	})
	s.eventually(name+" is healthy", func() bool { return get(s.t, "http://"+net.JoinHostPort(host, portHealth), nil) == nil })
	return p
}

// eventually waits for a condition and returns how long it took.
func (s *stage) eventually(what string, condition func() bool) time.Duration {
	s.t.Helper()
	began := time.Now()
	deadline := began.Add(within)
	for !condition() {
		if time.Now().After(deadline) {
			require.Fail(s.t, "never came true: "+what)
		}
		select {
		case <-s.t.Context().Done():
			require.Fail(s.t, "the test ended before: "+what)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return time.Since(began)
}

// get asks for JSON; an answer other than 200 is an error.
func get(t *testing.T, from string, into any) error {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", from, response.Status, raw)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(raw, into)
}

func ask(t *testing.T, path string, query url.Values, into any) error {
	return get(t, "http://"+net.JoinHostPort(hubHost, portAdmin)+path+"?"+query.Encode(), into)
}

// driver returns a driver of the region's pods.
func (r *region) driver(t *testing.T, truth *churn.Truth, pods int, rate float64, seed uint64) *churn.Driver {
	t.Helper()
	nodes, err := churn.NodesOf(r.nodes)
	require.NoError(t, err)
	d, err := churn.New(churn.Settings{
		Cluster: r.Name, Network: r.network, Namespace: "churn", API: churn.Cluster(r.Cluster), Truth: truth, Nodes: nodes,
		Pods: pods, Rate: rate, Seed: seed,
	})
	require.NoError(t, err)
	return d
}

// known is what the hub says of a cluster.
type known struct {
	Name      string
	Confirmed time.Time
	Stale     bool
}

func (s *stage) clusters() ([]known, error) {
	var said struct{ Clusters []known }
	err := ask(s.t, "/topology/clusters", nil, &said)
	return said.Clusters, err
}

func (s *stage) cluster(name string) (known, error) {
	all, err := s.clusters()
	if err != nil {
		return known{}, err
	}
	for _, c := range all {
		if c.Name == name {
			return c, nil
		}
	}
	return known{}, fmt.Errorf("the hub does not know cluster %s", name)
}

// fresh says whether the hub knows all clusters and calls none stale.
func (s *stage) fresh() bool {
	all, err := s.clusters()
	return err == nil && len(all) == len(s.regions) && !slices.ContainsFunc(all, func(c known) bool { return c.Stale })
}

// confirmed says whether the hub's knowledge of all clusters is of that time or later.
func (s *stage) confirmed(at time.Time) bool {
	all, err := s.clusters()
	return err == nil && len(all) == len(s.regions) && !slices.ContainsFunc(all, func(c known) bool { return c.Confirmed.Before(at) })
}
