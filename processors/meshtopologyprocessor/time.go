// SPDX-License-Identifier: Apache-2.0

package meshtopologyprocessor

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
	"github.com/otelcol-mesh/otelcol-mesh/processors/meshtopologyprocessor/internal/rules"
)

const (
	// earliest is the first time that is believed, the beginning of the year 2000: what is older is a clock that was
	// never set, or a number in another unit.
	earliest = pcommon.Timestamp(946_684_800_000_000_000)
	// maxAhead is how far ahead of this collector's clock a time is believed: clocks of nodes differ by less.
	maxAhead = time.Minute
)

// when returns the time at which the topology is asked about an item: its own, or 0, which stands for the newest that
// is known, if it has none or an absurd one.
func (b *batch) when(own pcommon.Timestamp) pcommon.Timestamp {
	if own < earliest || own > b.latest {
		return 0
	}
	return own
}

// timeOf returns the time that [batch.when] gave; zero for the newest.
func timeOf(when pcommon.Timestamp) time.Time {
	if when == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(when))
}

func (b *batch) view(when pcommon.Timestamp) topology.View {
	view := b.snapshot.At(timeOf(when))
	if b.local {
		return view.Local()
	}
	return view
}

// reported is who reported the items of one resource. The items of a batch mostly have times of their own, between which
// the reporter mostly stays the same, so it is resolved again only where it may not.
type reported struct {
	reporter rules.Reporter
	near     rules.Near
	id       uint64
	validity topology.Validity
	// other is the reporter at another time.
	other rules.Near
}

// resolve makes the reporter, as it was at that time, the one of the resource at hand.
func (b *batch) resolve(reporter rules.Reporter, when pcommon.Timestamp) {
	r := &b.reported
	r.reporter = reporter
	found := b.memo.near(b.view(when), &r.reporter)
	r.near, r.id, r.validity = found.near, found.id, found.validity
}

// nearAt returns who the reporter of the resource at hand was at the time of the view, and what stands for it in the
// memo.
func (b *batch) nearAt(at topology.View) (near *rules.Near, id uint64) {
	r := &b.reported
	if r.validity.Holds(at) {
		return &r.near, r.id
	}
	found := b.memo.near(at, &r.reporter)
	r.other = found.near
	return &r.other, found.id
}
