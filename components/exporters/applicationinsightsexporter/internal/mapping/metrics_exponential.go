// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"math"
	"slices"
)

// maxExponentialSpan is the number of classes that two histograms may have together to be added up; further apart they
// stay two items. The OpenTelemetry SDKs keep 160.
const maxExponentialSpan = 4096

// exponentialRange is a run of classes on one side of zero: OTLP ExponentialHistogramDataPoint.Buckets.
type exponentialRange struct {
	offset int64
	counts []uint64
}

// exponential is the classes of an exponential histogram: class i holds values above base^i, up to base^(i+1), where base
// is 2^(2^-scale). OTLP ExponentialHistogramDataPoint.
type exponential struct {
	scale int32
	// zeroThreshold is the width of the class around zero, which has zero values.
	zeroThreshold      float64
	zero               uint64
	positive, negative exponentialRange
}

// bound returns base^index, at most the greatest finite number.
func (e *exponential) bound(index int64) float64 {
	return min(math.Exp2(math.Ldexp(float64(index), -int(e.scale))), math.MaxFloat64)
}

// appendTo adds the classes that are not empty, from the lowest to the highest.
func (e *exponential) appendTo(buckets []bucket) []bucket {
	for i, n := range slices.Backward(e.negative.counts) {
		if n > 0 {
			index := e.negative.offset + int64(i)
			buckets = append(buckets, bucket{lo: -e.bound(index + 1), hi: -e.bound(index), n: n})
		}
	}
	if e.zero > 0 {
		threshold := max(e.zeroThreshold, 0)
		if !finite(threshold) {
			threshold = 0
		}
		b := bucket{lo: -threshold, hi: threshold, n: e.zero}
		if len(e.negative.counts) == 0 {
			// Without negative values the class around zero has none either, as far as anybody told.
			b.lo = 0
		}
		buckets = append(buckets, b)
	}
	for i, n := range e.positive.counts {
		if n > 0 {
			index := e.positive.offset + int64(i)
			buckets = append(buckets, bucket{lo: e.bound(index), hi: e.bound(index + 1), n: n})
		}
	}
	return buckets
}

// add adds the counts of other, at the coarser scale of the two: each class of a finer scale lies in one class of a coarser
// one, so the counts stay exact. It returns false, and changes nothing, if the classes around zero differ or the two are
// too far apart.
func (e *exponential) add(other *exponential) bool {
	if e.zeroThreshold != other.zeroThreshold {
		return false
	}
	scale := min(e.scale, other.scale)
	mine, theirs := int64(e.scale)-int64(scale), int64(other.scale)-int64(scale)
	positive, ok1 := merge(e.positive.coarser(mine), other.positive.coarser(theirs))
	negative, ok2 := merge(e.negative.coarser(mine), other.negative.coarser(theirs))
	if !ok1 || !ok2 {
		return false
	}
	e.scale, e.positive, e.negative = scale, positive, negative
	e.zero += other.zero
	return true
}

// coarser returns the run at a scale that is lower by steps: 2^steps classes become one.
func (r exponentialRange) coarser(steps int64) exponentialRange {
	if steps <= 0 || len(r.counts) == 0 {
		return r
	}
	shift := uint(min(steps, 63))
	first := r.offset >> shift
	last := (r.offset + int64(len(r.counts)) - 1) >> shift
	out := exponentialRange{offset: first, counts: make([]uint64, last-first+1)}
	for i, n := range r.counts {
		out.counts[(r.offset+int64(i))>>shift-first] += n
	}
	return out
}

// merge adds two runs of the same scale.
func merge(x, y exponentialRange) (exponentialRange, bool) {
	switch {
	case len(x.counts) == 0:
		return y, true
	case len(y.counts) == 0:
		return x, true
	}
	first := min(x.offset, y.offset)
	length := max(x.offset+int64(len(x.counts)), y.offset+int64(len(y.counts))) - first
	if length > maxExponentialSpan {
		return exponentialRange{}, false
	}
	out := exponentialRange{offset: first, counts: make([]uint64, length)}
	for _, r := range []exponentialRange{x, y} {
		for i, n := range r.counts {
			out.counts[r.offset-first+int64(i)] += n
		}
	}
	return out, true
}
