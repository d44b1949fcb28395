// SPDX-License-Identifier: Apache-2.0

package window

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/exphist"
)

func filled(t testing.TB) *Store {
	s := newStore(t, 100)
	for i := range 70 {
		at := noon.Add(time.Duration(i) * time.Minute)
		s.Add(interval(at.Add(4*time.Second),
			latency(edge(reviews("v1", "west"), 9, 1, 0), graph.Destination, 1, 2, float64(i)), edge(reviews(fmt.Sprint("v", i), "east"), 1, 0, 1)))
	}
	return s
}

func TestRestartKeepsTheHour(t *testing.T) {
	old := filled(t)
	state := old.Encode()
	s := newStore(t, 100)
	require.NoError(t, s.Restore(state))
	assert.Equal(t, state, s.Encode())
	for _, add := range []bool{false, true} {
		if add {
			for _, x := range []*Store{old, s} {
				x.Add(interval(noon.Add(71*time.Minute), latency(edge(reviews("v1", "west"), 9, 1, 0), graph.Destination, 7)))
			}
		}
		for _, q := range []*Query{ask("", time.Hour), ask("v1", 5*time.Minute), ask("v69", time.Minute)} {
			assert.Equal(t, old.Query(q), s.Query(q))
		}
		assert.Equal(t, old.Versions("shop", "reviews", time.Hour), s.Versions("shop", "reviews", time.Hour))
	}
	// Long after the restart all of it is gone, and its places are free.
	s.Add(interval(noon.Add(5*time.Hour), edge(reviews("v9", "west"), 1, 0, 0)))
	assert.Equal(t, 1, s.Stats().Series)
	assert.Equal(t, uint64(1), s.Query(ask("", time.Hour)).Service.Requests)

	empty := newStore(t, 100)
	require.NoError(t, s.Restore(empty.Encode()))
	assert.Equal(t, Answer{}, newStore(t, 1).Query(ask("", time.Hour)))
}

func TestRestoreIntoLessRoomSaysSo(t *testing.T) {
	s := newStore(t, 1)
	require.NoError(t, s.Restore(filled(t).Encode()))
	assert.Equal(t, 1, s.Stats().Series)
	assert.False(t, func() bool { a := s.Query(ask("v1", time.Hour)); return a.Complete() }())
	full := newStore(t, 1)
	full.Add(interval(noon.Add(time.Second), edge(reviews("v1", "west"), 1, 0, 0), edge(reviews("v2", "west"), 1, 0, 0)))
	again := newStore(t, 1)
	require.NoError(t, again.Restore(full.Encode()))
	a := again.Query(&Query{Namespace: "bank", Service: "any", Window: time.Minute})
	assert.False(t, a.Complete(), "nobody knows any more which service had no room")
}

func TestDamagedStateIsRefused(t *testing.T) {
	state := filled(t).Encode()
	for cutAt := range len(state) {
		require.Error(t, newStore(t, 100).Restore(state[:cutAt]), cutAt)
	}
	assert.Error(t, newStore(t, 100).Restore(append(slices.Clone(state), 0)))
	s := filled(t)
	before := s.Query(ask("", time.Hour))
	require.Error(t, s.Restore([]byte("nonsense")))
	assert.Equal(t, before, s.Query(ask("", time.Hour)))
}

// Minutes further apart than an hour would outlive their series.
func TestStateOfMoreThanAnHourIsRefused(t *testing.T) {
	s := filled(t)
	s.view.Load().minutes[0].start -= 60
	assert.ErrorIs(t, newStore(t, 100).Restore(s.Encode()), errState)
}

func FuzzRestore(f *testing.F) {
	f.Add(filled(f).Encode())
	f.Add([]byte{'w', 'n', stateVersion, 0, 0, 0})
	f.Fuzz(func(t *testing.T, state []byte) {
		s := newStore(t, 50)
		if s.Restore(state) != nil {
			return
		}
		s.Query(ask("", time.Hour))
		s.Add(interval(noon.Add(100*time.Hour), edge(reviews("v1", "west"), 1, 0, 0)))
		s.Versions("shop", "reviews", time.Hour)
		if err := newStore(t, 50).Restore(s.Encode()); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzHistogram(f *testing.F) {
	h := exphist.New()
	for i := range 200 {
		h.Record(float64(i*i), uint64(i))
	}
	f.Add(appendHistogram(nil, h))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, _, ok := readHistogram(b, nil)
		if !ok {
			return
		}
		h := exphist.New()
		if h.Add(&p) != nil {
			return
		}
		again, _, ok := readHistogram(appendHistogram(nil, h), nil)
		if !ok {
			t.Fatal("what was written cannot be read")
		}
		if o := exphist.New(); o.Add(&again) != nil || o.Count != h.Count {
			t.Fatalf("%d values, not %d", o.Count, h.Count)
		}
	})
}
