// SPDX-License-Identifier: Apache-2.0

package azureauthextension

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/azureauthextension/credential"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/azureauthextension/internal/metadatatest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/entratest"
)

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
