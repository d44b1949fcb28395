// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
	"github.com/otelcol-mesh/otelcol-mesh/internal/mesh"
)

// inboundTLS judges the connection that the call came on. The identity of the peer proves mutual TLS. TLS without one
// is neither mutual nor none. A waypoint takes calls out of a tunnel: inside of it there is no TLS, whatever the tunnel
// has.
func (j *judge) inboundTLS() string {
	switch {
	case j.call.PeerSAN != "":
		return mesh.TLSMutual
	case j.call.PlainText && j.near.NodeType != waypointType && !internalAddress(j.call.DownstreamLocal) && !internalAddress(j.call.DownstreamAddress):
		return mesh.TLSNone
	default:
		return mesh.TLSUnknown
	}
}

// outboundTLS judges the connection that the proxy made. A workload's identity in the certificate that the other side
// showed proves mutual TLS: whoever serves with one asks callers for theirs (istio/istio pilot/pkg/xds, the inbound TLS
// context requires a client certificate). Another certificate, such as a web server's, tells TLS alone.
func (j *judge) outboundTLS() string {
	if id, err := envoy.ParseSPIFFE(j.call.UpstreamSAN); err == nil && id.Namespace != "" {
		return mesh.TLSMutual
	}
	return mesh.TLSUnknown
}

// middleTLS judges a call whose two connections the gateway knows: both must be mutual TLS.
func (j *judge) middleTLS() string {
	if j.call.PeerSAN != "" && j.outboundTLS() == mesh.TLSMutual {
		return mesh.TLSMutual
	}
	return mesh.TLSUnknown
}

// ztunnelTLS judges the tunnel: ztunnel knows identities only of the other side of one.
func (j *judge) ztunnelTLS() string {
	if (j.call.Ztunnel == "inbound" && j.call.PeerSAN != "") || (j.call.Ztunnel == "outbound" && j.call.UpstreamSAN != "") {
		return mesh.TLSMutual
	}
	return mesh.TLSUnknown
}

// internalAddress says whether the text names a listener within Envoy: what is beyond it is a tunnel.
func internalAddress(text string) bool { return strings.HasPrefix(text, "envoy://") }
