// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/price"
	"github.com/otelcol-mesh/otelcol-mesh/internal/wire"
)

// Delta is what was carried since the last [Ledger.Take], priced by the tables that were true then. Keep it, or merge it with
// the next one, until somebody took its metrics: then nothing is lost.
type Delta struct {
	rows map[rowKey]sum
}

// rowKey are the attributes of a data point.
type rowKey struct {
	sourceRegion, sourceNamespace, team                         string
	destinationRegion, destinationNamespace, destinationService string
	direction                                                   Direction
	path                                                        price.Path
	// reason says why the bytes have no price; empty if they have.
	reason price.Unpriced
	// table is the name and the date of the prices, currency theirs.
	table, currency string
}

type sum struct {
	bytes  uint64
	amount price.Amount
}

func (s sum) plus(o sum) sum { return sum{plus(s.bytes, o.bytes), s.amount.Plus(o.amount)} }

// Empty says whether there is nothing in it.
func (d *Delta) Empty() bool { return d == nil || len(d.rows) == 0 }

// Merge adds another delta.
func (d *Delta) Merge(o *Delta) {
	if o == nil {
		return
	}
	for k, v := range o.rows {
		d.add(k, v)
	}
}

// maxDeltaRows is the most rows that keep all names: while nobody takes the metrics, flows come and go. Beyond, rows keep the
// regions, and after an eighth of that again nothing but what was paid for what. No byte is lost.
const maxDeltaRows = 100_000

func (d *Delta) add(k rowKey, v sum) {
	if d.rows == nil {
		d.rows = map[rowKey]sum{}
	}
	if _, there := d.rows[k]; !there && len(d.rows) >= maxDeltaRows {
		k.sourceNamespace, k.team, k.destinationNamespace, k.destinationService = "", "", "", ""
		if _, there = d.rows[k]; !there && len(d.rows) >= maxDeltaRows+maxDeltaRows/8 {
			k.sourceRegion, k.destinationRegion = "", ""
		}
	}
	d.rows[k] = d.rows[k].plus(v)
}

// Take returns what was carried since it was called last. It is never nil.
func (l *Ledger) Take() *Delta {
	l.settle()
	d := l.pending
	l.pending = Delta{}
	return &d
}

// settle prices what was not taken, by the table of now.
func (l *Ledger) settle() {
	for _, f := range l.flows {
		l.pending.take(l, f)
	}
}

// take moves what is new of a flow to the delta. Bytes whose zones are told only after they were taken stay in the class
// that they were taken in: the sum of all classes is always the sum of all bytes.
func (d *Delta) take(l *Ledger, f *flow) {
	for direction := range f.total {
		left := f.total[direction].all
		for _, n := range f.taken[direction] {
			left = minus(left, n)
		}
		if left == 0 {
			continue
		}
		for class, n := range f.total[direction].split() {
			n = min(minus(n, f.taken[direction][class]), left)
			if n == 0 {
				continue
			}
			left -= n
			f.taken[direction][class] += n
			r := &f.rates[direction][class]
			d.add(l.row(f, Direction(direction), r), sum{n, r.unit.Times(n)})
		}
	}
}

func (l *Ledger) row(f *flow, direction Direction, r *rate) rowKey {
	return rowKey{
		sourceRegion: f.sourceRegion, sourceNamespace: f.sourceNamespace, team: l.teams.of(f.sourceNamespace),
		destinationRegion: f.destinationRegion, destinationNamespace: f.destinationNamespace,
		destinationService: f.destinationService, direction: direction, path: r.path, reason: r.reason,
		table: l.about.Table.Name + " " + l.about.Table.Date, currency: l.about.Currency,
	}
}

// AppendMetrics appends mesh.cost.estimate, mesh.cost.bytes and mesh.cost.unpriced.bytes as delta sums, those that have
// points.
func (d *Delta) AppendMetrics(to pmetric.MetricSlice, start, end time.Time) {
	keys := slices.SortedFunc(maps.Keys(d.rows), compareRows)
	metrics := map[string]pmetric.NumberDataPointSlice{}
	metric := func(name, unit, description string) pmetric.NumberDataPointSlice {
		if points, ok := metrics[name+unit]; ok {
			return points
		}
		m := to.AppendEmpty()
		m.SetName(name)
		m.SetUnit(unit)
		m.SetDescription(description)
		s := m.SetEmptySum()
		s.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		s.SetIsMonotonic(true)
		metrics[name+unit] = s.DataPoints()
		return s.DataPoints()
	}
	point := func(points pmetric.NumberDataPointSlice, k *rowKey) pmetric.NumberDataPoint {
		p := points.AppendEmpty()
		p.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
		p.SetTimestamp(pcommon.NewTimestampFromTime(end))
		k.attributes(p.Attributes())
		return p
	}
	for i := range keys {
		k := &keys[i]
		v := d.rows[*k]
		if k.reason != price.Priced {
			p := point(metric("mesh.cost.unpriced.bytes", "By", "Bytes that are in no estimate, by reason."), k)
			p.Attributes().PutStr("mesh.cost.reason", string(k.reason))
			p.SetIntValue(integer(v.bytes))
			continue
		}
		p := point(metric("mesh.cost.bytes", "By", "Bytes that mesh.cost.estimate prices, by the way they took."), k)
		p.SetIntValue(integer(v.bytes))
		p = point(metric("mesh.cost.estimate", "{"+k.currency+"}",
			"An estimate: bytes that proxies counted, times the list prices of mesh.cost.price_table."+
				" Without allowances, tiers, agreements, protocol overhead and gateways."), k)
		p.Attributes().PutStr("mesh.cost.price_table", k.table)
		p.SetDoubleValue(v.amount.Float())
	}
}

func (k *rowKey) attributes(to pcommon.Map) {
	for _, a := range [...]struct{ name, value string }{
		{"mesh.source.region", k.sourceRegion},
		{"mesh.source.namespace", k.sourceNamespace},
		{"mesh.destination.region", k.destinationRegion},
		{"mesh.destination.namespace", k.destinationNamespace},
		{"mesh.destination.service", k.destinationService},
		{"mesh.cost.team", k.team},
		{"mesh.cost.path", string(k.path)},
		{"mesh.cost.direction", k.direction.String()},
	} {
		if a.value != "" {
			to.PutStr(a.name, a.value)
		}
	}
}

func integer(n uint64) int64 { return int64(min(n, 1<<63-1)) }

// texts are the key's texts in a fixed order, that of sorting and of the encoding.
func (k *rowKey) texts() [10]string {
	return [10]string{
		k.sourceRegion, k.sourceNamespace, k.team, k.destinationRegion, k.destinationNamespace, k.destinationService,
		string(k.path), string(k.reason), k.table, k.currency,
	}
}

func compareRows(a, b rowKey) int {
	left, right := a.texts(), b.texts()
	for i := range left {
		if c := strings.Compare(left[i], right[i]); c != 0 {
			return c
		}
	}
	return int(a.direction) - int(b.direction)
}

const deltaVersion = 1

// ErrState means that a state was not written by this package, or by another version of it.
var ErrState = errors.New("the state of the cost ledger is damaged, or of another version")

// Encode writes the delta, [DecodeDelta] reads it.
func (d *Delta) Encode() []byte {
	b := []byte{'c', 'd', deltaVersion}
	b = binary.AppendUvarint(b, uint64(len(d.rows)))
	for _, k := range slices.SortedFunc(maps.Keys(d.rows), compareRows) {
		for _, text := range k.texts() {
			b = appendText(b, text)
		}
		v := d.rows[k]
		hi, lo := v.amount.Bits()
		b = append(b, byte(k.direction))
		for _, n := range [...]uint64{v.bytes, hi, lo} {
			b = binary.AppendUvarint(b, n)
		}
	}
	return b
}

// DecodeDelta reads what [Delta.Encode] wrote. The error is [ErrState].
func DecodeDelta(b []byte) (*Delta, error) {
	r := wire.Reader{B: b}
	if string(r.Take(3)) != string([]byte{'c', 'd', deltaVersion}) {
		return nil, ErrState
	}
	d := &Delta{}
	for n := r.Uvarint(); n > 0 && !r.Bad; n-- {
		var t [10]string
		for i := range t {
			t[i] = string(r.Bytes())
		}
		k := rowKey{
			t[0], t[1], t[2], t[3], t[4], t[5], 0, price.Path(t[6]), price.Unpriced(t[7]), t[8], t[9],
		}
		if direction := r.Take(1); len(direction) == 1 {
			k.direction = Direction(direction[0])
		}
		v := sum{bytes: r.Uvarint()}
		hi := r.Uvarint()
		v.amount = price.AmountOfBits(hi, r.Uvarint())
		if r.Bad || k.direction >= directionCount {
			return nil, ErrState
		}
		d.add(k, v)
	}
	if r.Bad || len(r.B) > 0 {
		return nil, ErrState
	}
	return d, nil
}
