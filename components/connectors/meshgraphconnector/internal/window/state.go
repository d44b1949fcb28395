// SPDX-License-Identifier: Apache-2.0

package window

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/exphist"
	"github.com/otelcol-mesh/otelcol-mesh/internal/wire"
)

const stateVersion = 1

// Encode writes the hour as it was published last; [Store.Restore] reads it. Services that had no room are written as a
// number: after a restart, every service may be one of them.
func (s *Store) Encode() []byte {
	v := s.view.Load()
	b := []byte{'w', 'n', stateVersion}
	b = binary.AppendVarint(b, v.end.UnixNano())
	b = binary.AppendUvarint(b, uint64(len(v.minutes)))
	place := map[int32]uint64{}
	var keys []*series
	for _, list := range v.services {
		keys = append(keys, list...)
	}
	slices.SortFunc(keys, func(a, b *series) int { return int(a.id) - int(b.id) })
	b = binary.AppendUvarint(b, uint64(len(keys)))
	for i, x := range keys {
		place[x.id] = uint64(i)
		for _, text := range x.texts() {
			b = append(binary.AppendUvarint(b, uint64(len(*text))), *text...)
		}
	}
	for _, m := range v.minutes {
		b = binary.AppendVarint(b, m.start)
		b = binary.AppendVarint(b, int64(m.covered))
		b = binary.AppendUvarint(b, m.missed.requests)
		b = binary.AppendUvarint(b, m.nameless)
		b = binary.AppendUvarint(b, uint64(len(m.records)))
		for i := range m.records {
			r := &m.records[i]
			b = binary.AppendUvarint(b, place[r.id])
			for _, n := range r.counts.fields() {
				b = binary.AppendUvarint(b, *n)
			}
			for _, h := range r.latency {
				b = append(binary.AppendUvarint(b, uint64(len(h))), h...)
			}
		}
	}
	return b
}

func (k *Key) texts() [8]*string {
	return [8]*string{
		&k.Namespace, &k.Service, &k.Version, &k.Cluster, &k.Region, &k.Workload, &k.CallerCluster, &k.CallerRegion,
	}
}

// Restore puts an empty store in the place of the one that [Store.Encode] wrote. With an error nothing was changed.
func (s *Store) Restore(b []byte) error {
	fresh, err := New(s.config)
	if err != nil {
		return err
	}
	r := wire.Reader{B: b}
	if len(b) < 3 || string(b[:3]) != string([]byte{'w', 'n', stateVersion}) {
		return errState
	}
	r.B = b[3:]
	end, minutes := r.Varint(), r.Uvarint()
	keys := fresh.restoreKeys(&r)
	for i := uint64(0); i < minutes && !r.Bad; i++ {
		if !fresh.restoreMinute(&r, keys) {
			return errState
		}
	}
	if r.Bad || len(r.B) > 0 {
		return errState
	}
	for _, x := range keys {
		// A series that is in no minute would stay for good.
		if x != nil && x.minutes == 0 && !x.touched {
			return errState
		}
	}
	s.ids, s.series, s.free, s.services = fresh.ids, fresh.series, fresh.free, fresh.services
	s.minutes, s.now, s.shared, s.lost = fresh.minutes, fresh.now, false, 0
	if s.now.start != 0 {
		s.end = time.Unix(0, end)
		s.publish()
	}
	return nil
}

// restoreKeys reads the keys. Those beyond the ceiling, which may be lower now, are nil. A key that is there twice is bad.
func (s *Store) restoreKeys(r *wire.Reader) []*series {
	var keys []*series
	seen := map[Key]bool{}
	for n := r.Uvarint(); n > 0 && !r.Bad; n-- {
		var k Key
		for _, text := range k.texts() {
			*text = string(r.Bytes())
		}
		if seen[k] {
			r.Bad = true
			return nil
		}
		seen[k] = true
		keys = append(keys, s.find(&k))
	}
	return keys
}

// restoreMinute reads a minute as if it had just been added.
func (s *Store) restoreMinute(r *wire.Reader, keys []*series) bool {
	start, covered := r.Varint(), time.Duration(r.Varint())
	missed, nameless, n := r.Uvarint(), r.Uvarint(), r.Uvarint()
	first := start
	if len(s.minutes) > 0 {
		first = s.minutes[0].start
	} else if s.now.start != 0 {
		first = s.now.start
	}
	if r.Bad || start <= s.now.start || start > 1<<40 || start%60 != 0 || start-first > Minutes*60 || covered < 0 {
		return false
	}
	s.begin(start)
	s.now.covered, s.now.nameless = covered, nameless
	if missed > 0 {
		s.now.missed.all(missed)
	}
	before := int64(-1)
	for ; n > 0 && !r.Bad; n-- {
		i := r.Uvarint()
		if i >= uint64(len(keys)) || int64(i) <= before {
			return false
		}
		before = int64(i)
		var c Counts
		for _, to := range c.fields() {
			*to = r.Uvarint()
		}
		var latency [sideCount]*exphist.Histogram
		for side := range latency {
			if b := r.Bytes(); len(b) > 0 {
				p, _, ok := readHistogram(b, nil)
				if !ok {
					return false
				}
				latency[side] = newHistogram()
				if latency[side].Add(&p) != nil {
					return false
				}
			}
		}
		x := keys[i]
		if x == nil {
			s.now.missed.all(c.calls())
			continue
		}
		x.touched = true
		s.now.touched, s.now.sorted = append(s.now.touched, x.id), false
		x.counts.add(&c)
		x.latency = latency
	}
	return !r.Bad
}

// all marks every service.
func (m *missed) all(requests uint64) {
	m.requests = plus(m.requests, requests)
	for i := range m.bits {
		m.bits[i] = ^uint64(0)
	}
}
