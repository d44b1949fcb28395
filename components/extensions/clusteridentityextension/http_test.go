// SPDX-License-Identifier: Apache-2.0

package clusteridentityextension

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/identity"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
)

// web is an HTTP receiver, and the extension that takes connections for it.
type web struct {
	root       *pkitest.Authority
	own, trust string
	e          started
	receiver   *http.Server
	// plain is the address of the receiver, address that of the extension.
	plain, address string
	// later says that it is two seconds later.
	later atomic.Bool
	mu    sync.Mutex
	seen  []client.Info
}

// served returns who sent the requests that came through.
func (w *web) served() []client.Info {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seen)
}

// free returns an address that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

// startWeb starts both; the extension is not ready yet.
func startWeb(t *testing.T) *web {
	t.Helper()
	w := &web{root: pkitest.New(t, "root"), own: t.TempDir(), trust: t.TempDir(), address: free(t)}
	w.root.Issue(t, pkitest.Leaf{}).Write(t, w.own)
	pkitest.WriteBundle(t, w.trust, w.root)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w.plain = listener.Addr().String()
	config := &Config{
		Rules: rules,
		ReceiverTLS: configoptional.Some(configtls.ServerConfig{
			Config:       configtls.Config{CertFile: filepath.Join(w.own, "tls.crt"), KeyFile: filepath.Join(w.own, "tls.key")},
			ClientCAFile: filepath.Join(w.trust, "ca.crt"),
		}),
		ReceiverHTTP: configoptional.Some(ReceiverHTTPConfig{Endpoint: w.address, Receiver: w.plain}),
	}
	require.NoError(t, config.Validate())
	require.NoError(t, config.ReceiverHTTP.Get().Validate())
	w.e = start(t, config)
	w.e.now = func() time.Time {
		if w.later.Load() {
			return time.Now().Add(2 * time.Second)
		}
		return time.Now()
	}
	wrap, err := w.e.GetHTTPHandler(t.Context())
	require.NoError(t, err)
	handler, err := wrap(t.Context(), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.seen = append(w.seen, client.FromContext(r.Context()))
	}))
	require.NoError(t, err)
	w.receiver = &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() { defer close(done); _ = w.receiver.Serve(listener) }()
	t.Cleanup(func() {
		assert.NoError(t, w.e.NotReady())
		assert.NoError(t, w.receiver.Shutdown(context.Background()))
		<-done
	})
	return w
}

// as returns what a client shows that has these certificates.
func (w *web) as(protocol string, certificates ...tls.Certificate) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(w.root.Cert)
	return &tls.Config{RootCAs: pool, NextProtos: []string{protocol}, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if len(certificates) == 0 {
			return &tls.Certificate{}, nil
		}
		return &certificates[0], nil
	}}
}

// post sends one request on a connection of its own.
func (w *web) post(t *testing.T, scheme, address string, version2 bool, certificates ...tls.Certificate) (*http.Response, error) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: w.as("http/1.1", certificates...), ForceAttemptHTTP2: version2, DisableKeepAlives: !version2}
	if version2 {
		transport.TLSClientConfig.NextProtos = []string{"h2"}
	}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, scheme+"://"+address+"/v1/traces", http.NoBody)
	require.NoError(t, err)
	response, err := transport.RoundTrip(request)
	if err == nil {
		require.NoError(t, response.Body.Close())
	}
	return response, err
}

// TestReceiverHTTP: the receiver's own server serves the connections, and knows who is at the other end; of both versions of HTTP.
func TestReceiverHTTP(t *testing.T) {
	w := startWeb(t)
	require.NoError(t, w.e.Ready())
	west := w.root.Issue(t, agentLeaf).TLS
	for _, version2 := range []bool{false, true} {
		answer, err := w.post(t, "https", w.address, version2, west)
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, answer.StatusCode)
		assert.Equal(t, map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[version2], answer.Proto)
	}
	require.Len(t, w.served(), 2)
	for _, info := range w.served() {
		assert.Equal(t, []string{"west"}, info.Auth.(*identity.Identity).Clusters())
	}
	// What comes to the receiver itself proves nothing.
	answer, err := w.post(t, "http", w.plain, false)
	require.NoError(t, err)
	assert.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	assert.Equal(t, map[string]int64{"no_tls": 1}, counted(t, w.e, "refused_requests", "reason"))
	assert.Len(t, w.served(), 2)

	// The certificate of the server and the authority of the clients are new: the next connection has them.
	next := pkitest.New(t, "next")
	pkitest.WriteBundle(t, w.trust, next)
	w.later.Store(true)
	_, err = w.post(t, "https", w.address, true, west)
	require.Error(t, err)
	_, err = w.post(t, "https", w.address, true, next.Issue(t, agentLeaf).TLS)
	require.NoError(t, err)
	assert.Len(t, w.served(), 3)
}

// TestReceiverHTTPCounts: what TLS refuses is counted by its reason, by the same code as over gRPC.
func TestReceiverHTTPCounts(t *testing.T) {
	w := startWeb(t)
	require.NoError(t, w.e.Ready())
	past := agentLeaf
	past.NotBefore, past.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	serving := agentLeaf
	serving.Usages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, certificates := range [][]tls.Certificate{
		nil, {pkitest.New(t, "other").Issue(t, agentLeaf).TLS}, {pkitest.SelfSigned(t, agentLeaf).TLS}, {w.root.Issue(t, past).TLS}, {w.root.Issue(t, serving).TLS},
	} {
		_, err := w.post(t, "https", w.address, false, certificates...)
		require.Error(t, err)
	}
	answer, err := w.post(t, "http", w.address, false)
	require.NoError(t, err)
	assert.Equal(t, http.StatusBadRequest, answer.StatusCode, "it is told what to write")
	conn, err := net.Dial("tcp", w.address)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	want := map[string]int64{"no_certificate": 1, "unknown_authority": 2, "expired": 1, "bad_certificate": 1, "not_tls": 1, "aborted": 1}
	require.Eventually(t, func() bool { return assert.ObjectsAreEqual(want, counted(t, w.e, "refused_connections", "reason")) }, 10*time.Second, 10*time.Millisecond,
		"%v", counted(t, w.e, "refused_connections", "reason"))
	assert.Equal(t, map[string]int64{"receiver": 7}, counted(t, w.e, "refused_connections", "side"))
	assert.Empty(t, w.served())
}

// TestHandshakesAreBounded: of connections that do nothing only so many are kept, and a client beside them is served.
func TestHandshakesAreBounded(t *testing.T) {
	w := startWeb(t)
	require.NoError(t, w.e.Ready())
	for range mostHandshakes + 10 {
		conn, err := net.Dial("tcp", w.address)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
	}
	_, err := w.post(t, "https", w.address, true, w.root.Issue(t, agentLeaf).TLS)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return counted(t, w.e, "refused_connections", "reason")["crowded"] >= 11 }, 10*time.Second, 10*time.Millisecond)
	w.e.overTLS.mu.Lock()
	defer w.e.overTLS.mu.Unlock()
	assert.LessOrEqual(t, w.e.overTLS.pending.Len(), mostHandshakes)
}

// TestReceiverHTTPEnds: connections live on until the receiver ends, which waits for what is under way, and no more are taken.
func TestReceiverHTTPEnds(t *testing.T) {
	w := startWeb(t)
	require.NoError(t, w.e.Ready())
	conn, err := tls.Dial("tcp", w.address, w.as("http/1.1", w.root.Issue(t, agentLeaf).TLS))
	require.NoError(t, err)
	defer conn.Close()
	in := bufio.NewReader(conn)
	ask := func() error {
		if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: hub\r\nContent-Length: 0\r\n\r\n"); err != nil {
			return err
		}
		answer, err := http.ReadResponse(in, nil)
		if err == nil {
			err = answer.Body.Close()
		}
		return err
	}
	require.NoError(t, ask())
	require.NoError(t, w.e.NotReady())
	require.NoError(t, ask())
	_, err = net.Dial("tcp", w.address)
	require.Error(t, err)
	require.NoError(t, w.receiver.Shutdown(t.Context()))
	require.Error(t, ask())
}

// TestReceiverHTTPNeedsItsReceiver: an address where something else answers is an error at the start, and no open door.
func TestReceiverHTTPNeedsItsReceiver(t *testing.T) {
	w := startWeb(t)
	other := &http.Server{ReadHeaderTimeout: time.Minute}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() { defer close(done); _ = other.Serve(listener) }()
	defer func() { _ = other.Close(); <-done }()
	settings := w.e.config.ReceiverHTTP.Get()
	settings.Receiver = listener.Addr().String()
	require.ErrorContains(t, w.e.Ready(), "'receiver_http::receiver' is "+settings.Receiver)
	settings.Receiver = free(t)
	require.ErrorContains(t, w.e.Ready(), "'receiver_http::receiver' is "+settings.Receiver)
	settings.Receiver, settings.Endpoint = w.plain, w.plain
	require.ErrorContains(t, w.e.Ready(), "'receiver_http::endpoint'")
	for text, c := range map[string]ReceiverHTTPConfig{
		"'endpoint' is \"\"":                {Receiver: "127.0.0.1:1"},
		"'receiver' is \"0.0.0.0:14319\"":   {Endpoint: ":14318", Receiver: "0.0.0.0:14319"},
		"'receiver' is \"127.0.0.1:0\"":     {Endpoint: ":14318", Receiver: "127.0.0.1:0"},
		"'receiver' is \"hub.example:143\"": {Endpoint: ":14318", Receiver: "hub.example:143"},
	} {
		require.ErrorContains(t, c.Validate(), text)
	}
	for _, good := range []string{"127.3.0.1:14319", "[::1]:14319", "localhost:14319"} {
		require.NoError(t, (&ReceiverHTTPConfig{Endpoint: "0.0.0.0:14318", Receiver: good}).Validate())
	}
	require.ErrorIs(t, (&Config{Rules: rules, ReceiverHTTP: configoptional.Some(*settings)}).Validate(), errNoReceiverTLS)
}
