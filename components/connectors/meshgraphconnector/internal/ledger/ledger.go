// SPDX-License-Identifier: Apache-2.0

// Package ledger prices what the mesh carries: bytes between regions and zones, times a dated price table.
//
//   - [Ledger.Add] takes a closed interval of the graph, [Ledger.Take] gives what is new for the metrics mesh.cost.*. Both
//     belong to one goroutine.
//   - [Ledger.Report] is the last hour, its cost and the projections. It takes no lock: a report is published at the end of
//     each minute, and nobody changes it.
//   - [Open] reads a price table, and again when the file changes.
//
// Every amount is an estimate. What has no price is told with the reason, and is never free.
package ledger

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/price"
)

// Minutes is how many completed minutes a report looks back.
const Minutes = 60

// Reasons why bytes have no price, besides those of the price table.
const (
	// CountedAsTCP are bytes that only waypoints told of, between ends whose TCP bytes ztunnel told: they are in those.
	CountedAsTCP price.Unpriced = "counted_as_tcp"
	// NoRoom are bytes of flows beyond the ceiling, of more regions than it has room for.
	NoRoom price.Unpriced = "no_room"
)

// Direction is the way that bytes went on an edge.
type Direction uint8

// The directions.
const (
	// Request is from caller to callee.
	Request Direction = iota
	// Response is back.
	Response
	directionCount
)

// String returns the word of the attribute mesh.cost.direction.
func (d Direction) String() string {
	if d == Response {
		return "response"
	}
	return "request"
}

// zoned are the bytes of a direction by what is known of the zones of both ends.
type zoned struct{ all, same, cross uint64 }

func (z *zoned) add(o zoned) {
	z.all, z.same, z.cross = plus(z.all, o.all), plus(z.same, o.same), plus(z.cross, o.cross)
}

func (z *zoned) sub(o zoned) {
	z.all, z.same, z.cross = minus(z.all, o.all), minus(z.same, o.same), minus(z.cross, o.cross)
}

// The classes of bytes that have prices of their own.
const (
	sameZone = iota
	crossZone
	rest
	classCount
)

// split never returns more than all of the bytes: zones may be told before the bytes that are meant.
func (z *zoned) split() (classes [classCount]uint64) {
	classes[sameZone] = min(z.same, z.all)
	classes[crossZone] = min(z.cross, z.all-classes[sameZone])
	classes[rest] = z.all - classes[sameZone] - classes[crossZone]
	return classes
}

// traffic are the bytes of both directions.
type traffic [directionCount]zoned

func (t *traffic) add(o *traffic) {
	for d := range t {
		t[d].add(o[d])
	}
}

func (t *traffic) zero() bool { return t[Request].all|t[Response].all == 0 }

// flowKey is what is priced apart.
type flowKey struct {
	sourceRegion, sourceNamespace                               string
	destinationRegion, destinationNamespace, destinationService string
	// outside says that the destination is on the internet, told that other flows have the bytes.
	outside, told bool
	// overflow marks a flow that keeps the regions alone.
	overflow bool
}

// flow is the traffic of a key.
type flow struct {
	flowKey
	// total is since the flow is known; taken what [Ledger.Take] gave of it.
	total traffic
	taken [directionCount][classCount]uint64
	// minute is the minute that has begun, hour the completed ones, of which there are minutes.
	minute, hour traffic
	minutes      int
	touched      bool
	rates        [directionCount][classCount]rate
}

// rate is what a byte costs on its way.
type rate struct {
	path   price.Path
	reason price.Unpriced
	unit   price.Amount
}

// Ledger keeps the hour. [Ledger.Report] may be called from anywhere, all else by one goroutine at a time.
type Ledger struct {
	config   Config
	teams    teams
	prices   *price.Prices
	about    price.Estimate // of nothing: what every estimate says of the table
	problem  string
	flows    map[flowKey]*flow
	overflow int
	touched  []*flow
	minutes  []minute
	start    int64
	covered  time.Duration
	end      time.Time
	pending  Delta
	lost     uint64
	report   atomic.Pointer[Report]
}

type minute struct {
	start   int64
	covered time.Duration
	entries []entry
}

type entry struct {
	flow    *flow
	traffic traffic
}

// New returns an empty ledger.
func New(config Config, prices *price.Prices) (*Ledger, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	l := &Ledger{
		config: config, teams: newTeams(config.Teams), prices: prices, about: aboutOf(prices), flows: map[flowKey]*flow{},
	}
	l.publish()
	return l, nil
}

// SetPrices changes the table. What was added before and not taken keeps the old prices; a report takes the new ones for
// all of its hour.
func (l *Ledger) SetPrices(prices *price.Prices) {
	l.settle()
	l.prices, l.about, l.problem = prices, aboutOf(prices), ""
	for _, f := range l.flows {
		l.rate(f)
	}
	l.publish()
}

// SetProblem tells reports that the price table could not be read again, and that they take the one before.
func (l *Ledger) SetProblem(err error) {
	if err.Error() != l.problem {
		l.problem = err.Error()
		l.publish()
	}
}

// Report returns what was published at the end of the last minute; never nil.
func (l *Ledger) Report() *Report { return l.report.Load() }

// Add takes an interval.
func (l *Ledger) Add(snap *graph.Snapshot) {
	l.begin(snap.End.Add(-1).Truncate(time.Minute).Unix())
	l.end = snap.End
	l.covered += max(0, snap.End.Sub(snap.Start))
	var told map[pair]bool
	for i := range snap.Edges {
		e := &snap.Edges[i]
		bytes := bytesOf(&e.Interval)
		if bytes.zero() {
			continue
		}
		k := flowKey{
			sourceRegion: e.Caller.Region, sourceNamespace: e.Caller.Namespace, destinationRegion: e.Callee.Region,
			destinationNamespace: e.Callee.Namespace, destinationService: e.Callee.Service, overflow: e.Overflow,
		}
		k.outside = l.config.outside(&e.Callee)
		if waypointsAlone(e) {
			if told == nil {
				told = toldAsTCP(snap)
			}
			k.told = told[pairOf(e.Key)]
		}
		l.add(&k, &bytes)
	}
}

func bytesOf(c *graph.Counts) traffic {
	return traffic{
		Request:  {c.RequestBytes, c.RequestSameZone, c.RequestCrossZone},
		Response: {c.ResponseBytes, c.ResponseSameZone, c.ResponseCrossZone},
	}
}

func (l *Ledger) add(k *flowKey, bytes *traffic) {
	f := l.flow(k)
	f.total.add(bytes)
	f.minute.add(bytes)
	if !f.touched {
		f.touched = true
		l.touched = append(l.touched, f)
	}
}

// flow returns the flow of a key. There is always one: the last of them has no names.
func (l *Ledger) flow(k *flowKey) *flow {
	if f := l.flows[*k]; f != nil {
		return f
	}
	if !k.overflow && len(l.flows)-l.overflow < l.config.MaxFlows {
		return l.insert(k)
	}
	l.lost++
	short := flowKey{
		sourceRegion: k.sourceRegion, destinationRegion: k.destinationRegion, outside: k.outside, told: k.told, overflow: true,
	}
	if f := l.flows[short]; f != nil {
		return f
	}
	if last := (flowKey{overflow: true}); l.overflow >= l.config.MaxFlows/8+16 && short != last {
		return l.flow(&last)
	}
	l.overflow++
	return l.insert(&short)
}

func (l *Ledger) insert(k *flowKey) *flow {
	f := &flow{flowKey: *k}
	l.flows[*k] = f
	l.rate(f)
	return f
}

// mostBack is how far a clock may be set back, in seconds, before the hour begins anew.
const mostBack = 5 * 60

// begin closes the minute before and publishes. A clock that was set back makes the minute longer; by more than mostBack, the
// hour begins anew, and what was not taken stays.
func (l *Ledger) begin(start int64) {
	if start < l.start-mostBack {
		l.settle()
		l.flows, l.overflow, l.touched, l.minutes, l.start = map[flowKey]*flow{}, 0, nil, nil, 0
	}
	if start <= l.start {
		return
	}
	if l.start != 0 {
		l.close()
	}
	l.start, l.covered = start, 0
	old := 0
	for old < len(l.minutes) && l.minutes[old].start < start-Minutes*60 {
		l.forget(&l.minutes[old])
		old++
	}
	l.minutes = slices.Delete(l.minutes, 0, old)
	l.publish()
}

func (l *Ledger) close() {
	m := minute{start: l.start, covered: l.covered, entries: make([]entry, len(l.touched))}
	for i, f := range l.touched {
		m.entries[i] = entry{flow: f, traffic: f.minute}
		f.hour.add(&f.minute)
		f.minutes++
		f.minute, f.touched = traffic{}, false
	}
	l.minutes = append(l.minutes, m)
	clear(l.touched)
	l.touched = l.touched[:0]
}

func (l *Ledger) forget(m *minute) {
	for i := range m.entries {
		f, bytes := m.entries[i].flow, &m.entries[i].traffic
		for d := range f.hour {
			f.hour[d].sub(bytes[d])
		}
		f.minutes--
		if f.minutes > 0 || f.touched {
			continue
		}
		l.pending.take(l, f)
		delete(l.flows, f.flowKey)
		if f.overflow {
			l.overflow--
		}
	}
}

// rate looks up what the flow's bytes cost.
func (l *Ledger) rate(f *flow) {
	for class := range classCount {
		from, to := price.Place{Region: f.sourceRegion}, price.Place{Region: f.destinationRegion, Outside: f.outside}
		switch class {
		case sameZone:
			from.Zone, to.Zone = "1", "1"
		case crossZone:
			from.Zone, to.Zone = "1", "2"
		}
		c := l.prices.Cost(&price.Traffic{Source: from, Destination: to, RequestBytes: 1, ResponseBytes: 1})
		for d, w := range [...]price.Way{Request: c.Request, Response: c.Response} {
			f.rates[d][class] = rate{path: w.Path, reason: w.Unpriced, unit: w.Amount}
			switch {
			case f.told:
				f.rates[d][class] = rate{reason: CountedAsTCP}
			case f.flowKey == flowKey{overflow: true}:
				f.rates[d][class] = rate{reason: NoRoom}
			}
		}
	}
}

// pair is two ends between which ztunnels and waypoints may tell of the same bytes.
type pair struct {
	caller graph.Caller
	callee graph.Callee
}

func pairOf(k *graph.Key) pair {
	p := pair{caller: k.Caller, callee: k.Callee}
	p.caller.Version, p.callee.Version = "", ""
	return p
}

// waypointsAlone says whether nobody but waypoints ever told of an edge.
func waypointsAlone(e *graph.Edge) bool {
	return e.Protocol != graph.TCP && len(e.Reporters) == 1 && e.Reporters[0] == graph.Waypoint
}

// toldAsTCP are the ends whose TCP bytes somebody told of, in this interval or before: the reports of ztunnels and waypoints
// come at different times. An end that nobody named has no place, so its bytes have no price: the caller's ztunnel hands what
// it has to the waypoint, and only that one knows where it went.
func toldAsTCP(snap *graph.Snapshot) map[pair]bool {
	told := map[pair]bool{}
	for i := range snap.Edges {
		e := &snap.Edges[i]
		named := e.Caller.Workload != "" && e.Callee.Workload != ""
		if e.Protocol == graph.TCP && named && e.Total.RequestBytes|e.Total.ResponseBytes != 0 {
			told[pairOf(e.Key)] = true
		}
	}
	return told
}

// plus stays at the greatest number instead of beginning at 0 again.
func plus(a, b uint64) uint64 {
	if a+b < a {
		return ^uint64(0)
	}
	return a + b
}

// minus is a less b, and 0 where b is greater.
func minus(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}
