// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strconv"
	"strings"
)

// grpcCode is the status of a gRPC call; the zero value says that there is none.
type grpcCode struct {
	number int64
	known  bool
}

var grpcNames = [...]string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
	"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
	"INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
}

// name returns the code's name in gRPC, or its number if gRPC does not define it.
func (g grpcCode) name() string {
	if g.number >= 0 && g.number < int64(len(grpcNames)) {
		return grpcNames[g.number]
	}
	return strconv.FormatInt(g.number, 10)
}

// isServerError reports whether the code is the server's fault (semantic conventions for gRPC): the rest are answers.
func (g grpcCode) isServerError() bool {
	switch g.name() {
	case "UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS":
		return true
	}
	return g.number >= int64(len(grpcNames))
}

// grpc writes the attributes of a gRPC call, and returns its status. rpc.system, rpc.service and rpc.grpc.status_code
// are deprecated, but they are what exporters read today.
func grpc(c *Call, out *Output) grpcCode {
	out.move("envoy.grpc.message", c, KeyGRPCMessage)
	out.move("envoy.grpc.content_type", c, KeyGRPCContentType)
	out.move("envoy.grpc.timeout", c, KeyGRPCTimeout)
	if !c.isGRPC() {
		out.move("envoy.grpc.path", c, KeyGRPCPath)
		out.move("envoy.grpc.authority", c, KeyGRPCAuthority)
		return grpcCode{}
	}
	out.derive(rpcSystemName, "grpc")
	out.derive(rpcSystem, "grpc")
	authority(out, c.text[KeyGRPCAuthority], "envoy.grpc.authority")
	out.Repeats = true // of what the URL told
	path := c.grpcPath()
	if service, _, ok := splitGRPCPath(path); ok {
		out.derive(rpcService, service)
		out.derive(rpcMethod, path[1:])
	} else {
		out.rename("envoy.grpc.path", c.text[KeyGRPCPath])
	}
	number, ok := number(c, out, KeyGRPCStatusCode)
	if !ok {
		return grpcCode{}
	}
	code := grpcCode{number: number, known: true}
	out.rename(rpcResponseStatusCode, code.name())
	out.renameInt(rpcGRPCStatusCode, number)
	out.follow()
	return code
}

// isGRPC reports whether the call is gRPC by its content type or its status. A POST with a path of two parts is not
// evidence.
func (c *Call) isGRPC() bool {
	if c.text[KeyGRPCStatusCode] != "" || c.semconv.rpcSystem == "grpc" {
		return true
	}
	suffix, ok := strings.CutPrefix(c.text[KeyGRPCContentType], "application/grpc")
	return ok && (suffix == "" || suffix[0] == '+' || suffix[0] == ';')
}

func (c *Call) grpcPath() string {
	if path := c.text[KeyGRPCPath]; path != "" {
		return path
	}
	if c.location.host != "" {
		return c.location.path
	}
	path, _, _ := strings.Cut(c.text[KeyPath], "?")
	return path
}

// splitGRPCPath splits "/pkg.Service/Method".
func splitGRPCPath(path string) (service, method string, ok bool) {
	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return "", "", false
	}
	service, method, ok = strings.Cut(rest, "/")
	if !ok || service == "" || method == "" || strings.Contains(method, "/") {
		return "", "", false
	}
	return service, method, true
}
