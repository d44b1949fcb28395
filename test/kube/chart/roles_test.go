// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/otelcol-mesh/otelcol-mesh/distribution/chart/charttest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
	"github.com/otelcol-mesh/otelcol-mesh/test/kube/kubetest"
)

const (
	agentHost, inventoryHost, hubHost = "127.9.41.1", "127.9.41.2", "127.9.41.3"
	// throughAgent and straight are the names of the spans that are sent, and operation their trace.
	throughAgent, straight, operation = "through the agent", "straight to the hub", "0102030405060708090a0b0c0d0e0f10"
)

// TestRolesRunAsRendered runs agent, inventory and hub of the examples from what the API server has of them, and sends a span
// the whole way to the stand-in of Azure Monitor. Each run is in a namespace of its own.
func TestRolesRunAsRendered(t *testing.T) {
	c := kubetest.Start(t, kubetest.Options{Name: "aks-westeurope"})
	c.CRDs(t)
	c.Apply(t, monitoring)
	c.Istio(t, kubetest.Istio{Network: "vnet-westeurope", TrustDomain: "cluster.local", MeshID: "mesh1"})
	c.Namespace(t, "gloo-mesh-istio", nil)
	s := &stage{cluster: c, applier: newApplier(t, c), authority: newAuthority(t), node: c.Nodes(t, 1, kubetest.NodeOptions{})[0].Name}
	for _, run := range []struct {
		hub, spoke string
		plain      bool
	}{
		{hub: "hub-connection-string", spoke: "spoke-sidecar"},
		{hub: "hub-scaled", spoke: "spoke-ambient"},
		{hub: "hub-connection-string", spoke: "spoke-gloo"},
		{hub: "one-cluster", spoke: "one-cluster", plain: true},
		// These deliver with tokens of Entra ID, which distribution tests; here they have to start.
		{hub: "hub-workload-identity"},
		{hub: "hub-otlp"},
	} {
		t.Run(run.hub+" "+run.spoke, func(t *testing.T) {
			azure, err := ingestiontest.New(ingestiontest.Config{})
			require.NoError(t, err)
			t.Cleanup(azure.Close)
			server := httptest.NewServer(azure)
			t.Cleanup(server.Close)
			namespace := "run-" + run.hub + "-" + run.spoke + "0"
			s.prepare(t, namespace, server.URL)
			s.runHub(t, namespace, run.hub)
			if !run.plain {
				strangersAreKeptOut(t, s.authority, run.spoke != "")
			}
			if run.spoke == "" {
				return
			}
			cluster := s.runSpoke(t, namespace, run.spoke)
			require.Eventually(t, func() bool { return known(t, cluster) }, within, 100*time.Millisecond, "the inventory reaches the hub")
			require.NoError(t, send(t, net.JoinHostPort(agentHost, "4317"), insecure.NewCredentials(), throughAgent))
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			require.NoError(t, azure.Wait(ctx, func() bool {
				return len(azure.Items(ingestiontest.Filter{OperationID: operation, Name: throughAgent})) == 1
			}))
			nothingWasForbidden(t, c, namespace)
		})
	}
}

// stage is what all runs have in common.
type stage struct {
	cluster   *kubetest.Cluster
	applier   *applier
	authority *authority
	node      string
}

// prepare makes a namespace with the Secrets that the examples name.
func (s *stage) prepare(t *testing.T, namespace, ingestion string) {
	t.Helper()
	s.cluster.Namespace(t, namespace, nil)
	hub := &x509.Certificate{IPAddresses: []net.IP{net.ParseIP(hubHost)}}
	connection := []byte("InstrumentationKey=00000000-0000-0000-0000-000000000000;IngestionEndpoint=" + ingestion)
	for name, data := range map[string]map[string][]byte{
		"otelcol-mesh-hub":           s.authority.issue(t, hub),
		"otelcol-mesh-client":        s.authority.issue(t, client()),
		"application-insights":       {"connectionString": connection},
		"application-insights-teams": {"payments": connection},
	} {
		object := &core.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}
		_, err := s.cluster.Client.CoreV1().Secrets(namespace).Create(t.Context(), object, metav1.CreateOptions{})
		require.NoError(t, err)
	}
}

// client is the template of a certificate of an agent.
func client() *x509.Certificate {
	return &x509.Certificate{URIs: []*url.URL{{Scheme: "spiffe", Host: "cluster.local", Path: "/ns/otelcol-mesh/sa/otelcol-mesh-agent"}}}
}

func (s *stage) runHub(t *testing.T, namespace, example string) {
	t.Helper()
	s.applier.apply(t, s.render(t, namespace, example))
	hub, err := s.cluster.Client.AppsV1().StatefulSets(namespace).Get(t.Context(), "otelcol-mesh-hub", metav1.GetOptions{})
	require.NoError(t, err)
	run(t, s.cluster, hub.Spec.Template.Spec, place{namespace: namespace, host: hubHost})
}

// runSpoke runs inventory and agent and returns the name of their cluster.
func (s *stage) runSpoke(t *testing.T, namespace, example string) string {
	t.Helper()
	s.applier.apply(t, s.render(t, namespace, example))
	apps := s.cluster.Client.AppsV1()
	inventory, err := apps.Deployments(namespace).Get(t.Context(), "otelcol-mesh-inventory", metav1.GetOptions{})
	require.NoError(t, err)
	run(t, s.cluster, inventory.Spec.Template.Spec, place{namespace: namespace, host: inventoryHost})
	agent, err := apps.DaemonSets(namespace).Get(t.Context(), "otelcol-mesh-agent", metav1.GetOptions{})
	require.NoError(t, err)
	run(t, s.cluster, agent.Spec.Template.Spec, place{namespace: namespace, host: agentHost, node: s.node})
	for _, v := range agent.Spec.Template.Spec.Containers[0].Env {
		if v.Name == "MESH_CLUSTER" {
			return v.Value
		}
	}
	require.Fail(t, "the agent has no MESH_CLUSTER")
	return ""
}

// render renders an example for this machine, which resolves no name of the hub.
func (s *stage) render(t *testing.T, namespace, example string) string {
	t.Helper()
	return charttest.Named(t, example).Render(t, "--namespace", namespace, "--set", "link.endpoint="+net.JoinHostPort(hubHost, "14317"))
}

// nothingWasForbidden fails if a role asked the API server for what its service account may not do.
func nothingWasForbidden(t *testing.T, c *kubetest.Cluster, namespace string) {
	t.Helper()
	lease, err := c.Client.CoordinationV1().Leases(namespace).Get(t.Context(), "otelcol-mesh-inventory", metav1.GetOptions{})
	require.NoError(t, err)
	require.NotEmpty(t, *lease.Spec.HolderIdentity)
	for _, account := range []string{"otelcol-mesh-agent", "otelcol-mesh-inventory"} {
		requests, err := c.Requests(kubetest.ServiceAccountUser(namespace, account))
		require.NoError(t, err)
		require.NotEmpty(t, requests, account)
		for _, r := range requests {
			assert.NotEqual(t, http.StatusForbidden, r.Response.Code, "%s: %s %s", account, r.Verb, r.RequestURI)
		}
	}
}

// strangersAreKeptOut fails if the hub takes a span without TLS, without a certificate, or with another authority's. A hub that
// can deliver takes one with ours.
func strangersAreKeptOut(t *testing.T, authority *authority, delivers bool) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(authority.certificate)
	with := func(certificates ...tls.Certificate) credentials.TransportCredentials {
		return credentials.NewTLS(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, Certificates: certificates})
	}
	hub := net.JoinHostPort(hubHost, "14317")
	for name, stranger := range map[string]credentials.TransportCredentials{
		"plain":          insecure.NewCredentials(),
		"no certificate": with(),
		"another's":      with(pair(t, newAuthority(t).issue(t, client()))),
	} {
		assert.Error(t, send(t, hub, stranger, straight), name)
	}
	if delivers {
		// So it was the certificate.
		assert.NoError(t, send(t, hub, with(pair(t, authority.issue(t, client()))), straight))
	}
}

func pair(t *testing.T, data map[string][]byte) tls.Certificate {
	t.Helper()
	certificate, err := tls.X509KeyPair(data["tls.crt"], data["tls.key"])
	require.NoError(t, err)
	return certificate
}

// send sends one span; an error that passes by itself is an error.
func send(t *testing.T, to string, how credentials.TransportCredentials, name string) error {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+to, grpc.WithTransportCredentials(how))
	require.NoError(t, err)
	defer conn.Close()
	data := ptrace.NewTraces()
	resource := data.ResourceSpans().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "shop")
	resource.Resource().Attributes().PutStr("k8s.cluster.name", "aks-westeurope")
	span := resource.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetName(name)
	span.SetKind(ptrace.SpanKindInternal)
	span.SetTraceID(pcommon.TraceID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	span.SetSpanID(pcommon.SpanID{1, 2, 3, 4, 5, 6, 7, 8})
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-time.Second)))
	span.SetEndTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = ptraceotlp.NewGRPCClient(conn).Export(ctx, ptraceotlp.NewExportRequestFromTraces(data))
	return err
}

// known says whether the hub has a fresh inventory of a cluster.
func known(t *testing.T, cluster string) bool {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+net.JoinHostPort(hubHost, "13134")+"/topology/clusters", http.NoBody)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	var said struct {
		Clusters []struct {
			Name  string
			Stale bool
		}
	}
	require.NoError(t, json.NewDecoder(response.Body).Decode(&said))
	for _, c := range said.Clusters {
		if c.Name == cluster {
			return !c.Stale
		}
	}
	return false
}
