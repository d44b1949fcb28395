// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/disk/journal"
	"github.com/otelcol-mesh/otelcol-mesh/internal/source/inventory"
	"github.com/otelcol-mesh/otelcol-mesh/internal/wire"
)

const (
	// magic begins a file, and ends with the version of its frames.
	magic = "OCMJRNL1"
	// maxPayload is the longest payload: a body, two names and the numbers.
	maxPayload = inventory.MaxBodyBytes + 2*inventory.MaxStringBytes + 128
)

var (
	// None of the marker's bytes is common in what follows.
	frames     = journal.Frame{Marker: "\xF7\xA3\x1E\xC9", MaxPayload: maxPayload}
	errPayload = errors.New("the payload of a frame ends early")
)

// appendFrame appends the frame of a message. The payload is the moment it was received, the header's numbers and
// strings in their order, and the body, which takes the rest.
func appendFrame(b []byte, m *inventory.Message, received time.Time) []byte {
	begin := len(b)
	b = frames.Begin(b)
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
	return frames.End(b, begin)
}

// parsePayload returns the message of a payload. The body shares the payload's memory.
func parsePayload(b []byte) (m *inventory.Message, received time.Time, err error) {
	p := wire.Reader{B: b}
	m = &inventory.Message{}
	received = p.Time()
	m.Schema, m.Epoch, m.Sequence = int(p.Varint()), p.Varint(), p.Uvarint()
	m.Kind = inventory.Kind(p.Octet())
	m.Part, m.Parts = int(p.Varint()), int(p.Varint())
	if p.Octet() != 0 {
		m.At = p.Time()
	}
	m.Cluster, m.ClusterUID = string(p.Take(p.UpTo(inventory.MaxStringBytes))), string(p.Take(p.UpTo(inventory.MaxStringBytes)))
	if p.Bad {
		return nil, time.Time{}, errPayload
	}
	m.Body = p.B
	return m, received, nil
}
