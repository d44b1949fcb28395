// SPDX-License-Identifier: Apache-2.0

package clusteridentityprocessor

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
)

const (
	west  = "aks-west"
	north = "aks-north"
)

// pki are the authorities of the tests: each cluster has one of its own below a common root.
type pki struct{ root, west, north *pkitest.Authority }

func newPKI(t testing.TB) pki {
	root := pkitest.New(t, "root")
	return pki{root, root.Sub(t, west), root.Sub(t, north)}
}

// agent returns the certificate of a cluster's agent, whose trust domain names the cluster.
func (p pki) agent(t testing.TB, cluster string) pkitest.Pair {
	return p.root.Issue(t, pkitest.Leaf{URIs: []string{"spiffe://" + cluster + ".mesh.example/ns/otelcol-mesh/sa/agent"}})
}

// shared returns one of a trust domain that all clusters share, so that only the authority tells whose it is.
func (p pki) shared(t testing.TB, by *pkitest.Authority) pkitest.Pair {
	return by.Issue(t, pkitest.Leaf{URIs: []string{"spiffe://cluster.local/ns/otelcol-mesh/sa/agent"}})
}

// hub is the OTLP receiver with its two servers, the extension and the three processors.
type hub struct {
	grpcAddress, httpAddress string
	telemetry                *componenttest.Telemetry
	traces                   consumertest.TracesSink
	logs                     consumertest.LogsSink
	metrics                  consumertest.MetricsSink
	roots                    *x509.CertPool
}

type host struct {
	component.Host
	extensions map[component.ID]component.Component
}

func (h host) GetExtensions() map[component.ID]component.Component { return h.extensions }

// freeAddress returns an address of loopback that nobody listens on. The host is the package's own: a port of 127.0.0.1 may be
// taken by any connection of this machine before it is listened on.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", pkitest.Loopback+":0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// newHub starts a hub. age is max_connection_age, server and bundle are the folders of its files. spans counts what comes
// in a run so long that it cannot be kept; nil keeps it.
func newHub(t testing.TB, p pki, age time.Duration, server, bundle string, spans *atomic.Int64) *hub {
	t.Helper()
	ctx := context.Background()
	h := &hub{grpcAddress: freeAddress(t), httpAddress: freeAddress(t), telemetry: componenttest.NewTelemetry(), roots: x509.NewCertPool()}
	h.roots.AddCert(p.root.Cert)
	settings := h.telemetry.NewTelemetrySettings()
	settings.Logger = zap.NewNop()

	factory := otlpreceiver.NewFactory()
	cfg := factory.CreateDefaultConfig()
	require.NoError(t, h.receiverConfig(age, server, bundle).Unmarshal(cfg))

	extensions := clusteridentityextension.NewFactory()
	extensionConfig := extensions.CreateDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(map[string]any{"rules": []any{
		map[string]any{"spiffe": "spiffe://{cluster}.mesh.example/ns/otelcol-mesh/sa/*"},
		map[string]any{"spiffe": "spiffe://cluster.local/ns/otelcol-mesh/sa/agent", "clusters": []any{west}, "issuers": []any{p.west.KeyHash()}},
		map[string]any{"spiffe": "spiffe://cluster.local/ns/otelcol-mesh/sa/agent", "clusters": []any{north}, "issuers": []any{p.north.KeyHash()}},
	}}).Unmarshal(extensionConfig))
	id := component.MustNewID("cluster_identity")
	ext, err := extensions.Create(ctx, extension.Settings{ID: id, TelemetrySettings: settings}, extensionConfig)
	require.NoError(t, err)
	parts := []component.Component{ext}

	set := processor.Settings{ID: id, TelemetrySettings: settings}
	processors, processorConfig := NewFactory(), NewFactory().CreateDefaultConfig()
	var sink consumer.Traces = &h.traces
	if spans != nil {
		sink, err = consumer.NewTraces(func(_ context.Context, td ptrace.Traces) error { spans.Add(int64(td.SpanCount())); return nil })
		require.NoError(t, err)
	}
	traces, err := processors.CreateTraces(ctx, set, processorConfig, sink)
	require.NoError(t, err)
	logs, err := processors.CreateLogs(ctx, set, processorConfig, &h.logs)
	require.NoError(t, err)
	metrics, err := processors.CreateMetrics(ctx, set, processorConfig, &h.metrics)
	require.NoError(t, err)
	parts = append(parts, traces, logs, metrics)

	otlp := receiver.Settings{ID: component.MustNewID("otlp"), TelemetrySettings: settings}
	t1, err := factory.CreateTraces(ctx, otlp, cfg, traces)
	require.NoError(t, err)
	t2, err := factory.CreateLogs(ctx, otlp, cfg, logs)
	require.NoError(t, err)
	t3, err := factory.CreateMetrics(ctx, otlp, cfg, metrics)
	require.NoError(t, err)
	parts = append(parts, t1, t2, t3)
	for _, part := range parts {
		require.NoError(t, part.Start(ctx, host{componenttest.NewNopHost(), map[component.ID]component.Component{id: ext}}))
	}
	t.Cleanup(func() {
		for i := range parts {
			require.NoError(t, parts[len(parts)-1-i].Shutdown(context.Background()))
		}
		require.NoError(t, h.telemetry.Shutdown(context.Background()))
	})
	return h
}

// receiverConfig is the receiver's as hub-mtls.yaml has it, and its HTTP side.
func (h *hub) receiverConfig(age time.Duration, server, bundle string) *confmap.Conf {
	tlsSettings := map[string]any{
		"cert_file": server + "/tls.crt", "key_file": server + "/tls.key", "client_ca_file": bundle + "/ca.crt",
		"client_ca_file_reload": true, "reload_interval": "100ms",
	}
	return confmap.NewFromStringMap(map[string]any{"protocols": map[string]any{
		"grpc": map[string]any{
			"endpoint": h.grpcAddress, "tls": tlsSettings, "auth": map[string]any{"authenticator": "cluster_identity"},
			"keepalive": map[string]any{"server_parameters": map[string]any{"max_connection_age": age.String(), "max_connection_age_grace": "10s"}},
		},
		"http": map[string]any{"endpoint": h.httpAddress, "tls": tlsSettings, "middlewares": []any{map[string]any{"id": "cluster_identity"}}},
	}})
}

// sum returns the sum of a counter's points that have these attributes.
func (h *hub) sum(t testing.TB, name string, attrs ...attribute.KeyValue) (n int64) {
	t.Helper()
	m, err := h.telemetry.GetMetric("otelcol_" + name)
	if err != nil {
		return 0
	}
	for _, point := range m.Data.(metricdata.Sum[int64]).DataPoints {
		matches := true
		for _, want := range attrs {
			got, ok := point.Attributes.Value(want.Key)
			matches = matches && ok && got == want.Value
		}
		if matches {
			n += point.Value
		}
	}
	return n
}

// sender sends OTLP over both transports with one certificate.
type sender struct {
	h    *hub
	conn *grpc.ClientConn
	http *http.Client
}

func (h *hub) sender(t testing.TB, certificates ...tls.Certificate) *sender {
	t.Helper()
	config := &tls.Config{RootCAs: h.roots, Certificates: certificates}
	if len(certificates) == 1 {
		// A client shows a certificate by itself only if the server asks for its authority.
		config = &tls.Config{RootCAs: h.roots, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificates[0], nil }}
	}
	conn, err := grpc.NewClient(h.grpcAddress, grpc.WithTransportCredentials(credentials.NewTLS(config.Clone())))
	require.NoError(t, err)
	transport := &http.Transport{TLSClientConfig: config}
	s := &sender{h, conn, &http.Client{Transport: transport}}
	t.Cleanup(func() { conn.Close(); transport.CloseIdleConnections() })
	return s
}

// httpError is an answer other than 200.
type httpError struct{ status int }

func (e *httpError) Error() string { return fmt.Sprint("HTTP status ", e.status) }

// export sends one request; headers go along, by either transport.
func (s *sender) export(ctx context.Context, data any, overHTTP bool, headers map[string]string) error {
	if !overHTTP {
		ctx = metadata.NewOutgoingContext(ctx, metadata.New(headers))
		var err error
		switch request := data.(type) {
		case ptraceotlp.ExportRequest:
			_, err = ptraceotlp.NewGRPCClient(s.conn).Export(ctx, request)
		case plogotlp.ExportRequest:
			_, err = plogotlp.NewGRPCClient(s.conn).Export(ctx, request)
		case pmetricotlp.ExportRequest:
			_, err = pmetricotlp.NewGRPCClient(s.conn).Export(ctx, request)
		}
		return err
	}
	var where string
	switch data.(type) {
	case ptraceotlp.ExportRequest:
		where = "/v1/traces"
	case plogotlp.ExportRequest:
		where = "/v1/logs"
	case pmetricotlp.ExportRequest:
		where = "/v1/metrics"
	}
	body, err := data.(interface{ MarshalProto() ([]byte, error) }).MarshalProto()
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+s.h.httpAddress+where, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	for key, value := range headers {
		request.Header.Set(key, value)
	}
	response, err := s.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	if response.StatusCode != http.StatusOK {
		return &httpError{response.StatusCode}
	}
	return nil
}
