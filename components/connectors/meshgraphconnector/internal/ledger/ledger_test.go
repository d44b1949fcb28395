// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/price"
)

const gb = 1_000_000_000

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func newLedger(t testing.TB, c Config) *Ledger {
	t.Helper()
	if c.MaxFlows == 0 {
		c.MaxFlows = DefaultMaxFlows
	}
	l, err := New(c, price.Default())
	require.NoError(t, err)
	return l
}

// edge carries bytes from a namespace and region to a service.
func edge(fromRegion, fromNamespace, toRegion, toNamespace, service string, request, response uint64) graph.Edge {
	e := graph.Edge{Key: &graph.Key{
		Caller: graph.Caller{Cluster: fromRegion, Region: fromRegion, Namespace: fromNamespace, Workload: "web"},
		Callee: graph.Callee{Cluster: toRegion, Region: toRegion, Namespace: toNamespace, Service: service, Workload: service},
	}}
	if toRegion == "" {
		e.Callee.Workload = ""
	}
	e.Interval.RequestBytes, e.Interval.ResponseBytes = request, response
	e.Total = e.Interval
	return e
}

func interval(end time.Time, edges ...graph.Edge) *graph.Snapshot {
	return &graph.Snapshot{Start: end.Add(-4 * time.Second), End: end, Edges: edges}
}

// minuteOf is an interval that is a whole minute.
func minuteOf(i int, edges ...graph.Edge) *graph.Snapshot {
	start := noon.Add(time.Duration(i) * time.Minute)
	return &graph.Snapshot{Start: start, End: start.Add(time.Minute), Edges: edges}
}

func TestReportIsOfTheLastCompletedHour(t *testing.T) {
	l := newLedger(t, Config{})
	assert.Equal(t, "estimate", l.Report().Label, "before the first interval")
	assert.Nil(t, l.Report().From)
	assert.Contains(t, l.Report().NotProjected, "5m0s")
	for i := range 130 {
		l.Add(minuteOf(i, edge("westeurope", "shop", "northeurope", "shop", "reviews", gb, 0)))
		r := l.Report()
		minutes := min(i, 60)
		require.Len(t, r.Services, min(minutes, 1))
		require.Equal(t, uint64(minutes)*gb, r.Total.Bytes, "the minute that has begun is not in it")
		require.Equal(t, uint64(minutes)*2, r.Total.Cost.Cents())
		require.Equal(t, float64(minutes*60), r.Seconds)
		if minutes < 5 {
			require.Nil(t, r.Total.Hour)
			require.NotEmpty(t, r.NotProjected)
			continue
		}
		require.Empty(t, r.NotProjected)
		require.Equal(t, uint64(120), r.Total.Hour.Cents(), "a gigabyte a minute")
		require.Equal(t, uint64(120*730), r.Total.Month.Cents())
		require.Equal(t, noon.Add(time.Duration(i)*time.Minute), *r.To)
		require.Equal(t, noon.Add(time.Duration(i-minutes)*time.Minute), *r.From)
	}
	assert.Len(t, l.flows, 1)
	l.Add(minuteOf(500))
	assert.Empty(t, l.flows)
	assert.Zero(t, l.Report().Total)
	assert.Equal(t, float64(130*gb), sumsAfter(l)["mesh.cost.bytes"], "what left the hour before it was taken")
}

func sumsAfter(l *Ledger) map[string]float64 {
	metrics := pmetric.NewMetricSlice()
	l.Take().AppendMetrics(metrics, noon, noon)
	return sumsOf(metrics)
}

// Whatever is taken, kept and merged, all bytes come out once, and at any time the report has all of the hour.
func TestTakingConserves(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	pick := func(names ...string) string { return names[random.IntN(len(names))] }
	l := newLedger(t, Config{MaxFlows: 6})
	var kept Delta
	var all, beyond uint64
	metrics := pmetric.NewMetricSlice()
	for i := range 3000 {
		e := edge(pick("westeurope", "northeurope", "eastus", ""), pick("a", "b"), pick("westeurope", "eastus", "mars", ""), pick("a", "c"), pick("x", "y"), random.Uint64N(1000), random.Uint64N(1000))
		c := &e.Interval
		all += c.RequestBytes + c.ResponseBytes
		// Zones are told when they are told, also later than the bytes.
		c.RequestSameZone, c.RequestCrossZone, c.ResponseSameZone = random.Uint64N(900), random.Uint64N(900), random.Uint64N(900)
		e.Overflow = random.IntN(50) == 0
		l.Add(interval(noon.Add(time.Duration(i)*7*time.Second), e))
		beyond = max(beyond, l.Report().BeyondCeiling)
		switch random.IntN(40) {
		case 0:
			kept.Merge(l.Take())
		case 1:
			kept.Merge(l.Take())
			kept.AppendMetrics(metrics, noon, noon)
			kept = Delta{}
		case 2:
			l.SetPrices(price.Default())
		case 3:
			again := newLedger(t, Config{MaxFlows: 6})
			require.NoError(t, again.Restore(l.Encode()))
			require.Equal(t, l.Encode(), again.Encode())
			l = again
			d, err := DecodeDelta(kept.Encode())
			require.NoError(t, err)
			kept = *d
		}
		require.LessOrEqual(t, len(l.flows), 6+16+1)
	}
	kept.Merge(l.Take())
	kept.AppendMetrics(metrics, noon, noon)
	sums := sumsOf(metrics)
	assert.Equal(t, float64(all), sums["mesh.cost.bytes"]+sums["mesh.cost.unpriced.bytes"])
	assert.Positive(t, sums["mesh.cost.estimate"])
	assert.True(t, l.Take().Empty())
	assert.Positive(t, beyond)
}

// While nobody takes the metrics, flows come and go, and what is kept for them stays bounded.
func TestDeltaIsBounded(t *testing.T) {
	var d Delta
	const more = 3 * maxDeltaRows
	for i := range more {
		name := strconv.Itoa(i)
		d.add(rowKey{sourceRegion: name, sourceNamespace: name, team: name, destinationService: name, path: price.InterRegion, currency: "USD"}, sum{bytes: 1})
	}
	assert.LessOrEqual(t, len(d.rows), maxDeltaRows+maxDeltaRows/8+1)
	metrics := pmetric.NewMetricSlice()
	d.AppendMetrics(metrics, noon, noon)
	assert.Equal(t, float64(more), sumsOf(metrics)["mesh.cost.bytes"])
}

func TestMetrics(t *testing.T) {
	l := newLedger(t, Config{Teams: []Team{{Team: "storefront", Namespaces: []string{"shop*"}}}})
	lost := edge("westeurope", "shop-eu", "", "shop", "ratings", 7, 0)
	l.Add(interval(noon, edge("westeurope", "shop-eu", "eastus", "shop", "reviews", 100*gb, 0), lost))
	metrics := pmetric.NewMetricSlice()
	l.Take().AppendMetrics(metrics, noon.Add(-time.Minute), noon)
	require.Equal(t, 3, metrics.Len())
	byName := map[string]pmetric.Metric{}
	for _, m := range metrics.All() {
		byName[m.Name()] = m
		assert.Equal(t, pmetric.AggregationTemporalityDelta, m.Sum().AggregationTemporality())
		assert.True(t, m.Sum().IsMonotonic())
		assert.Equal(t, 1, m.Sum().DataPoints().Len())
		p := m.Sum().DataPoints().At(0)
		assert.Equal(t, pcommon.NewTimestampFromTime(noon.Add(-time.Minute)), p.StartTimestamp())
		assert.Equal(t, pcommon.NewTimestampFromTime(noon), p.Timestamp())
		assert.LessOrEqual(t, p.Attributes().Len(), 10, "Azure's metrics store has room for ten")
	}
	estimate := byName["mesh.cost.estimate"]
	assert.Equal(t, "{USD}", estimate.Unit())
	assert.Contains(t, estimate.Description(), "estimate")
	p := estimate.Sum().DataPoints().At(0)
	assert.Equal(t, 5.0, p.DoubleValue(), "100 GB at 0.05")
	assert.Equal(t, map[string]any{
		"mesh.source.region": "westeurope", "mesh.source.namespace": "shop-eu", "mesh.cost.team": "storefront",
		"mesh.destination.region": "eastus", "mesh.destination.namespace": "shop", "mesh.destination.service": "reviews",
		"mesh.cost.path": "inter_region", "mesh.cost.direction": "request", "mesh.cost.price_table": "azure-retail-list 2025-12-03",
	}, p.Attributes().AsRaw())
	assert.Equal(t, "By", byName["mesh.cost.bytes"].Unit())
	assert.Equal(t, int64(100*gb), byName["mesh.cost.bytes"].Sum().DataPoints().At(0).IntValue())
	unpriced := byName["mesh.cost.unpriced.bytes"].Sum().DataPoints().At(0)
	assert.Equal(t, int64(7), unpriced.IntValue())
	reason, _ := unpriced.Attributes().Get("mesh.cost.reason")
	assert.Equal(t, "region_unknown", reason.Str())
}

// A new table prices what comes; what was carried before keeps its price, and the report takes the new one for its hour.
func TestPricesChange(t *testing.T) {
	l := newLedger(t, Config{})
	e := edge("westeurope", "shop", "northeurope", "shop", "reviews", 100*gb, 0)
	l.Add(minuteOf(0, e))
	dear := write(t, "dear.yaml", "version: 1\nname: dear\ndate: 2026-11-01\ncurrency: EUR\nsource: test\ncross_region_path: inter_region\n"+
		"zones: [{name: europe, regions: [westeurope, northeurope]}]\nprices: [{path: inter_region, from: '*', to: '*', per_gb: '1'}]\n")
	_, prices, err := Open(dear)
	require.NoError(t, err)
	l.SetPrices(prices)
	assert.Empty(t, l.Report().Services, "the minute that has begun is not in it")
	l.Add(minuteOf(1, e))
	l.Add(minuteOf(2))
	assert.Equal(t, uint64(20_000), l.Report().Total.Cost.Cents())
	assert.Equal(t, "EUR", l.Report().Currency)
	metrics := pmetric.NewMetricSlice()
	l.Take().AppendMetrics(metrics, noon, noon)
	got := map[string]float64{}
	for _, m := range metrics.All() {
		if m.Name() == "mesh.cost.estimate" {
			got[m.Unit()] = m.Sum().DataPoints().At(0).DoubleValue()
		}
	}
	assert.Equal(t, map[string]float64{"{USD}": 2, "{EUR}": 100}, got)
	l.SetProblem(errors.New("line 3"))
	assert.Contains(t, l.Report().Warnings[0], "line 3")
	l.SetPrices(prices)
	assert.Empty(t, l.Report().Warnings)
}

// ztunnel tells of the bytes of a connection, the waypoint on it of the same as requests.
func TestWaypointsBytesAreNotPricedTwice(t *testing.T) {
	http := edge("westeurope", "shop", "northeurope", "shop", "reviews", gb, gb)
	http.Protocol, http.Reporters = graph.HTTP, []graph.Reporter{graph.Waypoint}
	tcp := edge("westeurope", "shop", "northeurope", "shop", "reviews", 2*gb, 2*gb)
	tcp.Protocol, tcp.Reporters = graph.TCP, []graph.Reporter{graph.Source, graph.Destination}
	sidecar := http
	sidecar.Reporters = []graph.Reporter{graph.Source, graph.Waypoint}
	// What the caller's ztunnel hands to the waypoint has no price of its own: nobody told it who answered.
	toWaypoint := edge("westeurope", "shop", "", "shop", "reviews", 3*gb, 3*gb)
	toWaypoint.Protocol, toWaypoint.Reporters = graph.TCP, []graph.Reporter{graph.Source}
	// Nor are connections to another region the same bytes.
	local := edge("westeurope", "shop", "westeurope", "shop", "reviews", gb, gb)
	local.Protocol, local.Reporters = graph.TCP, []graph.Reporter{graph.Source, graph.Destination}

	for _, c := range []struct {
		edges           []graph.Edge
		bytes, unpriced uint64
		reason          price.Unpriced
	}{
		{[]graph.Edge{http}, 2 * gb, 0, ""},
		{[]graph.Edge{http, tcp}, 4 * gb, 2 * gb, CountedAsTCP},
		{[]graph.Edge{sidecar, tcp}, 6 * gb, 0, ""},
		{[]graph.Edge{http, toWaypoint}, 2 * gb, 6 * gb, price.RegionUnknown},
		{[]graph.Edge{http, local}, 4 * gb, 0, ""},
	} {
		l := newLedger(t, Config{})
		l.Add(minuteOf(0, c.edges...))
		l.Add(minuteOf(1))
		r := l.Report()
		assert.Equal(t, c.bytes, r.Total.Bytes)
		assert.Equal(t, c.unpriced, r.Total.Unpriced)
		if c.unpriced > 0 {
			assert.Equal(t, []UnpricedBytes{{c.reason, c.unpriced}}, r.Unpriced)
		}
	}
}

func TestListsAreBoundedAndAddUp(t *testing.T) {
	l := newLedger(t, Config{})
	var edges []graph.Edge
	for i := range 2 * MaxRows {
		edges = append(edges, edge("westeurope", fmt.Sprint("ns-", i), "northeurope", "shop", fmt.Sprint("service-", i), uint64(i+1)*gb, 0))
	}
	l.Add(minuteOf(0, edges...))
	l.Add(minuteOf(1))
	r := l.Report()
	require.Len(t, r.Services, MaxRows+1)
	rest := r.Services[MaxRows]
	assert.Equal(t, MaxRows, rest.Others)
	assert.Equal(t, "service-399", r.Services[0].Service)
	var sum uint64
	for _, s := range r.Services {
		sum += s.Bytes
	}
	assert.Equal(t, r.Total.Bytes, sum)
	require.Len(t, r.Namespaces, MaxRows+1)
	sum = 0
	for _, n := range r.Namespaces {
		sum += n.Calls.Bytes
	}
	assert.Equal(t, r.Total.Bytes, sum)
}
