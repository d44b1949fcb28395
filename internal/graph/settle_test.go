// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"fmt"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Reports of one side that are lost change nothing.
func TestLostReportsOfOneSide(t *testing.T) {
	atCadences(t, func(t *testing.T, c cadence) {
		for _, losing := range []Reporter{Source, Destination} {
			w := newWorldAt(t, 11, c)
			from, to := w.pod(Source), w.pod(Destination)
			k := key("web", "reviews-v2", HTTP)
			for range 60 * 12 {
				if w.random.IntN(90) == 0 {
					from.losing, to.losing = losing == Source && !from.losing, losing == Destination && !to.losing
				}
				// What both see in the same way: of one that broke off, the caller's proxy alone would know how.
				w.call(k, k, k, from, to, &outcomes[w.random.IntN(4)])
				w.tick()
			}
			w.quiet()
			w.exact()
		}
	})
}

// Both sides lose different requests, and there is no pause between: too few are counted, by at most what the side lost that
// lost less, and never too many.
func TestLossesOfBothSidesAreBounded(t *testing.T) {
	atCadences(t, func(t *testing.T, c cadence) {
		for seed := range seeds(t, 2) {
			w := newWorldAt(t, seed, c)
			pods := []*pod{w.pod(Source), w.pod(Destination)}
			k := key("web", "reviews-v2", HTTP)
			var lost [2]uint64
			var all uint64
			for range 60 * 12 {
				w.call(k, k, k, pods[0], pods[1], &outcomes[w.random.IntN(6)])
				all++
				if w.random.IntN(100) == 0 {
					i := w.random.IntN(2)
					for _, n := range pods[i].held {
						lost[i] += n
					}
					pods[i].kill()
				}
				w.tick()
			}
			w.quiet()
			counted := w.counted[k].Requests()
			assert.LessOrEqual(t, counted, all)
			assert.GreaterOrEqual(t, counted, all-min(lost[0], lost[1]), "lost %v", lost)
		}
	})
}

// An agent that cannot send for half an hour tells afterwards what the other end told in time. On an edge with pauses nothing
// compares the two any more, but the time of the points does.
func TestReportsThatComeAfterThePause(t *testing.T) {
	atCadences(t, func(t *testing.T, c cadence) {
		for _, cut := range []Reporter{Source, Destination} {
			for _, every := range []int{1, 60 * 7} {
				w := newWorldAt(t, 12, c)
				from, to := w.pod(Source), w.pod(Destination)
				k := key("web", "reviews-v2", HTTP)
				for second := range 60 * 60 {
					if second == 60*10 {
						if cut == Source {
							from.until = 60 * 40
						} else {
							to.until = 60 * 40
						}
					}
					// Some pods of the callee have no proxy: late reports may also bring what nobody has told.
					if second%every == 0 {
						w.call(k, k, k, from, to, &outcomes[w.random.IntN(4)])
					}
					w.tick()
				}
				w.quiet()
				w.exact()
			}
		}
	})
}

// What comes late and nobody told in time is counted, once.
func TestLateReportsOfWhatNobodyTold(t *testing.T) {
	w := newWorldAt(t, 13, cadences["roll 4, scrape 15, report 60"])
	one, two, three, to := w.pod(Source), w.pod(Source), w.pod(Source), w.pod(Destination)
	to.silent = true
	k := key("web", "reviews-v2", HTTP)
	two.until, three.until = 60*40, 60*45
	for second := range 60 * 60 {
		if second%(60*7) == 0 {
			w.call(k, k, k, one, to, &outcomes[0])
			w.call(k, k, k, two, to, &outcomes[2])
			w.call(k, k, k, three, to, &outcomes[2])
		}
		w.tick()
	}
	w.quiet()
	w.exact()
}

// What comes late may see the end of a request in another way. It was counted, and stays what it was counted as.
func TestLateReportsOfAnotherEnd(t *testing.T) {
	g := newGraph(t, DefaultConfig())
	k := key("web", "reviews-v2", HTTP)
	require.NoError(t, g.Add(&Point{Key: k, Reporter: Source, Status: 504, GRPC: -1, Flags: "UT", Requests: 6, Time: start.Unix()}))
	for minute := range 10 {
		g.Roll(at(minute + 1))
	}
	restarted, err := New(DefaultConfig(), at(10))
	require.NoError(t, err)
	_, err = restarted.Restore(g.Encode(), at(10))
	require.NoError(t, err)
	g = restarted
	late := ok(k, Destination, 8)
	late.Time = start.Unix()
	require.NoError(t, g.Add(late))
	for minute := range 10 {
		g.Roll(at(minute + 11))
	}
	assert.Equal(t, [ClassCount]uint64{NoResponse: 6, Success: 2}, g.Snapshot().Edges[0].Total.Classes)
}

// Senders come back to a hub that was away one after the other: what waits goes on waiting for them.
func TestHold(t *testing.T) {
	for _, hold := range []bool{false, true} {
		one := newGraph(t, DefaultConfig())
		blind := key("web", "", HTTP)
		require.NoError(t, one.Add(ok(blind, Source, 10)))
		one.Roll(at(1))
		two, err := New(DefaultConfig(), at(30))
		require.NoError(t, err)
		_, err = two.Restore(one.Encode(), at(30))
		require.NoError(t, err)
		if hold {
			two.Hold(at(30))
			state := two.Encode()
			two, err = New(DefaultConfig(), at(30))
			require.NoError(t, err)
			_, err = two.Restore(state, at(30))
			require.NoError(t, err)
		}
		settle := int(DefaultConfig().Settle / interval)
		waited := 0
		for two.Roll(at(31 + waited)).Edges[0].Total.Requests() == 0 {
			waited++
			require.Less(t, waited, 20)
		}
		want := settle - 1
		if hold {
			want += settle
		}
		assert.Equal(t, want, waited)
	}
}

// Points that do not tell their time are taken for new after a pause: counted again, and no more than again.
func TestLateReportsWithoutATime(t *testing.T) {
	g := newGraph(t, DefaultConfig())
	k := key("web", "reviews-v2", HTTP)
	for minute := range 20 {
		switch minute {
		case 0:
			require.NoError(t, g.Add(ok(k, Source, 10)))
		case 10:
			require.NoError(t, g.Add(ok(k, Destination, 10)))
		}
		g.Roll(at(minute + 1))
	}
	assert.Equal(t, uint64(20), g.Snapshot().Edges[0].Total.Requests())
}

// A hub that restarts in the middle goes on counting, also if it was away for long.
func TestRestartsCountNothingTwice(t *testing.T) {
	atCadences(t, func(t *testing.T, c cadence) {
		for _, away := range []int{0, 20, 60 * 15} {
			w := newWorldAt(t, 14, c)
			from, to := w.pod(Source), w.pod(Destination)
			k, blind := key("web", "reviews-v2", HTTP), key("web", "", HTTP)
			for second := range 60 * 20 {
				seen := k
				if second%3 == 0 {
					seen = blind
				}
				w.call(k, seen, k, from, to, &outcomes[w.random.IntN(6)])
				w.tick()
				if second%400 == 399 {
					w.restart(away)
				}
			}
			w.quiet()
			w.exact()
		}
	})
}

// How long counts take: all but what waits comes with the next roll, and what waits within Settle and a quarter and a roll,
// at whatever time between two marks it comes.
func TestHowLongCountsTake(t *testing.T) {
	const roll = 4
	config := DefaultConfig()
	g := newGraph(t, config)
	k := key("web", "reviews-v2", HTTP)
	second := 0
	// step adds a request that both tell, and rolls.
	step := func() (all, broken uint64) {
		require.NoError(t, g.Add(ok(k, Source, 1)))
		require.NoError(t, g.Add(ok(k, Destination, 1)))
		second += roll
		e := g.Roll(start.Add(time.Duration(second) * time.Second)).Edges[0].Total
		return e.Requests(), e.Classes[NoResponse]
	}
	for second < 600 {
		step()
	}
	settle := int(config.Settle / time.Second)
	for burst := range 12 {
		before, broken := step()
		require.NoError(t, g.Add(ok(k, Source, 5)))
		require.NoError(t, g.Add(&Point{Key: k, Reporter: Source, Status: 504, GRPC: -1, Flags: "UT", Requests: 7}))
		begun := second
		all, now := step()
		assert.Equal(t, before+5+1, all, "counted at once")
		for now == broken && second < begun+1000 {
			_, now = step()
		}
		assert.Equal(t, broken+7, now)
		assert.GreaterOrEqual(t, second-begun, settle, "burst %d", burst)
		assert.LessOrEqual(t, second-begun, settle+settle/marksPerSettle+2*roll, "burst %d", burst)
		for range burst {
			step()
		}
	}
}

// What waits is as much for a roll every second as for one every minute.
func TestWhatWaitsIsBounded(t *testing.T) {
	for _, settle := range []time.Duration{time.Second, 90 * time.Second, 2 * time.Minute, time.Hour} {
		for _, roll := range []time.Duration{100 * time.Millisecond, time.Second, 4 * time.Second, 7 * time.Second, time.Minute} {
			config := DefaultConfig()
			config.Settle, config.Expire = settle, 4*time.Hour
			g := newGraph(t, config)
			now := start
			for i := range 200 {
				require.NoError(t, g.Add(&Point{Key: key("web", "reviews-v2", HTTP), Reporter: Reporter(i % 2), Status: 0, GRPC: -1, Flags: "DC", Requests: 1}))
				require.NoError(t, g.Add(ok(key("web", "", HTTP), Source, 1)))
				now = now.Add(roll)
				g.Roll(now)
				for s := range g.shards {
					for _, e := range g.shards[s].order {
						if e.waiting == nil {
							continue
						}
						require.LessOrEqual(t, len(e.waiting.open), maxMarks, "settle %s, roll %s", settle, roll)
						require.LessOrEqual(t, len(e.waiting.said), maxMarks, "settle %s, roll %s", settle, roll)
					}
				}
			}
			two := newGraph(t, config)
			_, err := two.Restore(g.Encode(), now)
			require.NoError(t, err)
			require.Equal(t, len(g.Encode()), len(two.Encode()))
		}
	}
}

// A clock that jumps ahead by a day ends no waiting: reports that are under way still find their counterpart.
func TestAClockThatJumpsAhead(t *testing.T) {
	g := newGraph(t, DefaultConfig())
	k, blind := key("web", "reviews-v2", HTTP), key("web", "", HTTP)
	require.NoError(t, g.Add(ok(blind, Source, 10)))
	g.Roll(at(1))
	// Less than Expire, else the edges would go.
	g.Roll(at(50))
	require.NoError(t, g.Add(ok(k, Destination, 10)))
	g.Roll(at(51))
	g.Roll(at(52))
	var all uint64
	for _, e := range g.Roll(at(53)).Edges {
		all += e.Total.Requests()
	}
	assert.Equal(t, uint64(10), all)
}

func TestSettleFitsExpire(t *testing.T) {
	for _, tt := range []struct {
		settle, expire time.Duration
		want           string
	}{
		{time.Second, time.Minute, ""},
		{15 * time.Second, time.Minute, ""},
		{16 * time.Second, time.Minute, "settle is 16s: write at most a quarter of expire, which is 1m0s"},
		{time.Hour, 4 * time.Hour, ""},
		{time.Hour + 1, 5 * time.Hour, "settle is 1h0m0.000000001s: write a duration from 1s to 1h"},
		{999 * time.Millisecond, time.Hour, "settle is 999ms: write a duration from 1s to 1h"},
	} {
		t.Run(fmt.Sprint(tt.settle), func(t *testing.T) {
			c := DefaultConfig()
			c.Settle, c.Expire = tt.settle, tt.expire
			if tt.want == "" {
				require.NoError(t, c.Validate())
				return
			}
			require.EqualError(t, c.Validate(), tt.want)
		})
	}
}

// A reporter whose series were put together tells no status. The other one's words hold, whoever is first.
func TestRequestsWithoutAStatus(t *testing.T) {
	for _, first := range []Reporter{Source, Destination} {
		g := newGraph(t, DefaultConfig())
		k := key("web", "reviews-v2", HTTP)
		untold := &Point{Key: k, Reporter: Source, Status: -1, GRPC: -1, Requests: 12}
		told := []*Point{
			ok(k, Destination, 8),
			{Key: k, Reporter: Destination, Status: 503, GRPC: -1, Requests: 1},
			{Key: k, Reporter: Destination, Status: 0, GRPC: -1, Flags: "DC", Requests: 2},
		}
		minute := 0
		add := func(points ...*Point) {
			for _, p := range points {
				require.NoError(t, g.Add(p))
			}
			minute++
			g.Roll(at(minute))
		}
		if first == Source {
			add(untold)
			add(told...)
		} else {
			add(told...)
			add(untold)
		}
		for range 5 {
			add()
		}
		// One is told by the caller alone.
		assert.Equal(t, [ClassCount]uint64{Success: 8, ServerError: 1, NoResponse: 2, Other: 1}, g.Snapshot().Edges[0].Total.Classes, first)
	}
	g := newGraph(t, DefaultConfig())
	k := key("web", "reviews-v2", HTTP)
	for minute := range 5 {
		require.NoError(t, g.Add(&Point{Key: k, Reporter: Destination, Status: -1, GRPC: -1, Requests: 3}))
		g.Roll(at(minute + 1))
	}
	assert.Equal(t, uint64(15), g.Snapshot().Edges[0].Total.Classes[Other], "nobody else will tell")
}

func TestConnectionsThatReachedNobody(t *testing.T) {
	g := newGraph(t, DefaultConfig())
	k := key("web", "redis", TCP)
	require.NoError(t, g.Add(&Point{Key: k, Reporter: Source, Flags: "UF,URX", Opened: 3, Closed: 3, RequestBytes: 7}))
	require.NoError(t, g.Add(&Point{Key: k, Reporter: Source, Flags: "UH", FailedConnections: 2}))
	require.NoError(t, g.Add(&Point{Key: k, Reporter: Destination, Flags: "UF", Opened: 1, Closed: 1}))
	c := g.Roll(at(1)).Edges[0].Total
	assert.Equal(t, Counts{Opened: 1, Closed: 1, Failed: 5}, c)
}

func TestExemplarsOfOneTrace(t *testing.T) {
	g := newGraph(t, DefaultConfig())
	k := key("web", "reviews-v2", HTTP)
	require.NoError(t, g.Add(ok(k, Source, 1)))
	buffer := []byte("aaaa")
	add := func(id string, ms float64, failed bool) {
		copy(buffer, id)
		assert.True(t, g.AddExemplar(&k, Exemplar{TraceID: unsafe.String(&buffer[0], len(buffer)), Milliseconds: ms, Failed: failed}))
	}
	add("aaaa", 5, false)
	add("bbbb", 7, false)
	add("aaaa", 9, false)
	add("aaaa", 6, false)
	add("bbbb", 1, true)
	add("bbbb", 100, false)
	assert.Equal(t, []Exemplar{{TraceID: "bbbb", Milliseconds: 1, Failed: true}, {TraceID: "aaaa", Milliseconds: 9}}, g.Roll(at(1)).Edges[0].Exemplars)
}
