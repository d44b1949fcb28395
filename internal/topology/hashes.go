// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
)

// seeds make the hashes of this process: whoever writes an inventory must not choose where its entries fall.
type seeds struct {
	names maphash.Seed
	// a, b and c are odd.
	a, b, c uint64
}

func newSeeds() *seeds {
	// Not from a generator that its output gives away: the top-level functions of math/rand/v2 are seeded by the system.
	return &seeds{names: maphash.MakeSeed(), a: rand.Uint64() | 1, b: rand.Uint64() | 1, c: rand.Uint64() | 1}
}

// mix is a hash of two words by two wide multiplications. An address is two words, and a general hash of bytes takes
// half as long again as everything else of a look-up that misses no cache.
func (s *seeds) mix(x, y uint64) uint64 {
	high, low := bits.Mul64(x^s.a, y^s.b)
	high, low = bits.Mul64(high^low^x, s.c)
	return high ^ low
}

func hashAddress(seeds *seeds, address [16]byte) uint64 {
	return seeds.mix(binary.BigEndian.Uint64(address[:8]), binary.BigEndian.Uint64(address[8:]))
}

func hashName(seeds *seeds, namespace, name string) uint64 {
	return maphash.String(seeds.names, name) ^ bits.RotateLeft64(maphash.String(seeds.names, namespace), 31)
}

// hashBits says of a hash that it is surely not among those that were added, or that it may be. It spares most look-ups
// the visit of a table in which they find nothing.
type hashBits []uint64

// bitsEach is how many bits an entry has: one in so many strangers is not told apart.
const bitsEach = 16

// bitsOf returns the bits of all keys of a table.
func bitsOf[T any](t *table[T]) hashBits {
	if t.n == 0 {
		return nil
	}
	b := make(hashBits, 1<<bits.Len(uint(t.n*bitsEach/64)))
	for v := range t.all() {
		t.hashes(v, func(hash uint64) { b[hash>>6&uint64(len(b)-1)] |= 1 << (hash & 63) })
	}
	return b
}

func (b hashBits) may(hash uint64) bool {
	return len(b) > 0 && b[hash>>6&uint64(len(b)-1)]&(1<<(hash&63)) != 0
}

// The keys under which entries stand in their tables.

func (w *Writer) nameOfPod(p *Pod, yield func(uint64)) {
	yield(hashName(w.seeds, p.Workload.Namespace, p.Name))
}

func (w *Writer) nameOfWorkload(l *Workload, yield func(uint64)) {
	yield(hashName(w.seeds, l.Namespace, l.Name))
}

func (w *Writer) nameOfNode(n *Node, yield func(uint64)) { yield(hashName(w.seeds, "", n.Name)) }

func (w *Writer) nameOfService(s *Service, yield func(uint64)) {
	yield(hashName(w.seeds, s.Namespace, s.Name))
}

func (w *Writer) addressesOfPod(p *Pod, yield func(uint64)) {
	for a := range p.each {
		yield(hashAddress(w.seeds, a))
	}
}

func (w *Writer) addressesOfNode(n *Node, yield func(uint64)) {
	for _, a := range n.addresses {
		yield(hashAddress(w.seeds, a.As16()))
	}
}

func (w *Writer) addressesOfService(s *Service, yield func(uint64)) {
	for _, a := range s.spec.Addresses {
		yield(hashAddress(w.seeds, a.As16()))
	}
}
