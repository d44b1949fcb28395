// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strconv"
	"strings"
)

// Normalize fills out with what the call's attributes are by semantic conventions. Call it for items of Envoy only,
// see [Call.IsFromEnvoy].
func Normalize(c *Call, out *Output) {
	out.reset()
	leaveBadTypes(c, out)
	proxy(c, out)
	request(c, out)
	location(c, out)
	protocol(c, out)
	if c.Log {
		accessLog(c, out)
	} else {
		out.move(envoyRouteName, c, KeyRouteName)
		peer(c, out)
	}
	out.status = response(c, out)
	out.grpc = grpc(c, out)
	failure(c, out)
}

func leaveBadTypes(c *Call, out *Output) {
	if c.badType == 0 {
		return
	}
	for key := range numKeys {
		if c.badType&(1<<key) != 0 {
			out.leave(key, BadType)
		}
	}
}

// proxy renames what only Envoy knows.
func proxy(c *Call, out *Output) {
	if c.has(KeyComponent) && c.text[KeyComponent] != "proxy" {
		out.retain(KeyComponent)
	}
	out.move(envoyNodeID, c, KeyNodeID)
	out.move("envoy.zone", c, KeyZone)
	out.move("envoy.downstream.cluster", c, KeyDownstreamCluster)
	out.move("envoy.response.flags", c, KeyResponseFlags)
	out.move("envoy.request.id", c, KeyRequestID)
	out.move("envoy.client_trace.id", c, KeyClientTraceID)
	// Istio ends alt_stat_name with a delimiter for its own statistics. What remains is the cluster's name again
	// unless somebody chose another one, and saying it twice helps nobody.
	cluster := c.text[KeyUpstreamCluster]
	out.move(envoyUpstreamCluster, c, KeyUpstreamCluster)
	if name := strings.TrimRight(c.text[KeyUpstreamClusterName], ";"); name != cluster {
		out.rename("envoy.upstream.cluster.name", name)
	}
}

// request writes method, user agent, sizes and retries.
func request(c *Call, out *Output) {
	out.move(userAgentOriginal, c, KeyUserAgent)
	method(c, out)
	received, sent := httpRequestBodySize, httpResponseBodySize
	if c.Log && !c.IsHTTPLog() {
		received, sent = envoyBytesReceived, envoyBytesSent
	}
	count(c, out, KeyRequestSize, received)
	count(c, out, KeyResponseSize, sent)
	count(c, out, KeyRetryCount, httpRequestResendCount)
}

// method writes _OTHER for methods that the semantic conventions do not list, so that a client which makes up methods
// does not make up series.
func method(c *Call, out *Output) {
	m := c.text[KeyMethod]
	if m == "" || isKnownMethod(m) {
		out.move(httpRequestMethod, c, KeyMethod)
		return
	}
	out.rename(httpRequestMethod, "_OTHER")
	out.move(httpRequestMethodOriginal, c, KeyMethod)
	out.follow()
}

func isKnownMethod(m string) bool {
	switch m {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY":
		return true
	}
	return false
}

// count renames a number of bytes or of attempts.
func count(c *Call, out *Output, key Key, name string) {
	if n, ok := number(c, out, key); ok {
		out.renameInt(name, n)
	}
}

// number reads a number from zero on; it leaves the attribute alone if that is not what it holds.
func number(c *Call, out *Output, key Key) (n int64, ok bool) {
	text := c.text[key]
	if text == "" {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil && !isDigits(text):
		out.leave(key, NotANumber)
	case err != nil || n < 0:
		out.leave(key, OutOfRange)
	default:
		return n, true
	}
	return 0, false
}

func isDigits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

// location writes the parts of the URL. A URL without a clear authority is kept whole and not taken apart. Envoy cuts
// long paths, so the end of a path or query may be missing.
func location(c *Call, out *Output) {
	full := c.url()
	if full == "" {
		return
	}
	u, ok := splitURL(full)
	c.location = u
	if clean := withoutCredentials(c.text[KeyURL]); clean != c.text[KeyURL] {
		out.rename(urlFull, clean)
	} else {
		out.move(urlFull, c, KeyURL)
	}
	if !ok {
		out.Unparsed[BadURL]++
		return
	}
	out.derive(urlScheme, u.scheme)
	out.derive(urlPath, u.path)
	out.derive(urlQuery, u.query)
	out.derive(serverAddress, u.host)
	if u.port > 0 {
		out.deriveInt(serverPort, int64(u.port))
		out.follow()
	}
}

// protocol splits "HTTP/1.1" into name and version.
func protocol(c *Call, out *Output) {
	text := c.text[KeyProtocol]
	if text == "" {
		return
	}
	version, ok := strings.CutPrefix(text, "HTTP/")
	if !ok || version == "" {
		out.leave(KeyProtocol, UnknownProtocol)
		return
	}
	out.rename(networkProtocolName, "http")
	out.rename(networkProtocolVersion, version)
	out.follow()
}

// response writes the status code, and returns the one that counts, 0 for none. Envoy reports 0 when there was no
// response at all; that is no status code, and the response flags say why.
func response(c *Call, out *Output) int64 {
	status, ok := number(c, out, KeyStatusCode)
	switch {
	case ok && status > 999:
		out.leave(KeyStatusCode, OutOfRange)
		status = 0
	case ok && status > 0:
		out.renameInt(httpResponseStatusCode, status)
	case ok:
		out.noResponse = true
	}
	if c.semconv.statusCode == "" {
		return status
	}
	if c.semconv.statusCode == "0" {
		out.DropStatusCode = true
		out.noResponse = status == 0
		return status
	}
	if n, err := strconv.ParseInt(c.semconv.statusCode, 10, 64); err == nil {
		out.noResponse = false
		return n
	}
	return status
}
