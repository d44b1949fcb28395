// SPDX-License-Identifier: Apache-2.0

package pairing

import (
	"unique"

	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
)

// verdict is what is known of one span by all that came.
type verdict struct {
	state     State
	wants     bool
	conflicts conflicts
}

// judge says what is known of a span by what it says itself and what all related ones say by now. It depends on what
// came, not on the order in which it came.
func judge(e *Entry) verdict {
	v := verdict{state: e.own}
	if e.side != Caller || !e.named {
		v.source(e)
	}
	if e.side != Callee {
		v.destination(e)
	}
	if e.final {
		v.wants = false
	}
	return v
}

// source looks for who called.
func (v *verdict) source(e *Entry) {
	open := e.parent != SpanID{} && (e.side != Caller) && !settled(e.own.sourceBy, e.own.source)
	var said *Entry
	for p := range e.clients() {
		rel := relate(p, e)
		if rel == unrelated || rel == entered {
			// A call has one client. Only where two spans share an id may the one above be that of another call.
			open = open && p.side == Callee
			continue
		}
		bond, why := bondOf(rel, p, e)
		if bond == apart {
			v.conflicts |= why
			open = false
			continue
		}
		if said != nil && contradict(said.now.source, p.now.source) {
			v.state, v.conflicts = e.own, v.conflicts|conflictSource
			return
		}
		said = p
		if v.take(&v.state.source, &v.state.sourceBy, p.now.source.Value(), p.now.sourceBy) {
			v.conflicts |= conflictSource
		}
		if rel != attempted && bond == together && answered(p, e) && onlyChild(p, e) {
			v.connection(&p.own, p.side == Caller)
		}
		v.state.stale = v.state.stale || (p.now.stale && v.state.source != e.own.source)
		open = open && p.side == Carrier && p.wants
	}
	v.wants = v.wants || open
}

// candidate is an end that one attempt tells.
type candidate struct {
	from *Entry
	rel  relation
	end  mesh.End
	by   mesh.Resolution
}

// destination looks for who was called. With several attempts that is who answered the last one; which that was shows
// only in the outcome.
func (v *verdict) destination(e *Entry) {
	var room [8]candidate
	all, crowded := v.candidates(e, room[:0])
	open := !settled(e.own.destinationBy, e.own.destination) && !e.hopeless()
	var last []candidate
	for _, c := range all {
		if answered(e, c.from) {
			last = append(last, c)
		}
	}
	if len(last) == 0 {
		v.wants = v.wants || open
		return
	}
	if crowded {
		return
	}
	best := last[0]
	for _, c := range last[1:] {
		if !agree(&best.end, &c.end) {
			v.conflicts |= conflictAttempts
			return
		}
		best.by = min(best.by, c.by)
	}
	if v.take(&v.state.destination, &v.state.destinationBy, best.end, best.by) {
		v.conflicts |= conflictDestination
	}
	v.state.stale = v.state.stale || (best.from.now.stale && v.state.destination != e.own.destination)
	v.connection(&best.from.now, best.rel == attempted || e.side == Caller)
	if len(all) == 1 {
		v.between(e, &best)
	}
	// A waypoint or an attempt may learn more, and so may the request above it.
	v.wants = v.wants || (open && best.from.wants && !settled(v.state.destinationBy, v.state.destination))
}

// candidates returns what the attempts at the call tell.
func (v *verdict) candidates(e *Entry, all []candidate) (found []candidate, crowded bool) {
	for c := range e.servers() {
		rel := relate(e, c)
		if rel == unrelated || shadow(e, c) || (c.key != e.key && c.sharesID()) {
			continue
		}
		bond, why := bondOf(rel, e, c)
		v.conflicts |= why
		if bond != together {
			continue
		}
		end, by := near(rel, c)
		all = append(all, candidate{c, rel, end, by})
	}
	attempts := all[:0:0]
	for _, c := range all {
		if c.rel == attempted {
			attempts = append(attempts, c)
		}
	}
	crowded = e.at != nil && e.at.crowded
	if len(attempts) > 0 {
		return attempts, crowded
	}
	return all, crowded
}

// hopeless says whether no other span can tell whom the call reached: its last attempt reached nobody, or nothing tells
// which one was the last.
func (e *Entry) hopeless() bool {
	return e.noTarget || e.exhausted || e.own.destinationBy == mesh.UnknownExternal || e.own.destinationBy == mesh.UnknownNoUpstream
}

// settled says whether an end is known by evidence at least as strong as another span's, down to its workload.
func settled(by mesh.Resolution, end unique.Handle[mesh.End]) bool {
	return by.Known() && !mesh.BySpanPair.Stronger(by) && end.Value().Workload != ""
}

// answered says whether the lower span is that of the last attempt, or the only one: its outcome is that of the whole
// call, as an attempt that was followed by another one ended differently (if all ended alike, retries are exhausted,
// which is hopeless). Or the proxy gave the call up, and the lower span was given up too after nearly as long.
func answered(e, child *Entry) bool {
	if e.hopeless() {
		return false
	}
	if child.code != 0 && !child.cutOff {
		return child.code == e.code && sameGRPC(e.grpc, child.grpc)
	}
	return e.local && child.duration > 0 && child.duration >= e.duration-e.duration/10
}

// sameGRPC compares two gRPC statuses. One that is not told goes with success.
func sameGRPC(a, b int8) bool { return a == b || (max(a, b) == 0 && min(a, b) < 0) }

// agree says whether two attempts went to one workload, and leaves in end what holds for both.
func agree(end, other *mesh.End) bool {
	if *end == *other {
		return true
	}
	if end.Contradicts(other) {
		return false
	}
	common := func(a *string, b string) {
		if *a != b {
			*a = ""
		}
	}
	common(&end.Cluster, other.Cluster)
	common(&end.Region, other.Region)
	common(&end.Zone, other.Zone)
	common(&end.Network, other.Network)
	common(&end.Namespace, other.Namespace)
	common(&end.Workload, other.Workload)
	common(&end.Service, other.Service)
	common(&end.Version, other.Version)
	common(&end.Principal, other.Principal)
	return true
}

func contradict(a, b unique.Handle[mesh.End]) bool {
	if a == b {
		return false
	}
	x, y := a.Value(), b.Value()
	return x.Contradicts(&y)
}

// take lets an end become what another span says, if that is the stronger evidence, and fills its gaps. What a span
// passes on is never stronger than that it was passed on. It reports whether the two excluded each other.
func (*verdict) take(end *unique.Handle[mesh.End], by *mesh.Resolution, offer mesh.End, offerBy mesh.Resolution) (conflict bool) {
	if offer == (mesh.End{}) {
		return false
	}
	offerBy = min(offerBy, mesh.BySpanPair)
	have := end.Value()
	conflict = have.Contradicts(&offer)
	switch {
	case offerBy.Stronger(*by):
		if !conflict {
			offer.Fill(&have)
		}
		*end, *by = unique.Make(offer), offerBy
	case !conflict:
		if have.Cluster == "" {
			// A cluster must not come without what told it.
			offer.Cluster = ""
		}
		have.Fill(&offer)
		*end = unique.Make(have)
	}
	return conflict
}

// connection makes what two spans say of the connection the same, where they do not exclude each other.
func (v *verdict) connection(other *State, tlsToo bool) {
	const unnamed = "east_west"
	mine, its := v.state.via.Value(), other.via.Value()
	switch {
	case its == "" || its == mine || its == unnamed && mine != "":
	case mine == "" || mine == unnamed:
		v.state.via = other.via
	default:
		v.conflicts |= conflictVia
	}
	if !tlsToo || !other.tls.told() || other.tls == v.state.tls {
		return
	}
	if v.state.tls.told() {
		v.conflicts |= conflictTLS
		return
	}
	v.state.tls = other.tls
}

// between notes the time the call spent between its two proxies. Durations need no common clock.
func (v *verdict) between(e *Entry, c *candidate) {
	if c.rel != called || (e.side == Carrier && e.named) || v.state.via.Value() == "" {
		return
	}
	if d := e.duration - c.from.duration; d >= 0 && e.duration > 0 && c.from.duration > 0 {
		v.state.between = int64(d) + 1
	}
}
