// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"
)

// The state is a header, a table of names, the edges, and a checksum:
//
//	"OMG" version  sequence  clock  resume  count of names  {length name}  count of edges  {edge}  CRC-32C of all before, big endian
//
// Numbers are unsigned varints. The parts of an edge are in the order in which they are written below.
const (
	stateMagic   = "OMG"
	stateVersion = 2
	maxStateText = max(MaxText, maxIdentity)
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
	names := nameTable{ids: map[string]uint64{}}
	var body []byte
	edges := uint64(0)
	for i := range g.shards {
		s := &g.shards[i]
		s.mu.Lock()
		for _, e := range s.order {
			for _, f := range e.key.fields() {
				body = names.append(body, *f)
			}
			body = e.append(body, &names)
			edges++
		}
		s.mu.Unlock()
	}
	out := append([]byte(stateMagic), stateVersion)
	out = binary.AppendUvarint(out, g.sequence)
	out = binary.AppendUvarint(out, uint64(g.clock))
	out = appendSeconds(out, g.resume.Unix())
	out = binary.AppendUvarint(out, uint64(len(names.names)))
	for _, n := range names.names {
		out = binary.AppendUvarint(out, uint64(len(n)))
		out = append(out, n...)
	}
	out = binary.AppendUvarint(out, edges)
	out = append(out, body...)
	return binary.BigEndian.AppendUint32(out, crc32.Checksum(out, castagnoli))
}

// nameTable gives each name a number.
type nameTable struct {
	names []string
	ids   map[string]uint64
}

func (t *nameTable) append(b []byte, name string) []byte {
	id, ok := t.ids[name]
	if !ok {
		id = uint64(len(t.names))
		t.ids[name] = id
		t.names = append(t.names, name)
	}
	return binary.AppendUvarint(b, id)
}

const (
	stateRolled = 1 << iota
	stateLeveled
	stateEarly
)

func (e *edge) append(b []byte, names *nameTable) []byte {
	kind := uint64(e.key.Protocol) << 1
	if e.key.Overflow {
		kind |= 1
	}
	b = binary.AppendUvarint(b, kind)
	b = appendSeconds(b, e.first)
	b = appendSeconds(b, e.last)
	marks := byte(0)
	if e.rolled {
		marks |= stateRolled
	}
	if e.leveled {
		marks |= stateLeveled
	}
	if e.early != (early{}) {
		marks |= stateEarly
	}
	b = append(b, marks)
	if marks&stateEarly != 0 {
		b = e.early.append(b)
	}
	b = binary.AppendUvarint(b, uint64(e.born))
	b = binary.AppendUvarint(b, uint64(e.spokeAt))
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
	b = e.waiting.append(b)
	b = e.past.append(b)
	b = e.identities.append(b, names)
	return e.plaintext.append(b)
}

func (w *waiting) append(b []byte) []byte {
	if w == nil {
		return append(b, 0)
	}
	b = append(b, 1, byte(len(w.open)))
	for _, m := range w.open {
		b = binary.AppendUvarint(b, uint64(m.at))
		for _, v := range m.least {
			b = binary.AppendUvarint(b, v)
		}
	}
	blind := byte(0)
	if w.blind {
		blind = 1
	}
	b = appendSaid(append(b, blind), w.said)
	for _, shown := range w.shown {
		b = appendSaid(b, shown)
	}
	return w.settled.append(b)
}

func appendSaid(b []byte, said []saidMark) []byte {
	b = append(b, byte(len(said)))
	for i := range said {
		b = binary.AppendUvarint(b, uint64(said[i].at))
		b = said[i].total.append(b)
	}
	return b
}

func (x *identities) append(b []byte, names *nameTable) []byte {
	if x == nil {
		return append(b, 0)
	}
	b = append(b, byte(1+len(x.list)))
	b = binary.AppendUvarint(b, x.other)
	for i := range x.list {
		k := &x.list[i]
		b = names.append(append(b, byte(k.end)), k.principal)
		for _, n := range k.requests {
			b = binary.AppendUvarint(b, n)
		}
		b = appendSeconds(b, k.first)
		b = appendSeconds(b, k.last)
	}
	return b
}

func (p *Plaintext) append(b []byte) []byte {
	if p == nil {
		return append(b, 0)
	}
	reporters := byte(0)
	for _, r := range p.Reporters {
		reporters |= 1 << r
	}
	b = append(b, reporters)
	b = appendSeconds(b, p.First.Unix())
	return appendSeconds(b, p.Last.Unix())
}

// appendSeconds writes a time of day. A clock before 1970 is none.
func appendSeconds(b []byte, t int64) []byte { return binary.AppendUvarint(b, uint64(max(t, 0))) }

func (c *counts) append(b []byte) []byte {
	for _, v := range c {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

// Restore takes a state into an empty graph. Edges that nobody reported since longer than Config.Expire before now, and
// those beyond Config.MaxEdges, are left out; how many is returned. With an error nothing was taken.
func (g *Graph) Restore(state []byte, now time.Time) (leftOut int, err error) {
	g.rolling.Lock()
	defer g.rolling.Unlock()
	if g.edges.Load()+g.overflow.Load() != 0 {
		return 0, ErrNotEmpty
	}
	edges, sequence, clock, resume, err := decode(state)
	if err != nil {
		return 0, err
	}
	g.sequence, g.clock, g.resume = sequence, clock, resume
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
