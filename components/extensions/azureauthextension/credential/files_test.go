// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/entratest"
)

// keys are made once: they take time.
var keys = sync.OnceValue(func() []*rsa.PrivateKey {
	made := make([]*rsa.PrivateKey, 2)
	for i := range made {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		made[i] = key
	}
	return made
})

func certificateOf(t *testing.T, name string, key *rsa.PrivateKey, until time.Time) string {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: until.Add(-48 * time.Hour), NotAfter: until,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func keyOf(t *testing.T, key *rsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func certificate(t *testing.T, name string, until time.Time) string {
	t.Helper()
	return certificateOf(t, name, keys()[0], until) + keyOf(t, keys()[0])
}

// files keeps what a file observer was told.
type files struct {
	mu             sync.Mutex
	reloaded, kept int
	why            string
}

func (f *files) FileReloaded(string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reloaded++
}

func (f *files) FileKept(_ string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept, f.why = f.kept+1, err.Error()
}

// thumbprint is the certificate that the last request was signed with.
func thumbprint(t *testing.T, server *entratest.Server) string {
	t.Helper()
	sent := server.Requests("token")
	header, err := base64.RawURLEncoding.DecodeString(strings.Split(sent[len(sent)-1].Values.Get("client_assertion"), ".")[0])
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(header, &fields))
	for name, value := range fields {
		if strings.HasPrefix(name, "x5t") {
			return value.(string)
		}
	}
	t.Fatalf("no thumbprint in %s", header)
	return ""
}

func TestCertificateRotation(t *testing.T) {
	server := entratest.New(t)
	s := asking(t, server, MethodClientCertificate)
	observer := &files{}
	s.Observer = observer
	f := fetcher(t, s)
	used := func() string {
		t.Helper()
		_, err := f.Fetch(t.Context())
		require.NoError(t, err)
		return thumbprint(t, server)
	}
	first := used()
	assert.Equal(t, first, used())
	assert.Zero(t, observer.reloaded)

	put(t, s.CertificateFile, certificate(t, "two", time.Now().Add(2*time.Hour)))
	second := used()
	assert.NotEqual(t, first, second)
	assert.Equal(t, 1, observer.reloaded)

	// A rotation that went wrong in each way leaves the last good one in use.
	for want, bad := range map[string]string{
		"no certificate with its private key": "",
		"private key of another certificate":  certificateOf(t, "three", keys()[0], time.Now().Add(time.Hour)) + keyOf(t, keys()[1]),
		"expired at":                          certificate(t, "old", time.Now().Add(-time.Hour)),
		"larger than":                         strings.Repeat("x", maxFile+1),
	} {
		put(t, s.CertificateFile, bad)
		assert.Equal(t, second, used(), want)
		assert.Contains(t, observer.why, want)
		assert.NotContains(t, observer.why, "PRIVATE KEY")
	}
	require.NoError(t, os.Remove(s.CertificateFile))
	assert.Equal(t, second, used())
	assert.Equal(t, 5, observer.kept)
	assert.Equal(t, 1, observer.reloaded)
}

func TestCertificateRefused(t *testing.T) {
	server := entratest.New(t)
	s := asking(t, server, MethodClientCertificate)
	elliptical, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(elliptical)
	require.NoError(t, err)
	for want, bad := range map[string]string{
		"no certificate with its private key": certificateOf(t, "x", keys()[0], time.Now().Add(time.Hour)),
		"private key of another certificate": certificateOf(t, "x", keys()[0], time.Now().Add(time.Hour)) +
			string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"replace it":     certificate(t, "x", time.Now().Add(-time.Second)),
		"cannot be used": ellipticalCertificate(t),
	} {
		put(t, s.CertificateFile, bad)
		failed := failure(t, fetcher(t, s))
		assert.Equal(t, ReasonCertificate, failed.Reason)
		assert.Contains(t, failed.Message, want)
	}
	s.CertificateFile = filepath.Join(t.TempDir(), "none")
	failed := failure(t, fetcher(t, s))
	assert.Contains(t, failed.Message, s.CertificateFile)
	assert.Empty(t, server.Requests("token"))
}

// ellipticalCertificate has a kind of key that Entra ID does not take.
func ellipticalCertificate(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	public, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: public})) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

func TestSecretFile(t *testing.T) {
	server := entratest.New(t)
	s := asking(t, server, MethodClientSecret)
	observer := &files{}
	s.Secret, s.SecretFile, s.Observer = "", filepath.Join(t.TempDir(), "secret"), observer
	f := fetcher(t, s)
	assert.Equal(t, ReasonFile, failure(t, f).Reason)
	put(t, s.SecretFile, " \n")
	assert.Contains(t, failure(t, f).Message, "is empty")
	used := func() string {
		t.Helper()
		_, err := f.Fetch(t.Context())
		require.NoError(t, err)
		sent := server.Requests("token")
		return sent[len(sent)-1].Values.Get("client_secret")
	}
	put(t, s.SecretFile, testSecret+"\n")
	assert.Equal(t, testSecret, used())
	put(t, s.SecretFile, "another")
	assert.Equal(t, "another", used())
	put(t, s.SecretFile, "")
	assert.Equal(t, "another", used(), "an empty file keeps the last secret")
	assert.Equal(t, 1, observer.reloaded)
	assert.Equal(t, 1, observer.kept)
}

func TestFederatedTokenFile(t *testing.T) {
	server := entratest.New(t)
	s := asking(t, server, MethodWorkloadIdentity)
	f := fetcher(t, s)
	_, err := f.Fetch(t.Context())
	require.NoError(t, err)
	// The kubelet writes a new one: it counts at once, and not after the ten minutes that azidentity would remember the
	// old one.
	renewed := entratest.Federated(time.Now().Add(2 * time.Hour))
	put(t, s.TokenFile, renewed)
	_, err = f.Fetch(t.Context())
	require.NoError(t, err)
	assert.Equal(t, renewed, server.Requests("token")[1].Values.Get("client_assertion"))

	put(t, s.TokenFile, entratest.Federated(time.Now().Add(-time.Minute)))
	failed := failure(t, f)
	assert.Equal(t, ReasonAssertionExpired, failed.Reason)
	assert.Contains(t, failed.Message, s.TokenFile)
	assert.Contains(t, failed.Message, "system:serviceaccount:mesh:hub")
	for _, bad := range []string{"", "x", "a.b.c", "....", "eyJ.!!.x"} {
		put(t, s.TokenFile, bad)
		failed = failure(t, f)
		assert.Equal(t, ReasonFile, failed.Reason, bad)
		assert.Contains(t, failed.Message, "no JSON web token")
	}
	require.NoError(t, os.Remove(s.TokenFile))
	failed = failure(t, f)
	assert.Equal(t, ReasonFile, failed.Reason)
	assert.Contains(t, failed.Message, "azure.workload.identity/use")
	assert.Len(t, server.Requests("token"), 2, "none of this was worth a request")
}

func TestWorkloadIdentityOfTheEnvironment(t *testing.T) {
	server := entratest.New(t)
	s := asking(t, server, MethodWorkloadIdentity)
	file := s.TokenFile
	s.TenantID, s.ClientID, s.TokenFile = "", "", ""
	for _, name := range []string{envClientID, envTenantID, envTokenFile} {
		t.Setenv(name, "")
	}
	f := fetcher(t, s)
	failed := failure(t, f)
	assert.Equal(t, ReasonMissingSetting, failed.Reason)
	for _, words := range []string{"'workload_identity::client_id' (or the variable AZURE_CLIENT_ID)", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE", "azure.workload.identity/use"} {
		assert.Contains(t, failed.Message, words)
	}
	t.Setenv(envClientID, entratest.AppID)
	t.Setenv(envTokenFile, file)
	failed = failure(t, f)
	assert.NotContains(t, failed.Message, envClientID)
	assert.Contains(t, failed.Message, envTenantID)
	t.Setenv(envTenantID, entratest.TenantID)
	_, err := f.Fetch(t.Context())
	require.NoError(t, err)
	assert.Equal(t, entratest.TenantID, server.Requests("token")[0].Tenant)
}

func TestClean(t *testing.T) {
	assert.Equal(t, "a b c", clean(" a\r\n\x00b\t\u202ec", 100))
	assert.Equal(t, "ä…", clean("ää", 3))
	assert.Equal(t, "", clean("", 0))
}

// FuzzReadClaims holds the reader of tokens to not breaking, whatever comes.
func FuzzReadClaims(f *testing.F) {
	f.Add(entratest.Federated(time.Unix(1_800_000_000, 0)))
	f.Add(entratest.JWT(map[string]any{"exp": 1e300, "aud": "x", "oid": "\n"}))
	f.Add("a.b.c")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		c, ok := readClaims(token)
		if !ok {
			require.Zero(t, c.expires())
			return
		}
		if end := c.expires(); !end.IsZero() {
			require.LessOrEqual(t, end.UTC().Year(), 9999)
		}
		for _, text := range []string{c.audience(), identityOf(token).String()} {
			require.NotContains(t, text, "\n")
			require.Less(t, len(text), 400)
		}
	})
}
