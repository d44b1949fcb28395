// SPDX-License-Identifier: Apache-2.0

package series

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	began  = int64(1_000 * time.Second)
	second = int64(time.Second)
)

func limits() Limits {
	return Limits{Outputs: [Levels]int{100, 10, 10}, Bytes: 1 << 20, PerInstance: 100, Staleness: 60, Late: int64(time.Hour)}
}

// visit adds counters of a scrape, and returns what became of each, and how many counted from zero at the end.
func visit(s *Store, from Visitor, start int64, values map[uint64]uint64) (outcomes map[uint64]Outcome, fromZero int64) {
	v := s.Begin(from)
	outcomes = map[uint64]Outcome{}
	for id, n := range values {
		r := Reading{Amount: Amount{Count: n}, Kind: Int, Cumulative: true, Start: start, Time: from.Time}
		outcomes[id], _ = v.Add(Key{Lo: id}, Key{Lo: id}, &r, func() *Output {
			return s.Table.Get(Key{Lo: id}, Full, Int, s.Epoch(), func() (any, int) { return nil, 0 })
		})
	}
	return outcomes, v.End()
}

func counted(s *Store) (sum uint64) {
	for _, o := range s.Table.Outputs() {
		if taken, ok := o.Take(began + 10_000*second); ok {
			sum += taken.Count
			o.Settle(true, taken.Time)
		}
	}
	return sum
}

// known is a store with one scraped process of two series, as a restart finds it.
func known(t *testing.T) *Store {
	s := NewStore(limits(), began)
	from := Visitor{Instance: Key{Lo: 5}, Scraped: true, Time: began + 100*second}
	visit(s, from, 0, map[uint64]uint64{1: 10, 2: 20})
	return restarted(t, s)
}

func restarted(t *testing.T, s *Store) *Store {
	again := NewStore(limits(), began+1000*second)
	leftOut, err := again.Restore(s.Encode(nil), began+110*second)
	require.NoError(t, err)
	require.Zero(t, leftOut)
	require.Equal(t, s.Series(), again.Series())
	return again
}

func TestAnImageHoldsEverything(t *testing.T) {
	s := NewStore(limits(), began)
	v := s.Begin(Visitor{Instance: Key{Lo: 5}, Scraped: true, Time: began + second, Process: began - 7*second, Pod: Key{Hi: 9}})
	find := func(kind Kind) func() *Output {
		return func() *Output {
			return s.Table.Get(Key{Hi: uint64(kind)}, Full, kind, 0, func() (any, int) { return nil, 0 })
		}
	}
	for kind, amount := range []Amount{{Count: 1 << 60}, {Sum: 0.1}, {Count: 7, Sum: -3.5, Buckets: []uint64{0, 1 << 40, 7}}} {
		v.Add(Key{Lo: uint64(kind)}, Key{}, &Reading{
			Amount: amount, Kind: Kind(kind), Cumulative: true, Start: int64(kind), Time: began + second + int64(kind),
		}, find(Kind(kind)))
	}
	v.End()
	in := s.shards[5].m[Key{Lo: 5}]
	in.series[Key{Lo: 1}].gone = began + 4*second
	in.series[Key{Lo: 2}].generation--
	again := restarted(t, s)
	got := again.shards[5].m[Key{Lo: 5}]
	for key, want := range in.series {
		have := got.series[key]
		assert.Equal(t, want.last, have.last)
		assert.Equal(t, [3]int64{want.start, want.time, want.gone}, [3]int64{have.start, have.time, have.gone})
		assert.Equal(t, want.generation == in.generation, have.generation == got.generation)
		assert.Equal(t, want.kind, have.kind)
	}
	assert.Equal(t, [4]int64{in.last, in.scrape, in.process, in.changed}, [4]int64{got.last, got.scrape, got.process, got.changed})
	assert.Equal(t, in.pod, got.pod)
	assert.Equal(t, s.whole.Load(), again.whole.Load())
	assert.Equal(t, s.Encode(nil)[:8], again.Encode(nil)[:8])
	assert.Len(t, again.Encode(nil), len(s.Encode(nil)))
}

func TestKnownSeriesGoOnAfterARestart(t *testing.T) {
	s := known(t)
	outcomes, fromZero := visit(s, Visitor{Instance: Key{Lo: 5}, Scraped: true, Time: began + 200*second}, 0, map[uint64]uint64{1: 13, 2: 20, 3: 4})
	require.Equal(t, map[uint64]Outcome{1: Counted, 2: Counted, 3: Baseline}, outcomes)
	require.EqualValues(t, 1, fromZero, "all that was there still is, so the third is new")
	require.EqualValues(t, 7, counted(s))
}

// TestOtherNamesDoNotCountAgain: a new configuration of the scrape may give all series other labels. What they say was
// counted before the restart must not count once more.
func TestOtherNamesDoNotCountAgain(t *testing.T) {
	s := known(t)
	from := Visitor{Instance: Key{Lo: 5}, Scraped: true, Time: began + 200*second}
	outcomes, fromZero := visit(s, from, 0, map[uint64]uint64{1: 11, 7: 20})
	require.Equal(t, map[uint64]Outcome{1: Counted, 7: Baseline}, outcomes)
	require.Zero(t, fromZero)
	from.Time += 15 * second
	visit(s, from, 0, map[uint64]uint64{1: 11, 7: 25, 8: 3})
	require.EqualValues(t, 1+5+3, counted(s), "from the second scrape on all is as ever")
}

func TestWhoBeganAfterTheRestartCountsFromZero(t *testing.T) {
	for _, tt := range []struct {
		name           string
		instance       uint64
		start, process int64
		want           uint64
	}{
		{"a process that began after its last point", 5, 0, began + 150*second, 9},
		{"a series that began after its process' last point", 5, began + 150*second, 0, 9},
		{"a series that began before it, of a process whose others are missing", 5, began + 50*second, 0, 0},
		{"a process that nobody knew and that began a while ago", 6, 0, began + 105*second, 9},
		{"a process that nobody knew and that should have been known", 6, 0, began - 60*second + 40*second, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := known(t)
			s.saved = began + 110*second
			s.whole.Store(began - 1000*second)
			visit(s, Visitor{Instance: Key{Lo: tt.instance}, Scraped: true, Time: began + 200*second, Process: tt.process}, tt.start, map[uint64]uint64{7: 9})
			require.Equal(t, tt.want, counted(s))
		})
	}
}

func TestDoubtBeginsAnew(t *testing.T) {
	s := known(t)
	s.Doubt(began + 150*second)
	outcomes, fromZero := visit(s, Visitor{Instance: Key{Lo: 5}, Scraped: true, Time: began + 200*second}, 0, map[uint64]uint64{1: 13, 2: 20, 3: 4})
	require.Equal(t, map[uint64]Outcome{1: Counted, 2: Counted, 3: Baseline}, outcomes)
	require.Zero(t, fromZero)
}

func TestARestartKeepsTheCeilings(t *testing.T) {
	s := NewStore(limits(), began)
	from := Visitor{Instance: Key{Lo: 5}, Scraped: true, Time: began + 100*second}
	values := map[uint64]uint64{}
	for i := range uint64(50) {
		values[i] = 1
	}
	visit(s, from, 0, values)
	small := limits()
	small.PerInstance = 20
	again := NewStore(small, began)
	leftOut, err := again.Restore(s.Encode(nil), began)
	require.NoError(t, err)
	require.EqualValues(t, 30, leftOut)
	require.EqualValues(t, 20, again.Series())
	require.Zero(t, again.shards[5].m[Key{Lo: 5}].scrape, "a series that is not known may have been there")
	for range 70 {
		again.Tick(math.MaxInt64)
	}
	require.Zero(t, again.Series(), "what never came again is forgotten")
	require.Zero(t, again.Bytes())
}

func FuzzRestore(f *testing.F) {
	s := NewStore(limits(), began)
	visit(s, Visitor{Instance: Key{Lo: 5}, Scraped: true, Time: began + second}, began, map[uint64]uint64{1: 10, 2: 20})
	f.Add(s.Encode(nil))
	f.Fuzz(func(t *testing.T, image []byte) {
		s := NewStore(limits(), began)
		if _, err := s.Restore(image, began); err != nil {
			require.ErrorIs(t, err, errImage)
			return
		}
		visit(s, Visitor{Instance: Key{Lo: 5}, Scraped: true, Time: began + 200*second}, 0, map[uint64]uint64{1: 10, 2: 20, 3: 4})
		counted(s)
		for range 70 {
			s.Tick(math.MaxInt64)
		}
		require.Zero(t, s.Series())
		require.Zero(t, s.Bytes())
	})
}

func TestRecentForgetsInTwoTurns(t *testing.T) {
	r := Recent{most: 3}
	require.False(t, r.Add(Key{Lo: 1}))
	require.True(t, r.Add(Key{Lo: 1}))
	require.Zero(t, r.Turn())
	require.True(t, r.Add(Key{Lo: 1}))
	require.Zero(t, r.Turn())
	require.False(t, r.Add(Key{Lo: 1}))
	for i := range uint64(4) {
		r.Add(Key{Lo: 10 + i})
	}
	require.EqualValues(t, 1, r.Turn(), "room was made once")
	require.LessOrEqual(t, r.Bytes(), int64(6*recentBytes))
}
