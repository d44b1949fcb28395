// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/wire"
)

const stateVersion = 1

// Encode writes the hour and what was not taken; [Ledger.Restore] reads it. Prices are not in it: the table is read anew, and
// what was not taken is priced before.
func (l *Ledger) Encode() []byte {
	l.settle()
	b := []byte{'c', 'l', stateVersion}
	pending := l.pending.Encode()
	b = append(binary.AppendUvarint(b, uint64(len(pending))), pending...)
	flows := make([]*flow, 0, len(l.flows))
	for _, f := range l.flows {
		flows = append(flows, f)
	}
	slices.SortFunc(flows, func(a, b *flow) int { return compareFlows(&a.flowKey, &b.flowKey) })
	b = binary.AppendUvarint(b, uint64(len(flows)))
	index := make(map[*flow]uint64, len(flows))
	for i, f := range flows {
		index[f] = uint64(i)
		for _, text := range f.texts() {
			b = appendText(b, text)
		}
		b = append(b, f.mark())
	}
	b = binary.AppendVarint(b, l.start)
	b = binary.AppendVarint(b, int64(l.covered))
	b = binary.AppendVarint(b, l.end.UnixNano())
	b = binary.AppendUvarint(b, uint64(len(l.minutes)))
	for i := range l.minutes {
		m := &l.minutes[i]
		b = binary.AppendVarint(b, m.start)
		b = binary.AppendVarint(b, int64(m.covered))
		b = binary.AppendUvarint(b, uint64(len(m.entries)))
		for k := range m.entries {
			b = binary.AppendUvarint(b, index[m.entries[k].flow])
			b = appendTraffic(b, &m.entries[k].traffic)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(l.touched)))
	for _, f := range l.touched {
		b = binary.AppendUvarint(b, index[f])
		b = appendTraffic(b, &f.minute)
	}
	return b
}

// Restore puts an empty ledger in the place of the one that [Ledger.Encode] wrote. With an error, [ErrState], it stays empty.
func (l *Ledger) Restore(b []byte) error {
	fresh := &Ledger{config: l.config, teams: l.teams, prices: l.prices, about: l.about, problem: l.problem, flows: map[flowKey]*flow{}}
	r := wire.Reader{B: b}
	if string(r.Take(3)) != string([]byte{'c', 'l', stateVersion}) {
		return ErrState
	}
	pending, err := DecodeDelta(r.Take(r.Uvarint()))
	if err != nil || r.Bad {
		return ErrState
	}
	fresh.pending = *pending
	flows, ok := fresh.restoreFlows(&r)
	if !ok || !fresh.restoreMinutes(&r, flows) {
		return ErrState
	}
	l.flows, l.overflow, l.pending, l.minutes = fresh.flows, fresh.overflow, fresh.pending, fresh.minutes
	l.start, l.covered, l.end, l.touched = fresh.start, fresh.covered, fresh.end, fresh.touched
	l.publish()
	return nil
}

func (l *Ledger) restoreFlows(r *wire.Reader) ([]*flow, bool) {
	var flows []*flow
	for n := r.Uvarint(); n > 0 && !r.Bad; n-- {
		var t [5]string
		for i := range t {
			t[i] = string(r.Bytes())
		}
		k := flowKey{
			sourceRegion: t[0], sourceNamespace: t[1], destinationRegion: t[2], destinationNamespace: t[3], destinationService: t[4],
		}
		if mark := r.Take(1); len(mark) == 1 {
			k.outside, k.told, k.overflow = mark[0]&1 != 0, mark[0]&2 != 0, mark[0]&4 != 0
		}
		if r.Bad || l.flows[k] != nil {
			return nil, false
		}
		if k.overflow {
			l.overflow++
		}
		flows = append(flows, l.insert(&k))
	}
	return flows, !r.Bad
}

// restoreMinutes reads the minutes. Each entry takes bytes of the state, so a hostile count ends with it.
func (l *Ledger) restoreMinutes(r *wire.Reader, flows []*flow) bool {
	l.start, l.covered = r.Varint(), time.Duration(r.Varint())
	if nanos := r.Varint(); l.start != 0 {
		l.end = time.Unix(0, nanos)
	}
	before := int64(-1 << 62)
	for n := r.Uvarint(); n > 0 && !r.Bad; n-- {
		m := minute{start: r.Varint(), covered: time.Duration(r.Varint())}
		entries, ok := readEntries(r, flows)
		if !ok || m.start <= before || m.start >= l.start || m.covered < 0 {
			return false
		}
		before, m.entries = m.start, entries
		for i := range entries {
			f := entries[i].flow
			f.hour.add(&entries[i].traffic)
			f.minutes++
		}
		l.minutes = append(l.minutes, m)
	}
	entries, ok := readEntries(r, flows)
	if !ok || len(r.B) > 0 || l.covered < 0 {
		return false
	}
	for i := range entries {
		f := entries[i].flow
		f.minute, f.touched = entries[i].traffic, true
		l.touched = append(l.touched, f)
	}
	// A flow that is in no minute would stay for good.
	return !slices.ContainsFunc(flows, func(f *flow) bool { return f.minutes == 0 && !f.touched })
}

func readEntries(r *wire.Reader, flows []*flow) ([]entry, bool) {
	var entries []entry
	seen := map[uint64]bool{}
	for n := r.Uvarint(); n > 0 && !r.Bad; n-- {
		i := r.Uvarint()
		var t traffic
		for d := range t {
			t[d] = zoned{r.Uvarint(), r.Uvarint(), r.Uvarint()}
		}
		if r.Bad || i >= uint64(len(flows)) || seen[i] {
			return nil, false
		}
		seen[i] = true
		entries = append(entries, entry{flow: flows[i], traffic: t})
	}
	return entries, !r.Bad
}

func appendTraffic(b []byte, t *traffic) []byte {
	for _, z := range t {
		b = binary.AppendUvarint(b, z.all)
		b = binary.AppendUvarint(b, z.same)
		b = binary.AppendUvarint(b, z.cross)
	}
	return b
}

func (k *flowKey) texts() [5]string {
	return [5]string{k.sourceRegion, k.sourceNamespace, k.destinationRegion, k.destinationNamespace, k.destinationService}
}

func (k *flowKey) mark() byte { return bit(k.outside, 1) | bit(k.told, 2) | bit(k.overflow, 4) }

func compareFlows(a, b *flowKey) int {
	left, right := a.texts(), b.texts()
	return cmp.Or(slices.Compare(left[:], right[:]), cmp.Compare(a.mark(), b.mark()))
}

func bit(set bool, value byte) byte {
	if set {
		return value
	}
	return 0
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
