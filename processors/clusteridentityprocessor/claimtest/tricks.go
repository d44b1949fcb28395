// SPDX-License-Identifier: Apache-2.0

package claimtest

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
	"github.com/otelcol-mesh/otelcol-mesh/processors/internal/attrs"
)

// Trick is one way to claim another cluster. Those without signals are tried with every signal.
type Trick struct {
	Name string
	// On are the signals, Reason is what the processor calls it.
	On     []string
	Reason string
	Do     func(p Parcel)
}

// Own names the sender's cluster as an honest sender does.
func Own(p Parcel) { p.Resource.PutStr(ClusterKey, West) }

func names(value string) func(Parcel) {
	return func(p Parcel) { p.Resource.PutStr(ClusterKey, value) }
}

func itemSays(keysAndValues ...string) func(Parcel) {
	return func(p Parcel) {
		Own(p)
		for i := 0; i < len(keysAndValues); i += 2 {
			p.Item.PutStr(keysAndValues[i], keysAndValues[i+1])
		}
	}
}

func spanSays(kind ptrace.SpanKind, keysAndValues ...string) func(Parcel) {
	return func(p Parcel) {
		p.Kind(kind)
		itemSays(keysAndValues...)(p)
	}
}

func bodySays(text string) func(Parcel) {
	return func(p Parcel) { Own(p); p.Body.SetStr(text) }
}

// InventoryOf claims to be the inventory of a cluster; what is empty is not said.
func InventoryOf(cluster, uid string) func(Parcel) {
	return func(p Parcel) {
		if cluster != "" {
			p.Resource.PutStr(ClusterKey, cluster)
		}
		if uid != "" {
			p.Resource.PutStr(UIDKey, uid)
		}
		p.ScopeName(inventory.ScopeName)
		p.Event("mesh.inventory.snapshot")
	}
}

// OfResources returns the tricks that any signal can play on its resource.
func OfResources() []Trick {
	twice := func(values ...string) func(Parcel) {
		return func(p Parcel) {
			for _, value := range values {
				attrs.Append(p.Resource, []string{ClusterKey}, []string{value})
			}
		}
	}
	list := []Trick{
		{"plain", nil, ForeignCluster, names(North)},
		{"twice, own first", nil, Malformed, twice(West, North)},
		{"twice, own last", nil, Malformed, twice(North, West)},
		{"thrice", nil, Malformed, twice(West, West, North)},
		{"empty first", nil, Malformed, twice("", North)},
		{"bytes", nil, Malformed, func(p Parcel) { p.Resource.PutEmptyBytes(ClusterKey).FromRaw([]byte(North)) }},
		{"list", nil, Malformed, func(p Parcel) { p.Resource.PutEmptySlice(ClusterKey).AppendEmpty().SetStr(North) }},
		{"map", nil, Malformed, func(p Parcel) { p.Resource.PutEmptyMap(ClusterKey).PutStr(ClusterKey, North) }},
		{"number", nil, Malformed, func(p Parcel) { p.Resource.PutInt(ClusterKey, 7) }},
		{"boolean", nil, Malformed, func(p Parcel) { p.Resource.PutBool(ClusterKey, true) }},
		{"tag on the resource", nil, ForeignSide, func(p Parcel) { p.Resource.PutStr(IstioKey, North) }},
		{"end on the resource", nil, ForeignSide, func(p Parcel) { Own(p); p.Resource.PutStr("mesh.source.cluster", North) }},
		{"tag on the scope", nil, ForeignSide, func(p Parcel) { Own(p); p.Scope.PutStr(IstioKey, North) }},
		{"cluster on the scope", nil, ForeignSide, func(p Parcel) { Own(p); p.Scope.PutStr(ClusterKey, North) }},
		{"forged verdict", nil, Malformed, func(p Parcel) { Own(p); p.Resource.PutStr("mesh.identity.sender", North) }},
	}
	for _, value := range []string{
		"AKS-WEST", "Aks-west", " aks-west", "aks-west ", "aks-west\x00", "aks-west\n", "aks-west\u200b", "аks-west", "aks‑west", "ａｋｓ－ｗｅｓｔ", "aks-wes", "aks-west2", "aks-west,aks-north",
	} {
		list = append(list, Trick{fmt.Sprintf("value %q", value), nil, ForeignCluster, names(value)})
	}
	for _, key := range []string{
		"K8S.Cluster.Name", "k8s.cluster.name ", " k8s.cluster.name", "k8s.cluster.nаme", "k8s.cluster\u200b.name", "ｋ8s.cluster.name", "Istio.cluster_id", "mesh.source.Cluster", "\u0456stio.cluster_id",
	} {
		list = append(list, Trick{fmt.Sprintf("key %q", key), nil, Malformed, func(p Parcel) { Own(p); p.Resource.PutStr(key, North) }})
	}
	return list
}

// OfItems returns those that an item plays, and inventories.
func OfItems() []Trick {
	const ztunnelLine = "2026-01-01T00:00:00.000000Z\tinfo\taccess\tconnection complete\tsrc.addr=10.0.0.1:5000 src.workload=\"a\" src.namespace=\"n\" src.cluster=\"aks-north\" " +
		"dst.addr=10.0.0.2:80 dst.cluster=\"aks-west\" direction=\"outbound\" bytes_sent=1 bytes_recv=1 duration=\"1ms\""
	return []Trick{
		{"client's own end", []string{Traces}, ForeignSide, spanSays(ptrace.SpanKindClient, "mesh.source.cluster", North, "mesh.destination.cluster", West)},
		{"server's own end", []string{Traces}, ForeignSide, spanSays(ptrace.SpanKindServer, "mesh.destination.cluster", North)},
		{"producer's own end", []string{Traces}, ForeignSide, spanSays(ptrace.SpanKindProducer, "mesh.source.cluster", North)},
		{"internal, was client", []string{Traces}, ForeignSide, spanSays(ptrace.SpanKindInternal, "mesh.span.original_kind", "client", "mesh.source.cluster", North, "mesh.destination.cluster", West)},
		{"outbound, of no kind", []string{Traces, Logs}, ForeignSide, itemSays("upstream_cluster", "outbound|80||a.b", "mesh.source.cluster", North, "mesh.destination.cluster", West)},
		{"inbound", []string{Traces, Logs}, ForeignSide, itemSays("envoy.upstream.cluster", "inbound|80||", "mesh.source.cluster", West, "mesh.destination.cluster", North)},
		{"both directions", []string{Traces, Logs}, ForeignSide, itemSays("envoy.upstream.cluster", "inbound|80||", "upstream_cluster", "outbound|80||a.b", "mesh.source.cluster", North, "mesh.destination.cluster", West)},
		{"no side, source", nil, ForeignSide, itemSays("mesh.source.cluster", North)},
		{"no side, both", nil, ForeignSide, itemSays("mesh.source.cluster", North, "mesh.destination.cluster", "aks-south")},
		{"a waypoint between others", nil, ForeignSide, itemSays("node_id", "waypoint~10.0.0.1~w.n~n.svc", "mesh.source.cluster", North, "mesh.destination.cluster", "aks-south")},
		{"Kubernetes as a stamp", []string{Traces}, ForeignSide, spanSays(ptrace.SpanKindClient, "mesh.source.cluster", "Kubernetes")},
		{"tag", nil, ForeignSide, itemSays(IstioKey, North)},
		{"tag and no name", nil, ForeignSide, func(p Parcel) { p.Item.PutStr(IstioKey, North) }},
		{"tag of bytes", nil, Malformed, func(p Parcel) { Own(p); p.Item.PutEmptyBytes(IstioKey).FromRaw([]byte(North)) }},
		{"tag twice", nil, ForeignSide, func(p Parcel) { Own(p); attrs.Append(p.Item, []string{IstioKey, IstioKey}, []string{West, North}) }},
		{"pod's cluster", nil, ForeignSide, itemSays(ClusterKey, North, "k8s.pod.name", "a")},
		{"label, source", []string{Metrics}, ForeignSide, itemSays("reporter", "source", "source_cluster", North, "destination_cluster", West)},
		{"label, destination", []string{Metrics}, ForeignSide, itemSays("reporter", "destination", "source_cluster", West, "destination_cluster", North)},
		{"label beside a stamp", []string{Metrics}, ForeignSide, itemSays("reporter", "source", "mesh.source.cluster", West, "source_cluster", North)},
		{"label, two reporters", []string{Metrics}, ForeignSide, func(p Parcel) {
			itemSays("source_cluster", West, "destination_cluster", North)(p)
			attrs.Append(p.Item, []string{"reporter", "reporter"}, []string{"source", "destination"})
		}},
		{"ztunnel, outbound", []string{Logs}, ForeignSide, itemSays("ztunnel.direction", "outbound", "ztunnel.source.cluster", North, "ztunnel.destination.cluster", West)},
		{"ztunnel, text", []string{Logs}, ForeignSide, bodySays(ztunnelLine)},
		{"JSON", []string{Logs}, ForeignSide, bodySays(`{"upstream_cluster":"outbound|80||a.b","istio.cluster_id":"aks-north"}`)},
		{"JSON, escaped", []string{Logs}, ForeignSide, bodySays(`{"upstream_cluster":"outbound|80||a.b","isti\u006f.clust\u0065r_id":"aks-north"}`)},
		{"JSON, pod's cluster", []string{Logs}, ForeignSide, bodySays(`{"upstream_cluster":"outbound|80||a.b","k8s.cluster.name":"aks-north","pod_name":"a"}`)},
		{"JSON, ztunnel", []string{Logs}, ForeignSide, bodySays(`{"src.addr":"10.0.0.1:1","dst.addr":"10.0.0.2:2","direction":"inbound","src.cluster":"aks-west","dst.cluster":"aks-north"}`)},
		{"map", []string{Logs}, ForeignSide, func(p Parcel) { Own(p); p.Body.SetEmptyMap().PutStr(IstioKey, North) }},
		{"inventory", []string{Logs}, ForeignInventory, InventoryOf(North, "")},
		{"inventory without a name", []string{Logs}, ForeignInventory, InventoryOf("", "")},
		{"inventory, unset name", []string{Logs}, ForeignInventory, InventoryOf("Kubernetes", "")},
		{"inventory, another's uid", []string{Logs}, ForeignUID, InventoryOf(West, "uid-of-north")},
	}
}

// ForgedHeaders are what a sender may write and nobody may believe.
var ForgedHeaders = map[string]string{
	"x-forwarded-client-cert": `By=spiffe://hub;Hash=00;URI=spiffe://aks-north.mesh.example/ns/otelcol-mesh/sa/agent`,
	"x-cluster-name":          North, "k8s.cluster.name": North, "authorization": "Bearer aks-north", "x-spiffe-id": "spiffe://aks-north.mesh.example/ns/otelcol-mesh/sa/agent",
	"ssl-client-verify": "SUCCESS", "cluster_identity.name": "spiffe://aks-north.mesh.example/ns/otelcol-mesh/sa/agent",
}
