// SPDX-License-Identifier: Apache-2.0

package queuestorageextension

import (
	"errors"
	"slices"
	"strconv"

	"go.opentelemetry.io/collector/component"
	"google.golang.org/protobuf/encoding/protowire"
)

// The keys and the bookkeeping of exporterhelper's persistent queue, v0.161.0: an item is stored under its number in
// decimal, everything else under metadataKey as PersistentMetadata, meta.proto of its package internal/queue. Versions
// before v0.134 had three keys instead.
const (
	metadataKey       = "qmv0"
	legacyReadKey     = "ri"
	legacyWriteKey    = "wi"
	legacyDispatchKey = "di"
)

var errMetadata = errors.New("the queue's bookkeeping is not readable")

// isQueue says whether a storage belongs to an exporter's queue, which names it after its signal.
func isQueue(kind component.Kind, name string) bool {
	return kind == component.KindExporter && slices.Contains([]string{"traces", "metrics", "logs", "profiles"}, name)
}

// itemNumber returns the number of an item's key, and whether the key is one.
func itemNumber(key string) (uint64, bool) {
	if key == "" || len(key) > 1 && key[0] == '0' || key[0] < '0' || key[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseUint(key, 10, 64)
	return n, err == nil
}

func itemKey(number uint64) string { return strconv.FormatUint(number, 10) }

// bookkeeping is what a queue knows of itself: items with read <= number < write wait, those in dispatched are being sent.
type bookkeeping struct {
	items, bytes uint64
	read, write  uint64
	dispatched   []uint64
}

func (b *bookkeeping) covers(number uint64) bool {
	return number >= b.read && number < b.write || slices.Contains(b.dispatched, number)
}

// Field numbers of PersistentMetadata.
const (
	fieldItems = iota + 1
	fieldBytes
	fieldRead
	fieldWrite
	fieldDispatched
)

func (b *bookkeeping) encode() []byte {
	var out []byte
	for field, value := range []uint64{fieldItems: b.items, fieldBytes: b.bytes, fieldRead: b.read, fieldWrite: b.write} {
		if value != 0 {
			out = protowire.AppendTag(out, protowire.Number(field), protowire.Fixed64Type)
			out = protowire.AppendFixed64(out, value)
		}
	}
	if len(b.dispatched) > 0 {
		out = protowire.AppendTag(out, fieldDispatched, protowire.BytesType)
		out = protowire.AppendVarint(out, uint64(8*len(b.dispatched)))
		for _, number := range b.dispatched {
			out = protowire.AppendFixed64(out, number)
		}
	}
	return out
}

// decodeBookkeeping reads a PersistentMetadata. Fields that it does not know are passed over: the queue reads them.
func decodeBookkeeping(data []byte) (*bookkeeping, error) {
	b := &bookkeeping{}
	for len(data) > 0 {
		field, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return nil, errMetadata
		}
		data = data[n:]
		switch {
		case kind == protowire.Fixed64Type && field >= fieldItems && field <= fieldDispatched:
			value, n := protowire.ConsumeFixed64(data)
			if n < 0 {
				return nil, errMetadata
			}
			data = data[n:]
			b.set(field, value)
		case kind == protowire.BytesType && field == fieldDispatched:
			packed, n := protowire.ConsumeBytes(data)
			if n < 0 || len(packed)%8 != 0 {
				return nil, errMetadata
			}
			data = data[n:]
			for len(packed) > 0 {
				value, n := protowire.ConsumeFixed64(packed)
				b.dispatched, packed = append(b.dispatched, value), packed[n:]
			}
		default:
			n := protowire.ConsumeFieldValue(field, kind, data)
			if n < 0 {
				return nil, errMetadata
			}
			data = data[n:]
		}
	}
	if b.read > b.write {
		return nil, errMetadata
	}
	return b, nil
}

func (b *bookkeeping) set(field protowire.Number, value uint64) {
	switch field {
	case fieldItems:
		b.items = value
	case fieldBytes:
		b.bytes = value
	case fieldRead:
		b.read = value
	case fieldWrite:
		b.write = value
	default:
		b.dispatched = append(b.dispatched, value)
	}
}

// maxGap is how many numbers without an item a queue may have to step over. It takes about a microsecond for each.
const maxGap = 1 << 20

// rebuild returns bookkeeping that covers all items with the given numbers, which it sorts. What is before a gap that is
// too wide to step over is dispatched again at the start, as is what was being sent.
func rebuild(numbers []uint64, bytes uint64) *bookkeeping {
	b := &bookkeeping{items: uint64(len(numbers)), bytes: bytes}
	if len(numbers) == 0 {
		return b
	}
	slices.Sort(numbers)
	first := len(numbers) - 1
	for first > 0 && numbers[first]-numbers[first-1] <= maxGap {
		first--
	}
	b.dispatched = slices.Clone(numbers[:first])
	b.read, b.write = numbers[first], numbers[len(numbers)-1]+1
	return b
}

// adopt returns bookkeeping that also covers those of the given numbers, sorted, that this one does not, and how many they
// are. No number is covered twice, and the next item overwrites none.
func (b *bookkeeping) adopt(numbers []uint64, bytes uint64) (*bookkeeping, int) {
	var below, above []uint64
	for _, number := range numbers {
		switch {
		case b.covers(number):
		case number < b.read:
			below = append(below, number)
		default:
			above = append(above, number)
		}
	}
	adopted := len(below) + len(above)
	if adopted == 0 {
		return b, 0
	}
	if n := len(above); n > 0 && above[n-1]-b.write > maxGap {
		return rebuild(numbers, bytes), adopted
	}
	after := *b
	after.items += uint64(adopted)
	after.bytes = max(after.bytes, bytes)
	if n := len(above); n > 0 {
		after.write = above[n-1] + 1
	}
	for len(below) > 0 && after.read-below[len(below)-1] <= maxGap {
		after.read = below[len(below)-1]
		below = below[:len(below)-1]
	}
	after.dispatched = slices.DeleteFunc(append(slices.Clone(b.dispatched), below...),
		func(number uint64) bool { return number >= after.read && number < after.write })
	return &after, adopted
}
