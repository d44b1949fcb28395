// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"cmp"
	"slices"
	"time"
	"unique"
)

const (
	// maxIdentities is the most identities of an end of an edge. A workload has one, two while its account is changed, and
	// a few more where a trust domain moves; a hostile sender may invent any number, which then count as others.
	maxIdentities = 8
	// maxIdentity is the most bytes of an identity. A longer one is never cut, as two could become one: it counts as an
	// other. The longest that Istio makes, of a trust domain, a namespace and an account of Kubernetes, has less than 600;
	// who uses it has names that nobody can read.
	maxIdentity = 512
)

// End is an end of an edge.
type End uint8

// The ends.
const (
	CallerEnd End = iota
	CalleeEnd
	endCount
)

var endWords = [endCount]string{"caller", "callee"}

// String returns "caller" or "callee".
func (e End) String() string { return endWords[min(e, endCount-1)] }

// Identity is a principal under which an end of an edge was seen.
type Identity struct {
	End End
	// Principal is as the reporter told it, a SPIFFE id in most meshes.
	Principal string
	// Requests are requests and connections that arrived under it: the most that one reporter told.
	Requests uint64
	// First and Last are the ends of the first and the last interval in which it was told.
	First, Last time.Time
}

// Plaintext says since when, and by whom, requests or connections of an edge without TLS were told. Nobody changes it.
type Plaintext struct {
	First, Last time.Time
	// Reporters told so, in the order of [Reporter].
	Reporters []Reporter
}

// identities are those of an edge.
type identities struct {
	list []identity
	// other are requests and connections under identities that had no room.
	other uint64
	// published is what readers have; nobody changes it. It is made anew where something was told.
	published []Identity
}

type identity struct {
	end       End
	told      bool // in this interval
	principal string
	requests  [reporterCount]uint64
	// first and last are in seconds, 0 before the first roll.
	first, last int64
}

// identify notes the identities of a point's requests and connections. How many had no room is returned.
func (e *edge) identify(p *Point) (lost int) {
	n := plus(p.Requests, p.Opened)
	if n == 0 || e.key.Overflow || p.SourcePrincipal == "" && p.DestinationPrincipal == "" {
		return 0
	}
	if e.identities == nil {
		e.identities = &identities{}
	}
	return e.identities.tell(CallerEnd, p.SourcePrincipal, p.Reporter, n) +
		e.identities.tell(CalleeEnd, p.DestinationPrincipal, p.Reporter, n)
}

func (x *identities) tell(end End, principal string, r Reporter, n uint64) (lost int) {
	if principal == "" {
		return 0
	}
	same := 0
	for i := range x.list {
		known := &x.list[i]
		if known.end != end {
			continue
		}
		if known.principal == principal {
			known.told = true
			known.requests[r] = plus(known.requests[r], n)
			return 0
		}
		same++
	}
	if same >= maxIdentities || len(principal) > maxIdentity {
		x.other = plus(x.other, n)
		return 1
	}
	known := identity{end: end, told: true, principal: unique.Make(principal).Value()}
	known.requests[r] = n
	x.list = append(x.list, known)
	return 0
}

// publishIdentities dates what was told in the interval, and drops what nobody told since expired.
func (e *edge) publishIdentities(now, expired int64) ([]Identity, uint64) {
	x := e.identities
	if x == nil {
		return nil, 0
	}
	changed := false
	kept := x.list[:0]
	for _, k := range x.list {
		if k.told {
			k.told, k.last, changed = false, now, true
			if k.first == 0 {
				k.first = now
			}
		}
		if k.last <= expired {
			changed = true
			continue
		}
		kept = append(kept, k)
	}
	clear(x.list[len(kept):])
	x.list = kept
	if changed || x.published == nil {
		x.publish()
	}
	return x.published, x.other
}

func (x *identities) publish() {
	x.published = make([]Identity, 0, len(x.list))
	for i := range x.list {
		k := &x.list[i]
		most := uint64(0)
		for _, n := range k.requests {
			most = max(most, n)
		}
		x.published = append(x.published, Identity{
			End: k.end, Principal: k.principal, Requests: most,
			First: time.Unix(k.first, 0).UTC(), Last: time.Unix(k.last, 0).UTC(),
		})
	}
	slices.SortFunc(x.published, func(a, b Identity) int {
		return cmp.Or(cmp.Compare(a.End, b.End), cmp.Compare(a.Principal, b.Principal))
	})
}

// publishPlaintext dates what was told in the interval.
func (e *edge) publishPlaintext(now int64) *Plaintext {
	var told []Reporter
	for r, s := range e.sides {
		if s != nil && s.plain {
			s.plain = false
			told = append(told, Reporter(r))
		}
	}
	if told == nil {
		return e.plaintext
	}
	next := &Plaintext{Last: time.Unix(now, 0).UTC(), Reporters: told}
	next.First = next.Last
	if old := e.plaintext; old != nil {
		next.First = old.First
		for _, r := range old.Reporters {
			if !slices.Contains(next.Reporters, r) {
				next.Reporters = append(next.Reporters, r)
			}
		}
		slices.Sort(next.Reporters)
	}
	e.plaintext = next
	return next
}
