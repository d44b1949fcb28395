// SPDX-License-Identifier: Apache-2.0

package pairing

import (
	"time"
	"unique"

	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
	"github.com/otelcol-mesh/otelcol-mesh/processors/internal/callattr"
)

// State is what is known of a call. It is small: the ends are shared among all spans that have the same.
type State struct {
	source, destination     unique.Handle[mesh.End]
	via                     unique.Handle[string]
	sourceBy, destinationBy mesh.Resolution
	tls                     tls
	stale                   bool
	// between is one more than the nanoseconds between the two proxies, zero if not known.
	between int64
}

var noVia = unique.Make("")

// internedEnd is an end with its handle. Spans of one batch often have the same, and comparing costs less than asking.
type internedEnd struct {
	end    mesh.End
	handle unique.Handle[mesh.End]
}

func (i *internedEnd) of(end *mesh.End) unique.Handle[mesh.End] {
	if i.handle == (unique.Handle[mesh.End]{}) || i.end != *end {
		i.handle = unique.Make(*end)
		i.end = i.handle.Value()
	}
	return i.handle
}

func (b *Batch) stateOf(c *callattr.Call) State {
	via := noVia
	if c.Via != "" {
		via = unique.Make(c.Via)
	}
	return State{
		source: b.source.of(&c.Source), destination: b.destination.of(&c.Destination), via: via,
		sourceBy: c.SourceBy, destinationBy: c.DestinationBy, tls: tlsOf(c.TLS), stale: c.Stale,
	}
}

// Call returns the state as attributes say it.
func (s *State) Call() callattr.Call {
	return callattr.Call{
		Source: s.source.Value(), Destination: s.destination.Value(), SourceBy: s.sourceBy, DestinationBy: s.destinationBy,
		Via: s.via.Value(), TLS: tlsWords[s.tls], Stale: s.stale,
	}
}

// ViaDuration returns the time the call spent between its two proxies. ok is false if that is not known, or if no
// east/west gateway carried the call.
func (s *State) ViaDuration() (d time.Duration, ok bool) {
	return time.Duration(s.between - 1), s.between > 0
}

// TellsSource and TellsDestination say whether an end is known better than before.
func (s *State) TellsSource(before *State) bool {
	return s.source != before.source || s.sourceBy != before.sourceBy
}

// TellsDestination is as [State.TellsSource].
func (s *State) TellsDestination(before *State) bool {
	return s.destination != before.destination || s.destinationBy != before.destinationBy
}

// tls is a value of mesh.tls.
type tls uint8

const (
	tlsAbsent tls = iota
	tlsUnknown
	tlsNone
	tlsMutual
)

var tlsWords = [...]string{tlsAbsent: "", tlsUnknown: mesh.TLSUnknown, tlsNone: mesh.TLSNone, tlsMutual: mesh.TLSMutual}

func tlsOf(word string) tls {
	for i, w := range tlsWords {
		if w == word {
			return tls(i)
		}
	}
	return tlsUnknown
}

func (t tls) told() bool { return t == tlsNone || t == tlsMutual }

// Key names a span.
type Key struct {
	Trace TraceID
	Span  SpanID
}

// Entry is a span that is remembered. Its shard's lock guards all of it but what never changes.
type Entry struct {
	key    Key
	parent SpanID
	// own is what the span itself says, now what is known by all that came. own changes only if another copy says
	// something else.
	own, now State

	upstream, host, shadowOf, proxy uint64
	duration                        time.Duration
	code                            uint16
	grpc                            int8
	side                            Side

	gateway, named, mirror, exhausted, noTarget, cutOff, local bool
	// final says that it waited long enough.
	final bool
	// wants says that a partner which did not come yet may tell more.
	wants bool
	// gone says that the entry is forgotten, so no partner will find it.
	gone bool
	// counted are the conflicts that were counted.
	counted conflicts

	// at and above are the nodes of the span's own id and of its parent's, nil for none.
	at, above *node
	// sameID and sibling chain the entries of one span id, and those of one parent.
	sameID, sibling *Entry
	older, newer    *Entry
	held            *Held
	expires         int64
}

func newEntry(f *Facts, own State) *Entry {
	return &Entry{
		key: Key{f.Trace, f.Span}, parent: f.Parent, own: own, now: own,
		upstream: f.Upstream, host: f.Host, shadowOf: f.ShadowOf, proxy: f.Proxy,
		duration: f.Duration, code: f.Code, grpc: f.GRPC, side: f.Side,
		gateway: f.Gateway, named: f.Named, mirror: f.Mirror,
		exhausted: f.Exhausted, noTarget: f.NoTarget, cutOff: f.CutOff, local: f.Local,
	}
}

func (e *Entry) parentKey() Key { return Key{e.key.Trace, e.parent} }

// node is all that is remembered about one span id: the spans that have it, and those that have it as their parent.
type node struct {
	key                  Key
	self, children       *Entry
	selfCount, kidsCount uint8
	// crowded says that there were more children than are remembered.
	crowded bool
}

const (
	// maxChildren is how many spans of one parent are looked at: many more than the attempts of any call. A sender must
	// not choose how long a look takes.
	maxChildren = 32
	// maxSame is how many spans may share an id. Zipkin lets two.
	maxSame = 4
)

// conflicts is a set of what spans exclude each other about.
type conflicts uint8

const (
	conflictSource conflicts = 1 << iota
	conflictDestination
	conflictAttempts
	conflictVia
	conflictTLS
)

// ConflictNames are the words for the conflicts, in the order of [Batch.Conflicts].
var ConflictNames = [...]string{"source", "destination", "attempts", "via", "tls"}
