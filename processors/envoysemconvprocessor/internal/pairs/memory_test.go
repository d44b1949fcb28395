// SPDX-License-Identifier: Apache-2.0

package pairs

import (
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func key(n uint64, role Role) Key {
	k := Key{Role: role}
	binary.BigEndian.PutUint64(k.Span[:], n)
	return k
}

func TestMemory(t *testing.T) {
	m := New(1, time.Minute)
	assert.False(t, m.Has(key(1, Client), 0))
	assert.False(t, m.Add(key(1, Client), 0))
	assert.True(t, m.Has(key(1, Client), time.Minute))
	assert.False(t, m.Has(key(1, Client), time.Minute+1), "its time is over")
	assert.False(t, m.Has(key(1, Server), 0), "the other role")
	assert.False(t, m.Has(key(2, Client), 0), "another span")
	other := key(1, Client)
	other.Trace[0] = 1
	assert.False(t, m.Has(other, 0), "another trace")
	assert.False(t, m.Has(Key{}, 0), "an empty entry is nobody")

	assert.False(t, m.Add(key(1, Client), time.Minute), "seen again")
	assert.True(t, m.Has(key(1, Client), 2*time.Minute))
}

func TestCeiling(t *testing.T) {
	m := New(MinSize, time.Minute)
	forgotten := 0
	for i := range uint64(10 * MinSize) {
		if m.Add(key(i+1, Server), 0) {
			forgotten++
		}
	}
	remembered := 0
	for i := range uint64(10 * MinSize) {
		if m.Has(key(i+1, Server), 0) {
			remembered++
		}
	}
	assert.Equal(t, 10*MinSize, forgotten+remembered, "each span is either remembered or counted")
	assert.LessOrEqual(t, remembered, MinSize)
	assert.Greater(t, remembered, MinSize*9/10, "ids that count up must spread")
	assert.False(t, m.Add(key(1<<40, Server), 2*time.Minute), "what is over its time is not forgotten before it")
}

func TestTheOldestIsForgotten(t *testing.T) {
	m := New(MinSize, time.Hour)
	// All in one set.
	same := []Key{key(1, Client)}
	for i := uint64(2); len(same) < ways+1; i++ {
		if k := key(i, Client); m.set(k) == m.set(same[0]) {
			same = append(same, k)
		}
	}
	for i, k := range same[:ways] {
		assert.False(t, m.Add(k, time.Duration(ways-i)))
	}
	assert.True(t, m.Add(same[ways], ways+1))
	assert.False(t, m.Has(same[ways-1], ways+1), "the oldest")
	for _, k := range same[:ways-1] {
		assert.True(t, m.Has(k, ways+1))
	}
}

func TestSizes(t *testing.T) {
	for size, want := range map[int]int{-1: MinSize, 0: MinSize, 512: 512, 513: 1024, 65536: 65536} {
		assert.Len(t, New(size, time.Second).sets, want/ways, "%d", size)
	}
}

func TestConcurrently(t *testing.T) {
	m := New(4096, time.Minute)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range uint64(1000) {
				m.Add(key(i+1, Client), time.Duration(i))
				m.Has(key(i+2, Client), time.Duration(i))
			}
		})
	}
	wg.Wait()
	assert.True(t, m.Has(key(1000, Client), time.Minute))
}

func BenchmarkMemory(b *testing.B) {
	m := New(65536, time.Minute)
	var i uint64
	b.ReportAllocs()
	for b.Loop() {
		i++
		k := key(i*0x9E3779B97F4A7C15, Client)
		m.Add(k, time.Duration(i))
		m.Has(k, time.Duration(i))
	}
}
