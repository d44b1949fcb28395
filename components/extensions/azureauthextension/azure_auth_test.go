// SPDX-License-Identifier: Apache-2.0

package azureauthextension

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/extension/extensionauth"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/zap/zapcore"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/azureauthextension/credential"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/azureauthextension/internal/metadatatest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/entratest"
)

// There is no server side, so no configuration can put the extension under a receiver: a token for Azure Monitor proves
// nothing to this collector.
func TestItIsNoServer(t *testing.T) {
	f := newFixture(t, nil)
	var extension any = f.azureAuth
	_, server := extension.(extensionauth.Server)
	assert.False(t, server)
	_, client := extension.(extensionauth.HTTPClient)
	assert.True(t, client)
	_, client = extension.(extensionauth.GRPCClient)
	assert.True(t, client)
	scoped, ok := extension.(interface{ Scope() string })
	require.True(t, ok, "application_insights compares it with the audience of its connection string")
	assert.Equal(t, "https://monitor.azure.com/.default", scoped.Scope())
}

func TestNoToken(t *testing.T) {
	f := newFixture(t, nil)
	f.entra.Script(func(r entratest.Request) entratest.Answer {
		return entratest.Denied(401, 7000222, "The secret "+secret+" is expired.")
	})
	f.start(t)
	assert.Equal(t, componentstatus.StatusRecoverableError, f.event(t))
	sent := &body{Reader: strings.NewReader("items")}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.endpoint.URL, sent)
	require.NoError(t, err)
	rt, err := f.RoundTripper(http.DefaultTransport)
	require.NoError(t, err)
	_, err = rt.RoundTrip(req)
	var failure *credential.Failure
	require.ErrorAs(t, err, &failure)
	var none *NoTokenError
	require.ErrorAs(t, err, &none)
	assert.True(t, none.NotSent())
	assert.Equal(t, credential.ReasonInvalidSecret, failure.Reason)
	assert.ErrorContains(t, err, "request not sent: no Entra ID token by 'client_secret': AADSTS7000222")
	assert.True(t, sent.closed, "a round tripper closes the body, also of what it does not send")
	assert.Empty(t, f.tokens())
	metadatatest.AssertEqualExtensionAzureAuthRequestsRefused(t, f.telemetry, []metricdata.DataPoint[int64]{sum(1, "refusal", "no_token")}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualExtensionAzureAuthTokenFailures(t, f.telemetry, []metricdata.DataPoint[int64]{sum(1, "reason", "invalid_secret")}, metricdatatest.IgnoreTimestamp())
	assert.Equal(t, 1, f.logs.FilterLevelExact(zapcore.ErrorLevel).Len())

	// Once the secret is good, requests go through, without a restart.
	f.entra.Script(nil)
	assert.Equal(t, componentstatus.StatusOK, f.event(t))
	code, err := post(t, f.client(t), f.endpoint.URL)
	require.NoError(t, err)
	assert.Equal(t, 200, code)
	assert.Equal(t, 1, f.logs.FilterMessage("a token came").FilterLevelExact(zapcore.InfoLevel).Len())
}

// An endpoint for tokens that hangs holds nobody up for longer than they want, nor the shutdown.
func TestAHangingTokenEndpoint(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Timeout = time.Minute })
	f.entra.Script(func(entratest.Request) entratest.Answer { return entratest.Answer{Hang: true} })
	f.start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.endpoint.URL, nil)
	require.NoError(t, err)
	_, err = f.client(t).Do(req)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	begin := time.Now()
	require.NoError(t, f.Shutdown(t.Context()))
	assert.Less(t, time.Since(begin), 10*time.Second)
}

func TestAFileThatCannotBeUsed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	f := newFixture(t, func(c *Config) {
		c.ClientSecret = configoptional.Some(ClientSecretConfig{TenantID: entratest.TenantID, ClientID: entratest.AppID, ClientSecretFile: path})
	})
	f.FileReloaded(path)
	f.FileKept(path, errors.New("torn"))
	f.FileKept(path, errors.New("torn"))
	metadatatest.AssertEqualExtensionAzureAuthFileReloads(t, f.telemetry,
		[]metricdata.DataPoint[int64]{sum(1, "outcome", "success"), sum(2, "outcome", "failure")}, metricdatatest.IgnoreTimestamp())
	assert.Equal(t, 1, f.logs.FilterLevelExact(zapcore.WarnLevel).Len())
}

func TestTheEnvironmentDoesNotMoveEntraID(t *testing.T) {
	thief := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked the wrong one") }))
	defer thief.Close()
	t.Setenv("AZURE_AUTHORITY_HOST", thief.URL)
	f := newFixture(t, nil)
	f.start(t)
	code, err := post(t, f.client(t), f.endpoint.URL)
	require.NoError(t, err)
	assert.Equal(t, 200, code)
	assert.Equal(t, 1, f.logs.FilterMessageSnippet("AZURE_AUTHORITY_HOST").Len())
	u, err := url.Parse(f.entra.URL())
	require.NoError(t, err)
	assert.Equal(t, u.Host, f.config.authority())
	assert.True(t, (&Config{}).asksAt("https://login.microsoftonline.com/"))
	assert.False(t, (&Config{}).asksAt(":"))
}
