// SPDX-License-Identifier: Apache-2.0

package meshspanpairingprocessor

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshspanpairingprocessor/internal/pairing"
)

var testStore = pairing.NewStore(pairing.Settings{Wait: time.Second, MaxAge: time.Minute, MaxEntries: 100, MaxHeld: 10, MaxBytes: 1000})

func read(kind ptrace.SpanKind, pairs ...string) pairing.Facts {
	s := newSpan(ptrace.NewTraces(), "pod", 1, 1, 2, kind, time.Second)
	putAll(s.Attributes(), "mesh.resolution.source", "tag", "mesh.resolution.destination", "unknown:no_address")
	putAll(s.Attributes(), pairs...)
	var f pairing.Facts
	readSpan(testStore, 1, s, &f)
	return f
}

func TestWhereTheProxyStands(t *testing.T) {
	const sidecar, router, waypoint = "sidecar~10.0.0.1~p.ns~d", "router~10.0.0.1~p.ns~d", "waypoint~10.0.0.1~p.ns~d"
	tests := []struct {
		name    string
		kind    ptrace.SpanKind
		pairs   []string
		side    pairing.Side
		gateway bool
	}{
		{"outbound", ptrace.SpanKindClient, []string{"node_id", sidecar, "upstream_cluster", "outbound|80||a.b.svc.cluster.local"}, pairing.Caller, false},
		{"inbound", ptrace.SpanKindServer, []string{"envoy.node.id", sidecar, "envoy.upstream.cluster", "inbound|80||"}, pairing.Callee, false},
		{"inbound, whatever the kind", ptrace.SpanKindClient, []string{"envoy.upstream.cluster", "inbound|80||"}, pairing.Callee, false},
		{"inbound passthrough", ptrace.SpanKindServer, []string{"upstream_cluster", "InboundPassthroughCluster"}, pairing.Callee, false},
		{"passthrough", ptrace.SpanKindClient, []string{"upstream_cluster", "PassthroughCluster"}, pairing.Caller, false},
		{"gateway of kind server", ptrace.SpanKindServer, []string{"node_id", router}, pairing.Caller, true},
		{"waypoint", ptrace.SpanKindServer, []string{"node_id", waypoint, "upstream_cluster", "inbound-vip|80|http|a.b.svc.cluster.local"}, pairing.Carrier, false},
		{"attempt of a waypoint", ptrace.SpanKindClient, []string{"upstream_cluster", "inbound-vip|80|http|a.b.svc.cluster.local"}, pairing.Carrier, false},
		{"by server name", ptrace.SpanKindServer, []string{"upstream_cluster", "outbound_.80_._.a.b.svc.cluster.local"}, pairing.Carrier, false},
		{"no cluster, client", ptrace.SpanKindClient, []string{"node_id", sidecar}, pairing.Caller, false},
		{"no cluster, server", ptrace.SpanKindServer, []string{"node_id", sidecar}, pairing.Callee, false},
		{"neither", ptrace.SpanKindInternal, []string{"node_id", sidecar}, pairing.NoSide, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := read(tt.kind, tt.pairs...)
			assert.Equal(t, tt.side, f.Side)
			assert.Equal(t, tt.gateway, f.Gateway)
		})
	}
	assert.False(t, read(ptrace.SpanKindClient, "node_id", "").Named, "an Envoy outside Istio names nobody")
	assert.False(t, read(ptrace.SpanKindClient, "node_id", "node-17").Named)
	assert.True(t, read(ptrace.SpanKindClient, "url.full", "http://a/").Named, "new names alone come without a node id")
}

func TestBothEncodingsSayTheSame(t *testing.T) {
	legacy := read(ptrace.SpanKindServer, "node_id", "sidecar~10.0.0.1~p.ns~d", "upstream_cluster", "inbound|80||", "http.url", "http://a:80/x?y",
		"http.status_code", "503", "grpc.status_code", "14", "response_flags", "URX,UF")
	s := newSpan(ptrace.NewTraces(), "pod", 1, 1, 2, ptrace.SpanKindServer, time.Second)
	putAll(s.Attributes(), "mesh.resolution.source", "tag", "mesh.resolution.destination", "unknown:no_address", "envoy.node.id", "sidecar~10.0.0.1~p.ns~d",
		"envoy.upstream.cluster", "inbound|80||", "server.address", "a", "envoy.response.flags", "URX,UF")
	s.Attributes().PutInt("http.response.status_code", 503)
	s.Attributes().PutInt("rpc.grpc.status_code", 14)
	var semconv pairing.Facts
	readSpan(testStore, 1, s, &semconv)
	assert.Equal(t, legacy, semconv)
	assert.True(t, legacy.Exhausted && legacy.NoTarget && legacy.Local && !legacy.CutOff)
	assert.False(t, read(ptrace.SpanKindServer, "response_flags", "-").Local)
	assert.EqualValues(t, 503, legacy.Code)
	assert.EqualValues(t, 14, legacy.GRPC)
}

func TestHosts(t *testing.T) {
	for url, want := range map[string]string{
		"http://a:80/x": "a", "http://a": "a", "http://a?q=http://b": "a", "https://user:secret@a/": "a", "a:80": "", "": "",
		"http://[::1]:80/": "[::1]", "http://[::1]/": "[::1]", "http://a-shadow:80/": "a-shadow", "http://": "",
	} {
		assert.Equal(t, want, hostOf(url), url)
	}
	assert.Equal(t, "::1", withoutPort("::1"))
	f := read(ptrace.SpanKindServer, "http.url", "http://a-shadow:80/")
	assert.Equal(t, testStore.Hash("a"), f.ShadowOf)
	assert.Zero(t, read(ptrace.SpanKindServer, "http.url", "http://a:80/").ShadowOf)
}

func TestWhoReported(t *testing.T) {
	hash := func(pairs ...string) uint64 {
		m := pcommon.NewMap()
		putAll(m, pairs...)
		return readResource(testStore, m)
	}
	assert.Zero(t, hash())
	assert.Zero(t, hash("k8s.cluster.name", "a"))
	all := []uint64{
		hash("k8s.pod.name", "p"), hash("k8s.pod.name", "p", "k8s.cluster.name", "a"), hash("k8s.pod.name", "p", "k8s.cluster.name", "b"),
		hash("k8s.pod.name", "p", "k8s.namespace.name", "b"), hash("service.name", "p", "service.instance.id", "1"), hash("service.name", "p", "service.instance.id", "2"),
	}
	for i := range all {
		assert.NotZero(t, all[i])
		for j := range i {
			assert.NotEqual(t, all[i], all[j])
		}
	}
	assert.Equal(t, all[0], hash("k8s.pod.name", "p", "service.name", "x"), "a pod is a pod whatever it calls itself")
}

// FuzzReadSpan looks for texts that break the reading of a span or the pairing that follows.
func FuzzReadSpan(f *testing.F) {
	f.Add("sidecar~10.0.0.1~p.ns~d", "outbound|9080||reviews.bookinfo.svc.cluster.local;", "http://reviews:9080/reviews/0", "UF,URX", "200", "tag", "unknown:no_address")
	f.Add("router~10.244.0.14~istio-ingressgateway-79788cd94-wgmsp.istio-system~istio-system.svc.cluster.local", "", "http://192.168.49.2:31653/productpage", "-", "0", "unknown:external", "span_pair")
	f.Add("waypoint~~p.ns~", "inbound-vip|80|http|a.b", "http://[::1]:80/-shadow", "DC", "-1", "gateway", "trust_domain")
	f.Fuzz(func(t *testing.T, node, cluster, url, flags, code, source, destination string) {
		if len(url) > 4096 {
			return
		}
		host := hostOf(url)
		if strings.ContainsAny(host, "/?#") {
			t.Fatalf("host %q of %q", host, url)
		}
		store := pairing.NewStore(pairing.Settings{Wait: time.Second, MaxAge: time.Minute, MaxEntries: 100, MaxHeld: 10, MaxBytes: 1000})
		var b pairing.Batch
		for n := range byte(3) {
			s := newSpan(ptrace.NewTraces(), "pod", 1, n+1, n, ptrace.SpanKind(n+1), time.Second)
			putAll(s.Attributes(), "node_id", node, "upstream_cluster", cluster, "http.url", url, "response_flags", flags, "http.status_code", code,
				"mesh.resolution.source", source, "mesh.resolution.destination", destination, "mesh.source.workload", node, "mesh.destination.cluster", cluster)
			var facts pairing.Facts
			readSpan(store, 1, s, &facts)
			if e := store.Add(&facts, time.Unix(1, 0), &b); e != nil {
				own, now, _ := store.Judge(e)
				stamp(s, &own, &now, &tally{})
				if _, ok := s.Attributes().Get("mesh.resolution.source"); !ok {
					t.Fatal("the stamp is gone")
				}
			}
		}
	})
}
