// SPDX-License-Identifier: Apache-2.0

package window

import (
	"encoding/binary"
	"math"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/exphist"
	"github.com/otelcol-mesh/otelcol-mesh/internal/wire"
)

// scale is that of the minutes: percentiles are off by at most 4.4 %, as long as durations are less than 1,000 times apart. One
// more would take half as much again.
const scale = 4

func newHistogram() *exphist.Histogram {
	h := exphist.New()
	h.Scale = scale
	return h
}

// appendHistogram writes a histogram in as few bytes as are simple: a minute of a service has some hundred of them.
// Counts are varints; a run of empty buckets is a 0 and its length. Nobody asks for the sum.
func appendHistogram(b []byte, h *exphist.Histogram) []byte {
	b = binary.AppendUvarint(b, h.Zero)
	if h.Zero > 0 {
		b = appendFloat(b, h.ZeroThreshold)
	}
	b = appendFloat(appendFloat(b, h.Min), h.Max)
	b = binary.AppendVarint(b, int64(h.Scale))
	b = binary.AppendVarint(b, int64(h.Offset))
	b = binary.AppendUvarint(b, uint64(len(h.Buckets)))
	for i := 0; i < len(h.Buckets); i++ {
		n := h.Buckets[i]
		b = binary.AppendUvarint(b, n)
		if n != 0 {
			continue
		}
		run := 1
		for i+1 < len(h.Buckets) && h.Buckets[i+1] == 0 {
			run++
			i++
		}
		b = binary.AppendUvarint(b, uint64(run))
	}
	return b
}

func appendFloat(b []byte, f float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
}

// readHistogram reads what appendHistogram wrote, into a buffer for the buckets that is used again. ok is false for
// anything else.
func readHistogram(b []byte, buffer []uint64) (p exphist.Points, used []uint64, ok bool) {
	r := wire.Reader{B: b}
	p.Zero = r.Uvarint()
	if p.Zero > 0 {
		p.ZeroThreshold = r.Float()
	}
	p.Min, p.Max = r.Float(), r.Float()
	p.HasExtremes = p.Min <= p.Max
	coarse, offset, size := r.Varint(), r.Varint(), r.Uvarint()
	if r.Bad || coarse < -10 || coarse > exphist.MaxScale || offset < math.MinInt32 || offset > math.MaxInt32 || size > exphist.MaxBuckets {
		return p, buffer, false
	}
	p.Scale, p.Offset = int32(coarse), int32(offset)
	counts := buffer[:0]
	for uint64(len(counts)) < size && !r.Bad {
		n, run := r.Uvarint(), uint64(1)
		if n == 0 {
			run = r.Uvarint()
		}
		if run == 0 || run > size-uint64(len(counts)) {
			return p, buffer, false
		}
		for range run {
			counts = append(counts, n)
		}
	}
	p.Counts = counts
	return p, counts, !r.Bad && len(r.B) == 0
}
