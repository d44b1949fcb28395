// SPDX-License-Identifier: Apache-2.0

package distribution_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/otelcol-mesh/otelcol-mesh/internal/appinsights/ingestiontest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/entratest"
)

// azureHost is where the stand-in of Azure Monitor listens, with a certificate for it.
const azureHost = "127.7.0.3"

// azure is Azure Monitor and Entra ID as the hub sees them: an ingestion endpoint over TLS and those who issue tokens.
type azure struct {
	*ingestiontest.Endpoint
	entra *entratest.Server
	// roots is the file with the authorities of both.
	roots   string
	config  *tls.Config
	address string
	server  *http.Server

	mu sync.Mutex
	// answer, if it is there, answers instead of the endpoint; it returns false to leave a request to it.
	answer func(http.ResponseWriter, *http.Request) bool
	// anybody lets requests in without a token.
	anybody bool
	refused map[int]int
}

func newAzure(t *testing.T) *azure {
	t.Helper()
	endpoint, err := ingestiontest.New(ingestiontest.Config{})
	require.NoError(t, err)
	t.Cleanup(endpoint.Close)
	authority, err := ingestiontest.NewAuthority()
	require.NoError(t, err)
	certificate, err := authority.Issue(time.Now().Add(-time.Hour), time.Now().Add(time.Hour), azureHost, "localhost")
	require.NoError(t, err)
	a := &azure{
		Endpoint: endpoint, entra: entratest.New(t), roots: filepath.Join(t.TempDir(), "roots.pem"), address: azureHost + ":0", refused: map[int]int{},
		config: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}},
	}
	require.NoError(t, os.WriteFile(a.roots, append(authority.PEM(), certificateOf(t, a.entra)...), 0o600))
	a.up(t)
	t.Cleanup(func() { a.down(t) })
	return a
}

// certificateOf is the certificate of the stand-in for Entra ID.
func certificateOf(t *testing.T, entra *entratest.Server) []byte {
	t.Helper()
	at, err := url.Parse(entra.URL())
	require.NoError(t, err)
	dialer := &tls.Dialer{Config: entra.Transport(t).TLSClientConfig}
	conn, err := dialer.DialContext(t.Context(), "tcp", at.Host)
	require.NoError(t, err)
	defer conn.Close()
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw})
}

func (a *azure) up(t *testing.T) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.WithoutCancel(t.Context()), "tcp", a.address)
	require.NoError(t, err)
	a.address = listener.Addr().String()
	a.server = &http.Server{Handler: a, ReadHeaderTimeout: patience}
	go func(server *http.Server) { _ = server.Serve(tls.NewListener(listener, a.config)) }(a.server)
}

func (a *azure) down(t *testing.T) {
	t.Helper()
	assert.NoError(t, a.server.Close())
}

func (a *azure) url() string { return "https://" + a.address }

// answers says who answers from now on; nil for the endpoint.
func (a *azure) answers(answer func(http.ResponseWriter, *http.Request) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = answer
}

// refuses answers everything with this status, as for an identity that has no role.
func refuses(status int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, http.StatusText(status), status)
		return true
	}
}

// ServeHTTP lets nobody pass who has no token of Entra ID.
func (a *azure) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	answer, anybody := a.answer, a.anybody
	a.mu.Unlock()
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !anybody && !slices.Contains(a.entra.Issued(), token) {
		answer = refuses(http.StatusUnauthorized)
	}
	counted := &counter{ResponseWriter: w}
	if answer == nil || !answer(counted, r) {
		a.Endpoint.ServeHTTP(counted, r)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refused[counted.status]++
}

// answered is how often a status was the answer.
func (a *azure) answered(status int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refused[status]
}

type counter struct {
	http.ResponseWriter
	status int
}

func (c *counter) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

// hub is the shipped configuration with overlays, and what runs it.
type hub struct {
	*process
	configs, env []string
}

// silentGraph keeps what the hub tells by itself, once a minute, from what a test counts that takes longer. A test that is about
// the graph sets another interval.
const silentGraph = "yaml:{connectors: {mesh_graph: {metrics_interval: 1h}}}"

// newHub starts the hub. quick shortens the pauses of what exports, and overlays are merged over all.
func newHub(t *testing.T, a *azure, env []string, overlays ...string) *hub {
	t.Helper()
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte(entratest.Federated(time.Now().Add(time.Hour))), 0o600))
	h := &hub{configs: append([]string{"config/hub.yaml", silentGraph}, overlays...), env: append([]string{
		"MESH_LISTEN_HOST=" + standaloneHost, "MESH_ADMIN_HOST=" + standaloneHost, "MESH_DEBUG_HOST=" + standaloneHost, "MESH_STORAGE_DIR=" + t.TempDir(),
		"MESH_HUB_UNVERIFIED=accept",
		"SSL_CERT_FILE=" + a.roots, "AZURE_CLIENT_ID=" + entratest.AppID, "AZURE_TENANT_ID=" + entratest.TenantID, "AZURE_FEDERATED_TOKEN_FILE=" + token,
	}, env...)}
	h.run(t)
	return h
}

func (h *hub) run(t *testing.T) {
	t.Helper()
	h.process = launch(t, h.configs, h.env...)
}

// log is what the process said so far.
func (h *hub) log(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(h.stderr.Name())
	require.NoError(t, err)
	return string(raw)
}

// entraOverlay points azure_auth at the stand-ins.
func (a *azure) entraOverlay() string {
	return fmt.Sprintf("yaml:{extensions: {azure_auth: {authority_host: '%s', additional_domains: ['%s']}}}", a.entra.URL(), azureHost)
}

func quick(exporters ...string) string {
	const settings = "{retry_on_failure: {initial_interval: 50ms, max_interval: 200ms}, sending_queue: {batch: {flush_timeout: 50ms}}}"
	for i, name := range exporters {
		exporters[i] = name + ": " + settings
	}
	return "yaml:{exporters: {" + strings.Join(exporters, ", ") + "}}"
}

// send hands telemetry to the hub as an agent does, and returns once it is taken over.
func (*hub) send(t *testing.T, what any) {
	t.Helper()
	conn, err := grpc.NewClient(standaloneHost+":14317", grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	switch data := what.(type) {
	case ptrace.Traces:
		_, err = ptraceotlp.NewGRPCClient(conn).Export(ctx, ptraceotlp.NewExportRequestFromTraces(data), grpc.WaitForReady(true))
	case plog.Logs:
		_, err = plogotlp.NewGRPCClient(conn).Export(ctx, plogotlp.NewExportRequestFromLogs(data), grpc.WaitForReady(true))
	case pmetric.Metrics:
		_, err = pmetricotlp.NewGRPCClient(conn).Export(ctx, pmetricotlp.NewExportRequestFromMetrics(data), grpc.WaitForReady(true))
	default:
		err = fmt.Errorf("%T is no telemetry", what)
	}
	require.NoError(t, err)
}

func describe(resource pcommon.Resource, attributes map[string]any) {
	all := resource.Attributes()
	all.PutStr("service.name", "reviews")
	for key, value := range attributes {
		all.PutStr(key, fmt.Sprint(value))
	}
}

// spansOf makes spans "span-<n>" of servers with these numbers, from up to but not including to.
func spansOf(from, to int, attributes map[string]any) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	describe(rs.Resource(), attributes)
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	for n := from; n < to; n++ {
		span := spans.AppendEmpty()
		span.SetName(fmt.Sprintf("span-%d", n))
		span.SetKind(ptrace.SpanKindServer)
		span.SetTraceID(pcommon.TraceID{1, byte(n >> 8), byte(n)})
		span.SetSpanID(pcommon.SpanID{2, byte(n >> 8), byte(n)})
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-time.Second)))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	}
	return td
}

// logsOf makes records "log-<n>".
func logsOf(from, to int, attributes map[string]any) plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	describe(rl.Resource(), attributes)
	records := rl.ScopeLogs().AppendEmpty().LogRecords()
	for n := from; n < to; n++ {
		record := records.AppendEmpty()
		record.Body().SetStr(fmt.Sprintf("log-%d", n))
		record.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	}
	return ld
}
