// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authentication "k8s.io/api/authentication/v1"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh/layout"
	"github.com/otelcol-mesh/otelcol-mesh/distribution/chart/charttest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
	"github.com/otelcol-mesh/otelcol-mesh/test/kube/kubetest"
)

// scene is a hub's example and the examples of the two clusters' spokes.
type scene struct{ hub, west, north string }

// TestDemoMeshArrivesAsRendered runs hub, inventories and agents of every example from what the API servers have of them, while
// the demo mesh's Envoys send, and waits for what they tell at the stand-in of Azure Monitor. Between spokes and hub is mutual
// TLS, and the hub believes what a certificate proves; the one example that does without is the last.
func TestDemoMeshArrivesAsRendered(t *testing.T) {
	s := &stage{authority: pkitest.New(t, "root"), regions: map[string]*region{}}
	for _, cluster := range layout.Clusters() {
		s.regions[cluster.Name] = newRegion(t, cluster)
	}
	startMesh(t)
	scenes := []scene{
		{hub: "hub-connection-string", west: "spoke-sidecar", north: "spoke-ambient"},
		{hub: "hub-workload-identity", west: "spoke-gloo", north: "spoke-sidecar"},
		{hub: "hub-otlp", west: "spoke-sidecar", north: "spoke-gloo"},
		{hub: "hub-scaled", west: "spoke-ambient", north: "spoke-sidecar"},
		{hub: "hub-analysis", west: "spoke-metrics-tier", north: "spoke-sidecar"},
		{hub: "one-cluster", west: "one-cluster"},
	}
	for _, e := range charttest.Examples(t) {
		assert.True(t, slices.ContainsFunc(scenes, func(at scene) bool { return slices.Contains([]string{at.hub, at.west, at.north}, e.Name) }), "nothing runs %s", e.Name)
	}
	for _, at := range scenes {
		t.Run(at.hub, func(t *testing.T) { s.play(t, at) })
	}
}

// stage is what all scenes have in common.
type stage struct {
	regions   map[string]*region
	authority *pkitest.Authority
}

func (s *stage) play(t *testing.T, at scene) {
	// A namespace for each scene, so that nothing is left of another.
	namespace := "mesh-" + at.hub
	a := newAzure(t, at.hub == "hub-workload-identity" || at.hub == "hub-otlp")
	s.prepare(t, namespace, a)
	hub := s.hub(t, namespace, at.hub, a)
	if at.west == "one-cluster" {
		s.spoke(t, namespace, west, at.west, hub)
		assert.NoError(t, send(t, hub.entry, nil, west, straight), "whoever reaches the hub of this example may send")
		a.everySignalArrives(t, west)
		s.nothingWasForbidden(t, west, namespace)
		return
	}
	s.strangersAreRefused(t, hub)
	s.anotherClustersAgentIsRefused(t, namespace, at.north, hub)
	s.spoke(t, namespace, west, at.west, hub)
	agent := s.spoke(t, namespace, north, at.north, hub)
	for _, cluster := range []string{west, north} {
		require.Eventually(t, func() bool { return hub.knows(t, cluster) }, within, 100*time.Millisecond, "the inventory of %s reaches the hub", cluster)
		if at.hub == "hub-otlp" {
			a.everySignalArrivesAsOTLP(t, cluster)
		} else {
			a.everySignalArrives(t, cluster)
		}
		s.nothingWasForbidden(t, cluster, namespace)
	}
	if at.north == "spoke-ambient" {
		a.ztunnelsLogArrives(t, agent)
		// It takes two scrapes, so one scene is enough.
		a.scrapedMetricsArrive(t, west)
		a.scrapedMetricsArrive(t, north)
	}
	if at.hub == "hub-analysis" {
		hub.answersRollouts(t, s.authority)
	}
	hub.nothingForeignArrived(t, a)
	if a.tokens {
		hub.tokenIsTheServiceAccounts(t, a)
	}
	if hub.entry == routerHost {
		hub.accountMayWhatItAsks(t, "otelcol-mesh-router")
	}
}

// prepare makes the scene's namespace in both clusters, with the Secrets that the examples name.
func (s *stage) prepare(t *testing.T, namespace string, a *azure) {
	t.Helper()
	connection := []byte("InstrumentationKey=00000000-0000-0000-0000-000000000000;IngestionEndpoint=" + a.url())
	for name, r := range s.regions {
		r.Namespace(t, namespace, nil)
		r.Namespace(t, "gloo-mesh-istio", nil)
		for secret, data := range map[string]map[string][]byte{
			"otelcol-mesh-hub": s.certificate(t, pkitest.Leaf{
				Addresses: []string{hubHost}, DNS: []string{"otelcol-mesh-hub." + namespace + ".svc"},
			}),
			"otelcol-mesh-router": s.certificate(t, pkitest.Leaf{Addresses: []string{routerHost}, URIs: []string{"spiffe://otelcol-mesh/router"}}),
			"otelcol-mesh-client": s.certificate(t, client(name)),
			"otelcol-mesh-metrics-tier": s.certificate(t, pkitest.Leaf{
				Addresses: []string{tierHost(name)}, URIs: []string{"spiffe://otelcol-mesh/cluster/" + name + "/metrics-tier"},
			}),
			"otelcol-mesh-hub-analysis":  s.certificate(t, pkitest.Leaf{DNS: []string{analysisName(namespace)}}),
			"mesh-analysis":              {"token": []byte(analysisToken)},
			"application-insights":       {"connectionString": connection},
			"application-insights-teams": {"payments": connection},
		} {
			r.put(t, namespace, secret, data)
		}
	}
}

// put creates a Secret, or replaces its data.
func (r *region) put(t *testing.T, namespace, name string, data map[string][]byte) {
	t.Helper()
	secrets := r.Client.CoreV1().Secrets(namespace)
	object := &core.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}
	_, err := secrets.Update(t.Context(), object, metav1.UpdateOptions{})
	if err != nil {
		_, err = secrets.Create(t.Context(), object, metav1.CreateOptions{})
	}
	require.NoError(t, err)
}

// certificate is the data of a Secret as cert-manager writes it.
func (s *stage) certificate(t *testing.T, leaf pkitest.Leaf) map[string][]byte {
	t.Helper()
	pair := s.authority.Issue(t, leaf)
	return map[string][]byte{"ca.crt": s.authority.PEM(), "tls.crt": pair.CertPEM, "tls.key": pair.KeyPEM}
}

// client is a certificate that speaks for a cluster, by the rules that the hub comes with.
func client(cluster string) pkitest.Leaf {
	return pkitest.Leaf{URIs: []string{"spiffe://otelcol-mesh/cluster/" + cluster + "/agent"}}
}

// hub runs an example's hub, in the first cluster.
func (s *stage) hub(t *testing.T, namespace, example string, a *azure) *hub {
	t.Helper()
	r := s.regions[west]
	more := []string{"--namespace", namespace}
	if a.tokens {
		// As users with an endpoint of their own do: only there, and to no other, a token goes.
		more = append(more, "--set", "hub.config.extensions.azure_auth.authority_host="+a.entra.URL(), "--set", "hub.config.extensions.azure_auth.additional_domains[0]="+azureHost)
	}
	if example == "hub-otlp" {
		for _, signal := range []string{"traces", "logs", "metrics"} {
			more = append(more, "--set", "hub.azure.otlp."+signal+"="+a.url()+"/datacollectionRules/dcr-0123456789abcdef/streams/otel/otlp/v1/"+signal)
		}
	}
	if example == "hub-analysis" {
		// The first asks the second.
		more = append(more, "--set", "hub.config.connectors.mesh_graph.analysis_peers.endpoint=https://"+net.JoinHostPort(secondHubHost, "8443"))
	}
	r.applier.apply(t, charttest.Named(t, example).Render(t, append(more, link(hubHost, west)...)...))
	set, err := r.Client.AppsV1().StatefulSets(namespace).Get(t.Context(), "otelcol-mesh-hub", metav1.GetOptions{})
	require.NoError(t, err)
	h := &hub{place: place{region: r, namespace: namespace, env: []string{"SSL_CERT_FILE=" + a.roots}}, entry: hubHost, replicas: []string{hubHost}}
	h.workloadIdentity(t, set.Spec.Template)
	router, err := r.Client.AppsV1().Deployments(namespace).Get(t.Context(), "otelcol-mesh-router", metav1.GetOptions{})
	if err == nil {
		h.entry, h.replicas = routerHost, []string{hubHost, secondHubHost}
	}
	for _, h.host = range h.replicas {
		h.run(t, set.Spec.Template.Spec)
	}
	if err == nil {
		h.slice(t)
		place{region: r, namespace: namespace, host: routerHost}.run(t, router.Spec.Template.Spec)
	}
	return h
}

// slice says what the controller of EndpointSlices would, from which the router knows the replicas.
func (h *hub) slice(t *testing.T) {
	t.Helper()
	service, err := h.Client.CoreV1().Services(h.namespace).Get(t.Context(), "otelcol-mesh-hub-replicas", metav1.GetOptions{})
	require.NoError(t, err)
	slice := &discovery.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: "otelcol-mesh-hub-replicas-1", Labels: map[string]string{discovery.LabelServiceName: service.Name}},
		// The API server takes no address of the loopback as one of IPv4.
		AddressType: discovery.AddressTypeFQDN,
		Ports:       []discovery.EndpointPort{{Name: &service.Spec.Ports[0].Name, Port: &service.Spec.Ports[0].Port}},
	}
	for _, host := range h.replicas {
		slice.Endpoints = append(slice.Endpoints, discovery.Endpoint{Addresses: []string{host}, Conditions: discovery.EndpointConditions{Ready: new(true)}})
	}
	_, err = h.Client.DiscoveryV1().EndpointSlices(h.namespace).Create(t.Context(), slice, metav1.CreateOptions{})
	require.NoError(t, err)
}

// link is what an example needs on this machine, which resolves no name of a hub, and where the clusters are the demo mesh's.
// Agents hand metrics over with each scrape: a minute, which is what they take otherwise, is as long as half of what a wait may last.
func link(to, cluster string) []string {
	return []string{"--set", "link.endpoint=" + net.JoinHostPort(to, "14317") + ",cluster.name=" + cluster + ",agent.metricsInterval=15s"}
}

// spoke runs inventory and agent of an example in a cluster, and returns the agent.
func (s *stage) spoke(t *testing.T, namespace, cluster, example string, h *hub) (agent process) {
	t.Helper()
	r := s.regions[cluster]
	more := append(link(h.entry, cluster), "--namespace", namespace)
	if example == "spoke-metrics-tier" {
		more = append(more, "--set", "metricsTier.interval=15s,agent.config.exporters.otlp_grpc/tier.endpoint="+net.JoinHostPort(tierHost(cluster), "14327"))
	}
	r.applier.apply(t, charttest.Named(t, example).Render(t, more...))
	if tier, err := r.Client.AppsV1().StatefulSets(namespace).Get(t.Context(), "otelcol-mesh-metrics-tier", metav1.GetOptions{}); err == nil {
		place{region: r, namespace: namespace, host: tierHost(cluster)}.run(t, tier.Spec.Template.Spec)
	}
	inventory, err := r.Client.AppsV1().Deployments(namespace).Get(t.Context(), "otelcol-mesh-inventory", metav1.GetOptions{})
	require.NoError(t, err)
	place{region: r, namespace: namespace, host: inventoryHost(cluster)}.run(t, inventory.Spec.Template.Spec)
	return s.agent(t, namespace, cluster)
}

// agent runs the agent that a cluster has.
func (s *stage) agent(t *testing.T, namespace, cluster string) process {
	t.Helper()
	r := s.regions[cluster]
	agent, err := r.Client.AppsV1().DaemonSets(namespace).Get(t.Context(), "otelcol-mesh-agent", metav1.GetOptions{})
	require.NoError(t, err)
	return place{region: r, namespace: namespace, host: agentHost(cluster)}.run(t, agent.Spec.Template.Spec)
}

// hub is a hub that runs.
type hub struct {
	place
	// entry is where senders send: the one replica, or the router before the replicas.
	entry    string
	replicas []string
	// federated is the token of its service account, clientID the identity that its annotation names.
	federated, clientID string
}

// workloadIdentity does what the webhook of Azure's workload identity does to pods with its label: a token of the pod's service
// account for Entra ID in a file, and the identity that the account's annotations name.
func (h *hub) workloadIdentity(t *testing.T, pod core.PodTemplateSpec) {
	t.Helper()
	if pod.Labels["azure.workload.identity/use"] != "true" {
		return
	}
	accounts := h.Client.CoreV1().ServiceAccounts(h.namespace)
	account, err := accounts.Get(t.Context(), pod.Spec.ServiceAccountName, metav1.GetOptions{})
	require.NoError(t, err)
	token, err := accounts.CreateToken(t.Context(), account.Name, &authentication.TokenRequest{
		Spec: authentication.TokenRequestSpec{Audiences: []string{"api://AzureADTokenExchange"}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	h.federated, h.clientID = token.Status.Token, account.Annotations["azure.workload.identity/client-id"]
	tenant := account.Annotations["azure.workload.identity/tenant-id"]
	if tenant == "" {
		tenant = "00000000-0000-0000-0000-00000000000b" // the webhook's own default: the cluster's
	}
	file := filepath.Join(t.TempDir(), "azure-identity-token")
	require.NoError(t, os.WriteFile(file, []byte(h.federated), 0o600))
	h.env = append(h.env, "AZURE_CLIENT_ID="+h.clientID, "AZURE_TENANT_ID="+tenant, "AZURE_FEDERATED_TOKEN_FILE="+file)
}

func (h *hub) tokenIsTheServiceAccounts(t *testing.T, a *azure) {
	t.Helper()
	requests := a.entra.Requests("token")
	require.NotEmpty(t, requests)
	for _, r := range requests {
		assert.Equal(t, h.federated, r.Values.Get("client_assertion"))
		assert.Equal(t, h.clientID, r.Values.Get("client_id"))
	}
}

// nothingForeignArrived fails if what strangers sent is at Azure.
func (h *hub) nothingForeignArrived(t *testing.T, a *azure) {
	t.Helper()
	for _, item := range a.Items(ingestiontest.Filter{}) {
		assert.NotContains(t, item.Name, lie)
	}
	for _, r := range a.OTLPRequests() {
		if r.Signal != ingestiontest.SignalTraces {
			continue
		}
		for _, resource := range r.Traces.ResourceSpans().All() {
			for _, scope := range resource.ScopeSpans().All() {
				for _, span := range scope.Spans().All() {
					assert.NotContains(t, span.Name(), lie)
				}
			}
		}
	}
}

// nothingWasForbidden fails if agent or inventory of a cluster asked the API server for what they may not do, or if the inventory
// has not been elected.
func (s *stage) nothingWasForbidden(t *testing.T, cluster, namespace string) {
	t.Helper()
	r := s.regions[cluster]
	lease, err := r.Client.CoordinationV1().Leases(namespace).Get(t.Context(), "otelcol-mesh-inventory", metav1.GetOptions{})
	require.NoError(t, err)
	require.NotEmpty(t, *lease.Spec.HolderIdentity)
	for _, account := range []string{"otelcol-mesh-agent", "otelcol-mesh-inventory"} {
		place{region: r, namespace: namespace}.accountMayWhatItAsks(t, account)
	}
}

// accountMayWhatItAsks fails if the API server refused a service account, or was never asked by it.
func (at place) accountMayWhatItAsks(t *testing.T, account string) {
	t.Helper()
	requests, err := at.Requests(kubetest.ServiceAccountUser(at.namespace, account))
	require.NoError(t, err)
	require.NotEmpty(t, requests, account)
	for i := range requests {
		assert.NotEqual(t, http.StatusForbidden, requests[i].Response.Code, "%s: %s %s", account, requests[i].Verb, requests[i].RequestURI)
	}
}

// knows says whether every replica has a fresh inventory of a cluster.
func (h *hub) knows(t *testing.T, cluster string) bool {
	for _, host := range h.replicas {
		raw, err := get(t, "http://"+net.JoinHostPort(host, "13134")+"/topology/clusters")
		if err != nil {
			return false
		}
		var said struct {
			Clusters []struct {
				Name  string
				Stale bool
			}
		}
		require.NoError(t, json.Unmarshal([]byte(raw), &said))
		fresh := false
		for _, c := range said.Clusters {
			fresh = fresh || c.Name == cluster && !c.Stale
		}
		if !fresh {
			return false
		}
	}
	return true
}
