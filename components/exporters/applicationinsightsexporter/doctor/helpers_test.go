// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

var update = flag.Bool("update", false, "write the expected files anew; read every difference before committing it")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testKey      = "11111111-2222-3333-4444-555555555555"
	testHost     = "westeurope-5.in.applicationinsights.azure.com"
	testString   = "InstrumentationKey=" + testKey + ";IngestionEndpoint=https://" + testHost + "/"
	testAddress  = "20.50.1.2"
	proxyHost    = "proxy.example"
	proxyAddress = "10.9.9.9"
)

// stage is a network of a test's own: names and addresses lead to servers on loopback.
type stage struct {
	t         *testing.T
	authority *ingestiontest.Authority
	server    *ingestiontest.Server
	world     *world
	env       map[string]string
	names     map[string]entry
	places    map[string]string // addresses, with ports, and where they lead to
	dialed    error             // instead of a connection
	args      []string
}

// entry is what DNS knows of a name.
type entry struct {
	canonical string
	addresses []string
	err       error
}

// newStage has a good endpoint with TLS under testHost.
func newStage(t *testing.T) *stage {
	t.Helper()
	authority, err := ingestiontest.NewAuthority()
	require.NoError(t, err)
	s := &stage{t: t, authority: authority, env: map[string]string{}, places: map[string]string{}}
	s.names = map[string]entry{
		testHost:  {canonical: testHost, addresses: []string{testAddress}},
		proxyHost: {canonical: proxyHost, addresses: []string{proxyAddress}},
	}
	s.serve(ingestiontest.Config{})
	path := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(path, authority.PEM(), 0o600))
	s.args = []string{"--ca-file", path}
	s.env["APPLICATION_INSIGHTS_CONNECTION_STRING"] = testString
	s.world = realWorld()
	s.world.getenv = func(name string) string { return s.env[name] }
	s.world.lookup = s.lookup
	s.world.dial = s.dial
	s.world.proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
	s.world.issuers = []string{"ingestiontest"}
	s.world.id = func() string { return "0123456789abcdef" }
	return s
}

// serve puts another endpoint under testHost.
func (s *stage) serve(config ingestiontest.Config) {
	s.t.Helper()
	certificate := s.certificate(time.Now().Add(-time.Hour), time.Now().Add(30*24*time.Hour), testHost)
	config.TLS = &certificate
	s.server = ingestiontest.Start(s.t, config)
	s.places[testAddress+":443"] = s.server.Addr()
}

func (s *stage) certificate(from, until time.Time, hosts ...string) tls.Certificate {
	s.t.Helper()
	certificate, err := s.authority.Issue(from, until, hosts...)
	require.NoError(s.t, err)
	return certificate
}

func (s *stage) fault(f ingestiontest.Fault) {
	s.t.Helper()
	require.NoError(s.t, s.server.Fault(f))
}

func (s *stage) lookup(_ context.Context, host string) (string, []netip.Addr, error) {
	known, ok := s.names[host]
	if !ok {
		return "", nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	var addresses []netip.Addr
	for _, a := range known.addresses {
		addresses = append(addresses, netip.MustParseAddr(a))
	}
	return known.canonical, addresses, known.err
}

func (s *stage) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if s.dialed != nil {
		return nil, s.dialed
	}
	if host, port, err := net.SplitHostPort(address); err == nil && len(s.names[host].addresses) > 0 {
		address = net.JoinHostPort(s.names[host].addresses[0], port)
	}
	if place, ok := s.places[address]; ok {
		address = place
	}
	host, _, _ := net.SplitHostPort(address)
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
		return nil, errors.New("no such place on this stage: " + address)
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

// run runs the command and takes out what is different each time.
func (s *stage) run(args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	var out, errs bytes.Buffer
	code = run(s.t.Context(), append(args, s.args...), &out, &errs, s.world)
	for _, secret := range []string{testKey, "s3cr3t", "eyJ"} {
		assert.NotContains(s.t, out.String()+errs.String(), secret)
	}
	return code, plain(out.String()), plain(errs.String())
}

var (
	millis    = regexp.MustCompile(` \(\d+ ms\)|\n *"milliseconds": \d+|,(?:\n *"milliseconds": \d+)`)
	dates     = regexp.MustCompile(`\b20\d\d-\d\d-\d\d(?:T[0-9:.]+Z| \d\d:\d\d UTC)?`)
	ports     = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	ages      = regexp.MustCompile(`now - 18000\d{4}ms`)
	agreement = regexp.MustCompile(`within [1-5]s\)`)
)

func plain(text string) string {
	text = millis.ReplaceAllString(text, "")
	text = dates.ReplaceAllString(text, "DATE")
	text = ages.ReplaceAllString(text, "now - 180000000ms")
	text = ports.ReplaceAllString(text, "127.0.0.1:PORT")
	return agreement.ReplaceAllString(text, "within 1s)")
}

// golden compares with a file of testdata.
func golden(t *testing.T, path, got string) {
	t.Helper()
	path = filepath.Join("testdata", path)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

// proxy is a proxy that understands CONNECT alone.
func (s *stage) proxy(status int) *sync.Map {
	s.t.Helper()
	var seen sync.Map
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(s.t, err)
	s.places[proxyAddress+":3128"] = listener.Addr().String()
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.Method+" "+r.Host, r.Header.Get("Proxy-Authorization"))
		if status != http.StatusOK {
			w.WriteHeader(status)
			return
		}
		there, err := net.Dial("tcp", s.server.Addr())
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer there.Close()
		here, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer here.Close()
		_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		var both sync.WaitGroup
		both.Go(func() {
			_, _ = io.Copy(there, here)
			there.Close()
		})
		_, _ = io.Copy(here, there)
		here.Close()
		both.Wait()
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	s.t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return &seen
}

// raw puts something else than an ingestion endpoint under testHost.
func (s *stage) raw(serve func(net.Conn)) {
	s.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(s.t, err)
	s.places[testAddress+":443"] = listener.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serve(conn)
			conn.Close()
		}
	}()
	s.t.Cleanup(func() {
		listener.Close()
		<-done
	})
}
