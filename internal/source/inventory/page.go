// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/otelcol-mesh/otelcol-mesh/internal/topology"
)

// page is a body in the making: its tables and its rows.
type page struct {
	base     int64 // milliseconds
	counters *EncoderCounters

	// made is when all that the page says had been read; zero if not known.
	made time.Time

	names         []string // the string table, in order
	nameIndex     map[string]uint32
	strings       []byte // the encoded string table
	workloadKeys  []workloadKey
	workloadIndex map[workloadKey]uint32
	workloads     []byte // the encoded workloads
	rows          []byte
	items         int

	row, inner []byte // reused between rows
	out        []byte // reused between pages
}

// workloadKey is what pods of one workload share.
type workloadKey struct {
	namespace, name, kind, service, version, serviceAccount string
	waypoint                                                bool
	revision                                                string
}

// pageMark is a state of a page to which it can be taken back.
type pageMark struct {
	names, strings, workloadKeys, workloads, rows, items int

	altered uint64
}

func newPage() *page {
	return &page{nameIndex: map[string]uint32{}, workloadIndex: map[workloadKey]uint32{}}
}

// start makes the page ready for a new message or snapshot.
func (p *page) start(at, made time.Time, counters *EncoderCounters) {
	p.base, p.made, p.counters = baseOf(at), made, counters
	p.reset()
}

// reset empties the page.
func (p *page) reset() {
	clear(p.nameIndex)
	clear(p.workloadIndex)
	clear(p.names)
	clear(p.workloadKeys)
	p.names, p.workloadKeys = p.names[:0], p.workloadKeys[:0]
	p.strings, p.workloads, p.rows, p.items = p.strings[:0], p.workloads[:0], p.rows[:0], 0
}

func (p *page) mark() pageMark {
	return pageMark{
		len(p.names), len(p.strings), len(p.workloadKeys), len(p.workloads), len(p.rows), p.items, p.counters.Altered,
	}
}

// rollback undoes what was added since the mark.
func (p *page) rollback(m pageMark) {
	for _, name := range p.names[m.names:] {
		delete(p.nameIndex, name)
	}
	for _, key := range p.workloadKeys[m.workloadKeys:] {
		delete(p.workloadIndex, key)
	}
	p.names, p.workloadKeys = p.names[:m.names], p.workloadKeys[:m.workloadKeys]
	p.strings, p.workloads, p.rows, p.items = p.strings[:m.strings], p.workloads[:m.workloads], p.rows[:m.rows], m.items
	p.counters.Altered = m.altered
}

// moreBytes is kept free for the mark that a delta goes on, the time, and empty lists.
const moreBytes = 24

func (p *page) fits(limit int) bool {
	return len(p.strings)+len(p.workloads)+len(p.rows)+moreBytes <= limit && p.items <= MaxItems && len(p.names) <= MaxStrings
}

// body returns the message. It is valid until the page is used again.
func (p *page) body() []byte {
	p.out = append(append(append(p.out[:0], p.strings...), p.workloads...), p.rows...)
	if !p.made.IsZero() {
		p.out = appendSint(p.out, inventoryMade, ceilMilli(p.made)-p.base)
	}
	return p.out
}

// end adds what was collected in p.row as a row.
func (p *page) end(num protowire.Number) {
	p.rows = appendBytes(p.rows, num, p.row)
	p.items++
}

// text returns s as the format can carry it.
func (p *page) text(s string) string {
	if len(s) <= MaxStringBytes && utf8.ValidString(s) {
		return s
	}
	p.counters.Altered++
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	for len(s) > MaxStringBytes {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s
}

// index returns the string index of s.
func (p *page) index(s string) uint64 {
	if s == "" {
		return 0
	}
	if i, ok := p.nameIndex[s]; ok {
		return uint64(i)
	}
	clean := p.text(s)
	p.names = append(p.names, s)
	i := uint32(len(p.names))
	p.nameIndex[s] = i
	p.strings = appendBytes(p.strings, inventoryStrings, clean)
	return uint64(i)
}

// workload returns the number of the workload in the message's table; 0 if the pod has none.
func (p *page) workload(key workloadKey) uint64 {
	if key == (workloadKey{}) {
		return 0
	}
	if n := len(p.workloadKeys); n > 0 && p.workloadKeys[n-1] == key {
		return uint64(n)
	}
	if i, ok := p.workloadIndex[key]; ok {
		return uint64(i)
	}
	b := p.inner[:0]
	b = appendUint(b, workloadNamespace, p.index(key.namespace))
	b = appendUint(b, workloadName, p.index(key.name))
	b = appendUint(b, workloadKind, p.index(key.kind))
	b = appendUint(b, workloadService, p.index(key.service))
	b = appendUint(b, workloadVersion, p.index(key.version))
	b = appendUint(b, workloadServiceAccount, p.index(key.serviceAccount))
	b = appendBool(b, workloadWaypoint, key.waypoint)
	b = appendUint(b, workloadRevision, p.index(key.revision))
	p.inner = b
	p.workloadKeys = append(p.workloadKeys, key)
	i := uint32(len(p.workloadKeys))
	p.workloadIndex[key] = i
	p.workloads = appendBytes(p.workloads, inventoryWorkloads, b)
	p.items++
	return uint64(i)
}

// podName appends the name of a pod in two halves. Replicas share all up to the last hyphen.
func (p *page) podName(b []byte, prefix, suffix protowire.Number, name string) []byte {
	name = p.text(name)
	cut := strings.LastIndexByte(name, '-') + 1
	b = appendUint(b, prefix, p.index(name[:cut]))
	return appendString(b, suffix, name[cut:])
}

// addresses appends what can be looked up: a zone identifier or an IPv4 address in IPv6 clothes means nothing elsewhere.
func (p *page) addresses(b []byte, num protowire.Number, addresses []netip.Addr) []byte {
	for _, a := range addresses {
		if !a.IsValid() {
			p.counters.Altered++
			continue
		}
		if a = a.Unmap(); a.Is4() {
			raw := a.As4()
			b = appendBytes(b, num, raw[:])
			continue
		}
		raw := a.As16()
		b = appendBytes(b, num, raw[:])
	}
	return b
}

func (p *page) texts(b []byte, num protowire.Number, list []string) []byte {
	for _, s := range list {
		b = appendBytes(b, num, p.text(s))
	}
	return b
}

// bounds appends two moments, the second one relative to the first.
func (p *page) bounds(b []byte, first, second protowire.Number, from, to time.Time) []byte {
	base := p.base
	if !from.IsZero() {
		ms := from.UnixMilli()
		b = appendSint(b, first, ms-base)
		base = ms
	}
	if !to.IsZero() {
		b = appendSint(b, second, ceilMilli(to)-base)
	}
	return b
}

// baseOf returns the base of the times of a message that is confirmed up to at.
func baseOf(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.UnixMilli()
}

// ceilMilli returns the milliseconds rounded up.
func ceilMilli(t time.Time) int64 {
	ms := t.UnixMilli()
	if t.Nanosecond()%int(time.Millisecond) != 0 {
		ms++
	}
	return ms
}

func appendBytes[T []byte | string](b []byte, num protowire.Number, value T) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(len(value)))
	return append(b, value...)
}

func appendString(b []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return appendBytes(b, num, s)
}

func appendUint(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

// appendSint appends the value even if it is 0: the field has presence.
func appendSint(b []byte, num protowire.Number, v int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), protowire.EncodeZigZag(v))
}

func appendBool(b []byte, num protowire.Number, v bool) []byte {
	return appendUint(b, num, protowire.EncodeBool(v))
}

func appendUID(b []byte, num protowire.Number, uid *topology.UID) []byte {
	if *uid == (topology.UID{}) {
		return b
	}
	return appendBytes(b, num, uid[:])
}
