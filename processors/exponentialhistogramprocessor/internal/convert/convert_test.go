// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// istio are the bounds of Istio's request durations, in milliseconds.
var istio = []float64{0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000}

func TestConvert(t *testing.T) {
	for name, tc := range map[string]struct {
		in   Explicit
		size int
		want Exponential
	}{
		"nothing": {
			Explicit{Bounds: []float64{1, 2}, Counts: []uint64{0, 0, 0}}, 160, Exponential{Scale: 3},
		},
		"bounds that are boundaries": {
			Explicit{Bounds: []float64{1, 2, 4}, Counts: []uint64{5, 8, 0, 0}},
			160,
			Exponential{Scale: 3, ZeroThreshold: 1, ZeroCount: 5, Positive: Side{0, []uint64{1, 1, 0, 1, 1, 1, 2, 1}}},
		},
		"few buckets": {
			Explicit{Bounds: []float64{1, 4, 16}, Counts: []uint64{0, 9, 4, 0}}, 2, Exponential{Scale: 0, Positive: Side{0, []uint64{3, 6, 1, 3}}},
		},
		"zero alone": {
			Explicit{Bounds: []float64{0.5, 1}, Counts: []uint64{7, 0, 0}}, 160, Exponential{Scale: 3, ZeroThreshold: 0.5, ZeroCount: 7},
		},
		"zero alone, with max": {
			Explicit{Bounds: []float64{0.5, 1}, Counts: []uint64{7, 0, 0}, Max: 0.25, HasMax: true}, 160, Exponential{Scale: 3, ZeroThreshold: 0.25, ZeroCount: 7},
		},
		"beyond the last bound, max unknown": {
			Explicit{Bounds: []float64{1, 2}, Counts: []uint64{0, 0, 9}}, 160, Exponential{Scale: 3, Positive: Side{8, []uint64{9}}},
		},
		"beyond the last bound": {
			Explicit{Bounds: []float64{1, 2}, Counts: []uint64{0, 0, 9}, Max: 4, HasMax: true}, 160, Exponential{Scale: 3, Positive: Side{8, []uint64{8, 0, 0, 0, 0, 0, 0, 1}}},
		},
		"max just beyond the last bound": {
			Explicit{Bounds: []float64{1, 2}, Counts: []uint64{0, 0, 1}, Max: math.Nextafter(2, 3), HasMax: true}, 160, Exponential{Scale: 3, Positive: Side{8, []uint64{1}}},
		},
		"before the first bound, which is negative": {
			Explicit{Bounds: []float64{-2, -1}, Counts: []uint64{9, 0, 0}, Min: -4, HasMin: true}, 160, Exponential{Scale: 3, Negative: Side{8, []uint64{8, 0, 0, 0, 0, 0, 0, 1}}},
		},
		"around zero": {
			Explicit{Bounds: []float64{-8, 2, 4}, Counts: []uint64{0, 10, 0, 0}},
			4,
			Exponential{Scale: 1, ZeroThreshold: 2, ZeroCount: 4, Negative: Side{2, []uint64{1, 1, 2, 2}}},
		},
		"zero as a bound": {
			Explicit{Bounds: []float64{-4, 0, 1, 2}, Counts: []uint64{0, 8, 3, 0, 0}},
			4,
			Exponential{Scale: 1, ZeroThreshold: 1, ZeroCount: 5, Negative: Side{0, []uint64{1, 1, 2, 2}}},
		},
		"a bound of zero alone": {
			Explicit{Bounds: []float64{0}, Counts: []uint64{3, 4}}, 160, Exponential{Scale: 3, ZeroCount: 7},
		},
		"a bound of zero alone, with ends": {
			Explicit{Bounds: []float64{0}, Counts: []uint64{3, 4}, Min: -1, HasMin: true, Max: 2, HasMax: true},
			4,
			Exponential{Scale: 2, ZeroThreshold: 1, ZeroCount: 5, Positive: Side{1, []uint64{1, 0, 1}}},
		},
		"one value": {
			Explicit{Bounds: []float64{1, 10}, Counts: []uint64{0, 6, 0}, Min: 4, HasMin: true, Max: 4, HasMax: true}, 160, Exponential{Scale: 3, Positive: Side{15, []uint64{6}}},
		},
		"ends that contradict each other": {
			Explicit{Bounds: []float64{1, 2}, Counts: []uint64{0, 8, 0}, Min: 1.9, HasMin: true, Max: 1.1, HasMax: true},
			1,
			Exponential{Scale: 2, Positive: Side{0, []uint64{2, 1, 2, 3}}},
		},
		"a tiny least value does not take up the buckets": {
			Explicit{Bounds: []float64{1, 2, 4}, Counts: []uint64{1, 8, 8, 0}, Min: -1e-300, HasMin: true},
			2,
			Exponential{Scale: 1, ZeroThreshold: 1, ZeroCount: 1, Positive: Side{0, []uint64{3, 5, 3, 5}}},
		},
		"a tiny least value above zero neither": {
			Explicit{Bounds: []float64{0, 1, 2, 4}, Counts: []uint64{0, 1, 8, 8, 0}, Min: 1e-300, HasMin: true},
			2,
			Exponential{Scale: 1, ZeroThreshold: 1, ZeroCount: 1, Positive: Side{0, []uint64{3, 5, 3, 5}}},
		},
		"nor a greatest value just below zero": {
			Explicit{Bounds: []float64{-4, -2, -1, 0}, Counts: []uint64{0, 8, 8, 1, 0}, Max: -1e-300, HasMax: true},
			2,
			Exponential{Scale: 1, ZeroThreshold: 1, ZeroCount: 1, Negative: Side{0, []uint64{3, 5, 3, 5}}},
		},
		"a least value within a bucket around zero": {
			Explicit{Bounds: []float64{-8, 2, 4}, Counts: []uint64{0, 10, 0, 0}, Min: -3, HasMin: true},
			4,
			Exponential{Scale: 2, ZeroThreshold: 2, ZeroCount: 8, Negative: Side{4, []uint64{1, 1}}},
		},
		"ends that are no numbers": {
			Explicit{Bounds: []float64{1, 2}, Counts: []uint64{0, 8, 0}, Min: math.NaN(), HasMin: true, Max: math.Inf(1), HasMax: true},
			2,
			Exponential{Scale: 2, Positive: Side{0, []uint64{2, 1, 2, 3}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Convert(tc.in, tc.size, 3)
			require.NoError(t, err)
			assert.Equal(t, tc.want, got)
		})
	}
}

func TestConvertRefuses(t *testing.T) {
	for _, tc := range []struct {
		bounds []float64
		counts []uint64
		want   error
	}{
		{nil, []uint64{1}, ErrNoBounds},
		{nil, nil, ErrNoBounds},
		{[]float64{1}, []uint64{1}, ErrCounts},
		{[]float64{1}, nil, ErrCounts},
		{[]float64{1, 1}, []uint64{1, 1, 1}, ErrBounds},
		{[]float64{2, 1}, []uint64{1, 1, 1}, ErrBounds},
		{[]float64{math.NaN()}, []uint64{1, 1}, ErrBounds},
		{[]float64{1, math.Inf(1)}, []uint64{1, 1, 1}, ErrBounds},
		{[]float64{math.Inf(-1)}, []uint64{1, 1}, ErrBounds},
	} {
		_, err := Convert(Explicit{Bounds: tc.bounds, Counts: tc.counts}, 160, 5)
		require.ErrorIs(t, err, tc.want, "%v", tc)
	}
}

// buckets are those of an exponential histogram from the least to the greatest, as ranges of values.
type bucket struct {
	low, high float64
	count     uint64
}

func bucketsOf(e *Exponential) []bucket {
	var all []bucket
	for i, count := range slices.Backward(e.Negative.Counts) {
		at := int(e.Negative.Offset) + i
		all = append(all, bucket{-lower(at+1, e.Scale), -lower(at, e.Scale), count})
	}
	all = append(all, bucket{-e.ZeroThreshold, e.ZeroThreshold, e.ZeroCount})
	for i, count := range e.Positive.Counts {
		at := int(e.Positive.Offset) + i
		all = append(all, bucket{lower(at, e.Scale), lower(at+1, e.Scale), count})
	}
	return all
}

// hold compares the values with what is shown of them, one by one in their order.
func hold(t *testing.T, in Explicit, values []float64, size int, scale int32) {
	t.Helper()
	out, err := Convert(in, size, scale)
	require.NoError(t, err)
	require.LessOrEqual(t, len(out.Positive.Counts), max(size, MinSize))
	require.LessOrEqual(t, len(out.Negative.Counts), max(size, MinSize))
	var all []bucket
	total := uint64(0)
	for _, b := range bucketsOf(&out) {
		require.LessOrEqual(t, b.low, b.high)
		if len(all) > 0 {
			require.LessOrEqual(t, all[len(all)-1].high, b.low+math.Abs(b.low)*1e-12+math.SmallestNonzeroFloat64*4, "buckets do not overlap")
		}
		if b.count > 0 {
			all = append(all, b)
		}
		total += b.count
	}
	require.EqualValues(t, len(values), total)
	slices.Sort(values)
	next, left := 0, uint64(0)
	for _, v := range values {
		for left == 0 {
			left = all[next].count
			next++
		}
		left--
		shown := all[next-1]
		i := sort.SearchFloat64s(in.Bounds, v)
		low, high := math.Inf(-1), math.Inf(1)
		if i > 0 {
			low = in.Bounds[i-1]
		}
		if i < len(in.Bounds) {
			high = in.Bounds[i]
		}
		slack := 1.5 * math.Exp2(-float64(out.Scale))
		switch {
		case math.IsInf(low, -1) && high >= 0:
			low = min(0, in.Min)
		case math.IsInf(high, 1) && low <= 0:
			high = max(0, in.Max)
		}
		switch {
		case math.IsInf(low, -1) || math.IsInf(high, 1):
			// Nothing bounds the error, other than the sign.
			require.Greater(t, shown.high*v+shown.low*v, 0.0)
		case low > 0 || high < 0:
			limit := math.Log2(high / low)
			if high < 0 {
				limit = -limit
			}
			for _, edge := range []float64{shown.low, shown.high} {
				require.LessOrEqual(t, math.Abs(math.Log2(edge/v)), limit+slack+1e-9, "value %v of (%v, %v] is shown in (%v, %v]", v, low, high, shown.low, shown.high)
			}
		default:
			for _, edge := range []float64{shown.low, shown.high} {
				require.LessOrEqual(t, math.Abs(edge-v), (high-low+out.ZeroThreshold)*math.Exp2(slack)+1e-9, "value %v of (%v, %v] is shown in (%v, %v]", v, low, high, shown.low, shown.high)
			}
		}
	}
	exact(t, in, &out)
}

// exact holds the counts up to each bound that has values beside it to being those of the explicit histogram.
func exact(t *testing.T, in Explicit, out *Exponential) {
	t.Helper()
	var below uint64
	for i, b := range in.Bounds {
		below += in.Counts[i]
		if b <= out.ZeroThreshold || b <= 0 || (in.Counts[i] == 0 && in.Counts[i+1] == 0) || (in.HasMax && b > in.Max) {
			continue
		}
		moved := nearest(b, out.Scale)
		if i+1 < len(in.Bounds) && nearest(in.Bounds[i+1], out.Scale) == moved {
			continue
		}
		if nearest(max(in.Min, 0), out.Scale) >= moved {
			continue
		}
		got := out.ZeroCount
		for _, c := range out.Negative.Counts {
			got += c
		}
		for j, c := range out.Positive.Counts {
			if int(out.Positive.Offset)+j < moved {
				got += c
			}
		}
		require.Equal(t, below, got, "up to %v", b)
	}
}

func random(r *rand.Rand) (bounds, values []float64) {
	bounds = istio
	signed := r.IntN(3) == 0
	if r.IntN(2) == 0 {
		bounds = nil
		for range 1 + r.IntN(12) {
			b := math.Exp(r.NormFloat64() * 4)
			if signed && r.IntN(2) == 0 {
				b = -b
			}
			bounds = append(bounds, b)
		}
		if r.IntN(4) == 0 {
			bounds = append(bounds, 0)
		}
		slices.Sort(bounds)
		bounds = slices.Compact(bounds)
	}
	middle, wide := r.NormFloat64()*4, r.Float64()*5
	for range 1 + r.IntN(300) {
		v := math.Exp(middle + r.NormFloat64()*wide)
		if signed && r.IntN(2) == 0 {
			v = -v
		}
		values = append(values, v)
	}
	return bounds, values
}

func explicit(bounds, values []float64, ends bool) Explicit {
	in := Explicit{Bounds: bounds, Counts: make([]uint64, len(bounds)+1), Min: slices.Min(values), Max: slices.Max(values), HasMin: ends, HasMax: ends}
	for _, v := range values {
		in.Counts[sort.SearchFloat64s(bounds, v)]++
	}
	return in
}

// TestProperties converts histograms of known values and holds each value to the bound that the package promises.
func TestProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for range 700 {
		bounds, values := random(r)
		size, scale := []int{4, 10, 40, 160}[r.IntN(4)], int32(r.IntN(12)-2)
		in := explicit(bounds, values, true)
		hold(t, in, values, size, scale)
		if t.Failed() {
			t.Fatalf("%+v size %d scale %d", in, size, scale)
		}
	}
}

// Converting the same bounds with other counts gives histograms that add up like the originals do: the zero bucket apart,
// the sum of two converted ones has as many values up to a bound as the sum of the originals.
func TestIstioBoundsKeepTheirPlaces(t *testing.T) {
	in := Explicit{Bounds: istio, Counts: make([]uint64, len(istio)+1)}
	for i := range in.Counts {
		in.Counts[i] = uint64(i) + 1
	}
	out, err := Convert(in, 160, 5)
	require.NoError(t, err)
	assert.EqualValues(t, 2, out.Scale, "22.8 octaves in 160 buckets")
	assert.LessOrEqual(t, len(out.Positive.Counts), 160)
	exact(t, in, &out)
}

// A count that no float holds exactly must not round to more than there is.
func TestShareOfAGreatCount(t *testing.T) {
	for _, count := range []uint64{math.MaxUint64, math.MaxUint64 - 1023, 1<<63 + 1025, 1<<53 + 1, 1<<53 - 1, 3} {
		assert.LessOrEqual(t, share(count, math.Nextafter(1, 0), 1), count)
	}
	assert.Zero(t, share(math.MaxUint64, math.NaN(), 1))
}

// FuzzConvert holds any histogram to an exact number of values, in order and within the limits.
func FuzzConvert(f *testing.F) {
	f.Add(0.5, 1.0, 5.0, uint64(1), uint64(2), uint64(3), uint64(4), 0.1, 7.0, 160, int32(5))
	f.Add(-1.0, 0.0, 1.0, uint64(1), uint64(0), uint64(math.MaxUint32), uint64(4), math.Inf(-1), math.NaN(), 2, int32(20))
	f.Add(5e-324, 1.0, math.MaxFloat64, uint64(9), uint64(9), uint64(9), uint64(9), 5e-324, math.MaxFloat64, 1, int32(-10))
	f.Fuzz(func(t *testing.T, a, b, c float64, i, j, k, l uint64, least, greatest float64, size int, scale int32) {
		in := Explicit{
			Bounds: []float64{a, b, c}, Counts: []uint64{i >> 3, j >> 3, k >> 3, l >> 3}, Min: least, Max: greatest, HasMin: i&1 == 1, HasMax: j&1 == 1,
		}
		size = min(max(size, 0), 400)
		out, err := Convert(in, size, scale)
		if err != nil {
			return
		}
		require.GreaterOrEqual(t, out.Scale, int32(MinScale))
		require.LessOrEqual(t, out.Scale, int32(MaxScale))
		require.LessOrEqual(t, len(out.Positive.Counts), max(size, MinSize))
		require.LessOrEqual(t, len(out.Negative.Counts), max(size, MinSize))
		total := out.ZeroCount
		for _, count := range append(slices.Clone(out.Positive.Counts), out.Negative.Counts...) {
			require.LessOrEqual(t, count, i>>3+j>>3+k>>3+l>>3)
			total += count
		}
		require.Equal(t, i>>3+j>>3+k>>3+l>>3, total)
		require.False(t, math.IsNaN(out.ZeroThreshold) || out.ZeroThreshold < 0 || math.IsInf(out.ZeroThreshold, 0))
	})
}
