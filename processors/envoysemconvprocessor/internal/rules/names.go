// SPDX-License-Identifier: Apache-2.0

package rules

import semconv "go.opentelemetry.io/otel/semconv/v1.40.0"

// The semantic conventions that are read or written.
const (
	httpRequestMethod         = string(semconv.HTTPRequestMethodKey)
	httpRequestMethodOriginal = string(semconv.HTTPRequestMethodOriginalKey)
	httpResponseStatusCode    = string(semconv.HTTPResponseStatusCodeKey)
	httpRequestBodySize       = string(semconv.HTTPRequestBodySizeKey)
	httpResponseBodySize      = string(semconv.HTTPResponseBodySizeKey)
	httpRequestResendCount    = string(semconv.HTTPRequestResendCountKey)
	urlFull                   = string(semconv.URLFullKey)
	urlScheme                 = string(semconv.URLSchemeKey)
	urlPath                   = string(semconv.URLPathKey)
	urlQuery                  = string(semconv.URLQueryKey)
	serverAddress             = string(semconv.ServerAddressKey)
	serverPort                = string(semconv.ServerPortKey)
	clientAddress             = string(semconv.ClientAddressKey)
	clientPort                = string(semconv.ClientPortKey)
	networkPeerAddress        = string(semconv.NetworkPeerAddressKey)
	networkPeerPort           = string(semconv.NetworkPeerPortKey)
	networkProtocolName       = string(semconv.NetworkProtocolNameKey)
	networkProtocolVersion    = string(semconv.NetworkProtocolVersionKey)
	userAgentOriginal         = string(semconv.UserAgentOriginalKey)
	errorType                 = string(semconv.ErrorTypeKey)
	rpcSystemName             = string(semconv.RPCSystemNameKey)
	rpcMethod                 = string(semconv.RPCMethodKey)
	rpcResponseStatusCode     = string(semconv.RPCResponseStatusCodeKey)
	httpRoute                 = string(semconv.HTTPRouteKey)
	urlTemplate               = string(semconv.URLTemplateKey)
)

// Envoy's own facts that are read again after they were written.
const (
	envoyNodeID          = "envoy.node.id"
	envoyUpstreamCluster = "envoy.upstream.cluster"
	envoyRouteName       = "envoy.route.name"
)

// Semantic conventions that the version above has no more, and that exporters still read.
const (
	rpcSystem         = "rpc.system"
	rpcService        = "rpc.service"
	rpcGRPCStatusCode = "rpc.grpc.status_code"
)

// IsStatusCode reports whether an attribute is the HTTP status code, see [Output.DropStatusCode].
func IsStatusCode(name string) bool {
	return name == httpResponseStatusCode
}

// MayBeWritten reports whether [Normalize] or a [Namer] may write an attribute of this name for a span; it may say so of
// others as well.
func MayBeWritten(name string) bool {
	if name == "" {
		return false
	}
	switch name[0] {
	case 'c', 'e', 'h', 'n', 'r', 's', 'u': // client.*, envoy.* and error.type, http.*, network.*, rpc.*, server.*, url.*
		return true
	}
	return false
}

// SaysNothing reports whether a semantic convention has the value that Envoy writes if there is none. Under its own
// names Envoy does that in more places; see [Call.Set].
func SaysNothing(name, text string) bool {
	return text == "-" && name == userAgentOriginal
}

// IsNetworkPeer reports whether an attribute is part of the network peer, see [Output.DropNetworkPeer].
func IsNetworkPeer(name string) bool {
	return name == networkPeerAddress || name == networkPeerPort
}
