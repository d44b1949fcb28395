// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/exphist"
)

func ok(k Key, r Reporter, n uint64) *Point {
	return &Point{Key: k, Reporter: r, Status: 200, GRPC: -1, Requests: n}
}

func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		reporter     Reporter
		status, grpc int
		flags        string
		class        Class
		never        bool
	}{
		{Source, 200, -1, "-", Success, false},
		{Source, 200, 0, "", Success, false},
		{Source, 200, 14, "", GRPCError, false},
		{Source, 0, 14, "", GRPCError, false},
		{Source, 0, 0, "", Success, false},
		{Source, 302, -1, "", Redirect, false},
		{Source, 429, -1, "", ClientError, false},
		{Source, 429, -1, "RL", ClientError, true},
		{Destination, 429, -1, "RL", ClientError, false},
		{Source, 503, -1, "", ServerError, false},
		{Source, 503, -1, "UF, URX", ServerError, true},
		{Destination, 503, -1, "UF", ServerError, false},
		{Destination, 503, -1, "UC", ServerError, false},
		{Source, 503, -1, "UC", NoResponse, false},
		{Source, 504, -1, "UT", NoResponse, false},
		{Destination, 504, -1, "UT", ServerError, false},
		{Destination, 0, -1, "DC", NoResponse, false},
		{Source, 200, -1, "DC", NoResponse, false},
		{Source, 0, -1, "", NoResponse, false},
		{Source, 101, -1, "", Other, false},
		{Source, 999, -1, "NEWFLAG", Other, false},
		{Source, 503, -1, "NC", ServerError, true},
	} {
		class, never := judge(&Point{Key: Key{Protocol: HTTP}, Reporter: tt.reporter, Status: tt.status, GRPC: tt.grpc, Flags: tt.flags})
		assert.Equal(t, tt.class, class, "%+v: %s", tt, class)
		assert.Equal(t, tt.never, never, "%+v", tt)
	}
	for _, r := range []Reporter{Source, Destination, Waypoint} {
		back, known := ParseReporter(r.String())
		assert.True(t, known)
		assert.Equal(t, r, back)
	}
	_, known := ParseReporter("unknown")
	assert.False(t, known)
	assert.Equal(t, GRPC, ParseProtocol("grpc"))
	assert.Equal(t, ProtocolUnknown, ParseProtocol("quic"))
}

func TestTheCeilingLosesNoRequest(t *testing.T) {
	config := DefaultConfig()
	config.MaxEdges = 10
	g := newGraph(t, config)
	for i := range 500 {
		k := key(fmt.Sprintf("web-%d", i), "reviews-v2", HTTP)
		k.Callee.Cluster = fmt.Sprintf("north-%d", i%100)
		require.NoError(t, g.Add(ok(k, Source, 3)))
		require.NoError(t, g.Add(ok(k, Destination, 3)))
	}
	s := g.Roll(at(1))
	var requests, withCluster uint64
	for _, e := range s.Edges {
		requests += e.Interval.Requests()
		if e.Overflow {
			assert.Empty(t, e.Caller.Workload)
			assert.Empty(t, e.Callee.Service)
			if e.Callee.Cluster != "" {
				withCluster++
			}
		}
	}
	assert.Equal(t, uint64(1500), requests)
	assert.Equal(t, 10, s.Stats.Edges)
	assert.Equal(t, 10/8+16+1, s.Stats.OverflowEdges)
	assert.Equal(t, uint64(10/8+16), withCluster)
	assert.Equal(t, uint64(2*490), s.Stats.OverflowedPoints)
	assert.True(t, s.Document().Full)
	// Room comes back with time.
	for i := range 61 {
		g.Roll(at(2 + i))
	}
	assert.Empty(t, g.Roll(at(64)).Edges)
	assert.Equal(t, Stats{MaxEdges: 10, Points: 1000, OverflowedPoints: 980, Expired: 28}, g.Stats())
	require.NoError(t, g.Add(ok(key("new", "reviews-v2", HTTP), Source, 1)))
	assert.Len(t, g.Roll(at(65)).Edges, 1)
}

func TestTextsHaveACeiling(t *testing.T) {
	g := newGraph(t, DefaultConfig())
	long := key("web", strings.Repeat("ä", MaxText), HTTP)
	for range 2 {
		require.NoError(t, g.Add(ok(long, Source, 1)))
	}
	e := g.Roll(at(1)).Edges
	require.Len(t, e, 1)
	assert.Equal(t, strings.Repeat("ä", MaxText/2), e[0].Callee.Workload)
	assert.Equal(t, uint64(2), e[0].Interval.Requests())
	assert.Equal(t, uint64(2), g.Stats().TextsCut)
	for i := range 100 {
		p := ok(key("web", "v", HTTP), Source, 1)
		p.Flags = fmt.Sprintf("X%d", i)
		require.NoError(t, g.Add(p))
	}
	p := ok(key("web", "v", HTTP), Source, 1)
	p.Flags = strings.Repeat("F", 100)
	require.NoError(t, g.Add(p))
	s := g.Roll(at(2))
	for _, e := range s.Edges {
		var flagged uint64
		for _, f := range e.Flags {
			flagged += f.Requests
		}
		if e.Callee.Workload == "v" {
			assert.Equal(t, uint64(101), flagged)
			assert.Len(t, e.Flags, maxFlags)
		}
	}
	assert.Equal(t, uint64(101-(maxFlags-1)), s.Stats.FlagsOther)
}

func TestWhatCannotBeReadIsCounted(t *testing.T) {
	g := newGraph(t, DefaultConfig())
	p := ok(key("web", "v", HTTP), Source, 2)
	p.Latency = &exphist.Points{Scale: 99}
	require.ErrorIs(t, g.Add(p), exphist.ErrScale)
	p.Reporter = 7
	require.ErrorContains(t, g.Add(p), "reporter")
	s := g.Roll(at(1))
	assert.Equal(t, uint64(2), s.Edges[0].Interval.Requests())
	assert.Equal(t, uint64(1), s.Stats.RefusedLatencies)
	assert.Equal(t, uint64(1), s.Stats.RefusedPoints)
}

func TestConfig(t *testing.T) {
	c := DefaultConfig()
	require.NoError(t, c.Validate())
	c = Config{MaxExemplars: 17}
	err := c.Validate()
	for _, k := range []string{"max_edges is 0", "expire is 0s", "settle is 0s: write", "max_exemplars is 17"} {
		require.ErrorContains(t, err, k)
	}
	_, err = New(c, start)
	require.Error(t, err)
}

// busy fills a graph with a bit of everything.
func busy(t testing.TB, g *Graph, minute int) {
	both := key("web", "reviews-v2", HTTP)
	require.NoError(t, g.Add(&Point{
		Key: both, Reporter: Source, Status: 200, GRPC: -1, Requests: 90, RequestBytes: 9000, ResponseBytes: 90_000,
		LatencyBounds: []float64{1, 5, 10}, LatencyCounts: []uint64{0, 80, 10, 0}, LatencySum: 400,
	}))
	require.NoError(t, g.Add(&Point{Key: both, Reporter: Source, Status: 504, GRPC: -1, Flags: "UT", Requests: 4}))
	require.NoError(t, g.Add(&Point{Key: both, Reporter: Source, Status: 503, GRPC: -1, Flags: "UF,URX", Requests: 6}))
	require.NoError(t, g.Add(&Point{
		Key: both, Reporter: Destination, Status: 200, GRPC: -1, Requests: 90, TLS: TLSMutual,
		Latency: &exphist.Points{Scale: 3, Offset: 8, Counts: []uint64{40, 50}, Sum: 300, Min: 2.2, Max: 2.5, HasExtremes: true},
	}))
	require.NoError(t, g.Add(&Point{Key: both, Reporter: Destination, Status: 0, GRPC: -1, Flags: "DC", Requests: 4, TLS: TLSNone}))
	require.NoError(t, g.Add(&Point{Key: key("web", "redis", TCP), Reporter: Source, Opened: 5, Closed: 3, FailedConnections: 1, RequestBytes: 50, ResponseBytes: 70}))
	require.NoError(t, g.Add(ok(key("web", "", GRPC), Source, uint64(minute))))
	require.NoError(t, g.Add(as(ok(local("web", "ratings-v1", HTTP), Source, 2), webID, "spiffe://mesh.example/ns/shop/sa/ratings")))
	require.NoError(t, g.Add(zoned(local("web", "ratings-v1", HTTP), Source, SameZone, 100, 200)))
	require.NoError(t, g.Add(zoned(local("web", "ratings-v1", HTTP), Source, CrossZone, 30, 40)))
	require.NoError(t, g.Add(zoned(local("web", "ratings-v1", HTTP), Source, ZoneUnknown, 5, 6)))
	for i := range 6 {
		assert.True(t, g.AddExemplar(&both, Exemplar{
			TraceID: fmt.Sprintf("%032x", i), Time: at(minute), Milliseconds: float64(i), Failed: i == 2,
		}))
	}
	assert.False(t, g.AddExemplar(&Key{}, Exemplar{}))
}

func TestDocument(t *testing.T) {
	g := newGraph(t, DefaultConfig())
	for minute := 1; minute < 5; minute++ {
		busy(t, g, minute)
		g.Roll(at(minute))
	}
	got, err := json.MarshalIndent(g.Snapshot().Document(), "", "  ")
	require.NoError(t, err)
	file := filepath.Join("testdata", "document.json")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(file, append(got, '\n'), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got)+"\n")
}

func TestAStateIsTheGraph(t *testing.T) {
	one := newGraph(t, DefaultConfig())
	for minute := 1; minute < 4; minute++ {
		busy(t, one, minute)
		one.Roll(at(minute))
	}
	state := one.Encode()
	two := newGraph(t, DefaultConfig())
	two.begun = at(3)
	left, err := two.Restore(state, at(3))
	require.NoError(t, err)
	assert.Zero(t, left)
	_, err = two.Restore(state, at(3))
	require.ErrorIs(t, err, ErrNotEmpty)
	// Both go on in the same way: nothing is counted twice, nothing is forgotten.
	for minute := 4; minute < 15; minute++ {
		for _, g := range []*Graph{one, two} {
			if minute < 7 {
				busy(t, g, minute)
			}
			g.Roll(at(minute))
		}
		a, b := one.Snapshot().Document(), two.Snapshot().Document()
		a.Stats, b.Stats = Stats{}, Stats{}
		require.Equal(t, a, b)
	}
	assert.Equal(t, len(one.Encode()), len(two.Encode()))
}

// A restart is no pause: what the second reporter tells after it is compared with what the first one told before.
func TestARestartIsNoPause(t *testing.T) {
	one := newGraph(t, DefaultConfig())
	for minute := range 20 {
		one.Roll(at(minute + 1))
	}
	k := key("web", "reviews-v2", HTTP)
	require.NoError(t, one.Add(ok(k, Source, 10)))
	one.Roll(at(21))
	two, err := New(DefaultConfig(), at(30))
	require.NoError(t, err)
	_, err = two.Restore(one.Encode(), at(30))
	require.NoError(t, err)
	two.Roll(at(31))
	require.NoError(t, two.Add(ok(k, Destination, 10)))
	assert.Equal(t, uint64(10), two.Roll(at(32)).Edges[0].Total.Requests())
}

func TestAStateThatDoesNotFit(t *testing.T) {
	g := newGraph(t, DefaultConfig())
	busy(t, g, 1)
	g.Roll(at(1))
	state := g.Encode()
	fresh := func(edges int) *Graph {
		c := DefaultConfig()
		c.MaxEdges = edges
		return newGraph(t, c)
	}
	for i := range state {
		damaged := append([]byte(nil), state...)
		damaged[i] ^= 0x40
		_, err := fresh(100).Restore(damaged, at(2))
		require.ErrorIs(t, err, ErrState, "byte %d", i)
	}
	_, err := fresh(100).Restore(state[:len(state)-1], at(2))
	require.ErrorIs(t, err, ErrState)
	old := append([]byte(nil), state...)
	old[len(stateMagic)] = 1
	old = binary.BigEndian.AppendUint32(old[:len(old)-4], crc32.Checksum(old[:len(old)-4], castagnoli))
	_, err = fresh(100).Restore(old, at(2))
	require.ErrorIs(t, err, ErrState)
	require.ErrorContains(t, err, "version 1, and this reads version 2")
	small := fresh(1)
	left, err := small.Restore(state, at(2))
	require.NoError(t, err)
	assert.Equal(t, 3, left)
	assert.Equal(t, 1, small.Stats().Edges)
	late := fresh(100)
	left, err = late.Restore(state, at(120))
	require.NoError(t, err)
	assert.Equal(t, 4, left, "what nobody reported for longer than expire is not taken")
}

// Readers see whole snapshots while others add and one rolls; nothing is lost between intervals.
func TestManyAddAndReadAtOnce(t *testing.T) {
	g := newGraph(t, DefaultConfig())
	const adders, each = 4, 3000
	var adding, reading sync.WaitGroup
	done := make(chan struct{})
	for a := range adders {
		adding.Go(func() {
			for i := range each {
				k := key(fmt.Sprintf("web-%d", i%7), "reviews-v2", HTTP)
				assert.NoError(t, g.Add(ok(k, Reporter(a%2), 1)))
			}
		})
	}
	for range 2 {
		reading.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				for _, e := range g.Snapshot().Edges {
					assert.LessOrEqual(t, e.Interval.Requests(), e.Total.Requests())
				}
			}
		})
	}
	var sum uint64
	roll := func(minute int) {
		for _, e := range g.Roll(at(minute)).Edges {
			sum += e.Interval.Requests()
		}
	}
	for minute := range 3 {
		roll(minute + 1)
	}
	adding.Wait()
	close(done)
	reading.Wait()
	roll(4)
	assert.Equal(t, uint64(adders/2*each), sum, "each of two reporters told all of them")
}

func TestSnapshotsDoNotChange(t *testing.T) {
	g := newGraph(t, DefaultConfig())
	busy(t, g, 1)
	s := g.Roll(at(1))
	before, err := json.Marshal(s.Document())
	require.NoError(t, err)
	for minute := 2; minute < 9; minute++ {
		busy(t, g, minute)
		g.Roll(at(minute))
	}
	after, err := json.Marshal(s.Document())
	require.NoError(t, err)
	assert.JSONEq(t, string(before), string(after))
}

func TestAClockThatIsSetBack(t *testing.T) {
	g := newGraph(t, DefaultConfig())
	require.NoError(t, g.Add(ok(key("web", "v", HTTP), Source, 1)))
	s := g.Roll(at(-10))
	assert.Equal(t, start, s.End)
	assert.Equal(t, uint64(1), s.Edges[0].Interval.Requests())
	assert.Len(t, g.Roll(at(1)).Edges, 1)
}

func TestOverflowingNumbersStayAtTheGreatest(t *testing.T) {
	g := newGraph(t, DefaultConfig())
	for range 3 {
		require.NoError(t, g.Add(ok(key("web", "v", HTTP), Source, 1<<63)))
	}
	assert.Equal(t, ^uint64(0), g.Roll(at(1)).Edges[0].Total.Requests())
}
