// SPDX-License-Identifier: Apache-2.0

package window

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
)

// at says how many requests a version in a cluster gets in a minute.
type at func(minute int) map[[2]string]uint64

func steady(v ...any) at {
	m := map[[2]string]uint64{}
	for i := 0; i < len(v); i += 3 {
		m[[2]string{v[i].(string), v[i+1].(string)}] = uint64(v[i+2].(int))
	}
	return func(int) map[[2]string]uint64 { return m }
}

func then(from int, before, after at) at {
	return func(minute int) map[[2]string]uint64 {
		if minute < from {
			return before(minute)
		}
		return after(minute)
	}
}

func TestPatterns(t *testing.T) {
	v1, v2 := steady("v1", "west", 600), steady("v2", "west", 600)
	ramp := func(minute int) map[[2]string]uint64 {
		return map[[2]string]uint64{{"v1", "west"}: uint64(1000 - 10*minute), {"v2", "west"}: uint64(10 * minute)}
	}
	for _, c := range []struct {
		name    string
		traffic at
		window  time.Duration
		kind    Kind
		across  bool
		because string
	}{
		{"nothing", steady(), time.Hour, NoTraffic, false, "no known version"},
		{"a few stray calls", steady("", "west", 500), time.Hour, NoTraffic, false, ""},
		{"one version in two clusters", steady("v1", "west", 500, "v1", "east", 300), time.Hour, SingleVersion, false, "v1"},
		{"and a stray call of the old one", then(10, steady("v0", "west", 1, "v1", "west", 500), v1), time.Hour, SingleVersion, false, ""},
		{"new version with a tenth", then(20, v1, steady("v1", "west", 540, "v2", "west", 60)), time.Hour, Canary, false, "the share of v2 went from 0.0 % to 10.0 %"},
		{"the same, of which the window sees the end alone", then(20, v1, steady("v1", "west", 540, "v2", "west", 60)), 10 * time.Minute, Canary, false, "v2 is there since 12:20"},
		{"a new version that grows", then(5, v1, ramp), 30 * time.Minute, Canary, false, "v2 went from"},
		{"two versions all the time", steady("v1", "west", 300, "v2", "west", 300), time.Hour, AB, false, "steady"},
		{"unequal, all the time", steady("v1", "west", 540, "v2", "west", 60), time.Hour, AB, false, "cluster west: v1 90.0 %, v2 10.0 %"},
		{"a version for each cluster, all the time", steady("v1", "west", 300, "v2", "east", 300), time.Hour, AB, true, "steady"},
		{"a new version in another cluster with a tenth", then(20, v1, steady("v1", "west", 540, "v2", "east", 60)), 10 * time.Minute, Canary, true, "v2 is there since"},
		{"a switch", then(30, v1, v2), time.Hour, BlueGreen, false, "went over to v2, with 0 minutes"},
		{"a switch with a minute of both", then(30, v1, then(31, steady("v1", "west", 300, "v2", "west", 300), v2)), time.Hour, BlueGreen, false, "with 1 minutes"},
		{"a switch between clusters", then(30, v1, steady("v2", "east", 600)), time.Hour, BlueGreen, true, "v2"},
		{"a switch in both clusters", then(30, steady("v1", "west", 9, "v1", "east", 9), steady("v2", "west", 9, "v2", "east", 9)), time.Hour, BlueGreen, false, "v2"},
		{"one cluster switched so far", then(30, steady("v1", "west", 300, "v1", "east", 300), steady("v2", "west", 300, "v1", "east", 300)), time.Hour, BlueGreen, true, "cluster west went over to v2"},
		{"slowly from one to the other", then(20, v1, then(35, steady("v1", "west", 300, "v2", "west", 300), v2)), time.Hour, Rollout, false, "15 minutes"},
		{"too few to compare", steady("v1", "west", 1, "v2", "west", 1), 10 * time.Minute, Undetermined, false, "fewer than 30"},
		{"too short to compare", then(59, v1, steady("v1", "west", 540, "v2", "west", 60)), time.Minute, Undetermined, false, "fewer than 30"},
		{"cannot be told from chance", then(55, v1, steady("v1", "west", 10, "v2", "west", 2)), 5 * time.Minute, Undetermined, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t, 100)
			for i := range 60 {
				var edges []graph.Edge
				for k, n := range c.traffic(i) {
					edges = append(edges, edge(reviews(k[0], k[1]), n, 0, 0))
				}
				s.Add(interval(noon.Add(time.Duration(i)*time.Minute+4*time.Second), edges...))
			}
			p := s.Versions("shop", "reviews", c.window).Pattern
			assert.Equal(t, c.kind, p.Kind, p.Because)
			assert.Equal(t, c.across, p.AcrossClusters)
			assert.Contains(t, strings.Join(p.Because, "\n"), c.because)
		})
	}
}

func TestPatternOfConnections(t *testing.T) {
	s := newStore(t, 10)
	for i := range 30 {
		var edges []graph.Edge
		for v, n := range map[string]uint64{"v1": 90, "v2": 10} {
			e := edge(reviews(v, "west"), 0, 0, 0)
			e.Interval.Opened = n
			edges = append(edges, e)
		}
		s.Add(interval(noon.Add(time.Duration(i)*time.Minute+4*time.Second), edges...))
	}
	v := s.Versions("shop", "reviews", 20*time.Minute)
	assert.Equal(t, AB, v.Pattern.Kind)
	assert.Equal(t, Counts{ConnectionsOpened: 100 * 21}, v.Service)
}

func TestVersionsByCallerAndAge(t *testing.T) {
	s := newStore(t, 10_000)
	fromEast := reviews("v2", "west")
	fromEast.CallerCluster, fromEast.CallerRegion = "east", "east-region"
	s.Add(interval(noon.Add(4*time.Second), edge(reviews("v1", "west"), 90, 10, 0)))
	s.Add(interval(noon.Add(10*time.Minute),
		latency(edge(reviews("v1", "west"), 40, 0, 0), graph.Destination, 5), edge(reviews("v2", "west"), 10, 0, 0), edge(fromEast, 50, 0, 0),
		edge(reviews("", ""), 0, 0, 7)))
	v := s.Versions("shop", "reviews", 5*time.Minute)
	if assert.Len(t, v.Rows, 3) {
		assert.Equal(t, Place{}, v.Rows[0].Place)
		assert.Equal(t, Counts{Requests: 7, Errors: 7, NeverReached: 7}, v.Rows[0].Counts)
		assert.False(t, v.Rows[0].Since, "calls that reached nobody are no new version")
		assert.Equal(t, "v1", v.Rows[1].Version)
		assert.False(t, v.Rows[1].Since, "as old as anything that is known")
		assert.Equal(t, noon, v.Rows[1].First)
		assert.Equal(t, uint64(1), v.Rows[1].Latency[Callee].Count)
		assert.Equal(t, uint64(60), v.Rows[2].Requests)
		assert.True(t, v.Rows[2].Since)
		assert.Equal(t, noon.Add(9*time.Minute), v.Rows[2].First)
	}
	if assert.Len(t, v.Callers, 4) {
		assert.Equal(t, "east", v.Callers[0].CallerCluster)
		assert.Equal(t, uint64(50), v.Callers[0].Requests)
	}
	var many []graph.Edge
	for i := range MaxRows + 3 {
		many = append(many, edge(reviews(fmt.Sprint("v", i), "west"), uint64(i+1), 0, 0))
	}
	s.Add(interval(noon.Add(30*time.Minute), many...))
	v = s.Versions("shop", "reviews", time.Minute)
	assert.Len(t, v.Rows, MaxRows)
	assert.Equal(t, 3, v.RowsLeftOut)
	assert.Len(t, v.Callers, MaxRows)
	assert.Equal(t, 3, v.CallersLeftOut)
	for _, r := range v.Rows {
		assert.Greater(t, r.Requests, uint64(3), "those with the fewest calls are left out")
	}
}
