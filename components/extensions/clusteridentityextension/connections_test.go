// SPDX-License-Identifier: Apache-2.0

package clusteridentityextension

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
)

// mesh is a gRPC server and the files of both ends.
type mesh struct {
	root                         *pkitest.Authority
	hub, hubTrust, agent, trusts string
	// clock is how far the extensions' time is ahead: files are read again after a second.
	clock   atomic.Int64
	server  started
	grpc    *grpc.Server
	address string
}

func (m *mesh) later() { m.clock.Add(int64(2 * time.Second)) }

func startMesh(t *testing.T) *mesh {
	t.Helper()
	m := &mesh{root: pkitest.New(t, "root"), hub: t.TempDir(), hubTrust: t.TempDir(), agent: t.TempDir(), trusts: t.TempDir()}
	m.root.Issue(t, pkitest.Leaf{}).Write(t, m.hub)
	m.root.Issue(t, agentLeaf).Write(t, m.agent)
	pkitest.WriteBundle(t, m.hubTrust, m.root)
	pkitest.WriteBundle(t, m.trusts, m.root)
	config := &Config{Rules: rules, ReceiverTLS: configoptional.Some(configtls.ServerConfig{
		Config:       configtls.Config{CertFile: filepath.Join(m.hub, "tls.crt"), KeyFile: filepath.Join(m.hub, "tls.key")},
		ClientCAFile: filepath.Join(m.hubTrust, "ca.crt"),
	})}
	require.NoError(t, config.Validate())
	m.server = m.start(t, config)
	options, err := m.server.GetGRPCServerOptions(t.Context())
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer(options...)
	healthpb.RegisterHealthServer(server, health.NewServer())
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); <-done })
	m.grpc, m.address = server, listener.Addr().String()
	return m
}

var agentLeaf = pkitest.Leaf{URIs: []string{"spiffe://west.example/agent"}}

func (m *mesh) start(t *testing.T, config *Config) started {
	t.Helper()
	e := start(t, config)
	e.now = func() time.Time { return time.Now().Add(time.Duration(m.clock.Load())) }
	return e
}

// exporter returns the extension of an agent, and what makes one call on a connection of its own.
func (m *mesh) exporter(t *testing.T) (e started, call func() error) {
	t.Helper()
	config := &Config{ExporterTLS: configoptional.Some(configtls.ClientConfig{Config: configtls.Config{
		CAFile: filepath.Join(m.trusts, "ca.crt"), CertFile: filepath.Join(m.agent, "tls.crt"), KeyFile: filepath.Join(m.agent, "tls.key"),
	}})}
	require.NoError(t, config.Validate())
	e = m.start(t, config)
	options, err := e.GetGRPCClientOptions(t.Context())
	require.NoError(t, err)
	return e, func() error { return m.call(t, options...) }
}

func (m *mesh) call(t *testing.T, options ...grpc.DialOption) error {
	conn, err := grpc.NewClient(m.address, options...)
	require.NoError(t, err)
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err = healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
	return err
}

// counted returns the sum of a counter by the attribute.
func counted(t *testing.T, e started, name, attribute string) map[string]int64 {
	t.Helper()
	sums := map[string]int64{}
	m, err := e.telemetry.GetMetric("otelcol_extension_cluster_identity_" + name)
	if err != nil {
		return sums
	}
	for _, point := range m.Data.(metricdata.Sum[int64]).DataPoints {
		value, _ := point.Attributes.Value("reason")
		if attribute != "reason" {
			value, _ = point.Attributes.Value("side")
		}
		sums[value.AsString()] += point.Value
	}
	return sums
}

// TestRefusedConnections: what TLS refuses is counted by its reason and logged with the name in the certificate, once a
// minute for each address.
func TestRefusedConnections(t *testing.T) {
	m := startMesh(t)
	other := pkitest.New(t, "other")
	pool := x509.NewCertPool()
	pool.AddCert(m.root.Cert)
	// shake makes one TLS handshake and waits for what the server says to it.
	shake := func(certificates ...tls.Certificate) {
		conn, err := tls.Dial("tcp", m.address, &tls.Config{RootCAs: pool, NextProtos: []string{"h2"}, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(certificates) == 0 {
				return &tls.Certificate{}, nil
			}
			return &certificates[0], nil
		}})
		require.NoError(t, err)
		defer conn.Close()
		_, err = conn.Read(make([]byte, 1))
		require.Error(t, err)
	}
	plain := func(text string) {
		conn, err := net.Dial("tcp", m.address)
		require.NoError(t, err)
		defer conn.Close()
		if text != "" {
			_, err = conn.Write([]byte(text))
			require.NoError(t, err)
			_, _ = conn.Read(make([]byte, 1))
		}
	}
	past, coming := agentLeaf, agentLeaf
	past.NotBefore, past.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	coming.NotBefore = time.Now().Add(30 * time.Minute)
	serving := agentLeaf
	serving.Usages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	shake()
	shake(other.Issue(t, agentLeaf).TLS)
	shake(pkitest.SelfSigned(t, agentLeaf).TLS)
	shake(m.root.Issue(t, past).TLS)
	shake(m.root.Issue(t, coming).TLS)
	shake(m.root.Issue(t, serving).TLS)
	plain("GET / HTTP/1.1\r\nHost: hub\r\n\r\n")
	plain("")
	want := map[string]int64{"no_certificate": 1, "unknown_authority": 2, "expired": 2, "bad_certificate": 1, "not_tls": 1, "aborted": 1}
	assert.Eventually(t, func() bool {
		return assert.ObjectsAreEqual(want, counted(t, m.server, "refused_connections", "reason"))
	}, 10*time.Second, 10*time.Millisecond,
		"%v", counted(t, m.server, "refused_connections", "reason"))
	_, call := m.exporter(t)
	require.NoError(t, call())
	// What is counted is logged next, each by the goroutine of its connection.
	logged := func() *observer.ObservedLogs { return m.server.logs.FilterMessageSnippet("TLS refused a connection") }
	require.Eventually(t, func() bool { return logged().Len() >= 5 }, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, 5, logged().Len(), "each reason once, and not what only broke off")
	stranger := logged().FilterField(zap.String("reason", "unknown_authority")).All()
	require.Len(t, stranger, 1)
	assert.Equal(t, `"spiffe://west.example/agent"`, stranger[0].ContextMap()["certificate"])
	assert.Contains(t, stranger[0].ContextMap()["with"], "127.0.0.1:")
}

// TestNewFilesAtTheNextConnection: certificates and authorities of both ends are taken at the next connection, and bad
// files leave the last good ones in use.
func TestNewFilesAtTheNextConnection(t *testing.T) {
	m := startMesh(t)
	agent, call := m.exporter(t)
	require.NoError(t, call())

	// The authority of the hub changes: the agent trusts it without a restart.
	next := pkitest.New(t, "next")
	next.Issue(t, pkitest.Leaf{}).Write(t, m.hub)
	m.later()
	require.ErrorContains(t, call(), "unknown authority")
	assert.Positive(t, counted(t, agent, "refused_connections", "reason")["unknown_authority"])
	pkitest.WriteBundle(t, m.trusts, m.root, next)
	m.later()
	require.NoError(t, call())

	// That of the agents does.
	next.Issue(t, agentLeaf).Write(t, m.agent)
	m.later()
	require.Error(t, call())
	pkitest.WriteBundle(t, m.hubTrust, next)
	m.later()
	require.NoError(t, call())

	// Files that are of no use.
	require.NoError(t, os.WriteFile(filepath.Join(m.trusts, "..data", "ca.crt"), []byte("nothing"), 0o600))
	require.NoError(t, os.Remove(filepath.Join(m.hub, "..data", "tls.key")))
	m.later()
	require.NoError(t, call(), "the last good files stay in use")
	assert.Positive(t, counted(t, agent, "reload_errors", "side")["exporter"])
	assert.Positive(t, counted(t, m.server, "reload_errors", "side")["receiver"])
	assert.Equal(t, 1, agent.logs.FilterMessageSnippet("the last good ones stay in use").Len())
	// Whoever connects cannot silence that.
	assert.False(t, agent.refusals.Allow("files of the exporter", agent.now()))
	for n := range 2 * mostLogged {
		m.server.connections.Allow(strconv.Itoa(n), m.server.now())
	}
	m.clock.Add(int64(2 * repeatAfter))
	require.NoError(t, call())
	assert.Equal(t, 2, m.server.logs.FilterMessageSnippet("the last good ones stay in use").Len())
	next.Issue(t, pkitest.Leaf{}).Write(t, m.hub)
	pkitest.WriteBundle(t, m.trusts, next)
	m.later()
	require.NoError(t, call())
}

// TestDiskThatHangs: while one connection waits for the files, others go on with the last good ones.
func TestDiskThatHangs(t *testing.T) {
	e := start(t, &Config{Rules: rules})
	var hang chan struct{}
	entered := make(chan struct{})
	files, err := newReloading(e.clusterIdentity, exporterSide, 0, func() (*tls.Config, error) {
		if hang != nil {
			entered <- struct{}{}
			<-hang
		}
		return &tls.Config{}, nil
	})
	require.NoError(t, err)
	hang = make(chan struct{})
	good, next := files.good, make(chan *tls.Config)
	go func() { next <- files.current() }()
	<-entered
	assert.Same(t, good, files.current())
	close(hang)
	read := <-next
	assert.NotSame(t, good, read)
	go func() { next <- files.current() }()
	<-entered
	assert.NotSame(t, read, <-next, "files are read again")
}

// TestNoSessionIsTakenUp: who was trusted on an earlier connection is looked at again on the next one.
func TestNoSessionIsTakenUp(t *testing.T) {
	m := startMesh(t)
	pool := x509.NewCertPool()
	pool.AddCert(m.root.Cert)
	pair := m.root.Issue(t, agentLeaf)
	config := &tls.Config{RootCAs: pool, NextProtos: []string{"h2"}, Certificates: []tls.Certificate{pair.TLS}, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	for range 2 {
		conn, err := tls.Dial("tcp", m.address, config)
		require.NoError(t, err)
		// The server's settings come after a ticket would.
		_, err = conn.Read(make([]byte, 1))
		require.NoError(t, err)
		assert.False(t, conn.ConnectionState().DidResume)
		require.NoError(t, conn.Close())
	}
}

// TestExporterWithoutTLS: that is asked for by name and warned of; an extension without settings is not silently no TLS.
func TestExporterWithoutTLS(t *testing.T) {
	e := start(t, &Config{ExporterTLS: configoptional.Some(configtls.ClientConfig{Insecure: true})})
	for range 3 {
		_, err := e.GetGRPCClientOptions(t.Context())
		require.NoError(t, err)
	}
	assert.Equal(t, 1, e.logs.FilterMessageSnippet("on one machine only").Len(), "once, and not for each signal")
	e = start(t, &Config{ExporterTLS: configoptional.Some(configtls.ClientConfig{InsecureSkipVerify: true})})
	_, err := e.GetGRPCClientOptions(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, e.logs.FilterMessageSnippet("insecure_skip_verify").Len())
	e = start(t, &Config{Rules: rules})
	_, err = e.GetGRPCClientOptions(t.Context())
	require.ErrorContains(t, err, "it has no 'exporter_tls'")
	e = start(t, &Config{ExporterTLS: configoptional.Some(configtls.ClientConfig{Config: configtls.Config{CAFile: "/no/such/file"}})})
	_, err = e.GetGRPCClientOptions(t.Context())
	require.ErrorContains(t, err, "'exporter_tls'")
	options, err := start(t, &Config{Rules: rules}).GetGRPCServerOptions(t.Context())
	require.NoError(t, err)
	assert.Empty(t, options, "the receiver's own TLS")
}

// TestServerName: the configured name is whose certificate the exporter asks for.
func TestServerName(t *testing.T) {
	m := startMesh(t)
	config := configtls.ClientConfig{Config: configtls.Config{
		CAFile: filepath.Join(m.trusts, "ca.crt"), CertFile: filepath.Join(m.agent, "tls.crt"), KeyFile: filepath.Join(m.agent, "tls.key"),
	}, ServerName: "hub.example"}
	e := m.start(t, &Config{ExporterTLS: configoptional.Some(config)})
	options, err := e.GetGRPCClientOptions(t.Context())
	require.NoError(t, err)
	require.ErrorContains(t, m.call(t, options...), "hub.example")
	m.root.Issue(t, pkitest.Leaf{DNS: []string{"hub.example"}}).Write(t, m.hub)
	m.later()
	require.NoError(t, m.call(t, options...))
}
