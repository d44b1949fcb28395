// SPDX-License-Identifier: Apache-2.0

package items

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSplitItemsFillsEveryPart(t *testing.T) {
	b := sample(103, "")
	want := all(b)
	for limit := 1; limit < 90; limit += 7 {
		parts := b.SplitItems(limit)
		assert.Equal(t, want, all(parts...), limit)
		for i, part := range parts {
			consistent(t, part)
			assert.Equal(t, b.Accepted(), part.Accepted())
			if i < len(parts)-1 {
				assert.Equal(t, limit, part.Sources(), "only the last part may be smaller")
			}
			assert.LessOrEqual(t, part.Sources(), limit)
			assert.False(t, part.Item(0).Derived, "an exception stays with its span")
		}
	}
	assert.Equal(t, []*Batch{b}, b.SplitItems(0), "no limit")
	assert.Equal(t, []*Batch{b}, b.SplitItems(b.Sources()))
}

func TestSplitBytesKeepsTheContractOfTheBatcher(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		b := &Batch{}
		largest := 0
		for range 1 + random.IntN(40) {
			text := strings.Repeat("y", random.IntN(300))
			b.Append(Item{JSON: []byte(`{"t":"` + text + `"}`), Kind: KindEvent})
			largest = max(largest, b.itemBytes(b.Len()-1))
		}
		want := all(b)
		limit := 2*largest + random.IntN(2000)
		parts := b.SplitBytes(limit)
		require.Equal(t, want, all(parts...))
		last := parts[len(parts)-1].MemoryBytes()
		for _, part := range parts {
			consistent(t, part)
			require.LessOrEqual(t, part.MemoryBytes(), limit)
			require.Positive(t, part.Len())
			if part.MemoryBytes() < last {
				require.Equal(t, 1, parts[len(parts)-1].Len(), "the last part is the smallest, unless it is one item")
			}
		}
	}
}

func TestSplitBytesSendsAnItemOverTheLimitAlone(t *testing.T) {
	b := sample(3, "")
	b.Append(Item{JSON: []byte(`{"t":"` + long + `"}`)})
	b.Append(Item{JSON: []byte(`{}`)})
	parts := b.SplitBytes(200)
	assert.Equal(t, all(b), all(parts...))
	assert.True(t, slices.ContainsFunc(parts, func(p *Batch) bool { return p.Len() == 1 && p.TextBytes() > 1000 }))
}

func TestSliceDoesNotWriteOverItsNeighbor(t *testing.T) {
	b := sample(10, "")
	want := all(b)
	first := b.Slice(0, 5)
	first.Append(Item{JSON: []byte(`{"new":true}`)})
	assert.Equal(t, want, all(b))
	assert.Zero(t, b.Slice(3, 3).Len())
}

func TestJoin(t *testing.T) {
	a, b := sample(5, "a"), sample(7, "b")
	b.SetAccepted(a.Accepted().Add(-time.Hour))
	want := append(all(a), all(b)...)
	a.Join(b)
	consistent(t, a)
	assert.Equal(t, want, all(a))
	assert.Equal(t, b.Accepted(), a.Accepted(), "as old as the older one")

	unknown := sample(1, "")
	unknown.SetAccepted(time.Time{})
	unknown.Join(a)
	assert.Equal(t, a.Accepted(), unknown.Accepted(), "nobody said is not older")
}

func TestDerive(t *testing.T) {
	b := sample(10, "")
	b.Derive()
	assert.Zero(t, b.Sources())
	assert.Equal(t, 10, b.Len())
	consistent(t, b)
}

func TestAFullBatchRefusesAndCounts(t *testing.T) {
	b := &Batch{}
	huge := make([]byte, MaxText/2)
	for range 4 {
		b.Append(Item{JSON: huge})
	}
	assert.Equal(t, 2, b.Len())
	assert.Equal(t, 2, b.Overflowed())
	assert.Equal(t, MaxText, b.TextBytes())
	o := &Batch{}
	o.Append(Item{JSON: []byte(`{}`)})
	assert.False(t, b.Fits(o))
	b.Join(o)
	assert.Equal(t, 3, b.Overflowed())
}
