// SPDX-License-Identifier: Apache-2.0

// Package wire reads the numbers and texts of which states, journals and stored batches are made.
package wire

import (
	"encoding/binary"
	"math"
	"time"
)

// Reader reads from the front of B, which is what is left. Once something was missing, Bad stays true, nothing is left, and
// all that is read is zero: so that who reads asks once, at the end, and before a loop that a number bounds goes on.
type Reader struct {
	B   []byte
	Bad bool
}

// Fail says that what was read cannot be right: all that follows is missing.
func (r *Reader) Fail() { r.Bad, r.B = true, nil }

// Uvarint reads an unsigned number.
func (r *Reader) Uvarint() uint64 {
	v, n := binary.Uvarint(r.B)
	if n <= 0 {
		r.Fail()
		return 0
	}
	r.B = r.B[n:]
	return v
}

// UpTo reads an unsigned number that must not be greater than most.
func (r *Reader) UpTo(most uint64) uint64 {
	v := r.Uvarint()
	if v > most {
		r.Fail()
		return 0
	}
	return v
}

// Varint reads a signed number.
func (r *Reader) Varint() int64 {
	v, n := binary.Varint(r.B)
	if n <= 0 {
		r.Fail()
		return 0
	}
	r.B = r.B[n:]
	return v
}

// Time reads a signed number of nanoseconds since 1970.
func (r *Reader) Time() time.Time { return time.Unix(0, r.Varint()).UTC() }

// Octet reads a byte.
func (r *Reader) Octet() byte {
	if len(r.B) == 0 {
		r.Fail()
		return 0
	}
	v := r.B[0]
	r.B = r.B[1:]
	return v
}

// Uint32 reads four bytes, little-endian.
func (r *Reader) Uint32() uint32 {
	b := r.Take(4)
	if b == nil {
		return 0
	}
	return binary.LittleEndian.Uint32(b)
}

// Float reads the eight bytes of a floating point number, little-endian.
func (r *Reader) Float() float64 {
	b := r.Take(8)
	if b == nil {
		return 0
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

// Take reads n bytes, which are a part of B.
func (r *Reader) Take(n uint64) []byte {
	if n > uint64(len(r.B)) {
		r.Fail()
		return nil
	}
	v := r.B[:n]
	r.B = r.B[n:]
	return v
}

// Bytes reads a length and as many bytes, which are a part of B.
func (r *Reader) Bytes() []byte { return r.Take(r.Uvarint()) }
