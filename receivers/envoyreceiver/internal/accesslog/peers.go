// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/attr"
)

// peerFields are the names of a peer's fields, in the order of [fieldsOf].
var peerFields = [...]string{
	"type", "workload", "name", "cluster", "namespace", "service", "revision", "app", "version", "identity", "region",
	"availability_zone", "owner",
}

func fieldsOf(p *envoy.Peer) [len(peerFields)]string {
	return [...]string{
		p.Type, p.Workload, p.Name, p.Cluster, p.Namespace, p.Service, p.Revision, p.App, p.Version, p.Identity, p.Region,
		p.Zone, p.Owner,
	}
}

// peerSide is an end of a connection.
type peerSide struct {
	// objects are the filter state objects in which Istio's proxy keeps what it learned of it, the one to prefer first:
	// today's, its twin that access log formats read fields of, and the one before Istio 1.24.
	objects [3]string
	// keys are the attributes of the fields, and label begins those of labels.
	keys  [len(peerFields)]string
	label string
}

var peerSides = [...]peerSide{newPeerSide("downstream_peer"), newPeerSide("upstream_peer")}

func newPeerSide(name string) peerSide {
	side := peerSide{objects: [...]string{name, name + "_obj", "wasm." + name}, label: "envoy." + name + ".label."}
	for i, field := range peerFields {
		side.keys[i] = "envoy." + name + "." + field
	}
	return side
}

// peersDone are the names of the objects that [putPeers] has dealt with.
type peersDone [len(peerSides) * 3]string

func (d peersDone) has(name string) bool { return name != "" && slices.Contains(d[:], name) }

// putPeers writes what the best object tells of each peer. One that cannot be read is counted, and the next one taken.
// An older object beside a newer one is left to be written as other filter state is, but a twin says the same again.
func putPeers(objects map[string]*anypb.Any, w attr.Writer) (done peersDone) {
	n := 0
	for i := range peerSides {
		side, known := &peerSides[i], false
		for rank, name := range side.objects {
			packed := objects[name]
			if packed == nil || (known && rank == len(side.objects)-1) {
				continue
			}
			done[n] = name
			n++
			known = known || putPeer(side, packed, w)
		}
	}
	return done
}

// putPeer reports whether the object tells of the peer.
func putPeer(side *peerSide, packed *anypb.Any, w attr.Writer) bool {
	text, ok := peerText(packed)
	if !ok {
		w.Tally.Skip(attr.SkipFilterState, 1)
		return false
	}
	var peer envoy.Peer
	if err := peer.Parse(text); err != nil {
		if text != "" {
			w.Tally.Skip(attr.SkipPeer+envoy.ErrorReason(err), 1)
		}
		return false
	}
	writePeer(side, &peer, w)
	return true
}

// peerText returns the peer's metadata, encoded. A wrapper holds it as the WebAssembly extension left it, which Envoy
// cannot take apart: a FlatBuffer, or a text.
func peerText(packed *anypb.Any) (string, bool) {
	packed = unpackAny(packed)
	if packed.MessageIs((*structpb.Struct)(nil)) {
		return string(packed.GetValue()), true
	}
	var bytes wrapperspb.BytesValue
	if packed.MessageIs(&bytes) {
		ok := proto.Unmarshal(packed.GetValue(), &bytes) == nil
		return string(bytes.GetValue()), ok
	}
	var text wrapperspb.StringValue
	if packed.MessageIs(&text) {
		ok := proto.Unmarshal(packed.GetValue(), &text) == nil
		return text.GetValue(), ok
	}
	return "", false
}

func writePeer(side *peerSide, peer *envoy.Peer, w attr.Writer) {
	for i, value := range fieldsOf(peer) {
		w.Str(w.Cut(side.keys[i]), value)
	}
	labels := peer.Labels
	if over := len(labels) - w.Limits.MaxMapEntries; over > 0 {
		w.Tally.Skip(attr.SkipMapEntries, over)
		labels = labels[:w.Limits.MaxMapEntries]
	}
	for _, label := range labels {
		w.Str(w.Cut(side.label+label.Key), label.Value)
	}
	if peer.Unknown > 0 {
		w.Tally.Skip(attr.SkipPeerField, peer.Unknown)
	}
}
