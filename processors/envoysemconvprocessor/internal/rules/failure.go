// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strconv"

	"github.com/otelcol-mesh/otelcol-mesh/internal/envoy"
)

// otherError is the error.type of a failure that nothing names (semantic conventions for error.type).
const otherError = "_OTHER"

// failure decides whether the call failed, and names the kind of error.
func failure(c *Call, out *Output) {
	if c.has(KeyError) && c.text[KeyError] != "true" {
		out.retain(KeyError)
	}
	if kind := failureKind(c, out); kind != "" {
		out.Failed = true
		out.derive(errorType, kind)
	}
}

// failureKind returns the kind of error, "" for a call that did not fail. What gRPC says about a call counts more than
// its HTTP status, which is 200 for nearly all of them, and both count more than the error tag, which Envoy derives
// from them by rules of its own (it sets it for RESOURCE_EXHAUSTED at a server, for one).
func failureKind(c *Call, out *Output) string {
	status, code := out.status, out.grpc
	flag := envoy.FirstResponseFlag(c.text[KeyResponseFlags])
	switch {
	case code.known && code.number != 0:
		if c.Kind == KindServer && !code.isServerError() {
			return ""
		}
		return code.name()
	case status >= 500, status >= 400 && (c.Kind == KindClient || c.StatusError):
		return strconv.FormatInt(status, 10)
	case status >= 400 && c.Kind == KindServer:
		return "" // an answer, whatever the error tag says
	case status == 0 && flag != "":
		return flag
	case !code.known && brokeOff(c, status) != "":
		return brokeOff(c, status)
	case c.StatusError, c.text[KeyError] == "true" && !code.known:
		return otherError
	case out.noResponse && !code.known && !c.Log:
		// Envoy says 0 and sets the error tag, which is not among the new names. A connection's log says 0 as well.
		return otherError
	}
	return ""
}

// brokeOff returns the response flag that says why a response that had begun well did not end well: the semantic
// conventions count a response that was not sent or received in full as an error. A connection that became a tunnel or
// a WebSocket ends in no other way, so there the flags are no failure. Access logs keep to their own table.
func brokeOff(c *Call, status int64) string {
	if status < 200 || status >= 400 || c.Log || c.method() == "CONNECT" {
		return ""
	}
	for rest := c.text[KeyResponseFlags]; rest != ""; {
		var flag string
		flag, rest = envoy.NextResponseFlag(rest)
		switch flag {
		case "DC", "DR", "UC", "UR", "LR", "UT", "SI", "DT", "DPE", "UPE", "UMSDR":
			return flag
		}
	}
	return ""
}
