// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strconv"

	"github.com/otelcol-mesh/otelcol-mesh/internal/accesslog"
)

// Names of what only ztunnel tells. Its destination may be a waypoint or a gateway, and the name of an end a pod's or a
// workload's, so none of this is what Envoy says of its peers.
const (
	ZtunnelDirection            = "ztunnel.direction"
	ZtunnelHBONEAddress         = "ztunnel.hbone.address"
	ZtunnelSourceName           = "ztunnel.source.name"
	ZtunnelSourceNamespace      = "ztunnel.source.namespace"
	ZtunnelSourceCluster        = "ztunnel.source.cluster"
	ZtunnelSourceIdentity       = "ztunnel.source.identity"
	ZtunnelDestinationName      = "ztunnel.destination.name"
	ZtunnelDestinationNamespace = "ztunnel.destination.namespace"
	ZtunnelDestinationCluster   = "ztunnel.destination.cluster"
	ZtunnelDestinationIdentity  = "ztunnel.destination.identity"
)

// NormalizeZtunnel fills out with what a ztunnel's access log says: under the names of Envoy's where the meaning is the
// same, whichever side of the connection reported it. ok is false if a value could not be translated; those are counted
// in out.Unparsed.
func NormalizeZtunnel(z *accesslog.Ztunnel, out *Output) (ok bool) {
	out.reset()
	out.rename(envoyDownstreamAddress, z.Get(accesslog.SourceAddress))
	writeAddress(out, z.Get(accesslog.SourceAddress), clientAddress, clientPort, true)
	if z.Get(accesslog.Direction) == "outbound" {
		out.rename(envoyUpstreamAddress, z.Get(accesslog.DestinationAddress))
	} else {
		out.rename(envoyDownstreamLocal, z.Get(accesslog.DestinationAddress))
	}
	out.derive(serverAddress, z.Get(accesslog.DestinationService))
	out.rename(ZtunnelDirection, z.Get(accesslog.Direction))
	out.rename(ZtunnelHBONEAddress, z.Get(accesslog.HBONETarget))
	out.rename(ZtunnelSourceName, z.Get(accesslog.SourceName))
	out.rename(ZtunnelSourceNamespace, z.Get(accesslog.SourceNamespace))
	out.rename(ZtunnelSourceCluster, z.Get(accesslog.SourceCluster))
	out.rename(ZtunnelSourceIdentity, z.Get(accesslog.SourceIdentity))
	out.rename(ZtunnelDestinationName, z.Get(accesslog.DestinationName))
	out.rename(ZtunnelDestinationNamespace, z.Get(accesslog.DestinationNamespace))
	out.rename(ZtunnelDestinationCluster, z.Get(accesslog.DestinationCluster))
	out.rename(ZtunnelDestinationIdentity, z.Get(accesslog.DestinationIdentity))
	received, sent := z.Bytes()
	ok = out.bytes(envoyBytesReceived, received)
	ok = out.bytes(envoyBytesSent, sent) && ok
	if ms, told := z.Milliseconds(); told {
		out.renameDouble(envoyDurationMS, ms)
	} else if z.Get(accesslog.ZtunnelDuration) != "" {
		out.Unparsed[NotANumber]++
		ok = false
	}
	if reason := z.Get(accesslog.ZtunnelError); reason != "" {
		out.rename(envoyTerminationDetails, reason)
		out.derive(errorType, otherError)
	}
	return ok
}

func (o *Output) bytes(name, text string) bool {
	if text == "" {
		return true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		o.Unparsed[NotANumber]++
		return false
	}
	o.renameInt(name, n)
	return true
}
