// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"encoding/binary"
	"hash/crc32"
)

const numbers = 2 * 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Frame is how a record is framed: a marker, the length of the payload, the checksum (CRC-32C) of length and payload, both 4 bytes,
// little-endian, and the payload. The marker is where reading goes on after damage, "" for none.
type Frame struct {
	Marker string
	// MaxPayload is the longest payload in bytes: what a head says beyond it is damage.
	MaxPayload int
}

// HeadBytes is how long a head is.
func (f Frame) HeadBytes() int { return len(f.Marker) + numbers }

// Begin reserves the head of a frame at the end of b. The payload is what is appended then.
func (f Frame) Begin(b []byte) []byte {
	return append(append(b, f.Marker...), make([]byte, numbers)...)
}

// End fills in the head of the frame that began at begin, whose payload is the rest of b.
func (f Frame) End(b []byte, begin int) []byte {
	head := b[begin+len(f.Marker):]
	binary.LittleEndian.PutUint32(head, uint32(len(head)-numbers))
	binary.LittleEndian.PutUint32(head[4:], checksum(head))
	return b
}

// checksum covers the length too, as a wrong one would make what it spans the payload. head begins behind the marker.
func checksum(head []byte) uint32 {
	return crc32.Update(crc32.Checksum(head[:4], castagnoli), castagnoli, head[numbers:])
}

// State is what a place of a file holds.
type State uint8

const (
	// Whole is a frame as it was written.
	Whole State = iota
	// Torn means that the file ends within the frame.
	Torn
	// Changed is a frame whose end is known and whose bytes are not those that were written, or one that has no payload.
	Changed
	// Broken is no frame: nobody can tell where the next one begins.
	Broken
)

// Read says what b begins with. payload is that of a frame that is whole. length is that of the frame with its head, as far as its
// head is there; one that is torn may go on in what was not read yet.
func (f Frame) Read(b []byte) (state State, payload []byte, length int) {
	if n := min(len(b), len(f.Marker)); string(b[:n]) != f.Marker[:n] {
		return Broken, nil, 0
	}
	if len(b) < f.HeadBytes() {
		return Torn, nil, 0
	}
	head := b[len(f.Marker):]
	n := binary.LittleEndian.Uint32(head)
	switch {
	case uint64(n) > uint64(f.MaxPayload):
		return Broken, nil, 0
	case uint64(n) > uint64(len(head)-numbers):
		return Torn, nil, f.HeadBytes() + int(n)
	}
	length = f.HeadBytes() + int(n)
	if head = head[:numbers+n]; checksum(head) != binary.LittleEndian.Uint32(head[4:]) {
		return Changed, nil, length
	}
	return Whole, head[numbers:], length
}
