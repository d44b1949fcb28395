// SPDX-License-Identifier: Apache-2.0

package meshmetricsprocessor

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
)

// seedsSize is the size of seeds on the disk, in bytes.
const seedsSize = 5 * 8

// seeds make hashes that nobody outside can foresee. They are kept with the series, whose keys are made of them; so those
// of the standard library, which end with the process, do not do.
type seeds struct {
	names, value seed
	mix          uint64
}

// newSeeds returns random ones.
func newSeeds() *seeds {
	raw := make([]byte, seedsSize)
	_, _ = rand.Read(raw) // It never fails.
	return readSeeds(raw)
}

func readSeeds(raw []byte) *seeds {
	var v [seedsSize / 8]uint64
	for i := range v {
		v[i] = binary.LittleEndian.Uint64(raw[8*i:])
	}
	return &seeds{names: seed{v[0], v[1]}, value: seed{v[2], v[3]}, mix: v[4]}
}

// encode appends what readSeeds reads.
func (s *seeds) encode(to []byte) []byte {
	for _, v := range []uint64{s.names.a, s.names.b, s.value.a, s.value.b, s.mix} {
		to = binary.LittleEndian.AppendUint64(to, v)
	}
	return to
}

// seed is that of one hash of 64 bits, made of products of 64 by 64 bits whose halves are folded.
type seed struct{ a, b uint64 }

const (
	odd1 = 0x9e3779b97f4a7c15 // the golden ratio
	odd2 = 0xd1342543de82ef95
)

// text hashes a text of any length.
func (s seed) text(t string) uint64 {
	a, b := s.a^(uint64(len(t))*odd1), s.b
	for len(t) > 16 {
		hi, lo := bits.Mul64(eight(t)^a, eight(t[8:])^b)
		a, b = hi^s.a, lo^bits.RotateLeft64(b, 23)
		t = t[16:]
	}
	var x, y uint64
	switch n := len(t); {
	case n >= 8:
		x, y = eight(t), eight(t[n-8:])
	case n >= 4:
		x, y = four(t), four(t[n-4:])
	case n > 0:
		x = uint64(t[0])<<16 | uint64(t[n/2])<<8 | uint64(t[n-1])
	}
	return s.finish(x^a, y^b)
}

// number hashes a number.
func (s seed) number(n uint64) uint64 { return s.finish(n^s.a, s.b) }

func (s seed) finish(x, y uint64) uint64 {
	hi, lo := bits.Mul64(x, y)
	hi, lo = bits.Mul64(lo^s.a^odd1, hi^s.b^odd2)
	return hi ^ lo
}

func eight(t string) uint64 {
	_ = t[7]
	return uint64(t[0]) | uint64(t[1])<<8 | uint64(t[2])<<16 | uint64(t[3])<<24 |
		uint64(t[4])<<32 | uint64(t[5])<<40 | uint64(t[6])<<48 | uint64(t[7])<<56
}

func four(t string) uint64 {
	_ = t[3]
	return uint64(t[0]) | uint64(t[1])<<8 | uint64(t[2])<<16 | uint64(t[3])<<24
}
