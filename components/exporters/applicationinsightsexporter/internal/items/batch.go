// SPDX-License-Identifier: Apache-2.0

// Package items holds telemetry items as they go on the wire: each is one JSON object without the instrumentation key,
// which the sender puts in. A [Batch] is what the sending queue keeps, in memory and on disk, so an item is translated
// once, however often it has to be sent.
package items

import (
	"math"
	"slices"
	"time"
)

// Kind is the kind of an item: its base type.
type Kind uint8

// The kinds of items. Their numbers are written to disk: add new ones at the end.
const (
	KindUnknown Kind = iota
	KindRequest
	KindDependency
	KindMessage
	KindException
	KindEvent
	KindMetric
	KindAvailability
)

// Reject says why an item can never be delivered, as found before it was sent. Zero means that it can be.
type Reject uint8

// The reasons. Their numbers are written to disk: add new ones at the end.
const (
	RejectNone Reject = iota
	// RejectNotFinite is a metric point whose value is NaN or infinite.
	RejectNotFinite
	// RejectTooLarge is an item over the limit that cutting its longest texts did not bring below.
	RejectTooLarge
	// RejectUnreadable is an item of a stored batch that is damaged.
	RejectUnreadable
)

// Item is what is known of one item beside its JSON.
type Item struct {
	// JSON is the item: an object that starts with "{" and has at least one field, without iKey and without a line break.
	// It belongs to the batch and must not be changed.
	JSON []byte
	// Time is the time of the item, as it stands in the envelope.
	Time time.Time
	// Kind is the kind of the item.
	Kind Kind
	// Derived says that the item was made beside another one of the same span or record, as the exception of a span event.
	// The others count as the spans, records or points that the pipeline handed over.
	Derived bool
	// Reject is not zero if the item goes to the dead letters and not to the endpoint.
	Reject Reject
	// Strikes is how often the item was sent alone and failed while others passed, up to [MaxStrikes].
	Strikes uint8
}

// MaxStrikes is the most that Item.Strikes counts.
const MaxStrikes = 7

// entry is an Item without its text. end is where the text ends in Batch.text; it starts where the one before it ends.
type entry struct {
	end     uint32
	nanos   int64
	kind    Kind
	derived bool
	reject  Reject
	strikes uint8
}

// Batch is an ordered set of items. The zero value is empty and ready. It is not safe for concurrent changes.
type Batch struct {
	text    []byte
	entries []entry
	// sources is the number of items that are not derived.
	sources int
	// overflowed is the number of items that were refused because of MaxText.
	overflowed int
	// accepted is when the oldest of its items was taken over from the pipeline.
	accepted time.Time
	// failed is a note of who sends the batch; see [Batch.Failed].
	failed uint64
}

// MaxText is how many bytes of JSON a batch takes. Far more than any sender hands over at once in earnest, it bounds what
// one request of many tiny spans under one huge resource can blow up to.
const MaxText = 256 << 20

// Len returns the number of items.
func (b *Batch) Len() int { return len(b.entries) }

// Sources returns the number of items that are not derived: the spans, records and points it holds.
func (b *Batch) Sources() int { return b.sources }

// Grow makes room for so many more items with so many bytes of JSON, at most [MaxText].
func (b *Batch) Grow(items, text int) {
	b.entries = slices.Grow(b.entries, max(0, items))
	b.text = slices.Grow(b.text, min(max(0, text), MaxText))
}

// Overflowed returns how many items were not added because the batch was full; see [MaxText].
func (b *Batch) Overflowed() int { return b.overflowed }

// TextBytes returns the size of all items as JSON.
func (b *Batch) TextBytes() int { return len(b.text) }

// Accepted returns when the oldest item was taken over from the pipeline; zero if nobody said.
func (b *Batch) Accepted() time.Time { return b.accepted }

// SetAccepted says when the items were taken over from the pipeline.
func (b *Batch) SetAccepted(t time.Time) { b.accepted = t }

// Item returns the item at index i, from 0 to Len()-1.
func (b *Batch) Item(i int) Item {
	e := &b.entries[i]
	return Item{JSON: b.text[b.start(i):e.end:e.end], Time: time.Unix(0, e.nanos), Kind: e.kind, Derived: e.derived, Reject: e.reject, Strikes: e.strikes}
}

func (b *Batch) start(i int) uint32 {
	if i == 0 {
		return 0
	}
	return b.entries[i-1].end
}

// Append adds a copy of the item, if there is room; see [Batch.Overflowed].
func (b *Batch) Append(i Item) {
	b.End(append(b.text, i.JSON...), i)
}

// Begin returns the buffer to append the JSON of the next item to. Hand the result to [Batch.End], or drop it to add nothing.
func (b *Batch) Begin() []byte { return b.text }

// End adds the item whose JSON was appended to what [Batch.Begin] returned, if there is room; i.JSON is not looked at.
func (b *Batch) End(buffer []byte, i Item) {
	if len(buffer) > MaxText {
		b.text = buffer[:len(b.text)]
		b.overflowed++
		return
	}
	b.text = buffer
	b.finish(i)
}

func (b *Batch) finish(i Item) {
	b.entries = append(b.entries, entry{end: uint32(len(b.text)), nanos: nanosOf(i.Time), kind: i.Kind, derived: i.Derived, reject: i.Reject, strikes: min(i.Strikes, MaxStrikes)})
	if !i.Derived {
		b.sources++
	}
}

// nanosOf is the time since 1970; beyond what 64 bits hold, in the years 1677 and 2262, the end that is nearer.
func nanosOf(t time.Time) int64 {
	const last = math.MaxInt64 / int64(time.Second)
	switch seconds := t.Unix(); {
	case seconds >= last:
		return math.MaxInt64
	case seconds <= -last:
		return math.MinInt64
	default:
		return t.UnixNano()
	}
}

// Pick returns a batch with the items at these indexes, in that order.
func (b *Batch) Pick(indexes []int) *Batch {
	picked := &Batch{accepted: b.accepted, failed: b.failed, entries: make([]entry, 0, len(indexes))}
	for _, i := range indexes {
		picked.Append(b.Item(i))
	}
	return picked
}

// Strike counts one more strike of the item at index i; see Item.Strikes.
func (b *Batch) Strike(i int) {
	b.entries[i].strikes = min(b.entries[i].strikes+1, MaxStrikes)
}

// Struck says whether each of its items has a strike.
func (b *Batch) Struck() bool {
	return !slices.ContainsFunc(b.entries, func(e entry) bool { return e.strikes == 0 })
}

// Failed returns what [Batch.SetFailed] was told last; 0 at first. It is not stored.
func (b *Batch) Failed() uint64 { return b.failed }

// SetFailed keeps a note of who sends the batch about its last failure.
func (b *Batch) SetFailed(note uint64) { b.failed = note }
