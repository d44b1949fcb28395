// SPDX-License-Identifier: Apache-2.0

package findings

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

var start = time.Unix(1_000_000, 0)

// clock is a time that the test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time          { return c.at }
func (c *clock) forward(d time.Duration) { c.at = c.at.Add(d) }

func conflict(subject string) topology.Finding {
	return topology.Finding{Kind: topology.KindAddressConflict, Cluster: "a", Subject: subject, Detail: "d"}
}

func TestOneEntryForOneThing(t *testing.T) {
	c := &clock{start}
	table := New(c.now)
	assert.True(t, table.Report(conflict("x")))
	c.forward(time.Minute)
	assert.False(t, table.Report(conflict("x")), "no news")
	assert.True(t, table.Report(conflict("y")))
	list := table.List()
	require.Len(t, list, 2)
	assert.Equal(t, uint64(2), list[0].Count)
	assert.Equal(t, start, list[0].First)
	assert.Equal(t, start.Add(time.Minute), list[0].Last)

	require.True(t, table.Resolve(topology.KindAddressConflict, "a", "x"))
	assert.False(t, table.Resolve(topology.KindAddressConflict, "a", "x"), "over already")
	assert.False(t, table.Resolve(topology.KindAddressConflict, "a", "z"), "never was")
	ongoing, _ := table.Counts()
	assert.Equal(t, map[string]int{topology.KindAddressConflict: 1}, ongoing)
	assert.Equal(t, "y", table.List()[0].Subject, "what goes on comes first")

	c.forward(time.Minute)
	assert.True(t, table.Report(conflict("x")), "it is back")
	list = table.List()
	assert.Equal(t, start.Add(2*time.Minute), list[0].First)
	assert.Equal(t, uint64(3), list[0].Count)
	assert.Zero(t, list[0].Resolved)
}

func TestResolveClusterAndIf(t *testing.T) {
	c := &clock{start}
	table := New(c.now)
	stale := topology.Finding{Kind: topology.KindClusterStale, Cluster: "a", Subject: "inventory"}
	other := stale
	other.Cluster = "b"
	table.Report(stale)
	table.Report(other)
	assert.Equal(t, 1, table.ResolveCluster(topology.KindClusterStale, "a"))
	table.ResolveIf(topology.KindClusterStale, func(e *Entry) bool { return e.Cluster == "a" })
	ongoing, _ := table.Counts()
	assert.Equal(t, 1, ongoing[topology.KindClusterStale])
	table.ResolveIf(topology.KindClusterStale, func(e *Entry) bool { return e.Cluster == "b" })
	ongoing, _ = table.Counts()
	assert.Empty(t, ongoing)
}

func TestWhatIsOverIsForgottenInTime(t *testing.T) {
	c := &clock{start}
	table := New(c.now)
	table.Report(conflict("resolved"))
	table.Resolve(topology.KindAddressConflict, "a", "resolved")
	table.Report(conflict("old"))
	table.Report(topology.Finding{Kind: topology.KindClusterStale, Cluster: "a", Subject: "inventory"})
	c.forward(KeepResolved - time.Second)
	table.Prune()
	assert.Len(t, table.List(), 3)
	c.forward(time.Second)
	table.Prune()
	assert.Len(t, table.List(), 2)
	c.forward(Forget)
	table.Prune()
	list := table.List()
	require.Len(t, list, 1, "a conflict that nobody sees any more is over, a stale cluster is not before somebody says so")
	assert.Equal(t, topology.KindClusterStale, list[0].Kind)
}

func TestTheTableIsBounded(t *testing.T) {
	c := &clock{start}
	table := New(c.now)
	for i := range Max {
		table.Report(conflict(strconv.Itoa(i)))
		c.forward(time.Second)
	}
	table.Resolve(topology.KindAddressConflict, "a", "500")
	table.Report(conflict("one more"))
	table.Report(conflict("two more"))
	list := table.List()
	assert.Len(t, list, Max)
	subjects := map[string]bool{}
	for _, e := range list {
		subjects[e.Subject] = true
	}
	assert.False(t, subjects["500"], "what is over goes first")
	assert.False(t, subjects["0"], "then what is oldest")
	assert.True(t, subjects["1"] && subjects["two more"])
	_, evicted := table.Counts()
	assert.Equal(t, uint64(2), evicted)
}

func TestLongTextIsCut(t *testing.T) {
	table := New(func() time.Time { return start })
	long := strings.Repeat("ü", 3000)
	table.Report(topology.Finding{Kind: "k", Cluster: long, Subject: "a" + long, Detail: long, At: start.Add(time.Hour)})
	e := table.List()[0]
	assert.LessOrEqual(t, len(e.Subject), MaxText)
	assert.LessOrEqual(t, len(e.Detail), MaxDetail)
	assert.True(t, utf8.ValidString(e.Subject))
	assert.Equal(t, start, e.Last, "nothing was found in the future")
}

func TestConcurrentUse(t *testing.T) {
	table := New(func() time.Time { return start })
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for j := range 60 {
				table.Report(conflict(strconv.Itoa(i * j)))
				table.Resolve(topology.KindAddressConflict, "a", strconv.Itoa(j))
				table.List()
				table.Prune()
			}
		})
	}
	group.Wait()
	assert.LessOrEqual(t, len(table.List()), Max)
}
