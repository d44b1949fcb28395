// SPDX-License-Identifier: Apache-2.0

package window

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/exphist"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// edge is an edge of an interval.
func edge(k Key, ok, failed, never uint64) graph.Edge {
	e := graph.Edge{Key: &graph.Key{
		Caller: graph.Caller{Cluster: k.CallerCluster, Region: k.CallerRegion, Namespace: "front", Workload: "web"},
		Callee: graph.Callee{
			Cluster: k.Cluster, Region: k.Region, Namespace: k.Namespace, Service: k.Service, Workload: k.Workload, Version: k.Version,
		},
		Protocol: graph.HTTP,
	}}
	e.Interval.Classes[graph.Success] = ok
	e.Interval.Classes[graph.ServerError] = failed + never
	e.Interval.NeverReached = never
	return e
}

func latency(e graph.Edge, r graph.Reporter, values ...float64) graph.Edge {
	h := exphist.New()
	for _, v := range values {
		h.Record(v, 1)
	}
	e.Latency[r] = h
	return e
}

// interval is a snapshot that ends then, after 4 seconds.
func interval(end time.Time, edges ...graph.Edge) *graph.Snapshot {
	return &graph.Snapshot{Start: end.Add(-4 * time.Second), End: end, Edges: edges}
}

func newStore(t testing.TB, most int) *Store {
	t.Helper()
	s, err := New(Config{MaxSeries: most})
	require.NoError(t, err)
	return s
}

func reviews(version, cluster string) Key {
	k := Key{
		Namespace: "shop", Service: "reviews", Version: version, Cluster: cluster, Region: cluster + "-region",
		Workload: "reviews-" + version, CallerCluster: "west", CallerRegion: "west-region",
	}
	if cluster == "" { // The call reached nobody.
		k.Region, k.Workload = "", ""
	}
	return k
}

func ask(version string, window time.Duration) *Query {
	return &Query{Namespace: "shop", Service: "reviews", Version: version, Window: window}
}

func TestAnswerIsTheSumOfTheWindow(t *testing.T) {
	s := newStore(t, 100)
	assert.Equal(t, Answer{}, s.Query(ask("", time.Hour)), "before the first interval")
	for i := range 90 {
		at := noon.Add(time.Duration(i) * time.Minute)
		s.Add(interval(at.Add(4*time.Second), edge(reviews("v1", "west"), 9, 1, 0), edge(reviews("v2", "west"), 1, 0, 0)))
		s.Add(interval(at.Add(60*time.Second), edge(reviews("", ""), 0, 0, 2)))
	}
	// The end of the last interval is the end of its minute: it is of that minute, not of the next.
	for minutes, want := range map[int]uint64{1: 2, 5: 6, 60: 61} {
		a := s.Query(ask("v1", time.Duration(minutes)*time.Minute))
		assert.Equal(t, Counts{Requests: 10 * want, Errors: want}, a.Matched.Counts, minutes)
		assert.Equal(t, Counts{Requests: 2 * want, Errors: 2 * want, NeverReached: 2 * want}, a.Unattributed, "who was not reached has no version")
		assert.Equal(t, Counts{Requests: 13 * want, Errors: 3 * want, NeverReached: 2 * want}, a.Service)
		assert.Equal(t, noon.Add(90*time.Minute), a.To)
		assert.Equal(t, noon.Add(time.Duration(89-minutes)*time.Minute), a.From)
		assert.Equal(t, time.Duration(want)*8*time.Second, a.Covered)
		assert.True(t, a.Complete())
	}
	q := ask("v1", time.Hour)
	q.CallerCluster = "east"
	assert.Zero(t, s.Query(q).Service, "nobody of the other cluster called")
	q.CallerCluster, q.Cluster = "west", "east"
	a := s.Query(q)
	assert.Zero(t, a.Matched.Requests)
	assert.Equal(t, uint64(122), a.Unattributed.Requests, "calls to nobody may have been to any cluster")
}

// Random edges, and every kind of question, against adding it all up.
func TestAnswersAgreeWithAnOracle(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	pick := func(names ...string) string { return names[random.IntN(len(names))] }
	key := func() Key {
		return Key{
			Namespace: pick("shop", "bank"), Service: pick("a", "b"), Version: pick("", "v1", "v2"), Cluster: pick("", "west", "east"),
			Region: pick("", "r1", "r2"), Workload: pick("", "w1", "w2"), CallerCluster: pick("", "west", "east"), CallerRegion: pick("", "r1", "r2"),
		}
	}
	type told struct {
		at      time.Time
		key     Key
		n, bad  uint64
		latency *exphist.Histogram
	}
	var all []told
	s := newStore(t, 100_000)
	at := noon
	for range 400 {
		at = at.Add(time.Duration(1+random.IntN(30)) * time.Second)
		var edges []graph.Edge
		for range random.IntN(20) {
			k := key()
			n, failed := uint64(random.IntN(50)), uint64(random.IntN(5))
			v := random.ExpFloat64() * 100
			e := latency(edge(k, n, failed, 0), graph.Reporter(1+random.IntN(2)), v, v*2)
			all = append(all, told{at, k, n + failed, failed, e.Latency[graph.Destination]})
			if e.Latency[graph.Waypoint] != nil {
				all[len(all)-1].latency = e.Latency[graph.Waypoint]
			}
			edges = append(edges, e)
		}
		s.Add(interval(at, edges...))
	}
	for range 300 {
		k := key()
		q := &Query{
			Namespace: k.Namespace, Service: k.Service, Version: k.Version, Cluster: k.Cluster, Region: k.Region,
			Workload: k.Workload, CallerCluster: k.CallerCluster, CallerRegion: k.CallerRegion,
			Window: time.Duration(1+random.IntN(60)) * time.Minute,
		}
		from := at.Add(-1).Truncate(time.Minute).Add(-q.Window)
		var want, perhaps Counts
		h := newHistogram()
		for _, x := range all {
			if x.at.Add(-1).Before(from) || x.key.Namespace != q.Namespace || x.key.Service != q.Service {
				continue
			}
			sure, may := true, true
			for _, f := range [][2]string{
				{q.Version, x.key.Version},
				{q.Cluster, x.key.Cluster},
				{q.Region, x.key.Region},
				{q.Workload, x.key.Workload},
				{q.CallerCluster, x.key.CallerCluster},
				{q.CallerRegion, x.key.CallerRegion},
			} {
				if f[0] != "" && f[0] != f[1] {
					sure = false
					may = may && f[1] == ""
				}
			}
			switch {
			case sure:
				want.Requests += x.n
				want.Errors += x.bad
				h.Merge(x.latency)
			case may:
				perhaps.Requests += x.n
				perhaps.Errors += x.bad
			}
		}
		a := s.Query(q)
		require.Equal(t, want, a.Matched.Counts)
		require.Equal(t, perhaps, a.Unattributed)
		if h.Count == 0 {
			require.Nil(t, a.Matched.Latency[Callee])
			continue
		}
		got := a.Matched.Latency[Callee]
		require.Equal(t, h.Count, got.Count)
		require.InEpsilon(t, h.Quantile(0.99), got.Quantile(0.99), 1e-9)
	}
}

func TestLatencyIsKeptByWhoMeasured(t *testing.T) {
	s := newStore(t, 10)
	both := latency(latency(edge(reviews("v1", "west"), 3, 0, 0), graph.Source, 30, 40, 50), graph.Destination, 3, 4, 5)
	both = latency(both, graph.Waypoint, 1000)
	s.Add(interval(noon.Add(4*time.Second), both))
	s.Add(interval(noon.Add(8*time.Second), latency(edge(reviews("v1", "west"), 1, 0, 0), graph.Waypoint, 6)))
	a := s.Query(ask("v1", time.Minute))
	assert.Equal(t, uint64(4), a.Matched.Latency[Callee].Count, "the waypoint's where the callee's proxy told none")
	assert.Equal(t, 6.0, a.Matched.Latency[Callee].Max)
	assert.Equal(t, uint64(3), a.Matched.Latency[Caller].Count)
	assert.Equal(t, 30.0, a.Matched.Latency[Caller].Min)
	assert.Equal(t, "destination", Callee.String())
	assert.Equal(t, "source", Caller.String())
}

// A rollout compares a percentile with a bound of Istio's buckets. Four of 204 requests were slower than 250 ms and none slower
// than 500: the 99th percentile is not above 500, though each interval had one of them.
func TestAPercentileStaysBelowTheBoundThatAllWereBelow(t *testing.T) {
	bounds := []float64{0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000}
	s := newStore(t, 10)
	for i := range 4 {
		e := edge(reviews("v2", "west"), 51, 0, 0)
		h := exphist.New()
		require.NoError(t, h.AddExplicit(bounds, []uint64{0, 0, 20, 0, 30, 0, 0, 0, 1, 0, 0}, 1000))
		e.Latency[graph.Destination] = h
		s.Add(interval(noon.Add(time.Duration(30*(i+1))*time.Second), e))
	}
	a := s.Query(ask("v2", 5*time.Minute))
	p99 := a.Matched.Latency[Callee].Quantile(0.99)
	assert.LessOrEqual(t, p99, 500.0)
	assert.Greater(t, p99, 250.0)
}

func TestCeiling(t *testing.T) {
	s := newStore(t, 2)
	other := reviews("v1", "west")
	other.Service = "ratings"
	s.Add(interval(noon.Add(4*time.Second), edge(reviews("v1", "west"), 5, 0, 0), edge(reviews("v2", "west"), 5, 0, 0), edge(other, 7, 0, 0)))
	assert.Equal(t, Stats{Series: 2, MaxSeries: 2, MissedRequests: 7}, s.Stats())
	a := s.Query(ask("", time.Hour))
	assert.Equal(t, uint64(10), a.Service.Requests)
	assert.True(t, a.Complete(), "another service is what had no room")
	missing := s.Query(&Query{Namespace: "shop", Service: "ratings", Window: time.Minute})
	assert.Equal(t, uint64(7), missing.MissedRequests)
	assert.False(t, missing.Complete())
	assert.Equal(t, uint64(7), s.Versions("shop", "ratings", time.Minute).MissedRequests)

	// An hour later there is room again, and nothing is missing.
	s.Add(interval(noon.Add(62*time.Minute), edge(other, 7, 0, 0)))
	found := s.Query(&Query{Namespace: "shop", Service: "ratings", Window: time.Hour})
	assert.Equal(t, uint64(7), found.Matched.Requests)
	assert.True(t, found.Complete())
	assert.Equal(t, Stats{Series: 1, MaxSeries: 2, MissedRequests: 7}, s.Stats())
	assert.Zero(t, s.Query(ask("", time.Hour)).Service.Requests)
	s.Add(interval(noon.Add(63*time.Minute), edge(reviews("v3", "west"), 1, 0, 0)))
	assert.Equal(t, uint64(1), s.Query(ask("v3", time.Hour)).Matched.Requests, "the place is used again")
	assert.Zero(t, s.Query(ask("v1", time.Hour)).Matched.Requests)
	for i := range 200 {
		s.Add(interval(noon.Add(time.Duration(2+i)*time.Hour), edge(reviews("v1", fmt.Sprint("cluster-", i)), 1, 0, 0)))
	}
	assert.LessOrEqual(t, len(s.series), 3, "what is gone takes no memory")
}

func TestEdgesBeyondTheGraphsCeilingMakeAllAnswersIncomplete(t *testing.T) {
	s := newStore(t, 10)
	lost := edge(Key{Cluster: "west"}, 3, 0, 0)
	lost.Overflow = true
	s.Add(interval(noon.Add(4*time.Second), edge(reviews("v1", "west"), 5, 0, 0), lost, edge(Key{Namespace: "shop"}, 1, 0, 0)))
	a := s.Query(ask("v1", time.Minute))
	assert.Equal(t, uint64(5), a.Matched.Requests)
	assert.Equal(t, uint64(3), a.NamelessRequests)
	assert.False(t, a.Complete())
	assert.Equal(t, 1, s.Stats().Series, "nobody can ask for an edge without a service")
}

func TestConfig(t *testing.T) {
	for _, most := range []int{0, -1, 200_001} {
		_, err := New(Config{MaxSeries: most})
		assert.ErrorContains(t, err, "max_series is")
	}
}

// Two versions always get one request each in an interval. Whoever reads in between sees whole intervals.
func TestReadersSeeWholeIntervals(t *testing.T) {
	s := newStore(t, 2000)
	s.Add(interval(noon, edge(reviews("v1", "west"), 1, 0, 0), edge(reviews("v2", "west"), 1, 0, 0)))
	stop := make(chan struct{})
	var wait sync.WaitGroup
	for range 3 {
		wait.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				v := s.Versions("shop", "reviews", time.Hour)
				if !assert.Len(t, v.Rows, 2) || !assert.Equal(t, v.Rows[0].Requests, v.Rows[1].Requests) {
					return
				}
				if a := s.Query(ask("v1", time.Hour)); !assert.Equal(t, a.Service.Requests, 2*a.Matched.Requests) {
					return
				}
				runtime.Gosched()
			}
		})
	}
	for i := range 1000 {
		// Services come and go meanwhile.
		other := reviews("v1", "west")
		other.Service = fmt.Sprint("service-", i)
		s.Add(interval(noon.Add(time.Duration(i+1)*4*time.Second), edge(other, 1, 0, 0),
			latency(edge(reviews("v1", "west"), 1, 0, 0), graph.Source, 5), latency(edge(reviews("v2", "west"), 1, 0, 0), graph.Source, 5)))
		if i%100 == 0 {
			runtime.Gosched()
		}
	}
	close(stop)
	wait.Wait()
}
