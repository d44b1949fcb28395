// SPDX-License-Identifier: Apache-2.0

package pairing

import "github.com/otelcol-mesh/otelcol-mesh/internal/mesh"

// relation is what a span is to the span above it.
type relation uint8

const (
	// unrelated spans tell each other nothing. Above all: an inbound span and the calls that the same pod makes while it
	// answers, and an outbound span under another sidecar's, where headers were passed on unseen.
	unrelated relation = iota
	// called: the upper span sent what the lower one received, at the called workload.
	called
	// entered: the lower span is that of a gateway which was called, about the call that it makes in turn.
	entered
	// carried: the lower span is a waypoint's, on the way to the called workload.
	carried
	// attempted: the lower span is one attempt of the same proxy at the call of the upper one.
	attempted
)

// relate says what child is to parent, whose id is the child's parent id, or the child's own (Zipkin lets the two spans
// of a call share it). Names of spans say nothing, but one: Envoy calls the span of a copied request "mirror".
func relate(parent, child *Entry) relation {
	if parent == child || (parent.side != Caller && parent.side != Carrier) {
		return unrelated
	}
	if child.side == Callee {
		return called
	}
	if parent.key == child.key {
		return unrelated
	}
	switch {
	case !child.named:
		// Only spans of attempts and side calls name neither proxy nor URL; attempts go where the request goes.
		if child.proxy == parent.proxy && child.upstream == parent.upstream && child.upstream != 0 && parent.named && !child.mirror {
			return attempted
		}
	case child.proxy == parent.proxy:
	case child.side == Carrier && parent.side == Caller:
		return carried
	case child.side == Caller && child.gateway:
		return entered
	}
	return unrelated
}

// near returns the end that the child tells of the parent's call, and what told it.
func near(rel relation, child *Entry) (end mesh.End, by mesh.Resolution) {
	switch rel {
	case called:
		return child.own.destination.Value(), child.own.destinationBy
	case entered:
		return child.own.source.Value(), child.own.sourceBy
	default:
		return child.now.destination.Value(), child.now.destinationBy
	}
}

// bond is how much two related spans have to do with each other.
type bond uint8

const (
	// apart: they are not about one call after all. A proxy that is not part of the mesh may have stood between them and
	// passed the headers on: then the ends that they know, or the names they were called by, exclude each other.
	apart bond = iota
	// earlier: the child is about an attempt before the one that the parent tells of. It has the same source.
	earlier
	// together: nothing speaks against it that they are about one call.
	together
)

func bondOf(rel relation, parent, child *Entry) (b bond, why conflicts) {
	if rel == attempted {
		return together, 0
	}
	if parent.own.destinationBy == mesh.UnknownExternal {
		// What the external party did with the headers is its own affair.
		return apart, 0
	}
	wanted := parent.own.destination.Value()
	got, gotBy := near(rel, child)
	if rel != entered && child.own.sourceBy.Stronger(mesh.BySpanPair) {
		source, caller := child.own.source.Value(), parent.now.source.Value()
		if source.Contradicts(&caller) {
			return apart, conflictSource
		}
	}
	if otherName(parent, child, &wanted, &got) {
		return apart, conflictDestination
	}
	if parent.own.destinationBy.Stronger(mesh.BySpanPair) && gotBy.Known() && wanted.Contradicts(&got) {
		if sameService(&wanted, &got) && !answered(parent, child) {
			return earlier, 0
		}
		return apart, conflictDestination
	}
	return together, 0
}

// sameService says whether a retry may have gone from one end to the other. Of an end without a workload the names were
// compared already.
func sameService(wanted, got *mesh.End) bool {
	return wanted.Workload == "" || (wanted.Service != "" && wanted.Service == got.Service && wanted.Namespace == got.Namespace)
}

// otherName says whether the parent asked for another service than the child's. A service and the workloads behind it
// may have different names, so that counts only if the host was another one too.
func otherName(parent, child *Entry, wanted, got *mesh.End) bool {
	if wanted.Workload != "" || (parent.host != 0 && (parent.host == child.host || parent.host == child.shadowOf)) {
		return false
	}
	if wanted.Namespace != "" && got.Namespace != "" && wanted.Namespace != got.Namespace {
		return true
	}
	return parent.host != 0 && child.host != 0 &&
		wanted.Service != "" && got.Service != "" && wanted.Service != got.Service
}

// shadow says whether the child received a copy of the request, which older Envoys send under the id of the request
// itself.
func shadow(parent, child *Entry) bool {
	return child.shadowOf != 0 && child.shadowOf == parent.host && child.host != parent.host
}
