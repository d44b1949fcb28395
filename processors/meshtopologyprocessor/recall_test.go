// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/metadatatest"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/rules"
)

// everyKey are the keys that a reading knows, and some that it does not.
var everyKey = append([]string{
	"component", "node_id", "zone", "upstream_cluster", "upstream_cluster.name", "http.method", "http.request.method", "http.url", "url.full",
	"user_agent", "user_agent.original", "guid:x-request-id", "upstream_address", "upstream_host", "network.peer.address", "network.peer.port",
	"peer.address", "client.address", "downstream_remote_address", "downstream_direct_remote_address", "downstream_local_address",
	"response_flags", "requested_server_name", "downstream_peer_uri_san", "upstream_peer_uri_san", "k8s.pod.name", "pod_name",
	"k8s.namespace.name", "pod_namespace", "k8s.cluster.name", "tls.protocol.version", "tls.cipher",
	"envoy.node.id", "envoy.zone", "envoy.upstream.cluster", "envoy.upstream.cluster.name", "envoy.upstream.address",
	"envoy.downstream.address", "envoy.downstream.direct_address", "envoy.downstream.local_address", "envoy.response.flags", "envoy.tls.sni",
	"envoy.tls.peer.san", "envoy.tls.upstream.peer.san", "envoy.tls.local.san", "envoy.upstream_peer.name", "envoy.upstream_peer.workload",
	"envoy.downstream_peer.name", "envoy.downstream_peer.revision", "envoy.custom_tag.mesh.upstream.host", "envoy.custom_tag.mesh.downstream.host",
	"istio.cluster_id", "istio.namespace", "istio.canonical_service", "istio.canonical_revision", "istio.source_workload",
	"istio.source_instance_name", "istio.destination_workload", "istio.mesh_id", "mesh.upstream.host", "mesh.upstream.workload",
	"mesh.upstream.principal", "mesh.downstream.host", "mesh.downstream.principal", "mesh.other", "request_size", "", "envoy.duration_ms",
}, attributeNames[:]...)

// someValue sets a value that some rule or other looks at closely.
func someValue(r *rand.Rand, v pcommon.Value) {
	switch r.IntN(12) {
	case 0:
		v.SetBool(r.IntN(2) == 0)
	case 1:
		v.SetInt(int64(r.IntN(3) * 40000))
	default:
		v.SetStr(oneOf(r, "", "-", ":0", "10.0.0.1", "10.0.0.1:0", "10.0.0.1:80", "10.0.0.1:40000", "10.0.0.1:40001", "10.0.0.1:00", "-:80",
			"[fd00::1]:80", "[fd00::1]:0", "[fd00::1]", "[a]:0:80", "[a]:0", "[a]:0:5:80", "[a]:0:5", "fd00::1", "proxy", "80", "UH", "latest",
			"outbound|80||web.shop.svc.cluster.local", "spiffe://west.mesh/ns/shop/sa/web", "aks-westeurope", "tag", "mutual", productpageNode))
	}
}

// verdictOn is what of a reading a verdict, and what is written, depend on.
func verdictOn(kind rules.Kind, attrs pcommon.Map) [6]any {
	var r reading
	r.attributes(attrs)
	r.settle(kind)
	r.call.DownstreamAddress = withoutPort(r.call.DownstreamAddress)
	return [6]any{r.call, r.stamped, r.proxy, r.nodeID, r.tagCluster, r.tls}
}

// TestWhatIsNotLookedAtTellsNothing: spans that say the same, as far as it is compared, are read the same. What differs
// between the two is drawn from all keys and from the nastiest values.
func TestWhatIsNotLookedAtTellsNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	same, ports := 0, 0
	var memo spanMemo
	for range 100_000 {
		first, second := pcommon.NewMap(), pcommon.NewMap()
		for range 1 + r.IntN(8) {
			someValue(r, first.PutEmpty(everyKey[r.IntN(len(everyKey))]))
		}
		if r.IntN(4) == 0 {
			first.PutStr("network.peer.address", "10.0.0.1")
			first.PutInt("network.peer.port", int64(r.IntN(2)))
		}
		first.CopyTo(second)
		for _, value := range second.All() {
			if r.IntN(3) == 0 {
				someValue(r, value)
			}
		}
		kind := oneOf(r, rules.ClientKind, rules.ServerKind, rules.OtherKind)
		var what, other said
		memo.vain = 0
		memo.learn(kind, first, &what)
		var read reading
		read.attributes(first)
		read.settle(kind)
		memo.keep(&what, &read, &held[rules.Call]{})
		if memo.find(kind, second, &other) == nil || first.Equal(second) {
			continue
		}
		same++
		if value, ok := second.Get("downstream_remote_address"); ok && strings.HasSuffix(value.Str(), ":40001") {
			ports++
		}
		require.Equal(t, verdictOn(kind, first), verdictOn(kind, second), "%v\n%v", first.AsRaw(), second.AsRaw())
	}
	assert.Greater(t, same, 1000)
	assert.Greater(t, ports, 10, "the port of the caller is left out")
}

// alikeSpans makes up resources of a few proxies whose spans repeat, but for ids, sizes, times and the ports of callers.
func alikeSpans(r *rand.Rand, kinds []pcommon.Map) ptrace.Traces {
	td := ptrace.NewTraces()
	for range 1 + r.IntN(4) {
		rs := td.ResourceSpans().AppendEmpty()
		nodes := []string{productpageNode, reviewsNode, "waypoint~127.1.0.61~waypoint-1.bookinfo~bookinfo.svc.cluster.local"}
		node := oneOf(r, nodes...)
		// Who reported may also stand on the resource alone, so that the spans of several proxies say the same.
		onResource, nameless := r.IntN(3) == 0, r.IntN(4) == 0
		if onResource {
			rs.Resource().Attributes().PutStr("envoy.node.id", node)
		}
		ss := rs.ScopeSpans().AppendEmpty()
		ss.Scope().SetName(oneOf(r, "envoy", "envoy", "other"))
		few := kinds[r.IntN(len(kinds)-1):][:2]
		for i := range 12 {
			span := ss.Spans().AppendEmpty()
			span.SetKind(oneOf(r, ptrace.SpanKindClient, ptrace.SpanKindClient, ptrace.SpanKindServer))
			span.SetStartTimestamp(someTime(r))
			span.SetSpanID([8]byte{byte(i + 1)})
			span.SetParentSpanID([8]byte{byte(r.IntN(5))})
			few[r.IntN(2)].CopyTo(span.Attributes())
			span.Attributes().PutStr("guid:x-request-id", strconv.Itoa(r.IntN(1000)))
			if r.IntN(3) > 0 {
				span.Attributes().PutStr("mesh.downstream.host", fmt.Sprintf("127.1.0.%d:%d", 31+10*r.IntN(2), r.IntN(3)))
			}
			switch {
			case onResource || nameless:
			case r.IntN(40) == 0:
				span.Attributes().PutStr("node_id", oneOf(r, nodes...))
			case r.IntN(20) > 0:
				span.Attributes().PutStr("node_id", node)
				span.Attributes().PutStr("istio.cluster_id", "aks-westeurope")
			}
		}
	}
	return td
}

// TestASpanIsStampedAsWithoutMemory: what is remembered of earlier spans changes nothing, whatever is written, whenever
// the calls were and whatever the spans say of earlier verdicts.
func TestASpanIsStampedAsWithoutMemory(t *testing.T) {
	_, snapshot := changing(t)
	m, err := newMeshTopology(metadatatest.NewSettings(componenttest.NewTelemetry()), createDefaultConfig().(*Config))
	require.NoError(t, err)
	held := &fakeTopology{}
	held.Set(snapshot)
	require.NoError(t, m.start(t.Context(), hostOf(held)))
	m.now = func() time.Time { return onThatDay(10, 10, 0) }
	r := rand.New(rand.NewPCG(9, 10))
	kinds := make([]pcommon.Map, 12)
	for i := range kinds {
		kinds[i] = someItem(r)
	}
	// Only the scope, or the node id, tells that these are Envoy's.
	for i, key := range []string{"component", "upstream_cluster"} {
		kinds[i].Remove(key)
		kinds[i+1].Remove(key)
	}
	found := 0
	for range 400 {
		if r.IntN(10) == 0 {
			m.attributes = someSet(r)
		}
		with := alikeSpans(r, kinds)
		without, before := ptrace.NewTraces(), ptrace.NewTraces()
		with.CopyTo(without)
		with.CopyTo(before)
		fast, slow := m.newBatch(context.Background()), m.newBatch(context.Background())
		slow.memo = &memo{snapshot: slow.snapshot, attributes: m.attributes, spans: spanMemo{vain: patience + 1}}
		slow.memo.calls.vain = patience + 1
		for i := range before.ResourceSpans().Len() {
			fast.resourceSpans(with.ResourceSpans(), with.ResourceSpans().At(i))
			slow.resourceSpans(without.ResourceSpans(), without.ResourceSpans().At(i))
		}
		require.Equal(t, asText(t, without), asText(t, with))
		require.Equal(t, slow.tally, fast.tally)
		for _, rs := range before.ResourceSpans().All() {
			for _, span := range rs.ScopeSpans().At(0).Spans().All() {
				if fast.memo.spans.find(kindOf(span.Kind()), span.Attributes(), &said{}) != nil {
					found++
				}
			}
		}
		fast.finish(context.Background())
	}
	assert.Greater(t, found, 1000, "nothing was remembered, so nothing was tested")
}

// TestSpansThatNeverRepeatAreNotRemembered: their sender pays for it no longer than that.
func TestSpansThatNeverRepeatAreNotRemembered(t *testing.T) {
	var memo spanMemo
	learnt := 0
	for i := range 10 * patience {
		attrs := pcommon.NewMap()
		attrs.PutStr(fmt.Sprint("key", i), "value")
		var what said
		require.Nil(t, memo.find(rules.ClientKind, attrs, &what))
		memo.learn(rules.ClientKind, attrs, &what)
		if what.form != nil {
			learnt++
		}
	}
	assert.Equal(t, patience+1, learnt)
	memo.forget()
	var what said
	memo.learn(rules.ClientKind, pcommon.NewMap(), &what)
	assert.NotNil(t, what.form, "a new snapshot is a new chance")
}

// TestTooMuchIsNotRemembered: beyond the ceilings a span is read like the first of its kind.
func TestTooMuchIsNotRemembered(t *testing.T) {
	texts := slices.DeleteFunc(slices.Clone(everyKey), func(key string) bool { return !strings.HasPrefix(key, "envoy.") })
	for name, c := range map[string]struct {
		fill func(m pcommon.Map)
		want bool
	}{
		"as many as may be": {func(m pcommon.Map) {
			for i := range maxFormed {
				m.PutStr(fmt.Sprint("key", i), "")
			}
		}, true},
		"one more": {func(m pcommon.Map) {
			for i := range maxFormed + 1 {
				m.PutStr(fmt.Sprint("key", i), "")
			}
		}, false},
		"too many that count": {func(m pcommon.Map) {
			for _, key := range texts[:20] {
				m.PutStr(key, "")
			}
			for _, name := range attributeNames {
				m.PutStr(name, "")
			}
		}, false},
		"a number that counts":     {func(m pcommon.Map) { m.PutInt("upstream_cluster", 1) }, false},
		"a list that counts":       {func(m pcommon.Map) { m.PutEmptySlice("upstream_cluster") }, false},
		"a list that does not":     {func(m pcommon.Map) { m.PutEmptySlice("request_size") }, true},
		"a port":                   {func(m pcommon.Map) { m.PutInt("network.peer.port", 1) }, true},
		"no attributes whatsoever": {func(pcommon.Map) {}, true},
	} {
		t.Run(name, func(t *testing.T) {
			var memo spanMemo
			var what said
			attrs := pcommon.NewMap()
			c.fill(attrs)
			memo.learn(rules.ClientKind, attrs, &what)
			assert.Equal(t, c.want, what.form != nil)
		})
	}
}
