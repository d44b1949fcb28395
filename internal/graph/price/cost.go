// SPDX-License-Identifier: Apache-2.0

package price

import (
	"maps"
	"math"
	"slices"
	"time"
)

// Prices is a table that was checked. It may be used by many goroutines.
type Prices struct {
	table                 Table
	date                  time.Time
	zoneOf, groupOf       map[string]string
	zoneNames, groupNames []string
	links                 map[[2]string]Path
	meters                map[meterKey]uint64
}

type meterKey struct {
	path           Path
	side, from, to string
}

const (
	sideOut = "out"
	sideIn  = "in"
)

// Date is the day as of which the prices were true.
func (p *Prices) Date() time.Time { return p.date }

// Age is how old the prices are.
func (p *Prices) Age(now time.Time) time.Duration { return now.Sub(p.date) }

// Place is an end of the traffic. Outside means that it is not in the cloud: no region then.
type Place struct {
	Region, Zone string
	Outside      bool
}

// Traffic is what an edge carried in an interval. Count it once: not at both ends.
type Traffic struct {
	Source, Destination Place
	// RequestBytes went from source to destination, ResponseBytes back.
	RequestBytes, ResponseBytes uint64
}

// Unpriced is why bytes have no price.
type Unpriced string

// The reasons.
const (
	// Priced means that there is none.
	Priced Unpriced = ""
	// RegionUnknown means that nothing told the region of an end.
	RegionUnknown Unpriced = "region_unknown"
	// ZoneUnknown means that both ends are in one region, in which zones have a price, and nothing told the zone of an end.
	ZoneUnknown Unpriced = "zone_unknown"
	// NotInTable means that the table has no price for the way.
	NotInTable Unpriced = "not_in_table"
)

// Way is what one direction cost.
type Way struct {
	Path   Path
	Bytes  uint64
	Amount Amount
	// Unpriced says why Amount is not the cost of Bytes; empty if it is.
	Unpriced Unpriced
}

// Cost is what both directions cost.
type Cost struct{ Request, Response Way }

// Total is the sum of both.
func (c *Cost) Total() Amount { return c.Request.Amount.Plus(c.Response.Amount) }

// Cost prices traffic: request bytes by the way from source to destination, response bytes by the way back.
func (p *Prices) Cost(t *Traffic) Cost {
	return Cost{
		Request:  p.way(&t.Source, &t.Destination, t.RequestBytes),
		Response: p.way(&t.Destination, &t.Source, t.ResponseBytes),
	}
}

func (p *Prices) way(from, to *Place, count uint64) Way {
	w := Way{Bytes: count}
	a, b := Normalize(from.Region), Normalize(to.Region)
	switch {
	case from.Outside && to.Outside:
		w.Path, w.Unpriced = Internet, NotInTable
		return w
	case from.Outside:
		w.Path, a = Internet, Outside
	case to.Outside:
		w.Path, b = Internet, Outside
	}
	switch {
	case a == "" || b == "":
		w.Unpriced = RegionUnknown
		return w
	case w.Path == Internet:
	case a != b:
		w.Path = p.table.CrossRegion
		if path, ok := p.links[[2]string{a, b}]; ok {
			w.Path = path
		}
	case from.Zone != "" && from.Zone == to.Zone:
		w.Path = Local
		return w
	default:
		w.Path = AvailabilityZone
	}
	micro, found := p.meter(w.Path, a, b)
	switch {
	case !found:
		w.Unpriced = NotInTable
	case w.Path == AvailabilityZone && micro > 0 && (from.Zone == "" || to.Zone == ""):
		w.Unpriced = ZoneUnknown
	default:
		w.Amount = amountOf(count, micro)
	}
	return w
}

// meter adds up what both sides charge for a gigabyte.
func (p *Prices) meter(path Path, from, to string) (micro uint64, found bool) {
	for _, side := range [...]string{sideOut, sideIn} {
		if price, ok := p.best(path, side, from, to); ok {
			micro, found = micro+price, true
		}
	}
	return micro, found
}

// best is the price with the most exact names: a region before a zone, a zone before a group, a group before "*". Of two that
// are as exact together, the one with the more exact from.
func (p *Prices) best(path Path, side, from, to string) (uint64, bool) {
	froms, tos := p.names(from), p.names(to)
	for inexact := range len(froms) + len(tos) - 1 {
		for i := range froms {
			k := inexact - i
			if k < 0 || k >= len(tos) || froms[i] == "" || tos[k] == "" {
				continue
			}
			if price, ok := p.meters[meterKey{path, side, froms[i], tos[k]}]; ok {
				return price, true
			}
		}
	}
	return 0, false
}

// names are the names by which a price may call a region, the most exact first; those that there are not are empty.
func (p *Prices) names(region string) [4]string {
	if region == Outside {
		// The internet is not anywhere.
		return [4]string{Outside}
	}
	zone := p.zoneOf[region]
	if zone == "" {
		// Nobody knows where an unknown region is, so not even "*" means it.
		return [4]string{}
	}
	return [4]string{region, zone, p.groupOf[zone], Anywhere}
}

// Sum adds up costs. The zero value is ready.
type Sum struct {
	paths    map[Path]*pathSum
	unpriced map[Unpriced]uint64
	total    Amount
}

type pathSum struct {
	bytes  uint64
	amount Amount
}

// Add adds a cost.
func (s *Sum) Add(c *Cost) {
	for _, w := range [...]*Way{&c.Request, &c.Response} {
		switch {
		case w.Bytes == 0:
		case w.Unpriced != Priced:
			if s.unpriced == nil {
				s.unpriced = map[Unpriced]uint64{}
			}
			s.unpriced[w.Unpriced] = plus(s.unpriced[w.Unpriced], w.Bytes)
		default:
			if s.paths == nil {
				s.paths = map[Path]*pathSum{}
			}
			if s.paths[w.Path] == nil {
				s.paths[w.Path] = &pathSum{}
			}
			s.paths[w.Path].bytes = plus(s.paths[w.Path].bytes, w.Bytes)
			s.paths[w.Path].amount = s.paths[w.Path].amount.Plus(w.Amount)
			s.total = s.total.Plus(w.Amount)
		}
	}
}

// plus stays at the greatest number instead of beginning at 0 again.
func plus(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

// Estimate is a sum for people. It always says that it is an estimate, by which table, and what it leaves out.
type Estimate struct {
	// Label is always "estimate".
	Label    string         `json:"label"`
	Currency string         `json:"currency"`
	Table    EstimateTable  `json:"price_table"`
	Interval float64        `json:"interval_seconds"`
	Cost     Amount         `json:"cost"`
	Hourly   Amount         `json:"projected_hour"`
	Monthly  Amount         `json:"projected_month"`
	Paths    []EstimatePath `json:"paths"`
	// UnpricedBytes are in no amount, by reason.
	UnpricedBytes map[Unpriced]uint64 `json:"unpriced_bytes"`
	LeavesOut     []string            `json:"leaves_out"`
}

// EstimateTable names the table of an estimate.
type EstimateTable struct {
	Name   string `json:"name"`
	Date   string `json:"date"`
	Source string `json:"source"`
}

// EstimatePath is the part of one meter.
type EstimatePath struct {
	Path  Path   `json:"path"`
	Bytes uint64 `json:"bytes"`
	Cost  Amount `json:"cost"`
}

// leftOut is what every estimate leaves out, whatever the table says.
var leftOut = []string{
	"bytes whose region or price is not known: see unpriced_bytes",
	"bytes that no proxy of the mesh counted",
	"the future: projections take the interval as typical",
}

// Estimate returns the sum of an interval.
func (s *Sum) Estimate(p *Prices, interval time.Duration) Estimate {
	e := Estimate{
		Label: "estimate", Currency: p.table.Currency,
		Table:    EstimateTable{Name: p.table.Name, Date: p.table.Date, Source: p.table.Source},
		Interval: interval.Seconds(), Cost: s.total, Hourly: s.total.Hourly(interval), Monthly: s.total.Monthly(interval),
		Paths: []EstimatePath{}, UnpricedBytes: maps.Clone(s.unpriced),
		LeavesOut: slices.Concat(leftOut, p.table.LeavesOut),
	}
	for _, path := range slices.Sorted(maps.Keys(s.paths)) {
		e.Paths = append(e.Paths, EstimatePath{Path: path, Bytes: s.paths[path].bytes, Cost: s.paths[path].amount})
	}
	return e
}
