// SPDX-License-Identifier: Apache-2.0

package exphist

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func total(h *Histogram) uint64 {
	n := h.Zero
	for _, c := range h.Buckets {
		n += c
	}
	return n
}

func TestCountsStayExactWhateverTheRange(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	h := New()
	for range 20_000 {
		require.True(t, h.Record(math.Exp2(random.Float64()*80-40), 1+random.Uint64N(3)))
		require.LessOrEqual(t, len(h.Buckets), MaxBuckets)
	}
	assert.Equal(t, h.Count, total(h))
	assert.Less(t, h.Scale, int32(MaxScale), "80 powers of two do not fit at the greatest scale")
}

func TestBoundariesBelongBelow(t *testing.T) {
	h := New()
	h.Record(8, 1)
	assert.Equal(t, int32(3<<MaxScale)-1, h.Offset, "a power of two is the upper end of its bucket")
	assert.InDelta(t, 8, h.Quantile(1), 1e-12)
}

func TestNothingThatIsNoValueCounts(t *testing.T) {
	h := New()
	for _, v := range []float64{-1, math.NaN(), math.Inf(1), math.Inf(-1)} {
		assert.False(t, h.Record(v, 1))
	}
	assert.Zero(t, h.Count)
	assert.True(t, math.IsNaN(h.Quantile(0.5)))
	for _, v := range []float64{0, math.SmallestNonzeroFloat64, math.MaxFloat64} {
		assert.True(t, h.Record(v, 1))
	}
	assert.Equal(t, uint64(3), total(h))
}

func TestQuantilesAreWithinABucket(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	h, values := New(), []float64{}
	for range 10_000 {
		v := math.Exp(random.NormFloat64()*0.5) * 20
		h.Record(v, 1)
		values = append(values, v)
	}
	slices.Sort(values)
	width := math.Exp2(math.Ldexp(1, -int(h.Scale)))
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 1} {
		want := values[max(0, int(math.Ceil(q*10_000))-1)]
		got := h.Quantile(q)
		assert.LessOrEqual(t, got/want, width, "%v", q)
		assert.LessOrEqual(t, want/got, width, "%v", q)
	}
}

func TestMergingIsRecordingBoth(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		a, b, both := New(), New(), New()
		for range random.IntN(60) {
			v := math.Exp2(random.Float64()*60 - 20)
			if random.IntN(2) == 0 {
				a.Record(v, 1)
			} else {
				b.Record(v, 1)
			}
			both.Record(v, 1)
		}
		a.Merge(b)
		require.Equal(t, both.Count, a.Count)
		require.Equal(t, both.Count, total(a))
		require.InEpsilon(t, both.Sum+1, a.Sum+1, 1e-9)
		require.Equal(t, both.Max, a.Max)
		require.LessOrEqual(t, a.Scale, both.Scale)
		// The order may cost scale, never a value: brought to the coarser scale, both have the same buckets.
		both.downscale(both.Scale - a.Scale)
		require.Equal(t, trimmed(both), trimmed(a))
	}
}

func trimmed(h *Histogram) map[int32]uint64 {
	m := map[int32]uint64{}
	for i, n := range h.Buckets {
		if n > 0 {
			m[h.Offset+int32(i)] = n
		}
	}
	return m
}

func TestExplicitBounds(t *testing.T) {
	h := New()
	require.NoError(t, h.AddExplicit([]float64{1, 5, 10, 25}, []uint64{3, 10, 20, 40, 2}, 1234))
	assert.Equal(t, uint64(75), h.Count)
	assert.Equal(t, h.Count, total(h))
	assert.InDelta(t, 1234, h.Sum, 0)
	assert.Equal(t, uint64(3), h.Zero)
	assert.InDelta(t, 1, h.ZeroThreshold, 0)
	// What is at a bound is in the last bucket of keptScale below it.
	width := math.Exp2(math.Ldexp(1, -keptScale))
	assert.InEpsilon(t, 5, h.Quantile(13.0/75), width-1+0.01)
	assert.InEpsilon(t, 10, h.Quantile(33.0/75), width-1+0.01)
	assert.InEpsilon(t, 25, h.Quantile(73.0/75), width-1+0.01)
	require.NoError(t, h.AddExplicit(nil, []uint64{4}, 0), "a histogram without bounds says how many there were")
	assert.Equal(t, uint64(79), total(h))
	for name, bounds := range map[string][]float64{
		"descending": {5, 1}, "equal": {1, 1}, "not a number": {1, math.NaN()}, "infinite": {1, math.Inf(1)},
		"negative": {-1, 1}, "too many": {1, 2, 3},
	} {
		require.ErrorIs(t, New().AddExplicit(bounds, []uint64{1, 1, 1}, 0), ErrBounds, name)
	}
}

func TestPointsOutOfRangeAreRefusedWhole(t *testing.T) {
	h := New()
	h.Record(3, 1)
	before := *h
	require.ErrorIs(t, h.Add(&Points{Scale: 21, Zero: 1}), ErrScale)
	require.ErrorIs(t, h.Add(&Points{Scale: -10, Offset: 1 << 30, Counts: []uint64{1}}), ErrIndex)
	require.ErrorIs(t, h.Add(&Points{Scale: 0, Offset: math.MinInt32, Counts: []uint64{1}}), ErrIndex)
	assert.Equal(t, before, *h)
}

func FuzzAdd(f *testing.F) {
	f.Add(int32(3), int32(-4), []byte{1, 0, 7}, uint64(2), 0.5)
	f.Add(int32(-10), int32(1), []byte{1}, uint64(0), 0.0)
	f.Add(int32(20), int32(1<<29), []byte{1, 0, 0, 9}, uint64(1), math.Inf(1))
	f.Fuzz(func(t *testing.T, scale, offset int32, raw []byte, zero uint64, threshold float64) {
		p := &Points{Scale: scale, Offset: offset, Zero: zero % 1000, ZeroThreshold: threshold}
		want := p.Zero
		for _, b := range raw {
			p.Counts = append(p.Counts, uint64(b))
			want += uint64(b)
		}
		h := New()
		h.Record(1, 1)
		h.Record(1e6, 1)
		before := h.Count
		if err := h.Add(p); err != nil {
			want = 0
		}
		if h.Count != before+want || total(h) != h.Count || len(h.Buckets) > MaxBuckets || h.Scale < minScale {
			t.Fatalf("%+v after %+v", h, p)
		}
		h.Quantile(0.99)
	})
}

func FuzzAddExplicit(f *testing.F) {
	f.Add(0.5, 1.0, 3.6e6, uint16(3), uint16(9), uint16(1), uint16(0))
	f.Add(0.0, 1e-300, 1e300, uint16(3), uint16(9), uint16(1), uint16(7))
	f.Fuzz(func(t *testing.T, a, b, c float64, n0, n1, n2, n3 uint16) {
		h := New()
		h.Record(2, 5)
		err := h.AddExplicit([]float64{a, b, c}, []uint64{uint64(n0), uint64(n1), uint64(n2), uint64(n3)}, a)
		want := uint64(5)
		if err == nil {
			want += uint64(n0) + uint64(n1) + uint64(n2) + uint64(n3)
		}
		if h.Count != want || total(h) != want || len(h.Buckets) > MaxBuckets {
			t.Fatalf("%+v", h)
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	h := New()
	v := 1.0
	b.ReportAllocs()
	for b.Loop() {
		h.Record(v, 1)
		if v *= 1.01; v > 4000 {
			v = 1
		}
	}
}

func BenchmarkAddExplicitIstio(b *testing.B) {
	bounds := []float64{0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000}
	counts := make([]uint64, len(bounds)+1)
	for i := 2; i < 9; i++ {
		counts[i] = uint64(i * 10)
	}
	h := New()
	b.ReportAllocs()
	for b.Loop() {
		if err := h.AddExplicit(bounds, counts, 1); err != nil {
			b.Fatal(err)
		}
	}
}

// Within an explicit bucket values are spread evenly, also where the scale falls on the way.
func TestExplicitBucketsAreSpreadEvenly(t *testing.T) {
	for _, bounds := range [][2]float64{{5, 10}, {1, 1000}, {0.001, 100_000}, {1000, 1001}} {
		h := New()
		require.NoError(t, h.AddExplicit(bounds[:], []uint64{0, 100_000, 0}, 0))
		require.Equal(t, uint64(100_000), total(h))
		width := math.Exp2(math.Ldexp(1, -int(h.Scale)))
		for _, q := range []float64{0.1, 0.25, 0.5, 0.75, 0.9} {
			want := bounds[0] + (bounds[1]-bounds[0])*q
			got := h.Quantile(q)
			assert.LessOrEqual(t, max(got/want, want/got), width, "%v of %v", q, bounds)
		}
	}
}

// istio are the bounds of Istio's durations, in milliseconds.
var istio = []float64{
	0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000, 3_600_000,
}

// Whoever compares a percentile with one of the bounds gets the answer of the histogram that came, however few values an
// interval had, and at whatever scale they were put together.
func TestNoQuantileCrossesAnExplicitBound(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for run := range 300 {
		h, cumulated := New(), make([]uint64, len(istio)+1)
		h.Scale -= int32(run % 3)
		widest := 1 + random.IntN(14) // Up to 30 s: beyond, the buckets are too few.
		for range 1 + random.IntN(20) {
			counts := make([]uint64, len(istio)+1)
			for range 1 + random.IntN(3) {
				counts[random.IntN(widest)] += 1 + random.Uint64N(3)*random.Uint64N(50)
			}
			interval := New()
			require.NoError(t, interval.AddExplicit(istio, counts, 0))
			h.Merge(interval)
			for i, n := range counts {
				cumulated[i] += n
			}
		}
		for i := 1; i < len(cumulated); i++ {
			cumulated[i] += cumulated[i-1]
		}
		require.Equal(t, h.Count, cumulated[len(istio)])
		for _, q := range []float64{0.5, 0.9, 0.95, 0.99, 0.999, 1} {
			got := h.Quantile(q)
			for i, bound := range istio {
				require.Equal(t, float64(cumulated[i]) >= q*float64(h.Count), got <= bound,
					"%v is %v with the bound %v, below which are %d of %d, at scale %d", q, got, bound, cumulated[i], h.Count, h.Scale)
			}
		}
	}
}

func TestValuesAboveTheLastBoundAreAboveIt(t *testing.T) {
	for _, scale := range []int32{5, 4, 3} {
		h := New()
		h.Scale = scale
		require.NoError(t, h.AddExplicit([]float64{10, 100}, []uint64{0, 0, 7}, 0))
		assert.Greater(t, h.Quantile(0.01), 100.0)
		assert.Less(t, h.Quantile(1), 130.0)
	}
}

// Most intervals have one slow request or none: these are in the middle, not all at the upper bound.
func TestASingleValueIsInTheMiddle(t *testing.T) {
	h := New()
	for range 50 {
		require.NoError(t, h.AddExplicit(istio, []uint64{8: 1, 19: 0}, 0))
	}
	assert.InDelta(t, 375, h.Quantile(0.5), 8)
	assert.InDelta(t, 375, h.Quantile(0.99), 8)
}
