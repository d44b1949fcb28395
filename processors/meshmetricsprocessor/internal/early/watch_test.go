// SPDX-License-Identifier: Apache-2.0

package early

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var begin = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// table is a table with a clock.
type table struct {
	*Table
	t   *testing.T
	now time.Time
}

func newTable(t *testing.T) *table { return &table{NewTable(begin), t, begin} }

func (t *table) pass(rounds int) {
	for range rounds {
		t.now = t.now.Add(round)
		t.Turn(t.now)
	}
}

var (
	reviews, ratings  = Key{Lo: 1}, Key{Lo: 2}
	home, north, east = Key{Lo: 1}, Key{Lo: 2}, Key{Lo: 3}
)

func (t *table) usual(service Key) *Watch { return t.Get(Sign{service, home, Usual}, "") }

func (t *table) elsewhere(service, way Key) *Watch {
	return t.Get(Sign{service, way, Elsewhere}, "elsewhere")
}

func (t *table) failed(service Key) *Watch { return t.Get(Sign{service, Key{}, Failed}, "failed") }

func (t *table) urgent(kind Kind, strength Strength, what string) {
	t.t.Helper()
	u, ok := t.Take()
	require.True(t.t, ok, what)
	require.Equal(t.t, Urgent{kind, strength, u.Text}, u, what)
	require.NotEmpty(t.t, u.Text)
	t.calm(what)
}

func (t *table) calm(what string) {
	t.t.Helper()
	require.False(t.t, t.Waiting(), what)
	_, ok := t.Take()
	require.False(t.t, ok, what)
}

func TestCallsThatGoElsewhere(t *testing.T) {
	m := newTable(t)
	m.usual(reviews)
	m.pass(settled)
	w := m.elsewhere(reviews, north)
	w.Grew(0)
	m.calm("nothing grew")
	w.Grew(0.5)
	m.urgent(Elsewhere, Weak, "the first one")
	w.Grew(1)
	w.Grew(2)
	m.calm("not more than few")
	w.Grew(1)
	m.urgent(Elsewhere, Strong, "as many as the hub judges by")
	w.Grew(14)
	m.calm("not many more than were told")
	w.Grew(60)
	m.urgent(Elsewhere, Strong, "many more")
	m.pass(1)
	w.Grew(315)
	m.calm("it goes on")
	for range 20 {
		m.pass(1)
		w.Grew(200)
		m.calm("it goes on and on")
	}
	m.pass(1)
	w.Grew(405)
	m.urgent(Elsewhere, Strong, "more than twice as many")
	m.pass(2 * lately)
	m.pass(1)
	w.Grew(9)
	m.urgent(Elsewhere, Strong, "it was over for a while")
	other := m.elsewhere(reviews, east)
	other.Grew(9)
	m.urgent(Elsewhere, Strong, "another place")
}

func TestWhatIsNew(t *testing.T) {
	m := newTable(t)
	m.usual(reviews)
	m.elsewhere(reviews, north).Grew(100)
	m.failed(reviews).Grew(100)
	m.calm("at the start")
	m.pass(1)
	m.elsewhere(reviews, east).Grew(100)
	m.calm("the first round may be short")
	m.pass(1)
	w := m.elsewhere(ratings, north)
	w.Grew(100)
	m.calm("a service that nobody called")
	m.pass(10)
	w.Grew(1000)
	m.calm("it was never called another way")
	m.usual(ratings)
	w.Grew(1000)
	m.calm("another way is new, too")
	m.pass(settled)
	m.pass(2 * lately)
	w.Grew(1000)
	m.urgent(Elsewhere, Strong, "now it goes the other way alone")
	m.elsewhere(reviews, north).Grew(1)
	m.urgent(Elsewhere, Weak, "of the other one nothing came for a while")
}

func TestAlwaysElsewhere(t *testing.T) {
	m := newTable(t)
	m.usual(reviews)
	w := m.elsewhere(reviews, north)
	for n := range 100 {
		w.Grew(float64(80 + n%40))
		m.calm("as much as ever")
		m.pass(1)
	}
}

func TestFailures(t *testing.T) {
	m := newTable(t)
	m.usual(reviews)
	m.pass(settled)
	w := m.failed(reviews)
	w.Grew(2)
	m.calm("two are no evidence")
	w.Grew(1)
	m.urgent(Failed, Weak, "three are")
	w.Grew(8)
	m.calm("not many more")
	m.pass(1)
	w.Grew(11)
	m.calm("not many more in another round")
	w.Grew(30)
	m.urgent(Failed, Weak, "many more")
	for range 20 {
		m.pass(1)
		w.Grew(50)
		m.calm("it goes on")
	}
	n := 0
	for i := range 60 {
		w.Grew(float64(i%2) * 100)
		if _, ok := m.Take(); ok {
			n++
		}
		m.pass(1)
	}
	require.Zero(t, n, "what comes and goes each minute")
}

func TestTheMostUrgentIsTold(t *testing.T) {
	m := newTable(t)
	m.usual(reviews)
	m.pass(settled)
	m.failed(reviews).Grew(7)
	m.elsewhere(reviews, north).Grew(1)
	m.elsewhere(reviews, east).Grew(7)
	m.urgent(Elsewhere, Strong, "of all")
}

// TestClocks has the clock stand, jump and be set back: neither is a minute in which nothing happened.
func TestClocks(t *testing.T) {
	m := newTable(t)
	m.usual(reviews)
	for range 10 {
		m.Turn(m.now)
	}
	m.elsewhere(reviews, north).Grew(100)
	m.calm("no time passed")
	m.now = m.now.Add(24 * time.Hour)
	m.Turn(m.now)
	m.pass(1)
	m.elsewhere(reviews, north).Grew(100)
	m.urgent(Elsewhere, Strong, "all that was is long ago")
	m.now = m.now.Add(-12 * time.Hour)
	m.pass(3 * lately)
	m.elsewhere(reviews, north).Grew(100)
	m.urgent(Elsewhere, Strong, "rounds go on")
}

func TestKeep(t *testing.T) {
	m := newTable(t)
	kept, at := m.elsewhere(reviews, north), m.usual(reviews)
	m.usual(ratings)
	m.failed(ratings)
	require.Equal(t, 4, m.Len())
	m.Keep(map[*Watch]struct{}{kept: {}, at: {}})
	require.Equal(t, 2, m.Len())
	require.Len(t, m.services, 1)
	require.Same(t, kept, m.elsewhere(reviews, north))
}

func TestManyAtOnce(t *testing.T) {
	m := newTable(t)
	m.usual(reviews)
	m.pass(settled)
	w := m.elsewhere(reviews, north)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 1000 {
				w.Grew(1)
				m.Turn(m.now)
			}
		})
	}
	group.Wait()
	m.urgent(Elsewhere, Strong, "each counts")
	m.pass(1)
	require.EqualValues(t, 8000, w.recent)
}
