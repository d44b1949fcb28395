// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sample draws values of a kind that histograms are made of, in ascending order.
func sample(r *rand.Rand, shape string, n int) []float64 {
	values := make([]float64, n)
	for i := range values {
		switch shape {
		case "uniform":
			values[i] = r.Float64() * 12_000
		case "latency":
			values[i] = math.Exp(r.NormFloat64()*1.5 + 2)
		case "two peaks":
			values[i] = 3 + r.Float64()
			if r.IntN(10) == 0 {
				values[i] = 4000 + 100*r.Float64()
			}
		case "negative":
			values[i] = r.NormFloat64() * 40
		case "whole":
			values[i] = float64(r.IntN(20))
		}
	}
	slices.Sort(values)
	return values
}

// trueQuantile is the value of the nearest rank.
func trueQuantile(sorted []float64, q float64) float64 {
	rank := int(math.Ceil(q * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// istioBounds are the bounds of Istio's duration histogram, in milliseconds.
var istioBounds = []float64{0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000}

func explicitOf(values, bounds []float64) explicit {
	e := explicit{bounds: bounds, counts: make([]uint64, len(bounds)+1)}
	for _, v := range values {
		at, _ := slices.BinarySearch(bounds, v) // up to and with the bound
		e.counts[at]++
	}
	return e
}

func exponentialOf(values []float64, scale int32) *exponential {
	e := &exponential{scale: scale}
	index := func(v float64) int64 {
		i := int64(math.Ceil(math.Ldexp(math.Log2(v), int(scale)))) - 1
		for v <= e.bound(i) {
			i--
		}
		for v > e.bound(i+1) {
			i++
		}
		return i
	}
	put := func(r *exponentialRange, i int64) {
		one := exponentialRange{offset: i, counts: []uint64{1}}
		var ok bool
		if *r, ok = merge(*r, one); !ok {
			panic("the sample is too wide")
		}
	}
	for _, v := range values {
		switch {
		case v > 0:
			put(&e.positive, index(v))
		case v < 0:
			put(&e.negative, index(-v))
		default:
			e.zero++
		}
	}
	return e
}

// widthAt is the bound of the error that is documented: the width of the class that the true value is in, in so far as min
// and max do not make it narrower.
func widthAt(d *distribution, v float64) float64 {
	for _, b := range d.buckets {
		if (v > b.lo || (b.lo == b.hi && v == b.lo)) && v <= b.hi {
			lo, hi := b.lo, b.hi
			if d.hasMin {
				lo = max(lo, d.min)
			}
			if d.hasMax {
				hi = min(hi, d.max)
			}
			return hi - lo
		}
	}
	return math.NaN()
}

func TestPercentilesAreWithinTheWidthOfTheClass(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, shape := range []string{"uniform", "latency", "two peaks", "negative", "whole"} {
		for _, n := range []int{1, 2, 3, 20, 1000} {
			values := sample(r, shape, n)
			kinds := map[string][]bucket{
				"explicit":    explicitOf(values, istioBounds).appendTo(nil),
				"exponential": exponentialOf(values, 3).appendTo(nil),
				"coarse":      exponentialOf(values, -1).appendTo(nil),
			}
			for kind, buckets := range kinds {
				t.Run(fmt.Sprintf("%s/%s/%d", shape, kind, n), func(t *testing.T) {
					d := distribution{count: uint64(n), min: values[0], max: values[n-1], hasMin: true, hasMax: true, buckets: buckets}
					require.Equal(t, uint64(n), d.total(), "no value is lost")
					for _, q := range []float64{0.001, 0.5, 0.9, 0.95, 0.99, 0.999, 1} {
						got, ok := d.percentile(q)
						require.True(t, ok)
						want := trueQuantile(values, q)
						assert.LessOrEqual(t, math.Abs(got-want), widthAt(&d, want)*(1+1e-9), "p%v is %v, told as %v", q*100, want, got)
						assert.GreaterOrEqual(t, got, values[0])
						assert.LessOrEqual(t, got, values[n-1])
					}
				})
			}
		}
	}
}

// TestExponentialPercentilesHaveARelativeError is the bound of the documentation: 2^(2^-scale) - 1.
func TestExponentialPercentilesHaveARelativeError(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for scale := int32(0); scale <= 6; scale++ {
		values := sample(r, "latency", 5000)
		d := distribution{buckets: exponentialOf(values, scale).appendTo(nil)}
		bound := math.Exp2(math.Exp2(-float64(scale))) - 1
		for q := 0.01; q < 1; q += 0.01 {
			got, ok := d.percentile(q)
			require.True(t, ok)
			want := trueQuantile(values, q)
			assert.LessOrEqual(t, math.Abs(got-want)/want, bound*(1+1e-9), "scale %d, p%v", scale, q*100)
		}
	}
}

func TestExponentialSumsAreExactAtTheCoarserScale(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, scales := range [][2]int32{{3, 3}, {5, 2}, {0, 6}, {-1, 4}} {
		x, y := sample(r, "negative", 300), sample(r, "latency", 200)
		x = append(x, 0, 0)
		sum := exponentialOf(x, scales[0])
		require.True(t, sum.add(exponentialOf(y, scales[1])))
		assert.Equal(t, exponentialOf(append(x, y...), min(scales[0], scales[1])), sum, "%v", scales)
	}
}

func TestExponentialHistogramsTooFarApartAreNotAddedUp(t *testing.T) {
	low, high := exponentialOf([]float64{1e-300}, 6), exponentialOf([]float64{1e300}, 6)
	before := *low
	assert.False(t, low.add(high))
	assert.Equal(t, before, *low, "nothing changed")
	other := exponentialOf([]float64{1}, 6)
	other.zeroThreshold = 1e-3
	assert.False(t, low.add(other), "what was around zero for the one was not for the other")
}

func TestExtremes(t *testing.T) {
	inf := math.Inf(1)
	for name, c := range map[string]struct {
		d         distribution
		low, high float64
		ok        bool
	}{
		"told": {distribution{min: 3, max: 9, hasMin: true, hasMax: true, buckets: []bucket{{0, 10, 2}}}, 3, 9, true},
		"from the classes": {distribution{
			count: 3, sum: 30, hasSum: true, buckets: []bucket{{5, 10, 2}, {10, 25, 1}},
		}, 5, 25, true},
		"one told": {distribution{max: 12, hasMax: true, buckets: []bucket{{5, 10, 2}, {10, 25, 1}}}, 5, 12, true},
		"the first class is open": {distribution{
			count: 2, sum: 0.8, hasSum: true, buckets: []bucket{{-inf, 0.5, 1}, {0.5, 1, 1}},
		}, 0.4, 1, true},
		"the last class is open": {distribution{
			count: 2, sum: 90000, hasSum: true, buckets: []bucket{{10, 20, 1}, {30000, inf, 1}},
		}, 10, 45000, true},
		"open, and the mean is on this side": {distribution{
			count: 2, sum: 30, hasSum: true, buckets: []bucket{{10, 20, 1}, {30000, inf, 1}},
		}, 10, 30000, true},
		"one class without bounds": {distribution{count: 4, sum: 10, hasSum: true, buckets: []bucket{{-inf, inf, 4}}}, 2.5, 2.5, true},
		"both open, and no sum":    {distribution{count: 2, buckets: []bucket{{-inf, 0.5, 1}, {30000, inf, 1}}}, 0.5, 30000, true},
		"nothing is known":         {distribution{count: 4, sum: 10, hasSum: true}, 0, 0, false},
		"not a number":             {distribution{min: math.NaN(), hasMin: true, max: 1, hasMax: true}, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			low, high, ok := c.d.extremes()
			assert.Equal(t, c.ok, ok)
			assert.InDelta(t, c.low, low, 1e-12)
			assert.InDelta(t, c.high, high, 1e-12)
		})
	}
}

func TestPercentilesInOpenClassesAreTheirBound(t *testing.T) {
	d := distribution{buckets: explicit{bounds: []float64{5, 10}, counts: []uint64{4, 0, 4}}.appendTo(nil)}
	low, ok := d.percentile(0.1)
	require.True(t, ok)
	assert.InDelta(t, 5, low, 0, "not 0: nobody said that there is nothing below it")
	high, ok := d.percentile(0.9)
	require.True(t, ok)
	assert.InDelta(t, 10, high, 0)
	d.min, d.max, d.hasMin, d.hasMax = 1, 90, true, true
	low, _ = d.percentile(0.1)
	assert.InDelta(t, 1.5, low, 1e-12, "min closes the class")
	high, _ = d.percentile(1)
	assert.InDelta(t, 80, high, 1e-12, "max closes the class")
}

func TestClassesThatContradictThemselvesAreNotRead(t *testing.T) {
	for _, e := range []explicit{
		{},
		{bounds: []float64{1}},
		{bounds: []float64{1}, counts: []uint64{1}},
		{bounds: []float64{1}, counts: []uint64{1, 2, 3}},
		{bounds: []float64{2, 1}, counts: []uint64{1, 1, 1}},
		{bounds: []float64{1, 1}, counts: []uint64{1, 1, 1}},
		{bounds: []float64{math.NaN()}, counts: []uint64{1, 1}},
		{bounds: []float64{math.Inf(1)}, counts: []uint64{1, 1}},
	} {
		assert.Empty(t, e.appendTo(nil), "%v", e)
	}
	_, ok := (&distribution{count: 3}).percentile(0.5)
	assert.False(t, ok)
}
