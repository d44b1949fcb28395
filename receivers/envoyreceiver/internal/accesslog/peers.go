// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"strings"

	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/attr"
)

// Filter state in which Istio's proxy keeps what it learned about the other ends (istio/proxy extensions/common,
// metadata_object). Before Istio 1.24 the names begin with "wasm.".
const (
	upstreamPeer   = "upstream_peer"
	downstreamPeer = "downstream_peer"
	wasmPrefix     = "wasm."
)

// peerFields are the names of a peer's fields in the older form, in which the peer is a node's metadata, by the names
// they have today.
var peerFields = map[string]string{
	"NAME":              "name",
	"NAMESPACE":         "namespace",
	"CLUSTER_ID":        "cluster",
	"WORKLOAD_NAME":     "workload",
	"OWNER":             "owner",
	"IDENTITY":          "identity",
	"REGION":            "region",
	"AVAILABILITY_ZONE": "availability_zone",
	"LABELS":            "labels",
}

// peerSide says which peer a filter state object describes. An object under the older name counts only if there is
// none under today's.
func peerSide(name string, objects map[string]*anypb.Any) (side string, ok bool) {
	short, old := strings.CutPrefix(name, wasmPrefix)
	if short != upstreamPeer && short != downstreamPeer {
		return "", false
	}
	if _, today := objects[short]; old && today {
		return "", false
	}
	return short, true
}

func putPeer(side string, packed *anypb.Any, w attr.Writer) {
	peer, ok := unpackStruct(packed)
	if !ok {
		w.Tally.Skip(attr.SkipFilterState, 1)
		return
	}
	prefix := "envoy." + side + "."
	fields := peer.GetFields()
	for _, name := range keysWithin(fields, w) {
		field := name
		if today := peerFields[name]; today != "" {
			field = today
		}
		if field == "labels" {
			putLabels(prefix+"label.", fields[name].GetStructValue(), w)
			continue
		}
		putValue(w.Cut(prefix+field), fields[name], w)
	}
}

func putLabels(prefix string, labels *structpb.Struct, w attr.Writer) {
	fields := labels.GetFields()
	for _, name := range keysWithin(fields, w) {
		putValue(w.Cut(prefix+name), fields[name], w)
	}
}
