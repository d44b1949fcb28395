// SPDX-License-Identifier: Apache-2.0

package series

// Kind is the kind of a series' values.
type Kind uint8

// The kinds.
const (
	Int       Kind = iota // a counter of whole numbers: Count
	Float                 // a counter of floats: Sum
	Histogram             // explicit bounds: Count, Sum and Buckets
)

// Amount is a value of any Kind.
type Amount struct {
	Count   uint64
	Sum     float64
	Buckets []uint64
}

// Reading is one point. Times are in nanoseconds since 1970.
type Reading struct {
	Amount
	Kind Kind
	// Cumulative says that the amount is what was counted since the start; otherwise it is what was counted since the
	// point before.
	Cumulative bool
	// Gone is the marker of a series that is not there any more. It has no amount.
	Gone bool
	// Start is 0 if it is not known.
	Start, Time int64
}

// Outcome is what a reading did.
type Outcome uint8

// The outcomes. From NotFinite on, the reading is dropped.
const (
	Counted Outcome = iota
	FromZero
	Reset
	Baseline
	Repeated
	Ended
	NotFinite
	Negative
	Shape
	Overlapping
	StateFull
	InstanceFull
	NoRoom
	Outcomes
)

// Names are the outcomes' names in metrics.
var Names = [Outcomes]string{
	"counted", "from_zero", "reset", "baseline", "repeated", "ended",
	"not_finite", "negative", "shape", "overlapping", "state_full", "instance_full", "no_room",
}

// Dropped says that a reading counts nowhere though it should have.
func (o Outcome) Dropped() bool { return o >= NotFinite }

// check says whether the amount can be added up.
func (r *Reading) check() (Outcome, bool) {
	switch {
	case r.Kind != Int && !finite(r.Sum):
		return NotFinite, false
	case r.Kind == Float && r.Sum < 0:
		return Negative, false
	}
	return Counted, true
}
