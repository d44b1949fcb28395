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
func (v *Verdict) finish(s *topology.Snapshot, stamped *Verdict) {
	if merge(&v.Source, &v.SourceBy, &stamped.Source, stamped.SourceBy) {
		v.SourceConflict = true
	}
	if merge(&v.Destination, &v.DestinationBy, &stamped.Destination, stamped.DestinationBy) {
		v.DestinationConflict = true
	}
	completeFromTopology(s, &v.Source)
	completeFromTopology(s, &v.Destination)
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
// reports whether they excluded each other.
func merge(end *mesh.End, by *mesh.Resolution, stamped *mesh.End, stampedBy mesh.Resolution) (conflict bool) {
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
	if !stampedBy.Known() && stampedBy == mesh.UnknownNoEvidence {
		*by = freshBy
	}
	return conflict
}
