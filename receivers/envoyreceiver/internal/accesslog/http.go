// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"net"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	alsdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"

	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/attr"
)

// httpVersions are the values of network.protocol.version.
var httpVersions = map[alsdata.HTTPAccessLogEntry_HTTPVersion]string{
	alsdata.HTTPAccessLogEntry_HTTP10: "1.0",
	alsdata.HTTPAccessLogEntry_HTTP11: "1.1",
	alsdata.HTTPAccessLogEntry_HTTP2:  "2",
	alsdata.HTTPAccessLogEntry_HTTP3:  "3",
}

func putProtocol(version alsdata.HTTPAccessLogEntry_HTTPVersion, w attr.Writer) {
	if v := httpVersions[version]; v != "" {
		w.Str(string(semconv.NetworkProtocolNameKey), "http")
		w.Str(string(semconv.NetworkProtocolVersionKey), v)
	}
}

func putRequest(request *alsdata.HTTPRequestProperties, w attr.Writer) {
	if request == nil {
		return
	}
	if method := request.GetRequestMethod(); method != corev3.RequestMethod_METHOD_UNSPECIFIED {
		w.Str(string(semconv.HTTPRequestMethodKey), method.String())
	}
	putURL(request, w)
	w.Str(string(semconv.UserAgentOriginalKey), request.GetUserAgent())
	w.Str(keyRequestID, request.GetRequestId())
	w.Str(keyOriginalPath, request.GetOriginalPath())
	// Envoy counts the bytes of every request, so here zero is told: access logs in text say it too.
	w.Map.PutInt(string(semconv.HTTPRequestBodySizeKey), toInt(request.GetRequestBodyBytes()))
	w.Int(keyRequestHeadersSize, toInt(request.GetRequestHeadersBytes()))
	w.Int(keyUpstreamHeaderSent, toInt(request.GetUpstreamHeaderBytesSent()))
	w.Int(keyDownstreamHeaderReceived, toInt(request.GetDownstreamHeaderBytesReceived()))
	putHeaders(prefixRequestHeader, request.GetRequestHeaders(), w)
	// After the map, so that Envoy's own fields win over a logged header of the same name.
	w.Strs(prefixRequestHeader+"referer", request.GetReferer())
	w.Strs(prefixRequestHeader+"x-forwarded-for", request.GetForwardedFor())
}

func putResponse(response *alsdata.HTTPResponseProperties, w attr.Writer) {
	if response == nil {
		return
	}
	w.Int(string(semconv.HTTPResponseStatusCodeKey), int64(response.GetResponseCode().GetValue()))
	w.Str(keyCodeDetails, response.GetResponseCodeDetails())
	w.Map.PutInt(string(semconv.HTTPResponseBodySizeKey), toInt(response.GetResponseBodyBytes()))
	w.Int(keyResponseHeadersSize, toInt(response.GetResponseHeadersBytes()))
	w.Int(keyUpstreamHeaderReceived, toInt(response.GetUpstreamHeaderBytesReceived()))
	w.Int(keyDownstreamHeaderSent, toInt(response.GetDownstreamHeaderBytesSent()))
	putHeaders(prefixResponseHeader, response.GetResponseHeaders(), w)
	putMap(prefixResponseTrailer, response.GetResponseTrailers(), w)
}

func putURL(request *alsdata.HTTPRequestProperties, w attr.Writer) {
	scheme, authority := request.GetScheme(), request.GetAuthority()
	path, query := splitPath(request.GetPath())
	w.Str(string(semconv.URLSchemeKey), scheme)
	w.Str(string(semconv.URLPathKey), path)
	w.Str(string(semconv.URLQueryKey), query)
	host, port := splitAuthority(authority)
	if port == 0 {
		port = int64(request.GetPort().GetValue())
	}
	w.Str(string(semconv.ServerAddressKey), host)
	w.Int(string(semconv.ServerPortKey), port)
	if scheme != "" && authority != "" && strings.HasPrefix(path, "/") {
		w.Str(string(semconv.URLFullKey), scheme+"://"+authority+request.GetPath())
	}
}

func splitPath(path string) (withoutQuery, query string) {
	withoutQuery, query, _ = strings.Cut(path, "?")
	return withoutQuery, query
}

// splitAuthority takes an authority apart; the port is 0 if there is none.
func splitAuthority(authority string) (host string, port int64) {
	if h, p, err := net.SplitHostPort(authority); err == nil {
		if n, err := strconv.ParseUint(p, 10, 16); err == nil {
			return h, int64(n)
		}
	}
	return strings.TrimSuffix(strings.TrimPrefix(authority, "["), "]"), 0
}
