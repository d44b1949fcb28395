// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/price"
)

// ReportVersion is the version of the report's schema. It grows when a reader of the last version would read something wrong.
const ReportVersion = 1

// MaxRows is the most rows of a list. What is beyond is one row with what they come to.
const MaxRows = 200

// MinCovered is the least time from which costs are projected.
const MinCovered = 5 * time.Minute

// Report is the cost of the last hour's completed minutes. It is always an estimate.
type Report struct {
	SchemaVersion int `json:"schema_version"`
	// Label is always "estimate".
	Label    string              `json:"label"`
	Currency string              `json:"currency"`
	Table    price.EstimateTable `json:"price_table"`
	// Warnings are sentences about the table.
	Warnings []string `json:"warnings"`
	// LeavesOut is what no amount contains.
	LeavesOut []string `json:"leaves_out"`
	// From and To are the ends of the first and the last completed minute; absent before there is one. Seconds is how much
	// of that was seen, and what projections are made of.
	From    *time.Time `json:"from,omitempty"`
	To      *time.Time `json:"to,omitempty"`
	Seconds float64    `json:"covered_seconds"`
	// NotProjected says why there is no projection; empty if there is one.
	NotProjected string `json:"not_projected,omitempty"`
	Total        Cost   `json:"total"`
	// Paths, Regions and Services each have all of the cost; the lists of namespaces and teams have it once by who called
	// and once by who was called.
	Paths      []PathCost    `json:"paths"`
	Regions    []RegionCost  `json:"regions"`
	Services   []ServiceCost `json:"services"`
	Namespaces []OwnerCost   `json:"namespaces"`
	Teams      []OwnerCost   `json:"teams"`
	// Unpriced are the bytes that no amount contains.
	Unpriced []UnpricedBytes `json:"unpriced"`
	// BeyondCeiling counts flows, by interval, that were priced by their regions alone.
	BeyondCeiling uint64 `json:"beyond_ceiling"`
}

// Cost is what bytes cost.
type Cost struct {
	// Bytes are those that have a price, Unpriced those that have none.
	Bytes    uint64       `json:"bytes"`
	Unpriced uint64       `json:"unpriced_bytes"`
	Cost     price.Amount `json:"cost"`
	// Hour and Month are projections: as if all hours were as the covered time; a month has 730. Absent where there is too
	// little to project from.
	Hour  *price.Amount `json:"projected_hour,omitempty"`
	Month *price.Amount `json:"projected_month,omitempty"`
}

func (c *Cost) add(r *rate, bytes uint64) {
	if r.reason != price.Priced {
		c.Unpriced = plus(c.Unpriced, bytes)
		return
	}
	c.Bytes = plus(c.Bytes, bytes)
	c.Cost = c.Cost.Plus(r.unit.Times(bytes))
}

func (c *Cost) merge(o *Cost) {
	c.Bytes, c.Unpriced, c.Cost = plus(c.Bytes, o.Bytes), plus(c.Unpriced, o.Unpriced), c.Cost.Plus(o.Cost)
}

func (c *Cost) project(covered time.Duration) {
	if covered < MinCovered {
		return
	}
	hour, month := c.Cost.Hourly(covered), c.Cost.Monthly(covered)
	c.Hour, c.Month = &hour, &month
}

// PathCost is the cost of a meter.
type PathCost struct {
	Path price.Path `json:"path"`
	Cost
}

// RegionCost is the cost of the bytes from one region to another. Answers go the other way than their requests.
type RegionCost struct {
	From string `json:"source_region"`
	To   string `json:"destination_region"`
	Cost
}

// ServiceCost is the cost of what a called service was asked and answered. Others is how many services a row stands for,
// where it stands for those beyond [MaxRows].
type ServiceCost struct {
	Namespace string `json:"namespace"`
	Service   string `json:"service"`
	Team      string `json:"team,omitempty"`
	Others    int    `json:"others,omitempty"`
	Cost
}

// OwnerCost is the cost of a namespace or a team: of its calls, and of the calls to it. An empty name is what belongs to
// none.
type OwnerCost struct {
	Name   string `json:"name"`
	Others int    `json:"others,omitempty"`
	// Calls is what it called: who calls, pays. Called is what others, or itself, called of it.
	Calls  Cost `json:"as_caller"`
	Called Cost `json:"as_callee"`
}

// UnpricedBytes are bytes that have no price.
type UnpricedBytes struct {
	// Reason is region_unknown, zone_unknown, not_in_table, counted_as_tcp or no_room.
	Reason price.Unpriced `json:"reason"`
	Bytes  uint64         `json:"bytes"`
}

type regions struct{ from, to string }

type called struct{ namespace, service string }

// tally adds up a report.
type tally struct {
	total      Cost
	paths      map[price.Path]*Cost
	regions    map[regions]*Cost
	services   map[called]*Cost
	namespaces map[string]*OwnerCost
	teams      map[string]*OwnerCost
	unpriced   map[price.Unpriced]uint64
}

func aboutOf(prices *price.Prices) price.Estimate {
	var s price.Sum
	return s.Estimate(prices, 0)
}

func (l *Ledger) publish() {
	t := tally{
		paths: map[price.Path]*Cost{}, regions: map[regions]*Cost{}, services: map[called]*Cost{},
		namespaces: map[string]*OwnerCost{}, teams: map[string]*OwnerCost{}, unpriced: map[price.Unpriced]uint64{},
	}
	for _, f := range l.flows {
		t.add(l, f)
	}
	about := &l.about
	r := &Report{
		SchemaVersion: ReportVersion, Label: about.Label, Currency: about.Currency, Table: about.Table,
		Warnings: []string{}, LeavesOut: about.LeavesOut, Total: t.total, BeyondCeiling: l.lost,
	}
	covered := l.cover(r)
	if covered < MinCovered {
		r.NotProjected = fmt.Sprintf("%s of completed minutes are too few: wait until there are %s", covered.Round(time.Second), MinCovered)
	}
	if !l.end.IsZero() {
		r.Warnings = append(r.Warnings, Warnings(l.prices, l.end)...)
	}
	if l.problem != "" {
		r.Warnings = append(r.Warnings, "the price table could not be read again, and the one before is used: "+l.problem)
	}
	r.Total.project(covered)
	t.fill(r, covered, &l.teams)
	l.report.Store(r)
}

// cover sets the time that the report is about.
func (l *Ledger) cover(r *Report) time.Duration {
	var covered time.Duration
	for i := range l.minutes {
		covered += l.minutes[i].covered
	}
	r.Seconds = covered.Seconds()
	if n := len(l.minutes); n > 0 {
		from, to := time.Unix(l.minutes[0].start, 0).UTC(), time.Unix(l.minutes[n-1].start+60, 0).UTC()
		r.From, r.To = &from, &to
	}
	return covered
}

func (t *tally) add(l *Ledger, f *flow) {
	if f.hour.zero() {
		return
	}
	destination := f.destinationRegion
	if f.outside {
		destination = price.Outside
	}
	ways := [...]regions{Request: {f.sourceRegion, destination}, Response: {destination, f.sourceRegion}}
	caller, callee := f.sourceNamespace, f.destinationNamespace
	costs := []*Cost{
		&t.total, entryOf(t.services, called{callee, f.destinationService}),
		&owner(t.namespaces, caller).Calls, &owner(t.namespaces, callee).Called,
		&owner(t.teams, l.teams.of(caller)).Calls, &owner(t.teams, l.teams.of(callee)).Called,
	}
	for d := range f.hour {
		for class, n := range f.hour[d].split() {
			if n == 0 {
				continue
			}
			r := &f.rates[d][class]
			for _, c := range costs {
				c.add(r, n)
			}
			entryOf(t.regions, ways[d]).add(r, n)
			if r.reason != price.Priced {
				t.unpriced[r.reason] = plus(t.unpriced[r.reason], n)
				continue
			}
			entryOf(t.paths, r.path).add(r, n)
		}
	}
}

func entryOf[K comparable](m map[K]*Cost, k K) *Cost {
	if m[k] == nil {
		m[k] = &Cost{}
	}
	return m[k]
}

func owner(m map[string]*OwnerCost, name string) *OwnerCost {
	if m[name] == nil {
		m[name] = &OwnerCost{Name: name}
	}
	return m[name]
}

func (t *tally) fill(r *Report, covered time.Duration, teams *teams) {
	r.Paths, r.Unpriced = []PathCost{}, []UnpricedBytes{}
	for _, path := range slices.Sorted(maps.Keys(t.paths)) {
		t.paths[path].project(covered)
		r.Paths = append(r.Paths, PathCost{path, *t.paths[path]})
	}
	for _, reason := range slices.Sorted(maps.Keys(t.unpriced)) {
		r.Unpriced = append(r.Unpriced, UnpricedBytes{reason, t.unpriced[reason]})
	}
	r.Regions = limited(t.regions, func(k regions, c *Cost) RegionCost { return RegionCost{k.from, k.to, *c} },
		func(x *RegionCost) *Cost { return &x.Cost }, func(x *RegionCost) string { return x.From + "\x00" + x.To },
		func(to, from *RegionCost) { to.From, to.To = "*", "*"; to.merge(&from.Cost) })
	r.Services = limited(t.services, func(k called, c *Cost) ServiceCost {
		return ServiceCost{Namespace: k.namespace, Service: k.service, Team: teams.of(k.namespace), Cost: *c}
	}, func(x *ServiceCost) *Cost { return &x.Cost }, func(x *ServiceCost) string { return x.Namespace + "\x00" + x.Service },
		func(to, from *ServiceCost) { to.Others++; to.merge(&from.Cost) })
	r.Namespaces, r.Teams = owners(t.namespaces), owners(t.teams)
	for i := range r.Regions {
		r.Regions[i].project(covered)
	}
	for i := range r.Services {
		r.Services[i].project(covered)
	}
	for _, list := range [...][]OwnerCost{r.Namespaces, r.Teams} {
		for i := range list {
			list[i].Calls.project(covered)
			list[i].Called.project(covered)
		}
	}
}

func owners(m map[string]*OwnerCost) []OwnerCost {
	return limited(m, func(_ string, c *OwnerCost) OwnerCost { return *c }, func(x *OwnerCost) *Cost { return &x.Calls },
		func(x *OwnerCost) string { return x.Name },
		func(to, from *OwnerCost) { to.Others++; to.Calls.merge(&from.Calls); to.Called.merge(&from.Called) })
}

// limited makes rows, the dearest first, and one of those beyond [MaxRows].
func limited[K comparable, V, R any](m map[K]*V, row func(K, *V) R, cost func(*R) *Cost, name func(*R) string, merge func(to, from *R)) []R {
	rows := make([]R, 0, len(m))
	for k, v := range m {
		rows = append(rows, row(k, v))
	}
	slices.SortFunc(rows, func(a, b R) int {
		x, y := cost(&a), cost(&b)
		return cmp.Or(y.Cost.Compare(x.Cost), cmp.Compare(plus(y.Bytes, y.Unpriced), plus(x.Bytes, x.Unpriced)), cmp.Compare(name(&a), name(&b)))
	})
	if len(rows) <= MaxRows {
		return rows
	}
	var rest R
	for i := range rows[MaxRows:] {
		merge(&rest, &rows[MaxRows+i])
	}
	return append(rows[:MaxRows:MaxRows], rest)
}
