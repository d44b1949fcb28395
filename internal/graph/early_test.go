// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// connections hands over what a proxy tells of connections.
func connections(t *testing.T, g *Graph, opened, closed uint64) {
	t.Helper()
	require.NoError(t, g.Add(&Point{
		Key: key("web", "reviews", TCP), Reporter: Source, Status: -1, GRPC: -1, Opened: opened, Closed: closed,
	}))
}

// A pool of twenty connections was open when the graph began. It is closed, and opened anew: twenty are open.
func TestConnectionsFromBeforeAreNotTakenOffTheOpenOnes(t *testing.T) {
	g := newGraph(t, DefaultConfig())
	now := start
	roll := func(times int) uint64 {
		for range times {
			now = now.Add(30 * time.Second)
			g.Roll(now)
		}
		return g.Snapshot().Edges[0].OpenConnections
	}
	connections(t, g, 3, 0)
	assert.Equal(t, uint64(3), roll(1))
	connections(t, g, 0, 20)
	assert.Equal(t, uint64(0), roll(1))
	roll(5) // Longer than Config.Settle: nobody will tell of their beginning any more.
	connections(t, g, 20, 0)
	assert.Equal(t, uint64(20), roll(1))

	// It is part of the state.
	other := newGraph(t, DefaultConfig())
	_, err := other.Restore(g.Encode(), now)
	require.NoError(t, err)
	g = other
	connections(t, g, 2, 1)
	assert.Equal(t, uint64(21), roll(1))
	snapshot := g.Snapshot().Edges[0]
	assert.Equal(t, uint64(25), snapshot.Total.Opened, "what was counted stays")
	assert.Equal(t, uint64(21), snapshot.Total.Closed)
}

// The two counters of a scrape may come in two requests, and the one of what closed first.
func TestABeginningThatIsUnderWayIsNoEarlyOne(t *testing.T) {
	g := newGraph(t, DefaultConfig())
	for i := range 40 {
		at := start.Add(time.Duration(i) * 45 * time.Second)
		connections(t, g, 0, 7)
		g.Roll(at.Add(20 * time.Second))
		connections(t, g, 7, 0)
		snapshot := g.Roll(at.Add(45 * time.Second))
		require.Equal(t, uint64(0), snapshot.Edges[0].OpenConnections)
	}
}
