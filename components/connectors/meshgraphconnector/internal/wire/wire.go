// SPDX-License-Identifier: Apache-2.0

// Package wire reads the numbers and texts of which the connector's states are made.
package wire

import (
	"encoding/binary"
	"math"
)

// Reader reads from the front of B, which is what is left. Once something was missing, Bad stays true, nothing is left, and
// all that is read is zero: so that who reads asks once, at the end, and before a loop that a number bounds goes on.
type Reader struct {
	B   []byte
	Bad bool
}

func (r *Reader) fail() { r.Bad, r.B = true, nil }

// Uvarint reads an unsigned number.
func (r *Reader) Uvarint() uint64 {
	v, n := binary.Uvarint(r.B)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.B = r.B[n:]
	return v
}

// Varint reads a signed number.
func (r *Reader) Varint() int64 {
	v, n := binary.Varint(r.B)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.B = r.B[n:]
	return v
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
		r.fail()
		return nil
	}
	v := r.B[:n]
	r.B = r.B[n:]
	return v
}

// Bytes reads a length and as many bytes, which are a part of B.
func (r *Reader) Bytes() []byte { return r.Take(r.Uvarint()) }
