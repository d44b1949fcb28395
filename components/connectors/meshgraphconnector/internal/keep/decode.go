// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"math"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph"
	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/exphist"
	"github.com/otelcol-mesh/otelcol-mesh/internal/wire"
)

// points reads the frame of a batch.
type points struct {
	wire.Reader
	keys    []graph.Key
	texts   []string
	latency exphist.Points
	point   graph.Point
	id      ID
}

// read hands out the points of a payload. Nothing is handed out of one that cannot be read whole.
func (r *points) read(payload []byte, take func(*ID, *graph.Point)) (int, error) {
	n := 0
	for _, do := range []func(*ID, *graph.Point){func(*ID, *graph.Point) {}, take} {
		r.Reader = wire.Reader{B: payload}
		r.keys, r.texts, n = r.keys[:0], r.texts[:0], 0
		for len(r.B) > 0 {
			r.next()
			if r.Bad {
				return 0, ErrFrame
			}
			do(&r.id, &r.point)
			n++
		}
	}
	return n, nil
}

func (r *points) text() string {
	n := r.UpTo(uint64(len(r.texts)))
	if n > 0 {
		return r.texts[n-1]
	}
	s := string(r.Take(r.Uvarint()))
	if !r.Bad {
		r.texts = append(r.texts, s)
	}
	return s
}

func (r *points) key(k *graph.Key) {
	if n := r.UpTo(uint64(len(r.keys))); n > 0 {
		*k = r.keys[n-1]
		return
	}
	for _, s := range names(k) {
		*s = r.text()
	}
	kind := r.Octet()
	k.Protocol, k.Overflow = graph.Protocol(kind>>1), kind&1 != 0
	r.keys = append(r.keys, *k)
}

func (r *points) next() {
	copy(r.id[:], r.Take(uint64(len(r.id))))
	p := &r.point
	*p = graph.Point{GRPC: -1}
	r.key(&p.Key)
	p.Reporter = graph.Reporter(r.Octet())
	both := r.Octet()
	p.TLS, p.Zone = graph.TLS(both&15), graph.Zone(both>>4)
	parts := r.UpTo(allParts)
	if parts&hasStatus != 0 {
		p.Status = int(r.Varint())
	}
	if parts&hasGRPC != 0 {
		p.GRPC = int(r.Varint())
	}
	if parts&hasTime != 0 {
		p.Time = r.Varint()
	}
	if parts&hasFlags != 0 {
		p.Flags = r.text()
	}
	if parts&hasPrincipals != 0 {
		p.SourcePrincipal, p.DestinationPrincipal = r.text(), r.text()
	}
	for _, part := range [...]struct {
		bit uint64
		to  *uint64
	}{
		{hasRequests, &p.Requests},
		{hasRequestBytes, &p.RequestBytes},
		{hasResponseBytes, &p.ResponseBytes},
		{hasConnections, &p.Opened},
		{hasConnections, &p.Closed},
		{hasConnections, &p.FailedConnections},
	} {
		if parts&part.bit != 0 {
			*part.to = r.Uvarint()
		}
	}
	if parts&hasLatency != 0 {
		r.readLatency(parts)
	}
	if parts&hasBounds != 0 {
		n := r.UpTo(uint64(len(r.B)) / 8)
		p.LatencyBounds = make([]float64, 0, n)
		for range n {
			p.LatencyBounds = append(p.LatencyBounds, r.Float())
		}
		p.LatencyCounts = r.numbers(nil)
		p.LatencySum = r.Float()
	}
}

func (r *points) readLatency(parts uint64) {
	l := &r.latency
	*l = exphist.Points{Counts: l.Counts[:0]}
	l.Zero = r.Uvarint()
	l.ZeroThreshold = r.Float()
	l.Scale, l.Offset = r.int32(), r.int32()
	l.Counts = r.numbers(l.Counts)
	l.Sum = r.Float()
	if parts&hasExtremes != 0 {
		l.HasExtremes = true
		l.Min, l.Max = r.Float(), r.Float()
	}
	r.point.Latency = l
}

func (r *points) int32() int32 {
	v := r.Varint()
	if v < math.MinInt32 || v > math.MaxInt32 {
		r.Fail()
		return 0
	}
	return int32(v)
}

// numbers reads a list. Each number has a byte at least, so that no more is allocated than is there.
func (r *points) numbers(into []uint64) []uint64 {
	for range r.UpTo(uint64(len(r.B))) {
		into = append(into, r.Uvarint())
	}
	return into
}
