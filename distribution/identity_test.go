// SPDX-License-Identifier: Apache-2.0

package distribution_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
)

// wiring is what of a configuration decides who is asked for a certificate.
type wiring struct {
	Service struct {
		Extensions []string `yaml:"extensions"`
		Pipelines  map[string]struct {
			Receivers  []string `yaml:"receivers"`
			Processors []string `yaml:"processors"`
		} `yaml:"pipelines"`
	} `yaml:"service"`
}

func wiringOf(t *testing.T, file string) (w wiring) {
	t.Helper()
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(raw, &w), file)
	return w
}

// TestEveryOverlayOfTheHubAsksWhoSends prevents the bug that an overlay replaces a list of hub.yaml, as merging does, and the
// check of who sends, or the limits, are gone from it in silence.
func TestEveryOverlayOfTheHubAsksWhoSends(t *testing.T) {
	shipped := wiringOf(t, "config/hub.yaml")
	require.Len(t, shipped.Service.Pipelines, 5)
	overlays, err := filepath.Glob("examples/*.yaml")
	require.NoError(t, err)
	checked := 0
	for _, file := range append([]string{"config/hub.yaml", "config/router.yaml"}, overlays...) {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		// Those of the agent alone say so in their heads.
		if !strings.HasPrefix(file, "config/") && !strings.Contains(string(raw), "hub.yaml") {
			continue
		}
		w := wiringOf(t, file)
		for name, p := range w.Service.Pipelines {
			fromNetwork := slices.Contains(p.Receivers, "otlp") || len(p.Receivers) == 0 && slices.Contains(shipped.Service.Pipelines[name].Receivers, "otlp")
			if !fromNetwork || p.Processors == nil {
				continue
			}
			require.Greater(t, len(p.Processors), 1, "%s: %s", file, name)
			assert.Equal(t, []string{"memory_limiter", "cluster_identity"}, p.Processors[:2], "%s: %s", file, name)
			checked++
		}
		if w.Service.Extensions != nil && file != "config/router.yaml" {
			assert.Subset(t, w.Service.Extensions, shipped.Service.Extensions, file)
		}
	}
	assert.Greater(t, checked, 4, "hub.yaml and overlays")
}

// exportAs hands one log record of a cluster to the hub, as an agent does, and returns what the hub says to it.
func exportAs(t *testing.T, host string, creds credentials.TransportCredentials, cluster string) error {
	t.Helper()
	conn, err := grpc.NewClient(net.JoinHostPort(host, "14317"), grpc.WithTransportCredentials(creds))
	require.NoError(t, err)
	defer conn.Close()
	_, err = plogotlp.NewGRPCClient(conn).Export(t.Context(), plogotlp.NewExportRequestFromLogs(logsOf(0, 1, map[string]any{"k8s.cluster.name": cluster})))
	return err
}

// showing is what an agent with a certificate of this kind connects with.
func showing(t *testing.T, authority *pkitest.Authority, leaves ...pkitest.Leaf) *tls.Config {
	t.Helper()
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool(), ServerName: "hub.example"}
	require.True(t, config.RootCAs.AppendCertsFromPEM(authority.PEM()))
	for _, leaf := range leaves {
		config.Certificates = append(config.Certificates, authority.Issue(t, leaf).TLS)
	}
	return config
}

// hubWithout starts the hub where nothing but the receiver matters.
func hubWithout(t *testing.T, env []string, overlays ...string) *process {
	t.Helper()
	return launch(t, append([]string{"config/hub.yaml"}, overlays...), append([]string{
		"MESH_LISTEN_HOST=" + standaloneHost, "MESH_ADMIN_HOST=" + standaloneHost, "MESH_DEBUG_HOST=" + standaloneHost,
		"MESH_STORAGE_DIR=" + t.TempDir(), "APPLICATION_INSIGHTS_CONNECTION_STRING=" + connectionString,
	}, env...)...)
}

// TestHubWithoutTLSRefuses holds the default: who proves nothing is refused in a way that an agent tries again, and one has to
// say so to have it otherwise, and is told.
func TestHubWithoutTLSRefuses(t *testing.T) {
	hub := hubWithout(t, nil)
	err := exportAs(t, standaloneHost, insecure.NewCredentials(), "aks-westeurope")
	require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
	require.ErrorContains(t, err, "who sends")
	require.NoError(t, hub.stop())

	hub = hubWithout(t, []string{"MESH_HUB_UNVERIFIED=accept"})
	require.NoError(t, exportAs(t, standaloneHost, insecure.NewCredentials(), "aks-westeurope"))
	log, err := os.ReadFile(hub.stderr.Name())
	require.NoError(t, err)
	assert.Contains(t, string(log), "'unverified' is accept")
}

// TestHubTakesWhatACertificateProves holds that the overlay's rules fit the names that it documents, and that nothing gets
// past it by a setting that is meant for a hub without TLS.
func TestHubTakesWhatACertificateProves(t *testing.T) {
	authority, dir := pkitest.New(t, "otelcol-mesh"), t.TempDir()
	cert, key := authority.Issue(t, pkitest.Leaf{DNS: []string{"hub.example"}}).Write(t, dir)
	hubWithout(t, []string{
		"MESH_HUB_SERVER_CERT_FILE=" + cert, "MESH_HUB_SERVER_KEY_FILE=" + key, "MESH_HUB_CLIENT_CA_FILE=" + pkitest.WriteBundle(t, t.TempDir(), authority),
		"MESH_HUB_UNVERIFIED=accept",
	}, "examples/hub-mtls.yaml", "examples/hub-mtls-http.yaml")

	as := func(leaf pkitest.Leaf) credentials.TransportCredentials {
		return credentials.NewTLS(showing(t, authority, leaf))
	}
	spiffe := as(pkitest.Leaf{URIs: []string{"spiffe://otelcol-mesh/cluster/aks-westeurope/agent"}})
	dns := as(pkitest.Leaf{DNS: []string{"aks-westeurope.agents.otelcol-mesh"}})
	require.NoError(t, exportAs(t, standaloneHost, spiffe, "aks-westeurope"))
	require.NoError(t, exportAs(t, standaloneHost, dns, "aks-westeurope"))
	for _, sender := range []credentials.TransportCredentials{spiffe, dns} {
		err := exportAs(t, standaloneHost, sender, "aks-northeurope")
		assert.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)
	}
	assert.Error(t, exportAs(t, standaloneHost, as(pkitest.Leaf{DNS: []string{"aks-westeurope.example.com"}}), "aks-westeurope"), "no rule knows it")
	assert.Error(t, exportAs(t, standaloneHost, insecure.NewCredentials(), "aks-westeurope"), "without TLS")

	overHTTP := &http.Client{Transport: &http.Transport{TLSClientConfig: showing(t, authority, pkitest.Leaf{DNS: []string{"aks-westeurope.agents.otelcol-mesh"}})}}
	defer overHTTP.CloseIdleConnections()
	for cluster, answer := range map[string]int{"aks-westeurope": http.StatusOK, "aks-northeurope": http.StatusForbidden} {
		body, err := plogotlp.NewExportRequestFromLogs(logsOf(0, 1, map[string]any{"k8s.cluster.name": cluster})).MarshalProto()
		require.NoError(t, err)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+standaloneHost+":14318/v1/logs", bytes.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/x-protobuf")
		response, err := overHTTP.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Equal(t, answer, response.StatusCode, cluster)
	}
}

// TestLinkWithoutTLSIsWarnedOf holds that an agent says at its start that whoever is on the way reads and changes what it sends.
func TestLinkWithoutTLSIsWarnedOf(t *testing.T) {
	agent := launch(t, []string{"config/agent.yaml", "examples/static-topology.yaml", "yaml:{receivers: {prometheus: {config: {scrape_configs: [{job_name: none, static_configs: []}]}}}}"},
		"MESH_LISTEN_HOST="+standaloneHost, "MESH_ADMIN_HOST="+standaloneHost, "MESH_DEBUG_HOST="+standaloneHost, "MESH_STORAGE_DIR="+t.TempDir(),
		"MESH_TOPOLOGY_FILE=examples/topology.yaml", "MESH_CLUSTER=aks-westeurope", "MESH_HUB_ENDPOINT=hub.example.invalid:14317", "MESH_HUB_INSECURE=true")
	log, err := os.ReadFile(agent.stderr.Name())
	require.NoError(t, err)
	assert.Contains(t, string(log), "'exporter_tls::insecure' is true")
}

// TestHubTakesWhatAgentsBatch prevents the bug that a limit of the hub is below what an agent puts into one batch: the hub's
// answer is final then, and the agent drops the batch with everybody's items in it.
func TestHubTakesWhatAgentsBatch(t *testing.T) {
	hubWithout(t, []string{"MESH_HUB_UNVERIFIED=accept"})
	conn, err := grpc.NewClient(net.JoinHostPort(standaloneHost, "14317"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()

	// The smallest points there are, up to the size of a batch.
	points := pmetric.NewMetrics()
	metric := points.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName("small")
	gauge := metric.SetEmptyGauge().DataPoints()
	gauge.EnsureCapacity(250_000)
	for n := range 250_000 {
		point := gauge.AppendEmpty()
		point.SetIntValue(int64(n))
		point.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	}
	_, err = pmetricotlp.NewGRPCClient(conn).Export(t.Context(), pmetricotlp.NewExportRequestFromMetrics(points))
	require.NoError(t, err)

	// As many attributes as an agent takes on one record, and those that it adds.
	records := logsOf(0, 1000, map[string]any{"k8s.cluster.name": "aks-westeurope"})
	all := records.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
	for n := range 1100 {
		all.At(0).Attributes().PutStr(fmt.Sprintf("key.%d", n), "value")
	}
	// And the longest value.
	all.At(1).Body().SetStr(strings.Repeat("x", 3<<20))
	_, err = plogotlp.NewGRPCClient(conn).Export(t.Context(), plogotlp.NewExportRequestFromLogs(records))
	require.NoError(t, err)
}
