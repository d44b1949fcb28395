// SPDX-License-Identifier: Apache-2.0

// Package exphist is an exponential histogram with exact counts: that of OpenTelemetry's data model, for values that are
// not negative. Bucket i at scale s holds the values in (2^(i·2^-s), 2^((i+1)·2^-s)]. The scale falls when the buckets
// would become too many, so memory is bounded and merging never loses a count.
package exphist

import (
	"errors"
	"math"
)

const (
	// MaxBuckets is the most buckets a histogram has.
	MaxBuckets = 160
	// MaxScale is the scale a histogram begins with: a quantile is off by at most 2.2 %.
	MaxScale = 5
	// minScale is the smallest scale of OpenTelemetry's data model in practice: 2 buckets hold all floats.
	minScale = -10
	// maxInputScale is the greatest scale that is read.
	maxInputScale = 20
	// exponents is a bound of the exponents of floats, denormal ones included.
	exponents = 1100
)

var (
	// ErrScale means a scale outside of -10 to 20.
	ErrScale = errors.New("scale is outside of -10 to 20")
	// ErrIndex means a bucket that no float falls into.
	ErrIndex = errors.New("bucket index is outside of the range of floating point numbers")
	// ErrBounds means explicit bounds that do not ascend, are not finite, are negative, or do not fit the counts.
	ErrBounds = errors.New("bounds must ascend, be finite and not negative, and be one fewer than the counts")
)

// Histogram counts values. The zero value is not ready: use [New].
type Histogram struct {
	// Count is the number of values, Zero the number of those that are at most ZeroThreshold.
	Count, Zero uint64
	// Sum is the sum of the values, as far as it was told.
	Sum float64
	// Min and Max are the smallest and the greatest value; +Inf and -Inf where nobody told.
	Min, Max float64
	// ZeroThreshold is the greatest value that counts as zero.
	ZeroThreshold float64
	// Scale is the resolution, from -10 to 5.
	Scale int32
	// Offset is the index of the first of Buckets.
	Offset int32
	// Buckets are the counts, at most [MaxBuckets].
	Buckets []uint64
}

// New returns an empty histogram of the greatest scale.
func New() *Histogram {
	return &Histogram{Scale: MaxScale, Min: math.Inf(1), Max: math.Inf(-1)}
}

// Record counts a value n times. A value that is negative or not a finite number is not counted: false.
func (h *Histogram) Record(value float64, n uint64) bool {
	if !(value >= 0) || math.IsInf(value, 1) {
		return false
	}
	if n == 0 {
		return true
	}
	h.Count = add(h.Count, n)
	h.Sum += value * float64(n)
	h.Min, h.Max = min(h.Min, value), max(h.Max, value)
	if value == 0 || value <= h.ZeroThreshold {
		h.Zero = add(h.Zero, n)
		return true
	}
	h.count(index(value, h.Scale), n)
	return true
}

// Points is what a data point of an exponential histogram says, as it is merged into another one.
type Points struct {
	// Zero is the count of values up to ZeroThreshold.
	Zero          uint64
	ZeroThreshold float64
	Scale, Offset int32
	Counts        []uint64
	Sum           float64
	// Min and Max are the extremes; if HasExtremes is false nobody told them.
	Min, Max    float64
	HasExtremes bool
}

// Add merges the counts of a data point. With an error nothing was changed.
func (h *Histogram) Add(p *Points) error {
	if p.Scale < minScale || p.Scale > maxInputScale {
		return ErrScale
	}
	first, last := -1, -1
	for i, n := range p.Counts {
		if n != 0 {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	if first >= 0 {
		limit := limitAt(p.Scale)
		if low, high := int64(p.Offset)+int64(first), int64(p.Offset)+int64(last); low < -limit || high > limit {
			return ErrIndex
		}
	}
	h.Count, h.Zero = add(h.Count, p.Zero), add(h.Zero, p.Zero)
	h.Sum += finite(p.Sum)
	if p.HasExtremes && p.Min <= p.Max {
		h.Min, h.Max = min(h.Min, p.Min), max(h.Max, p.Max)
	}
	if p.Zero > 0 {
		h.raise(p.ZeroThreshold)
	}
	if first < 0 {
		return nil
	}
	if h.Scale > p.Scale {
		h.downscale(h.Scale - p.Scale)
	}
	for i := first; i <= last; i++ {
		if n := p.Counts[i]; n != 0 {
			h.Count = add(h.Count, n)
			h.count(int32((int64(p.Offset)+int64(i))>>(p.Scale-h.Scale)), n)
		}
	}
	return nil
}

// Merge adds all of another histogram.
func (h *Histogram) Merge(o *Histogram) {
	if o == nil {
		return
	}
	// A histogram of this package is always in range.
	_ = h.Add(&Points{
		Zero: o.Zero, ZeroThreshold: o.ZeroThreshold, Scale: o.Scale, Offset: o.Offset, Counts: o.Buckets,
		Sum: o.Sum, Min: o.Min, Max: o.Max, HasExtremes: o.Min <= o.Max,
	})
}

// AddExplicit merges a histogram with explicit bounds: counts[i] are the values in (bounds[i-1], bounds[i]]. Counts stay
// exact, and none crosses a bound. Within a bucket values are spread evenly, as queries of such histograms assume too; those
// up to the first bound count as zero with that bound as the threshold; those above the last bound are shown just above it.
// With an error nothing was changed.
func (h *Histogram) AddExplicit(bounds []float64, counts []uint64, sum float64) error {
	if len(counts) != len(bounds)+1 {
		return ErrBounds
	}
	before := -1.0
	for _, b := range bounds {
		if !(b > before) || !(b >= 0) || math.IsInf(b, 1) {
			return ErrBounds
		}
		before = b
	}
	h.Sum += finite(sum)
	for i, n := range counts {
		switch {
		case n == 0:
		case len(bounds) == 0 || i == 0:
			h.Count, h.Zero = add(h.Count, n), add(h.Zero, n)
			if i < len(bounds) {
				h.raise(bounds[0])
			}
		case i == len(bounds):
			h.Count = add(h.Count, n)
			h.count(h.above(max(bounds[i-1], h.ZeroThreshold)), n)
		default:
			h.spread(bounds[i-1], bounds[i], n)
		}
	}
	return nil
}

// spread counts n values evenly between two bounds, fewer than there are buckets around the middle.
func (h *Histogram) spread(low, high float64, n uint64) {
	h.Count = add(h.Count, n)
	first, last := h.within(low, high)
	// From the top down: i is the bucket of what is left, in the scale that the histogram has by then.
	rest, i, scale := n, last, h.Scale
	for rest > 0 {
		edge := lower(i, scale)
		if i <= first || edge <= low {
			h.count(rescaled(i, scale, h.Scale), rest)
			return
		}
		below := min(uint64(math.Round(float64(n)*((edge-low)/(high-low)))), rest)
		if rest > below {
			h.count(rescaled(i, scale, h.Scale), rest-below)
		}
		rest, i = below, i-1
		if scale != h.Scale {
			i, first, scale = rescaled(i, scale, h.Scale), rescaled(first, scale, h.Scale), h.Scale
		}
	}
}

// within are the first and the last bucket for values between two bounds: none reaches beyond a bound, and no bucket of
// keptScale that it is a part of does. So a quantile is above a bound exactly if the explicit histogram says so, which is
// what limits are compared with, also when the scale has fallen that far. Between bounds that are closer than buckets it is
// the bucket of their middle.
func (h *Histogram) within(low, high float64) (first, last int32) {
	if low == 0 {
		low = high / wide
	}
	from, to := math.Log2(low), math.Log2(high)
	for scale := min(keptScale, h.Scale); scale <= h.Scale; scale++ {
		first, last = int32(math.Ceil(math.Ldexp(from, int(scale)))), int32(math.Floor(math.Ldexp(to, int(scale))))-1
		if first <= last {
			finer := h.Scale - scale
			return first << finer, (last+1)<<finer - 1
		}
	}
	middle := index(low/2+high/2, h.Scale)
	return middle, middle
}

// above is the bucket for values above a bound: the first one that lies wholly above it, at keptScale too.
func (h *Histogram) above(bound float64) int32 {
	if bound == 0 {
		return index(math.SmallestNonzeroFloat64, h.Scale)
	}
	scale := min(keptScale, h.Scale)
	return int32(math.Ceil(math.Ldexp(math.Log2(bound), int(scale)))) << (h.Scale - scale)
}

// keptScale is the scale down to which explicit bounds are kept apart. At it, 160 buckets are 20 powers of two: from half a
// millisecond to 9 minutes.
const keptScale = 3

// wide is how far down values between 0 and a bound are spread: what is below is a 32nd of them.
const wide = 32

// rescaled is the bucket of a coarser scale that a bucket is in.
func rescaled(i, from, to int32) int32 { return i >> (from - to) }

// raise makes values up to a threshold count as zero. Buckets that lie wholly below it move there.
func (h *Histogram) raise(threshold float64) {
	if !(threshold > h.ZeroThreshold) || math.IsInf(threshold, 1) {
		return
	}
	h.ZeroThreshold = threshold
	for len(h.Buckets) > 0 && lower(h.Offset+1, h.Scale) <= threshold {
		h.Zero = add(h.Zero, h.Buckets[0])
		h.Buckets, h.Offset = h.Buckets[1:], h.Offset+1
	}
}

// count adds n to a bucket and lowers the scale where there would be too many.
func (h *Histogram) count(i int32, n uint64) {
	if len(h.Buckets) == 0 {
		h.Offset = i
		h.Buckets = append(h.Buckets[:0], n)
		return
	}
	for {
		low := min(h.Offset, i)
		high := max(h.Offset+int32(len(h.Buckets))-1, i)
		if high-low < MaxBuckets {
			h.widen(low, high)
			h.Buckets[i-h.Offset] = add(h.Buckets[i-h.Offset], n)
			return
		}
		h.downscale(1)
		i >>= 1
	}
}

// widen makes room for the buckets from low to high, which include all that are there.
func (h *Histogram) widen(low, high int32) {
	size := int(high - low + 1)
	if size == len(h.Buckets) {
		return
	}
	shift := int(h.Offset - low)
	if shift == 0 && size <= cap(h.Buckets) {
		old := len(h.Buckets)
		h.Buckets = h.Buckets[:size]
		clear(h.Buckets[old:])
		return
	}
	buckets := make([]uint64, size, min(MaxBuckets, size+size/4+4))
	copy(buckets[shift:], h.Buckets)
	h.Buckets, h.Offset = buckets, low
}

func (h *Histogram) downscale(by int32) {
	h.Scale -= by
	if len(h.Buckets) == 0 {
		return
	}
	first := h.Offset >> by
	last := (h.Offset + int32(len(h.Buckets)) - 1) >> by
	for i, n := range h.Buckets {
		to := (h.Offset+int32(i))>>by - first
		if int(to) == i {
			continue
		}
		h.Buckets[i] = 0
		h.Buckets[to] = add(h.Buckets[to], n)
	}
	h.Buckets, h.Offset = h.Buckets[:last-first+1], first
}

// Quantile is the value below which the part q of the values lies, from 0 to 1, to within the width of a bucket. NaN
// without values. Within the zero bucket it is the threshold.
func (h *Histogram) Quantile(q float64) float64 {
	if h.Count == 0 || !(q >= 0 && q <= 1) {
		return math.NaN()
	}
	rank := q * float64(h.Count)
	seen := float64(h.Zero)
	if h.Zero > 0 && rank <= seen {
		return h.bounded(h.ZeroThreshold)
	}
	for i, n := range h.Buckets {
		if n == 0 {
			continue
		}
		if seen+float64(n) >= rank {
			part := max(0, (rank-seen)/float64(n))
			from, to := lower(h.Offset+int32(i), h.Scale), lower(h.Offset+int32(i)+1, h.Scale)
			return h.bounded(from + (to-from)*part)
		}
		seen += float64(n)
	}
	return h.bounded(lower(h.Offset+int32(len(h.Buckets)), h.Scale))
}

func (h *Histogram) bounded(v float64) float64 {
	if h.Min <= h.Max {
		return min(max(v, h.Min), h.Max)
	}
	return v
}

func index(v float64, scale int32) int32 {
	return int32(math.Ceil(math.Ldexp(math.Log2(v), int(scale)))) - 1
}

func lower(i, scale int32) float64 {
	return min(math.Exp2(math.Ldexp(float64(i), -int(scale))), math.MaxFloat64)
}

// limitAt bounds the indexes of a scale.
func limitAt(scale int32) int64 {
	if scale < 0 {
		return exponents>>-scale + 1
	}
	return exponents << scale
}

func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}

// add stays at the greatest number instead of beginning at 0 again.
func add(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}
