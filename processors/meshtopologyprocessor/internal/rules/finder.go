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
	// clue is what is being tried; only the trace reads it.
	clue Clue
	// trace is nil unless somebody asked for it.
	trace *EndTrace
}

// offer takes a piece of evidence. Evidence that excludes what stronger evidence said is a conflict and is dropped.
func (f *finder) offer(by mesh.Resolution, end *mesh.End) {
	if f.trace != nil {
		f.record(by, end)
	}
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

// record notes a piece of evidence that is about to be taken, and what will become of it.
func (f *finder) record(by mesh.Resolution, end *mesh.End) {
	e := f.opened()
	e.By, e.Said = by, *end
	after := f.end
	after.Fill(end)
	switch {
	case *end == (mesh.End{}):
	case f.end.Contradicts(end):
		e.Outcome, e.Against = Conflict, f.by
	case !f.by.Known() && end.Cluster != "":
		e.Outcome = Won
	case after != f.end:
		e.Outcome = Filled
	default:
		e.Outcome, e.Against = Lost, f.by
	}
}

// opened returns the record of the look-up that the evidence is the answer of, else a new one.
func (f *finder) opened() *Evidence {
	tried := f.trace.Tried
	if n := len(tried); n > 0 && tried[n-1].Looked != "" && tried[n-1].Outcome == Nothing && tried[n-1].Said == (mesh.End{}) &&
		tried[n-1].Why == mesh.UnknownNoEvidence {
		tried[n-1].Clue = f.clue
		return &tried[n-1]
	}
	f.trace.Tried = append(tried, Evidence{Clue: f.clue})
	return &f.trace.Tried[len(f.trace.Tried)-1]
}

// lost records evidence that names a carrier of the call, for the trace alone.
func (f *finder) lost(by mesh.Resolution, end *mesh.End, why mesh.Resolution) {
	if f.trace == nil {
		return
	}
	e := f.opened()
	e.By, e.Said, e.Why, e.Outcome = by, *end, why, Carrier
}

// looked records that an address is being looked up, for the trace alone.
func (f *finder) looked(text, network string) {
	if f.trace != nil && text != "" {
		f.trace.Tried = append(f.trace.Tried, Evidence{Clue: f.clue, Looked: text, Network: network})
	}
}

// overrule drops everything that was said so far for evidence that is proven and excludes it. Nothing that was dropped
// tells the cluster any more, and neither does the evidence.
func (f *finder) overrule(end *mesh.End) {
	if f.trace != nil {
		e := f.opened()
		e.By, e.Said, e.Outcome, e.Against = mesh.ByTrustDomain, *end, Overruled, f.by
		f.trace.retract()
	}
	f.end, f.by, f.why, f.conflict, f.stale = *end, mesh.UnknownNoEvidence, mesh.UnknownConflict, true, false
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
	if f.trace != nil {
		f.recordReason(why)
	}
	if f.why == mesh.UnknownNoEvidence {
		f.why = why
	}
}

// recordReason notes the reason with the evidence that gave it.
func (f *finder) recordReason(why mesh.Resolution) {
	if tried := f.trace.Tried; len(tried) > 0 && tried[len(tried)-1].Clue == f.clue && !tried[len(tried)-1].Why.Known() &&
		tried[len(tried)-1].Why == mesh.UnknownNoEvidence {
		tried[len(tried)-1].Why = why
		return
	}
	f.trace.Tried = append(f.trace.Tried, Evidence{Clue: f.clue, Why: why})
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
func (v *Verdict) finish(at topology.View, stamped *Verdict) { v.finishTraced(at, stamped, nil) }

func (v *Verdict) finishTraced(at topology.View, stamped *Verdict, trace *Trace) {
	var none mesh.End
	source, sourceBy := &stamped.Source, stamped.SourceBy
	if v.dropCarrier(at, source, &v.Source, &v.SourceBy, trace.source()) {
		source, sourceBy = &none, mesh.UnknownNoEvidence
	}
	destination, destinationBy := &stamped.Destination, stamped.DestinationBy
	if v.dropCarrier(at, destination, &v.Destination, &v.DestinationBy, trace.destination()) {
		destination, destinationBy = &none, mesh.UnknownNoEvidence
	}
	if trace != nil {
		trace.Source.merged(&v.Source, source, v.SourceBy, sourceBy)
		trace.Destination.merged(&v.Destination, destination, v.DestinationBy, destinationBy)
	}
	if merge(&v.Source, &v.SourceBy, &v.staleSource, source, sourceBy) {
		v.SourceConflict = true
	}
	if merge(&v.Destination, &v.DestinationBy, &v.staleDestination, destination, destinationBy) {
		v.DestinationConflict = true
	}
	if trace != nil {
		wholeSource, wholeDestination := v.Source, v.Destination
		completeFromTopology(at, &wholeSource)
		completeFromTopology(at, &wholeDestination)
		trace.Source.fromTopology(&v.Source, &wholeSource)
		trace.Destination.fromTopology(&v.Destination, &wholeDestination)
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

// dropCarrier says whether the stamped end is a gateway or waypoint that carried the call: an agent does not know all of
// them. What is found now may say that it is the end in spite of that, as an ingress gateway is that is both.
func (v *Verdict) dropCarrier(at topology.View, stamped, end *mesh.End, by *mesh.Resolution, trace *EndTrace) bool {
	if stamped.Workload == "" || (end.Workload == stamped.Workload && end.Namespace == stamped.Namespace) {
		return false
	}
	c := namesCarrier(at, stamped)
	if !c.named {
		return false
	}
	if c.via != "" && (v.Via == "" || v.Via == unnamedGateway) {
		v.Via = c.via
	}
	switch *by {
	case mesh.UnknownNoEvidence, mesh.UnknownNoAddress, mesh.UnknownAddressNotFound, mesh.UnknownNoNetwork:
		*by = mesh.UnknownBehindGateway
	}
	trace.note(ClueStamped, "dropped: "+stamped.Workload+" carried the call, which whoever stamped it did not know")
	return true
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
