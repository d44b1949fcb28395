// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newTLS starts a server whose certificate is for 127.0.0.1 alone, and which nobody but its own client trusts.
func newTLS(t *testing.T) *httptest.Server {
	t.Helper()
	return startTLS(t, time.Now().Add(time.Hour))
}

func startTLS(t *testing.T, expires time.Time) *httptest.Server {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: expires.Add(-2 * time.Hour), NotAfter: expires,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lines, err := readLines(r.Body)
		assert.NoError(t, err)
		answerReport(w, 200, len(lines), len(lines))
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.EnableHTTP2 = true
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs = pool
	return s
}

func TestCertificateExpired(t *testing.T) {
	s := startTLS(t, time.Now().Add(-time.Minute))
	got := newRig(t, s.URL, func(settings *Settings) { settings.Client = s.Client() }).send(batch(2))
	assert.Equal(t, "accepted 0, sampled out 0, left [0 1], uncertain 0", short(got))
	assert.ErrorContains(t, got.Err, "it expired, or the clock of this machine is wrong")
}

func TestHTTP2(t *testing.T) {
	s := newTLS(t)
	r := newRig(t, s.URL, func(settings *Settings) { settings.Client = s.Client() })
	for range 3 {
		assert.Equal(t, 100, r.send(batch(100)).Accepted)
	}
}
