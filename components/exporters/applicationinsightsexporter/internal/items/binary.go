// SPDX-License-Identifier: Apache-2.0

package items

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/otelcol-mesh/otelcol-mesh/internal/wire"
)

// The stored form of a batch, version 1. Numbers are little endian, "varint" is that of encoding/binary.
//
//	byte     version, 1
//	uint32   CRC-32C of all bytes of the head that follow
//	uvarint  length of the head that follows
//	head:    varint accepted, as nanoseconds since 1970, 0 if unknown; uvarint number of blocks; per block:
//	         uvarint items, uvarint bytes of text, uvarint bytes stored, uint32 CRC-32C of the bytes stored
//	blocks:  uvarint length of the index; the index; the texts as one zstd frame
//	index:   per item: uvarint bytes of text, varint time since that of the item before, in ns, byte kind with 0x80 for
//	         derived and the strikes in 0x70, byte reject
//
// A block has its own checksum so that one that is damaged leaves the others readable.
const (
	version1 = 1

	// blockText is the size of text at which a block ends. Small enough that damage costs few items, large enough that
	// items share what they have in common.
	blockText  = 256 << 10
	derivedBit = 0x80
	// strikesShift and MaxStrikes say where the strikes are; the kind has the four bits below.
	strikesShift = 4
	kindBits     = 0x0f
	minHead      = 1 + 4 + 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// Encoder and decoder are safe for concurrent use in the one-shot form and keep their buffers.
var (
	compressor = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false),
			zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(blockText))
		if err != nil {
			panic(err) // The options are constants.
		}
		return e
	})
	decompressor = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(MaxText), zstd.WithDecoderLowmem(true),
			zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			panic(err) // The options are constants.
		}
		return d
	})
)

// Damage is a part of a stored batch that cannot be read.
type Damage struct {
	// Raw is the part as it was stored. It belongs to the bytes that were read.
	Raw []byte
	// Items is how many items it held; 0 if that is not known.
	Items int
	// Err says what is wrong.
	Err error
}

// MarshalBinary returns the stored form, which [Decode] reads. It returns no error.
func (b *Batch) MarshalBinary() ([]byte, error) {
	type block struct{ from, to, size int }
	var blocks []block
	from := 0
	for i := range b.entries {
		if size := int(b.entries[i].end - b.start(from)); size >= blockText || i == len(b.entries)-1 {
			blocks = append(blocks, block{from: from, to: i + 1, size: size})
			from = i + 1
		}
	}
	// The texts shrink to a fifth or less as a rule.
	body := make([]byte, 0, len(b.text)/4+16*len(b.entries))
	head := binary.AppendVarint(make([]byte, 0, 16+24*len(blocks)), unixNano(b.accepted))
	head = binary.AppendUvarint(head, uint64(len(blocks)))
	for _, k := range blocks {
		start := len(body)
		body = b.appendBlock(body, k.from, k.to)
		head = binary.AppendUvarint(head, uint64(k.to-k.from))
		head = binary.AppendUvarint(head, uint64(k.size))
		head = binary.AppendUvarint(head, uint64(len(body)-start))
		head = binary.LittleEndian.AppendUint32(head, checksum(body[start:]))
	}
	out := make([]byte, 5, minHead+binary.MaxVarintLen32+len(head)+len(body))
	out[0] = version1
	out = binary.AppendUvarint(out, uint64(len(head)))
	out = append(out, head...)
	binary.LittleEndian.PutUint32(out[1:], checksum(out[5:]))
	return append(out, body...), nil
}

func (b *Batch) appendBlock(body []byte, from, to int) []byte {
	index := make([]byte, 0, 12*(to-from))
	before := int64(0)
	for i := from; i < to; i++ {
		e := &b.entries[i]
		index = binary.AppendUvarint(index, uint64(e.end-b.start(i)))
		index = binary.AppendVarint(index, e.nanos-before)
		before = e.nanos
		kind := byte(e.kind)&kindBits | e.strikes<<strikesShift
		if e.derived {
			kind |= derivedBit
		}
		index = append(index, kind, byte(e.reject))
	}
	body = binary.AppendUvarint(body, uint64(len(index)))
	body = append(body, index...)
	return compressor().EncodeAll(b.text[b.start(from):b.entries[to-1].end], body)
}

// unixNano is 0 for the zero time.
func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

var (
	errChecksum = errors.New("the checksum is wrong")
	errCut      = errors.New("the end is missing")
	errContent  = errors.New("the content is not what the index says")
)

// Decode reads the stored form of a batch, of this version or of any before. What is damaged is left out of the batch and
// returned apart; the batch then holds everything else, or nothing.
func Decode(stored []byte) (*Batch, []Damage) {
	if len(stored) < minHead {
		return &Batch{}, []Damage{{Raw: stored, Err: errCut}}
	}
	if stored[0] != version1 {
		return &Batch{}, []Damage{{Raw: stored, Err: fmt.Errorf("version %d is not known", stored[0])}}
	}
	head, body, err := splitHead(stored)
	if err != nil {
		return &Batch{}, []Damage{{Raw: stored, Err: err}}
	}
	r := wire.Reader{B: head}
	b := &Batch{}
	if accepted := r.Varint(); accepted != 0 {
		b.accepted = time.Unix(0, accepted)
	}
	blocks := r.Uvarint()
	var damages []Damage
	for ; blocks > 0 && !r.Bad; blocks-- {
		items, size, length := r.Uvarint(), r.Uvarint(), r.Uvarint()
		sum := r.Uint32()
		if r.Bad {
			break
		}
		part := body[:min(length, uint64(len(body)))]
		body = body[len(part):]
		if err := b.readBlock(part, items, size, length, sum); err != nil {
			damages = append(damages, Damage{Raw: part, Items: int(min(items, math.MaxInt32)), Err: err})
		}
	}
	if r.Bad || len(r.B) > 0 || len(body) > 0 {
		damages = append(damages, Damage{Raw: stored, Err: errContent})
	}
	return b, damages
}

func splitHead(stored []byte) (head, body []byte, err error) {
	length, n := binary.Uvarint(stored[5:])
	if n <= 0 || length > uint64(len(stored)-5-n) {
		return nil, nil, errCut
	}
	end := 5 + n + int(length)
	if checksum(stored[5:end]) != binary.LittleEndian.Uint32(stored[1:]) {
		return nil, nil, errChecksum
	}
	return stored[5+n : end], stored[end:], nil
}

// readBlock appends the items of one block, or nothing if there is an error.
func (b *Batch) readBlock(part []byte, items, size, length uint64, sum uint32) error {
	switch {
	case uint64(len(part)) < length:
		return errCut
	case checksum(part) != sum:
		return errChecksum
	}
	r := wire.Reader{B: part}
	indexLength := r.Uvarint()
	// Each item has at least four bytes in the index.
	if r.Bad || indexLength > uint64(len(r.B)) || items > indexLength/4 || size > MaxText || uint64(len(b.text))+size > MaxText {
		return errContent
	}
	index := wire.Reader{B: r.B[:indexLength]}
	// The decoder stops where the room ends, whatever the frame says of itself.
	room := slices.Grow(b.text, int(size))
	text, err := decompressor().DecodeAll(r.B[indexLength:], room[:len(b.text):len(b.text)+int(size)])
	if err != nil {
		return err
	}
	if uint64(len(text)-len(b.text)) != size {
		return errContent
	}
	entries, sources, ok := readEntries(&index, b.entries, int(items), uint64(len(b.text)), uint64(len(text)))
	if !ok {
		return errContent
	}
	b.text, b.entries, b.sources = text, entries, b.sources+sources
	return nil
}

// readEntries appends that many entries, whose texts lie between start and end and fill it.
func readEntries(r *wire.Reader, to []entry, items int, start, end uint64) (all []entry, sources int, ok bool) {
	before := int64(0)
	for range items {
		length := r.Uvarint()
		before += r.Varint()
		kind, reject := r.Octet(), r.Octet()
		if r.Bad || length > end-start {
			return nil, 0, false
		}
		start += length
		derived := kind&derivedBit != 0
		if !derived {
			sources++
		}
		to = append(to, entry{
			end: uint32(start), nanos: before, kind: Kind(kind & kindBits), derived: derived, reject: Reject(reject),
			strikes: kind >> strikesShift & MaxStrikes,
		})
	}
	return to, sources, start == end && len(r.B) == 0
}
