// SPDX-License-Identifier: Apache-2.0

package series

import (
	"encoding/binary"
	"errors"
	"math"
)

// errImage says that an image cannot be what Encode wrote.
var errImage = errors.New("the image of the series is damaged")

// What a series' flags say, above the two bits of its kind.
const (
	kindBits    = 3
	oldProcess  = 1 << 2 // it is of the process that was there before
	hasStart    = 1 << 3
	hasGone     = 1 << 4
	mostBuckets = 1 << 16
)

// Encode appends what is known of all series: what they counted last, and what tells whether a first point counts in
// full. What was added to outputs and not been taken is no part of it. No visit may be under way.
func (s *Store) Encode(to []byte) []byte {
	to = binary.LittleEndian.AppendUint64(to, uint64(s.whole.Load()))
	for i := range s.shards {
		for key, in := range s.shards[i].m {
			to = appendKey(to, key)
			to = appendKey(to, in.pod)
			for _, time := range []int64{in.last, in.scrape, in.process, in.changed} {
				to = binary.LittleEndian.AppendUint64(to, uint64(time))
			}
			to = binary.AppendUvarint(to, uint64(len(in.series)))
			for key, st := range in.series {
				to = st.encode(appendKey(to, key), in)
			}
		}
	}
	return to
}

func (s *state) encode(to []byte, in *instance) []byte {
	flags := byte(s.kind)
	if s.generation != in.generation {
		flags |= oldProcess
	}
	if s.start != 0 {
		flags |= hasStart
	}
	if s.gone != 0 {
		flags |= hasGone
	}
	// Series of one scrape have one time, so the difference is one byte.
	to = binary.AppendVarint(append(to, flags), in.last-s.time)
	if s.start != 0 {
		to = binary.LittleEndian.AppendUint64(to, uint64(s.start))
	}
	if s.gone != 0 {
		to = binary.LittleEndian.AppendUint64(to, uint64(s.gone))
	}
	if s.kind != Float {
		to = binary.AppendUvarint(to, s.last.Count)
	}
	if s.kind != Int {
		to = binary.LittleEndian.AppendUint64(to, math.Float64bits(s.last.Sum))
	}
	if s.kind == Histogram {
		to = binary.AppendUvarint(to, uint64(len(s.last.Buckets)))
		for _, n := range s.last.Buckets {
			to = binary.AppendUvarint(to, n)
		}
	}
	return to
}

func appendKey(to []byte, k Key) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(to, k.Hi), k.Lo)
}

// Restore puts what Encode wrote into an empty store. saved is when that was, in nanoseconds since 1970: no delta begins
// before it. Series beyond the ceilings are left out and counted. After an error the store is not to be used.
func (s *Store) Restore(image []byte, saved int64) (leftOut int64, err error) {
	r := reader{rest: image}
	s.whole.Store(int64(r.fixed()))
	s.saved, s.Table.floor = saved, saved
	for len(r.rest) > 0 && !r.bad {
		leftOut += s.restoreInstance(&r)
	}
	if r.bad {
		return leftOut, errImage
	}
	return leftOut, nil
}

func (s *Store) restoreInstance(r *reader) (leftOut int64) {
	key := r.key()
	in := &instance{restored: true, generation: 2, series: map[Key]*state{}}
	in.pod = r.key()
	in.last, in.scrape, in.process, in.changed = int64(r.fixed()), int64(r.fixed()), int64(r.fixed()), int64(r.fixed())
	n := r.uvarint()
	for range n {
		seriesKey := r.key()
		st := r.state(in)
		if r.bad {
			return leftOut
		}
		size := stateBytes + 8*int64(len(st.last.Buckets))
		if len(in.series) == 0 {
			size += instanceBytes
		}
		if len(in.series) >= s.limits.PerInstance || s.bytes.Load()+size > s.limits.Bytes {
			leftOut++
			continue
		}
		if in.series[seriesKey] != nil {
			r.bad = true
			return leftOut
		}
		s.bytes.Add(size)
		in.series[seriesKey] = st
	}
	if leftOut > 0 {
		// An earlier scrape had series that are not known here.
		in.scrape = 0
	}
	in.unseen = len(in.series)
	shard := &s.shards[key.Lo%shards]
	if n == 0 || shard.m[key] != nil {
		r.bad = true
		return leftOut
	}
	if len(in.series) > 0 {
		shard.m[key] = in
		s.series.Add(int64(len(in.series)))
	}
	return leftOut
}

// Doubt makes the store forget what would let a series that is not known count in full: from the time now on it watches
// anew. That is right where what was restored may have known series by other names.
func (s *Store) Doubt(now int64) {
	s.whole.Store(now)
	for i := range s.shards {
		for _, in := range s.shards[i].m {
			in.scrape, in.restored = 0, false
		}
	}
}

// reader reads an image. After the first thing that cannot be, it is bad and gives zeros.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) fixed() uint64 {
	if r.bad || len(r.rest) < 8 {
		r.bad = true
		return 0
	}
	v := binary.LittleEndian.Uint64(r.rest)
	r.rest = r.rest[8:]
	return v
}

func (r *reader) key() Key { return Key{Hi: r.fixed(), Lo: r.fixed()} }

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if r.bad || n <= 0 {
		r.bad = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	if r.bad || n <= 0 {
		r.bad = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) state(in *instance) *state {
	if r.bad || len(r.rest) == 0 {
		r.bad = true
		return nil
	}
	flags := r.rest[0]
	r.rest = r.rest[1:]
	st := &state{kind: Kind(flags & kindBits), generation: in.generation, restored: true}
	st.time = in.last - r.varint()
	if flags&oldProcess != 0 {
		st.generation--
	}
	if flags&hasStart != 0 {
		st.start = int64(r.fixed())
	}
	if flags&hasGone != 0 {
		st.gone = int64(r.fixed())
	}
	if st.kind != Float {
		st.last.Count = r.uvarint()
	}
	if st.kind != Int {
		st.last.Sum = math.Float64frombits(r.fixed())
	}
	if st.kind == Histogram {
		r.buckets(st)
	}
	r.bad = r.bad || st.kind > Histogram || flags >= hasGone<<1 || !finite(st.last.Sum)
	return st
}

func (r *reader) buckets(st *state) {
	n := r.uvarint()
	// Each takes a byte at least, so what is read bounds what is made.
	if n > mostBuckets || n > uint64(len(r.rest)) {
		r.bad = true
		return
	}
	if n > 0 {
		st.last.Buckets = make([]uint64, n)
	}
	for i := range st.last.Buckets {
		st.last.Buckets[i] = r.uvarint()
	}
}
