// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"math"
	"strconv"
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
)

// The names that the envoy receiver gives what an access log alone tells; docs/access-logs.md has the whole schema.
const (
	envoyUpstreamAddress    = "envoy.upstream.address"
	envoyDownstreamAddress  = "envoy.downstream.address"
	envoyDownstreamLocal    = "envoy.downstream.local_address"
	envoyDurationMS         = "envoy.duration_ms"
	envoyBytesReceived      = "envoy.bytes.received"
	envoyBytesSent          = "envoy.bytes.sent"
	envoyTerminationDetails = "envoy.connection.termination_details"
	tlsProtocolName         = "tls.protocol.name"
	tlsProtocolVersion      = "tls.protocol.version"
	forwardedForHeader      = "http.request.header.x-forwarded-for"
)

// accessLog writes what only an access log tells. A record has both ends of both connections, so nothing needs to be
// inferred from a span's kind.
func accessLog(c *Call, out *Output) {
	out.rename(envoyUpstreamAddress, c.text[KeyUpstreamAddress])
	out.rename("envoy.upstream.local_address", c.text[KeyUpstreamLocalAddress])
	out.rename(envoyDownstreamLocal, c.text[KeyDownstreamLocalAddress])
	out.rename("envoy.downstream.direct_address", c.text[KeyDownstreamDirect])
	out.rename("envoy.downstream.transport_failure_reason", c.text[KeyDownstreamFailure])
	out.rename("envoy.response.code_details", c.text[KeyResponseCodeDetails])
	out.rename(envoyTerminationDetails, c.text[KeyConnectionTermination])
	out.rename("envoy.upstream.transport_failure_reason", c.text[KeyTransportFailure])
	out.rename("envoy.tls.sni", c.text[KeyServerName])
	out.rename("envoy.tls.peer.san", c.text[KeyPeerSAN])
	out.rename("envoy.tls.local.san", c.text[KeyLocalSAN])
	out.rename(envoyRouteName, c.text[KeyRouteName])
	out.rename("envoy.stream.id", c.text[KeyStreamID])
	count(c, out, KeyAttempts, "envoy.upstream.request.attempts")
	count(c, out, KeyUpstreamWireSent, "envoy.upstream.wire.sent_bytes")
	count(c, out, KeyUpstreamWireReceived, "envoy.upstream.wire.received_bytes")
	count(c, out, KeyDownstreamWireSent, "envoy.downstream.wire.sent_bytes")
	count(c, out, KeyDownstreamWireReceived, "envoy.downstream.wire.received_bytes")
	if header := c.text[KeyForwardedFor]; header != "" {
		out.Attributes = append(out.Attributes, Attribute{Name: forwardedForHeader, Type: List, Text: header})
	}
	tlsVersion(c, out)
	if c.has(KeyUpstreamAddress) && c.text[KeyUpstreamAddress] == "" {
		// No attribute says this otherwise: that the upstream host was asked for, and none was chosen.
		out.retain(KeyUpstreamAddress)
	}
	if c.has(KeyStartTime) && !c.StartTold {
		out.retain(KeyStartTime)
	}

	downstream := c.text[KeyDownstreamAddress]
	if downstream == "" {
		downstream = c.text[KeyPeerAddress]
	}
	out.rename(envoyDownstreamAddress, downstream)
	writeAddress(out, downstream, clientAddress, clientPort, true)

	milliseconds(c, out, KeyDuration, envoyDurationMS)
	milliseconds(c, out, KeyUpstreamServiceTime, "envoy.timing.upstream_service_ms")
	if path := c.text[KeyPath]; path != "" {
		path, query, _ := strings.Cut(path, "?")
		out.derive(urlPath, path)
		out.derive(urlQuery, query)
	}
	if host := c.text[KeyAuthority]; host != "" {
		authority(out, host, "envoy.authority")
	}
}

// tlsVersion takes "TLSv1.3" apart.
func tlsVersion(c *Call, out *Output) {
	text := c.text[KeyTLSVersion]
	if text == "" {
		return
	}
	version, ok := strings.CutPrefix(text, "TLSv")
	switch {
	case !ok || version == "":
		out.leave(KeyTLSVersion, UnknownProtocol)
		return
	case version == "1":
		version = "1.0"
	}
	out.rename(tlsProtocolName, "tls")
	out.rename(tlsProtocolVersion, version)
	out.follow()
}

func milliseconds(c *Call, out *Output, key Key, name string) {
	text := c.text[key]
	if text == "" {
		return
	}
	ms, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil:
		out.leave(key, NotANumber)
	case ms < 0, ms > 1e15, math.IsNaN(ms):
		out.leave(key, OutOfRange)
	default:
		out.renameDouble(name, ms)
	}
}

func (o *Output) renameDouble(name string, f float64) {
	o.Attributes = append(o.Attributes, Attribute{Name: name, Type: Double, Double: f})
}

// RecordErrorType returns error.type of an access log record that has semantic conventions already, by the table that
// [Normalize] goes by; empty for a call that did not fail. grpcCode is rpc.grpc.status_code, below zero if there is none.
func RecordErrorType(status int64, flags string, code int64) string {
	flag := envoy.FirstResponseFlag(flags)
	switch {
	case code > 0:
		return grpcCode{number: code, known: true}.name()
	case status >= 500:
		return strconv.FormatInt(status, 10)
	case status == 0 && flag != "":
		return flag
	}
	return ""
}
