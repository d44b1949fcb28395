// SPDX-License-Identifier: Apache-2.0

// Package convert makes exponential histograms of histograms with explicit bounds.
//
// Each bound b of a bucket that has values is moved to the boundary r(b) of the exponential histogram that is nearest to
// it, which is at most half a bucket away: |log2(r(b)/b)| ≤ 2^-(scale+1). The number of values up to r(b) is exactly the
// number that the explicit histogram has up to b, and the values of a bucket lie, spread evenly, between its two moved
// bounds. So a value v of a bucket (lo, hi] on one side of zero is shown as an e with
//
//	|log2(e/v)| ≤ log2(hi/lo) + 1.5·2^-scale
//
// of which the first part is what the explicit histogram did not know either. The bucket that touches zero goes to the
// zero bucket, whose threshold is the bound nearest to zero, and what of it is farther than that from zero to the buckets
// beyond: there |e-v| is at most the width of the bucket and the threshold together. The number of values is exact.
// Beyond the first and the last bound nothing bounds the error but min and max.
package convert

import (
	"errors"
	"math"
)

// Explicit is one point of a histogram with explicit bounds: Counts[i] values are above Bounds[i-1] and not above Bounds[i].
type Explicit struct {
	// Bounds are finite and ascend.
	Bounds []float64
	// Counts has one more than Bounds.
	Counts []uint64
	// Min and Max are the least and the greatest value, if they are known.
	Min, Max       float64
	HasMin, HasMax bool
}

// Side has the counts of the buckets on one side of zero: Counts[i] values are above base^(Offset+i) and not above
// base^(Offset+i+1), with base = 2^(2^-scale).
type Side struct {
	Offset int32
	Counts []uint64
}

// Exponential is one point of an exponential histogram.
type Exponential struct {
	Scale              int32
	ZeroThreshold      float64
	ZeroCount          uint64
	Positive, Negative Side
}

// Limits of the scale and of the number of buckets on a side.
const (
	MinScale = -10
	MaxScale = 20
	MinSize  = 4
)

// The reasons for which a point cannot be converted.
var (
	// ErrBounds: the bounds do not ascend, or one is not finite.
	ErrBounds = errors.New("the bounds are not finite or do not ascend")
	// ErrCounts: there is not one count more than there are bounds.
	ErrCounts = errors.New("the number of counts does not fit the number of bounds")
	// ErrNoBounds: there is no bound, so nothing is known of where the values are.
	ErrNoBounds = errors.New("there are no bounds")
)

// Convert converts a point. Each side gets at most maxSize buckets, at least [MinSize], and the scale is the largest one
// up to maxScale with which that is enough.
func Convert(e Explicit, maxSize int, maxScale int32) (Exponential, error) {
	if err := e.check(); err != nil {
		return Exponential{}, err
	}
	var p plan
	p.intervals(&e)
	p.threshold()
	p.split()
	if ends := p.ends(); len(p.pieces) == 0 && ends > 0 {
		p.limit = min(p.limit, ends)
	}
	out := Exponential{Scale: min(max(maxScale, MinScale), MaxScale), ZeroCount: p.zero, ZeroThreshold: p.limit}
	maxSize = max(maxSize, MinSize)
	for out.Scale > MinScale && !p.fits(out.Scale, maxSize) {
		out.Scale--
	}
	out.Positive, out.Negative = p.fill(out.Scale, false), p.fill(out.Scale, true)
	if p.limit > 0 && len(p.pieces) > 0 {
		// The threshold is a bound like the others: moved with them, and not into another bucket.
		at := nearest(p.limit, out.Scale)
		for _, negative := range []bool{false, true} {
			if first, _, any := p.span(out.Scale, negative); any {
				at = min(at, first)
			}
		}
		out.ZeroThreshold = lower(at, out.Scale)
	}
	return out, nil
}

func (e *Explicit) check() error {
	switch {
	case len(e.Bounds) == 0:
		return ErrNoBounds
	case len(e.Counts) != len(e.Bounds)+1:
		return ErrCounts
	}
	before := math.Inf(-1)
	for _, b := range e.Bounds {
		// Written so that NaN is refused.
		if !(b > before) || math.IsInf(b, 1) {
			return ErrBounds
		}
		before = b
	}
	return nil
}

// interval has values above low and not above high. An end that is unknown is infinite.
type interval struct {
	low, high float64
	count     uint64
	// bounds are the ends before anything narrowed them.
	bounds [2]float64
}

// piece has values on one side of zero, by their distance from it: above low and not above high. If both are equal it is
// one value, and if high is infinite it is the bucket next to low, away from zero.
type piece struct {
	negative  bool
	low, high float64
	count     uint64
	// from and to are the bounds of the bucket it is of, at most low and at least high: it is not shown beyond them.
	from, to float64
}

// plan is what is to be converted, before there is a scale.
type plan struct {
	from   []interval
	pieces []piece
	// limit is the threshold of the zero bucket, and zero its count.
	limit float64
	zero  uint64
}

// intervals takes the buckets with values, in order. What is known of the ends narrows them.
func (p *plan) intervals(e *Explicit) {
	for i, count := range e.Counts {
		if count == 0 {
			continue
		}
		n := interval{low: math.Inf(-1), high: math.Inf(1), count: count}
		if i > 0 {
			n.low = e.Bounds[i-1]
		}
		if i < len(e.Bounds) {
			n.high = e.Bounds[i]
		}
		n.bounds = [2]float64{n.low, n.high}
		p.from = append(p.from, n)
	}
	if len(p.from) == 0 {
		return
	}
	first, last := &p.from[0], &p.from[len(p.from)-1]
	finite := func(v float64, has bool) bool {
		return has && !math.IsNaN(v) && !math.IsInf(v, 0) && !(e.HasMin && e.HasMax && e.Min > e.Max)
	}
	if finite(e.Max, e.HasMax) && e.Max > last.low && e.Max < last.high {
		p.narrowHigh(last, e.Max)
	}
	if finite(e.Min, e.HasMin) && e.Min <= first.high && e.Min >= first.low {
		p.narrowLow(first, e.Min)
	}
	// What begins nowhere and ends above zero begins at zero, as latencies and sizes do, and so on the other side.
	if math.IsInf(p.from[0].low, -1) && p.from[0].high >= 0 {
		p.from[0].low = 0
	}
	if last = &p.from[len(p.from)-1]; math.IsInf(last.high, 1) && last.low <= 0 {
		last.high = max(0, last.low)
	}
}

// narrowHigh ends the last interval at the greatest value. One that touches zero goes on to do so: a tiny value would take
// up all buckets. Of one without end that one value is known, and nothing of the others.
func (p *plan) narrowHigh(last *interval, greatest float64) {
	if !math.IsInf(last.high, 1) || last.low <= 0 {
		if last.low < 0 && last.high >= 0 {
			greatest = max(greatest, 0)
		}
		last.high = greatest
		return
	}
	p.pieces = append(p.pieces, piece{low: greatest, high: greatest, count: 1, from: last.low, to: math.Inf(1)})
	last.count--
}

// narrowLow begins the first interval at the least value, likewise.
func (p *plan) narrowLow(first *interval, least float64) {
	switch {
	case !math.IsInf(first.low, -1):
		if first.low <= 0 && first.high >= 0 {
			least = min(least, 0)
		}
		first.low = least
	case first.high >= 0:
		first.low = min(least, 0)
	case least < first.high:
		p.pieces = append(p.pieces, piece{negative: true, low: -least, high: -least, count: 1, from: -first.high, to: math.Inf(1)})
		first.count--
	}
}

// threshold finds the bound of the zero bucket: the bound nearest to zero, other than zero, of the intervals around it. An
// end that was narrowed counts only where there is no bound: a tiny value would take up all buckets.
func (p *plan) threshold() {
	bound, end := math.Inf(1), math.Inf(1)
	for _, n := range p.from {
		if n.count == 0 || n.low > 0 || n.high < 0 {
			continue
		}
		for i, at := range []float64{n.low, n.high} {
			if b := n.bounds[i]; b != 0 {
				bound = min(bound, math.Abs(b))
			}
			if at != 0 {
				end = min(end, math.Abs(at))
			}
		}
	}
	if math.IsInf(bound, 1) {
		bound = end
	}
	if !math.IsInf(bound, 1) {
		p.limit = bound
	}
}

// ends is the greatest distance from zero that a value has.
func (p *plan) ends() float64 {
	var far float64
	for _, n := range p.from {
		far = max(far, math.Abs(n.low), math.Abs(n.high))
	}
	return far
}

// split divides the intervals at the zero bucket, by the part of their length.
func (p *plan) split() {
	for _, n := range p.from {
		if n.count == 0 {
			continue
		}
		if n.low > 0 || n.high < 0 || n.low == n.high {
			p.add(n)
			continue
		}
		below := part(n, -p.limit)
		upTo := max(part(n, p.limit), below)
		p.add(interval{low: n.low, high: -p.limit, count: below, bounds: [2]float64{n.bounds[0], -p.limit}})
		p.zero += upTo - below
		p.add(interval{low: p.limit, high: n.high, count: n.count - upTo, bounds: [2]float64{p.limit, n.bounds[1]}})
	}
}

// add adds an interval that is on one side of zero, or zero itself.
func (p *plan) add(n interval) {
	switch {
	case n.count == 0:
	case n.low == 0 && n.high == 0:
		p.zero += n.count
	case n.high > 0:
		p.pieces = append(p.pieces, piece{low: n.low, high: n.high, count: n.count, from: max(n.bounds[0], 0), to: n.bounds[1]})
	default:
		p.pieces = append(p.pieces, piece{negative: true, low: -n.high, high: -n.low, count: n.count, from: max(-n.bounds[1], 0), to: -n.bounds[0]})
	}
}

// part is how many of the interval's values are up to x, if they are spread evenly.
func part(n interval, x float64) uint64 {
	return share(n.count, x/2-n.low/2, n.high/2-n.low/2)
}

// share is the part of a count, rounded, that a length has of the whole.
func share(count uint64, length, whole float64) uint64 {
	f := length / whole
	switch {
	case !(f > 0):
		return 0
	case f >= 1:
		return count
	}
	// A part below one of a count is below it by more than what a float rounds it by.
	return uint64(math.Round(f * float64(count)))
}
