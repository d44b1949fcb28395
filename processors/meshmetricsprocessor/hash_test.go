// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"math/bits"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshmetricsprocessor/internal/series"
)

func TestHashesDiffer(t *testing.T) {
	s := newSeeds()
	seen := map[uint64]string{}
	for i := range 300_000 {
		text := "reviews-v1-" + strconv.Itoa(i) + strings.Repeat("x", i%40)
		h := s.value.text(text)
		require.Empty(t, seen[h], text)
		seen[h] = text
	}
	for _, text := range []string{"", "\x00", "\x00\x00", strings.Repeat("\x00", 8), strings.Repeat("\x00", 16), strings.Repeat("\x00", 17), strings.Repeat("\x00", 33)} {
		h := s.value.text(text)
		require.NotContains(t, seen, h, "%q", text)
		seen[h] = text
	}
	assert.NotEqual(t, s.value.text("reporter"), s.names.text("reporter"))
	assert.NotEqual(t, newSeeds().value.text("reporter"), s.value.text("reporter"), "nobody outside foresees it")
}

// TestEachBitMixes flips each bit of texts of many lengths: half of the hash should change.
func TestEachBitMixes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, length := range []int{1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 64, 100} {
		flips, changed := 0, 0
		for range 200 {
			s := seed{r.Uint64(), r.Uint64()}
			text := make([]byte, length)
			for i := range text {
				text[i] = byte(r.IntN(256))
			}
			before := s.text(string(text))
			for bit := range 8 * length {
				text[bit/8] ^= 1 << (bit % 8)
				n := bits.OnesCount64(before ^ s.text(string(text)))
				text[bit/8] ^= 1 << (bit % 8)
				require.NotZero(t, n, "length %d, bit %d", length, bit)
				flips, changed = flips+1, changed+n
			}
		}
		assert.InDelta(t, 32, float64(changed)/float64(flips), 1, "length %d", length)
	}
}

func TestSeedsAreTheSameAfterARestart(t *testing.T) {
	s := newSeeds()
	again := readSeeds(s.encode(nil))
	require.Equal(t, s, again)
	require.Len(t, s.encode(nil), seedsSize)
}

// TestKeysTellAttributesApart has attributes that only a careless sum would take for each other.
func TestKeysTellAttributesApart(t *testing.T) {
	s := newSeeds()
	of := func(pairs ...any) series.Key {
		m := pcommon.NewMap()
		for i := 0; i < len(pairs); i += 2 {
			require.NoError(t, m.PutEmpty(pairs[i].(string)).FromRaw(pairs[i+1]))
		}
		return s.all(m)
	}
	keys := map[series.Key]int{}
	for i, key := range []series.Key{
		of(), of("a", "b"), of("b", "a"), of("a", "a", "b", "b"), of("a", "b", "b", "a"), of("a", ""), of("", "a"),
		of("a", 1), of("a", 2), of("a", "1"), of("a", true), of("a", false), of("a", 1.0), of("a", []any{"1"}), of("a", "ab"), of("aa", "b"),
	} {
		require.NotContains(t, keys, key, "%d", i)
		keys[key] = i
	}
	assert.Equal(t, of("a", "1", "b", "2"), of("b", "2", "a", "1"), "their order does not matter")
	x, y := of("a", "1"), of("b", "2")
	assert.NotEqual(t, fold(x, y), fold(y, x), "that of folds does")
	bounds := func(values ...float64) series.Key {
		b := pcommon.NewFloat64Slice()
		b.FromRaw(values)
		return s.bounds(b)
	}
	assert.NotEqual(t, bounds(1, 2), bounds(2, 1))
	assert.NotEqual(t, bounds(), bounds(0))
}

func TestMemo(t *testing.T) {
	var m memo[int, int]
	found := 0
	get := func(k int) int {
		return m.get(k, func() (int, int) { found++; return k, 2 * k })
	}
	for range 2 {
		for k := range memoSize + 100 {
			require.Equal(t, 2*k, get(k))
		}
	}
	assert.Len(t, *m.m.Load(), memoSize, "it has a ceiling")
	assert.Equal(t, memoSize+100+100, found, "what has no place is found each time")
	var shared memo[int, int]
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for k := range 200 {
				if v := shared.get(k, func() (int, int) { return k, -k }); v != -k {
					t.Errorf("%d: %d", k, v)
				}
			}
		})
	}
	wait.Wait()
	assert.Len(t, *shared.m.Load(), 200)
}
