// SPDX-License-Identifier: Apache-2.0

package clusteridentityextension

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/identity"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/internal/metadatatest"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
)

// started is an extension under test.
type started struct {
	*clusterIdentity
	telemetry *componenttest.Telemetry
	logs      *observer.ObservedLogs
}

func start(t *testing.T, config *Config) started {
	t.Helper()
	telemetry := componenttest.NewTelemetry()
	settings := telemetry.NewTelemetrySettings()
	core, logs := observer.New(zap.WarnLevel)
	settings.Logger = zap.New(core)
	e, err := newClusterIdentity(extension.Settings{ID: component.MustNewID("cluster_identity"), TelemetrySettings: settings}, config)
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() {
		require.NoError(t, e.Shutdown(context.Background()))
		require.NoError(t, telemetry.Shutdown(context.Background()))
	})
	return started{e, telemetry, logs}
}

var rules = []identity.Rule{{SPIFFE: "spiffe://{cluster}.example/agent"}}

func connection(pair pkitest.Pair, by *pkitest.Authority) tls.ConnectionState {
	return tls.ConnectionState{
		PeerCertificates: []*x509.Certificate{pair.TLS.Leaf}, VerifiedChains: [][]*x509.Certificate{{pair.TLS.Leaf, by.Cert}},
	}
}

func over(state tls.ConnectionState) context.Context {
	return peer.NewContext(context.Background(), &peer.Peer{AuthInfo: credentials.TLSInfo{State: state}})
}

// headers say that the sender is somebody else.
var headers = map[string][]string{"x-forwarded-client-cert": {"URI=spiffe://north.example/agent"}, ":authority": {"north"}}

func TestAuthenticate(t *testing.T) {
	e := start(t, &Config{Rules: rules})
	root := pkitest.New(t, "root")
	pair := root.Issue(t, pkitest.Leaf{URIs: []string{"spiffe://west.example/agent"}})
	ctx, err := e.Authenticate(over(connection(pair, root)), headers)
	require.NoError(t, err)
	id, ok := client.FromContext(ctx).Auth.(*identity.Identity)
	require.True(t, ok)
	assert.Equal(t, []string{"west"}, id.Clusters())

	shown := connection(pair, root)
	shown.VerifiedChains = nil
	for name, c := range map[string]struct {
		ctx  context.Context
		says string
	}{
		"HTTP":         {context.Background(), "'middlewares', not 'auth'"},
		"no TLS":       {peer.NewContext(context.Background(), &peer.Peer{}), "not encrypted"},
		"not verified": {over(shown), "'client_ca_file'"},
		"no rule":      {over(connection(root.Issue(t, pkitest.Leaf{URIs: []string{"spiffe://west.example/other"}}), root)), "add one under 'rules'"},
	} {
		_, err := e.Authenticate(c.ctx, headers)
		// A certificate or a rule can be mended: the sender keeps what it has and tries again.
		assert.Equal(t, codes.Unavailable, status.Code(err), name)
		assert.ErrorContains(t, err, c.says)
	}
	// A certificate that ends while its connection lives.
	e.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	_, err = e.Authenticate(over(connection(pair, root)), headers)
	assert.Equal(t, codes.Unavailable, status.Code(err), "the sender is to try again with a new one")
	assert.Equal(t, 5, e.logs.Len())
	_, _ = e.Authenticate(over(connection(pair, root)), headers)
	assert.Equal(t, 5, e.logs.Len(), "the same is not logged again")
	at := func(n int64, reason string) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{Value: n, Attributes: attribute.NewSet(attribute.String("authenticator", "cluster_identity"), attribute.String("transport", "grpc"), attribute.String("reason", reason))}
	}
	metadatatest.AssertEqualExtensionClusterIdentityRefusedRequests(t, e.telemetry, []metricdata.DataPoint[int64]{
		at(1, "no_connection"), at(1, "no_tls"), at(1, "not_verified"), at(1, "no_rule"), at(2, "expired"),
	}, metricdatatest.IgnoreTimestamp())
}

func TestHTTP(t *testing.T) {
	e := start(t, &Config{Rules: rules})
	root := pkitest.New(t, "root")
	wrap, err := e.GetHTTPHandler(t.Context())
	require.NoError(t, err)
	var seen client.AuthData
	handler, err := wrap(t.Context(), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = client.FromContext(r.Context()).Auth }))
	require.NoError(t, err)
	ask := func(state *tls.ConnectionState) *httptest.ResponseRecorder {
		seen = nil
		request := httptest.NewRequest(http.MethodPost, "/v1/traces", http.NoBody)
		request.Header = headers
		request.TLS = state
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		return answer
	}
	state := connection(root.Issue(t, pkitest.Leaf{URIs: []string{"spiffe://west.example/agent"}}), root)
	answer := ask(&state)
	assert.Equal(t, http.StatusOK, answer.Code)
	assert.Equal(t, []string{"west"}, seen.GetAttribute(identity.AttributeClusters))
	assert.Empty(t, answer.Header().Get("Connection"))

	answer = ask(nil)
	assert.Equal(t, http.StatusServiceUnavailable, answer.Code)
	assert.Contains(t, answer.Body.String(), "not encrypted")
	assert.Nil(t, seen)

	e.now = func() time.Time { return time.Now().Add(time.Hour - 30*time.Second) }
	answer = ask(&state)
	assert.Equal(t, http.StatusOK, answer.Code)
	assert.Equal(t, "close", answer.Header().Get("Connection"), "the next connection begins with a new certificate")

	e.now = func() time.Time { return time.Now().Add(time.Hour + time.Second) }
	answer = ask(&state)
	assert.Equal(t, http.StatusServiceUnavailable, answer.Code)
	assert.Equal(t, "close", answer.Header().Get("Connection"))
	assert.Nil(t, seen)
}

// TestAgeOverHTTP: a connection ends when it is ten minutes old, so that the next one shows a certificate that the receiver
// trusts then; of both versions of HTTP.
func TestAgeOverHTTP(t *testing.T) {
	for name, version2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		t.Run(name, func(t *testing.T) {
			e := start(t, &Config{Rules: rules})
			var ahead atomic.Int64
			e.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
			wrap, err := e.GetHTTPHandler(t.Context())
			require.NoError(t, err)
			handler, err := wrap(t.Context(), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			require.NoError(t, err)
			root := pkitest.New(t, "root")
			pool := x509.NewCertPool()
			pool.AddCert(root.Cert)
			server := httptest.NewUnstartedServer(handler)
			server.EnableHTTP2 = version2
			server.TLS = &tls.Config{Certificates: []tls.Certificate{root.Issue(t, pkitest.Leaf{}).TLS}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
			server.StartTLS()
			defer server.Close()
			certificate := root.Issue(t, pkitest.Leaf{URIs: []string{"spiffe://west.example/agent"}, NotAfter: time.Now().Add(24 * time.Hour)}).TLS
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{certificate}}, ForceAttemptHTTP2: version2}
			defer transport.CloseIdleConnections()
			ask := func() (from string) {
				trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { from = info.Conn.LocalAddr().String() }}
				request, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodPost, server.URL, http.NoBody)
				require.NoError(t, err)
				answer, err := transport.RoundTrip(request)
				require.NoError(t, err)
				require.NoError(t, answer.Body.Close())
				assert.Equal(t, http.StatusOK, answer.StatusCode)
				assert.Equal(t, name, answer.Proto)
				return from
			}
			first := ask()
			assert.Equal(t, first, ask())
			ahead.Store(int64(oldest))
			assert.Equal(t, first, ask(), "the answer ends it")
			require.Eventually(t, func() bool { return ask() != first }, 10*time.Second, 10*time.Millisecond)
			second := ask()
			assert.Equal(t, second, ask(), "which is new")
		})
	}
}

// TestAgesAreForgotten: nothing is left of connections that are gone.
func TestAgesAreForgotten(t *testing.T) {
	var a ages
	for range 100 {
		assert.Zero(t, a.of(new(tls.ConnectionState), time.Now()))
	}
	require.Eventually(t, func() bool {
		runtime.GC()
		left := 0
		a.begun.Range(func(any, any) bool { left++; return true })
		return left == 0
	}, 20*time.Second, 10*time.Millisecond)
}

// TestExpiryOfFiles: the metric follows the file, and a file that tells nothing is counted.
func TestExpiryOfFiles(t *testing.T) {
	root := pkitest.New(t, "root")
	dir, empty := t.TempDir(), filepath.Join(t.TempDir(), "empty.pem")
	require.NoError(t, os.WriteFile(empty, []byte("nothing"), 0o600))
	file, _ := root.Issue(t, pkitest.Leaf{NotAfter: time.Now().Add(time.Hour)}).Write(t, dir)
	e := start(t, &Config{CertificateFiles: []string{file, "", empty, "/no/such/file"}})
	left := func() float64 {
		m, err := e.telemetry.GetMetric("otelcol_extension_cluster_identity_certificate_expiry")
		require.NoError(t, err)
		points := m.Data.(metricdata.Gauge[float64]).DataPoints
		require.Len(t, points, 1)
		path, _ := points[0].Attributes.Value("file")
		assert.Equal(t, file, path.AsString())
		return points[0].Value
	}
	assert.InDelta(t, 3600, left(), 60)
	root.Issue(t, pkitest.Leaf{NotAfter: time.Now().Add(2 * time.Hour)}).Write(t, dir)
	assert.InDelta(t, 7200, left(), 60)
	// A chain ends with its first part.
	pair := root.Sub(t, "sub").Issue(t, pkitest.Leaf{NotAfter: time.Now().Add(-time.Hour)})
	pair.Write(t, dir)
	assert.InDelta(t, -3600, left(), 60)
	m, err := e.telemetry.GetMetric("otelcol_extension_cluster_identity_certificate_file_errors")
	require.NoError(t, err)
	assert.Len(t, m.Data.(metricdata.Sum[int64]).DataPoints, 2)
	assert.Equal(t, 2, e.logs.Len())
}

// TestExpiryOfBundles: an authority that has ended says nothing while others are valid, and one that ends next does.
func TestExpiryOfBundles(t *testing.T) {
	root := pkitest.New(t, "root")
	now := time.Now()
	old, next, last := root.SubUntil(t, "old", now.Add(-time.Hour)), root.SubUntil(t, "next", now.Add(time.Hour)), root.SubUntil(t, "last", now.Add(2*time.Hour))
	file := pkitest.WriteBundle(t, t.TempDir(), last, old, next)
	config := &Config{CertificateFiles: []string{file}, ExporterTLS: configoptional.Some(configtls.ClientConfig{Config: configtls.Config{CAFile: file}})}
	assert.Equal(t, []pemFile{{file, true}}, config.files(), "each once")
	ends, err := expiryOf(pemFile{file, true}, now)
	require.NoError(t, err)
	assert.WithinDuration(t, now.Add(time.Hour), ends, time.Minute)
	ends, err = expiryOf(pemFile{file, false}, now)
	require.NoError(t, err)
	assert.WithinDuration(t, now.Add(-time.Hour), ends, time.Minute, "of a chain")
	ends, err = expiryOf(pemFile{file, true}, now.Add(3*time.Hour))
	require.NoError(t, err)
	assert.WithinDuration(t, now.Add(2*time.Hour), ends, time.Minute, "all have ended")
}

func TestConfig(t *testing.T) {
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	for name, want := range map[string]string{
		"cluster_identity": "", "cluster_identity/files": "", "cluster_identity/all": "",
		"cluster_identity/none": "'rules' is empty",
		"cluster_identity/tls":  "", "cluster_identity/exporter": "",
		"cluster_identity/http": "", "cluster_identity/http_alone": "'receiver_http' needs 'receiver_tls'",
		"cluster_identity/no_authority": "'receiver_tls' has no 'client_ca_file'",
		"cluster_identity/no_name":      "'rules[0]': write exactly one of",
		"cluster_identity/template":     "'rules[0]': 'spiffe' is",
	} {
		sub, err := conf.Sub(name)
		require.NoError(t, err)
		cfg := createDefaultConfig().(*Config)
		require.NoError(t, sub.Unmarshal(cfg), name)
		if err := cfg.Validate(); want == "" {
			assert.NoError(t, err, name)
		} else {
			assert.ErrorContains(t, err, want, name)
		}
	}
}
