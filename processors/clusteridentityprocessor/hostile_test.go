// SPDX-License-Identifier: Apache-2.0

package clusteridentityprocessor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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
	"go.opentelemetry.io/otel/attribute"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/pkitest"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
	"github.com/otelcol-mesh/otelcol-mesh/processors/internal/attrs"
)

// markerKey says of a resource whose it is: "hostile" resources must not arrive.
const markerKey = "test.marker"

// parcel is one resource of any signal with one item, for tricks to change.
type parcel struct {
	resource, scope, item pcommon.Map
	scopeName             func(string)
	// body, event and kind are set for the signals that have them.
	body  pcommon.Value
	event func(string)
	kind  func(ptrace.SpanKind)
}

// envelope is a request of one signal.
type envelope struct {
	signal signal
	td     ptrace.Traces
	ld     plog.Logs
	md     pmetric.Metrics
}

func newEnvelope(s signal) *envelope {
	return &envelope{signal: s, td: ptrace.NewTraces(), ld: plog.NewLogs(), md: pmetric.NewMetrics()}
}

func (e *envelope) add(marker string) parcel {
	var p parcel
	switch e.signal {
	case traces:
		rs := e.td.ResourceSpans().AppendEmpty()
		ss := rs.ScopeSpans().AppendEmpty()
		span := ss.Spans().AppendEmpty()
		p = parcel{resource: rs.Resource().Attributes(), scope: ss.Scope().Attributes(), item: span.Attributes(), kind: span.SetKind, scopeName: ss.Scope().SetName}
	case logs:
		rl := e.ld.ResourceLogs().AppendEmpty()
		sl := rl.ScopeLogs().AppendEmpty()
		record := sl.LogRecords().AppendEmpty()
		p = parcel{resource: rl.Resource().Attributes(), scope: sl.Scope().Attributes(), item: record.Attributes(), body: record.Body(), event: record.SetEventName, scopeName: sl.Scope().SetName}
	default:
		rm := e.md.ResourceMetrics().AppendEmpty()
		sm := rm.ScopeMetrics().AppendEmpty()
		metric := sm.Metrics().AppendEmpty()
		metric.SetName("istio_requests_total")
		p = parcel{resource: rm.Resource().Attributes(), scope: sm.Scope().Attributes(), item: metric.SetEmptySum().DataPoints().AppendEmpty().Attributes(), scopeName: sm.Scope().SetName}
	}
	p.resource.PutStr(markerKey, marker)
	return p
}

func (e *envelope) request() any {
	switch e.signal {
	case traces:
		return ptraceotlp.NewExportRequestFromTraces(e.td)
	case logs:
		return plogotlp.NewExportRequestFromLogs(e.ld)
	}
	return pmetricotlp.NewExportRequestFromMetrics(e.md)
}

// trick is one way to claim another cluster. Those without signals are tried with every signal.
type trick struct {
	name   string
	on     []signal
	reason reason
	do     func(p parcel)
}

// own names the sender's cluster as an honest sender does.
func own(p parcel) { p.resource.PutStr(clusterKey, west) }

func names(value string) func(parcel) {
	return func(p parcel) { p.resource.PutStr(clusterKey, value) }
}

func itemSays(keysAndValues ...string) func(parcel) {
	return func(p parcel) {
		own(p)
		for i := 0; i < len(keysAndValues); i += 2 {
			p.item.PutStr(keysAndValues[i], keysAndValues[i+1])
		}
	}
}

func spanSays(kind ptrace.SpanKind, keysAndValues ...string) func(parcel) {
	return func(p parcel) {
		p.kind(kind)
		itemSays(keysAndValues...)(p)
	}
}

func bodySays(text string) func(parcel) {
	return func(p parcel) { own(p); p.body.SetStr(text) }
}

func inventoryOf(cluster, uid string) func(parcel) {
	return func(p parcel) {
		if cluster != "" {
			p.resource.PutStr(clusterKey, cluster)
		}
		if uid != "" {
			p.resource.PutStr(uidKey, uid)
		}
		p.scopeName(inventory.ScopeName)
		p.event("mesh.inventory.snapshot")
	}
}

func resourceTricks() []trick {
	twice := func(values ...string) func(parcel) {
		return func(p parcel) {
			for _, value := range values {
				attrs.Append(p.resource, []string{clusterKey}, []string{value})
			}
		}
	}
	list := []trick{
		{"plain", nil, foreignCluster, names(north)},
		{"twice, own first", nil, malformed, twice(west, north)},
		{"twice, own last", nil, malformed, twice(north, west)},
		{"thrice", nil, malformed, twice(west, west, north)},
		{"empty first", nil, malformed, twice("", north)},
		{"bytes", nil, malformed, func(p parcel) { p.resource.PutEmptyBytes(clusterKey).FromRaw([]byte(north)) }},
		{"list", nil, malformed, func(p parcel) { p.resource.PutEmptySlice(clusterKey).AppendEmpty().SetStr(north) }},
		{"map", nil, malformed, func(p parcel) { p.resource.PutEmptyMap(clusterKey).PutStr(clusterKey, north) }},
		{"number", nil, malformed, func(p parcel) { p.resource.PutInt(clusterKey, 7) }},
		{"boolean", nil, malformed, func(p parcel) { p.resource.PutBool(clusterKey, true) }},
		{"tag on the resource", nil, foreignSide, func(p parcel) { p.resource.PutStr(istioKey, north) }},
		{"end on the resource", nil, foreignSide, func(p parcel) { own(p); p.resource.PutStr("mesh.source.cluster", north) }},
		{"tag on the scope", nil, foreignSide, func(p parcel) { own(p); p.scope.PutStr(istioKey, north) }},
		{"cluster on the scope", nil, foreignSide, func(p parcel) { own(p); p.scope.PutStr(clusterKey, north) }},
		{"forged verdict", nil, malformed, func(p parcel) { own(p); p.resource.PutStr(senderKey, north) }},
	}
	for _, value := range []string{
		"AKS-WEST", "Aks-west", " aks-west", "aks-west ", "aks-west\x00", "aks-west\n", "aks-west\u200b", "аks-west", "aks‑west", "ａｋｓ－ｗｅｓｔ", "aks-wes", "aks-west2", "aks-west,aks-north",
	} {
		list = append(list, trick{fmt.Sprintf("value %q", value), nil, foreignCluster, names(value)})
	}
	for _, key := range []string{
		"K8S.Cluster.Name", "k8s.cluster.name ", " k8s.cluster.name", "k8s.cluster.nаme", "k8s.cluster\u200b.name", "ｋ8s.cluster.name", "Istio.cluster_id", "mesh.source.Cluster", "\u0456stio.cluster_id",
	} {
		list = append(list, trick{fmt.Sprintf("key %q", key), nil, malformed, func(p parcel) { own(p); p.resource.PutStr(key, north) }})
	}
	return list
}

func itemTricks() []trick {
	const ztunnelLine = "2026-01-01T00:00:00.000000Z\tinfo\taccess\tconnection complete\tsrc.addr=10.0.0.1:5000 src.workload=\"a\" src.namespace=\"n\" src.cluster=\"aks-north\" " +
		"dst.addr=10.0.0.2:80 dst.cluster=\"aks-west\" direction=\"outbound\" bytes_sent=1 bytes_recv=1 duration=\"1ms\""
	return []trick{
		{"client's own end", []signal{traces}, foreignSide, spanSays(ptrace.SpanKindClient, "mesh.source.cluster", north, "mesh.destination.cluster", west)},
		{"server's own end", []signal{traces}, foreignSide, spanSays(ptrace.SpanKindServer, "mesh.destination.cluster", north)},
		{"producer's own end", []signal{traces}, foreignSide, spanSays(ptrace.SpanKindProducer, "mesh.source.cluster", north)},
		{"internal, was client", []signal{traces}, foreignSide, spanSays(ptrace.SpanKindInternal, "mesh.span.original_kind", "client", "mesh.source.cluster", north, "mesh.destination.cluster", west)},
		{"outbound, of no kind", []signal{traces, logs}, foreignSide, itemSays("upstream_cluster", "outbound|80||a.b", "mesh.source.cluster", north, "mesh.destination.cluster", west)},
		{"inbound", []signal{traces, logs}, foreignSide, itemSays("envoy.upstream.cluster", "inbound|80||", "mesh.source.cluster", west, "mesh.destination.cluster", north)},
		{"both directions", []signal{traces, logs}, foreignSide, itemSays("envoy.upstream.cluster", "inbound|80||", "upstream_cluster", "outbound|80||a.b", "mesh.source.cluster", north, "mesh.destination.cluster", west)},
		{"no side, source", nil, foreignSide, itemSays("mesh.source.cluster", north)},
		{"no side, both", nil, foreignSide, itemSays("mesh.source.cluster", north, "mesh.destination.cluster", "aks-south")},
		{"a waypoint between others", nil, foreignSide, itemSays("node_id", "waypoint~10.0.0.1~w.n~n.svc", "mesh.source.cluster", north, "mesh.destination.cluster", "aks-south")},
		{"Kubernetes as a stamp", []signal{traces}, foreignSide, spanSays(ptrace.SpanKindClient, "mesh.source.cluster", "Kubernetes")},
		{"tag", nil, foreignSide, itemSays(istioKey, north)},
		{"tag and no name", nil, foreignSide, func(p parcel) { p.item.PutStr(istioKey, north) }},
		{"tag of bytes", nil, malformed, func(p parcel) { own(p); p.item.PutEmptyBytes(istioKey).FromRaw([]byte(north)) }},
		{"tag twice", nil, foreignSide, func(p parcel) { own(p); attrs.Append(p.item, []string{istioKey, istioKey}, []string{west, north}) }},
		{"pod's cluster", nil, foreignSide, itemSays(clusterKey, north, "k8s.pod.name", "a")},
		{"label, source", []signal{metrics}, foreignSide, itemSays("reporter", "source", "source_cluster", north, "destination_cluster", west)},
		{"label, destination", []signal{metrics}, foreignSide, itemSays("reporter", "destination", "source_cluster", west, "destination_cluster", north)},
		{"label beside a stamp", []signal{metrics}, foreignSide, itemSays("reporter", "source", "mesh.source.cluster", west, "source_cluster", north)},
		{"label, two reporters", []signal{metrics}, foreignSide, func(p parcel) {
			itemSays("source_cluster", west, "destination_cluster", north)(p)
			attrs.Append(p.item, []string{"reporter", "reporter"}, []string{"source", "destination"})
		}},
		{"ztunnel, outbound", []signal{logs}, foreignSide, itemSays("ztunnel.direction", "outbound", "ztunnel.source.cluster", north, "ztunnel.destination.cluster", west)},
		{"ztunnel, text", []signal{logs}, foreignSide, bodySays(ztunnelLine)},
		{"JSON", []signal{logs}, foreignSide, bodySays(`{"upstream_cluster":"outbound|80||a.b","istio.cluster_id":"aks-north"}`)},
		{"JSON, escaped", []signal{logs}, foreignSide, bodySays(`{"upstream_cluster":"outbound|80||a.b","isti\u006f.clust\u0065r_id":"aks-north"}`)},
		{"JSON, pod's cluster", []signal{logs}, foreignSide, bodySays(`{"upstream_cluster":"outbound|80||a.b","k8s.cluster.name":"aks-north","pod_name":"a"}`)},
		{"JSON, ztunnel", []signal{logs}, foreignSide, bodySays(`{"src.addr":"10.0.0.1:1","dst.addr":"10.0.0.2:2","direction":"inbound","src.cluster":"aks-west","dst.cluster":"aks-north"}`)},
		{"map", []signal{logs}, foreignSide, func(p parcel) { own(p); p.body.SetEmptyMap().PutStr(istioKey, north) }},
		{"inventory", []signal{logs}, foreignInventory, inventoryOf(north, "")},
		{"inventory without a name", []signal{logs}, foreignInventory, inventoryOf("", "")},
		{"inventory, unset name", []signal{logs}, foreignInventory, inventoryOf("Kubernetes", "")},
		{"inventory, another's uid", []signal{logs}, foreignUID, inventoryOf(west, "uid-of-north")},
	}
}

// forgedHeaders are what a sender may write and nobody may believe.
var forgedHeaders = map[string]string{
	"x-forwarded-client-cert": `By=spiffe://hub;Hash=00;URI=spiffe://aks-north.mesh.example/ns/otelcol-mesh/sa/agent`,
	"x-cluster-name":          north, "k8s.cluster.name": north, "authorization": "Bearer aks-north", "x-spiffe-id": "spiffe://aks-north.mesh.example/ns/otelcol-mesh/sa/agent",
	"ssl-client-verify": "SUCCESS", "cluster_identity.name": "spiffe://aks-north.mesh.example/ns/otelcol-mesh/sa/agent",
}

// TestCraftedBatches sends a thousand requests that claim another cluster, in every way there is, while two clusters send
// what is true of them: nothing of the former arrives and each is counted, everything of the latter does.
func TestCraftedBatches(t *testing.T) {
	p := newPKI(t)
	h := startHub(t, p)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()

	// What is known of the other cluster before.
	westAgent, northAgent := h.sender(t, p.agent(t, west).TLS), h.sender(t, p.agent(t, north).TLS)
	known := newEnvelope(logs)
	inventoryOf(north, "uid-of-north")(known.add("honest"))
	require.NoError(t, northAgent.export(ctx, known.request(), false, nil))

	stop := make(chan struct{})
	var honest sync.WaitGroup
	var sent [2]int
	for i, s := range [...]*sender{westAgent, northAgent} {
		honest.Go(func() { sent[i] = sendHonest(ctx, t, s, [...]string{west, north}[i], stop) })
	}

	hostile := []*sender{h.sender(t, p.agent(t, west).TLS), h.sender(t, p.shared(t, p.west).TLS)}
	tricks := append(resourceTricks(), itemTricks()...)
	var want [reasonCount]int64
	batches, mixed := 0, 0
	for batches < 1000 {
		for _, trick := range tricks {
			on := trick.on
			if on == nil {
				on = []signal{traces, logs, metrics}
			}
			for _, s := range on {
				overHTTP, mix := batches%2 == 1, batches%3 == 0
				e := newEnvelope(s)
				trick.do(e.add("hostile " + trick.name))
				if mix {
					own(e.add("honest"))
					mixed++
				}
				var headers map[string]string
				if batches%5 == 0 {
					headers = forgedHeaders
				}
				err := hostile[batches/2%2].export(ctx, e.request(), overHTTP, headers)
				if mix {
					assert.NoError(t, err, trick.name)
				} else {
					assertForbidden(t, err, trick.name)
				}
				want[trick.reason]++
				batches++
			}
		}
	}
	close(stop)
	honest.Wait()
	for why := fine + 1; why < reasonCount; why++ {
		attrs := []attribute.KeyValue{attribute.String("reason", reasonWords[why]), attribute.String("action", "rejected")}
		assert.Equal(t, want[why], h.sum(t, "processor_cluster_identity_flagged_resources", attrs...), reasonWords[why])
		assert.Equal(t, want[why], h.sum(t, "processor_cluster_identity_flagged_items", attrs...), reasonWords[why])
	}
	arrived, wrong := h.arrived(t)
	assert.Empty(t, wrong)
	assert.Equal(t, 1+mixed+sent[0]+sent[1], arrived, "honest resources")
	assert.Zero(t, h.sum(t, "extension_cluster_identity_refused_requests"))
	t.Logf("%d crafted batches of %d tricks, %d of them beside an honest resource; %d honest batches beside them", batches, len(tricks), mixed, sent[0]+sent[1])
}

func startHub(t *testing.T, p pki) *hub {
	server, bundle := t.TempDir(), t.TempDir()
	p.root.Issue(t, pkitest.Leaf{CommonName: "hub"}).Write(t, server)
	pkitest.WriteBundle(t, bundle, p.root)
	return newHub(t, p, time.Hour, server, bundle, nil)
}

// assertForbidden: the sender is told, for good.
func assertForbidden(t *testing.T, err error, name string) {
	t.Helper()
	if answer, ok := errors.AsType[*httpError](err); ok {
		assert.Equal(t, http.StatusForbidden, answer.status, name)
		return
	}
	assert.Equal(t, codes.PermissionDenied, status.Code(err), "%s: %v", name, err)
}

// sendHonest sends what is true of a cluster until it is told to stop, and returns how many resources that were.
func sendHonest(ctx context.Context, t *testing.T, s *sender, cluster string, stop <-chan struct{}) (sent int) {
	far := map[string]string{west: north, north: west}[cluster]
	for {
		select {
		case <-stop:
			return sent
		default:
		}
		e := newEnvelope([...]signal{traces, logs, metrics}[sent%3])
		p := e.add("honest")
		// Some name their cluster, some leave that to the hub, and all call the other one.
		if sent%2 == 0 {
			p.resource.PutStr(clusterKey, cluster)
		}
		p.item.PutStr(istioKey, "Kubernetes")
		p.item.PutStr("mesh.source.cluster", cluster)
		p.item.PutStr("mesh.destination.cluster", far)
		switch e.signal {
		case traces:
			p.kind(ptrace.SpanKindClient)
		case metrics:
			p.item.PutStr("reporter", "source")
		}
		if !assert.NoError(t, s.export(ctx, e.request(), sent%4 < 2, nil)) {
			return sent
		}
		sent++
	}
}

// arrived returns how many honest resources arrived, and the markers of those that should not have; each that did has to
// name a cluster.
func (h *hub) arrived(t *testing.T) (honest int, wrong []string) {
	look := func(resource pcommon.Map) {
		marker, _ := resource.Get(markerKey)
		if strings.HasPrefix(marker.Str(), "hostile") {
			wrong = append(wrong, marker.Str())
			return
		}
		honest++
		cluster, ok := resource.Get(clusterKey)
		assert.True(t, ok && (cluster.Str() == west || cluster.Str() == north))
	}
	for _, td := range h.traces.AllTraces() {
		for _, rs := range td.ResourceSpans().All() {
			look(rs.Resource().Attributes())
		}
	}
	for _, ld := range h.logs.AllLogs() {
		for _, rl := range ld.ResourceLogs().All() {
			look(rl.Resource().Attributes())
		}
	}
	for _, md := range h.metrics.AllMetrics() {
		for _, rm := range md.ResourceMetrics().All() {
			look(rm.Resource().Attributes())
		}
	}
	return honest, wrong
}
