// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"math"
)

// nearest is the index of the bucket whose lower boundary is the nearest to v, by its logarithm.
func nearest(v float64, scale int32) int {
	return int(math.Round(math.Ldexp(math.Log2(v), int(scale))))
}

// lower is the lower boundary of a bucket.
func lower(index int, scale int32) float64 {
	v := math.Exp2(math.Ldexp(float64(index), -int(scale)))
	return min(v, math.MaxFloat64)
}

// holding is the index of the bucket that v is in.
func holding(v float64, scale int32) int {
	return int(math.Ceil(math.Ldexp(math.Log2(v), int(scale)))) - 1
}

// reach is the first and the last bucket of a piece.
func (p *piece) reach(scale int32) (first, last int) {
	if math.IsInf(p.high, 1) {
		first = nearest(p.low, scale)
		return first, first
	}
	if p.low < p.high {
		first, last = nearest(p.low, scale), nearest(p.high, scale)-1
		if first <= last {
			return first, last
		}
	}
	// One value, or ends that are closer to each other than buckets are wide: one bucket, between the moved bounds. If
	// those are at the same place, it is the bucket before it.
	first = holding(p.high, scale)
	if p.from > 0 {
		first = max(first, nearest(p.from, scale))
	}
	if !math.IsInf(p.to, 1) {
		first = min(first, nearest(p.to, scale)-1)
	}
	return first, first
}

// span is the first and the last bucket of a side; false if it has none.
func (p *plan) span(scale int32, negative bool) (first, last int, any bool) {
	first, last = math.MaxInt, math.MinInt
	for i := range p.pieces {
		if p.pieces[i].negative == negative {
			from, to := p.pieces[i].reach(scale)
			first, last, any = min(first, from), max(last, to), true
		}
	}
	return first, last, any
}

func (p *plan) fits(scale int32, maxSize int) bool {
	for _, negative := range []bool{false, true} {
		if first, last, any := p.span(scale, negative); any && last-first >= maxSize {
			return false
		}
	}
	return true
}

// fill counts the pieces of a side into buckets. No piece is empty, so neither is the side.
func (p *plan) fill(scale int32, negative bool) Side {
	first, last, any := p.span(scale, negative)
	if !any {
		return Side{}
	}
	side := Side{Offset: int32(first), Counts: make([]uint64, last-first+1)}
	for i := range p.pieces {
		if n := &p.pieces[i]; n.negative == negative {
			n.spread(scale, func(index int, count uint64) { side.Counts[index-first] += count })
		}
	}
	// Few values leave buckets at the ends empty: they need not be sent.
	for side.Counts[0] == 0 {
		side.Counts, side.Offset = side.Counts[1:], side.Offset+1
	}
	for side.Counts[len(side.Counts)-1] == 0 {
		side.Counts = side.Counts[:len(side.Counts)-1]
	}
	return side
}

// spread counts the values of a piece, evenly along its length, into its buckets. The counts add up to the piece's: each
// is the difference of two rounded parts, of which the last is the whole.
func (p *piece) spread(scale int32, count func(index int, count uint64)) {
	first, last := p.reach(scale)
	var before uint64
	for index := first; index < last; index++ {
		upTo := max(share(p.count, lower(index+1, scale)-p.low, p.high-p.low), before)
		count(index, upTo-before)
		before = upTo
	}
	count(last, p.count-before)
}
