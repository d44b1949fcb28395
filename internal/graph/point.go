// SPDX-License-Identifier: Apache-2.0

package graph

import (
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/exphist"
)

// Reporter is who reported a point: Istio's label "reporter".
type Reporter uint8

// The reporters.
const (
	// Source is the caller's proxy.
	Source Reporter = iota
	// Destination is the callee's proxy.
	Destination
	// Waypoint is a waypoint in front of the callee.
	Waypoint
	reporterCount
)

var reporterWords = [reporterCount]string{"source", "destination", "waypoint"}

// String returns Istio's word.
func (r Reporter) String() string { return reporterWords[min(r, reporterCount-1)] }

// ParseReporter reads Istio's word. ok is false for any other.
func ParseReporter(word string) (r Reporter, ok bool) {
	for i, w := range reporterWords {
		if w == word {
			return Reporter(i), true
		}
	}
	return 0, false
}

// Class is how a request ended. Each request has one.
type Class uint8

// The classes.
const (
	// Other is an informational status, or none that anybody can read: one that was not told, as of series that were put
	// together. The other reporter may tell it, so these wait as those of [NoResponse] do.
	Other Class = iota
	// Success is a status from 200 to 299, and for gRPC status 0.
	Success
	// Redirect is a status from 300 to 399.
	Redirect
	// ClientError is a status from 400 to 499.
	ClientError
	// ServerError is a status from 500 to 599.
	ServerError
	// GRPCError is a gRPC status other than 0, in an answer that is a success for HTTP.
	GRPCError
	// NoResponse means that the request arrived and the caller got no whole answer: status 0, a timeout, a reset, or a
	// caller that went away. Caller and callee see different statuses of such a request, so they have a class of their
	// own.
	NoResponse
	// ClassCount is the number of classes.
	ClassCount
)

var classWords = [ClassCount]string{"other", "2xx", "3xx", "4xx", "5xx", "grpc_error", "no_response"}

// String returns the word in the document, such as "5xx".
func (c Class) String() string { return classWords[min(c, ClassCount-1)] }

// Failed says whether a request of the class is an error: 5xx, grpc_error and no_response. 4xx is the caller's doing.
func (c Class) Failed() bool { return c == ServerError || c == GRPCError || c == NoResponse }

// TLS is what a point says of the connection: mesh.tls.
type TLS uint8

// The values of mesh.tls.
const (
	TLSUnknown TLS = iota
	TLSMutual
	TLSNone
)

// Zone is what a point says of the availability zones of two ends in one region: mesh.traffic.locality.
type Zone uint8

// The zones. What crosses from one region to another is [ZoneUnknown] here: the regions are in the key.
const (
	ZoneUnknown Zone = iota
	// SameZone is mesh.traffic.locality same_zone.
	SameZone
	// CrossZone is mesh.traffic.locality cross_zone.
	CrossZone
)

// Point is what one delta data point adds. Set the quantities that the metric has; the others stay 0.
type Point struct {
	Key      Key
	Reporter Reporter
	// Time is when the point ends, in seconds since 1970; 0 for unknown. It tells what comes late from what is new on an
	// edge that was quiet.
	Time int64
	// Status is the HTTP status, 0 for none, -1 if nothing tells. GRPC is the gRPC status, -1 if there is none.
	Status, GRPC int
	// Flags are the response flags as they came, such as "UF,URX"; "-" and "" mean none.
	Flags string
	TLS   TLS
	// Zone says where the bytes went. It is left alone where the key names two regions.
	Zone Zone
	// SourcePrincipal and DestinationPrincipal are the identities of caller and callee as the reporter tells them, such as
	// spiffe://mesh.example/ns/shop/sa/web; empty for unknown.
	SourcePrincipal, DestinationPrincipal string
	// Requests are requests that ended.
	Requests uint64
	// RequestBytes go from caller to callee, ResponseBytes back, whoever reports.
	RequestBytes, ResponseBytes uint64
	// Opened, Closed and FailedConnections count TCP connections. Those that closed with a flag that says that the callee
	// was never reached count as failed.
	Opened, Closed, FailedConnections uint64
	// Latency is the duration of requests in milliseconds, as the reporter saw it; nil for none. The graph keeps no
	// reference to it.
	Latency *exphist.Points
	// LatencyBounds and LatencyCounts are the same with explicit bounds, and LatencySum its sum. Without bounds and counts
	// there is none.
	LatencyBounds []float64
	LatencyCounts []uint64
	LatencySum    float64
}

// The flags that say that the proxy answered by itself and asked nobody. Envoy documentation, %RESPONSE_FLAGS%: no healthy
// host, connection failure, overflow, no route, no cluster, name resolution, injected fault, rate limit, external
// authorization, invalid headers, local health check, overload, cache, missing filter configuration, drop overload. From
// ztunnel: the connection to the callee did not come about.
func neverReached(flag string) bool {
	switch flag {
	case "UH", "UF", "UO", "NR", "NC", "DF", "FI", "RL", "UAEX", "IH", "LH", "OM", "RFCF", "NFCF", "DO", "UDO",
		"CONNECT", "TLS_FAILURE", "H2_HANDSHAKE_FAILURE", "IDENTITY_ERROR":
		return true
	}
	return false
}

// brokenOff says whether a flag means that the request arrived, or may have, and its caller got no whole answer. What a
// callee's proxy says of the application behind it (UC, UT and so on) is none of these: it answered its caller.
func brokenOff(flag string, reporter Reporter) bool {
	switch flag {
	case "DC", "DR", "SI", "DT", "UMSDR", "DPE":
		return true
	case "UT", "UC", "UR", "LR", "UPE":
		return reporter == Source
	}
	return false
}

// judge says how a request ended, and whether it never left its caller's proxy. Only that proxy can say the latter: the
// same flag of a callee's proxy is about the application behind it.
func judge(p *Point) (class Class, never bool) {
	broken := false
	for rest := p.Flags; rest != ""; {
		var flag string
		flag, rest, _ = strings.Cut(rest, ",")
		flag = strings.TrimSpace(flag)
		if p.Reporter == Source && neverReached(flag) {
			never = true
		}
		if brokenOff(flag, p.Reporter) {
			broken = true
		}
	}
	class = classOf(p.Status, p.GRPC)
	if !never && (broken || p.Status == 0 && class == Other) && p.Key.Protocol != TCP {
		class = NoResponse
	}
	return class, never
}

func classOf(status, grpc int) Class {
	switch {
	case status >= 200 && status < 300 && grpc > 0:
		return GRPCError
	case status >= 200 && status < 300:
		return Success
	case status >= 300 && status < 400:
		return Redirect
	case status >= 400 && status < 500:
		return ClientError
	case status >= 500 && status < 600:
		return ServerError
	case status == 0 && grpc == 0:
		return Success
	case status == 0 && grpc > 0:
		return GRPCError
	default:
		return Other
	}
}
