// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
	"github.com/otelcol-mesh/otelcol-mesh/distribution/chart/charttest"
)

// lie is in the name of what must not arrive, straight the name of what may.
const lie, straight = "a lie", "straight to the hub"

// Counters of what the hub refused.
const (
	refusedRequests  = "otelcol_extension_cluster_identity_refused_requests"
	flaggedResources = "otelcol_processor_cluster_identity_flagged_resources"
)

// strangersAreRefused fails if the hub takes anything from a sender whose certificate is not that of the cluster it tells about.
func (s *stage) strangersAreRefused(t *testing.T, h *hub) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(s.authority.Cert)
	with := func(pairs ...pkitest.Pair) credentials.TransportCredentials {
		config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
		for _, pair := range pairs {
			config.Certificates = append(config.Certificates, pair.TLS)
		}
		return credentials.NewTLS(config)
	}
	expired := client(west)
	expired.NotBefore, expired.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	for name, stranger := range map[string]credentials.TransportCredentials{
		"no TLS":                           nil,
		"no certificate":                   with(),
		"of another authority":             with(pkitest.New(t, "another").Issue(t, client(west))),
		"signed by itself":                 with(pkitest.SelfSigned(t, client(west))),
		"expired":                          with(s.authority.Issue(t, expired)),
		"of a name that speaks for nobody": with(s.authority.Issue(t, pkitest.Leaf{URIs: []string{"spiffe://cluster.local/ns/otelcol-mesh/sa/otelcol-mesh-agent"}})),
		"another cluster's":                with(s.authority.Issue(t, client(north))),
	} {
		assert.Error(t, send(t, h.entry, stranger, west, lie), name)
	}
	assert.GreaterOrEqual(t, h.counted(t, refusedRequests, `reason="no_rule"`), 1)
	assert.Equal(t, 1, h.counted(t, flaggedResources, `reason="foreign_cluster"`))
	// So it was the certificate.
	assert.NoError(t, send(t, h.entry, with(s.authority.Issue(t, client(west))), west, straight))
}

// anotherClustersAgentIsRefused runs the agent of the north as rendered, but with the west's certificate, while the Envoys send
// to it, and waits until the hub has refused what it tells. Afterward the agent has its own certificate again.
func (s *stage) anotherClustersAgentIsRefused(t *testing.T, namespace, example string, h *hub) {
	t.Helper()
	r, before := s.regions[north], h.counted(t, flaggedResources, `reason="foreign_cluster"`)
	r.put(t, namespace, "otelcol-mesh-client", s.certificate(t, client(west)))
	r.applier.apply(t, charttest.Named(t, example).Render(t, append(link(h.entry, north), "--namespace", namespace)...))
	agent := s.agent(t, namespace, north)
	require.Eventually(t, func() bool { return h.counted(t, flaggedResources, `reason="foreign_cluster"`) > before+1 }, within, 100*time.Millisecond,
		"the hub refuses an agent with another cluster's certificate")
	agent.stop()
	r.put(t, namespace, "otelcol-mesh-client", s.certificate(t, client(north)))
}

// counted is the sum of a counter of the hub's own, or of the router's before it, over what has the label.
func (h *hub) counted(t *testing.T, name, label string) int {
	t.Helper()
	page, err := get(t, "http://"+net.JoinHostPort(h.entry, "8888")+"/metrics")
	require.NoError(t, err)
	total := 0
	for _, found := range regexp.MustCompile(`(?m)^`+name+`(?:_total)?\{[^}]*`+label+`[^}]*\} ([0-9.e+]+)$`).FindAllStringSubmatch(page, -1) {
		value, err := strconv.ParseFloat(found[1], 64)
		require.NoError(t, err)
		total += int(value)
	}
	return total
}

// send sends a hub one span about a cluster, without TLS if how is nil; an error that passes by itself is an error.
func send(t *testing.T, to string, how credentials.TransportCredentials, cluster, name string) error {
	t.Helper()
	if how == nil {
		how = insecure.NewCredentials()
	}
	conn, err := grpc.NewClient("passthrough:///"+net.JoinHostPort(to, "14317"), grpc.WithTransportCredentials(how))
	require.NoError(t, err)
	defer conn.Close()
	data := ptrace.NewTraces()
	resource := data.ResourceSpans().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "shop")
	resource.Resource().Attributes().PutStr("k8s.cluster.name", cluster)
	span := resource.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetName(name)
	span.SetKind(ptrace.SpanKindInternal)
	span.SetTraceID(pcommon.TraceID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	span.SetSpanID(pcommon.SpanID{1, 2, 3, 4, 5, 6, 7, 8})
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-time.Second)))
	span.SetEndTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = ptraceotlp.NewGRPCClient(conn).Export(ctx, ptraceotlp.NewExportRequestFromTraces(data))
	return err
}
