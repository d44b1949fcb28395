// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"math"
	"slices"
)

// bucket is one class of a histogram: n values above lo and up to hi. lo is -Inf or hi +Inf where the class is open.
type bucket struct {
	lo, hi float64
	n      uint64
}

// distribution is what a histogram tells of its values.
type distribution struct {
	count uint64
	sum   float64
	// hasSum is false if the values could be negative, in which case OTLP allows to leave the sum out.
	hasSum         bool
	min, max       float64
	hasMin, hasMax bool
	// buckets are the classes that are not empty, in ascending order. None if the histogram has no classes, or if they
	// contradict themselves.
	buckets []bucket
}

// total is the number of values in the buckets, which is count unless the sender contradicts itself.
func (d *distribution) total() (n uint64) {
	for i := range d.buckets {
		n += d.buckets[i].n
	}
	return n
}

// extremes returns the smallest and the greatest value. What the point does not tell is concluded from its classes: the
// lower bound of the lowest class that has values, which the smallest value is above; the upper bound of the highest,
// which the greatest value is not above. Where that class is open, its only bound, or the mean if that is further out, which
// one of the values must reach. ok is false if nothing is known, or if what is told contradicts itself; nothing is ever made up.
func (d *distribution) extremes() (low, high float64, ok bool) {
	low, high = d.min, d.max
	hasLow, hasHigh := d.hasMin, d.hasMax
	if n := len(d.buckets); n > 0 {
		first, last := d.buckets[0], d.buckets[n-1]
		if !hasLow {
			low, hasLow = d.closed(first.lo, first.hi, math.Min)
		}
		if !hasHigh {
			high, hasHigh = d.closed(last.hi, last.lo, math.Max)
		}
	}
	if !hasLow || !hasHigh || !finite(low) || !finite(high) || low > high {
		return 0, 0, false
	}
	return low, high, true
}

// closed returns the bound, or if it is infinite the further of the other bound and the mean.
func (d *distribution) closed(bound, other float64, further func(x, y float64) float64) (float64, bool) {
	if finite(bound) {
		return bound, true
	}
	mean, hasMean := d.mean()
	switch {
	case finite(other) && hasMean:
		return further(other, mean), true
	case finite(other):
		return other, true
	default:
		return mean, hasMean
	}
}

func (d *distribution) mean() (float64, bool) {
	if !d.hasSum || d.count == 0 || !finite(d.sum) {
		return 0, false
	}
	return d.sum / float64(d.count), true
}

// percentile returns an estimate of the q-quantile, the value of which q of all values are at most (nearest rank); q is in
// 0 to 1. It lies in the same class as that value, so it is off by the width of the class at most; within the class the
// values are taken to be spread evenly, between min and max where these are told. Without them, a value in an open class is
// told as its only bound: the true one is further out. ok is false without classes.
func (d *distribution) percentile(q float64) (value float64, ok bool) {
	total := d.total()
	if total == 0 {
		return 0, false
	}
	rank := uint64(math.Ceil(q * float64(total)))
	rank = min(max(rank, 1), total)
	var before uint64
	for i := range d.buckets {
		b := &d.buckets[i]
		if rank-before <= b.n {
			return d.within(b, (float64(rank-before)-0.5)/float64(b.n))
		}
		before += b.n
	}
	return 0, false
}

func (d *distribution) within(b *bucket, part float64) (float64, bool) {
	lo, hi := b.lo, b.hi
	if d.hasMin && d.min <= hi {
		lo = max(lo, d.min)
	}
	if d.hasMax && d.max >= lo {
		hi = min(hi, d.max)
	}
	switch {
	case finite(lo) && finite(hi):
		// Not lo + part*(hi-lo): the difference of two finite numbers may be infinite.
		return lo*(1-part) + hi*part, true
	case finite(hi):
		return hi, true
	default:
		return lo, finite(lo)
	}
}

// explicit is the classes of a histogram with explicit bounds: OTLP HistogramDataPoint.
type explicit struct {
	// bounds ascend; counts has one element more.
	bounds []float64
	counts []uint64
}

// valid says whether the classes can be read: as many as bounds and one, and bounds that ascend and are finite.
func (e explicit) valid() bool {
	if len(e.counts) == 0 || len(e.counts) != len(e.bounds)+1 {
		return false
	}
	for i, bound := range e.bounds {
		if !finite(bound) || (i > 0 && bound <= e.bounds[i-1]) {
			return false
		}
	}
	return true
}

// appendTo adds the classes that are not empty.
func (e explicit) appendTo(buckets []bucket) []bucket {
	if !e.valid() {
		return buckets
	}
	for i, n := range e.counts {
		if n == 0 {
			continue
		}
		b := bucket{lo: math.Inf(-1), hi: math.Inf(1), n: n}
		if i > 0 {
			b.lo = e.bounds[i-1]
		}
		if i < len(e.bounds) {
			b.hi = e.bounds[i]
		}
		buckets = append(buckets, b)
	}
	return buckets
}

// add adds the counts of other, if its bounds are the same.
func (e *explicit) add(other explicit) bool {
	if !slices.Equal(e.bounds, other.bounds) || len(e.counts) != len(other.counts) {
		return false
	}
	for i, n := range other.counts {
		e.counts[i] += n
	}
	return true
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
