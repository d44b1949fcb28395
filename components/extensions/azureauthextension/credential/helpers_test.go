// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/otelcol-mesh/otelcol-mesh/internal/entratest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testSecret = "s3cr3t-that-nobody-may-see"

// asking returns settings for the stand-in. Each test has a scope of its own: the library remembers the tokens of
// managed identities for the whole process.
func asking(t *testing.T, server *entratest.Server, method Method) Settings {
	t.Helper()
	s := Settings{
		Method: method, TenantID: entratest.TenantID, ClientID: entratest.AppID, AuthorityHost: server.URL(),
		Scope: "https://" + strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name())) + ".example/.default", Transport: server.Transport(t), retryDelay: time.Millisecond,
	}
	switch method {
	case MethodClientSecret:
		s.Secret = testSecret
	case MethodWorkloadIdentity:
		s.TokenFile = filepath.Join(t.TempDir(), "token")
		put(t, s.TokenFile, entratest.Federated(time.Now().Add(time.Hour)))
	case MethodClientCertificate:
		s.CertificateFile = filepath.Join(t.TempDir(), "certificate.pem")
		put(t, s.CertificateFile, certificate(t, "one", time.Now().Add(time.Hour)))
	}
	return s
}

func put(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func fetcher(t *testing.T, s Settings) *Fetcher {
	t.Helper()
	f, err := New(s)
	require.NoError(t, err)
	t.Cleanup(f.Close)
	return f
}

// failure fetches and expects none.
func failure(t *testing.T, f *Fetcher) *Failure {
	t.Helper()
	token, err := f.Fetch(t.Context())
	require.Error(t, err)
	assert.Empty(t, token)
	var failed *Failure
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, f.settings.Method, failed.Method)
	assert.NotContains(t, err.Error(), testSecret[:6])
	assert.NotContains(t, err.Error(), "eyJ", "no token and no assertion is shown")
	assert.NotContains(t, err.Error(), "\n")
	assert.True(t, failed.NotSent())
	return failed
}

func encoded(t *testing.T, value any) string {
	t.Helper()
	data, err := json.Marshal(value)
	require.NoError(t, err)
	return string(data)
}
