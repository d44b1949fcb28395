// SPDX-License-Identifier: Apache-2.0

package distribution_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/credentials"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
)

// senders are those that the alerts of the group otelcol-mesh-senders are about, and the hub's certificates.
type senders struct {
	authority *pkitest.Authority
	// cert is the file of the hub's certificate.
	cert, key, ca string
}

func newSenders(t *testing.T) *senders {
	t.Helper()
	s := &senders{authority: pkitest.New(t, "otelcol-mesh")}
	s.cert, s.key = s.authority.Issue(t, pkitest.Leaf{DNS: []string{"hub.example"}}).Write(t, t.TempDir())
	s.ca = pkitest.WriteBundle(t, t.TempDir(), s.authority)
	return s
}

// overlay asks for certificates over gRPC, and adds a receiver over HTTP that takes one request at a time.
func (s *senders) overlay() string {
	return `yaml:{extensions: {request_limits/tiny: {max_streams: 1, max_streams_per_peer: 1},
 cluster_identity: {certificate_files: ["` + filepath.Join(filepath.Dir(s.cert), "missing.crt") + `"], receiver_tls: {cert_file: "` + s.cert + `", key_file: "` + s.key + `", client_ca_file: "` + s.ca + `"}}},
receivers: {otlp: {protocols: {grpc: {auth: {authenticator: cluster_identity}}}},
 otlp/tiny: {protocols: {http: {endpoint: "` + alertsHost + `:4319", middlewares: [{id: request_limits/tiny}]}}}},
service: {extensions: [health_check, zpages, pprof, queue_storage, mesh_topology, request_limits, request_limits/tiny, cluster_identity]}}`
}

func (s *senders) as(t *testing.T, leaves ...pkitest.Leaf) credentials.TransportCredentials {
	t.Helper()
	return credentials.NewTLS(showing(t, s.authority, leaves...))
}

// misbehave has a hub meet all of them, and returns when it has counted each.
func (s *senders) misbehave(t *testing.T, stderr *os.File) {
	t.Helper()
	honest := pkitest.Leaf{DNS: []string{"aks-westeurope.agents.otelcol-mesh"}}
	eventually(t, stderr, func() bool { return exportAs(t, alertsHost, s.as(t, honest), "aks-westeurope") == nil })
	require.Error(t, exportAs(t, alertsHost, s.as(t, honest), "aks-northeurope"), "another cluster")
	require.Error(t, exportAs(t, alertsHost, s.as(t, pkitest.Leaf{DNS: []string{"aks-westeurope.example.com"}}), "aks-westeurope"), "a name of no rule")
	require.Error(t, exportAs(t, alertsHost, s.as(t), "aks-westeurope"), "no certificate")

	// One that does not end holds the only place; before it, one that is no request at all.
	require.Equal(t, http.StatusBadRequest, s.tiny(t, "no telemetry"))
	slow, err := net.Dial("tcp", alertsHost+":4319")
	require.NoError(t, err)
	defer slow.Close()
	_, err = io.WriteString(slow, "POST /v1/logs HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	require.NoError(t, err)
	eventually(t, stderr, func() bool { return s.tiny(t, "{}") == http.StatusServiceUnavailable })

	// A damaged file in place of the certificate.
	require.NoError(t, os.Remove(s.cert))
	require.NoError(t, os.WriteFile(s.cert, []byte("half a certificate"), 0o600))
	eventually(t, stderr, func() bool {
		assert.NoError(t, exportAs(t, alertsHost, s.as(t, honest), "aks-westeurope"), "the last good one is in use")
		return scrape(t)["otelcol_extension_cluster_identity_reload_errors"] != nil
	})
}

// tiny posts to the receiver that takes one request at a time.
func (*senders) tiny(t *testing.T, body string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+alertsHost+":4319/v1/logs", strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	return response.StatusCode
}
