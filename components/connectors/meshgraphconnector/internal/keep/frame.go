// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"time"
)

const (
	// magic begins a file, and ends with the version of its frames.
	magic = "OMGJRNL1"

	headBytes = 8
	// maxPayload is the longest payload. Batches are cut long before.
	maxPayload = 16 << 20
)

// kind is what a frame is.
type kind byte

const (
	kindPoints kind = 1 + iota
	kindRoll
	kindFlush
	kindSent
	kindEvents
	kindEventsSent
	kindHold
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	// ErrFrame means a payload that does not say what it should.
	ErrFrame = errors.New("a record of the journal cannot be read")
)

// beginFrame reserves the head of a frame at the end of b.
func beginFrame(b []byte, k kind) []byte {
	return append(b, 0, 0, 0, 0, 0, 0, 0, 0, byte(k))
}

// endFrame fills in the head of the frame that began at begin.
func endFrame(b []byte, begin int) []byte {
	frame := b[begin:]
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)-headBytes))
	binary.LittleEndian.PutUint32(frame[4:], checksum(frame))
	return b
}

// checksum covers the length too, as a wrong one would make what it spans the payload.
func checksum(frame []byte) uint32 {
	return crc32.Update(crc32.Checksum(frame[:4], castagnoli), castagnoli, frame[headBytes:])
}

// reader reads values from the front of what is left. After an error it gives zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() { r.bad, r.b = true, nil }

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// upTo reads a number that must not be greater than most.
func (r *reader) upTo(most uint64) uint64 {
	v := r.number()
	if v > most {
		r.fail()
		return 0
	}
	return v
}

func (r *reader) signed() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) octet() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) octets(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) float() float64 {
	if b := r.octets(8); b != nil {
		return math.Float64frombits(binary.LittleEndian.Uint64(b))
	}
	return 0
}

func (r *reader) time() time.Time { return time.Unix(0, r.signed()).UTC() }

func appendFloat(b []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
}
