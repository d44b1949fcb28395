// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"encoding/hex"
	"strconv"
	"strings"

	alsdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"go.opentelemetry.io/collector/pdata/plog"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"

	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/attr"
)

// Attributes that exporters still read beside their successors rpc.system.name, rpc.method and rpc.response.status_code.
const (
	keyRPCSystem  = "rpc.system"
	keyRPCService = "rpc.service"
	keyRPCCode    = "rpc.grpc.status_code"
)

// statusNames are the names of gRPC's status codes (grpc/grpc doc/statuscodes.md) by number.
var statusNames = [...]string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
	"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
	"INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
}

// putGRPC names the call of a gRPC request. Envoy tells that it is one only by headers and trailers it was configured
// to log: the content type, or the trailer grpc-status (a header if the response is trailers only).
func putGRPC(entry *alsdata.HTTPAccessLogEntry, w attr.Writer) {
	request, response := entry.GetRequest(), entry.GetResponse()
	status := response.GetResponseTrailers()["grpc-status"]
	if status == "" {
		status = response.GetResponseHeaders()["grpc-status"]
	}
	if status == "" && !strings.HasPrefix(request.GetRequestHeaders()["content-type"], "application/grpc") {
		return
	}
	w.Str(string(semconv.RPCSystemNameKey), "grpc")
	w.Str(keyRPCSystem, "grpc")
	path, _ := splitPath(request.GetPath())
	if method, ok := strings.CutPrefix(path, "/"); ok && strings.Count(method, "/") == 1 {
		service, _, _ := strings.Cut(method, "/")
		w.Str(keyRPCService, service)
		w.Str(string(semconv.RPCMethodKey), method)
	}
	if code, err := strconv.ParseUint(status, 10, 16); err == nil {
		w.Map.PutInt(keyRPCCode, int64(code))
		w.Str(string(semconv.RPCResponseStatusCodeKey), statusName(code))
	}
}

func statusName(code uint64) string {
	if code < uint64(len(statusNames)) {
		return statusNames[code]
	}
	return strconv.FormatUint(code, 10)
}

// putTraceContext takes the trace from the header traceparent (W3C Trace Context) or else from Zipkin's B3 headers, if
// Envoy was configured to log them. What is not well formed is left out: a wrong trace is worse than none.
func putTraceContext(headers map[string]string, record plog.LogRecord) {
	if len(headers) == 0 {
		return
	}
	traceID, spanID, flags := headers["x-b3-traceid"], headers["x-b3-spanid"], ""
	if len(traceID) == 16 {
		traceID = strings.Repeat("0", 16) + traceID
	}
	if parts := strings.Split(headers["traceparent"], "-"); len(parts) >= 4 && len(parts[0]) == 2 && parts[0] != "ff" {
		traceID, spanID, flags = parts[1], parts[2], parts[3]
	}
	var trace [16]byte
	var span [8]byte
	if !decodeID(trace[:], traceID) || !decodeID(span[:], spanID) {
		return
	}
	record.SetTraceID(trace)
	record.SetSpanID(span)
	if f, err := strconv.ParseUint(flags, 16, 8); err == nil && f&1 == 1 {
		record.SetFlags(plog.DefaultLogRecordFlags.WithIsSampled(true))
	}
}

// decodeID reads a lower case hexadecimal id that is not all zeros.
func decodeID(id []byte, text string) bool {
	if len(text) != hex.EncodedLen(len(id)) || strings.Trim(text, "0") == "" {
		return false
	}
	_, err := hex.Decode(id, []byte(text))
	return err == nil
}
