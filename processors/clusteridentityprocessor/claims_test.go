// SPDX-License-Identifier: Apache-2.0

package clusteridentityprocessor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// TestEachKeyIsRead: a key that is not told of would silently be no claim.
func TestEachKeyIsRead(t *testing.T) {
	j := &judge{id: mayOnly(t, west)}
	value := func(text string) pcommon.Value { return pcommon.NewValueStr(text) }
	for _, key := range []string{
		clusterKey, istioKey, "mesh.source.cluster", "source_cluster", "istio.source_cluster_id", "src.cluster", "ztunnel.source.cluster",
		"mesh.destination.cluster", "destination_cluster", "istio.destination_cluster_id", "dst.cluster", "ztunnel.destination.cluster",
	} {
		i := item{j: j}
		i.look(key, value(north))
		assert.Equal(t, finding{foreignSide, key, north}, i.finding(), key)
	}
	for key, words := range map[string]map[string]side{
		"node_id":       {"router~a~b.c~d": carrier, "waypoint~": carrier, "ztunnel~": carrier, "agentgateway~": carrier, "sidecar~": 0, "router": 0},
		"envoy.node.id": {"router~a~b.c~d": carrier}, "reporter": {"source": sourceSide, "destination": destinationSide, "waypoint": carrier},
		"direction": {"outbound": sourceSide, "inbound": destinationSide, "up": 0}, "ztunnel.direction": {"inbound": destinationSide},
		"upstream_cluster":            {"outbound|80||a.b": sourceSide, "inbound|80||": destinationSide, "inbound-vip|80|http|a.b": carrier, "outbound_.80_._.a.b": carrier, "mine": 0},
		"upstream_cluster.name":       {"outbound|80||a.b;": sourceSide, "PassthroughCluster": sourceSide, "InboundPassthroughCluster": destinationSide},
		"envoy.upstream.cluster":      {"BlackHoleCluster": sourceSide},
		"envoy.upstream.cluster.name": {"inbound|80||": destinationSide},
		"mesh.span.original_kind":     {"client": sourceSide, "server": destinationSide, "x": 0},
	} {
		for word, want := range words {
			i := item{j: j}
			i.look(key, value(word))
			assert.Equal(t, want, i.side(), "%s=%s", key, word)
		}
	}
}

// TestFarEnds: what is no word about the reporter's own place passes.
func TestFarEnds(t *testing.T) {
	for name, c := range map[string]map[string]string{
		"who was called":                   {"upstream_cluster": "outbound|80||a.b", "mesh.source.cluster": west, "mesh.destination.cluster": north},
		"who called":                       {"upstream_cluster": "inbound|80||", "mesh.source.cluster": north, "mesh.destination.cluster": west},
		"who called, own end not told":     {"reporter": "destination", "source_cluster": north, "destination_cluster": "unknown"},
		"default id":                       {istioKey: "Kubernetes", "reporter": "source", "source_cluster": "Kubernetes", "destination_cluster": north},
		"waypoint from elsewhere":          {"node_id": "waypoint~a~b.c~d", "mesh.source.cluster": north, "mesh.destination.cluster": west},
		"waypoint to elsewhere":            {"node_id": "waypoint~a~b.c~d", "mesh.destination.cluster": north},
		"gateway for somebody of the mesh": {"node_id": "router~a~b.c~d", "upstream_cluster": "outbound|80||a.b", "mesh.source.cluster": north},
		"no side, one end at home":         {"mesh.source.cluster": west, "mesh.destination.cluster": north},
		"ztunnel, inbound":                 {"node_id": "ztunnel~a~b.c~d", "direction": "inbound", "src.cluster": north, "dst.cluster": west},
	} {
		i := item{j: &judge{id: mayOnly(t, west), unset: []string{"Kubernetes"}}}
		for key, text := range c {
			i.look(key, pcommon.NewValueStr(text))
		}
		assert.Equal(t, finding{}, i.finding(), name)
	}
}

func TestDisguised(t *testing.T) {
	for _, key := range []string{"", "k8s.cluster.name", "k8s.pod.name", "k8s.cluster.names", "K8s.pod.name", "istio.mesh_id", "service.name", "ключ", "mesh.source.zone", "K8S.CLUSTER"} {
		assert.False(t, disguised(key), key)
	}
	for _, key := range []string{
		"K8S.CLUSTER.NAME", "k8s.cluster.name\t", "\ufeffk8s.cluster.name", "k8s.сluster.name", "k8s.cluster.uid ", "ISTIO.cluster_id", "mesh.destinatiοn.cluster", "\tk8s.cluster.name", "\nistio.cluster_id", "\x0bmesh.source.cluster",
		"\x7fk8s.cluster.uid", "\x00k8s.cluster.name", "k8s.cluster.\u3164name", "\u2800k8s.cluster.name", "k8s.cluster.name\u20dd",
	} {
		assert.True(t, disguised(key), key)
	}
}

// FuzzBody: no body makes the reader of claims panic, and a JSON text that mesh_topology takes labels from is seen, however
// its key is written.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		`{"upstream_cluster":"outbound|80||a.b","istio.cluster_id":"aks-north"}`, `{"isti\u006f.cluster_id":"aks-north"}`, `{`, "", "[2026", `{"k8s.cluster.name":{}}`,
		"2026-01-01T00:00:00.000000Z\tinfo\taccess\tconnection complete\tsrc.cluster=\"a\" direction=\"outbound\"",
	} {
		f.Add(seed)
	}
	j := &judge{id: mayOnly(f, west)}
	f.Fuzz(func(t *testing.T, text string) {
		i := item{j: j}
		i.body(pcommon.NewValueStr(text))
		if found := i.finding(); found.reason != fine && j.id.MaySpeakFor(found.claimed) {
			t.Fatalf("%q: %+v", text, found)
		}
	})
}
