// SPDX-License-Identifier: Apache-2.0

package azureauthextension

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/extension/extensionauth"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/azureauthextension/credential"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/azureauthextension/internal/metadatatest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/entratest"
)

const secret = "s3cr3t-that-nobody-may-see"

// fixture is an extension that asks a stand-in for tokens, and an endpoint that wants them.
type fixture struct {
	*azureAuth
	entra     *entratest.Server
	telemetry *componenttest.Telemetry
	logs      *observer.ObservedLogs
	host      *statusHost
	endpoint  *httptest.Server

	mu       sync.Mutex
	received []string
	answer   func(http.ResponseWriter, *http.Request)
}

type statusHost struct {
	component.Host
	events chan *componentstatus.Event
}

func (h *statusHost) Report(event *componentstatus.Event) { h.events <- event }

func newFixture(t *testing.T, change func(*Config)) *fixture {
	t.Helper()
	f := &fixture{entra: entratest.New(t), telemetry: componenttest.NewTelemetry(), host: &statusHost{events: make(chan *componentstatus.Event, 64)}}
	f.endpoint = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		f.mu.Lock()
		f.received = append(f.received, r.Header.Get("Authorization"))
		answer := f.answer
		f.mu.Unlock()
		if answer != nil {
			answer(w, r)
		}
	}))
	t.Cleanup(f.endpoint.Close)
	config := createDefaultConfig().(*Config)
	config.ClientSecret = configoptional.Some(ClientSecretConfig{TenantID: entratest.TenantID, ClientID: entratest.AppID, ClientSecret: configopaque.String(secret)})
	config.AuthorityHost = f.entra.URL()
	config.AdditionalDomains = []string{"127.0.0.1"}
	config.Timeout = 2 * time.Second
	if change != nil {
		change(config)
	}
	require.NoError(t, config.Validate())
	set := metadatatest.NewSettings(f.telemetry)
	core, logs := observer.New(zapcore.DebugLevel)
	f.logs, set.Logger = logs, zap.New(core)
	settings := config.Credential()
	settings.Transport = f.entra.Transport(t)
	auth, err := newWith(set, config, settings)
	require.NoError(t, err)
	f.azureAuth = auth
	t.Cleanup(func() {
		require.NoError(t, auth.Shutdown(context.WithoutCancel(t.Context())))
		require.NoError(t, f.telemetry.Shutdown(context.WithoutCancel(t.Context())))
		f.assertSilent(t)
	})
	return f
}

// assertSilent holds the log to having neither a secret nor a token in it.
func (f *fixture) assertSilent(t *testing.T) {
	t.Helper()
	encoder := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	for _, entry := range f.logs.All() {
		line, err := encoder.EncodeEntry(entry.Entry, entry.Context)
		require.NoError(t, err)
		assert.NotContains(t, line.String(), secret)
		assert.NotContains(t, line.String(), "eyJ")
	}
}

func (f *fixture) start(t *testing.T) {
	t.Helper()
	require.NoError(t, f.Start(t.Context(), f.host))
}

// client is an HTTP client as an exporter has it.
func (f *fixture) client(t *testing.T) *http.Client {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	rt, err := f.RoundTripper(transport)
	require.NoError(t, err)
	return &http.Client{Transport: rt}
}

func (f *fixture) tokens() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.received...)
}

func (f *fixture) answers(answer func(http.ResponseWriter, *http.Request)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

// body tells whether it was closed.
type body struct {
	io.Reader
	closed bool
}

func (b *body) Close() error {
	b.closed = true
	return nil
}

func post(t *testing.T, client *http.Client, to string) (int, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to, strings.NewReader("items"))
	require.NoError(t, err)
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

func sum(value int64, pairs ...string) metricdata.DataPoint[int64] {
	set := []attribute.KeyValue{attribute.String("authenticator", "azure_auth")}
	for i := 0; i < len(pairs); i += 2 {
		set = append(set, attribute.String(pairs[i], pairs[i+1]))
	}
	return metricdata.DataPoint[int64]{Value: value, Attributes: attribute.NewSet(set...)}
}

// event is the next status.
func (f *fixture) event(t *testing.T) componentstatus.Status {
	t.Helper()
	select {
	case e := <-f.host.events:
		return e.Status()
	case <-time.After(10 * time.Second):
		t.Fatal("no status")
		return componentstatus.StatusNone
	}
}

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
}

func TestRequests(t *testing.T) {
	f := newFixture(t, nil)
	f.start(t)
	client := f.client(t)
	for range 3 {
		code, err := post(t, client, f.endpoint.URL)
		require.NoError(t, err)
		assert.Equal(t, 200, code)
	}
	issued := f.entra.Issued()
	require.Len(t, issued, 1)
	want := "Bearer " + issued[0]
	assert.Equal(t, []string{want, want, want}, f.tokens())
	assert.Equal(t, "https://monitor.azure.com/.default", strings.Fields(f.entra.Requests("token")[0].Values.Get("scope"))[0])
	assert.Equal(t, componentstatus.StatusOK, f.event(t))

	metadatatest.AssertEqualExtensionAzureAuthTokenRequests(t, f.telemetry, []metricdata.DataPoint[int64]{sum(1, "outcome", "success")}, metricdatatest.IgnoreTimestamp())
	got, err := f.telemetry.GetMetric("otelcol_extension_azure_auth_token_expiry")
	require.NoError(t, err)
	points := got.Data.(metricdata.Gauge[float64]).DataPoints
	require.Len(t, points, 1)
	assert.InDelta(t, 3600, points[0].Value, 60)
	_, err = f.telemetry.GetMetric("otelcol_extension_azure_auth_token_request_duration")
	require.NoError(t, err)
}

func TestTheCallersRequestStaysAsItIs(t *testing.T) {
	f := newFixture(t, nil)
	f.start(t)
	rt, err := f.RoundTripper(http.DefaultTransport)
	require.NoError(t, err)
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.endpoint.URL, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Basic x")
	resp, err := rt.RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, "Basic x", req.Header.Get("Authorization"))
	assert.Equal(t, []string{"Bearer " + f.entra.Issued()[0]}, f.tokens())
	_, err = f.RoundTripper(nil)
	require.Error(t, err)
}

// A redirect to another host gets no token, nor does anybody that a wrong endpoint names.
func TestElsewhere(t *testing.T) {
	f := newFixture(t, nil)
	f.start(t)
	client := f.client(t)
	var got []string
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = append(got, r.Header.Get("Authorization")) }))
	defer thief.Close()
	elsewhere := strings.Replace(thief.URL, "127.0.0.1", "localhost", 1)
	f.answers(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere, http.StatusTemporaryRedirect)
	})
	_, err := post(t, client, f.endpoint.URL)
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, "localhost", refused.Host)
	assert.ErrorContains(t, err, "add the host to 'additional_domains'")
	_, err = post(t, client, elsewhere)
	require.ErrorAs(t, err, &refused)
	assert.Empty(t, got)

	f.config.AdditionalDomains = []string{"ingest.example.com"}
	_, err = post(t, client, "http://ingest.example.com/")
	require.ErrorAs(t, err, &refused)
	assert.ErrorContains(t, err, "write https")
	var notSent interface{ NotSent() bool }
	require.ErrorAs(t, err, &notSent)
	assert.True(t, notSent.NotSent())
	metadatatest.AssertEqualExtensionAzureAuthRequestsRefused(t, f.telemetry,
		[]metricdata.DataPoint[int64]{sum(2, "refusal", "domain"), sum(1, "refusal", "scheme")}, metricdatatest.IgnoreTimestamp())
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

func TestRejected(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		retry  bool
		words  []string
	}{
		"no role":              {http.StatusForbidden, false, []string{"Monitoring Metrics Publisher", entratest.ObjectID, entratest.AppID, "127.0.0.1"}},
		"no role, retried":     {http.StatusForbidden, true, []string{"Monitoring Metrics Publisher", entratest.ObjectID}},
		"wrong token":          {http.StatusUnauthorized, false, []string{"does not take the token", "'tenant_id'"}},
		"wrong token, retried": {http.StatusUnauthorized, true, []string{"does not take the token"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, func(c *Config) { c.RetryRejected = tc.retry })
			f.start(t)
			f.answers(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, "why not")
			})
			for range 2 {
				code, err := post(t, f.client(t), f.endpoint.URL)
				if !tc.retry {
					require.NoError(t, err)
					assert.Equal(t, tc.status, code)
					continue
				}
				var rejected *RejectedError
				require.ErrorAs(t, err, &rejected)
				assert.Equal(t, tc.status, rejected.Status)
				assert.Equal(t, entratest.ObjectID, rejected.Identity.ObjectID)
				for _, words := range tc.words {
					assert.ErrorContains(t, err, words)
				}
			}
			entries := f.logs.FilterMessage("the token was not taken").All()
			require.Len(t, entries, 1, "said once, not for each request")
			for _, words := range tc.words {
				assert.Contains(t, entries[0].ContextMap()["hint"], words)
			}
			metadatatest.AssertEqualExtensionAzureAuthTokensRejected(t, f.telemetry,
				[]metricdata.DataPoint[int64]{sum(2, "status", map[int]string{401: "401", 403: "403"}[tc.status])}, metricdatatest.IgnoreTimestamp())
		})
	}
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A token that an endpoint does not take is replaced, though it has not ended by this machine's clock.
func TestARejectedTokenIsReplaced(t *testing.T) {
	f := newFixture(t, nil)
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		f.keeper = credential.NewKeeper(func(context.Context) (credential.Token, error) {
			asked++
			return credential.Token{Value: strconv.Itoa(asked), Expires: time.Now().Add(time.Hour)}, nil
		}, nil)
		f.keeper.Start()
		defer f.keeper.Shutdown()
		rt, err := f.RoundTripper(tripper(func(r *http.Request) (*http.Response, error) {
			code := http.StatusUnauthorized
			if r.Header.Get("Authorization") == "Bearer 2" {
				code = http.StatusOK
			}
			return &http.Response{StatusCode: code, Body: http.NoBody}, nil
		}))
		require.NoError(t, err)
		code, err := post(t, &http.Client{Transport: rt}, "http://127.0.0.1/")
		require.NoError(t, err)
		assert.Equal(t, http.StatusUnauthorized, code)
		time.Sleep(2 * time.Minute)
		_, err = post(t, &http.Client{Transport: rt}, "http://127.0.0.1/")
		require.NoError(t, err)
		synctest.Wait()
		code, err = post(t, &http.Client{Transport: rt}, "http://127.0.0.1/")
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, code)
	})
}

func TestCalls(t *testing.T) {
	f := newFixture(t, nil)
	f.start(t)
	credentials, err := f.PerRPCCredentials()
	require.NoError(t, err)
	assert.True(t, credentials.RequireTransportSecurity())
	metadata, err := credentials.GetRequestMetadata(t.Context(), "https://dce.westeurope-1.ingest.monitor.azure.com/opentelemetry.proto.collector.trace.v1.TraceService")
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"authorization": "Bearer " + f.entra.Issued()[0]}, metadata)
	for _, uri := range [][]string{{"https://example.com/service"}, {"https://exa mple.com"}, {}} {
		_, err = credentials.GetRequestMetadata(t.Context(), uri...)
		assert.Equal(t, codes.Unavailable, status.Code(err), "exporters retry this code")
		assert.ErrorContains(t, err, "additional_domains")
	}
}

func TestConcurrentRequests(t *testing.T) {
	f := newFixture(t, nil)
	f.start(t)
	client := f.client(t)
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			if code, err := post(t, client, f.endpoint.URL); err != nil || code != 200 {
				t.Error(code, err)
			}
		})
	}
	all.Wait()
	assert.Len(t, f.entra.Issued(), 1, "one request for a token, however many wait")
	assert.Len(t, f.tokens(), 32)
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
