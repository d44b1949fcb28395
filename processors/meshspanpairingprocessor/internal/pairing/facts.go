// SPDX-License-Identifier: Apache-2.0

// Package pairing decides which spans are one call and what they tell each other. It knows nothing of pdata.
//
//   - [Facts] is what one span says. [Store.Add] remembers it and tells everyone concerned.
//   - [Store.Judge] says what is known of a span by now, and whether waiting may tell more.
//   - [Store.Hold] keeps a span until its partner came, its wait is over, or a ceiling is reached.
//
// Which spans are one call is in relation.go, what an end becomes in judge.go.
package pairing

import (
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/processors/internal/callattr"
)

// Side is where the proxy that reported a span stands in the call which the span is about.
type Side uint8

// The sides. The zero value is no side: such a span takes no part.
const (
	NoSide Side = iota
	// Caller stands behind the calling end, or is it: an outbound sidecar, a gateway. Its near end is the source.
	Caller
	// Callee stands before the called end: an inbound sidecar. Its near end is the destination.
	Callee
	// Carrier is neither end: a waypoint.
	Carrier
)

// TraceID and SpanID are as in OpenTelemetry: all zero means none.
type (
	TraceID [16]byte
	SpanID  [8]byte
)

// Facts is what a span of a proxy says.
type Facts struct {
	Trace        TraceID
	Span, Parent SpanID
	Side         Side
	// Call is what a mesh_topology processor stamped.
	Call callattr.Call
	// Gateway says that the proxy is an ingress or egress gateway.
	Gateway bool
	// Named says that the span names its proxy or a URL, as all of Envoy's do but those of single attempts and of side calls.
	Named bool
	// Mirror says that the span is of a copy of the request, which nobody waits for the answer of.
	Mirror bool
	// Proxy, Upstream, Host and ShadowOf are hashes, zero where nothing tells: of the resource's pod, of the Envoy cluster
	// that was called, of the host that was asked for, and of that host without "-shadow", which Envoy adds to copies.
	Proxy, Upstream, Host, ShadowOf uint64
	Duration                        time.Duration
	// Code is the HTTP status, zero if there was no response.
	Code uint16
	// GRPC is the gRPC status, negative if there was none.
	GRPC int8
	// Exhausted says that retries did not help (URX), NoTarget that the last attempt reached nobody (UF, UH and others),
	// CutOff that the caller did not wait for the response (DC), Local that the proxy ended the call itself (any flag).
	Exhausted, NoTarget, CutOff, Local bool
}

// usable says whether the span can have a partner.
func (f *Facts) usable() bool {
	return f.Side != NoSide && f.Call.Stamped() && f.Trace != (TraceID{}) && f.Span != (SpanID{})
}
