// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/entratest"
)

// azure is Azure Monitor and Entra ID as a hub sees them: an ingestion endpoint over TLS, and one that issues tokens.
type azure struct {
	*ingestiontest.Endpoint
	entra *entratest.Server
	// tokens is whether only those get in who have a token.
	tokens bool
	// roots is a file with the authorities of both, what the image has of public ones.
	roots   string
	address string
}

func newAzure(t *testing.T, tokens bool) *azure {
	t.Helper()
	endpoint, err := ingestiontest.New(ingestiontest.Config{})
	require.NoError(t, err)
	t.Cleanup(endpoint.Close)
	authority, err := ingestiontest.NewAuthority()
	require.NoError(t, err)
	certificate, err := authority.Issue(time.Now().Add(-time.Hour), time.Now().Add(time.Hour), azureHost)
	require.NoError(t, err)
	a := &azure{Endpoint: endpoint, entra: entratest.New(t), tokens: tokens, roots: filepath.Join(t.TempDir(), "roots.pem")}
	require.NoError(t, os.WriteFile(a.roots, append(authority.PEM(), certificateOf(t, a.entra)...), 0o600))
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", azureHost+":0")
	require.NoError(t, err)
	a.address = listener.Addr().String()
	server := &http.Server{Handler: a, ReadHeaderTimeout: within}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(tls.NewListener(listener, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}}))
	}()
	t.Cleanup(func() { assert.NoError(t, server.Close()); <-done })
	return a
}

// certificateOf is the certificate of the stand-in for Entra ID.
func certificateOf(t *testing.T, entra *entratest.Server) []byte {
	t.Helper()
	at, err := url.Parse(entra.URL())
	require.NoError(t, err)
	conn, err := (&tls.Dialer{Config: entra.Transport(t).TLSClientConfig}).DialContext(t.Context(), "tcp", at.Host)
	require.NoError(t, err)
	defer conn.Close()
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw})
}

func (a *azure) url() string { return "https://" + a.address }

// ServeHTTP lets those pass who have a token of Entra ID, if that is asked for.
func (a *azure) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if a.tokens && !slices.Contains(a.entra.Issued(), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	a.Endpoint.ServeHTTP(w, r)
}

// eventually waits for what depends on what arrived.
func (a *azure) eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			require.Fail(t, "never came true: "+what, "there are %v, and of native OTLP %v", a.Summary().ByRole, a.OTLPSummary().Items)
		case <-ticker.C:
		}
	}
}

// everySignalArrives waits for each signal of a cluster's Envoys.
func (a *azure) everySignalArrives(t *testing.T, cluster string) {
	t.Helper()
	productpage := "productpage.bookinfo@" + cluster
	for what, filter := range map[string]ingestiontest.Filter{
		"a span of a call": {Type: "Dependency", Role: productpage, ResultCode: "200", Match: func(i ingestiontest.Item) bool {
			return i.Properties()["mesh.destination.service"] == "details" && i.Properties()["mesh.destination.cluster"] == cluster
		}},
		"a span of an answer": {Type: "Request", Role: productpage},
		"an access log":       {Type: "Message", Role: productpage},
		"a metric":            {Type: "Metric", Match: func(i ingestiontest.Item) bool { return strings.HasSuffix(i.Role, "@"+cluster) }},
	} {
		filter.Limit = 1
		a.eventually(t, what+" of "+cluster, func() bool { return len(a.Items(filter)) > 0 })
	}
}

// scrapedMetricsArrive waits for what is on the page of a sidecar's statistics alone, which the agent finds with the rights of
// its service account.
func (a *azure) scrapedMetricsArrive(t *testing.T, cluster string) {
	t.Helper()
	filter := ingestiontest.Filter{Type: "Metric", Name: "istio_requests_total", Limit: 1, Match: func(i ingestiontest.Item) bool {
		return i.Role == "details.bookinfo@"+cluster && i.RoleInstance == ""
	}}
	a.eventually(t, "a scraped metric of "+cluster, func() bool { return len(a.Items(filter)) > 0 })
}

// ztunnelsLogArrives writes to a file as ztunnel's container does on the agent's node, until a line of it arrives: what was
// written before the agent looked first is not read.
func (a *azure) ztunnelsLogArrives(t *testing.T, agent process) {
	t.Helper()
	folder := filepath.Join(agent.volumes["logs"], "istio-system_"+ztunnel+"_0b0e84ae-1abe-46af-bfe0-e229c41de4cc", "istio-proxy")
	require.NoError(t, os.MkdirAll(folder, 0o700))
	log, err := os.Create(filepath.Join(folder, "0.log"))
	require.NoError(t, err)
	defer log.Close()
	filter := ingestiontest.Filter{Type: "Message", Role: "ztunnel.istio-system@" + north, Limit: 1, Match: func(i ingestiontest.Item) bool {
		return i.RoleInstance == ztunnel && i.Properties()["mesh.source.workload"] == "shell" && i.Properties()["mesh.destination.workload"] == "echo"
	}}
	a.eventually(t, "a line of ztunnel's access log", func() bool {
		now := time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")
		_, err := fmt.Fprintf(log, "%s stdout F %s\tinfo\taccess\tconnection complete\t"+ztunnelFields+"\n", now, now)
		return assert.NoError(t, err) && len(a.Items(filter)) > 0
	})
}

// ztunnelFields tell of a connection by addresses, which the topology of the API server has the names for.
const ztunnelFields = `src.addr=` + shellAddress + `:46238 src.namespace="ambient" src.identity="spiffe://cluster.local/ns/ambient/sa/shell" ` +
	`dst.addr=` + echoAddress + `:15008 dst.hbone_addr=` + echoAddress + `:80 dst.service="echo.ambient.svc.cluster.local" dst.namespace="ambient" ` +
	`dst.identity="spiffe://cluster.local/ns/ambient/sa/echo" direction="outbound" bytes_sent=67 bytes_recv=490 duration="13ms"`

// everySignalArrivesAsOTLP is the same for native OTLP.
func (a *azure) everySignalArrivesAsOTLP(t *testing.T, cluster string) {
	t.Helper()
	for _, signal := range []string{ingestiontest.SignalTraces, ingestiontest.SignalLogs, ingestiontest.SignalMetrics} {
		a.eventually(t, signal+" of "+cluster, func() bool {
			return slices.ContainsFunc(a.OTLPRequests(), func(r ingestiontest.OTLPRequest) bool {
				return r.Signal == signal && slices.Contains(clustersOf(r), cluster)
			})
		})
	}
}

// clustersOf are the clusters whose resources are in a request.
func clustersOf(r ingestiontest.OTLPRequest) []string {
	var resources []pcommon.Resource
	switch r.Signal {
	case ingestiontest.SignalTraces:
		for _, of := range r.Traces.ResourceSpans().All() {
			resources = append(resources, of.Resource())
		}
	case ingestiontest.SignalLogs:
		for _, of := range r.Logs.ResourceLogs().All() {
			resources = append(resources, of.Resource())
		}
	default:
		for _, of := range r.Metrics.ResourceMetrics().All() {
			resources = append(resources, of.Resource())
		}
	}
	var names []string
	for _, resource := range resources {
		if name, ok := resource.Attributes().Get("k8s.cluster.name"); ok {
			names = append(names, name.Str())
		}
	}
	return names
}
