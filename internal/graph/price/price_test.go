// SPDX-License-Identifier: Apache-2.0

package price

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const gb = 1_000_000_000

func in(region string) Place         { return Place{Region: region} }
func zone(region, name string) Place { return Place{Region: region, Zone: name} }
func outside() Place                 { return Place{Outside: true} }
func peered(t testing.TB) *Prices {
	return changed(t, func(x *Table) { x.CrossRegion = GlobalPeering })
}
func cents(a Amount) uint64                        { return a.Cents() }
func traffic(a, b Place, req, res uint64) *Traffic { return &Traffic{a, b, req, res} }

// changed is the embedded table after a change.
func changed(t testing.TB, change func(*Table)) *Prices {
	t.Helper()
	table := tableOf(t)
	change(&table)
	p, err := table.Compile()
	require.NoError(t, err)
	return p
}

func tableOf(t testing.TB) Table {
	t.Helper()
	var table Table
	require.NoError(t, json.Unmarshal(defaultTable, &table))
	return table
}

// The cents are worked out by hand: gigabytes times the price in the comment.
func TestPriceVectors(t *testing.T) {
	list, peering := Default(), peered(t)
	for _, v := range []struct {
		name              string
		prices            *Prices
		traffic           *Traffic
		request, response uint64 // cents
		path              Path
	}{
		{"within Europe", list, traffic(in("westeurope"), in("northeurope"), 1*gb, 10*gb), 2, 20, InterRegion},              // 0.02, 0.02
		{"within North America", list, traffic(in("eastus"), in("westus2"), 250*gb, 3*gb), 500, 6, InterRegion},             // 0.02, 0.02
		{"within Asia", list, traffic(in("japaneast"), in("southeastasia"), 25*gb, 5*gb), 200, 40, InterRegion},             // 0.08, 0.08
		{"within South America", list, traffic(in("brazilsouth"), in("brazilsoutheast"), 1*gb, 2*gb), 16, 32, InterRegion},  // 0.16, 0.16
		{"Europe to North America", list, traffic(in("westeurope"), in("eastus"), 100*gb, 20*gb), 500, 100, InterRegion},    // 0.05, 0.05
		{"Europe to South America", list, traffic(in("westeurope"), in("brazilsouth"), 10*gb, 10*gb), 50, 160, InterRegion}, // 0.05, 0.16
		{"Asia to Europe", list, traffic(in("japaneast"), in("westeurope"), 10*gb, 10*gb), 80, 50, InterRegion},             // 0.08, 0.05
		{"as the portal spells it", list, traffic(in("West Europe"), in(" North Europe"), 1*gb, 1*gb), 2, 2, InterRegion},   // 0.02, 0.02
		{"to the internet", list, traffic(in("westeurope"), outside(), 8*gb, 80*gb), 70, 0, Internet},                       // 0.0875, 0
		{"from the internet", list, traffic(outside(), in("japaneast"), 80*gb, 25*gb), 0, 300, Internet},                    // 0, 0.12
		{"to the internet from South America", list, traffic(in("brazilsouth"), outside(), 100*gb, 0), 1810, 0, Internet},   // 0.181
		{"between zones", list, traffic(zone("westeurope", "1"), zone("westeurope", "2"), 1000*gb, 1000*gb), 0, 0, AvailabilityZone},
		{"within a zone", list, traffic(zone("westeurope", "1"), zone("westeurope", "1"), 1000*gb, 1000*gb), 0, 0, Local},
		{"peered within Europe", peering, traffic(in("westeurope"), in("northeurope"), 10*gb, 1*gb), 70, 7, GlobalPeering},                 // 0.035 out + 0.035 in
		{"peered Europe to South America", peering, traffic(in("westeurope"), in("brazilsouth"), 100*gb, 10*gb), 1950, 195, GlobalPeering}, // 0.035 + 0.16
		{"peered Asia to Europe", peering, traffic(in("japaneast"), in("westeurope"), 8*gb, 0), 100, 0, GlobalPeering},                     // 0.09 + 0.035
		{"half a cent is rounded up", list, traffic(in("westeurope"), in("northeurope"), gb/4, gb/4-1), 1, 0, InterRegion},                 // 0.005
		{"nothing", list, traffic(in("westeurope"), in("northeurope"), 0, 0), 0, 0, InterRegion},
	} {
		t.Run(v.name, func(t *testing.T) {
			c := v.prices.Cost(v.traffic)
			assert.Equal(t, v.request, cents(c.Request.Amount), "request")
			assert.Equal(t, v.response, cents(c.Response.Amount), "response")
			assert.Equal(t, v.path, c.Request.Path)
			assert.Equal(t, v.path, c.Response.Path)
			assert.Equal(t, Priced, c.Request.Unpriced)
			assert.Equal(t, Priced, c.Response.Unpriced)
		})
	}
}

func TestWhatHasNoPriceIsNotFree(t *testing.T) {
	list := Default()
	paid := changed(t, func(x *Table) {
		for i := range x.Prices {
			if x.Prices[i].Path == AvailabilityZone {
				x.Prices[i].PerGB = "0.01"
			}
		}
	})
	for _, v := range []struct {
		name    string
		prices  *Prices
		traffic *Traffic
		want    Unpriced
	}{
		{"nothing told the region", list, traffic(in("westeurope"), in(""), gb, gb), RegionUnknown},
		{"a region of nobody's", list, traffic(in("westeurope"), in("atlantis"), gb, gb), NotInTable},
		{"a region named as a zone of the table", list, traffic(in("europe"), in("westeurope"), gb, gb), NotInTable},
		{"a region named as everything", list, traffic(in("*"), in("*"), gb, gb), NotInTable},
		{"a region named internet", list, traffic(in("internet"), in("westeurope"), gb, gb), NotInTable},
		{"zones cost and are not told", paid, traffic(in("westeurope"), zone("westeurope", "1"), gb, gb), ZoneUnknown},
		{"from outside to outside", list, traffic(outside(), outside(), gb, gb), NotInTable},
		{"to the internet from nowhere", list, traffic(in(""), outside(), gb, gb), RegionUnknown},
	} {
		c := v.prices.Cost(v.traffic)
		assert.Equal(t, v.want, c.Request.Unpriced, v.name)
		assert.Equal(t, v.want, c.Response.Unpriced, v.name)
		assert.True(t, func() bool { total := c.Total(); return total.IsZero() }(), v.name)
		var s Sum
		s.Add(&c)
		assert.Equal(t, map[Unpriced]uint64{v.want: 2 * gb}, s.Estimate(v.prices, time.Hour).UnpricedBytes, v.name)
	}
	c := paid.Cost(traffic(zone("westeurope", "1"), zone("westeurope", "2"), 3*gb, gb))
	assert.Equal(t, uint64(3), cents(c.Request.Amount))
}

func TestTheMostExactPriceCounts(t *testing.T) {
	p := changed(t, func(x *Table) {
		x.Prices = append(x.Prices,
			Price{Path: InterRegion, From: "westeurope", To: "northeurope", PerGB: "0.01"},
			Price{Path: InterRegion, From: "westeurope", To: "europe", PerGB: "0.015"},
			Price{Path: InterRegion, From: "europe", To: "uksouth", PerGB: "0.5"},
		)
		x.Links = []Link{{Between: [2]string{"West Europe", "swedencentral"}, Path: GlobalPeering}}
	})
	cost := func(a, b string) uint64 { c := p.Cost(traffic(in(a), in(b), 10*gb, 0)); return cents(c.Request.Amount) }
	assert.Equal(t, uint64(10), cost("westeurope", "northeurope"))
	assert.Equal(t, uint64(20), cost("northeurope", "westeurope"), "the way back has its own price")
	assert.Equal(t, uint64(15), cost("westeurope", "ukwest"))
	assert.Equal(t, uint64(15), cost("westeurope", "uksouth"), "of two that are as exact, the one with the more exact from")
	assert.Equal(t, uint64(500), cost("northeurope", "uksouth"))
	assert.Equal(t, uint64(70), cost("westeurope", "swedencentral"), "a link has a path of its own")
	assert.Equal(t, uint64(70), cost("swedencentral", "westeurope"))
}

func TestEstimate(t *testing.T) {
	p := Default()
	var s Sum
	for range 60 {
		c := p.Cost(traffic(in("westeurope"), in("northeurope"), gb/2, gb/2))
		s.Add(&c)
		c = p.Cost(traffic(in("westeurope"), in(""), 7, 0))
		s.Add(&c)
	}
	// 60 GB at 0.02 in ten minutes: 1.20, in an hour 7.20, in 730 hours 5256.00.
	e := s.Estimate(p, 10*time.Minute)
	assert.Equal(t, "1.200000", e.Cost.String())
	assert.Equal(t, "7.200000", e.Hourly.String())
	assert.Equal(t, "5256.000000", e.Monthly.String())
	out, err := json.MarshalIndent(e, "", "  ")
	require.NoError(t, err)
	file := filepath.Join("testdata", "estimate.json")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.MkdirAll("testdata", 0o750))
		require.NoError(t, os.WriteFile(file, append(out, '\n'), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(out)+"\n")
	var empty Sum
	none := empty.Estimate(p, 0)
	assert.Equal(t, "estimate", none.Label)
	assert.NotEmpty(t, none.LeavesOut)
	assert.True(t, none.Monthly.IsZero())
}

func TestAmountsAreExact(t *testing.T) {
	var sum Amount
	for range 1000 {
		sum = sum.Plus(amountOf(1, 20_000))
	}
	assert.Equal(t, amountOf(1000, 20_000), sum, "a thousand times a byte is a thousand bytes")
	assert.Equal(t, "0.000000", sum.String())
	assert.InEpsilon(t, 2e-8, sum.Float(), 1e-12)
	// 2^64-1 bytes at a million are 18446744073.709551615 GB · 10^6.
	most := amountOf(math.MaxUint64, 1_000_000_000_000)
	assert.Equal(t, "18446744073709551.615000", most.String())
	assert.Equal(t, uint64(1844674407370955162), most.Cents())
	for range 200 {
		most = most.Plus(most)
	}
	assert.Equal(t, Amount{math.MaxUint64, math.MaxUint64}, most)
	assert.Equal(t, Amount{math.MaxUint64, math.MaxUint64}, most.Monthly(time.Nanosecond))
	assert.Equal(t, uint64(math.MaxUint64), most.Cents())
	out, err := json.Marshal(amountOf(gb, 87_500))
	require.NoError(t, err)
	assert.Equal(t, "0.087500", string(out))
}

func TestTheEmbeddedTableIsWhole(t *testing.T) {
	p := Default()
	assert.Equal(t, time.Date(2025, 12, 3, 0, 0, 0, 0, time.UTC), p.Date())
	assert.Equal(t, 24*time.Hour, p.Age(p.Date().Add(24*time.Hour)))
	for a := range p.zoneOf {
		for b := range p.zoneOf {
			for _, path := range []Path{InterRegion, GlobalPeering, AvailabilityZone} {
				_, ok := p.meter(path, a, b)
				require.True(t, ok, "%s from %s to %s", path, a, b)
			}
		}
		for _, way := range [][2]string{{a, Outside}, {Outside, a}} {
			_, ok := p.meter(Internet, way[0], way[1])
			require.True(t, ok, "%v", way)
		}
	}
}

func TestErrorsSayWhatToWrite(t *testing.T) {
	for want, change := range map[string]func(*Table){
		"version is 2: write 1":                                    func(x *Table) { x.Version = 2 },
		"name is empty":                                            func(x *Table) { x.Name = "" },
		"source is empty":                                          func(x *Table) { x.Source = "" },
		`date is "yesterday": write the day`:                       func(x *Table) { x.Date = "yesterday" },
		`currency is "euro": write a code`:                         func(x *Table) { x.Currency = "euro" },
		`cross_region_path is "": write inter_region`:              func(x *Table) { x.CrossRegion = "" },
		`zones[1].name is "north-america": write a name`:           func(x *Table) { x.Zones[1].Name = "north-america" },
		`zones[1].regions[0] is "East US", which is in zone`:       func(x *Table) { x.Zones[1].Regions[0] = "East US" },
		`zones[0].regions[0] is "*": write a region`:               func(x *Table) { x.Zones[0].Regions[0] = "*" },
		`groups[0].zones[0] is "mars", which is no zone`:           func(x *Table) { x.Groups[0].Zones[0] = "mars" },
		`groups[0].zones[1] is "north-america", which is in group`: func(x *Table) { x.Groups[0].Zones[1] = "north-america" },
		`prices[0].path is "tunnel"`:                               func(x *Table) { x.Prices[0].Path = "tunnel" },
		`prices[0].side is "both": write out or in`:                func(x *Table) { x.Prices[0].Side = "both" },
		`prices[0].from is "Atlantis": write a region`:             func(x *Table) { x.Prices[0].From = "Atlantis" },
		`prices[0].to is "internet": write a region`:               func(x *Table) { x.Prices[0].To = "internet" },
		`prices[0].per_gb is "free": write a number`:               func(x *Table) { x.Prices[0].PerGB = "free" },
		`prices[0].per_gb is "-0.1"`:                               func(x *Table) { x.Prices[0].PerGB = "-0.1" },
		`prices[0].per_gb is "0.0000001"`:                          func(x *Table) { x.Prices[0].PerGB = "0.0000001" },
		`prices[0].per_gb is ""`:                                   func(x *Table) { x.Prices[0].PerGB = "" },
		`prices[1] has path inter_region, side out`:                func(x *Table) { x.Prices[1] = x.Prices[0] },
		"prices is empty":                                          func(x *Table) { x.Prices = nil },
		"links[0].between":                                         func(x *Table) { x.Links = []Link{{Between: [2]string{"a", "a"}, Path: InterRegion}} },
		`links[0].path is "internet"`:                              func(x *Table) { x.Links = []Link{{Between: [2]string{"a", "b"}, Path: Internet}} },
		"links[1].between": func(x *Table) {
			x.Links = []Link{{[2]string{"a", "b"}, InterRegion}, {[2]string{"b", "A"}, InterRegion}}
		},
	} {
		table := tableOf(t)
		change(&table)
		_, err := table.Compile()
		require.ErrorContains(t, err, want)
	}
	for want, file := range map[string]string{
		"cannot be read":      `{`,
		`unknown field "pri"`: `{"pri":1}`,
		"after its end":       string(defaultTable) + "{}",
	} {
		_, err := Parse([]byte(file))
		require.ErrorContains(t, err, want)
	}
	_, err := Parse([]byte(strings.Replace(string(defaultTable), `"per_gb": "0.02"`, `"per_gb": 0.02`, 1)))
	require.NoError(t, err, "a price may be a number or a text")
}

func FuzzParse(f *testing.F) {
	f.Add(defaultTable)
	f.Add([]byte(`{"version":1,"name":"n","source":"s","date":"2025-01-01","currency":"EUR","cross_region_path":"inter_region","zones":[{"name":"z","regions":["a","b"]}],"prices":[{"path":"inter_region","from":"*","to":"z","per_gb":1.5}]}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		p, err := Parse(file)
		if err != nil {
			return
		}
		var s Sum
		for region := range p.zoneOf {
			c := p.Cost(traffic(in(region), in("westeurope"), math.MaxUint64, 1))
			s.Add(&c)
		}
		e := s.Estimate(p, time.Minute)
		if _, err := json.Marshal(e); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAmountTimes(t *testing.T) {
	unit := amountOf(1, 35_000)
	assert.Equal(t, amountOf(123_456_789_000, 35_000), unit.Times(123_456_789_000))
	assert.True(t, func() bool { z := unit.Times(0); return z.IsZero() }())
	most := Amount{math.MaxUint64, math.MaxUint64}
	assert.Equal(t, most, most.Times(2), "stays at the greatest")
	assert.Equal(t, most, Amount{1, 0}.Times(math.MaxUint64).Times(2))
	assert.Equal(t, Amount{math.MaxUint64, 0}, Amount{1, 0}.Times(math.MaxUint64))
	assert.Equal(t, Amount{2, math.MaxUint64 - 2}, Amount{0, math.MaxUint64}.Times(3), "the carry: (2^64-1)·3 = 2·2^64 + 2^64-3")
	assert.Equal(t, Amount{3, 7}, AmountOfBits(Amount{3, 7}.Bits()))
	assert.Equal(t, 1, Amount{1, 0}.Compare(Amount{0, math.MaxUint64}))
	assert.Equal(t, -1, Amount{1, 0}.Compare(Amount{1, 1}))
	assert.Equal(t, 0, most.Compare(most))
}

func BenchmarkCost(b *testing.B) {
	p := Default()
	t := traffic(in("westeurope"), in("brazilsouth"), 123_456, 7_890_123)
	var s Sum
	b.ReportAllocs()
	for b.Loop() {
		c := p.Cost(t)
		s.Add(&c)
	}
}
