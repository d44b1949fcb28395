// SPDX-License-Identifier: Apache-2.0

package rules

// Key is an attribute that Envoy sends under a name of its own.
type Key uint8

// The keys. Those after the gRPC ones occur on access logs only, but for the route's name.
const (
	KeyNone Key = iota
	KeyComponent
	KeyNodeID
	KeyZone
	KeyUpstreamCluster
	KeyUpstreamClusterName
	KeyUpstreamAddress
	KeyDownstreamCluster
	KeyPeerAddress
	KeyResponseFlags
	KeyRequestID
	KeyClientTraceID
	KeyMethod
	KeyStatusCode
	KeyURL
	KeyProtocol
	KeyUserAgent
	KeyRequestSize
	KeyResponseSize
	KeyRetryCount
	KeyError
	KeyGRPCStatusCode
	KeyGRPCMessage
	KeyGRPCPath
	KeyGRPCAuthority
	KeyGRPCContentType
	KeyGRPCTimeout

	KeyPath
	KeyAuthority
	KeyDuration
	KeyUpstreamServiceTime
	KeyResponseCodeDetails
	KeyConnectionTermination
	KeyTransportFailure
	KeyUpstreamLocalAddress
	KeyDownstreamLocalAddress
	KeyDownstreamAddress
	KeyServerName
	KeyRouteName
	KeyStartTime
	KeyForwardedFor
	KeyDownstreamDirect
	KeyDownstreamFailure
	KeyPeerSAN
	KeyLocalSAN
	KeyTLSVersion
	KeyStreamID
	KeyAttempts
	KeyUpstreamWireSent
	KeyUpstreamWireReceived
	KeyDownstreamWireSent
	KeyDownstreamWireReceived

	numKeys
)

// NumKeys is how many keys there are, [KeyNone] included.
const NumKeys = int(numKeys)

// SpanKey returns the key of a span attribute, [KeyNone] for one that is not Envoy's. The names are those of Envoy's
// source/common/tracing/common_values.h.
func SpanKey(name string) Key {
	switch name {
	case "component":
		return KeyComponent
	case "node_id":
		return KeyNodeID
	case "zone":
		return KeyZone
	case "upstream_cluster":
		return KeyUpstreamCluster
	case "upstream_cluster.name":
		return KeyUpstreamClusterName
	case "upstream_address":
		return KeyUpstreamAddress
	case "downstream_cluster":
		return KeyDownstreamCluster
	case "peer.address":
		return KeyPeerAddress
	case "response_flags":
		return KeyResponseFlags
	case "guid:x-request-id":
		return KeyRequestID
	case "guid:x-client-trace-id":
		return KeyClientTraceID
	case "user_agent":
		return KeyUserAgent
	case "request_size":
		return KeyRequestSize
	case "response_size":
		return KeyResponseSize
	case "retry.count":
		return KeyRetryCount
	case "error":
		return KeyError
	case "route_name":
		// No tag of Envoy's, but what users name the one for %ROUTE_NAME% after Istio's access log.
		return KeyRouteName
	}
	return protocolKey(name)
}

func protocolKey(name string) Key {
	switch name {
	case "http.method":
		return KeyMethod
	case "http.status_code":
		return KeyStatusCode
	case "http.url":
		return KeyURL
	case "http.protocol":
		return KeyProtocol
	case "grpc.status_code":
		return KeyGRPCStatusCode
	case "grpc.message":
		return KeyGRPCMessage
	case "grpc.path":
		return KeyGRPCPath
	case "grpc.authority":
		return KeyGRPCAuthority
	case "grpc.content_type":
		return KeyGRPCContentType
	case "grpc.timeout":
		return KeyGRPCTimeout
	}
	return KeyNone
}

// IsNumber reports whether a semantic convention that Envoy writes is a number. Envoy's tracer knows texts only, so it
// sends those as texts too.
func IsNumber(name string) bool {
	switch name {
	case httpResponseStatusCode, httpRequestBodySize, httpResponseBodySize,
		httpRequestResendCount, networkPeerPort, clientPort, serverPort, rpcGRPCStatusCode:
		return true
	}
	return false
}
