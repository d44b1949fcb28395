// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	webID     = "spiffe://mesh.example/ns/shop/sa/web"
	reviewsID = "spiffe://mesh.example/ns/shop/sa/reviews"
)

// as is a point of an edge with both principals.
func as(p *Point, source, destination string) *Point {
	p.SourcePrincipal, p.DestinationPrincipal = source, destination
	return p
}

func TestIdentitiesOfAnEdge(t *testing.T) {
	g := newGraph(t, DefaultConfig())
	k := key("web", "reviews-v2", HTTP)
	require.NoError(t, g.Add(as(ok(k, Source, 10), webID, reviewsID)))
	require.NoError(t, g.Add(as(ok(k, Destination, 7), webID, reviewsID)))
	// A principal that nobody asked under is none: bytes alone, and what never arrived.
	require.NoError(t, g.Add(as(&Point{Key: k, Reporter: Source, RequestBytes: 5}, "bytes", "bytes")))
	require.NoError(t, g.Add(as(&Point{Key: k, Reporter: Source, Status: 503, GRPC: -1, Flags: "UH", Requests: 5}, "never", "never")))
	first := g.Roll(at(1)).Edges[0].Identities
	want := []Identity{
		{CallerEnd, webID, 10, at(1), at(1)},
		{CalleeEnd, reviewsID, 10, at(1), at(1)},
	}
	assert.Equal(t, want, first, "once, though two told")
	// Quiet intervals publish the same.
	assert.Equal(t, want, g.Roll(at(2)).Edges[0].Identities)
	require.NoError(t, g.Add(as(ok(k, Destination, 4), "spiffe://old.example/ns/shop/sa/web", reviewsID)))
	assert.Equal(t, []Identity{
		{CallerEnd, webID, 10, at(1), at(1)},
		{CallerEnd, "spiffe://old.example/ns/shop/sa/web", 4, at(3), at(3)},
		{CalleeEnd, reviewsID, 11, at(1), at(3)},
	}, g.Roll(at(3)).Edges[0].Identities)
	assert.Equal(t, want, first, "what was published does not change")
	assert.Equal(t, []string{"caller", "callee"}, []string{CallerEnd.String(), CalleeEnd.String()})
}

// An edge that lives on forgets identities that nobody tells any more, and has room for new ones.
func TestIdentitiesAreForgotten(t *testing.T) {
	g := newGraph(t, DefaultConfig())
	k := key("web", "reviews-v2", HTTP)
	require.NoError(t, g.Add(as(ok(k, Source, 1), "old", reviewsID)))
	for minute := 1; minute <= 61; minute++ {
		require.NoError(t, g.Add(as(ok(k, Source, 1), "new", reviewsID)))
		g.Roll(at(minute))
		told := map[string]bool{}
		for _, i := range g.Snapshot().Edges[0].Identities {
			told[i.Principal] = true
		}
		assert.Equal(t, minute < 61, told["old"], "minute %d", minute)
		assert.True(t, told["new"])
	}
}

func TestIdentitiesHaveACeiling(t *testing.T) {
	g := newGraph(t, DefaultConfig())
	k := key("", "reviews-v2", HTTP)
	for i := range 3 * maxIdentities {
		require.NoError(t, g.Add(as(ok(k, Destination, 2), fmt.Sprintf("spiffe://mesh.example/ns/shop/sa/web-%02d", i), reviewsID)))
	}
	require.NoError(t, g.Add(as(ok(key("long", "reviews-v2", HTTP), Destination, 3), strings.Repeat("a", maxIdentity+1), "")))
	s := g.Roll(at(1))
	assert.Len(t, s.Edges[0].Identities, maxIdentities+1, "the flood at one end leaves room for the other")
	assert.Equal(t, uint64(2*2*maxIdentities), s.Edges[0].OtherIdentities)
	assert.Empty(t, s.Edges[1].Identities, "a long one is not cut: it could become another's")
	assert.Equal(t, uint64(3), s.Edges[1].OtherIdentities)
	assert.Equal(t, uint64(2*maxIdentities+1), s.Stats.IdentitiesOther)
	// The edge of the ceiling belongs to nobody.
	config := DefaultConfig()
	config.MaxEdges = 1
	g = newGraph(t, config)
	require.NoError(t, g.Add(ok(k, Destination, 1)))
	require.NoError(t, g.Add(as(ok(key("web", "reviews-v2", HTTP), Destination, 1), webID, reviewsID)))
	for _, e := range g.Roll(at(1)).Edges {
		assert.Empty(t, e.Identities)
	}
}

func TestPlaintextSinceWhen(t *testing.T) {
	g := newGraph(t, DefaultConfig())
	k := key("web", "redis", TCP)
	add := func(r Reporter, tls TLS, n uint64) {
		require.NoError(t, g.Add(&Point{Key: k, Reporter: r, Opened: n, TLS: tls}))
	}
	add(Destination, TLSMutual, 5)
	add(Source, TLSNone, 0)
	assert.Nil(t, g.Roll(at(1)).Edges[0].Plaintext, "nothing without TLS was opened")
	add(Destination, TLSNone, 1)
	first := g.Roll(at(2)).Edges[0].Plaintext
	assert.Equal(t, &Plaintext{First: at(2), Last: at(2), Reporters: []Reporter{Destination}}, first)
	add(Destination, TLSMutual, 1)
	assert.Equal(t, first, g.Roll(at(3)).Edges[0].Plaintext)
	add(Source, TLSNone, 1)
	assert.Equal(t, &Plaintext{First: at(2), Last: at(4), Reporters: []Reporter{Source, Destination}}, g.Roll(at(4)).Edges[0].Plaintext)
	assert.Equal(t, at(2), first.Last, "what was published does not change")
}

// local is an edge within a region.
func local(caller, callee string, protocol Protocol) Key {
	k := key(caller, callee, protocol)
	k.Callee.Cluster, k.Callee.Region = "west", "westeurope"
	return k
}

func zoned(k Key, r Reporter, z Zone, request, response uint64) *Point {
	return &Point{Key: k, Reporter: r, Zone: z, RequestBytes: request, ResponseBytes: response}
}

func TestBytesByZoneAreCountedOnce(t *testing.T) {
	k := local("web", "reviews-v2", HTTP)
	for name, tt := range map[string]struct {
		minutes [][]*Point
		want    Counts
	}{
		"both tell the same": {
			[][]*Point{{zoned(k, Source, SameZone, 100, 10), zoned(k, Source, CrossZone, 50, 5)}, {zoned(k, Destination, SameZone, 100, 10), zoned(k, Destination, CrossZone, 50, 5)}},
			Counts{RequestBytes: 150, ResponseBytes: 15, RequestSameZone: 100, RequestCrossZone: 50, ResponseSameZone: 10, ResponseCrossZone: 5},
		},
		"the second one knows the zones": {
			[][]*Point{{zoned(k, Destination, ZoneUnknown, 150, 15)}, {zoned(k, Source, SameZone, 100, 10), zoned(k, Source, CrossZone, 50, 5)}},
			Counts{RequestBytes: 150, ResponseBytes: 15, RequestSameZone: 100, RequestCrossZone: 50, ResponseSameZone: 10, ResponseCrossZone: 5},
		},
		"each knows one zone": {
			[][]*Point{
				{zoned(k, Source, SameZone, 100, 10), zoned(k, Source, ZoneUnknown, 50, 5)},
				{zoned(k, Destination, ZoneUnknown, 100, 10), zoned(k, Destination, CrossZone, 50, 5)},
			},
			Counts{RequestBytes: 150, ResponseBytes: 15, RequestSameZone: 100, RequestCrossZone: 50, ResponseSameZone: 10, ResponseCrossZone: 5},
		},
		"they contradict each other at once: nobody knows": {
			[][]*Point{{zoned(k, Source, SameZone, 100, 0), zoned(k, Destination, CrossZone, 100, 0)}},
			Counts{RequestBytes: 100},
		},
		"they contradict each other in part": {
			[][]*Point{{zoned(k, Source, SameZone, 100, 0), zoned(k, Destination, CrossZone, 30, 0), zoned(k, Destination, SameZone, 70, 0)}},
			Counts{RequestBytes: 100, RequestSameZone: 70},
		},
		"they contradict each other later: what was counted stays": {
			[][]*Point{{zoned(k, Source, SameZone, 100, 0)}, {zoned(k, Destination, CrossZone, 120, 0)}},
			Counts{RequestBytes: 120, RequestSameZone: 100, RequestCrossZone: 20},
		},
		"two regions have no zones in common": {
			[][]*Point{{zoned(key("web", "reviews-v2", HTTP), Source, CrossZone, 100, 10)}},
			Counts{RequestBytes: 100, ResponseBytes: 10},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGraph(t, DefaultConfig())
			var sum Counts
			for minute, points := range tt.minutes {
				for _, p := range points {
					require.NoError(t, g.Add(p))
				}
				sum.Add(&g.Roll(at(minute + 1)).Edges[0].Interval)
			}
			e := g.Roll(at(9)).Edges[0]
			assert.Equal(t, tt.want, e.Total)
			assert.Equal(t, tt.want, sum, "intervals add up to the total")
		})
	}
}

// Whatever reporters claim, in whatever order: known zones are never more than all bytes, and nothing shrinks.
func TestKnownZonesAreAPartOfTheBytes(t *testing.T) {
	for seed := range seeds(t, 60) {
		w := newWorld(t, seed)
		keys := []Key{local("web", "redis", TCP), local("", "redis", TCP)}
		last, sum := map[Key]Counts{}, map[Key]*Counts{keys[0]: {}, keys[1]: {}}
		for roll := range 60 {
			for range w.random.IntN(6) {
				p := zoned(keys[w.random.IntN(2)], Reporter(w.random.IntN(3)), Zone(w.random.IntN(3)), uint64(w.random.IntN(100)), uint64(w.random.IntN(100)))
				require.NoError(t, w.g.Add(p))
			}
			for _, e := range w.g.Roll(start.Add(time.Duration(roll) * 17 * time.Second)).Edges {
				c, before := e.Total, last[*e.Key]
				require.LessOrEqual(t, c.RequestSameZone+c.RequestCrossZone, c.RequestBytes, "seed %d", seed)
				require.LessOrEqual(t, c.ResponseSameZone+c.ResponseCrossZone, c.ResponseBytes, "seed %d", seed)
				require.GreaterOrEqual(t, c.RequestSameZone, before.RequestSameZone)
				require.GreaterOrEqual(t, c.RequestCrossZone, before.RequestCrossZone)
				last[*e.Key] = c
				sum[*e.Key].Add(&e.Interval)
				require.Equal(t, c, *sum[*e.Key], "intervals add up to the total")
			}
		}
	}
}
