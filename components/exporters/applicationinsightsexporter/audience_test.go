// SPDX-License-Identifier: Apache-2.0

package applicationinsightsexporter

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
)

// tokens is an authenticator that tells what its tokens are for.
type tokens struct {
	component.StartFunc
	component.ShutdownFunc
}

func (tokens) Scope() string { return "https://monitor.azure.com/.default" }

func (tokens) RoundTripper(base http.RoundTripper) (http.RoundTripper, error) { return base, nil }

// An audience that the tokens are not for is said at the start and when it changes: the endpoint's 401 alone would look like
// a wrong tenant, and a role that is missing.
func TestTokensForAnotherAudience(t *testing.T) {
	endpoint := ingestiontest.Start(t, ingestiontest.Config{})
	file := filepath.Join(t.TempDir(), "connection")
	write := func(rest string) {
		require.NoError(t, os.WriteFile(file, []byte(endpoint.ConnectionString()+rest), 0o600))
	}
	write(";AADAudience=https://monitor.azure.us")
	cfg := config(t, quick, keys{
		"connection_string": "", "connection_string_file": file, "connection_string_interval": "50ms",
		"auth": keys{"authenticator": "azure_auth"},
	})
	core, logs := observer.New(zapcore.InfoLevel)
	set := exportertest.NewNopSettings(NewFactory().Type())
	set.Logger = zap.New(core)
	traces, err := NewFactory().CreateTraces(t.Context(), set, cfg)
	require.NoError(t, err)
	host := newHost()
	host.extensions[component.MustNewID("azure_auth")] = tokens{}
	require.NoError(t, traces.Start(t.Context(), host))
	defer func() { require.NoError(t, traces.Shutdown(t.Context())) }()
	warned := func() int { return logs.FilterMessageSnippet("About the tokens: ").Len() }
	require.Equal(t, 1, warned())
	entry := logs.FilterMessageSnippet("About the tokens: ").All()[0]
	assert.Contains(t, entry.Message, "'scopes: [https://monitor.azure.us/.default]'")
	assert.Equal(t, destinationDefault, entry.ContextMap()["destination"])

	read := func() int { return logs.FilterMessageSnippet("was read again").Len() }
	for n, rest := range []string{";AADAudience=https://monitor.azure.com/", ""} {
		write(rest)
		require.Eventually(t, func() bool { return read() == n+1 }, patience, 5e6)
	}
	assert.Equal(t, 1, warned(), "all is well now")
	write(";AADAudience=https://monitor.azure.us")
	require.Eventually(t, func() bool { return warned() == 2 }, patience, 5e6)
}
