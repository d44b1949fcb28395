// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// The state is a header, a table of names, the edges, and a checksum:
//
//	"OMG" version  sequence  count of names  {length name}  count of edges  {edge}  CRC-32C of all before, big endian
//
// Numbers are unsigned varints. The parts of an edge are in the order in which they are written below.
const (
	stateMagic   = "OMG\x01"
	maxStateText = 512
)

var (
	// ErrState means bytes that are no state of a graph, or damaged ones.
	ErrState = errors.New("not a state of the graph, or damaged")
	// ErrNotEmpty means that a graph which has edges cannot take a state.
	ErrNotEmpty = errors.New("the graph has edges already")
	castagnoli  = crc32.MakeTable(crc32.Castagnoli)
)

// Encode returns the state of the graph as of the latest [Graph.Roll]: all but the latencies, flags and exemplars of the
// interval that has begun since. Roll before it where these must not be lost.
func (g *Graph) Encode() []byte {
	g.rolling.Lock()
	defer g.rolling.Unlock()
	names, ids := []string{}, map[string]uint64{}
	var body []byte
	edges := uint64(0)
	for i := range g.shards {
		s := &g.shards[i]
		s.mu.Lock()
		for _, e := range s.order {
			for _, f := range e.key.fields() {
				id, ok := ids[*f]
				if !ok {
					id = uint64(len(names))
					ids[*f] = id
					names = append(names, *f)
				}
				body = binary.AppendUvarint(body, id)
			}
			body = e.append(body)
			edges++
		}
		s.mu.Unlock()
	}
	out := append([]byte(nil), stateMagic...)
	out = binary.AppendUvarint(out, g.sequence)
	out = binary.AppendUvarint(out, uint64(len(names)))
	for _, n := range names {
		out = binary.AppendUvarint(out, uint64(len(n)))
		out = append(out, n...)
	}
	out = binary.AppendUvarint(out, edges)
	out = append(out, body...)
	return binary.BigEndian.AppendUint32(out, crc32.Checksum(out, castagnoli))
}

func (e *edge) append(b []byte) []byte {
	kind := uint64(e.key.Protocol) << 1
	if e.key.Overflow {
		kind |= 1
	}
	b = binary.AppendUvarint(b, kind)
	b = binary.AppendUvarint(b, uint64(e.first))
	b = binary.AppendUvarint(b, uint64(e.last))
	b = append(b, e.age, e.quiet)
	b = e.counted.append(b)
	b = e.base.append(b)
	for i := range e.never {
		b = binary.AppendUvarint(b, e.never[i])
		b = binary.AppendUvarint(b, e.neverBefore[i])
	}
	for _, s := range e.sides {
		switch {
		case s == nil:
			b = append(b, 0)
			continue
		case s.heard:
			b = append(b, 2)
		default:
			b = append(b, 1)
		}
		b = s.total.append(b)
	}
	if e.waiting == nil {
		return append(b, 0)
	}
	b = append(b, 1, byte(len(e.waiting.broken)))
	for _, v := range e.waiting.broken {
		b = binary.AppendUvarint(b, v)
	}
	b = append(b, byte(len(e.waiting.said)))
	for i := range e.waiting.said {
		b = e.waiting.said[i].append(b)
	}
	return e.waiting.settled.append(b)
}

func (c *counts) append(b []byte) []byte {
	for _, v := range c {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

// reader reads a state. After an error it gives zeros.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.failed, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// upTo reads a number that must not be greater than most.
func (r *reader) upTo(most uint64) uint64 {
	v := r.number()
	if v > most {
		r.failed, r.b = true, nil
		return 0
	}
	return v
}

func (r *reader) octet() byte { return r.octets(1)[0] }

func (r *reader) octets(n int) []byte {
	if n > len(r.b) {
		r.failed, r.b = true, nil
		return make([]byte, n)
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) counts(c *counts) {
	for i := range c {
		c[i] = r.number()
	}
}

// Restore takes a state into an empty graph. Edges that nobody reported since longer than Config.Expire before now, and
// those beyond Config.MaxEdges, are left out; how many is returned. With an error nothing was taken.
func (g *Graph) Restore(state []byte, now time.Time) (leftOut int, err error) {
	g.rolling.Lock()
	defer g.rolling.Unlock()
	if g.edges.Load()+g.overflow.Load() != 0 {
		return 0, ErrNotEmpty
	}
	edges, sequence, err := decode(state)
	if err != nil {
		return 0, err
	}
	g.sequence = sequence
	expired := now.Add(-g.config.Expire).Unix()
	for _, e := range edges {
		e.last = min(e.last, now.Unix())
		overflow := e.key.Overflow
		switch {
		case e.last <= expired,
			!overflow && g.edges.Load() >= int64(g.config.MaxEdges),
			overflow && g.overflow.Load() > int64(g.config.MaxEdges/8+16):
			leftOut++
			continue
		case overflow:
			g.overflow.Add(1)
		default:
			g.edges.Add(1)
		}
		s := g.lock(&e.key)
		hash := g.hash(&e.key)
		e.next = s.edges[hash]
		s.edges[hash] = e
		s.order = append(s.order, e)
		s.mu.Unlock()
	}
	return leftOut, nil
}

func decode(state []byte) ([]*edge, uint64, error) {
	if len(state) < len(stateMagic)+4 || string(state[:len(stateMagic)]) != stateMagic {
		return nil, 0, fmt.Errorf("%w: it does not begin as one of version 1", ErrState)
	}
	end := len(state) - 4
	if binary.BigEndian.Uint32(state[end:]) != crc32.Checksum(state[:end], castagnoli) {
		return nil, 0, fmt.Errorf("%w: the checksum does not fit", ErrState)
	}
	return decodeBody(state[len(stateMagic):end])
}

func decodeBody(body []byte) ([]*edge, uint64, error) {
	r := &reader{b: body}
	sequence := r.number()
	// A name has at least a byte of length, an edge far more: what is announced cannot make us allocate more than is there.
	names := make([]string, r.upTo(uint64(len(r.b))))
	for i := range names {
		names[i] = string(r.octets(int(r.upTo(maxStateText))))
	}
	edges := make([]*edge, 0, r.upTo(uint64(len(r.b))/20))
	seen := make(map[Key]struct{}, cap(edges))
	for range cap(edges) {
		e := r.edge(names)
		if r.failed {
			break
		}
		if _, twice := seen[e.key]; twice {
			return nil, 0, fmt.Errorf("%w: an edge is there twice", ErrState)
		}
		seen[e.key] = struct{}{}
		edges = append(edges, e)
	}
	if r.failed || len(r.b) != 0 {
		return nil, 0, fmt.Errorf("%w: it does not end where it should", ErrState)
	}
	return edges, sequence, nil
}

func (r *reader) edge(names []string) *edge {
	e := &edge{}
	for _, f := range e.key.fields() {
		i := r.number()
		if i >= uint64(len(names)) {
			r.failed, r.b = true, nil
			return e
		}
		*f = names[i]
	}
	kind := r.upTo(uint64(protocolCount)<<1 - 1)
	e.key.Protocol, e.key.Overflow = Protocol(kind>>1), kind&1 == 1
	e.key, _ = e.key.interned()
	e.first = int64(r.upTo(1 << 40))
	e.last = int64(r.upTo(1 << 40))
	e.age, e.quiet = r.octet(), r.octet()
	r.counts(&e.counted)
	r.counts(&e.base)
	for i := range e.never {
		e.never[i], e.neverBefore[i] = r.number(), r.number()
	}
	for i := range e.sides {
		if kind := r.octet(); kind != 0 {
			e.sides[i] = &side{heard: kind == 2}
			r.counts(&e.sides[i].total)
		}
	}
	if r.octet() == 0 {
		return e
	}
	e.waiting = &waiting{}
	for range r.octet() & 31 {
		e.waiting.broken = append(e.waiting.broken, r.number())
	}
	for range r.octet() & 31 {
		var c counts
		r.counts(&c)
		e.waiting.said = append(e.waiting.said, c)
	}
	r.counts(&e.waiting.settled)
	return e
}
