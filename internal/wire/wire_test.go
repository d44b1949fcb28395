// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func written() []byte {
	b := binary.AppendUvarint(nil, 300)
	b = binary.AppendVarint(b, -7)
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(1.5))
	b = append(binary.LittleEndian.AppendUint32(b, 9), 'x')
	b = binary.AppendVarint(b, -1)
	return append(binary.AppendUvarint(b, 4), "cart"...)
}

func TestReadsWhatWasWritten(t *testing.T) {
	r := Reader{B: written()}
	assert.Equal(t, uint64(300), r.Uvarint())
	assert.Equal(t, int64(-7), r.Varint())
	assert.InDelta(t, 1.5, r.Float(), 0)
	assert.Equal(t, uint32(9), r.Uint32())
	assert.Equal(t, byte('x'), r.Octet())
	assert.Equal(t, time.Unix(0, -1).UTC(), r.Time())
	assert.Equal(t, "cart", string(r.Bytes()))
	assert.Empty(t, r.Take(0))
	assert.False(t, r.Bad)
	assert.Empty(t, r.B)
}

// TestWhatIsMissingStaysMissing cuts the bytes everywhere: what is there is read, and everything after is zero.
func TestWhatIsMissingStaysMissing(t *testing.T) {
	whole := written()
	for n := range whole {
		r := Reader{B: whole[:n]}
		r.Uvarint()
		r.Varint()
		r.Float()
		r.Uint32()
		r.Octet()
		r.Time()
		r.Bytes()
		assert.True(t, r.Bad, "%d bytes", n)
		assert.Zero(t, r.Uvarint())
		assert.Zero(t, r.Varint())
		assert.Zero(t, r.Float())
		assert.Zero(t, r.Uint32())
		assert.Zero(t, r.Octet())
		assert.Zero(t, r.UpTo(1))
		assert.Empty(t, r.Take(1))
		assert.Empty(t, r.Bytes())
	}
}

func TestANumberThatIsTooGreatIsNone(t *testing.T) {
	r := Reader{B: written()}
	assert.Equal(t, uint64(300), r.UpTo(300))
	r = Reader{B: written()}
	assert.Zero(t, r.UpTo(299))
	assert.True(t, r.Bad)
	assert.Empty(t, r.B)
}
