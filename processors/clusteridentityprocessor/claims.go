// SPDX-License-Identifier: Apache-2.0

package clusteridentityprocessor

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/identity"
)

// reason is what was found.
type reason uint8

const (
	fine reason = iota
	unverified
	unnamed
	foreignCluster
	foreignSide
	foreignInventory
	foreignUID
	malformed
	reasonCount
)

var reasonWords = [reasonCount]string{"", "unverified", "unnamed", "foreign_cluster", "foreign_side", "foreign_inventory", "foreign_uid", "malformed"}

// finding is what is wrong with a resource, and what says so.
type finding struct {
	reason       reason
	key, claimed string
}

// side is the end of a call at which the reporter is, a bit for each.
type side uint8

const (
	sourceSide side = 1 << iota
	destinationSide
	// carrier says that the reporter is, or may be, at neither end: a waypoint, a gateway.
	carrier
)

// end is what an item says of the cluster of one end of a call.
type end struct {
	known, foreign bool
	key, claimed   string
}

// judge compares claims with one sender's identity. It is made once for a batch.
type judge struct {
	id    *identity.Identity
	unset []string
}

// isUnset says whether a value stands for no name.
func (j *judge) isUnset(value string) bool {
	switch value {
	case "", "unknown", "-":
		return true
	}
	return slices.Contains(j.unset, value)
}

// item gathers the claims of one item, be they in its attributes or its body.
type item struct {
	j *judge
	// bad is what is wrong whichever side the reporter is on.
	bad                  finding
	source, destination  end
	carrier              bool
	ztunnel, flow, label side
	kind                 side
	// sent is the name of the Envoy cluster that was read last.
	sent string
}

// letters are the first letters, a bit for each, of the keys that an item is looked at for, by the length of the key.
var letters = func() (by [32]uint32) {
	for _, key := range [...]string{
		"node_id", "envoy.node.id", "reporter", "direction", "ztunnel.direction", "upstream_cluster", "upstream_cluster.name", "envoy.upstream.cluster",
		"envoy.upstream.cluster.name", "mesh.span.original_kind", clusterKey, istioKey, "mesh.source.cluster", "mesh.destination.cluster", "source_cluster",
		"destination_cluster", "istio.source_cluster_id", "istio.destination_cluster_id", "src.cluster", "dst.cluster", "ztunnel.source.cluster",
		"ztunnel.destination.cluster",
	} {
		by[len(key)] |= 1 << (key[0] - 'a')
	}
	return by
}()

// told says whether a key may be one that an item is looked at for. It is inlined, and spares most keys the rest.
func told(key string) bool {
	return uint(len(key)-1) < 31 && letters[len(key)]>>(key[0]-'a')&1 != 0
}

// look reads an attribute.
func (i *item) look(key string, value pcommon.Value) {
	if told(key) {
		i.read(key, value)
	}
}

func (i *item) read(key string, value pcommon.Value) {
	switch len(key) {
	case 7:
		if key == "node_id" {
			i.node(value.Str())
		}
	case 8:
		if key == "reporter" {
			i.reporter(value.Str())
		}
	case 9:
		if key == "direction" {
			i.direction(value.Str())
		}
	case 11, 22, 27:
		i.lookZtunnel(key, value)
	case 13:
		if key == "envoy.node.id" {
			i.node(value.Str())
		}
	case 14, 19, 23, 24, 28:
		i.lookEnds(key, value)
	case 16:
		switch key {
		case istioKey, clusterKey:
			i.own(key, value)
		case "upstream_cluster":
			i.upstream(value.Str())
		}
	case 17:
		if key == "ztunnel.direction" {
			i.direction(value.Str())
		}
	case 21:
		if key == "upstream_cluster.name" {
			i.upstream(value.Str())
		}
	}
}

// The keys of what claims the reporter's cluster.
const (
	clusterKey = "k8s.cluster.name"
	uidKey     = "k8s.cluster.uid"
	istioKey   = "istio.cluster_id"
)

func (i *item) lookEnds(key string, value pcommon.Value) {
	switch key {
	case "mesh.source.cluster":
		i.stamped(&i.source, key, value)
	case "mesh.destination.cluster":
		i.stamped(&i.destination, key, value)
	case "source_cluster", "istio.source_cluster_id":
		i.end(&i.source, key, value)
	case "destination_cluster", "istio.destination_cluster_id":
		i.end(&i.destination, key, value)
	case "mesh.span.original_kind":
		i.originalKind(value.Str())
	}
}

func (i *item) lookZtunnel(key string, value pcommon.Value) {
	switch key {
	case "src.cluster", "ztunnel.source.cluster":
		i.end(&i.source, key, value)
	case "dst.cluster", "ztunnel.destination.cluster":
		i.end(&i.destination, key, value)
	case "envoy.upstream.cluster", "envoy.upstream.cluster.name":
		i.upstream(value.Str())
	}
}

// own reads a claim of the reporter's own cluster.
func (i *item) own(key string, value pcommon.Value) {
	text, ok := i.text(key, value)
	if ok && !i.j.id.MaySpeakFor(text) && !i.j.isUnset(text) {
		i.flag(foreignSide, key, text)
	}
}

// end reads a claim of the cluster of an end, in the words of a proxy.
func (i *item) end(e *end, key string, value pcommon.Value) {
	text, ok := i.text(key, value)
	if ok && !i.j.isUnset(text) {
		i.claim(e, key, text)
	}
}

// stamped reads one that an agent wrote, which writes no name for an end that has none.
func (i *item) stamped(e *end, key string, value pcommon.Value) {
	text, ok := i.text(key, value)
	if ok && text != "" {
		i.claim(e, key, text)
	}
}

func (i *item) claim(e *end, key, text string) {
	e.known = true
	if !e.foreign && !i.j.id.MaySpeakFor(text) {
		e.foreign, e.key, e.claimed = true, key, text
	}
}

// text reads a name; ok is false for none. Another type is a name to whoever prints it, and none to others.
func (i *item) text(key string, value pcommon.Value) (text string, ok bool) {
	switch value.Type() {
	case pcommon.ValueTypeStr:
		return value.Str(), true
	case pcommon.ValueTypeEmpty:
		return "", false
	}
	i.flag(malformed, key, value.AsString())
	return "", false
}

func (i *item) flag(why reason, key, claimed string) {
	if i.bad.reason == fine {
		i.bad = finding{why, key, claimed}
	}
}

// finding returns what is wrong with the item.
func (i *item) finding() finding {
	if i.bad.reason != fine || (!i.source.foreign && !i.destination.foreign) {
		return i.bad
	}
	at := i.side()
	switch {
	case at&sourceSide != 0 && i.source.foreign:
		return i.source.finding()
	case at&destinationSide != 0 && i.destination.foreign:
		return i.destination.finding()
	case at&(sourceSide|destinationSide) != 0:
		// The foreign end is the far one, which may be anywhere.
		return finding{}
	case i.source.known && i.destination.known && (!i.source.foreign || !i.destination.foreign):
		return finding{}
	case at == carrier && (!i.source.known || !i.destination.known):
		// The end that is not told may be at home.
		return finding{}
	case i.source.foreign:
		return i.source.finding()
	}
	return i.destination.finding()
}

func (e *end) finding() finding { return finding{foreignSide, e.key, e.claimed} }
