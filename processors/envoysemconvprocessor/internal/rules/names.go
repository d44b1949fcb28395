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

// IsNetworkPeer reports whether an attribute is part of the network peer, see [Output.DropNetworkPeer].
func IsNetworkPeer(name string) bool {
	return name == networkPeerAddress || name == networkPeerPort
}
