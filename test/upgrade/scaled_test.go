// SPDX-License-Identifier: Apache-2.0

package upgrade

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/test/kube/kubetest"
)

// home is the namespace of the collectors, hubService the headless Service of the replicas, hubName what their certificates say.
const (
	home       = "otelcol-mesh"
	hubService = "otelcol-mesh-hub-replicas"
	hubName    = "otelcol-mesh-hub.otelcol-mesh.svc"
)

// scaled is an installation with routers and several replicas of the hub. The API server of the west tells the routers
// where the replicas are; both clusters have an inventory.
type scaled struct {
	*fleet
	releases  [2]release
	ledger    *ledger
	clusters  map[string]*kubetest.Cluster
	endpoints *endpoints
	services  map[string]*service // of the agents by cluster, and "router"
	templates map[string]*template
	hubs      []*pod // by ordinal
	routers   []*pod
	others    map[string]*pod // agents by cluster, inventories by "inventory-" and cluster
	windows   []window
	born      int
}

// window is the time in which the routers learn of a change of the replicas: some may know and others not yet.
type window struct {
	what     string
	from, to time.Time
	// known is how long it was until the last router told of the change.
	known time.Duration
}

// ringDelay is what a router may need after it told of a change until its ring is changed. It does the one right after the
// other; this is for a machine with no time.
const ringDelay = time.Second

func newScaled(t *testing.T) *scaled {
	t.Helper()
	s := &scaled{
		fleet: newFleet(t, 2), releases: releases(t), clusters: map[string]*kubetest.Cluster{}, services: map[string]*service{},
		templates: map[string]*template{}, others: map[string]*pod{},
	}
	s.ledger = newLedger(t, s.fixed(9)+":8080", false)
	s.services["router"] = newService(t, s.fixed(10), "14317")
	for i, cluster := range []string{west, north} {
		s.services[cluster] = newService(t, s.fixed(11+i), "4317")
		s.clusters[cluster] = spoke(t, cluster)
	}
	s.endpoints = newEndpoints(t, s.clusters[west], home, hubService)
	s.fillTemplates()
	s.scaleUp(1, s.releases[0])
	for range 2 {
		s.addRouter(s.releases[0])
	}
	for _, cluster := range []string{west, north} {
		s.runOther(cluster, s.releases[0])
		s.runOther("inventory-"+cluster, s.releases[0])
	}
	return s
}

// spoke starts the API server of a cluster with the pods of the calls.
func spoke(t *testing.T, name string) *kubetest.Cluster {
	t.Helper()
	region := strings.TrimPrefix(name, "aks-")
	c := kubetest.Start(t, kubetest.Options{Name: name})
	c.CRDs(t)
	c.Istio(t, kubetest.Istio{Network: "vnet-" + region, TrustDomain: "cluster.local", MeshID: "mesh1"})
	node := c.Nodes(t, 1, kubetest.NodeOptions{Region: region})[0]
	c.Namespace(t, "bookinfo", nil)
	c.Namespace(t, home, nil)
	c.ApplyFile(t, "../../distribution/rbac/inventory.yaml")
	pod, workload := pageFirst, "productpage"
	if name == north {
		pod, workload = reviewFirst, "reviews"
		c.EastWestGateway(t, "vnet-"+region, netip.MustParseAddr(gateway))
	}
	c.Service(t, "bookinfo", workload, 9080)
	object, err := c.Client.CoreV1().Pods("bookinfo").Create(t.Context(), kubetest.Pod(kubetest.PodOptions{
		Namespace: "bookinfo", Name: pod, Workload: workload + "-v1", Node: node.Name,
	}), createOptions)
	require.NoError(t, err)
	_, err = c.Kubelet().Run(t.Context(), object, netip.MustParseAddr("10.224.0.4"), netip.MustParseAddr(podAddress))
	require.NoError(t, err)
	return c
}

func (s *scaled) fillTemplates() {
	t := s.t
	static := "MESH_TOPOLOGY_FILE=" + absolute(t, "examples/topology.yaml")
	hub := issue(t, s.authority, filepath.Join(s.dir, "tls-hub"), "", hubName)
	s.templates["hub"] = s.templateOf("hub", []string{"config/hub.yaml", "examples/hub-mtls.yaml", "examples/hub-routed.yaml"}, "",
		"MESH_HUB_SERVER_CERT_FILE="+hub.cert, "MESH_HUB_SERVER_KEY_FILE="+hub.key, "MESH_HUB_CLIENT_CA_FILE="+hub.ca)
	west0 := s.clusters[west]
	west0.ApplyFile(t, "../../distribution/rbac/router.yaml")
	router := issue(t, s.authority, filepath.Join(s.dir, "tls-router"), "spiffe://otelcol-mesh/router", s.fixed(10))
	s.templates["router"] = s.templateOf("router", []string{"config/router.yaml", "examples/hub-mtls.yaml"}, "",
		"KUBECONFIG="+west0.Kubeconfig(t, home, "otelcol-mesh-router"),
		"MESH_HUB_SERVICE="+hubService+"."+home, "MESH_HUB_SERVER_NAME="+hubName,
		"MESH_HUB_CA_FILE="+router.ca, "MESH_HUB_CERT_FILE="+router.cert, "MESH_HUB_KEY_FILE="+router.key,
		"MESH_HUB_SERVER_CERT_FILE="+router.cert, "MESH_HUB_SERVER_KEY_FILE="+router.key, "MESH_HUB_CLIENT_CA_FILE="+router.ca)
	for _, cluster := range []string{west, north} {
		agent := issue(t, s.authority, filepath.Join(s.dir, "tls-"+cluster), "spiffe://otelcol-mesh/cluster/"+cluster+"/agent")
		link := []string{
			"MESH_CLUSTER=" + cluster, "MESH_HUB_ENDPOINT=" + s.services["router"].address(),
			"MESH_HUB_CA_FILE=" + agent.ca, "MESH_HUB_CERT_FILE=" + agent.cert, "MESH_HUB_KEY_FILE=" + agent.key,
		}
		s.templates[cluster] = s.templateOf("agent", []string{"config/agent.yaml", "examples/static-topology.yaml"}, noScrapes, append(link, static)...)
		s.templates["inventory-"+cluster] = s.templateOf("inventory", []string{"config/inventory.yaml"}, "",
			append(link, "MESH_NAMESPACE="+home, "MESH_KUBECONFIG="+s.clusters[cluster].Kubeconfig(t, home, "otelcol-mesh-inventory"))...)
	}
}

// startHub starts the replica of an ordinal on its volume. Nobody sends to it before it is an endpoint.
func (s *scaled) startHub(ordinal int, r release) *pod {
	s.t.Helper()
	name := fmt.Sprintf("hub-%d", ordinal)
	return s.start(s.templates["hub"], r, name, name, "APPLICATION_INSIGHTS_CONNECTION_STRING="+s.ledger.connection(ordinal))
}

// scaleUp starts replicas until there are so many. Each gets its share once it is ready.
func (s *scaled) scaleUp(to int, r release) {
	s.t.Helper()
	for len(s.hubs) < to {
		p := s.startHub(len(s.hubs), r)
		s.hubs = append(s.hubs, p)
		s.change(p.name+" joins", func() { s.endpoints.set(p, true, false) })
		s.joined(p)
	}
}

// scaleDown ends the last replica, as a StatefulSet does. Its volume stays.
func (s *scaled) scaleDown(abruptly bool) {
	s.t.Helper()
	p := s.hubs[len(s.hubs)-1]
	s.hubs = s.hubs[:len(s.hubs)-1]
	s.leave(p, abruptly)
}

// leave ends a replica: its endpoint is not ready from the moment on in which it is to end, and gone with its process.
// Abruptly, the process is told at the same moment, as without a preStop, or as when a node drains in a hurry.
func (s *scaled) leave(p *pod, abruptly bool) {
	s.t.Helper()
	s.change(p.name+" leaves", func() {
		s.endpoints.set(p, false, true)
		if abruptly {
			s.end(p)
		}
	})
	if !abruptly {
		s.stop(p)
	}
	s.endpoints.remove(p)
}

// replaceHub replaces a replica on its volume.
func (s *scaled) replaceHub(ordinal int, r release) {
	s.t.Helper()
	s.leave(s.hubs[ordinal], false)
	p := s.startHub(ordinal, r)
	s.hubs[ordinal] = p
	s.change(p.name+" is back", func() { s.endpoints.set(p, true, false) })
	s.joined(p)
}

// addRouter starts a router and sends new connections to it once it is ready.
func (s *scaled) addRouter(r release) {
	s.t.Helper()
	s.born++
	name := fmt.Sprintf("router-%d", s.born)
	p := s.start(s.templates["router"], r, name, name)
	s.routers = append(s.routers, p)
	s.services["router"].add(p.host)
}

// replaceRouter adds a router, and when it is ready ends the oldest one.
func (s *scaled) replaceRouter(r release) {
	s.t.Helper()
	s.addRouter(r)
	old := s.routers[0]
	s.routers = s.routers[1:]
	s.services["router"].remove(old.host)
	s.stop(old)
}

// runOther starts an agent or an inventory.
func (s *scaled) runOther(name string, r release) {
	s.t.Helper()
	s.others[name] = s.start(s.templates[name], r, name, name)
	if of := s.services[name]; of != nil {
		of.add(s.others[name].host)
	}
}

// replaceOther replaces an agent or an inventory on its volume.
func (s *scaled) replaceOther(name string, r release) {
	s.t.Helper()
	if of := s.services[name]; of != nil {
		of.remove(s.others[name].host)
	}
	s.stop(s.others[name])
	s.runOther(name, r)
}

// change changes the endpoints and waits until every router tells of it.
func (s *scaled) change(what string, write func()) {
	s.t.Helper()
	from := time.Now()
	write()
	want := s.endpoints.ready()
	for _, router := range s.routers {
		eventually(s.t, router.name+" knows: "+what, func() bool { return router.knows(s.t.Context(), want) })
	}
	now := time.Now()
	s.windows = append(s.windows, window{what: what, from: from, to: now.Add(ringDelay), known: now.Sub(from)})
}

// knows says whether all of a router's exporters have so many replicas.
func (p *pod) knows(ctx context.Context, replicas int) bool {
	for _, name := range []string{"otelcol_loadbalancer_num_backends", "otelcol_exporter_mesh_balancing_replicas"} {
		of := p.values(ctx, name)
		for _, n := range of {
			if int(n) != replicas {
				return false
			}
		}
		if len(of) == 0 {
			return false
		}
	}
	return true
}

// joined waits until a replica knows the pods of both clusters: it has heard of nothing before it became an endpoint.
func (s *scaled) joined(p *pod) {
	s.t.Helper()
	if len(s.others) == 0 {
		return // nobody can tell it yet
	}
	took := eventually(s.t, p.name+" knows both clusters", func() bool { return p.names(west, pageFirst) && p.names(north, reviewFirst) })
	s.t.Logf("%s names both ends %s after it became an endpoint", p.name, took.Round(time.Millisecond))
}

// names says whether the hub knows who has the address of the pods in a cluster.
func (p *pod) names(cluster, pod string) bool {
	var b strings.Builder
	query := url.Values{"network": {"vnet-" + strings.TrimPrefix(cluster, "aks-")}, "address": {podAddress}}
	if p.get(context.Background(), "13134", "/topology/address?"+query.Encode(), func(line string) { b.WriteString(line) }) != nil {
		return false
	}
	var said struct {
		Networks []struct {
			Pod *struct{ Cluster, Name string }
		}
	}
	if json.Unmarshal([]byte(b.String()), &said) != nil {
		return false
	}
	for _, n := range said.Networks {
		if n.Pod != nil && n.Pod.Cluster == cluster && n.Pod.Name == pod {
			return true
		}
	}
	return false
}
