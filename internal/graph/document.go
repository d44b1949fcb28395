// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"math"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/exphist"
)

// DocumentVersion is the version of the document's schema. It grows when a reader of the last version would read something
// wrong; names that are added do not count.
const DocumentVersion = 1

// Document is the graph as JSON: docs/graph.md describes it.
type Document struct {
	SchemaVersion int            `json:"schema_version"`
	Sequence      uint64         `json:"sequence"`
	Start         time.Time      `json:"start"`
	End           time.Time      `json:"end"`
	Seconds       float64        `json:"seconds"`
	Stats         Stats          `json:"stats"`
	Full          bool           `json:"full"`
	Edges         []DocumentEdge `json:"edges"`
}

// DocumentEdge is an edge in the document.
type DocumentEdge struct {
	Caller    DocumentEnd       `json:"caller"`
	Callee    DocumentEnd       `json:"callee"`
	Protocol  string            `json:"protocol"`
	Overflow  bool              `json:"overflow,omitempty"`
	Interval  DocumentCounts    `json:"interval"`
	Total     DocumentCounts    `json:"total"`
	Open      uint64            `json:"open_connections"`
	Latency   []DocumentLatency `json:"latency,omitempty"`
	Flags     []DocumentFlag    `json:"response_flags,omitempty"`
	Reporters []string          `json:"reporters"`
	Heard     []string          `json:"reporters_in_interval"`
	Exemplars []Exemplar        `json:"exemplars,omitempty"`
	// Identities are those of the ends, OtherIdentities the requests and connections under identities that had no room.
	Identities      []DocumentIdentity `json:"identities,omitempty"`
	OtherIdentities uint64             `json:"identities_other,omitempty"`
	// Plaintext is absent where nobody ever told of any.
	Plaintext *DocumentPlaintext `json:"plaintext_seen,omitempty"`
	First     time.Time          `json:"first_seen"`
	Last      time.Time          `json:"last_seen"`
}

// DocumentEnd is an end of an edge. What nothing told is absent.
type DocumentEnd struct {
	Cluster   string `json:"cluster,omitempty"`
	Region    string `json:"region,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Service   string `json:"service,omitempty"`
	Workload  string `json:"workload,omitempty"`
	Version   string `json:"version,omitempty"`
}

// DocumentCounts are [Counts] in the document.
type DocumentCounts struct {
	Requests      uint64            `json:"requests"`
	Errors        uint64            `json:"errors"`
	NeverReached  uint64            `json:"never_reached"`
	Classes       map[string]uint64 `json:"classes,omitempty"`
	RequestBytes  uint64            `json:"request_bytes"`
	ResponseBytes uint64            `json:"response_bytes"`
	// The parts of these bytes of which the zones are known; absent where they are 0.
	RequestSameZone   uint64 `json:"request_bytes_same_zone,omitempty"`
	RequestCrossZone  uint64 `json:"request_bytes_cross_zone,omitempty"`
	ResponseSameZone  uint64 `json:"response_bytes_same_zone,omitempty"`
	ResponseCrossZone uint64 `json:"response_bytes_cross_zone,omitempty"`
	Opened            uint64 `json:"connections_opened"`
	Closed            uint64 `json:"connections_closed"`
	Failed            uint64 `json:"connections_failed"`
	MutualTLS         uint64 `json:"mutual_tls"`
	Plaintext         uint64 `json:"plaintext"`
	// MutualShare is absent where nothing is known.
	MutualShare *float64 `json:"mutual_tls_share,omitempty"`
}

// DocumentIdentity is an identity under which an end was seen.
type DocumentIdentity struct {
	End       string    `json:"end"`
	Principal string    `json:"principal"`
	Requests  uint64    `json:"requests"`
	First     time.Time `json:"first_seen"`
	Last      time.Time `json:"last_seen"`
}

// DocumentPlaintext is who told of requests or connections without TLS, and since when.
type DocumentPlaintext struct {
	Reporters []string  `json:"reporters"`
	First     time.Time `json:"first_seen"`
	Last      time.Time `json:"last_seen"`
}

// DocumentLatency is what one reporter measured, in milliseconds.
type DocumentLatency struct {
	Reporter string   `json:"reporter"`
	Count    uint64   `json:"count"`
	Sum      float64  `json:"sum"`
	Min      *float64 `json:"min,omitempty"`
	Max      *float64 `json:"max,omitempty"`
	P50      float64  `json:"p50"`
	P90      float64  `json:"p90"`
	P99      float64  `json:"p99"`
	// The exponential histogram itself, as in OpenTelemetry's data model.
	Scale         int32    `json:"scale"`
	Offset        int32    `json:"offset"`
	Buckets       []uint64 `json:"buckets"`
	Zero          uint64   `json:"zero_count"`
	ZeroThreshold float64  `json:"zero_threshold"`
}

// DocumentFlag is how many requests a reporter gave a response flag.
type DocumentFlag struct {
	Reporter string `json:"reporter"`
	Flag     string `json:"flag"`
	Requests uint64 `json:"requests"`
}

// Document returns the snapshot as the document. It is built anew each time: who serves it keeps the bytes.
func (s *Snapshot) Document() *Document {
	d := &Document{
		SchemaVersion: DocumentVersion, Sequence: s.Sequence, Start: s.Start.UTC(), End: s.End.UTC(),
		Seconds: s.End.Sub(s.Start).Seconds(), Stats: s.Stats, Full: s.Stats.Edges >= s.Stats.MaxEdges,
		Edges: make([]DocumentEdge, len(s.Edges)),
	}
	for i := range s.Edges {
		s.Edges[i].document(&d.Edges[i])
	}
	return d
}

func (e *Edge) document(d *DocumentEdge) {
	a, b := &e.Caller, &e.Callee
	*d = DocumentEdge{
		Caller: DocumentEnd{
			Cluster: a.Cluster, Region: a.Region, Namespace: a.Namespace, Workload: a.Workload, Version: a.Version,
		},
		Callee: DocumentEnd{
			Cluster: b.Cluster, Region: b.Region, Namespace: b.Namespace, Service: b.Service, Workload: b.Workload,
			Version: b.Version,
		},
		Protocol: e.Protocol.String(), Overflow: e.Overflow,
		Interval: e.Interval.document(), Total: e.Total.document(), Open: e.OpenConnections,
		Reporters: words(e.Reporters), Heard: words(e.Heard), Exemplars: e.Exemplars, First: e.First, Last: e.Last,
		OtherIdentities: e.OtherIdentities,
	}
	for _, i := range e.Identities {
		d.Identities = append(d.Identities, DocumentIdentity{
			End: i.End.String(), Principal: i.Principal, Requests: i.Requests, First: i.First, Last: i.Last,
		})
	}
	if p := e.Plaintext; p != nil {
		d.Plaintext = &DocumentPlaintext{Reporters: words(p.Reporters), First: p.First, Last: p.Last}
	}
	for r, h := range e.Latency {
		if h != nil && h.Count > 0 {
			d.Latency = append(d.Latency, latency(Reporter(r), h))
		}
	}
	for _, f := range e.Flags {
		d.Flags = append(d.Flags, DocumentFlag{Reporter: f.Reporter.String(), Flag: f.Flag, Requests: f.Requests})
	}
}

func words(reporters []Reporter) []string {
	out := make([]string, len(reporters))
	for i, r := range reporters {
		out[i] = r.String()
	}
	return out
}

func latency(r Reporter, h *exphist.Histogram) DocumentLatency {
	l := DocumentLatency{
		Reporter: r.String(), Count: h.Count, Sum: number(h.Sum), P50: number(h.Quantile(0.5)),
		P90: number(h.Quantile(0.9)), P99: number(h.Quantile(0.99)),
		Scale: h.Scale, Offset: h.Offset, Buckets: h.Buckets, Zero: h.Zero, ZeroThreshold: h.ZeroThreshold,
	}
	if h.Min <= h.Max {
		low, high := number(h.Min), number(h.Max)
		l.Min, l.Max = &low, &high
	}
	return l
}

// number is what JSON can hold: a sum may have grown beyond all numbers.
func number(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return max(min(v, math.MaxFloat64), -math.MaxFloat64)
}

func (c *Counts) document() DocumentCounts {
	d := DocumentCounts{
		Requests: c.Requests(), Errors: c.Errors(), NeverReached: c.NeverReached,
		RequestBytes: c.RequestBytes, ResponseBytes: c.ResponseBytes,
		RequestSameZone: c.RequestSameZone, RequestCrossZone: c.RequestCrossZone,
		ResponseSameZone: c.ResponseSameZone, ResponseCrossZone: c.ResponseCrossZone,
		Opened: c.Opened, Closed: c.Closed, Failed: c.Failed, MutualTLS: c.MutualTLS, Plaintext: c.Plaintext,
	}
	for class, n := range c.Classes {
		if n > 0 {
			if d.Classes == nil {
				d.Classes = map[string]uint64{}
			}
			d.Classes[Class(class).String()] = n
		}
	}
	if share, known := c.MutualShare(); known {
		d.MutualShare = &share
	}
	return d
}
