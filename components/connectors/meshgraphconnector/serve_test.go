// SPDX-License-Identifier: Apache-2.0

package meshgraphconnector

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
)

// got asks for a JSON object.
func got(t *testing.T, address string) map[string]any {
	t.Helper()
	answer, err := http.Get(address)
	require.NoError(t, err)
	defer answer.Body.Close()
	var v map[string]any
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&v))
	return v
}

// TestOneOfSeveralSaysSo prevents that what a replica's configuration says of it stops short of its answers and its control planes.
func TestOneOfSeveralSaysSo(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	for _, routed := range []bool{false, true} {
		config := testConfig("")
		config.Admin.Endpoint = "127.0.0.1:0"
		config.Replica.Routed = routed
		if routed {
			config.Replica.Name = "hub-1"
		}
		a := connect(t, NewFactory(), settings(), config, newSink())
		a.start(componenttest.NewNopHost())
		g := a.pairs[0].(*pair).graph
		address := "http://" + g.addresses[0].String() + "/api/v1/"
		for _, document := range []string{"graph", "posture", "control-planes"} {
			replica, _ := got(t, address+document)["replica"].(map[string]any)
			if routed {
				assert.Equal(t, "hub-1", replica["name"], document)
			} else {
				assert.Nil(t, replica, document)
			}
		}
		// None of its control planes may have come yet.
		receiving := got(t, address+"control-planes")["receiving"]
		if routed {
			assert.Equal(t, false, receiving)
		} else {
			assert.Nil(t, receiving)
			began := time.Now()
			doc := g.engine.planes.Roll(began, nil)
			assert.True(t, doc.AbsenceJudgedFrom.Before(began.Add(config.ControlPlanes.Expire)), "it listens since its start: %s", doc.AbsenceJudgedFrom)
		}
		a.shutdown()
	}
}

// TestAuthorityOfPeersIsReplaced: the collector reads a client's authorities when it makes it; a hub that runs for longer than one of
// them goes on to ask the others.
func TestAuthorityOfPeersIsReplaced(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	other := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"state": "ok", "requests": 5}`))
	}))
	defer other.Close()
	file := filepath.Join(t.TempDir(), "ca.crt")
	write := func(certificate []byte) {
		require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), 0o600))
	}
	write(pkitest.New(t, "before").Cert.Raw)
	config := testConfig("")
	config.Admin.Endpoint = ""
	server, peers := confighttp.NewDefaultServerConfig(), confighttp.NewDefaultClientConfig()
	server.NetAddr.Endpoint = "127.0.0.1:0"
	peers.Endpoint = "https://" + other.Listener.Addr().String()
	peers.TLS.CAFile, peers.TLS.ServerName, peers.TLS.ReloadInterval = file, "example.com", time.Nanosecond
	config.Analysis, config.AnalysisPeers = configoptional.Some(server), configoptional.Some(peers)
	a := connect(t, NewFactory(), settings(), config, newSink())
	a.start(componenttest.NewNopHost())
	address := "http://" + a.pairs[0].(*pair).graph.addresses[0].String() + "/api/v1/analysis?namespace=shop&service=reviews"
	before := got(t, address)
	assert.Equal(t, "no_data", before["state"])
	assert.Contains(t, before["detail"], "unknown authority")
	write(other.Certificate().Raw)
	assert.Equal(t, "ok", got(t, address)["state"])
	a.shutdown()
}
