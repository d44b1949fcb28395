// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"
	"unique"

	"github.com/otelcol-mesh/otelcol-mesh/internal/wire"
)

// reader reads a state. After an error it gives zeros.
type reader struct {
	wire.Reader
	// clock is that of the graph when the state was written: nothing waits since later.
	clock uint64
}

func (r *reader) counts(c *counts) {
	for i := range c {
		c[i] = r.Uvarint()
	}
}

func decode(state []byte) (edges []*edge, sequence uint64, clock int64, resume time.Time, err error) {
	none := time.Time{}
	const header = len(stateMagic) + 1
	if len(state) < header+4 || string(state[:len(stateMagic)]) != stateMagic {
		return nil, 0, 0, none, fmt.Errorf("%w: it does not begin as one", ErrState)
	}
	end := len(state) - 4
	if binary.BigEndian.Uint32(state[end:]) != crc32.Checksum(state[:end], castagnoli) {
		return nil, 0, 0, none, fmt.Errorf("%w: the checksum does not fit", ErrState)
	}
	if v := state[len(stateMagic)]; v != stateVersion {
		return nil, 0, 0, none, fmt.Errorf("%w: it is of version %d, and this reads version %d", ErrState, v, stateVersion)
	}
	return decodeBody(state[header:end])
}

func decodeBody(body []byte) (edges []*edge, sequence uint64, clock int64, resume time.Time, err error) {
	r, none := &reader{Reader: wire.Reader{B: body}}, time.Time{}
	sequence = r.Uvarint()
	r.clock = r.UpTo(1 << 50)
	resume = time.Unix(r.seconds(), 0)
	// A name has at least a byte of length, an edge far more: what is announced cannot make us allocate more than is there.
	names := make([]string, r.UpTo(uint64(len(r.B))))
	for i := range names {
		names[i] = string(r.Take(r.UpTo(maxStateText)))
	}
	edges = make([]*edge, 0, r.UpTo(uint64(len(r.B))/20))
	seen := make(map[Key]struct{}, cap(edges))
	for range cap(edges) {
		e := r.edge(names)
		if r.Bad {
			break
		}
		if _, twice := seen[e.key]; twice {
			return nil, 0, 0, none, fmt.Errorf("%w: an edge is there twice", ErrState)
		}
		seen[e.key] = struct{}{}
		edges = append(edges, e)
	}
	if r.Bad || len(r.B) != 0 {
		return nil, 0, 0, none, fmt.Errorf("%w: it does not end where it should", ErrState)
	}
	return edges, sequence, int64(r.clock), resume, nil
}

func (r *reader) name(names []string) string {
	i := r.Uvarint()
	if i >= uint64(len(names)) {
		r.Fail()
		return ""
	}
	return names[i]
}

func (r *reader) edge(names []string) *edge {
	e := &edge{}
	for _, f := range e.key.fields() {
		*f = r.name(names)
	}
	kind := r.UpTo(uint64(protocolCount)<<1 - 1)
	e.key.Protocol, e.key.Overflow = Protocol(kind>>1), kind&1 == 1
	e.key, _ = e.key.interned()
	e.first, e.last = r.seconds(), r.seconds()
	marks := r.Octet()
	e.rolled, e.leveled = marks&stateRolled != 0, marks&stateLeveled != 0
	if marks&stateEarly != 0 {
		e.early = r.early()
	}
	e.born, e.spokeAt = r.moment(), r.moment()
	r.counts(&e.counted)
	r.counts(&e.base)
	for i := range e.never {
		e.never[i], e.neverBefore[i] = r.Uvarint(), r.Uvarint()
	}
	for i := range e.sides {
		if kind := r.Octet(); kind != 0 {
			e.sides[i] = &side{heard: kind == 2}
			r.counts(&e.sides[i].total)
		}
	}
	if r.Octet() != 0 {
		e.waiting = r.waiting()
	}
	if r.Octet() != 0 {
		e.past = r.past()
	}
	if n := r.Octet(); n != 0 {
		e.identities = r.identities(int(n)-1, names)
	}
	if reporters := r.Octet(); reporters != 0 {
		e.plaintext = r.plaintext(reporters)
	}
	return e
}

func (r *reader) waiting() *waiting {
	w := &waiting{}
	for range min(r.Octet(), maxMarks) {
		m := openMark{at: r.moment()}
		for i := range m.least {
			m.least[i] = r.Uvarint()
		}
		w.open = append(w.open, m)
	}
	w.blind = r.Octet() == 1
	w.said = r.said()
	for i := range w.shown {
		w.shown[i] = r.said()
	}
	r.counts(&w.settled)
	return w
}

func (r *reader) said() (said []saidMark) {
	for range min(r.Octet(), maxMarks) {
		m := saidMark{at: r.moment()}
		r.counts(&m.total)
		said = append(said, m)
	}
	return said
}

func (r *reader) identities(n int, names []string) *identities {
	x := &identities{other: r.Uvarint()}
	if n > maxIdentities*int(endCount) {
		r.Fail()
		return x
	}
	for range n {
		k := identity{end: End(r.Octet() % byte(endCount)), principal: unique.Make(r.name(names)).Value()}
		for i := range k.requests {
			k.requests[i] = r.Uvarint()
		}
		k.first, k.last = r.seconds(), r.seconds()
		// What was told since the last roll has no date yet: the next one gives it.
		k.told = k.last == 0
		x.list = append(x.list, k)
	}
	return x
}

func (r *reader) plaintext(reporters byte) *Plaintext {
	if reporters >= 1<<reporterCount {
		r.Fail()
	}
	p := &Plaintext{First: time.Unix(r.seconds(), 0).UTC(), Last: time.Unix(r.seconds(), 0).UTC()}
	for i := range reporterCount {
		if reporters&(1<<i) != 0 {
			p.Reporters = append(p.Reporters, i)
		}
	}
	return p
}

// seconds reads a time of day, moment one of the graph's clock.
func (r *reader) seconds() int64 { return int64(r.UpTo(1 << 40)) }

func (r *reader) moment() int64 { return int64(r.UpTo(r.clock)) }
