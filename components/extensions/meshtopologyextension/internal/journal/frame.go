// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
)

const (
	// magic begins a file, and ends with the version of its frames.
	magic = "OCMJRNL1"
	// marker begins a frame. None of its bytes is common in what follows.
	marker = "\xF7\xA3\x1E\xC9"

	headBytes = len(marker) + 2*4
	// maxPayload is the longest payload: a body, two names and the numbers.
	maxPayload = inventory.MaxBodyBytes + 2*inventory.MaxStringBytes + 128
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errPayload = errors.New("the payload of a frame ends early")
)

// appendFrame appends the frame of a message. The payload is the moment it was received, the header's numbers and
// strings in their order, and the body, which takes the rest.
func appendFrame(b []byte, m *inventory.Message, received time.Time) []byte {
	begin := len(b)
	b = append(b, marker...)
	b = append(b, make([]byte, 2*4)...)
	b = binary.AppendVarint(b, received.UnixNano())
	b = binary.AppendVarint(b, int64(m.Schema))
	b = binary.AppendVarint(b, m.Epoch)
	b = binary.AppendUvarint(b, m.Sequence)
	b = append(b, byte(m.Kind))
	b = binary.AppendVarint(b, int64(m.Part))
	b = binary.AppendVarint(b, int64(m.Parts))
	if m.At.IsZero() {
		b = append(b, 0)
	} else {
		b = binary.AppendVarint(append(b, 1), m.At.UnixNano())
	}
	for _, s := range []string{m.Cluster, m.ClusterUID} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = append(b, m.Body...)
	head := b[begin+len(marker):]
	binary.LittleEndian.PutUint32(head, uint32(len(head)-2*4))
	binary.LittleEndian.PutUint32(head[4:], checksum(head))
	return b
}

// checksum is that of the length and the payload in what follows the marker. The length is covered too, as a wrong one
// would make what it spans the payload.
func checksum(head []byte) uint32 {
	return crc32.Update(crc32.Checksum(head[:4], castagnoli), castagnoli, head[2*4:])
}

// parsePayload returns the message of a payload. The body shares the payload's memory.
func parsePayload(b []byte) (m *inventory.Message, received time.Time, err error) {
	p := payload{rest: b}
	m = &inventory.Message{}
	received = time.Unix(0, p.varint()).UTC()
	m.Schema, m.Epoch, m.Sequence = int(p.varint()), p.varint(), p.uvarint()
	m.Kind = inventory.Kind(p.byte())
	m.Part, m.Parts = int(p.varint()), int(p.varint())
	if p.byte() != 0 {
		m.At = time.Unix(0, p.varint()).UTC()
	}
	m.Cluster, m.ClusterUID = p.text(), p.text()
	if p.bad {
		return nil, time.Time{}, errPayload
	}
	m.Body = p.rest
	return m, received, nil
}

// payload reads values from the front of what is left.
type payload struct {
	rest []byte
	bad  bool
}

func (p *payload) skip(n int) {
	if n <= 0 || n > len(p.rest) {
		p.bad = true
		return
	}
	p.rest = p.rest[n:]
}

func (p *payload) varint() int64 {
	value, n := binary.Varint(p.rest)
	p.skip(n)
	return value
}

func (p *payload) uvarint() uint64 {
	value, n := binary.Uvarint(p.rest)
	p.skip(n)
	return value
}

func (p *payload) byte() byte {
	if len(p.rest) == 0 {
		p.bad = true
		return 0
	}
	value := p.rest[0]
	p.rest = p.rest[1:]
	return value
}

func (p *payload) text() string {
	length := p.uvarint()
	if length > inventory.MaxStringBytes || length > uint64(len(p.rest)) {
		p.bad = true
		return ""
	}
	value := string(p.rest[:length])
	p.rest = p.rest[length:]
	return value
}
