// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// scraped is one scrape of an istiod in the properties.
type scraped struct {
	at, start time.Time
	pushes    uint64
	fast      uint64
	version   int
	proxies   int64
}

func (c *scraped) metrics(temporality pmetric.AggregationTemporality, before *scraped) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	resource(rm, "a", pod, "westeurope")
	metrics := rm.ScopeMetrics().AppendEmpty().Metrics()
	gauge := func(name, label, value string, v float64) {
		m := metrics.AppendEmpty()
		m.SetName(name)
		p := m.SetEmptyGauge().DataPoints().AppendEmpty()
		p.SetTimestamp(pcommon.NewTimestampFromTime(c.at))
		p.SetDoubleValue(v)
		if label != "" {
			p.Attributes().PutStr(label, value)
		}
	}
	gauge("istiod_uptime_seconds", "", "", c.at.Sub(c.start).Seconds())
	gauge("pilot_xds", "version", fmt.Sprintf("1.%d.0", c.version), float64(c.proxies))
	pushes, fast := c.pushes, c.fast
	if temporality == pmetric.AggregationTemporalityDelta && before != nil && before.start.Equal(c.start) {
		pushes, fast = c.pushes-before.pushes, c.fast-before.fast
	}
	m := metrics.AppendEmpty()
	m.SetName("pilot_xds_pushes")
	sum := m.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(temporality)
	p := sum.DataPoints().AppendEmpty()
	p.Attributes().PutStr("type", "cds")
	p.SetStartTimestamp(pcommon.NewTimestampFromTime(c.start))
	p.SetTimestamp(pcommon.NewTimestampFromTime(c.at))
	p.SetIntValue(int64(pushes))
	h := metrics.AppendEmpty()
	h.SetName("pilot_proxy_convergence_time")
	h.SetEmptyHistogram().SetAggregationTemporality(temporality)
	hp := h.Histogram().DataPoints().AppendEmpty()
	hp.SetStartTimestamp(pcommon.NewTimestampFromTime(c.start))
	hp.SetTimestamp(pcommon.NewTimestampFromTime(c.at))
	hp.ExplicitBounds().FromRaw([]float64{0.1, 0.5})
	hp.BucketCounts().FromRaw([]uint64{fast, 0, 0})
	hp.SetCount(fast)
	hp.SetSum(float64(fast) * 0.05)
	return md
}

// TestRestartsAndLateScrapes holds random lives of an istiod, with restarts, repeated, lost and late scrapes, against what
// it really did. Deltas add up whatever their order; totals lose a scrape that is late, never more, as the next one has it.
func TestRestartsAndLateScrapes(t *testing.T) {
	for seed := range uint64(400) {
		random := rand.New(rand.NewPCG(seed, 7))
		var life []scraped
		now := scraped{at: noon, start: noon.Add(-time.Minute), version: 31}
		for range 4 + random.IntN(12) {
			now.at = now.at.Add(30 * time.Second)
			if random.IntN(4) == 0 {
				now.start, now.pushes, now.fast = now.at.Add(-10*time.Second), 0, 0
			}
			now.pushes += uint64(random.IntN(5))
			now.fast += uint64(random.IntN(3))
			now.version, now.proxies = 29+random.IntN(3), int64(1+random.IntN(50))
			life = append(life, now)
		}
		for _, temporality := range []pmetric.AggregationTemporality{pmetric.AggregationTemporalityDelta, pmetric.AggregationTemporalityCumulative} {
			check(t, life, temporality, random, fmt.Sprintf("seed %d, %s", seed, temporality))
		}
	}
}

func check(t *testing.T, life []scraped, temporality pmetric.AggregationTemporality, random *rand.Rand, name string) {
	t.Helper()
	s := New(DefaultConfig())
	order := make([]int, len(life))
	for i := range order {
		order[i] = i
	}
	// Neighbors swap and some come twice; the first scrape comes first, as the base of totals.
	for i := 1; i+1 < len(order); i++ {
		if random.IntN(3) == 0 && temporality == pmetric.AggregationTemporalityDelta {
			order[i], order[i+1] = order[i+1], order[i]
		}
	}
	for n := len(order); n > 1; n-- {
		if random.IntN(3) == 0 {
			order = slices.Insert(order, n, order[n-1])
		}
	}
	last, now := life[len(life)-1], noon
	var all Counts
	for _, i := range order {
		var before *scraped
		if i > 0 {
			before = &life[i-1]
		}
		now = maxTime(now, life[i].at)
		all.add(s.Metrics(life[i].metrics(temporality, before), now))
	}
	s.Roll(last.at.Add(5*time.Second), nil)
	var pushes, fast uint64
	for i, c := range life {
		same := i > 0 && life[i-1].start.Equal(c.start)
		switch {
		case same:
			pushes, fast = pushes+c.pushes-life[i-1].pushes, fast+c.fast-life[i-1].fast
		case i > 0 || temporality == pmetric.AggregationTemporalityDelta:
			pushes, fast = pushes+c.pushes, fast+c.fast
		}
	}
	r := record(t, s, "a")
	require.Equal(t, int64(pushes), r.Pushes.Sent["cds"], name)
	require.Equal(t, last.proxies, r.Proxies.Connected, name)
	require.Len(t, r.Proxies.ByVersion, 1, name)
	require.Equal(t, fmt.Sprintf("1.%d.0", last.version), r.Proxies.ByVersion[0].Version, name)
	require.Equal(t, last.start.Truncate(time.Second), r.Istiods[0].Started, name)
	if fast == 0 {
		require.Nil(t, r.Convergence, name)
	} else {
		require.Equal(t, int64(fast), r.Convergence.Count, name)
		require.InDelta(t, 0.05, r.Convergence.Mean, 1e-9, name)
	}
	require.Zero(t, all.Full+all.Unreadable+all.Future, name)
}

// TestPercentile compares with a distribution of which all values are known, also where the bounds differ.
func TestPercentile(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	bounds := [][]float64{{0.1, 0.5, 1, 3, 5, 10, 20, 30}, {0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6}}
	hs := make([]histogram, len(bounds))
	var values []float64
	for i := range hs {
		hs[i].reset(bounds[i], 10*time.Minute)
	}
	for n := range 20000 {
		v := random.ExpFloat64()
		values = append(values, v)
		h := &hs[n%2]
		at, _ := slices.BinarySearch(h.bounds, v)
		counts := make([]uint64, len(h.bounds)+1)
		counts[at] = 1
		require.Equal(t, taken, h.add(noon, counts, v))
	}
	slices.Sort(values)
	all := append(hs[0].counted(noon), hs[1].counted(noon)...)
	for _, p := range []float64{0.5, 0.9, 0.99} {
		got := percentile(all, p)
		want := values[int(p*float64(len(values)))]
		assert.False(t, got.AtLeast)
		assert.InEpsilon(t, want, got.Seconds, 0.25, "%g", p)
	}
	var open histogram
	open.reset([]float64{1, 2}, 10*time.Minute)
	open.add(noon, []uint64{1, 0, 9}, 1)
	assert.Equal(t, Percentile{Seconds: 2, AtLeast: true}, percentile(open.counted(noon), 0.5))
	assert.Equal(t, Percentile{Seconds: 1}, percentile(open.counted(noon), 0.1))
	assert.Equal(t, Percentile{}, percentile(nil, 0.5))
}

// TestPartsOfAScrape prevents that a scrape whose parts come one after the other makes proxies go and come.
func TestPartsOfAScrape(t *testing.T) {
	s := New(DefaultConfig())
	one := func(at, now time.Time, version string, v float64) {
		s.Metrics(scrape(text(t, "# TYPE pilot_xds gauge", fmt.Sprintf("pilot_xds{version=%q} %g", version, v)), "a", pod, "r", noon, at), now)
	}
	one(noon, noon, "1.30.0", 10)
	one(noon, noon, "1.31.0", 20)
	s.Roll(after(4*time.Second), nil)
	require.Equal(t, int64(30), record(t, s, "a").Proxies.Connected)
	one(after(30*time.Second), after(31*time.Second), "1.30.0", 11)
	s.Roll(after(31*time.Second+familySettle/2), nil)
	require.Equal(t, int64(30), record(t, s, "a").Proxies.Connected, "the second part may still come")
	one(after(30*time.Second), after(32*time.Second), "1.31.0", 21)
	s.Roll(after(31*time.Second+familySettle), nil)
	require.Equal(t, int64(32), record(t, s, "a").Proxies.Connected)
	one(after(30*time.Second), after(35*time.Second), "1.29.0", 1)
	s.Roll(after(36*time.Second), nil)
	require.Equal(t, int64(33), record(t, s, "a").Proxies.Connected, "later, but of the same scrape")
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
