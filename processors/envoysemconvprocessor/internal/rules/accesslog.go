// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"math"
	"strconv"
	"strings"
)

// accessLog writes what only an access log tells. A record has both ends of both connections, so nothing needs to be
// inferred from a span's kind.
func accessLog(c *Call, out *Output) {
	out.rename("envoy.upstream.address", c.text[KeyUpstreamAddress])
	out.rename("envoy.upstream.local_address", c.text[KeyUpstreamLocalAddress])
	out.rename("envoy.downstream.local_address", c.text[KeyDownstreamLocalAddress])
	out.rename("envoy.response.code_details", c.text[KeyResponseCodeDetails])
	out.rename("envoy.connection.termination_details", c.text[KeyConnectionTermination])
	out.rename("envoy.upstream.transport_failure_reason", c.text[KeyTransportFailure])
	out.rename("envoy.tls.sni", c.text[KeyServerName])
	out.rename("envoy.route.name", c.text[KeyRouteName])

	downstream := c.text[KeyDownstreamAddress]
	if downstream == "" {
		downstream = c.text[KeyPeerAddress]
	}
	out.rename("envoy.downstream.address", downstream)
	writeAddress(out, downstream, clientAddress, clientPort, true)

	milliseconds(c, out, KeyDuration, "envoy.duration_ms")
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
		out.Attributes = append(out.Attributes, Attribute{Name: name, Type: Double, Double: ms})
	}
}
