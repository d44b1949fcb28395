// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// finder collects the evidence about one end, the strongest first.
type finder struct {
	end mesh.End
	// by is what told the cluster; unknown until something did.
	by mesh.Resolution
	// why is the best reason so far for an unknown end.
	why      mesh.Resolution
	conflict bool
	// stale says that the topology told something of the end and that nobody confirms its cluster any more.
	stale bool
}

// offer takes a piece of evidence. Evidence that excludes what stronger evidence said is a conflict and is dropped.
func (f *finder) offer(by mesh.Resolution, end *mesh.End) {
	if *end == (mesh.End{}) {
		return
	}
	if f.end.Contradicts(end) {
		f.conflict = true
		return
	}
	f.end.Fill(end)
	if !f.by.Known() && end.Cluster != "" {
		f.by = by
	}
}

// offerKnown takes a piece of evidence that is what the topology knows of a cluster.
func (f *finder) offerKnown(by mesh.Resolution, end *mesh.End, cluster *topology.Cluster) {
	clashed := f.conflict
	f.conflict = false
	f.offer(by, end)
	f.stale = f.stale || (!f.conflict && isStale(cluster))
	f.conflict = f.conflict || clashed
}

// isStale says whether nobody confirms the cluster any more.
func isStale(cluster *topology.Cluster) bool {
	_, stale := cluster.StaleSince()
	return stale
}

// reason notes why the end is unknown, if no stronger evidence gave a reason.
func (f *finder) reason(why mesh.Resolution) {
	if f.why == mesh.UnknownNoEvidence {
		f.why = why
	}
}

// result returns the end, and what told its cluster or why nothing did.
func (f *finder) result() (mesh.End, mesh.Resolution) {
	if f.by.Known() {
		return f.end, f.by
	}
	if f.why == mesh.UnknownNoEvidence && (f.end.Workload != "" || f.end.Principal != "") {
		return f.end, mesh.UnknownNoCluster
	}
	return f.end, f.why
}

// finish merges what an earlier processor stamped, adds what the topology knows of the ends, and settles TLS.
func (v *Verdict) finish(at topology.View, stamped *Verdict) {
	if merge(&v.Source, &v.SourceBy, &v.staleSource, &stamped.Source, stamped.SourceBy) {
		v.SourceConflict = true
	}
	if merge(&v.Destination, &v.DestinationBy, &v.staleDestination, &stamped.Destination, stamped.DestinationBy) {
		v.DestinationConflict = true
	}
	v.staleSource = completeFromTopology(at, &v.Source) || v.staleSource
	v.staleDestination = completeFromTopology(at, &v.Destination) || v.staleDestination
	v.Stale = v.staleSource || v.staleDestination || stamped.Stale
	if stamped.Via != "" && (stamped.Via != unnamedGateway || v.Via == "") {
		v.Via = stamped.Via
	}
	if stamped.TLS == mesh.TLSMutual || stamped.TLS == mesh.TLSNone {
		v.TLS = stamped.TLS
	}
	if v.TLS == "" {
		v.TLS = mesh.TLSUnknown
	}
}

// merge keeps the stamped end unless the new evidence is stronger, and fills the gaps of the one from the other. It
// reports whether they excluded each other. stale stays set only if the end holds something of the new evidence.
func merge(end *mesh.End, by *mesh.Resolution, stale *bool, stamped *mesh.End, stampedBy mesh.Resolution) (conflict bool) {
	if *stamped == (mesh.End{}) && stampedBy == mesh.UnknownNoEvidence {
		return false
	}
	conflict = end.Contradicts(stamped)
	if by.Stronger(stampedBy) {
		if !conflict {
			end.Fill(stamped)
		}
		return conflict
	}
	fresh, freshBy := *end, *by
	*end, *by = *stamped, stampedBy
	if !conflict {
		end.Fill(&fresh)
	}
	*stale = *stale && *end != *stamped
	if stampedBy == mesh.UnknownNoEvidence || (stampedBy == mesh.UnknownAddressNotFound && foundAddress(freshBy)) {
		*by = freshBy
	}
	return conflict
}

// foundAddress says whether the reason comes of an address that the topology has. Where an agent, which knows one node,
// found nothing, it tells more.
func foundAddress(why mesh.Resolution) bool {
	switch why {
	case mesh.UnknownAddressAmbiguous, mesh.UnknownTopologyGap, mesh.UnknownNodeAddress, mesh.UnknownServiceAddress,
		mesh.UnknownBehindGateway, mesh.UnknownAmbiguous:
		return true
	}
	return false
}

// unnamedHolder returns why a look-up by address named no pod, or [mesh.UnknownNoEvidence] if no pod can have had the
// address.
func unnamedHolder(how topology.Lookup) mesh.Resolution {
	switch how {
	case topology.Ambiguous:
		return mesh.UnknownAddressAmbiguous
	case topology.Gap:
		return mesh.UnknownTopologyGap
	}
	return mesh.UnknownNoEvidence
}
