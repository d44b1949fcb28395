// SPDX-License-Identifier: Apache-2.0

package azureauthextension

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

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
