// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

var errNotUTF8 = errors.New(": a text is not UTF-8")

// index reads a string index. Like all readers below it ignores a field of another wire type, as protobuf does.
func (d *decoder) index(to *string, f field, name string) error {
	if f.typ != protowire.VarintType {
		return nil
	}
	// The field is a uint32: protobuf takes the lower half of a longer varint.
	i := uint32(f.value)
	if i == 0 {
		*to = ""
		return nil
	}
	if int64(i) > int64(len(d.strings)) {
		return fmt.Errorf(".%s: string %d of a table of %d", name, i, len(d.strings))
	}
	*to = d.strings[i-1]
	return nil
}

func (f field) text(to *string, name string) error {
	var b []byte
	if err := f.raw(&b, name); err != nil || f.typ != protowire.BytesType {
		return err
	}
	*to = string(b)
	return nil
}

// raw is text that is not copied yet.
func (f field) raw(to *[]byte, name string) error {
	if f.typ != protowire.BytesType {
		return nil
	}
	if err := checkText(f.bytes); err != nil {
		return fmt.Errorf(".%s%w", name, err)
	}
	*to = f.bytes
	return nil
}

func (f field) texts(to *[]string, name string) error {
	if f.typ != protowire.BytesType {
		return nil
	}
	var s string
	if err := f.text(&s, name); err != nil {
		return err
	}
	*to = append(*to, s)
	return nil
}

func (f field) bool(to *bool) error {
	if f.typ == protowire.VarintType {
		*to = f.value != 0
	}
	return nil
}

func (f field) uint32(to *uint32) error {
	if f.typ == protowire.VarintType {
		*to = uint32(f.value)
	}
	return nil
}

func (f field) uid(to *topology.UID) error {
	if f.typ != protowire.BytesType {
		return nil
	}
	if len(f.bytes) == 0 {
		*to = topology.UID{}
		return nil
	}
	if len(f.bytes) != len(to) {
		return fmt.Errorf(".uid: %d bytes instead of %d", len(f.bytes), len(to))
	}
	copy(to[:], f.bytes)
	return nil
}

func (f field) addresses(to *[]netip.Addr) error {
	if f.typ != protowire.BytesType {
		return nil
	}
	a, ok := netip.AddrFromSlice(f.bytes)
	if !ok {
		return fmt.Errorf(".addresses: %d bytes instead of 4 or 16", len(f.bytes))
	}
	*to = append(*to, a.Unmap())
	return nil
}

func (f field) prefixes(to *[]netip.Prefix) error {
	if f.typ != protowire.BytesType {
		return nil
	}
	var prefix netip.Prefix
	if n := len(f.bytes) - 1; n > 0 {
		if a, ok := netip.AddrFromSlice(f.bytes[:n]); ok {
			prefix = netip.PrefixFrom(a, int(f.bytes[n]))
		}
	}
	if !prefix.IsValid() {
		return fmt.Errorf(".pod_cidrs: % x is no address with a number of bits", f.bytes[:min(len(f.bytes), 20)])
	}
	*to = append(*to, prefix)
	return nil
}

// ports reads ports, packed or one at a time.
func (f field) ports(to *[]uint16) error {
	b := f.bytes
	switch f.typ {
	case protowire.VarintType:
		b = protowire.AppendVarint(nil, f.value)
	case protowire.BytesType:
	default:
		return nil
	}
	for len(b) > 0 {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return fmt.Errorf(".ports: %w", protowire.ParseError(n))
		}
		port, err := asPort(v)
		if err != nil {
			return fmt.Errorf(".ports: %w", err)
		}
		*to = append(*to, port)
		b = b[n:]
	}
	return nil
}

func asPort(v uint64) (uint16, error) {
	if v > math.MaxUint16 {
		return 0, fmt.Errorf("%d is no port", v)
	}
	return uint16(v), nil
}

// moment is a time in milliseconds after another one.
type moment struct {
	ms  int64
	set bool
}

func (f field) moment(to *moment) error {
	if f.typ == protowire.VarintType {
		*to = moment{protowire.DecodeZigZag(f.value), true}
	}
	return nil
}

// maxMilli bounds a time in a message: what fits into Unix nanoseconds, on either side of 1970.
const maxMilli = math.MaxInt64 / int64(time.Millisecond)

// bounds returns two moments, of which the second is relative to the first.
func (d *decoder) bounds(from, to moment, name string) (first, second time.Time, err error) {
	base := d.base
	if from.set {
		if from.ms < -maxMilli || from.ms > maxMilli || abs(base+from.ms) > maxMilli {
			return first, second, fmt.Errorf(".%s: out of range", name)
		}
		base += from.ms
		first = time.UnixMilli(base).UTC()
	}
	if to.set {
		if to.ms < -maxMilli || to.ms > maxMilli || abs(base+to.ms) > maxMilli {
			return first, second, fmt.Errorf(".%s: the end is out of range", name)
		}
		second = time.UnixMilli(base + to.ms).UTC()
	}
	return first, second, nil
}

func abs(v int64) int64 {
	if v < 0 {
		return -v
	}
	return v
}
