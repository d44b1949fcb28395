// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
)

const analysisToken = "a-long-random-word"

// analysisName is what Argo Rollouts calls, and what the certificate has.
func analysisName(namespace string) string { return "otelcol-mesh-hub-analysis." + namespace + ".svc" }

// answersRollouts asks the first replica, as Argo Rollouts does, about services of the west, whose metrics came by the tier, until
// it has an answer for each: what the router gave to the second replica it has to ask there.
func (h *hub) answersRollouts(t *testing.T, authority *pkitest.Authority) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(authority.Cert)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: analysisName(h.namespace), MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: within}
	ask := func(service, token string) (status int, state string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+net.JoinHostPort(hubHost, "8443")+
			"/api/v1/analysis?namespace=bookinfo&service="+service+"&cluster="+west+"&metric=success_rate&min_requests=1", http.NoBody)
		require.NoError(t, err)
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := client.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		var answer struct{ State string }
		if response.StatusCode == http.StatusOK {
			require.NoError(t, json.NewDecoder(response.Body).Decode(&answer))
		}
		return response.StatusCode, answer.State
	}
	for _, token := range []string{"", "another"} {
		status, _ := ask("details", token)
		assert.Equal(t, http.StatusUnauthorized, status, "token %q", token)
	}
	for _, service := range []string{"details", "reviews", "ratings", "productpage"} {
		require.Eventually(t, func() bool {
			status, state := ask(service, analysisToken)
			return status == http.StatusOK && state == "ok"
		}, within, 250*time.Millisecond, "an answer about %s", service)
	}
}
