// SPDX-License-Identifier: Apache-2.0

package clusteridentityprocessor

import (
	"context"
	"crypto/tls"
	"net/http"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/otlpexporter"
	"go.opentelemetry.io/collector/exporter/otlphttpexporter"
	"go.opentelemetry.io/otel/attribute"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
	"github.com/otelcol-mesh/otelcol-mesh/processors/clusteridentityprocessor/claimtest"
)

// rotationFor is for how long TestRotation runs. OTELCOL_MESH_ROTATION sets another time, such as 10m.
func rotationFor(t *testing.T) time.Duration {
	text := os.Getenv("OTELCOL_MESH_ROTATION")
	if text == "" {
		return 6 * time.Second
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err)
	return d
}

// TestRotation replaces the certificates of the hub and of an agent, and the authority of the agents with an overlap,
// again and again while the agent's own exporters send over gRPC and HTTP: every export succeeds, and neither descriptors
// nor goroutines grow.
func TestRotation(t *testing.T) {
	total := rotationFor(t)
	// Ten rotations in the short run; every ten seconds in a long one.
	every := min(total/10, 10*time.Second)
	p := newPKI(t)
	server, bundle, agent, trust := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	authority := pkitest.New(t, "agents 0")
	leaf := pkitest.Leaf{URIs: []string{"spiffe://aks-west.mesh.example/ns/otelcol-mesh/sa/agent"}}
	p.root.Issue(t, pkitest.Leaf{CommonName: "hub"}).Write(t, server)
	authority.Issue(t, leaf).Write(t, agent)
	pkitest.WriteBundle(t, bundle, authority)
	pkitest.WriteBundle(t, trust, p.root)
	// Connections live for less than a rotation, so that each certificate is shown.
	var arrived atomic.Int64
	h := newHub(t, p, every/4, server, bundle, &arrived)
	over := []*sending{
		startExporter(t, otlpexporter.NewFactory(), "otlp_grpc", h.grpcAddress, agent, trust),
		startExporter(t, otlphttpexporter.NewFactory(), "otlp_http", "https://"+h.httpAddress, agent, trust),
	}
	stop := make(chan struct{})
	var load sync.WaitGroup
	for _, s := range over {
		load.Go(func() { s.run(t, stop) })
	}

	begin := usageAfter(t, over, 50)
	rotations := 0
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for end := time.Now().Add(total); time.Now().Before(end); rotations++ {
		<-ticker.C
		switch rotations % 3 {
		case 0:
			p.root.Issue(t, pkitest.Leaf{CommonName: "hub"}).Write(t, server)
			authority.Issue(t, leaf).Write(t, agent)
		case 1:
			// The overlap begins: the hub trusts the next authority before anybody shows a certificate of it.
			next := pkitest.New(t, "agents")
			pkitest.WriteBundle(t, bundle, authority, next)
			authority = next
		case 2:
			// The hub goes on to trust both for as long as a connection lives and files are read.
			authority.Issue(t, leaf).Write(t, agent)
		}
	}
	end := usageAfter(t, over, 50)
	close(stop)
	load.Wait()
	sent := int64(0)
	for _, s := range over {
		assert.Zero(t, s.failed.Load(), "failed exports")
		sent += s.sent.Load()
	}
	assert.Equal(t, sent, arrived.Load())
	assert.LessOrEqual(t, end.goroutines, begin.goroutines+20, "goroutines")
	assert.LessOrEqual(t, end.descriptors, begin.descriptors+10, "descriptors")
	t.Logf("%d rotations, %d exports, failed 0, goroutines %d to %d, descriptors %d to %d", rotations, sent,
		begin.goroutines, end.goroutines, begin.descriptors, end.descriptors)
}

// sending is an exporter of an agent under load.
type sending struct {
	exporter     exporter.Traces
	sent, failed atomic.Int64
}

func startExporter(t *testing.T, factory exporter.Factory, kind, endpoint, agent, trust string) *sending {
	t.Helper()
	cfg := factory.CreateDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(map[string]any{
		"endpoint": endpoint, "sending_queue": map[string]any{"enabled": false},
		"retry_on_failure": map[string]any{"enabled": true, "initial_interval": "20ms", "max_interval": "200ms", "max_elapsed_time": "0s"},
		"tls": map[string]any{
			"ca_file": trust + "/ca.crt", "cert_file": agent + "/tls.crt", "key_file": agent + "/tls.key", "reload_interval": "100ms",
		},
	}).Unmarshal(cfg))
	settings := componenttest.NewNopTelemetrySettings()
	settings.Logger = zap.NewNop()
	e, err := factory.CreateTraces(context.Background(), exporter.Settings{ID: component.MustNewID(kind), TelemetrySettings: settings}, cfg)
	require.NoError(t, err)
	require.NoError(t, e.Start(context.Background(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, e.Shutdown(context.Background())) })
	return &sending{exporter: e}
}

func (s *sending) run(t *testing.T, stop <-chan struct{}) {
	pace := time.NewTicker(5 * time.Millisecond)
	defer pace.Stop()
	for {
		select {
		case <-stop:
			return
		case <-pace.C:
		}
		e := newEnvelope(traces)
		claimtest.Own(e.Add("honest"))
		if err := s.exporter.ConsumeTraces(context.Background(), e.Traces); err != nil {
			s.failed.Add(1)
			t.Log(err)
			continue
		}
		s.sent.Add(1)
	}
}

// usage is what must not grow.
type usage struct{ goroutines, descriptors int }

// usageAfter waits for so many more exports over each way, and returns the least of what was in use meanwhile: connections
// overlap while one takes over from another.
func usageAfter(t *testing.T, over []*sending, more int64) (least usage) {
	t.Helper()
	least = usage{1 << 30, 1 << 30}
	for _, s := range over {
		want := s.sent.Load() + more
		require.Eventually(t, func() bool {
			files, err := os.ReadDir("/proc/self/fd")
			if err == nil {
				least.descriptors = min(least.descriptors, len(files))
			}
			least.goroutines = min(least.goroutines, runtime.NumGoroutine())
			return s.sent.Load() >= want
		}, time.Minute, 5*time.Millisecond)
	}
	return least
}

// TestExpiryOnALivingConnection: a certificate that ends while its connection lives ends with it, over both transports, in
// a way that an exporter tries again after.
func TestExpiryOnALivingConnection(t *testing.T) {
	p := newPKI(t)
	h := startHub(t, p)
	s := h.sender(t, p.root.Issue(t, pkitest.Leaf{
		URIs: []string{"spiffe://aks-west.mesh.example/ns/otelcol-mesh/sa/agent"}, NotAfter: time.Now().Add(6 * time.Second),
	}).TLS)
	e := newEnvelope(traces)
	claimtest.Own(e.Add("honest"))
	require.NoError(t, s.export(t.Context(), e.Request(), false, nil))
	require.NoError(t, s.export(t.Context(), e.Request(), true, nil))
	require.Eventually(t, func() bool {
		return status.Code(s.export(t.Context(), e.Request(), false, nil)) == codes.Unavailable
	}, 20*time.Second, 50*time.Millisecond)
	assert.Positive(t, h.sum(t, "extension_cluster_identity_refused_requests", attribute.String("reason", "expired")))
	// The next HTTP connection is refused by TLS.
	require.Error(t, s.export(t.Context(), e.Request(), true, nil))
}

// TestRemovedAuthority: who has a certificate of an authority that the hub trusts no more cannot come back, not with the
// session of an earlier connection either.
func TestRemovedAuthority(t *testing.T) {
	p := newPKI(t)
	server, bundle := t.TempDir(), t.TempDir()
	old := pkitest.New(t, "old")
	p.root.Issue(t, pkitest.Leaf{CommonName: "hub"}).Write(t, server)
	pkitest.WriteBundle(t, bundle, p.root, old)
	h := newHub(t, p, time.Hour, server, bundle, nil)
	pair := old.Issue(t, pkitest.Leaf{URIs: []string{"spiffe://aks-west.mesh.example/ns/otelcol-mesh/sa/agent"}})
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: h.roots, Certificates: []tls.Certificate{pair.TLS}, ClientSessionCache: tls.NewLRUClientSessionCache(4)}}
	defer transport.CloseIdleConnections()
	s := &sender{h: h, http: &http.Client{Transport: transport}}
	e := newEnvelope(traces)
	claimtest.Own(e.Add("honest"))
	require.NoError(t, s.export(t.Context(), e.Request(), true, nil))
	transport.CloseIdleConnections()
	require.NoError(t, s.export(t.Context(), e.Request(), true, nil), "it may come back as long as it is trusted")
	pkitest.WriteBundle(t, bundle, p.root)
	require.Eventually(t, func() bool {
		transport.CloseIdleConnections()
		return s.export(t.Context(), e.Request(), true, nil) != nil
	}, 20*time.Second, 100*time.Millisecond)
}
