// SPDX-License-Identifier: Apache-2.0

package distribution_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// keyOf is an instrumentation key that is easy to tell from others.
func keyOf(n int) string { return fmt.Sprintf("%08d-0000-4000-8000-000000000000", n) }

func connectionTo(key int, endpoint string) string {
	return "InstrumentationKey=" + keyOf(key) + ";IngestionEndpoint=" + endpoint
}

const soon = "yaml:{exporters: {application_insights: {connection_string_interval: 50ms, pauses: {hold: 100ms, quota: 100ms}}}}"

// names counts the items of Application Insights by name, the text of a message being its name.
func names(items []ingestiontest.Item) map[string]int {
	by := map[string]int{}
	for _, item := range items {
		by[item.Name]++
	}
	return by
}

func wantedNames(from, to int) map[string]int {
	by := map[string]int{}
	for n := from; n < to; n++ {
		by[fmt.Sprintf("span-%d", n)], by[fmt.Sprintf("log-%d", n)] = 1, 1
	}
	return by
}

// TestEntraExampleDelivers prevents that a token does not get from the extension through the exporter's client to the
// endpoint, and that a role which is not there yet costs data or is a riddle.
func TestEntraExampleDelivers(t *testing.T) {
	a := newAzure(t)
	a.answers(refuses(http.StatusForbidden))
	h := newHub(t, a, []string{"APPLICATION_INSIGHTS_CONNECTION_STRING=" + connectionTo(1, a.url())},
		"examples/azure-monitor-entra.yaml", a.entraOverlay(), quick("application_insights"), soon)
	h.send(t, spansOf(0, 50, nil))
	h.send(t, logsOf(0, 50, nil))
	eventually(t, h.stderr, func() bool { return a.answered(http.StatusForbidden) >= 6 })
	assert.Empty(t, a.Items(ingestiontest.Filter{}))
	var extension, exporter string
	for line := range strings.Lines(h.log(t)) {
		if !strings.Contains(line, "Monitoring Metrics Publisher") {
			continue
		}
		if strings.Contains(line, `"otelcol.component.kind":"extension"`) {
			extension = line
		} else {
			exporter = line
		}
	}
	for _, words := range []string{azureHost, "Application Insights resource", "object id"} {
		assert.Contains(t, extension, words, "who lacks the role, and where")
	}
	for _, words := range []string{`"application_insights"`, azureHost, "Application Insights resource"} {
		assert.Contains(t, exporter, words, "whose items wait for the role, and where")
	}

	a.answers(nil)
	eventually(t, h.stderr, func() bool { return len(a.Items(ingestiontest.Filter{})) >= 100 })
	assert.Equal(t, wantedNames(0, 50), names(a.Items(ingestiontest.Filter{InstrumentationKey: keyOf(1)})), "each once")
	assert.Zero(t, a.answered(http.StatusUnauthorized), "never without the token")
	assert.NotContains(t, h.log(t), "eyJ", "no token is in the log")
	require.NoError(t, h.stop())
	assert.NotContains(t, h.log(t), dropping)
}

// TestEntraExampleKeepsTheTokenHome prevents that a wrong connection string or a redirect gives the token away.
func TestEntraExampleKeepsTheTokenHome(t *testing.T) {
	a := newAzure(t)
	asked := make(chan string, 100)
	foreign := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Get("Authorization")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	foreign.TLS = a.config.Clone()
	foreign.StartTLS()
	defer foreign.Close()
	elsewhere := strings.Replace(foreign.URL, "127.0.0.1", "localhost", 1)

	file := filepath.Join(t.TempDir(), "connection-string")
	require.NoError(t, os.WriteFile(file, []byte(connectionTo(1, elsewhere)+";AADAudience=https://monitor.azure.us"), 0o600))
	h := newHub(t, a, nil, "examples/azure-monitor-entra.yaml", a.entraOverlay(), quick("application_insights"), soon,
		"yaml:{exporters: {application_insights: {connection_string: '', connection_string_file: '"+file+"'}}}")
	h.send(t, spansOf(0, 50, nil))
	h.send(t, logsOf(0, 50, nil))
	eventually(t, h.stderr, func() bool { return strings.Contains(h.log(t), "add the host to 'additional_domains'") })
	assert.Contains(t, h.log(t), "write 'scopes: [https://monitor.azure.us/.default]'", "tokens for another audience would get 401")

	// The right endpoint now, but it sends to the wrong one.
	redirected := make(chan struct{}, 100)
	a.answers(func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, elsewhere+r.URL.Path, http.StatusTemporaryRedirect)
		select {
		case redirected <- struct{}{}:
		default:
		}
		return true
	})
	require.NoError(t, os.WriteFile(file, []byte(connectionTo(1, a.url())), 0o600))
	eventually(t, h.stderr, func() bool { return len(redirected) >= 3 })
	a.answers(nil)
	eventually(t, h.stderr, func() bool { return len(a.Items(ingestiontest.Filter{})) >= 100 })
	assert.Equal(t, wantedNames(0, 50), names(a.Items(ingestiontest.Filter{})))
	assert.Empty(t, asked, "the foreign host saw no request at all")
	require.NoError(t, h.stop())
	assert.NotContains(t, h.log(t), dropping)
}

// TestUpstreamExampleDelivers prevents that the overlay for the upstream exporter no longer gives it what it draws the
// Application Map from.
func TestUpstreamExampleDelivers(t *testing.T) {
	a := newAzure(t)
	a.anybody = true
	h := newHub(t, a, []string{"APPLICATION_INSIGHTS_CONNECTION_STRING=" + connectionTo(1, a.url())}, "examples/azure-monitor-upstream.yaml")
	td := spansOf(0, 1, map[string]any{"service.name": "productpage", "service.namespace": "bookinfo", "k8s.namespace.name": "bookinfo", "k8s.cluster.name": "aks-westeurope"})
	span := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	span.SetKind(ptrace.SpanKindClient)
	for key, value := range map[string]string{
		"http.request.method": "GET", "url.scheme": "http", "url.path": "/reviews/0", "server.address": "10.244.0.21", "url.full": "http://10.244.0.21:9080/reviews/0",
		"mesh.destination.service": "reviews", "mesh.destination.namespace": "bookinfo", "mesh.destination.cluster": "aks-northeurope",
	} {
		span.Attributes().PutStr(key, value)
	}
	h.send(t, td)
	eventually(t, h.stderr, func() bool { return len(a.Items(ingestiontest.Filter{})) >= 1 })
	item := a.Items(ingestiontest.Filter{})[0]
	assert.Equal(t, "Dependency", item.Type)
	assert.Equal(t, "productpage.bookinfo@aks-westeurope", item.Role)
	assert.Equal(t, keyOf(1), item.Envelope.InstrumentationKey)
	assert.Equal(t, "reviews.bookinfo.aks-northeurope", item.Envelope.Data.BaseData.(*ai.RemoteDependencyData).Target)
	assert.Equal(t, "http://10.244.0.21:9080/reviews/0", item.Properties()["url.original"], "the caller's URL is kept")
}
