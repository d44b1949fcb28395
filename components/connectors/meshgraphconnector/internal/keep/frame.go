// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/otelcol-mesh/otelcol-mesh/internal/disk/journal"
)

const (
	// magic begins a file, and ends with the version of its frames.
	magic = "OMGJRNL1"

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

// ErrFrame means a payload that does not say what it should.
var ErrFrame = errors.New("a record of the journal cannot be read")

var frames = journal.Frame{MaxPayload: maxPayload}

// beginFrame begins a frame at the end of b.
func beginFrame(b []byte, k kind) []byte { return append(frames.Begin(b), byte(k)) }

func appendFloat(b []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
}
