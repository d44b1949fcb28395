// SPDX-License-Identifier: Apache-2.0

package otlpwalk

import "math/bits"

// Wire types of https://protobuf.dev/programming-guides/encoding/.
const (
	wireVarint     = 0
	wireFixed64    = 1
	wireLen        = 2
	wireStartGroup = 3
	wireEndGroup   = 4
	wireFixed32    = 5
)

// Proto walks a request in protobuf's wire format. It refuses what pdata refuses, and a request over a limit at the first
// one; the counts are then those up to there.
func (w *Walker) Proto(signal Signal, request []byte, limits *Counts) (Counts, *Violation) {
	w.reset(limits)
	root := signal.root()
	if root == mNone {
		w.malformed()
		return w.result(false)
	}
	return w.result(w.message(root, request, 0))
}

func (w *Walker) message(m message, b []byte, depth int64) bool {
	known := &schema[m]
	pairs := w.before
	w.before = 0
	for len(b) > 0 {
		tag, n := uint64(b[0]), 1
		if tag >= 0x80 {
			if tag, n = varint(b); n == 0 {
				return w.malformed()
			}
		}
		b = b[n:]
		number, wire := int32(uint32(tag>>3)), tag&7 //nolint:gosec // cut as pdata cuts it
		if number <= 0 {
			return w.malformed()
		}
		f := lookup(known, m, number)
		if f == nil || f.kind == kUnknown {
			if n = skip(b, wire); n < 0 {
				return w.malformed()
			}
			b = b[n:]
			continue
		}
		if wire != wireLen {
			if f.kind == kFixed64 && wire == wireFixed64 && f.cost == 0 && len(b) >= 8 {
				b = b[8:] // a time, as most
				continue
			}
			if n = w.plain(f, b, wire); n < 0 {
				return false
			}
			b = b[n:]
			continue
		}
		if f.count == cAttributes {
			if b = w.attributes(b, byte(tag), &pairs, depth); b == nil { //nolint:gosec // their numbers are below 16
				return false
			}
			continue
		}
		var body []byte
		if n := int(b0(b)); n < 0x80 && n < len(b) {
			body, b = b[1:n+1], b[n+1:]
		} else {
			var ok bool
			if body, b, ok = prefixed(b); !ok {
				return w.malformed()
			}
		}
		if f.kind == kID8 && len(body) == 8 || f.kind == kID16 && len(body) == 16 {
			continue
		}
		if f.merges {
			w.before = pairs
		}
		if !w.block(f, body, depth) {
			return false
		}
		if f.merges {
			pairs = w.after
		}
	}
	w.after = pairs
	return true
}

// b0 is the first byte, or one that is no short length.
func b0(b []byte) byte {
	if len(b) == 0 {
		return 0x80
	}
	return b[0]
}

// attributes walks those that follow each other, behind the tag of the first, and returns what comes after them; nil ends
// the walk. They are most of nearly all requests.
func (w *Walker) attributes(b []byte, tag byte, pairs *int64, depth int64) []byte {
	for {
		var body []byte
		if n := int(b0(b)); n < 0x80 && n < len(b) {
			body, b = b[1:n+1], b[n+1:]
		} else {
			var ok bool
			if body, b, ok = prefixed(b); !ok {
				w.malformed()
				return nil
			}
		}
		*pairs++
		if !w.attribute(*pairs) || !w.keyValue(body, depth) {
			return nil
		}
		if len(b) == 0 || b[0] != tag {
			return b
		}
		b = b[1:]
	}
}

// keyValue walks an attribute. Nearly all are a short key and a short text or number, in either order, which takes no loop;
// any other goes the long way.
func (w *Walker) keyValue(b []byte, depth int64) bool {
	const key, value = 1<<3 | wireLen, 2<<3 | wireLen
	if len(b) < 4 || b[1] >= 0x80 {
		return w.message(mKeyValue, b, depth)
	}
	n := int(b[1])
	if len(b) < n+4 || b[n+3] >= 0x80 || len(b) != n+4+int(b[n+3]) {
		return w.message(mKeyValue, b, depth)
	}
	var of []byte
	var length int64
	switch {
	case b[0] == key && b[n+2] == value: // as generated code writes it
		length, of = int64(n), b[n+4:]
	case b[0] == value && b[n+2] == key: // as pdata writes it
		length, of = int64(len(b)-n-4), b[2:n+2]
	default:
		return w.message(mKeyValue, b, depth)
	}
	if !w.text(kKey, length) {
		return false
	}
	if len(of) >= 2 {
		switch {
		case of[0] == 1<<3|wireLen && of[1] < 0x80 && len(of) == 2+int(of[1]):
			w.cost += textCost
			return w.text(kText, int64(of[1]))
		case of[0] == 3<<3|wireVarint && scalarSize(of[1:], wireVarint) == len(of)-1:
			return w.add(cNone, 1, scalarCost)
		}
	}
	return w.message(mAnyValue, of, depth)
}

func lookup(known *fields, m message, number int32) *field {
	if number <= maxField {
		return &known[number]
	}
	if number == deprecatedScopes && m >= mResourceSpans && m <= mResourceMetrics {
		return &known[2]
	}
	return nil
}

// block counts a field that has a length.
func (w *Walker) block(f *field, body []byte, depth int64) bool {
	size := int64(len(body))
	switch f.kind {
	case kMessage:
		if f.cost != 0 && !w.add(f.count, 1, f.cost) {
			return false
		}
		if f.nests {
			depth++
			if !w.deeper(depth) {
				return false
			}
		}
		return w.message(f.child, body, depth)
	case kText, kKey, kBytes:
		return w.text(f.kind, size) && w.add(f.count, 1, f.cost)
	case kID16:
		return size == 0 || size == 16 || w.malformed()
	case kID8:
		return size == 0 || size == 8 || w.malformed()
	case kPacked64:
		if size%8 != 0 {
			return w.malformed()
		}
		return w.add(f.count, size/8, size)
	case kPackedVarint:
		var items int64
		for len(body) > 0 {
			_, n := varint(body)
			if n == 0 {
				return w.malformed()
			}
			body = body[n:]
			items++
		}
		return w.add(f.count, items, grown(items))
	default:
		return w.malformed()
	}
}

// grown is what n buckets take in a slice that they were appended to one by one.
func grown(n int64) int64 {
	const bucket = 8
	if n > 512 {
		return n * bucket * 2
	}
	return bucket << bits.Len64(uint64(max(n, 1)-1)) //nolint:gosec // positive
}

// plain counts a field without a length and returns how many bytes it takes; -1 ends the walk.
func (w *Walker) plain(f *field, b []byte, wire uint64) int {
	cost := f.cost
	switch {
	case f.kind == kVarint && wire == wireVarint, f.kind == kFixed64 && wire == wireFixed64,
		f.kind == kFixed32 && wire == wireFixed32:
	case f.kind == kPacked64 && wire == wireFixed64, f.kind == kPackedVarint && wire == wireVarint:
		cost = bucketGrowCost
	default:
		w.malformed()
		return -1
	}
	n := scalarSize(b, wire)
	if n < 0 {
		w.malformed()
		return -1
	}
	if cost != 0 && !w.add(f.count, 1, cost) {
		return -1
	}
	return n
}

func scalarSize(b []byte, wire uint64) int {
	switch wire {
	case wireFixed64:
		if len(b) < 8 {
			return -1
		}
		return 8
	case wireFixed32:
		if len(b) < 4 {
			return -1
		}
		return 4
	default:
		if len(b) > 0 && b[0] < 0x80 {
			return 1
		}
		_, n := varint(b)
		if n == 0 {
			return -1
		}
		return n
	}
}

// skip returns how many bytes the value of an unknown field takes, -1 if it has no end. Groups are skipped without
// recursion; that their field numbers match is not looked at, as pdata does not either.
func skip(b []byte, wire uint64) int {
	pos, depth := 0, 0
	for pos < len(b) {
		switch wire {
		case wireVarint, wireFixed64, wireFixed32:
			n := scalarSize(b[pos:], wire)
			if n < 0 {
				return -1
			}
			return pos + n
		case wireLen:
			body, rest, ok := prefixed(b[pos:])
			_ = body
			if !ok {
				return -1
			}
			return len(b) - len(rest)
		case wireStartGroup:
			depth++
		case wireEndGroup:
			if depth == 0 {
				return -1
			}
			depth--
		default:
			return -1
		}
		if depth == 0 {
			return pos
		}
		tag, n := varint(b[pos:])
		if n == 0 || int32(uint32(tag>>3)) <= 0 { //nolint:gosec // cut as pdata cuts it
			return -1
		}
		pos, wire = pos+n, tag&7
	}
	return -1
}

// prefixed splits b into a body and what follows it.
func prefixed(b []byte) (body, rest []byte, ok bool) {
	if len(b) == 0 {
		return nil, nil, false
	}
	size, n := uint64(b[0]), 1
	if size >= 0x80 {
		if size, n = varint(b); n == 0 {
			return nil, nil, false
		}
	}
	b = b[n:]
	if size > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:size], b[size:], true
}

// varint reads a number and its length, zero if there is none. Ten bytes at most, and bits over 64 are cut, as in pdata.
func varint(b []byte) (value uint64, n int) {
	for shift := uint(0); shift < 64 && n < len(b); shift += 7 {
		c := b[n]
		n++
		value |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return value, n
		}
	}
	return 0, 0
}
