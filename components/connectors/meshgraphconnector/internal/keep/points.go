// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"encoding/binary"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/exphist"
)

// ID tells data points apart.
type ID = [16]byte

// cutBatch is the size at which the points of a request begin a new frame.
const cutBatch = 1 << 20

// Which parts of a point follow. Those that are left out are zero, for GRPC -1.
const (
	hasStatus = 1 << iota
	hasGRPC
	hasFlags
	hasPrincipals
	hasRequests
	hasRequestBytes
	hasResponseBytes
	hasConnections
	hasLatency
	hasExtremes
	hasBounds
	hasTime
	allParts = 1<<iota - 1
)

// Batch is the record of the points of one request. Edges and names that come again are numbers. It may be used for one
// request after the other, by one goroutine.
type Batch struct {
	buf   []byte
	begin int
	count int
	keys  map[graph.Key]uint64
	texts map[string]uint64
}

// Reset forgets the points.
func (b *Batch) Reset() {
	if cap(b.buf) > 2*cutBatch {
		b.buf = nil
	}
	b.buf, b.begin, b.count = b.buf[:0], -1, 0
	b.forget()
}

func (b *Batch) forget() {
	if b.keys == nil {
		b.keys, b.texts = map[graph.Key]uint64{}, map[string]uint64{}
	}
	clear(b.keys)
	clear(b.texts)
}

// Len is the number of points.
func (b *Batch) Len() int { return b.count }

// Add adds a point; nothing of it is kept but names, until [Batch.Reset].
func (b *Batch) Add(id *ID, p *graph.Point) {
	if b.begin < 0 {
		b.begin = len(b.buf)
		b.buf = beginFrame(b.buf, kindPoints)
	}
	b.count++
	b.buf = append(b.buf, id[:]...)
	b.key(&p.Key)
	b.buf = append(b.buf, byte(p.Reporter), byte(p.TLS)|byte(p.Zone)<<4)
	b.parts(p)
	if len(b.buf)-b.begin >= cutBatch {
		b.close()
	}
}

// close ends the frame. What comes next begins one that can be read without it.
func (b *Batch) close() {
	if b.begin >= 0 {
		b.buf = frames.End(b.buf, b.begin)
		b.begin = -1
		b.forget()
	}
}

// bytes are the whole frames.
func (b *Batch) bytes() []byte {
	b.close()
	return b.buf
}

func (b *Batch) text(s string) {
	if n, ok := b.texts[s]; ok {
		b.buf = binary.AppendUvarint(b.buf, n)
		return
	}
	b.texts[s] = uint64(len(b.texts)) + 1
	b.buf = append(b.buf, 0)
	b.buf = binary.AppendUvarint(b.buf, uint64(len(s)))
	b.buf = append(b.buf, s...)
}

func names(k *graph.Key) [11]*string {
	return [11]*string{
		&k.Caller.Cluster, &k.Caller.Region, &k.Caller.Namespace, &k.Caller.Workload, &k.Caller.Version,
		&k.Callee.Cluster, &k.Callee.Region, &k.Callee.Namespace, &k.Callee.Service, &k.Callee.Workload, &k.Callee.Version,
	}
}

func (b *Batch) key(k *graph.Key) {
	if n, ok := b.keys[*k]; ok {
		b.buf = binary.AppendUvarint(b.buf, n)
		return
	}
	b.keys[*k] = uint64(len(b.keys)) + 1
	b.buf = append(b.buf, 0)
	for _, s := range names(k) {
		b.text(*s)
	}
	kind := byte(k.Protocol) << 1
	if k.Overflow {
		kind |= 1
	}
	b.buf = append(b.buf, kind)
}

func partsOf(p *graph.Point) (parts uint64) {
	for _, part := range [...]struct {
		is  bool
		bit uint64
	}{
		{p.Status != 0, hasStatus},
		{p.GRPC != -1, hasGRPC},
		{p.Flags != "", hasFlags},
		{p.SourcePrincipal != "" || p.DestinationPrincipal != "", hasPrincipals},
		{p.Requests != 0, hasRequests},
		{p.RequestBytes != 0, hasRequestBytes},
		{p.ResponseBytes != 0, hasResponseBytes},
		{p.Opened != 0 || p.Closed != 0 || p.FailedConnections != 0, hasConnections},
		{p.Latency != nil, hasLatency},
		{p.Latency != nil && p.Latency.HasExtremes, hasExtremes},
		{len(p.LatencyBounds) > 0 || len(p.LatencyCounts) > 0, hasBounds},
		{p.Time != 0, hasTime},
	} {
		if part.is {
			parts |= part.bit
		}
	}
	return parts
}

func (b *Batch) parts(p *graph.Point) {
	parts := partsOf(p)
	out := binary.AppendUvarint(b.buf, parts)
	if parts&hasStatus != 0 {
		out = binary.AppendVarint(out, int64(p.Status))
	}
	if parts&hasGRPC != 0 {
		out = binary.AppendVarint(out, int64(p.GRPC))
	}
	if parts&hasTime != 0 {
		out = binary.AppendVarint(out, p.Time)
	}
	b.buf = out
	if parts&hasFlags != 0 {
		b.text(p.Flags)
	}
	if parts&hasPrincipals != 0 {
		b.text(p.SourcePrincipal)
		b.text(p.DestinationPrincipal)
	}
	out = b.buf
	if parts&hasRequests != 0 {
		out = binary.AppendUvarint(out, p.Requests)
	}
	if parts&hasRequestBytes != 0 {
		out = binary.AppendUvarint(out, p.RequestBytes)
	}
	if parts&hasResponseBytes != 0 {
		out = binary.AppendUvarint(out, p.ResponseBytes)
	}
	if parts&hasConnections != 0 {
		out = binary.AppendUvarint(out, p.Opened)
		out = binary.AppendUvarint(out, p.Closed)
		out = binary.AppendUvarint(out, p.FailedConnections)
	}
	if parts&hasLatency != 0 {
		out = appendLatency(out, p.Latency, parts)
	}
	if parts&hasBounds != 0 {
		out = binary.AppendUvarint(out, uint64(len(p.LatencyBounds)))
		for _, v := range p.LatencyBounds {
			out = appendFloat(out, v)
		}
		out = appendNumbers(out, p.LatencyCounts)
		out = appendFloat(out, p.LatencySum)
	}
	b.buf = out
}

func appendLatency(out []byte, l *exphist.Points, parts uint64) []byte {
	out = binary.AppendUvarint(out, l.Zero)
	out = appendFloat(out, l.ZeroThreshold)
	out = binary.AppendVarint(out, int64(l.Scale))
	out = binary.AppendVarint(out, int64(l.Offset))
	out = appendNumbers(out, l.Counts)
	out = appendFloat(out, l.Sum)
	if parts&hasExtremes != 0 {
		out = appendFloat(appendFloat(out, l.Min), l.Max)
	}
	return out
}

func appendNumbers(out []byte, values []uint64) []byte {
	out = binary.AppendUvarint(out, uint64(len(values)))
	for _, v := range values {
		out = binary.AppendUvarint(out, v)
	}
	return out
}
