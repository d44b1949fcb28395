// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"encoding/binary"
	"math"
	"math/bits"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// ID tells data points apart: 128 bits over resource, scope, metric, attributes in any order, both times to the nanosecond
// and all values. A point that comes again after a restart, of the sender or of the hub, has the same ID, if the hub
// was given the same seed. What the hub's topology adds (regions, networks, principals, how it knows) is left out, because
// it may know more the next time.
type ID [16]byte

// sum128 is a hash while it is made.
type sum128 struct{ hi, lo uint64 }

// Odd constants without a pattern, as in SplitMix64 and wyhash.
const (
	mix1 = 0x9e3779b97f4a7c15
	mix2 = 0xbf58476d1ce4e5b9
	mix3 = 0x94d049bb133111eb
)

func mul(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// fold adds a number to a hash in order.
func (s sum128) fold(v uint64) sum128 {
	return sum128{mul(s.hi^v^mix1, bits.RotateLeft64(s.lo, 23)^mix2), mul(s.lo^v^mix3, bits.RotateLeft64(s.hi, 41)^mix1)}
}

func (s sum128) join(o sum128) sum128 { return s.fold(o.hi).fold(o.lo) }

// plus adds hashes in any order.
func (s sum128) plus(o sum128) sum128 { return sum128{s.hi + o.hi, s.lo + o.lo} }

// text adds a text to a hash.
func (s sum128) text(t string) sum128 {
	n := uint64(len(t))
	for ; len(t) > 8; t = t[8:] {
		s = s.fold(word(t[:8]))
	}
	var last uint64
	for i := len(t) - 1; i >= 0; i-- {
		last = last<<8 | uint64(t[i])
	}
	return s.fold(last).fold(n)
}

func word(t string) uint64 {
	_ = t[7]
	return uint64(t[0]) | uint64(t[1])<<8 | uint64(t[2])<<16 | uint64(t[3])<<24 |
		uint64(t[4])<<32 | uint64(t[5])<<40 | uint64(t[6])<<48 | uint64(t[7])<<56
}

func (s sum128) float(v float64) sum128 { return s.fold(math.Float64bits(v)) }

func (s sum128) id() (id ID) {
	s = s.fold(mix1)
	binary.BigEndian.PutUint64(id[:8], s.hi)
	binary.BigEndian.PutUint64(id[8:], s.lo)
	return id
}

// hasher hashes under a seed.
type hasher struct{ seed sum128 }

func newHasher(seed [16]byte) hasher {
	return hasher{seed: sum128{binary.LittleEndian.Uint64(seed[:8]), binary.LittleEndian.Uint64(seed[8:])}.fold(mix2)}
}

// attribute hashes a key and its value. A key that is read is hashed by its number, which saves half of the time.
func (h *hasher) attribute(f field, key string, value pcommon.Value) sum128 {
	var s sum128
	if f == other || f == calledName {
		s = h.seed.text(key)
	} else {
		s = h.seed.fold(uint64(f) | 1<<63)
	}
	return s.value(value)
}

func (s sum128) value(v pcommon.Value) sum128 {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return s.text(v.Str())
	case pcommon.ValueTypeInt:
		return s.fold(1).fold(uint64(v.Int()))
	case pcommon.ValueTypeBool:
		if v.Bool() {
			return s.fold(2)
		}
		return s.fold(3)
	case pcommon.ValueTypeDouble:
		return s.fold(4).float(v.Double())
	case pcommon.ValueTypeEmpty:
		return s.fold(5)
	default:
		return s.fold(6).text(v.AsString())
	}
}

// resource hashes what tells senders apart. The hub's topology may add the place, so that is left out.
func (h *hasher) resource(attrs pcommon.Map) sum128 {
	var s sum128
	for key, value := range attrs.All() {
		if strings.HasPrefix(key, "cloud.") || key == "k8s.node.name" {
			continue
		}
		s = s.plus(h.attribute(other, key, value))
	}
	return h.seed.join(s)
}
